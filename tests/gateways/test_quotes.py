"""Quotes leave as one request, each side by its own pass, and come back as orders."""

from __future__ import annotations

import json

import msgspec
import pytest

from journal.messages import (
    DestinationDefined,
    EpochStart,
    ExecType,
    KillSwitch,
    MassQuote,
    OrderSent,
    OrdStatus,
    QueryType,
    QuoteEntry,
    QuoteStatus,
    Reason,
    RoutedCancel,
    RoutedQuery,
    RoutedQuote,
    ScopeType,
    SendRefused,
    VenueFill,
    VenueOrderUpdate,
    VenueQuoteUpdate,
    content_hash,
)
from journal.messages.quoting import quote_hash, quote_orders
from tests.gateways.test_order_entry import RISK, Bench, ModelVenue

MAKER = 9


class Venue(ModelVenue):
    """The model, with quotes."""

    def quotes_place(self, p):
        rows, pushes = [], []
        for side in p["quotes"]:
            self.business.append(side["newClientOrderId"])
            result, error, more = self.order_place(side)
            row = {"clientOrderId": side["newClientOrderId"]}
            rows.append(row | ({"error": error} if error else {"orderId": result["orderId"]}))
            pushes += more
        return rows, None, pushes


@pytest.fixture
def b():
    return Bench(venue=Venue())


def entries():
    return [
        QuoteEntry(entry=5, instrument=7, bid_px=4000, bid_qty=10, ask_px=5000, ask_qty=20),
        QuoteEntry(entry=6, instrument=7, bid_px=3900, bid_qty=10),
    ]  # fmt: skip


def passed(b, rows=None):
    """A MassQuote and the passes of its orders: (its frame, its orders, the last pass)."""
    m = MassQuote(quote_id=1, account=3, strategy=11, entries=rows or entries())
    asked = b.watch(MAKER, m)
    orders = quote_orders(m, asked, MAKER)
    seqs = [b.risk(o.order_id, content_hash(o), MassQuote.KIND, request_seq=asked) for o in orders]
    return m, orders, seqs


def routed(m, orders, seqs, **fields):
    hashed = quote_hash([content_hash(o) for o in orders])
    given = {"quote_id": 1, "risk_seq": max(seqs), "content_hash": hashed, "account": 3, "destination": 2, "entries": m.entries}
    return RoutedQuote(**(given | fields))


def send(b, rows=None, over=None, **fields):
    m, orders, seqs = passed(b, rows)
    return b.routed(routed(m, orders, seqs, **fields), **(over or {})), orders


def test_a_quote_in_the_venues_words_and_its_sides_as_orders(b):
    seq, orders = send(b)
    assert b.sent[-1]["method"] == "quotes.place"
    sides = b.sent[-1]["params"]["quotes"]
    assert [(s["side"], s["price"], s["quantity"], s["timeInForce"], s["newClientOrderId"]) for s in sides] == [
        ("BUY", "40.00", "0.010", "GTC", f"T-{seq}/0B"), ("SELL", "50.00", "0.020", "GTC", f"T-{seq}/0A"),
        ("BUY", "39.00", "0.010", "GTC", f"T-{seq}/1B"),
    ]  # fmt: skip
    ups = b.said(VenueOrderUpdate)
    assert [(u.order_id, u.request_seq, u.exec_type) for u in ups] == [(o.order_id, seq, ExecType.NEW) for o in orders]
    told = [(q.entry, q.quote_status, q.bid_order_ref, q.ask_order_ref) for q in b.said(VenueQuoteUpdate)]
    assert told == [(5, QuoteStatus.ACCEPTED, "1", "2"), (6, QuoteStatus.ACCEPTED, "3", "")]
    (sent,) = b.said(OrderSent)
    assert (sent.request_seq, sent.order_id) == (seq, 0)
    cancel = RoutedCancel(order_id=orders[1].order_id, orig_request_seq=seq, account=3, instrument=7, destination=2)
    b.routed(cancel)
    assert b.sent[-1]["params"]["origClientOrderId"] == f"T-{seq}/0A"
    end = b.said(VenueOrderUpdate)[-1]
    assert (end.order_id, end.ord_status) == (orders[1].order_id, OrdStatus.CANCELED)
    b.replace(orders[0].order_id, seq, 15, 4100)
    assert b.sent[-1]["params"]["origClientOrderId"] == f"T-{seq}/0B"
    b.routed(RoutedQuery(order_id=orders[2].order_id, orig_request_seq=seq, account=3, destination=2, query=QueryType.ORDER))
    assert b.sent[-1]["params"] == {"origClientOrderId": f"T-{seq}/1B"}


def test_fills_find_their_side(b):
    rows = [QuoteEntry(entry=1, instrument=7, bid_px=4000, bid_qty=10, ask_px=20_000, ask_qty=10)]
    _, orders = send(b, rows)
    assert {f.order_id for f in b.said(VenueFill)} == {orders[1].order_id}
    assert list(b.view.orders) == [orders[0].order_id]


def test_a_side_that_the_venue_refuses_leaves_the_others(b):
    rows = [QuoteEntry(entry=1, instrument=7, bid_px=4000, bid_qty=666, ask_px=5000, ask_qty=10),
            QuoteEntry(entry=2, instrument=7, bid_px=4000, bid_qty=666)]  # fmt: skip
    _, orders = send(b, rows)
    refused = [u.order_id for u in b.said(VenueOrderUpdate) if u.exec_type == ExecType.REJECTED]
    assert refused == [orders[0].order_id, orders[2].order_id]
    assert [(q.entry, q.quote_status) for q in b.said(VenueQuoteUpdate)] == [
        (1, QuoteStatus.ACCEPTED), (2, QuoteStatus.REJECTED)
    ]  # fmt: skip
    assert list(b.view.orders) == [orders[1].order_id]


