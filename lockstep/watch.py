"""What a running sequencer does, as numbers: two looks at its shared memory make rates. `lockstep top` shows them.

Looking costs the sequencer nothing: telemetry file and control page are mapped to read, each word means something by itself.
What people and limits have done is read from the journal, as any reader does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec

from journal.clock import SystemClock
from journal.errors import JournalError
from journal.frames import frame_at
from journal.messages import Reason, SourceRole, SourceStateCode
from journal.segment import CONTROL, ControlPage
from lockstep.controls import Controls
from sequencer.settings import IDLE
from sequencer.telemetry import Telemetry, name_of, percentile

HISTOGRAMS = {
    "pass_ns": "pass (1 in 512)", "pass_frames": "frames a pass", "park_ns": "park (1 in 4)", "sync_ns": "sync",
    "durable_ns": "seen to durable", "prepare_ns": "prepare a segment",
}  # fmt: skip
_COUNTERS = (
    "incarnation", "accepted", "rejected", "duplicates", "last_source_seq", "accepted_seq", "bytes", "fill", "high_water",
    "full_waits", "seen_seq", "bans", "ban_seq", "rests", "late", "ring_bytes",
)  # fmt: skip


class Look(msgspec.Struct):
    """Everything at one moment."""

    at: float
    loop: dict[str, int]
    sources: dict[str, dict[str, int]]
    histograms: dict[str, list[int]]


class Watch:
    """One journal, watched. `page` each time one is to be shown."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.telemetry = Telemetry(journal)
        self.control = ControlPage(journal / CONTROL)
        self.controls = Controls(journal)
        self._before: Look | None = None

    def _look(self) -> Look:
        page = self.telemetry.page
        names = ("turns", "frames", "stalls", "parks", "segment", "offset", "attached", "syncs", "prepared", "prepare_error")
        return Look(
            at=time.monotonic(),
            loop={name: int(getattr(page, name)) for name in names},
            sources={
                name_of(s): {n: int(getattr(s, n)) for n in (*_COUNTERS, "role", "source", "state", "last_reject_reason")}
                for s in self.telemetry.sources
            },
            histograms={name: list(getattr(page, name).bucket) for name in HISTOGRAMS},
        )

    def _until_ns(self, written: int, *, running: bool) -> int:
        """Now; of a session that has ended, the time of its last frame, which is as near as a clock frame is to its end."""
        if not running and written:
            with contextlib.suppress(JournalError):
                return frame_at(self.journal, written).header.ts
        return SystemClock().now_ns()

    def page(self) -> dict[str, Any]:
        """The numbers now, and what they have become by since the last call (rates 0 the first time)."""
        if self.telemetry.replaced():
            self.telemetry, self._before = Telemetry(self.journal), None
        now, before = self._look(), self._before
        self._before = now
        seconds = now.at - before.at if before is not None else 0.0
        control, page = self.control.c, self.telemetry.page
        written, durable, replicated = int(control.written_seq), int(control.durable_seq), int(control.replicated_seq)
        size = int(page.segment_bytes)
        free = shutil.disk_usage(self.journal).free

        def rate(new: int, old: int) -> float:
            return round((new - old) / seconds, 1) if seconds > 0 else 0.0

        place = now.loop["segment"] * size + now.loop["offset"]
        grows = rate(place, before.loop["segment"] * size + before.loop["offset"]) if before is not None else 0.0
        ended = f"halted, {_name(Reason, int(control.halted))}" if control.halted else "ended"
        state = "running" if int(control.writer_pid) == page.pid and _alive(page.pid) else ended
        return {
            "journal": str(self.journal),
            "state": state,
            "pid": int(page.pid), "epoch": int(page.epoch),
            "up_s": max(0, (self._until_ns(written, running=state == "running") - int(page.started_ns)) // 10**9),
            "idle": next((name for name, code in IDLE.items() if code == page.idle), "?"),
            "cpu": int(page.cpu) if page.cpu >= 0 else None,
            "watermarks": {
                "written": written, "durable": durable, "not_durable": max(0, written - durable),
                "replicated": replicated or None, "not_replicated": max(0, written - replicated) if replicated else None,
            },
            "loop": now.loop | {
                "frames_per_s": rate(now.loop["frames"], before.loop["frames"]) if before is not None else 0.0,
                "syncs_per_s": rate(now.loop["syncs"], before.loop["syncs"]) if before is not None else 0.0,
                "parks_per_s": rate(now.loop["parks"], before.loop["parks"]) if before is not None else 0.0,
            },
            "disk": {
                "segment_bytes": size, "segment_used": round(now.loop["offset"] / size, 3) if size else 0.0, "free_bytes": free,
                "bytes_per_s": grows, "hours_left": round(free / grows / 3600, 1) if grows > 0 else None,
            },
            "histograms": {
                name: _summary(name, self.telemetry.page, counts, before.histograms[name] if before is not None else None)
                for name, counts in now.histograms.items()
            },
            "control": self.controls.look(),
            "sources": [
                _source(name, s, before.sources.get(name) if before is not None else None, seconds, written)
                for name, s in now.sources.items()
            ],
        }  # fmt: skip


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _summary(name: str, page: Any, counts: list[int], before: list[int] | None) -> dict[str, int]:
    recent = [new - old for new, old in zip(counts, before, strict=True)] if before is not None else []
    most = int(getattr(page, name).max)  # the middle of the last bucket may lie above it
    return {
        "count": sum(counts), "max": most, "now_p99": min(most, percentile(recent, 0.99)),
        **{key: min(most, percentile(counts, share)) for key, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))},
    }  # fmt: skip


def _source(name: str, s: dict[str, int], before: dict[str, int] | None, seconds: float, written: int) -> dict[str, Any]:
    def rate(key: str) -> float:
        return round((s[key] - before[key]) / seconds, 1) if before is not None and seconds > 0 else 0.0

    state = "banned" if s["ban_seq"] else _name(SourceStateCode, s["state"]).lower() if s["state"] else "never attached"
    return {
        "name": name, "source": s["source"], "role": _name(SourceRole, s["role"]).lower(), "state": state,
        **{key: s[key] for key in _COUNTERS},
        "last_reject_reason": _name(Reason, s["last_reject_reason"]) if s["last_reject_reason"] else "",
        "messages_per_s": rate("accepted"), "bytes_per_s": rate("bytes"), "rejects_per_s": rate("rejected"),
        "lag": max(0, written - s["seen_seq"]) if s["seen_seq"] and s["state"] == SourceStateCode.ATTACHED else None,
    }  # fmt: skip


def _name(enum: Any, code: int) -> str:
    try:
        return str(enum(code).name)
    except ValueError:
        return str(code)
