"""The venue's JSON as typed structs, decoded strictly.

Fields carry the venue's own short names. What is asked of a frame: valid JSON, the right types, no number outside 64 bits, no
key twice. Unknown extra fields are let through (venues add them), a missing or mistyped one is a `BadFrame` that says where.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import msgspec

from journal.messages import VenueErrorCode

U63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
MILLISECONDS_MAX = (2**63 - 1) // 1_000_000
Millis = Annotated[int, msgspec.Meta(ge=0, le=MILLISECONDS_MAX)]
Levels = list[tuple[str, str]]


class BadFrame(ValueError):
    """A frame of the venue that we cannot use. `code` and `key` decide under which alert it is counted."""

    def __init__(self, code: VenueErrorCode, key: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.key = key


class Envelope(msgspec.Struct):
    """The market stream's wrapper; a bare object has neither field."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


class Depth(msgspec.Struct):
    """depthUpdate. `pu` is missing on spot streams, where an update follows when U is the last u plus one."""

    s: str
    U: U63
    u: U63
    b: Levels
    a: Levels
    E: Millis = 0
    T: Millis = 0
    pu: U63 | None = None
    e: str = "depthUpdate"


class Print(msgspec.Struct):
    """trade: one public trade; `m` says that the buyer was resting."""

    s: str
    t: U63
    p: str
    q: str
    m: bool
    E: Millis = 0
    T: Millis = 0
    X: str = "MARKET"
    e: str = "trade"


class BookTicker(msgspec.Struct):
    """bookTicker: the venue's own best bid and ask. Spot streams leave out `e` and the times."""

    s: str
    u: U63
    b: str
    B: str
    a: str
    A: str
    E: Millis = 0
    T: Millis = 0
    e: str = "bookTicker"


class StatusChange(msgspec.Struct):
    """tradingStatus: whether the instrument trades."""

    s: str
    S: str
    E: Millis = 0
    T: Millis = 0
    e: str = "tradingStatus"


class DepthSnapshot(msgspec.Struct, rename={"last_update_id": "lastUpdateId"}):
    """The whole book: the answer to `depth`, or a recorded one standing bare in the stream."""

    last_update_id: U63
    bids: Levels
    asks: Levels
    E: Millis = 0
    T: Millis = 0


class ErrorBody(msgspec.Struct):
    """Why a request was refused."""

    code: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
    msg: str = ""


class RateLimitRow(msgspec.Struct, rename="camel"):
    """One budget as it stands after a request."""

    rate_limit_type: str
    interval: str
    interval_num: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    limit: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    count: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class Response(msgspec.Struct, rename={"rate_limits": "rateLimits"}):
    """The answer to one request; without id where the venue could not read which."""

    id: str | None
    status: int
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorBody | None = None
    rate_limits: list[RateLimitRow] = []


class OrderEvent(msgspec.Struct):
    """The `o` of an ORDER_TRADE_UPDATE."""

    s: str
    c: str
    S: str
    x: str
    X: str
    i: U63
    q: str
    z: str
    p: str = "0"
    sp: str = "0"
    o: str = ""
    f: str = ""
    C: str = ""
    l: str = "0"
    L: str = "0"
    n: str = "0"
    N: str | None = None
    t: U63 = 0
    m: bool = False
    r: str = "NONE"
    v: U63 = 0


class OrderRow(msgspec.Struct, rename="camel"):
    """An order as `order.status` and `openOrders` show it."""

    symbol: str
    order_id: U63
    client_order_id: str
    status: str
    side: str
    price: str
    orig_qty: str
    executed_qty: str
    orig_client_order_id: str = ""
    stop_price: str = "0"
    type: str = ""
    time_in_force: str = ""
    end_reason: str = "NONE"
    update_time: Millis = 0


class TradeRow(msgspec.Struct, rename="camel"):
    """One of our trades as `myTrades` shows it; the client id is that of order.place."""

    symbol: str
    id: U63
    order_id: U63
    client_order_id: str
    side: str
    price: str
    qty: str
    commission: str
    commission_asset: str
    time: Millis
    maker: bool


class PositionRow(msgspec.Struct, rename="camel"):
    """A position as `account.position` shows it: positive long."""

    symbol: str
    position_amt: str


class BalanceRow(msgspec.Struct):
    """A balance as `account.balance` shows it."""

    asset: str
    balance: str


class EquityRow(msgspec.Struct):
    """What an account is worth as `account.margin` shows it."""

    asset: str
    equity: str


class FundingRow(msgspec.Struct, rename="camel"):
    """A payment of funding as `account.funding` shows it: negative was charged."""

    symbol: str
    time: Millis
    funding_rate: str
    position_amt: str
    income: str
    asset: str


