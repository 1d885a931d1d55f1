"""Is the market known, and the price near it."""

from __future__ import annotations

from journal.messages import NULL
from riskengine.codes import BookStateCode, Reason, RiskCheck
from riskengine.limits import Limit
from riskengine.memory import Memory
from riskengine.money import twice_price
from riskengine.numbers import RATE_EXP, rescale_down
from riskengine.proposal import Proposal, Verdict, against, failed, missing, not_applicable, passed, refused
from riskengine.view import View
from riskengine.windows import bounds


def book_verified_fresh(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """The book is LIVE, and, where a limit says so, not older than its `hard` ns. Without anyone who keeps books there is
    nothing to check."""
    check, memory = RiskCheck.BOOK_VERIFIED_FRESH, view.memory
    seen = memory.books.get(p.subject.instrument)
    if seen is None:
        if not memory.books_sources and limit is None:
            return not_applicable(check)
        return failed(check, Reason.BOOK_NOT_LIVE, bound=BookStateCode.LIVE)
    if seen.value != BookStateCode.LIVE:
        return failed(check, Reason.BOOK_NOT_LIVE, value=seen.value, bound=BookStateCode.LIVE, input_seq=seen.seq)
    touch = memory.touches.get(p.subject.instrument)
    last_seq, last_ts = max((seen.seq, seen.ts), (touch.seq, touch.ts) if touch is not None else (0, 0))
    if limit is None:
        return passed(check, value=seen.value, bound=BookStateCode.LIVE, input_seq=seen.seq)
    return against(
        limit, check, Reason.BOOK_TOO_OLD, value=p.now - last_ts, bound=limit.hard, warn=limit.warn, seq=last_seq, exp=-9
    )


def price_collar(view: View, p: Proposal, limit: Limit | None) -> Verdict:
    """The price is within the instrument's own bands around its mark (or mid), and within a rate of the mid, on either side
    (RTS 6: price collar). All are integers: a price is kept times two, a deviation rounded up to 1e-12."""
    check, memory = RiskCheck.PRICE_COLLAR, view.memory
    outside = _outside_bands(memory, p)
    if outside is not None:
        return outside
    if limit is None:
        return missing(view.require_limits, check)
    if p.price_px == NULL:
        return not_applicable(check)
    touch = memory.touches.get(p.subject.instrument)
    if touch is None or NULL in (touch.bid_px, touch.ask_px) or touch.bid_px + touch.ask_px <= 0:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE, seq=touch.seq if touch is not None else 0)
    mid2 = touch.bid_px + touch.ask_px
    deviation = -(-abs(2 * p.price_px - mid2) * 10**-RATE_EXP // mid2)
    return against(
        limit, check, Reason.PRICE_COLLAR, value=deviation, bound=rescale_down(limit.hard, limit.exp, RATE_EXP),
        warn=rescale_down(limit.warn, limit.exp, RATE_EXP), seq=touch.seq, exp=RATE_EXP,
    )  # fmt: skip


def _outside_bands(memory: Memory, p: Proposal) -> Verdict | None:
    check, i = RiskCheck.PRICE_COLLAR, p.instrument
    if i is None or p.price_px == NULL or (i.band_up_rate == NULL and i.band_down_rate == NULL):
        return None
    reference = twice_price(memory, i.instrument)
    if reference is None or reference[0] <= 0:
        return failed(check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    px2, seq = reference
    above = 2 * p.price_px - px2
    bound = i.band_up_rate if above > 0 else i.band_down_rate
    deviation = -(-abs(above) * 10**-RATE_EXP // px2)
    if bound == NULL or deviation <= bound:
        return None
    return failed(check, Reason.PRICE_COLLAR, value=deviation, bound=bound, input_seq=seq, exp=RATE_EXP)


def price_collar_window(view: View, p: Proposal, limit: Limit) -> Verdict:
    """The price is within a rate of every mid of the last `period_ns`: of the highest and of the lowest. So a market that runs
    away, or is driven, takes nobody along (RTS 6: over a specified period)."""
    check = RiskCheck.PRICE_COLLAR_WINDOW
    if p.price_px == NULL:
        return not_applicable(check)
    parts = view.memory.windows.get(f"{limit.limit}/{p.subject.instrument}", [])
    mids = bounds(parts, p.now, limit.period_ns)
    if mids is None or mids[0] <= 0:
        return refused(limit, check, Reason.REFERENCE_PRICE_UNAVAILABLE)
    deviation = max(-(-abs(2 * p.price_px - mid2) * 10**-RATE_EXP // mid2) for mid2 in mids)
    return against(
        limit, check, Reason.PRICE_COLLAR_WINDOW, value=deviation, bound=rescale_down(limit.hard, limit.exp, RATE_EXP),
        warn=rescale_down(limit.warn, limit.exp, RATE_EXP), exp=RATE_EXP,
    )  # fmt: skip
