"""The order session against a small model venue: every refusal, every answer, every crash point."""

from __future__ import annotations

import copy
import json

import pytest

from gateways.sim.checks import Cap, HardCaps
from gateways.sim.order_entry import OrderEntry
from gateways.sim.order_view import OrderView
from gateways.sim.session import Out
from journal.messages import (
    NULL,
    AccountDefined,
    Approval,
    Channel,
    CommandCode,
    ConfigApplied,
    ConfigItem,
    CurrencyDefined,
    CxlRejResponseTo,
    Decision,
    DestinationDefined,
    DownloadBegin,
    DownloadEnd,
    EpochStart,
    ExecInst,
    ExecType,
    Flag,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    GroupMember,
    InstrumentDefined,
    KillLevel,
    KillRelease,
    KillSwitch,
    NewOrder,
    OperatorCommand,
    OrderSent,
    OrdStatus,
    OrdType,
    QueryType,
    RawMessage,
    Reason,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedQuery,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    SourceDefined,
    SourceRole,
    StreamStatus,
    TimeInForce,
    UserDefined,
    VenueCancelReject,
    VenueDefined,
    VenueError,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
    order_id_of,
    replace_hash,
)
from journal.messages.client_ids import ClientIds
from journal.messages.quoting import quote_order_id

TRADE, RISK, OMS, LOADER = 4, 6, 5, 2
KEY = "secret-key"


