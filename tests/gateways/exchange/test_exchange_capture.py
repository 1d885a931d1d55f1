"""A recorded market through the exchange: served byte for byte, matched against its own book, and honest about damage."""

import gzip
import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from apps.venue.recorded import RecordedVenue
from gateways.sim.exchange.capture import Capture, WrongCapture, probe
from gateways.sim.exchange.playback import BadLine, Playback
from gateways.sim.exchange.settings import ExchangeSettings
from journal.messages.enums import OrdType, Side, TimeInForce

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data" / "captures"
USDM = DATA / "binance-usdm" / "hftbacktest_btcusdt_20240808.gz"
SPOT = [DATA / "binance-spot" / f"hftbacktest_btcusdt_2024080{day}.gz" for day in (8, 9)]
with_shared_data = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not USDM.exists(), reason="needs the recorded venue data beside the checkout (../shared/data)"),
]

START = 1_723_161_255_000_000_000


def depth(first, last, prev, bids=(), asks=()):
    data = {"e": "depthUpdate", "E": last, "T": last, "s": "BTCUSDT", "U": first, "u": last, "pu": prev, "b": bids, "a": asks}
    return {"stream": "btcusdt@depth@0ms", "data": data}


def trade(number, px, qty, buyer_is_maker):
    data = {"e": "trade", "E": 1, "T": 1, "s": "BTCUSDT", "t": number, "p": px, "q": qty, "X": "MARKET", "m": buyer_is_maker}
    return {"stream": "btcusdt@trade", "data": data}


