"""Strategy: the class a user writes. One file, the same under up, backtest, replay and debug.

    class Cross(Strategy):
        fast: int = 20                 # class-level annotations are parameters: typed, validated, part of the stream
        qty: Qty                       # no default: the configuration must give it

        def start(self) -> None:       # state is plain attributes, made here
            self.last: dict[int, int] = {}

        @on(TopOfBook, wake="touch_changed")
        def touch(self, m: TopOfBook) -> None: ...

Reachable: `now`, `book`, `position`, `refdata`, `orders`, `buy/sell/cancel/replace/target`, lists of
orders (`draft`, `oco`, `oto`, `ouo`, `bracket`), `mass_cancel`, `mass_quote`, `wake`, `look_again`, `heartbeat`, `log`. Nothing
else is needed, and nothing else is: no clock, no I/O, no randomness.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar, TypeVar, get_origin

import msgspec

from apps.app import App, Handler, handlers_of
from apps.books.app import Books
from apps.books.book import Book
from apps.instruments import Instruments
from apps.looks import Looks
from apps.positions import Positions
from apps.terms import fields_of
from journal.messages import (
    NULL,
    AlertSeverity,
    CancelAll,
    CancelOrder,
    CancelQuotes,
    CommandCode,
    ContingencyType,
    CxlRejResponseTo,
    ExecType,
    ExecutionReport,
    Flag,
    Heartbeat,
    ListMember,
    ListRole,
    LogRecord,
    MassQuote,
    Message,
    NewOrder,
    OrderCancelReject,
    OrderList,
    OrdStatus,
    QuoteEntry,
    Reason,
    ReplaceOrder,
    ScopeType,
    Side,
    StrategyCommand,
    StrategyDefined,
    StrategyState,
    StrategyStateCode,
    TimeInForce,
    TopOfBook,
    TrailType,
    accelerator,
    order_id_of,
    order_id_source,
)
from journal.messages.requests import Heard

_fast = accelerator.extension("apps.kernel._fast")
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


class _On(msgspec.Struct, frozen=True):
    """When a method is called."""

    kind: int
    derived: bool
    every: str


def on(message: type[Message], *, wake: str = "", every: str = "") -> Callable[[F], F]:
    """Call this method for each frame of a kind; with wake="touch_changed" (TopOfBook only) when the best price or quantity
    of the strategy's own book has changed, in the very frame that changed it. With `every`, the name of a parameter in
    milliseconds, the touch of an instrument wakes it no more often than that; see `look_again`."""
    if wake not in ("", "touch_changed"):
        raise ValueError(f"wake={wake!r}; expected 'touch_changed' or nothing")
    if wake and message is not TopOfBook:
        raise ValueError(f"wake={wake!r} of {message.__name__}; expected TopOfBook")
    if every and not wake:
        raise ValueError(f"every={every!r} without a wake; expected wake='touch_changed' with it")

    def mark(function: F) -> F:
        function._on = _On(message.KIND, bool(wake), every)  # type: ignore[attr-defined]
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
        self._heard = Heard()

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
        """Send a buy order; limit when a price is given, else market. Returns its order id, 0 when the strategy is stopped.

        Terms: `tif`; `post_only`, `reduce_only`, `hidden`; `stop` (a stop, or with a price a stop-limit), `touched`
        (if-touched), `trail` with `trail_type` (a trailing stop), `trigger` (which price is watched); `display` (iceberg);
        `expire` (GTD), `release` (sent at that time); the rest in apps.terms."""
        return self._one(Side.BUY, instrument, qty, px, terms)

    def sell(self, instrument: int, qty: int | Decimal, px: int | Decimal | None = None, **terms: Any) -> int:
        """Send a sell order; see `buy`."""
        return self._one(Side.SELL, instrument, qty, px, terms)

    def _one(
        self, side: Side, instrument: int, qty: int | Decimal, px: int | Decimal | None, terms: dict[str, Any], **own: Any
    ) -> int:
        if not self.enabled or self._definition is None:
            return 0
        draft = self.draft(side, instrument, qty, px, **terms)
        return self._send([msgspec.structs.replace(draft, **own) if own else draft])[0]

    def draft(self, side: Side, instrument: int, qty: int | Decimal, px: int | Decimal | None = None, **terms: Any) -> NewOrder:
        """An order that is not sent yet: what `oco`, `oto` and `ouo` take. Terms as of `buy`."""
        d = self._definition or StrategyDefined()
        for name in ("stop", "touched"):
            if terms.get(name) is not None:
                terms[name] = self._px(instrument, terms[name])
        if terms.get("display") is not None:
            terms["display"] = self._qty(instrument, terms["display"])
        if terms.get("trail") is not None:
            terms |= self._trail(instrument, terms["trail"], terms.get("trail_type") or TrailType.PRICE)
        return NewOrder(
            order_id=self._number(),
            account=d.default_account,
            strategy=d.strategy,
            user=d.owner_user,
            instrument=instrument,
            side=side,
            order_qty=self._qty(instrument, qty),
            price_px=self._px(instrument, px) if px is not None else NULL,
            book_seq=self.book(instrument).seq,
            **fields_of(terms, limit=px is not None),
        )

    def _trail(self, instrument: int, trail: int | Decimal, trail_type: TrailType) -> dict[str, Any]:
        """A distance: in prices by the instrument's exponent, in anything else by the number's own."""
        if trail_type == TrailType.PRICE:
            return {
                "trail": self._px(instrument, trail),
                "trail_type": trail_type,
                "trail_exp": self.refdata[instrument].px_exp,
            }
        if isinstance(trail, int):
            return {"trail": trail, "trail_type": trail_type}
        exp = min(int(trail.as_tuple().exponent), 0)
        return {"trail": int(trail.scaleb(-exp)), "trail_type": trail_type, "trail_exp": exp}

    def oco(self, *drafts: NewOrder) -> list[int]:
        """Orders of which the first that fills, or ends, cancels the others. Order ids; none when the strategy is stopped."""
        return self._list(ContingencyType.OCO, drafts, [ListRole.SIBLING] * len(drafts), 0)

    def ouo(self, *drafts: NewOrder, proportional: bool = False) -> list[int]:
        """Orders that take from each other's quantity what they fill."""
        kind = ContingencyType.OUO_PROPORTIONAL if proportional else ContingencyType.OUO_ABSOLUTE
        return self._list(kind, drafts, [ListRole.SIBLING] * len(drafts), 0)

    def oto(self, first: NewOrder, *others: NewOrder, at_first_fill: bool = False) -> list[int]:
        """An order, and others that are held until it has filled."""
        roles = [ListRole.PRIMARY, *[ListRole.SIBLING] * len(others)]
        return self._list(ContingencyType.OTO, [first, *others], roles, int(at_first_fill))

    def bracket(
        self, entry: NewOrder, *, stop: NewOrder | None = None, profit: NewOrder | None = None, at_first_fill: bool = False
    ) -> list[int]:
        """An entry, and what closes it: a stop loss, a profit taken, or both, for as much as the entry has filled."""
        children = [(stop, ListRole.STOP_LOSS), (profit, ListRole.TAKE_PROFIT)]
        members = [(entry, ListRole.PRIMARY), *((d, r) for d, r in children if d is not None)]
        return self._list(ContingencyType.BRACKET, [d for d, _ in members], [r for _, r in members], int(at_first_fill))

    def mass_cancel(self, *, instrument: int = 0, side: int = 0) -> int:
        """Cancel all that we have open with one request (of an instrument, a side); its number, for the CancelAllReports."""
        d = self._definition or StrategyDefined()
        request = self._number()
        self.emit(
            CancelAll(
                request=request,
                scope_type=ScopeType.STRATEGY_INSTRUMENT if instrument else ScopeType.STRATEGY,
                scope_strategy=d.strategy,
                scope_instrument=instrument,
                side=side,
                reason=Reason.USER_REQUEST,
            )
        )
        return request

    def mass_quote(self, *entries: QuoteEntry, group: int = 0, reset: bool = False, until: int = 0) -> int:
        """Quote two-sided, each entry in place of the one with its number; its quote id, 0 when the strategy is stopped.

        `group`: under market-maker protection, `reset` after it has tripped; `until`: ns. QuoteStatusReports say what came of
        it; fills come as execution reports."""
        d = self._definition
        if not self.enabled or d is None:
            return 0
        quote_id = self._number()
        self.emit(
            MassQuote(
                quote_id=quote_id,
                account=d.default_account,
                strategy=d.strategy,
                entries=list(entries),
                mmp_group=group,
                mmp_reset=int(reset),
                valid_until_ts=until,
            )
        )
        return quote_id

    def pull_quotes(self, *, instrument: int = 0, quote_id: int = 0) -> None:
        """Pull our quotes (of an instrument, of one MassQuote)."""
        self.emit(CancelQuotes(quote_id=quote_id, instrument=instrument, reason=Reason.USER_REQUEST))

    def cancel(self, order_id: int, *, at: int = 0) -> None:
        """Ask to cancel one of our orders, at a time where one is given; asking twice sends once."""
        order = self.orders.get(order_id)
        if order is None or order.canceling:
            return
        order.canceling = not at
        order.version += 1
        self.emit(CancelOrder(order_id=order_id, version=order.version, reason=Reason.USER_REQUEST, release_ts=at))

    def cancel_all(self, instrument: int = 0) -> None:
        """Ask to cancel all our orders (of an instrument)."""
        for order in list(self.orders.values()):
            if instrument in (0, order.instrument):
                self.cancel(order.order_id)

    def replace(
        self,
        order_id: int,
        *,
        qty: int | Decimal | None = None,
        px: int | Decimal | None = None,
        stop: int | Decimal | None = None,
        at: int = 0,
    ) -> None:
        """Ask for new terms of one of our orders: total quantity, price, stop. Not given: left as it is. Nothing while another
        change is pending. `at`: when it is to be sent."""
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
                stop_px=NULL if stop is None else self._px(order.instrument, stop),
                release_ts=at,
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

    def look_again(self, instrument: int, at: int = 0) -> None:
        """Let the next touch of an instrument wake us, or the first one from `at` on, whatever `every` says of it."""
        if self._looks is not None:
            self._looks.after[instrument] = at

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

    def natives(self) -> dict[int, Any]:
        """Orders of others are none of ours."""
        if _fast is None or type(self).handlers is not Strategy.handlers:
            return {}
        plain = [OrderCancelReject.KIND] if type(self)._cancel_reject is Strategy._cancel_reject else []
        plain += [ExecutionReport.KIND] if type(self)._execution_report is Strategy._execution_report else []
        return {kind: _fast.Own(self.me, kind) for kind in plain}

    def derived_handlers(self) -> dict[int, Handler]:
        return self._marked(derived=True)

    def _marked(self, *, derived: bool) -> dict[int, Handler]:
        return {marked.kind: getattr(self, name) for name, marked in self._marks() if marked.derived == derived}

    def _marks(self) -> Iterator[tuple[str, _On]]:
        for name in dir(type(self)):
            marked = getattr(getattr(type(self), name, None), "_on", None)
            if marked is not None:
                yield name, marked

    def _look_every(self) -> None:
        """Parameters are new, and with them how often we look."""
        for name, marked in self._marks():
            if not marked.every:
                continue
            every = getattr(self, marked.every, None)
            if type(every) is not int or every < 0:
                raise ValueError(
                    f"every={marked.every!r} of {name}: {every!r}; expected a parameter of milliseconds, 0 or more"
                )
            looks = self._looks or Looks(0)
            looks.every = every * MILLISECOND
            self._looks = looks

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
        self._look_every()
        if not self._started:
            self._started = True
            self.start()

    def _send(self, drafts: Sequence[NewOrder], first: Message | None = None) -> list[int]:
        """Send orders as one decision: consecutive frames, LAST on the last of them."""
        if first is not None:
            self.emit(first, 0)
        for new in drafts:
            self.orders[new.order_id] = OpenOrder(
                order_id=new.order_id,
                instrument=new.instrument,
                side=new.side,
                qty=new.order_qty,
                px=new.price_px,
                leaves_qty=new.order_qty,
                status=OrdStatus.RECEIVED,
            )
            self.emit(new, int(Flag.LAST) if new is drafts[-1] else 0)
        return [new.order_id for new in drafts]

    def _number(self) -> int:
        """A number of our own, for orders, lists, quotes and requests alike."""
        self._order_number += 1
        return order_id_of(self.me, self._order_number)

    def _list(self, kind: ContingencyType, drafts: Sequence[NewOrder], roles: Sequence[ListRole], mode: int) -> list[int]:
        if not self.enabled or not drafts:
            return []
        list_id = self._number()
        members = [ListMember(order_id=d.order_id, role=r) for d, r in zip(drafts, roles, strict=True)]
        asked = OrderList(list_id=list_id, contingency=kind, trigger_mode=mode, members=members)
        return self._send([msgspec.structs.replace(d, list_id=list_id) for d in drafts], asked)

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
            if m.version > order.version:
                order.version = m.version  # the OMS may have asked for a change, for a list
            if order.replacing and m.exec_type in _REPLACE_ENDS:
                order.replacing = False
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
        if self._heard.again(self.source, m.request):
            reason = Reason.REPEATED_REQUEST
            self.emit(StrategyState(request=m.request, strategy=self._definition.strategy, reason=reason))
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
