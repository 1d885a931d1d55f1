"""A slice: small, whole in itself, and, where it is asked for, without a single name."""

import re
import shutil
import sys

import msgspec
import pytest

import apps.group
import replay
from journal.errors import JournalLocked
from journal.frames import frame_at, frames, last_seq
from journal.messages import (
    AccountDefined,
    AlgoParameter,
    ExecutionReport,
    LogRecord,
    NewOrder,
    ParentOrder,
    RawMessage,
    StateDigest,
    order_id_text,
)
from journal.segment import segment_files
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from lockstep.config import parse
from replay.player import verify
from replay.slicing.cut import CannotSlice, cut
from replay.slicing.redact import CannotRedact, Redactor
from tests.end_to_end.system import configuration_text, one_line

STRATEGY = """
from apps.strategy import Qty, Strategy, on
from journal.messages import NULL, TopOfBook


class Flips(Strategy):
    qty: Qty
    note: str = ""

    def start(self):
        self.seen = 0
        self.notes = {}

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        name = self.refdata[m.instrument].name
        self.notes[name] = self.seen
        if self.seen % 40 == 0 and m.bid_px != NULL and m.ask_px != NULL:
            self.log(f"{name} for {self.note}, lower {name.lower()}")
            qty = self.refdata.qty(m.instrument, self.qty)
            self.target(m.instrument, 0 if self.position(m.instrument) else qty)
"""
NAMES = {"BTCUSDT": "QUXUSDT", "demo": "acme-7", "sim": "zq"}
"""The demo's names, and the telling ones of this test: one of them of two letters."""


def made_in(folder, code=STRATEGY):
    source = folder / "flipping.py"
    source.write_text(code)
    strategy = {"hush-hush": {"class": f"{source}:Flips", "account": "demo", "qty": "0.010", "note": "demo"}}
    text = configuration_text(folder / "unused", strategy=strategy, backtest={"duration": "4s"})
    for name, other in NAMES.items():
        text = re.sub(rf'(?<=["\[.]){name}(?=["\].\n])', other, text)
    text = text.replace("[gateway.zq]", "[gateway.sim]").replace("[exchange.zq]", '[exchange.zq]\nsymbol = "QUXUSDT"')
    run_backtest(parse(folder / "test.toml", text.encode()), folder / "day")
    return folder / "day"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A day with digests every 256 frames and a strategy that keeps and says names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps.group, "DIGEST_EVERY", 256)
        yield made_in(tmp_path_factory.mktemp("slicing"))
    sys.modules.pop("flipping", None)


def first(day, cls, n=0):
    return list(frames(day, kinds=[cls.KIND]))[n]


def bytes_of(folder):
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_an_order_s_slice_replays_alone(day, tmp_path, capsys):
    """Moved away from its whole: small, sound, the same frames, green, and every tool works on it."""
    order = first(day, NewOrder, 2)
    name = order_id_text(order.message.order_id)
    assert main(["slice", str(day), "--order", name, "--out", str(tmp_path / "made")]) == 0
    out = capsys.readouterr().out
    assert "replay identical" in out
    alone = tmp_path / "elsewhere"
    shutil.move(tmp_path / "made", alone)
    assert survey(alone).problems == []
    mine = [f.header.seq for f in frames(alone, orders=[order.message.order_id])]
    assert mine == [f.header.seq for f in frames(day, orders=[order.message.order_id])]
    begin = order.header.cause
    end = last_seq(alone)
    for a, b in zip(frames(alone, from_seq=begin), frames(day, from_seq=begin, to_seq=end), strict=True):
        assert msgspec.structs.replace(a.header, crc32c=0) == msgspec.structs.replace(b.header, crc32c=0)
        assert bytes(a.body) == bytes(b.body)
    verdict = verify(alone)
    assert verdict.identical
    assert verdict.from_seq == begin > 500
    assert verdict.decisions >= 8
    assert sum(f.stat().st_size for _, f in segment_files(alone)) <= 2 << 20
    assert main(["why", str(alone), name]) == 0
    of_slice = capsys.readouterr().out
    assert main(["why", str(day), name]) == 0
    of_whole = capsys.readouterr().out
    assert "position 0 → " in of_whole
    assert of_slice == of_whole.replace("position 0 → ", "position ? → ", 1)
    assert main(["audit", str(alone), "order", name]) == 0


