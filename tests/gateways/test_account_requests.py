"""What is asked of the venue about the whole account: its cancel of everything, its timer that does the same."""

from __future__ import annotations

import json

import pytest

from journal.messages import (
    DeadManAction,
    ExecType,
    GatewayPhase,
    KillLevel,
    KillSwitch,
    OrderSent,
    OrdStatus,
    Reason,
    RoutedCancelAll,
    RoutedDeadMan,
    ScopeType,
    SendRefused,
    Side,
    VenueDeadMan,
    VenueError,
    VenueMassCancelReport,
    VenueOrderUpdate,
)
from tests.gateways.test_order_entry import OMS, RISK, Bench, ModelVenue

SECOND = 10**9


class Venue(ModelVenue):
    """The model, with what it does for the whole account. `refuses`: (status, code) of the next such answer."""

    def __init__(self):
        super().__init__()
        self.countdown, self.refuses = None, None

    def handle(self, data):
        r = json.loads(data)
        if self.refuses and r["method"] in ("openOrders.cancelAll", "account.countdownCancelAll"):
            status, code = self.refuses
            self.refuses = None
            return [json.dumps({"id": r["id"], "status": status, "error": {"code": code, "msg": "no"}}).encode()]
        return super().handle(data)

    def openOrders_cancelAll(self, p):
        ended = [o for o in self.orders.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")]
        for o in ended:
            o["status"] = "CANCELED"
        return {"affected": len(ended)}, None, [self.ended(o, "CANCEL_REQUEST") for o in ended]

    def ended(self, o, reason):
        return self.push(o, "CANCELED", o["clientOrderId"], reason=reason)

    def account_countdownCancelAll(self, p):
        self.countdown = p["countdownTime"]
        return {"countdownTime": self.countdown, "firesAt": 7000 if self.countdown else 0}, None, []


@pytest.fixture
def b():
    return Bench(venue=Venue())


def all_of(b, over=None, **fields):
    m = RoutedCancelAll(**({"scope_type": ScopeType.ACCOUNT, "scope_account": 3, "account": 3, "destination": 2} | fields))
    return b.routed(m, **(over or {}))


def hold(b, action=DeadManAction.ARM, over=None, **fields):
    m = RoutedDeadMan(**({"timeout_ns": 60 * SECOND, "account": 3, "destination": 2, "action": action} | fields))
    return b.routed(m, **(over or {}))


def test_everything_is_canceled_and_each_end_is_said(b):
    b.order(1)
    b.order(2)
    seq = all_of(b)
    assert b.sent[-1] == {"id": f"T-{seq}", "method": "openOrders.cancelAll", "params": {}}
    (report,) = b.said(VenueMassCancelReport)
    assert (report.request_seq, report.account, report.affected, report.reason) == (seq, 3, 2, 0)
    ends = [m for m in b.said(VenueOrderUpdate) if m.exec_type == ExecType.CANCELED]
    assert [(m.order_id, m.request_seq, m.ord_status, m.reason) for m in ends] == [
        (1, seq, OrdStatus.CANCELED, Reason.USER_REQUEST), (2, seq, OrdStatus.CANCELED, Reason.USER_REQUEST)
    ]  # fmt: skip
    sent = b.said(OrderSent)[-1]
    assert (sent.request_seq, sent.order_id) == (seq, 0)
    assert b.view.orders == {}
    assert b.view.unanswered == {}


def test_an_end_that_it_did_not_ask_for_names_its_own_request(b):
    """While the venue still owes us ends, and after the connection that it owed them to is gone."""

    def ended(number, reason="CANCEL_REQUEST"):
        b.act(b.session.receive(json.dumps(b.venue.ended(b.venue.orders[number], reason)).encode(), b.now))
        return b.said(VenueOrderUpdate)[-1].request_seq

    _, second, third, fourth = (b.order(n) for n in (1, 2, 3, 4))
    b.venue.openOrders_cancelAll = lambda p: ({"affected": 3}, None, [])
    seq = all_of(b)
    canceled = b.cancel(2, second)
    assert b.said(VenueOrderUpdate)[-1].request_seq == canceled
    assert [ended(3, "DEAD_MAN"), ended(1)] == [third, seq]
    b.act(b.session.disconnected())
    b.connect()
    assert ended(4) == fourth


def test_it_goes_under_a_kill_and_during_a_download(b):
    b.order(1)
    b.watch(RISK, KillSwitch(kill=1, scope_type=ScopeType.GLOBAL, level=KillLevel.BLOCK))
    b.session.phase = GatewayPhase.DOWNLOADING
    all_of(b)
    assert b.reasons() == []
    assert b.said(VenueMassCancelReport)[0].affected == 1


REFUSALS = {
    Reason.NOT_RELEASED: {"over": {"released_seq": 3}},
    Reason.STALE_EPOCH: {"over": {"epoch": 0}},
    Reason.UNKNOWN_ACCOUNT: {"account": 4},
}


@pytest.mark.parametrize("ask", [all_of, hold])
@pytest.mark.parametrize("reason", REFUSALS, ids=lambda r: r.name)
def test_what_does_not_leave(b, ask, reason):
    b.order(1)
    before = len(b.sent)
    seq = ask(b, **REFUSALS[reason])
    (refused,) = b.said(SendRefused)
    assert (refused.request_seq, refused.order_id, refused.reason) == (seq, 0, reason)
    assert len(b.sent) == before


@pytest.mark.parametrize("ask", [all_of, hold])
def test_not_without_a_connection(b, ask):
    b.act(b.session.disconnected())
    ask(b)
    assert b.reasons() == [Reason.NOT_CONNECTED]


@pytest.mark.parametrize("ask", [all_of, hold])
def test_not_before_the_logon(ask):
    b = Bench(venue=Venue(), connect=False)
    b.lose = "answer"
    b.connect()
    ask(b)
    assert b.reasons() == [Reason.GATEWAY_NOT_READY]


@pytest.mark.parametrize("finer", [{"side": Side.BUY}, {"scope_type": ScopeType.STRATEGY}, {"scope_account": 0}])
def test_less_than_everything_the_venue_cannot(b, finer):
    b.order(1)
    all_of(b, **finer)
    assert b.reasons() == [Reason.NOT_SUPPORTED_BY_VENUE]
    assert len(b.view.orders) == 1


def test_what_is_routed_to_another_gateway_is_none_of_ours(b):
    before = len(b.sent)
    all_of(b, destination=9)
    hold(b, destination=9)
    assert (b.reasons(), len(b.sent)) == ([], before)


@pytest.mark.parametrize(("answer", "reason"), [
    ((400, -1020), Reason.UNSUPPORTED_AT_VENUE), ((429, -1003), Reason.RATE_LIMIT), ((503, -1007), Reason.OUTCOME_UNKNOWN),
])  # fmt: skip
def test_the_venues_refusal_of_a_cancel_of_everything(b, answer, reason):
    b.order(1)
    b.venue.refuses = answer
    seq = all_of(b)
    (report,) = b.said(VenueMassCancelReport)
    assert (report.request_seq, report.affected, report.reason) == (seq, 0, reason)


def test_the_timer_is_armed_kept_up_and_let_go(b):
    seq = hold(b)
    assert b.sent[-1] == {"id": f"T-{seq}", "method": "account.countdownCancelAll", "params": {"countdownTime": 60_000}}
    hold(b, DeadManAction.REFRESH, timeout_ns=999)
    assert b.venue.countdown == 1  # never none while it is armed
    hold(b, DeadManAction.DISARM)
    assert b.venue.countdown == 0
    states = [(m.state, m.fires_ts, m.confirmed, m.account, m.venue) for m in b.said(VenueDeadMan)]
    assert states == [(1, 7 * SECOND, 1, 3, 1), (2, 7 * SECOND, 1, 3, 1), (3, 0, 1, 3, 1)]


def test_a_sign_of_life_that_lay_about_is_none(b):
    old = {"ts": b.now - 60 * SECOND}
    hold(b, DeadManAction.REFRESH, over=old)
    assert b.reasons() == [Reason.TOO_OLD_TO_SEND]
    hold(b, DeadManAction.DISARM, over=old)
    hold(b, DeadManAction.REFRESH, over={"ts": b.now - 60 * SECOND + 1})
    assert len(b.reasons()) == 1
    hold(b, action=0)
    assert b.reasons()[1:] == [Reason.INVALID_VALUE]


def test_a_venue_that_does_not_hold_the_timer(b):
    b.venue.refuses = (400, -1020)
    hold(b)
    assert [(m.state, m.confirmed) for m in b.said(VenueDeadMan)] == [(DeadManAction.ARM, 0)]
    assert b.said(VenueError)[0].venue_code == -1020


def test_what_the_timer_has_done(b):
    b.order(1)
    (o,) = b.venue.orders.values()
    o["status"] = "CANCELED"
    b.act(b.session.receive(json.dumps(b.venue.ended(o, "DEAD_MAN")).encode(), b.now))
    (end,) = [m for m in b.said(VenueOrderUpdate) if m.exec_type == ExecType.CANCELED]
    assert end.reason == Reason.DEAD_MAN_FIRED
    assert b.said(VenueError) == []


def test_an_answer_that_cannot_be_read_is_told(b):
    b.venue.openOrders_cancelAll = lambda p: ({"affected": "2"}, None, [])
    b.order(1)
    all_of(b)
    assert b.said(VenueMassCancelReport) == []
    assert len(b.said(VenueError)) == 1


def test_a_new_process_does_not_send_it_again(b):
    b.order(1)
    b.lose = "request"
    seq = b.add(OMS, RoutedCancelAll(scope_type=ScopeType.ACCOUNT, scope_account=3, account=3, destination=2))
    again = Bench(b.frames, b.venue)
    assert all(r["id"] != f"T-{seq}" for r in again.sent)
    assert len(again.view.orders) == 1
