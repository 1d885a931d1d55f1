"""All state of the order manager, in one structure with canonical bytes: equal states give equal bytes.

Dicts keep the order in which the stream filled them, which is the same in every run. A closed order stays at hand for a
while, then becomes bytes: late fills and duplicates bring it back, a state digest pays a copy for it and no more.
"""

from __future__ import annotations

import msgspec

from journal.messages.latch import Latch
from journal.messages.rights import Rights
from oms.budgets import Pace
from oms.differences import Reconciling
from oms.instructions import Instructions
from oms.order import Order
from oms.parent import Parent
from oms.ways import Ways

CLOSED_AT_HAND_NS = 60_000_000_000
"""How long a closed order stays decoded: the echoes of an end arrive within seconds."""

_encode = msgspec.msgpack.Encoder().encode
_decode_order = msgspec.msgpack.Decoder(Order).decode


class Route(msgspec.Struct, array_like=True):
    """A way to a venue (DestinationDefined)."""

    destination: int
    venue: int
    account: int
    priority: int
    gateway: int = 0
    """The source that serves it; 0: the definition does not say."""


class Gate(msgspec.Struct, array_like=True):
    """What is known of the gateway that serves a venue and account. Shut until it says READY."""

    phase: int = 0
    source: int = 0
    download_seq: int = 0
    """Where a download under way began; 0 = none."""


class Memory(msgspec.Struct, array_like=True):
    """The state. Keys of two numbers are written `a/b`."""

    orders: dict[int, Order] = {}
    closed: list[tuple[int, int]] = []
    """(when closed, order id), oldest first; may name an order that was opened again."""
    archive: dict[int, bytes] = {}
    external: dict[str, int] = {}
    """Venue's reference → our record of an order that is not ours."""
    roles: dict[int, int] = {}
    account_venue: dict[int, int] = {}
    instrument_venue: dict[int, int] = {}
    routes: dict[int, Route] = {}
    gates: dict[str, Gate] = {}
    """venue/account → gateway."""
    overfilled: dict[str, int] = {}
    """account/instrument → the frame of the overfill: shut until a complete download."""
    kills: dict[int, bytes] = {}
    queries: int = 0
    alerts: int = 0
    latch: Latch = msgspec.field(default_factory=Latch)
    """Who may end the kills."""
    again: dict[int, int] = {}
    """Open order under a kill without a cancel under way → when it is canceled again, ns."""
    instructions: Instructions = msgspec.field(default_factory=Instructions)

    parents: dict[int, Parent] = {}
    kin: dict[int, tuple[int, ...]] = {}
    """Instrument → what its like on another venue has alike; kept where accounts of several venues are defined."""
    pace: Pace = msgspec.field(default_factory=Pace)
    ways: Ways = msgspec.field(default_factory=Ways)
    owners: dict[str, int] = {}
    """account/instrument → the strategy that alone may trade it there."""
    rights: Rights = msgspec.field(default_factory=Rights)
    reconcile: Reconciling | None = None
    underlyings: dict[int, int] = {}
    """Of the instruments that have one."""

    def peek(self, order_id: int) -> Order | None:
        """The order of an id, closed or not; a copy when it is archived. Changes nothing: for whoever only looks."""
        order = self.orders.get(order_id)
        return _decode_order(self.archive[order_id]) if order is None and order_id in self.archive else order

    def find(self, order_id: int) -> Order | None:
        """The order of an id, brought back from the archive if need be."""
        order = self.peek(order_id)
        if order is not None and order_id not in self.orders:
            self.orders[order_id] = order
            del self.archive[order_id]
            self.closed.append((self.closed[-1][0] if self.closed else 0, order_id))
        return order

    def tidy(self, now: int) -> None:
        """Archive what has been closed for long. Amortised O(1) a call."""
        done = 0
        for closed_ts, order_id in self.closed:
            if closed_ts + CLOSED_AT_HAND_NS > now or done == 16:
                break
            done += 1
            order = self.orders.get(order_id)
            if order is not None and order.closed:
                self.archive[order_id] = _encode(self.orders.pop(order_id))
        del self.closed[:done]

    def encode(self) -> bytes:
        """Canonical bytes."""
        return _encode(self)


decode = msgspec.msgpack.Decoder(Memory).decode
