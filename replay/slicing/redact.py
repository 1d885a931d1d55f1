"""Makes names unknown, everywhere alike: each gets another one, in frames and in states.

Replaced are the names and outside references that definitions give (accounts, instruments, venues, currencies, users,
strategies, sources, sessions, hosts), wherever they stand: names of four letters and more as any part of a text, in any case;
shorter ones as words. The venue's raw messages are emptied, digests of configurations too. Numbers stay, so do the references
that venues and clients give to orders, and the class path of an app, without its folder: without it nothing runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from apps.discovery import CLASS_ITEM
from apps.ledger import Emission
from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import (
    NO_DIGEST,
    REGISTRY,
    AccountDefined,
    ConfigApplied,
    ConfigItem,
    CurrencyDefined,
    ImportProvenance,
    InstrumentDefined,
    Message,
    RawMessage,
    SessionStart,
    SourceDefined,
    StrategyDefined,
    StreamStatus,
    UserDefined,
    VenueDefined,
)
from replay.checkpoints import Checkpoint, Held

_SAID: dict[type[Message], dict[str, str]] = {
    AccountDefined: {"name": "account", "external_ref": "external"},
    InstrumentDefined: {"name": "instrument", "description": "description"},
    VenueDefined: {"name": "venue", "mic": "mic"},
    CurrencyDefined: {"name": "currency"},
    UserDefined: {"name": "user"},
    StrategyDefined: {"name": "strategy"},
    SourceDefined: {"name": "source"},
    SessionStart: {"name": "session", "host": "host"},
    StreamStatus: {"interface": "interface", "authority": "authority", "path": "path"},
    ImportProvenance: {"name": "import"},
}
"""Message → its fields that are names → what they are called instead."""
OWN_NAMES = frozenset({
    "loader", "supervisor", "operator", "simulator", "market-data", "trading", "replication", "books", "risk", "oms",
    "positions",
})  # fmt: skip
"""Sources that every lockstep has."""
WHOLE_WORDS_BELOW = 4
WITHOUT = "make the slice without --redact"
_TAGS = frozenset("iltqdnso")
_EMISSION = f"{Emission.__module__}:{Emission.__qualname__}"


class CannotRedact(OperatingError):
    """Something in which names could stay: says where."""


class Redactor:
    """The names of a journal, and what they become."""

    def __init__(self, names: dict[str, str]) -> None:
        """`names`: original → other."""
        self.names = names
        ordered = sorted(names, key=lambda n: (-len(n), n))
        self._others = [names[n] for n in ordered]
        ours = sorted(self._others, key=lambda n: (-len(n), n))
        self._ours = re.compile("|".join(map(re.escape, ours)))
        # A group each: what was found is not always what a name is in lower case ("ſim" is "sim", without regard to case).
        self._pattern = re.compile("|".join(f"({_part(n)})" for n in ordered), re.IGNORECASE) if ordered else None

    @classmethod
    def of(cls, path: Path) -> Redactor:
        """The names that a whole journal defines."""
        found: dict[str, str] = {}
        for frame in frames(path, kinds=[c.KIND for c in _SAID]):
            m = frame.message
            for field, called in _SAID[type(m)].items() if m is not None else ():
                name = getattr(m, field)
                if name and not (called == "source" and name in OWN_NAMES):
                    found.setdefault(name, called)
        return cls(_other_names(found))

    def text(self, text: str) -> str:
        """A text without the names."""
        if self._pattern is None:
            return text
        return self._pattern.sub(self._other, text)

    def _other(self, match: re.Match[str]) -> str:
        # As it stands first: names may differ in their case alone.
        found = self.names.get(match[0])
        return found if found is not None else self._others[(match.lastindex or 1) - 1]

    def name_in(self, entry: Any) -> str:
        """The first name that stands in a message which should have none; "": it has none."""
        for field in entry.LAYOUT.fields:
            value = getattr(entry, field.name)
            if field.wire == "group":
                name = next(filter(None, map(self.name_in, value)), "")
            elif field.wire == "blob":
                name = self._name_left(bytes(value).decode(errors="replace"))
            else:
                name = self._name_left(value) if field.wire == "text" else ""
            if name:
                return name
        return ""

    def _name_left(self, text: str) -> str:
        if self._pattern is None:
            return ""
        # One called `account` is not in the `account1` that stands for another.
        ours = [match.span() for match in self._ours.finditer(text)]
        for match in self._pattern.finditer(text):
            if not any(begin <= match.start() and match.end() <= end for begin, end in ours):
                return match[0]
        return ""

    def message(self, message: Message) -> Message:
        """A message without the names. The one given stays as it is."""
        if isinstance(message, RawMessage):
            return msgspec.structs.replace(message, data=b"")
        if isinstance(message, ConfigItem):
            return msgspec.structs.replace(message, value=self._config(message))
        changed: Message = self._entry(message)
        # A digest of what was configured would tell whether a guessed name is right.
        if isinstance(changed, ConfigApplied):
            return msgspec.structs.replace(changed, digest=NO_DIGEST)
        return msgspec.structs.replace(changed, config_digest=NO_DIGEST) if isinstance(changed, SessionStart) else changed

    def _config(self, item: ConfigItem) -> str:
        try:
            value = json.loads(item.value)
        except ValueError:
            return self.text(item.value)
        if item.name == CLASS_ITEM and isinstance(value, str):
            # Its folder says whose it is; the loader looks for the file where it runs.
            path, colon, name = value.rpartition(":")
            return json.dumps(PurePosixPath(path).name + colon + name if path.endswith(".py") else value)
        return json.dumps(self._plain(value))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._plain(v) for v in value]
        return {self.text(k): self._plain(v) for k, v in value.items()} if isinstance(value, dict) else value

    def _entry(self, entry: Any) -> Any:
        changed: dict[str, Any] = {}
        for field in entry.LAYOUT.fields:
            value = getattr(entry, field.name)
            if field.wire == "text":
                changed[field.name] = self.text(value)
            elif field.wire == "group":
                changed[field.name] = [self._entry(row) for row in value]
            elif field.wire == "blob" and value:
                raise CannotRedact(f"{type(entry).__name__}.{field.name}: bytes of a form of their own; {WITHOUT}")
        return msgspec.structs.replace(entry, **changed) if changed else entry

    def body(self, kind: int, body: bytes, where: str) -> bytes:
        """An encoded body without the names. CannotRedact for a kind that is not declared here."""
        cls = REGISTRY.get(kind)
        if cls is None:
            raise CannotRedact(f"{where}: kind {kind} is not declared here, names could stay in it; {WITHOUT}")
        return self.message(cls.decode(memoryview(body), 0)).encode()

    def checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """States without the names."""

        def held(of: dict[str, Held]) -> dict[str, Held]:
            return {self.text(n): msgspec.structs.replace(h, state=self.state(h.state, n)) for n, h in of.items()}

        # A mute instance goes by its class.
        mute = {n: msgspec.structs.replace(h, state=self.state(h.state, n)) for n, h in checkpoint.mute.items()}
        return msgspec.structs.replace(checkpoint, speaking=held(checkpoint.speaking), mute=mute)

    def state(self, data: bytes, app: str) -> bytes:
        """An app's state (`apps.state`) without the names."""
        found = _decoded(data)
        if found is None:
            if self._pattern is not None and self._pattern.search(data.decode(errors="replace")):
                raise CannotRedact(f"{app}: its state has bytes of a form of their own with a name in them; {WITHOUT}")
            return data
        return msgspec.msgpack.encode(self._walk(found, app))

    def _walk(self, value: Any, app: str) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.state(value, app)
        if isinstance(value, dict):
            # Of a state machine that has its own form: its keys are numbers and names of fields.
            return {k: self._walk(v, app) for k, v in value.items()}
        if not isinstance(value, list) or not value:
            return value
        tag, rest = value[0], value[1:]
        if not isinstance(tag, str) or tag not in _TAGS:
            return self._each(value, app)
        if tag == "q":
            return [tag, rest[0], *self._each(rest[1:], app)]
        if tag == "s":
            if rest[0] == _EMISSION:
                *header, body = rest[1:]
                return [tag, rest[0], *header, self.body(header[1], body, app)]
            return [tag, rest[0], *self._each(rest[1:], app)]
        if tag == "o":
            # Class and names of attributes stay.
            pairs = zip(rest[1::2], rest[2::2], strict=True)
            return [tag, rest[0], *(x for k, v in pairs for x in (k, self._walk(v, app)))]
        return value if tag in "in" else [tag, *self._each(rest, app)]

    def _each(self, values: Iterable[Any], app: str) -> list[Any]:
        return [self._walk(v, app) for v in values]


def _other_names(called: dict[str, str]) -> dict[str, str]:
    """What names become, given what each is called. None becomes what another one is: nobody could tell it from that."""
    taken = {name.casefold() for name in called}
    others: dict[str, str] = {}
    counts = dict.fromkeys(called.values(), 0)
    for name, what in called.items():
        counts[what] += 1
        while f"{what}{counts[what]}" in taken:
            counts[what] += 1
        others[name] = f"{what}{counts[what]}"
    return others


def _part(name: str) -> str:
    """The pattern of a name in any case, also where another case has other letters (ß and SS, İ and i̇)."""
    forms = [name]
    for form in (name.lower(), name.upper(), name.casefold()):
        if not any(re.fullmatch(re.escape(f), form, re.IGNORECASE) for f in forms):
            forms.append(form)
    part = "|".join(map(re.escape, forms))
    return part if len(name) >= WHOLE_WORDS_BELOW else rf"(?<![a-zA-Z0-9])(?:{part})(?![a-zA-Z0-9])"


def _decoded(data: bytes) -> Any:
    """The plain form of a state's bytes; None where they are no state."""
    try:
        found = msgspec.msgpack.decode(data)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, list | dict) and msgspec.msgpack.encode(found) == data else None
