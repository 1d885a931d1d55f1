"""A risk check as people read it: `POSITION 1.5 of 5 ok`.

Its numbers are decimals with an exponent of their own, but for a few checks whose numbers stand for something else: a name, a
state, a price on the instrument's ticks.
"""

from __future__ import annotations

from typing import Any

from journal.messages import CheckResult, InstrumentDefined, Reason, RiskCheck, SourceDefined, enums, order_id_text
from replay.audit.render import Renderer, decimal_text, enum_name, time_text

_MARK = {CheckResult.PASS: "ok", CheckResult.WARN: "WARN", CheckResult.FAIL: "FAIL"}
_STATES: dict[int, tuple[type[Any], ...]] = {
    RiskCheck.TRADING_STATE: (enums.TradingState,),
    RiskCheck.GATE: (enums.GatewayPhase, enums.GateState),
    RiskCheck.BOOK_VERIFIED_FRESH: (enums.BookStateCode,),
}
"""Checks of a state; of several kinds of state the one that the bound is the good one of."""
_GOOD = (enums.GatewayPhase.READY, enums.GateState.OPEN)
_OF_PARENT = {
    0: "qty",
    Reason.CHILD_EXCEEDS_PARENT: "qty",
    Reason.CHILD_UNKNOWN_BLOCKS: "qty",
    Reason.CHILD_WORSE_THAN_LIMIT: "px",
    Reason.CHILD_DIFFERS: "instrument",
    Reason.CHILD_OUTLIVES_PARENT: "time",
    Reason.PARENT_UNKNOWN_OR_CLOSED: "order",
    Reason.NOT_OWNER: "source",
}
"""What the numbers of PARENT_INVARIANTS are of, by what was wrong."""


def check_text(render: Renderer, decision: Any, outcome: Any, seq: int) -> str:
    """One check of the decision at `seq`, with its numbers; one that did not pass with the frame it read them from."""
    name = enum_name(RiskCheck, outcome.check)
    if outcome.result == CheckResult.NOT_APPLICABLE:
        return f"{name} –"
    saw, against = check_numbers(render, decision, outcome, seq)
    numbers = f" {saw} of {against}" if against else f" {saw}" if saw else ""
    read = f", read at {outcome.input_seq}" if outcome.result != CheckResult.PASS and outcome.input_seq else ""
    return f"{name}{numbers} {_MARK.get(outcome.result, str(outcome.result))}{read}"


def check_numbers(render: Renderer, decision: Any, outcome: Any, seq: int) -> tuple[str, str]:
    """What a check saw, and against what; "" for what it has none of."""
    value, bound = (_number(render, decision, outcome, n, seq) for n in (outcome.value, outcome.bound))
    return value if outcome.value or outcome.bound else "", bound if outcome.bound else ""


def _number(render: Renderer, decision: Any, outcome: Any, number: int, seq: int) -> str:
    kind = outcome.check
    if kind in _STATES and not outcome.exp and outcome.bound:
        states = _STATES[kind]
        return enum_name(states[_GOOD.index(outcome.bound) if len(states) > 1 and outcome.bound in _GOOD else 0], number)
    instrument = render.instrument(decision)
    match _unit(decision, outcome):
        case "order":
            return order_id_text(number)
        case "source":
            return render.name(SourceDefined, number, seq)
        case "instrument":
            return render.name(InstrumentDefined, number, seq)
        case "time":
            return time_text(number)
        case "px":
            return render.price(instrument, number, seq)
        case "qty":
            return render.quantity(instrument, number, seq)
    return decimal_text(number, outcome.exp)


def _unit(decision: Any, outcome: Any) -> str:
    failed = outcome.result == CheckResult.FAIL
    match outcome.check:
        case RiskCheck.CLIENT_ID_UNIQUE:
            return "order"
        case RiskCheck.PERMISSION:
            return "source"
        case RiskCheck.PRICE_INCREMENT if decision.reason != Reason.INVALID_ORD_TYPE or not failed:
            return "px"
        case RiskCheck.PARENT_INVARIANTS:
            return _OF_PARENT.get(decision.reason if failed else 0, "")
    return ""
