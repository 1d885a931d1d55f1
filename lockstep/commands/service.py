"""`lockstep service CONFIG`: the systemd unit of a configuration. Also what `lockstep sequencer CONFIG --check` prints."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import pwd
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from journal.errors import OperatingError
from lockstep.config import load
from lockstep.unit import UnitOptions, unit, unit_name

UNITS = Path("/etc/systemd/system")


class InstallError(OperatingError):
    """The unit file cannot be written."""


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "service",
        help="print or install the systemd unit of a configuration",
        description="Prints the systemd unit that runs CONFIG: Type=notify, watched, restarted when that helps, without "
        "any right that it does not need. --install writes it; then: systemctl daemon-reload, systemctl enable --now NAME.",
    )
    command.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML)")
    command.add_argument(
        "--what", choices=("sequencer", "up", "socket"), default="up",
        help="up: the whole system (default); sequencer: it alone; socket: the socket that starts it when a publisher comes",
    )  # fmt: skip
    command.add_argument("--user", default=None, metavar="NAME", help="who it runs as (default: you)")
    command.add_argument("--cores", default="", metavar="LIST", help="CPUAffinity, e.g. 2-3")
    command.add_argument("--nice", type=int, default=None, metavar="N", help="Nice, -20 to 19")
    command.add_argument("--realtime", type=int, default=None, metavar="N", help="CPUSchedulingPolicy=fifo with this priority")
    command.add_argument(
        "--install", nargs="?", type=Path, const=UNITS, default=None, metavar="DIR", help=f"write it (default DIR: {UNITS})"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep service CONFIG`"""
    config = load(arguments.config)
    user = arguments.user or getpass.getuser()
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise InstallError(f"--user {user!r}: expected a user of this machine") from None
    for option, low, high in (("nice", -20, 19), ("realtime", 1, 99)):
        given = getattr(arguments, option)
        if given is not None and not low <= given <= high:
            raise InstallError(f"--{option} {given}: expected {low} to {high}")
    if not set(arguments.cores) <= set("0123456789-, "):
        raise InstallError(f"--cores {arguments.cores!r}: expected numbers and ranges, e.g. 2-3")
    options = UnitOptions(user=user, folder=Path.cwd(), cores=arguments.cores, nice=arguments.nice, realtime=arguments.realtime)
    text = unit(config, arguments.what, options)
    if arguments.install is None:
        print(text, end="")
        return 0
    path = arguments.install / unit_name(config, arguments.what)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise InstallError(f"{path}: {error.strerror}; expected a folder that you may write, or run it as root") from None
    print(f"wrote {path}\nnext: systemctl daemon-reload && systemctl enable --now {path.name}")
    return 0


def print_check(report: dict[str, Any], *, as_json: bool) -> int:
    """The report of --check; 1 when it has warnings."""
    if as_json:
        print(json.dumps(report))
        return 1 if report["warnings"] else 0
    console, journal, loop, memory = Console(highlight=False), report["journal"], report["loop"], report["memory"]
    facts = Table(show_header=False, box=None)
    synced = f"a sync takes {journal['sync_us']} us" if journal["sync_us"] is not None else "a sync cannot be tried"
    facts.add_row(
        "journal", f"{journal['path']} ({'exists' if journal['exists'] else 'new'}; {journal['file_system']}, {synced})"
    )
    left = f", {journal['hours_left']} hours at the rate of the journals beside it" if journal["hours_left"] is not None else ""
    facts.add_row("disk", f"{_mib(journal['segment_bytes'])} a segment; {_mib(journal['free_bytes'])} free: "
                          f"{journal['segments_free']} segments{left}")  # fmt: skip
    facts.add_row("session", f"{report['session']['mode']}, {report['session']['durability']}")
    where = f"core {loop['cpu']}" if loop["cpu"] is not None else f"any of the cores {loop['cores']}"
    facts.add_row("loop", f"{loop['idle']} on {where}: {loop['means']}")
    facts.add_row(
        "time",
        f"a clock frame after {loop['clock_interval_ms']} ms of quiet; syncs {loop['sync_interval_us']} us apart,"
        f" of frames that nobody waits for within {loop['sync_lag_us']} us",
    )
    facts.add_row("memory", f"rings {_mib(memory['rings_bytes'])} when all are attached, segments "
                            f"{_mib(memory['segments_bytes'])} mapped, locked pages none")  # fmt: skip
    console.print(facts)
    table = Table("source", "role", "user", "ring", "limits", "may publish")
    for source in report["sources"]:
        kinds = ", ".join(source["publishes"])
        limits = [f"{source['rate_per_s']}/s"] if source["rate_per_s"] else []
        limits += [f"late after {source['late_ms']:,} ms"] if source["late_ms"] else []
        own = [f"{a}-{b}" for a, b in source["kinds"] if a >= 10_000]
        table.add_row(
            source["name"],
            source["role"],
            source["user"],
            _mib(source["ring_bytes"]),
            ", ".join(limits),
            ", ".join([kinds, *own]),
        )
    console.print(table)
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    return 1 if report["warnings"] else 0


def _mib(size: int) -> str:
    return f"{size / 2**20:,.3g} MiB" if size < 1 << 30 else f"{size / 2**30:,.1f} GiB"
