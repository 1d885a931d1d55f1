"""Strategy: the class a user writes. One file, the same under up, backtest, replay and debug.

    class Cross(Strategy):
        fast: int = 20                 # class-level annotations are parameters: typed, validated, part of the stream
        qty: Qty                       # no default: the configuration must give it

        def start(self) -> None:       # state is plain attributes, made here
            self.last: dict[int, int] = {}

        @on(TopOfBook, wake="touch_changed")
        def touch(self, m: TopOfBook) -> None: ...

Reachable: `now`, `book`, `position`, `refdata`, `orders`, `buy/sell/cancel/replace/target`, `wake`, `heartbeat`, `log`. Nothing
else is needed, and nothing else is: no clock, no I/O, no randomness.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, TypeVar, get_origin

import msgspec

from apps.app import App, Handler, handlers_of
from apps.books.app import Books
from apps.books.book import Book
from apps.instruments import Instruments
from apps.positions import Positions
from journal.messages import (
    NULL,
    AlertSeverity,
    CancelOrder,
    CommandCode,
    CxlRejResponseTo,
    ExecInst,
    ExecType,
    ExecutionReport,
    Heartbeat,
    LogRecord,
    Message,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    Side,
    StrategyCommand,
    StrategyDefined,
    StrategyState,
    StrategyStateCode,
    TimeInForce,
    order_id_of,
    order_id_source,
)

Qty = Decimal
"""A quantity parameter, as people write it ("0.01"); converted exactly with the instrument's exponent when it is used."""
Price = Decimal
"""A price parameter, as people write it."""

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_CLOSED = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY})
_REPLACE_ENDS = frozenset({ExecType.REPLACED, ExecType.RESTATED})
F = TypeVar("F", bound=Callable[..., None])


def on(message: type[Message], *, wake: str = "") -> Callable[[F], F]:
    """Call this method for each frame of a kind; with wake="touch_changed" (TopOfBook only) when the best price or quantity
    of the strategy's own book has changed, in the very frame that changed it."""
    if wake not in ("", "touch_changed"):
        raise ValueError(f"wake={wake!r}; expected 'touch_changed' or nothing")

    def mark(function: F) -> F:
        function._on = (message.KIND, bool(wake))  # type: ignore[attr-defined]
        return function

    return mark


class OpenOrder(msgspec.Struct):
    """One of the strategy's own orders that is not closed. Prices and quantities are the instrument's mantissas."""

    order_id: int
    instrument: int
    side: int
    qty: int
    px: int
    leaves_qty: int
    status: int
    version: int = 0
    canceling: bool = False
    replacing: bool = False
    """A change of terms is asked for and not answered yet; one at a time."""


