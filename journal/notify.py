"""What a process and its service manager tell each other (sd_notify, watchdog, socket activation), without a library.

Without a manager all of it does nothing. The heartbeat is no thread: whoever runs a loop calls `tick` from it, and a beat
leaves only when `progress` has moved since the last one. A loop that hangs falls silent, and the manager starts it again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

OWN_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Meant for one process; its children must not inherit them."""
LISTEN_FIRST = 3
LISTEN_MAX = 16


class Notifier:
    """One process's line to the manager named by its environment."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        name = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self.watchdog_s = self._watchdog(variables) if self._address else 0.0
        """How long the manager waits for a beat; 0: it does not."""

    @staticmethod
    def _watchdog(variables: Mapping[str, str]) -> float:
        text, pid = variables.get("WATCHDOG_USEC", ""), variables.get("WATCHDOG_PID", "")
        if not text.isdecimal() or (pid and pid != str(os.getpid())):
            return 0.0
        return int(text) / 1_000_000

    @property
    def listens(self) -> bool:
        """Whether there is a manager."""
        return bool(self._address)

    def send(self, *lines: str) -> bool:
        """Tell it; never waits, never fails loudly: a manager that does not listen is no reason to stop."""
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
            try:
                line.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return False
        return True

    def ready(self, status: str) -> None:
        """All is up: publishers can attach, or what else this process is for."""
        self.send("READY=1", f"MAINPID={os.getpid()}", _status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self.send(_status(text))

    def stopping(self) -> None:
        """The end has begun and is meant."""
        self.send("STOPPING=1")


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())


class Heartbeat:
    """Beats while `progress` moves. `knock` makes a loop that sleeps with good reason show that it can still turn."""

    def __init__(self, notifier: Notifier, progress: Callable[[], int], knock: Callable[[], None] | None = None) -> None:
        self._notifier = notifier
        self._progress = progress
        self._knock = knock
        self._every_s = notifier.watchdog_s / 4
        self._due = 0.0
        self._seen = -1

    def left_s(self) -> float | None:
        """How long the caller may sleep before the next `tick`; None: as long as it likes."""
        return max(0.0, self._due - time.monotonic()) if self._every_s else None

    def tick(self) -> None:
        """Beat if it is time and the loop has moved."""
        if not self._every_s or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._every_s
        now = self._progress()
        if now != self._seen:
            self._seen = now
            self._notifier.send("WATCHDOG=1")
        if self._knock is not None:
            self._knock()


def inherited_sockets(environment: Mapping[str, str] | None = None) -> list[socket.socket]:
    """Sockets that the manager has opened for this process; [] when there are none for it."""
    variables = os.environ if environment is None else environment
    count = variables.get("LISTEN_FDS", "")
    if variables.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) > LISTEN_MAX:
        return []
    found = []
    for fd in range(LISTEN_FIRST, LISTEN_FIRST + int(count)):
        os.set_inheritable(fd, False)
        found.append(socket.socket(fileno=fd))
    return found


def without_manager(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a child: the manager is not its business."""
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}
