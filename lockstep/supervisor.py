"""The supervisor: starts every process of a system in order, restarts what dies, stops all of it in order.

    exchange(s) → sequencer → loader's frames → app hosts → gateways

On a stop it first tells the strategies, through the stream, to withdraw their orders; then gateways, hosts, sequencer and
exchanges end in the reverse order. A process that ends with an error which a restart cannot mend ends the system.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from apps import exits
from journal import entropy, logs
from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import (
    HEADER_BYTES,
    REGISTRY,
    CommandCode,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    NewOrder,
    OrdStatus,
    ReportFlag,
    SessionStart,
    SourceDefined,
    SourceRole,
    SourceState,
    SourceStateCode,
    StrategyCommand,
    StrategyDefined,
    StrategyState,
)
from journal.notify import without_manager
from journal.reader import JournalReader
from journal.segment import CONTROL, ControlPage
from lockstep.config import Config, ConfigError
from lockstep.copies import Copies, environment, name_of
from lockstep.loader import Loader, refuse_changed_classes
from sequencer.client import Publisher

_LOG = logs.Log("supervisor")
RESTARTS_MAX = 5
RESTART_WINDOW_S = 60.0
START_S = 30.0
READY_LOOK_S = 0.05
STOP_S = 10.0
WITHDRAW_S = 8.0
_OPEN = frozenset(
    {
        OrdStatus.RECEIVED,
        OrdStatus.PENDING_NEW,
        OrdStatus.NEW,
        OrdStatus.PARTIALLY_FILLED,
        OrdStatus.PENDING_CANCEL,
        OrdStatus.PENDING_REPLACE,
        OrdStatus.UNKNOWN,
    }
)


class SystemFailed(OperatingError, RuntimeError):
    """A process cannot be kept running; says which, and where its output is."""


class Process:
    """One supervised process; its output goes to a file of its own."""

    def __init__(
        self, name: str, arguments: list[str], logs: Path, *, pipe: bool = False, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.environment = environment or {}
        self.arguments = arguments
        self.log = logs / f"{name}.log"
        self.pipe = pipe
        self.restarts = 0
        self.halted = False
        self.started: list[float] = []
        self.child: subprocess.Popen[bytes] | None = None
        self._said = b""

    def start(self) -> None:
        """Start it (again)."""
        self.started.append(time.monotonic())
        if self.child is not None and self.child.stdout is not None:
            self.child.stdout.close()
            self._said = b""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "lockstep", *self.arguments],
                stdout=subprocess.PIPE if self.pipe else log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=without_manager(os.environ) | self.environment,
            )

    def lines(self) -> list[bytes]:
        """Whole lines that it has written to its piped output since the last call. Never waits."""
        assert self.child is not None
        assert self.child.stdout is not None
        descriptor = self.child.stdout.fileno()
        while select.select([descriptor], [], [], 0)[0]:
            data = os.read(descriptor, 1 << 16)
            if not data:
                break
            self._said += data
        *whole, self._said = self._said.split(b"\n")
        return whole

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.child.poll() if self.child is not None else None

    def end(self) -> None:
        """Ask it to end; does not wait."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                self.child.terminate()

    def stop(self, timeout_s: float = STOP_S) -> int:
        """SIGTERM, and SIGKILL when that is not heard."""
        if self.child is None:
            return 0
        self.end()
        try:
            return self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def last_words(self) -> str:
        """The end of its output."""
        try:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return logs.words(lines[-1]) if lines else ""


