"""All state of the order manager, in one structure with canonical bytes: equal states give equal bytes.

What there is one of for each order is in tables, whose share in the state's digest costs as much as what has changed. Their
order has no meaning: whoever goes through one says in which order he does.

Dicts keep the order in which the stream filled them, which is the same in every run. A closed order stays at hand for a
while, then becomes bytes: late fills and duplicates bring it back. When so many have closed after it and so much time has
passed (`Keep`) it leaves; that its id was used stays known for ever, as ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from journal.messages.captures import Entries
from journal.messages.keeping import Keep, Line
from journal.messages.latch import Latch
from journal.messages.orders import OWN_NUMBER_BITS
from journal.messages.quoting import QUOTE_NUMBERS
from journal.messages.ranges import Ranges, add, contains, reach
from journal.messages.rights import Rights
from journal.messages.tables import Fixed, Table, Tables, digest_of, look, only_looked_at
from oms.budgets import Pace
from oms.differences import Reconciling, Trade
from oms.instructions import Hold, Instructions
from oms.order import Order
from oms.parent import Parent
from oms.ways import Ways

CLOSED_AT_HAND_NS = 60_000_000_000
"""How long a closed order stays decoded: the echoes of an end arrive within seconds."""
TIDY_MOST = 16
"""So many orders are archived, and so many leave, with one that comes."""
_AT_HAND = Keep(0, CLOSED_AT_HAND_NS)
_OWN_NUMBER = (1 << OWN_NUMBER_BITS) - 1

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
    closed: Line = msgspec.field(default_factory=Line)
    """Orders and parents that closed, or were brought back; may name an order that was opened again."""
    archive: dict[int, tuple[int, bytes]] = {}
    """Order → its number in `archived`, and itself."""
    archived: Line = msgspec.field(default_factory=Line)
    """Orders and parents by the time they were archived; may name an order that was brought back."""
    keep: Keep = Keep()
    left: dict[int, Ranges] = {}
    """Source → its own numbers whose orders have left."""
    left_ts: int = 0
    """When the last of these was archived, ns: what happened later, none of them knew."""
    external: dict[str, int] = {}
    """Venue's reference → our record of an order that is not ours."""
    externals: int = 0
    """Such records made so far."""
    refs: dict[int, str] = {}
    """Record → its key in `external`."""
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
    left_shut: list[tuple[int, int, int]] = []
    """(venue, account, instrument or 0): gates to be opened, because nothing is compared any more."""
    apps: dict[int, int] = {}
    """Strategy → the source that decides for it."""

    def __post_init__(self) -> None:
        self.orders, self.parents = Table.of(self.orders), Table.of(self.parents)
        self.archive, self.external, self.refs = Fixed.of(self.archive), Fixed.of(self.external), Fixed.of(self.refs)

    def peek(self, order_id: int) -> Order | None:
        """The order of an id, closed or not; a copy when it is archived. Changes nothing: for whoever only looks."""
        order = self.orders.get(order_id)
        return _decode_order(self.archive[order_id][1]) if order is None and order_id in self.archive else order

    def find(self, order_id: int, now: int) -> Order | None:
        """The order of an id, brought back from the archive if need be: at hand again as if it had just closed."""
        order = self.orders.get(order_id)
        if order is None and order_id in self.archive:
            order = self.orders[order_id] = _decode_order(self.archive.pop(order_id)[1])
            self.closed.add(now, order_id)
        return order

    def has_left(self, order_id: int) -> bool:
        """Whether an id that is not here was an order's, or a parent's, that has left."""
        return contains(self.left.get(order_id >> OWN_NUMBER_BITS, []), order_id & _OWN_NUMBER)

    @property
    def kept(self) -> Keep:
        """How long closed orders are kept in fact: as configured, and as long as a reconciliation may ask for their fills."""
        settings = self.reconcile.settings if self.reconcile is not None else None
        asked_ns = settings.lookback_ns + settings.overlap_ns if settings is not None else 0
        return Keep(self.keep.orders, max(self.keep.ns, asked_ns))

    def tidy(self, now: int) -> None:
        """Archive what has been closed for long, and let go what has been so for very long. Amortised O(1) a call."""
        for _ in range(TIDY_MOST):
            closed = self.closed.due(_AT_HAND, now)
            if closed is None:
                break
            self._archive(closed[2], now)
        if len(self.archived.waiting) <= self.keep.orders:
            return
        kept = self.kept
        for _ in range(TIDY_MOST):
            archived = self.archived.due(kept, now)
            if archived is None:
                break
            number, when, due = archived
            if due in self.parents:
                self._parent_leaves(self.parents[due], when, now)
            elif due in self.archive and self.archive[due][0] == number:
                self._order_leaves(due, when, now)

    def _archive(self, due: int, now: int) -> None:
        order = self.orders.get(due)
        if order is not None and order.closed:
            self.archive[due] = (self.archived.add(now, due), _encode(self.orders.pop(due)))
        elif due in self.parents:
            self.archived.add(now, due)

    def _order_leaves(self, order_id: int, when: int, now: int) -> None:
        i = self.instructions
        _, body = self.archive.pop(order_id)
        if order_id in i.list_of or order_id in i.quote_of:  # another one's business depends on it
            self.archive[order_id] = (self.archived.add(now, order_id), body)
            return
        parent = self.parents.get(_decode_order(body).parent_order_id) if self.parents else None
        if parent is not None and order_id in parent.children:
            parent.let_go(order_id)
        if order_id in self.refs:
            del self.external[self.refs.pop(order_id)]
        self._leave(order_id, when)

    def _parent_leaves(self, parent: Parent, when: int, now: int) -> None:
        if parent.children:
            self.archived.add(now, parent.order_id)
            return
        del self.parents[parent.order_id]
        self._leave(parent.order_id, when)

    def _leave(self, order_id: int, when: int) -> None:
        self.use(order_id)
        self.left_ts = max(self.left_ts, when)

    def use(self, order_id: int) -> None:
        """An id whose owner is not here any more; nobody gets it again."""
        numbers = self.left.setdefault(order_id >> OWN_NUMBER_BITS, [])
        own = order_id & _OWN_NUMBER
        if own & QUOTE_NUMBERS:
            reach(numbers, QUOTE_NUMBERS, own)  # the stream's seq is in them: they only grow, and those between are the past's
        else:
            add(numbers, own)

    def touch(self, order: Order) -> None:
        """An order will change that was not asked for by its id."""
        Table.of(self.orders).touch(order.order_id)

    def open_orders(self, wanted: Callable[[Order], bool] | None = None) -> list[Order]:
        """The orders that are not closed, or of these what is wanted, oldest first; to be looked at."""
        found = [o for _, o in look(self.orders) if not o.closed and (wanted is None or wanted(o))]
        found.sort(key=lambda o: (o.request_seq, o.order_id))
        return found

    def open_parents(self) -> list[Parent]:
        """The parents that are not closed, oldest first; to be looked at."""
        found = [p for _, p in look(self.parents) if not p.closed]
        found.sort(key=lambda p: (p.request_seq, p.order_id))
        return found

    def encode(self) -> bytes:
        """Canonical bytes."""
        return _encode(self)

    def _tables(self) -> Tables:
        found = (
            Table.of(self.orders), Table.of(self.parents), Table.of(self.instructions.holds), Fixed.of(self.archive),
            Fixed.of(self.external), Fixed.of(self.refs), self.closed.table, self.archived.table,
        )  # fmt: skip
        return (*found, Fixed.of(self.reconcile.trades)) if self.reconcile is not None else found

    def parts(self) -> tuple[bytes, Tables]:
        """Canonical bytes of what there is beside the tables, and these."""
        replace = msgspec.structs.replace
        held = self.reconcile
        bare = replace(
            self, orders={}, parents={}, archive={}, external={}, refs={}, closed=self.closed.bare(),
            archived=self.archived.bare(), instructions=replace(self.instructions, holds={}),
            reconcile=replace(held, trades={}) if held is not None else None,
        )  # fmt: skip
        return _encode(bare), self._tables()

    def digest(self) -> bytes:
        """One digest over the whole state. O(what there is beside the tables, and what of these has changed since the last)."""
        return digest_of(*self.parts())

    def check_tables(self) -> None:
        """Assert that what says one thing twice says the same."""
        for order_id, (number, body) in look(self.archive):
            order = _decode_order(body)
            assert order.closed, order
            assert order.order_id == order_id, order
            assert order_id not in self.orders, order
            assert self.archived.waiting[number][1] == order_id, order
        assert {number: key for key, number in self.external.items()} == self.refs
        waiting = {of for line in (self.closed, self.archived) for _, of in line.waiting.values()}
        for order_id, order in look(self.orders):
            assert not order.closed or order_id in waiting, order  # nothing closed stays for ever
        for order_id, parent in look(self.parents):
            assert not parent.closed or order_id in waiting, parent

    @contextmanager
    def checked(self) -> Iterator[None]:
        """While everything is looked at and nothing changed: assert that the digest, kept up to date, is that of the bytes."""
        assert self.digest() == decode(self.encode()).digest(), "an entry of a table has changed unseen"
        with only_looked_at(self._tables()):
            yield


decode = msgspec.msgpack.Decoder(Memory).decode
_ENTRIES = (
    Entries(int, Order), Entries(int, Parent), Entries(int, Hold), Entries(int, tuple[int, bytes]), Entries(str, int),
    Entries(int, str), Entries(int, tuple[int, int]), Entries(int, tuple[int, int]), Entries(str, Trade),
)  # fmt: skip
"""What stands in each of the tables."""


def assemble(rest: bytes, pieces: Sequence[Sequence[Any]]) -> Memory:
    """A state of its parts: the bytes beside the tables, and of each table the pieces (journal.messages.captures)."""
    memory = decode(rest)
    tables = memory._tables()
    for table, entries, found in zip(tables, _ENTRIES[: len(tables)], pieces, strict=True):
        entries.fill(table, found)
    if memory.reconcile is not None:
        memory.reconcile.sort()
    return memory
