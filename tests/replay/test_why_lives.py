"""Every kind of life that an order can have: what led to it and what came of it, as `why` tells it, with the frames that
`audit order` tells it by.

LOCKSTEP_REWRITE_GOLDEN=1 writes the pages anew; read the difference before committing it."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from journal.frames import frames
from journal.messages import (
    NULL,
    CancelAll,
    Channel,
    CommandCode,
    ContingencyType,
    CorrectionAction,
    DownloadBegin,
    ExecType,
    Funding,
    KillLevel,
    KillSwitch,
    KillTrigger,
    LimitAction,
    ListMember,
    ListRole,
    MmpState,
    NewOrder,
    OrderList,
    OrdStatus,
    OrdType,
    ParentOrder,
    RawMessage,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
    ReplaceOrder,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    ScopeType,
    Side,
    SupportType,
    TrailType,
    VenueMmpState,
    order_id_of,
    order_id_text,
)
from lockstep.cli import main
from oms.budgets import Kind, Rule
from replay.audit import Stream, order_life
from replay.causes import chain
from replay.finding import NoSuchPlace
from replay.player import verify
from replay.why import Why, tree_lines, why
from tests.replay.desk import GATEWAY, LOADER, MARKET, SECOND, STRATEGY, Desk

GOLDEN = Path(__file__).parents[1] / "golden" / "why"
TICK = "MarketByPriceSnapshot > TopOfBook > "
SENT = TICK + "NewOrder > RiskDecision > RoutedOrder > OrderSent > "
QUOTED = TICK + "MassQuote > RiskDecision > RoutedOrder > OrderSent > "
PERSON = "OperatorCommand > "


class Life(msgspec.Struct):
    """A script, and what its page has to say whatever else is on it."""

    script: Callable[[Desk], int]
    ways: tuple[str, ...]
    """Kinds from a beginning to what came of it."""
    words: tuple[str, ...]
    desk: dict[str, Any]


LIVES: dict[str, Life] = {}


def life(*ways: str, words: tuple[str, ...] = (), **desk: Any) -> Callable[[Callable[[Desk], int]], Callable[[Desk], int]]:
    """The script gives the order that is asked about."""

    def named(script: Callable[[Desk], int]) -> Callable[[Desk], int]:
        LIVES[script.__name__] = Life(script, ways, words, desk)
        return script

    return named


# Replaced and canceled.


@life(
    TICK + "ReplaceOrder > RiskDecision > RoutedReplace > OrderSent > VenueOrderUpdate > ExecutionReport",
    SENT + "VenueFill > ExecutionReport > Position",
    words=("ORDER_NOTIONAL 10 of 40 ok", "AMEND  0.2 @ 49.9", "REPLACED → NEW  0.2 @ 49.9"),
)
def replaced(d: Desk) -> int:
    limit_of_an_order(d)
    order = d.working()
    d.tick(4998, 5000)
    d.replace(order, order_qty=200)
    d.replaced(order, order_qty=200)
    d.fill(order, 200)
    return order


@life(
    TICK + "ReplaceOrder > RiskDecision > OrderCancelReject",
    "RiskLimitSet",
    words=("ORDER_NOTIONAL 45 of 40 FAIL, read at ", "REPLACE → NEW  reason MAX_ORDER_NOTIONAL"),
)
def replace_refused_by_risk(d: Desk) -> int:
    limit_of_an_order(d)
    order = d.working()
    d.replace(order, order_qty=900)
    return order


@life(
    SENT + "VenueFill > ExecutionReport > Position",
    TICK + "ReplaceOrder > RiskDecision > RoutedReplace > OrderSent > VenueOrderUpdate > ExecutionReport",
    words=("TRADE → PENDING_REPLACE", "REPLACED → PARTIALLY_FILLED  0.06 @ 49.9  cum 0.05  leaves 0.01"),
)
def replace_crossed_by_a_fill(d: Desk) -> int:
    order = d.working()
    d.replace(order, order_qty=60)
    d.fill(order, 50)
    d.replaced(order, OrdStatus.PARTIALLY_FILLED, order_qty=60)
    return order


def limit_of_an_order(d: Desk, **terms: int) -> None:
    of_all = {"scope_type": ScopeType.GLOBAL} | terms
    d.put(RiskLimitSet(limit=1, check=RiskCheck.ORDER_NOTIONAL, hard=40, currency=1, **of_all), LOADER)


@life(TICK + "CancelOrder > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport")
def canceled(d: Desk) -> int:
    order = d.working()
    d.tick(4990, 4992)
    d.cancel(order)
    d.canceled(order)
    return order


@life("VenueOrderUpdate > ExecutionReport", words=("CANCELED  reason LIQUIDATION  venue id V8·1  text by the venue's desk",))
def canceled_by_the_venue(d: Desk) -> int:
    order = d.working()
    d.update(order, ExecType.CANCELED, OrdStatus.CANCELED, reason=Reason.LIQUIDATION, text="by the venue's desk")
    return order


def kill(d: Desk) -> None:
    m = KillSwitch(kill=7, level=KillLevel.BLOCK_CANCEL, trigger=KillTrigger.OPERATOR, scope_type=ScopeType.GLOBAL)
    d.command(CommandCode.KILL, m, reason="fat finger", user=2)


@life(
    PERSON + "KillSwitch > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport",
    words=("OperatorCommand of operator  KILL  by bob  reason fat finger", "KillSwitch of operator  BLOCK_CANCEL"),
)
def canceled_by_a_kill(d: Desk) -> int:
    order = d.working()
    d.working(px=4980)
    kill(d)
    d.canceled(order)
    return order


@life(
    TICK + "NewOrder > RiskDecision > ExecutionReport",
    PERSON + "KillSwitch",
    words=("KILL_SWITCH 7 FAIL, read at ", "KILL  by bob  reason fat finger"),
)
def refused_by_a_kill(d: Desk) -> int:
    kill(d)
    return d.new()


@life(
    TICK + "NewOrder > KillSwitch > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport",
    TICK + "NewOrder > RiskDecision",
    TICK + "NewOrder > Violation",
    words=(
        "ORDER_NOTIONAL 45 of 40 FAIL",
        "trigger LIMIT",
        "reason limit 1: ORDER_NOTIONAL",
        "value 45  bound 40",
        "scope STRATEGY  strategy maker",
    ),
    risk={"violations": True},
)
def canceled_by_a_kill_of_risk(d: Desk) -> int:
    limit_of_an_order(d, action=LimitAction.KILL)
    order = d.working()
    d.new(900)
    d.canceled(order)
    return order


@life(
    PERSON + "CancelAll > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport",
    PERSON + "CancelAll > CancelAllReport",
    words=("CANCEL_ALL  by alice  reason too much", "CancelAll of operator  account main", "matched 2  canceled 2  final 1"),
)
def canceled_with_all(d: Desk) -> int:
    order, other = d.working(), d.working(px=4980)
    d.cancel_all("too much")
    d.canceled(order)
    d.canceled(other)
    return order


@life(
    PERSON + "CancelAll > RoutedCancelAll > OrderSent > VenueOrderUpdate > ExecutionReport",
    PERSON + "CancelAll > ExecutionReport",
    SENT + "VenueOrderUpdate > ExecutionReport",
    words=("CANCEL_ALL  by alice  reason too much",),
    supports=int(SupportType.CANCEL_ALL),
)
def canceled_with_all_by_one_request(d: Desk) -> int:
    order, other = d.working(), d.working(px=4980)
    d.cancel_all("too much")
    d.canceled(order)
    d.canceled(other)
    return order


# Parents and children.

TWAP = {"symbols": ["BTCUSD"], "qty": "0.3", "seconds": 4, "slices": 3, "limit_ticks": 3}


def sliced(d: Desk) -> list[int]:
    """A parent and its children, each filled before the next."""
    for n in range(3):
        d.wait(SECOND)
        child = d.said(NewOrder)[-1]
        d.fill(child.order_id, child.order_qty, child.price_px)
        d.tick(4999 + n, 5001 + n)
    return [d.said(ParentOrder)[0].order_id, *(m.order_id for m in d.said(NewOrder))]


@life(
    "MarketByPriceSnapshot > ParentOrder > ExecutionReport",
    "Clock > NewOrder > RiskDecision > RoutedOrder > OrderSent > VenueFill > ExecutionReport > Position",
    words=("child 10·2   BUY 0.1", "child 10·4   BUY 0.1", "FILLED  cum 0.3  leaves 0  report_flags PARENT", "on its timer 1"),
    twap=TWAP,
)
def parent(d: Desk) -> int:
    return sliced(d)[0]


@life(
    "MarketByPriceSnapshot > ParentOrder",
    "Clock > NewOrder > RiskDecision > RoutedOrder > OrderSent > VenueFill > ExecutionReport > Position",
    words=("parent 10·1   BUY 0.3 BTCUSD TWAP @ 50.03 twap → FILLED", "0.1 @ 50.01  parent 10·1", "on its timer 1, due "),
    twap=TWAP,
)
def child(d: Desk) -> int:
    return sliced(d)[2]


@life(
    "RawMessage > NewOrder > RiskDecision > RoutedOrder > OrderSent",
    words=("RawMessage of market  stream 1", "on its timer 1, due 00:00:02.040000000"),
    twap=TWAP,
)
def child_at_a_raw_message(d: Desk) -> int:
    """A timer falls due at any frame; in a live system mostly at the venue's own words."""
    d.stream.ts += SECOND
    d.put(RawMessage(stream=1), MARKET)
    d.hand_over()
    return int(d.said(NewOrder)[-1].order_id)


