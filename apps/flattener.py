"""Flattener: closes positions when a kill wants it (level BLOCK_CANCEL_FLATTEN), with reduce-only market orders on the
ordinary way through risk. It has the positions and nothing else to do, so it works with every strategy dead.

Per position (account, strategy, instrument) one order at a time, and none before the orders that are open there have ended:
what they might still fill is not sold twice. An order that is refused or not filled is followed by another one a second later,
in smaller pieces where its size was the reason, ATTEMPTS in a row at the most; then a person is told. All of it is a function
of the stream: a restart sends nothing again.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from apps.app import App
from apps.instruments import Instruments
from apps.positions import Holding, Positions
from journal.messages import (
    NULL,
    Alert,
    AlertSeverity,
    AlertState,
    Approval,
    CommandResult,
    ExecInst,
    ExecutionReport,
    GroupDefined,
    KillRelease,
    KillSwitch,
    NewOrder,
    OperatorCommand,
    OrdStatus,
    OrdType,
    Reason,
    RequestState,
    ScopeType,
    Side,
    StrategyDefined,
    TimeInForce,
    UserDefined,
    order_id_of,
    order_id_source,
)
from journal.messages.latch import Latch, SecondPerson, flattens
from journal.messages.persons import APPROVAL_VALID_NS
from journal.messages.scopes import Subject

AGAIN_NS = 1_000_000_000
ATTEMPTS = 10
_CLOSED = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY})
_TOO_LARGE = frozenset(
    {
        Reason.QUANTITY_ABOVE_MAXIMUM, Reason.MAX_ORDER_QUANTITY, Reason.MAX_ORDER_NOTIONAL, Reason.ORDER_EXCEEDS_LIMIT,
    }
)  # fmt: skip
_TIMER = 1
Key = tuple[int, int, int]


class Parameters(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """As the loader says them."""

    second_person: bool | None = None
    approval_valid_ns: int = APPROVAL_VALID_NS


class Closing(msgspec.Struct):
    """What is under way for one position."""

    order_id: int = 0
    """Our order; 0: none is open."""
    attempts: int = 0
    """Orders in a row that filled nothing."""
    not_before: int = 0
    piece: int = 0
    """The largest order to send; 0: all of it."""
    given_up: bool = False


class Flattener(App):
    """Waits for kills that want positions closed, and closes them."""

    requires: ClassVar[tuple[type[App], ...]] = (Instruments, Positions)

    def __init__(self) -> None:
        self.latch = Latch()
        self.kills: dict[int, bytes] = {}
        """Kills in force that flatten."""
        self.flat: list[int] = []
        """Those of them whose positions are closed, and which have been told so."""
        self.open: dict[int, Key] = {}
        self.closing: dict[Key, Closing] = {}
        self.owners: dict[int, int] = {}
        self.number = 0
        self.alerts = 0

    def configure(self, parameters: dict[str, Any]) -> None:
        given = msgspec.convert(parameters, Parameters, strict=True)
        self.latch.persons.valid_ns = given.approval_valid_ns
        self.latch.second_person = SecondPerson.of(given.second_person)

    # Kills.

    def on_user_defined(self, m: UserDefined) -> None:
        """Somebody who may ask and approve."""
        self.latch.on_user_defined(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Whom a kill of a group is about."""
        self.latch.on_group_defined(m)

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        """Whose positions a kill of a user is about."""
        self.owners[m.strategy] = m.owner_user

    def on_operator_command(self, m: OperatorCommand) -> None:
        """Whose word comes next."""
        self.latch.on_operator_command(m, self.source, self.seq)

    def on_kill_switch(self, m: KillSwitch) -> None:
        """What is there in its scope is to be closed."""
        self.latch.kill(m, source=self.source, role=0)
        if flattens(m):
            self.kills[m.kill] = m.encode()
            self.closing = {k: c for k, c in self.closing.items() if c.order_id}
            self._work()

    def on_kill_release(self, m: KillRelease) -> None:
        """The kill is over, or waits for a second person."""
        if not self.latch.release(m, source=self.source, seq=self.seq, now=self.now).reason:
            self._released(m.kill)

    def on_approval(self, m: Approval) -> None:
        """The second person's word."""
        wanted, reason = self.latch.approval(m, self.now)
        if wanted is not None and not reason and wanted.kind == KillRelease.KIND:
            self._released(KillRelease.decode(wanted.body).kill)

    def _released(self, kill: int) -> None:
        self.kills.pop(kill, None)
        if kill in self.flat:
            self.flat.remove(kill)

    # Orders.

    def on_new_order(self, m: NewOrder) -> None:
        """Open until a report says otherwise."""
        self.open[m.order_id] = (m.account, m.strategy, m.instrument)

    def on_execution_report(self, m: ExecutionReport) -> None:
        """An order has ended, or is open (again)."""
        key = (m.account, m.strategy, m.instrument)
        if m.ord_status not in _CLOSED:
            self.open[m.order_id] = key
            return
        self.open.pop(m.order_id, None)
        if order_id_source(m.order_id) == self.me:
            self._ended(key, m)
        if self.kills:
            self._work()

    def _ended(self, key: Key, m: ExecutionReport) -> None:
        closing = self.closing.get(key)
        if closing is None or closing.order_id != m.order_id:
            return
        closing.order_id, closing.not_before = 0, self.now + AGAIN_NS
        if m.cum_qty:
            closing.attempts, closing.not_before = 0, 0
            return
        closing.attempts += 1
        if m.reason in _TOO_LARGE:
            lot = max(self.uses(Instruments)[m.instrument].lot_qty, 1)
            closing.piece = max(m.order_qty // 2 // lot * lot, lot)

    def on_timer(self, token: int) -> None:
        """Time for another attempt."""
        if token == _TIMER:
            self._work()

    # The work.

    def _work(self) -> None:
        """Send what can be sent now; say which kills are done."""
        busy = set(self.open.values())
        waiting = [h for h in self.uses(Positions).holdings.values() if h.qty and self._wanted(h)]
        again = 0
        for holding in waiting:
            key = (holding.account, holding.strategy, holding.instrument)
            closing = self.closing.setdefault(key, Closing())
            if closing.order_id or closing.given_up or key in busy:
                continue
            if closing.attempts >= ATTEMPTS:
                closing.given_up = True
                self._alert(key, f"position {holding.qty} is not closed after {ATTEMPTS} attempts; a person decides")
            elif closing.not_before > self.now:
                again = min(again or closing.not_before, closing.not_before)
            else:
                self._send(key, closing, holding.qty)
        if again:
            self.set_timer(again, _TIMER)
        self._tell(waiting)

    def _wanted(self, holding: Holding) -> bool:
        subject = self._subject(holding)
        return any(self.latch.covers(KillSwitch.decode(body), subject) for body in self.kills.values())

    def _subject(self, holding: Holding) -> Subject:
        known = self.uses(Instruments).instruments.get(holding.instrument)
        return Subject(
            account=holding.account, strategy=holding.strategy, instrument=holding.instrument,
            user=self.owners.get(holding.strategy, 0), venue=known.venue if known else 0,
            underlying=known.underlying if known else 0,
        )  # fmt: skip

    def _send(self, key: Key, closing: Closing, position: int) -> None:
        account, strategy, instrument = key
        known = self.uses(Instruments).instruments.get(instrument)
        most = [q for q in (known.market_max_qty, known.max_qty) if q not in (NULL, 0)] if known else []
        self.number += 1
        closing.order_id = order_id_of(self.me, self.number)
        self.open[closing.order_id] = key
        self.emit(
            NewOrder(
                order_id=closing.order_id, account=account, strategy=strategy, user=self.owners.get(strategy, 0),
                instrument=instrument, side=Side.SELL if position > 0 else Side.BUY, ord_type=OrdType.MARKET,
                tif=TimeInForce.IOC, exec_inst=int(ExecInst.DO_NOT_INCREASE),
                order_qty=min([abs(position), *most, *([closing.piece] if closing.piece else [])]),
            )
        )  # fmt: skip

    def _tell(self, waiting: list[Holding]) -> None:
        for kill, body in self.kills.items():
            if kill in self.flat or any(self.latch.covers(KillSwitch.decode(body), self._subject(h)) for h in waiting):
                continue
            self.flat.append(kill)
            self.emit(
                CommandResult(
                    request=kill, status=RequestState.DONE, text=f"kill {kill}: all positions in its scope are closed"
                )
            )

    def _alert(self, key: Key, text: str) -> None:
        self.alerts += 1
        account, strategy, instrument = key
        self.emit(
            Alert(
                alert=self.alerts, about_seq=self.seq, rule=Reason.KILL_SWITCH_ACTIVE, severity=AlertSeverity.CRITICAL,
                state=AlertState.RAISED, text=text, scope_type=ScopeType.STRATEGY_INSTRUMENT, scope_account=account,
                scope_strategy=strategy, scope_instrument=instrument,
            )
        )  # fmt: skip
