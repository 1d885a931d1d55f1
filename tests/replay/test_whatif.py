"""What if: the same inputs twice, and nothing but decisions compared."""

import re
import shutil
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from journal.frames import frame_at, frames, last_seq
from journal.messages import (
    Flag,
    KillLevel,
    KillSwitch,
    MarketByPriceUpdate,
    NewOrder,
    SourceDefined,
    SourceRole,
)
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from lockstep.config import parse
from lockstep.whatif import whatif
from replay.player import verify
from replay.report.summary import summarize
from replay.slicing.cut import cut
from replay.whatif.compare import What, differences
from replay.whatif.decisions import Decision
from tests.end_to_end.system import configuration_text, one_line
from tests.replay.equity_page import Page
from tests.replay.paced_strategy import paced

STRATEGY = paced("Flips")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whatif")
    (folder / "flips.py").write_text(STRATEGY)
    (folder / "flips2.py").write_text(STRATEGY.replace("Flips", "Flips2").replace("% self.every == 0", "% self.every == 1"))
    run_backtest(config(folder), folder / "day")
    yield folder
    for name in ("flips", "flips2"):
        sys.modules.pop(name, None)


def text(folder, *, cls="flips.py:Flips", **strategy):
    flips = {"class": f"{folder}/{cls}", "account": "demo", "qty": "0.010", **strategy}
    return configuration_text(folder / "unused", strategy={"flips": flips}, backtest={"duration": "4s"})


def config(folder, **strategy):
    return parse(Path("other.toml"), text(folder, **strategy).encode())


def made(day, cls=NewOrder):
    return list(frames(day, kinds=[cls.KIND]))


def test_the_same_configuration_decides_the_same(folder, tmp_path):
    """A backtest's journal is reproduced to the order, and no difference is invented."""
    told = whatif(folder / "day", config(folder), tmp_path / "out")
    assert told.deltas == []
    assert (told.first, told.first_seq) == (None, 0)
    assert told.reproduced == told.recorded_decisions == len(made(folder / "day")) > 3
    base, record = made(tmp_path / "out" / "base"), made(folder / "day")
    told_of = [[(f.message.order_id, f.message.price_px, f.header.ts) for f in run] for run in (base, record)]
    assert told_of[0] == told_of[1]
    assert told.base.pnl == told.other.pnl == summarize(folder / "day").total
    for run in ("base", "whatif"):
        assert verify(tmp_path / "out" / run).identical


def test_another_quantity_changes_every_order_and_says_which_way(folder, tmp_path):
    told = whatif(folder / "day", config(folder, qty="0.020"), tmp_path / "out")
    assert {d.what for d in told.deltas} == {What.CHANGED}
    assert len(told.deltas) == len(made(folder / "day"))
    assert all(d.fields["qty"] == ("0.01", "0.02") for d in told.deltas)
    first = made(folder / "day")[0]
    assert told.first_seq == first.header.cause
    assert isinstance(frame_at(folder / "day", told.first_seq).message, MarketByPriceUpdate)
    assert told.other.traded == {"flips BTCUSDT": told.base.traded["flips BTCUSDT"] * 2}
    assert told.other.position_max["flips BTCUSDT"] == Decimal("0.020")
    assert told.other.fees["USDT"] == told.base.fees["USDT"] * 2