def test_a_range_has_the_states_of_the_whole(day, tmp_path):
    """At every frame of it, and digests of the record agree in between."""
    made = cut(day, tmp_path / "slice", 600, 1300)
    assert (made.from_seq, made.to_seq, made.differs_at) == (600, 1300, 0)
    assert len(list(frames(tmp_path / "slice", from_seq=600, kinds=[StateDigest.KIND]))) >= 10
    assert verify(tmp_path / "slice").identical
    with replay.open(day) as whole, replay.open(tmp_path / "slice") as part:
        for seq in (599, 600, 901, 1300, 700):
            states = [{s.name: s.snapshot() for s in c.at(seq).group.slots} for c in (whole, part)]
            assert states[0] == states[1], seq
        assert part.at(1300).back("oms").seq > 600


def test_why_states_no_position_that_a_slice_does_not_have(day, tmp_path, capsys):
    """The second order closes what the first one opened, before the slice."""
    name = order_id_text(first(day, NewOrder, 1).message.order_id)
    assert main(["slice", str(day), "--order", name, "--out", str(tmp_path / "slice")]) == 0
    capsys.readouterr()
    told = []
    for path in (day, tmp_path / "slice"):
        assert main(["why", str(path), name]) == 0
        told.append(re.findall(r"position (\S+) → (\S+)", capsys.readouterr().out))
    assert told == [[("0.01", "0")], [("?", "0")]]


def test_the_debugger_goes_through_a_slice(day, tmp_path, capsys, monkeypatch):
    cut(day, tmp_path / "slice", 600, 1300)
    report = next(f for f in frames(day, from_seq=700, kinds=[ExecutionReport.KIND]))
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("why\nback\nstate notes\nback-until seq < 600\ngoto 5\nquit\n"))
    assert main(["debug", str(tmp_path / "slice"), "--at", str(report.header.seq), "--app", "hush-hush"]) == 2
    said = capsys.readouterr()
    assert "QUXUSDT = " in said.out
    assert f"hush-hush gets {report.header.seq} " in said.out
    assert "it held nowhere before this" in said.err
    assert "seq 5 is not in the journal; it has 600 to 1300" in said.err


