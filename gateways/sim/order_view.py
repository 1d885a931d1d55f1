"""What the journal says about our orders at the venue: the gateway's whole memory.

Folded from sequenced frames only (definitions, routed requests, risk passes, kills) and from what this gateway itself has
published, so that a new process that reads the journal knows what the killed one knew. Not more: a request without an answer
in the journal is *unknown*, whether or not its bytes ever left.

An order that the OMS has closed leaves as it does there (`Keep`): its requests and its trades are forgotten together. What the
venue says of it after that is an order's that is not known here; the OMS knows what it was.
"""

from __future__ import annotations

import re
from collections import deque

import msgspec

from gateways.sim.mapping import Listing
from journal.messages import (
    AccountDefined,
    CurrencyDefined,
    Decision,
    DestinationDefined,
    EpochStart,
    ExecInst,
    ExecType,
    ExecutionReport,
    Funding,
    InstrumentDefined,
    InstrumentType,
    KillSwitch,
    MassQuote,
    Message,
    NewOrder,
    OrdStatus,
    OrdType,
    Reason,
    RiskDecision,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    ScopeType,
    SendRefused,
    SessionStart,
    SourceDefined,
    SourceRole,
    StreamStatus,
    VenueCancelReject,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
    order_id_source,
)
from journal.messages.client_ids import ClientIds
from journal.messages.keeping import Keep, Line
from journal.messages.kills_in_force import KillsInForce
from journal.messages.latch import flattens
from journal.messages.quoting import is_quote_order, quote_orders, quote_place
from journal.messages.scopes import Subject

PASSES_MAX = 65_536
"""Risk passes remembered. The OMS routes a pass at once; one that is this old is refused as missing, which is the safe side."""
FORGET_MOST = 16
"""So many orders leave with one report."""
OWNERS_MAX = 65_536
"""Orders whose asking is remembered until they are routed: the newest. Of one that was held back for longer nobody knows whose
it is; that matters under a kill only."""
FUNDING_BACK_NS = 24 * 3600 * 10**9
"""So far back payments of funding are looked for again, and told apart from those that were told."""
CLOSED = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY)

Routed = RoutedOrder | RoutedReplace | RoutedCancel
Trade = tuple[int, int]
"""Instrument, and the venue's number."""


class Pass(msgspec.Struct):
    """A risk pass and whether it was used."""

    order_id: int
    request_kind: int
    content_hash: int
    epoch: int
    valid_until_ts: int
    request_seq: int = 0
    consumed: bool = False


class Owner(msgspec.Struct, frozen=True):
    """What a NewOrder says and a routed order does not."""

    user: int
    parent_order_id: int


_OF_QUOTES = Owner(0, 0)
"""Orders that stand for quotes have neither (journal.messages.quoting)."""


class Order(msgspec.Struct):
    """An order that may be open at the venue."""

    order_id: int
    place_seq: int
    instrument: int
    strategy: int
    order_qty: int
    cum_qty: int = 0
    owner: Owner | None = None


class Told(msgspec.Struct):
    """What the stream has said of one order that is kept by something else than the order."""

    requests: list[int] = []
    trades: list[Trade] = []
    closed: int = -1
    """Its number among the closed; -1: it is open."""
    after_trade: int = 0
    """The last trade there was when it was first asked for: its own come later."""


