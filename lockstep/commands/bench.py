"""`lockstep bench NAME`: figures with their conditions, for people or as one JSON object."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lockstep.bench import durable, fairness, flat, latency, oms, replay, replicate, scan, seek, sequencer, verify, zero_impact
from lockstep.ending import ended_in_order

_BENCHES = {
    "latency": latency, "durable": durable,
    "sequencer": sequencer, "flat": flat, "fairness": fairness, "oms": oms, "replay": replay, "scan": scan, "seek": seek,
    "replicate": replicate, "zero-impact": zero_impact, "verify": verify,
}  # fmt: skip


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser("bench", help="measure: " + ", ".join(_BENCHES))
    names = top.add_subparsers(dest="bench", metavar="NAME", required=True)
    for name, module in _BENCHES.items():
        text = (module.__doc__ or "").strip().splitlines()[0]
        parser = names.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object: bench, conditions, metrics")
        parser.set_defaults(run=run, module=module)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep bench NAME`"""
    with ended_in_order():
        report = arguments.module.run(arguments)
    if arguments.json:
        print(json.dumps(report))
        return 0
    print(f"bench {report['bench']}")
    if "table" in report:
        _print_table(report["table"])
    else:
        for name, value in report["metrics"].items():
            print(f"  {name:<28} {value:>16,}")
    print("  conditions: " + ", ".join(f"{k} {v}" for k, v in report["conditions"].items()))
    return 0


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "case"))
    print(" " * 24 + "".join(f"{name:>15}" for name in columns))
    for row in rows:
        cells = (f"{row[name]:>15,}" if name in row else " " * 15 for name in columns)
        print(f"  {row['case']:<22}" + "".join(cells))
