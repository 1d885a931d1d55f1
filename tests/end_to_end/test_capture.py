"""A recorded market, served whole: all of it is in the journal, the books equal an independent reader's."""

import gzip
import json
from decimal import Decimal

import pytest

from apps.books.app import Books
from apps.group import Group
from apps.ledger import Ledger
from journal.frames import frames
from journal.messages import Direction, InstrumentDefined, MarketByPriceUpdate, RawMessage, Side, SourceDefined, SourceRole
from journal.reader import JournalReader
from lockstep.cli import main
from tests.end_to_end.captures import SHARED, ObviousReader, lines_of, made_capture
from tests.end_to_end.system import one_line, run

FUTURES = SHARED / "captures/binance-usdm/hftbacktest_btcusdt_20240808.gz"
SPOT = SHARED / "captures/binance-spot/hftbacktest_btcusdt_20240808.gz"
NOBODY = 60_000  # a source that the journal does not have: these books only listen


def demo(journal, capture, speed="max"):
    code, out, err = run("demo", "--capture", capture, "--speed", speed, "--journal", journal, "--json", timeout=150)
    assert code == 0, err
    told = json.loads(out)
    assert told["verdict"]["identical"], told["verdict"]["difference"]
    assert told["restarted"] == []
    return told


def recorded(journal):
    """What came in over the market stream, as it came."""
    sources = {
        f.message.source for f in frames(journal, kinds=[SourceDefined.KIND]) if f.message.role == SourceRole.MARKET_DATA
    }
    whole = b""
    for frame in frames(journal, kinds=[RawMessage.KIND]):
        m = frame.message
        if frame.header.source not in sources or m.direction != Direction.IN:
            continue
        whole += bytes(m.data)
        if m.part == m.parts - 1:
            # Answers to our own requests come over another connection; the capture has none.
            if not whole.startswith(b'{"id"'):
                yield whole
            whole = b""


def assert_verbatim(journal, capture, lines):
    """Every recorded message is in the journal, byte for byte and in order."""
    count = 0
    for (number, expected), found in zip(lines_of(capture), recorded(journal), strict=False):
        assert found == expected, f"line {number}"
        count += 1
    assert count == lines
    assert sum(1 for _ in recorded(journal)) == lines


def assert_same_books(journal, capture, every, lines=None):
    """The book at each `every`-th update and at the end: the app's, from the journal, against the reader's, from the file."""
    reader, wanted = ObviousReader(), {}
    for number, text in lines_of(capture):
        if reader.read(text) and reader.applied % every == 0:
            wanted[reader.last] = (dict(reader.bids), dict(reader.asks))
        if number == lines:
            break
    wanted[reader.last] = (reader.bids, reader.asks)
    assert reader.applied > every

    instrument = next(f.message for f in frames(journal, kinds=[InstrumentDefined.KIND]))
    group, books = Group(), Books()
    group.add("books", books, source=NOBODY, ledger=Ledger("books"))
    book = books.book(instrument.instrument)

    def side(which):
        px_exp, qty_exp = instrument.px_exp, instrument.qty_exp
        return {Decimal(n.px).scaleb(px_exp): Decimal(n.qty).scaleb(qty_exp) for n in book.levels(which, 10**6)}

    compared = 0
    with JournalReader(journal) as stream:
        while (batch := stream.poll()) is not None:
            for row in batch:
                group.run(batch.buffer, (row,))
                if row[1] == MarketByPriceUpdate.KIND and book.exchange_seq in wanted:
                    bids, asks = wanted.pop(book.exchange_seq)
                    assert side(Side.BUY) == bids, f"bids at seq {row[3]}"
                    assert side(Side.SELL) == asks, f"asks at seq {row[3]}"
                    compared += 1
    assert not wanted, f"updates that the journal's book never reached: {sorted(wanted)}"
    assert compared > 1


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("capture", "lines"), [(FUTURES, 93_954), (SPOT, 41_249)], ids=["futures", "spot"])
def test_a_recorded_day_runs_whole(tmp_path, capture, lines):
    if not capture.exists():
        pytest.skip(f"needs the recorded venue data: {capture} is not there")
    told = demo(tmp_path / "day", capture)
    assert told["capture_messages"] == told["capture_recorded"] == lines
    assert_verbatim(tmp_path / "day", capture, lines)
    assert_same_books(tmp_path / "day", capture, every=1000)


def test_a_made_capture_runs_whole(tmp_path):
    capture = tmp_path / "made.txt"
    lines = made_capture(capture)
    told = demo(tmp_path / "day", capture)
    assert told["capture_messages"] == told["capture_recorded"] == lines
    assert_verbatim(tmp_path / "day", capture, lines)
    assert_same_books(tmp_path / "day", capture, every=100)


def test_a_cut_capture_serves_what_is_whole(tmp_path):
    """The gzip stream ends in the middle, and inside a line."""
    capture, whole = tmp_path / "cut.gz", tmp_path / "whole.gz"
    lines = made_capture(whole, seconds=10)
    made_capture(capture, seconds=10, cut=2000)
    told = demo(tmp_path / "day", capture)
    kept = told["capture_messages"]
    assert told["capture_recorded"] == kept
    assert lines // 2 < kept < lines
    assert_verbatim(tmp_path / "day", whole, kept)
    assert_same_books(tmp_path / "day", whole, every=100, lines=kept)
    said = (tmp_path / "day/run/exchange-sim.log").read_text().splitlines()
    assert len(said) == 1, said
    assert f"{capture}: line {kept + 1}: " in said[0]
    assert "the gzip file is cut here" in said[0]
    assert f"the {kept} lines before it are kept" in said[0]


WRONG = {
    "no file": (None, "no such file"),
    "empty": (b"", "empty"),
    "no capture": (b"dear diary\n" * 100, "line 1"),
    "JSON of something else": (b'1723161255000000000 {"price":1}\n', "line 1"),
    "no market in it": (b'1723161255000000000 {"stream":"btcusdt@kline","data":{}}\n', "no depth or trade"),
    "binary": (bytes(range(256)) * 40, "line 1"),
    "empty gzip": (gzip.compress(b""), "empty"),
    "not gzip after all": (b"\x1f\x8b" + bytes(100), "no depth or trade"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_capture_is_refused_in_one_line(tmp_path, name, capsys):
    data, expected = WRONG[name]
    capture = tmp_path / "wrong.gz"
    if data is not None:
        capture.write_bytes(data)
    assert main(["demo", "--capture", str(capture), "--journal", str(tmp_path / "day")]) == 2
    line = one_line(capsys.readouterr().err)
    assert str(capture) in line
    assert expected in line
    assert not (tmp_path / "day").exists()


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan"])
def test_a_wrong_speed_is_refused_in_one_line(tmp_path, speed, capsys):
    capture = tmp_path / "made.gz"
    made_capture(capture, seconds=1)
    assert main(["demo", "--capture", str(capture), "--speed", speed, "--journal", str(tmp_path / "day")]) == 2
    line = one_line(capsys.readouterr().err)
    assert "speed" in line
    assert repr(speed) in line
