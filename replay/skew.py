"""Version skew: which builds and which app code a journal was written by, against those that look at it now."""

from __future__ import annotations

from pathlib import Path

import msgspec

from apps.discovery import AppSpec, ConfigError, load_class
from apps.identity import code_of
from journal.frames import frames
from journal.messages import SessionStart, SourceState, SourceStateCode
from sequencer.session import build_digest, product_version

_SHOWN = 16


class Skew(msgspec.Struct, frozen=True):
    """One identity that differs: of the product from a frame on, or of one app's code."""

    what: str
    from_seq: int
    recorded: str
    here: str

    @property
    def line(self) -> str:
        """Both identities."""
        if self.what:
            return f"{self.what}: decided by code {self.recorded} from seq {self.from_seq}, replayed by code {self.here}"
        return f"recorded by build {self.recorded} from seq {self.from_seq}, replayed by build {self.here}"


def skews(journal: Path, specs: list[AppSpec]) -> list[Skew]:
    """What differs, the product first, then the code of these apps. A build that did not say who it was is passed over: a
    backtest, an app by hand."""
    found: list[Skew] = []
    here, last = build_digest(), bytes(32)
    for frame in frames(journal, kinds=[SessionStart.KIND]):
        m = frame.message
        if isinstance(m, SessionStart) and any(m.build_digest) and m.build_digest != last:
            last = m.build_digest
            if last != here:
                recorded = f"{_short(last)} ({m.name} {m.version})"
                found.append(Skew("", frame.header.seq, recorded, f"{_short(here)} (lockstep {product_version()})"))
    return found + _of_apps(journal, specs)


def _of_apps(journal: Path, specs: list[AppSpec]) -> list[Skew]:
    """Of each app the code that said it was that app, once for each time it changed."""
    found: list[Skew] = []
    here: dict[int, tuple[str, bytes]] = {}
    for spec in specs:
        try:
            here[spec.source] = spec.name, code_of([load_class(spec.class_path)])
        except ConfigError:
            continue  # whoever makes the app says it better
    last: dict[int, bytes] = {}
    for frame in frames(journal, kinds=[SourceState.KIND]):
        m = frame.message
        if not isinstance(m, SourceState) or m.state != SourceStateCode.ATTACHED or m.source not in here:
            continue
        name, code = here[m.source]
        if any(m.build_digest) and m.build_digest != last.get(m.source):
            last[m.source] = m.build_digest
            if m.build_digest != code:
                found.append(Skew(name, frame.header.seq, _short(m.build_digest), _short(code)))
    return found


def _short(digest: bytes) -> str:
    return bytes(digest).hex()[:_SHOWN]
