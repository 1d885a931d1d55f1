"""Reading afterwards what a start did not read: full segments that it passed over by their indices (`journal.index.vouch`).

A thread beside the running sequencer, of low priority and at rest half of its time, checks each of them to the last byte, as
`lockstep journal verify` does, and whether the index had said what stands there. Damage that a start would have refused is told
to people and on the stream, and the segment loses its index: no later start passes it again, but refuses it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from journal import logs
from journal.check_segment import CheckedSegment, Tallies, check_segment
from journal.errors import JournalError
from journal.index.layout import SegmentIndex
from journal.index.scan import SegmentScan
from journal.index.vouch import Vouch
from journal.messages import Alert, AlertSeverity, AlertState, Reason, ScopeType
from journal.seal import read_seal
from journal.segment import map_file, read_header, segment_name
from sequencer.background import yield_to_the_stream

_LOG = logs.Log("sequencer")
_NICE = 10
_TEXT_MAX = 400


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with one segment."""

    number: int
    last_seq: int
    problems: list[str]

    @property
    def alert(self) -> Alert:
        """As the stream tells it. `alert` is the segment's, apart from those that the loop counts."""
        return Alert(
            scope_type=ScopeType.GLOBAL, alert=1 << 32 | self.number, about_seq=self.last_seq, rule=Reason.BAD_CHECKSUM,
            severity=AlertSeverity.CRITICAL, state=AlertState.RAISED, text=self.problems[0][:_TEXT_MAX],
        )  # fmt: skip


class _Stopped(Exception):
    """The sequencer ends; the next start begins anew."""


class Scrubbing:
    """The thread, and the damage that the stream was not told of yet."""

    def __init__(self, journal: Path, passed: Mapping[int, Vouch], tell: Callable[[], None]) -> None:
        """`tell` is called from the thread when `found` has something."""
        self.journal = journal
        self.found: deque[Damage] = deque()
        self._passed = dict(passed)
        self._tell = tell
        self._stopping = threading.Event()
        self._worked_since = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if there is anything to be read."""
        if self._passed:
            self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread where it is."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        yield_to_the_stream(nice=_NICE)
        tallies, damaged = Tallies(), 0
        with contextlib.suppress(_Stopped):
            for number, vouch in self._passed.items():
                self._worked_since = time.monotonic()
                problems = problems_of(self.journal, number, vouch, tallies, lambda _: self._rest())
                if problems:
                    damaged += 1
                    self._say(Damage(number, vouch.ends.last_seq, problems))
                self._rest()
            _LOG.info("segments that the start had passed over were read", segments=len(self._passed), damaged=damaged)

    def _rest(self) -> None:
        """As long as was worked: a disk and a core are there for others too."""
        if self._stopping.wait(time.monotonic() - self._worked_since):
            raise _Stopped
        self._worked_since = time.monotonic()

    def _say(self, damage: Damage) -> None:
        for problem in damage.problems:
            _LOG.error(problem)
        self.found.append(damage)
        self._tell()


def problems_of(
    journal: Path, number: int, vouch: Vouch, tallies: Tallies, step: Callable[[int], None] = lambda _: None
) -> list[str]:
    """What is wrong with a full segment, or with what was believed of it; its index is gone then. `step` is called every few
    megabytes."""
    path = journal / segment_name(number)
    found = CheckedSegment(number, path)
    try:
        header = read_header(path, number)
        check_segment(found, header.stream_id, read_seal(journal, number, header.stream_id), tallies, step)
        if not found.problems and found.state != "full":
            found.problems.append(f"{path}: ends with frame {found.last_seq}, though the stream goes on behind it")
        if not found.problems:
            scan = SegmentScan(header, map_file(header.path), verify=False)
            scan.advance()
            if vouch.contradicted(SegmentIndex(scan.pack(), header)):
                found.problems.append(
                    f"{vouch.path}: says something else than {path.name}, and the start went by it: publishers' numbers may be"
                    " wrong; start again"
                )
    except (JournalError, OSError) as error:
        found.problems.append(str(error))
    if found.problems:
        with contextlib.suppress(OSError):
            vouch.path.unlink()
    return found.problems
