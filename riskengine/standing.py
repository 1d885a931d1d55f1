"""How much of a limit is in use: what its check would see of all that the limit covers, before any new order."""

from __future__ import annotations

from collections.abc import Callable

from journal.messages import NULL
from riskengine.checks.capital import Worth, in_use, largest, long, short
from riskengine.checks.losses import lost
from riskengine.checks.optional import turned_over
from riskengine.codes import RiskCheck
from riskengine.conduct import within
from riskengine.exposure import direction
from riskengine.limits import Limit
from riskengine.money import convert
from riskengine.numbers import clip, rescale_up
from riskengine.view import View


def current(view: View, limit: Limit, now: int) -> int:
    """With the limit's exponent, rounded away from zero; NULL where a limit bounds single orders only, or where something has
    no price or no common currency."""
    found = _OF[limit.check](view, limit, now) if limit.check in _OF else None
    return NULL if found is None else clip(found)


def _orders(view: View, limit: Limit, _: int) -> int:
    return view.area(limit.scope).orders


def _unknown(view: View, limit: Limit, _: int) -> int:
    return view.area(limit.scope).unknown


def _messages(view: View, limit: Limit, now: int) -> int:
    return len(within(view.memory.sent.get(limit.limit, []), now, limit.period_ns))


def _anew(_view: View, _limit: Limit, _now: int) -> int:
    """Whoever sets the limit lets it count from nothing (`limit_set`)."""
    return 0


def _lost(view: View, limit: Limit, _: int) -> int | None:
    found = lost(view, limit)
    return found[0] if found is not None else None


def _position(view: View, limit: Limit, _: int) -> int:
    """Of the instrument with the largest one that open orders may lead to."""
    return _adverse(view, limit, _signs(limit))


def _short(view: View, limit: Limit, _: int) -> int:
    return _adverse(view, limit, (-1,))


def _adverse(view: View, limit: Limit, signs: tuple[int, ...]) -> int:
    found = [0]
    for number, sums in view.area(limit.scope).by_instrument.items():
        i = view.memory.instruments.get(number)
        if i is not None:
            found += [rescale_up(sums.adverse(sign), i.qty_exp, limit.exp) for sign in signs]
    return max(found)


def _signs(limit: Limit) -> tuple[int, ...]:
    return (direction(limit.side),) if limit.side else (1, -1)


def _gross(view: View, limit: Limit, _: int) -> int | None:
    return _worth(view, limit, largest)


def _net(view: View, limit: Limit, _: int) -> int | None:
    sides = [_worth(view, limit, long if sign > 0 else short) for sign in _signs(limit)]
    known = [side for side in sides if side is not None]
    return max(known) if len(known) == len(sides) else None


def _worth(view: View, limit: Limit, worth: Worth) -> int | None:
    currency, value = _currency(view, limit), 0
    for number, sums in view.area(limit.scope).by_instrument.items():
        i = view.memory.instruments.get(number)
        amount = worth(view, i, sums, 0, 0) if i is not None else None
        converted = convert(view.memory, amount, currency) if amount is not None and currency else None
        if i is not None and converted is None:
            return None
        value += converted.up(limit.exp) if converted is not None else 0
    return value


def _credit(view: View, limit: Limit, _: int) -> int | None:
    found = in_use(view, limit, _currency(view, limit))
    return found[0] if found is not None else None


def _turnover(view: View, limit: Limit, now: int) -> int | None:
    return turned_over(view, limit, _currency(view, limit), now)


def _currency(view: View, limit: Limit) -> int:
    """What the limit is in: its own currency, or the one that all it covers is quoted in; 0: there is none."""
    known = (view.memory.instruments.get(number) for number in view.area(limit.scope).by_instrument)
    quoted = {i.quote_currency for i in known if i is not None}
    return limit.currency or (min(quoted) if len(quoted) == 1 else 0)


_OF: dict[int, Callable[[View, Limit, int], int | None]] = {
    RiskCheck.WORKING_ORDERS: _orders,
    RiskCheck.POSITION: _position,
    RiskCheck.GROSS_EXPOSURE: _gross,
    RiskCheck.NET_EXPOSURE: _net,
    RiskCheck.CREDIT: _credit,
    RiskCheck.ORDER_RATE: _messages,
    RiskCheck.RECONNECT_RATE: _anew,
    RiskCheck.DAILY_LOSS: _lost,
    RiskCheck.DRAWDOWN: _lost,
    RiskCheck.LOSS_STREAK: _anew,
    RiskCheck.REPEATED_EXECUTION: _anew,
    RiskCheck.REJECT_LOOP: _anew,
    RiskCheck.UNKNOWN_ORDERS: _unknown,
    RiskCheck.SHORT_SELL: _short,
    RiskCheck.TURNOVER: _turnover,
}
"""By check. The others bound an order by itself, or an account against what it has."""
