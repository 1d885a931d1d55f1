"""What the journal remembers of its publishers, asked at a start: by the indices of full segments, and by a scan of the rest.

A segment that recovery passed over is not read here either: its index says which kinds it has and what became of each source.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from journal.frames import Frame, frames
from journal.index.layout import IndexDamaged, Sources
from journal.index.scan import SegmentScan
from journal.index.store import is_full, load_or_build
from journal.index.vouch import Vouch
from journal.kernel._journal import lib as journal_lib
from journal.segment import SegmentHeader, map_file, read_header, segment_files
from sequencer.kernel._sequencer import lib

NUMBERS = int(lib.LOCKSTEP_OWN_CAUSES)
"""How many of a source's last numbers it may still name as its own cause (OWN_CAUSE), by their remainder."""
PLACES = int(lib.LOCKSTEP_TURNS_KEPT)
"""How many places are kept where a number that comes again is looked for."""
assert (NUMBERS, PLACES) == (journal_lib.LOCKSTEP_NUMBERS_KEPT, journal_lib.LOCKSTEP_PLACES_KEPT)


class Remembered(msgspec.Struct):
    """Of one source, as it was when the stream ended."""

    last_source_seq: int = 0
    """Accepted or refused: both consume the number."""
    incarnation: int = 0
    accepted_source_seq: int = 0
    accepted_seq: int = 0
    numbers: dict[int, tuple[int, int]] = {}
    """source_seq modulo 64 → (source_seq, seq) of the last accepted one."""
    places: list[tuple[int, int]] = []
    """(source_seq, segment << 32 | offset), ascending: where its last numbers stand."""

    def older(self, number: int, sources: Sources, source: int) -> None:
        """Take in what a segment says, which stands before all that were taken in so far."""
        row = sources.rows[source]
        self.last_source_seq = max(self.last_source_seq, row.source_seq)
        self.incarnation = max(self.incarnation, row.incarnation)
        if row.numbers and len(self.numbers) < NUMBERS:
            numbers = sources.numbers(source)
            if not self.accepted_seq:
                self.accepted_source_seq, self.accepted_seq = numbers[-1]
            for source_seq, seq in numbers:
                self.numbers.setdefault(source_seq % NUMBERS, (source_seq, seq))
        if row.places and len(self.places) < PLACES:
            before = [(source_seq, number << 32 | offset) for source_seq, offset in sources.places(source)]
            self.places = [*before, *self.places][-PLACES:]


class _Segment(msgspec.Struct, frozen=True):
    number: int
    first_seq: int
    last_seq: int
    kinds: Collection[int]
    section: Callable[[str], bytes | memoryview]
    """Of an index, by name."""


class Past:
    """Of one journal, whose lock the caller holds and whose recovery is done. `passed`: what recovery did not read."""

    def __init__(self, journal: Path, passed: Mapping[int, Vouch]) -> None:
        self.journal = journal
        self._segments: list[_Segment] = []
        for number, path in segment_files(journal):
            vouch = passed.get(number)
            found = _told(number, path, vouch) if vouch is not None else _read(read_header(path, number))
            if found is not None:
                self._segments.append(found)

    def frames(self, *kinds: int) -> Iterator[Frame]:
        """All frames of these kinds, in order. Segments that have none are left alone."""
        for there, segments in itertools.groupby(self._segments, lambda s: any(kind in s.kinds for kind in kinds)):
            if there:
                run = list(segments)
                yield from frames(self.journal, from_seq=run[0].first_seq, to_seq=run[-1].last_seq, kinds=kinds)

    def of(self, sources: Collection[int]) -> dict[int, Remembered]:
        """What is known of these sources."""
        found = {source: Remembered() for source in sources}
        for segment in reversed(self._segments):
            told = Sources(functools.cache(segment.section))
            for source in found.keys() & told.rows.keys():
                found[source].older(segment.number, told, source)
        return found


def _told(number: int, path: Path, vouch: Vouch) -> _Segment:
    """A segment as its index tells of it."""

    def section(name: str) -> bytes | memoryview:
        try:
            return vouch.section(name)
        except (IndexDamaged, OSError):  # it was whole a moment ago; somebody has removed it since, or made it anew
            return _scan(read_header(path, number)).sources.section(name)

    return _Segment(number, vouch.ends.first_seq, vouch.ends.last_seq, vouch.kinds, section)


def _read(header: SegmentHeader) -> _Segment | None:
    """A segment of which nothing is known yet; None: it was never opened. A full one has an index from now on."""
    if header.opened is None:
        return None
    index = load_or_build(header) if is_full(header) else None
    if index is not None:
        return _Segment(header.number, index.ends.first_seq, index.ends.last_seq, index.kinds, index.sources.section)
    scan = _scan(header)
    return _Segment(header.number, header.opened.first_seq, int(scan.reader.next_seq) - 1, scan.kinds, scan.sources.section)


def _scan(header: SegmentHeader) -> SegmentScan:
    """Recovery has checked every frame of it."""
    scan = SegmentScan(header, map_file(header.path), verify=False)
    scan.advance()
    return scan
