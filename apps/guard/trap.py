"""The trap: in replays and tests, a call to the outside world from app code stops the run and names the line.

While it is set, functions that read a clock, draw a number or ask the machine are wrapped, and an audit hook hears of files,
sockets and processes. Either looks at the stack: if the nearest code that is not a library's is an app's, it stops; a host's
own calls go through. Nothing is done at a frame, so a replay that calls none of these is as fast with the trap as without.
"""

from __future__ import annotations

import builtins
import contextlib
import datetime
import functools
import importlib
import linecache
import os
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, cast

from apps.app import App
from apps.guard.places import AppFiles, Place, Places
from apps.guard.rules import RULES
from apps.guard.waivers import waived
from apps.guard.world import Breach, breach
from journal.errors import OperatingError


class NotAFunctionOfTheStream(OperatingError, RuntimeError):
    """App code has called what a replay cannot answer alike: names file, line, call and remedy."""

    def __init__(self, text: str, *, rule: str, file: str, line: int) -> None:
        super().__init__(text)
        self.rule = rule
        self.file = file
        self.line = line


class _Trapped(BaseException):
    """Goes through the app's own `except Exception`; becomes NotAFunctionOfTheStream where the trap was set."""


# Wrapped while the trap is set: module → functions; "*": all that it offers. The rule of each is that of its name.
_CALLS = {
    "time": "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns sleep",
    "random": "random uniform triangular randint choice randrange sample shuffle choices normalvariate lognormvariate "
    "expovariate gauss betavariate paretovariate gammavariate vonmisesvariate weibullvariate binomialvariate getrandbits "
    "randbytes seed getstate setstate",
    "uuid": "uuid1 uuid4 getnode",
    "os": "urandom getrandom getpid getppid getcwd cpu_count uname getloadavg times stat lstat fstat access sched_getaffinity "
    "getuid geteuid getgid getegid getgroups getlogin umask read write pipe fsync readlink wait waitpid",
    "platform": "node system release machine platform uname python_version",
    "locale": "getlocale setlocale localeconv",
    "asyncio": "run new_event_loop",
    "numpy.random": "*",
    "resource": "getrusage getrlimit setrlimit",
    "signal": "alarm setitimer signal getsignal pause raise_signal",
    "_thread": "start_new_thread",
}
# Here only a call by the app itself counts: libraries do it in their own code, and harmlessly.
_DIRECT_CALLS = {
    "decimal": "getcontext setcontext localcontext",
    "gc": "collect enable disable freeze isenabled get_count get_stats",
}
# What cannot be wrapped, for it is a class or any object: app modules get a module in which asking for it stops.
_WATCHED = {
    "sys": "stdin stdout stderr getrefcount getsizeof",
    "weakref": "ref proxy finalize WeakMethod WeakSet WeakKeyDictionary WeakValueDictionary getweakrefcount getweakrefs",
}
_KNOWN = frozenset(name.partition(".")[0] for name in (*_CALLS, *_DIRECT_CALLS, *_WATCHED, "datetime"))
# These read the clock only where they are not given a time: position of that argument.
_CLOCK_UNLESS_GIVEN = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
# Audit events; one that ends with a dot stands for all that begin so. What is true of the name is in `world`.
_EVENTS = {
    "open": "open", "builtins.input": "input", "os.listdir": "os.listdir", "os.scandir": "os.scandir",
    "glob.glob": "glob.glob", "os.system": "os.system", "os.fork": "os.fork", "os.exec": "os.execve",
    "os.posix_spawn": "os.posix_spawn", "os.kill": "os.kill", "os.putenv": "os.putenv", "os.unsetenv": "os.putenv",
    "os.remove": "os.remove", "os.rename": "os.rename", "os.mkdir": "os.mkdir", "os.rmdir": "os.rmdir",
    "os.truncate": "os.truncate", "os.chdir": "os.chdir", "shutil.": "shutil", "tempfile.": "tempfile", "socket.": "socket",
    "subprocess.Popen": "subprocess.Popen", "_thread.start_new_thread": "threading.Thread.start",
    "_thread.start_joinable_thread": "threading.Thread.start", "sqlite3.": "sqlite3", "urllib.Request": "urllib.request",
    "http.": "http", "ctypes.dlopen": "ctypes.CDLL", "mmap.": "mmap", "fcntl.": "fcntl", "webbrowser.": "webbrowser",
    "syslog.": "syslog",
}  # fmt: skip
# Harmless in a library's own code (a namedtuple evaluates): only a call by the app itself counts.
_DIRECT = {
    "compile": "compile", "exec": "exec", "gc.get_objects": "gc.get_objects",
    "gc.get_referrers": "gc.get_referrers", "gc.get_referents": "gc.get_referents",
}  # fmt: skip