def by_hand(d: Desk) -> int:
    m = ParentOrder(order_id=order_id_of(STRATEGY, 900), account=1, strategy=1, instrument=1, side=Side.BUY, order_qty=150,
                    limit_px=5000, algo=1)  # fmt: skip
    d.ask(m)
    d.working(100, parent_order_id=m.order_id)
    return m.order_id


@life(
    TICK + "NewOrder > RiskDecision",
    TICK + "ParentOrder",
    words=("parent 8·900   BUY 0.15", "PARENT_INVARIANTS 0.2 of 0.15 FAIL, read at "),
)
def child_of_too_much(d: Desk) -> int:
    return d.new(100, parent_order_id=by_hand(d))


@life(TICK + "NewOrder > RiskDecision", words=("PARENT_INVARIANTS 50.01 of 50 FAIL, read at ",))
def child_beyond_the_limit(d: Desk) -> int:
    return d.new(10, 5001, parent_order_id=by_hand(d))


# Quotes.

MMP = {"mmp": {"window_ns": SECOND, "fills": 2}}


def traded_on_both_sides(d: Desk) -> list[int]:
    sides = d.quote(4990, 5010)
    for order in sides:
        d.ack(order)
    d.fill(sides[0], 4)
    d.fill(sides[1], 3, 5010, Side.SELL)
    for order in sides:
        d.canceled(order)
    return sides


