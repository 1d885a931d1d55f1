"""A quote as the orders it stands for, two an entry. Pure: the risk engine decides on the very orders that the OMS sends."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from journal.messages.enums import OrdType, Side, TimeInForce
from journal.messages.orders import MassQuote, NewOrder, QuoteEntry, RoutedQuote, order_id_of
from journal.messages.schema import NULL

ENTRIES_MAX = 32
QUOTE_NUMBERS = 1 << 47
"""Own numbers of orders that stand for quotes begin here, so that they never meet those that a strategy counts."""


def quote_order_id(source: int, seq: int, index: int, side: int) -> int:
    """Id of one side of one entry of the MassQuote at a frame: its asker's, unique for ever."""
    return order_id_of(source, QUOTE_NUMBERS | seq << 6 | index << 1 | (side != Side.BUY))


def quote_place(order_id: int) -> tuple[int, bool]:
    """Which entry of its quote an order stands for, and whether it is the ask."""
    return order_id >> 1 & 0x1F, bool(order_id & 1)


def is_quote_order(order_id: int) -> bool:
    """Whether an order stands for one side of a quote."""
    return bool(order_id & QUOTE_NUMBERS)


def valid_quote(m: MassQuote, now: int) -> bool:
    """1 to 32 entries, each once, a quantity with each price and one side at least, not crossed, not over already."""
    if not 1 <= len(m.entries) <= ENTRIES_MAX or len({e.entry for e in m.entries}) != len(m.entries):
        return False
    if 0 < m.valid_until_ts <= now:
        return False
    return all(_valid_entry(e) for e in m.entries)


def _valid_entry(e: QuoteEntry) -> bool:
    sides = [(px, qty) for px, qty in ((e.bid_px, e.bid_qty), (e.ask_px, e.ask_qty)) if px != NULL]
    if not sides or any(qty == NULL or qty <= 0 for _, qty in sides):
        return False
    return len(sides) < 2 or e.bid_px < e.ask_px


def quote_orders(m: MassQuote | RoutedQuote, seq: int, source: int, user: int = 0) -> list[NewOrder]:
    """The orders of a valid quote, bid before ask, entry by entry; of a routed one, those that go. `seq`, `source`: of the
    MassQuote's frame."""
    orders = []
    tif = TimeInForce.GTD if m.valid_until_ts else TimeInForce.GTC
    for index, e in enumerate(m.entries):
        for side, px, qty in ((Side.BUY, e.bid_px, e.bid_qty), (Side.SELL, e.ask_px, e.ask_qty)):
            if px != NULL:
                orders.append(
                    NewOrder(
                        order_id=quote_order_id(source, seq, index, side),
                        account=m.account,
                        strategy=m.strategy if isinstance(m, MassQuote) else 0,
                        user=user,
                        instrument=e.instrument,
                        exec_inst=e.exec_inst,
                        side=side,
                        ord_type=OrdType.LIMIT,
                        tif=tif,
                        order_qty=qty,
                        price_px=px,
                        expire_ts=m.valid_until_ts,
                    )
                )
    return orders


def quote_hash(hashes: Sequence[int]) -> int:
    """64-bit hash of what goes as one quote: of the content hashes of its orders, in their order."""
    packed = struct.pack(f"<{len(hashes)}Q", *hashes)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


__all__ = [
    "ENTRIES_MAX", "QUOTE_NUMBERS", "is_quote_order", "quote_hash", "quote_order_id", "quote_orders", "quote_place",
    "valid_quote",
]  # fmt: skip