class QuotedSide(msgspec.Struct, rename="camel"):
    """What became of a side: an order, or why it is none."""

    client_order_id: str
    order_id: U63 = 0
    error: ErrorBody | None = None


class MassCanceled(msgspec.Struct):
    """The result of `openOrders.cancelAll`."""

    affected: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class CountingDown(msgspec.Struct, rename="camel"):
    """The result of `account.countdownCancelAll`."""

    fires_at: Millis


class OrderTradeUpdate(msgspec.Struct):
    """A push about one of the account's orders."""

    e: str
    o: OrderEvent
    E: Millis = 0
    T: Millis = 0


class FundingEvent(msgspec.Struct):
    """The `f` of a FUNDING_FEE."""

    s: str
    r: str
    P: str
    n: str
    N: str
    v: U63 = 0


class FundingUpdate(msgspec.Struct):
    """A push about a payment of funding."""

    e: str
    f: FundingEvent
    E: Millis = 0
    T: Millis = 0


class ApiFrame(msgspec.Struct):
    """Just enough of an API frame to tell an answer from a push."""

    e: str = ""
    status: int = 0


Market = Depth | Print | BookTicker | StatusChange | DepthSnapshot

_ENVELOPE = msgspec.json.Decoder(Envelope)
_API_FRAME = msgspec.json.Decoder(ApiFrame)
_RESPONSE = msgspec.json.Decoder(Response)
_PUSH = msgspec.json.Decoder(OrderTradeUpdate)
_FUNDING_PUSH = msgspec.json.Decoder(FundingUpdate)


class _Bare(msgspec.Struct, rename={"last_update_id": "lastUpdateId"}):
    e: str = ""
    last_update_id: int = -1


_BARE = msgspec.json.Decoder(_Bare)
# Kind of event: decoder and the keys that may stand only once, as bytes between quotes. Counting them is a memchr each; a
# full parse that keeps pairs would cost twenty times the decoding.
_KEYS: dict[str, tuple[msgspec.json.Decoder[Any], tuple[bytes, ...]]] = {
    "depthUpdate": (msgspec.json.Decoder(Depth), (b'"e"', b'"s"', b'"U"', b'"u"', b'"pu"', b'"b"', b'"a"', b'"E"', b'"T"')),
    "trade": (msgspec.json.Decoder(Print), (b'"e"', b'"s"', b'"t"', b'"p"', b'"q"', b'"m"', b'"E"', b'"T"')),
    "bookTicker": (
        msgspec.json.Decoder(BookTicker),
        (b'"e"', b'"s"', b'"u"', b'"b"', b'"B"', b'"a"', b'"A"', b'"E"', b'"T"'),
    ),
    "tradingStatus": (msgspec.json.Decoder(StatusChange), (b'"e"', b'"s"', b'"S"', b'"E"', b'"T"')),
    "snapshot": (msgspec.json.Decoder(DepthSnapshot), (b'"lastUpdateId"', b'"bids"', b'"asks"', b'"E"', b'"T"')),
}
_DECODE_ERRORS = (ValueError, RecursionError)


def _unparsed(what: str, error: Exception) -> NoReturn:
    raise BadFrame(VenueErrorCode.UNPARSED, what, f"{what}: {error}") from None


def decode_market(data: bytes) -> Market:
    """One frame of the market stream, or BadFrame."""
    try:
        envelope = _ENVELOPE.decode(data)
        body: bytes | msgspec.Raw = envelope.data if envelope.stream else data
        event = _event_of_stream(envelope.stream) if envelope.stream else ""
        if not event:
            bare = _BARE.decode(body)
            event = bare.e or ("snapshot" if bare.last_update_id >= 0 else "")
    except _DECODE_ERRORS as error:
        _unparsed("market frame", error)
    if event not in _KEYS:
        name = event or envelope.stream or "bare object"
        raise BadFrame(VenueErrorCode.UNKNOWN_TYPE, f"type {name[:64]}", f"market frame of unknown type {name[:64]!r}")
    return _decode_event(event, body)


def decode_snapshot(result: bytes | msgspec.Raw) -> DepthSnapshot:
    """The result of a `depth` request, or BadFrame."""
    snapshot = _decode_event("snapshot", result)
    assert isinstance(snapshot, DepthSnapshot)
    return snapshot


def _decode_event(event: str, body: bytes | msgspec.Raw) -> Market:
    decoder, keys = _KEYS[event]
    raw = bytes(body)
    if b"\\" in raw:
        _unique_keys(raw, event)
    else:
        for key in keys:
            if raw.count(key) > 1:
                raise BadFrame(VenueErrorCode.UNPARSED, f"{event} key", f"{event}: key {key.decode()} occurs twice")
    try:
        decoded: Market = decoder.decode(raw)
    except _DECODE_ERRORS as error:
        _unparsed(event, error)
    if getattr(decoded, "e", event) not in ("", event):
        _unparsed(event, ValueError(f"stream name and event type {decoded.e!r} differ"))  # type: ignore[union-attr]
    return decoded


