"""`lockstep slice PATH --order ID | --from PLACE --to PLACE`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from journal.frames import last_seq
from journal.segment import segment_files
from replay.finding import find_seq
from replay.slicing.cut import CannotSlice, cut
from replay.why.tree import range_of_order


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "slice",
        help="a small stand-alone journal made of a part of one, that replays: for a bug report",
        description="Writes a new, small journal with the frames of a range, or of an order from the tick it was decided on to "
        "its last report. It holds who is who and the states its apps start from, so `lockstep replay`, `debug`, `why` and "
        "`audit` work on it alone; frames keep their seq. It is replayed at once, and the verdict is printed. Exit code 1: its "
        "replay differs, as the whole one's does there.",
        epilog="examples:\n  lockstep slice days/today --order 9.42 --redact --out bug\n"
        "  lockstep slice days/today --from 10:15:00 --to 10:15:30",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--order", metavar="ID", help="all of this order")
    what.add_argument("--from", dest="begin", metavar="PLACE", help="from here (a seq, a time or an order)")
    command.add_argument("--to", dest="end", metavar="PLACE", help="with --from: up to here (default: the journal's end)")
    command.add_argument(
        "--redact", action="store_true", help="other names for accounts, instruments, venues, users, strategies …"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="the slice (default: slices/NAME-FROM-TO)")
    command.add_argument("--json", action="store_true", help="print what was made as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep slice`"""
    path, console = arguments.path, Console(stderr=True)
    if arguments.order is not None:
        if arguments.end is not None:
            raise CannotSlice("--to: belongs to --from; an order ends with its last report")
        begin, end = range_of_order(path, arguments.order)
    else:
        begin = find_seq(path, arguments.begin)
        end = find_seq(path, arguments.end) if arguments.end else last_seq(path)
        if end < begin:
            raise CannotSlice(f"--to {arguments.end} is seq {end}, before --from {arguments.begin}, seq {begin}")
    name = "slice" if arguments.redact else path.resolve().name
    out = arguments.out or Path("slices") / f"{name}-{begin}-{end}"
    columns = (TextColumn("slicing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("slice", total=end - begin + 1)
        made = cut(path, out, begin, end, redact=arguments.redact, progress=lambda n: bar.update(task, completed=n))
    verdict = made.verdict
    size = sum(f.stat().st_blocks * 512 for _, f in segment_files(out))
    if arguments.json:
        print(msgspec.json.encode({"slice": made, "bytes": size}).decode())
    else:
        print(f"{out}: seq {made.from_seq} to {made.to_seq}, {made.frames:,} frames, {size / 1024:,.0f} KiB")
        if arguments.redact:
            print(f"{made.names} names replaced; numbers, orders' references and class paths are as they were")
        print(verdict.line)
        if made.differs_at:
            print("the recorded session differs there too: that is what this slice shows")
            print(f"look: lockstep debug {out} --at {made.differs_at}")
    return 0 if verdict.identical else 1
