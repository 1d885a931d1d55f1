"""Lines on a terminal: in colour, through a pager; everywhere else plain."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

from journal.frames import Frame
from journal.text import Names, frame_columns, frame_json, frame_text

_COLOURS = ("\x1b[2m", "\x1b[36m", "\x1b[35m", "\x1b[1;33m", "")
_PLAIN = "\x1b[0m"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How lines look."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour (default: on a terminal, unless NO_COLOR is set)",
    )


def coloured(arguments: argparse.Namespace) -> bool:
    """Whether to."""
    if arguments.color == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return bool(arguments.color == "always")


def line_of(arguments: argparse.Namespace, names: Names) -> Callable[[Frame], str]:
    """A frame as the line that was asked for."""
    if arguments.json:
        return lambda frame: json.dumps(frame_json(frame))
    if not coloured(arguments):
        return lambda frame: frame_text(frame, names)
    return lambda frame: " ".join(
        f"{colour}{text}{_PLAIN}" if colour else text
        for colour, text in zip(_COLOURS, frame_columns(frame, names), strict=True)
    ).rstrip()


@contextlib.contextmanager
def paged(*, wanted: bool) -> Iterator[Callable[[str], None]]:
    """Where lines go: on a terminal through $PAGER (less), which shows one screen at once and keeps the rest."""
    command = os.environ.get("PAGER", "less").strip()
    if not wanted or not sys.stdout.isatty() or command in ("", "cat") or shutil.which(command.split()[0]) is None:
        yield print
        return
    environment = {"LESS": "FRSX", **os.environ}
    with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, text=True, env=environment) as pager:
        assert pager.stdin is not None
        stdin = pager.stdin

        def put(line: str) -> None:
            stdin.write(line + "\n")

        with contextlib.suppress(BrokenPipeError):
            yield put
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