class Supervisor:
    """A running system."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.journal = config.journal
        self.run = self.journal / "run"
        self.processes: dict[str, Process] = {}
        self.exchanges: dict[str, Process] = {}
        self.endpoints: dict[str, tuple[str, int]] = {}
        self.copies = Copies(config, self.journal)
        self.restarted: list[str] = []
        self._log_file: TextIO | None = None
        self._control: ControlPage | None = None
        self.on_halt: Callable[[str], None] = lambda _line: None
        """Told when a copy that differs was halted, and why."""
        self.on_restart: Callable[[str, int], None] = lambda _name, _code: None
        """Told of every restart: the process, and how it had ended."""

    def start(self) -> None:
        """Start everything; returns when the gateways have been started."""
        if any(self.journal.glob("*.seg")):
            refuse_changed_classes(self.config)
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            (self.run / "config.toml").write_bytes(self._effective())
        except OSError as error:
            raise ConfigError(f"{self.config.path}: session.journal = {self.journal}: {error.strerror}") from None
        self._open_log()
        for name in self.config.system.exchange:
            self._start_exchange(name)
        (self.run / "config.toml").write_bytes(self._effective())
        self._start("sequencer", ["sequencer"])
        publisher = self._attach("loader")
        if self.config.system.replication is not None:
            self._start("replication", ["replicate", "serve"])  # it serves a journal that exists: now it does
        try:
            with publisher.batch():
                for message in Loader(self.config).messages():
                    publisher.publish(message)
        finally:
            publisher.close()
        for host, apps in self.config.hosts().items():
            copies = self.config.copies_of(apps)
            for copy in range(1, copies + 1):
                more = ["--copy", str(copy)] if copy > 1 else []
                self._start(
                    name_of(host, copy), ["app", *more, ",".join(apps)], environment=environment(copy) if copies > 1 else None
                )
        for name in self.config.system.gateway:
            self._start(f"gateway-{name}", ["gateway", name])
        self._resume()

    def _open_log(self) -> None:
        self._log_file = (self.run / "supervisor.log").open("a", encoding="utf-8")
        logs.configure(self.config.system.log, stream=self._log_file, position=self._position)

    def _close_log(self) -> None:
        if self._log_file is not None:
            logs.to_stderr()
            logs.forget_position()
            self._log_file.close()
            self._log_file = None

    def _position(self) -> tuple[int, int]:
        """Where the stream is; the supervisor writes no frames of its own most of the time."""
        if self._control is None and (self.journal / CONTROL).exists():
            self._control = ControlPage(self.journal / CONTROL)
        return (int(self._control.c.epoch), int(self._control.c.written_seq)) if self._control is not None else (0, 0)

    def until_ready(self) -> None:
        """Wait until the stream shows every app attached in this session and every gateway READY."""
        names: dict[int, str] = {}
        attached: Counter[str] = Counter()
        ready: set[str] = set()
        apps = {app: self.config.copies_of(hosted) for hosted in self.config.hosts().values() for app in hosted}
        trading = {f"{gateway}-trade" for gateway in self.config.system.gateway}
        kinds = [SessionStart.KIND, SourceDefined.KIND, SourceState.KIND, GatewayStatus.KIND]
        end = time.monotonic() + START_S
        with JournalReader(self.journal, kinds=kinds) as reader:
            while True:
                while (batch := reader.poll()) is not None:
                    for offset, kind, source, _, _ in batch:
                        m = REGISTRY[kind].decode(batch.buffer, offset + HEADER_BYTES)
                        if isinstance(m, SessionStart):
                            attached.clear()
                            ready.clear()
                        elif isinstance(m, SourceDefined):
                            names[m.source] = m.name
                        elif isinstance(m, SourceState) and m.state == SourceStateCode.ATTACHED:
                            attached[names[m.source]] += 1
                        elif isinstance(m, GatewayStatus) and m.phase == GatewayPhase.READY:
                            ready.add(names[source])
                missing = sorted({app for app, copies in apps.items() if attached[app] < copies} | (trading - ready))
                if not missing:
                    return
                if time.monotonic() > end:
                    raise SystemFailed(f"not ready after {START_S:.0f} s: {', '.join(missing)}; their output: {self.run}")
                self.wait(READY_LOOK_S)
                self.check()

    def _resume(self) -> None:
        """Let strategies trade again that the end of the last session has stopped. What an operator stopped stays stopped."""
        stopped: dict[int, bool] = {}
        by_us: set[int] = set()
        operator = 0
        for frame in frames(self.journal, kinds=[SourceDefined.KIND, StrategyDefined.KIND, StrategyCommand.KIND]):
            m = frame.message
            if isinstance(m, SourceDefined) and m.role == SourceRole.OPERATOR:
                operator = m.source
            elif isinstance(m, StrategyDefined):
                stopped.setdefault(m.strategy, False)
            elif isinstance(m, StrategyCommand):
                meant = [m.strategy] if m.strategy else list(stopped)
                if frame.header.source == operator:
                    stopped |= dict.fromkeys(meant, m.command == CommandCode.STOP)
                elif m.command == CommandCode.STOP:
                    by_us.update(meant)
                else:
                    by_us.difference_update(meant)
        wanted = [strategy for strategy in sorted(by_us) if not stopped[strategy]]
        if wanted:
            publisher = self._attach("supervisor")
            try:
                for strategy in wanted:
                    request = entropy.random_u64() >> 1
                    publisher.publish(StrategyCommand(request=request, strategy=strategy, command=CommandCode.START))
            finally:
                publisher.close()

    def _effective(self) -> bytes:
        """The configuration that the processes read: this file, with the ports that the exchanges were given."""
        # Overrides given on the command line and ports the kernel chose must reach every process alike.
        raw = msgspec.to_builtins(self.config.system)
        for name, (host, port) in self.endpoints.items():
            raw["exchange"][name] |= {"host": host, "port": port}
            for gateway in raw["gateway"].values():
                if gateway["venue"] == name:  # an exchange has the name of the venue it is
                    gateway["host"], gateway["port"] = host, port
        raw["session"]["journal"] = str(self.journal)
        return msgspec.toml.encode(_given(raw))

    def _start(
        self, name: str, arguments: list[str], *, pipe: bool = False, environment: dict[str, str] | None = None
    ) -> Process:
        given = [*arguments, str(self.run / "config.toml")]
        process = Process(name, given, self.run, pipe=pipe, environment=environment)
        self.processes[name] = process
        process.start()
        _LOG.info("started", process=name, pid=process.pid)
        return process

    def _start_exchange(self, name: str) -> None:
        settings = self.config.system.exchange[name]
        if settings.port and not _free(settings.host, settings.port):
            raise self.config.error(f"exchange.{name}.port", settings.port, "a free port (0: any); this one is in use")
        process = self._start(f"exchange-{name}", ["exchange", name], pipe=True)
        self.exchanges[name] = process
        while not (told := process.lines()):
            if process.ended() is not None:
                raise SystemFailed(f"{self.config.path}: exchange.{name}: {process.last_words() or 'ended at once'}")
            self.wait(START_S)
        listening = json.loads(told[0])
        self.endpoints[name] = (listening["host"], listening["port"])

    def exchange_events(self) -> Iterator[tuple[str, dict[str, object]]]:
        """What the exchanges have said since the last call: (name, event)."""
        for name, process in self.exchanges.items():
            for line in process.lines():
                yield name, json.loads(line)

    def _attach(self, source: str) -> Publisher:
        end = time.monotonic() + START_S
        while True:
            try:
                return Publisher.connect(self.journal, source, timeout_s=1.0)
            except (OSError, TimeoutError) as error:
                code = self.processes["sequencer"].ended()
                if code is not None:
                    raise SystemFailed(self.processes["sequencer"].last_words() or f"sequencer: exit {code}") from None
                if time.monotonic() > end:
                    raise SystemFailed(f"sequencer: not reachable after {START_S:.0f} s: {error}") from None

    def _forgets(self, process: Process) -> bool:
        """An exchange without a state, started again, would deny every order there is."""
        exchange = self.config.system.exchange.get(process.name.removeprefix("exchange-"))
        return process.name.startswith("exchange-") and (exchange is None or exchange.state is None)

    def wait(self, timeout_s: float) -> None:
        """Sleep until a process ends, an exchange says something, or the time is over."""
        watched: list[int] = []
        opened: list[int] = []
        try:
            for process in self.processes.values():
                if process.ended() is None:
                    with contextlib.suppress(ProcessLookupError):
                        opened.append(os.pidfd_open(process.pid))
            said = [e.child.stdout for e in self.exchanges.values() if e.child is not None and e.ended() is None]
            watched += opened
            watched += [s.fileno() for s in said if s is not None]
            select.select(watched, [], [], timeout_s)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def check(self) -> None:
        """Start again what has died; SystemFailed when that is of no use."""
        for process in self.processes.values():
            code = process.ended()
            if code is None or process.name in self.copies.halted:
                continue
            if code == exits.DIVERGED and self.copies.can_halt(process.name):
                line = self.copies.halt(process.name, process.last_words())
                _LOG.error(line, log=process.log)
                self.on_halt(line)
                continue
            recent = [t for t in process.started if time.monotonic() - t < RESTART_WINDOW_S]
            # Halted once may be over by now: a new start reads what is on disk. Halted again is the same disk.
            again = code == exits.HALTED and process.halted and len(recent) > 1
            process.halted = code == exits.HALTED
            hopeless = code in exits.HOPELESS or len(recent) > RESTARTS_MAX or again
            if hopeless or self._forgets(process):
                _LOG.error("ends the system", process=process.name, ended=code, said=process.last_words())
                raise SystemFailed(f"{process.name}: exit code {code} ({process.last_words()}); its output: {process.log}")
            process.restarts += 1
            self.restarted.append(process.name)
            self.on_restart(process.name, code)
            words = process.last_words()
            process.start()
            _LOG.warning("started again", process=process.name, ended=code, restarts=process.restarts, said=words)
        self._tell_of_copies()

    def _tell_of_copies(self) -> None:
        unsaid = self.copies.unsaid()
        if not unsaid:
            return
        # No sequencer just now: the next look tells it.
        with (
            contextlib.suppress(OSError, TimeoutError),
            Publisher.connect(self.journal, "supervisor", timeout_s=1.0) as publisher,
        ):
            with publisher.batch():
                for message in unsaid:
                    publisher.publish(message)
            unsaid.clear()

    def open_orders(self) -> int:
        """How many of our orders are not closed, by the last report of each; one without any report yet is open. A parent is at
        no venue, and a person's outlives a session: its children count."""
        status: dict[int, int] = {}
        for frame in frames(self.journal, kinds=[NewOrder.KIND, ExecutionReport.KIND]):
            m = frame.message
            if isinstance(m, NewOrder):
                status.setdefault(m.order_id, OrdStatus.RECEIVED)
            elif isinstance(m, ExecutionReport) and not m.report_flags & ReportFlag.PARENT:
                status[m.order_id] = m.ord_status
        return sum(1 for s in status.values() if s in _OPEN)

    def _answers(self, request: int) -> int:
        """How many strategies have answered a command: what they had to say before it is on the stream then."""
        states = (f.message for f in frames(self.journal, kinds=[StrategyState.KIND]))
        return len({m.strategy for m in states if isinstance(m, StrategyState) and m.request == request})

    def withdraw(self) -> int:
        """Stop the strategies through the stream and wait for their orders to close. Returns how many stayed open."""
        try:
            publisher = self._attach("supervisor")
        except SystemFailed:
            return self.open_orders()
        try:
            request = entropy.random_u64() >> 1
            publisher.publish(StrategyCommand(request=request, command=CommandCode.STOP))
            end = time.monotonic() + WITHDRAW_S
            # Nothing open is no answer yet: an order may be on its way while the command is.
            while self._answers(request) < len(self.config.system.strategy) and time.monotonic() < end:
                publisher.wait(0.1)
            while (left := self.open_orders()) and time.monotonic() < end:
                publisher.wait(0.1)
            return left
        finally:
            publisher.close()

    def stop(self) -> None:
        """End everything in order. Gateways last among those that publish, so that late fills still get in."""
        if self.processes.get("sequencer") and self.processes["sequencer"].ended() is None and self.config.system.strategy:
            self.withdraw()
        for rank in range(5):
            together = [p for name, p in self.processes.items() if _stop_rank(name) == rank]
            for process in together:
                process.end()
            for process in together:
                process.stop()
        _LOG.info("stopped")
        self._close_log()

    def kill(self) -> None:
        """End everything at once; for errors."""
        for process in self.processes.values():
            if process.child is not None and process.ended() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.child.wait()
        self._close_log()


def _given(table: Any) -> Any:
    """A table without what was not given: TOML has no null."""
    if isinstance(table, dict):
        return {k: _given(v) for k, v in table.items() if v is not None}
    return [_given(v) for v in table] if isinstance(table, list) else table


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _stop_rank(name: str) -> int:
    if name.startswith("gateway-"):
        return 0
    if name in ("sequencer", "replication"):
        return 2 if name == "sequencer" else 3
    return 4 if name.startswith("exchange-") else 1
