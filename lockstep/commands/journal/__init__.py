"""`lockstep journal ACTION PATH`: look into a journal, live or years later; keep it well.

One module for each group of actions; each has `add_actions(actions)`.
"""

from __future__ import annotations

from typing import Any

from lockstep.commands.journal import checking, indexing, keeping, looking, repairing, sealing


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser(
        "journal",
        help="look into a journal: what it holds, its frames, whether every byte is right",
        description="Looks into a journal, live or years later; no running process is asked. Only index, seal, archive, "
        "retention --execute and repair --apply change something in it.",
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    for module in (checking, looking, sealing, keeping, indexing, repairing):
        module.add_actions(actions)
