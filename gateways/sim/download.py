"""The questions asked of the venue: after every logon, before trading; after a hole in its pushes; when the OMS asks.

A request that was in flight when a connection or a process died has an unknown outcome. It is never sent again: the venue is
asked for it by its client id. The venue promises that after a logon "never accepted" is final (docs/simulated-exchange.md,
"Client order ids"), so every question has a definite answer.

Order of a download: trades missed (so that cumulative quantities agree), then per order its unanswered replaces and
cancels, the order itself, then what did *not* happen to it, then orders of other sessions. One that is asked for by a
reconciliation has all trades since a time, also known ones, also those of our orders that we hold for closed and the venue does
not, and at its end payments of funding, positions, balances and equity.
"""

from __future__ import annotations

from collections import deque

import msgspec

from gateways.sim.funding import downloaded_funding
from gateways.sim.mapping import NS_PER_MS
from gateways.sim.order_mapping import (
    NEVER_EXISTED,
    OPEN_STATUSES,
    Known,
    downloaded_fill,
    funds_confirmed,
    margin_confirmed,
    never_existed,
    position_confirmed,
    request,
    status_update,
)
from gateways.sim.order_view import OrderView
from gateways.sim.session import SNAPSHOT_ROW, Out
from gateways.sim.wire import (
    BadFrame,
    Response,
    decode_balances,
    decode_equities,
    decode_funding,
    decode_order,
    decode_orders,
    decode_positions,
    decode_trades,
)
from journal.messages import (
    Channel,
    CxlRejResponseTo,
    ExecType,
    Flag,
    QueryType,
    Reason,
    RoutedCancel,
    RoutedOrder,
    VenueCancelReject,
    VenueErrorCode,
)
from journal.messages.client_ids import ClientIds

IN_FLIGHT_MAX = 16
TRADES_PAGE = FUNDING_PAGE = 1000
FILL_ROW = SNAPSHOT_ROW | int(Flag.POSS_RESEND)
_METHODS = {"open": "openOrders", "positions": "account.position", "funds": "account.balance", "margin": "account.margin"}
DERIVED_ROW = SNAPSHOT_ROW | int(Flag.SYNTHETIC)


class Ask(msgspec.Struct, frozen=True):
    """One question: "trades", "request" (a replace or cancel by its own id), "order", "open", "funding", "positions",
    "funds", "margin"."""

    what: str
    seq: int = 0
    order_id: int = 0
    from_id: int = 0
    from_ms: int = 0


class QuestionFailed(Exception):
    """The venue did not answer the question; the download does not count and is repeated."""


def _unknown_symbol(what: str, symbol: str) -> BadFrame:
    return BadFrame(VenueErrorCode.PROTOCOL, f"symbol {symbol[:64]}", f"{what} of unknown symbol {symbol[:64]!r}")


