"""One order: base state, three overlays, quantities. What it is now; how it got there is the stream's business."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from journal.messages import NULL, OrdStatus, order_id_source
from oms.transitions import State

CLOSED = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY, OrdStatus.REJECTED})
_STATE_OF_BASE: dict[int, State] = {
    OrdStatus.RECEIVED: State.RCV,
    OrdStatus.PENDING_NEW: State.PN,
    OrdStatus.NEW: State.N,
    OrdStatus.PARTIALLY_FILLED: State.PF,
    OrdStatus.SUSPENDED: State.SUS,
    OrdStatus.FILLED: State.F,
    OrdStatus.CANCELED: State.C,
    OrdStatus.EXPIRED: State.E,
    OrdStatus.DONE_FOR_DAY: State.E,
    OrdStatus.REJECTED: State.R,
}
_NOTIONAL_WORD = 62
VERSION_MAX = (1 << 32) - 1


class Unknown(IntEnum):
    """Of which request the outcome is unknown."""

    NO = 0
    NEW = 1
    CANCEL = 2
    REPLACE = 3
    ORDER = 4  # the whole order: connection lost, contradictions, an end before its fills


class Request(msgspec.Struct, array_like=True, gc=False):
    """A cancel or replace under way."""

    request_seq: int
    """The frame that asked: CancelOrder, ReplaceOrder, KillSwitch."""
    version: int
    reason: int = 0
    routed: bool = False
    routed_seq: int = 0
    """The Routed… frame; 0 until it has come back on the stream."""
    deadline: int = 0
    """When the venue should have answered, ns; 0 = a replace that risk has not decided yet."""
    order_qty: int = NULL
    price_px: int = NULL
    stop_px: int = NULL
    display_qty: int = NULL
    expire_ts: int = 0
    end_kept: bool = False
    """No venue is told `expire_ts`: we end the order then."""


class Ending(msgspec.Struct, array_like=True, gc=False):
    """An end the venue has told, that waits for the fills it counts and we have not seen."""

    base: int
    cum_qty: int
    reason: int


class Order(msgspec.Struct, array_like=True, gc=False):
    """One order. Times in ns of the stream; quantities and prices are mantissas of the instrument."""

    order_id: int
    source: int
    """Who asked for it; 0 for an order that is not ours."""
    account: int
    instrument: int
    order_qty: int
    side: int = 0
    strategy: int = 0
    user: int = 0
    parent_order_id: int = 0
    ord_type: int = 0
    tif: int = 0
    exec_inst: int = 0
    price_px: int = NULL
    stop_px: int = NULL
    display_qty: int = NULL
    expire_ts: int = 0

    venue: int = 0
    destination: int = 0
    request_seq: int = 0
    """The NewOrder's frame."""
    asked: bytes = b""
    """The NewOrder's body, until it is routed."""
    routed_seq: int = 0
    """The RoutedOrder's frame; 0 until it has come back on the stream."""
    current_seq: int = 0
    """The RoutedOrder or last accepted RoutedReplace: what a cancel names."""
    deadline: int = 0
    """When the venue should have answered the New."""

    base: int = OrdStatus.RECEIVED
    cancel: Request | None = None
    replace: Request | None = None
    unknown: int = Unknown.NO
    ending: Ending | None = None

    cum_qty: int = 0
    notional_high: int = 0
    notional_low: int = 0
    fills: dict[str, tuple[int, int]] = {}
    """Trade id → (quantity, price): every distinct fill."""

    version: int = 0
    """Version of the terms in force; 0 = as first asked."""
    last_version: int = 0
    """Highest version asked for."""
    queries: int = 0
    """Queries sent since the outcome became unknown."""
    query_at: int = 0
    """Not before this time may the venue be asked again."""
    query_wanted: bool = False
    venue_cum: int = 0
    """The highest quantity filled that an answer or an end of the venue has told."""
    heard_seq: int = 0
    """The last frame in which the venue spoke of this order."""
    venue_order_ref: str = ""
    kept_end: int = 0
    """Of a closed order that had left: the end that we kept of it, ns, for it may be opened again; 0: none."""

    @property
    def closed(self) -> bool:
        """It will not trade any more (a late fill excepted)."""
        return self.base in CLOSED

    @property
    def held(self) -> bool:
        """We keep it back: passed by risk, known to no venue."""
        return self.base == OrdStatus.SUSPENDED and not self.destination

    @property
    def leaves_qty(self) -> int:
        """What may still trade."""
        return 0 if self.closed else max(self.order_qty - self.cum_qty, 0)

    @property
    def cxl_qty(self) -> int:
        """What will not trade any more."""
        return max(self.order_qty - self.cum_qty, 0) if self.closed else 0

    @property
    def next_version(self) -> int:
        """Of a change that is asked for without one. The last there is serves again: a cancel has to go in any case."""
        return min(self.last_version + 1, VERSION_MAX)

    @property
    def fills_missing(self) -> bool:
        """The venue counts fills that we have not seen."""
        return self.venue_cum > self.cum_qty

    @property
    def overfilled(self) -> bool:
        """The venue filled more than was ordered: a breach by the venue, flagged for good."""
        return self.cum_qty > max(self.order_qty, 0)

    @property
    def cum_notional(self) -> int:
        """Sum of quantity times price of all fills; kept in two words, for it may pass 64 bits."""
        return (self.notional_high << _NOTIONAL_WORD) + self.notional_low

    def add_fill(self, trade: str, qty: int, px: int) -> None:
        """Apply one distinct fill to the quantities."""
        self._restate(trade, qty, px)

    def restate_fill(self, trade: str, qty: int, px: int) -> None:
        """A fill is not what it was said to be; quantity 0: it never was. Its id stays known, so that its echoes stay
        echoes."""
        less = self.fills[trade][0] - qty
        self._restate(trade, qty, px)
        # What the venue had counted, it counts without it now.
        self.venue_cum = max(self.venue_cum - less, 0)
        if self.ending is not None:
            self.ending.cum_qty -= less
        if self.base == OrdStatus.PARTIALLY_FILLED and not self.cum_qty:
            self.base = OrdStatus.NEW

    def _restate(self, trade: str, qty: int, px: int) -> None:
        was_qty, was_px = self.fills.get(trade, (0, 0))
        self.fills[trade] = (qty, px)
        self.cum_qty += qty - was_qty
        total = self.cum_notional + qty * px - was_qty * was_px
        self.notional_high, self.notional_low = total >> _NOTIONAL_WORD, total & ((1 << _NOTIONAL_WORD) - 1)

    @property
    def state(self) -> State:
        """The state as reported: closed > UNKNOWN > PENDING_CANCEL > PENDING_REPLACE > base."""
        if self.closed:
            return _STATE_OF_BASE[self.base]
        if self.held:
            return State.RCV
        if self.unknown:
            return State.U
        if self.cancel is not None:
            return State.PC
        if self.replace is not None:
            return State.PR
        return _STATE_OF_BASE[self.base]

    @property
    def ord_status(self) -> int:
        """The reported state as OrdStatus (39)."""
        state = self.state
        if self.held and self.replace is not None:
            return OrdStatus.PENDING_REPLACE
        if state is State.U:
            return OrdStatus.UNKNOWN
        if state is State.PC:
            return OrdStatus.PENDING_CANCEL
        if state is State.PR:
            return OrdStatus.PENDING_REPLACE
        return self.base

    def essence(self) -> tuple[int, ...]:
        """What a report is about; no report is made when it did not change."""
        return (
            self.base, self.ord_status, self.cum_qty, self.order_qty, self.price_px, self.stop_px, self.display_qty,
            self.cancel is not None, self.replace is not None,
        )  # fmt: skip

    def check(self) -> None:
        """Assert the invariants of one order. O(fills): for tests and the debugger."""
        where = f"order {self.order_id}: {self!r}"
        assert self.source in (0, order_id_source(self.order_id)), where  # I-27; 0: not ours
        assert self.cum_qty == sum(qty for qty, _ in self.fills.values()), where  # I-19
        assert self.cum_notional == sum(qty * px for qty, px in self.fills.values()), where
        assert self.cum_qty + self.leaves_qty + self.cxl_qty == max(self.order_qty, self.cum_qty), where  # I-17
        assert self.cum_qty >= 0, where  # I-16
        assert not self.overfilled or self.base == OrdStatus.FILLED, where  # over only when flagged, and closed
        if self.closed:
            assert self.leaves_qty == 0, where  # I-18
            assert self.cancel is None, where  # an end answers what is pending
            assert self.replace is None, where
            assert not self.unknown, where
            assert self.ending is None, where
        else:
            assert self.leaves_qty > 0 or not self.order_qty, where  # nothing left means filled
        if self.base == OrdStatus.FILLED:
            assert self.cum_qty >= self.order_qty, where
        if self.base in (OrdStatus.RECEIVED, OrdStatus.PENDING_NEW, OrdStatus.NEW):
            assert self.cum_qty == 0, where
        if self.base == OrdStatus.PARTIALLY_FILLED:
            assert self.cum_qty > 0, where
        if self.ending is not None:
            assert self.unknown, where
            assert self.ending.cum_qty > self.cum_qty, where
