"""The trap: what a replay of an app stops at, what it lets through, and that nothing of it stays behind."""

import asyncio
import builtins
import datetime
import gc
import os
import random
import re
import signal
import sys
import threading
import time
import uuid

import numpy.random
import pytest

from apps.app import App
from apps.guard.trap import NotAFunctionOfTheStream, trapped
from journal.errors import OperatingError
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from lockstep.testing import guarded
from replay.player import verify
from tests.end_to_end.system import configuration

HEAD = """import asyncio, collections, copy, datetime, decimal, glob, gc, logging, os, pathlib, random, resource, secrets
import signal, socket, sqlite3, statistics, subprocess, sys, tempfile, _thread, threading, time, uuid, warnings, weakref, zlib
import numpy as np
from decimal import getcontext
from datetime import datetime as moment
from random import random as draw
from time import time as t
from apps.strategy import Strategy, on
from journal.messages import TopOfBook

class Caller(Strategy):
    def start(self):
        self.seen = 0
        self.found = 0
{start}
    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        if self.seen == 3:
{body}

    def on_timer(self, token):
        if token == 1:
            self.found += 1
"""
LINE = 20  # of the body


def source(body="pass", start="pass"):
    def indented(text, by):
        return "\n".join(" " * by + line for line in text.splitlines())

    return HEAD.format(body=indented(body, 12), start=indented(start, 8))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A short day of an app that does nothing; its file is changed by each test."""
    folder = tmp_path_factory.mktemp("trap")
    (folder / "caller.py").write_text(source())
    strategy = {"caller": {"class": f"{folder}/caller.py:Caller", "account": "demo"}}
    run_backtest(configuration(folder / "unused", strategy=strategy, backtest={"duration": "1s"}), folder / "day")
    yield folder
    sys.modules.pop("caller", None)


@pytest.fixture
def replay(recorded, monkeypatch):
    """Replays the day with another body of the handler."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(body="pass", start="pass"):
        sys.modules.pop("caller", None)
        (recorded / "caller.py").write_text(source(body, start))
        return verify(recorded / "day", ["caller"])

    yield run
    sys.modules.pop("caller", None)