@life(
    QUOTED + "VenueFill > ExecutionReport > Position",
    QUOTED + "VenueFill > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport",
    QUOTED + "VenueFill > QuoteStatusReport",
    words=("[BTCUSD 0.01 @ 49.9 | 0.01 @ 50.1]", "rule MMP_TRIGGERED", "quote 8·", "position 0 → 0.004", "worth 0.501"),
    oms=MMP,
)
def quote_frozen_by_its_other_side(d: Desk) -> int:
    return traded_on_both_sides(d)[0]


@life(
    TICK + "MassQuote > RiskDecision > RoutedQuote > OrderSent > VenueFill > ExecutionReport > Position",
    TICK + "MassQuote > RiskDecision > RoutedQuote > OrderSent > VenueFill > Alert",
    words=("RoutedQuote of oms", "position 0.004 → 0.001", "QuoteStatusReport of oms"),
    oms=MMP,
    supports=int(SupportType.MASS_QUOTE),
)
def quote_that_goes_as_one(d: Desk) -> int:
    return traded_on_both_sides(d)[1]


@life(
    "VenueMmpState > RoutedCancel > OrderSent > VenueOrderUpdate > ExecutionReport",
    "VenueMmpState > Alert",
    words=("VenueMmpState of venue  main  mmp_group 1  state FROZEN",),
)
def quote_frozen_by_the_venue(d: Desk) -> int:
    sides = d.quote(4990, 5010)
    for order in sides:
        d.ack(order)
    d.put(VenueMmpState(account=1, mmp_group=1, state=MmpState.FROZEN), GATEWAY)
    d.hand_over()
    d.canceled(sides[0])
    return sides[0]


# Held orders.


@life(
    TICK + "EmulatedTrigger > RiskDecision > RoutedOrder > OrderSent > VenueFill > ExecutionReport > Position",
    TICK + "NewOrder > RiskDecision > ExecutionReport",
    words=("stop 49.8", "EmulatedTrigger of oms  trigger BID  saw 49.79  for 49.8", "position 0.1 → 0"),
)
def stop(d: Desk) -> int:
    d.fill(d.working(), 100)
    order = d.new(px=NULL, side=Side.SELL, ord_type=OrdType.STOP, stop_px=4980)
    d.tick(4985, 4987)
    d.tick(4979, 4981)
    d.fill(order, 100, 4979, Side.SELL)
    return order


