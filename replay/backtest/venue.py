"""The venue of a backtest: our orders matched against the recorded market, its answers said as a gateway would say them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apps.venue import events as v
from apps.venue.desk import STOPS
from apps.venue.recorded import RecordedVenue
from apps.venue.rules import FEE_EXP, Rules
from journal.messages import (
    NULL,
    Channel,
    CxlRejResponseTo,
    DownloadBegin,
    DownloadEnd,
    ExecInst,
    ExecType,
    FeeType,
    InstrumentDefined,
    LiquidityIndicator,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    Message,
    OrdStatus,
    OrdType,
    PositionConfirmed,
    PositionSide,
    QueryType,
    QuoteStatus,
    Reason,
    RoutedCancel,
    RoutedCancelAll,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    Side,
    TimeInForce,
    TradeSummary,
    VenueCancelReject,
    VenueFill,
    VenueMassCancelReport,
    VenueOrderUpdate,
    VenueQuoteUpdate,
)
from journal.messages.quoting import quote_place
from replay.backtest.quotes import Quotes

_CLOSED = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED)
_Change = v.Accepted | v.Amended | v.Triggered | v.Canceled | v.Expired
Request = RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuery | RoutedCancelAll | RoutedQuote


def rules_of(i: InstrumentDefined) -> Rules:
    """A venue's rules from an instrument's definition; fee rates from 1e-12 to the venue's 1e-8."""
    return Rules(
        px_exp=i.px_exp,
        qty_exp=i.qty_exp,
        tick=i.tick_px if i.tick_px not in (NULL, 0) else 1,
        lot=i.lot_qty if i.lot_qty not in (NULL, 0) else 1,
        maker_fee=i.maker_rate // 10**4 if i.maker_rate != NULL else 0,
        taker_fee=i.taker_rate // 10**4 if i.taker_rate != NULL else 0,
    )


class _Known:
    """What the venue remembers of one of our orders."""

    def __init__(self, venue_id: int, routed: RoutedOrder, request_seq: int) -> None:
        self.venue_id = venue_id
        self.routed = routed
        self.request_seq = request_seq
        self.order_qty = routed.order_qty
        self.price_px = routed.price_px
        self.cum_qty = 0
        self.notional = 0
        self.status = OrdStatus.NEW


