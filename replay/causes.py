"""Why a frame is there: the chain of causes from it back to the external input that began it."""

from __future__ import annotations

from pathlib import Path

from journal.frames import Frame, frame_at

CHAIN_MAX = 1000


def chain(path: Path, seq: int) -> list[Frame]:
    """The frame, the one that made its publisher emit it, and so on; an external input (cause 0) last."""
    found: list[Frame] = []
    while seq and len(found) < CHAIN_MAX:
        frame = frame_at(path, seq)
        found.append(frame)
        # A cause is an earlier frame; a body that names a later one is damage, not a reason.
        seq = frame.header.cause if frame.header.cause < seq else 0
    return found