@life(
    TICK + "EmulatedTrigger > RiskDecision > RoutedOrder > OrderSent",
    words=("trail 5 TICKS", "saw 49.94  for 49.95"),
)
def trailing_stop(d: Desk) -> int:
    order = d.new(px=NULL, side=Side.SELL, ord_type=OrdType.TRAILING_STOP, trail_offset=5, trail_type=TrailType.TICKS)
    d.tick(5000, 5002)
    d.tick(4994, 4996)
    return order


@life(TICK + "EmulatedTrigger > RiskDecision > RoutedOrder > OrderSent", words=("saw 49.81  for 49.85", "0.1 @ 49.9"))
def if_touched(d: Desk) -> int:
    order = d.new(ord_type=OrdType.LIMIT_IF_TOUCHED, stop_px=4985)
    d.tick(4979, 4981)
    return order


@life("Clock > EmulatedTrigger > RiskDecision > RoutedOrder > OrderSent", words=("trigger TIME", "on its timer of order 8·1"))
def held_until_a_time(d: Desk) -> int:
    order = d.new(release_ts=d.stream.ts + 2 * SECOND)
    d.wait(3 * SECOND)
    return order


def one_cancels_the_other(d: Desk) -> list[int]:
    both = [order_id_of(STRATEGY, 1), order_id_of(STRATEGY, 2)]
    members = [ListMember(order_id=n, role=ListRole.SIBLING) for n in both]
    made = OrderList(list_id=order_id_of(STRATEGY, 50), contingency=ContingencyType.OCO, members=members)
    d.ask(made)
    d.new(10, 4980, list_id=made.list_id)
    d.new(20, NULL, list_id=made.list_id, ord_type=OrdType.STOP, stop_px=5050)
    d.fill(both[0], 10, 4980)
    return both


@life(
    TICK + "NewOrder > RiskDecision > RoutedOrder > OrderSent > VenueFill > ExecutionReport",
    TICK + "OrderList > ListStatus",
    words=("list 8·1   BUY 0.01", "VenueFill of venue  order 8·1", "canceled 0.02  reason CONTINGENCY",
           "[8·1 cum 0.01 → FILLED] [8·2 → CANCELED]"),
)  # fmt: skip
def canceled_because_the_other_filled(d: Desk) -> int:
    return one_cancels_the_other(d)[1]


# Reconciled.

RECONCILE = {
    "oms": {"reconcile": {"interval_ns": 10 * SECOND, "lookback_ns": 3600 * SECOND}},
    "positions": {"reconcile": {"position_tolerance": "0", "balance_tolerance": "0"}},
}


@life(
    "Clock > RoutedQuery",
    "Clock > ReconcileStarted",
    "Clock > RoutedQuery > DownloadBegin > VenueFill > ReconcileDifference",
    "Clock > RoutedQuery > DownloadBegin > VenueFill > ExecutionReport > Position",
    words=(
        "UNKNOWN  cum 0  leaves 0.1  reason OUTCOME_UNKNOWN",
        "FILL_MISSING_HERE  ours 0  theirs 0.04  run 2",
        "by DOWNLOAD",
    ),
    **RECONCILE,
)
def unknown_until_a_download(d: Desk) -> int:
    order = d.new()
    d.wait(6 * SECOND)
    assert d.status(order) == OrdStatus.UNKNOWN
    d.wait(6 * SECOND)
    d.download(lambda: d.fill(order, 40, channel=Channel.DOWNLOAD), lambda: open_there(d, order, 40))
    return order


def open_there(d: Desk, order: int, cum: int) -> None:
    terms = {"order_qty": 100, "price_px": 4990, "cum_qty": cum, "channel": Channel.QUERY}
    d.update(order, ExecType.ORDER_STATUS, OrdStatus.PARTIALLY_FILLED, asked=d.placed(order), **terms)


@life(
    PERSON + "ReconcileCorrection > ExecutionReport",
    "DownloadEnd > ReconcileDifference",
    words=("by bob  reason asked their desk", "CLOSE_OURS", "ours NEW  theirs UNKNOWN", "halted until a person decides"),
    **RECONCILE,
)
def closed_by_a_person(d: Desk) -> int:
    order = d.working()
    for _ in range(6):
        d.wait(20 * SECOND)
        d.download()
    m = ReconcileCorrection(difference_seq=d.last(ReconcileDifference), user=2, action=CorrectionAction.CLOSE_OURS)
    d.command(CommandCode.APPROVE_CORRECTION, m, reason="asked their desk", user=2)
    assert d.status(order) == OrdStatus.CANCELED
    return order