def altered(b, change):
    m, orders, seqs = passed(b)
    rows = [msgspec.structs.replace(e) for e in m.entries]
    change(rows)
    changed = routed(m, orders, seqs, entries=rows)
    hashed = quote_hash([content_hash(o) for o in quote_orders(changed, seqs[0] - 1, MAKER)])
    b.routed(msgspec.structs.replace(changed, content_hash=hashed))


def price(rows):
    rows[0].bid_px += 1


def quantity(rows):
    rows[1].bid_qty += 1


def more(rows):
    rows[1].ask_px, rows[1].ask_qty = 6000, 10


def swapped(rows):
    rows.reverse()


@pytest.mark.parametrize("change", [price, quantity, more, swapped])
def test_what_no_pass_is_about_does_not_leave_nor_anything_beside_it(b, change):
    altered(b, change)
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]
    assert b.venue.business == []
    assert b.view.orders == {}


@pytest.mark.parametrize("fields", [{"content_hash": 1}, {"risk_seq": 1}, {"entries": []}])
def test_the_quote_itself_has_to_name_what_it_is_of(b, fields):
    send(b, **fields)
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]
    assert b.venue.business == []


def test_an_earlier_pass_of_the_quote_is_not_its_last(b):
    m, orders, seqs = passed(b)
    b.routed(routed(m, orders, seqs, risk_seq=seqs[0]))
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]


def test_a_pass_is_used_once(b):
    m, orders, seqs = passed(b)
    b.routed(routed(m, orders, seqs))
    b.routed(routed(m, orders, seqs))
    assert b.reasons() == [Reason.DUPLICATE_ORDER_ID]
    assert len(b.venue.business) == 3


def test_a_side_without_pass_holds_all_back(b):
    m = MassQuote(quote_id=1, account=3, strategy=11, entries=entries())
    asked = b.watch(MAKER, m)
    orders = quote_orders(m, asked, MAKER)
    seqs = [b.risk(o.order_id, content_hash(o), MassQuote.KIND, request_seq=asked) for o in orders[1:]]
    b.routed(routed(m, orders, seqs))
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]
    assert b.venue.business == []


def test_a_pass_of_an_earlier_epoch_is_none(b):
    m, orders, seqs = passed(b)
    b.epoch = 2
    b.watch(0, EpochStart(new_epoch=2))
    b.routed(routed(m, orders, seqs))
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]


REFUSALS = {
    Reason.NOT_RELEASED: {"over": {"released_seq": 3}},
    Reason.STALE_EPOCH: {"over": {"epoch": 0}},
    Reason.UNKNOWN_ACCOUNT: {"account": 4},
}


@pytest.mark.parametrize("reason", REFUSALS, ids=lambda r: r.name)
def test_it_has_the_checks_of_orders(b, reason):
    send(b, **REFUSALS[reason])
    (refused,) = b.said(SendRefused)
    assert (refused.order_id, refused.reason) == (0, reason)
    assert b.venue.business == []
    assert b.view.orders == {}


@pytest.mark.parametrize(("scope", "hit"), [
    ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 11}, True),
    ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 12}, False),
    ({"scope_type": ScopeType.SOURCE, "scope_source": MAKER}, True),
])  # fmt: skip
def test_a_kill_of_who_quotes(b, scope, hit):
    b.watch(RISK, KillSwitch(kill=1, **scope))
    send(b)
    assert b.reasons() == ([Reason.KILL_SWITCH_ACTIVE] if hit else [])


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_after_a_crash_each_side_is_asked_for_and_nothing_sent_again(b, lost):
    b.lose = lost
    seq, orders = send(b)
    again = Bench(b.frames, b.venue)
    asked = [r["params"]["origClientOrderId"] for r in again.sent if r["method"] == "order.status"]
    assert asked == [f"T-{seq}/0B", f"T-{seq}/0A", f"T-{seq}/1B"]
    assert all(r["method"] != "quotes.place" for r in again.sent)
    last = {u.order_id: u for u in again.said(VenueOrderUpdate)}
    assert set(last) == {o.order_id for o in orders}
    want = OrdStatus.NEW if lost == "answer" else OrdStatus.UNDEFINED
    assert {u.ord_status for u in last.values()} == {want}
    if lost == "answer":
        third = Bench(again.frames, b.venue)  # an id of a side is no reason not to start
        assert third.view.client_ref == f"T-{seq}"


def test_unsure_and_each_side_is_asked_for(b):
    seq, _ = send_unsure(b)
    asked = [r["params"]["origClientOrderId"] for r in b.sent if r["method"] == "order.status"]
    assert asked == [f"T-{seq}/0B", f"T-{seq}/0A", f"T-{seq}/1B"]


def send_unsure(b):
    real = b.venue.handle

    def handle(data):
        r = json.loads(data)
        if r["method"] == "quotes.place":
            return [json.dumps({"id": r["id"], "status": 503, "error": {"code": -1007, "msg": "?"}}).encode()]
        return real(data)

    b.venue.handle = handle
    return send(b)


def test_another_gateways_quote_is_known_and_not_sent(b):
    b.watch(2, DestinationDefined(destination=3, venue=1, account=3, gateway=77))
    seq, orders = send(b, destination=3)
    assert b.venue.business == []
    assert b.view.named(b.session.ids, f"T-{seq}/0A") == (seq, orders[1].order_id)
