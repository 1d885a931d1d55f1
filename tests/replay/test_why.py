"""The causal tree: whole, right where a replay can tell, and one line where something cannot be said."""

import re
import shutil
import sys

import msgspec
import pytest

from apps.books.app import Books
from journal.frames import frame_at, frames
from journal.messages import (
    ExecutionReport,
    NewOrder,
    OrderSent,
    Position,
    RiskDecision,
    RoutedOrder,
    Side,
    VenueFill,
    order_id_text,
)
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.audit.render import time_text
from replay.causes import chain
from replay.cursor import Cursor
from replay.scene import find
from replay.why import tree_lines, why
from tests.end_to_end.system import configuration, one_line

STRATEGY = """
from apps.strategy import SECOND, Qty, Strategy, on
from journal.messages import NULL, TopOfBook


class Waits(Strategy):
    qty: Qty

    def start(self):
        self.asked = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        if not self.asked and m.bid_px != NULL and m.ask_px != NULL:
            self.asked = m.instrument
            self.wake(self.now + SECOND // 2, token=77)

    def on_timer(self, token):
        self.target(self.asked, self.refdata.qty(self.asked, self.qty))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A day of one order, sent on a timer that a tick half a second earlier had set."""
    folder = tmp_path_factory.mktemp("why")
    source = folder / "waits.py"
    source.write_text(STRATEGY)
    strategy = {"waits": {"class": f"{source}:Waits", "account": "demo", "qty": "0.010"}}
    run_backtest(configuration(folder / "unused", strategy=strategy, backtest={"duration": "2s"}), folder / "day")
    yield folder / "day", source
    sys.modules.pop("waits", None)


@pytest.fixture(scope="module")
def day(made):
    return made[0]


def of(day, cls):
    return list(frames(day, kinds=[cls.KIND]))


@pytest.fixture(scope="module")
def tree(day):
    order = of(day, NewOrder)[0].message.order_id
    return why(day, order_id_text(order))


def step_of(tree, kind):
    return next(s for s in tree.steps if s.kind == kind)


def test_every_hop_hangs_on_the_one_before(day, tree):
    ways = [
        ("NewOrder", "RiskDecision"),
        ("RiskDecision", "RoutedOrder"),
        ("RoutedOrder", "OrderSent"),
        ("OrderSent", "VenueFill"),
        ("ExecutionReport", "Position"),
    ]
    by_seq = {s.seq: s for s in tree.steps}
    for above, below in ways:
        step = step_of(tree, below)
        assert by_seq[step.parent].kind == above
        assert step.after_ns == frame_at(day, step.seq).header.ts - frame_at(day, step.parent).header.ts > 0
        assert any(h.name == f"{above} → {below}" and h.count and h.first_ns <= h.max_ns for h in tree.hops)
    fill = step_of(tree, "VenueFill")
    trade = next(s for s in tree.steps if s.kind == "ExecutionReport" and s.parent == fill.seq)
    assert trade.fields["exec_type"] == "TRADE"
    position = step_of(tree, "Position")
    assert position.parent == trade.seq
    assert position.position == ("0", "0.01")
    assert any(re.fullmatch(r"POSITION \d+ of \d+ ok", check) for check in step_of(tree, "RiskDecision").checks)
    assert not tree.incomplete


def test_the_timer_is_found_where_it_was_set(day, tree):
    timer = step_of(tree, "NewOrder").timer
    assert (timer.app, timer.token) == ("waits", 77)
    set_at = frame_at(day, timer.set_at).header.ts
    assert timer.due == set_at + 500_000_000
    assert frame_at(day, step_of(tree, "NewOrder").seq).header.ts >= timer.due
    with Cursor(day) as cursor:
        assert cursor.at(timer.set_at - 1).slot("waits").timers() == []
        assert cursor.at(timer.set_at).slot("waits").timers() == [(timer.due, 77)]


def test_the_books_are_those_of_a_replay(day, tree):
    with Cursor(day) as cursor:
        for step in tree.steps:
            if step.book is None:
                continue
            book = find(cursor.at(step.seq).group, None, Books).book(step.book.instrument)
            for side, shown in ((Side.BUY, step.book.bids), (Side.SELL, step.book.asks)):
                assert [(x.px, x.qty) for x in shown] == [(x.px, x.qty) for x in book.levels(side, 5)]
    assert {"NewOrder", "RiskDecision", "VenueFill", "Position"} <= {s.kind for s in tree.steps if s.book and s.book.bids}


