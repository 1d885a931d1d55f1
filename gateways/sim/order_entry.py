"""The order session, sans-I/O: sequenced requests, frames of the venue and the time in; bytes and messages out.

    DISCONNECTED --connected--> LOGIN_SENT --logon--> DOWNLOADING --all answered--> READY
         ^                                               ^                            |
         '------------------ disconnected ---------------'------ hole in pushes ------'

It never sends anything twice. What was in flight when a connection went is unknown: nothing is said about it until the venue,
asked by client id, has answered (download.py).
"""

from __future__ import annotations

import itertools

import msgspec

from gateways.sim.checks import HardCaps, Situation, refusal, refusal_of_account, refusal_of_quote
from gateways.sim.download import Ask, Download, QuestionFailed
from gateways.sim.funding import pushed_funding
from gateways.sim.mapping import NS_PER_MS
from gateways.sim.order_mapping import (
    END_REASONS,
    Known,
    Unsendable,
    dead_man_params,
    logon_reason,
    mass_canceled,
    modify_params,
    place_params,
    push_fill,
    push_update,
    quote_params,
    quote_updates,
    rate_limit_usage,
    reason_of,
    rejected,
    request,
    request_rejected,
)
from gateways.sim.order_view import OrderView
from gateways.sim.session import NEVER, Complaints, Out, raw_parts
from gateways.sim.wire import (
    BadFrame,
    ErrorBody,
    FundingUpdate,
    OrderTradeUpdate,
    Response,
    decode_api,
    decode_counting_down,
    decode_mass_canceled,
    decode_quoted,
)
from journal.messages import (
    ConnectionState,
    CxlRejResponseTo,
    Direction,
    DownloadBegin,
    DownloadEnd,
    Encoding,
    GatewayPhase,
    GatewayStatus,
    Message,
    OrderSent,
    Protocol,
    QueryType,
    RateLimitUsage,
    Reason,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    SendRefused,
    StreamStatus,
    SupportType,
    Transport,
    VenueDeadMan,
    VenueErrorCode,
)
from journal.messages.client_ids import ClientIds

ORDER_STREAM = 2
DOWNLOAD_CONTENTS = 0b111  # orders, trades, orders of other sessions
COMPARED_CONTENTS = 0b11000  # positions, balances
_QUERIES = (QueryType.ORDER, QueryType.OPEN_ORDERS, QueryType.FILLS, QueryType.POSITIONS, QueryType.FUNDS)
SUPPORTED = int(
    SupportType.CREATE_ORDER | SupportType.MODIFY_ORDER | SupportType.CANCEL_ORDER | SupportType.ORDER_ACK
    | SupportType.ORDER | SupportType.TRADE | SupportType.CANCEL_ALL | SupportType.DEAD_MAN
    | SupportType.MASS_QUOTE | SupportType.NATIVE_TRIGGER | SupportType.RATE_LIMITS
)  # fmt: skip
METHODS = {
    RoutedOrder: "order.place", RoutedReplace: "order.modify", RoutedCancel: "order.cancel",
    RoutedCancelAll: "openOrders.cancelAll", RoutedDeadMan: "account.countdownCancelAll", RoutedQuote: "quotes.place",
}  # fmt: skip
DOWNLOAD_AGAIN_NS = 1_000_000_000
NOT_CONNECTED = (GatewayPhase.CONNECTING, GatewayPhase.DISCONNECTED, GatewayPhase.STOPPED)

Request = RoutedOrder | RoutedReplace | RoutedCancel | RoutedQuery | RoutedCancelAll | RoutedDeadMan | RoutedQuote
Action = Out | bytes
"""What the driver does next: publish, or hand bytes to the socket."""


class Asked(msgspec.Struct, frozen=True):
    """A request in flight: whose answer it is."""

    sent_ns: int
    seq: int = 0
    ask: Ask | None = None
    download: Download | None = None
    of_many: RoutedCancelAll | RoutedDeadMan | RoutedQuote | None = None