def test_redaction_leaves_no_name_anywhere(day, tmp_path, capsys, monkeypatch):
    """Every original name is searched for in every byte; the file name of the strategy's code stays, and is none of them."""
    order = order_id_text(first(day, NewOrder, 2).message.order_id)
    assert main(["slice", str(day), "--order", order, "--redact", "--out", str(tmp_path / "slice"), "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["slice"]["verdict"]["identical"]
    whole, part = bytes_of(day), bytes_of(tmp_path / "slice").lower()
    names = [*Redactor.of(day).names]
    assert {"QUXUSDT", "acme-7", "zq", "hush-hush", "USDT", "BTC"} <= set(names)
    for name in names:
        assert name.encode() in whole
        if len(name) >= 4:
            assert name.lower().encode() not in part, name
        else:
            assert not re.search(rb"(?<![a-z0-9])" + name.lower().encode() + rb"(?![a-z0-9])", part), name
    assert str(day.parent).encode() not in part
    assert b"flipping.py:flips" in part
    monkeypatch.chdir(day.parent)
    assert verify(tmp_path / "slice").identical
    assert survey(tmp_path / "slice").problems == []


def test_redaction_is_consistent(day, tmp_path, monkeypatch):
    """One name for one name, in definitions, configuration, what apps say, and states."""
    monkeypatch.chdir(day.parent)  # whoever gets it has the code, in a folder of their own
    log = first(day, LogRecord, 2).header.seq
    cut(day, tmp_path / "slice", log - 300, log + 300, redact=True)
    redactor = Redactor.of(day)
    other = redactor.names["QUXUSDT"]
    assert frame_at(tmp_path / "slice", log).message.text == (
        f"{other} for {redactor.names['acme-7']}, lower {other}"
    )  # fmt: skip
    with replay.open(day) as whole, replay.open(tmp_path / "slice") as part:
        name = redactor.names["hush-hush"]
        assert part.at(log)[name].notes == {other: whole.at(log)["hush-hush"].notes["QUXUSDT"]}
        assert part[name].note == redactor.names["acme-7"]
    assert verify(tmp_path / "slice").identical


def test_from_the_beginning_nothing_is_needed(day, tmp_path, monkeypatch):
    monkeypatch.chdir(day.parent)
    made = cut(day, tmp_path / "slice", 10, 700, redact=True)
    assert made.from_seq == 1
    assert verify(tmp_path / "slice").identical
    assert not list((tmp_path / "slice").glob("begin-*"))


def test_a_slice_of_a_bug_shows_the_bug(day, tmp_path, capsys, monkeypatch):
    """The code has changed: the slice that holds the first difference differs there, too, redacted or not."""
    monkeypatch.chdir(day.parent)
    source = day.parent / "flipping.py"
    orders = list(frames(day, kinds=[NewOrder.KIND]))
    bad = orders[2].header.seq
    source.write_text(STRATEGY.replace("if self.seen % 40 == 0", "if self.seen % 40 == 0 and self.seen != 120"))
    sys.modules.pop("flipping", None)
    shutil.rmtree(day / "checkpoints", ignore_errors=True)
    try:
        whole = verify(day)
        assert not whole.identical
        at = whole.difference_seq
        assert at <= bad
        for n, redact in enumerate(([], ["--redact"])):
            out = tmp_path / f"slice{n}"
            assert main(["slice", str(day), "--from", str(at - 100), "--to", str(at + 100), "--out", str(out), *redact]) == 1
            assert f"lockstep debug {out} --at {at}" in capsys.readouterr().out
            assert verify(out).difference_seq == at
        with pytest.raises(CannotSlice, match=f"the replay differs at seq {at}, before the slice would begin"):
            cut(day, tmp_path / "late", at + 50, at + 100)
    finally:
        source.write_text(STRATEGY)
        sys.modules.pop("flipping", None)
        shutil.rmtree(day / "checkpoints", ignore_errors=True)


def test_an_app_that_raises_before_a_slice_is_told(day, tmp_path, capsys):
    """There are no states to begin with; a slice of where it raises shows that."""
    source = day.parent / "flipping.py"
    source.write_text(STRATEGY.replace("self.seen += 1", "self.seen += 1 if self.seen < 60 else 1 // 0"))
    sys.modules.pop("flipping", None)
    shutil.rmtree(day / "checkpoints", ignore_errors=True)
    try:
        at = verify(day).difference_seq
        assert main(["slice", str(day), "--from", str(at + 50), "--to", str(at + 90), "--out", str(tmp_path / "late")]) == 2
        line = one_line(capsys.readouterr().err)
        assert f"hush-hush raises at seq {at}, before the slice would begin (ZeroDivisionError(" in line
        assert f"(--to {at})" in line
        out = tmp_path / "slice"
        assert main(["slice", str(day), "--from", str(at - 50), "--to", str(at), "--out", str(out)]) == 1
        assert f"lockstep debug {out} --at {at}" in capsys.readouterr().out
    finally:
        source.write_text(STRATEGY)
        sys.modules.pop("flipping", None)
        shutil.rmtree(day / "checkpoints", ignore_errors=True)


def test_an_app_that_reads_a_name_cannot_be_redacted(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    day = made_in(tmp_path / "x", STRATEGY.replace("% 40 == 0", "% (10 + 5 * len(name)) == 0"))
    try:
        end = last_seq(day)
        assert main(["slice", str(day), "--from", "300", "--redact", "--out", str(tmp_path / "slice")]) == 2
        line = one_line(capsys.readouterr().err)
        assert "with the other names hush-hush decides otherwise at seq" in line
        assert line.endswith("make the slice without --redact")
        assert not [*tmp_path.glob("slice*")]
        assert cut(day, tmp_path / "slice", 300, end).frames > end - 300
    finally:
        sys.modules.pop("flipping", None)


def test_an_app_that_says_a_name_of_its_own_code_cannot_be_redacted(tmp_path, capsys):
    """Other frames would have it replaced; the replay of this one would say it again."""
    (tmp_path / "x").mkdir()
    day = made_in(tmp_path / "x", STRATEGY.replace("lower {", "as Acme-7s do, lower {"))
    try:
        log = first(day, LogRecord, 2).header.seq
        asked = ["slice", str(day), "--from", str(log - 50), "--to", str(log + 50)]
        assert main([*asked, "--redact", "--out", str(tmp_path / "slice")]) == 2
        assert f"hush-hush says a name of its own code at seq {log}: 'Acme-7'; make the" in one_line(capsys.readouterr().err)
        assert main([*asked, "--out", str(tmp_path / "plain")]) == 0
    finally:
        sys.modules.pop("flipping", None)


def test_a_name_is_told_from_what_stands_for_another():
    redactor = Redactor({"account": "account1", "zq": "venue1", "acct": "account12"})
    assert redactor.name_in(LogRecord(text="account1 at venue1, account12")) == ""
    assert redactor.name_in(LogRecord(text="account1 of my Account")) == "Account"
    assert redactor.name_in(LogRecord(text="account1 at ZQ")) == "ZQ"
    assert redactor.name_in(RawMessage(data=b"\xffACCT")) == "ACCT"
    parent = ParentOrder(parameters=[AlgoParameter(name="at", value="account1"), AlgoParameter(name="x", value="my acct")])
    assert redactor.name_in(parent) == "acct"


def test_what_cannot_be_sliced_is_said_in_a_line(day, tmp_path, capsys):
    def said(*arguments):
        assert main(["slice", *map(str, arguments)]) == 2
        return one_line(capsys.readouterr().err)

    end = last_seq(day)
    assert "nearest:" in said(day, "--order", "9.999")
    assert f"seq {end + 1} is not in the journal; it has 1 to {end}" in said(day, "--from", 600, "--to", end + 1)
    assert "--to 600 is seq 600, before --from 700, seq 700" in said(day, "--from", 700, "--to", 600)
    assert "--to: belongs to --from" in said(day, "--order", "9.1", "--to", 5)
    assert "no such folder; expected a journal" in said(tmp_path / "nothing", "--order", "9.1")
    cut(day, tmp_path / "slice", 600, 700)
    assert "not empty; a slice is a new journal" in said(day, "--from", 600, "--to", 700, "--out", tmp_path / "slice")
    assert "is a slice; expected the whole journal" in said(
        tmp_path / "slice", "--from", 650, "--to", 660, "--out", tmp_path / "y"
    )
    state = next((tmp_path / "slice").glob("begin-*.state"))
    data = bytearray(state.read_bytes())
    data[100] ^= 1
    state.write_bytes(data)
    assert main(["replay", str(tmp_path / "slice"), "--verify"]) == 2
    assert "damaged; get this slice again" in one_line(capsys.readouterr().err)


def test_a_slice_without_its_states_is_told(day, tmp_path, capsys):
    """What is there would be passed over as later than seq 1: nothing to compare, so nothing that differs."""
    cut(day, tmp_path / "slice", 600, 700)
    next((tmp_path / "slice").glob("begin-*.state")).unlink()
    order = order_id_text(first(day, NewOrder).message.order_id)
    for command in (["replay"], ["replay", "--verify"], ["debug", "--at", "650"], ["why", order], ["audit", "order", order]):
        name, *more = command
        assert main([name, str(tmp_path / "slice"), *more]) == 2
        line = one_line(capsys.readouterr().err)
        assert "so it is a slice, but its begin-….state (what its apps start from) is missing" in line


def test_what_was_not_made_whole_is_not_there(day, tmp_path):
    """Half a slice would replay green, and have the names in it."""

    def interrupt(_):
        assert (tmp_path / "slice.partial").is_dir()
        assert not (tmp_path / "slice").exists()
        with pytest.raises(JournalLocked):
            cut(day, tmp_path / "slice", 600, 1300)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut(day, tmp_path / "slice", 600, 1300, progress=interrupt)
    assert not [*tmp_path.iterdir()]
    JournalWriter.open(tmp_path / "slice.partial").close()  # as a killed one leaves it
    cut(day, tmp_path / "slice", 600, 1300)
    assert [p.name for p in tmp_path.iterdir()] == ["slice"]
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "notes").write_text("mine")
    with pytest.raises(CannotSlice, match=r"other\.partial: is in the way"):
        cut(day, tmp_path / "other", 600, 1300)
    assert (tmp_path / "other.partial" / "notes").read_text() == "mine"


def test_a_slice_goes_into_the_empty_folder_that_one_stands_in(day, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["slice", str(day), "--from", "600", "--to", "700", "--out", "."]) == 0
    assert main(["replay", ".", "--verify"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_what_names_could_hide_in_is_refused():
    redactor = Redactor({"ACME": "account1", "zq": "venue1"})
    assert redactor.text("acme, zq, zqx and MACMEX") == "account1, venue1, zqx and Maccount1X"
    assert redactor.message(RawMessage(data=b"ACME")).data == b""
    with pytest.raises(CannotRedact, match="kind 12345 is not declared here"):
        redactor.body(12345, b"ACME", "frame 7")
    with pytest.raises(CannotRedact, match="bytes of a form of their own"):
        redactor.state(b"\xff\x00ACME", "mine")
    assert redactor.state(b"\xff\x00\x01", "mine") == b"\xff\x00\x01"


def test_names_of_any_script_are_replaced():
    """The capital dotted I is two letters in lower case, the long s one of `sim` without regard to case."""
    redactor = Redactor({"İpek Çelik": "strategy1", "sim": "venue1", "Groß": "user1", "Ωmega": "account1"})
    assert redactor.text("İpek Çelik, i̇pek çelik; İPEK ÇELİK") == "strategy1, strategy1; strategy1"
    assert redactor.text("at ſim, SIM and simple") == "at venue1, venue1 and simple"
    assert redactor.text("groß GROSS gross ωMEGA") == "user1 user1 user1 account1"
    with pytest.raises(CannotRedact, match="bytes of a form of their own"):
        redactor.state(b"\xff\x00" + "ωmega".encode(), "mine")


def test_names_that_differ_in_case_alone_stay_two():
    redactor = Redactor({"my_idea": "strategy1", "MY_IDEA": "strategy2", "My_Idea_2": "strategy3"})
    assert redactor.text("my_idea MY_IDEA my_idea_2 x.MY_IDEA.y") == "strategy1 strategy2 strategy3 x.strategy2.y"
    assert redactor.text("My_Idea") in {"strategy1", "strategy2"}


def test_no_name_becomes_another_one(tmp_path):
    with JournalWriter.open(tmp_path / "day") as writer:
        for number, name in enumerate(["Account1", "acme", "account3"], 1):
            writer.append(AccountDefined(account=number, name=name), ts=number)
    assert Redactor.of(tmp_path / "day").names == {"Account1": "account2", "acme": "account4", "account3": "account5"}
