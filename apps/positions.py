"""Positions: what we hold, what it cost and what we made, a fold of our own execution reports.

Average cost in exact integers. Every fill's value is rounded once (see apps.valuation), and that one number is used for cash,
cost and realized alike, so after every fill, per position:

    realized = cash + cost            cash: minus the sum of the values of all fills
    realized + unrealized(mark) = cash + value(net quantity at the mark)

A closing fill takes its share of the cost pro rata, rounded half away from zero; the last one takes all that is left, so that
a flat position costs exactly 0 and no residue stays anywhere. A fill through zero is a closing part and an opening part; the
opening part is valued as the whole less the closing part.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from apps.app import App
from apps.confirmed import Confirmed, Tolerance
from apps.instruments import Instruments
from apps.payments import Payments, shares
from apps.rights import RightsBook
from apps.valuation import AMOUNT_MAX, Terms, Unvalued, div_half_away, rescale, terms_of, value
from journal.messages import (
    NULL,
    Alert,
    AlertSeverity,
    AlertState,
    Channel,
    CorrectionAction,
    CurrencyDefined,
    DifferenceType,
    ExecType,
    ExecutionReport,
    Flag,
    Funding,
    FundsConfirmed,
    InstrumentDefined,
    OrderStatusRequest,
    Position,
    PositionConfirmed,
    PositionSide,
    ReconcileCorrection,
    ReconcileDifference,
    ReconcileFinished,
    ReportFlag,
    ScopeType,
    Side,
    SourceRole,
    accelerator,
)

_fast = accelerator.extension("apps.kernel._fast")
QTY_MAX = 1 << 62
FEE_MAX = 1 << 96
"""Ledger units; sums of 2^31 such fees still fit the wire."""
Key = tuple[int, int, int]
_MOVES = {int(ExecType.TRADE): 1, int(ExecType.TRADE_CORRECT): 1, int(ExecType.TRADE_CANCEL): -1}
"""Reports that move a position. A trade taken back is a trade the other way at its price, its fee comes back; nothing that was
booked is edited."""
_DUPLICATE = int(ReportFlag.DUPLICATE_SUPPRESSED)  # arithmetic with an enum member costs a microsecond


class Holding(msgspec.Struct):
    """One (account, strategy, instrument). Quantities in the instrument's mantissa, money in `currency`'s ledger units."""

    account: int
    strategy: int
    instrument: int
    currency: int = 0
    qty_exp: int = 0
    qty: int = 0  # signed: positive long
    cost: int = 0  # value paid for the open quantity: what `value` gives, signed
    realized: int = 0  # before fees
    fees: int = 0  # paid, in `currency`; a rebate is negative
    fees_elsewhere: dict[int, int] = {}  # currency → paid in it, in that currency's ledger units
    funding: int = 0  # received, in `currency`; negative where more was paid
    last_fill_seq: int = 0

    def fill(self, terms: Terms, px: int, qty: int) -> None:
        """Take one fill of a signed quantity. Changes nothing when it raises Unvalued."""
        whole = value(terms, px, qty)
        closing = 0
        if self.qty and (self.qty > 0) != (qty > 0):
            closing = -self.qty if abs(qty) >= abs(self.qty) else qty
        if not closing:
            left, realized, opening = self.cost, 0, whole
        else:
            out = whole if closing == qty else value(terms, px, closing)
            share = self.cost if closing == -self.qty else div_half_away(self.cost * abs(closing), abs(self.qty))
            left, realized, opening = self.cost - share, -out - share, whole - out
        cost, net = left + opening, self.qty + qty
        if abs(net) > QTY_MAX or max(abs(cost), abs(self.realized + realized)) > AMOUNT_MAX:
            raise Unvalued(f"a fill of {qty} at {px}: the position would not fit its fields")
        self.qty, self.cost = net, cost
        self.realized += realized


class HeldFill(msgspec.Struct):
    """A fill that cannot be valued yet: in suspense, and alerted, until a definition makes it possible."""

    seq: int
    report: ExecutionReport


class Positions(App):
    """Folds trades into positions; says Position after each. Read by strategies as a mute instance."""

    requires: ClassVar[tuple[type[App], ...]] = (Instruments, RightsBook)

    confirmed: Confirmed | None = None
    """Where reconciliation is configured: the comparison with the venue's word."""

    payments: Payments | None = None
    """Where funding is paid: which payments are known."""

    def __init__(self) -> None:
        self.holdings: dict[Key, Holding] = {}
        self.held: list[HeldFill] = []

    def configure(self, parameters: dict[str, Any]) -> None:
        """`reconcile`: the tolerances of the [reconcile] table; without it the venue's word is not looked at."""
        table = parameters.pop("reconcile", None)
        if table is not None:
            position, balance = (_decimal(str(table[name])) for name in ("position_tolerance", "balance_tolerance"))
            held = self.confirmed or Confirmed(Tolerance())
            held.tolerance = Tolerance(*position, *balance)
            self.confirmed = held
        elif self.confirmed is not None:
            del self.confirmed
        super().configure(parameters)

    def natives(self) -> dict[int, Any]:
        """Most reports are no fills, and most fills are plain."""
        if _fast is None or type(self) is not Positions:
            return {}
        classes = (Holding, InstrumentDefined, CurrencyDefined, Position)
        return {ExecutionReport.KIND: _fast.Fills(self, self.uses(Instruments), *classes, _DUPLICATE, PositionSide.NET)}

    # What readers ask.

    def position(self, account: int, strategy: int, instrument: int) -> Holding:
        """A position as of this frame; a flat one where there was never a fill."""
        return self.holdings.get((account, strategy, instrument)) or Holding(account, strategy, instrument)

    def net_qty(self, instrument: int, *, account: int | None = None, strategy: int | None = None) -> int:
        """Signed quantity (mantissa) of an instrument, over all accounts and strategies or those named."""
        if account is not None and strategy is not None:
            found = self.holdings.get((account, strategy, instrument))
            return found.qty if found else 0
        return sum(
            h.qty
            for h in self.holdings.values()
            if h.instrument == instrument and account in (None, h.account) and strategy in (None, h.strategy)
        )

    def unrealized(self, position: Holding, mark_px: int) -> int:
        """What closing at the mark would add to `realized`, in ledger units. Unvalued if the instrument is not defined."""
        if not position.qty:
            return 0
        # Closing is a fill of −qty: it realizes −value(−qty) − cost, and value is odd in qty.
        return value(self._terms(position.instrument), mark_px, position.qty) - position.cost

    def net_value(self, instrument: int, mark_px: int, qty: int) -> int:
        """Value of a signed quantity of an instrument at a price, in ledger units."""
        return value(self._terms(instrument), mark_px, qty)

    # What happens.

    def on_execution_report(self, m: ExecutionReport) -> None:
        """A fill of ours, or one that the venue takes back or restates; all else a report says does not change what we hold."""
        if m.exec_type not in _MOVES or m.report_flags & _DUPLICATE:
            return
        if m.last_qty in (NULL, 0) or m.last_px == NULL:
            return
        # Fills of an instrument in suspense queue up behind one another: average cost depends on their order.
        waits = bool(self.held) and any(h.report.instrument == m.instrument for h in self.held)
        if not waits and self._take(self.seq, m):
            return
        self.held.append(HeldFill(self.seq, m))
        if waits:
            self._alert(m, self.seq, AlertState.RAISED, "waits behind an earlier fill of the instrument")

    def on_order_status_request(self, m: OrderStatusRequest) -> None:
        """The positions that belong to a download: those that the asker may see, as SNAPSHOT frames."""
        ref, rights = self.uses(Instruments), self.uses(RightsBook).rights
        for holding in self.holdings.values():
            if ref.roles.get(self.source) != SourceRole.OPERATOR:
                strategy = ref.strategies.get(holding.strategy)
                seen = strategy is not None and strategy.app == self.source
            else:
                seen = not m.scope_user or rights.sees(
                    m.scope_user, account=holding.account, strategy=holding.strategy, instrument=holding.instrument
                )
            if seen:
                self.emit(self._position(holding), int(Flag.LAST | Flag.SNAPSHOT))

    def on_funding(self, m: Funding) -> None:
        """A payment on a position: each strategy's share of it, once."""
        held = [h for h in self.holdings.values() if (h.account, h.instrument) == (m.account, m.instrument)]
        try:
            payment, ledger_exp = self._payment(m, held)
        except Unvalued as problem:
            self._unfunded(m, str(problem))
            return
        self.payments = self.payments or Payments()
        known = self.payments.take(m, payment)
        if self.confirmed is not None and m.channel == Channel.DOWNLOAD and known != payment:
            self.confirmed.funded(m, known or 0, payment, ledger_exp, self.seq)
        if known is not None:
            return
        if self.confirmed is not None:
            self.confirmed.moved(DifferenceType.BALANCE, f"{m.account}/{m.currency}", payment, self.seq)
        rest = self._of_no_strategy(m)
        own = [h for h in held if h is not rest and h.qty]
        charged = sum(h.qty for h in own) + rest.qty if m.position_qty in (NULL, 0) else m.position_qty
        parts, left = shares(payment, [h.qty for h in own], charged)
        for holding, share in zip([*own, rest], [*parts, left], strict=True):
            if share:
                self.holdings[holding.account, holding.strategy, holding.instrument] = holding
                holding.funding += share
                self.emit(self._position(holding))

    def _payment(self, m: Funding, held: list[Holding]) -> tuple[int, int]:
        """A payment in ledger units, and their exponent. Unvalued where it cannot be said what it is."""
        ref = self.uses(Instruments)
        money = ref.currencies.get(m.currency)
        if m.payment == NULL or money is None or m.instrument not in ref.instruments:
            raise Unvalued("no amount, or one of an instrument or currency that is not defined")
        if any(h.currency != m.currency for h in held):
            raise Unvalued(f"in currency {m.currency}, which is not the position's")
        return rescale(m.payment, m.payment_exp, money.ledger_exp), money.ledger_exp

    def _of_no_strategy(self, m: Funding) -> Holding:
        held = self.holdings.get((m.account, 0, m.instrument))
        if held is not None:
            return held
        qty_exp = self.uses(Instruments)[m.instrument].qty_exp
        return Holding(m.account, 0, m.instrument, currency=m.currency, qty_exp=qty_exp)

    def on_position_confirmed(self, m: PositionConfirmed) -> None:
        """The venue's word on a position."""
        definition = self.uses(Instruments).instruments.get(m.instrument)
        if self.confirmed is not None and definition is not None:
            self.confirmed.position(m, self.seq, definition.qty_exp)

    def on_funds_confirmed(self, m: FundsConfirmed) -> None:
        """The venue's word on a balance."""
        money = self.uses(Instruments).currencies.get(m.currency)
        if self.confirmed is not None and money is not None:
            self.confirmed.funds(m, self.seq, money.ledger_exp)

    def on_reconcile_finished(self, m: ReconcileFinished) -> None:
        """The OMS is through with a run: all its fills are here, so now ours and the venue's are compared."""
        if self.confirmed is None or self.source == self.me:
            return
        self.confirmed.oms = self.source
        ours = {DifferenceType.POSITION: self._account_qty, DifferenceType.BALANCE: self.cash}
        for message in self.confirmed.compare(m, ours):
            self.emit(message)

    def on_reconcile_difference(self, m: ReconcileDifference) -> None:
        """Our own, with the number that a correction will name."""
        if self.confirmed is not None and self.source == self.me:
            self.confirmed.said(m, self.seq)

    def on_reconcile_correction(self, m: ReconcileCorrection) -> None:
        """The OMS has let a person accept a difference."""
        held = self.confirmed
        if held is not None and self.source == held.oms and m.action == CorrectionAction.ACCEPT_DIFFERENCE:
            held.accepted(m.difference_seq)

    def _account_qty(self, account: int, instrument: int) -> int:
        return self.net_qty(instrument, account=account)

    def cash(self, account: int, currency: int) -> int:
        """What trading has brought in, less fees, with funding, in an account and currency; ledger units."""
        held = [h for h in self.holdings.values() if h.account == account]
        own = sum(h.realized - h.cost - h.fees + h.funding for h in held if h.currency == currency)
        return own - sum(h.fees_elsewhere.get(currency, 0) for h in held)

    def on_instrument_defined(self, _m: InstrumentDefined) -> None:
        """A definition may make a fill in suspense valuable."""
        self._retry()

    def on_currency_defined(self, _m: CurrencyDefined) -> None:
        """As an instrument's definition."""
        self._retry()

    def _retry(self) -> None:
        waiting, self.held = self.held, []
        stuck: set[int] = set()
        for h in waiting:
            if h.report.instrument not in stuck and self._take(h.seq, h.report, again=True):
                self._alert(h.report, h.seq, AlertState.CLEARED, "folded")
            else:
                stuck.add(h.report.instrument)
                self.held.append(h)

    def _terms(self, instrument: int) -> Terms:
        known = self.uses(Instruments)
        definition = known.instruments.get(instrument)
        if definition is None:
            raise Unvalued(f"instrument {instrument} is not defined")
        return terms_of(definition, known.currencies)

    def _take(self, seq: int, m: ExecutionReport, *, again: bool = False) -> bool:
        """Fold one fill and say the position; False, with an alert the first time, if it cannot be valued."""
        key = (m.account, m.strategy, m.instrument)
        sign = _MOVES[m.exec_type]
        holding = self.holdings.get(key) or Holding(*key)
        try:
            terms = self._terms(m.instrument)
            self._settle_units(holding, terms)
            fee_currency, fee = self._fee(m, terms.currency)
            cash = holding.cost - holding.realized
            holding.fill(terms, m.last_px, sign * _signed(m))
            cash += holding.realized - holding.cost
        except Unvalued as problem:
            if not again:
                self._alert(m, seq, AlertState.RAISED, str(problem))
            return False
        self.holdings[key] = holding
        fee *= sign
        if fee_currency == holding.currency:
            holding.fees += fee
        elif fee:
            holding.fees_elsewhere[fee_currency] = holding.fees_elsewhere.get(fee_currency, 0) + fee
        holding.last_fill_seq = seq
        if self.confirmed is not None:
            self.confirmed.moved(DifferenceType.POSITION, f"{m.account}/{m.instrument}", sign * _signed(m), m.venue_frame_seq)
            self.confirmed.moved(DifferenceType.BALANCE, f"{m.account}/{holding.currency}", cash, m.venue_frame_seq)
            self.confirmed.moved(DifferenceType.BALANCE, f"{m.account}/{fee_currency}", -fee, m.venue_frame_seq)
        self.emit(self._position(holding))
        return True

    def _position(self, holding: Holding) -> Position:
        return Position(
            account=holding.account,
            strategy=holding.strategy,
            instrument=holding.instrument,
            position_side=PositionSide.NET,
            long_qty=max(holding.qty, 0),
            short_qty=max(-holding.qty, 0),
            cost=holding.cost,
            realized=holding.realized,
            fees=holding.fees,
            funding=holding.funding,
            currency=holding.currency,
            last_fill_seq=holding.last_fill_seq,
        )

    def _settle_units(self, holding: Holding, terms: Terms) -> None:
        """A position keeps its units while it is open: a redefinition under it would change what we own."""
        qty_exp = self.uses(Instruments)[holding.instrument].qty_exp
        if holding.last_fill_seq and holding.currency != terms.currency:
            raise Unvalued(f"instrument {holding.instrument}: currency {terms.currency}; the position's is {holding.currency}")
        if holding.qty and holding.qty_exp != qty_exp:
            raise Unvalued(f"instrument {holding.instrument}: qty_exp {qty_exp}; the open position's is {holding.qty_exp}")
        holding.currency, holding.qty_exp = terms.currency, qty_exp

    def _fee(self, m: ExecutionReport, own: int) -> tuple[int, int]:
        """Currency of a report's fee and the fee in its ledger units."""
        if m.fee in (NULL, 0):
            return own, 0
        currency = m.fee_currency or own
        money = self.uses(Instruments).currencies.get(currency)
        if money is None:
            raise Unvalued(f"fee currency {currency} is not defined")
        fee = rescale(m.fee, m.fee_exp, money.ledger_exp)
        if abs(fee) > FEE_MAX:
            raise Unvalued(f"fee {m.fee}e{m.fee_exp}: more than any fee")
        return currency, fee

    def _unfunded(self, m: Funding, why: str) -> None:
        self.emit(
            Alert(
                alert=self.seq, about_seq=self.seq, scope_type=ScopeType.INSTRUMENT, scope_account=m.account,
                scope_instrument=m.instrument, severity=AlertSeverity.CRITICAL, state=AlertState.RAISED,
                text=f"payment of funding at seq {self.seq} is not booked: {why}",
            )
        )  # fmt: skip

    def _alert(self, m: ExecutionReport, seq: int, state: AlertState, text: str) -> None:
        self.emit(
            Alert(
                alert=seq,
                about_seq=seq,
                scope_type=ScopeType.INSTRUMENT,
                scope_account=m.account,
                scope_strategy=m.strategy,
                scope_instrument=m.instrument,
                severity=AlertSeverity.CRITICAL,
                state=state,
                text=f"fill at seq {seq} in suspense: {text}" if state == AlertState.RAISED else f"fill at seq {seq}: {text}",
            )
        )


def _decimal(text: str) -> tuple[int, int]:
    sign, digits, exponent = Decimal(text).as_tuple()
    if sign or not isinstance(exponent, int):
        raise ValueError(f"{text!r}: expected a decimal number of 0 or more")
    return int("".join(map(str, digits))), exponent


def _signed(m: ExecutionReport) -> int:
    if m.last_qty < 0:
        raise Unvalued(f"quantity {m.last_qty}; expected a positive one, the side has the sign")
    if m.side == Side.BUY:
        return m.last_qty
    if m.side in (Side.SELL, Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT):
        return -m.last_qty
    raise Unvalued(f"side {m.side}; expected BUY or SELL")
