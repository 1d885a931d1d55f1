"""The gate of a venue and account: everything that keeps orders from it, summed up in one frame whenever the sum changes.

Said only where reconciliation is configured. What the gate says is what is done: nothing new is routed while it is not OPEN
(I-33); cancels always go. An overfill shuts one instrument, and has a gate of its own.
"""

from __future__ import annotations

from journal.messages import Gate as GateFrame
from journal.messages import GateCause, GateState, GatewayPhase, KillSwitch, ScopeType
from journal.messages.gates import barred_by
from journal.messages.tables import look
from oms.corrections import Corrections
from oms.differences import Compared
from oms.order import Order
from oms.routing import is_down

_NO_WAY = GateCause.NOT_CONNECTED | GateCause.DOWNLOADING


class Gates(Corrections):
    """The sum, its frame, and what it bars."""

    def compared(self, account: int) -> Compared | None:
        """What is compared for an account; None where reconciliation is not configured."""
        held = self.memory.reconcile
        if held is None or not account:
            return None
        found = held.accounts.get(account)
        if found is None:
            found = held.accounts[account] = Compared(self.memory.account_venue.get(account, 0), account)
            found.unknown = sum(1 for _, o in look(self.memory.orders) if o.unknown and o.account == account)
        return found

    def causes(self, c: Compared) -> GateCause:
        """Everything that keeps new orders from an account now."""
        phase = self.gate(c.venue, c.account).phase
        found = GateCause(0)
        if is_down(phase) or not phase:
            found |= GateCause.NOT_CONNECTED
        elif phase != GatewayPhase.READY:
            found |= GateCause.DOWNLOADING
        if not c.settled:
            found |= GateCause.RECONCILING
        if c.open:
            found |= GateCause.DIFFERENCES
        if c.halted:
            found |= GateCause.HALTED
        assert self.memory.reconcile is not None
        if c.unknown > self.memory.reconcile.settings.max_unknown:
            found |= GateCause.UNKNOWN_ORDERS
        if any(self._covers_all(KillSwitch.decode(body), c) for body in self.memory.kills.values()):
            found |= GateCause.KILL
        return found

    @staticmethod
    def _covers_all(kill: KillSwitch, c: Compared) -> bool:
        match kill.scope_type:
            case ScopeType.GLOBAL:
                return True
            case ScopeType.VENUE:
                return kill.scope_venue == c.venue
            case ScopeType.ACCOUNT:
                return kill.scope_account == c.account
        return False

    def turn_gate(self, account: int) -> None:
        """Say the account's gate if it is not what was said last."""
        c = self.compared(account)
        if c is None:
            return
        causes = self.causes(c)
        if causes != c.causes:
            c.causes = int(causes)
            state = GateState.SHUT if causes & _NO_WAY else GateState.CANCEL_ONLY if causes else GateState.OPEN
            self.ctx.emit(
                GateFrame(
                    venue_frame_seq=self.ctx.seq, account=account, causes=int(causes), venue=c.venue, state=state
                )
            )  # fmt: skip

    def turn_gates(self) -> None:
        """As `turn_gate`, for every account."""
        if self.memory.reconcile is not None:
            for account in self.memory.reconcile.accounts:
                self.turn_gate(account)

    def turn_instrument(self, order_account: int, instrument: int, *, shut: bool) -> None:
        """An overfill shuts an instrument; a complete download opens it."""
        c = self.compared(order_account)
        if c is not None:
            self.ctx.emit(
                GateFrame(
                    venue_frame_seq=self.ctx.seq, account=order_account, instrument=instrument,
                    causes=int(GateCause.OVERFILL) if shut else 0, venue=c.venue,
                    state=GateState.CANCEL_ONLY if shut else GateState.OPEN,
                )
            )  # fmt: skip

    def open_left(self) -> None:
        """Nothing is compared any more: open what was said to be shut, or whoever heard it would wait for ever."""
        left, self.memory.left_shut = self.memory.left_shut, []
        for venue, account, instrument in left:
            self.ctx.emit(
                GateFrame(
                    venue_frame_seq=self.ctx.seq, account=account, instrument=instrument, venue=venue, state=GateState.OPEN
                )
            )  # fmt: skip

    # What turns it.

    def turned(self, order: Order) -> None:
        """An order's outcome has become unknown, or is known again."""
        held = self.memory.reconcile
        if held is None:
            return
        c = held.accounts.get(order.account)
        if c is not None:  # else it is counted when it is made
            c.unknown += 1 if order.unknown else -1
        self.turn_gate(order.account)

    def overfilled(self, order: Order) -> None:
        super().overfilled(order)
        self.turn_instrument(order.account, order.instrument, shut=True)

    def shut(self, order: Order) -> int:
        """What routing says, and the gate."""
        return super().shut(order) or self._barred(order)

    def _barred(self, order: Order) -> int:
        c = self.compared(order.account)
        return barred_by(self.causes(c) & ~int(_NO_WAY)) if c is not None else 0

    def check_gates(self) -> None:
        """Assert that what was said of every gate is so (I-33). O(orders): for tests and the debugger."""
        held = self.memory.reconcile
        if held is None:
            return
        for account, c in held.accounts.items():
            unknown = [o for _, o in look(self.memory.orders) if o.unknown and o.account == account]
            assert c.unknown == len(unknown), (c, unknown)
            assert c.causes == -1 or c.causes == self.causes(c), c
