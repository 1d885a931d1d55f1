"""What each name of the outside world breaks: dotted name → rule and what it does. The longest name that fits decides.

One table for both ways of looking: the checks of the source read it whole; the trap takes the calls that it can wrap.
"""

from __future__ import annotations

import sys

import msgspec


class Breach(msgspec.Struct, frozen=True):
    """The rule that a name breaks, and what it does: completes "time.time …"."""

    rule: str
    does: str


_CLOCK = Breach("DET101", "reads the clock")
_WAITS = Breach("DET101", "waits by the clock")
_CHANCE = Breach("DET102", "draws a number")
_MACHINE = Breach("DET103", "asks the machine")
_ENVIRONMENT = Breach("DET103", "reads the environment")
_FILES = Breach("DET104", "reaches files")
_NETWORK = Breach("DET104", "reaches the network")
_PROCESS = Breach("DET104", "starts or signals a process")
_SCREEN = Breach("DET104", "reads or writes the terminal")
_DATABASE = Breach("DET104", "reaches a database")
_THREADS = Breach("DET105", "runs beside the stream")
_CODE = Breach("DET106", "runs code that is not in the source")
_COLLECTOR = Breach("DET107", "depends on the garbage collector")
_LISTING = Breach("DET203", "lists a folder")
_IDENTITY = Breach("DET205", "differs from process to process")
_CONTEXT = Breach("DET303", "changes or reads the process's decimal context")


def _table(*rows: tuple[Breach | None, str, str]) -> dict[str, Breach | None]:
    return {f"{prefix}{name}": breach for breach, prefix, names in rows for name in names.split()}


# A module stands for everything in it that has no row of its own; None: harmless.
NAMES: dict[str, Breach | None] = _table(
    (_CLOCK, "", "time"),
    (_WAITS, "time.", "sleep"),
    (None, "time.", "struct_time"),
    (_CLOCK, "datetime.datetime.", "now utcnow today"),
    (_CLOCK, "datetime.date.", "today"),
    (_CHANCE, "", "random secrets numpy.random ssl.RAND_bytes os.urandom os.getrandom"),
    (_CHANCE, "uuid.", "uuid1 uuid4 uuid6 uuid7 getnode"),
    (_MACHINE, "", "os sys platform locale getpass pwd grp resource sysconfig site zoneinfo ctypes psutil"),
    (_ENVIRONMENT, "os.", "environ environb getenv getenvb putenv"),
    (None, "os.", "sep PathLike fspath fsencode fsdecode"),
    (None, "os.path.", "join basename dirname split splitext normpath commonprefix commonpath isabs sep"),
    (_FILES, "os.path.", "exists isfile isdir getsize getmtime getctime realpath abspath expanduser"),
    (_FILES, "os.", "open read write close remove unlink rename replace mkdir makedirs rmdir stat truncate fsync access chdir"),
    (_PROCESS, "os.", "system popen fork kill execv execve spawnv spawnl posix_spawn wait waitpid"),
    (_LISTING, "os.", "listdir scandir walk fwalk"),
    (_LISTING, "", "glob"),
    (None, "sys.", "maxsize intern exc_info float_info int_info hash_info byteorder"),
    (_SCREEN, "sys.", "stdin stdout stderr"),
    (_COLLECTOR, "sys.", "getrefcount getsizeof"),
    (_FILES, "builtins.", "open"),
    (_SCREEN, "builtins.", "input print breakpoint"),
    (_FILES, "", "io.open io.FileIO io.open_code pathlib.Path pathlib.PosixPath shutil tempfile fileinput mmap fcntl"),
    (_FILES, "", "configparser zipfile tarfile linecache numpy.load numpy.save numpy.loadtxt numpy.savetxt numpy.genfromtxt"),
    (_FILES, "", "numpy.memmap numpy.fromfile pickle.load pickle.dump"),
    (Breach("DET104", "writes log files and reads the clock"), "", "logging syslog"),
    (_NETWORK, "", "socket ssl http urllib.request ftplib smtplib imaplib poplib xmlrpc socketserver webbrowser"),
    (_NETWORK, "", "requests httpx aiohttp urllib3 websockets websocket ccxt redis zmq grpc nats kafka picows"),
    (_DATABASE, "", "sqlite3 dbm shelve psycopg psycopg2 sqlalchemy duckdb pymongo"),
    (_PROCESS, "", "subprocess pty"),
    (_THREADS, "", "threading _thread asyncio multiprocessing concurrent queue sched signal select selectors"),
    (_THREADS, "", "contextvars anyio trio gevent uvloop joblib dask ray"),
    (_CODE, "builtins.", "eval exec compile __import__"),
    (_CODE, "", "importlib runpy pkgutil code codeop imp"),
    (_COLLECTOR, "", "gc weakref tracemalloc"),
    (_IDENTITY, "builtins.", "id hash"),
    (_CONTEXT, "decimal.", "getcontext setcontext localcontext DefaultContext BasicContext ExtendedContext"),
)  # fmt: skip

# Modules that compute and nothing else, besides those of the standard library that have no row above.
PURE = frozenset({"msgspec", "numpy", "sortedcontainers", "typing_extensions", "attr", "attrs"})
# What an app may import of lockstep: messages, the runtime, the state machines.
OURS = frozenset({"journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep"})
_FOR_APPS = ("journal.messages", "journal.errors", "oms", "riskengine", "apps")
OWN = ("oms", "riskengine", "apps")
"""Packages of lockstep that are functions of the stream, but for `HOSTS`."""
HOSTS = (
    "apps.live", "apps.snapshots", "apps.taking", "apps.identity", "apps.discovery", "apps.group", "apps.guard", "apps.exits",
    "apps.parting",
)  # fmt: skip
"""Modules of `apps` that host apps, keep their files or load their classes: no app code."""


def breach(dotted: str) -> Breach | None:
    """What a dotted name breaks; None: nothing is known against it."""
    name = dotted
    while name:
        if name in NAMES:
            return NAMES[name]
        name = name.rpartition(".")[0]
    return None


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these packages or lies in one."""
    return any(module == p or module.startswith(f"{p}.") for p in packages)


def foreign(module: str) -> str:
    """Why a module must not be imported by an app, in words; empty when it may be."""
    top = module.partition(".")[0]
    if top in OURS:
        if within(module, HOSTS) or not within(module, _FOR_APPS):
            return f"{module} is for hosts: it reaches files, sockets or processes"
        return ""
    known = top in PURE or top in sys.stdlib_module_names or any(n == top or n.startswith(f"{top}.") for n in NAMES)
    return "" if known else f"{module} is not known here"
