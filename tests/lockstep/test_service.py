"""A configuration explained, its unit, and its sequencer under a service manager made of a socket."""

import configparser
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from journal.messages import FRAME_BYTES_MAX
from lockstep import machine
from lockstep.checking import check
from lockstep.cli import main
from lockstep.config import ConfigError, load
from lockstep.unit import UnitOptions, unit
from sequencer.client import Publisher
from sequencer.telemetry import Telemetry, name_of
from tests.end_to_end.system import configuration_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    def make(more="", journal="day", **tables):
        path = tmp_path / "sys.toml"
        path.write_text(configuration_text(tmp_path / journal, **tables) + more)
        return path

    return make


def test_check_says_who_may_what(config, capsys):
    path = config('\n[sequencer.sources.desk]\nrole = "client"\nring_bytes = 65536\nkinds = ["NewOrder", [10000, 10010]]\n')
    code = main(["sequencer", str(path), "--check", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == (1 if report["warnings"] else 0)
    desk = next(s for s in report["sources"] if s["name"] == "desk")
    assert (desk["role"], desk["ring_bytes"], desk["publishes"]) == ("client", 65536, ["NewOrder"])
    assert desk["kinds"] == [[300, 300], [10000, 10010]]
    assert report["memory"]["rings_bytes"] == sum(s["ring_bytes"] for s in report["sources"])
    assert report["journal"]["file_system"] == machine.file_system(path.parent)
    assert not (path.parent / "day").exists()
    assert main(["sequencer", str(path), "--check"]) == code
    assert "desk" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("[sequencer.sources.nobody]\nuid = 0\n", "sequencer.sources.nobody: no publisher of this system"),
        ("[sequencer.sources.loader]\nrole = 'client'\n", "sequencer.sources.loader.role = 'client': expected none"),
        ("[sequencer.sources.x]\nrole = 'king'\n", "sequencer.sources.x.role = 'king': expected one of"),
        (
            "[sequencer.sources.loader]\nring_bytes = 5000\n",
            ": sequencer.sources.loader.ring_bytes = 5000: expected a power of two",
        ),
        ("[sequencer.sources.loader]\nkinds = ['Nothing']\n", "sequencer.sources.loader.kinds = 'Nothing': expected the name"),
        ("[sequencer.sources.loader]\nkinds = [300]\n", "sequencer.sources.loader.kinds: source loader: kinds 300-300 exceed"),
        ("[log]\nlevel = 'loud'\n", "log.level = 'loud': expected one of debug, info, warning, error"),
    ],
)
def test_what_cannot_be_is_one_line_with_file_and_key(config, more, line):
    path = config("\n" + more)
    with pytest.raises(ConfigError) as failure:
        load(path)
    assert str(failure.value).startswith(f"{path}: ")
    assert line in str(failure.value)
    assert "\n" not in str(failure.value)


def test_check_refuses_what_cannot_work_here(config, capsys):
    path = config(sequencer__cpu=4095)
    assert main(["sequencer", str(path), "--check"]) == 2
    assert f"{path}: sequencer.cpu = 4095: expected one of the cores" in capsys.readouterr().err
    path = config("\n[sequencer.sources.loader]\nuid = 4000000000\n")
    with pytest.raises(ConfigError, match=r"sequencer\.sources\.loader\.uid = 4000000000: expected a user"):
        check(load(path))
    path = config(journal="d" * 120)
    with pytest.raises(ConfigError, match="a Unix socket's path holds 107 bytes"):
        check(load(path))


def test_check_refuses_seals_and_heads_that_cannot_be(config, tmp_path):
    """A wrong key ends the start; a wrong head file ends the sealing of a sequencer that goes on."""
    key = tmp_path / "key"
    for name, found, expected in (
        ("seal_key", tmp_path / "none", "No such file"),
        ("seal_key", key, "no key"),
        ("head_file", "/nodir/x", "/nodir is none"),
        ("head_file", tmp_path, "expected a file, existing or to be made"),
        ("head_file", key / "x", f"{key} is none"),
    ):
        key.write_text("nothing of use")
        with pytest.raises(ConfigError) as refused:
            check(load(config(**{f"sequencer__{name}": str(found)})))
        assert str(refused.value).startswith(f"{tmp_path / 'sys.toml'}: sequencer.{name} = {str(found)!r}: ")
        assert expected in str(refused.value)
        assert "\n" not in str(refused.value)
    key.write_text("hmac-sha256 " + "ab" * 32)
    key.chmod(0o400)
    for heads in (tmp_path / "heads", tmp_path / "day" / "heads"):
        check(load(config(sequencer__seal_key=str(key), sequencer__head_file=str(heads))))
    assert not heads.exists()
    key.unlink()
    check(load(config(sequencer__seal_key=str(key), sequencer__seal=False)))