class Download:
    """A run of questions. `due` hands them out, `answered` takes the answers in the same order."""

    def __init__(self, view: OrderView, ids: ClientIds, asks: list[Ask], *, compares: bool = False) -> None:
        self.view = view
        self.ids = ids
        self.compares = compares
        """What is known already is told too, for a comparison; trading goes on meanwhile."""
        self.fills_of = 0
        """The order whose fills are looked for among older trades, too. Those of others may be of orders that have left."""
        self._known_to = view.last_trade_no
        self.rows = 0
        self._asks = deque(asks)
        self._after_trades: list[Ask] = []
        self._in_flight = 0
        self._deferred: dict[int, list[VenueCancelReject]] = {}
        if asks and asks[0].what == "trades":
            # Pages follow each other by the last id, so the rest waits: fills come before the states that include them.
            self._asks, self._after_trades = deque(asks[:1]), asks[1:]

    @classmethod
    def whole(cls, view: OrderView, ids: ClientIds) -> Download:
        """Everything that may have changed while nobody listened."""
        asks: list[Ask] = []
        if view.has_routed:  # without any order of ours there is nothing that we could have missed
            asks.append(Ask("trades", from_id=view.last_trade_no + 1))
        return cls(view, ids, [*asks, *cls._of_orders(view), *cls._of_funding(view, view.funding_since())])

    @classmethod
    def of_fills(cls, view: OrderView, ids: ClientIds, order_id: int) -> Download:
        """`whole`, and with the trades since this order was asked for: a push that was lost may be older than one that came."""
        told = view.told.get(order_id)
        since = view.last_trade_no if told is None else told.after_trade
        found = cls(view, ids, [Ask("trades", from_id=since + 1), *cls._of_orders(view)])
        found.fills_of = order_id
        return found

    @classmethod
    def compared(cls, view: OrderView, ids: ClientIds, query: int, from_ts: int) -> Download:
        """What a reconciliation asks for: everything, or one part of it."""
        trades = [Ask("trades", from_ms=from_ts // NS_PER_MS)]
        funds, positions = [Ask("funds"), Ask("margin")], [Ask("positions")]
        paid = cls._of_funding(view, max(from_ts, view.began_ts))
        asks = {
            QueryType.OPEN_ORDERS: [*trades, *cls._of_orders(view), *paid, *positions, *funds],
            QueryType.FILLS: trades,
            QueryType.POSITIONS: positions,
            QueryType.FUNDS: funds,
        }
        return cls(view, ids, asks[QueryType(query)], compares=True)

    @staticmethod
    def _of_funding(view: OrderView, since_ns: int) -> list[Ask]:
        return [Ask("funding", from_ms=since_ns // NS_PER_MS)] if view.pays_funding() else []

    @staticmethod
    def _of_orders(view: OrderView) -> list[Ask]:
        asks: list[Ask] = []
        of_orders: dict[int, list[Ask]] = {order_id: [] for order_id in view.orders}
        for seq, m in view.unanswered.items():
            if not isinstance(m, RoutedOrder):
                of_orders.setdefault(m.order_id, []).append(Ask("request", seq, m.order_id))
        for order_id, requests in of_orders.items():
            asks += requests
            if order_id in view.orders:
                asks.append(Ask("order", view.orders[order_id].place_seq, order_id))
        return [*asks, Ask("open")]

    @classmethod
    def of_order(cls, view: OrderView, ids: ClientIds, *, order_id: int, request_seq: int) -> Download:
        """One order, as the OMS asks for it."""
        asks = [Ask("trades", from_id=view.last_trade_no + 1)]
        pending = view.unanswered.get(request_seq)
        if pending is not None and not isinstance(pending, RoutedOrder):
            asks.append(Ask("request", request_seq, order_id))
        order = view.orders.get(order_id)
        asks.append(Ask("order", order.place_seq if order else request_seq, order_id))
        return cls(view, ids, asks)

    def due(self) -> list[Ask]:
        """Questions to send now."""
        out = []
        while self._asks and self._in_flight < IN_FLIGHT_MAX:
            out.append(self._asks.popleft())
            self._in_flight += 1
        return out

    @property
    def done(self) -> bool:
        """All questions are answered."""
        return not self._asks and not self._in_flight

    def text(self, ask: Ask, request_id: str) -> bytes:
        """The question in the venue's words."""
        if ask.what == "trades":
            since = {"startTime": ask.from_ms} if ask.from_ms else {}
            return request(request_id, "myTrades", {"fromId": ask.from_id, "limit": TRADES_PAGE} | since)
        if ask.what == "funding":
            return request(request_id, "account.funding", {"startTime": ask.from_ms, "limit": FUNDING_PAGE})
        if ask.what in _METHODS:
            return request(request_id, _METHODS[ask.what])
        return request(request_id, "order.status", {"origClientOrderId": self.view.client_id(self.ids, ask.seq, ask.order_id)})

    def answered(self, ask: Ask, response: Response, now_ns: int) -> list[Out]:
        """What the answer means. QuestionFailed if it is none."""
        self._in_flight -= 1
        code = response.error.code if response.error else 0 if response.status == 200 else response.status
        if code and not (code == NEVER_EXISTED and ask.what in ("request", "order")):
            raise QuestionFailed(f"{ask.what}: status {response.status}, code {code}")
        if ask.what == "trades":
            out = self._trades(response)
        elif ask.what == "open":
            out = self._foreign(response)
        elif ask.what == "funding":
            out = self._funding(response)
        elif ask.what == "positions":
            out = self._positions(response, now_ns)
        elif ask.what == "funds":
            out = self._funds(response, now_ns)
        elif ask.what == "margin":
            out = self._margin(response, now_ns)
        elif ask.what == "request":
            out = self._request(ask, None if code else response)
        else:
            out = self._order(ask, None if code else response)
        self.rows += len(out)
        return out

    def _trades(self, response: Response) -> list[Out]:
        out = []
        rows = decode_trades(response.result)
        first_look = self.view.last_trade_no == 0
        for row in rows:
            listing = self.view.listing_named(row.symbol)
            seq, order_id = self.view.named(self.ids, row.client_order_id)
            if listing is None:
                raise _unknown_symbol("trade", row.symbol)
            seen = (listing.instrument, row.id) in self.view.trades_seen
            # Trades of other sessions before our first one are history, not news; so are older ones in a lookback.
            elsewhere = self.fills_of not in (0, order_id) and row.id <= self._known_to
            history = not order_id and (first_look or (self.compares and not seen and row.id <= self.view.last_trade_no))
            if history or elsewhere or (seen and not self.compares):
                continue
            known = Known(seq, order_id, self.view.account)
            fill = downloaded_fill(row, listing, known, self.view.currencies)
            self.view.said(fill)
            out.append(Out(fill, flags=FILL_ROW))
        if len(rows) == TRADES_PAGE:
            self._asks.append(Ask("trades", from_id=rows[-1].id + 1))
        else:
            self._asks.extend(self._after_trades)
            self._after_trades = []
        return out

    def _request(self, ask: Ask, response: Response | None) -> list[Out]:
        m = self.view.unanswered.get(ask.seq)
        if m is None:
            return []  # its own answer came after all
        if response is None:
            to = CxlRejResponseTo.CANCEL if isinstance(m, RoutedCancel) else CxlRejResponseTo.REPLACE
            refused = VenueCancelReject(
                request_seq=ask.seq, order_id=ask.order_id, venue_code=NEVER_EXISTED, reason=Reason.DISCONNECTED,
                response_to=to, text="lost on the way: the venue never accepted it",
            )  # fmt: skip
            self._deferred.setdefault(ask.order_id, []).append(refused)
            return [] if ask.order_id in self.view.orders else self._what_did_not_happen(ask.order_id)
        return self._state(ask, response, replaced=not isinstance(m, RoutedCancel))

    def _order(self, ask: Ask, response: Response | None) -> list[Out]:
        if response is not None:
            return self._state(ask, response, replaced=False) + self._what_did_not_happen(ask.order_id)
        order = self.view.orders.get(ask.order_id)
        gone = never_existed(
            seq=ask.seq, order_id=ask.order_id, account=self.view.account, instrument=order.instrument if order else 0
        )
        self.view.said(gone)
        return [Out(gone, flags=SNAPSHOT_ROW), *self._what_did_not_happen(ask.order_id)]

    def _what_did_not_happen(self, order_id: int) -> list[Out]:
        """Replaces and cancels that never arrived. Only now do they count as answered: an abandoned download asks again."""
        out = []
        for refused in self._deferred.pop(order_id, ()):
            self.view.said(refused)
            out.append(Out(refused, flags=DERIVED_ROW))
        return out

    def _state(self, ask: Ask, response: Response, *, replaced: bool) -> list[Out]:
        row = decode_order(response.result)
        listing = self.view.listing_named(row.symbol)
        if listing is None:
            raise _unknown_symbol("order", row.symbol)
        exec_type = ExecType.REPLACED if replaced and row.status in OPEN_STATUSES else ExecType.ORDER_STATUS
        known = Known(ask.seq, ask.order_id, self.view.account)
        update = status_update(row, listing, known, exec_type=exec_type, channel=Channel.QUERY)
        self.view.said(update)
        return [Out(update, flags=SNAPSHOT_ROW)]

    def _foreign(self, response: Response) -> list[Out]:
        out = []
        for row in decode_orders(response.result):
            listing = self.view.listing_named(row.symbol)
            seq, order_id = self.view.named(self.ids, row.orig_client_order_id)
            # Ours are asked for one by one; one that we hold for closed shows only here.
            if listing is None or (order_id and (not self.compares or order_id in self.view.orders)):
                continue
            known = Known(seq, order_id, self.view.account)
            update = status_update(row, listing, known, exec_type=ExecType.ORDER_STATUS, channel=Channel.DOWNLOAD)
            out.append(Out(update, flags=SNAPSHOT_ROW))
        return out

    def _funding(self, response: Response) -> list[Out]:
        out = []
        rows = decode_funding(response.result)
        for row in rows:
            listing = self.view.listing_named(row.symbol)
            if listing is None:
                raise _unknown_symbol("funding", row.symbol)
            paid = downloaded_funding(row, listing, self.view.account, self.view.currencies)
            if self.compares or (paid.instrument, paid.funding_ts) not in self.view.funding_seen:
                self.view.said(paid)
                out.append(Out(paid, flags=FILL_ROW))
        if len(rows) == FUNDING_PAGE:  # the next page begins where this one ended
            self._asks.append(Ask("funding", from_ms=rows[-1].time + 1))
        return out

    def _positions(self, response: Response, now_ns: int) -> list[Out]:
        out = []
        for row in decode_positions(response.result):
            listing = self.view.listing_named(row.symbol)
            if listing is not None:
                out.append(Out(position_confirmed(row, listing, self.view.account, now_ns), flags=SNAPSHOT_ROW))
        return out

    def _funds(self, response: Response, now_ns: int) -> list[Out]:
        return [
            Out(funds_confirmed(row, self.view.currencies[row.asset], self.view.account, now_ns), flags=SNAPSHOT_ROW)
            for row in decode_balances(response.result)
            if row.asset in self.view.currencies
        ]

    def _margin(self, response: Response, now_ns: int) -> list[Out]:
        return [
            Out(margin_confirmed(row, self.view.currencies[row.asset], self.view.account, now_ns), flags=SNAPSHOT_ROW)
            for row in decode_equities(response.result)
            if row.asset in self.view.currencies
        ]
