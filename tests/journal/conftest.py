"""What the journal's tests share."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

# The helpers beside the tests (a second reader, the golden journal's maker) are plain modules, not part of the product.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def folder():
    """An empty folder on the fastest file system there is."""
    from journal_folder import fast_folder

    path = fast_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)
