"""Downloads: what a user may see of the orders, on request, as rows between DownloadBegin and DownloadEnd.

The rows are ExecutionReports of type ORDER_STATUS with the frame's flag SNAPSHOT: first every open parent and order, then one
for each trade, with the report flag DUPLICATE_SUPPRESSED, for it was told before. Whoever adds up trades counts each once.
"""

from __future__ import annotations

from collections.abc import Iterator

from journal.messages import (
    DownloadBegin,
    DownloadEnd,
    ExecType,
    ExecutionReport,
    Flag,
    GroupDefined,
    Message,
    OrderStatusRequest,
    ReportFlag,
    ScopeType,
    SourceRole,
    UserDefined,
)
from journal.messages.scopes import Subject, covers
from oms.order import Order
from oms.parent import Parent
from oms.parents import Parents

TRADES_MAX = 10_000
"""A download has the newest so many trades; one with more is not complete, nor one whose asker's orders have left."""
ORDERS, TRADES = 1 << 0, 1 << 1
"""DownloadBegin.contents."""
_ROW = int(Flag.LAST | Flag.SNAPSHOT)


class Downloads(Parents):
    """Answers OrderStatusRequest."""

    def on_user_defined(self, m: UserDefined) -> None:
        """Who may see what."""
        self.memory.rights.on_user_defined(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Who may see what."""
        self.memory.rights.on_group_defined(m)

    def on_order_status_request(self, m: OrderStatusRequest) -> None:
        """Everything in the scope that the asker may see."""
        number = m.request & 0xFFFF_FFFF
        self.ctx.emit(DownloadBegin(download=number, contents=ORDERS | TRADES), _ROW)
        rows = 0
        for parent in self.memory.open_parents():
            if self._seen(m, self._parent_subject(parent)):
                rows += self._row(self._parent_status(parent))
        for order in self.memory.open_orders():
            if self._seen(m, self.subject(order)):
                rows += self._row(self._status_of(order))
        trades = [row for order in self._everything() if self._seen(m, self.subject(order)) for row in self._trades(order)]
        for row in trades[-TRADES_MAX:]:
            rows += self._row(row)
        complete = len(trades) <= TRADES_MAX and not self._some_left()
        self.ctx.emit(DownloadEnd(download=number, rows=rows, complete=complete), _ROW)

    def _row(self, message: Message) -> int:
        self.ctx.emit(message, _ROW)
        return 1

    def _seen(self, m: OrderStatusRequest, subject: Subject) -> bool:
        """An operator sees everything, or what the user sees on whose behalf he asks (`scope_user`); anyone else his own."""
        if m.scope_type not in (ScopeType.UNDEFINED, ScopeType.GLOBAL, ScopeType.USER) and not covers(m, subject):
            return False
        if self.memory.roles.get(self.ctx.source) != SourceRole.OPERATOR:
            return subject.source == self.ctx.source
        return not m.scope_user or self.memory.rights.sees(
            m.scope_user, account=subject.account, strategy=subject.strategy, instrument=subject.instrument,
            of_user=subject.user,
        )  # fmt: skip

    def _some_left(self) -> bool:
        """Whether orders have left that the asker might have seen the trades of."""
        left = self.memory.left
        return bool(left) if self.memory.roles.get(self.ctx.source) == SourceRole.OPERATOR else self.ctx.source in left

    def _everything(self) -> Iterator[Order]:
        """Every order that is here, closed ones too, oldest first."""
        for number in sorted({*self.memory.orders, *self.memory.archive}):
            order = self.memory.peek(number)
            if order is not None:
                yield order

    def _status_of(self, order: Order) -> ExecutionReport:
        return ExecutionReport(
            order_id=order.order_id, parent_order_id=order.parent_order_id, account=order.account, strategy=order.strategy,
            user=order.user, instrument=order.instrument, side=order.side, ord_type=order.ord_type, tif=order.tif,
            exec_inst=order.exec_inst, version=order.version, order_qty=order.order_qty, price_px=order.price_px,
            stop_px=order.stop_px, cum_qty=order.cum_qty, leaves_qty=order.leaves_qty, cxl_qty=order.cxl_qty,
            cum_notional=order.cum_notional, exec_type=ExecType.ORDER_STATUS, ord_status=order.ord_status,
            report_flags=ReportFlag.EXTERNAL if order.source == 0 else 0, venue_order_ref=order.venue_order_ref,
        )  # fmt: skip

    def _trades(self, order: Order) -> Iterator[ExecutionReport]:
        for trade, (qty, px) in order.fills.items():
            row = self._status_of(order)
            row.report_flags |= ReportFlag.DUPLICATE_SUPPRESSED
            row.last_qty, row.last_px, row.venue_trade_ref = qty, px, trade
            yield row

    def _parent_status(self, parent: Parent) -> ExecutionReport:
        return ExecutionReport(
            order_id=parent.order_id, account=parent.account, strategy=parent.strategy, user=parent.user,
            instrument=parent.instrument, side=parent.side, version=parent.version, order_qty=parent.order_qty,
            price_px=parent.limit_px, cum_qty=parent.cum_qty, leaves_qty=parent.leaves_qty, cxl_qty=parent.cxl_qty,
            cum_notional=parent.cum_notional, exec_type=ExecType.ORDER_STATUS, ord_status=parent.ord_status,
            report_flags=ReportFlag.PARENT,
        )  # fmt: skip
