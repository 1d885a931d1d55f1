"""Kills at the orders (I-43): from a kill's frame on nothing new in its scope is routed, and each open order there has a cancel
under way or one that is due, until a second person has ended the kill.

What a kill of level FLATTEN wants closed passes: reduce-only market orders of the app that does this.
"""

from __future__ import annotations

import msgspec

from journal.messages import (
    Approval,
    ExecInst,
    GroupDefined,
    KillLevel,
    KillRelease,
    KillSwitch,
    OperatorCommand,
    OrdStatus,
    OrdType,
    Reason,
    SourceRole,
    UserDefined,
)
from journal.messages.latch import SecondPerson, flattens
from journal.messages.persons import APPROVAL_VALID_NS
from journal.messages.scopes import Subject
from oms.order import Order
from oms.together import Together
from oms.transitions import Event

CANCEL_AGAIN_NS = 1_000_000_000
"""A cancel that a kill wants and the venue has refused is sent again after so long."""


class Rules(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Parameters of the order manager, as the loader says them."""

    roles: list[tuple[int, int]] = []
    """(source, SourceRole) of those who may do what others may not."""
    second_person: bool | None = None
    approval_valid_ns: int = APPROVAL_VALID_NS


class Kills(Together):
    """Handlers of kills and of those who end them."""

    def configure(self, rules: Rules) -> None:
        """Take parameters from the stream: at the beginning, and whenever they change."""
        self.memory.latch.persons.valid_ns = rules.approval_valid_ns
        self.memory.latch.second_person = SecondPerson.of(rules.second_person)
        self.memory.roles |= dict(rules.roles)

    def on_user_defined(self, m: UserDefined) -> None:
        """Somebody who may ask and approve."""
        self.memory.latch.on_user_defined(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Whom a kill of a group is about."""
        self.memory.latch.on_group_defined(m)

    def on_operator_command(self, m: OperatorCommand) -> None:
        """Whose word comes next."""
        self.memory.latch.on_operator_command(m, self.ctx.source, self.ctx.seq)

    def on_kill_switch(self, m: KillSwitch) -> None:
        """What was not sent is rejected; what is open is canceled, unless the kill only blocks."""
        key = m.kill
        held = self.memory.kills.get(key)
        if held is not None and held != m.encode():
            key = -self.ctx.seq  # the number is in force already: both hold until it is released
        self.memory.kills[key] = m.encode()
        self.memory.latch.kill(m, source=self.ctx.source, role=self.memory.roles.get(self.ctx.source, 0))
        ended = [
            order
            for order in self.open_orders()
            if order.source
            and (m.level >= KillLevel.BLOCK_CANCEL or order.base == OrdStatus.RECEIVED)
            and self.memory.latch.covers(m, subject := self.subject(order))
            and not self._flattening(order, subject)
        ]
        self.cancel_together(ended, Event.KILL, reason=Reason.KILL_SWITCH_ACTIVE)

    def on_kill_release(self, m: KillRelease) -> None:
        """The kill of that number is over, or waits for a second person. The risk engine tells which."""
        came = self.memory.latch.release(m, source=self.ctx.source, seq=self.ctx.seq, now=self.ctx.now)
        if not came.reason:
            self._released(m.kill)

    def on_approval(self, m: Approval) -> None:
        """The second person's word."""
        wanted, reason = self.memory.latch.approval(m, self.ctx.now)
        if wanted is not None and not reason and wanted.kind == KillRelease.KIND:
            self._released(KillRelease.decode(wanted.body).kill)

    def _released(self, kill: int) -> None:
        for key in [k for k, body in self.memory.kills.items() if KillSwitch.decode(body).kill == kill]:
            del self.memory.kills[key]
        for order_id in list(self.memory.again):
            self.arm(self.memory.orders[order_id])
        self.kills_changed()

    def kills_changed(self) -> None:
        """A kill has ended: for whoever depends on it."""

    def killed(self, order: Order, *, level: int = KillLevel.BLOCK) -> bool:
        """Whether a kill of at least this level covers the order and does not want it."""
        if not self.memory.kills:
            return False
        subject = self.subject(order)
        for body in self.memory.kills.values():
            kill = KillSwitch.decode(body)
            if max(kill.level, KillLevel.BLOCK) >= level and self.memory.latch.covers(kill, subject):
                return not self._flattening(order, subject)
        return False

    def _flattening(self, order: Order, subject: Subject) -> bool:
        if order.ord_type != OrdType.MARKET or not order.exec_inst & ExecInst.DO_NOT_INCREASE:
            return False
        if self.memory.roles.get(order.source) != SourceRole.POSITIONS:
            return False
        kills = (KillSwitch.decode(body) for body in self.memory.kills.values())
        return any(flattens(kill) and self.memory.latch.covers(kill, subject) for kill in kills)

    # Open orders that ought not to be.

    def cancel_due(self, order: Order) -> int:
        """An open order that ought to be canceled and that has no cancel under way gets one: its cancel was refused, or the
        venue has opened it again."""
        again = self.memory.again
        if not again and not self.memory.kills and not self.is_over(order):
            return 0
        if order.closed or order.cancel is not None or not self.wanted_canceled(order):
            again.pop(order.order_id, None)
            return 0
        return again.setdefault(order.order_id, self.ctx.now + CANCEL_AGAIN_NS)

    def wanted_canceled(self, order: Order) -> bool:
        """By a kill, or because its life is over."""
        return self.wanted_by_kill(order) or self.is_over(order)

    def wanted_by_kill(self, order: Order) -> bool:
        return (
            bool(self.memory.kills)
            and order.source != 0
            and order.base != OrdStatus.RECEIVED
            and self.killed(order, level=KillLevel.BLOCK_CANCEL)
        )

    def cancel_again(self, order: Order) -> None:
        """The time for that has come, if it has."""
        due = self.memory.again.get(order.order_id)
        if due is None or due > self.ctx.now:
            return
        del self.memory.again[order.order_id]
        if order.closed or order.cancel is not None:
            return
        if self.wanted_by_kill(order):
            self.cancel(order, Event.KILL, version=0, reason=Reason.KILL_SWITCH_ACTIVE)
            self.arm(order)
        elif self.is_over(order):
            self.expire(order)
            self.arm(order)

    def check_kills(self) -> None:
        """Assert I-43 of the orders at hand."""
        for order in self.memory.open_orders():
            if self.wanted_canceled(order):
                assert order.cancel is not None or order.order_id in self.memory.again, order
        for order_id in self.memory.again:
            known = self.memory.orders.get(order_id)
            assert known is not None, order_id
            assert not known.closed, order_id
