"""What the OMS remembers of orders that are more than sent: held ones, lives, lists, sweeps, schedules, quotes.

It stands beside the orders, not in them: most orders have nothing of it.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from journal.messages import NULL
from journal.messages.capabilities import Offer
from journal.messages.requests import Heard
from journal.messages.tables import Table


class Wait(IntEnum):
    """What a held order waits for."""

    LIST = 1  # until its list is complete and passed
    FILL = 2  # until another order of its list has filled
    TIME = 3  # until its release time
    PRICE = 4  # until its trigger
    GATE = 5  # only for the gate: all else is there
    RISK = 6  # for the decision on what is to be sent


class Hold(msgspec.Struct, array_like=True):
    """An order we hold. Prices are mantissas of the instrument."""

    asked: bytes
    """The NewOrder's body, with the terms in force."""
    wait: int
    stop_px: int = NULL
    """Where the stop stands; NULL: of a trail that has not seen a price."""
    not_before: int = 0
    """A release that was refused for a while is not tried again before this time, ns."""
    trigger_seq: int = 0
    """The EmulatedTrigger on which risk is asked; 0 until it has come back."""
    pass_body: bytes = b""
    """Of a member of a list that is not complete: the RiskDecision that passed it, and its frame."""
    pass_seq: int = 0


class Grid(msgspec.Struct, array_like=True):
    """What prices of an instrument are."""

    px_exp: int
    tick_px: int
    lot_qty: int


class Leg(msgspec.Struct, array_like=True):
    """A member of a list."""

    order_id: int
    role: int
    qty: int = 0
    """As asked; 0 until its NewOrder is here."""
    asked_qty: int = 0
    """The total we have last asked the venue for, through a ReplaceOrder."""
    asking: bool = False
    """That ReplaceOrder has not come back yet."""
    told: bool = False
    """A person was told that it was not done."""
    tries: int = 0
    retry_at: int = 0
    """When it is asked for again, ns; 0: not before something moves."""


class Dependency(msgspec.Struct, array_like=True):
    """A list of orders that depend on one another."""

    list_id: int
    contingency: int
    trigger_mode: int
    legs: list[Leg]
    status: int
    deadline: int = 0
    """Until when it must be complete, or is remembered, ns; 0: as long as it lives."""
    reason: int = 0
    winner: int = 0
    """Of an OCO: the member that filled or ended first; the others go."""
    alerted: bool = False
    busy: bool = False
    """Within a step of one of its members; never between frames."""

    def leg(self, order_id: int) -> Leg | None:
        """The member of an order."""
        return next((leg for leg in self.legs if leg.order_id == order_id), None)


class Sweep(msgspec.Struct, array_like=True):
    """A CancelAll that has orders without an end."""

    asked: bytes
    request_seq: int
    matched: int = 0
    canceled: int = 0
    rejected: int = 0
    pending: list[int] = []
    busy: bool = False
    """While it asks; never between frames."""


class Later(msgspec.Struct, array_like=True):
    """A replace that is sent at a time."""

    at: int
    pass_body: bytes = b""
    pass_seq: int = 0
    """Frame of the RiskDecision that passed it; 0: not yet."""


class Scheduled(msgspec.Struct, array_like=True, order=True):
    """A cancel that is asked at a time."""

    at: int
    order_id: int
    version: int
    reason: int


class Quote(msgspec.Struct, array_like=True):
    """What an asker quotes on one of its entries: an order a side, 0 where it does not quote."""

    quote_id: int
    source: int
    account: int
    entry: int
    instrument: int
    set: int
    mmp_group: int
    bid_order_id: int
    ask_order_id: int
    status: int = 0
    """As last said."""
    why: int = 0
    """Reason of the last end of a side."""


class NativeQuote(msgspec.Struct, array_like=True):
    """A MassQuote that goes as one, from its frame until its RoutedQuote has come back."""

    asked: bytes
    source: int
    passes: dict[int, tuple[int, int, int]] = {}
    """Order → frame of its risk pass, content hash, valid until."""
    risk_seq: int = 0
    """The last of the passes by which it was sent; 0: it was not yet."""


class Protection(msgspec.Struct, array_like=True):
    """Market-maker protection of a group of quotes."""

    fills: list[tuple[int, int]] = []
    """(time, quantity) within the window."""
    frozen: bool = False
    until: int = 0
    """When it thaws by itself, ns; 0: not before it is told."""


class Instructions(msgspec.Struct, array_like=True):
    """State of everything that is more than an order sent."""

    offers: dict[int, Offer] = {}
    """What the venues take that say so."""
    grids: dict[int, Grid] = {}
    """Instruments of these venues."""
    holds: dict[int, Hold] = {}
    watched: dict[int, list[int]] = {}
    """Instrument → held orders that wait for its price, in the order they came."""
    ends: dict[int, int] = {}
    """Order whose end no venue knows → when we end its life, ns; 0: that was, and it is being canceled."""
    closes: dict[str, list[int]] = {}
    """venue/instrument (0: all) → times at which its trading day ends, ascending."""
    lists: dict[int, Dependency] = {}
    list_of: dict[int, int] = {}
    """Order → its list."""
    sweeps: dict[int, Sweep] = {}
    """CancelAll's frame → how far it is."""
    swept: dict[int, list[int]] = {}
    """Order → the sweeps it is pending in."""
    later: dict[int, Later] = {}
    """Order → its replace that waits for its time."""
    scheduled: list[Scheduled] = []
    quotes: dict[str, Quote] = {}
    """source/account/entry → the quote that stands there."""
    quote_of: dict[int, str] = {}
    protections: dict[str, Protection] = {}
    """source/account/group."""
    native_quotes: dict[int, NativeQuote] = {}
    """MassQuote's frame → how far it is."""
    heard: Heard = msgspec.field(default_factory=Heard)
    """CancelAlls by number."""

    def __post_init__(self) -> None:
        self.holds = Table.of(self.holds)