def test_check_wants_the_private_half_of_a_key(config, tmp_path):
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.generate().public_key()
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "pub").write_bytes(public.public_bytes(serialization.Encoding.PEM, kind))
    with pytest.raises(ConfigError, match=r"sequencer\.seal_key = .*expected the private key"):
        check(load(config(sequencer__seal_key=str(tmp_path / "pub"))))


def warned(path):
    return "\n".join(check(load(path))["warnings"])


def test_check_warns_of_the_machine(config, monkeypatch):
    monkeypatch.setattr(machine, "file_system", lambda _: "tmpfs")
    assert "tmpfs is memory" in warned(config())
    assert "write_through = true: of no use" in warned(config())
    monkeypatch.setattr(machine, "file_system", lambda _: "overlay")
    assert "overlay keeps files" in warned(config())
    monkeypatch.setattr(machine, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(machine, "sync_us", lambda _: None)
    assert "nfs4: another machine" in warned(config())
    assert "a sync cannot be tried" in warned(config())
    monkeypatch.setattr(machine, "cores", lambda: [0])
    assert "never sleeps, and all processes share 1 core" in warned(config(sequencer__idle="spin"))
    monkeypatch.setattr(machine, "cores", lambda: [0, 1])
    assert "without sequencer.cpu" in warned(config(sequencer__idle="spin"))
    monkeypatch.setattr(machine, "governor", lambda _: "powersave")
    assert "core 0: frequency governor powersave" in warned(config())
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5 << 20))
    assert "room for 1 segments" in warned(config())


def test_check_warns_of_rings(config):
    text = warned(config(sequencer__ring_bytes=4096))
    assert f"a ring of 4096 bytes takes frames up to 2048; raw messages may need {FRAME_BYTES_MAX}" in text
    assert "batch_bytes = 65536: more than a ring holds" in text
    assert "takes frames" not in warned(config())


# ---- the unit


def options(folder):
    return UnitOptions(user="root", folder=folder, cores="0-1", nice=-5)


def parsed(text):
    found = configparser.RawConfigParser(strict=False, interpolation=None)
    found.optionxform = str
    found.read_string(text)
    return found


