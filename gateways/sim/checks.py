"""The last line of defence: what must hold before bytes of an order leave. Each check has its reason for the SendRefused.

Everything here was decided upstream already. It is checked again because this is the last place where a mistake costs
nothing, and with what this process has seen itself: the risk pass frame, the watermark, the kill, its own connection.
"""

from __future__ import annotations

import msgspec

from gateways.sim.mapping import Listing
from gateways.sim.order_view import OrderView
from journal.messages import (
    NULL,
    DeadManAction,
    EmulatedTrigger,
    MassQuote,
    NewOrder,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuote,
    RoutedReplace,
    ScopeType,
    content_hash,
    replace_hash,
)
from journal.messages.quoting import quote_hash

_REPLACE_KINDS: tuple[int, ...] = (0, ReplaceOrder.KIND)
_NEW_KINDS: tuple[int, ...] = (0, NewOrder.KIND, EmulatedTrigger.KIND, MassQuote.KIND)
"""What a pass for a new order may have been asked for by: the order, the release of a held one, a quote."""


class Cap(msgspec.Struct, frozen=True):
    """An upper bound, value * 10**exp, exact."""

    value: int
    exp: int

    def exceeded_by(self, value: int, exp: int) -> bool:
        """Is value * 10**exp above the bound?"""
        finest = min(exp, self.exp)
        scaled: int = value * 10 ** (exp - finest)
        bound: int = self.value * 10 ** (self.exp - finest)
        return scaled > bound


class HardCaps(msgspec.Struct, frozen=True):
    """The gateway's own limits per order, whatever risk says. None: no cap. Market orders have no notional to judge here."""

    order_qty: Cap | None = None
    order_notional: Cap | None = None
    order_age_ns: int = 0
    """Oldest routed frame that is still sent, by its timestamp; 0: any."""


class Situation(msgspec.Struct, frozen=True):
    """The state of the session when a request is about to leave."""

    connected: bool
    logged_on: bool
    ready: bool
    released_seq: int
    now_ns: int


def refusal(
    m: RoutedOrder | RoutedReplace | RoutedCancel, *, seq: int, ts: int, epoch: int, view: OrderView, caps: HardCaps,
    situation: Situation,
) -> Reason | None:  # fmt: skip
    """Why this request must not leave; None if it may."""
    shut = _shut(seq, epoch, view, situation)
    if shut is not None:
        return shut
    if isinstance(m, RoutedCancel):
        # Cancels always go, also while the download runs, and whatever the kill switch says.
        if not situation.logged_on:
            return Reason.GATEWAY_NOT_READY
        return None if view.is_of(m.orig_request_seq, m.order_id) else Reason.UNKNOWN_ORDER
    if not situation.ready:
        return Reason.GATEWAY_NOT_READY
    if view.killed(m):
        return Reason.KILL_SWITCH_ACTIVE
    if m.account != view.account:
        return Reason.UNKNOWN_ACCOUNT
    listing = view.listing(m.instrument)
    if listing is None:
        return Reason.UNKNOWN_INSTRUMENT
    if isinstance(m, RoutedOrder) and m.order_id in view.orders:
        return Reason.DUPLICATE_ORDER_ID
    if isinstance(m, RoutedReplace) and not view.is_of(m.orig_request_seq, m.order_id):
        return Reason.UNKNOWN_ORDER
    if caps.order_age_ns and situation.now_ns - ts > caps.order_age_ns:
        return Reason.TOO_OLD_TO_SEND
    return _risk_pass(m, seq=seq, ts=ts, epoch=epoch, view=view) or _hard_caps(m, listing, caps)


def refusal_of_quote(
    m: RoutedQuote, sides: list[RoutedOrder], *, seq: int, ts: int, epoch: int, view: OrderView, caps: HardCaps,
    situation: Situation,
) -> Reason | None:  # fmt: skip
    """Why this quote must not leave. Each of its sides has to pass as an order does, by the pass that risk gave to it; where
    one does not, none leaves. The quote names the last of these passes, and has the hash of what they are about."""
    for side in sides:
        reason = refusal(side, seq=seq, ts=ts, epoch=epoch, view=view, caps=caps, situation=situation)
        if reason:
            return reason
    proven = sides and (m.risk_seq, m.content_hash) == (
        max(side.risk_seq for side in sides), quote_hash([side.content_hash for side in sides])
    )  # fmt: skip
    return None if proven else Reason.RISK_PASS_MISSING_OR_DIFFERENT


def refusal_of_account(
    m: RoutedCancelAll | RoutedDeadMan, *, seq: int, ts: int, epoch: int, view: OrderView, situation: Situation
) -> Reason | None:
    """As `refusal`, for what is about the whole account. It only takes orders away, so it goes whenever a cancel does."""
    shut = _shut(seq, epoch, view, situation)
    if shut is not None:
        return shut
    if not situation.logged_on:
        return Reason.GATEWAY_NOT_READY
    if m.account != view.account:
        return Reason.UNKNOWN_ACCOUNT
    if isinstance(m, RoutedCancelAll):
        whole = (m.scope_type, m.scope_account, m.side) == (ScopeType.ACCOUNT, m.account, 0)
        return None if whole else Reason.NOT_SUPPORTED_BY_VENUE
    if m.action not in (DeadManAction.ARM, DeadManAction.REFRESH, DeadManAction.DISARM):
        return Reason.INVALID_VALUE
    # A sign of life that has lain about for as long as it is good for is none.
    stale = m.action != DeadManAction.DISARM and situation.now_ns - ts >= m.timeout_ns
    return Reason.TOO_OLD_TO_SEND if stale else None


def _shut(seq: int, epoch: int, view: OrderView, situation: Situation) -> Reason | None:
    """Why nothing at all may leave, whatever it is."""
    if situation.released_seq < seq:
        return Reason.NOT_RELEASED
    if epoch != view.epoch:
        return Reason.STALE_EPOCH
    if not situation.connected:
        return Reason.NOT_CONNECTED
    return None


def _risk_pass(m: RoutedOrder | RoutedReplace, *, seq: int, ts: int, epoch: int, view: OrderView) -> Reason | None:
    if isinstance(m, RoutedOrder):
        kinds, terms = _NEW_KINDS, content_hash(m)
    else:
        kinds, terms = _REPLACE_KINDS, replace_hash(
            order_id=m.order_id, order_qty=m.order_qty, price_px=m.price_px, stop_px=m.stop_px,
            display_qty=m.display_qty, expire_ts=m.expire_ts,
        )  # fmt: skip
    found = view.passes.get(m.risk_seq)
    if found is None or m.risk_seq >= seq:
        return Reason.RISK_PASS_MISSING_OR_DIFFERENT
    if found.consumed:
        return Reason.RISK_PASS_CONSUMED
    same = (found.order_id, found.content_hash, found.epoch) == (m.order_id, terms, epoch) and m.content_hash == terms
    if not same or found.request_kind not in kinds or 0 < found.valid_until_ts < ts:
        return Reason.RISK_PASS_MISSING_OR_DIFFERENT
    return None


def _hard_caps(m: RoutedOrder | RoutedReplace, listing: Listing, caps: HardCaps) -> Reason | None:
    if caps.order_qty is not None and caps.order_qty.exceeded_by(m.order_qty, listing.qty_exp):
        return Reason.HARD_CAP
    if caps.order_notional is not None and m.price_px != NULL:
        notional = m.order_qty * m.price_px
        if caps.order_notional.exceeded_by(notional, listing.qty_exp + listing.px_exp):
            return Reason.HARD_CAP
    return None
