"""Journals of the tests stand in memory where there is a tmpfs: thousands of them are made and synced."""

from __future__ import annotations

import tempfile
from pathlib import Path


def fast_folder() -> Path:
    """A new folder; the caller removes it."""
    shm = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="lockstep-test-", dir=shm if shm.is_dir() else None))
