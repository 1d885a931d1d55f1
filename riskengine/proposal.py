"""What a check is given, and what it answers."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, CheckOutcome, CheckResult, ContractType, LimitAction, OrdType, Reason, RiskCheck
from journal.messages.scopes import Subject
from riskengine.exposure import Held, Wish, direction
from riskengine.limits import Limit, in_force
from riskengine.memory import Instrument, Memory
from riskengine.numbers import clip


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
    price_px: int
    stop_px: int
    known_id: bool
    """The order id was used before."""
    instrument: Instrument | None
    replace: bool = False
    held: Held | None = None
    wish: Wish | None = None

    @property
    def sign(self) -> int:
        """+1 buys, -1 sells."""
        return direction(self.side)

    @property
    def market(self) -> bool:
        """It takes whatever price there is."""
        return self.ord_type in (OrdType.MARKET, OrdType.MARKET_ON_CLOSE)

    @property
    def more_qty(self) -> int:
        """By how much its acceptance raises what is reserved; never below 0, for the old terms hold until it is done."""
        if self.held is None:
            return self.order_qty
        return max(self.order_qty - self.held.cum_qty - self.held.reserved_qty, 0)

    def reference_px(self, memory: Memory) -> tuple[int, int]:
        """The price to value it at, and the frame it is from; NULL when there is none. A market order is valued at the far
        touch."""
        if not self.market:
            return self.price_px, 0
        touch = memory.touches.get(self.subject.instrument)
        if touch is None:
            return NULL, 0
        return (touch.ask_px if self.sign > 0 else touch.bid_px), touch.seq

    def notional(self, memory: Memory, qty: int) -> tuple[int, int, int] | None:
        """(mantissa, exponent, input frame) of a quantity of this order in quote currency; None without a price."""
        i = self.instrument
        if i is None:
            return None
        px, seq = self.reference_px(memory)
        if i.contract == ContractType.INVERSE:
            return qty * i.multiplier, i.qty_exp + i.multiplier_exp, i.seq
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
        return CheckOutcome(
            check=self.check, result=self.result, value=clip(self.value), bound=clip(self.bound), input_seq=self.input_seq,
            limit=self.limit, exp=self.exp,
        )  # fmt: skip


def passed(check: int, *, value: int = 0, bound: int = 0, input_seq: int = 0, exp: int = 0) -> Verdict:
    """It may go."""
    return Verdict(check, CheckResult.PASS, 0, value, bound, input_seq, 0, exp)


def failed(check: int, reason: int, *, value: int = 0, bound: int = 0, input_seq: int = 0, exp: int = 0) -> Verdict:
    """It may not."""
    return Verdict(check, CheckResult.FAIL, reason, value, bound, input_seq, 0, exp)


def not_applicable(check: int) -> Verdict:
    """Nothing to check here."""
    return Verdict(check, CheckResult.NOT_APPLICABLE)


def limit_of(memory: Memory, p: Proposal, check: int) -> Limit | None:
    """The limit in force for a proposal."""
    return in_force(memory.limits, check, p.subject, p.side, p.now)


def missing(memory_requires: bool, check: int) -> Verdict:
    """No limit is set: refused where limits are required, else not applicable."""
    return failed(check, Reason.LIMIT_NOT_DEFINED) if memory_requires else not_applicable(check)


def against(limit: Limit, check: int, reason: int, *, value: int, bound: int, warn: int, seq: int, exp: int) -> Verdict:
    """A value against a limit's bounds, all three at one exponent. A value equal to its bound passes."""
    result = CheckResult.PASS
    if value > bound and limit.action != LimitAction.WARN:
        result = CheckResult.FAIL
    elif value > bound or (limit.warn > 0 and value > warn):
        result = CheckResult.WARN
    why = reason if result == CheckResult.FAIL else 0
    return Verdict(RiskCheck(check), result, why, value, bound, seq, limit.limit, exp)
