"""`lockstep shadow` beside a system that trades: it agrees, finds what differs, and touches nothing."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w

from journal.frames import frames, last_seq
from journal.messages import NewOrder
from lockstep.commands.replaying import EXIT_CODES
from replay.player import Finding, verify
from tests.end_to_end.system import ROOT, System, configuration, our_fills, run, together
from tests.end_to_end.test_kill import prove

MINE = '''"""The demo's cross, with one more thought."""

from apps.strategies.cross import Cross


class Mine(Cross):
    def on_execution_report(self, m):
        super().on_execution_report(m)
        {thought}
'''


def with_class(config, path, thought):
    """The configuration of a new build of the strategy `cross`."""
    strategy = path.with_suffix(".py")
    strategy.write_text(MINE.format(thought=thought))
    raw = tomllib.loads(config.read_text())
    raw["strategy"]["cross"]["class"] = f"{strategy}:Mine"
    path.write_text(tomli_w.dumps(raw))
    return path


class Shadow:
    """The command, as a process."""

    def __init__(self, config, folder, *options):
        self.out, self.err = folder / "shadow.out", folder / "shadow.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "lockstep", "shadow", str(config), *options], stdout=out, stderr=err,
                stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def reached(self):
        assert self.child.poll() is None, self.err.read_text()
        return "at the tail" in self.err.read_text()

    def ended(self):
        return self.child.poll() is not None

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60)


def writable(pid, journal):
    """Files of the journal that a process may write: by descriptor or by mapping."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(fd)
        flags = int(Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0], 8)
        if target.startswith(str(journal)) and flags & os.O_ACCMODE != os.O_RDONLY:
            found.append(target)
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, access, *_ = line.split()
        if str(journal) in line and "w" in access and access.endswith("s"):
            found.append(line)
    return found


@pytest.fixture
def system(tmp_path):
    journal = tmp_path / "day"
    one = System(configuration(journal, exchange__sim__rate=200, **together("books", "risk", "oms", "positions", "maker")))
    try:
        one.start()
        one.until_ready()
        one.run_until(lambda: len(our_fills(journal)) >= 2)
        yield one
    finally:
        one.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_shadow_agrees_while_the_system_trades_and_touches_nothing(system, tmp_path):
    journal, config = system.journal, system.run / "config.toml"
    held = {str(p.relative_to(journal)) for p in journal.rglob("*")}
    shadow = Shadow(config, tmp_path, "--json")
    try:
        system.run_until(shadow.reached)
        fills, seq = len(our_fills(journal)), last_seq(journal)
        system.run_until(lambda: len(our_fills(journal)) > fills + 1)
        assert writable(shadow.child.pid, journal) == []
        assert shadow.stop() == 0, shadow.err.read_text()
    finally:
        shadow.child.kill()
    said = json.loads(shadow.out.read_text())
    assert said["identical"]
    assert said["last_seq"] > seq
    assert said["decisions"] > 100
    assert shadow.err.read_text().count("\n") == 1  # at the tail: and no word of another build
    new = {str(p.relative_to(journal)) for p in journal.rglob("*")} - held
    assert not any("checkpoint" in name or "shadow" in name for name in new)
    system.stop()
    prove(system, journal)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_new_build_that_decides_otherwise_is_named_with_the_first_seq(system, tmp_path):
    journal, config = system.journal, system.run / "config.toml"
    new = with_class(config, tmp_path / "new.toml", 'self.log("one more thought")')
    shadow = Shadow(new, tmp_path, "--app", "cross")
    try:
        system.run_until(shadow.ended)
    finally:
        shadow.child.kill()
    assert shadow.child.wait() == EXIT_CODES[Finding.DECISION], shadow.err.read_text()
    out = shadow.out.read_text()
    assert out.startswith("replay DIFFERS at seq ")
    seq = int(out.split()[4])
    assert next(iter(frames(journal, from_seq=seq, to_seq=seq))).header.seq == seq
    assert "kind" in out
    assert "LogRecord" in out
    assert "because of" in out
    assert "cross: decided by code" in shadow.err.read_text()  # both identities, and only where it differs
    assert "recorded by build" not in shadow.err.read_text()
    # A thought that changes nothing is another code, and the same decisions.
    same = with_class(config, tmp_path / "same.toml", "self.seq")
    code, out, err = run("shadow", same, "--seconds", "3")
    assert (code, err.count("decided by code")) == (0, 1)
    assert out.startswith("replay identical")
    fills = len(our_fills(journal))
    system.run_until(lambda: len(our_fills(journal)) > fills)
    system.stop()
    assert verify(journal).identical
    assert any(frames(journal, kinds=[NewOrder.KIND]))


def test_nothing_to_follow_is_one_line(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(f'[session]\njournal = "{tmp_path}/none"\n')
    code, out, err = run("shadow", path)
    assert (code, out) == (2, "")
    assert err.startswith("lockstep: ")
    assert "expected a journal" in err
