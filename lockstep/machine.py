"""What this machine is like, as far as a sequencer cares: cores, file systems, how long a sync takes. Read only."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
VOLATILE = frozenset({"tmpfs", "ramfs", "devtmpfs"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "virtiofs"})


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def file_system(path: Path) -> str:
    """The type of the file system that holds a path."""
    real, best, kind = str(existing(path).resolve()), "", "unknown"
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            _, at, what, *_ = line.split()
            at = at.encode().decode("unicode_escape")
            if (real == at or real.startswith(at.rstrip("/") + "/")) and len(at) >= len(best):
                best, kind = at, what
    return kind


def sync_us(path: Path) -> float | None:
    """How long fdatasync of 4 KiB takes in the folder, the median of nine; None: it cannot be tried there."""
    try:
        with tempfile.TemporaryFile(dir=existing(path)) as file:
            took = []
            for _ in range(9):
                os.pwrite(file.fileno(), b"\0" * 4096, 0)
                begun = time.perf_counter()
                os.fdatasync(file.fileno())
                took.append(time.perf_counter() - begun)
    except OSError:
        return None
    return round(statistics.median(took) * 1e6, 1)


def cores() -> list[int]:
    """Those that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def isolated() -> set[int]:
    """Cores that the kernel gives to nobody who does not ask."""
    return _numbers(_text(CPUS / "isolated"))


def governor(cpu: int) -> str:
    """How a core's frequency is chosen; "" where the machine does not say."""
    return _text(CPUS / f"cpu{cpu}" / "cpufreq" / "scaling_governor")


def memory_available() -> int:
    """Bytes that can be had without swapping."""
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