class ModelVenue:
    """The protocol's promises and nothing else: orders priced 100.00 or more trade at once, others rest."""

    def __init__(self):
        self.orders, self.ids, self.trades, self.events, self.business = {}, {}, [], 0, []

    def handle(self, data):
        """Answers and pushes to one request, in order."""
        r = json.loads(data)
        method, p = r["method"], r["params"]
        if method in ("order.place", "order.modify", "order.cancel"):
            self.business.append(p["newClientOrderId"])
        result, error, pushes = getattr(self, method.replace(".", "_"))(p)
        answer = {"id": r["id"], "status": 400 if error else 200} | ({"error": error} if error else {"result": result})
        return [json.dumps(x).encode() for x in [answer, *pushes]]

    def session_logon(self, p):
        return ({"apiKey": p["apiKey"]}, None, []) if p["apiKey"] == KEY else (None, {"code": -2015, "msg": "key"}, [])

    def push(self, o, x, c, last="0", px="0", trade=0, reason="NONE"):
        self.events += 1
        body = {"s": "BTCUSDT", "c": c, "C": o["origClientOrderId"], "S": o["side"], "o": o["type"], "f": "GTC",
                "q": o["origQty"],
                "p": o["price"], "x": x, "X": o["status"], "i": o["orderId"], "l": last, "z": o["executedQty"], "L": px,
                "n": "0.01", "N": "USDT", "t": trade, "m": False, "R": False, "r": reason, "v": self.events}  # fmt: skip
        return {"e": "ORDER_TRADE_UPDATE", "E": 5, "T": 4, "o": body}

    def order_place(self, p):
        c = p["newClientOrderId"]
        if c in self.ids:
            return None, {"code": -4116, "msg": "used"}, []
        if p["quantity"] == "0.666":
            return None, {"code": -2010, "msg": "refused"}, []
        o = {"symbol": "BTCUSDT", "orderId": len(self.orders) + 1, "clientOrderId": c, "origClientOrderId": c, "status": "NEW",
             "type": p["type"], "timeInForce": "GTC", "side": p["side"], "price": p.get("price", "0.00"),
             "origQty": p["quantity"],
             "executedQty": "0.000", "updateTime": 3}  # fmt: skip
        self.orders[o["orderId"]], self.ids[c] = o, o
        ack = dict(o)
        pushes = [self.push(o, "NEW", c)]
        if float(p.get("price", "1e9")) >= 100:
            half = f"{float(p['quantity']) / 2:.3f}"
            pushes += [self.trade(o, half), self.trade(o, half)]
        return ack, None, pushes

    def trade(self, o, qty):
        o["executedQty"] = f"{float(o['executedQty']) + float(qty):.3f}"
        o["status"] = "FILLED" if o["executedQty"] == o["origQty"] else "PARTIALLY_FILLED"
        self.trades.append({"symbol": "BTCUSDT", "id": len(self.trades) + 1, "orderId": o["orderId"], "price": "100.00",
                            "qty": qty,
                            "clientOrderId": o["origClientOrderId"], "side": o["side"], "commission": "0.01",
                            "commissionAsset": "USDT", "time": 4, "maker": False})  # fmt: skip
        return self.push(o, "TRADE", o["clientOrderId"], qty, "100.00", len(self.trades))

    def order_modify(self, p):
        o = self.ids.get(p["origClientOrderId"])
        if o is None or o["status"] not in ("NEW", "PARTIALLY_FILLED"):
            return None, {"code": -2013, "msg": "no such order"}, []
        o |= {"origQty": p["quantity"], "price": p["price"], "clientOrderId": p["newClientOrderId"]}
        self.ids[p["newClientOrderId"]] = o
        return dict(o), None, [self.push(o, "AMENDMENT", p["newClientOrderId"])]

    def order_cancel(self, p):
        o = self.ids.get(p["origClientOrderId"])
        if o is None or o["status"] not in ("NEW", "PARTIALLY_FILLED"):
            return None, {"code": -2011, "msg": "unknown order"}, []
        o["status"] = "CANCELED"
        self.ids[p["newClientOrderId"]] = o
        return dict(o), None, [self.push(o, "CANCELED", p["newClientOrderId"], reason="CANCEL_REQUEST")]

    def order_status(self, p):
        o = self.ids.get(p["origClientOrderId"])
        return (dict(o), None, []) if o else (None, {"code": -2013, "msg": "no such order"}, [])

    def openOrders(self, p):
        return [o for o in self.orders.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")], None, []

    def myTrades(self, p):
        return [t for t in self.trades if t["id"] >= p["fromId"]][: p["limit"]], None, []


class Bench:
    """A stream, a session and a venue. `frames` is the journal; `seen` are copies of the venue as each frame was written."""

    def __init__(self, frames=(), venue=None, caps=HardCaps(), connect=True):  # noqa: B008
        self.frames, self.seen, self.venue = [], [], venue or ModelVenue()
        self.now, self.sent, self.wire, self.lose = 10**12, [], [], None
        self.view = OrderView(venue_name="sim", account_name="demo", source=TRADE)
        for frame in frames:
            self.frames.append(frame)
            self.seen.append(None)
            self.view.apply(frame[1], seq=len(self.frames), source=frame[0], epoch=frame[2])
        self.epoch = max((f[2] for f in frames), default=1)
        if not frames:
            self.define()
        self.session = OrderEntry(self.view, ids=ClientIds("T-"), api_key=KEY, caps=caps, gateway=TRADE)
        self.act(self.session.started())
        if connect:
            self.connect()

    def add(self, source, m):
        self.frames.append((source, m, self.epoch))
        self.seen.append(copy.deepcopy(self.venue))
        return len(self.frames)

    def define(self):
        for m in (
            EpochStart(new_epoch=1), CurrencyDefined(currency=1, name="USDT"), VenueDefined(venue=1, name="sim"),
            AccountDefined(account=3, venue=1, name="demo"), DestinationDefined(destination=2, venue=1, account=3),
            InstrumentDefined(instrument=7, venue=1, name="BTCUSDT", px_exp=-2, qty_exp=-3),
            InstrumentDefined(instrument=8, venue=9, name="ELSEWHERE", px_exp=-2, qty_exp=-3),
        ):  # fmt: skip
            self.watch(LOADER, m)

    def watch(self, source, m):
        seq = self.add(source, m)
        self.view.watch(m, seq=seq, epoch=self.epoch)
        return seq

    def connect(self):
        self.act(self.session.connected(self.now))

    def act(self, actions):
        """What the driver does; the venue answers at once unless told to lose something."""
        for a in actions:
            if isinstance(a, Out):
                self.add(TRADE, a.message)
                continue
            self.sent.append(json.loads(a))
            if self.lose == "request":
                continue
            asked = self.sent[-1]
            if self.lose in ("503 undone", "503 done") and asked["method"] in ("order.place", "order.modify", "order.cancel"):
                if self.lose == "503 done":
                    self.venue.handle(a)
                unsure = {"code": -1007, "msg": "Timeout waiting for response; send status unknown"}
                self.wire.append(json.dumps({"id": asked["id"], "status": 503, "error": unsure}).encode())
                self.lose = None
                continue
            for frame in self.venue.handle(a):
                if self.lose != "answer":
                    self.wire.append(frame)
        while self.wire:
            self.act(self.session.receive(self.wire.pop(0), self.now))

    def routed(self, m, **over):
        seq = self.add(OMS, m)
        given = {"seq": seq, "ts": self.now, "epoch": self.epoch, "released_seq": seq, "now_ns": self.now} | over
        self.act(self.session.routed(m, **given))
        return seq

    def risk(self, order_id, digest, kind=NewOrder.KIND, decision=Decision.PASS, **fields):
        m = RiskDecision(order_id=order_id, content_hash=digest, request_kind=kind, decision=decision, **fields)
        return self.watch(RISK, m)

    def order(self, number=1, qty=10, px=5000, risk=True, over=None, **fields):
        terms = {"order_id": number, "order_qty": qty, "price_px": px, "account": 3, "instrument": 7, "side": Side.BUY,
                 "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC, "strategy": 11} | fields  # fmt: skip
        digest = content_hash(RoutedOrder(**terms))
        risk_seq = self.risk(number, digest) if risk is True else risk
        return self.routed(RoutedOrder(destination=2, risk_seq=risk_seq, content_hash=digest, **terms), **(over or {}))

    def replace(self, number, orig, qty, px, risk=True):
        terms = {"order_id": number, "order_qty": qty, "price_px": px, "stop_px": NULL, "display_qty": NULL, "expire_ts": 0}
        digest = replace_hash(**terms)
        risk_seq = self.risk(number, digest, ReplaceOrder.KIND) if risk is True else risk
        return self.routed(RoutedReplace(**terms, risk_seq=risk_seq, content_hash=digest, orig_request_seq=orig, account=3,
                                         instrument=7, destination=2))  # fmt: skip

    def cancel(self, number, orig, **over):
        m = RoutedCancel(order_id=number, orig_request_seq=orig, account=3, instrument=7, destination=2)
        return self.routed(m, **over)

    def said(self, *kinds, source=TRADE, **fields):
        found = [m for s, m, _ in self.frames if s == source and isinstance(m, kinds)]
        return [m for m in found if all(getattr(m, k) == v for k, v in fields.items())]

    def reasons(self):
        return [m.reason for m in self.said(SendRefused)]

    def placed(self):
        return [r for r in self.sent if r["method"] == "order.place"]


# A quiet life.


def test_logon_download_ready():
    b = Bench()
    kinds = [type(m) for m in b.said(GatewayStatus, StreamStatus, DownloadBegin, DownloadEnd)]
    assert kinds == [StreamStatus, GatewayStatus, StreamStatus, GatewayStatus, StreamStatus, GatewayStatus, DownloadBegin,
                     DownloadEnd, GatewayStatus]  # fmt: skip
    assert [r["method"] for r in b.sent] == ["session.logon", "openOrders"]
    assert b.said(GatewayStatus)[-1].phase == GatewayPhase.READY
    assert b.said(DownloadEnd)[0].complete == 1


def test_the_key_is_in_no_frame():
    b = Bench()
    b.order()
    assert all(KEY.encode() not in m.encode() for _, m, _ in b.frames)
    assert KEY in json.dumps(b.sent)


def test_new_fill_replace_cancel():
    b = Bench()
    seq = b.order()
    assert b.placed()[0]["params"] == {
        "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "newClientOrderId": f"T-{seq}", "type": "LIMIT",
        "timeInForce": "GTC", "price": "50.00",
    }  # fmt: skip
    order_of_frames = [type(m) for s, m, _ in b.frames[seq:] if s == TRADE]
    assert order_of_frames[-2:] == [RawMessage, VenueOrderUpdate]
    (sent,) = b.said(OrderSent)
    assert (sent.request_seq, sent.order_id) == (seq, 1)
    replaced = b.replace(1, seq, 20, 6000)
    (update,) = b.said(VenueOrderUpdate, request_seq=replaced)
    assert (update.exec_type, update.order_qty, update.price_px, update.order_id) == (ExecType.REPLACED, 20, 6000, 1)
    canceled = b.cancel(1, seq)
    (update,) = b.said(VenueOrderUpdate, request_seq=canceled)
    assert (update.exec_type, update.ord_status, update.reason) == (ExecType.CANCELED, OrdStatus.CANCELED, Reason.USER_REQUEST)
    filled = b.order(2, px=20_000)
    fills = b.said(VenueFill)
    assert [(m.request_seq, m.order_id, m.last_qty, m.last_px, m.trade_no) for m in fills] == [
        (filled, 2, 5, 10_000, 1), (filled, 2, 5, 10_000, 2)
    ]  # fmt: skip
    assert (fills[0].fee, fills[0].fee_exp, fills[0].fee_currency) == (1, -2, 1)
    assert b.view.orders == {}
    assert b.view.unanswered == {}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_lost_fill_that_is_older_than_one_that_came_is_found(restarted):
    b = Bench()
    b.order(1, px=20_000)  # trades 1 and 2
    del b.view.told[1]  # it has left, and what of it was seen is forgotten
    b.view.trades_seen.clear()
    handle = b.venue.handle

    def lossy(data):
        frames = [json.loads(frame) for frame in handle(data)]
        return [json.dumps(m).encode() for m in frames if m.get("o", {}).get("t") != 3]

    b.venue.handle = lossy
    seq = b.order(2, px=20_000)
    assert [m.trade_no for m in b.said(VenueFill, order_id=2)] == [4]
    assert b.said(VenueError)  # a push is missing: all is asked for, from the newest trade on
    if restarted:
        b = Bench(b.frames, b.venue)
    before = len(b.said(VenueFill))
    b.routed(RoutedQuery(order_id=2, orig_request_seq=seq, account=3, instrument=7, destination=2, query=QueryType.FILLS))
    (fill,) = b.said(VenueFill)[before:]
    assert (fill.order_id, fill.trade_no, fill.channel) == (2, 3, Channel.DOWNLOAD)
    assert b.session.phase == GatewayPhase.READY


def test_post_only_reduce_only_market_and_ioc_in_the_venues_words():
    b = Bench()
    b.order(1, exec_inst=ExecInst.PARTICIPATE_DO_NOT_INITIATE)
    b.order(2, exec_inst=ExecInst.DO_NOT_INCREASE, tif=TimeInForce.IOC)
    b.order(3, ord_type=OrdType.MARKET, px=NULL, tif=TimeInForce.IOC)
    p = [r["params"] for r in b.placed()]
    assert (p[0]["timeInForce"], p[1]["timeInForce"], p[1]["reduceOnly"], p[2]["type"]) == ("GTX", "IOC", True, "MARKET")
    assert "price" not in p[2]


def test_the_venues_refusals():
    b = Bench()
    seq = b.order(1, qty=666)
    (update,) = b.said(VenueOrderUpdate)
    assert (update.exec_type, update.request_seq, update.venue_code) == (ExecType.REJECTED, seq, -2010)
    assert b.view.orders == {}
    seq = b.order(2)
    b.cancel(2, seq)
    b.cancel(2, seq)
    b.replace(2, seq, 20, 100)
    rejects = b.said(VenueCancelReject)
    assert [(m.response_to, m.reason) for m in rejects] == [
        (CxlRejResponseTo.CANCEL, Reason.UNKNOWN_AT_VENUE), (CxlRejResponseTo.REPLACE, Reason.UNKNOWN_AT_VENUE)
    ]  # fmt: skip


def test_a_query_of_the_oms():
    b = Bench()
    seq = b.order()
    query = RoutedQuery(order_id=1, orig_request_seq=seq, account=3, instrument=7, destination=2, query=QueryType.ORDER)
    b.routed(query)
    update = b.said(VenueOrderUpdate, channel=Channel.QUERY)[-1]
    assert (update.exec_type, update.ord_status, update.request_seq, update.order_id) == (
        ExecType.ORDER_STATUS, OrdStatus.NEW, seq, 1
    )  # fmt: skip


# Refusals.


def refused(b, reason):
    assert b.reasons() == [reason]
    assert b.placed() == []
    assert b.said(OrderSent) == []


REFUSALS = {
    Reason.NOT_RELEASED: lambda b: b.order(over={"released_seq": 3}),
    Reason.STALE_EPOCH: lambda b: b.order(over={"epoch": 0}),
    Reason.UNKNOWN_ACCOUNT: lambda b: b.order(account=4),
    Reason.UNKNOWN_INSTRUMENT: lambda b: b.order(instrument=8),
    Reason.RISK_PASS_MISSING_OR_DIFFERENT: lambda b: b.order(risk=4),
    Reason.TOO_OLD_TO_SEND: lambda b: b.order(over={"ts": b.now - 10**9 - 1}),
    Reason.HARD_CAP: lambda b: b.order(qty=101),
    Reason.INVALID_SIDE: lambda b: b.order(side=Side.SELL_SHORT),
    Reason.INVALID_ORD_TYPE: lambda b: b.order(ord_type=OrdType.TRAILING_STOP),
    Reason.INVALID_STOP_OR_TRIGGER: lambda b: b.order(ord_type=OrdType.STOP_LIMIT),
    Reason.INVALID_TIME_IN_FORCE: lambda b: b.order(tif=TimeInForce.GTD),
    Reason.INVALID_EXEC_INST: lambda b: b.order(exec_inst=ExecInst.HIDDEN),
    Reason.NOT_SUPPORTED_BY_VENUE: lambda b: b.order(display_qty=5),
    Reason.INVALID_QUANTITY: lambda b: b.order(qty=0),
    Reason.INVALID_PRICE: lambda b: b.order(px=0),
}


@pytest.mark.parametrize("reason", REFUSALS, ids=lambda r: r.name)
def test_refusals(reason):
    b = Bench(caps=HardCaps(Cap(1, -1), Cap(5000, 0), 10**9))
    REFUSALS[reason](b)
    refused(b, reason)
    assert b.view.orders == {}
    assert b.view.unanswered == {}


def test_notional_cap():
    b = Bench(caps=HardCaps(order_notional=Cap(5, -1)))
    b.order(1, qty=10, px=5000)  # 0.010 * 50.00 = 0.5
    b.order(2, qty=10, px=5001)
    assert b.reasons() == [Reason.HARD_CAP]
    assert len(b.placed()) == 1


def test_refused_while_not_connected_logged_on_or_downloaded():
    b = Bench(connect=False)
    b.order(1)
    b.lose = "answer"
    b.connect()
    b.order(2)
    b.cancel(1, 99)
    assert b.reasons() == [Reason.NOT_CONNECTED, Reason.GATEWAY_NOT_READY, Reason.GATEWAY_NOT_READY]
    refused_before = len(b.reasons())
    b.act(b.session.disconnected())
    b.cancel(1, 99)
    assert b.reasons()[refused_before:] == [Reason.NOT_CONNECTED]
    assert b.placed() == []


def test_cancels_go_during_the_download_and_under_a_kill():
    b = Bench()
    seq = b.order()
    b.watch(RISK, KillSwitch(kill=1, scope_type=ScopeType.GLOBAL))
    b.cancel(1, seq)
    assert b.said(VenueOrderUpdate)[-1].exec_type == ExecType.CANCELED
    b.session.phase = GatewayPhase.DOWNLOADING
    b.cancel(1, seq)
    assert b.reasons() == []
    b.cancel(77, 3)
    assert b.reasons() == [Reason.UNKNOWN_ORDER]


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ({"scope_type": ScopeType.GLOBAL}, True), ({"scope_type": ScopeType.VENUE, "scope_venue": 1}, True),
        ({"scope_type": ScopeType.VENUE, "scope_venue": 2}, False),
        ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 11}, True),
        ({"scope_type": ScopeType.STRATEGY, "scope_strategy": 12}, False),
        ({"scope_type": ScopeType.ACCOUNT, "scope_account": 3}, True),
        ({"scope_type": ScopeType.INSTRUMENT, "scope_instrument": 8}, False),
        ({"scope_type": ScopeType.SOURCE, "scope_source": 0}, True),
        ({"scope_type": ScopeType.USER, "scope_user": 1}, True),  # nobody is known to have asked for these
        ({"scope_type": ScopeType.ORDER_TREE, "scope_order_id": 99}, True),
        ({"scope_type": ScopeType.GROUP, "scope_group": 4}, True),  # nobody has defined it
        ({"scope_type": ScopeType.UNDERLYING, "scope_underlying": 5}, False),
        ({"scope_type": ScopeType.STRATEGY_INSTRUMENT, "scope_strategy": 11, "scope_instrument": 7}, True),
        ({"scope_type": 250}, True),  # what cannot be judged blocks, as at risk
    ],
)  # fmt: skip
def test_kill_switch(scope, hit):
    b = Bench()
    first = b.order(1)
    b.watch(RISK, KillSwitch(kill=5, **scope))
    b.order(2)
    b.replace(1, first, 20, 5000)
    assert b.reasons() == ([Reason.KILL_SWITCH_ACTIVE] * 2 if hit else [])
    b.watch(RISK, KillRelease(kill=5))
    b.order(3)
    assert len(b.reasons()) == (2 if hit else 0)


