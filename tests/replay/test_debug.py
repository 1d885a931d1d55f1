"""The debugger: stops on the production code just before a handler gets a frame, goes forward and back, shows what is there."""

import io
import json
import os
import re
import socket
import subprocess
import sys
from itertools import pairwise

import pytest

from journal.frames import frame_at, frames
from journal.messages import ExecutionReport, MarketByPriceUpdate, NewOrder, OrdStatus, SourceDefined, order_id_text
from journal.text import time_text
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.console import debug
from replay.debug import NothingHandles
from replay.player import apps_of
from tests.end_to_end.system import ROOT, configuration, one_line


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug")
    run_backtest(configuration(folder / "unused", backtest={"duration": "3s"}), folder / "day")
    return folder / "day"


def seqs(day, cls, match=lambda m: True):
    return [f.header.seq for f in frames(day, kinds=[cls.KIND]) if match(f.message)]


def session(day, at, name=None, commands="quit\n"):
    """(exit code, what was said)."""
    said = io.StringIO()
    code = debug(day, str(at), name, stdin=io.StringIO(commands), stdout=said)
    return code, said.getvalue()


def stops(said):
    return [(found[1], int(found[2])) for found in re.finditer(r"^(\S+) gets (\d+) ", said, re.MULTILINE)]


def test_it_stops_before_the_handler_with_the_message(day):
    at = seqs(day, NewOrder)[2]
    frame = frame_at(day, at)
    code, said = session(day, at, "risk", "p m.order_qty\np now, seq\np app.engine.memory.used\nquit\n")
    assert code == 0
    head, qty, clock, used = said.splitlines()
    assert re.match(rf"risk gets {at} .* NewOrder ", head)
    assert qty == str(frame.message.order_qty)
    assert clock == str((frame.header.ts, at))
    own = frame.message.order_id & ((1 << 48) - 1)
    assert f"[{own}" not in used.replace(" ", "")  # it has not been handled yet


def test_step_is_plain_pdb_in_the_handler(day):
    at = seqs(day, NewOrder)[2]
    code, said = session(day, at, "risk", "step\np m.order_qty\np self.ctx.seq\nw\nn\nc\nquit\n")
    assert code == 0
    assert "-> " in said
    assert f"\n{frame_at(day, at).message.order_qty}\n{at}\n" in said
    assert "on_new_order" in said
    assert len(stops(said)) == 2  # and on to the next event


def test_leaving_pdb_comes_back_to_before_the_call(day):
    at = seqs(day, NewOrder)[2]
    code, said = session(day, at, "risk", "p app.snapshot()\nstep\nn\nn\nn\nq\np app.snapshot()\nwhere\nnext\nback\nquit\n")
    assert code == 0
    before, after = [line for line in said.splitlines() if line.startswith(("b'", 'b"'))]
    assert before == after
    assert [seq for _, seq in stops(said)][0::1][:2] == [at, at]
    assert stops(said)[-1] == ("risk", at)


def test_next_and_back_are_each_others_inverse(day):
    at = seqs(day, NewOrder)[1]
    there = session(day, at, "oms", "next\n" * 12 + "quit\n")[1]
    both = session(day, at, "oms", "next\n" * 12 + "back\n" * 12 + "quit\n")[1]
    forward = stops(there)
    assert len(forward) == 13
    assert stops(both) == forward + forward[-2::-1]


def test_without_an_app_it_goes_through_all_that_handle_a_frame(day):
    at = seqs(day, ExecutionReport)[3]
    found = [name for name, seq in stops(session(day, at, None, "next\n" * 12 + "quit\n")[1]) if seq == at]
    assert {"risk", "positions", "maker"} <= set(found)
    back = stops(session(day, at, None, "next\nnext\nback\nback\nquit\n")[1])
    assert back[0] == back[-1] == (found[0], at)


