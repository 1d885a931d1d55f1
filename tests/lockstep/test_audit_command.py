"""`lockstep audit` as a shell user meets it: forms of output, where options may stand, one line when refused."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from journal.errors import JournalError
from lockstep.commands import audit
from tests.replay.sample_day import make_day, write_day

pytest.importorskip("duckdb", reason="lockstep audit's SQL needs duckdb: pip install 'lockstep[audit]'")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_day(make_day(60), tmp_path_factory.mktemp("day") / "journal"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        parser = argparse.ArgumentParser()
        audit.add_parser(parser.add_subparsers())
        arguments = parser.parse_args(["audit", *words])
        assert arguments.run(arguments) == 0
        return capsys.readouterr().out

    return run


def test_forms(run: Callable[..., str], path: str) -> None:
    sql = "SELECT order_id, price, qty * 0 AS zero, created FROM orders LIMIT 2"
    rows = json.loads(run(path, "--json", sql))
    assert list(rows[0]) == ["order_id", "price", "zero", "created"]
    assert rows[0]["order_id"] == "9·41"
    assert rows[0]["zero"] == "0.000"
    assert rows == json.loads(run("--json", path, sql)) == json.loads(run(path, sql, "--json"))
    table = list(csv.reader(io.StringIO(run(path, sql, "--csv"))))
    assert table == [list(rows[0]), *(list(r.values()) for r in rows)]
    shown = run(path, sql)
    assert "order_id" in shown
    assert rows[1]["created"] in shown
    assert len(run(path, "FROM frames", "--limit", "5").strip().split("\n")) == 6
    assert "orders" in run(path)
    assert run(path) == run(path, "tables")


def test_two_columns_of_one_name_both_arrive(run: Callable[..., str], path: str) -> None:
    assert json.loads(run(path, "--json", "SELECT 1 AS a, 2 AS a, 3 AS b")) == [{"a": 1, "a_2": 2, "b": 3}]


def test_order(run: Callable[..., str], path: str) -> None:
    assert run(path, "order", "9.41").startswith("order 9·41 ")
    assert json.loads(run(path, "order", "9.41", "--json"))["order_id"] == "9·41"


@pytest.mark.parametrize(
    "words",
    [
        ("DROP TABLE x",),
        ("order",),
        ("order", "1", "2"),
        ("order", "9.999"),
        ("order", "9.41", "--csv"),
        ("SELECT * FROM nothing",),
    ],
)
def test_refusals_are_one_line(run: Callable[..., str], path: str, words: tuple[str, ...]) -> None:
    with pytest.raises(JournalError) as refused:
        run(path, *words)
    assert "\n" not in str(refused.value)


def test_no_journal(run: Callable[..., str], tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "absent"):
        with pytest.raises(JournalError, match="journal"):
            run(str(where), "SELECT 1")
