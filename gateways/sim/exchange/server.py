"""The two endpoints: who is connected, who is logged on, and the order in which things reach them."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse

from apps.venue.events import VenueEvent
from gateways.sim.exchange.accounts import Push
from gateways.sim.exchange.faults import LATE_MS, Faults
from gateways.sim.exchange.feed import MarketFrame, status_frame
from gateways.sim.exchange.hub import Hub, Subscriber
from gateways.sim.exchange.outlet import Outlet
from gateways.sim.exchange.requests import CHANGING, DEAD_MAN, Desk, Outcome, Params, Request, RequestError, read_request
from gateways.sim.exchange.settings import ExchangeSettings
from journal.messages.enums import Reason

CLIENT_FRAME_BYTES_MAX = 1 << 16
HALT, RESUME = "admin.halt", "admin.resume"
GARBAGE_MAX = 100  # unreadable frames before a connection is closed
REPLACED = 4001  # close code of a session whose key has logged on elsewhere


class Session:
    """One connection to /ws-api. `account` is 0 until the logon; `ended` stops execution of what it has sent."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.account = 0
        self.ended = False
        self.garbage = 0


class ExchangeServer:
    """`on_events`: the public side of what an order did (the generated market's feed)."""

    def __init__(
        self,
        settings: ExchangeSettings,
        desk: Desk,
        hub: Hub,
        faults: Faults,
        *,
        on_events: Callable[[Sequence[VenueEvent], int], None],
        say: Callable[[dict[str, Any]], None],
        keep: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._hub = hub
        self._faults = faults
        self._on_events = on_events
        self._say = say
        self._keep = keep
        self._sessions: dict[Session, None] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.requests = 0

    def listening(self) -> AbstractAsyncContextManager[Server]:
        """Listens while the context is open."""
        return serve(
            self._serve,
            self._settings.host,
            self._settings.port,
            process_request=_refuse_other_paths,
            compression=None,
            max_size=CLIENT_FRAME_BYTES_MAX,
            ping_interval=20,
            ping_timeout=60,
            close_timeout=1,
            server_header=None,
        )

    def push(self, pushes: Sequence[Push], delay_s: float = 0.0) -> None:
        """To the owner's session, if it has one, unless a fault befalls it."""
        if pushes and self._keep is not None:
            self._keep()
        for push in pushes:
            fault = self._faults.of_push()
            for session in self._sessions:
                if session.account != push.account or session.ended or fault == "lose_push":
                    continue
                if fault == "late_push":  # behind what comes after it
                    late_s = self._faults.late_ms[fault] / 1000
                    asyncio.get_running_loop().call_later(late_s, session.outlet.put, push.text)
                    continue
                session.outlet.put(push.text, delay_s=delay_s)
                if fault == "duplicate_push":
                    session.outlet.put(push.text)

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        endpoint = url.path.strip("/")

        def slow(outlet: Outlet) -> None:
            self._say({"event": "slow_client", "endpoint": endpoint, "peer": outlet.peer, "queued": outlet.queued})

        outlet = Outlet(connection, self._settings.client_queue, slow)
        writer = asyncio.create_task(outlet.write())
        try:
            if endpoint == "stream":
                await self._market(connection, outlet, parse_qs(url.query).get("streams", []))
            else:
                await self._requests(connection, outlet)
        except ConnectionClosed:
            pass  # the client's right, at any time
        finally:
            outlet.closed = True
            writer.cancel()

    # /stream

    async def _market(self, connection: ServerConnection, outlet: Outlet, streams: list[str]) -> None:
        subscriber = Subscriber(outlet, frozenset(name for text in streams for name in text.split("/") if name))
        self._hub.join(subscriber)
        status = self._status(time.time_ns())
        if self._halts and subscriber.wants(status.stream):  # one may have come or gone while it was away
            outlet.put(status.text)
        try:
            async for _ in connection:
                pass  # nothing to say here
        finally:
            self._hub.leave(subscriber)

    # /ws-api

    async def _requests(self, connection: ServerConnection, outlet: Outlet) -> None:
        session = Session(outlet)
        self._sessions[session] = None
        try:
            async for frame in connection:
                if session.ended or outlet.closed:
                    return
                self._on_frame(session, frame)
                if session.garbage >= GARBAGE_MAX:
                    await connection.close(1008, "too many frames that are no requests")
                    return
        finally:
            session.ended = True
            del self._sessions[session]
            if session.account and not any(s.account == session.account and not s.ended for s in self._sessions):
                self.deserted(session.account)

    def deserted(self, account: int) -> None:
        """Nobody is there any more for an account."""
        if self._settings.cancel_on_disconnect:
            now_ns = time.time_ns()
            self._tell(self._desk.end_all(account, Reason.CANCEL_ON_DISCONNECT, now_ns), now_ns)

    def _on_frame(self, session: Session, frame: str | bytes) -> None:
        """One request of a client."""
        self.requests += 1
        self._carry_out(session, frame)

    def _carry_out(self, session: Session, frame: str | bytes, *, slowly: bool = False) -> None:
        """Execute a request; answer, then its pushes, then the public feed. `slowly`: it has waited already."""
        if slowly and (session.ended or session.outlet.closed):
            return  # what a session had sent and was not executed yet never will be
        now_ns = time.time_ns()
        request: Request | None = None
        outcome = Outcome(None)
        try:
            request = read_request(frame)
            changing = request.method in CHANGING and session.account != 0
            fault = self._faults.of_request(request.method) if changing and not slowly else ""
            if fault == "slow_cancel":  # what comes meanwhile is executed first
                late_s = self._faults.late_ms[fault] / 1000
                asyncio.get_running_loop().call_later(late_s, partial(self._carry_out, session, frame, slowly=True))
                return
            if fault == "lose_request":
                session.outlet.cut()
                return
            if fault in _REFUSED_BY_FAULT:
                raise _REFUSED_BY_FAULT[fault]
            outcome = self._execute(session, request, now_ns)
            if outcome.pushes and self._keep is not None:
                self._keep()
            if fault == "lose_answer":
                session.outlet.cut()
            elif fault == "unsure":
                raise UNSURE
            answer: dict[str, Any] = {"id": request.id, "status": 200, "result": outcome.result}
        except RequestError as error:
            if request is None:
                session.garbage += 1
            answer = _error(request, error)
        except Exception:  # our bug: say so, keep serving the others
            traceback.print_exc(file=sys.stderr)
            answer = _error(request, RequestError(-1000, "An unknown error occurred while processing the request.", 500))
        if request is not None and request.method in CHANGING and (usage := self._desk.usage(session.account, now_ns)):
            answer["rateLimits"] = usage
        delay_s = self._faults.take_delay_ms() / 1000
        session.outlet.put(msgspec.json.encode(answer), delay_s=delay_s)
        self._tell(outcome, now_ns)
        if request is not None and request.method == DEAD_MAN and isinstance(outcome.result, dict):
            self._count_down(session.account, outcome.result["countdownTime"] / 1000)

    def _tell(self, outcome: Outcome, now_ns: int) -> None:
        self.push(outcome.pushes)
        if outcome.events:
            self._on_events(outcome.events, now_ns)

    async def charge_funding(self) -> None:
        """At whole multiples of the interval, for ever."""
        interval_ns = self._settings.funding_interval_s * 1_000_000_000
        due_ns = time.time_ns() // interval_ns * interval_ns
        while True:
            due_ns += interval_ns
            while (left_ns := due_ns - time.time_ns()) > 0:
                await asyncio.sleep(left_ns / 1e9)
            self.push(self._desk.fund(self._settings.funding_rate, due_ns // 1_000_000))

    def _count_down(self, account: int, seconds: float) -> None:
        """Look when the countdown may be over; one that was begun anew meanwhile is looked at later."""
        if seconds:
            asyncio.get_running_loop().call_later(seconds + 0.001, self._look_at_dead_man, account)

    def _look_at_dead_man(self, account: int) -> None:
        now_ns = time.time_ns()
        outcome = self._desk.dead_man(account, now_ns)
        if outcome is not None:
            self._tell(outcome, now_ns)

    def _execute(self, session: Session, request: Request, now_ns: int) -> Outcome:
        if request.method == "session.logon":
            return self._logon(session, Params(request.params, ("apiKey",)), now_ns)
        if request.method == "admin.fault" and self._settings.admin:
            return self._arm(session, Params(request.params, ("fault", "count", "ms", "bytes")))
        if request.method in (HALT, RESUME) and self._halts:
            Params(request.params, ())
            return self._turn_market(now_ns, halted=request.method == HALT)
        return self._desk.execute(request, session.account, now_ns)

    def _logon(self, session: Session, params: Params, now_ns: int) -> Outcome:
        """One key, one session: whatever an older one has sent and was not executed yet never will be."""
        key = params.text("apiKey")
        if key not in self._settings.api_keys:
            raise RequestError(-2015, "Invalid API-key.", 401)
        account = self._settings.api_keys.index(key) + 1
        for other in self._sessions:
            if other.account == account and other is not session and not other.ended:
                other.ended = True
                task = asyncio.create_task(other.outlet.connection.close(REPLACED, "replaced by a newer logon"))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        left, session.account = session.account, account
        if left not in (0, account):
            self.deserted(left)
        return Outcome({"apiKey": key, "authorizedSince": now_ns // 1_000_000, "account": account})

    def _turn_market(self, now_ns: int, *, halted: bool) -> Outcome:
        outcome = self._desk.halt(now_ns, cancel=self._settings.halt_cancels) if halted else self._desk.resume()
        self._hub.publish((self._status(now_ns),))
        return outcome

    @property
    def _halts(self) -> bool:
        """Whether the market can be halted: what was recorded goes on."""
        return self._settings.admin and not self._settings.captures

    @property
    def halted(self) -> bool:
        return self._desk.halted

    def _status(self, now_ns: int) -> MarketFrame:
        return status_frame(self._hub.symbol, self._desk.status, now_ns)

    def _arm(self, session: Session, params: Params) -> Outcome:
        fault = params.text("fault")
        count = params.integer("count", 1, 1, 10**6)
        if fault in self._faults.armed:
            self._faults.armed[fault] += count
            if fault in self._faults.late_ms:
                self._faults.late_ms[fault] = params.integer("ms", LATE_MS, 1, 600_000)
        elif fault == "delay":
            self._faults.delay_count, self._faults.delay_ms = count, params.integer("ms", 100, 1, 600_000)
        elif fault == "drop_api":
            for other in list(self._sessions):
                if other is not session:
                    other.ended = True
                    other.outlet.cut()
        elif fault in ("drop_market", "garbage", "binary", "oversize"):
            self._hub.misbehave(fault, params.integer("bytes", self._settings.faults.oversize_bytes, 1, 1 << 28))
        else:
            raise RequestError(-1102, f"Parameter 'fault' {fault[:40]!r} is none of the documented faults.")
        return Outcome({"fault": fault})


UNSURE = RequestError(-1007, "Timeout waiting for response; send status unknown.", 503)
_REFUSED_BY_FAULT = {
    "reject": RequestError(-2010, "NEW_ORDER_REJECTED: refused on purpose."),
    "rate_limit": RequestError(-1003, "Too many requests: refused on purpose.", 429),
    "unsure_undone": UNSURE,
}


def _error(request: Request | None, error: RequestError) -> dict[str, Any]:
    return {
        "id": None if request is None else request.id,
        "status": error.status,
        "error": {"code": error.code, "msg": error.msg},
    }


def _refuse_other_paths(connection: ServerConnection, request: HttpRequest) -> HttpResponse | None:
    if urlsplit(request.path).path in ("/stream", "/ws-api"):
        return None
    return connection.respond(HTTPStatus.NOT_FOUND, "endpoints: /stream, /ws-api\n")
