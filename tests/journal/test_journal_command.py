"""`lockstep journal info|dump|tail|verify`, called as the command line calls it."""

from __future__ import annotations

import argparse
import json
import threading
import time

import make_golden
import pytest

from journal.errors import JournalError, JournalMissing
from journal.messages import Clock
from journal.writer import JournalWriter
from lockstep.commands import journal as command


def call(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    found = parser.parse_args(["journal", *map(str, arguments)])
    return found.run(found)


GOLDEN = make_golden.GOLDEN


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_dump_for_people(capsys):
    assert call("dump", GOLDEN) == 0
    assert capsys.readouterr().out == (GOLDEN / "expected.txt").read_text()
    assert call("dump", GOLDEN, "--from", 6, "--to", 7) == 0
    found = lines(capsys)
    assert len(found) == 2
    assert "bid_px=65432.10 bid_qty=1.500" in found[0]
    assert "side=BUY ord_type=LIMIT tif=GTC" in found[1]


def test_dump_filters(capsys):
    for arguments, seqs in (
        (("--kind", "NewOrder"), [7]),
        (("--kind", "neworder", "--kind", "201"), [6, 7]),
        (("--source", "md"), [4, 5, 6]),
        (("--source", "1", "--from", "5"), [5, 6]),
        (("--source", "sequencer", "--to", "3"), [1, 2, 3]),
        (("--kind", "12345"), [10]),
    ):
        assert call("dump", GOLDEN, *arguments) == 0
        assert [int(line.split()[0]) for line in lines(capsys)] == seqs
    with pytest.raises(JournalError, match="--kind Nonsense: no such message kind; expected a name such as NewOrder"):
        call("dump", GOLDEN, "--kind", "Nonsense")
    with pytest.raises(JournalError, match=r"--source nobody: no such source .* known: sequencer, md, maker1"):
        call("dump", GOLDEN, "--source", "nobody")
    with pytest.raises(SystemExit):
        call("dump", GOLDEN, "--from", "0")


def test_dump_json(capsys):
    assert call("dump", GOLDEN, "--json") == 0
    rows = [json.loads(line) for line in lines(capsys)]
    assert [r["seq"] for r in rows] == list(range(1, 12))
    top = rows[5]
    assert (top["kind_name"], top["cause"], top["message"]["bid_px"]) == ("TopOfBook", 5, 6_543_210)
    assert rows[3]["message"]["strike_px"] is None
    assert rows[4]["message"]["bids"] == [{"px": 6_543_210, "qty": 1500}, {"px": 6_543_200, "qty": 20}]
    assert rows[9]["body"] == bytes(range(16)).hex()


def test_info(capsys):
    assert call("info", GOLDEN, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["last_seq"], found["durable_seq"], found["problems"]) == (11, 11, 11, [])
    assert found["stream_id"] == "0x0102030405060708"
    assert {k["name"]: k["frames"] for k in found["kinds"]}["SourceDefined"] == 2
    assert {s["name"]: s["last_source_seq"] for s in found["sources"]}["md"] == 3
    assert call("info", GOLDEN) == 0
    text = capsys.readouterr().out
    assert "00000001.seg" in text
    assert "2023-11-14T22:13:20.000006000Z" in text


def test_verify(folder, capsys):
    assert call("verify", GOLDEN) == 0
    assert "well: 11 frames in 1 segments, last seq 11" in capsys.readouterr().out
    make_golden.write(folder / "j")
    path = folder / "j" / "00000001.seg"
    data = bytearray(path.read_bytes())
    data[int.from_bytes(data[12:16], "little") + 100] ^= 1
    path.write_bytes(data)
    assert call("verify", folder / "j") == 1
    problem = capsys.readouterr().err.splitlines()[0]
    assert f"{path}: at byte" in problem
    assert "with crc" in problem
    assert call("verify", folder / "j", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    with pytest.raises(JournalMissing):
        call("verify", folder / "none")


def test_tail(folder, capsys):
    assert call("tail", GOLDEN, "-n", 2, "--no-follow") == 0
    assert [int(line.split()[0]) for line in lines(capsys)] == [10, 11]
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        for i in range(1, 21):
            w.append(Clock(mono_ns=i), ts=i)

        def more():
            for i in range(21, 31):
                time.sleep(0.01)
                w.append(Clock(mono_ns=i), ts=i)

        thread = threading.Thread(target=more)
        thread.start()
        assert call("tail", folder, "-n", 3, "--to", 30) == 0  # ends by itself at 30
        thread.join()
    assert [int(line.split()[0]) for line in lines(capsys)] == list(range(18, 31))
