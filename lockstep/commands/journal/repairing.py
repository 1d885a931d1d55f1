"""`lockstep journal repair`: what can be done about damage, and, when told to, doing it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from journal.repair import Repaired, repair
from journal.repair_plan import Damage, RepairPlan, plan_repair
from lockstep.commands.journal.options import action, with_progress


def add_actions(actions: Any) -> None:
    """Register it."""
    parser = action(
        actions, "repair", run_repair, "say what can be done about damage; with --apply, do it",
        "print the plan, and what was done, as one JSON object",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="folders", action="append", default=[], type=Path, metavar="FOLDER",
        help="look for good copies of damaged segments here (a backup, a replica, an archive); repeatable",
    )  # fmt: skip
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--dry-run", action="store_true", help="change nothing, show the plan (the default)")
    doing.add_argument("--apply", action="store_true", help="do what the plan says")
    parser.add_argument(
        "--cut", action="store_true", help="also end the stream before what cannot be restored: frames are lost, to quarantine/"
    )


def run_repair(arguments: argparse.Namespace) -> int:
    """`lockstep journal repair`"""
    plan = with_progress("looking", lambda progress: plan_repair(arguments.path, arguments.folders, progress))
    done = repair(plan, cut=arguments.cut) if arguments.apply else None
    left = plan_repair(arguments.path, arguments.folders) if done is not None else plan
    if arguments.json:
        found = {"plan": msgspec.to_builtins(plan), "done": msgspec.to_builtins(done), "well": left.well}
        print(json.dumps(found))
    else:
        _print_plan(plan, arguments)
        if done is not None:
            _print_done(plan, done, left)
    return 0 if left.well else 1


def _print_plan(plan: RepairPlan, arguments: argparse.Namespace) -> None:
    if plan.well:
        print(
            f"{plan.path}: nothing to repair: good up to frame {plan.kept_seq:,}."
            " If the end is torn, the next start of the writer cuts it"
        )
        return
    print(f"{plan.path}: good up to frame {plan.last_seq:,}; frames up to {plan.durable_seq:,} were on disk")
    if plan.writer_pid:
        print(f"process {plan.writer_pid} is writing this journal: stop it before --apply")
    print("damage:")
    if plan.control:
        print(f"  {plan.control}")
    for damage in plan.damages:
        for problem in damage.problems:
            print(f"  {problem}")
        for refused in damage.refused:
            print(f"    no use: {refused}")
    for seal in plan.seals:
        print(f"  {seal.problem}")
        for refused in seal.refused:
            print(f"    no use: {refused}")
    print("plan:")
    for step in _steps(plan, arguments):
        print(f"  {step}")


def _steps(plan: RepairPlan, arguments: argparse.Namespace) -> list[str]:
    steps = [f"restore {d.file} from {d.restore_from}; ours goes to quarantine/" for d in plan.damages if d.restore_from]
    if plan.control and (not plan.cut_segment or arguments.cut):
        steps.append("make a new control page from what the segments say")
    unreachable = [d for d in plan.damages if d.unreachable and not d.restore_from]
    steps += [f"{d.file}: make the folder reachable that its link leads to; nothing is cut for it" for d in unreachable]
    steps += [
        f"{d.file}: every frame in it can be read; {_want(d)}" for d in plan.damages if not d.restore_from and not d.frames_lost
    ]
    lost_segments = {d.number for d in plan.damages if not d.restore_from}
    steps += [
        f"restore {s.file} from {s.restore_from}; ours goes to quarantine/" if s.restore_from
        else f"{s.file}: measure the segment again; ours goes to quarantine/"
        for s in plan.seals
        if s.number not in lost_segments and not (arguments.cut and 0 < plan.cut_segment <= s.number)
    ]  # fmt: skip
    if plan.cut_segment:
        lost = max(plan.durable_seq - plan.kept_seq, 0)
        behind = f", {len(plan.cut_files)} segments" if plan.cut_files else ""
        cut = (
            f"end the stream with frame {plan.kept_seq:,}: all behind it in {plan.cut_segment:08d}.seg{behind}, the seals of"
            f" these and snapshots/ go to quarantine/; at least {lost:,} frames that were on disk are lost"
        )
        steps.append(cut if arguments.cut else f"nothing more without a copy: name a backup with --from. Or --cut: {cut}")
    if not unreachable and (not plan.cut_segment or arguments.cut):
        steps.append("make the indices that are missing")
    if not arguments.apply:
        steps.append("nothing has been changed; --apply does it")
    return steps


def _want(damage: Damage) -> str:
    return f"the other bytes of {damage.file} are mended by a copy only (--from)"


def _print_done(plan: RepairPlan, done: Repaired, left: RepairPlan) -> None:
    print("done:")
    for name in done.restored:
        print(f"  {name} restored")
    if done.control_made:
        print("  control page made")
    if done.cut_to_seq:
        print(f"  the stream ends with frame {done.cut_to_seq:,}")
    for name in done.moved:
        print(f"  kept: {name}")
    print(f"  {done.indices_made} indices made")
    if left.well:
        print(f"{plan.path}: well up to frame {left.kept_seq:,}; next: lockstep journal verify {plan.path}")
    else:
        print(f"{plan.path}: still damaged, good up to frame {left.last_seq:,}")