class BacktestVenue:
    """One venue, a recorded market for each instrument. Every call returns the messages its gateway would publish."""

    def __init__(self) -> None:
        self._markets: dict[int, RecordedVenue] = {}
        self._instruments: dict[int, InstrumentDefined] = {}
        self._orders: dict[int, _Known] = {}  # by our order id
        self._by_venue_id: dict[int, _Known] = {}
        self._venue_ids = 0
        self._trade_no = 0
        self._downloads = 0
        self._fills: list[VenueFill] = []
        self.quotes = Quotes()

    def define(self, instrument: InstrumentDefined) -> None:
        """An instrument that is traded here."""
        self._instruments[instrument.instrument] = instrument
        self._markets[instrument.instrument] = RecordedVenue(rules_of(instrument))

    def market(self, m: Message, now_ns: int) -> list[Message]:
        """The recorded market moves; resting orders may fill."""
        if isinstance(m, (MarketByPriceUpdate, MarketByPriceSnapshot)):
            levels = [[(level.px, level.qty) for level in side] for side in (m.bids, m.asks)]
            snapshot = isinstance(m, MarketByPriceSnapshot)
            found = self._markets[m.instrument].on_book_levels(*levels, now_ns=now_ns, snapshot=snapshot)
            return self._said(found, m.instrument, 0, now_ns)
        if isinstance(m, TradeSummary):
            said: list[Message] = []
            for t in m.trades:
                found = self._markets[m.instrument].on_trade(px=t.px, qty=t.qty, taker_side=Side(t.side), now_ns=now_ns)
                said += self._said(found, m.instrument, 0, now_ns)
            return said
        return []

    def request(self, m: Request, seq: int, now_ns: int) -> list[Message]:
        """One of our requests arrives."""
        if isinstance(m, RoutedOrder):
            return self._new(m, seq, now_ns)
        if isinstance(m, RoutedCancelAll):
            return self._cancel_all(m, seq, now_ns)
        if isinstance(m, RoutedQuote):
            return self._quote(m, seq, now_ns)
        known = self._orders.get(m.order_id)
        if isinstance(m, RoutedQuery):
            return self._download(m, now_ns) if m.query == QueryType.OPEN_ORDERS else [self._status(known, m, seq, now_ns)]
        response_to = CxlRejResponseTo.CANCEL if isinstance(m, RoutedCancel) else CxlRejResponseTo.REPLACE
        if known is None or known.status in _CLOSED:
            reason = Reason.UNKNOWN_AT_VENUE if known is None else Reason.TOO_LATE_AT_VENUE
            status = OrdStatus.UNDEFINED if known is None else known.status
            return [
                VenueCancelReject(
                    request_seq=seq, order_id=m.order_id, response_to=response_to, ord_status=status, reason=reason
                )
            ]
        market = self._markets[m.instrument]
        if isinstance(m, RoutedCancel):
            return self._said(market.cancel(order_id=known.venue_id, now_ns=now_ns), m.instrument, seq, now_ns)
        px, stop_px = (0 if px == NULL else px for px in (m.price_px, m.stop_px))
        found = market.replace(order_id=known.venue_id, qty=m.order_qty, px=px, now_ns=now_ns, stop_px=stop_px)
        return self._said(found, m.instrument, seq, now_ns, response_to=response_to)

    def _new(self, m: RoutedOrder, seq: int, now_ns: int) -> list[Message]:
        self._venue_ids += 1
        known = _Known(self._venue_ids, m, seq)
        self._orders[m.order_id] = known
        self._by_venue_id[known.venue_id] = known
        found = self._markets[m.instrument].new_order(
            order_id=known.venue_id,
            account=m.account,
            side=Side(m.side),
            ord_type=OrdType(m.ord_type),
            tif=TimeInForce(m.tif),
            qty=m.order_qty,
            px=0 if STOPS.get(OrdType(m.ord_type), m.ord_type) == OrdType.MARKET else m.price_px,
            now_ns=now_ns,
            post_only=bool(m.exec_inst & ExecInst.PARTICIPATE_DO_NOT_INITIATE),
            stop_px=0 if m.stop_px == NULL else m.stop_px,
        )
        return self._said(found, m.instrument, seq, now_ns)

    def _quote(self, m: RoutedQuote, seq: int, now_ns: int) -> list[Message]:
        """Each side is an order, one behind the other. Said is first what is not in, then how each entry is, then the rest."""
        sides = self.quotes.sides(m)
        said = [message for side in sides for message in self._new(side, seq, now_ns)]
        refused = {u.order_id: u for u in said if isinstance(u, VenueOrderUpdate) and u.exec_type == ExecType.REJECTED}
        placed = {quote_place(side.order_id): side.order_id for side in sides}
        entries: list[Message] = []
        for at, e in enumerate(m.entries):
            bid, ask = placed.get((at, False), 0), placed.get((at, True), 0)
            refs = [str(self._orders[n].venue_id) if n and n not in refused else "" for n in (bid, ask)]
            reason = next((refused[n].reason for n in (bid, ask) if n in refused), 0)
            if any(refs) or reason:
                entries.append(
                    VenueQuoteUpdate(
                        request_seq=seq, quote_id=m.quote_id, entry=e.entry, account=m.account, instrument=e.instrument,
                        set=e.set, reason=reason, quote_status=QuoteStatus.ACCEPTED if any(refs) else QuoteStatus.REJECTED,
                        bid_order_ref=refs[0], ask_order_ref=refs[1],
                    )
                )  # fmt: skip
        rest = [message for message in said if getattr(message, "exec_type", 0) != ExecType.REJECTED]
        return [*refused.values(), *entries, *rest]

    def _cancel_all(self, m: RoutedCancelAll, seq: int, now_ns: int) -> list[Message]:
        ended: list[Message] = []
        for known in self._orders.values():
            routed = known.routed
            if routed.account == m.account and known.status not in _CLOSED:
                found = self._markets[routed.instrument].cancel(order_id=known.venue_id, now_ns=now_ns)
                ended += self._said(found, routed.instrument, seq, now_ns)
        report = VenueMassCancelReport(
            scope_type=m.scope_type, scope_account=m.scope_account, request_seq=seq, account=m.account, affected=len(ended)
        )
        return [report, *ended]

    def _status(self, known: _Known | None, m: RoutedQuery, seq: int, now_ns: int) -> Message:
        if known is None:
            return VenueOrderUpdate(
                request_seq=seq,
                order_id=m.order_id,
                account=m.account,
                instrument=m.instrument,
                channel=Channel.QUERY,
                exec_type=ExecType.ORDER_STATUS,
                reason=Reason.UNKNOWN_AT_VENUE,
                exchange_ts=now_ns,
            )
        return self._update(known, ExecType.ORDER_STATUS, seq, now_ns, channel=Channel.QUERY)

    def _download(self, m: RoutedQuery, now_ns: int) -> list[Message]:
        """Everything there is of an account: fills since a time, open orders, positions."""
        self._downloads += 1
        rows: list[Message] = [
            msgspec.structs.replace(fill, channel=Channel.DOWNLOAD)
            for fill in self._fills
            if fill.account == m.account and fill.exchange_ts >= m.from_ts
        ]
        rows += [
            self._update(known, ExecType.ORDER_STATUS, known.request_seq, now_ns, channel=Channel.QUERY)
            for known in self._orders.values()
            if known.routed.account == m.account and known.status not in _CLOSED
        ]
        held: dict[int, int] = {}
        for fill in self._fills:
            if fill.account == m.account:
                signed = fill.last_qty if fill.side == Side.BUY else -fill.last_qty
                held[fill.instrument] = held.get(fill.instrument, 0) + signed
        rows += [
            PositionConfirmed(
                account=m.account, instrument=instrument, position_side=PositionSide.NET, long_qty=max(qty, 0),
                short_qty=max(-qty, 0), exchange_ts=now_ns,
            )
            for instrument, qty in held.items()
        ]  # fmt: skip
        begin = DownloadBegin(account=m.account, download=self._downloads)
        return [begin, *rows, DownloadEnd(account=m.account, download=self._downloads, rows=len(rows), complete=1)]

    def _said(
        self,
        found: Sequence[v.VenueEvent],
        instrument: int,
        seq: int,
        now_ns: int,
        *,
        response_to: CxlRejResponseTo | None = None,
    ) -> list[Message]:
        said: list[Message] = []
        for event in found:
            if isinstance(event, v.Printed | v.LevelChanged):
                continue
            known = self._by_venue_id[event.order_id]
            if isinstance(event, v.Refused):
                said.append(self._refused(known, event, seq, now_ns, response_to))
            elif isinstance(event, v.Filled):
                said.append(self._fill(known, event, instrument, now_ns))
            else:
                said.append(self._changed(known, event, seq, now_ns))
        return said

    def _refused(self, known: _Known, event: v.Refused, seq: int, now_ns: int, response_to: CxlRejResponseTo | None) -> Message:
        if response_to is not None:
            return VenueCancelReject(
                request_seq=seq,
                order_id=known.routed.order_id,
                response_to=response_to,
                ord_status=known.status,
                reason=event.reason,
            )
        known.status = OrdStatus.REJECTED
        return self._update(known, ExecType.REJECTED, seq, now_ns, reason=event.reason)

    def _changed(
        self, known: _Known, event: v.Accepted | v.Amended | v.Triggered | v.Canceled | v.Expired, seq: int, now_ns: int
    ) -> Message:
        if isinstance(event, v.Accepted) and event.stop_px:
            known.status = OrdStatus.SUSPENDED
            return self._update(known, ExecType.SUSPENDED, seq, now_ns)
        if isinstance(event, v.Triggered):
            known.status = OrdStatus.NEW
            return self._update(known, ExecType.TRIGGERED, known.request_seq, now_ns)
        if isinstance(event, v.Accepted):
            return self._update(known, ExecType.NEW, seq, now_ns)
        if isinstance(event, v.Amended):
            known.order_qty, known.price_px = event.order_qty, event.px
            return self._update(known, ExecType.REPLACED, seq, now_ns)
        if isinstance(event, v.Canceled):
            known.status = OrdStatus.CANCELED
            return self._update(known, ExecType.CANCELED, seq, now_ns, reason=event.reason)
        known.status = OrdStatus.EXPIRED
        return self._update(known, ExecType.EXPIRED, known.request_seq, now_ns, reason=event.reason)

    def _update(
        self,
        known: _Known,
        exec_type: ExecType,
        seq: int,
        now_ns: int,
        *,
        reason: Reason = Reason.UNDEFINED,
        channel: Channel = Channel.ORDER_STREAM,
    ) -> VenueOrderUpdate:
        closed = known.status in _CLOSED
        partly = not closed and known.cum_qty > 0
        return VenueOrderUpdate(
            request_seq=seq or known.request_seq,
            order_id=known.routed.order_id,
            account=known.routed.account,
            instrument=known.routed.instrument,
            channel=channel,
            exec_type=exec_type,
            ord_status=OrdStatus.PARTIALLY_FILLED if partly else known.status,
            side=known.routed.side,
            ord_type=known.routed.ord_type,
            tif=known.routed.tif,
            order_qty=known.order_qty,
            price_px=known.price_px,
            cum_qty=known.cum_qty,
            leaves_qty=0 if closed else known.order_qty - known.cum_qty,
            reason=reason,
            exchange_ts=now_ns,
            venue_order_ref=str(known.venue_id),
        )

    def _fill(self, known: _Known, event: v.Filled, instrument: int, now_ns: int) -> VenueFill:
        known.cum_qty = event.cum_qty
        if event.leaves_qty == 0:
            known.status = OrdStatus.FILLED
        self._trade_no += 1
        fill = VenueFill(
            request_seq=known.request_seq,
            order_id=known.routed.order_id,
            account=known.routed.account,
            instrument=instrument,
            channel=Channel.ORDER_STREAM,
            side=event.side,
            last_qty=event.qty,
            last_px=event.px,
            fee=event.fee,
            fee_exp=FEE_EXP,
            fee_type=FeeType.EXCHANGE,
            fee_currency=self._instruments[instrument].commission_currency,
            liquidity=LiquidityIndicator.MAKER if event.maker else LiquidityIndicator.TAKER,
            exchange_ts=now_ns,
            trade_no=self._trade_no,
            venue_order_ref=str(known.venue_id),
        )
        self._fills.append(fill)
        return fill
