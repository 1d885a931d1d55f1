"""The one seam through which a process says something to those who operate it: one line each, text or JSON, on standard error.

Lines stand beside the stream, not in it: nothing is decided by them, a replay knows nothing of them, and apps do not use them
(what an app has to say is a frame). Each carries how far the stream was when it was written, so that a line leads to the
frames around it. What comes from outside cannot forge a line or steer a terminal; what is secret is not written; one message
that repeats does not drown the others.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from journal.clock import Clock, SystemClock

LevelName = Literal["debug", "info", "warning", "error"]
LEVELS: dict[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""With syslog's numbers, which systemd's journal understands: higher is less."""
TEXT_MAX = 2000
FIELD_MAX = 500
BURST = 10
"""So many lines of one message within WINDOW_S; the next one that is written says how many were not."""
WINDOW_S = 10.0
MESSAGES_MAX = 1024
HIDDEN = "***"
_SECRET = frozenset({"secret", "token", "password", "passphrase", "credential", "credentials", "signature", "apikey"})
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_LINE = re.compile(r"^(?:<\d>)?\S+Z (?:debug|info|warning|error) \S+ (?:\[\d+:\d+\] )?(?P<words>.*)$")


class LogSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The [log] table."""

    level: LevelName = "info"
    format: Literal["text", "json"] = "text"


def safe(text: str) -> str:
    """Text that stays on its line: control characters, escapes of terminals and marks that turn text around are spelled out."""
    return _UNSAFE.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


def words(line: str) -> str:
    """What a line says, without when and who; a line of another make is what it is."""
    if line.startswith("{"):
        try:
            found = msgspec.json.decode(line, type=dict[str, Any]).get("message", line)
        except msgspec.DecodeError:
            return line
        return str(found)
    found = _LINE.match(line)
    return found["words"] if found else line


class _Sink:
    """Where lines go, and in which form. One for a process."""

    def __init__(self) -> None:
        self.settings = LogSettings()
        self.stream: TextIO | None = None
        self.clock: Clock = SystemClock()
        self.position: Callable[[], tuple[int, int]] | None = None
        self.secrets: list[str] = []
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str, str], list[float]] = {}
        """(component, level, message) → end of its window, lines in it, lines left out."""

    def write(self, component: str, level: str, message: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] > LEVELS[self.settings.level]:
            return
        with self._lock:
            left_out = self._admit((component, level, message))
            if left_out is None:
                return
            if left_out:
                fields["left_out"] = left_out
            line = self._line(component, level, message, fields)
            stream = self.stream or sys.stderr
            try:
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):
                return  # nobody reads, the disk is full: no reason to stop what runs

    def _admit(self, key: tuple[str, str, str]) -> int | None:
        """How many like it were left out before this one; None: leave this one out too."""
        now = time.monotonic()
        said = self._said.get(key)
        if said is None or now >= said[0]:
            if said is None and len(self._said) >= MESSAGES_MAX:
                del self._said[next(iter(self._said))]
            self._said[key] = [now + WINDOW_S, 1, 0]
            return int(said[2]) if said else 0
        if said[1] >= BURST:
            said[2] += 1
            return None
        said[1] += 1
        return 0

    def _line(self, component: str, level: str, message: str, fields: dict[str, Any]) -> str:
        now = self.clock.now_ns()
        epoch, seq = self.position() if self.position is not None else (0, 0)
        text = self._hidden(message)[:TEXT_MAX]
        told = {name: self._value(name, value) for name, value in fields.items() if value is not None}
        if self.settings.format == "json":
            head = {"ts": now, "level": level, "component": component, "epoch": epoch, "seq": seq, "message": text}
            # ASCII only: every other character is spelled out.
            return json.dumps(head | {n: v for n, v in told.items() if n not in head}, separators=(",", ":"))
        when = datetime.fromtimestamp(now // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        where = f"[{epoch}:{seq}] " if self.position is not None else ""
        more = "".join(f" {safe(n)}={_quoted(v)}" for n, v in told.items())
        return (
            f"{self._priority(level)}{when}.{now // 1000 % 1_000_000:06d}Z {level} {safe(component)} {where}{safe(text)}{more}"
        )

    def _priority(self, level: str) -> str:
        """What systemd's journal sorts by; only when it is who reads."""
        reader = os.environ.get("JOURNAL_STREAM", "")
        if not reader or self.stream is not None:
            return ""
        try:
            found = os.fstat(sys.stderr.fileno())
        except (OSError, ValueError):
            return ""
        return f"<{LEVELS[level]}>" if reader == f"{found.st_dev}:{found.st_ino}" else ""

    def _value(self, name: str, value: Any) -> Any:
        if _SECRET & set(name.lower().split("_")) or name.lower().endswith("api_key"):
            return HIDDEN
        if isinstance(value, bool | int):
            return value
        return self._hidden(value if isinstance(value, str) else str(value))[:FIELD_MAX]

    def _hidden(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _quoted(value: Any) -> str:
    text = safe(str(value))
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=]', text) or not text else text


_sink = _Sink()


def configure(
    settings: LogSettings | None = None,
    *,
    stream: TextIO | None = None,
    position: Callable[[], tuple[int, int]] | None = None,
    clock: Clock | None = None,
) -> None:
    """Say once, at the start, how and where to; `position` gives (epoch, seq) of the stream. What is not given stays."""
    _sink.settings = settings or _sink.settings
    _sink.stream = stream or _sink.stream
    _sink.position = position or _sink.position
    _sink.clock = clock or _sink.clock


def to_stderr() -> None:
    """Lines go to standard error again."""
    _sink.stream = None


def forget_position() -> None:
    """The stream is closed: whoever gave `position` can no longer be asked."""
    _sink.position = None


def hide(secret: str) -> None:
    """Never write this text, in whatever it may appear."""
    if len(secret) >= 4 and secret not in _sink.secrets:
        _sink.secrets.append(secret)


class Log:
    """What one component says. `message` is the same text each time, what differs goes into fields: it is what is counted."""

    def __init__(self, component: str) -> None:
        self.component = component

    def debug(self, message: str, **fields: Any) -> None:
        _sink.write(self.component, "debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        _sink.write(self.component, "info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        _sink.write(self.component, "warning", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        _sink.write(self.component, "error", message, fields)
