"""CancelAll: every open order in a scope is canceled, nobody else's is hit; and how far it is."""

from __future__ import annotations

from journal.messages import (
    CancelAll,
    CancelAllReport,
    OrdStatus,
    Reason,
    ScopeType,
    SourceRole,
)
from journal.messages.scopes import covers
from oms.instructions import Sweep
from oms.lists import Lists
from oms.order import Order
from oms.together import Together
from oms.transitions import Event

_MAY_CANCEL_ANYBODYS = (SourceRole.OPERATOR, SourceRole.RISK, SourceRole.SUPERVISOR)
_SIDES = (0, 1, 2, 3, 4)


class Massing(Lists, Together):
    """Sweeps: a CancelAll each, until its last order has an end."""

    def on_cancel_all(self, m: CancelAll) -> None:
        """Cancel what it covers and its asker may cancel: anybody's for an operator, risk and the supervisor, else its own. One
        that comes again hits nothing that was asked since."""
        sweep = Sweep(m.encode(), self.ctx.seq)
        if self.memory.instructions.heard.again(self.ctx.source, m.request):
            self._say(sweep, reason=Reason.REPEATED_REQUEST, final=True)
            return
        if not self._judged(m) or m.side not in _SIDES:
            self._say(sweep, reason=Reason.INVALID_FILTER, final=True)
            return
        anybodys = self.memory.roles.get(self.ctx.source) in _MAY_CANCEL_ANYBODYS
        source = self.ctx.source
        matched = self.open_orders(
            lambda o: o.source != 0 and (anybodys or o.source == source) and m.side in (0, o.side) and self._covered(m, o)
        )
        sweep.matched, sweep.pending, sweep.busy = len(matched), [o.order_id for o in matched], True
        i = self.memory.instructions
        i.sweeps[sweep.request_seq] = sweep
        for order in matched:
            i.swept.setdefault(order.order_id, []).append(sweep.request_seq)
        self.cancel_together(matched, Event.CANCEL_ASKED, reason=m.reason or Reason.USER_REQUEST)
        sweep.busy = False
        for order in matched:
            self._count_sweep(sweep, order)
        if sweep.pending:
            self._say(sweep)
        else:
            self._finish_sweep(sweep)

    def _judged(self, m: CancelAll) -> bool:
        """Whether its scope is one; what nobody has defined is refused rather than read as nothing."""
        if m.scope_type == ScopeType.GROUP:
            return m.scope_group in self.memory.latch.groups
        if m.scope_type == ScopeType.DESTINATION:
            return m.scope_source != 0 and any(self.gateway_of(d) == m.scope_source for d in self.memory.routes)
        return m.scope_type in ScopeType.__members__.values() and m.scope_type != ScopeType.UNDEFINED

    def _covered(self, m: CancelAll, order: Order) -> bool:
        if m.scope_type == ScopeType.GROUP:
            return self.memory.latch.covers(m, self.subject(order))
        if m.scope_type == ScopeType.DESTINATION:
            # A connection is named by the source of its gateway; an order that went by none is of none.
            return order.destination != 0 and self.gateway_of(order.destination) == m.scope_source
        return covers(m, self.subject(order))

    def moved(self, order: Order) -> None:
        """An order of a sweep has ended, or its cancel was refused."""
        super().moved(order)
        i = self.memory.instructions
        for seq in list(i.swept.get(order.order_id, ())) if i.swept else ():
            sweep = i.sweeps[seq]
            if not sweep.busy:
                self._count_sweep(sweep, order)
                if not sweep.pending:
                    self._finish_sweep(sweep)

    def _count_sweep(self, sweep: Sweep, order: Order) -> None:
        if order.order_id not in sweep.pending or (not order.closed and order.cancel is not None):
            return
        sweep.pending.remove(order.order_id)
        if order.base in (OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY):
            sweep.canceled += 1
        else:
            sweep.rejected += 1  # too late, or the venue refused
        swept = self.memory.instructions.swept
        swept[order.order_id].remove(sweep.request_seq)
        if not swept[order.order_id]:
            del swept[order.order_id]

    def _finish_sweep(self, sweep: Sweep) -> None:
        del self.memory.instructions.sweeps[sweep.request_seq]
        self._say(sweep, final=True)

    def _say(self, sweep: Sweep, *, reason: int = 0, final: bool = False) -> None:
        m = CancelAll.decode(sweep.asked)
        scope = {name: getattr(m, name) for name in m.__struct_fields__ if name.startswith("scope_")}
        self.ctx.emit(
            CancelAllReport(
                **scope, request=m.request, request_seq=sweep.request_seq, matched=sweep.matched, canceled=sweep.canceled,
                rejected=sweep.rejected, pending=len(sweep.pending), reason=reason, final=final,
            )
        )  # fmt: skip

    def check_instructions(self) -> None:
        """Assert that every sweep adds up. O(n)."""
        super().check_instructions()
        i = self.memory.instructions
        for seq, sweep in i.sweeps.items():
            assert not sweep.busy
            assert sweep.pending, sweep
            assert sweep.matched == sweep.canceled + sweep.rejected + len(sweep.pending), sweep
            for order_id in sweep.pending:
                assert seq in i.swept[order_id]
                order = self.memory.orders[order_id]
                assert not order.closed, order
                assert order.cancel is not None, order
