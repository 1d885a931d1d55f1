"""A class from a file is what the file says."""

import os
import sys

import pytest

from apps.discovery import load_class

APP = """
from apps.app import App

class Mine(App):
    SIZE = {size}
"""


@pytest.fixture
def file(tmp_path):
    yield tmp_path / "discovered_app.py"
    sys.modules.pop("discovered_app", None)


def size_of(file, size):
    """Of the class, once the file says so. All that it says at any time is of one second, and of one length."""
    file.write_text(APP.format(size=size))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    sys.modules.pop("discovered_app", None)
    return load_class(f"{file}:Mine").SIZE


def test_what_was_compiled_before_is_not_taken_for_a_file_of_the_same_second(file, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert [size_of(file, size) for size in (5, 6, 7)] == [5, 6, 7]