ASKER, ALICE, BOB, PARENT = 9, 1, 2, order_id_of(9, 77)


def asked(view, number, *, source=ASKER, user=ALICE, parent=0, instrument=7):
    """An order as it is asked for; as it is routed."""
    order_id = order_id_of(ASKER, number)
    new = NewOrder(order_id=order_id, user=user, parent_order_id=parent, strategy=11, account=3, instrument=instrument)
    view.watch(new, seq=number, epoch=1, source=source)
    return RoutedOrder(order_id=order_id, strategy=11, account=3, instrument=instrument, destination=2)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-1003, Reason.RATE_LIMIT), (-1008, Reason.BUSY), (-1020, Reason.UNSUPPORTED_AT_VENUE),
        (-1111, Reason.QUANTITY_REFUSED), (-1121, Reason.UNKNOWN_SYMBOL), (-2015, Reason.PERMISSION),
        (-2018, Reason.FUNDS_AT_VENUE), (-2019, Reason.MARGIN_AT_VENUE), (-2025, Reason.OPEN_ORDER_LIMIT),
        (-2027, Reason.POSITION_LIMIT_AT_VENUE), (-4016, Reason.PRICE_BAND), (-4024, Reason.PRICE_BAND),
        (-2022, Reason.REDUCE_ONLY_AT_VENUE), (-4002, Reason.PRICE_REFUSED), (-4005, Reason.ORDER_EXCEEDS_LIMIT),
        (-4006, Reason.TRIGGER_REJECTED), (-4013, Reason.PRICE_REFUSED),
        (-4116, Reason.DUPLICATE_AT_VENUE), (-4140, Reason.CLOSED), (-5022, Reason.POST_ONLY_WOULD_TAKE),
        (-9999, Reason.VENUE_OTHER),
    ],
)  # fmt: skip
def test_a_refusal_in_our_words_with_the_venues_number(monkeypatch, code, reason):
    monkeypatch.setattr(ModelVenue, "order_place", lambda *_: (None, {"code": code, "msg": "in its words"}, []))
    b = Bench()
    b.order(1)
    (update,) = b.said(VenueOrderUpdate)
    assert (update.exec_type, update.reason, update.venue_code) == (ExecType.REJECTED, reason, code)
    assert update.text == "in its words"


