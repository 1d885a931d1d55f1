"""One request in; one answer and the pushes that it caused out. No socket, no clock: `now_ns` is an argument.

Nothing is guessed: an unknown or missing parameter, a number that is not text, a digit too many is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from apps.venue.desk import STOPS, Levels, Venue
from apps.venue.events import LevelChanged, Refused, VenueEvent
from gateways.sim.exchange.accounts import OPEN, TYPE_WORDS, Account, Accounts, OrderRecord, Pending, Push
from gateways.sim.exchange.faults import CANCELS
from gateways.sim.exchange.funding import funding_json
from gateways.sim.exchange.limits import NO_LIMITS, Guard, Limits, Market, Wanted
from gateways.sim.exchange.listing import Listing
from gateways.sim.exchange.market import OrderIds
from gateways.sim.exchange.numbers import NotDecimal, TooManyDecimals
from journal.messages.enums import OrdType, Reason, Side, TimeInForce

T = TypeVar("T")
MS = 1_000_000
PLACE = "side type timeInForce quantity price stopPrice newClientOrderId reduceOnly"
QUOTES = "quotes.place"
QUOTE_SIDES_MAX = 64
COUNTED = ("order.place", "order.modify", QUOTES)
DEAD_MAN = "account.countdownCancelAll"
CHANGING = ("order.place", "order.modify", *CANCELS, DEAD_MAN, QUOTES)
CLIENT_ID = re.compile(r"[A-Za-z0-9._:/-]{1,36}", re.ASCII)
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
RESTING = (TimeInForce.GTC, TimeInForce.GTX)
PLAIN = (OrdType.LIMIT, OrdType.MARKET)
TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK, "GTX": TimeInForce.GTX}


class RequestError(Exception):
    """The venue's answer to a request that it does not carry out."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status


class Request(NamedTuple):
    id: str | int
    method: str
    params: dict[str, Any]


class MarketView(Protocol):
    """What requests need of the market beside the venue itself."""

    @property
    def book_live(self) -> bool: ...

    def book_stamp(self) -> tuple[int, int, int]: ...


class Outcome(NamedTuple):
    """`events` go to the public feed of a generated market."""

    result: Any
    pushes: Sequence[Push] = ()
    events: Sequence[VenueEvent] = ()


def read_request(text: str | bytes) -> Request:
    """The request, or RequestError -1135 that says what is wrong with the frame."""
    if isinstance(text, bytes):
        raise RequestError(-1135, "Invalid JSON request: a binary frame.")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(-1135, f"Invalid JSON request: {error}.") from None
    if not isinstance(value, dict):
        raise RequestError(-1135, "Invalid JSON request: not an object.")
    request_id, method, params = value.get("id"), value.get("method"), value.get("params", {})
    if isinstance(request_id, bool) or not isinstance(request_id, (str, int)) or request_id == "":
        raise RequestError(-1135, "Invalid JSON request: 'id' must be text of 1-64 characters or an integer.")
    if isinstance(request_id, str) and len(request_id) > 64:
        raise RequestError(-1135, "Invalid JSON request: 'id' is longer than 64 characters.")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise RequestError(-1135, "Invalid JSON request: 'method' must be text, 'params' an object.")
    if set(value) - {"id", "method", "params"}:
        raise RequestError(-1135, "Invalid JSON request: keys other than 'id', 'method', 'params'.")
    return Request(request_id, method, params)