def test_a_seq_has_what_led_to_it_and_what_followed(day):
    """From the tick, the order; from the position, all the way back to where it began, through the venue's answer."""
    new, position = of(day, NewOrder)[0].header, of(day, Position)[0].header
    assert {s.kind for s in why(day, str(new.cause)).steps} >= {"NewOrder", "RiskDecision", "VenueFill", "Position"}
    back = [type(f.message) for f in chain(day, position.seq)]
    assert back[:-1] == [Position, ExecutionReport, VenueFill, OrderSent, RoutedOrder, RiskDecision, NewOrder]
    steps = why(day, str(position.seq)).steps
    assert [s.seq for s in steps][:2] == [new.cause, new.seq]
    assert steps[-1].seq == position.seq


def test_the_command_prints_a_tree_and_json(day, tree, capsys):
    order = order_id_text(of(day, NewOrder)[0].message.order_id)
    assert main(["why", str(day), order]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == list(tree_lines(day, tree))
    assert f"on its timer 77, due {time_text(step_of(tree, 'NewOrder').timer.due)[11:]}, set at seq" in out
    assert "position 0 → 0.01" in out
    assert "└─RiskDecision of risk  PASS" in out
    assert main(["why", str(day), order, "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert [s["seq"] for s in told["steps"]] == [s.seq for s in tree.steps]
    assert next(s for s in told["steps"] if s["kind"] == "NewOrder")["book"]["bids"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("0", "seq 0 is not in the journal; it has 1 to"), ("99999999", "seq 99999999 is not in"), ("9.99", "nearest: 9·1"),
        ("9" * 5000, "nearest: 9·1"), ("²", "nearest: 9·1"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_a_line(day, capsys, wanted, said):
    assert main(["why", str(day), wanted]) == 2
    assert said in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("wanted", ["99999.1", "9.999999999999999", "9" * 5000, "²", "٣.١"])
def test_a_place_that_cannot_be_is_said_in_a_line(day, capsys, wanted):
    """A source has 16 bits, its numbers have 48."""
    assert main(["debug", str(day), "--at", wanted]) == 2
    one_line(capsys.readouterr().err)


def test_without_the_code_the_tree_and_the_books_stay(made, tmp_path, capsys):
    """Missing, raising, and deciding otherwise."""
    day, source = made
    other = tmp_path / "day"
    shutil.copytree(day, other, ignore=shutil.ignore_patterns("checkpoints"))
    order = order_id_text(of(day, NewOrder)[0].message.order_id)
    text = source.read_text()
    try:
        for code, trouble in (
            (None, "class = "),
            (text.replace("self.asked = 0", "self.asked = 1 // 0"), "division"),
            (text.replace("SECOND // 2", "SECOND // 4"), "waits says something else than the record at seq"),
        ):
            sys.modules.pop("waits", None)
            source.unlink(missing_ok=True)
            if code is not None:
                source.write_text(code)
            shutil.rmtree(other / "checkpoints", ignore_errors=True)
            assert main(["why", str(other), order]) == 1
            out = capsys.readouterr().out
            assert trouble in out.splitlines()[-1]
            assert "book 0." in out or "book 1." in out
            assert "RiskDecision of risk  PASS" in out
    finally:
        source.write_text(text)
        sys.modules.pop("waits", None)


def test_risk_numbers_are_the_record_s(day, tree):
    decision = of(day, RiskDecision)[0].message
    assert len(step_of(tree, "RiskDecision").checks) == len(decision.checks)


def test_of_a_slice_a_timer_from_before_it_is_told_as_far_as_it_is_known(day, tree, tmp_path, capsys):
    order = order_id_text(of(day, NewOrder)[0].message.order_id)
    begin = step_of(tree, "NewOrder").timer.set_at + 1
    end = max(s.seq for s in tree.steps)
    assert main(["slice", str(day), "--from", str(begin), "--to", str(end), "--out", str(tmp_path / "slice")]) == 0
    timer = step_of(why(tmp_path / "slice", order), "NewOrder").timer
    assert (timer.token, timer.due, timer.set_at) == (77, step_of(tree, "NewOrder").timer.due, None)
    assert main(["why", str(tmp_path / "slice"), order]) == 0
    assert re.search(r"on its timer 77, due [0-9:.]+$", capsys.readouterr().out, re.MULTILINE)
