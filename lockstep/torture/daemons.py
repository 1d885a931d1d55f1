"""Sequencers with a bad disk and a bad clock: a real daemon, forked within milliseconds, whose system calls fail on command.

A process that has everything imported and faults.c preloaded waits for orders on its standard input and forks one daemon for
each; what shall fail stands in a shared page that the campaign writes.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from journal.clock import SystemClock
from journal.messages import DurabilityPolicy, SessionMode, SourceRole
from lockstep.torture.drivers import build
from sequencer.daemon import run_sequencer
from sequencer.settings import SequencerSettings, SourceSettings

CALLS = ("open", "fsync", "fdatasync", "msync", "allocate", "truncate", "rename", "map", "write")
SOURCE = "torture"


class Faults(ctypes.Structure):
    """struct faults of faults.c."""

    _fields_ = (
        ("call", ctypes.c_uint64),
        ("nth", ctypes.c_uint64),
        ("error", ctypes.c_uint64),
        ("times", ctypes.c_uint64),
        ("hang_ns", ctypes.c_int64),
        ("wall_ns", ctypes.c_int64),
        ("wall_pace", ctypes.c_int64),
        ("wall_since", ctypes.c_int64),
        ("wall_from", ctypes.c_int64),
        ("mono_ns", ctypes.c_int64),
        ("fired", ctypes.c_uint64),
        ("count", ctypes.c_uint64 * len(CALLS)),
        ("prefix", ctypes.c_char * 256),
    )


class Daemons:
    """Starts daemons, one at a time. `faults` is theirs: set it before `start`, or while one runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors = folder / "stderr"
        self.pid = 0
        library = build(["lockstep/torture/faults.c"], folder / "faults.so", "-shared", "-fPIC", "-ldl")
        page = folder / "faults"
        page.write_bytes(bytes(4096))
        with page.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 4096)
        self.faults = Faults.from_buffer(self._map)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "lockstep.torture.daemons"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LD_PRELOAD": str(library), "LOCKSTEP_FAULTS": str(page)},
        )  # fmt: skip

    def arm(self, call: str = "", nth: int = 1, error: int = 0, *, times: int = 1, hang_ns: int = 0) -> None:
        """From now on: the nth such call (and so many in all) fails with `error`, or all of them from the nth on hang."""
        f = self.faults
        f.call = 0
        f.nth, f.error, f.times, f.hang_ns, f.fired = nth, error, times, hang_ns, 0
        for i in range(len(CALLS)):
            f.count[i] = 0
        f.call = CALLS.index(call) + 1 if call else 0

    def pace(self, thousandths: int) -> None:
        """From now on the daemon's wall clock runs so much faster than the monotonic one; -1000: it stands still. 0 steps it
        back to the machine's."""
        self.faults.wall_pace = 0
        self.faults.wall_since, self.faults.wall_from = time.monotonic_ns(), SystemClock().now_ns()
        self.faults.wall_pace = thousandths

    def _ask(self, **order: Any) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the daemons' server ended: {self._server.poll()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def start(self, journal: Path, **settings: Any) -> int | None:
        """Fork a sequencer on `journal`: None when it is ready, else how it ended."""
        self.faults.prefix = os.fsencode(journal)
        answer = self._ask(start=str(journal), errors=str(self.errors), settings=settings)
        self.pid = answer["pid"]
        code: int | None = answer["code"]
        return code

    def has_ended(self) -> bool:
        """Whether the daemon has ended by itself; `wait` tells how."""
        return bool(self._ask(look=True)["ended"])

    def wait(self) -> int:
        """The exit code of the daemon, when it has ended by itself."""
        return int(self._ask(wait=0)["code"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        return int(self._ask(wait=int(number))["code"])

    def said(self) -> list[str]:
        """What the last daemon has said on stderr, what is only information excepted."""
        lines = [line for line in self.errors.read_text().splitlines() if line.strip()]
        return [line for line in lines if not re.match(r"\S+ (debug|info) ", line)]

    def close(self) -> None:
        """End the server, and a daemon that is left."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def __enter__(self) -> Daemons:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fork(order: dict[str, Any]) -> tuple[int, int | None]:
    """A daemon; its pid, and its exit code when it has ended before it was ready."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(read)
            os.dup2(os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
            code = run_sequencer(
                Path(order["start"]), msgspec.convert(order["settings"], SequencerSettings),
                [SourceSettings(name=SOURCE, role=SourceRole.MARKET_DATA)], mode=SessionMode.PAPER,
                durability=DurabilityPolicy.DURABLE, config_digest=bytes(32), ready=lambda: _say(write),
            )  # fmt: skip
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        ready = pipe.read(1)
    return pid, None if ready else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _say(write: int) -> None:
    os.write(write, b"1")
    os.close(write)


def _kill(pid: int) -> None:
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve() -> None:
    pid = 0
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "start" in order:
                _kill(pid)  # one whose campaign ended before it did
                pid, code = _fork(order)
                print(json.dumps({"code": code, "pid": pid}), flush=True)
                if code is not None:
                    pid = 0
                continue
            if "look" in order:
                # Not waited for: its exit code is for who asks for that.
                found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                print(json.dumps({"ended": found is not None}), flush=True)
                continue
            if order["wait"]:
                os.kill(pid, order["wait"])
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            pid = 0
            print(json.dumps({"code": code}), flush=True)
    finally:
        _kill(pid)


if __name__ == "__main__":
    _serve()
