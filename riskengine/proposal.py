"""What a check is given, and what it answers."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, CheckOutcome, NewOrder
from journal.messages.family import Wanted
from journal.messages.scopes import Subject
from riskengine.codes import CheckResult, ContractType, LimitAction, OrdType, Reason
from riskengine.exposure import Held, direction
from riskengine.limits import Limit
from riskengine.memory import Instrument, Memory
from riskengine.numbers import MANTISSA_MAX, clip


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it would be. For a replace `held` is the order as it is."""

    now: int
    source: int
    """Who asks."""
    subject: Subject
    side: int
    ord_type: int
    exec_inst: int
    order_qty: int
    """In the instrument's mantissa; of an amount of money, what it may buy at most."""
    price_px: int
    stop_px: int
    known_id: bool
    """The order id was used before."""
    instrument: Instrument | None
    replace: bool = False
    held: Held | None = None
    order: NewOrder | None = None
    """The request, for a new order."""
    display_qty: int = NULL
    expire_ts: int = 0
    release_ts: int = 0
    in_amount: bool = False
    """Its quantity was asked for as an amount of money."""
    child: Wanted | None = None

    @property
    def sign(self) -> int:
        """+1 buys, -1 sells."""
        return direction(self.side)

    @property
    def market(self) -> bool:
        """It takes whatever price there is."""
        return self.ord_type in (OrdType.MARKET, OrdType.MARKET_ON_CLOSE)

    @property
    def unpriced(self) -> bool:
        """It is an amount of money that is not turned into a quantity: there is no price, or it is a replace."""
        return self.in_amount and self.order_qty == 0

    @property
    def more_qty(self) -> int:
        """By how much its acceptance raises what is reserved; never below 0, for the old terms hold until it is done."""
        if self.held is None:
            return self.order_qty
        return max(self.order_qty - self.held.cum_qty - self.held.booked_qty, 0)

    def more_value(self, memory: Memory) -> int:
        """As `more_qty`, in mantissas of quantity times price; 0 where there is no price."""
        if self.held is not None:
            return max(self.held.value_of(self.order_qty, self.price_px) - self.held.booked_value, 0)
        px, _ = self.reference_px(memory)
        return 0 if px == NULL else self.order_qty * abs(px)

    def reference_px(self, memory: Memory) -> tuple[int, int]:
        """The price to value it at, and the frame it is from; NULL when there is none. An order without a price of its own is
        valued at its trigger, or at the far touch."""
        if self.price_px != NULL:
            return self.price_px, 0
        if self.stop_px != NULL:
            return self.stop_px, 0
        touch = memory.touches.get(self.subject.instrument)
        if touch is None:
            return NULL, 0
        return (touch.ask_px if self.sign > 0 else touch.bid_px), touch.seq

    def notional(self, memory: Memory, qty: int) -> tuple[int, int, int] | None:
        """(mantissa, exponent, input frame) of a quantity of this order in quote currency; None without a price."""
        i = self.instrument
        if i is None:
            return None
        if i.contract == ContractType.INVERSE:
            return qty * i.multiplier, i.qty_exp + i.multiplier_exp, i.seq
        px, seq = self.reference_px(memory)
        if px == NULL:
            return None
        return qty * abs(px) * i.multiplier, i.px_exp + i.qty_exp + i.multiplier_exp, seq


class Verdict(msgspec.Struct, frozen=True):
    """One check's answer. `reason` says why it failed."""

    check: int
    result: int
    reason: int = 0
    value: int = 0
    bound: int = 0
    input_seq: int = 0
    limit: int = 0
    exp: int = 0

    def outcome(self) -> CheckOutcome:
        """The row of the RiskDecision."""
        value, bound = self.value, self.bound
        if not (-MANTISSA_MAX < value < MANTISSA_MAX and -MANTISSA_MAX < bound < MANTISSA_MAX):
            value, bound = clip(value), clip(bound)
        return CheckOutcome(value, bound, self.input_seq, self.limit, self.check, self.result, self.exp)


def passed(check: int, *, value: int = 0, bound: int = 0, input_seq: int = 0, exp: int = 0) -> Verdict:
    """It may go."""
    return Verdict(check, CheckResult.PASS, 0, value, bound, input_seq, 0, exp)


def failed(check: int, reason: int, *, value: int = 0, bound: int = 0, input_seq: int = 0, exp: int = 0) -> Verdict:
    """It may not."""
    return Verdict(check, CheckResult.FAIL, reason, value, bound, input_seq, 0, exp)


def not_applicable(check: int) -> Verdict:
    """Nothing to check here."""
    return Verdict(check, CheckResult.NOT_APPLICABLE)


def missing(required: bool, check: int) -> Verdict:
    """No limit is set: refused where limits are required, else not applicable."""
    return failed(check, Reason.LIMIT_NOT_DEFINED) if required else not_applicable(check)


def against(
    limit: Limit, check: int, reason: int, *, value: int, bound: int, warn: int = 0, seq: int = 0, exp: int = 0
) -> Verdict:  # fmt: skip
    """A value against a limit's bounds, all three at one exponent. A value equal to its bound passes."""
    result = CheckResult.PASS
    if value > bound and limit.action != LimitAction.WARN:
        result = CheckResult.FAIL
    elif value > bound or (limit.warn > 0 and value > warn):
        result = CheckResult.WARN
    why = reason if result == CheckResult.FAIL else 0
    return Verdict(check, result, why, value, bound, seq or limit.seq, limit.limit, exp)


def free(limit: Limit, check: int, *, value: int = 0, bound: int = 0, seq: int = 0, exp: int = 0) -> Verdict:
    """It asks for nothing more of what a limit bounds, so it passes, above the bound too; the limit is shown all the same."""
    return Verdict(check, CheckResult.PASS, 0, value, bound, seq or limit.seq, limit.limit, exp)


def refused(limit: Limit, check: int, reason: int, *, value: int = 0, bound: int = 0, seq: int = 0, exp: int = 0) -> Verdict:
    """It may not, whatever the numbers; only warned where the limit only warns."""
    result = CheckResult.WARN if limit.action == LimitAction.WARN else CheckResult.FAIL
    why = reason if result == CheckResult.FAIL else 0
    return Verdict(check, result, why, value, bound, seq or limit.seq, limit.limit, exp)
