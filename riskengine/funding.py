"""Balances: what an order needs of one, and what of it is free. What the venue has confirmed, less what fills and payments of
funding have taken since, less what open orders reserve: the venue's own hold is another count of the same orders and is not
subtracted again."""

from __future__ import annotations

from journal.messages import NULL, NewOrder
from riskengine.codes import ContractType, InstrumentType, Side
from riskengine.memory import Funds, Instrument, Memory
from riskengine.money import Amount
from riskengine.proposal import Proposal
from riskengine.view import View

_MARGINED = (
    InstrumentType.PERPETUAL, InstrumentType.FUTURE, InstrumentType.OPTION, InstrumentType.SPREAD,
    InstrumentType.OPTION_SPREAD, InstrumentType.CFD,
)  # fmt: skip
_SPENT_MOST = 64
"""Fills and payments remembered apart; of more, the oldest are taken together."""


def paid_for(i: Instrument) -> bool:
    """It is bought with a balance, not held on margin."""
    return i.instrument_type not in _MARGINED and i.contract in (ContractType.UNDEFINED, ContractType.LINEAR)


def need(i: Instrument, side: int, qty: int, value: int) -> Amount:
    """What an order of a quantity and value (quantity times price) takes: money to buy, holdings to sell."""
    if side == Side.BUY:
        return Amount(value * i.multiplier, 1, i.px_exp + i.qty_exp + i.multiplier_exp, i.quote_currency)
    return Amount(qty * i.multiplier, 1, i.qty_exp + i.multiplier_exp, i.base_currency)


def need_of(memory: Memory, p: Proposal) -> Amount | None:
    """What a proposal takes beyond what it holds already; None where it takes no balance, or has no price."""
    i = p.instrument
    if i is None or not paid_for(i) or p.order_qty <= 0:
        return None
    if p.side == Side.BUY and p.reference_px(memory)[0] == NULL:
        return None
    return need(i, p.side, p.more_qty, p.more_value(memory))


def reserved(view: View, account: int, currency: int, exp: int) -> int:
    """What the open orders of an account may take of a currency."""
    taken = 0
    for number, sums in view.account(account).by_instrument.items():
        i = view.memory.instruments.get(number)
        if i is None or not paid_for(i):
            continue
        if i.quote_currency == currency and sums.buying:
            taken += need(i, Side.BUY, sums.buying, sums.buying_value).up(exp)
        if i.base_currency == currency and sums.selling:
            taken += need(i, Side.SELL, sums.selling, 0).up(exp)
    return taken


def confirmed(memory: Memory, account: int, currency: int) -> Funds:
    """The balance as confirmed; nothing confirmed is nothing there."""
    found = memory.funds.get(f"{account}/{currency}")
    return found or Funds(0, memory.ledger_exp.get(currency, 0), 0)


def spendable(funds: Funds) -> int:
    """The confirmed balance less what was spent since."""
    return funds.balance - sum(amount for _, amount in funds.spent)


def free_of(view: View, account: int, currency: int) -> tuple[int, int]:
    """(amount, exponent) of a currency that nothing has a claim on."""
    funds = confirmed(view.memory, account, currency)
    return spendable(funds) - reserved(view, account, currency, funds.exp), funds.exp


def spend(memory: Memory, i: Instrument, account: int, side: int, qty: int, px: int, exchange_ts: int) -> None:
    """A fill takes from a balance at once; what it brings counts when the venue confirms it."""
    if paid_for(i):
        take(memory, account, need(i, side, qty, qty * abs(px)), exchange_ts)


def take(memory: Memory, account: int, taken: Amount, exchange_ts: int) -> None:
    """Something has left a balance, and is not in what the venue has confirmed until its word is of a later time."""
    funds = memory.funds.get(f"{account}/{taken.currency}")
    if funds is None:
        return
    funds.spent.append((exchange_ts, taken.up(funds.exp)))
    if len(funds.spent) > _SPENT_MOST:
        (_, first), (ts, second) = funds.spent[:2]
        funds.spent[:2] = [(ts, first + second)]


def bundle_key(p: Proposal, currency: int) -> str:
    """The list of a proposal, in one account and currency."""
    return f"{p.order.list_id if p.order is not None else 0}/{p.subject.account}/{currency}"


def bought_by(memory: Memory, i: Instrument | None, m: NewOrder) -> int:
    """The quantity that an amount of money (quote currency, ledger exponent) may buy or must sell, rounded up; 0 where that
    cannot be said. A market order's price is the far touch."""
    if i is None or m.order_qty <= 0 or i.contract not in (ContractType.UNDEFINED, ContractType.LINEAR):
        return 0
    ledger_exp = memory.ledger_exp.get(i.quote_currency)
    px = m.price_px
    touch = memory.touches.get(i.instrument)
    if px == NULL and touch is not None:
        px = touch.ask_px if m.side == Side.BUY else touch.bid_px
    if ledger_exp is None or px == NULL or px <= 0:
        return 0
    money = Amount(m.order_qty, px * i.multiplier, ledger_exp - i.px_exp - i.multiplier_exp, i.quote_currency)
    return money.up(i.qty_exp)