@pytest.mark.parametrize("what", ["sequencer", "up"])
def test_the_unit_is_watched_and_shut_in(config, tmp_path, what):
    service = parsed(unit(load(config()), what, options(tmp_path)))["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["RestartPreventExitStatus"] == "2 3"
    assert service["ReadWritePaths"] == str(tmp_path)
    assert service["PrivateNetwork"] == ("yes" if what == "sequencer" else "no")
    for name in ("NoNewPrivileges", "MemoryDenyWriteExecute", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CPUAffinity"] == "0-1"
    assert service["Nice"] == "-5"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here; the parser tests above remain")
@pytest.mark.parametrize("what", ["sequencer", "up"])
def test_systemd_reads_it(config, tmp_path, what):
    path = tmp_path / "lockstep-sys.service"
    path.write_text(unit(load(config()), what, options(tmp_path)))
    (tmp_path / "lockstep-sys.socket").write_text(unit(load(config()), "socket", options(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True)
    about_us = [line for line in done.stderr.splitlines() if "lockstep-sys" in line]
    assert not about_us, about_us
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True
    )
    if rated.returncode == 0:  # older ones cannot do it offline
        exposure = float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)[0])
        assert exposure < (3.0 if what == "sequencer" else 4.0), rated.stdout


def test_days_have_one_folder_and_no_socket_unit(config, tmp_path):
    loaded = load(config(journal="days/{date}"))
    assert parsed(unit(loaded, "sequencer", options(tmp_path)))["Service"]["ReadWritePaths"] == str(tmp_path / "days")
    with pytest.raises(ConfigError, match="a socket unit has one path"):
        unit(loaded, "socket", options(tmp_path))


def test_a_path_cannot_add_a_line(tmp_path):
    folder = tmp_path / "a b%n"
    folder.mkdir()
    path = folder / "sys.toml"
    path.write_text(configuration_text(folder / "day"))
    service = parsed(unit(load(path), "up", options(tmp_path)))["Service"]
    assert service["ReadWritePaths"] == str(folder).replace(" ", "\\x20").replace("%", "%%")
    assert service["ExecStart"].endswith(f'"{folder}/sys.toml"'.replace("%", "%%"))
    text = configuration_text(folder / "day").replace(f"{folder}/day", "/srv/x\\nUser=root/day")
    path.write_text(text)
    with pytest.raises(ConfigError, match="without control characters"):
        unit(load(path), "up", options(tmp_path))


def test_install(config, tmp_path, capsys):
    assert main(["service", str(config()), "--install", str(tmp_path), "--user", "root"]) == 0
    assert "systemctl enable --now lockstep-sys.service" in capsys.readouterr().out
    assert parsed((tmp_path / "lockstep-sys.service").read_text())["Service"]["User"] == "root"
    assert main(["service", str(config()), "--install", str(tmp_path / "absent")]) == 2
    assert main(["service", str(config()), "--user", "no-such-user"]) == 2


# ---- a real process under a manager


class Manager:
    def __init__(self, folder):
        self.address = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(30)

    def until(self, wanted):
        while wanted not in (said := self.socket.recv(4096).decode().split("\n")):
            pass
        return said

    def drain(self):
        self.socket.setblocking(False)
        count = 0
        try:
            while b"WATCHDOG=1" in self.socket.recv(4096):
                count += 1
        except BlockingIOError:
            return count
        finally:
            self.socket.settimeout(30)
        return count


@pytest.fixture
def short():
    """Short, because a Unix socket's path is at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="lks-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(short):
    running = []

    def begin(before="", **environment):
        path = short / "sys.toml"
        path.write_text(configuration_text(short / "day", sequencer__idle="park", sequencer__clock_interval_ms=5000))
        code = f"{before}\nfrom lockstep.cli import main\nimport sys\nsys.exit(main(['sequencer', {str(path)!r}]))"
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def loop_thread(pid):
    """All threads but the main one, which does not append: the stop of the loop must be noticed."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if task.name != str(pid):
            yield int(task.name)


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return libc.ptrace(request, tid, None, None) == 0


def test_ready_when_publishers_can_attach_and_beating_while_the_loop_turns(short, start):
    manager = Manager(short)
    process = start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="800000")
    said = manager.until("READY=1")
    assert f"MAINPID={process.pid}" in said
    with Publisher.connect(short / "day", "operator", timeout_s=5):
        manager.until("WATCHDOG=1")
        manager.until("WATCHDOG=1")  # the loop sleeps for five seconds at a time, and is knocked
        stopped = [tid for tid in loop_thread(process.pid) if ptrace(PTRACE_SEIZE, tid)]
        if stopped:  # where tracing is allowed
            try:
                for tid in stopped:
                    assert ptrace(PTRACE_INTERRUPT, tid)
                time.sleep(0.6)  # the beats of what it did before
                manager.drain()
                time.sleep(0.8)
                assert manager.drain() == 0, "it beats though its loop stands still"
            finally:  # a traced thread that is killed is waited for by its tracer, for ever
                for tid in stopped:
                    os.waitpid(tid, 0x40000000)  # __WALL
                    ptrace(PTRACE_DETACH, tid)
            manager.until("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    manager.until("STOPPING=1")
    assert process.wait(30) == 0


def test_a_socket_of_the_manager_is_listened_on_and_left_in_place(short, start):
    (short / "day" / "run").mkdir(parents=True, mode=0o700)
    path = short / "day" / "run" / "sequencer.sock"
    before = (
        "import os, socket\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        f"s.bind({str(path)!r}); s.listen(8)\n"
        "os.dup2(s.fileno(), 3)\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
    )
    process = start(before)
    with Publisher.connect(short / "day", "operator", timeout_s=30):
        telemetry = Telemetry(short / "day")
        assert "operator" in [name_of(s) for s in telemetry.sources]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert path.exists()


def test_a_socket_of_another_make_is_refused(short, start):
    before = (
        "import os, socket\n"
        "s = socket.socket()\n"
        "s.bind(('127.0.0.1', 0)); s.listen(8)\n"
        "os.dup2(s.fileno(), 3)\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
    )
    process = start(before)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2, told
    assert "expected ListenSequentialPacket=" in told