def members(*rows):
    return GroupDefined(group=4, members=[GroupMember(member=m, member_type=kind) for kind, m in rows])


@pytest.mark.parametrize(
    ("scope", "group", "covered"),
    [
        ({"scope_type": ScopeType.USER, "scope_user": ALICE}, None, "alice child"),
        ({"scope_type": ScopeType.USER, "scope_user": BOB}, None, "bob"),
        ({"scope_type": ScopeType.UNDERLYING, "scope_underlying": 50}, None, "alice bob child"),
        ({"scope_type": ScopeType.UNDERLYING, "scope_underlying": 51}, None, "other"),
        ({"scope_type": ScopeType.ORDER_TREE, "scope_order_id": PARENT}, None, "child"),
        ({"scope_type": ScopeType.GROUP, "scope_group": 4}, members((ScopeType.USER, BOB)), "bob"),
        ({"scope_type": ScopeType.GROUP, "scope_group": 4}, members((ScopeType.UNDERLYING, 51)), "other"),
        ({"scope_type": ScopeType.GROUP, "scope_group": 4}, members((ScopeType.STRATEGY, 11)), "alice bob child other"),
        ({"scope_type": ScopeType.GROUP, "scope_group": 4}, members((ScopeType.INSTRUMENT, 9)), ""),
        ({"scope_type": ScopeType.GROUP, "scope_group": 5}, members((ScopeType.USER, BOB)), "alice bob child other"),
    ],
)  # fmt: skip
def test_kills_of_users_groups_and_underlyings(scope, group, covered):
    """What a routed frame does not say of its order, its NewOrder and its instrument have said."""
    view = OrderView(venue_name="sim", account_name="demo")
    view.watch(VenueDefined(venue=1, name="sim"), seq=1, epoch=1)
    for instrument, underlying in ((7, 50), (8, 51)):
        view.watch(InstrumentDefined(instrument=instrument, venue=1, underlying=underlying), seq=1, epoch=1)
    orders = {
        "alice": asked(view, 1), "bob": asked(view, 2, user=BOB), "child": asked(view, 3, parent=PARENT),
        "other": asked(view, 4, user=3, instrument=8),
    }  # fmt: skip
    asked(view, 2, source=ASKER + 1, user=ALICE)  # says that bob's order is alice's
    asked(view, 2, user=ALICE)  # the same number again: risk refuses it
    if group is not None:
        view.watch(group, seq=9, epoch=1)
    assert not any(view.killed(m) for m in orders.values())
    view.watch(KillSwitch(kill=7, level=KillLevel.BLOCK, **scope), seq=10, epoch=1)
    assert [name for name, m in orders.items() if view.killed(m)] == covered.split()
    for seq, m in enumerate(orders.values(), 20):
        view.routed(m, seq)
    view.owners.clear()  # forgotten, but the orders that are open are still somebody's
    replaced = {
        name: RoutedReplace(order_id=m.order_id, account=3, instrument=m.instrument, destination=2)
        for name, m in orders.items()
    }
    assert [name for name, m in replaced.items() if view.killed(m)] == covered.split()


