"""Objects in large pages: they are there, what is given back is used again, and whatever cannot be leaves all as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

from journal.messages import accelerator

pytestmark = pytest.mark.skipif(accelerator.extension("apps.kernel._fast") is None, reason="the accelerator was not built")

_PROGRAM = r"""
import os, re, resource, sys
from apps.pages import use_large_pages

def share(objects, space):
    return sum(space[0] <= id(o) < sum(space) for o in objects) / len(objects)

def used(space):
    "Bytes of the space that may be read: what was carved from it."
    found = 0
    for line in open("/proc/self/maps"):
        low, high, rights = re.match(r"(\w+)-(\w+) (....)", line).groups()
        low, high = int(low, 16), int(high, 16)
        if rights.startswith("r") and space[0] <= low < sum(space):
            found += high - low
    return found

def many(n=200_000):
    return [str(1 << 40 | i) for i in range(n)]

"""


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM + program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_objects_come_from_the_space_and_arenas_are_used_again() -> None:
    run("""
early = many(20_000)
space = use_large_pages()
assert use_large_pages() == space
held = many()
assert share(held, space) > 0.9
before = used(space)
assert before >= 200_000 * 60
del early, held
for _ in range(5):
    held = many()
    assert share(held, space) > 0.9
    del held
assert used(space) <= before + (4 << 20)
""")


def test_a_forked_child_goes_on_without_the_thread() -> None:
    run("""
space = use_large_pages()
held = many(20_000)
child = os.fork()
if child == 0:
    more = many()
    os._exit(0 if share(more, space) > 0.9 and more[7] == str(1 << 40 | 7) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert share(many(), space) > 0.9
""")


def test_where_there_is_no_room_all_stays_as_it_was() -> None:
    run("""
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
assert use_large_pages() is None
assert len(many()) == 200_000
""")
