"""The pre-trade checks, in the order in which they are evaluated and listed: the first that fails gives the reason, the rest
still say what they saw. A check reads the memory and the proposal, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from riskengine.checks.behaviour import order_rate
from riskengine.checks.market import book_verified_fresh, price_collar
from riskengine.checks.size import order_notional, position, working_orders
from riskengine.checks.state import client_id_unique, gate, kill_switch, permission
from riskengine.checks.terms import instrument_tradable, lot_step, price_increment, quantity_limits
from riskengine.memory import Memory
from riskengine.proposal import Proposal, Verdict

_PLAIN_FIRST: tuple[Callable[[Memory, Proposal], Verdict], ...] = (
    kill_switch, gate, permission, client_id_unique, instrument_tradable, price_increment, quantity_limits, lot_step,
    book_verified_fresh,
)  # fmt: skip
# These need a limit; where limits are required, a missing one refuses.
_LIMITED: tuple[Callable[..., Verdict], ...] = (price_collar, order_notional, working_orders, position, order_rate)


def evaluate(memory: Memory, proposal: Proposal, *, require_limits: bool) -> list[Verdict]:
    """Every check's verdict."""
    verdicts = [check(memory, proposal) for check in _PLAIN_FIRST]
    return verdicts + [check(memory, proposal, require_limits=require_limits) for check in _LIMITED]