def test_orders_of_quotes_are_nobodys_but_their_strategys():
    view = OrderView(venue_name="sim", account_name="demo")
    m = RoutedOrder(order_id=quote_order_id(ASKER, 5, 0, 1), strategy=11, account=3, instrument=7)
    view.watch(KillSwitch(kill=7, scope_type=ScopeType.USER, scope_user=ALICE), seq=1, epoch=1)
    assert not view.killed(m)
    view.watch(KillSwitch(kill=8, scope_type=ScopeType.STRATEGY, scope_strategy=11), seq=1, epoch=1)
    assert view.killed(m)


def test_whose_orders_are_is_remembered_of_the_newest(monkeypatch):
    monkeypatch.setattr("gateways.sim.order_view.OWNERS_MAX", 2)
    view = OrderView(venue_name="sim", account_name="demo")
    first, second, third = (asked(view, n, user=BOB) for n in (1, 2, 3))
    view.watch(KillSwitch(kill=7, scope_type=ScopeType.USER, scope_user=ALICE), seq=9, epoch=1)
    assert [view.killed(m) for m in (first, second, third)] == [True, False, False]
    view.watch(members((ScopeType.ACCOUNT, 8)), seq=10, epoch=1)
    view.watch(KillRelease(kill=7), seq=11, epoch=1)
    view.watch(KillSwitch(kill=8, scope_type=ScopeType.GROUP, scope_group=4), seq=12, epoch=1)
    assert not view.killed(first)  # of this group an owner does not matter
    view.watch(members((ScopeType.USER, ALICE)), seq=13, epoch=1)
    assert [view.killed(m) for m in (first, second)] == [True, False]