def ticker(update):
    return {
        "stream": "btcusdt@bookTicker",
        "data": {"e": "bookTicker", "u": update, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"},
    }


def snapshot(update, bids, asks):
    return {"lastUpdateId": update, "E": update, "T": update, "bids": bids, "asks": asks}


DAY = [
    depth(1, 5, 0, [["100.00", "9.000"]]),
    ticker(5),
    depth(6, 9, 5, [["100.10", "1.000"]]),
    snapshot(9, [["100.10", "1.000"], ["100.00", "2.000"]], [["100.30", "3.000"], ["100.40", "4.000"]]),
    depth(10, 12, 9, [["100.00", "2.500"]], [["100.50", "5.000"]]),
    trade(1, "100.10", "0.400", True),
    depth(13, 13, 12, [["100.10", "0.600"]]),
]


def lines_of(messages, step_ns=1_000_000):
    return [f"{START + n * step_ns} {json.dumps(m, separators=(',', ':'))}" for n, m in enumerate(messages)]


@pytest.fixture
def capture_file(tmp_path):
    def write(messages=DAY, name="day.gz", step_ns=1_000_000):
        path = tmp_path / name
        path.write_bytes(gzip.compress(("\n".join(lines_of(messages, step_ns)) + "\n").encode()))
        return str(path)

    return write


def received(ws, count):
    return [ws.recv(timeout=20, decode=False) for _ in range(count)]


def test_served_verbatim_then_still_there(start_exchange, capture_file):
    exchange = start_exchange(capture=capture_file(), speed="max")
    api = exchange.api("lockstep")
    assert api.depth() == -1008
    assert api.order("early", "BUY", "0.100", "100.10") == -4140
    ws = exchange.market()
    assert received(ws, len(DAY)) == [line.partition(" ")[2].encode() for line in lines_of(DAY)]
    assert exchange.said("end_of_capture") == {"event": "end_of_capture", "messages": len(DAY), "cut": False}
    assert api.depth() == {
        "lastUpdateId": 13,
        "E": 13,
        "T": 13,
        "bids": [["100.10", "0.600"], ["100.00", "2.500"]],
        "asks": [["100.30", "3.000"], ["100.40", "4.000"], ["100.50", "5.000"]],
    }
    symbol = api.ask("exchangeInfo")["symbols"][0]
    assert (symbol["market"], symbol["pricePrecision"], symbol["quantityPrecision"]) == ("capture-futures", 2, 3)
    api.order("a", "BUY", "5.000", "100.40", "IOC")
    assert [(p["L"], p["l"]) for p in api.settled() if p["x"] == "TRADE"] == [("100.30", "3.000"), ("100.40", "2.000")]
    assert exchange.stop()[0] == 0


def test_resting_orders_are_filled_by_the_recording(start_exchange, capture_file):
    tail = [depth(14 + n, 14 + n, 13 + n) for n in range(3)]
    messages = [*DAY, *tail, trade(2, "100.10", "0.700", True), trade(3, "99.00", "5.000", True)]
    exchange = start_exchange(capture=capture_file(messages, step_ns=300_000_000), speed="2")
    exchange.market()
    api = exchange.api("lockstep")
    deadline = time.monotonic() + 10
    while api.depth() == -1008 or api.depth()["lastUpdateId"] < 13:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    api.order("a", "BUY", "0.300", "100.10")  # behind 0.600
    first = api.until(lambda o: o["x"] == "TRADE")
    assert (first["L"], first["l"], first["m"], first["X"]) == ("100.10", "0.100", True, "PARTIALLY_FILLED")
    api.pushes.clear()
    second = api.until(lambda o: o["x"] == "TRADE")
    assert (second["l"], second["X"], second["t"]) == ("0.200", "FILLED", first["t"] + 1)


def test_pace_is_the_recorded_one_times_speed(start_exchange, capture_file):
    """Six steps of 0.1 s, each recorded as 400 s: at any other pace it would be over at once, or never."""
    exchange = start_exchange(capture=capture_file(step_ns=400_000_000_000), speed="4000")
    ws = exchange.market()
    start = time.monotonic()
    received(ws, len(DAY))
    assert time.monotonic() - start > 0.5


def test_max_speed_waits_for_a_slow_reader(start_exchange, capture_file):
    messages = [*DAY, *(ticker(13) for _ in range(30_000))]
    exchange = start_exchange(capture=capture_file(messages), speed="max", client_queue=100)
    ws = exchange.market(max_queue=1)
    time.sleep(0.5)
    assert len(received(ws, len(messages))) == len(messages)
    assert exchange.said("end_of_capture")["messages"] == len(messages)


def test_max_speed_waits_for_a_reader_to_come_back(start_exchange, capture_file):
    messages = [*DAY, *(ticker(13) for _ in range(50_000)), ticker(14)]
    exchange = start_exchange(capture=capture_file(messages), speed="max", client_queue=100)
    with exchange._connect("/stream", max_queue=1) as ws:
        received(ws, 10)
    time.sleep(0.3)  # nobody is there: nothing may be played
    back, count = exchange.market(), 0
    last = json.dumps(messages[-1], separators=(",", ":")).encode()
    while back.recv(timeout=10, decode=False) != last:
        count += 1
    assert count > 10_000
    assert exchange.said("end_of_capture")["messages"] == len(messages)


def test_a_gap_in_the_capture_makes_the_book_stale_until_its_snapshot(tmp_path, capture_file):
    gap = [depth(20, 21, 19, [["100.10", "0.100"]])]
    healed = [snapshot(21, [["100.10", "0.100"]], [["100.30", "1.000"]])]
    states = []
    settings = ExchangeSettings(capture=capture_file([*DAY, *gap, *healed]))
    playback = Playback(probe(settings), RecordedVenue(probe(settings).rules))
    for line in Capture(settings.captures):
        playback.play(line, 0)
        states.append(playback.book_live)
    assert states == [False] * 3 + [True] * 4 + [False, True]


# Damage.


def test_a_gzip_cut_in_the_middle(start_exchange, tmp_path):
    lines = lines_of([*DAY, *(trade(n, "100.10", f"{n % 7 + 1}.{n % 1000:03}", True) for n in range(5000))])
    whole = gzip.compress(("\n".join(lines) + "\n").encode())
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    exchange = start_exchange(capture=str(path), speed="max")
    ws = exchange.market()
    cut = exchange.said("capture_cut")
    end = exchange.said("end_of_capture")
    assert 100 < cut["kept"] < len(lines)
    assert (cut["file"], cut["line"], end["messages"], end["cut"]) == (str(path), cut["kept"] + 1, cut["kept"], True)
    assert received(ws, cut["kept"]) == [line.partition(" ")[2].encode() for line in lines[: cut["kept"]]]
    code, _, error = exchange.stop()
    assert code == 0
    assert error.count("\n") == 1
    assert f"{path}: line {cut['line']}: " in error
    assert f"the {cut['kept']} lines before it are kept" in error


@pytest.mark.parametrize(
    ("damage", "line", "words"),
    [
        (lambda t: t[: t.rindex(b'"X"')], 6, "ends inside this line"),
        (lambda t: t.replace(b'"t":1', b'"t":,'), 6, "damaged"),
        (lambda t: t.replace(b"\n", b"\nnonsense\n", 1), 2, "damaged: found b'nonsense'"),
        (lambda t: t[:-1], None, ""),
    ],
)
def test_cut_and_damaged_lines(tmp_path, damage, line, words):
    path = tmp_path / "plain.txt"
    path.write_bytes(damage(("\n".join(lines_of(DAY[:6])) + "\n").encode()))
    capture = Capture((str(path),))
    kept = [text.text for text in capture]
    if line is None:
        assert (len(kept), capture.cut) == (6, None)
    else:
        assert (capture.cut.line, capture.cut.kept, len(kept)) == (line, line - 1, line - 1)
        assert words in str(capture.cut)


def test_flipped_bits_in_the_gzip(tmp_path, capture_file):
    data = bytearray(Path(capture_file()).read_bytes())
    for position in range(10, len(data)):
        broken = bytearray(data)
        broken[position] ^= 0x10
        path = tmp_path / "flipped.gz"
        path.write_bytes(broken)
        capture = Capture((str(path),))
        kept, refused = 0, ""
        try:
            for _ in capture:
                kept += 1
        except WrongCapture as error:
            refused = str(error)
        # Never silent: either the file is refused by name, or the cut says how much was kept.
        assert str(path) in refused or capture.cut.kept == kept <= len(DAY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"time,price\n1,2\n", "line 1: found b'time,price'"),
        (b"1723161255000000000 [1]\n", "line 1"),
        (b'1723161255000000000 {"a":1}\n', "line 1: neither a stream frame nor a depth snapshot"),
        (b'1723161255000000000 {"stream":"x@bookTicker","data":{}}\n', "no depth or trade frame"),
        (b'1723161255000000000 {"stream":"x@depth","data":{"s":"X"}}\n', "line 1: Object missing required field"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x1f\x8bgarbage", "no depth or trade frame in its first 0 lines"),
        (b"\x00" * 100, "line 1"),
    ],
)
def test_wrong_files_are_one_clear_line(run_to_end, tmp_path, content, words):
    path = tmp_path / "wrong.gz"
    path.write_bytes(content)
    code, error = run_to_end(capture=str(path))
    assert code == 2
    assert error.startswith(f"exchange: {path}: ")
    assert words in error
    assert error.count("\n") == 1