class Strategy(App):
    """Base of strategies."""

    requires: ClassVar[tuple[type[App], ...]] = (Instruments, Books, Positions)

    symbols: tuple[str, ...] = ()
    """Instruments to trade; empty: every one the stream defines."""

    def __init__(self) -> None:
        self.orders: dict[int, OpenOrder] = {}
        self.enabled = True
        self._order_number = 0
        self._started = False
        self._definition: StrategyDefined | None = None

    # What a user overrides.

    def start(self) -> None:
        """Make the state; parameters are set already."""

    def on_execution_report(self, m: ExecutionReport) -> None:
        """Something happened to one of our own orders."""

    def on_order_cancel_reject(self, m: OrderCancelReject) -> None:
        """A cancel or replace of ours was not done."""

    # What a user reads.

    @property
    def refdata(self) -> Instruments:
        """Instrument definitions: ticks, lots, exponents, names."""
        return self.uses(Instruments)

    def book(self, instrument: int) -> Book:
        """Our own book of an instrument, as of this frame."""
        return self.uses(Books).book(instrument)

    def position(self, instrument: int) -> int:
        """Our signed net quantity (mantissa) of an instrument, from the fills on the stream."""
        d = self._definition
        return self.uses(Positions).net_qty(instrument, account=d.default_account, strategy=d.strategy) if d else 0

    def trades(self, instrument: int) -> bool:
        """Whether the `symbols` parameter includes this instrument."""
        return not self.symbols or self.refdata[instrument].name in self.symbols

    def working(self, instrument: int, side: int = 0) -> list[OpenOrder]:
        """Our open orders of an instrument (and side), oldest first."""
        return [o for o in self.orders.values() if o.instrument == instrument and side in (0, o.side)]

    # What a user does.

    def buy(self, instrument: int, qty: int | Decimal, px: int | Decimal | None = None, **terms: Any) -> int:
        """Send a buy order; limit when a price is given, else market. Terms: `tif`, `post_only`, `reduce_only`. Returns its
        order id, 0 when the strategy is stopped."""
        return self._new(Side.BUY, instrument, qty, px, **terms)

    def sell(self, instrument: int, qty: int | Decimal, px: int | Decimal | None = None, **terms: Any) -> int:
        """Send a sell order; see `buy`."""
        return self._new(Side.SELL, instrument, qty, px, **terms)

    def cancel(self, order_id: int) -> None:
        """Ask to cancel one of our orders; asking twice sends once."""
        order = self.orders.get(order_id)
        if order is None or order.canceling:
            return
        order.canceling = True
        order.version += 1
        self.emit(CancelOrder(order_id=order_id, version=order.version, reason=Reason.USER_REQUEST))

    def cancel_all(self, instrument: int = 0) -> None:
        """Ask to cancel all our orders (of an instrument)."""
        for order in list(self.orders.values()):
            if instrument in (0, order.instrument):
                self.cancel(order.order_id)

    def replace(self, order_id: int, *, qty: int | Decimal | None = None, px: int | Decimal | None = None) -> None:
        """Ask for new terms of one of our orders: total quantity, price. Not given: left as it is. Nothing while another change
        is pending."""
        order = self.orders.get(order_id)
        if order is None or order.canceling or order.replacing:
            return
        order.replacing = True
        order.version += 1
        self.emit(
            ReplaceOrder(
                order_id=order_id,
                version=order.version,
                order_qty=NULL if qty is None else self._qty(order.instrument, qty),
                price_px=NULL if px is None else self._px(order.instrument, px),
            )
        )

    def target(self, instrument: int, qty: int | Decimal, *, slippage_ticks: int = 5) -> None:
        """Trade towards a signed net position with one limit IOC order through the touch; nothing while one is open."""
        if self.working(instrument):
            return
        book = self.book(instrument)
        missing = self._qty(instrument, qty) - self.position(instrument)
        if missing == 0 or not book.is_live:
            return
        through = slippage_ticks * self.refdata.tick(instrument)
        if missing > 0 and book.ask_px != NULL:
            self.buy(instrument, missing, book.ask_px + through, tif=TimeInForce.IOC)
        elif missing < 0 and book.bid_px != NULL:
            self.sell(instrument, -missing, book.bid_px - through, tif=TimeInForce.IOC)

    def wake(self, at: int, token: int = 0) -> None:
        """Call `on_timer(token)` when stream time reaches `at`: `self.wake(self.now + 5 * SECOND, 7)`."""
        self.set_timer(at, token)

    def heartbeat(self) -> None:
        """Hold the dead man's handles that are this strategy's ([watch.NAME] who): call it more often than their interval."""
        self.emit(Heartbeat(counter=self.seq))

    def log(self, text: str) -> None:
        """A line for the record: a frame like any other."""
        self.emit(LogRecord(severity=AlertSeverity.INFO, about_seq=self.seq, text=text[:1000]))

    # The machinery.

    def handlers(self) -> dict[int, Handler]:
        found = {k: h for k, h in handlers_of(self).items() if k not in self._marked(derived=True)}
        found |= self._marked(derived=False)
        found[ExecutionReport.KIND] = self._execution_report
        found[OrderCancelReject.KIND] = self._cancel_reject
        found[StrategyDefined.KIND] = self._strategy_defined
        found[StrategyCommand.KIND] = self._command
        return found

    def derived_handlers(self) -> dict[int, Handler]:
        return self._marked(derived=True)

    def _marked(self, *, derived: bool) -> dict[int, Handler]:
        found: dict[int, Handler] = {}
        for name in dir(type(self)):
            marked = getattr(getattr(type(self), name, None), "_on", None)
            if marked is not None and marked[1] == derived:
                found[marked[0]] = getattr(self, name)
        return found

    def configure(self, parameters: dict[str, Any]) -> None:
        """Validate parameters against the class's annotations; unknown, missing and ill-typed ones are named."""
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for name, annotation in typing.get_type_hints(type(self)).items():
            if name in App.__annotations__ or name.startswith("_") or get_origin(annotation) is ClassVar:
                continue
            if hasattr(type(self), name):
                fields.append((name, annotation, getattr(type(self), name)))
            else:
                fields.append((name, annotation))
        for name, value in parameters.items():
            if isinstance(value, float):
                # A binary fraction is not the number that was written.
                raise ValueError(f"{name} = {value!r}: expected a decimal in quotes, such as '0.01'")
        model = msgspec.defstruct(type(self).__name__, fields, kw_only=True, forbid_unknown_fields=True)
        made = msgspec.convert(parameters, model, strict=True)
        for name in made.__struct_fields__:
            setattr(self, name, getattr(made, name))
        if not self._started:
            self._started = True
            self.start()

    def _new(
        self,
        side: Side,
        instrument: int,
        qty: int | Decimal,
        px: int | Decimal | None,
        *,
        tif: TimeInForce | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> int:
        d = self._definition
        if not self.enabled or d is None:
            return 0
        self._order_number += 1
        order_id = order_id_of(self.me, self._order_number)
        limit = px is not None
        order = OpenOrder(
            order_id=order_id,
            instrument=instrument,
            side=side,
            qty=self._qty(instrument, qty),
            px=self._px(instrument, px) if px is not None else NULL,
            leaves_qty=self._qty(instrument, qty),
            status=OrdStatus.RECEIVED,
        )
        self.orders[order_id] = order
        inst = (ExecInst.PARTICIPATE_DO_NOT_INITIATE if post_only else 0) | (ExecInst.DO_NOT_INCREASE if reduce_only else 0)
        self.emit(
            NewOrder(
                order_id=order_id,
                account=d.default_account,
                strategy=d.strategy,
                user=d.owner_user,
                instrument=instrument,
                side=side,
                ord_type=OrdType.LIMIT if limit else OrdType.MARKET,
                tif=tif if tif is not None else (TimeInForce.GTC if limit else TimeInForce.IOC),
                exec_inst=int(inst),
                order_qty=order.qty,
                price_px=order.px,
                book_seq=self.book(instrument).seq,
            )
        )
        return order_id

    def _qty(self, instrument: int, qty: int | Decimal) -> int:
        return qty if isinstance(qty, int) else self.refdata.qty(instrument, qty)

    def _px(self, instrument: int, px: int | Decimal) -> int:
        return px if isinstance(px, int) else self.refdata.px(instrument, px)

    def _execution_report(self, m: ExecutionReport) -> None:
        if order_id_source(m.order_id) != self.me:
            return
        order = self.orders.get(m.order_id)
        if m.ord_status in _CLOSED:
            self.orders.pop(m.order_id, None)
        elif order is not None:
            order.status = m.ord_status
            order.replacing &= m.exec_type not in _REPLACE_ENDS
            order.leaves_qty = m.leaves_qty
            order.qty = m.order_qty
            order.px = m.price_px
        self.on_execution_report(m)

    def _cancel_reject(self, m: OrderCancelReject) -> None:
        if order_id_source(m.order_id) != self.me:
            return
        order = self.orders.get(m.order_id)
        if order is not None:
            order.canceling &= m.response_to != CxlRejResponseTo.CANCEL
            order.replacing &= m.response_to != CxlRejResponseTo.REPLACE
        self.on_order_cancel_reject(m)

    def _strategy_defined(self, m: StrategyDefined) -> None:
        if m.app == self.me:
            self._definition = m

    def _command(self, m: StrategyCommand) -> None:
        if self._definition is None or m.strategy not in (0, self._definition.strategy):
            return
        if m.command in (CommandCode.STOP, CommandCode.PAUSE):
            self.enabled = False
            self.cancel_all()
            state = StrategyStateCode.DISABLED if m.command == CommandCode.STOP else StrategyStateCode.PAUSED
        elif m.command in (CommandCode.START, CommandCode.RESUME):
            self.enabled = True
            state = StrategyStateCode.ENABLED
        else:
            return
        self.emit(StrategyState(request=m.request, strategy=self._definition.strategy, state=state))
