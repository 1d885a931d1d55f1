"""`lockstep audit PATH [SQL | tables | order ID]`: questions to a journal."""

from __future__ import annotations

import argparse
import csv
import resource
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from journal.text import number_of
from replay.audit import Answer, Audit, AuditRefused, Stream, life_lines, order_life
from replay.audit.tables import TIMEOUT_S, rows_as_dicts

ROWS_SHOWN = 100
# What a query may take beside the journal's maps: DuckDB's own limit does not cover a single huge value.
_DATA_BYTES_MAX = 8 << 30
_NUMBERS = ("DECIMAL", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "DOUBLE", "FLOAT")


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "audit",
        help="ask a journal: SQL over orders, executions, trades, positions; one order's life",
        description="Answers SQL over the journal's frames, with names and decimals resolved (DuckDB, read only), or prints "
        "one order's life with its causes. Without a question: the tables there are.",
        epilog="examples:\n"
        '  lockstep audit days/today "SELECT strategy, count(*), sum(notional) FROM fills GROUP BY ALL"\n'
        "  lockstep audit days/today order 9·42        (also 9.42, the integer, L1-5004, a client's or the venue's id)\n"
        '  lockstep audit days/today "DESCRIBE orders"\n'
        '  lockstep audit days/today --csv "FROM executions" > executions.csv',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("path", metavar="PATH", type=Path, help="the journal's folder")
    command.add_argument("question", metavar="QUESTION", nargs="*", help="SQL in quotes, 'tables', or 'order ID'")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON, one object a row; decimals and times as exact text")
    form.add_argument("--csv", action="store_true", help="CSV with a header line")
    command.add_argument("--limit", type=_rows, metavar="N", help=f"rows at most (default: {ROWS_SHOWN} on a screen, else all)")
    command.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS", help=f"give up after so long (default {TIMEOUT_S:g})"
    )
    command.set_defaults(run=run)
    _let_options_stand_anywhere(command)


def _let_options_stand_anywhere(command: Any) -> None:
    """argparse takes all positionals at the first of them; `audit PATH --json "SELECT …"` needs the intermixed parse."""
    plain = command.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        command.parse_known_args = plain
        try:
            return command.parse_known_intermixed_args(args, namespace)
        finally:
            command.parse_known_args = parse

    command.parse_known_args = parse


def _rows(text: str) -> int:
    if not (number := number_of(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of rows, from 1")
    return number


def run(arguments: argparse.Namespace) -> int:
    """`lockstep audit`"""
    words: list[str] = arguments.question
    if words and words[0].lower() == "order":
        if len(words) != 2:
            raise AuditRefused(f"order takes one id, got {len(words) - 1}; expected for example: order 9·42")
        return _order(arguments, words[1])
    with _capped_memory(), closing(Audit(arguments.path, timeout_s=arguments.timeout)) as audit:
        if not words or [w.lower() for w in words] == ["tables"]:
            answer = audit.tables()
        else:
            limit = arguments.limit
            if limit is None and not (arguments.json or arguments.csv):
                limit = ROWS_SHOWN
            answer = audit.query(" ".join(words), limit=limit)
    _print(arguments, answer)
    return 0


def _order(arguments: argparse.Namespace, wanted: str) -> int:
    life = order_life(Stream(arguments.path), wanted)
    if arguments.json:
        print(msgspec.json.encode(life).decode())
    elif arguments.csv:
        raise AuditRefused("an order's life is a tree, not a table; use --json")
    else:
        console = Console(highlight=False)
        for line in life_lines(life):
            # Neither wrapped nor cut: a terminal scrolls, `less -S` and grep want whole lines.
            console.print(Text(line), soft_wrap=True)
    return 0


def _print(arguments: argparse.Namespace, answer: Answer) -> None:
    if arguments.json:
        rows = [{n: _text(v) if isinstance(v, Decimal) else v for n, v in row.items()} for row in rows_as_dicts(answer)]
        print(msgspec.json.encode(rows, enc_hook=str).decode())
    elif arguments.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(answer.columns)
        writer.writerows([_text(value) for value in row] for row in answer.rows)
    else:
        _print_table(answer)


def _print_table(answer: Answer) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        # Piped into a file or a pager: as wide as it takes.
        console = Console(highlight=False, width=10_000)
    if answer.columns[:1] == ["explain_key"]:
        print("\n".join(str(row[-1]) for row in answer.rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, kind in zip(answer.columns, answer.types, strict=True):
        table.add_column(
            name, justify="right" if kind.startswith(_NUMBERS) or kind.startswith("U") else "left", overflow="fold"
        )
    for row in answer.rows:
        table.add_row(*(Text(_text(value)) for value in row))
    console.print(table)
    rows = f"{len(answer.rows)} row{'s' if len(answer.rows) != 1 else ''}"
    # To stderr: what is piped on is the table alone.
    print(f"{rows}, more follow: --limit N" if answer.more else rows, file=sys.stderr)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


@contextmanager
def _capped_memory() -> Iterator[None]:
    """What one query may allocate. Lifted afterwards: the process may be somebody's notebook or test run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _DATA_BYTES_MAX if hard == resource.RLIM_INFINITY else min(_DATA_BYTES_MAX, hard)
    lower = soft == resource.RLIM_INFINITY or soft > limit
    resource.setrlimit(resource.RLIMIT_DATA, (limit if lower else soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
