"""What the exchange remembers over a restart, if it is to remember: accounts, orders and trades in one file.

It is written whole after every change, beside and then over the old one: a killed exchange comes back with what it had said.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gateways.sim.exchange.accounts import Account, Accounts, OrderRecord, TradeRecord
from gateways.sim.exchange.funding import Paid
from gateways.sim.exchange.settings import BadSettings
from journal.messages.enums import Side


class _Account(msgspec.Struct):
    number: int
    orders: list[OrderRecord]
    trades: list[TradeRecord]
    requests: dict[str, int]
    """Client id → order id."""
    position: int
    events: int
    funding: list[Paid] = []


class _Stored(msgspec.Struct):
    symbol: str
    accounts: list[_Account]


def save(path: Path, symbol: str, accounts: Accounts) -> None:
    """The state as it is now."""
    rows = [
        _Account(
            a.number, a.orders, a.trades, {name: o.order_id for name, o in a.requests.items()}, a.position, a.events, a.funding
        )
        for a in accounts.accounts
    ]
    beside = path.with_suffix(path.suffix + ".new")
    beside.write_bytes(msgspec.json.encode(_Stored(symbol, rows)))
    os.replace(beside, path)


def load(path: Path, symbol: str, accounts: Accounts) -> list[OrderRecord]:
    """Take up a state; the orders that are open, oldest first. No file: nothing is known yet. BadSettings for any other."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise BadSettings(f"settings: state = {str(path)!r}: {error}") from None
    if found.symbol != symbol or len(found.accounts) != len(accounts.accounts):
        raise BadSettings(
            f"settings: state = {str(path)!r}: {found.symbol} and {len(found.accounts)} accounts; "
            f"expected {symbol} and {len(accounts.accounts)}"
        )
    for row in found.accounts:
        orders = {o.order_id: o for o in row.orders}
        accounts.resume(
            Account(
                number=row.number,
                requests={name: orders[order_id] for name, order_id in row.requests.items() if order_id in orders},
                orders=row.orders,
                trades=row.trades,
                position=row.position,
                spent=sum(_bought(t) * t.px for t in row.trades),
                fees=sum(t.fee for t in row.trades),
                funding=row.funding,
                funded=sum(p.payment for p in row.funding),
                events=row.events,
            )
        )
    return sorted((o for a in accounts.accounts for o in accounts.open_orders(a.number)), key=lambda o: o.order_id)


def _bought(trade: TradeRecord) -> int:
    return trade.qty if trade.side == Side.BUY else -trade.qty
