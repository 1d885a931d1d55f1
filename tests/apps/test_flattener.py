"""Closing positions when a kill wants it: once each, after the open orders there, in pieces, again after a refusal, and never
more than is held; alone, and through risk, orders and a venue in a backtest."""

from __future__ import annotations

import pytest

from apps.app import handlers_of
from apps.flattener import AGAIN_NS, ATTEMPTS, Flattener
from apps.instruments import Instruments
from apps.positions import Positions
from journal.messages import (
    NULL,
    Alert,
    Approval,
    ApprovalDecision,
    CancelOrder,
    CommandCode,
    CommandResult,
    CurrencyDefined,
    ExecInst,
    ExecType,
    ExecutionReport,
    GroupDefined,
    GroupMember,
    InstrumentDefined,
    KillLevel,
    KillRelease,
    KillSwitch,
    NewOrder,
    OperatorCommand,
    OrdStatus,
    OrdType,
    Position,
    Reason,
    ScopeType,
    Side,
    TimeInForce,
    UserDefined,
    order_id_of,
)
from lockstep.testing import backtest
from replay.player import verify
from tests.end_to_end.system import configuration_text, last_positions

ME, STRATEGY, OMS, OPERATOR = 12, 9, 5, 11
ACCOUNT, MAKER, BTC = 7, 3, 1001


class Stand:
    """The flattener and what it reads, on one stream of frames."""

    def __init__(self) -> None:
        self.now = self.seq = 0
        self.said: list[object] = []
        self.due = 0
        self.instruments, self.positions, self.app = Instruments(), Positions(), Flattener()
        self.positions._uses = {Instruments: self.instruments}
        self.app._uses = {Instruments: self.instruments, Positions: self.positions}
        self.positions._host = self.instruments._host = Silent()
        self.app._host = self
        self.app.me = ME
        self.frame(CurrencyDefined(currency=1, ledger_exp=-8))
        self.define()

    def emit(self, message, flags, cause, origin_ts) -> None:
        self.said.append(message)

    def set_timer(self, at: int, token: int) -> None:
        self.due = at

    def cancel_timer(self, token: int) -> None:
        self.due = 0

    def frame(self, message, source: int = 1, ns: int = 1) -> int:
        self.now += ns
        self.seq += 1
        for app in (self.instruments, self.positions, self.app):
            app.now, app.seq, app.source = self.now, self.seq, source
            if app is self.app and self.due and self.due <= self.now:
                self.due = 0
                self.app.on_timer(1)
            handler = handlers_of(app).get(message.KIND)
            if handler is not None:
                handler(message)
        return self.seq

    def define(self, **terms) -> None:
        base = {"instrument": BTC, "venue": 1, "px_exp": -1, "qty_exp": -3, "lot_qty": 10, "quote_currency": 1,
                "settlement_currency": 1, "multiplier": 1}  # fmt: skip
        self.frame(InstrumentDefined(**(base | terms)))

    def report(self, order_id: int, status: int, *, qty: int = 100, last: int = 0, cum: int = 0, side: int = Side.BUY, **more):
        base = {"account": ACCOUNT, "strategy": MAKER, "instrument": BTC, "reason": 0}
        self.frame(
            ExecutionReport(
                order_id=order_id, side=side, order_qty=qty, cum_qty=cum or last, last_qty=last or NULL, last_px=5000,
                ord_status=status, exec_type=ExecType.TRADE if last else ExecType.ORDER_STATUS, **(base | more),
            ),
            OMS,
        )  # fmt: skip

    def hold(self, qty: int, number: int = 900, **owner) -> None:
        """A position, by a fill of an order that is over."""
        side = Side.BUY if qty > 0 else Side.SELL
        self.report(order_id_of(STRATEGY, number), OrdStatus.FILLED, qty=abs(qty), last=abs(qty), side=side, **owner)

    def kill(self, level: int = KillLevel.BLOCK_CANCEL_FLATTEN, kill: int = 1, **scope) -> None:
        self.frame(KillSwitch(kill=kill, level=level, **(scope or {"scope_type": ScopeType.GLOBAL})), OPERATOR)

    def orders(self) -> list[NewOrder]:
        return [m for m in self.said if isinstance(m, NewOrder)]

    def ended(self, order: NewOrder, *, filled: int = 0, reason: int = 0) -> None:
        """The order comes back on the stream, and ends."""
        self.frame(order, ME)
        status = OrdStatus.FILLED if filled == order.order_qty else OrdStatus.CANCELED if filled else OrdStatus.REJECTED
        self.report(
            order.order_id, status, qty=order.order_qty, last=filled, side=order.side, account=order.account,
            strategy=order.strategy, instrument=order.instrument, reason=reason,
        )  # fmt: skip


