"""`lockstep journal dump|tail`: a journal's frames, as lines or as JSON."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from typing import Any

from journal.frames import Frame
from journal.segment import read_header, segment_files
from lockstep.commands.journal import printing, selecting
from lockstep.commands.journal.options import action
from lockstep.commands.journal.selecting import Selection
from lockstep.option_types import whole

# A reader without a ring has nobody to wake it; the journal is memory that another process stores into.
_TAIL_INTERVAL_S = 0.05


def add_actions(actions: Any) -> None:
    """Register them."""
    each = "JSON, one object a frame; numbers as they are on the wire"
    dump = action(actions, "dump", run_dump, "print frames", each)
    tail = action(actions, "tail", run_tail, "print the last frames, then follow", each)
    for parser in (dump, tail):
        selecting.add_options(parser)
        printing.add_options(parser)
    dump.add_argument("--no-pager", action="store_true", help="print at once, also on a terminal")
    tail.add_argument(
        "-n", dest="count", type=whole(0), default=10, metavar="N", help="how many of the last frames (default 10)"
    )
    follow = tail.add_mutually_exclusive_group()
    follow.add_argument("-f", "--follow", action="store_true", help="wait for more (what it does anyway)")
    follow.add_argument("--no-follow", action="store_true", help="stop at the end instead of waiting for more")


def run_dump(arguments: argparse.Namespace) -> int:
    """`lockstep journal dump`"""
    selection = Selection(arguments)
    line = printing.line_of(arguments, selection.names)
    with selection.reader() as reader, printing.paged(wanted=not arguments.no_pager) as put:
        for frame in selection.available(reader):
            put(line(frame))
    return 0


def run_tail(arguments: argparse.Namespace) -> int:
    """`lockstep journal tail`"""
    selection = Selection(arguments)
    line = printing.line_of(arguments, selection.names)
    next_seq = selection.from_seq
    if not arguments.first:
        last, next_seq = _last(selection, arguments.count)
        for frame in last:
            print(line(frame))
    with selection.reader(next_seq) as reader:
        while True:
            for frame in selection.available(reader):
                selection.names.see(frame.message)
                print(line(frame))
            sys.stdout.flush()
            if arguments.no_follow or selection.over(reader):
                return 0
            time.sleep(_TAIL_INTERVAL_S)


def _last(selection: Selection, count: int) -> tuple[list[Frame], int]:
    """The last frames of the selection, and the seq behind all that was looked at. Segments are read from the last one back,
    until there are enough."""
    starts: list[int] = []
    for number, file in segment_files(selection.path):
        opened = read_header(file, number).opened
        if opened is not None:
            starts.append(opened.first_seq)
    found: list[Frame] = []
    end, behind = 2**64 - 1, 1
    for start in reversed(starts):
        with selection.reader(start) as reader:
            here = deque(selection.available(reader, end), maxlen=count - len(found))
            behind = max(behind, reader.next_seq)
        found = [*here, *found]
        end = start - 1
        if len(found) >= count or end < selection.from_seq:
            break
    return found, min(behind, selection.to_seq + 1)
