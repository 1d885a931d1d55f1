"""`lockstep top PATH|CONFIG`: what a running sequencer does, on one screen. Reads shared memory; asks and disturbs nobody."""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lockstep.config import load
from lockstep.watch import HISTOGRAMS, Watch

SORTS = ("messages_per_s", "bytes_per_s", "fill", "lag", "rejected", "name")
LABELS = {
    "messages_per_s": "messages",
    "bytes_per_s": "bytes",
    "fill": "ring",
    "lag": "lag",
    "rejected": "rejected",
    "name": "name",
}


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "top",
        help="what a running sequencer does: sources, rings, watermarks, times",
        description="One screen, refreshed: s sorts by the next column, r the other way round, space stands still, q ends.",
    )
    command.add_argument("path", type=Path, metavar="PATH", help="journal folder, or configuration file")
    command.add_argument("--interval", type=_seconds, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    command.add_argument("--sort", choices=SORTS, default=SORTS[0], help="order of the sources")
    command.add_argument("--once", action="store_true", help="two looks, one page, the end")
    command.add_argument("--json", action="store_true", help="one JSON object a look; with --once only one")
    command.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.05 <= found <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0.05 to 3600")
    return found


def run(arguments: argparse.Namespace) -> int:
    """`lockstep top`"""
    watch = Watch(load(arguments.path).journal if arguments.path.is_file() else arguments.path)
    watch.page()
    if arguments.once or arguments.json:
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                select.select([], [], [], arguments.interval)
                page = watch.page()
                if arguments.json:
                    print(json.dumps(page), flush=True)
                else:
                    Console(highlight=False).print(screen(page, arguments.sort, False))
                if arguments.once:
                    return 0
        return 0
    return _live(watch, arguments)


def _live(watch: Watch, arguments: argparse.Namespace) -> int:
    sort, reverse, still = arguments.sort, False, False
    page = watch.page()
    with _keys() as keyboard, Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(page, sort, reverse), refresh=True)
            key = ""
            if select.select(keyboard, [], [], arguments.interval)[0]:
                key = sys.stdin.read(1)
            if key in ("q", "\x03", "\x04"):
                return 0
            if key == "s":
                sort = SORTS[(SORTS.index(sort) + 1) % len(SORTS)]
            elif key == "r":
                reverse = not reverse
            elif key == " ":
                still = not still
            if not key and not still:
                page = watch.page()


@contextlib.contextmanager
def _keys() -> Iterator[list[Any]]:
    """Keys without Return, while it lasts; none when nobody sits there."""
    if not sys.stdin.isatty():
        yield []
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield [sys.stdin]
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def ordered(sources: list[dict[str, Any]], sort: str, reverse: bool) -> list[dict[str, Any]]:
    """Most first; names from A; those without a number last."""
    if sort == "name":
        return sorted(sources, key=lambda s: str(s["name"]), reverse=reverse)
    known = sorted((s for s in sources if s[sort] is not None), key=lambda s: s[sort], reverse=not reverse)
    return known + [s for s in sources if s[sort] is None]


