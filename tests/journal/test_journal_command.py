"""`lockstep journal info|dump|tail|verify`, called as the command line calls it."""

from __future__ import annotations

import argparse
import json
import re
import threading
import time

import make_golden
import pytest

from journal.errors import JournalError, JournalMissing
from journal.frames import frames
from journal.messages import Clock, order_id_text
from journal.text import Names
from journal.writer import JournalWriter
from lockstep.commands import journal as command
from lockstep.commands.journal.printing import paged


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


def test_tail(folder, capsys, monkeypatch):
    assert call("tail", GOLDEN, "-n", 2, "--no-follow") == 0
    assert [int(line.split()[0]) for line in lines(capsys)] == [10, 11]
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        for i in range(1, 21):
            w.append(Clock(mono_ns=i), ts=i)

        waits = threading.Event()
        sleep = time.sleep
        monkeypatch.setattr("lockstep.commands.journal.looking.time.sleep", lambda s: (waits.set(), sleep(s)))

        def more():
            waits.wait()  # it has told what there was
            for i in range(21, 31):
                sleep(0.01)
                w.append(Clock(mono_ns=i), ts=i)

        thread = threading.Thread(target=more)
        thread.start()
        assert call("tail", folder, "-n", 3, "--to", 30) == 0  # ends by itself at 30
        thread.join()
    assert [int(line.split()[0]) for line in lines(capsys)] == list(range(18, 31))


def seqs_of(capsys, *arguments):
    assert call("dump", *arguments) == 0
    return [int(line.split()[0]) for line in lines(capsys)]


def test_kinds_in_any_spelling_and_near_ones(capsys):
    for name in ("NewOrder", "new_order", "NEW-ORDER", "new order", "300"):
        assert seqs_of(capsys, GOLDEN, "--kind", name) == [7]
    with pytest.raises(JournalError, match=r"--kind TopOfBok: .*near: TopOfBook"):
        call("dump", GOLDEN, "--kind", "TopOfBok")


def test_instruments_orders_and_conditions(capsys):
    names = Names.of(GOLDEN)
    (number, defined), *_ = names.instruments.items()
    about = seqs_of(capsys, GOLDEN, "--instrument", defined.name)
    assert about == [f.header.seq for f in frames(GOLDEN) if getattr(f.message, "instrument", 0) == number]
    assert seqs_of(capsys, GOLDEN, "--instrument", defined.name.lower()) == about
    assert seqs_of(capsys, GOLDEN, "--instrument", str(number), "--where", "seq > 5") == [s for s in about if s > 5]
    with pytest.raises(JournalError, match=f"defines no such symbol; near: {defined.name}"):
        call("dump", GOLDEN, "--instrument", defined.name[:-1])
    order = next(f.message.order_id for f in frames(GOLDEN, kinds=[300]))
    of_it = [f.header.seq for f in frames(GOLDEN) if getattr(f.message, "order_id", 0) == order]
    for text in (str(order), order_id_text(order), order_id_text(order).replace("·", ".")):
        assert seqs_of(capsys, GOLDEN, "--order", text) == of_it
    with pytest.raises(JournalError, match=f"nearest: .*{order_id_text(order)}"):
        call("dump", GOLDEN, "--order", str(order + 1))
    with pytest.raises(JournalError, match="no field"):
        call("dump", GOLDEN, "--where", "prise > 3")


