"""Journals of the tests stand in memory where there is a tmpfs: thousands of them are made and synced."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def fast_folder() -> Path:
    shm = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="lockstep-test-", dir=shm if shm.is_dir() else None))


@pytest.fixture
def folder():
    path = fast_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)
