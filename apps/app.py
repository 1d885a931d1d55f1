"""App: a state machine that is a function of the stream, and nothing else.

An app sees one frame at a time, in sequence order, and may emit messages and set timers. It has no clock, no randomness, no
I/O: `now` is the current frame's timestamp. The host around it differs live, in replay, under the debugger and in a
backtest; the app cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, Self, TypeVar, cast

from apps import state
from apps.looks import Looks
from journal.messages import REGISTRY, Flag, Message, accelerator
from journal.messages.derive import snake
from journal.messages.tables import Tables, digest_of

Handler = Callable[[Any], None]
A = TypeVar("A", bound="App")
_LAST = int(Flag.LAST)


class Host(Protocol):
    """What an app's requests end in; one object an app."""

    def emit(self, message: Message, flags: int, cause: int, origin_ts: int) -> None: ...
    def set_timer(self, at: int, token: int) -> None: ...
    def cancel_timer(self, token: int) -> None: ...


class App:
    """Base of all apps. Subclasses write `on_<message>` methods, one per kind they consume, and keep plain attributes."""

    # What belongs to the host, not to the state: it stands in slots, the state is what `vars` shows.
    __slots__ = ("__dict__", "__weakref__", "_host", "_uses", "me", "now", "seq", "source")

    requires: ClassVar[tuple[type[App], ...]] = ()
    """State machines this app reads. The host gives it one instance of each, which has handled the frame already."""

    now: int
    """Timestamp of the current frame, ns since the epoch: the only time an app knows."""
    seq: int
    """Sequence number of the current frame; what is emitted now has it as its cause."""
    source: int
    """Who published the current frame."""
    me: int
    """The source this app publishes as; 0 for a mute instance that only keeps state."""

    _looks: Looks | None = None
    """How often it looks at an instrument, where it says so: of what `derived_handlers` names, the rest passes it by."""

    _host: Host
    _uses: dict[type[App], App]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        self = super().__new__(cls)
        # A dict of its own from the start: in CPython 3.11 to 3.13 a class's instances share the keys of theirs, and whoever
        # looks at such a dict once, as every snapshot does, makes each later access to an attribute a slow one.
        self.__dict__ = {}
        self.me = self.now = self.seq = self.source = 0  # not in __init__, which is the app's own
        return self

    def _emit(self, message: Message, flags: int = _LAST) -> None:
        """Publish a message: it becomes a fact when the sequencer has ordered it, and comes back as a frame."""
        self._host.emit(message, flags, self.seq, self.now)

    emit = _emit  # or the same in C, see below

    def set_timer(self, at: int, token: int) -> None:
        """Call `on_timer(token)` at the first frame whose timestamp has reached `at` (ns). Same token again: moved."""
        self._host.set_timer(at, token)

    def cancel_timer(self, token: int) -> None:
        """Forget a timer; nothing happens if there is none."""
        self._host.cancel_timer(token)

    def on_timer(self, token: int) -> None:
        """A timer is due. Fires before the handlers of the frame that made it due."""

    def uses(self, cls: type[A]) -> A:
        """The instance of a required state machine."""
        return cast(A, self._uses[cls])

    def handlers(self) -> dict[int, Handler]:
        """kind → bound method: every `on_<message>` of this object."""
        return handlers_of(self)

    def natives(self) -> dict[int, Any]:
        """kind → the same handler in C (see apps.kernel), which is asked first: what it leaves, the one in Python handles."""
        return {}

    def derived_handlers(self) -> dict[int, Handler]:
        """kind → bound method for what a required state machine says about this very frame (its twin says it on the
        stream one trip later): a strategy hears of a moved touch from its own books, not from another process."""
        return {}

    def configure(self, parameters: dict[str, Any]) -> None:
        """Take parameters from the stream; called before the first frame and at each later ConfigApplied."""
        if parameters:
            unknown = ", ".join(sorted(parameters))
            raise ValueError(f"{type(self).__name__} takes no parameters; found {unknown}")

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes: equal states give equal bytes."""
        return state.encode(vars(self))

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot."""
        for name, value in state.decode(data).items():
            setattr(self, name, value)

    def parts(self) -> tuple[bytes, Tables]:
        """The whole state too: as bytes, and beside them the tables of which an app with a large state has its most. A table's
        digest is kept up to date, and a snapshot file has it a few entries at a time."""
        return self.snapshot(), ()

    def assemble(self, rest: bytes, pieces: Sequence[Sequence[Any]]) -> None:
        """Take a state that was captured in parts: of each table its pieces (journal.messages.captures)."""
        assert not pieces, f"{type(self).__name__} has no tables"
        self.restore(rest)

    def digest(self) -> bytes:
        """32 bytes that say which state this is: equal for equal states, however each was reached."""
        return digest_of(*self.parts())


_fast = accelerator.extension("apps.kernel._fast")
if _fast is not None:
    App.emit = _fast.emit_of(App, _LAST)

_BY_METHOD = {f"on_{snake(cls.__name__)}": kind for kind, cls in REGISTRY.items()}


def handlers_of(target: object) -> dict[int, Handler]:
    """kind → bound method for every `on_<message>` method of an object; a misspelt one is an error, not a silence."""
    found: dict[int, Handler] = {}
    for name in dir(type(target)):
        if not name.startswith("on_") or name == "on_timer":
            continue
        method = getattr(target, name)
        if not callable(method):
            continue
        kind = _BY_METHOD.get(name) or next((k for k, c in REGISTRY.items() if f"on_{snake(c.__name__)}" == name), None)
        if kind is None:
            raise TypeError(f"{type(target).__name__}.{name}: no message of that name; see journal.messages")
        found[kind] = method
    return found
