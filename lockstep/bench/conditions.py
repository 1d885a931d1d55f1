"""Under which conditions a figure was measured."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any


def conditions(**more: Any) -> dict[str, Any]:
    """Machine, load and versions, and what the bench adds."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
            model = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), model)
    except OSError:
        pass
    return {
        "machine": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_1m": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        **more,
    }
