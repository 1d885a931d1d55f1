"""Reconciliation: what we hold true is compared with what the venue says, as input like any other.

A run asks the gateway for the venue's orders, fills, positions and balances; they come as frames between DownloadBegin and
DownloadEnd, and are applied as frames of the venue always are. What differed is said, typed; what was done about it is said
with its reason and author. What a row shows counts at once; what is absent counts only when the download was complete, and an
order or fill sequenced after it began is not missing in it. No fill is ever invented: a missing one is asked for, and only a
frame of the venue applies it. A run converges, or is repeated ever later, or the account is halted and a person told (I-34):
nothing is compared for ever.
"""

from __future__ import annotations

from journal.messages import (
    NULL,
    AlertSeverity,
    CommandCode,
    DifferenceType,
    DownloadBegin,
    DownloadEnd,
    ExecType,
    Funding,
    FundsConfirmed,
    GatewayPhase,
    MarginConfirmed,
    OperatorCommand,
    OrdStatus,
    PositionConfirmed,
    QueryType,
    Reason,
    ReconcileFinished,
    ReconcileResult,
    ReconcileStarted,
    ReconcileTrigger,
    RoutedQuery,
    ScopeType,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
)
from oms.differences import OF_POSITIONS, Compared, Reconciling, Settings, Trade
from oms.external import ROWS
from oms.order import CLOSED, Order
from oms.repair import NOT_MENTIONED, Repair
from oms.routing import is_down
from oms.transitions import State

RUN_TIMEOUT_NS = 60_000_000_000
"""A run whose download has not ended by then is incomplete."""
TOKEN = 1 << 47
"""Timers of accounts: no order id has this bit alone, ids of source 0 are counted from 1."""
MILLISECOND_NS = 1_000_000


