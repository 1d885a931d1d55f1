"""The table of faults in docs/crash-safety.md: every number is there, and every test that it names."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "crash-safety.md").read_text("utf-8")
ROW = re.compile(r"^\| ([JTPR]\d\d) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
WANTED = [f"{letter}{n:02}" for letter, count in {"J": 26, "T": 6, "P": 14, "R": 14}.items() for n in range(1, count + 1)]


@cache
def named_in(file):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_its_row():
    assert [number for number, *_ in ROWS] == WANTED


@pytest.mark.parametrize(("number", "shown"), [(row[0], row[3]) for row in ROWS])
def test_every_test_that_is_named_exists(number, shown):
    named = re.findall(r"`([^`]+)`", shown)
    assert named, f"{number}: no test is named"
    for name in named:
        file, _, test = name.partition("::")
        assert test.startswith("test_"), name
        assert (ROOT / file).is_file(), name
        assert test in named_in(file), name


def test_tests_name_no_fault_that_is_not_in_the_table():
    """J, T, P, R and two digits in a test's words are numbers of this table."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number in re.findall(r"(?<![\w-])([JTPR]\d\d)(?!\w)", path.read_text("utf-8")):
            assert number in WANTED, f"{path}: {number}"