_places = Places()
_ABSENT = object()
"""Undone by deleting: the module had no such name of its own."""


def _watched(real: types.ModuleType, names: frozenset[str], judge: Callable[[str], None]) -> types.ModuleType:
    """A module that is the real one, but for these names: to ask for one is a call."""

    class Watched(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                judge(f"{real.__name__}.{name}")
            return getattr(real, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(real, name, value)

        def __delattr__(self, name: str) -> None:
            delattr(real, name)

    return Watched(real.__name__)


class _Trap:
    """The one trap of the process: how deep it is set, what it has changed, what it has caught."""

    def __init__(self) -> None:
        self.depth = 0
        self.caught: list[NotAFunctionOfTheStream] = []
        self._lock = threading.RLock()
        self._undo: list[tuple[Any, str, Any]] = []
        self._wrapped: dict[int, tuple[Any, Any]] = {}  # id of the original → (original, what stands for it)
        self._made: dict[str, tuple[Any, Any]] = {}  # name → the same, kept: a trap is set often, and most are as before
        self._done: set[str] = set()  # modules whose functions are wrapped
        self._before: set[str] = set()  # modules that were there when it was set
        self._looked = (0, 0)
        self._heard: dict[str, tuple[str, bool]] = {}  # audit event → what it is judged as; "": not at all
        self._hooked = False
        self._builtins = self._of_builtins()
        self._watched = [(m, _watched(m, frozenset(_WATCHED[m.__name__].split()), self.judge)) for m in (sys, weakref)]

    def set(self) -> None:
        """Wrap, or only count."""
        with self._lock:
            self.depth += 1
            if self.depth == 1:
                self._before = set(sys.modules)
                self._wrap_all()
                self._put(builtins, "__import__", self._importing(builtins.__import__))
                if not self._hooked:
                    sys.addaudithook(self._hear)  # for the life of the process: there is no way to take it out
                    self._hooked = True
            self._rebind()

    def lift(self) -> None:
        """Put everything back when the last has gone."""
        with self._lock:
            self.depth -= 1
            if self.depth == 0:
                self._put_back()

    def judge(self, name: str, *, direct: bool = False, depth: int = 2) -> None:
        """Stop if the call that is about to be made comes from app code."""
        if not self.depth:
            return
        frame: FrameType | None = sys._getframe(depth)
        while frame is not None:
            place = _places.of(frame.f_code)
            if place is Place.APP:
                break
            if place is Place.HOST or direct:
                return
            frame = frame.f_back
        if frame is not None:
            linecache.checkcache(frame.f_code.co_filename)
        found = breach(name if "." in name or name in _MODULES else f"builtins.{name}")
        if frame is None or found is None or _is_waived(frame, found.rule):
            return
        caught = _told(frame, name, found)
        self.caught.append(caught)
        raise _Trapped(str(caught))

    def _hear(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if not self.depth:
            return
        found = self._heard.get(event)
        if found is None:
            found = self._heard[event] = _event(event)
        name, direct = found
        if name:
            self.judge(name, direct=direct)

    def _put(self, owner: Any, name: str, value: Any) -> None:
        original = vars(owner)[name]
        self._undo.append((owner, name, original))
        self._wrapped[id(original)] = (original, value)
        setattr(owner, name, value)

    def _wrap_all(self) -> None:
        self._wrap_modules()
        time = sys.modules["time"]
        for name, position in _CLOCK_UNLESS_GIVEN.items():
            self._put(time, name, self._wrapper(getattr(time, name), f"time.{name}", unless_given=position))
        self._put(random, "_urandom", self._wrapper(vars(random)["_urandom"], "os.urandom"))  # what `secrets` draws from
        self._put(random.Random, "__init__", self._wrapper(random.Random.__init__, "random.Random"))
        self._put(threading.Thread, "start", self._wrapper(threading.Thread.start, "threading.Thread.start"))
        environment = type(os.environ)
        for method in ("__getitem__", "__iter__", "__len__"):
            self._put(environment, method, self._wrapper(getattr(environment, method), "os.environ"))
        self._stand_in_for_datetime()
        for module, watched in self._watched:
            self._wrapped[id(module)] = (module, watched)

    def _wrap_modules(self) -> None:
        """The functions of those that are there; of the others when an app imports them."""
        if "numpy" in sys.modules:
            importlib.import_module("numpy.random")  # numpy itself does so when it is first asked for
        for table, direct in ((_CALLS, False), (_DIRECT_CALLS, True)):
            for module_name, names in table.items():
                module = sys.modules.get(module_name)
                if module is None or module_name in self._done:
                    continue
                self._done.add(module_name)
                for name in _functions_of(module) if names == "*" else names.split():
                    original = getattr(module, name, None)
                    if original is not None:
                        self._put(module, name, self._wrapper(original, f"{module_name}.{name}", direct=direct))

    def _importing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """An app's function that imports a module meanwhile gets what stands for it."""

        @functools.wraps(original)
        def guarded(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            module = original(name, globals, locals, fromlist, level)
            if level or name.partition(".")[0] not in _KNOWN or _places.of(sys._getframe(1).f_code) is not Place.APP:
                return module
            with self._lock:
                if self.depth:
                    self._wrap_modules()
                held = self._wrapped.get(id(module))
            return held[1] if held is not None and held[0] is module else module

        return guarded

    def _wrapper(
        self, original: Callable[..., Any], name: str, *, unless_given: int | None = None, direct: bool = False
    ) -> Callable[..., Any]:
        made = self._made.get(name)
        if made is not None and made[0] is original:
            return cast("Callable[..., Any]", made[1])

        @functools.wraps(original)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if unless_given is None or len(args) <= unless_given:
                self.judge(name, direct=direct)
            return original(*args, **kwargs)

        self._made[name] = (original, guarded)
        return guarded

    def _of_builtins(self) -> dict[str, Callable[..., Any]]:
        def id(value: object, /) -> int:
            self.judge("id", direct=True)
            return builtins.id(value)

        def hash(value: object, /) -> int:
            differs = isinstance(value, str | bytes | datetime.time) or type(value).__hash__ is object.__hash__
            # A class may define its hash by that of its text: dicts do not depend on it, and sets are the linter's.
            if differs and sys._getframe(1).f_code.co_name != "__hash__":
                self.judge("hash", direct=True)
            return builtins.hash(value)

        def print(*values: object, **options: Any) -> None:
            self.judge("print", direct=True)
            builtins.print(*values, **options)

        return {"id": id, "hash": hash, "print": print}

    def _datetime(self) -> type:
        real, judge = datetime.datetime, self.judge

        class Guarded(real, metaclass=_standing_for(real)):  # type: ignore[valid-type, misc, metaclass]
            def __new__(cls, *args: Any, **kwargs: Any) -> Any:
                return real(*args, **kwargs)

            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Any:
                judge("datetime.datetime.now")
                return real.now(tz)

            @classmethod
            def utcnow(cls) -> Any:
                judge("datetime.datetime.utcnow")
                return real.now(datetime.UTC).replace(tzinfo=None)

            @classmethod
            def today(cls) -> Any:
                judge("datetime.datetime.today")
                return real.now()

        return _named_like(Guarded, real)

    def _date(self) -> type:
        real, judge = datetime.date, self.judge

        class Guarded(real, metaclass=_standing_for(real)):  # type: ignore[valid-type, misc, metaclass]
            def __new__(cls, *args: Any, **kwargs: Any) -> Any:
                return real(*args, **kwargs)

            @classmethod
            def today(cls) -> Any:
                judge("datetime.date.today")
                return real.today()

        return _named_like(Guarded, real)

    def _stand_in_for_datetime(self) -> None:
        """Its classes cannot be changed, and libraries rely on their identity: only app modules get others."""
        stand_in = types.ModuleType("datetime")
        vars(stand_in).update(vars(datetime))
        for real, made in ((datetime.datetime, self._datetime()), (datetime.date, self._date())):
            setattr(stand_in, real.__name__, made)
            self._wrapped[id(real)] = (real, made)
        self._wrapped[id(datetime)] = (datetime, stand_in)

    def _rebind(self) -> None:
        """App modules that took a function by `from … import …` hold the original: give them what stands for it. `id`, `hash`
        and `print`, which hosts and libraries call often and rightly, are replaced there only."""
        here = (len(sys.modules), len(App.__subclasses__()))
        if self._looked == here:
            return
        self._looked = here
        files = AppFiles()
        for module in list(sys.modules.values()):
            if getattr(module, "__file__", None) not in files:
                continue
            self._exchange(module, dict(self._wrapped), undo=True)
            for name, made in self._builtins.items():
                if name not in vars(module):
                    self._undo.append((module, name, _ABSENT))
                    setattr(module, name, made)

    def _exchange(self, module: Any, others: dict[int, tuple[Any, Any]], *, undo: bool) -> None:
        for attribute, value in list(vars(module).items()):
            held = others.get(id(value))
            if held is not None and held[0] is value:
                if undo:
                    self._undo.append((module, attribute, value))
                setattr(module, attribute, held[1])

    def _put_back(self) -> None:
        for owner, name, original in reversed(self._undo):
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        # A module that was first imported meanwhile took what stood for the originals.
        late = set(sys.modules) - self._before
        originals = {id(made): (made, original) for original, made in self._wrapped.values()} if late else {}
        for name in late:
            module = sys.modules.get(name)
            if isinstance(module, types.ModuleType):
                self._exchange(module, originals, undo=False)
        self._undo.clear()
        self._wrapped.clear()
        self._done.clear()
        self._looked = (0, 0)


_MODULES = frozenset({"shutil", "tempfile", "socket", "sqlite3", "http", "mmap", "fcntl", "webbrowser", "syslog"})
_trap = _Trap()


@contextlib.contextmanager
def trapped() -> Iterator[None]:
    """Set the trap around a host's run; also a decorator. May be nested. Raises NotAFunctionOfTheStream, also where the app has
    swallowed the exception that stopped it."""
    before = len(_trap.caught)
    _trap.set()
    try:
        yield
    except (_Trapped, Exception):
        if len(_trap.caught) == before:
            raise
    finally:
        _trap.lift()
    caught = _trap.caught[before:]
    del _trap.caught[before:]
    if caught:
        raise caught[0] from None


def _event(event: str) -> tuple[str, bool]:
    """(name, whether only a direct call counts) of an audit event; no name: it is none of ours."""
    if event in _DIRECT:
        return _DIRECT[event], True
    return _EVENTS.get(event) or _EVENTS.get(f"{event.partition('.')[0]}.", ""), False


def _told(frame: FrameType, name: str, found: Breach) -> NotAFunctionOfTheStream:
    file, line, code = frame.f_code.co_filename, frame.f_lineno, frame.f_code
    rule = RULES[found.rule]
    app = _app_of(frame)
    who = f"{type(app).__name__} at seq {app.seq}, " if app is not None else ""
    source = linecache.getline(file, line).strip()
    text = f"{file}:{line}: {who}in {code.co_name}: {name} {found.does} ({rule.id}): {rule.why}. Instead: {rule.remedy}" + (
        f"\n    {source}" if source else ""
    )
    return NotAFunctionOfTheStream(text, rule=rule.id, file=file, line=line)


def _app_of(frame: FrameType | None) -> App | None:
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, App):
            return owner
        frame = frame.f_back
    return None


def _is_waived(frame: FrameType, rule: str) -> bool:
    return waived("".join(linecache.getlines(frame.f_code.co_filename)), frame.f_lineno, rule)


def _functions_of(module: Any) -> list[str]:
    """What a module offers to call, its classes left out: those cannot be exchanged."""
    return [name for name in module.__all__ if callable(found := getattr(module, name)) and not isinstance(found, type)]


def _standing_for(real: type) -> type:
    """A metaclass: instances and subclasses of the real class are those of its stand-in."""

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    return Meta


def _named_like(made: type, real: type) -> type:
    made.__name__, made.__qualname__, made.__module__ = real.__name__, real.__qualname__, real.__module__
    return made