def test_the_place_may_be_a_time_an_order_or_a_frame_nobody_handles(day):
    at = seqs(day, NewOrder)[2]
    frame = frame_at(day, at)
    order = order_id_text(frame.message.order_id)
    assert stops(session(day, time_text(frame.header.ts), "oms")[1]) == [("oms", at)]
    assert stops(session(day, time_text(frame.header.ts)[11:-1], "oms")[1]) == [("oms", at)]
    for text in (order, order.replace("·", ".")):
        assert stops(session(day, text, "oms")[1]) == [("oms", at)]
    quiet = next(s for s in seqs(day, MarketByPriceUpdate) if s < at)
    (_, after), *_ = stops(session(day, quiet, "oms")[1])
    assert after > quiet


def test_goto_goes_both_ways(day):
    a, b, *_ = seqs(day, NewOrder)
    order = order_id_text(frame_at(day, b).message.order_id).replace("·", ".")
    said = session(day, b, "oms", f"goto {a}\ngoto {order}\ngoto 10000000\ngoto nowhere\nquit\n")
    assert stops(said[1]) == [("oms", b), ("oms", a), ("oms", b)]
    assert said[0] == 2


def test_until_and_back_until_find_the_same_place(day):
    first = seqs(day, NewOrder)[0]
    filled = seqs(day, ExecutionReport, lambda m: m.ord_status == OrdStatus.FILLED)
    condition = "order.status == FILLED and kind == ExecutionReport"
    said = session(day, first, "positions", f"until {condition}\nuntil {condition}\nback-until {condition}\nquit\n")[1]
    assert [seq for _, seq in stops(said)][1:] == [filled[0], filled[1], filled[0]]
    sells = "until position < 0 and order.side == SELL\np position, order.side\nquit\n"
    said = session(day, first, "positions", sells)[1]
    position, side = eval(said.splitlines()[-1])
    assert position < 0
    assert side == 2


def test_an_expression_that_holds_nowhere(day, capsys):
    at = seqs(day, NewOrder)[2]
    code, said = session(day, at, "oms", "back-until seq == 0\nwhere\nuntil seq == 0\nback\nquit\n")
    assert code == 2
    assert one_line(capsys.readouterr().err) == "lockstep: it held nowhere before this"
    assert stops(said)[:2] == [("oms", at), ("oms", at)]
    assert re.search(r"^the journal ends at seq \d+$", said, re.MULTILINE)
    assert stops(said)[-1][1] > at  # back from the end


def test_breaks(day, capsys):
    new = seqs(day, NewOrder)
    third = frame_at(day, new[2]).message.order_id
    commands = [
        "break kind=ExecutionReport instrument=BTCUSDT", f"break kind=NewOrder order={order_id_text(third).replace('·', '.')}",
        "break", "delete 1", "break", "continue", "delete", "break", "continue", "quit",
    ]  # fmt: skip
    code, said = session(day, new[0], "risk", "\n".join(commands) + "\n")
    assert code == 0
    assert said.count("1: kind=ExecutionReport instrument=BTCUSDT") == 2
    assert stops(said) == [("risk", new[0]), ("risk", new[2])]
    assert "no breaks" in said
    assert "the journal ends" in said
    wrong = "break kind=Nonsense\nbreak instrument=EURUSD\nbreak order=mine\nbreak price=5\nbreak kind='\ndelete 7\nquit\n"
    assert session(day, new[0], "risk", wrong)[0] == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert "no such instrument; there are BTCUSDT" in lines[1]


def test_why_goes_back_to_the_input(day):
    at = seqs(day, ExecutionReport)[0]
    lines = session(day, at, "positions", "why\nquit\n")[1].splitlines()[1:]
    found = [int(re.match(r"\s*(?:<- )?(\d+) ", line)[1]) for line in lines]
    assert found[0] == at
    for a, b in pairwise(found):
        assert frame_at(day, a).header.cause == b
    assert frame_at(day, found[-1]).header.cause == 0
    assert len(found) >= 3


