"""The debugger's host: replay to a frame, then stop in pdb just before an app's handler gets it. The production code runs."""

from __future__ import annotations

import pdb
import sys
from pathlib import Path
from typing import IO

from apps.app import Handler
from apps.group import Slot
from apps.ledger import Diverged
from journal.errors import OperatingError
from journal.frames import frame_at
from journal.messages import Message
from journal.text import Names, frame_text
from replay.player import Player, UnknownApp


class NothingHandles(OperatingError, ValueError):
    """No app of the session consumes the frame that was asked for."""


class _Left(Exception):
    """`q`, or the end of the input: the person has left the debugger."""


class _Pdb(pdb.Pdb):
    """Knows whether it was left, or has only gone on."""

    left = False

    def set_quit(self) -> None:
        self.left = True
        super().set_quit()


class Stopper:
    """Calls every handler of one frame under pdb, stopped at the handler's first line."""

    def __init__(self, at: int, frame: str, name: str | None, stdin: IO[str] | None, stdout: IO[str] | None) -> None:
        self.at = at
        self.frame = frame
        self.name = name
        self.stops = 0
        self._stdin = stdin
        self._stdout = stdout

    def __call__(self, slot: Slot, handler: Handler, message: Message, seq: int) -> None:
        """Stands in for the direct call; see `Group.before_handler`."""
        if seq != self.at or slot.ledger is None or (self.name is not None and slot.name != self.name):
            handler(message)
            return
        self.stops += 1
        print(f"{slot.name} gets {self.frame}", file=self._stdout or sys.stdout)
        # nosigint: pdb must not take the handler of a host that has its own.
        debugger = _Pdb(stdin=self._stdin, stdout=self._stdout, nosigint=True)
        debugger.prompt = f"({slot.name}@{seq}) "
        debugger.runcall(handler, message)
        if debugger.left:
            raise _Left


def debug(path: Path, at: int, name: str | None = None, *, stdin: IO[str] | None = None, stdout: IO[str] | None = None) -> int:
    """Replay to just before `at` and stop there. Returns the number of handlers stopped in."""
    player = Player(path)
    last = player.reader.written_seq
    if not 1 <= at <= last:
        raise NothingHandles(f"{path}: seq {at} is not in the journal; it has 1 to {last}")
    known = sorted(s.name for s in player.slots if s.ledger is not None)
    if name is not None and name not in known:
        raise UnknownApp(f"{path}: no app {name!r}; it has {', '.join(known) or 'none'}")
    try:
        player.run(to_seq=at - 1)
        stopper = Stopper(at, frame_text(frame_at(path, at), Names.of(path)).strip(), name, stdin, stdout)
        player.group.before_handler = stopper
        player.run(to_seq=at)
    except _Left:
        return stopper.stops
    except Diverged as difference:
        if difference.seq < at:
            raise NothingHandles(
                f"{path}: {difference.app} differs from the journal at seq {difference.seq}, before seq {at}; its code is not "
                f"that which made this journal (`lockstep replay {path}` shows the difference)"
            ) from None
        print(difference, file=stdout or sys.stdout)
    finally:
        player.reader.close()
    if not stopper.stops:
        who = f"app {name!r} does not handle" if name else "no app of this session handles"
        raise NothingHandles(f"{path}: {who} the frame at seq {at}; `lockstep journal dump` shows the frames")
    return stopper.stops
