"""`lockstep journal info|dump|tail|verify PATH`: look into a journal, live or years later."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from journal.errors import JournalError
from journal.frames import Frame
from journal.messages import REGISTRY
from journal.messages.header import HEADER_BYTES, Header
from journal.reader import Batch, JournalReader
from journal.text import Names, frame_json, frame_text, kind_name, time_text
from journal.verify import Survey, survey

# A reader without a ring has nobody to wake it; the journal is memory that another process stores into.
_TAIL_INTERVAL_S = 0.05


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser(
        "journal",
        help="look into a journal: what it holds, its frames, whether every byte is right",
        description="Looks into a journal, live or years later. Nothing is changed, and no running process is asked.",
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    info = actions.add_parser("info", help="what it holds: segments, kinds, sources, watermarks")
    verify = actions.add_parser("verify", help="check every byte; exit code 0 only when all is well")
    dump = actions.add_parser("dump", help="print frames")
    tail = actions.add_parser("tail", help="print the last frames, then follow")
    whole = "print what was found as one JSON object"
    each = "JSON, one object a frame; numbers as they are on the wire"
    for parser, run, form in (
        (info, run_info, whole),
        (verify, run_verify, whole),
        (dump, run_dump, each),
        (tail, run_tail, each),
    ):
        parser.add_argument("path", metavar="PATH", type=Path, help="the journal's folder")
        parser.add_argument("--json", action="store_true", help=form)
        parser.set_defaults(run=run)
    for parser in (dump, tail):
        parser.add_argument(
            "--kind", action="append", default=[], metavar="KIND", help="only this kind (name or number); repeatable"
        )
        parser.add_argument(
            "--source", action="append", default=[], metavar="SOURCE", help="only from this source (name or number)"
        )
        parser.add_argument("--to", dest="to_seq", type=_seq, metavar="SEQ", help="last seq")
    dump.add_argument("--from", dest="from_seq", type=_seq, default=1, metavar="SEQ", help="first seq (default 1)")
    tail.add_argument(
        "--from", dest="from_seq", type=_seq, metavar="SEQ", help="first seq (default: the last 10 frames that match)"
    )
    tail.add_argument("-n", dest="count", type=int, default=10, metavar="N", help="how many of the last frames (default 10)")
    tail.add_argument("--no-follow", action="store_true", help="stop at the end instead of waiting for more")


def _seq(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a seq, a number from 1")
    return int(text)


def run_info(arguments: argparse.Namespace) -> int:
    """`lockstep journal info`"""
    found = _survey_with_progress(arguments.path, "reading")
    if arguments.json:
        print(json.dumps(_survey_json(found, arguments.path)))
    else:
        _print_info(found, arguments.path)
        _print_problems(found)
    return 1 if found.problems else 0


def run_verify(arguments: argparse.Namespace) -> int:
    """`lockstep journal verify`"""
    found = _survey_with_progress(arguments.path, "verifying")
    if arguments.json:
        print(json.dumps({"ok": not found.problems} | _survey_json(found, arguments.path)))
    else:
        _print_problems(found)
        if not found.problems:
            print(f"{found.path}: well: {found.frames:,} frames in {len(found.segments)} segments, last seq {found.last_seq}")
    return 1 if found.problems else 0


def run_dump(arguments: argparse.Namespace) -> int:
    """`lockstep journal dump`"""
    names = Names.of(arguments.path)
    kinds, sources = _kinds(arguments), _sources(arguments, names)
    with JournalReader(arguments.path, from_seq=arguments.from_seq, kinds=kinds) as reader:
        for frame in _available(reader, sources, arguments.to_seq):
            _print_frame(frame, names, arguments.json)
    return 0


def run_tail(arguments: argparse.Namespace) -> int:
    """`lockstep journal tail`"""
    names = Names.of(arguments.path)
    kinds, sources = _kinds(arguments), _sources(arguments, names)
    with JournalReader(arguments.path, from_seq=arguments.from_seq or 1, kinds=kinds) as reader:
        frames = _available(reader, sources, arguments.to_seq)
        for frame in frames if arguments.from_seq else deque(frames, maxlen=max(arguments.count, 0)):
            _print_frame(frame, names, arguments.json)
        sys.stdout.flush()
        while not arguments.no_follow and (arguments.to_seq is None or reader.next_seq <= arguments.to_seq):
            for frame in _available(reader, sources, arguments.to_seq):
                names.see(frame.message)
                _print_frame(frame, names, arguments.json)
            sys.stdout.flush()
            time.sleep(_TAIL_INTERVAL_S)
    return 0


def _available(reader: JournalReader, sources: set[int] | None, to_seq: int | None) -> Iterator[Frame]:
    limit = to_seq if to_seq is not None else 2**64 - 1
    while reader.next_seq <= limit and (batch := reader.poll(to_seq=limit)) is not None:
        yield from _frames_of(batch, sources)


def _frames_of(batch: Batch, sources: set[int] | None) -> Iterator[Frame]:
    for offset, _, source, _, _ in batch:
        if sources is None or source in sources:
            header = Header.unpack(batch.buffer, offset)
            yield Frame(header, batch.buffer[offset + HEADER_BYTES : offset + header.length])


def _kinds(arguments: argparse.Namespace) -> list[int] | None:
    by_name = {cls.__name__.lower(): kind for kind, cls in REGISTRY.items()}
    kinds: list[int] = []
    for text in arguments.kind:
        kind = int(text) if text.isdigit() else by_name.get(text.lower(), -1)
        if not 0 <= kind <= 0xFFFF:
            raise JournalError(
                f"--kind {text}: no such message kind; expected a name such as NewOrder, or a number up to 65535"
            )
        kinds.append(kind)
    return kinds or None


def _sources(arguments: argparse.Namespace, names: Names) -> set[int] | None:
    sources: set[int] = set()
    for text in arguments.source:
        number = names.source_number(text)
        if number is None:
            known = ", ".join(names.sources.values())
            raise JournalError(f"--source {text}: no such source in {arguments.path}; known: {known}")
        sources.add(number)
    return sources or None


def _print_frame(frame: Frame, names: Names, as_json: bool) -> None:
    print(json.dumps(frame_json(frame)) if as_json else frame_text(frame, names))


def _survey_with_progress(path: Path, doing: str) -> Survey:
    """A bar on a terminal's stderr, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        return survey(path, lambda done, total: progress.update(task, completed=done, total=total))


