"""The supervisor's own rules, with processes made for the purpose; whole systems are in tests/end_to_end."""

import signal
import subprocess
import sys
import time
import tomllib

import pytest

from apps import exits
from lockstep import supervisor as module
from lockstep.config import ConfigError, load
from lockstep.supervisor import RESTARTS_MAX, Process, Supervisor, SystemFailed
from tests.end_to_end.system import alive, configuration


class Fake(Process):
    """A process that runs some Python instead of a lockstep command."""

    def __init__(self, name, code, logs, *, pipe=False):
        super().__init__(name, [], logs, pipe=pipe)
        self.code = code

    def start(self):
        self.started.append(time.monotonic())
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-c", self.code],
                stdout=subprocess.PIPE if self.pipe else log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip


@pytest.fixture
def system(tmp_path):
    found = Supervisor(configuration(tmp_path / "day"))
    yield found
    found.kill()


def add(system, tmp_path, name, code, **options):
    process = system.processes[name] = Fake(name, code, tmp_path, **options)
    process.start()
    return process


def ends(process):
    process.child.wait(20)


@pytest.mark.parametrize("code", [exits.CONFIG, exits.DIVERGED])
def test_what_a_restart_cannot_mend_ends_the_system(system, tmp_path, code):
    process = add(system, tmp_path, "app", f"import sys; print('first'); print('the reason'); sys.exit({code})")
    ends(process)
    with pytest.raises(SystemFailed) as failed:
        system.check()
    assert str(failed.value) == f"app: exit code {code} (the reason); its output: {process.log}"
    assert process.restarts == 0


@pytest.mark.parametrize("code", [exits.POISON, 0, 1])
def test_what_dies_is_started_again_until_it_is_hopeless(system, tmp_path, code):
    other = add(system, tmp_path, "other", "import time; time.sleep(60)")
    process = add(system, tmp_path, "app", f"raise SystemExit({code})")
    for _ in range(RESTARTS_MAX):
        ends(process)
        system.check()
    assert process.restarts == RESTARTS_MAX
    assert system.restarted == ["app"] * RESTARTS_MAX
    ends(process)
    with pytest.raises(SystemFailed, match=rf"^app: exit code {code} "):
        system.check()
    assert other.ended() is None


def test_replication_starts_when_there_is_a_journal_to_serve(tmp_path, monkeypatch):
    """The sequencer makes it: a server that came before it would end, and the system with it."""
    system = Supervisor(configuration(tmp_path / "day", replication__listen="127.0.0.1:0"))
    done = []

    def start(name, arguments):
        done.append(name)
        if name == "replication":
            raise SystemFailed("far enough")

    monkeypatch.setattr(system, "_start_exchange", lambda name: None)
    monkeypatch.setattr(system, "_start", start)
    monkeypatch.setattr(system, "_attach", lambda source: done.append(f"attached {source}"))
    with pytest.raises(SystemFailed, match="far enough"):
        system.start()
    assert done == ["sequencer", "attached loader", "replication"]


def test_deaths_long_ago_are_forgiven(system, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESTART_WINDOW_S", 0.0)
    process = add(system, tmp_path, "app", "raise SystemExit(1)")
    for _ in range(RESTARTS_MAX + 2):
        ends(process)
        system.check()
    assert process.restarts == RESTARTS_MAX + 2


def test_an_exchange_is_not_restarted(system, tmp_path):
    """Its orders would be gone: that is another market."""
    ends(add(system, tmp_path, "exchange-sim", "raise SystemExit(1)"))
    with pytest.raises(SystemFailed, match=r"^exchange-sim: exit code 1"):
        system.check()


def test_waiting_ends_when_a_process_does(system, tmp_path):
    process = add(system, tmp_path, "app", "import time; time.sleep(0.3)")
    start = time.monotonic()
    system.wait(100)
    assert time.monotonic() - start < 90
    ends(process)


def test_a_process_that_does_not_hear_is_killed(tmp_path):
    deaf = Fake("deaf", "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
                tmp_path, pipe=True)  # fmt: skip
    deaf.start()
    while not deaf.lines():
        time.sleep(0.01)
    assert deaf.stop(timeout_s=0.2) == -signal.SIGKILL
    assert not alive(deaf.pid)
    assert deaf.stop() == -signal.SIGKILL  # again: nothing happens


def test_lines_come_whole(tmp_path):
    code = "import sys, time; w = sys.stdout.write; w('one\\ntw'); sys.stdout.flush(); time.sleep(0.2); w('o\\nrest')"
    process = Fake("talker", code, tmp_path, pipe=True)
    process.start()
    lines = []
    while process.ended() is None or len(lines) < 2:
        lines += process.lines()
    assert lines == [b"one", b"two"]


def test_the_processes_read_what_the_command_line_changed(system):
    system.run.mkdir(parents=True)
    system.endpoints["sim"] = ("127.0.0.1", 4711)
    (system.run / "config.toml").write_bytes(system._effective())
    read = load(system.run / "config.toml")
    assert read.journal == system.journal
    gateway = read.system.gateway["sim"]
    assert (gateway.host, gateway.port) == ("127.0.0.1", 4711)
    assert read.system.strategy == system.config.system.strategy
    assert tomllib.loads((system.run / "config.toml").read_text())["exchange"]["sim"]["port"] == 4711


def test_a_journal_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    system = Supervisor(configuration(tmp_path / "file" / "day"))
    with pytest.raises(ConfigError, match=r"session\.journal = .*file/day: Not a directory"):
        system.start()
    assert system.processes == {}
