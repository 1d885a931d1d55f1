"""docs/risk-checks.md lists every check with every reason it has, and an example of every limit; and what it says is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from journal.messages import Reason, RiskCheck
from lockstep.risk_limits import BOUNDS, Bound
from riskengine.checks import CHECKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "risk-checks.md").read_text("utf-8")
ROWS = {
    int(number): (name, bool(by_itself), hard, reasons)
    for number, name, by_itself, hard, reasons in re.findall(
        r"^\| (\d+) \| (\w+)( ●)? \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE
    )
}
EXAMPLES = [
    limit for block in re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for limit in tomllib.loads(block)["risk"]["limits"]
]  # fmt: skip
SOURCES = {p: p.read_text("utf-8") for p in (ROOT / "riskengine" / "checks").glob("*.py")}


def test_every_check_has_a_row_in_order() -> None:
    assert [(n, name) for n, (name, *_) in ROWS.items()] == [(int(c), c.name) for c in RiskCheck if c]


@pytest.mark.parametrize("row", CHECKS, ids=lambda row: row.check.name)
def test_a_row_says_how_its_check_runs(row: object) -> None:
    check = row.check  # type: ignore[attr-defined]
    _, by_itself, hard, _ = ROWS[check]
    limited = check in (
        RiskCheck.PRICE_COLLAR, RiskCheck.ORDER_NOTIONAL, RiskCheck.WORKING_ORDERS, RiskCheck.POSITION, RiskCheck.ORDER_RATE
    )  # fmt: skip
    assert by_itself == (row.by_itself and not limited)  # type: ignore[attr-defined]
    assert (hard == "fixed") == row.fixed == (check not in BOUNDS)  # type: ignore[attr-defined]
    if check in BOUNDS:
        assert (hard == "–") == (BOUNDS[check] is Bound.SWITCH)


def test_the_checks_are_evaluated_in_the_order_of_their_numbers() -> None:
    numbers = [int(row.check) for row in CHECKS]
    assert numbers == sorted(set(numbers))


def test_every_reason_of_a_check_is_one_and_is_on_the_page() -> None:
    listed = {reason for *_, reasons in ROWS.values() for reason in reasons.strip().split(", ")}
    assert listed <= set(Reason.__members__)
    said = {name for text in SOURCES.values() for name in re.findall(r"Reason\.([A-Z_]+)", text)}
    assert said <= listed | {"LIMIT_NOT_DEFINED"}, said - listed


def test_every_limit_has_an_example() -> None:
    assert {limit["check"].upper() for limit in EXAMPLES} == {check.name for check in BOUNDS}