def test_a_kill_that_flattens_lets_the_app_through_that_closes_positions():
    view = OrderView(venue_name="sim", account_name="demo")
    view.watch(SourceDefined(source=12, role=SourceRole.POSITIONS), seq=1, epoch=1)
    view.watch(SourceDefined(source=9, role=SourceRole.ALGO), seq=2, epoch=1)
    closing = {"ord_type": OrdType.MARKET, "exec_inst": int(ExecInst.DO_NOT_INCREASE), "strategy": 11}
    mine, others = order_id_of(12, 1), order_id_of(9, 1)
    view.watch(KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.GLOBAL), seq=3, epoch=1)
    assert view.killed(RoutedOrder(order_id=mine, **closing))
    flatten = {"level": KillLevel.BLOCK_CANCEL_FLATTEN, "scope_type": ScopeType.STRATEGY, "scope_strategy": 11}
    view.watch(KillSwitch(kill=2, **flatten), seq=4, epoch=1)
    assert not view.killed(RoutedOrder(order_id=mine, **closing))
    assert view.killed(RoutedOrder(order_id=others, **closing))
    assert view.killed(RoutedOrder(order_id=mine, **closing | {"exec_inst": 0}))
    assert view.killed(RoutedOrder(order_id=mine, **closing | {"ord_type": OrdType.LIMIT}))
    assert view.killed(RoutedOrder(order_id=mine, **closing | {"strategy": 12}))


def test_a_pass_counts_once_for_one_order_of_one_epoch():
    b = Bench()
    b.order(1)
    used = next(seq for seq, (s, m, _) in enumerate(b.frames, 1) if isinstance(m, RiskDecision))
    b.order(1, risk=used)
    assert b.reasons() == [Reason.DUPLICATE_ORDER_ID]
    b.cancel(1, next(iter(b.view.order_of)))
    b.order(1, risk=used)
    assert b.reasons()[1:] == [Reason.RISK_PASS_CONSUMED]
    other = b.risk(9, content_hash(RoutedOrder(order_qty=1)))
    b.order(2, risk=other)
    late = b.risk(3, 0, valid_until_ts=5)
    b.order(3, risk=late)
    no = b.risk(4, 0, decision=Decision.REJECT)
    b.order(4, risk=no)
    assert b.reasons()[2:] == [Reason.RISK_PASS_MISSING_OR_DIFFERENT] * 3
    digest = content_hash(
        RoutedOrder(order_id=5, order_qty=10, price_px=5000, account=3, instrument=7, side=1, ord_type=2, tif=2)
    )
    old = b.risk(5, digest)
    b.epoch = 2
    b.watch(0, EpochStart(new_epoch=2))
    b.order(5, risk=old)
    assert b.reasons()[5:] == [Reason.RISK_PASS_MISSING_OR_DIFFERENT]
    b.order(6)
    assert len(b.placed()) == 2


def test_a_replace_needs_its_own_pass():
    b = Bench()
    seq = b.order(1)
    b.replace(1, seq, 20, 5000, risk=3)
    b.replace(1, 3, 20, 5000)
    assert b.reasons() == [Reason.RISK_PASS_MISSING_OR_DIFFERENT, Reason.UNKNOWN_ORDER]


def test_a_second_order_of_an_open_id_never_leaves_however_often_it_is_refused():
    b = Bench()
    b.order(1)
    for _ in range(3):
        b.order(1)
    assert b.reasons() == [Reason.DUPLICATE_ORDER_ID] * 3
    assert len(b.placed()) == 1


def test_a_replace_or_cancel_reaches_no_order_but_the_one_it_names():
    b = Bench()
    first, second = b.order(1), b.order(2)
    b.replace(1, second, 20, 5000)
    b.cancel(2, first)
    assert b.reasons() == [Reason.UNKNOWN_ORDER] * 2
    assert not [r for r in b.sent if r["method"] in ("order.modify", "order.cancel")]


def test_other_destinations_are_not_ours():
    b = Bench()
    before = len(b.frames)
    b.routed(RoutedOrder(order_id=1, destination=9))
    assert len(b.frames) == before + 1


# Losing connections.


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_what_was_in_flight_is_asked_for_and_never_sent_again(lost):
    b = Bench()
    resting = b.order(1)
    b.lose = lost
    placed, replaced, crossed = b.order(2), b.replace(1, resting, 30, 4000), b.order(3, px=20_000)
    said = len(b.frames)
    b.lose = None
    b.act(b.session.disconnected())
    silent = [m for _, m, _ in b.frames[said:] if not isinstance(m, StreamStatus | GatewayStatus)]
    assert silent == []  # nothing is said of an unknown outcome
    business = list(b.venue.business)
    b.connect()
    assert b.venue.business == business
    assert b.view.unanswered == {}
    assert b.said(GatewayStatus)[-1].phase == GatewayPhase.READY
    if lost == "request":
        never = b.said(VenueOrderUpdate, ord_status=OrdStatus.UNDEFINED)
        assert [(m.request_seq, m.reason) for m in never] == [
            (placed, Reason.UNKNOWN_AT_VENUE),
            (crossed, Reason.UNKNOWN_AT_VENUE),
        ]
        (no,) = b.said(VenueCancelReject)
        assert (no.request_seq, no.response_to, no.reason) == (replaced, CxlRejResponseTo.REPLACE, Reason.DISCONNECTED)
    else:
        assert [m.trade_no for m in b.said(VenueFill)] == [1, 2]
        assert b.said(VenueFill)[0].channel == Channel.DOWNLOAD
        (done,) = b.said(VenueOrderUpdate, request_seq=replaced)
        assert (done.exec_type, done.order_qty, done.price_px) == (ExecType.REPLACED, 30, 4000)
        assert set(b.view.orders) == {1, 2}
    assert len(b.placed()) == 3


