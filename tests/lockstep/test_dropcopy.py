"""The drop copy of a journal, as a command: by right, once, in numbers that people write."""

from __future__ import annotations

import json

import pytest

from journal.messages import StrategyDefined, UserDefined
from journal.messages.rights import SEES_ALL
from journal.writer import JournalWriter
from lockstep import cli
from tests.replay.sample_day import make_day

ALICE, AUDITOR = 50, 51


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """The sample day, with a user who owns one of its two strategies, and one who sees all."""
    path = tmp_path_factory.mktemp("day") / "j"
    writer = JournalWriter.open(path, stream_id=7, nonce=7)
    writer.begin_epoch()
    extra = [
        UserDefined(user=ALICE, name="alice"), UserDefined(user=AUDITOR, roles=SEES_ALL, name="auditor"),
        StrategyDefined(strategy=1, app=9, owner_user=ALICE, default_account=1, name="maker1"),
    ]  # fmt: skip
    ts, number = 0, 0
    for p in make_day().puts:
        ts = max(p.ts, ts + 1)
        writer.append(p.message, ts=ts, source=p.source, source_seq=p.source_seq, cause=0, origin_ts=ts, flags=p.flags)
        if type(p.message).__name__ == "StrategyDefined" and extra and p.message.strategy == 2:
            for m in extra:
                ts, number = ts + 1, number + 1
                writer.append(m, ts=ts, source=63, source_seq=number, cause=0, origin_ts=ts, flags=1)
    writer.sync()
    writer.close()
    return path


def rows(journal, user, capsys):
    assert cli.main(["dropcopy", str(journal), "--user", user, "--no-follow", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_user_sees_his_strategy_and_an_auditor_all(journal, capsys):
    hers, everything = rows(journal, "alice", capsys), rows(journal, "auditor", capsys)
    assert {r["strategy"] for r in hers if r.get("strategy")} == {"maker1"}
    assert {r["strategy"] for r in everything if r.get("strategy")} == {"maker1", "cross1"}
    trades = [r for r in everything if r["what"] == "trade"]
    assert trades
    assert len({(r["order"], r["trade"]) for r in trades}) == len(trades)
    assert {r["symbol"] for r in everything if r["what"] == "symbol"} == {"BTCUSDT", "ETHUSDT"}
    assert any(r["what"] == "position" for r in hers)


def test_text_is_one_line_each(journal, capsys):
    assert cli.main(["dropcopy", str(journal), "--user", "alice", "--no-follow"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("  trade  " in line and " @ " in line for line in lines)


def test_an_unknown_user_is_told_who_there_is(journal, capsys):
    assert cli.main(["dropcopy", str(journal), "--user", "mallory", "--no-follow"]) == 2
    assert "expected one of alice, auditor" in capsys.readouterr().err