def _event_of_stream(stream: str) -> str:
    """`btcusdt@depth@100ms` carries depthUpdate; other names are the event's own."""
    kind = stream.split("@", 2)[1] if "@" in stream else ""
    return "depthUpdate" if kind.startswith("depth") else kind if kind in _KEYS else ""


def decode_api(data: bytes) -> Response | OrderTradeUpdate | FundingUpdate:
    """One frame of the API connection, or BadFrame. Few and worth money: checked key by key."""
    _unique_keys(data, "api frame")
    try:
        frame = _API_FRAME.decode(data)
        if frame.status:
            return _RESPONSE.decode(data)
        if frame.e == "ORDER_TRADE_UPDATE":
            return _PUSH.decode(data)
        if frame.e == "FUNDING_FEE":
            return _FUNDING_PUSH.decode(data)
    except _DECODE_ERRORS as error:
        _unparsed("api frame", error)
    name = frame.e[:64] or "without id"
    raise BadFrame(VenueErrorCode.UNKNOWN_TYPE, f"type {name}", f"api frame of unknown type {name!r}")


_ORDER = msgspec.json.Decoder(OrderRow)
_ORDERS = msgspec.json.Decoder(list[OrderRow])
_TRADES = msgspec.json.Decoder(list[TradeRow])
_POSITIONS = msgspec.json.Decoder(list[PositionRow])
_QUOTED = msgspec.json.Decoder(list[QuotedSide])
_MASS_CANCELED = msgspec.json.Decoder(MassCanceled)
_COUNTING_DOWN = msgspec.json.Decoder(CountingDown)
_BALANCES = msgspec.json.Decoder(list[BalanceRow])
_EQUITIES = msgspec.json.Decoder(list[EquityRow])
_FUNDING = msgspec.json.Decoder(list[FundingRow])


def decode_order(result: msgspec.Raw) -> OrderRow:
    """The result of `order.status`, or BadFrame."""
    try:
        return _ORDER.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("order", error)


def decode_orders(result: msgspec.Raw) -> list[OrderRow]:
    """The result of `openOrders`, or BadFrame."""
    try:
        return _ORDERS.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("open orders", error)


def decode_trades(result: msgspec.Raw) -> list[TradeRow]:
    """The result of `myTrades`, or BadFrame."""
    try:
        return _TRADES.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("trades", error)


def decode_positions(result: msgspec.Raw) -> list[PositionRow]:
    """The result of `account.position`, or BadFrame."""
    try:
        return _POSITIONS.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("positions", error)


def decode_balances(result: msgspec.Raw) -> list[BalanceRow]:
    """The result of `account.balance`, or BadFrame."""
    try:
        return _BALANCES.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("balances", error)


def decode_equities(result: msgspec.Raw) -> list[EquityRow]:
    """The result of `account.margin`, or BadFrame."""
    try:
        return _EQUITIES.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("equities", error)


def decode_funding(result: msgspec.Raw) -> list[FundingRow]:
    """The result of `account.funding`, or BadFrame."""
    try:
        return _FUNDING.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("funding", error)


def decode_quoted(result: msgspec.Raw) -> list[QuotedSide]:
    """The result of `quotes.place`, or BadFrame."""
    try:
        return _QUOTED.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("quotes", error)


def decode_mass_canceled(result: msgspec.Raw) -> MassCanceled:
    """The result of `openOrders.cancelAll`, or BadFrame."""
    try:
        return _MASS_CANCELED.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("mass cancel", error)


def decode_counting_down(result: msgspec.Raw) -> CountingDown:
    """The result of `account.countdownCancelAll`, or BadFrame."""
    try:
        return _COUNTING_DOWN.decode(result)
    except _DECODE_ERRORS as error:
        _unparsed("countdown", error)


def _unique_keys(data: bytes, what: str) -> None:
    """Refuse a key that occurs twice in one object: two readers could take two different prices from it."""

    def pairs(items: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in items}) != len(items):
            names = [name for name, _ in items]
            twice = next(n for n in names if names.count(n) > 1)
            raise BadFrame(VenueErrorCode.UNPARSED, f"{what} key", f"{what}: key {twice[:64]!r} occurs twice")

    try:
        json.loads(data, object_pairs_hook=pairs, parse_float=str, parse_int=str)
    except BadFrame:
        raise
    except _DECODE_ERRORS as error:
        _unparsed(what, error)