@pytest.mark.parametrize("done", ["503 undone", "503 done"])
def test_an_unknown_outcome_is_asked_for_and_never_sent_again(done):
    """V12: the venue answers that it does not know itself."""
    b = Bench()
    b.lose = done
    placed = b.order(1, px=5000)
    asked = [r["method"] for r in b.sent]
    assert asked.count("order.place") == 1
    assert "order.status" in asked[asked.index("order.place") :]
    if done == "503 undone":
        (never,) = b.said(VenueOrderUpdate, request_seq=placed)
        assert (never.ord_status, never.reason) == (OrdStatus.UNDEFINED, Reason.UNKNOWN_AT_VENUE)
        assert b.view.orders == {}
    else:
        (found,) = b.said(VenueOrderUpdate, request_seq=placed)
        assert found.ord_status == OrdStatus.NEW
        assert set(b.view.orders) == {1}


def test_a_lost_cancel_is_told_after_the_state_of_its_order():
    b = Bench()
    seq = b.order(1)
    b.lose = "request"
    canceled = b.cancel(1, seq)
    b.lose = None
    b.act(b.session.disconnected())
    at = len(b.frames)
    b.connect()
    rows = [m for _, m, _ in b.frames[at:] if isinstance(m, VenueOrderUpdate | VenueCancelReject)]
    assert [(type(m), m.request_seq) for m in rows] == [(VenueOrderUpdate, seq), (VenueCancelReject, canceled)]
    assert rows[0].ord_status == OrdStatus.NEW


def test_a_cancel_that_nobody_asked_for_says_why():
    b = Bench()
    seq = b.order(1)
    o = b.venue.orders[1]
    o["status"] = "CANCELED"
    b.act(b.session.receive(json.dumps(b.venue.push(o, "CANCELED", f"T-{seq}", reason="HALT")).encode(), b.now))
    m = b.said(VenueOrderUpdate)[-1]
    assert (m.request_seq, m.exec_type, m.reason) == (seq, ExecType.CANCELED, Reason.HALT_CANCEL)


@pytest.mark.parametrize(
    ("word", "reason", "text"),
    [
        ("CANCEL_ON_DISCONNECT", Reason.CANCEL_ON_DISCONNECT, ""),
        ("DEAD_MAN", Reason.DEAD_MAN_FIRED, ""),
        ("HALT", Reason.HALT_CANCEL, ""),
        ("COMET", Reason.VENUE_OTHER, "COMET"),
        (None, Reason.UNDEFINED, ""),
    ],
)
def test_what_ended_while_nobody_listened_says_why(word, reason, text):
    b = Bench()
    seq = b.order(1)
    b.act(b.session.disconnected())
    b.venue.orders[1] |= {"status": "CANCELED"} | ({"endReason": word} if word else {})
    b.connect()
    (update,) = b.said(VenueOrderUpdate, channel=Channel.QUERY)
    assert (update.request_seq, update.exec_type, update.ord_status) == (seq, ExecType.ORDER_STATUS, OrdStatus.CANCELED)
    assert (update.reason, update.text) == (reason, text)
    assert b.view.orders == {}


def test_downloaded_rows_are_flagged():
    b = Bench()
    b.order(1)
    b.act(b.session.disconnected())
    b.venue.trade(b.venue.orders[1], "0.001")
    collected, wire = [], [a for a in b.session.connected(b.now) if not isinstance(a, Out)]
    while wire:
        for frame in b.venue.handle(wire.pop(0)):
            for a in b.session.receive(frame, b.now):
                (collected if isinstance(a, Out) else wire).append(a)
    (fill,) = [o for o in collected if isinstance(o.message, VenueFill)]
    assert fill.flags == Flag.SNAPSHOT | Flag.POSS_RESEND
    assert fill.of_raw


def test_foreign_orders_are_told():
    b = Bench()
    b.venue.handle(json.dumps({"id": "1", "method": "order.place", "params": {
        "newClientOrderId": "web-1", "side": "SELL", "type": "LIMIT", "quantity": "0.010", "price": "50.00"}},
    ).encode())  # fmt: skip
    b.act(b.session.disconnected())
    b.connect()
    (row,) = b.said(VenueOrderUpdate)
    assert (row.order_id, row.request_seq, row.client_ref, row.side) == (0, 0, "web-1", Side.SELL)
    assert b.said(DownloadEnd)[-1].rows == 1


def test_a_hole_in_the_pushes_starts_a_download():
    b = Bench()
    b.order(1)
    b.venue.push(b.venue.orders[1], "NEW", "lost")
    b.order(2)
    assert len(b.said(DownloadEnd)) == 2
    assert b.session.phase == GatewayPhase.READY


def test_an_unanswered_request_cuts_the_connection():
    b = Bench()
    b.lose = "answer"
    b.order(1)
    due = b.session.next_timer_ns()
    b.act(b.session.on_timer(due - 1))
    assert b.session.close_wanted == ""
    b.act(b.session.on_timer(due))
    assert "no answer" in b.session.close_wanted


def test_a_failed_download_is_repeated_and_does_not_count():
    b = Bench()
    b.act(b.session.disconnected())
    b.venue.openOrders = lambda p: (None, {"code": -1000, "msg": "bug"}, [])
    b.connect()
    assert b.said(DownloadEnd)[-1].complete == 0
    assert b.session.phase == GatewayPhase.DOWNLOADING
    b.order(1)
    assert b.reasons() == [Reason.GATEWAY_NOT_READY]
    del b.venue.openOrders
    b.now = b.session.next_timer_ns()
    b.act(b.session.on_timer(b.now))
    assert b.said(DownloadEnd)[-1].complete == 1
    assert b.session.phase == GatewayPhase.READY


