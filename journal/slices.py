"""A slice: a small journal made of a part of another one, whose frames keep their numbers. So it does not begin with seq 1.

    begin-000000003489.state    what its apps start from: their states after the frame 3489 of the whole

Right before its first frame stand those that say who is who (sources, configuration, definitions): from earlier in the whole,
with the numbers of frames that are not here. Nobody writes on behind a slice.
"""

from __future__ import annotations

import re
from pathlib import Path

_BEGIN = re.compile(r"begin-(\d{12})\.state")


def begin_file(folder: Path, seq: int) -> Path:
    """Where the states after a frame of the whole are kept."""
    return folder / f"begin-{seq:012d}.state"


def begins_after(folder: Path | str) -> int:
    """The frame of the whole that a slice begins after; 0 for a whole journal."""
    try:
        found = [int(match[1]) for path in Path(folder).iterdir() if (match := _BEGIN.fullmatch(path.name))]
    except OSError:
        return 0
    return max(found, default=0)
