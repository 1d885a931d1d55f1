"""What holds for all tests."""

import os
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, settings

from journal import logs

# Property tests look for wrong answers, not for slow ones: a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A run starts hundreds of processes. Where compiled modules are not kept, each compiles all that it imports: most of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


LONGEST = ("test_extensions.py",)
"""Files whose tests take minutes and stand last in the order of names."""


def pytest_collection_modifyitems(items):
    """They begin first, else one of two workers waits for them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def a_log_of_its_own(monkeypatch):
    """Where lines go is set once a process; a test that sets it must not send the next one's lines to a file that is closed."""
    monkeypatch.setattr(logs, "_sink", logs._Sink())


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left():
    """One that goes on behind its file's last test takes the processor from all others, and calls what they have patched."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 30
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, f"still running: {', '.join(sorted(thread.name for thread in left))}"