def _survey_json(found: Survey, path: Path) -> dict[str, Any]:
    names = Names.of(path) if not found.problems else Names()
    out: dict[str, Any] = msgspec.to_builtins(found)
    out["stream_id"] = f"{found.stream_id:#018x}"
    out["kinds"] = [
        {"kind": k, "name": kind_name(k), "frames": n, "bytes": found.bytes_by_kind[k]} for k, n in found.frames_by_kind.items()
    ]
    out["sources"] = [
        {"source": s, "name": names.sources.get(s, ""), "last_source_seq": n} for s, n in found.last_source_seq.items()
    ]
    for key in ("frames_by_kind", "bytes_by_kind", "last_source_seq"):
        del out[key]
    return out


def _print_info(found: Survey, path: Path) -> None:
    console = Console()
    names = Names.of(path) if not found.problems else Names()
    size = sum(s.bytes for s in found.segments)
    facts = Table(show_header=False, box=None)
    facts.add_row("journal", found.path)
    facts.add_row("stream", f"{found.stream_id:#018x}")
    facts.add_row("frames", f"{found.frames:,}  (last seq {found.last_seq:,})")
    if found.frames:
        facts.add_row("from", time_text(found.first_ts))
        facts.add_row("to", time_text(found.last_ts))
    facts.add_row("watermarks", f"written {found.written_seq:,}, durable {found.durable_seq:,}")
    facts.add_row("writer", f"process {found.writer_pid}" if found.writer_pid else "none")
    facts.add_row("files", f"{len(found.segments)} segments, {size / 2**20:,.0f} MiB")
    if found.quarantine:
        facts.add_row("quarantine", ", ".join(found.quarantine))
    console.print(facts)
    segments = Table("segment", "state", "first seq", "last seq", "epochs", "used")
    for s in found.segments:
        epochs = str(s.first_epoch) if s.first_epoch == s.last_epoch else f"{s.first_epoch}-{s.last_epoch}"
        opened = s.state != "prepared"
        segments.add_row(
            s.file, s.state, f"{s.first_seq:,}" if opened else "", f"{s.last_seq:,}" if opened else "",
            epochs if opened else "", f"{s.used_bytes / s.bytes:.0%}",
        )  # fmt: skip
    console.print(segments)
    kinds = Table("kind", "name", "frames", "bytes")
    for kind, count in found.frames_by_kind.items():
        kinds.add_row(str(kind), kind_name(kind), f"{count:,}", f"{found.bytes_by_kind[kind]:,}")
    console.print(kinds)
    if found.last_source_seq:
        sources = Table("source", "name", "last source_seq")
        for source, last in found.last_source_seq.items():
            sources.add_row(str(source), names.source(source), f"{last:,}")
        console.print(sources)


def _print_problems(found: Survey) -> None:
    for problem in found.problems:
        print(problem, file=sys.stderr)