def test_places_in_time(capsys):
    first = "2023-11-14T22:13:20.000001"
    assert seqs_of(capsys, GOLDEN, "--from", first, "--to", "2023-11-14T22:13:20.000002Z") == [5, 6, 7]
    assert seqs_of(capsys, GOLDEN, "--from", "22:13:20.0000021", "--to", "9") == [8, 9]
    assert seqs_of(capsys, GOLDEN, "--from", "23:13:20.0000055+01:00") == [11]
    assert seqs_of(capsys, GOLDEN, "--to", "22:13:19") == []
    assert seqs_of(capsys, GOLDEN, "--from", "22:14") == []
    assert seqs_of(capsys, GOLDEN, "--from", "9999-12-31") == []
    assert seqs_of(capsys, GOLDEN, "--from", "1600-01-01") == seqs_of(capsys, GOLDEN)
    assert seqs_of(capsys, GOLDEN, "--where", "ts >= '22:13:20.000005'") == [10, 11]
    for bad in ("25:00", "yesterday", "0", "-3", "²", "٣", "18446744073709551616", "9" * 5000):
        with pytest.raises(SystemExit):
            call("dump", GOLDEN, f"--from={bad}")
    assert "UTC unless a zone is given" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--kind", "--source", "--instrument", "--order"])
@pytest.mark.parametrize("text", ["²", "٣", "9" * 50])
def test_only_ascii_digits_are_a_number(option, text):
    with pytest.raises(JournalError, match=text):
        call("dump", GOLDEN, option, text)


def test_a_number_that_no_instrument_can_have():
    with pytest.raises(JournalError, match="--instrument 4294967296"):
        call("dump", GOLDEN, "--instrument", 2**32)
    assert call("dump", GOLDEN, "--instrument", 2**32 - 1) == 0


def test_the_help_says_what_changes_something(capsys):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["journal", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Only index, seal, archive, retention --execute and repair --apply change something in it." in said


def test_an_empty_condition_is_none():
    with pytest.raises(JournalError, match="expected a condition"):
        call("dump", GOLDEN, "--where", "")


@pytest.mark.parametrize("words", ["head --at=-5", f"head --at={10**23}", f"tail -n={10**20}", "tail -n=-1"])
def test_numbers_of_frames_that_cannot_be(words, capsys):
    action, option = words.split()
    with pytest.raises(SystemExit) as refused:
        call(action, GOLDEN, option)
    assert refused.value.code == 2
    assert "expected a whole number" in capsys.readouterr().err


def test_a_pager_of_blanks_is_none(monkeypatch, capsys):
    monkeypatch.setenv("PAGER", " ")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert call("dump", GOLDEN, "--to", 1) == 0
    assert len(lines(capsys)) == 1


def test_colour_only_when_wanted(capsys):
    assert call("dump", GOLDEN, "--to", "1", "--color", "always") == 0
    painted = capsys.readouterr().out
    assert call("dump", GOLDEN, "--to", "1") == 0
    plain = capsys.readouterr().out
    assert "\x1b[" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_tail_reads_backwards(folder, capsys):
    """The last ten of a rare kind are found whatever segment they are in; only what is needed is read."""
    with JournalWriter.open(folder, segment_bytes=1 << 20) as w:
        for i in range(1, 1200):
            w.append_bytes(5000 if i % 100 else 4, 1, bytes(4000 if i % 100 else 16), ts=i)
        assert w.c.segment > 3
    assert call("tail", folder, "-n", 3, "--kind", "Clock", "--no-follow") == 0
    assert [int(line.split()[0]) for line in lines(capsys)] == [900, 1000, 1100]
    assert call("tail", folder, "-n", 2, "-f", "--to", 1150) == 0
    assert [int(line.split()[0]) for line in lines(capsys)] == [1149, 1150]
    assert call("tail", folder, "-n", 50, "--kind", "4", "--from", 150, "--where", "seq < 450", "--no-follow") == 0
    assert [int(line.split()[0]) for line in lines(capsys)] == [200, 300, 400]
    assert call("tail", folder, "-n", 0, "--no-follow") == 0
    assert lines(capsys) == []


def test_pager_gets_the_lines(tmp_path, monkeypatch):
    taken = tmp_path / "taken"
    monkeypatch.setenv("PAGER", f"cat > {taken}")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with paged(wanted=True) as put:
        put("one")
        put("two")
    assert taken.read_text() == "one\ntwo\n"
    monkeypatch.setenv("PAGER", "true")  # the reader leaves at once
    with paged(wanted=True) as put:
        for _ in range(100_000):
            put("line")
