"""Drop copy: a user's view of the orders of a journal, filtered by right. A reader and no more: nobody is asked or slowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from journal.frames import Frame
from journal.messages import (
    NULL,
    REGISTRY,
    AccountDefined,
    ExecType,
    ExecutionReport,
    Flag,
    GroupDefined,
    InstrumentDefined,
    OrderCancelReject,
    OrdStatus,
    Position,
    Reason,
    ReportFlag,
    Side,
    StrategyDefined,
    UserDefined,
    order_id_text,
)
from journal.messages.rights import SEES_ALL, Rights
from journal.text import decimal_text, time_text

KINDS = tuple(
    kind
    for kind, cls in REGISTRY.items()
    if cls in (AccountDefined, ExecutionReport, GroupDefined, InstrumentDefined, OrderCancelReject, Position, StrategyDefined,
               UserDefined)
)  # fmt: skip
_CLOSED = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY, OrdStatus.REJECTED)


class UnknownUser(ValueError):
    """The journal defines no such user; names those it does."""


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to tell. Numbers are decimal text."""

    what: str
    """order, trade, report, refused, position, symbol."""
    seq: int = 0
    time: str = ""
    order: str = ""
    parent: str = ""
    account: str = ""
    strategy: str = ""
    symbol: str = ""
    side: str = ""
    exec_type: str = ""
    status: str = ""
    quantity: str = ""
    price: str = ""
    last_quantity: str = ""
    last_price: str = ""
    filled: str = ""
    leaves: str = ""
    reason: str = ""
    trade: str = ""

    def text(self) -> str:
        """One line."""
        last = f"{self.last_quantity} @ {self.last_price}" if self.last_quantity else ""
        terms = f"{self.side} {self.quantity} @ {self.price or 'market'}" if self.quantity else ""
        state = "/".join(filter(None, (self.exec_type, self.status)))
        sums = f"filled {self.filled} leaves {self.leaves}" if self.leaves else ""
        words = (
            str(self.seq) if self.seq else "", self.time, self.what, self.order, self.account, self.strategy, self.symbol,
            terms, state, last, sums, self.reason, f"parent {self.parent}" if self.parent else "", self.trade,
        )  # fmt: skip
        return "  ".join(filter(None, words))


class DropCopy:
    """A fold of the journal for one user."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.rights = Rights()
        self._users: dict[str, int] = {}
        self._accounts: dict[int, str] = {}
        self._strategies: dict[int, str] = {}
        self._instruments: dict[int, InstrumentDefined] = {}
        self._last: dict[int, tuple[int, int, ExecutionReport]] = {}  # order id: seq, ts, its last report
        self._trades: list[tuple[int, int, ExecutionReport]] = []
        self._positions: dict[tuple[int, int, int], tuple[int, int, Position]] = {}

    def number(self) -> int:
        """The user's number; UnknownUser when the journal defines none of this name."""
        if self.user not in self._users:
            raise UnknownUser(f"--user = {self.user!r}: expected one of {', '.join(self._users) or 'none defined'}")
        return self._users[self.user]

    def sees(self, m: Any) -> bool:
        """Whether the user may see a report or position."""
        number = self._users.get(self.user, 0)
        of_user = getattr(m, "user", 0)
        return self.rights.sees(number, account=m.account, strategy=m.strategy, instrument=m.instrument, of_user=of_user)

    def apply(self, frame: Frame) -> Row | None:
        """Take a frame of KINDS; what it has to tell, if it is news the user may see."""
        m, seq, ts = frame.message, frame.header.seq, frame.header.ts
        if isinstance(m, UserDefined):
            self._users[m.name] = m.user
            self.rights.on_user_defined(m)
        elif isinstance(m, StrategyDefined):
            self._strategies[m.strategy] = m.name
            self.rights.on_strategy_defined(m)
        elif isinstance(m, GroupDefined):
            self.rights.on_group_defined(m)
        elif isinstance(m, AccountDefined):
            self._accounts[m.account] = m.name
        elif isinstance(m, InstrumentDefined):
            self._instruments[m.instrument] = m
        elif frame.header.flags & Flag.SNAPSHOT:
            return None  # of somebody's download: told before
        elif isinstance(m, Position):
            self._positions[m.account, m.strategy, m.instrument] = (seq, ts, m)
        elif isinstance(m, ExecutionReport):
            self._last[m.order_id] = (seq, ts, m)
            if m.exec_type == ExecType.TRADE:
                self._trades.append((seq, ts, m))
            return self._report("report", seq, ts, m) if self.sees(m) else None
        elif isinstance(m, OrderCancelReject):
            known = self._last.get(m.order_id)
            if known is not None and self.sees(known[2]):
                return Row("refused", seq, time_text(ts), order_id_text(m.order_id), reason=Reason(m.reason).name)
        return None

    def download(self) -> Iterator[Row]:
        """What the user sees as of now: open orders, the day's trades, positions, symbols."""
        symbols: set[int] = set()
        for seq, ts, m in self._last.values():
            if self.sees(m):
                symbols.add(m.instrument)
                if m.ord_status not in _CLOSED:
                    yield self._report("order", seq, ts, m)
        for seq, ts, m in self._trades:
            if self.sees(m):
                yield self._report("trade", seq, ts, m)
        for seq, ts, p in self._positions.values():
            if self.sees(p):
                symbols.add(p.instrument)
                yield Row(
                    "position", seq, time_text(ts), account=self._accounts.get(p.account, str(p.account)),
                    strategy=self._strategies.get(p.strategy, ""), symbol=self._symbol(p.instrument),
                    side="BUY" if p.long_qty else "SELL" if p.short_qty else "", price="cost " + str(p.cost),
                    quantity=self._qty(p.instrument, p.long_qty or p.short_qty),
                )  # fmt: skip
        everything = self.rights.roles.get(self.number(), 0) & SEES_ALL
        for number in self._instruments:
            may = everything or self.rights.sees(self.number(), account=0, strategy=0, instrument=number)
            if may or number in symbols:
                yield Row("symbol", symbol=self._symbol(number))

    def _report(self, what: str, seq: int, ts: int, m: ExecutionReport) -> Row:
        return Row(
            what, seq, time_text(ts), order_id_text(m.order_id),
            order_id_text(m.parent_order_id) if m.parent_order_id else "",
            self._accounts.get(m.account, str(m.account)), self._strategies.get(m.strategy, ""), self._symbol(m.instrument),
            Side(m.side).name, ("PARENT " if m.report_flags & ReportFlag.PARENT else "") + ExecType(m.exec_type).name,
            OrdStatus(m.ord_status).name, self._qty(m.instrument, m.order_qty), self._px(m.instrument, m.price_px),
            self._qty(m.instrument, m.last_qty), self._px(m.instrument, m.last_px), self._qty(m.instrument, m.cum_qty),
            self._qty(m.instrument, m.leaves_qty), Reason(m.reason).name if m.reason else "", m.venue_trade_ref,
        )  # fmt: skip

    def _symbol(self, instrument: int) -> str:
        found = self._instruments.get(instrument)
        return found.name if found is not None else str(instrument)

    def _qty(self, instrument: int, qty: int) -> str:
        found = self._instruments.get(instrument)
        return "" if qty == NULL else decimal_text(qty, found.qty_exp if found is not None else 0)

    def _px(self, instrument: int, px: int) -> str:
        found = self._instruments.get(instrument)
        return "" if px == NULL else decimal_text(px, found.px_exp if found is not None else 0)
