"""The service manager's protocol, with a manager made of a socket."""

import os
import socket
import subprocess
import sys

import pytest

from journal import notify
from journal.notify import Heartbeat, Notifier, inherited_sockets, without_manager


class Manager:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)
        self.environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}

    def heard(self):
        return self.socket.recv(4096).decode().split("\n")

    def silent(self):
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(5)


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    name = str(tmp_path / "notify") if request.param == "file" else f"@lockstep-test-{os.getpid()}"
    made = Manager(name)
    yield made
    made.socket.close()


def test_tells_the_manager(manager):
    notifier = Notifier(manager.environment)
    notifier.ready("two\nlines\tbecome one")
    assert manager.heard() == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=two lines become one"]
    notifier.stopping()
    assert manager.heard() == ["STOPPING=1"]


def test_without_a_manager_nothing_happens(tmp_path):
    for environment in ({}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        notifier = Notifier(environment)
        assert not notifier.send("READY=1")
        assert notifier.watchdog_s == 0
        assert Heartbeat(notifier, lambda: 1).left_s() is None


def test_a_watchdog_for_another_process_is_not_ours(manager):
    assert Notifier(manager.environment).watchdog_s == 0.4
    assert Notifier(manager.environment | {"WATCHDOG_PID": str(os.getpid())}).watchdog_s == 0.4
    assert Notifier(manager.environment | {"WATCHDOG_PID": "1"}).watchdog_s == 0
    assert Notifier(manager.environment | {"WATCHDOG_USEC": "soon"}).watchdog_s == 0


def test_beats_only_while_something_moves(manager, monkeypatch):
    now, moved, knocks = [10.0], [0], []
    monkeypatch.setattr(notify.time, "monotonic", lambda: now[0])
    heartbeat = Heartbeat(Notifier(manager.environment), lambda: moved[0], lambda: knocks.append(1))
    heartbeat.tick()
    assert manager.heard() == ["WATCHDOG=1"]
    assert heartbeat.left_s() == pytest.approx(0.1)
    moved[0] = 1
    heartbeat.tick()
    assert manager.silent()  # not due
    now[0] += 0.11
    heartbeat.tick()
    assert manager.heard() == ["WATCHDOG=1"]
    now[0] += 0.11
    heartbeat.tick()
    assert manager.silent()  # due, but nothing has moved
    moved[0] = 2
    now[0] += 0.11
    heartbeat.tick()
    assert manager.heard() == ["WATCHDOG=1"]
    assert len(knocks) == 4


def test_sockets_of_the_manager_are_taken_by_the_process_they_are_for():
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "os.dup2(s.fileno(), 3)\n"
        "from journal.notify import inherited_sockets\n"
        "me = str(os.getpid())\n"
        "assert inherited_sockets({'LISTEN_PID': '1', 'LISTEN_FDS': '1'}) == []\n"
        "assert inherited_sockets({'LISTEN_PID': me, 'LISTEN_FDS': 'x'}) == []\n"
        "assert inherited_sockets({'LISTEN_PID': me, 'LISTEN_FDS': '17'}) == []\n"
        "[one] = inherited_sockets({'LISTEN_PID': me, 'LISTEN_FDS': '1'})\n"
        "assert one.fileno() == 3 and one.type == socket.SOCK_SEQPACKET and not os.get_inheritable(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert inherited_sockets({}) == []


def test_children_do_not_inherit_the_manager():
    given = dict.fromkeys(notify.OWN_VARIABLES, "x") | {"PATH": "/bin"}
    assert without_manager(given) == {"PATH": "/bin"}