class Reconcile(Repair):
    """Handlers of runs and of their rows."""

    def reconcile_by(self, settings: Settings | None) -> None:
        """Take the configuration; None: nothing is compared, and nothing is kept for it."""
        if settings is None:
            if self.memory.reconcile is not None:
                self._leave(self.memory.reconcile)
            self.memory.reconcile = None
        elif self.memory.reconcile is None:
            self.memory.reconcile = Reconciling(settings)
        else:
            self.memory.reconcile.settings = settings

    def _leave(self, held: Reconciling) -> None:
        """What was said to be shut is opened at the next frame: a configuration is no moment to speak."""
        for c in held.accounts.values():
            if c.causes > 0:
                self.memory.left_shut.append((c.venue, c.account, 0))
            overfilled = [key.split("/") for key in self.memory.overfilled if key.startswith(f"{c.account}/")]
            self.memory.left_shut += [(c.venue, c.account, int(instrument)) for _, instrument in overfilled]
        if self.memory.left_shut:
            self.ctx.set_timer(1, TOKEN)

    # Runs.

    def gateway_turned(self, account: int) -> None:
        """A gateway has said in which phase it is, or is gone."""
        c = self.compared(account)
        if c is None:
            return
        if not self._up(c):
            c.settled, c.asked = False, False
            if c.run:
                self._finish(c, complete=False, lost=True)
        elif self._ready(c) and (c.run or not c.settled):
            if not c.run:
                self._start(c, ReconcileTrigger.CONNECTED)
            self._ask_all(c)
        self.turn_gate(account)

    def turned(self, order: Order) -> None:
        """One unknown order too many shuts the gate: the venue's lists answer for all of them at once, sooner than the timer.
        Runs of this kind keep the pace of those that are repeated."""
        super().turned(order)
        held = self.memory.reconcile
        c = held.accounts.get(order.account) if held is not None else None
        if held is None or c is None or c.run or c.halted or not order.unknown or not self._ready(c):
            return
        if c.unknown == held.settings.max_unknown + 1 and self.ctx.now >= c.began_ts + held.settings.backoff_ns:
            self._start(c, ReconcileTrigger.UNKNOWN_ORDERS)
            self._ask_all(c)

    def _start(self, c: Compared, trigger: ReconcileTrigger) -> None:
        held = self.held()
        held.runs += 1
        c.run, c.trigger, c.began_ts, c.found, c.asked, c.download_seq = held.runs, trigger, self.ctx.now, 0, False, 0
        reach = held.settings.lookback_ns if trigger != ReconcileTrigger.TIMER or not c.last_ts else held.settings.overlap_ns
        since = self.ctx.now if trigger != ReconcileTrigger.TIMER or not c.last_ts else c.last_ts
        c.from_ts = max(since - reach, 0)
        self.ctx.emit(
            ReconcileStarted(run=c.run, lookback_from_ts=c.from_ts, account=c.account, venue=c.venue, trigger=trigger)
        )
        self._due(c, self.ctx.now + RUN_TIMEOUT_NS)

    def on_reconcile_started(self, _m: ReconcileStarted) -> None:
        """Our own: nobody else begins a run."""
        if self.memory.reconcile is not None:
            self.memory.reconcile.me = self.ctx.source

    def _ask_all(self, c: Compared) -> None:
        """Ask for everything the venue has of this account, fills since the lookback."""
        if c.asked:
            return
        routes = [r for r in self.memory.routes.values() if (r.venue, r.account) == (c.venue, c.account)]
        c.asked, c.download_seq = True, 0
        self.memory.queries += 1
        self.ctx.emit(
            RoutedQuery(
                from_ts=c.from_ts, request=self.memory.queries, account=c.account,
                destination=min((r.destination for r in routes), default=0), query=QueryType.OPEN_ORDERS,
            )
        )  # fmt: skip

    def download_began(self, m: DownloadBegin) -> None:
        """Rows follow. A download that begins again starts over."""
        c = self.compared(m.account)
        if c is None or self.gate(c.venue, c.account).source not in (0, self.ctx.source):
            return  # another one's download of our own state is no word of the venue
        if not c.run:
            self._start(c, ReconcileTrigger.CONNECTED)
        c.download_seq = c.began_seq = self.ctx.seq
        c.rows = 0
        c.trades_seen = {}

    def download_ended(self, m: DownloadEnd) -> None:
        """Compare what a complete download does not mention; then the run is over, or the next download is its own."""
        c = self.compared(m.account)
        if c is None or not c.run or not c.download_seq or self.gate(c.venue, c.account).source not in (0, self.ctx.source):
            return
        complete, c.download_seq = bool(m.complete) and c.rows >= m.rows, 0
        whole = c.asked or not self.held().settings.lookback_ns
        if whole and complete:
            self._absent_orders(c)
            if c.asked and self.held().settings.lookback_ns:
                self._absent_trades(c)
            self._finish(c, complete=True)
        elif c.asked:
            self._finish(c, complete=False)
        self.turn_gate(m.account)

    def _finish(self, c: Compared, *, complete: bool, lost: bool = False) -> None:
        settings = self.held().settings
        for key in [k for k, o in c.open.items() if not self.still(c, o)]:
            del c.open[key]
        left = [o for o in c.open.values() if o.difference not in OF_POSITIONS]
        if complete and not left:
            result = ReconcileResult.CONVERGED
            c.settled, c.last_ts = True, c.began_ts
            if not c.of_positions():
                c.attempt = 0
        else:
            result = ReconcileResult.DIFFERENCES_OPEN if complete else ReconcileResult.INCOMPLETE
            c.attempt += not lost
        if c.attempt >= settings.attempts and not c.halted:
            self._halt(c, f"{len(c.open)} differences" if c.open else "no complete download")
        if c.halted and result != ReconcileResult.CONVERGED:
            result = ReconcileResult.HALTED
        self.ctx.emit(
            ReconcileFinished(
                run=c.run, account=c.account, differences=c.found, open=len(c.open), venue=c.venue, result=result
            )
        )  # fmt: skip
        c.run, c.asked, c.download_seq, c.trades_seen = 0, False, 0, {}
        self._schedule(c, again=result != ReconcileResult.CONVERGED)

    def _halt(self, c: Compared, why: str) -> None:
        c.halted = True
        text = (
            f"account {c.account}: {c.attempt} runs of reconciliation did not converge ({why}); halted until a person decides"
        )
        self.alert(None, Reason.RECONCILING, text, severity=AlertSeverity.CRITICAL)

    def _schedule(self, c: Compared, *, again: bool) -> None:
        settings = self.held().settings
        if c.halted or not self._up(c):
            self._due(c, 0)
        elif again and c.attempt:
            self._due(c, self.ctx.now + (settings.backoff_ns << min(c.attempt - 1, 16)))
        else:
            self._due(c, self.ctx.now + settings.interval_ns if settings.interval_ns else 0)

    def _due(self, c: Compared, at: int) -> None:
        c.due_ts = at
        if at:
            self.ctx.set_timer(at, TOKEN | c.account)
        else:
            self.ctx.cancel_timer(TOKEN | c.account)

    def reconcile_due(self, token: int) -> bool:
        """A timer of an account: a run takes too long, or the next one begins. False: the token is not one of these."""
        if not token & TOKEN or token >> 48:
            return False
        if token == TOKEN:
            self.open_left()
            return True
        c = self.compared(token & (TOKEN - 1))
        if c is None or not c.due_ts or c.due_ts > self.ctx.now:
            return True
        if c.run:
            self._finish(c, complete=False)
        elif self._up(c) and not c.halted:
            self._start(c, ReconcileTrigger.TIMER)
            if self._ready(c):
                self._ask_all(c)
        self.turn_gate(c.account)
        return True

    def on_operator_command(self, m: OperatorCommand) -> None:
        """A person wants a run now; it is the only way out of a halt."""
        held = self.memory.reconcile
        if m.command != CommandCode.RECONCILE or held is None:
            return
        for account in [a for a in held.accounts if m.target_type != ScopeType.ACCOUNT or a == m.target]:
            c = held.accounts[account]
            if not self._up(c):
                self.alert(
                    None, Reason.NOT_CONNECTED, f"account {account}: not connected; it is compared after the next connect"
                )
                continue
            c.attempt = 0
            if c.halted:
                c.halted = c.settled = False  # as after a connect: shut until it has converged
            if c.run:
                c.trigger = ReconcileTrigger.OPERATOR
            else:
                self._start(c, ReconcileTrigger.OPERATOR)
                self._ask_all(c)
            self.turn_gate(account)

    # Rows.

    def on_venue_fill(self, m: VenueFill) -> None:
        """A fill that the venue lists and we do not have is a difference, and is applied like any other."""
        c = self.compared(m.account)
        if c is None:
            super().on_venue_fill(m)
            return
        row = self._is_row(c, m.channel)
        order = self.order_of(m)
        trade = str(m.trade_no) if m.trade_no else m.venue_trade_ref
        if row and trade and order is not None:
            c.trades_seen[f"{order.order_id}/{trade}"] = self.ctx.seq
            if trade in order.fills:
                self._known_fill(c, order, trade, m)
                return
            self.differs(c, DifferenceType.FILL_MISSING_HERE, order, 0, m.last_qty, trade=trade)
        before = order.cum_qty if order is not None else 0
        super().on_venue_fill(m)
        if order is not None and trade and order.cum_qty != before:
            noted = Trade(m.exchange_ts or self.ctx.now, self.ctx.seq, m.fee, m.fee_exp, m.fee_currency)
            self.held().note(m.account, order.order_id, trade, noted, self.ctx.now)

    def _known_fill(self, c: Compared, order: Order, trade: str, m: VenueFill) -> None:
        """A lookback shows what we have; no echo of it goes out, and it says nothing of what the order is now."""
        qty, px = order.fills[trade]
        if qty != m.last_qty:
            self.differs(c, DifferenceType.FILL_DIFFERS, order, qty, m.last_qty, trade=trade)
        elif px != m.last_px:
            self.differs(c, DifferenceType.FILL_DIFFERS, order, px, m.last_px, trade=trade)
        noted = self.held().trades.get(f"{m.account}/{order.order_id}/{trade}")
        if noted is not None and NULL not in (noted.fee, m.fee) and (noted.fee, noted.fee_exp) != (m.fee, m.fee_exp):
            self.differs(c, DifferenceType.FEE, order, noted.fee, m.fee, trade=trade, exp=m.fee_exp)

    def on_venue_order_update(self, m: VenueOrderUpdate) -> None:
        """What the venue's list says of an order is compared with what we hold, before it is applied."""
        c = self.compared(m.account)
        if c is not None and self._is_row(c, m.channel):
            self._compare(c, m)
        super().on_venue_order_update(m)

    def _compare(self, c: Compared, m: VenueOrderUpdate) -> None:
        order = self.order_of(m)
        if m.exec_type != ExecType.ORDER_STATUS:
            return
        open_there = m.ord_status not in CLOSED and m.ord_status not in (OrdStatus.UNDEFINED, OrdStatus.UNKNOWN)
        if order is None:
            if open_there:
                self.say(c, DifferenceType.ORDER_UNKNOWN_TO_US, m.order_id, m.instrument, 0, m.ord_status,
                          order_ref=m.venue_order_ref or m.client_ref)  # fmt: skip
        elif open_there and order.source:
            self._compare_open(c, order, m)
        elif m.ord_status in CLOSED and not (order.closed or order.unknown or order.cancel) and order.source:
            self.differs(c, DifferenceType.STATUS, order, order.ord_status, m.ord_status)
        elif (
            not open_there and m.reason == Reason.UNKNOWN_AT_VENUE and not order.closed and order.base != OrdStatus.PENDING_NEW
        ):
            self.differs(c, DifferenceType.ORDER_MISSING_AT_VENUE, order, order.ord_status, m.ord_status)
        if order is not None and m.cum_qty != NULL and order.cum_qty < m.cum_qty:
            self.differs(c, DifferenceType.FILL_MISSING_HERE, order, order.cum_qty, m.cum_qty)

    def _compare_open(self, c: Compared, order: Order, m: VenueOrderUpdate) -> None:
        if order.closed:
            # What we heard after the download began is younger than the venue's list.
            if order.heard_seq < c.download_seq:
                self.differs(c, DifferenceType.STATUS, order, order.ord_status, m.ord_status)
            return
        if order.replace is not None or order.base == OrdStatus.PENDING_NEW:
            return  # under way
        if m.order_qty not in (NULL, order.order_qty):
            self.differs(c, DifferenceType.QUANTITY, order, order.order_qty, m.order_qty)
        if NULL not in (m.price_px, order.price_px) and m.price_px != order.price_px:
            self.differs(c, DifferenceType.PRICE, order, order.price_px, m.price_px)

    def on_venue_cancel_reject(self, m: VenueCancelReject) -> None:
        """A row too, in a download: what did not happen."""
        order = self.memory.peek(m.order_id)
        self._count(order.account if order is not None else 0)
        super().on_venue_cancel_reject(m)

    def on_position_confirmed(self, m: PositionConfirmed) -> None:
        """Compared by whoever keeps positions; here it is a row."""
        self._count(m.account)

    def on_funds_confirmed(self, m: FundsConfirmed) -> None:
        """As a position."""
        self._count(m.account)

    def on_margin_confirmed(self, m: MarginConfirmed) -> None:
        """As a position; compared by nobody: what an account is worth moves with the market."""
        self._count(m.account)

    def on_funding(self, m: Funding) -> None:
        """A payment is a row where a download tells it. What it is to a position, its keeper compares."""
        c = self.compared(m.account)
        if c is not None:
            self._is_row(c, m.channel)

    def _is_row(self, c: Compared, channel: int) -> bool:
        row = c.download_seq > 0 and channel in ROWS
        c.rows += row
        return row

    def _count(self, account: int) -> None:
        c = self.compared(account)
        if c is not None:
            c.rows += 1

    # What is absent.

    def _absent_orders(self, c: Compared) -> None:
        for order in self.open_orders():
            if order.account != c.account or order.heard_seq >= c.began_seq:
                continue
            # Ours: at the venue before the download began. One not acknowledged yet is asked for at its own deadline.
            if not order.source or (0 < order.routed_seq < c.began_seq and order.state is not State.PN):
                self.differs(c, DifferenceType.ORDER_MISSING_AT_VENUE, order, order.ord_status, NOT_MENTIONED)
            if not order.source:
                self.close_foreign(order)  # of a foreign order we keep a record, no more

    def _absent_trades(self, c: Compared) -> None:
        for key, noted in self.held().trades.items():
            account, order_id, trade = key.split("/", 2)
            reached = c.from_ts + MILLISECOND_NS <= noted.exchange_ts and noted.seq < c.began_seq
            if int(account) != c.account or not reached or f"{order_id}/{trade}" in c.trades_seen:
                continue
            order = self.memory.peek(int(order_id))
            if order is not None and order.fills.get(trade, (0, 0))[0]:
                self.differs(c, DifferenceType.FILL_MISSING_AT_VENUE, order, order.fills[trade][0], 0, trade=trade)

    def on_reconcile_finished(self, m: ReconcileFinished) -> None:
        """Whoever keeps positions has compared them: its differences of earlier runs are settled, or the run is repeated."""
        c = self.compared(m.account)
        if c is None or self.ctx.source == self.held().me:
            return
        if m.result == ReconcileResult.CONVERGED:
            for key in [k for k, o in c.open.items() if o.difference in OF_POSITIONS]:
                del c.open[key]
            if not c.open:
                c.attempt = 0
        else:
            c.attempt += 1
            if c.attempt >= self.held().settings.attempts and not c.halted:
                self._halt(c, f"{m.differences} differences of positions or balances")
        if not c.run:
            self._schedule(c, again=m.result != ReconcileResult.CONVERGED)
        self.turn_gate(m.account)

    # Small change.

    def _up(self, c: Compared) -> bool:
        phase = self.gate(c.venue, c.account).phase
        return bool(phase) and not is_down(phase)

    def _ready(self, c: Compared) -> bool:
        return self.gate(c.venue, c.account).phase == GatewayPhase.READY