def test_a_wrong_key_is_told_and_closes():
    b = Bench(connect=False)
    b.session.api_key = "wrong"
    b.connect()
    assert "logon refused" in b.session.close_wanted
    assert b.said(GatewayStatus)[-1].phase == GatewayPhase.LOGGED_OUT
    b.act(b.session.disconnected())
    assert b.said(StreamStatus)[-1].reason == Reason.AUTHENTICATION
    b.session.api_key = KEY
    b.connect()
    b.act(b.session.disconnected())
    assert b.said(StreamStatus)[-1].reason == Reason.DISCONNECTED


@pytest.mark.parametrize(
    "frame",
    [b"", b"{", b"[1]", b"\xff", b"{}", b'{"id":1,"status":200}', b'{"id":"nobody","status":200,"result":{}}',
     b'{"id":null,"status":400,"error":{"code":-1135,"msg":"x"}}', b'{"e":"ACCOUNT_UPDATE"}',
     b'{"status":200,"status":200,"id":"x"}',
     b'{"e":"ORDER_TRADE_UPDATE","o":{}}', b'{"id":"x","status":99999999999999999999}', b"[" * 100_000],
)  # fmt: skip
def test_bad_frames_are_told_once(frame):
    b = Bench()
    b.act(b.session.receive(frame, b.now))
    b.act(b.session.receive(frame, b.now))
    assert len(b.said(VenueError)) == 1
    b.order(1)
    assert len(b.placed()) == 1


def test_pushes_that_make_no_sense_are_told():
    b = Bench()
    b.order(1)
    good = b.venue.push(b.venue.orders[1], "NEW", "T-1")
    for field, value in (("x", "WOBBLE"), ("X", "WOBBLE"), ("S", "WOBBLE"), ("q", "1e5"), ("s", "ETHUSDT")):
        push = copy.deepcopy(good)
        push["o"][field] = value
        b.act(b.session.receive(json.dumps(push).encode(), b.now))
    assert len(b.said(VenueError)) == 5
    push = copy.deepcopy(good)
    push["o"]["r"] = "NEW_REASON"
    b.act(b.session.receive(json.dumps(push).encode(), b.now))
    assert b.said(VenueOrderUpdate)[-1].reason == Reason.VENUE_OTHER


# Crash points.


def a_day():
    b = Bench()
    first = b.order(1)
    second = b.replace(1, first, 30, 4000)
    b.order(2, px=20_000)
    b.order(3, qty=666)
    b.cancel(1, first)
    third = b.order(4)
    b.lose = "answer"
    b.replace(4, third, 40, 4500)
    b.order(5, px=20_000)
    b.lose = "request"
    b.cancel(4, third)
    b.order(6)
    b.lose = None
    b.act(b.session.disconnected())
    b.connect()
    b.cancel(1, second)
    b.order(7, px=30_000)
    return b


DAY = a_day()


@pytest.mark.parametrize("venue_ahead", [False, True])
@pytest.mark.parametrize("n", range(8, len(DAY.frames) + 1))
def test_crash_after_every_frame(n, venue_ahead):
    """A new process with the first n frames; the venue as it was then, or as it was when the next frame came."""
    at = min(n, len(DAY.frames) - 1) if venue_ahead else n - 1
    prefix, venue = DAY.frames[:n], copy.deepcopy(DAY.seen[at])
    business = list(venue.business)
    b = Bench(frames=prefix, venue=venue)
    assert b.venue.business == business  # nothing is sent again, nor late
    assert len(set(business)) == len(business)
    assert b.said(GatewayStatus)[-1].phase == GatewayPhase.READY
    assert b.view.unanswered == {}
    asked = {r["params"].get("origClientOrderId") for r in b.sent if r["method"] == "order.status"}
    routed = [(seq, m) for seq, (s, m, _) in enumerate(prefix, 1) if isinstance(m, RoutedOrder | RoutedReplace | RoutedCancel)]
    answered = {
        m.request_seq for s, m, _ in prefix if isinstance(m, VenueOrderUpdate | VenueFill | VenueCancelReject | SendRefused)
    }
    assert {f"T-{seq}" for seq, _ in routed if seq not in answered} <= asked
    # Fills: what the venue did is on the stream, each once.
    assert sorted(m.trade_no for m in b.said(VenueFill)) == [t["id"] for t in venue.trades]
    # Open orders are the venue's open orders, with its quantities.
    theirs = {o["origClientOrderId"]: o for o in venue.orders.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")}
    ours = {f"T-{o.place_seq}": o for o in b.view.orders.values()}
    assert set(ours) == set(theirs)
    assert all(ours[c].order_qty == round(float(theirs[c]["origQty"]) * 1000) for c in ours)
    # And the new process trades.
    b.order(1000)
    assert len(b.placed()) == 1


@pytest.mark.parametrize("second_person", [None, False])
def test_a_gateway_ends_a_kill_only_when_those_do_who_judge_it(second_person):
    view = OrderView(venue_name="sim", account_name="demo")
    order = RoutedOrder(order_id=order_id_of(9, 1), strategy=11)
    said = [UserDefined(user=1), UserDefined(user=2)]
    if second_person is not None:
        said += [ConfigItem(owner=6, name="second_person", value="false"), ConfigApplied(owner=6)]
    said += [
        OperatorCommand(request=7, user=1, command=CommandCode.KILL), KillSwitch(kill=7, scope_type=ScopeType.GLOBAL),
        OperatorCommand(request=8, user=1, command=CommandCode.KILL_RELEASE), KillRelease(kill=7),
    ]  # fmt: skip
    for seq, m in enumerate(said, start=1):
        view.watch(m, seq=seq, epoch=1, source=3, ts=seq)
    assert view.killed(order) == (second_person is None)
    for user, killed in ((1, True), (2, False)):
        view.watch(Approval(request_seq=len(said), user=user, decision=1), seq=50 + user, epoch=1, source=3, ts=60)
        assert view.killed(order) == (killed and second_person is None)
