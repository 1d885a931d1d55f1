"""run_exchange: one process from its sockets to its signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from apps.venue.desk import Order
from apps.venue.events import VenueEvent
from apps.venue.matching import MatchingEngine
from apps.venue.recorded import RecordedVenue
from gateways.sim.exchange.accounts import Accounts, OrderRecord
from gateways.sim.exchange.capture import Capture, Cut, WrongCapture, probe
from gateways.sim.exchange.faults import Faults
from gateways.sim.exchange.feed import Feed
from gateways.sim.exchange.hub import Hub
from gateways.sim.exchange.limits import limits_of
from gateways.sim.exchange.listing import Listing, generated_listing
from gateways.sim.exchange.market import Agents, OrderIds
from gateways.sim.exchange.playback import BadLine, Playback
from gateways.sim.exchange.requests import Desk
from gateways.sim.exchange.server import ExchangeServer
from gateways.sim.exchange.settings import BadSettings, ExchangeSettings, checked, read_settings
from gateways.sim.exchange.stored import load, save
from journal.messages.enums import TimeInForce

SLEEP_MIN_S = 0.001  # shorter waits are served together
BATCH = 64  # recorded lines between two looks at the event loop
IDS_A_MILLISECOND = 1000  # order and trade ids begin at the time of the start: a restarted venue never uses one again
CATCH_UP_STEPS = 200  # agent actions at most made good after a stall


def run_exchange(settings: ExchangeSettings) -> int:
    """Serve until SIGTERM or SIGINT. Exit code 0, or 2 with one line on standard error."""
    try:
        checked(settings)
        listing = probe(settings) if settings.captures else generated_listing(settings)
        return _run(_exchange(settings, listing))
    except (BadSettings, WrongCapture) as error:
        print(f"exchange: {error}", file=sys.stderr, flush=True)
    except (OSError, OverflowError) as error:
        print(f"exchange: cannot listen on {settings.host}:{settings.port}: {error}", file=sys.stderr, flush=True)
    return 2


def main(arguments: list[str]) -> int:
    """SETTINGS: JSON text, or the path of a JSON file; nothing is a generated market."""
    if len(arguments) > 1:
        print(f"exchange: found {len(arguments)} arguments, expected one: settings as JSON text or a file", file=sys.stderr)
        return 2
    text = arguments[0] if arguments else "{}"
    try:
        settings = read_settings(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except BadSettings as error:
        print(f"exchange: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"exchange: {text}: cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    return run_exchange(settings)


def _run(exchange: Coroutine[Any, Any, int]) -> int:
    """On uvloop where it is present."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        import uvloop

        loop_factory = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(exchange)


def _say(event: dict[str, Any]) -> None:
    """One JSON line for whoever started us; nobody may be listening any more."""
    try:
        print(json.dumps(event, separators=(",", ":")), flush=True)
    except BrokenPipeError:
        # Silence the interpreter's own flush at exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _exchange(settings: ExchangeSettings, listing: Listing) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    faults = Faults(settings.faults)
    hub = Hub(faults, listing.symbol)
    accounts = Accounts(listing, len(settings.api_keys), settings.deposit)
    first_id = time.time_ns() // 1_000_000 * IDS_A_MILLISECOND
    ids = OrderIds(first_id)
    market: _Generated | _Recorded
    if settings.captures:
        market = _Recorded(settings, listing, accounts, hub)
    else:
        market = _Generated(settings, listing, accounts, hub, ids)
    market.venue.last_trade_id = first_id
    keep: Callable[[], None] | None = None
    if settings.state is not None:
        state = Path(settings.state)
        _resume(load(state, listing.symbol, accounts), market, accounts)
        keep = partial(save, state, listing.symbol, accounts)
        keep()
    desk = Desk(
        listing, market.venue, accounts, market.view, ids, settings.native, settings.order_limit, settings.order_window_s,
        limits_of(settings, listing), settings.read_only,
    )  # fmt: skip
    server = ExchangeServer(settings, desk, hub, faults, on_events=market.on_order_events, say=_say, keep=keep)
    market.server = server
    for account in accounts.accounts:  # of those that come back from a state, every session ended with the last process
        server.deserted(account.number)
    async with server.listening() as listener:
        host, port = next(iter(listener.sockets)).getsockname()[:2]
        _say({"event": "listening", "host": host, "port": port, "symbol": listing.symbol, "pid": os.getpid()})
        playing = asyncio.create_task(market.run())
        funding = asyncio.create_task(server.charge_funding()) if settings.funding_interval_s else None
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()  # a market that failed ends the process with its error
        await stopped.wait()
        playing.cancel()
        if funding is not None:
            funding.cancel()
    _say(
        {
            "event": "stopped",
            "market_messages": hub.frames,
            "requests": server.requests,
            "orders": accounts.order_count,
            "trades": accounts.trade_count,
        }
    )
    return 0