def test_another_symbol_and_finer_numbers_are_named(run_to_end, capture_file):
    path = capture_file()
    code, error = run_to_end(capture=path, symbol="ETHUSDT")
    assert (code, error) == (2, "exchange: settings: symbol = 'ETHUSDT': the capture has 'BTCUSDT'\n")
    settings = ExchangeSettings(capture=path, qty_exp=0)
    playback = Playback(probe(settings), RecordedVenue(probe(settings).rules))
    lines = list(Capture(settings.captures))
    for line in lines[:4]:
        playback.play(line, 0)
    with pytest.raises(BadLine, match=r"line 5: 2\.500 has more decimals than px_exp -2, qty_exp 0 allow"):
        playback.play(lines[4], 0)


# The real recordings.


@pytest.mark.parametrize("capture", [pytest.param([USDM], marks=with_shared_data), pytest.param(SPOT, marks=with_shared_data)])
def test_the_real_book_equals_an_obvious_reader(capture):
    """At every 1,000th update and at the end; and our resting orders never fill beyond what was traded or shown."""
    settings = ExchangeSettings(capture=tuple(map(str, capture)))
    listing = probe(settings)
    venue = RecordedVenue(listing.rules)
    playback = Playback(listing, venue)
    bids, asks, early, updates, last, order_id = {}, {}, [], 0, None, 0
    for line in Capture(settings.captures):
        playback.play(line, line.recv_ns)
        message = json.loads(line.text)
        if "lastUpdateId" in message:
            bids, asks, last = dict(message["bids"]), dict(message["asks"]), message["lastUpdateId"]
            for data in early:
                set_levels(bids, asks, data, last)
        elif "@depth" in message["stream"] and last is None:
            early.append(message["data"])
        elif "@depth" in message["stream"]:
            updates += 1
            set_levels(bids, asks, message["data"], last)
            if updates % 1000 == 0:
                order_id += 1
                bid = venue.best(Side.BUY)
                venue.new_order(
                    order_id=order_id,
                    account=1,
                    side=Side.BUY,
                    ord_type=OrdType.LIMIT,
                    tif=TimeInForce.GTX,
                    qty=listing.rules.lot,
                    px=bid[0],
                    now_ns=0,
                )
                venue.check()
                assert_same(listing, venue, bids, asks)
    assert updates > 6_000
    assert playback.book_live
    assert_same(listing, venue, bids, asks)
    assert venue.last_trade_id > 0


def set_levels(bids, asks, data, last):
    if data["u"] < last:
        return
    for side, levels in ((bids, data["b"]), (asks, data["a"])):
        for px, qty in levels:
            side.pop(px, None)
            if Decimal(qty):
                side[px] = qty


def assert_same(listing, venue, bids, asks):
    for ours, theirs, worst_first in zip(venue.depth(10**6), (bids, asks), (False, True), strict=True):
        ours = [(Decimal(listing.px(px)), Decimal(listing.qty(qty))) for px, qty in ours]
        expected = sorted(((Decimal(px), Decimal(qty)) for px, qty in theirs.items()), reverse=not worst_first)
        assert ours == expected


@pytest.mark.shared_data
@pytest.mark.skipif(not USDM.exists(), reason="needs the recorded venue data beside the checkout (../shared/data)")
def test_the_real_futures_capture_whole_at_max_speed(start_exchange):
    exchange = start_exchange(capture=str(USDM), speed="max")
    ws = exchange.market()
    with gzip.open(USDM) as file:
        count = 0
        for line in file:
            assert ws.recv(timeout=20, decode=False) == line.rstrip(b"\n").partition(b" ")[2]
            count += 1
    assert exchange.said("end_of_capture") == {"event": "end_of_capture", "messages": count, "cut": False}
    assert count == 93_954
