"""The gateway process: sockets, rings and the journal's tail around the two sans-I/O sessions. It decides nothing.

    journal tail ──► OrderView / OrderEntry ──► /ws-api (trading)      frames of the venue ──► sessions ──► two rings

A routed frame is handed over when the watermark that the session's policy names has passed it. While the sequencer is
gone the venue connections stay, unread; when it is back the rings are attached anew and nothing is lost or doubled.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uvloop

from apps import exits
from gateways.network import Line
from gateways.sim.market_data import MARKET_STREAM, MarketDataSession
from gateways.sim.order_entry import ORDER_STREAM, Action, OrderEntry
from gateways.sim.order_view import OrderView
from gateways.sim.session import Out
from gateways.sim.settings import SimGatewaySettings
from gateways.sim.tail import Tail
from journal import logs
from journal.clock import Clock, SystemClock
from journal.messages import OWN_CAUSE, AlertSeverity, DurabilityPolicy, Flag, IdScheme, LogRecord, RawMessage, Reason
from journal.messages.client_ids import TERMS, ClientIds
from journal.messages.keeping import Keep
from journal.notify import Heartbeat, Notifier
from sequencer.attach import AttachError
from sequencer.client import Publisher, PublisherRefused, SequencerGone

ATTACH_WITHIN_S = 10.0
REATTACH_EVERY_S = 0.1
REATTACH_WITHIN_S = 60.0
TIMER_FINEST_S = 0.01
POLLS_MAX = 16
CAUSE_REACH = 32
"""An own earlier message may be named as cause while the sequencer remembers its number: 64 messages long."""


def log_line(text: str) -> Out:
    """A line of ours that belongs to the record."""
    return Out(LogRecord(severity=AlertSeverity.NOTICE, text=text[:500]))


class Gateway:
    """One running gateway."""

    def __init__(
        self, journal: Path, name: str, settings: SimGatewaySettings, *, policy: DurabilityPolicy, clock: Clock, keep: Keep
    ) -> None:
        self.settings = settings
        self.name = name
        self.clock = clock
        self.exit_code = exits.OK
        self.market_source = Publisher.connect(journal, f"{name}-md", timeout_s=ATTACH_WITHIN_S)
        self.trading_source = Publisher.connect(journal, f"{name}-trade", timeout_s=ATTACH_WITHIN_S)
        self.view = OrderView(
            venue_name=settings.venue, account_name=settings.account, source=self.trading_source.source, keep=keep
        )
        self.tail = Tail(journal, self.trading_source, self.view, symbols=settings.symbols, policy=policy)
        self.market: MarketDataSession | None = None
        self.orders: OrderEntry | None = None
        self.lines: list[Line] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._raw_seq = {self.market_source.name: 0, self.trading_source.name: 0}
        self._timer: asyncio.TimerHandle | None = None
        self._stop = asyncio.Event()
        self._reattach_until = 0.0
        self._watched: list[int] = []
        self._lost: list[Publisher] = []  # to be attached anew
        self._ended = False
        self.log = logs.Log(f"gateway-{name}")
        self.notifier = Notifier()
        self._beats = 0
        self.heartbeat = Heartbeat(self.notifier, lambda: self._beats)

    async def run(self) -> int:
        """Run until SIGTERM or an error; returns the exit code."""
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._broken)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._stop.set)
        self._watch_rings()
        self._beat()
        self._wake()
        await self._stop.wait()
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.exit_code

    def _beat(self) -> None:
        """That this is called is the proof: the event loop turns."""
        self._beats += 1
        self.heartbeat.tick()
        left_s = self.heartbeat.left_s()
        if left_s is not None:
            self.loop.call_later(left_s, self._beat)

    # The journal's tail.

    def _watch_rings(self) -> None:
        fds = self.trading_source.park_fd(), self.trading_source.connection_fd()
        self.loop.add_reader(fds[0], self._wake)
        self.loop.add_reader(fds[1], self._sequencer_gone)
        self._watched = list(fds)

    def _unwatch_rings(self) -> None:
        while self._watched:
            self.loop.remove_reader(self._watched.pop())

    def _wake(self) -> None:
        """New frames, or more of them durable."""
        if self._ended:
            return
        self.trading_source.disarm()
        armed = False
        for _ in range(POLLS_MAX):
            more = self.tail.poll()
            if self.orders is None and self.tail.ready:
                self._start()
            self._release()
            if more:
                continue
            if armed:
                self.trading_source.saw(self.tail.last_seq)
                return
            self.trading_source.arm()  # what came before this wakes nobody: look once more
            armed = True
        self.loop.call_soon(self._wake)  # there is more; the sockets have their turn first

    def _release(self) -> None:
        if self.orders is None:
            return
        for request in self.tail.released():
            released_seq, now_ns = self.tail.released_seq, self.clock.now_ns()
            m, seq, ts, epoch = request
            self._trade(self.orders.routed(m, seq=seq, ts=ts, epoch=epoch, released_seq=released_seq, now_ns=now_ns))

    # The venue.

    def _start(self) -> None:
        """The past is read and everything is defined: open the lines."""
        view, s, epochs = self.view, self.settings, self.view.last_connection_epochs
        ids = ClientIds(s.tag_of(view.stream_id), view.id_scheme)
        if misfit := ids.misfit(TERMS["sim"]):
            raise ValueError(f"tag {ids.tag!r}, id_scheme {IdScheme(view.id_scheme).name}: {misfit}")
        if view.client_ref and not ids.seq(view.client_ref):
            raise ValueError(
                f"tag {ids.tag!r}: the journal's orders were sent as {view.client_ref!r}; keep it and the id_scheme, "
                "or start a new journal"
            )
        self.tail.go_live()
        self.market = MarketDataSession(
            self.tail.listings(), venue=view.venue, last_epoch=epochs.get((self.market_source.source, MARKET_STREAM), 0),
            raw=s.raw_market_data, silent_after_ns=s.silent_after_ms * 1_000_000,
        )  # fmt: skip
        self.orders = OrderEntry(
            view, ids=ids, api_key=s.key(), caps=s.caps(), gateway=self.trading_source.source,
            last_epoch=epochs.get((self.trading_source.source, ORDER_STREAM), 0),
            answer_within_ns=s.answer_within_ms * 1_000_000,
        )  # fmt: skip
        market, orders, now = self.market, self.orders, self.clock.now_ns
        base = f"ws://{s.host}:{s.port}"

        def market_closed(why: str) -> None:
            self._quote([*market.disconnected(), log_line(f"/stream: {why}")])

        def orders_closed(why: str) -> None:
            self._trade([*orders.disconnected(), log_line(f"/ws-api: {why}")])

        self._trade(orders.started())
        self.depth_line = Line(
            f"{base}/ws-api", opened=lambda: self._quote([]), received=lambda d: self._quote(market.receive_answer(d, now())),
            closed=lambda why: self._quote([log_line(f"/ws-api for snapshots: {why}")]), max_frame_bytes=s.max_frame_bytes,
        )  # fmt: skip
        self.order_line = Line(
            f"{base}/ws-api", opened=lambda: self._trade(orders.connected(now())),
            received=lambda d: self._trade(orders.receive(d, now())), closed=orders_closed, max_frame_bytes=s.max_frame_bytes,
        )  # fmt: skip
        market_line = Line(
            f"{base}/stream", opened=lambda: self._quote(market.connected(now())),
            received=lambda d: self._quote(market.receive(d, now())), closed=market_closed, max_frame_bytes=s.max_frame_bytes,
        )  # fmt: skip
        self.lines = [self.order_line, self.depth_line, market_line]
        self._tasks = [self.loop.create_task(line.run()) for line in self.lines]
        self.log.info("lines open", venue=s.venue, account=s.account, url=base)
        self.notifier.ready(f"{self.name} on {base}")

    def _quote(self, out: list[Out]) -> None:
        """Publish what the market session said, send what it asks for."""
        assert self.market is not None
        self._publish(self.market_source, out)
        if self.depth_line.is_open:
            for data in self.market.requests(self.clock.now_ns()):
                self.depth_line.send(data)
        self._arm_timer(self.market.next_timer_ns())

    def _trade(self, actions: list[Action]) -> None:
        """Do what the order session said, in its order: bytes to the socket, messages to the ring."""
        assert self.orders is not None
        said: list[Out] = []
        for action in actions:
            if isinstance(action, Out):
                said.append(action)
            else:
                self._publish(self.trading_source, said)
                said = []
                self.order_line.send(action)
        self._publish(self.trading_source, said)
        if self.orders.close_wanted:
            self.order_line.cut(self.orders.close_wanted)
        self._arm_timer(self.orders.next_timer_ns())

    def _publish(self, publisher: Publisher, out: Iterable[Out]) -> None:
        messages = list(out)
        if not messages or self._ended:
            return
        now_ns, last = self.clock.now_ns(), len(messages) - 1
        with publisher.batch():
            for at, (message, of_raw, cause, flags) in enumerate(messages):
                raw_seq = self._raw_seq[publisher.name]
                if of_raw and raw_seq:
                    # Far behind the raw frame (a long join, a long download), the message before leads back to it.
                    before = publisher.next_source_seq - 1
                    cause = OWN_CAUSE | (raw_seq if before - raw_seq < CAUSE_REACH else before)
                flags |= Flag.SIMULATED | (Flag.LAST if at == last else 0)
                try:
                    number = publisher.publish(message, cause=cause, origin_ts=now_ns, flags=flags)
                except SequencerGone:
                    publisher.reconnect(REATTACH_WITHIN_S)
                    number = publisher.publish(message, cause=cause, origin_ts=now_ns, flags=flags)
                if isinstance(message, RawMessage):
                    self._raw_seq[publisher.name] = number

    # Time.

    def _arm_timer(self, due_ns: int) -> None:
        """One timer for both sessions, moved only forward: a session that wants a later one is asked and says so."""
        delay_s = max((due_ns - self.clock.now_ns()) / 1e9, TIMER_FINEST_S)
        when = self.loop.time() + min(delay_s, 3600.0)
        if self._timer is None or self._timer.cancelled() or when < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        assert self.market is not None
        assert self.orders is not None
        self._timer = None
        if self._lost:
            return  # nothing is read now; `_reattach` arms it again
        now_ns = self.clock.now_ns()
        self._quote(self.market.on_timer(now_ns))
        self._trade(self.orders.on_timer(now_ns))

    # The sequencer's death, our own end.

    def _sequencer_gone(self) -> None:
        if self.trading_source.alive:
            return
        self._unwatch_rings()
        for line in self.lines:
            line.pause(True)
        self._lost = [self.market_source, self.trading_source]
        self._reattach_until = self.loop.time() + REATTACH_WITHIN_S
        self._reattach()

    def _reattach(self) -> None:
        try:
            while self._lost:
                self._lost[0].reconnect(timeout_s=REATTACH_EVERY_S / 2)
                del self._lost[0]
        except OSError as error:
            if self.loop.time() > self._reattach_until:
                self._fail(exits.UNREACHABLE, str(error))
            elif not self._stop.is_set():
                self.loop.call_later(REATTACH_EVERY_S, self._reattach)
            return
        if self.tail.ahead:
            self._fail(exits.BEHIND, f"the journal ends before seq {self.tail.last_seq}, which was seen; start again from it")
            return
        self.log.info("attached again", epoch=self.trading_source.epoch)
        self._watch_rings()
        if self.market is not None and self.orders is not None:
            self.market.resumed(self.clock.now_ns())
            self._trade(self.orders.resumed(self.clock.now_ns()))
            self._arm_timer(self.clock.now_ns())
        for line in self.lines:
            line.pause(False)
        self._wake()

    def _broken(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self.exit_code:
            return  # what follows the first error tells nothing new
        error = context.get("exception")
        if isinstance(error, PublisherRefused):
            self._fail(exits.REFUSED, str(error))
            return
        if isinstance(error, BaseException):
            traceback.print_exception(error, file=sys.stderr)
        self._fail(exits.POISON, str(error or context["message"]))

    def _fail(self, code: int, line: str) -> None:
        self.log.error(line)
        self.exit_code = self.exit_code or code
        self._stop.set()

    def _end(self) -> None:
        """Hang up and say so. Orders stay where they are: taking them back is for whoever put them there."""
        self.notifier.stopping()
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.exit_code == exits.OK and self.market is not None and self.orders is not None:
            self._publish(self.market_source, self.market.disconnected(Reason.SHUTDOWN))
            self._publish(self.trading_source, [a for a in self.orders.stopped() if isinstance(a, Out)])
        self._unwatch_rings()
        self._ended = True
        for publisher in (self.market_source, self.trading_source):
            publisher.close()


def run_gateway(
    journal: Path,
    name: str,
    settings: SimGatewaySettings,
    *,
    policy: DurabilityPolicy = DurabilityPolicy.DURABLE,
    clock: Clock | None = None,
    keep: Keep = Keep(),  # noqa: B008 - it is frozen
) -> int:
    """Run the gateway NAME until SIGTERM. Its sources: NAME-md, NAME-trade. `policy`: what it waits for before it sends;
    `keep`: how long it knows closed orders."""

    async def main() -> int:
        gateway = Gateway(journal, name, settings, policy=policy, clock=clock or SystemClock(), keep=keep)
        logs.configure(position=lambda: (gateway.trading_source.epoch, gateway.tail.last_seq))
        return await gateway.run()

    try:
        logs.hide(settings.key())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    except (OSError, ValueError) as error:
        logs.Log(f"gateway-{name}").error(str(error))
        return exits.UNREACHABLE if isinstance(error, AttachError) else exits.CONFIG