# At the gateway, and before it.


@life(TICK + "NewOrder > RiskDecision > RoutedOrder > SendRefused > ExecutionReport", words=("reason NOT_CONNECTED",))
def refused_by_the_gateway(d: Desk) -> int:
    d.refusing = Reason.NOT_CONNECTED
    return d.new()


BUDGET = msgspec.to_builtins(Rule(name="r", venue=1, kind=Kind.ROLLING_WINDOW, limit=1, period_ns=SECOND, reserve_percent=0))


@life(
    TICK + "NewOrder > RiskDecision > ExecutionReport",
    "Clock > RoutedOrder > OrderSent > VenueOrderUpdate > ExecutionReport",
    words=("reason VENUE_RATE_BUDGET  text new waits, 0 before it", "on its timer "),
    oms={"budgets": [BUDGET]},
)
def held_by_a_rate_budget(d: Desk) -> int:
    d.new()
    order = d.new(px=4980)
    d.wait(2 * SECOND)
    d.ack(order)
    return order


# What is asserted of each.


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Why]]:
    """The journal of a life and its tree, as the command gives it; each made once."""
    made: dict[str, tuple[Path, Why]] = {}

    def tell(name: str) -> tuple[Path, Why]:
        if name not in made:
            desk = Desk(tmp_path_factory.mktemp(name) / "day", **LIVES[name].desk)
            try:
                order = LIVES[name].script(desk)
            finally:
                desk.close()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert main(["why", str(desk.path), order_id_text(order), "--json"]) == 0
            made[name] = desk.path, msgspec.json.decode(said.getvalue(), type=Why)
        return made[name]

    return tell


def ways(tree: Why) -> list[str]:
    """The kinds from each beginning to each frame."""
    found: dict[int, str] = {}
    for step in tree.steps:
        above = f"{found[step.parent]} > " if step.parent else ""
        found[step.seq] = above + step.kind
    return list(found.values())


@pytest.mark.parametrize("name", LIVES)
def test_the_tree_is_whole(name: str, told: Any) -> None:
    path, tree = told(name)
    lines = list(tree_lines(path, tree))
    page = "\n".join(lines) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LOCKSTEP_REWRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")
    assert not set(LIVES[name].ways) - set(ways(tree))
    for word in LIVES[name].words:
        assert word in page
    assert tree.incomplete == ""
    for step in tree.steps:
        assert step.fields or step.kind == "Clock"
        assert step.parent < step.seq
        assert (step.after_ns is None) == (step.parent == 0)
        assert (step.book is not None) == bool(step.instrument)


@pytest.mark.parametrize("name", LIVES)
def test_the_audit_has_the_same_frames(name: str, told: Any) -> None:
    path, tree = told(name)
    audited = order_life(Stream(path), tree.about.removeprefix("order "))
    assert [(e.seq, e.parent, e.fields, e.checks) for e in audited.events] == [
        (s.seq, s.parent, s.fields, s.checks) for s in tree.steps
    ]
    assert audited.related == tree.related


@pytest.mark.parametrize("name", LIVES)
def test_the_debugger_s_chain_is_the_tree_s(name: str, told: Any) -> None:
    """Both ask the same of every frame, one step at a time or all at once."""
    path, tree = told(name)
    parents = {s.seq: s.parent for s in tree.steps}
    for step in tree.steps:
        up = [step.seq]
        while parents[up[-1]]:
            up.append(parents[up[-1]])
        assert [f.header.seq for f in chain(path, step.seq)] == up


@pytest.mark.parametrize("name", ["replaced", "parent", "quote_that_goes_as_one", "stop", "closed_by_a_person"])
def test_the_apps_decide_it_again(name: str, told: Any) -> None:
    verdict = verify(told(name)[0])
    assert verdict.identical, verdict.difference
    assert verdict.decisions > 10


