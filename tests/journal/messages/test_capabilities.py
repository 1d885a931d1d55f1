"""What a venue takes: the whole table of types, lives and instructions, and what is sent in their place."""

from __future__ import annotations

import itertools

import pytest

from journal.messages import (
    NULL,
    ExecInst,
    MarginMode,
    NewOrder,
    OrdType,
    PositionEffect,
    QuantityType,
    Reason,
    RoutedOrder,
    Side,
    StpMode,
    TimeInForce,
    TrailType,
    Trigger,
    TriggerDirection,
    VenueDefined,
    content_hash,
)
from journal.messages.capabilities import RELEASED_AS, Handling, Offer, capability, decided_form, released_form

T, F = OrdType, TimeInForce


def bits(*values: int) -> int:
    return sum(1 << v for v in values)


PLAIN = VenueDefined(
    ord_types=bits(T.LIMIT, T.MARKET), tifs=bits(F.GTC, F.IOC, F.FOK),
    exec_insts=ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.DO_NOT_INCREASE, stp_modes=bits(StpMode.CANCEL_TAKER),
    quantity_types=bits(QuantityType.UNITS),
)  # fmt: skip
RICH = VenueDefined(
    ord_types=bits(*(t for t in T if t)), tifs=bits(*(f for f in F if f)), exec_insts=(1 << 14) - 1,
    stp_modes=bits(*(m for m in StpMode if m)), quantity_types=bits(*(q for q in QuantityType if q)),
)  # fmt: skip
PLAIN_OFFER, RICH_OFFER = Offer.of(PLAIN), Offer.of(RICH)


def order(ord_type: int = T.LIMIT, tif: int = F.GTC, **terms: int) -> NewOrder:
    """A sensible order of a type and life."""
    needs: dict[str, int] = {}
    if RELEASED_AS.get(ord_type, ord_type) != T.MARKET:  # type: ignore[call-overload]
        needs["price_px"] = 5000
    if ord_type in RELEASED_AS:
        needs["stop_px"] = 4990
    if ord_type in (T.TRAILING_STOP, T.TRAILING_STOP_LIMIT):
        needs["trail_offset"] = 10
    if tif in (F.GTD, F.GOOD_FOR_TIME):
        needs["expire_ts"] = 1000
    return NewOrder(side=Side.SELL, ord_type=ord_type, tif=tif, order_qty=100, **(needs | terms))


HELD = tuple(RELEASED_AS)
PLAIN_TYPES = {t: "native" if t in (T.LIMIT, T.MARKET) else "emulated" if t in HELD else "refused" for t in T if t}
PLAIN_TIFS = {
    f: "native" if f in (F.GTC, F.IOC, F.FOK) else "emulated" if f in (F.DAY, F.GTD, F.GOOD_FOR_TIME) else "refused"
    for f in F if f
}  # fmt: skip


@pytest.mark.parametrize(("ord_type", "tif"), list(itertools.product(PLAIN_TYPES, PLAIN_TIFS)))
def test_every_type_and_life_at_a_venue_with_two_types(ord_type: OrdType, tif: TimeInForce) -> None:
    ruling = capability(PLAIN_OFFER, order(ord_type, tif))
    if "refused" in (PLAIN_TYPES[ord_type], PLAIN_TIFS[tif]):
        assert (ruling.how, ruling.reason) == (Handling.REFUSED, Reason.NOT_SUPPORTED_BY_VENUE)
    else:
        emulated = "emulated" in (PLAIN_TYPES[ord_type], PLAIN_TIFS[tif])
        assert ruling.how == (Handling.EMULATED if emulated else Handling.NATIVE)
        assert ruling.held == (ord_type in HELD)
        assert ruling.timed == (PLAIN_TIFS[tif] == "emulated")
        assert ruling.ord_type in (T.LIMIT, T.MARKET)
        assert ruling.tif in (F.GTC, F.IOC, F.FOK)


@pytest.mark.parametrize(("ord_type", "tif"), list(itertools.product(PLAIN_TYPES, PLAIN_TIFS)))
def test_a_venue_that_takes_all_gets_all_as_it_was_asked(ord_type: OrdType, tif: TimeInForce) -> None:
    asked = order(ord_type, tif)
    ruling = capability(RICH_OFFER, asked)
    assert ruling.how == Handling.NATIVE
    assert decided_form(RICH_OFFER, asked) is asked


def test_a_venue_that_says_nothing_gets_what_was_asked_and_nothing_is_held_for_it() -> None:
    assert Offer.of(VenueDefined(venue=1, name="x")) is None
    for ord_type in PLAIN_TYPES:
        assert capability(None, order(ord_type, F.OPG)).how == Handling.NATIVE
    ruling = capability(None, order(T.STOP, exec_inst=ExecInst.EMULATED))
    assert ruling.reason == Reason.EMULATION_NOT_POSSIBLE


