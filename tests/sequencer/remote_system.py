"""A primary and its followers as real processes on this machine, and a proxy between them that misbehaves."""

from __future__ import annotations

import contextlib
import filecmp
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from journal.segment import CONTROL, ControlPage, segment_files
from sequencer.remote.follower import Follower, run_follower
from sequencer.remote.replica import Replica
from sequencer.remote.server import ReplicationServer
from sequencer.remote.settings import ReplicationSettings
from sequencer.remote.tls import Credentials

FAST = {"heartbeat_ms": 50, "silence_ms": 3000, "lag_alarm_ms": 100}


class Forked:
    """A function in a process of its own; what it says goes to a file."""

    def __init__(self, target, log: Path) -> None:
        self.log = log
        self.code: int | None = None
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.close(read)
                sys.stderr = sys.stdout = log.open("a", buffering=1)
                code = target(lambda text: os.write(write, f"{text}\n".encode()))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}")
            finally:
                os._exit(code)
        os.close(write)
        self._pipe = os.fdopen(read, "rb")

    def first_line(self) -> str:
        line = self._pipe.readline().decode().strip()
        assert line, self.log.read_text()
        return line

    def said(self) -> str:
        return self.log.read_text()

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout_s: float = 20.0) -> int:
        end = time.monotonic() + timeout_s
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self._pipe.close()
            else:
                assert time.monotonic() < end, f"did not end: {self.said()}"
                time.sleep(0.005)
        return self.code

    def end(self) -> int:
        """SIGTERM, and its exit code."""
        self.kill(signal.SIGTERM)
        return self.wait()


def serve(journal: Path, settings: ReplicationSettings, log: Path) -> tuple[Forked, int]:
    """A replication server process, and its port."""

    def main(tell) -> int:
        server = ReplicationServer(journal, settings, say=lambda text: print(text))
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        server.start()
        tell(server.address[1])
        ended.wait()
        server.close()
        return 0

    process = Forked(main, log)
    return process, int(process.first_line())


def follow(port: int | list[int], folder: Path, name: str, log: Path, *, silence_s: float = 3.0, **credentials: str) -> Forked:
    """A follower process."""
    ports = [port] if isinstance(port, int) else port

    def main(tell) -> int:
        replica = Replica(folder)
        follower = Follower(
            replica, [("127.0.0.1", p) for p in ports], name, credentials=Credentials(**credentials), heartbeat_s=0.05,
            silence_s=silence_s, say=lambda text: print(text),
        )  # fmt: skip
        signal.signal(signal.SIGTERM, lambda *_: follower.stop())
        tell("ready")
        return run_follower(follower)

    process = Forked(main, log)
    process.first_line()
    return process


def page(folder: Path):
    """The control page, once there is one."""
    end = time.monotonic() + 10
    while not (folder / CONTROL).exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    return ControlPage(folder / CONTROL).c


def identical(a: Path, b: Path) -> bool:
    """Every segment that both have opened, byte by byte; the same number of them but for one prepared."""
    ours, theirs = segment_files(a), segment_files(b)
    used = int(page(a).segment)
    return used == int(page(b).segment) and all(
        filecmp.cmp(x, y, shallow=False) for (_, x), (_, y) in zip(ours[:used], theirs[:used], strict=True)
    )


class Proxy:
    """TCP to TCP, with faults on request: `corrupt` flips a bit of the next bytes, `stall` holds all, `cut` hangs up."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.corrupt = 0
        self.stalled = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._ended = False
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            self._pairs.append((near, far))
            self._begin(self._pump, near, far)

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while not self._ended:
                for ready in select.select([near, far], [], [], 0.05)[0]:
                    if self.stalled.is_set():
                        time.sleep(0.01)
                        continue
                    data = bytearray(ready.recv(65536))
                    if not data:
                        raise OSError
                    if ready is far and self.corrupt and len(data) > 200:
                        self.corrupt -= 1
                        data[len(data) // 2] ^= 0x10
                    (far if ready is near else near).sendall(data)
        near.close()
        far.close()

    def cut(self) -> None:
        """Hang up on both sides of every connection."""
        pairs, self._pairs = self._pairs, []
        for near, far in pairs:
            for end in (near, far):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who waits in accept
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()