def test_state_and_diff_are_trees(day, capsys):
    at = seqs(day, NewOrder)[0]
    order = frame_at(day, at).message.order_id
    said = session(
        day, at, "oms", f"state machine.memory.orders\nnext\nstate machine.memory.orders.{order}\ndiff 1 {at}\nquit\n"
    )[1]
    assert f"\n  order_id = {order}\n" not in said.split("oms gets")[1]
    assert f"order_id = {order}" in said.split("oms gets")[2]
    assert re.search(rf"^\+ +{order} = {{order_id: {order}", said, re.MULTILINE)
    assert re.search(r"^  machine$", said, re.MULTILINE)
    code, said = session(day, at, "oms", f"diff {at} {at}\nstate no.such\ndiff 1\nquit\n")
    assert f"oms: no difference between {at} and {at}" in said
    assert code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "lockstep: no.such: no 'no' in the state; it has machine"


def test_book_timers_and_list(day, capsys):
    at = seqs(day, NewOrder)[3]
    code, said = session(day, at, "maker", "book BTCUSDT\nlist\nquit\n")
    assert code == 0
    assert "BTCUSDT LIVE" in said
    assert re.search(rf"^-> +{stops(said)[0][1]} ", said, re.MULTILINE)
    code, said = session(day, at, None, "until kind == NewOrder and seq > 400\nnext\nnext\nnext\nnext\ntimers\nquit\n")
    assert re.search(r"(timers$)|( in -?\d+\.\d+ s, token )", said, re.MULTILINE)
    assert session(day, at, "oms", "book EURUSD\nquit\n")[0] == 2
    assert "there are BTCUSDT" in capsys.readouterr().err


def test_help_names_every_command(day):
    said = session(day, 1, None, "help\nhelp back-until\nhelp names\nhelp nonsense\nquit\n")[1]
    for name in (
        "next",
        "step",
        "back",
        "goto",
        "until",
        "back-until",
        "break",
        "continue",
        "state",
        "diff",
        "why",
        "book",
        "quit",
    ):
        assert re.search(rf"^  {name}\b", said, re.MULTILINE), name
    assert "back to the last event before this one at which it held" in said
    assert "our signed quantity" in said


def test_completion():
    from replay.console import Console

    assert Console(io.StringIO()).completenames("ba") == ["back", "back-until"]


PIPE = "next\nback\nwhy\nquit\n"


@pytest.mark.parametrize("commands", [PIPE, "", "step\nn\nn\nq\nquit\n", "continue\n" * 3 + "quit\n", "step\n"])
def test_a_pipe_without_noise(day, commands):
    at = seqs(day, NewOrder)[1]
    done = subprocess.run(
        [sys.executable, "-m", "lockstep", "debug", str(day), "--at", str(at), "--app", "oms"],
        input=commands, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    assert f"oms gets {at} " in done.stdout
    assert "(oms" not in done.stdout
    assert done.returncode == (2 if "continue" in commands else 0), done.stderr  # beyond the end


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("until position <", "'position <': invalid syntax; expected an expression such as: m.price_px > 100 and position < 0"),
        (
            "until app.stop()",
            "'app.stop()': app.stop(): a call could change something; expected names, attributes, items, comparisons",
        ),
        ("until", "expected an expression such as: order.status == FILLED and position < 0"),
        ("until app.emit == 1", "'app.emit == 1': app.emit: emit is a method of OmsApp; there are no calls here"),
        ("back-until app.emit == 1", "'app.emit == 1': app.emit: emit is a method of OmsApp; there are no calls here"),
        ("nonsense 5", "nonsense: no such command; help lists them"),
        ("goto", "expected goto SEQ, TIME or ORDER"),
        ("p 1/0", "p 1/0: ZeroDivisionError: division by zero"),
    ],
)
def test_a_wrong_command_is_one_line_and_the_next_is_read(day, capsys, command, line):
    at = seqs(day, NewOrder)[1]
    code, said = session(day, at, "oms", f"{command}\np 'still here'\nquit\n")
    assert code == 2
    assert one_line(capsys.readouterr().err) == f"lockstep: {line}"
    assert "'still here'" in said