def screen(page: dict[str, Any], sort: str, reverse: bool) -> Group:
    """The whole page."""
    loop, marks, disk = page["loop"], page["watermarks"], page["disk"]
    where = f", core {page['cpu']}" if page["cpu"] is not None else ""
    head = Text(f"{page['journal']}  {page['state']}  pid {page['pid']}, epoch {page['epoch']}, up {_time(page['up_s'])}, "
                f"{page['idle']}{where}", style="bold" if page["state"] == "running" else "bold red")  # fmt: skip
    replicated = f", replicated {marks['replicated']:,} (-{marks['not_replicated']:,})" if marks["replicated"] else ""
    left = f", {disk['hours_left']:,} hours left" if disk["hours_left"] is not None else ""
    facts = Text(
        f"written {marks['written']:,}, durable {marks['durable']:,} (-{marks['not_durable']:,}){replicated}\n"
        f"{loop['frames_per_s']:,.0f} frames/s, {_bytes(disk['bytes_per_s'])}/s, {loop['syncs_per_s']:,.0f} syncs/s, "
        f"{loop['parks_per_s']:,.0f} parks/s, {loop['stalls']:,} waits for a segment\n"
        f"segment {loop['segment']:,}, {disk['segment_used']:.0%} of {_bytes(disk['segment_bytes'])}; "
        f"disk {_bytes(disk['free_bytes'])} free{left}"
    )
    if loop["prepare_error"]:
        facts.append(f"\nno segment can be prepared: error {-loop['prepare_error']}", style="bold red")
    held = _control(page["control"])
    if held:
        facts.append(f"\n{held}", style="bold yellow")
    times = Table("", "count", "p50", "p99", "p99.9", "max", "p99 now", box=None, header_style="dim")
    for column in times.columns[1:]:
        column.justify = "right"
    for name, h in page["histograms"].items():
        show = _ns if name.endswith("_ns") else "{:,}".format
        values = [show(h[key]) if h["count"] else "" for key in ("p50", "p99", "p999", "max")]
        times.add_row(HISTOGRAMS[name], f"{h['count']:,}", *values, show(h["now_p99"]) if h["now_p99"] else "")
    return Group(head, facts, Text(), times, Text(), _sources(page["sources"], sort, reverse))


def _control(control: dict[str, Any]) -> str:
    """One line of what stands; empty when nothing does."""
    parts = [f"kill {kill}: {what}" for kill, what in control["kills"].items()]
    parts += control["states"]
    parts += [f"{control['bans']} bans"] if control["bans"] else []
    parts += [f"{control['waiting']} requests wait for a second person"] if control["waiting"] else []
    parts += [f"heartbeat {watch} lost: {action}" for watch, action in control["heartbeats_lost"].items()]
    counts = ", ".join(f"{n:,} {check}" for check, n in control["violations"].items())
    parts += [f"violations {counts}"] if counts else []
    return "; ".join(parts)


def _sources(sources: list[dict[str, Any]], sort: str, reverse: bool) -> Table:
    columns = ("messages_per_s", "bytes_per_s", "accepted", "rejected", "dup", "fill", "high", "waits", "lag", "state")
    table = Table(
        "source", "role", *(LABELS.get(c, c) + (" *" if c == sort else "") for c in columns), box=None, header_style="dim"
    )
    for column in table.columns[2:-1]:
        column.justify = "right"
    for s in ordered(sources, sort, reverse):
        ring = s["ring_bytes"] or 1
        bad = s["state"] in ("banned", "quarantined", "dead")
        state = s["state"] + (f", {s['bans']} bans" if s["bans"] else "") + (f", held {s['rests']}x" if s["rests"] else "")
        state += f", {s['late']:,} late" if s["late"] else ""
        table.add_row(
            s["name"], s["role"], f"{s['messages_per_s']:,.0f}/s", f"{_bytes(s['bytes_per_s'])}/s", f"{s['accepted']:,}",
            f"{s['rejected']:,}" + (f" {s['last_reject_reason']}" if s["rejected"] else ""), f"{s['duplicates']:,}",
            f"{s['fill'] / ring:.0%}", f"{s['high_water'] / ring:.0%}", f"{s['full_waits']:,}",
            f"{s['lag']:,}" if s["lag"] is not None else "", state,
            style="bold red" if bad else "dim" if s["state"] in ("never attached", "detached") else "",
        )  # fmt: skip
    return table


def _ns(ns: int) -> str:
    if ns < 1_000:
        return f"{ns} ns"
    if ns < 1_000_000:
        return f"{ns / 1e3:.3g} us"
    return f"{ns / 1e6:.3g} ms" if ns < 1_000_000_000 else f"{ns / 1e9:.3g} s"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:,.3g} TiB"


def _time(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return (f"{days} d " if days else "") + f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