@pytest.mark.parametrize(
    ("call", "rule", "name"),
    [
        ("time.time()", "DET101", "time.time"),
        ("t()", "DET101", "time.time"),
        ("time.monotonic_ns()", "DET101", "time.monotonic_ns"),
        ("time.sleep(0)", "DET101", "time.sleep"),
        ("time.localtime()", "DET101", "time.localtime"),
        ("time.strftime('%Y')", "DET101", "time.strftime"),
        ("datetime.datetime.now(datetime.UTC)", "DET101", "datetime.datetime.now"),
        ("moment.utcnow()", "DET101", "datetime.datetime.utcnow"),
        ("datetime.date.today()", "DET101", "datetime.date.today"),
        ("draw()", "DET102", "random.random"),
        ("random.shuffle([1, 2])", "DET102", "random.shuffle"),
        ("random.Random(1)", "DET102", "random.Random"),
        ("os.urandom(4)", "DET102", "os.urandom"),
        ("secrets.token_hex()", "DET102", "os.urandom"),
        ("uuid.uuid4()", "DET102", "uuid.uuid4"),
        ("os.environ['HOME']", "DET103", "os.environ"),
        ("os.getenv('HOME')", "DET103", "os.environ"),
        ("'HOME' in os.environ", "DET103", "os.environ"),
        ("dict(os.environ)", "DET103", "os.environ"),
        ("os.getpid()", "DET103", "os.getpid"),
        ("open(__file__)", "DET104", "open"),
        ("pathlib.Path(__file__).read_bytes()", "DET104", "open"),
        ("pathlib.Path(__file__).exists()", "DET104", "os.stat"),
        ("os.remove('/nowhere/at/all')", "DET104", "os.remove"),
        ("socket.socket()", "DET104", "socket"),
        ("subprocess.run(['true'])", "DET104", "subprocess.Popen"),
        ("os.system('true')", "DET104", "os.system"),
        ("sqlite3.connect(':memory:')", "DET104", "sqlite3"),
        ("threading.Thread(target=print).start()", "DET105", "threading.Thread.start"),
        ("threading.Timer(0, print).start()", "DET105", "threading.Thread.start"),
        ("asyncio.run(None)", "DET105", "asyncio.run"),
        ("eval('1')", "DET106", "compile"),
        ("gc.get_objects()", "DET107", "gc.get_objects"),
        ("os.listdir('.')", "DET203", "os.listdir"),
        ("glob.glob('*')", "DET203", "glob.glob"),
        ("list(pathlib.Path('.').iterdir())", "DET203", "os.listdir|os.scandir"),  # as this Python's pathlib does
        ("hash('text')", "DET205", "hash"),
        ("hash(self)", "DET205", "hash"),
        ("id(self)", "DET205", "id"),
        ("logging.error('x')", "DET101", "time.time|time.time_ns"),  # a library's call, for the app
        ("np.random.normal()", "DET102", "numpy.random.normal"),
        ("np.random.rand()", "DET102", "numpy.random.rand"),
        ("np.random.standard_normal(3)", "DET102", "numpy.random.standard_normal"),
        ("np.random.default_rng()", "DET102", "numpy.random.default_rng"),
        ("import datetime as d; d.datetime.now()", "DET101", "datetime.datetime.now"),
        ("from datetime import date; date.today()", "DET101", "datetime.date.today"),
        ("import sys as s; s.stdout.write('x')", "DET104", "sys.stdout"),
        ("print('x')", "DET104", "print"),
        ("sys.stdout.write('x')", "DET104", "sys.stdout"),
        ("sys.stderr.write('x')", "DET104", "sys.stderr"),
        ("os.write(1, b'x')", "DET104", "os.write"),
        ("os.readlink('/proc/self')", "DET103", "os.readlink"),
        ("os.getuid()", "DET103", "os.getuid"),
        ("len(os.environ)", "DET103", "os.environ"),
        ("resource.getrusage(resource.RUSAGE_SELF)", "DET103", "resource.getrusage"),
        ("decimal.getcontext()", "DET303", "decimal.getcontext"),
        ("getcontext()", "DET303", "decimal.getcontext"),
        ("decimal.localcontext()", "DET303", "decimal.localcontext"),
        ("gc.collect()", "DET107", "gc.collect"),
        ("sys.getrefcount(self)", "DET107", "sys.getrefcount"),
        ("weakref.ref(self)", "DET107", "weakref.ref"),
        ("from weakref import WeakValueDictionary", "DET107", "weakref.WeakValueDictionary"),
        ("signal.alarm(0)", "DET105", "signal.alarm"),
        ("_thread.start_new_thread(len, ('',))", "DET105", "_thread.start_new_thread"),
    ],
)
def test_a_call_to_the_outside_stops_the_replay_and_names_the_line(replay, recorded, call, rule, name):
    with pytest.raises(NotAFunctionOfTheStream) as stopped:
        replay(call)
    assert (stopped.value.rule, stopped.value.line) == (rule, LINE)
    assert stopped.value.file == str(recorded / "caller.py")
    first, shown = str(stopped.value).splitlines()
    assert first.startswith(f"{recorded}/caller.py:{LINE}: Caller at seq ")
    assert re.search(f", in touch: (?:{name}) ", first), first
    assert f"({rule}): " in first
    assert "Instead: " in first
    assert shown == f"    {call}"


@pytest.mark.parametrize(
    "call",
    [
        "copy.deepcopy([[1], [1]])",
        "collections.namedtuple('Pair', 'a b')(1, 2)",
        "time.gmtime(self.now // 10**9)",
        "time.strftime('%Y', time.gmtime(0))",
        "datetime.datetime.fromtimestamp(self.now // 10**9, datetime.UTC).strftime('%H')",
        "assert isinstance(moment(2026, 1, 1), datetime.datetime) and issubclass(moment, datetime.date)",
        "assert type(moment(2026, 1, 1) + datetime.timedelta(1)) is type(moment.strptime('2026', '%Y'))",
        "uuid.uuid5(uuid.NAMESPACE_DNS, 'a')",
        "os.path.join('a', 'b')",
        "hash(3), hash((1, 2)), hash(True)",
        "zlib.crc32(b'a')",
        "statistics.stdev([decimal.Decimal(1), decimal.Decimal(2)])",  # a library's own use of the decimal context
        "sys.intern('a'), sys.maxsize, sys.modules['time'], copy.deepcopy(sys.float_info)",
        "np.zeros(3).sum()",
        "import datetime as d; d.datetime(2026, 1, 1, tzinfo=d.UTC).isoformat()",
        "import colorsys",  # importing reads a file; what is imported is the linter's
        "warnings.filterwarnings('ignore'); warnings.warn('x')",
    ],
)
def test_what_is_a_function_of_its_arguments_goes_through(replay, call):
    assert replay(call).identical


