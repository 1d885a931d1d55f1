"""The page on the order's life says what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockstep import order_life
from oms.transitions import TABLE, Event, State

ODDITIES = Path(__file__).parents[1] / "golden" / "oddities"


def test_the_page_is_up_to_date() -> None:
    """`python -m lockstep.order_life` writes it anew."""
    text = order_life.PAGE.read_text(encoding="utf-8")
    assert order_life.page(text) == text


def test_every_pair_of_the_table_is_on_it() -> None:
    rows = [line for line in order_life.table().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(Event)
    for event, row in zip(Event, rows, strict=True):
        cells = re.findall(r"`([^`]*)`", row)
        assert len(cells) == len(State)
        for state, cell in zip(State, cells, strict=True):
            assert cell.startswith(TABLE[event][state].to)
            assert ("!" in cell, "?" in cell) == (TABLE[event][state].alert, TABLE[event][state].query)


def test_every_way_out_of_a_state_is_an_arrow() -> None:
    arrows = set(re.findall(r"^    (\w+) --> (\w+):", order_life.diagram(), flags=re.MULTILINE))
    for row in TABLE.values():
        for state, cell in row.items():
            if cell.to in State.__members__ and State[cell.to] is not state:
                assert (state.name, cell.to) in arrows


def test_a_page_without_its_marks_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="expected the lines"):
        order_life.page("# empty")


def test_every_oddity_on_it_has_its_journal() -> None:
    named = re.findall(r"^\| `([a-z_]+)`", order_life.PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(named) == sorted(f.stem for f in ODDITIES.glob("*.txt"))
