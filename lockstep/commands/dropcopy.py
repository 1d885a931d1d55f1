"""`lockstep dropcopy PATH --user NAME`: what a user may see of the orders, first as of now, then as it happens."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from journal.frames import Frame
from journal.messages import HEADER_BYTES
from journal.messages.header import Header
from journal.reader import JournalReader
from lockstep.config import ConfigError
from lockstep.dropcopy import KINDS, DropCopy, Row, UnknownUser

_INTERVAL_S = 0.1


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "dropcopy",
        help="a user's orders, trades and positions, filtered by right, as they happen",
        description="Open orders, the day's trades, positions and symbols first; then every report as it is written. Reads the "
        "journal; asks and slows nobody.",
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder")
    command.add_argument("--user", required=True, metavar="NAME", help="whose rights count")
    command.add_argument("--no-follow", action="store_true", help="stop after what there is now")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the download, then follow."""
    copy = DropCopy(arguments.user)

    def put(row: Row) -> None:
        print(msgspec.json.encode(row).decode() if arguments.json else row.text(), flush=True)

    with JournalReader(arguments.path, kinds=KINDS) as reader:
        for frame in _available(reader):
            copy.apply(frame)
        try:
            copy.number()
        except UnknownUser as error:
            raise ConfigError(str(error)) from None
        for row in copy.download():
            put(row)
        while not arguments.no_follow:
            for frame in _available(reader):
                news = copy.apply(frame)
                if news is not None:
                    put(news)
            sys.stdout.flush()
            time.sleep(_INTERVAL_S)
    return 0


def _available(reader: JournalReader) -> Any:
    while (batch := reader.poll()) is not None:
        for offset, *_ in batch:
            header = Header.unpack(batch.buffer, offset)
            yield Frame(header, batch.buffer[offset + HEADER_BYTES : offset + header.length])
