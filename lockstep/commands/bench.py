"""`lockstep bench NAME`: figures with their conditions, for people or as one JSON object."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lockstep.bench import replay, scan, seek, sequencer

_BENCHES = {"sequencer": sequencer, "replay": replay, "scan": scan, "seek": seek}


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser("bench", help="measure: sequencer, replay, scan, seek")
    names = top.add_subparsers(dest="bench", metavar="NAME", required=True)
    for name, module in _BENCHES.items():
        text = (module.__doc__ or "").strip().splitlines()[0]
        parser = names.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object: bench, conditions, metrics")
        parser.set_defaults(run=run, module=module)


def run(arguments: argparse.Namespace) -> int:
    """`lockstep bench NAME`"""
    report = arguments.module.run(arguments)
    if arguments.json:
        print(json.dumps(report))
        return 0
    print(f"bench {report['bench']}")
    for name, value in report["metrics"].items():
        print(f"  {name:<28} {value:>16,}")
    print("  conditions: " + ", ".join(f"{k} {v}" for k, v in report["conditions"].items()))
    return 0
