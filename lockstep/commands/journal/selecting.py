"""Which frames: `--kind --source --instrument --order --from --to --where`, by the names that people and the stream use."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from journal.errors import JournalError
from journal.frames import Frame, frames
from journal.index.locate import seq_at
from journal.messages import REGISTRY
from journal.messages.header import HEADER_BYTES, Header
from journal.reader import Batch, JournalReader
from journal.segment import read_header, schema_kinds, segment_files
from journal.text import Names, number_of
from journal.when import BadTime, parse_time
from journal.where import Condition
from lockstep.option_types import SEQ_MAX
from replay.audit.finding import find_order
from replay.audit.stream import Stream

_ORDER = re.compile(r"([0-9]{1,5})[·.]([0-9]{1,15})")
_END = 2**64 - 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose frames."""
    many = "repeatable"
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help=f"only this kind (name or number); {many}")
    parser.add_argument(
        "--source", action="append", default=[], metavar="SOURCE", help=f"only from this source (name or number); {many}"
    )
    parser.add_argument(
        "--instrument",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only about this instrument (symbol or number); {many}",
    )
    parser.add_argument(
        "--order",
        action="append",
        default=[],
        metavar="ID",
        help=f"only about this order (9·42, a number or a reference); {many}",
    )
    parser.add_argument(
        "--where", metavar="CONDITION", help="only where this holds, such as: price > 100 and side == BUY (docs/cli.md)"
    )
    place = "a seq, or a time (2026-11-21T10:15:00, or 10:15:00 of the journal's first day; UTC unless a zone is given)"
    parser.add_argument("--from", dest="first", metavar="PLACE", type=_place, help=f"first frame: {place}")
    parser.add_argument("--to", dest="last", metavar="PLACE", type=_place, help=f"last frame: {place}")


def _place(text: str) -> str:
    """Looks like a seq or a time; which day is meant is known when the journal is."""
    try:
        seq = number_of(text)
        if seq is None:
            parse_time(text, date(2000, 1, 1))
        elif not 1 <= seq <= SEQ_MAX:
            raise BadTime(text)
    except BadTime as error:
        raise argparse.ArgumentTypeError(f"{error}, or a seq, a number from 1") from None
    return text


class Selection:
    """What the options choose in one journal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        path: Path = arguments.path
        self.path = path
        self.names = Names.of(path)
        self.from_seq, self.to_seq, self.to_ts = 1, _END, _END
        if arguments.first:
            self.from_seq = number_of(arguments.first) or seq_at(path, parse_time(arguments.first, self._day()))
        if arguments.last and (seq := number_of(arguments.last)):
            self.to_seq = seq
        elif arguments.last:
            # Kept as a time: a journal that is being written may not have come there yet.
            self.to_ts = parse_time(arguments.last, self._day())
        self.kinds = [_kind(text, path) for text in arguments.kind] or None
        self.instruments = [n for text in arguments.instrument for n in self._instruments(text)] or None
        self.orders = [_order(text, path) for text in arguments.order] or None
        self.sources = {self._source(text) for text in arguments.source} or None
        self.where = Condition(arguments.where, self.names, self._day) if arguments.where is not None else None

    def reader(self, from_seq: int = 0) -> JournalReader:
        """A reader of what the index can choose, from the selection's first frame or a later one."""
        return JournalReader(
            self.path,
            from_seq=max(from_seq, self.from_seq),
            kinds=self.kinds,
            instruments=self.instruments,
            orders=self.orders,
            build_index=True,
        )

    def available(self, reader: JournalReader, to_seq: int = _END) -> Iterator[Frame]:
        """The selection's frames from where the reader stands to the end, or to `to_seq`."""
        limit = min(to_seq, self.to_seq)
        while reader.next_seq <= limit and (batch := reader.poll(to_seq=limit)) is not None:
            for frame in self._matching(batch):
                if frame.header.ts > self.to_ts:
                    self.to_seq = frame.header.seq - 1
                    return
                yield frame

    def over(self, reader: JournalReader) -> bool:
        """Nothing that is written from now on can be chosen."""
        return reader.next_seq > self.to_seq

    def _matching(self, batch: Batch) -> Iterator[Frame]:
        for offset, _, source, _, ts in batch:
            if self.sources is not None and source not in self.sources and ts <= self.to_ts:
                continue
            header = Header.unpack(batch.buffer, offset)
            frame = Frame(header, batch.buffer[offset + HEADER_BYTES : offset + header.length])
            if self.where is None or ts > self.to_ts or self.where(frame):
                yield frame

    def _day(self) -> date:
        """The journal's first: of times without a date."""
        first = next(frames(self.path, to_seq=1), None)
        return datetime.fromtimestamp(first.header.ts // 10**9 if first is not None else 0, UTC).date()

    def _source(self, text: str) -> int:
        number = self.names.source_number(text)
        if number is None:
            raise JournalError(
                f"--source {text}: no such source in {self.path}{near(text, self.names.sources.values())};"
                f" known: {', '.join(self.names.sources.values())}"
            )
        return number

    def _instruments(self, text: str) -> list[int]:
        defined = self.names.instruments
        number = number_of(text)
        if number is not None and number < 2**32:
            return [number]
        for same in (str, str.casefold):
            found = [number for number, instrument in defined.items() if same(instrument.name) == same(text)]
            if found:
                return found
        known = [instrument.name for instrument in defined.values()]
        raise JournalError(
            f"--instrument {text}: {self.path} defines no such symbol{near(text, known)}; it defines {len(known)}"
            + (
                f", the first ones are {', '.join(sorted(known)[:5])}"
                if known
                else "; a number up to 4294967295 is always possible"
            )
        )


def near(text: str, known: Iterable[str]) -> str:
    """`; near: …` where something has a similar name."""
    plain = {_plain(name): name for name in known}
    found = difflib.get_close_matches(_plain(text), plain, 3)
    return f"; near: {', '.join(plain[name] for name in found)}" if found else ""


def _plain(name: str) -> str:
    """`NEW_ORDER`, `new-order` and `NewOrder` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _kind(text: str, path: Path) -> int:
    number = number_of(text)
    if number is not None and number <= 0xFFFF:
        return number
    known = {cls.__name__: kind for kind, cls in REGISTRY.items()} | _kinds_of(path)
    plain = {_plain(name): kind for name, kind in known.items()}
    if _plain(text) in plain:
        return plain[_plain(text)]
    raise JournalError(
        f"--kind {text}: no such message kind; expected a name such as NewOrder, or a number up to 65535{near(text, known)}"
    )


def _kinds_of(path: Path) -> dict[str, int]:
    """Kinds that the journal's own schema declares: of another version of this program, or of somebody's own."""
    files = segment_files(path)
    if not files:
        return {}
    try:
        return {kind.name: kind.kind for kind in schema_kinds(read_header(files[-1][1], files[-1][0]))}
    except JournalError:
        return {}


def _order(text: str, path: Path) -> int:
    match = _ORDER.fullmatch(text)
    number = int(match[1]) << 48 | int(match[2]) if match else number_of(text) or 0
    if 0 < number < 2**64 and next(frames(path, orders=[number]), None) is not None:
        return number
    # A reference, or a mistake: this reads all orders there are, and names the near ones.
    return find_order(Stream(path), text)
