"""The debugger's host: goes through a journal and stops just before an app's code runs. The production code runs.

Stops happen inside of the group's step, with everything that comes before the handler done: timers, and the state machines that
the app reads. Going on returns to the step; going elsewhere leaves it by an exception and stands anew (`replay.cursor`).
"""

from __future__ import annotations

import pdb
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from apps.group import Slot
from apps.ledger import Diverged
from journal.errors import JournalError, OperatingError
from journal.frames import frame_at
from journal.text import Names, frame_text
from replay.cursor import Cursor, Place, Stop
from replay.scene import Scene


class NothingHandles(OperatingError, ValueError):
    """No app of the session consumes a frame from the place on that was asked for."""


class NoIde(OperatingError):
    """debugpy is not installed, or cannot listen."""


class Left(Exception):
    """`quit`, or the end of the input."""


class Travel(Exception):
    """Go to another place."""

    def __init__(self, place: Place, *, quiet: bool = False) -> None:
        self.place = place
        self.quiet = quiet
        """Not told: it is where we were."""


class _Pdb(pdb.Pdb):
    """Knows whether it was left, or has only gone on."""

    left = False

    def set_quit(self) -> None:
        self.left = True
        super().set_quit()


class Session:
    """One debugging session over a journal. `prompt` is called at each stop: returns to go on, raises Travel or Left."""

    def __init__(
        self, path: Path, name: str | None, prompt: Callable[[Session], None], *, stdin: IO[str] | None, stdout: IO[str] | None
    ) -> None:
        self.path = path
        self.cursor = Cursor(path)
        self.names = [name] if name is not None else [s.name for s in self.cursor.specs]
        if name is not None:
            self.cursor.slot(name)
        self.frames = Names.of(path)
        self.stop: Stop | None = None
        """None: at the journal's end, or where it cannot go on."""
        self.wanted: Callable[[Stop], bool] = lambda _: True
        self.stuck = ""
        """Why there is no way forward; "" while there is one."""
        self.error: BaseException | None = None
        """What an app has raised."""
        self.into = False
        self.ide = False
        self.stops = 0
        self.complain: Callable[[str], None] = self.say
        self._quiet = False
        self._prompt = prompt
        self._stdin = stdin
        self._stdout = stdout
        self.piped = not (stdin or sys.stdin).isatty()

    def say(self, text: str) -> None:
        """To the person."""
        print(text, file=self._stdout or sys.stdout)

    @property
    def place(self) -> Place:
        """Where it stands; behind the last frame at the journal's end."""
        return self.stop.place if self.stop is not None else Place(self.cursor.group.seq + 1)

    @property
    def slot(self) -> Slot | None:
        """The app it is about: the one that is about to run, or the only one that is watched."""
        if self.stop is not None:
            return self.stop.slot
        return self.cursor.slot(self.names[0]) if len(self.names) == 1 else None

    @property
    def scene(self) -> Scene | None:
        """What is seen here; None at the end."""
        return Scene(self.cursor.group, self.stop) if self.stop is not None else None

    def run(self, seq: int) -> None:
        """From the first stop at `seq` or later until the person leaves. NothingHandles where there is none."""
        travel = Travel(Place(seq))
        while True:
            try:
                self._go(travel)
            except Travel as next_one:
                travel = next_one
            except Left:
                return

    def _go(self, travel: Travel) -> None:
        """To a place, and on from there. Never returns."""
        self.stop, self.stuck, self.error = None, "", None
        self._quiet = travel.quiet
        self.wanted = lambda stop: stop.place >= travel.place
        try:
            self._stand(travel.place.seq - 1)
            self.cursor.run_watched(self.names, self._visit)
            what = f"the journal ends at seq {self.cursor.seq}"
        except (Travel, Left, JournalError):
            raise
        except Diverged as difference:
            if not self.stops:
                raise NothingHandles(
                    f"{self.path}: {difference.app} differs from the journal at seq {difference.seq}; its code is not that "
                    f"which made this journal (`lockstep replay {self.path}` shows the difference)"
                ) from None
            what = str(difference)
        except Exception as error:
            self._fail(error)
            what = f"an app has raised in the frame after seq {self.cursor.group.seq}"
        if not self.stops and self.error is None:
            who = f"app {self.names[0]!r} handles" if len(self.names) == 1 else "the apps of this session handle"
            raise NothingHandles(
                f"{self.path}: {who} no frame from seq {travel.place.seq} on; `lockstep journal dump` shows the frames"
            )
        self.stop = None
        self.stuck = what
        if not self._quiet:
            self.say(what)
        while True:
            self._prompt(self)
            self.complain(f"no way forward: {self.stuck.splitlines()[0]}; back, goto, quit")

    def _stand(self, seq: int) -> None:
        """After a frame; or where an app raises on the way there, before that frame, to stop in it."""
        try:
            self.cursor.at(min(seq, self.cursor.last))
        except (JournalError, Diverged):
            raise
        except Exception:
            self.wanted = lambda _: False
            self.cursor.at(self.cursor.group.seq)

    def _visit(self, stop: Stop) -> None:
        try:
            here = self.wanted(stop)
        except OperatingError as error:  # an expression that this app's objects do not bear
            self.complain(str(error))
            here = True
        if here:
            self.stop = stop
            self.stops += 1
            if not self._quiet:
                self.tell()
            self._quiet = False
            if not self.into:  # an IDE is attached and shows the first one
                self._prompt(self)
        try:
            if self.into:
                self.into = False
                self._enter(stop)
            else:
                stop.call()
        except (Travel, Left, Diverged):
            raise
        except Exception as error:
            self.stop = stop
            self.stops += 1
            self._fail(error)
            self.stuck = f"{stop.slot.name} has raised in its handler of seq {stop.place.seq}"
            while True:
                self._prompt(self)
                self.complain(f"no way forward: {self.stuck}; back, goto, quit; step: look at it where it raised")

    def tell(self) -> None:
        """Who is about to get what."""
        assert self.stop is not None
        stop = self.stop
        frame = frame_text(frame_at(self.path, stop.place.seq), self.frames).strip()
        what = "gets" if stop.message is not None else f"has timer {stop.token} due, before"
        self.say(f"{stop.slot.name} {what} {frame}")

    def _fail(self, error: Exception) -> None:
        self.error = error
        raised = traceback.format_exception(error)
        self.say("".join(raised).rstrip())

    def _enter(self, stop: Stop) -> None:
        """Its first line, in pdb or in the IDE. `q` leaves pdb, and we stand before the call again."""
        self.cursor.touched = True
        if self.ide:
            _in_ide(stop.call)
            return
        debugger = self.pdb(f"({stop.slot.name}@{stop.place.seq} pdb) ")
        debugger.runcall(stop.target, stop.argument)
        if debugger.left:
            raise Travel(stop.place, quiet=True)

    def pdb(self, prompt: str) -> _Pdb:
        """A pdb on our input and output."""
        # nosigint: pdb must not take the handler of a host that has its own.
        debugger = _Pdb(stdin=self._stdin, stdout=self._stdout, nosigint=True)
        debugger.prompt = "" if self.piped else prompt
        if self.piped and self._stdin is None:
            debugger.use_rawinput = False
        return debugger

    def autopsy(self) -> None:
        """pdb where an app has raised."""
        assert self.error is not None
        debugger = self.pdb("(post mortem pdb) ")
        debugger.reset()
        debugger.interaction(None, self.error.__traceback__)

    def listen(self, port: int) -> None:
        """Wait for an IDE; from then on `step` stops there."""
        debugpy = _debugpy()
        try:
            _, port = debugpy.listen(("127.0.0.1", port))  # 0: one that is free
        except (RuntimeError, ValueError, OSError) as error:
            # What its adapter process says may be many lines; the last is the error.
            raise NoIde(f"--listen {port}: {(str(error).strip() or repr(error)).splitlines()[-1]}") from None
        self.say(f"waiting for an IDE: attach to 127.0.0.1:{port} (debugpy)")
        debugpy.wait_for_client()
        self.ide = self.into = True

    def close(self) -> None:
        """Let go of the journal."""
        self.cursor.close()


def _debugpy() -> Any:
    try:
        import debugpy
    except ImportError:
        raise NoIde("--listen needs debugpy: pip install 'lockstep[debug]'") from None
    return debugpy


def _in_ide(call: Callable[[], None]) -> None:
    _debugpy().breakpoint()
    call()  # step into this: the app's code is next
