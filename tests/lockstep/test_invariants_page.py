"""docs/invariants.md: every invariant of orders, sends and risk has a check and a test that breaks it, and both exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    cells[0]: cells
    for line in (ROOT / "docs" / "invariants.md").read_text("utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5 and cells[0].startswith("I-")
}


def test_all_are_there() -> None:
    assert list(ROWS) == [f"I-{n}" for n in range(15, 44)]


@pytest.mark.parametrize("row", ROWS)
def test_its_checks_exist(row: str) -> None:
    checks = re.findall(r"`([^`]+)`", ROWS[row][2])
    assert checks
    for check in checks:
        module, _, name = check.partition(":")
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    assert re.match(r"(yes|no: O\()", ROWS[row][3])


@pytest.mark.parametrize("row", ROWS)
def test_what_breaks_it_exists(row: str) -> None:
    tests = re.findall(r"`([^`]+)`", ROWS[row][4])
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert not name or name in _defined(tree), test
    mutants = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "mutants").glob("test_*.py"))
    for mutant in re.findall(r'mutant "([^"]+)"', ROWS[row][4]):
        assert f'"{mutant}"' in mutants


@pytest.mark.parametrize("row", [row for row in ROWS if "test_history.py::BREACHES" in ROWS[row][4]])
def test_the_judge_is_seen_to_catch_it(row: str) -> None:
    assert f'"{row}"' in (ROOT / "tests" / "oms" / "test_history.py").read_text("utf-8")


@pytest.mark.parametrize("row", [row for row in ROWS if "test_invariants.py::BREAKS" in ROWS[row][4]])
def test_the_state_is_broken_by_its_number(row: str) -> None:
    assert re.search(rf'\("{row}[":]', (ROOT / "tests" / "oms" / "test_invariants.py").read_text("utf-8"))


def _defined(tree: ast.Module) -> set[str]:
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found