class OrderView:
    """Fold of the journal, as far as this gateway needs it."""

    def __init__(self, *, venue_name: str, account_name: str, source: int = 0, keep: Keep | None = None) -> None:
        self.keep = keep or Keep()
        self.now = 0
        """Timestamp of the last frame taken in."""
        self.venue_name = venue_name
        self.account_name = account_name
        self.source = source
        """Source id of the trading publisher: only its frames are our own words."""
        self.stream_id = 0
        self.epoch = 0
        self.venue = 0
        self.account = 0
        self.currencies: dict[str, int] = {}
        self._listings: dict[int, tuple[int, Listing]] = {}  # instrument: (venue, listing)
        self._underlyings: dict[int, int] = {}
        self._destinations: dict[int, tuple[int, int, int]] = {}  # destination: (venue, account, gateway)
        self.orders: dict[int, Order] = {}
        self.unanswered: dict[int, Routed] = {}
        """Routed requests (seq: message) without an answer of the venue or a refusal of ours."""
        self.order_of: dict[int, int] = {}
        """Requests routed here: seq to order id. Late news of closed orders still finds its order."""
        self.has_routed = False
        """Was anything ever?"""
        self.told: dict[int, Told] = {}
        """What is forgotten with an order."""
        self.closed = Line()
        """Orders that the OMS has closed; may name one that was opened again."""
        self.trades_elsewhere: deque[tuple[int, Trade]] = deque()
        """Trades of orders that are not ours, with the time they were told."""
        self.passes: dict[int, Pass] = {}
        self.owners: dict[int, Owner] = {}
        self.pass_of: dict[int, int] = {}
        """Of orders that stand for quotes: order id to the frame of its pass."""
        self.quoters: dict[int, int] = {}
        """MassQuote's frame to its strategy: a routed quote does not say it, and a kill may be about it."""
        self.quoted: dict[int, dict[str, int]] = {}
        """RoutedQuote's frame to the orders it has, by part."""
        self.in_force = KillsInForce()
        self.roles: dict[int, int] = {}
        self.id_scheme = 0
        self.client_ref = ""
        """A client order id of ours in the journal. Ids made otherwise would make the venue deny our own orders."""
        self.trades_seen: set[Trade] = set()
        self.last_trade_no = 0
        self.began_ts = 0
        """Timestamp of the first frame. What was paid before is none of this journal's business."""
        self._perpetuals: set[int] = set()
        self.funding_seen: set[tuple[int, int]] = set()
        """Payments told: instrument and time, of the last FUNDING_BACK_NS."""
        self.last_funding_ts = 0
        self.last_connection_epochs: dict[tuple[int, int], int] = {}
        """(source, stream): last connection epoch used, so that the next process goes on from there."""

    # Frames of others.

    def apply(self, m: Message, *, seq: int, source: int, epoch: int, ts: int = 0) -> None:
        """One sequenced frame from the past. What is handed over live goes through OrderEntry, which calls `routed`."""
        if isinstance(m, RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuote):
            if self.is_ours(m.destination):
                self.routed(m, seq)
            else:
                self.sent_by_another(m, seq)
        elif isinstance(m, StreamStatus):
            self.last_connection_epochs[source, m.stream] = m.connection_epoch
        elif source == self.source:
            self.said(m)
        if not isinstance(m, RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuote):
            self.watch(m, seq=seq, epoch=epoch, source=source, ts=ts)

    def watch(self, m: Message, *, seq: int, epoch: int, source: int = 0, ts: int = 0) -> None:
        """Definitions, who asks for what, risk passes, kills, epochs: what holds for everything after it, past or live."""
        self.now, self.began_ts = max(self.now, ts), self.began_ts or ts
        if isinstance(m, RiskDecision):
            if m.decision in (Decision.PASS, Decision.PASS_WITH_WARNING):
                self.passes[seq] = Pass(m.order_id, m.request_kind, m.content_hash, epoch, m.valid_until_ts, m.request_seq)
                if m.request_kind == MassQuote.KIND:
                    self.pass_of[m.order_id] = seq
                if len(self.passes) > PASSES_MAX:
                    oldest = self.passes.pop(next(iter(self.passes)))
                    self.pass_of.pop(oldest.order_id, None)
        elif isinstance(m, ExecutionReport):
            self._reported(m)
        elif isinstance(m, NewOrder):
            # Its id bears its asker's number, or risk refuses it; and the first that has an id keeps it.
            if order_id_source(m.order_id) == source and m.order_id not in self.owners:
                self.owners[m.order_id] = Owner(m.user, m.parent_order_id)
                if len(self.owners) > OWNERS_MAX:
                    del self.owners[next(iter(self.owners))]
        elif isinstance(m, MassQuote):
            self.quoters[seq] = m.strategy
            if len(self.quoters) > PASSES_MAX:
                del self.quoters[next(iter(self.quoters))]
        elif isinstance(m, EpochStart):
            self.epoch = m.new_epoch
        elif not self.in_force.take(m, source=source, seq=seq, ts=ts):
            self._define(m)

    def _define(self, m: Message) -> None:
        if isinstance(m, SourceDefined):
            self.roles[m.source] = m.role
        elif isinstance(m, SessionStart):
            self.stream_id = m.stream_id
        elif isinstance(m, VenueDefined) and m.name == self.venue_name:
            self.venue = m.venue
        elif isinstance(m, AccountDefined) and m.name == self.account_name:
            self.account, self.id_scheme = m.account, m.id_scheme
        elif isinstance(m, CurrencyDefined):
            self.currencies[m.name] = m.currency
        elif isinstance(m, InstrumentDefined):
            self._listings[m.instrument] = (m.venue, Listing.of(m))
            self._underlyings[m.instrument] = m.underlying
            if m.instrument_type == InstrumentType.PERPETUAL:
                self._perpetuals.add(m.instrument)
        elif isinstance(m, DestinationDefined):
            self._destinations[m.destination] = (m.venue, m.account, m.gateway)

    def listing(self, instrument: int) -> Listing | None:
        """The listing of an instrument of our venue."""
        venue, listing = self._listings.get(instrument, (0, None))
        return listing if venue == self.venue else None

    def listings(self) -> list[Listing]:
        """All instruments of our venue, in the order of their definition."""
        return [x for venue, x in self._listings.values() if venue == self.venue and venue]

    def listing_named(self, symbol: str) -> Listing | None:
        """The listing with the venue's symbol."""
        return next((x for venue, x in self._listings.values() if venue == self.venue and x.symbol == symbol), None)

    def pays_funding(self) -> bool:
        """Is there an instrument of our venue that pays some?"""
        return any(self.listing(instrument) is not None for instrument in self._perpetuals)

    def funding_since(self) -> int:
        """Since when payments may have been missed, ns."""
        return max(self.last_funding_ts - FUNDING_BACK_NS, self.began_ts)

    def is_ours(self, destination: int) -> bool:
        """Does a routed frame of this destination concern us?"""
        venue, account, gateway = self._destinations.get(destination, (0, 0, 0))
        return venue != 0 and venue == self.venue and account in (0, self.account) and self._serves(gateway)

    def _serves(self, gateway: int) -> bool:
        """Several gateways may serve one account: each sends what is routed to it, and nothing of the others'."""
        return gateway == 0 or self.source in (0, gateway)

    def sent_by_another(self, m: Routed | RoutedQuery | RoutedCancelAll | RoutedDeadMan | RoutedQuote, seq: int) -> None:
        """A request that another gateway of our account sends: the venue will tell us of it too."""
        venue, account, _ = self._destinations.get(m.destination, (0, 0, 0))
        if venue != 0 and (venue, account) == (self.venue, self.account) and isinstance(m, Routed | RoutedQuote):
            self._note(m, seq)

    def sides(self, m: RoutedQuote) -> list[tuple[str, RoutedOrder]]:
        """The orders that a routed quote has, each with its own pass, by part: `0B`, `0A`, `1B`, …; none where the pass that it
        names is none of a quote."""
        last = self.passes.get(m.risk_seq)
        if last is None or last.request_kind != MassQuote.KIND:
            return []
        source, strategy = order_id_source(last.order_id), self.quoters.get(last.request_seq, 0)
        found = []
        for new in quote_orders(m, last.request_seq, source):
            number, ask = quote_place(new.order_id)
            side = RoutedOrder(
                order_id=new.order_id, risk_seq=self.pass_of.get(new.order_id, 0), content_hash=content_hash(new),
                order_qty=new.order_qty, price_px=new.price_px, expire_ts=new.expire_ts, account=new.account,
                instrument=new.instrument, strategy=strategy, exec_inst=new.exec_inst, destination=m.destination,
                side=new.side, ord_type=new.ord_type, tif=new.tif,
            )  # fmt: skip
            found.append((f"{number}{'A' if ask else 'B'}", side))
        return found

    def is_of(self, seq: int, order_id: int) -> bool:
        """Whether a request routed at a frame is about an order."""
        return self.order_of.get(seq) == order_id or order_id in self.quoted.get(seq, {}).values()

    def client_id(self, ids: ClientIds, seq: int, order_id: int) -> str:
        """Under which id the venue knows the request of an order that was routed at a frame."""
        part = next((part for part, x in self.quoted.get(seq, {}).items() if x == order_id), "")
        return f"{ids.text(seq)}/{part}" if part else ids.text(seq)

    def named(self, ids: ClientIds, client_id: str) -> tuple[int, int]:
        """(request, order) of a client id; zeros for one of another session."""
        whole, part = _parted(client_id)
        seq = ids.seq(whole)
        order_id = self.quoted.get(seq, {}).get(part, 0) if part else self.order_of.get(seq, 0)
        return (seq, order_id) if order_id else (0, 0)

    def has_destination(self) -> bool:
        """Has the stream defined a way to our venue and account?"""
        return any(self.is_ours(destination) for destination in self._destinations)

    # Requests routed to us, and what we said about them.

    def routed(self, m: Routed | RoutedQuote, seq: int) -> None:
        """A request is ours to handle; from here until an answer its outcome is open."""
        self._note(m, seq)
        if isinstance(m, RoutedQuote):
            self._quote_routed(m, seq)
            return
        self.unanswered[seq] = m
        if isinstance(m, RoutedOrder) and m.order_id not in self.orders:  # an order that is open stays the one that has the id
            owner = self._owner(m.order_id)
            self.orders[m.order_id] = Order(m.order_id, seq, m.instrument, m.strategy, m.order_qty, owner=owner)
        if not isinstance(m, RoutedCancel) and m.risk_seq in self.passes:
            self.passes[m.risk_seq].consumed = True

    def _note(self, m: Routed | RoutedQuote, seq: int) -> None:
        self.has_routed = True
        if isinstance(m, RoutedQuote):
            parts = self.quoted[seq] = {part: side.order_id for part, side in self.sides(m)}
            noted = list(parts.values())
        else:
            self.order_of[seq] = m.order_id
            noted = [m.order_id]
        for order_id in noted:
            self.told.setdefault(order_id, Told(after_trade=self.last_trade_no)).requests.append(seq)

    def _quote_routed(self, m: RoutedQuote, seq: int) -> None:
        for _, side in self.sides(m):
            if side.order_id not in self.orders:
                owner = self._owner(side.order_id)
                self.orders[side.order_id] = Order(
                    side.order_id, seq, side.instrument, side.strategy, side.order_qty, owner=owner
                )
            if side.risk_seq in self.passes:
                self.passes[side.risk_seq].consumed = True

    def said(self, m: Message) -> None:
        """One of our own messages, when published or when read back from the journal."""
        if isinstance(m, SendRefused):
            for order_id in self.quoted.get(m.request_seq, {}).values():
                if order_id in self.orders and self.orders[order_id].place_seq == m.request_seq:
                    del self.orders[order_id]
            request = self.unanswered.pop(m.request_seq, None)
            order = self.orders.get(m.order_id)
            if isinstance(request, RoutedOrder) and order is not None and order.place_seq == m.request_seq:
                del self.orders[m.order_id]
        elif isinstance(m, VenueCancelReject):
            self.unanswered.pop(m.request_seq, None)
        elif isinstance(m, VenueOrderUpdate):
            self._updated(m)
        elif isinstance(m, VenueFill):
            self._filled(m)
        elif isinstance(m, Funding):
            self.funding_seen.add((m.instrument, m.funding_ts))
            self.last_funding_ts = max(self.last_funding_ts, m.funding_ts)
            since = self.last_funding_ts - FUNDING_BACK_NS
            self.funding_seen = {seen for seen in self.funding_seen if seen[1] >= since}

    def _updated(self, m: VenueOrderUpdate) -> None:
        self.unanswered.pop(m.request_seq, None)
        if m.order_id and m.client_ref:
            self.client_ref = _parted(m.client_ref)[0]
        order = self.orders.get(m.order_id)
        if order is None:
            return
        never = m.ord_status == OrdStatus.UNDEFINED and m.reason == Reason.UNKNOWN_AT_VENUE
        if m.ord_status in CLOSED or never:
            del self.orders[m.order_id]
            self.unanswered.pop(order.place_seq, None)
        elif m.exec_type in (ExecType.REPLACED, ExecType.ORDER_STATUS):
            order.order_qty = m.order_qty

    def _filled(self, m: VenueFill) -> None:
        if (m.instrument, m.trade_no) in self.trades_seen:
            return
        self.trades_seen.add((m.instrument, m.trade_no))
        told = self.told.get(m.order_id)
        if told is not None:
            told.trades.append((m.instrument, m.trade_no))
        else:
            self.trades_elsewhere.append((self.now, (m.instrument, m.trade_no)))
        self.last_trade_no = max(self.last_trade_no, m.trade_no)
        order = self.orders.get(m.order_id)
        if order is None:
            return
        self.unanswered.pop(order.place_seq, None)  # it trades, so it was accepted
        order.cum_qty += m.last_qty
        if order.cum_qty >= order.order_qty:
            del self.orders[m.order_id]

    # What leaves.

    def _reported(self, m: ExecutionReport) -> None:
        """The OMS knows when an order is over, whoever sent it and whoever heard of its end."""
        told = self.told.get(m.order_id)
        if told is not None:
            told.closed = self.closed.add(self.now, m.order_id) if m.ord_status in CLOSED else -1
        self._forget()

    def _forget(self) -> None:
        for _ in range(FORGET_MOST):
            due = self.closed.due(self.keep, self.now)
            if due is None:
                break
            number, _, order_id = due
            told = self.told.get(order_id)
            if told is None or told.closed != number:
                continue
            if order_id in self.orders:  # here it is not over: what the venue says of its end is still to come
                told.closed = self.closed.add(self.now, order_id)
                continue
            del self.told[order_id]
            self.trades_seen.difference_update(told.trades)
            for seq in told.requests:
                self._forget_request(seq, order_id)
        elsewhere = self.trades_elsewhere
        while len(elsewhere) > self.keep.orders and elsewhere[0][0] + self.keep.ns <= self.now:
            self.trades_seen.discard(elsewhere.popleft()[1])

    def _forget_request(self, seq: int, order_id: int) -> None:
        self.order_of.pop(seq, None)
        self.unanswered.pop(seq, None)
        parts = {part: other for part, other in self.quoted.pop(seq, {}).items() if other != order_id}
        if parts:
            self.quoted[seq] = parts

    # The kill switch.

    def killed(self, m: RoutedOrder | RoutedReplace) -> bool:
        """Is a kill active for this request? What a routed frame does not say of its order, its NewOrder has said; of an order
        that nobody is known to have asked for, whatever a kill says of owners is taken to be so."""
        if not self.in_force.kills:
            return False
        order = self.orders.get(m.order_id)
        owner = order.owner if order is not None and order.owner is not None else self._owner(m.order_id)
        strategy = m.strategy if isinstance(m, RoutedOrder) else order.strategy if order is not None else 0
        subject = Subject(
            order_id=m.order_id, parent_order_id=owner.parent_order_id if owner else 0, account=m.account, strategy=strategy,
            user=owner.user if owner else 0, instrument=m.instrument, underlying=self._underlyings.get(m.instrument, 0),
            venue=self.venue, source=order_id_source(m.order_id),
        )  # fmt: skip
        latch = self.in_force.latch
        held = [
            kill
            for kill in self.in_force.kills.values()
            if latch.covers(kill, subject) or (owner is None and self._names_an_owner(kill))
        ]
        return bool(held) and not (self._closes(m) and any(flattens(kill) for kill in held))

    def _owner(self, order_id: int) -> Owner | None:
        return _OF_QUOTES if is_quote_order(order_id) else self.owners.get(order_id)

    def _names_an_owner(self, kill: KillSwitch) -> bool:
        if kill.scope_type == ScopeType.GROUP:
            return any(kind == ScopeType.USER for kind, _ in self.in_force.latch.groups.get(kill.scope_group, ()))
        return kill.scope_type in (ScopeType.USER, ScopeType.ORDER_TREE)

    def _closes(self, m: RoutedOrder | RoutedReplace) -> bool:
        """A reduce-only market order of the app that closes positions: what a kill that flattens wants."""
        if not isinstance(m, RoutedOrder) or m.ord_type != OrdType.MARKET or not m.exec_inst & ExecInst.DO_NOT_INCREASE:
            return False
        return self.roles.get(order_id_source(m.order_id)) == SourceRole.POSITIONS


def _parted(client_id: str) -> tuple[str, str]:
    """A client id and the part of a quote that it names; no part for a request of one order."""
    found = re.fullmatch(r"(.+)/(\d{1,2}[AB])", client_id, re.ASCII)
    return (found[1], found[2]) if found is not None else (client_id, "")