class OrderEntry:
    """State of the trading connection. Every method returns what to do, in order."""

    def __init__(
        self,
        view: OrderView,
        *,
        ids: ClientIds,
        api_key: str,
        caps: HardCaps,
        gateway: int,
        last_epoch: int = 0,
        answer_within_ns: int = 10_000_000_000,
    ) -> None:
        self.view = view
        self.ids = ids
        self.api_key = api_key
        self.caps = caps
        self.gateway = gateway
        self.answer_within_ns = answer_within_ns
        self.phase = GatewayPhase.CONNECTING
        self.connection_epoch = last_epoch
        self.close_wanted = ""
        """Why the driver should cut the connection; empty: it should not."""
        self._logon_refused = Reason.UNDEFINED  # why; said when the connection is then cut
        self.complaints = Complaints(venue=view.venue, stream=ORDER_STREAM)
        self.download: Download | None = None
        self._downloads = 0
        self._download_at = NEVER
        self._asked: dict[str, Asked] = {}
        self._numbers = itertools.count(1)
        self._event_number = 0  # `v` of the last push in this connection
        self._sweep, self._sweep_left = 0, 0  # the last cancel of everything, and how many ends it has still to push
        self._usage_said: RateLimitUsage | None = None

    # The connection.

    def started(self) -> list[Action]:
        """A process begins: whatever the former one had open is not known to be true any more."""
        return [self._stream(ConnectionState.DISCONNECTED, Reason.DISCONNECTED), self._status(GatewayPhase.CONNECTING)]

    def connected(self, now_ns: int) -> list[Action]:
        """The socket is open: log on."""
        self.connection_epoch = self.connection_epoch % 0xFFFF + 1
        self.close_wanted = ""
        self._event_number, self._sweep_left = 0, 0
        request_id = f"logon-{next(self._numbers)}"
        self._asked[request_id] = Asked(now_ns)
        out: list[Action] = [self._stream(ConnectionState.LOGIN_SENT, Reason.UNDEFINED), self._status(GatewayPhase.LOGIN_SENT)]
        return [*out, request(request_id, "session.logon", {"apiKey": self.api_key})]

    def disconnected(self, reason: Reason = Reason.DISCONNECTED) -> list[Action]:
        """The socket is gone. Requests in flight stay unanswered in the view; the next download asks for them."""
        if self.phase in NOT_CONNECTED:
            return []
        out = self._end_download(complete=False)
        reason = self._logon_refused or reason
        self._logon_refused = Reason.UNDEFINED
        self._asked.clear()
        self._download_at = NEVER
        return [*out, self._stream(ConnectionState.DISCONNECTED, reason), self._status(GatewayPhase.DISCONNECTED)]

    def stopped(self) -> list[Action]:
        """The process ends cleanly."""
        out = self.disconnected(Reason.SHUTDOWN)
        return [*out, self._status(GatewayPhase.STOPPED)]

    # Sequenced requests.

    def routed(
        self, m: Request, *, seq: int, ts: int, epoch: int, released_seq: int, now_ns: int,
    ) -> list[Action]:  # fmt: skip
        """A request at the head of the stream: send it, or refuse it with the reason."""
        if not self.view.is_ours(m.destination):
            self.view.sent_by_another(m, seq)
            return []
        if isinstance(m, RoutedQuery):
            return self._query(m, seq, now_ns)
        situation = Situation(
            connected=self.phase not in NOT_CONNECTED and not self.close_wanted,
            logged_on=self.phase in (GatewayPhase.DOWNLOADING, GatewayPhase.READY),
            ready=self.phase == GatewayPhase.READY,
            released_seq=released_seq,
            now_ns=now_ns,
        )
        if isinstance(m, RoutedCancelAll | RoutedDeadMan):
            reason = refusal_of_account(m, seq=seq, ts=ts, epoch=epoch, view=self.view, situation=situation)
            if reason:
                return [self._say(SendRefused(request_seq=seq, reason=reason), cause=seq)]
            return self._send(m, seq, dead_man_params(m) if isinstance(m, RoutedDeadMan) else {}, now_ns)
        if isinstance(m, RoutedQuote):
            return self._quote(m, seq, ts, epoch, situation)
        reason = refusal(m, seq=seq, ts=ts, epoch=epoch, view=self.view, caps=self.caps, situation=situation)
        try:
            params = {} if reason else self._params(m, seq)
        except Unsendable as error:
            reason = error.reason
        self.view.routed(m, seq)
        if reason:
            return [self._say(SendRefused(request_seq=seq, order_id=m.order_id, reason=reason), cause=seq)]
        return self._send(m, seq, params, now_ns)

    def _quote(self, m: RoutedQuote, seq: int, ts: int, epoch: int, situation: Situation) -> list[Action]:
        parts = self.view.sides(m)
        reason = refusal_of_quote(
            m, [side for _, side in parts], seq=seq, ts=ts, epoch=epoch, view=self.view, caps=self.caps, situation=situation
        )
        params: dict[str, object] = {}
        try:
            if not reason:
                sides = []
                for part, side in parts:
                    listing = self.view.listing(side.instrument)
                    assert listing is not None
                    sides.append((side, listing, f"{self.ids.text(seq)}/{part}"))
                params = quote_params(sides)
        except Unsendable as error:
            reason = error.reason
        self.view.routed(m, seq)
        if reason:
            return [self._say(SendRefused(request_seq=seq, reason=reason), cause=seq)]
        return self._send(m, seq, params, situation.now_ns)

    def _send(
        self, m: RoutedOrder | RoutedReplace | RoutedCancel | RoutedCancelAll | RoutedDeadMan | RoutedQuote, seq: int,
        params: dict[str, object], now_ns: int,
    ) -> list[Action]:  # fmt: skip
        of_many = m if isinstance(m, RoutedCancelAll | RoutedDeadMan | RoutedQuote) else None
        order_id = 0 if isinstance(m, RoutedCancelAll | RoutedDeadMan | RoutedQuote) else m.order_id
        request_id = self.ids.text(seq)
        data = request(request_id, METHODS[type(m)], params)
        self._asked[request_id] = Asked(now_ns, seq, of_many=of_many)
        raw = raw_parts(
            data, stream=ORDER_STREAM, connection_epoch=self.connection_epoch, direction=Direction.OUT, request_seq=seq
        )
        sent = OrderSent(
            request_seq=seq, order_id=order_id, handed_ts=now_ns, bytes=len(data), stream=ORDER_STREAM,
            connection_epoch=self.connection_epoch,
        )  # fmt: skip
        return [data, *raw, Out(sent, cause=seq)]

    def _params(self, m: RoutedOrder | RoutedReplace | RoutedCancel, seq: int) -> dict[str, object]:
        orig_id = "" if isinstance(m, RoutedOrder) else self.view.client_id(self.ids, m.orig_request_seq, m.order_id)
        if isinstance(m, RoutedCancel):
            return {"origClientOrderId": orig_id, "newClientOrderId": self.ids.text(seq)}
        listing = self.view.listing(m.instrument)
        assert listing is not None
        if isinstance(m, RoutedReplace):
            return modify_params(m, listing, orig_id, self.ids.text(seq))
        return place_params(m, listing, self.ids.text(seq))

    def _query(self, m: RoutedQuery, seq: int, now_ns: int) -> list[Action]:
        if m.query not in _QUERIES:
            refused = SendRefused(request_seq=seq, order_id=m.order_id, reason=Reason.NOT_SUPPORTED_BY_VENUE)
            return [self._say(refused, cause=seq)]
        if self.phase != GatewayPhase.READY:
            return []  # the download under way, or the next one, asks for everything
        if m.query == QueryType.ORDER:
            asks = Download.of_order(self.view, self.ids, order_id=m.order_id, request_seq=m.orig_request_seq)
            return self._ask(asks, now_ns)
        if m.query == QueryType.FILLS and m.order_id:
            return self._begin_download(now_ns, Download.of_fills(self.view, self.ids, m.order_id), cause=seq)
        return self._begin_download(now_ns, Download.compared(self.view, self.ids, m.query, m.from_ts), cause=seq)

    # Frames of the venue.

    def receive(self, data: bytes, now_ns: int) -> list[Action]:
        """One frame of the API connection."""
        shown = data.replace(self.api_key.encode(), b"***") if self.api_key else data
        actions: list[Action] = list(
            raw_parts(shown, stream=ORDER_STREAM, connection_epoch=self.connection_epoch, direction=Direction.IN)
        )
        try:
            m = decode_api(data)
            heard = self._answer(m, now_ns) if isinstance(m, Response) else self._pushed(m, now_ns)
        except BadFrame as error:
            heard = list(self.complaints.of(error))
        actions += [a._replace(of_raw=not a.cause) if isinstance(a, Out) else a for a in heard]
        return actions

    def _answer(self, m: Response, now_ns: int) -> list[Action]:
        asked = self._asked.pop(m.id, None) if m.id else None
        if asked is None:
            text = f"answer to nothing asked: id {m.id!r}, status {m.status}, {m.error.msg if m.error else ''}"
            raise BadFrame(VenueErrorCode.PROTOCOL, "answer to nothing asked", text)
        usage = self._usage(m, now_ns)
        return [*usage, *self._answered(asked, m, now_ns)]

    def _usage(self, m: Response, now_ns: int) -> list[Action]:
        """The venue's budgets, where they are not as it said last."""
        if not m.rate_limits:
            return []
        try:
            said = rate_limit_usage(
                m.rate_limits, account=self.view.account, venue=self.view.venue, stream=ORDER_STREAM, now_ns=now_ns
            )
        except BadFrame as error:
            return list(self.complaints.of(error))  # the answer itself counts all the same
        if said == self._usage_said:
            return []
        self._usage_said = said
        return [self._say(said)]

    def _answered(self, asked: Asked, m: Response, now_ns: int) -> list[Action]:
        failed = m.error or (ErrorBody(m.status, "no error body") if m.status != 200 else None)
        if asked.ask is not None and asked.download is not None:
            return self._asked_for(asked.ask, asked.download, m, now_ns)
        if isinstance(asked.of_many, RoutedQuote):
            return self._quoted(asked.of_many, asked.seq, m, failed, now_ns)
        if asked.of_many is not None:
            return self._of_account(asked.of_many, asked.seq, m, failed)
        if asked.seq:
            return self._refused(asked.seq, m.status, failed, now_ns) if failed else []
        if failed:
            self._logon_refused = logon_reason(failed)
            self.close_wanted = f"logon refused: {failed.code} {failed.msg}"
            error = BadFrame(VenueErrorCode.PROTOCOL, f"logon {failed.code}", self.close_wanted)
            return [*self.complaints.of(error, venue_code=failed.code), self._status(GatewayPhase.LOGGED_OUT)]
        return [self._stream(ConnectionState.UP, Reason.UNDEFINED), *self._begin_download(now_ns)]

    def _refused(self, seq: int, status: int, error: ErrorBody, now_ns: int) -> list[Action]:
        """The venue refused a request of ours; what it refused is untouched. A 5xx says nothing about the outcome."""
        m = self.view.unanswered.get(seq)
        if m is None:
            return []
        if status >= 500:
            return self._ask(Download.of_order(self.view, self.ids, order_id=m.order_id, request_seq=seq), now_ns)
        if isinstance(m, RoutedOrder):
            return [self._say(rejected(m, seq, error))]
        to = CxlRejResponseTo.CANCEL if isinstance(m, RoutedCancel) else CxlRejResponseTo.REPLACE
        return [self._say(request_rejected(seq, m.order_id, to, error))]

    def _quoted(self, m: RoutedQuote, seq: int, response: Response, failed: ErrorBody | None, now_ns: int) -> list[Action]:
        """What became of each side of a quote. Those that are in say so by their own pushes."""
        out: list[Action] = []
        if failed is not None and response.status >= 500:
            for order_id in self.view.quoted.get(seq, {}).values():
                out += self._ask(Download.of_order(self.view, self.ids, order_id=order_id, request_seq=seq), now_ns)
            return out
        parts = dict(self.view.sides(m))
        refs: dict[str, int] = {}
        errors: dict[str, ErrorBody] = {} if failed is None else dict.fromkeys(parts, failed)
        for row in decode_quoted(response.result) if failed is None else ():
            part = row.client_order_id.rpartition("/")[2]
            if part not in parts or row.client_order_id != f"{self.ids.text(seq)}/{part}":
                raise BadFrame(VenueErrorCode.PROTOCOL, "quote side", f"answer to side {row.client_order_id[:64]!r}")
            if row.error is not None:
                errors[part] = row.error
            else:
                refs[part] = row.order_id
        out += [self._say(rejected(parts[part], seq, error)) for part, error in errors.items()]
        return out + [self._say(update) for update in quote_updates(m, seq, refs, errors)]

    def _of_account(
        self, m: RoutedCancelAll | RoutedDeadMan, seq: int, response: Response, failed: ErrorBody | None
    ) -> list[Action]:
        """What the venue answers to what is about the whole account."""
        if isinstance(m, RoutedCancelAll):
            if failed is None:
                self._sweep, self._sweep_left = seq, decode_mass_canceled(response.result).affected
                return [self._say(mass_canceled(m, seq, self._sweep_left, Reason.UNDEFINED))]
            reason = Reason.OUTCOME_UNKNOWN if response.status >= 500 else reason_of(failed)
            return [self._say(mass_canceled(m, seq, 0, reason))]
        fires_ts = decode_counting_down(response.result).fires_at * NS_PER_MS if failed is None else 0
        state = VenueDeadMan(
            fires_ts=fires_ts, account=m.account, venue=self.view.venue, state=m.action, confirmed=failed is None
        )
        out: list[Action] = [self._say(state)]
        if failed is not None:
            error = BadFrame(VenueErrorCode.PROTOCOL, f"countdown {failed.code}", f"countdown: {failed.code} {failed.msg}")
            out += self.complaints.of(error, venue_code=failed.code)
        return out

    def _pushed(self, m: OrderTradeUpdate | FundingUpdate, now_ns: int) -> list[Action]:
        number = m.o.v if isinstance(m, OrderTradeUpdate) else m.f.v
        missed = self._event_number and number > self._event_number + 1
        self._event_number = max(self._event_number, number)
        out = self._push(m) if isinstance(m, OrderTradeUpdate) else self._funded(m)
        if missed:
            out += self.complaints.of(BadFrame(VenueErrorCode.PROTOCOL, "pushes missing", f"pushes missing before {number}"))
            out += self._begin_download(now_ns)
        return out

    def _funded(self, m: FundingUpdate) -> list[Action]:
        listing = self.view.listing_named(m.f.s)
        if listing is None:
            raise BadFrame(VenueErrorCode.PROTOCOL, f"symbol {m.f.s[:64]}", f"push for unknown symbol {m.f.s[:64]!r}")
        return [self._say(pushed_funding(m, listing, self.view.account, self.view.currencies))]

    def _push(self, m: OrderTradeUpdate) -> list[Action]:
        listing = self.view.listing_named(m.o.s)
        if listing is None:
            raise BadFrame(VenueErrorCode.PROTOCOL, f"symbol {m.o.s[:64]}", f"push for unknown symbol {m.o.s[:64]!r}")
        known = self._known(m.o.C or m.o.c, m.o.c)
        if self._sweep_left and self._is_swept(m, known):
            self._sweep_left -= 1
            known = msgspec.structs.replace(known, request_seq=self._sweep)
        out: list[Action] = []
        if m.o.x == "TRADE":
            out.append(self._say(push_fill(m, listing, known, self.view.currencies)))
        else:
            out.append(self._say(push_update(m, listing, known)))
        if m.o.r not in END_REASONS:
            error = BadFrame(VenueErrorCode.UNKNOWN_ENUM, f"end reason {m.o.r[:64]}", f"end reason {m.o.r[:64]!r} is unknown")
            out += self.complaints.of(error)
        return out

    def _is_swept(self, m: OrderTradeUpdate, known: Known) -> bool:
        """Whether an end was asked for by a cancel of everything: it names no cancel of its own."""
        asked = isinstance(self.view.unanswered.get(known.request_seq), RoutedCancel)
        return m.o.x == "CANCELED" and END_REASONS.get(m.o.r) == Reason.USER_REQUEST and not asked

    def _known(self, place_id: str, request_id: str) -> Known:
        place_seq, order_id = self.view.named(self.ids, place_id)
        if not order_id:
            return Known(account=self.view.account)
        request_seq, of = self.view.named(self.ids, request_id)
        return Known(request_seq if of == order_id else place_seq, order_id, self.view.account)

    # Questions.

    def _begin_download(self, now_ns: int, download: Download | None = None, *, cause: int = 0) -> list[Action]:
        """What may have been missed, which stops trading until it is here; or what is only compared, which does not.

        `cause`: the query that asks for it; 0: we do."""
        out: list[Action] = []
        compared = download is not None and download.compares
        if self.download is not None:
            if compared or not self.download.compares:
                return []
            out += self._end_download(complete=False)
        self._downloads += 1
        self._download_at = NEVER
        self.download = download or Download.whole(self.view, self.ids)
        contents = DOWNLOAD_CONTENTS | (COMPARED_CONTENTS if compared else 0)
        begin = DownloadBegin(account=self.view.account, download=self._downloads, contents=contents, gateway=self.gateway)
        if not compared:
            out.append(self._status(GatewayPhase.DOWNLOADING))
        return [*out, Out(begin, cause=cause), *self._ask(self.download, now_ns)]

    def _ask(self, download: Download, now_ns: int) -> list[Action]:
        out: list[Action] = []
        for ask in download.due():
            request_id = f"{ask.what}-{next(self._numbers)}"
            self._asked[request_id] = Asked(now_ns, ask.seq, ask, download)
            out.append(download.text(ask, request_id))
        return out

    def _asked_for(self, ask: Ask, download: Download, m: Response, now_ns: int) -> list[Action]:
        out: list[Action] = []
        try:
            out += download.answered(ask, m, now_ns)
        except (QuestionFailed, BadFrame) as error:
            bad = error if isinstance(error, BadFrame) else BadFrame(VenueErrorCode.PROTOCOL, f"ask {ask.what}", str(error))
            out += self.complaints.of(bad)
            if download is self.download:
                out += self._end_download(complete=False)
                if not download.compares:  # else whoever compares asks again
                    self._download_at = now_ns + DOWNLOAD_AGAIN_NS
            return out
        out += self._ask(download, now_ns)
        if download is self.download and download.done:
            out += self._end_download(complete=True)
            if not download.compares:
                out.append(self._status(GatewayPhase.READY))
        return out

    def _end_download(self, *, complete: bool) -> list[Action]:
        download, self.download = self.download, None
        if download is None:
            return []
        # Late answers of an abandoned run mean nothing any more.
        self._asked = {i: a for i, a in self._asked.items() if a.download is not download}
        end = DownloadEnd(
            account=self.view.account, download=self._downloads, rows=download.rows, gateway=self.gateway, complete=complete
        )
        return [Out(end)]

    # Time.

    def next_timer_ns(self) -> int:
        """When on_timer wants to be called; NEVER if not."""
        oldest = next(iter(self._asked.values()), None)
        return min(oldest.sent_ns + self.answer_within_ns if oldest else NEVER, self._download_at)

    def on_timer(self, now_ns: int) -> list[Action]:
        """The venue answers in order: if the oldest request has no answer in time, the connection is as good as dead."""
        oldest = next(iter(self._asked.values()), None)
        if oldest is not None and oldest.sent_ns + self.answer_within_ns <= now_ns:
            self.close_wanted = f"no answer within {self.answer_within_ns // 1_000_000} ms"
        if self._download_at <= now_ns:
            return self._begin_download(now_ns)
        return []

    def resumed(self, now_ns: int) -> list[Action]:
        """We were cut off from the stream, and left frames unread: the venue's time to answer begins anew. The stream may have
        taken us for gone, which shuts the gate: that the connection is READY is said again."""
        self._asked = {i: msgspec.structs.replace(a, sent_ns=now_ns) for i, a in self._asked.items()}
        return [self._status(self.phase)] if self.phase == GatewayPhase.READY else []

    # Messages.

    def _say(self, message: Message, cause: int = 0) -> Out:
        self.view.said(message)
        return Out(message, cause=cause)

    def _status(self, phase: GatewayPhase) -> Out:
        self.phase = phase
        available = SUPPORTED if phase == GatewayPhase.READY else 0
        return Out(
            GatewayStatus(
                supported=SUPPORTED, available=available, unavailable=SUPPORTED & ~available, account=self.view.account,
                gateway=self.gateway, venue=self.view.venue, phase=phase,
            )
        )  # fmt: skip

    def _stream(self, connection: ConnectionState, reason: Reason) -> Out:
        return Out(
            StreamStatus(
                account=self.view.account, stream=ORDER_STREAM, venue=self.view.venue, connection_epoch=self.connection_epoch,
                reason=reason, connection=connection, transport=Transport.TCP, protocol=Protocol.WS, encoding=Encoding.JSON,
                path="/ws-api",
            )
        )  # fmt: skip