class Silent:
    def emit(self, *_: object) -> None: ...
    def set_timer(self, *_: object) -> None: ...
    def cancel_timer(self, *_: object) -> None: ...


def test_a_position_is_closed_by_a_reduce_only_market_order_for_its_owner():
    s = Stand()
    s.hold(70)
    s.kill()
    (order,) = s.orders()
    assert (order.order_id, order.order_qty, order.side, order.ord_type, order.tif) == (
        order_id_of(ME, 1), 70, Side.SELL, OrdType.MARKET, TimeInForce.IOC,
    )  # fmt: skip
    assert (order.account, order.strategy, order.exec_inst) == (ACCOUNT, MAKER, ExecInst.DO_NOT_INCREASE)
    s.ended(order, filled=70)
    assert len(s.orders()) == 1
    (told,) = [m for m in s.said if isinstance(m, CommandResult)]
    assert told.request == 1


def test_a_short_position_is_bought_back_and_a_flat_one_left_alone():
    s = Stand()
    s.hold(-30)
    s.hold(50, 901, strategy=4)
    s.hold(-50, 902, strategy=4)
    s.kill()
    assert [(o.side, o.order_qty) for o in s.orders()] == [(Side.BUY, 30)]


@pytest.mark.parametrize("level", [KillLevel.BLOCK, KillLevel.BLOCK_CANCEL])
def test_other_kills_close_nothing(level):
    s = Stand()
    s.hold(70)
    s.kill(level)
    assert not s.orders()


def test_only_what_the_scope_covers_is_closed():
    s = Stand()
    s.hold(70)
    s.hold(40, 901, strategy=4)
    s.frame(GroupDefined(group=2, members=[GroupMember(member=4, member_type=ScopeType.STRATEGY)]))
    s.kill(scope_type=ScopeType.GROUP, scope_group=2)
    assert [o.strategy for o in s.orders()] == [4]


def test_open_orders_end_first_and_what_they_filled_counts():
    s = Stand()
    s.hold(70)
    open_order = order_id_of(STRATEGY, 1)
    s.frame(NewOrder(order_id=open_order, account=ACCOUNT, strategy=MAKER, instrument=BTC, side=Side.SELL), STRATEGY)
    s.report(open_order, OrdStatus.NEW, side=Side.SELL)
    s.kill()
    assert not s.orders()
    s.report(open_order, OrdStatus.PENDING_CANCEL, side=Side.SELL, last=20, cum=20)
    assert not s.orders()
    s.report(open_order, OrdStatus.CANCELED, side=Side.SELL, cum=20)
    assert [o.order_qty for o in s.orders()] == [50]


def test_a_rest_is_followed_at_once_and_a_refusal_a_second_later():
    s = Stand()
    s.hold(70)
    s.kill()
    s.ended(s.orders()[0], filled=30)
    assert [o.order_qty for o in s.orders()] == [70, 40]
    s.ended(s.orders()[1], reason=Reason.BOOK_NOT_LIVE)
    assert len(s.orders()) == 2
    s.frame(CancelOrder(), STRATEGY, ns=AGAIN_NS)
    assert [o.order_qty for o in s.orders()] == [70, 40, 40]