REFUSED = [
    ({"exec_inst": ExecInst.HIDDEN}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"exec_inst": ExecInst.EMULATED | ExecInst.NO_EMULATION}, Reason.INVALID_EXEC_INST),
    ({"exec_inst": ExecInst.EMULATED}, Reason.EMULATION_NOT_POSSIBLE),  # a limit order waits for nothing
    ({"tif": F.IOC, "exec_inst": ExecInst.PARTICIPATE_DO_NOT_INITIATE}, Reason.INVALID_EXEC_INST),
    ({"tif": F.GTD, "expire_ts": 0}, Reason.INVALID_EXPIRE_TIME),
    ({"tif": F.GTC, "expire_ts": 5}, Reason.INVALID_EXPIRE_TIME),
    ({"display_qty": 0}, Reason.INVALID_DISPLAY_QUANTITY),
    ({"display_qty": 101}, Reason.INVALID_DISPLAY_QUANTITY),
    ({"display_qty": 100}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"stp_mode": StpMode.CANCEL_MAKER}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"quantity_type": QuantityType.QUOTE_AMOUNT}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"position_effect": 77}, Reason.INVALID_POSITION_EFFECT),
    ({"margin_mode": 77}, Reason.INVALID_MARGIN_MODE_OR_LEVERAGE),
    ({"leverage": 0}, Reason.INVALID_MARGIN_MODE_OR_LEVERAGE),
    ({"ord_type": T.STOP, "tif": F.GTC, "stop_px": NULL}, Reason.INVALID_STOP_OR_TRIGGER),
    ({"ord_type": T.STOP, "trigger_direction": 9}, Reason.INVALID_STOP_OR_TRIGGER),
    ({"ord_type": T.STOP, "exec_inst": ExecInst.NO_EMULATION}, Reason.NOT_SUPPORTED_BY_VENUE),
    ({"ord_type": T.STOP, "trigger": Trigger.ORDER_FILL}, Reason.EMULATION_NOT_POSSIBLE),
    ({"ord_type": T.STOP_LIMIT, "price_px": NULL}, Reason.INVALID_PRICE),
    ({"ord_type": T.TRAILING_STOP, "trail_offset": NULL}, Reason.INVALID_TRAILING_OFFSET),
    ({"ord_type": T.TRAILING_STOP, "trail_offset": 0}, Reason.INVALID_TRAILING_OFFSET),
    ({"ord_type": T.TRAILING_STOP, "trail_type": 9}, Reason.INVALID_TRAILING_OFFSET),
    ({"ord_type": T.TRAILING_STOP, "trigger_direction": TriggerDirection.UP}, Reason.INVALID_STOP_OR_TRIGGER),
    ({"ord_type": T.TRAILING_STOP_LIMIT, "stop_px": NULL}, Reason.INVALID_STOP_OR_TRIGGER),
    ({"tif": F.DAY, "exec_inst": ExecInst.NO_EMULATION}, Reason.NOT_SUPPORTED_BY_VENUE),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "reason"), REFUSED)
def test_what_is_refused_says_why(terms: dict[str, int], reason: Reason) -> None:
    ruling = capability(PLAIN_OFFER, order(**({"ord_type": T.LIMIT} | terms)))
    assert (ruling.how, ruling.reason) == (Handling.REFUSED, reason)


@pytest.mark.parametrize("terms", [
    {"display_qty": 100}, {"exec_inst": ExecInst.HIDDEN}, {"stp_mode": StpMode.DECREMENT}, {"leverage": 1},
    {"quantity_type": QuantityType.QUOTE_AMOUNT}, {"position_effect": PositionEffect.CLOSE}, {"margin_mode": MarginMode.CROSS},
])  # fmt: skip
def test_what_the_venue_takes_goes_to_it(terms: dict[str, int]) -> None:
    assert capability(RICH_OFFER, order(**terms)).how == Handling.NATIVE


def test_expiry_at_the_very_time_is_too_late() -> None:
    asked = order(T.LIMIT, F.GTD)
    assert capability(PLAIN_OFFER, asked, now=999).how == Handling.EMULATED
    assert capability(PLAIN_OFFER, asked, now=1000).reason == Reason.INVALID_EXPIRE_TIME


def test_a_native_stop_is_held_when_it_asks_for_it() -> None:
    assert not capability(RICH_OFFER, order(T.STOP)).held
    assert capability(RICH_OFFER, order(T.STOP, exec_inst=ExecInst.EMULATED)).held


def test_forms() -> None:
    day = order(T.LIMIT, F.DAY)
    sent = decided_form(PLAIN_OFFER, day)
    assert (sent.tif, sent.price_px, sent.order_qty) == (F.GTC, 5000, 100)
    gtd = decided_form(PLAIN_OFFER, order(T.LIMIT, F.GTD))
    assert (gtd.tif, gtd.expire_ts) == (F.GTC, 0)
    stop = order(T.STOP, trigger=Trigger.LAST, exec_inst=ExecInst.EMULATED)
    assert decided_form(PLAIN_OFFER, stop) is stop
    out = released_form(PLAIN_OFFER, stop, 4990)
    assert (out.ord_type, out.tif, out.stop_px, out.trigger, out.exec_inst) == (T.MARKET, F.IOC, NULL, 0, 0)
    trailing = order(T.TRAILING_STOP_LIMIT, trail_type=TrailType.PRICE)
    moved = released_form(PLAIN_OFFER, trailing, 5040)
    assert (moved.ord_type, moved.price_px, moved.tif, moved.trail_offset) == (T.LIMIT, 5050, F.GTC, NULL)


def test_the_hash_covers_every_term_and_is_the_old_one_without_the_new() -> None:
    plain = order()
    old = NewOrder(account=1, instrument=2, side=1, ord_type=2, tif=2, order_qty=100, price_px=5000)
    assert content_hash(old) == 0x20BFF3B8388CA0FC  # computed by the code of then
    seen = {content_hash(plain)}
    for name in (
        "trail_offset", "peg_offset", "leverage", "expire_ts", "position_effect", "margin_mode", "quantity_type", "stp_mode",
        "trigger_direction", "trail_type", "peg_type", "trail_offset_exp", "peg_offset_exp", "leverage_exp", "trigger", "tif",
        "display_qty", "min_qty", "stop_px", "exec_inst",
    ):  # fmt: skip
        changed = order(**{name: 7})
        assert content_hash(changed) not in seen, name
        seen.add(content_hash(changed))
    routed = RoutedOrder(**{f: getattr(changed, f) for f in RoutedOrder.__struct_fields__ if hasattr(changed, f)})
    assert content_hash(routed) == content_hash(changed)
