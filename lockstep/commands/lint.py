"""`lockstep lint`: what in app code is no function of the stream, and what to write instead."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from apps.guard.lint import Report, lint, own
from apps.guard.rules import RULES, Finding


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    command = subparsers.add_parser(
        "lint",
        help="find what makes app code decide otherwise on a replay: clocks, chance, set order, floats in state, …",
        description="Reads the source of apps (strategies, and the modules of yours that they import) without running it. "
        "Exit code 0: nothing found. 1: findings, with the place and the remedy. 2: a file cannot be read.",
        epilog="waive a finding on its line: # lockstep: allow DET108 because REASON",
    )
    command.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: lockstep's own apps)")
    command.add_argument("--own", action="store_true", help="lockstep's own apps, too")
    command.add_argument("--rules", action="store_true", help="list the rules, each with an example and the remedy")
    command.add_argument("--json", action="store_true", help="print findings, or rules, as JSON")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep lint PATH…`"""
    console = Console(highlight=False, soft_wrap=True)
    if arguments.rules:
        _print_rules(console, as_json=arguments.json)
        return 0
    ours = own() if arguments.own or not arguments.paths else []
    report = lint([*arguments.paths, *ours])
    if arguments.json:
        print(msgspec.json.encode(_told(report)).decode())
    else:
        _print(console, report)
    return 1 if report.findings else 0


def _told(report: Report) -> dict[str, Any]:
    findings = [
        {**msgspec.structs.asdict(f), "name": RULES[f.rule].name, "why": RULES[f.rule].why, "remedy": RULES[f.rule].remedy}
        for f in report.findings
    ]
    return {"findings": findings, "files": report.files}


def _print(console: Console, report: Report) -> None:
    for finding in report.findings:
        console.print(_styled(finding))
    count, files = len(report.findings), len(report.files)
    of = f"{files} file{'' if files == 1 else 's'}"
    if count:
        console.print(f"{count} finding{'' if count == 1 else 's'} in {of}; lockstep lint --rules explains", style="bold red")
    else:
        console.print(f"{of}: nothing found", style="green")


def _styled(f: Finding) -> Text:
    rule = RULES[f.rule]
    place = (f"{f.path}:{f.line}:{f.column}: ", "bold")
    return Text.assemble(place, (f.rule, "bold red"), f" {f.what}: {rule.why}.\n    ", ("instead: ", "green"), rule.remedy)


def _print_rules(console: Console, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(list(RULES.values())).decode())
        return
    for rule in RULES.values():
        console.print(Text.assemble((rule.id, "bold red"), " ", (rule.name, "bold"), f": {rule.why}"))
        console.print(Text.assemble("    instead: ", rule.remedy))
        console.print(Text.assemble("    ", ("-", "red"), f" {rule.bad}\n    ", ("+", "green"), f" {rule.good}\n"))