@pytest.mark.parametrize("reason", [Reason.MAX_ORDER_QUANTITY, Reason.ORDER_EXCEEDS_LIMIT], ids=["our limit", "the venue's"])
def test_what_is_too_large_goes_in_pieces_of_whole_lots(reason):
    s = Stand()
    s.hold(70)
    s.kill()
    s.ended(s.orders()[0], reason=reason)
    s.frame(CancelOrder(), STRATEGY, ns=AGAIN_NS)
    s.ended(s.orders()[1], filled=30)
    s.ended(s.orders()[2], filled=30)
    s.ended(s.orders()[3], filled=10)
    assert [o.order_qty for o in s.orders()] == [70, 30, 30, 10]


def test_the_instruments_own_maximum_is_kept():
    s = Stand()
    s.define(market_max_qty=50, max_qty=60)
    s.hold(70)
    s.kill()
    assert s.orders()[0].order_qty == 50


def test_after_so_many_attempts_a_person_is_told_once():
    s = Stand()
    s.hold(70)
    s.kill()
    for _ in range(ATTEMPTS + 3):
        if s.app.closing[ACCOUNT, MAKER, BTC].order_id:
            s.ended(s.orders()[-1], reason=Reason.GATE_SHUT)
        s.frame(CancelOrder(), STRATEGY, ns=AGAIN_NS)
    assert len(s.orders()) == ATTEMPTS
    assert len([m for m in s.said if isinstance(m, Alert)]) == 1
    s.kill(kill=2)  # a person who insists begins anew
    assert len(s.orders()) == ATTEMPTS + 1


def test_a_release_by_two_ends_it():
    s = Stand()
    for user in (1, 2):
        s.frame(UserDefined(user=user))
    s.frame(OperatorCommand(request=1, user=1, command=CommandCode.KILL), OPERATOR)
    s.kill()
    s.frame(OperatorCommand(request=2, user=1, command=CommandCode.KILL_RELEASE), OPERATOR)
    asked = s.frame(KillRelease(kill=1), OPERATOR)
    s.hold(70)
    assert len(s.orders()) == 1  # a late fill while the kill still holds
    s.frame(Approval(request_seq=asked, user=2, decision=ApprovalDecision.APPROVED), OPERATOR)
    s.hold(70, 901, strategy=4)
    assert len(s.orders()) == 1


def test_a_restart_sends_nothing_again():
    s = Stand()
    s.hold(70)
    s.kill()
    held = s.app.snapshot()
    again = Flattener()
    again.restore(held)
    assert again.snapshot() == held
    again._uses, again._host, again.me = s.app._uses, s, ME
    s.app = again
    s.report(order_id_of(STRATEGY, 5), OrdStatus.CANCELED)
    assert len(s.orders()) == 1


@pytest.mark.timeout(60)
def test_a_limit_that_flattens_does_so_through_risk_orders_and_venue(tmp_path):
    config = tmp_path / "c.toml"
    changes = {
        "backtest__duration": "10s", "risk__flatten": True, "risk__default__max_position": "0.05",
        "risk__default__action": "flatten", "strategy__maker__max_position": "1",
    }  # fmt: skip
    config.write_text(configuration_text(tmp_path / "day", **changes))
    run = backtest(config, tmp_path / "bt")
    assert run.count("Violation")
    kills = [f.message for f in run.frames("KillSwitch")]
    assert {kill.level for kill in kills} == {KillLevel.BLOCK_CANCEL_FLATTEN}
    held = [f.message for f in run.frames("Position")]
    assert any(isinstance(p, Position) and p.long_qty - p.short_qty for p in held)
    meant = {kill.scope_strategy for kill in kills}  # 0: all
    assert all(qty == 0 for strategy, qty in last_positions(tmp_path / "bt").items() if {0, strategy} & meant)
    assert run.count("CommandResult") == len(kills)
    assert verify(tmp_path / "bt").identical
    again = backtest(config, tmp_path / "bt2")
    assert again.digest() == run.digest()