def test_what_the_host_does_is_its_own(replay):
    verdict = replay("self.log('x'); self.wake(self.now + 1, 1); self.buy(m.instrument, 5)")
    assert verdict.pending == 2  # said here, and not in the journal: it was reached, and sent on through the host


def test_swallowing_it_does_not_help(replay):
    body = "try:\n    time.time()\nexcept {}:\n    pass"
    for error in ("Exception", "BaseException"):
        with pytest.raises(NotAFunctionOfTheStream, match=r"time\.time"):
            replay(body.format(error))
    with pytest.raises(NotAFunctionOfTheStream, match=r"time\.time"):
        replay("try:\n    time.time()\nexcept BaseException:\n    raise ValueError from None")


def test_start_and_helpers_are_app_code(replay, recorded):
    with pytest.raises(NotAFunctionOfTheStream, match=r"caller\.py:15: Caller at seq 0, in start: time\.time "):
        replay(start="time.time()")
    (recorded / "caller_helper.py").write_text("from time import time as now\n\n\ndef f():\n    return now()\n")
    sys.path.insert(0, str(recorded))
    try:
        with pytest.raises(NotAFunctionOfTheStream, match=r"caller_helper\.py:5: Caller at seq \d+, in f: time\.time "):
            replay("f()", start="global f\nfrom caller_helper import f")
    finally:
        sys.path.remove(str(recorded))
        sys.modules.pop("caller_helper", None)


def test_a_waiver_counts_here_too(replay):
    assert replay("time.time()  # lockstep: allow DET101 because nothing is made of it").identical
    with pytest.raises(NotAFunctionOfTheStream):
        replay("time.time()  # lockstep: allow DET101")
    with pytest.raises(NotAFunctionOfTheStream):
        replay("time.time()  # lockstep: allow DET102 because of something else")


def test_the_commands_say_it_in_one_line(replay, recorded, capsys):
    sys.modules.pop("caller", None)
    (recorded / "caller.py").write_text(source("time.time()"))
    assert main(["replay", str(recorded / "day"), "--app", "caller"]) == 2
    assert f"caller.py:{LINE}: Caller at seq " in capsys.readouterr().err
    config = configuration(
        recorded / "unused",
        strategy={"caller": {"class": f"{recorded}/caller.py:Caller", "account": "demo"}},
        backtest={"duration": "1s"},
    )
    with pytest.raises(NotAFunctionOfTheStream):
        run_backtest(config, recorded / "never")


def originals():
    return (
        time.time, time.sleep, random.random, random.Random.__init__, os.urandom, os.stat, uuid.uuid4, builtins.hash,
        threading.Thread.start, type(os.environ).__getitem__, datetime.datetime, asyncio.run, random._urandom,
        builtins.__import__, builtins.print, numpy.random.normal, os.write, gc.collect, signal.alarm, sys.stdout,
    )  # fmt: skip


def test_nothing_of_it_stays_behind(replay):
    before = originals()
    with trapped():
        assert time.time is not before[0]
        with trapped():
            pass
        assert time.time is not before[0]
        assert time.time() > 0  # this is no app
    assert originals() == before
    with pytest.raises(NotAFunctionOfTheStream):
        replay("t()")
    assert originals() == before
    assert sys.modules["caller"].t is time.time
    assert sys.modules["caller"].moment is datetime.datetime
    assert sys.modules["caller"].datetime is datetime
    assert sys.modules["caller"].sys is sys
    assert not {"id", "hash", "print"} & set(vars(sys.modules["caller"]))
    # A module that was first imported meanwhile has the originals, too.
    replay("import caller_late", start="import sys, types\nsys.modules['caller_late'] = types.ModuleType('caller_late')")
    sys.modules.pop("caller_late")


def test_a_module_that_is_first_imported_meanwhile_is_trapped_and_put_back(replay, monkeypatch):
    """What nobody had imported when the trap was set has its functions wrapped when the app does."""
    monkeypatch.delitem(sys.modules, "locale")
    with pytest.raises(NotAFunctionOfTheStream, match=r"locale\.localeconv "):
        replay("import locale; locale.localeconv()")
    assert "guarded" not in sys.modules["locale"].localeconv.__code__.co_name


def test_a_test_can_set_it_around_an_app_of_its_own():
    class Own(App):
        def on_timer(self, token):
            return time.time_ns()

    app = Own()
    assert app.on_timer(1) > 0
    with pytest.raises(OperatingError, match=r"test_trap\.py:\d+: Own at seq 0, in on_timer: time\.time_ns "), guarded():
        app.on_timer(1)
    assert app.on_timer(1) > 0