def _resume(orders: Sequence[OrderRecord], market: _Generated | _Recorded, accounts: Accounts) -> None:
    """Open orders come back to the book; nobody is there yet to be told what that does."""
    now_ns = time.time_ns()
    for record in orders:
        order = Order(
            order_id=record.order_id, account=record.account, side=record.side, px=record.px, order_qty=record.order_qty,
            post_only=record.tif == TimeInForce.GTX, entered_ns=now_ns,
        )  # fmt: skip
        order.cum_qty, order.leaves_qty = record.cum_qty, record.order_qty - record.cum_qty
        if record.status == "UNTRIGGERED":
            market.venue.resume_stop(order, ord_type=record.ord_type, tif=record.tif, stop_px=record.stop_px)
            continue
        events = market.venue.resume(order, now_ns)
        accounts.absorb(events)
        market.on_order_events(events, now_ns)


class _Generated:
    """The seeded agents' market. Their next action is due `1 / rate` seconds later on average, memoryless."""

    server: ExchangeServer

    def __init__(self, settings: ExchangeSettings, listing: Listing, accounts: Accounts, hub: Hub, ids: OrderIds) -> None:
        self.venue = MatchingEngine(listing.rules)
        self._agents = Agents(listing, self.venue, seed=settings.seed, start_px=settings.start_px, ids=ids)
        self._pauses = Random(f"pauses {settings.seed}")  # apart, so that the rate does not change the decisions
        self._rate = settings.rate
        self._accounts = accounts
        self._hub = hub
        self.view = self._feed = Feed(listing, self.venue)
        now_ns = time.time_ns()
        self._feed.frames(self._agents.open(now_ns), now_ns)  # nobody is there yet to be told

    def on_order_events(self, events: Sequence[VenueEvent], now_ns: int) -> None:
        """A client's request moved the public book."""
        self._agents.absorb(events)
        self._hub.publish(self._feed.frames(events, now_ns))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._pauses.expovariate(self._rate)
            now = loop.time()
            if due > now + SLEEP_MIN_S:
                await asyncio.sleep(due - now)
            else:
                due = max(due, now - CATCH_UP_STEPS / self._rate)
                await asyncio.sleep(0)
            if self.server.halted:
                continue
            now_ns = time.time_ns()
            events = self._agents.step(now_ns)
            self.server.push(self._accounts.absorb(events))
            self._hub.publish(self._feed.frames(events, now_ns))


class _Recorded:
    """A capture. `max` waits for the slowest subscriber and for one to be there; a pace waits for nobody."""

    server: ExchangeServer

    def __init__(self, settings: ExchangeSettings, listing: Listing, accounts: Accounts, hub: Hub) -> None:
        self.venue = RecordedVenue(listing.rules)
        self.view = self._playback = Playback(listing, self.venue)
        self._settings = settings
        self._accounts = accounts
        self._hub = hub

    def on_order_events(self, events: Sequence[VenueEvent], now_ns: int) -> None:
        """Our orders never change what was recorded."""

    async def run(self) -> None:
        await self._hub.first.wait()
        file = self._settings.captures[0]
        _say({"event": "capture_started", "file": file, "speed": self._settings.speed})
        capture = Capture(self._settings.captures)
        messages, cut = 0, None
        pace = None if self._settings.pace is None else float(self._settings.pace)
        loop = asyncio.get_running_loop()
        start, first_ns = loop.time(), 0
        for line in capture:
            first_ns = first_ns or line.recv_ns
            if pace is not None:
                wait_s = start + (line.recv_ns - first_ns) / 1e9 / pace - loop.time()
                if wait_s > SLEEP_MIN_S:
                    await asyncio.sleep(wait_s)
            if messages % BATCH == 0:
                await asyncio.sleep(0)
            if pace is None:
                await self._hub.present()
                await self._hub.room()
            try:
                frame, events = self._playback.play(line, time.time_ns())
            except BadLine as error:
                cut = Cut(file, line.number, messages, str(error))
                break
            messages += 1
            self._hub.publish((frame,))
            if events:
                self.server.push(self._accounts.absorb(events))
        cut = cut or capture.cut
        if cut is not None:
            print(f"exchange: {cut}", file=sys.stderr, flush=True)
            _say({"event": "capture_cut", "file": cut.file, "line": cut.line, "kept": cut.kept, "detail": cut.detail})
        await self._hub.empty()
        _say({"event": "end_of_capture", "messages": messages, "cut": cut is not None})