class Desk:
    """The exchange's front desk. `account` 0 is a connection that has not logged on."""

    def __init__(
        self, listing: Listing, venue: Venue, accounts: Accounts, market: MarketView, ids: OrderIds,
        native: Collection[str] = (), order_limit: int = 0, order_window_s: int = 10, limits: Limits = NO_LIMITS,
        read_only: Collection[int] = (),
    ) -> None:  # fmt: skip
        """`native`: which of NATIVE it does. `order_limit` 0: none. `read_only`: accounts that may change nothing."""
        self._order_limit, self._order_window_s = order_limit, order_window_s
        self._listing = listing
        self._venue = venue
        self._accounts = accounts
        self._market = market
        self._ids = ids
        self.halted = False
        self._read_only = read_only
        self._limits = limits
        self._guard = Guard(limits, listing, accounts)
        self._methods: dict[str, tuple[Callable[[Account | None, Params, int], Outcome], str, bool]] = {
            "time": (self._time, "", False),
            "exchangeInfo": (self._info, "", False),
            "depth": (self._depth, "limit", False),
            "order.place": (
                self._place,
                PLACE,
                True,
            ),
            "order.modify": (self._modify, "origClientOrderId newClientOrderId quantity price stopPrice side", True),
            "order.cancel": (self._cancel, "origClientOrderId newClientOrderId", True),
            "order.status": (self._status, "origClientOrderId", True),
            "openOrders": (self._open_orders, "", True),
            "myTrades": (self._my_trades, "fromId limit startTime", True),
            "account.position": (self._position, "", True),
            "account.balance": (self._balance, "", True),
            "account.margin": (self._margin, "", True),
            "account.funding": (self._funding, "limit startTime", True),
        }
        if "cancel_all" in native:
            self._methods["openOrders.cancelAll"] = (self._cancel_all, "", True)
        self._types = {word: t for t, word in TYPE_WORDS.items() if t in PLAIN or "stops" in native}
        if "mass_quote" in native:
            self._methods[QUOTES] = (self._quotes, "quotes", True)
        if "dead_man" in native:
            self._methods[DEAD_MAN] = (self._dead_man, "countdownTime", True)

    def execute(self, request: Request, account: int, now_ns: int) -> Outcome:
        """Carry the request out, or RequestError; an error has changed nothing."""
        if request.method not in self._methods:
            raise RequestError(-1020, f"Unknown method {request.method[:40]!r}.")
        run, names, private = self._methods[request.method]
        if private and not account:
            raise RequestError(-2015, "Not logged on: session.logon first.", 401)
        if request.method in CHANGING and account in self._read_only:
            raise RequestError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        params = Params(request.params, ("symbol", *names.split()))
        self._need_symbol(params)
        if account and request.method in COUNTED:
            self._count(self._accounts.of(account), now_ns)
        return run(self._accounts.of(account) if account else None, params, now_ns)

    # The budget.

    def _count(self, account: Account, now_ns: int) -> None:
        """One more of what is counted, whatever comes of it; beyond the limit it is refused."""
        self._turn(account, now_ns)
        if self._order_limit and account.used >= self._order_limit:
            raise RequestError(-1003, f"Too many orders: {self._order_limit} in {self._order_window_s} s.", 429)
        account.used += 1

    def _turn(self, account: Account, now_ns: int) -> None:
        window = now_ns // (self._order_window_s * 1000 * MS)
        if window != account.window:
            account.window, account.used = window, 0

    def usage(self, number: int, now_ns: int) -> list[dict[str, Any]]:
        """The budget of an account, as answers about its orders have it; nothing where there is none."""
        if not self._order_limit or not number:
            return []
        account = self._accounts.of(number)
        self._turn(account, now_ns)
        terms = {"interval": "SECOND", "intervalNum": self._order_window_s, "limit": self._order_limit}
        return [{"rateLimitType": "ORDERS", **terms, "count": account.used}]

    # Public.

    def _time(self, _account: Account | None, _params: Params, now_ns: int) -> Outcome:
        return Outcome({"serverTime": now_ns // MS})

    def _info(self, _account: Account | None, _params: Params, now_ns: int) -> Outcome:
        info = self._listing.info(now_ns // MS)
        info["symbols"][0] |= {"status": self.status, "orderTypes": list(self._types)}
        info["symbols"][0]["filters"] += self._limits.filters()
        return Outcome(info)

    def _depth(self, _account: Account | None, params: Params, _now_ns: int) -> Outcome:
        limit = params.integer("limit", 1000, 1, 5000)
        if not self._market.book_live:
            raise RequestError(-1008, "No book yet: ask again.", 503)
        bids, asks = self._venue.depth(limit)
        update_id, event_ms, trade_ms = self._market.book_stamp()
        return Outcome(
            {"lastUpdateId": update_id, "E": event_ms, "T": trade_ms, "bids": self._levels(bids), "asks": self._levels(asks)}
        )

    def _levels(self, levels: Levels) -> list[tuple[str, str]]:
        return [(self._listing.px(px), self._listing.qty(qty)) for px, qty in levels]

    # The market as a whole.

    @property
    def status(self) -> str:
        return "HALT" if self.halted else "TRADING"

    def halt(self, now_ns: int, *, cancel: bool) -> Outcome:
        """From here on nothing new is taken; cancels are."""
        self.halted = True
        numbers = [a.number for a in self._accounts.accounts] if cancel else []
        ended = [self.end_all(number, Reason.HALT_CANCEL, now_ns) for number in numbers]
        pushes, events = [p for o in ended for p in o.pushes], [e for o in ended for e in o.events]
        return Outcome({"status": self.status}, pushes, _levels_once(events))

    def resume(self) -> Outcome:
        self.halted = False
        return Outcome({"status": self.status})

    # Orders.

    def _place(self, account: Account | None, params: Params, now_ns: int) -> Outcome:
        assert account is not None
        side = _choice(params, "side", SIDES, -1117, "side")
        ord_type = _choice(params, "type", self._types, -1116, "order type")
        if params.has("stopPrice") != (ord_type in STOPS):
            raise RequestError(-1104, "Parameter 'stopPrice' is sent with STOP_MARKET and STOP_LIMIT, and only there.")
        stop_px = self._number(params, "stopPrice", self._listing.px_mantissa) if ord_type in STOPS else 0
        if STOPS.get(ord_type, ord_type) == OrdType.LIMIT:
            tif = _choice(params, "timeInForce", TIFS, -1115, "time in force")
            px = self._number(params, "price", self._listing.px_mantissa)
        else:
            if params.has("price") or params.has("timeInForce"):
                raise RequestError(-1104, f"Parameter 'price' or 'timeInForce' sent with a {TYPE_WORDS[ord_type]} order.")
            tif, px = TimeInForce.IOC, 0
        qty = self._number(params, "quantity", self._listing.qty_mantissa)
        client_id = self._new_id(account, params)
        reduce_only = params.boolean("reduceOnly", False)
        self._need_market()
        if reduce_only and not _reduces(account, side, qty):
            raise RequestError(-2022, "ReduceOnly Order is rejected.")
        self._admit(account, Wanted(side, qty, px, stop_px, more=ord_type in STOPS or tif in RESTING))
        pending = Pending(client_id, tif, ord_type, reduce_only)
        events = self._venue.new_order(
            order_id=self._ids.next(),
            account=account.number,
            side=side,
            ord_type=ord_type,
            tif=tif,
            qty=qty,
            px=px,
            now_ns=now_ns,
            stop_px=stop_px,
        )
        return self._answered(account, events, pending, px)

    def _quotes(self, account: Account | None, params: Params, now_ns: int) -> Outcome:
        """Each side an order, in this order and with nothing between them; one that is refused stops no other."""
        rows: list[dict[str, Any]] = []
        pushes: list[Push] = []
        events: list[VenueEvent] = []
        sides = [Params(side, ("symbol", *PLACE.split())) for side in params.tables("quotes", 1, QUOTE_SIDES_MAX)]
        client_ids = [side.text("newClientOrderId") for side in sides]
        for side, client_id in zip(sides, client_ids, strict=True):
            try:
                self._need_symbol(side)
                done = self._place(account, side, now_ns)
            except RequestError as error:
                rows.append({"clientOrderId": client_id, "error": {"code": error.code, "msg": error.msg}})
                continue
            rows.append({"clientOrderId": client_id, "orderId": done.result["orderId"]})
            pushes += done.pushes
            events += done.events
        return Outcome(rows, pushes, _levels_once(events))

    def _modify(self, account: Account | None, params: Params, now_ns: int) -> Outcome:
        assert account is not None
        order = self._named(account, params, -2013)
        market = order.ord_type == OrdType.STOP
        if market and params.has("price"):
            raise RequestError(-1104, "Parameter 'price' sent for a STOP_MARKET order.")
        px = 0 if market else self._number(params, "price", self._listing.px_mantissa)
        qty = self._number(params, "quantity", self._listing.qty_mantissa)
        stop_px = self._number(params, "stopPrice", self._listing.px_mantissa) if params.has("stopPrice") else 0
        client_id = self._new_id(account, params)
        if params.has("side") and _choice(params, "side", SIDES, -1117, "side") != order.side:
            raise RequestError(-1117, f"Invalid side: the order's is {order.side.name}.")
        if order.status not in OPEN:
            raise RequestError(-2013, "Order does not exist.")
        if stop_px not in (0, order.stop_px) and order.status != "UNTRIGGERED":
            raise RequestError(-1104, "Parameter 'stopPrice' sent for an order that does not wait for one.")
        self._need_market()
        wanted = Wanted(order.side, qty - order.cum_qty, px, stop_px or order.stop_px, more=False)
        self._admit(account, wanted, replaced=order)
        events = self._venue.replace(order_id=order.order_id, qty=qty, px=px, now_ns=now_ns, stop_px=stop_px)
        return self._answered(account, events, Pending(client_id), px)

    def _cancel(self, account: Account | None, params: Params, now_ns: int) -> Outcome:
        assert account is not None
        order = self._named(account, params, -2011)
        client_id = self._new_id(account, params)
        if order.status not in OPEN:
            raise RequestError(-2011, "Unknown order sent.")
        events = self._venue.cancel(order_id=order.order_id, now_ns=now_ns)
        return self._answered(account, events, Pending(client_id), order.px)

    def _cancel_all(self, account: Account | None, _params: Params, now_ns: int) -> Outcome:
        assert account is not None
        return self.end_all(account.number, Reason.USER_REQUEST, now_ns)

    def end_all(self, number: int, reason: Reason, now_ns: int) -> Outcome:
        """Cancel whatever an account has open."""
        open_orders = self._accounts.open_orders(number)
        events: list[VenueEvent] = []
        for order in open_orders:
            events += self._venue.cancel(order_id=order.order_id, now_ns=now_ns, reason=reason)
        return Outcome({"affected": len(open_orders)}, self._accounts.absorb(events), _levels_once(events))

    def _dead_man(self, account: Account | None, params: Params, now_ns: int) -> Outcome:
        assert account is not None
        countdown_ms = params.integer("countdownTime", -1, 0, 86_400_000)
        account.dead_man_ns = now_ns + countdown_ms * MS if countdown_ms else 0
        return Outcome({"countdownTime": countdown_ms, "firesAt": account.dead_man_ns // MS})

    def dead_man(self, number: int, now_ns: int) -> Outcome | None:
        """What the countdown of an account does, if it is over."""
        account = self._accounts.of(number)
        if not 0 < account.dead_man_ns <= now_ns:
            return None
        account.dead_man_ns = 0
        return self.end_all(number, Reason.DEAD_MAN_FIRED, now_ns)

    def _status(self, account: Account | None, params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        return Outcome(self._accounts.order_json(self._named(account, params, -2013)))

    def _open_orders(self, account: Account | None, _params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        return Outcome([self._accounts.order_json(o) for o in self._accounts.open_orders(account.number)])

    def _my_trades(self, account: Account | None, params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        first, limit = params.integer("fromId", 0, 0, 2**63 - 1), params.integer("limit", 1000, 1, 1000)
        since = params.integer("startTime", 0, 0, 2**63 - 1)
        # Ids ascend; an account's trades are few enough for a scan.
        found = [t for t in account.trades if t.trade_id >= first and t.time_ms >= since][:limit]
        return Outcome([self._accounts.trade_json(t) for t in found])

    def _position(self, account: Account | None, _params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        return Outcome([self._accounts.position_json(account)])

    def _balance(self, account: Account | None, _params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        return Outcome([self._accounts.balance_json(account)])

    def _margin(self, account: Account | None, _params: Params, _now_ns: int) -> Outcome:
        """Equity at the price at which the position could be closed; nothing while there is none."""
        assert account is not None
        if not account.position:
            return Outcome([self._accounts.equity_json(account, 0)])
        bids, asks = self._venue.depth(1) if self._market.book_live else ([], [])
        levels = bids if account.position > 0 else asks
        return Outcome([self._accounts.equity_json(account, px) for px, _ in levels])

    def _funding(self, account: Account | None, params: Params, _now_ns: int) -> Outcome:
        assert account is not None
        limit, since = params.integer("limit", 1000, 1, 1000), params.integer("startTime", 0, 0, 2**63 - 1)
        found = [paid for paid in account.funding if paid.time_ms >= since][:limit]
        return Outcome([funding_json(self._listing, paid) for paid in found])

    def fund(self, rate: int, ms: int) -> list[Push]:
        """Funding is due; nobody pays while there is no price to value a position at."""
        bids, asks = self._venue.depth(1) if self._market.book_live else ([], [])
        return self._accounts.fund(bids[0][0] + asks[0][0], rate, ms) if bids and asks else []

    # Parts.

    def _admit(self, account: Account, wanted: Wanted, replaced: OrderRecord | None = None) -> None:
        if self._limits == NO_LIMITS:
            return
        bids, asks = self._venue.depth(1)
        market = Market(bids[0][0] if bids else 0, asks[0][0] if asks else 0, self._venue.last_px)
        refusal = self._guard.refusal(account, wanted, market, replaced)
        if refusal is not None:
            raise RequestError(*refusal)

    def _answered(self, account: Account, events: list[VenueEvent], pending: Pending, px: int) -> Outcome:
        """Fold the first event, keep what the order then looks like for the answer, fold the rest."""
        first = events[0]
        if isinstance(first, Refused):
            raise self._refusal(first.reason, px)
        pushes = self._accounts.absorb(events[:1], pending)
        result = self._accounts.order_json(account.requests[pending.client_id])
        pushes += self._accounts.absorb(events[1:])
        return Outcome(result, pushes, events)

    def _refusal(self, reason: Reason, px: int) -> RequestError:
        if reason == Reason.INVALID_PRICE:
            low = px < self._listing.rules.tick
            return RequestError(-4013 if low else -4002, f"Price {'below the minimum' if low else 'above the maximum'}.")
        code, msg = _REFUSALS[reason]
        return RequestError(code, msg)

    def _number(self, params: Params, name: str, parse: Callable[[str], int]) -> int:
        text = params.text(name)
        try:
            return parse(text)
        except NotDecimal:
            raise RequestError(-1102, f"Parameter '{name}' was malformed: expected plain decimal text.") from None
        except TooManyDecimals:
            raise RequestError(-1111, f"Precision of '{name}' is over the maximum defined for this asset.") from None

    def _new_id(self, account: Account, params: Params) -> str:
        client_id = params.text("newClientOrderId")
        if CLIENT_ID.fullmatch(client_id) is None:
            raise RequestError(-4015, "Client order id must be 1-36 characters of [A-Za-z0-9._:/-].")
        if client_id in account.requests:
            raise RequestError(-4116, "ClientOrderId is duplicated.")
        return client_id

    def _named(self, account: Account, params: Params, code: int) -> OrderRecord:
        order = account.requests.get(params.text("origClientOrderId"))
        if order is None:
            raise RequestError(code, "Unknown order sent." if code == -2011 else "Order does not exist.")
        return order

    def _need_symbol(self, params: Params) -> None:
        if params.text("symbol", self._listing.symbol) != self._listing.symbol:
            raise RequestError(-1121, f"Invalid symbol: this exchange lists {self._listing.symbol}.")

    def _need_market(self) -> None:
        if self.halted:
            raise RequestError(-4140, "Invalid symbol status: HALT.")
        if not self._market.book_live:
            raise RequestError(-4140, "Invalid symbol status: no book yet.")


class Params:
    """The parameters of one request, taken by name and type."""

    def __init__(self, values: dict[str, Any], allowed: tuple[str, ...]) -> None:
        self._values = values
        for name in values:
            if name not in allowed:
                raise RequestError(-1104, f"Unknown parameter {name[:40]!r}.")

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or not value:
            raise RequestError(-1102, f"Mandatory parameter '{name}' was not sent, was empty or is not text.")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise RequestError(-1102, f"Parameter '{name}' must be an integer of {low} to {high}.")
        return value

    def tables(self, name: str, low: int, high: int) -> list[dict[str, Any]]:
        value = self._values.get(name)
        if not isinstance(value, list) or not low <= len(value) <= high or not all(isinstance(v, dict) for v in value):
            raise RequestError(-1102, f"Parameter '{name}' must be a list of {low} to {high} objects.")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise RequestError(-1102, f"Parameter '{name}' must be true or false.")
        return value


def _levels_once(events: list[VenueEvent]) -> list[VenueEvent]:
    """Events of several calls as of one: each level once, as it is at the end."""
    levels = {(e.side, e.px): e for e in events if isinstance(e, LevelChanged)}
    return [*(e for e in events if not isinstance(e, LevelChanged)), *levels.values()]


def _choice(params: Params, name: str, choices: dict[str, T], code: int, what: str) -> T:
    value = params.text(name)
    if value not in choices:
        raise RequestError(code, f"Invalid {what}: expected one of {', '.join(choices)}.")
    return choices[value]


def _reduces(account: Account, side: Side, qty: int) -> bool:
    held = -account.position if side == Side.BUY else account.position
    return 0 < qty <= held


_REFUSALS = {
    Reason.INVALID_STOP_OR_TRIGGER: (-4006, "Stop price is not a price on the tick."),
    Reason.INVALID_EXEC_INST: (-1115, "Invalid time in force: GTX with a stop."),
    Reason.INVALID_QUANTITY: (-4003, "Quantity less than or equal to zero."),
    Reason.QUANTITY_ABOVE_MAXIMUM: (-4005, "Quantity greater than max quantity."),
    Reason.QUANTITY_NOT_ON_LOT: (-4023, "Quantity not increased by step size."),
    Reason.PRICE_NOT_ON_TICK: (-4014, "Price not increased by tick size."),
    Reason.POST_ONLY_WOULD_TAKE: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Reason.REPLACE_HAS_NO_EFFECT: (-5027, "No need to modify the order."),
}