def test_other_code_and_another_pace(folder, tmp_path, capsys):
    """Other code makes its decisions one touch later; half the pace leaves every second pair out."""
    (tmp_path / "other.toml").write_text(text(folder, cls="flips2.py:Flips2"))
    assert main(["whatif", str(folder / "day"), str(tmp_path / "other.toml"), "--out", str(tmp_path / "out"), "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    counts = {what: sum(d["what"] == what for d in told["comparison"]["deltas"]) for what in ("added", "removed", "changed")}
    assert counts["added"] > 0
    assert counts["removed"] == len(made(folder / "day"))
    assert told["comparison"]["first_seq"] == min(d[s]["market_seq"] for d in told["comparison"]["deltas"]
                                                  for s in ("base", "other") if d[s])  # fmt: skip
    page = Path(told["page"]).read_text()
    assert "as recorded" not in page  # both are simulated
    for words in ("base", "what if", "Equity in USDT", "orders added", "Decisions that differ"):
        assert words in page
    (tmp_path / "slow.toml").write_text(text(folder, every=80))
    assert main(["whatif", str(folder / "day"), str(tmp_path / "slow.toml"), "--out", str(tmp_path / "slow")]) == 0
    out = capsys.readouterr().out
    first = made(folder / "day")[0].header
    assert f"decisions part at seq {first.cause} of" in out
    assert f"\n- {first.cause:>9} " in out
    assert "NewOrder:" in out
    assert "removed" in out


def test_the_page_ends_where_the_numbers_do_and_needs_no_plotly(folder, tmp_path, capsys, monkeypatch):
    """Text, JSON and page say the same of both runs; the page is small, and whole without any extra."""
    for name in ("plotly", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "other.toml").write_text(text(folder, every=80))
    assert main(["whatif", str(folder / "day"), str(tmp_path / "other.toml"), "--out", str(tmp_path / "json"), "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert main(["whatif", str(folder / "day"), str(tmp_path / "other.toml"), "--out", str(tmp_path / "text")]) == 0
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  P&L USDT"))
    (plot,) = Page(Path(told["page"]).read_text()).plots
    assert list(plot.told.values()) == row[2:]
    assert len(set(row[2:])) == 3
    for run, side in (("base", "base"), ("other", "other")):
        exact = Decimal(told["comparison"][side]["pnl"]["USDT"])
        assert Decimal(plot.told[run].replace(",", "")) == exact
        assert plot.lines[run][-1][1] == pytest.approx(float(exact), abs=plot.units[run])
    assert len(Path(told["page"]).read_bytes()) < 100_000
    assert "plotly" not in Path(told["page"]).read_text().lower()


def with_operator(day, out, at):
    """The same day, with a kill switch pulled by an operator right before frame `at`: frames behind it lose their apps' words,
    which a what-if does not read."""
    stream = 5
    with JournalWriter.open(out, stream_id=stream, nonce=stream) as writer:
        writer.begin_epoch()
        operator = None
        for frame in frames(day):
            h = frame.header
            if isinstance(frame.message, SourceDefined):
                if frame.message.role == SourceRole.OPERATOR:
                    operator = frame.message.source
                elif operator is None and frame.message.role == SourceRole.ALGO:
                    operator = 200
                    said = SourceDefined(source=operator, role=SourceRole.OPERATOR, name="operator")
                    writer.append(said, ts=max(h.ts, writer.last_ts + 1))
            if h.seq == at:
                kill = KillSwitch(level=KillLevel.BLOCK)
                writer.append(kill, ts=max(h.ts, writer.last_ts + 1), source=operator, source_seq=1, flags=Flag.LAST)
            writer.append_bytes(
                h.kind, h.version, bytes(frame.body), ts=max(h.ts, writer.last_ts + 1), source=h.source,
                source_seq=h.source_seq, cause=0, origin_ts=h.origin_ts, flags=h.flags,
            )  # fmt: skip
    return out


def test_an_operator_s_word_is_an_input_of_both(folder, tmp_path):
    """After the kill switch no order passes, in either run."""
    orders = made(folder / "day")
    day = with_operator(folder / "day", tmp_path / "killed", orders[2].header.cause)
    told = whatif(day, config(folder, qty="0.020"), tmp_path / "out")
    for side in (told.base, told.other):
        assert 1 <= side.fills <= 2
        assert any("KILL" in reason or "HALT" in reason for reason in side.rejects), side.rejects


def test_a_journal_that_grows_meanwhile_is_the_same_for_both(folder, tmp_path):
    """What comes while the base runs is nothing that the other run must hear alone."""
    day = tmp_path / "day"
    shutil.copytree(folder / "day", day)
    tail = [f for f in frames(day, kinds=[MarketByPriceUpdate.KIND]) if f.header.source]
    end = last_seq(day)

    def grow(run, _):
        if run == "base" and last_seq(day) == end:
            with JournalWriter.open(day) as writer:
                writer.begin_epoch()
                for frame in tail:
                    h = frame.header
                    writer.append_bytes(h.kind, h.version, bytes(frame.body), ts=writer.last_ts + 1_000_000, source=h.source)

    told = whatif(day, config(folder), tmp_path / "out", grow)
    assert last_seq(day) > end + 100
    assert told.deltas == []
    assert told.reproduced == told.recorded_decisions == len(made(folder / "day"))
    events = [len(made(tmp_path / "out" / run, MarketByPriceUpdate)) for run in ("base", "whatif")]
    assert events[0] == events[1] == len(tail)


def test_a_slice_is_refused(folder, tmp_path, capsys):
    """Its first frames build on what is not in it: a run of them would be of nothing."""
    cut(folder / "day", tmp_path / "slice", last_seq(folder / "day") // 2, last_seq(folder / "day"))
    (tmp_path / "other.toml").write_text(text(folder))
    assert main(["whatif", str(tmp_path / "slice"), str(tmp_path / "other.toml"), "--out", str(tmp_path / "out")]) == 2
    assert "a slice, begun behind seq " in one_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_an_app_that_raises_is_named_and_leaves_nothing(folder, tmp_path, capsys, monkeypatch):
    """In a line: which run, which app, after what, and the line of its code; the next try has its folder."""
    source, other = tmp_path / "tangled.py", tmp_path / "other.toml"
    source.write_text(
        STRATEGY.replace("Flips", "Tangled").replace("self.seen += 1", "self.seen += 1; assert self.seen < 50, 'knot'")
    )
    other.write_text(text(folder).replace(f"{folder}/flips.py:Flips", f"{source}:Tangled"))
    monkeypatch.setitem(sys.modules, "tangled", None)
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["whatif", str(folder / "day"), str(other), "--out", str(out)]) == 2
        said = one_line(capsys.readouterr().err)
        found = re.match(r"lockstep: whatif: flips raises after market event (\d+) of .*: AssertionError: knot \((.*)\)$", said)
        assert found, said
        assert isinstance(frame_at(folder / "day", int(found[1])).message, MarketByPriceUpdate)
        assert found[2] == f"{source}:15, in touch"
        assert not out.exists()
    out.mkdir()
    assert main(["whatif", str(folder / "day"), str(other), "--out", str(out)]) == 2
    assert list(out.iterdir()) == []  # a folder that was there stays


def decision(market_seq, *, qty="1", status="FILLED", side="BUY", seq=0):
    return Decision(
        kind="NewOrder", strategy="s", instrument="I", side=side, market_seq=market_seq, seq=seq or market_seq, time="",
        order_id="9·1", terms={"qty": qty}, outcome={"status": status},
    )  # fmt: skip


def test_differences_are_by_market_event_not_by_number():
    base = [decision(10), decision(20), decision(20, qty="2", seq=21), decision(30)]
    other = [decision(5, seq=1), decision(10, seq=99), decision(20, status="CANCELED", seq=100), decision(20, side="SELL")]
    found = differences(base, other)
    assert [(d.what, d.decision.market_seq) for d in found] == [
        (What.ADDED, 5), (What.ADDED, 20), (What.CHANGED, 20), (What.REMOVED, 20), (What.REMOVED, 30),
    ]  # fmt: skip
    assert found[2].fields == {"status": ("FILLED", "CANCELED")}
    assert [d.what for d in differences(base, other, outcomes=False)].count(What.CHANGED) == 0
    assert differences(base, base) == []


def test_what_cannot_be_run_is_said_in_a_line(folder, tmp_path, capsys):
    other = tmp_path / "other.toml"
    other.write_text(text(folder))
    run = lambda path, *more: main(["whatif", str(path), str(other), *more])  # noqa: E731
    assert run(tmp_path / "nothing") == 2
    assert "no such folder; expected a journal" in one_line(capsys.readouterr().err)
    with JournalWriter.open(tmp_path / "empty") as writer:
        writer.begin_epoch()
    assert run(tmp_path / "empty") == 2
    assert "no market data of a gateway" in one_line(capsys.readouterr().err)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    assert run(folder / "day", "--out", str(tmp_path / "full")) == 2
    assert "not empty; a what-if writes two new journals" in one_line(capsys.readouterr().err)
    other.write_text(text(folder).replace("price_decimals = 2", "price_decimals = 3"))
    assert run(folder / "day", "--out", str(tmp_path / "out1")) == 2
    assert "was recorded with 2 price" in one_line(capsys.readouterr().err)
    raw = text(folder, cls="gone.py:Gone")
    other.write_text(raw)
    assert run(folder / "day", "--out", str(tmp_path / "out2")) == 2
    assert "gone.py" in one_line(capsys.readouterr().err)