@pytest.mark.parametrize("at", ["0", "-1", "1000000", "tomorrow", "2030-01-01", "77.1"])
def test_a_place_that_is_not_there(day, at, capsys):
    assert main(["debug", str(day), f"--at={at}"]) == 2
    line = one_line(capsys.readouterr().err)
    assert re.search("it has 1 to |expected a seq|ends before|no frame is about order", line)


def test_frames_that_nobody_handles_to_the_end(day, capsys):
    last = max(f.header.seq for f in frames(day))
    with pytest.raises(NothingHandles, match=f"app 'positions' handles no frame from seq {last} on"):
        session(day, last, "positions")
    assert main(["debug", str(day), "--at", str(last), "--app", "positions"]) == 2
    assert "lockstep journal dump" in one_line(capsys.readouterr().err)
    first = seqs(day, SourceDefined)[0]
    assert stops(session(day, first)[1])[0][1] >= first


def test_an_app_that_is_not_there(day, capsys):
    assert main(["debug", str(day), "--at", "5", "--app", "nobody"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "nobody" in line
    assert "maker" in line


RAISES = """
from apps.strategy import Strategy, on
from journal.messages import TopOfBook


class Raises(Strategy):
    def start(self):
        self.seen = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
"""


@pytest.fixture
def raising(tmp_path):
    """A day whose strategy has since been given a bug."""
    source = tmp_path / "raises_since.py"
    source.write_text(RAISES)
    strategy = {"raiser": {"class": f"{source}:Raises", "account": "demo"}}
    run_backtest(configuration(tmp_path / "unused", strategy=strategy, backtest={"duration": "2s"}), tmp_path / "day")
    sys.modules.pop("raises_since", None)
    source.write_text(
        RAISES + "        if self.seen == 40:\n            tangled = self.seen * 2\n            raise RuntimeError('tangled')\n"
    )
    yield tmp_path / "day"
    sys.modules.pop("raises_since", None)


def test_an_app_that_raises_opens_the_debugger_there(raising):
    last = max(f.header.seq for f in frames(raising))
    for at, commands in ((1, "until app.seen == 39\ncontinue\n"), (last, "")):
        commands += "p app.seen\nwhere\nstep\np tangled\nq\nnext\nback\np app.seen\nquit\n"
        code, said = session(raising, at, "raiser", commands)
        assert code == 2  # there is no next
        assert said.count("RuntimeError: tangled") == 1
        assert "raises_since.py" in said
        values = [line for line in said.splitlines() if line.isdigit()]
        assert values == ["40", "80", "38"]


def test_an_app_beside_that_raises_is_told(raising):
    code, said = session(raising, max(f.header.seq for f in frames(raising)), "positions", "back\nquit\n")
    assert "RuntimeError: tangled" in said
    assert code == 0


def test_a_state_that_an_app_raises_before_is_a_wrong_command(raising, capsys):
    """The apps of `diff` are others than those of the session, which keeps its place."""
    last = max(f.header.seq for f in frames(raising))
    code, said = session(raising, 300, "oms", f"diff 1 {last}\nwhere\ndiff 1 200\nnext\nquit\n")
    assert code == 2
    assert one_line(capsys.readouterr().err) == f"lockstep: diff 1 {last}: no state at seq {last}: RuntimeError: tangled"
    assert "raised" not in said
    (first, again, after) = stops(said)
    assert first == again < after


BUYS = """
from apps.strategy import Strategy, on
from journal.messages import TopOfBook


class Buys(Strategy):
    EDGE = 100

    def start(self):
        self.seen = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        if self.seen % 20 == 0:
            self.buy(m.instrument, 5, m.bid_px - 10 * (self.seen > self.EDGE))
"""


@pytest.fixture(scope="module")
def bought(tmp_path_factory):
    """A day and a slice of it, recorded by a strategy that bids lower from its 120th touch on."""
    folder = tmp_path_factory.mktemp("bought")
    (folder / "buys_since.py").write_text(BUYS)
    strategy = {"buys": {"class": f"{folder / 'buys_since.py'}:Buys", "account": "demo"}}
    run_backtest(configuration(folder / "unused", strategy=strategy, backtest={"duration": "3s"}), folder / "day")
    assert main(["slice", str(folder / "day"), "--from", "200", "--out", str(folder / "slice")]) == 0
    return folder


@pytest.fixture(params=["day", "slice"])
def differing(bought, request):
    """That journal, and the head of the order, its fourth, for which the strategy bids another price since it was changed."""
    me = next(spec.source for spec in apps_of(bought / "day") if spec.name == "buys")
    asked = [f.header for f in frames(bought / "day", kinds=[NewOrder.KIND]) if f.header.source == me]
    source = bought / "buys_since.py"
    source.write_text(BUYS.replace("EDGE = 100", "EDGE = 70"))
    sys.modules.pop("buys_since", None)
    yield bought / request.param, asked[3]
    source.write_text(BUYS)
    sys.modules.pop("buys_since", None)


@pytest.mark.parametrize("app", [None, "buys", "oms"])
def test_from_a_difference_it_goes_back_to_the_event_before(differing, app, capsys):
    day, fourth = differing
    begin = fourth.cause - 20
    there = stops(session(day, begin, app, "next\n" * 500)[1])
    capsys.readouterr()
    code, said = session(day, begin, app, "continue\nback\nback\nquit\n")
    assert (code, capsys.readouterr().err) == (0, "")
    assert said.count(f"\nbuys: differs from the journal at seq {fourth.seq}\n") == 1
    assert stops(said) == [there[0], there[-1], there[-2]]
    # A search does so too, and one that finds nothing stays at the difference.
    code, said = session(day, begin, app, f"continue\nback-until seq == {there[-1][1]}\ncontinue\nback-until seq == 0\nwhere\n")
    assert code == 2
    assert one_line(capsys.readouterr().err) == "lockstep: it held nowhere before this"
    assert stops(said)[1][1] == there[-1][1]
    assert said.count(f"\nbuys: differs from the journal at seq {fourth.seq}\n") == 3


def test_a_state_behind_a_difference_is_a_wrong_command(differing, capsys):
    day, fourth = differing
    last = max(f.header.seq for f in frames(day))
    begin = fourth.seq - 50
    code, said = session(day, begin, "oms", f"diff {begin} {last}\nwhere\ndiff {begin} {begin + 9}\nnext\nquit\n")
    assert code == 2
    line = one_line(capsys.readouterr().err)
    assert line == f"lockstep: diff {begin} {last}: no state at seq {last}: buys: differs from the journal at seq {fourth.seq}"
    first, again, after = stops(said)
    assert first == again < after


def test_code_that_a_person_has_changed_may_have_no_way_back(bought, capsys):
    """It went by here as it was; from the start again it is another."""
    day = bought / "day"
    late = next(f.header.seq for f in frames(day, kinds=[MarketByPriceUpdate.KIND], from_seq=1000))
    commands = 'p setattr(type(app), "EDGE", 70)\ncontinue\nback\nwhere\nback\nquit\n'
    code, said = session(day, late, "buys", commands)
    sys.modules.pop("buys_since", None)
    assert code == 2
    assert re.fullmatch(r"lockstep: no way back: buys: differs from the journal at seq \d+", one_line(capsys.readouterr().err))
    assert "the journal ends at seq" in said
    assert stops(said)[-1][1] < late


TIMED = """
from apps.strategy import SECOND, Strategy, on
from journal.messages import TopOfBook


class Timed(Strategy):
    def start(self):
        self.fired = []

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        if not self.fired:
            self.fired.append(0)
            self.wake(self.now + SECOND // 2, 7)

    def on_timer(self, token):
        self.fired.append(token)
        self.log("half a second")
"""


def test_a_timer_is_an_event(tmp_path):
    source = tmp_path / "timed_app.py"
    source.write_text(TIMED)
    strategy = {"timed": {"class": f"{source}:Timed", "account": "demo"}}
    run_backtest(configuration(tmp_path / "unused", strategy=strategy, backtest={"duration": "2s"}), tmp_path / "day")
    commands = "until token == 7\np app.fired\nstep\np token\nc\np app.fired\nback\np app.fired\nback\ntimers\nquit\n"
    code, said = session(tmp_path / "day", 1, "timed", commands)
    assert code == 0
    assert len(re.findall(r"^timed has timer 7 due, before \d+ ", said, re.MULTILINE)) == 2
    assert re.findall(r"^(?:\[.*\]|7)$", said, re.MULTILINE) == ["[0]", "7", "[0, 7]", "[0]"]
    assert re.search(r"^  timed +2026-.* in 0\.\d+ s, token 7$", said, re.MULTILINE)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_listen_without_debugpy_is_one_line(day, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "debugpy", None)
    assert main(["debug", str(day), "--at", "5", "--listen", str(free_port())]) == 2
    assert one_line(capsys.readouterr().err) == "lockstep: --listen needs debugpy: pip install 'lockstep[debug]'"


@pytest.mark.parametrize("port", ["taken", "99999", "-1"])
def test_a_port_that_cannot_be_listened_on_is_one_line(day, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1]) if port == "taken" else port
        done = subprocess.run(
            [sys.executable, "-m", "lockstep", "debug", str(day), "--at", "5", f"--listen={port}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, timeout=90, check=False,
            env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )  # fmt: skip
    assert done.returncode == 2
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("0.00s - "))  # debugpy's own
    assert one_line(said).startswith(f"lockstep: --listen {port}: ")
    assert re.search("in use|invalid port number", said)


class Ide:
    """The least an IDE says and hears (Debug Adapter Protocol)."""

    def __init__(self, port):
        self.number = 0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(90)
        self.file = self.socket.makefile("rb")

    def ask(self, command, **arguments):
        self.number += 1
        body = json.dumps({"seq": self.number, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def hear(self, match):
        """The next message that fits."""
        while True:
            length = 0
            while (line := self.file.readline()) not in (b"\r\n", b""):
                length = int(line.split(b":")[1])
            assert length, "the debugger has gone"
            message = json.loads(self.file.read(length))
            if message.get("event") == match or message.get("command") == match:
                return message


def test_an_ide_stops_before_the_handler(day):
    """Attached, stopped in front of the call; stepping in lands in the handler; going on ends at the terminal's commands."""
    at, port = seqs(day, NewOrder)[1], free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "lockstep", "debug", str(day), "--at", str(at), "--app", "risk", "--listen", str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        line = child.stdout.readline()
        assert line == f"waiting for an IDE: attach to 127.0.0.1:{port} (debugpy)\n", child.stderr.read()
        ide = Ide(port)
        ide.ask("initialize", adapterID="test")
        ide.ask("attach", justMyCode=False)
        ide.hear("initialized")
        ide.ask("configurationDone")
        thread = ide.hear("stopped")["body"]["threadId"]
        names = []
        for _ in range(12):
            ide.ask("stackTrace", threadId=thread, levels=1)
            (frame,) = ide.hear("stackTrace")["body"]["stackFrames"]
            names.append(frame["name"])
            if "on_new_order" in frame["name"]:
                break
            ide.ask("stepIn", threadId=thread)
            ide.hear("stopped")
        assert "_in_ide" in names[0]
        assert "on_new_order" in names[-1]
        ide.ask("disconnect", terminateDebuggee=False)
        out, err = child.communicate("next\nquit\n", timeout=90)
        assert child.returncode == 0, err
        assert len(stops(out)) >= 1
    finally:
        child.kill()
        child.wait()
