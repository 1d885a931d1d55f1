"""replay: yesterday, as often as needed. Verify, debug, backtest, audit, report.

May import: journal, apps (and through them oms, riskengine), the venue core. Never: a venue, a socket, a ring: a replay
cannot send an order, because nothing here can.
"""

from __future__ import annotations

import typing
from pathlib import Path

if typing.TYPE_CHECKING:
    from replay.cursor import Cursor


def open(path: Path | str) -> Cursor:
    """A cursor over a journal, before its first frame: `replay.open("day").at(500)`."""
    from replay.cursor import Cursor

    return Cursor(path)
