"""`lockstep journal dump|tail`: a journal's frames, as lines or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from journal.errors import JournalError
from journal.frames import Frame
from journal.messages import REGISTRY
from journal.messages.header import HEADER_BYTES, Header
from journal.reader import Batch, JournalReader
from journal.text import Names, frame_json, frame_text
from lockstep.commands.journal.options import action

# A reader without a ring has nobody to wake it; the journal is memory that another process stores into.
_TAIL_INTERVAL_S = 0.05


def add_actions(actions: Any) -> None:
    """Register them."""
    each = "JSON, one object a frame; numbers as they are on the wire"
    dump = action(actions, "dump", run_dump, "print frames", each)
    tail = action(actions, "tail", run_tail, "print the last frames, then follow", each)
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