def test_every_number_a_check_saw_is_there(told: Any) -> None:
    """Of each decision of the tree, also of the second one of a held order and of one on a replace."""
    for name in ("replaced", "stop", "child_of_too_much"):
        path, tree = told(name)
        decided = {f.header.seq: f.message for f in frames(path, kinds=[RiskDecision.KIND])}
        for step in (s for s in tree.steps if s.kind == "RiskDecision"):
            assert len(step.checks) == len(decided[step.seq].checks) > 3
    numbers = [c for s in told("replaced")[1].steps for c in s.checks]
    assert {"GATE READY of READY ok", "PERMISSION maker of maker ok", "CLIENT_ID_UNIQUE 8·1 ok"} <= set(numbers)
    assert "PRICE_INCREMENT 49.9 of 0.01 ok" in numbers


def test_a_fill_that_no_download_told_hangs_on_the_sending(tmp_path: Path) -> None:
    """What the venue answers to a question about one order has the same channel; a download that is over, and one of another
    gateway, have not told it."""
    desk = Desk(tmp_path / "day", **RECONCILE)
    order = desk.working()
    desk.download()
    desk.put(DownloadBegin(account=2, download=1, gateway=MARKET), MARKET)
    desk.fill(order, 40, channel=Channel.DOWNLOAD)
    desk.close()
    assert {way for way in ways(why(desk.path, order_id_text(order))) if "VenueFill" in way} == {
        SENT + "VenueFill",
        SENT + "VenueFill > ExecutionReport",
        SENT + "VenueFill > ExecutionReport > Position",
    }


def test_a_payment_of_funding_leads_to_the_positions_and_goes_back_to_the_download(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "day", **RECONCILE)
    desk.fill(desk.working(), 100)
    terms = {"account": 1, "instrument": 1, "currency": 1, "rate": 250_000_000, "position_qty": 100, "payment_exp": -4}
    m = Funding(payment=-13, funding_ts=desk.stream.ts, channel=Channel.DOWNLOAD, **terms)
    desk.download(lambda: desk.put(m, GATEWAY))
    seq = desk.last(Funding)
    desk.close()
    tree = why(desk.path, str(seq))
    assert {way.partition("DownloadBegin > ")[2] for way in ways(tree)} >= {"Funding", "Funding > Position"}
    page = "\n".join(tree_lines(desk.path, tree))
    assert "Funding of venue  BTCUSD  payment -0.0013 USD  position_qty 0.1  rate 0.00025  by DOWNLOAD" in page
    assert "funding -0.0013 USD" in page


def test_of_a_command_all_orders_that_it_ended(told: Any) -> None:
    path, _ = told("canceled_with_all")
    (asked,) = [f.header.seq for f in frames(path, kinds=[CancelAll.KIND])]
    tree = why(path, str(asked))
    assert {s.order for s in tree.steps if s.kind == "ExecutionReport"} == {"8·1", "8·2"}
    page = "\n".join(tree_lines(path, tree))
    assert page.startswith(f"seq {asked}   CancelAll of operator  account main  scope ACCOUNT")
    assert "ExecutionReport of oms  order 8·2  CANCELED" in page


@pytest.mark.parametrize(("name", "asks"), [("parent", ParentOrder), ("child", NewOrder)])
def test_a_frame_that_asks_for_an_order_stands_for_it(name: str, asks: Any, told: Any) -> None:
    path, tree = told(name)
    (seq,) = (s.seq for s in tree.steps if s.kind == asks.__name__ and s.order == tree.about.removeprefix("order "))
    assert list(tree_lines(path, why(path, str(seq)))) == list(tree_lines(path, tree))


def test_a_list_is_told_by_its_first_order(told: Any) -> None:
    path, _ = told("canceled_because_the_other_filled")
    tree = why(path, "8.50")
    assert (tree.about, [r.order_id for r in tree.related]) == ("order 8·1", ["8·2"])


def test_an_order_is_found_by_a_venue_s_number_and_by_a_request_s_client_id(tmp_path: Path) -> None:
    """A number that is no seq of the journal may be one."""
    desk = Desk(tmp_path / "day")
    order = desk.working()
    desk.update(order, ExecType.ORDER_STATUS, OrdStatus.NEW, client_ref="77001234")
    desk.ask(ReplaceOrder(order_id=order, order_qty=50, cl_ord_ref="again-1"))
    desk.close()
    for name in ("77001234", "again-1", "V8·1"):
        assert why(desk.path, name).about == "order 8·1"
        assert order_life(Stream(desk.path), name).order_no == order
    with pytest.raises(NoSuchPlace, match="seq 77001235 is not in the journal"):
        why(desk.path, "77001235")
