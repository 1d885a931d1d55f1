"""OrderManager: the order state machine as a host sees it. This file has the world around orders: sources, definitions,
gateways, downloads, time. What is asked is in `asked`, what is answered in `answered`, kills in `kills`, the step in `core`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from journal.messages import (
    AccountDefined,
    Approval,
    ConnectionState,
    DownloadBegin,
    DownloadEnd,
    GatewayPhase,
    GatewayStatus,
    GroupDefined,
    InstrumentDefined,
    KillLevel,
    KillSwitch,
    OperatorCommand,
    OrdStatus,
    Reason,
    SourceDefined,
    SourceState,
    SourceStateCode,
    StrategyDefined,
    StreamStatus,
    UserDefined,
    VenueStatus,
)
from journal.messages.tables import Tables, look
from oms.downloads import Downloads
from oms.kills import Kills
from oms.memory import Gate, assemble, decode
from oms.order import Order, Unknown
from oms.pacing import PACING_TOKEN
from oms.quotes import Quotes
from oms.reconcile import Reconcile
from oms.routing import is_down
from oms.transitions import Event

_GONE = (SourceStateCode.DETACHED, SourceStateCode.DEAD, SourceStateCode.QUARANTINED, SourceStateCode.REPLACED)


class OrderManager(Kills, Downloads, Quotes, Reconcile):
    """Orders in, truth out. A pure state machine: same frames, same emissions, same bytes."""

    # Definitions.

    def on_source_defined(self, m: SourceDefined) -> None:
        """Who may cancel what."""
        self.memory.roles[m.source] = m.role

    def on_account_defined(self, m: AccountDefined) -> None:
        """Where an account is."""
        self.memory.account_venue[m.account] = m.venue

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        """Who works the parents that persons give to a strategy, and who may see what it does."""
        self.memory.apps[m.strategy] = m.app
        self.memory.rights.on_strategy_defined(m)

    def on_instrument_defined(self, m: InstrumentDefined) -> None:
        """Where an instrument trades."""
        self.memory.instrument_venue[m.instrument] = m.venue
        if m.underlying or m.instrument in self.memory.underlyings:
            self.memory.underlyings[m.instrument] = m.underlying
        super().on_instrument_defined(m)
        self.learn_kin(m)

    # People: each of these concerns kills, and something else besides.

    def on_user_defined(self, m: UserDefined) -> None:
        """Somebody who may ask, approve and look."""
        Kills.on_user_defined(self, m)
        Downloads.on_user_defined(self, m)

    def on_group_defined(self, m: GroupDefined) -> None:
        """Who belongs together."""
        Kills.on_group_defined(self, m)
        Downloads.on_group_defined(self, m)

    def on_operator_command(self, m: OperatorCommand) -> None:
        """Whose word comes next, and what it asks of us."""
        Kills.on_operator_command(self, m)
        Reconcile.on_operator_command(self, m)

    def on_approval(self, m: Approval) -> None:
        """The second person's word, on a release or on a correction."""
        Kills.on_approval(self, m)
        Reconcile.on_approval(self, m)

    def on_kill_switch(self, m: KillSwitch) -> None:
        """What is in its scope ends, parents too."""
        super().on_kill_switch(m)
        self.kill_parents(m)
        self.turn_gates()

    def kills_changed(self) -> None:
        """A kill has ended."""
        self.turn_gates()

    # Gateways.

    def on_gateway_status(self, m: GatewayStatus) -> None:
        """READY opens the gate, and only that; everything unknown is asked for then."""
        if not m.account:
            return
        if self.several(m.venue, m.account):
            self._one_of_several(self.destination_status(m), m.phase)
            return
        gate = self.memory.gates.setdefault(f"{m.venue}/{m.account}", Gate())
        gate.phase, gate.source = m.phase, self.ctx.source
        if is_down(m.phase):
            self._lose_all(m.venue, m.account)
        elif m.phase == GatewayPhase.READY:
            for order in self._open_at(m.venue, m.account):
                self._resume(order)
        self.gateway_turned(m.account)

    def on_stream_status(self, m: StreamStatus) -> None:
        """A trading connection lost: every order there has an unknown outcome until the venue was asked."""
        if not m.account or m.connection != ConnectionState.DISCONNECTED:
            return
        if self.several(m.venue, m.account):
            destination = self.link_of(m.venue, m.account, self.ctx.source)
            if destination:
                self.link_phase(destination, GatewayPhase.DISCONNECTED)
                self._one_of_several(destination, GatewayPhase.DISCONNECTED)
            return
        self.memory.gates.setdefault(f"{m.venue}/{m.account}", Gate()).phase = GatewayPhase.DISCONNECTED
        self._lose_all(m.venue, m.account)
        self.gateway_turned(m.account)

    def on_source_state(self, m: SourceState) -> None:
        """A gateway that died says nothing: its sources' end is its connection's end."""
        if m.state not in _GONE:
            return
        for key, gate in self.memory.gates.items():
            if gate.source == m.source and not is_down(gate.phase):
                gate.phase = GatewayPhase.DISCONNECTED
                venue, _, account = key.partition("/")
                self._lose_all(int(venue), int(account))
                self.gateway_turned(int(account))
        for destination, link in self.memory.ways.links.items():
            if link.gateway == m.source and not is_down(link.phase):
                self.link_phase(destination, GatewayPhase.DISCONNECTED)
                self._one_of_several(destination, GatewayPhase.DISCONNECTED)

    def _one_of_several(self, destination: int, phase: int) -> None:
        """One of several connections to a venue was lost or is READY: only the orders that went by it are concerned."""
        route = self.memory.routes.get(destination)
        for order in self._open_at(route.venue, route.account) if route is not None else ():
            if order.destination == destination and is_down(phase):
                self.step(order, Event.DISCONNECT, reason=Reason.DISCONNECTED)
            elif order.destination == destination and phase == GatewayPhase.READY:
                self._resume(order)

    def on_venue_status(self, m: VenueStatus) -> None:
        """A venue that takes nothing new."""
        self.memory.ways.venues.on_venue_status(m)

    def _open_at(self, venue: int, account: int) -> list[Order]:
        """Our open orders there, oldest first."""
        return self.open_orders(lambda o: o.source != 0 and o.venue == venue and o.account == account)

    def _lose_all(self, venue: int, account: int) -> None:
        for order in self._open_at(venue, account):
            self.step(order, Event.DISCONNECT, reason=Reason.DISCONNECTED)

    def _resume(self, order: Order) -> None:
        if order.unknown or order.query_wanted:
            self.ask(order)  # not faster than the pace: what our own question has shut is ready again at once
        if order.cancel is None and order.base != OrdStatus.RECEIVED and self.killed(order, level=KillLevel.BLOCK_CANCEL):
            self.cancel(order, Event.KILL, version=0, reason=Reason.KILL_SWITCH_ACTIVE)
        elif self.is_over(order):
            self.expire(order)
        self.arm(order)

    # Downloads: only a complete one is compared.

    def on_download_begin(self, m: DownloadBegin) -> None:
        """Remember where it began: an order the venue does not mention from here on is missing there."""
        if not m.account:
            return  # a user's download, and our own answer
        venue = self.memory.account_venue.get(m.account, 0)
        self.memory.gates.setdefault(f"{venue}/{m.account}", Gate()).download_seq = self.ctx.seq
        self.download_began(m)

    def on_download_end(self, m: DownloadEnd) -> None:
        """Ask for every order that was at the venue before and was not in the download; open what an overfill had shut."""
        if not m.account:
            return
        venue = self.memory.account_venue.get(m.account, 0)
        gate = self.memory.gates.setdefault(f"{venue}/{m.account}", Gate())
        began, gate.download_seq = gate.download_seq, 0
        self.download_ended(m)
        if not m.complete or not began:
            return
        for order in self._open_at(venue, m.account):
            if 0 < order.routed_seq < began and order.heard_seq < began:
                self.ask(order)
                self.arm(order)
        for key in [k for k, seq in self.memory.overfilled.items() if k.startswith(f"{m.account}/") and seq < began]:
            del self.memory.overfilled[key]
            self.turn_instrument(m.account, int(key.partition("/")[2]), shut=False)

    # Time.

    def on_timer(self, token: int) -> None:
        """A request's answer, the next query, or something of its instructions is due; or a parent's time is up."""
        if token == PACING_TOKEN:
            self.release_waiting()
            return
        if token in self.memory.parents:
            self.parent_due(token)
            return
        super().on_timer(token)
        order = self.memory.orders.get(token)
        if order is None or order.closed:
            self.reconcile_due(token)
            return
        now, of = self.ctx.now, Unknown.NO
        self.cancel_again(order)
        if order.unknown:
            if order.query_at <= now:
                self.step(order, Event.TIMEOUT, reason=Reason.OUTCOME_UNKNOWN)
            return
        if order.base == OrdStatus.PENDING_NEW and 0 < order.deadline <= now:
            of = Unknown.NEW
        elif order.cancel is not None and 0 < order.cancel.deadline <= now:
            of = Unknown.CANCEL
        elif order.replace is not None and 0 < order.replace.deadline <= now:
            of = Unknown.REPLACE
        if of:
            self.step(order, Event.TIMEOUT, of=of, reason=Reason.OUTCOME_UNKNOWN)
        elif order.query_wanted and order.query_at <= now:
            self.ask(order)
        self.arm(order)

    # State.

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        return self.memory.encode()

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot."""
        self.memory = decode(data)

    def parts(self) -> tuple[bytes, Tables]:
        """The state as bytes, and beside them tables of many entries."""
        return self.memory.parts()

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        """Take a state that was captured in parts."""
        self.memory = assemble(rest, pieces)

    def check(self) -> None:
        """Assert every invariant of every order at hand. O(n): for tests and the debugger."""
        with self.memory.checked():
            for order_id, order in look(self.memory.orders):
                assert order.order_id == order_id
                order.check()
            self.memory.check_tables()
            self.check_kills()
            self.check_instructions()
            self.check_parents()
            self.check_pace()
            self.check_gates()
