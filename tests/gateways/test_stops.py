"""Stops and budgets in the venue's words."""

from __future__ import annotations

import json

import pytest

from journal.messages import (
    NULL,
    ExecInst,
    ExecType,
    OrdStatus,
    OrdType,
    RateLimitType,
    RateLimitUsage,
    Reason,
    Side,
    TimeInForce,
    Trigger,
    VenueError,
    VenueOrderUpdate,
)
from tests.gateways.test_order_entry import Bench, ModelVenue


class Venue(ModelVenue):
    """The model, with stops that wait, and a budget. `usage`: rows of the next answers."""

    usage = None

    def push(self, o, x, c, *more, **named):
        body = super().push(o, x, c, *more, **named)
        body["o"]["sp"] = o.get("stopPrice", "0.00")
        return body

    def order_place(self, p):
        if "stopPrice" not in p:
            return super().order_place(p)
        result, error, pushes = super().order_place(p | {"price": p.get("price", "0.00")})
        self.ids[p["newClientOrderId"]] |= {"status": "UNTRIGGERED", "stopPrice": p["stopPrice"]}
        for push in pushes:
            push["o"] |= {"X": "UNTRIGGERED", "sp": p["stopPrice"]}
        return result, error, pushes

    def handle(self, data):
        frames = super().handle(data)
        if self.usage is not None:
            frames[0] = json.dumps(json.loads(frames[0]) | {"rateLimits": self.usage}).encode()
        return frames


@pytest.fixture
def b():
    return Bench(venue=Venue())


def stop(b, number=1, **fields):
    given = {"ord_type": OrdType.STOP, "px": NULL, "stop_px": 6000, "side": Side.BUY} | fields
    return b.order(number, **given)


def test_a_stop_waits_and_is_triggered(b):
    seq = stop(b, trigger=Trigger.LAST)
    params = b.placed()[0]["params"]
    assert (params["type"], params["stopPrice"], "price" in params) == ("STOP_MARKET", "60.00", False)
    (update,) = b.said(VenueOrderUpdate)
    assert (update.exec_type, update.ord_status, update.stop_px, update.price_px, update.leaves_qty, update.ord_type) == (
        ExecType.SUSPENDED, OrdStatus.SUSPENDED, 6000, NULL, 10, OrdType.STOP
    )  # fmt: skip
    (o,) = b.venue.orders.values()
    o["status"] = "NEW"
    b.act(b.session.receive(json.dumps(b.venue.push(o, "TRIGGERED", f"T-{seq}")).encode(), b.now))
    update = b.said(VenueOrderUpdate)[-1]
    assert (update.exec_type, update.ord_status, update.order_id) == (ExecType.TRIGGERED, OrdStatus.NEW, 1)


def test_a_stop_limit_in_the_venues_words(b):
    stop(b, ord_type=OrdType.STOP_LIMIT, px=6100, tif=TimeInForce.GTC)
    params = b.placed()[0]["params"]
    assert [params[k] for k in ("type", "stopPrice", "price", "timeInForce")] == ["STOP_LIMIT", "60.00", "61.00", "GTC"]


@pytest.mark.parametrize(("fields", "reason"), [
    ({"stop_px": NULL}, Reason.INVALID_STOP_OR_TRIGGER), ({"stop_px": 0}, Reason.INVALID_STOP_OR_TRIGGER),
    ({"trigger": Trigger.MARK}, Reason.NOT_SUPPORTED_BY_VENUE), ({"trigger_direction": 1}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"exec_inst": ExecInst.PARTICIPATE_DO_NOT_INITIATE}, Reason.INVALID_EXEC_INST),
    ({"ord_type": OrdType.STOP_LIMIT}, Reason.INVALID_PRICE),
    ({"ord_type": OrdType.LIMIT, "px": 5}, Reason.NOT_SUPPORTED_BY_VENUE),
])  # fmt: skip
def test_what_the_venue_has_no_words_for(b, fields, reason):
    stop(b, **fields)
    assert b.reasons() == [reason]
    assert b.placed() == []


def test_what_waits_is_found_again_after_a_crash(b):
    b.lose = "answer"
    stop(b)
    again = Bench(b.frames, b.venue)
    (update,) = [m for m in again.said(VenueOrderUpdate) if m.order_id == 1]
    assert (update.ord_status, update.stop_px, update.leaves_qty) == (OrdStatus.SUSPENDED, 6000, 10)
    assert len(again.view.orders) == 1


def budget(count, kind="ORDERS", interval="SECOND"):
    return [{"rateLimitType": kind, "interval": interval, "intervalNum": 10, "limit": 50, "count": count}]


def test_the_venues_budget_is_told_when_it_changes(b):
    b.venue.usage = budget(1)
    seq = b.order(1)
    b.venue.usage = budget(2)
    b.order(2)
    b.cancel(1, seq)
    said = b.said(RateLimitUsage)
    assert [(m.account, m.venue, [(r.limit_type, r.period_ns, r.limit, r.used, r.end_ts) for r in m.limits]) for m in said] == [
        (3, 1, [(RateLimitType.CREATE_AND_MODIFY_ORDER, 10**10, 50, n, b.now // 10**10 * 10**10 + 10**10)]) for n in (1, 2)
    ]


@pytest.mark.parametrize("bad", [budget(1, "MAGIC"), budget(1, interval="AGE")])
def test_a_budget_of_another_kind_is_told_and_the_answer_counts(b, bad):
    b.venue.usage = bad
    b.order(1)
    assert b.said(RateLimitUsage) == []
    assert len(b.said(VenueError)) == 1
    assert b.said(VenueOrderUpdate)[0].exec_type == ExecType.NEW
