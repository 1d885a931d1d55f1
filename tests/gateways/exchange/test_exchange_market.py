"""The generated market's stream: the join rule holds, gaps can be seen and healed, slow and broken clients hurt nobody."""

import json
import time
from decimal import Decimal

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from apps.venue.matching import MatchingEngine
from gateways.sim.exchange.feed import Feed
from gateways.sim.exchange.listing import generated_listing
from gateways.sim.exchange.market import Agents, OrderIds
from gateways.sim.exchange.settings import ExchangeSettings


class Book:
    """The obvious reader: dicts, and the join rule as the documentation words it."""

    def __init__(self, snapshot):
        self.bids = {Decimal(p): Decimal(q) for p, q in snapshot["bids"]}
        self.asks = {Decimal(p): Decimal(q) for p, q in snapshot["asks"]}
        self.last = snapshot["lastUpdateId"]
        self.joined = False

    def apply(self, data):
        """False is a gap."""
        if data["u"] < self.last:
            return True
        if not (data["pu"] == self.last or (not self.joined and data["U"] <= self.last <= data["u"])):
            return False
        self.joined, self.last = True, data["u"]
        for side, levels in ((self.bids, data["b"]), (self.asks, data["a"])):
            for px, qty in levels:
                side.pop(Decimal(px), None)
                if Decimal(qty):
                    side[Decimal(px)] = Decimal(qty)
        return True

    def depth(self):
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


def as_depth(snapshot):
    return tuple([(Decimal(p), Decimal(q)) for p, q in snapshot[side]] for side in ("bids", "asks"))


def depth_frames(ws):
    while True:
        frame = json.loads(ws.recv(timeout=10))
        if frame.get("stream", "").endswith("@depth@0ms"):
            yield frame["data"]


def ending(ws):
    """Read until the connection ends: the exchange's close frame, None if there was none."""
    try:
        while True:
            ws.recv(timeout=10)
    except ConnectionClosed as error:
        return error.rcvd


def test_join_and_follow(start_exchange):
    exchange = start_exchange(rate=2000)
    ws, api = exchange.market(), exchange.api()
    first = next(depth_frames(ws))
    time.sleep(0.05)
    book = Book(api.depth(5000))
    assert first["u"] <= book.last
    trade_id, checked = None, 0
    while checked < 300:
        frame = json.loads(ws.recv(timeout=10))
        data = frame["data"]
        if data["e"] == "depthUpdate":
            assert book.apply(data)
        elif data["e"] == "trade":
            assert trade_id in (None, data["t"] - 1)
            trade_id = data["t"]
        elif data["u"] == book.last and book.joined:
            bids, asks = book.depth()
            assert (bids[0], asks[0]) == (
                (Decimal(data["b"]), Decimal(data["B"])),
                (Decimal(data["a"]), Decimal(data["A"])),
            )
            checked += 1
    # Catch up with a later snapshot and compare whole books.
    snapshot = api.depth(5000)
    for data in depth_frames(ws):
        if book.last == snapshot["lastUpdateId"]:
            break
        assert book.apply(data)
    assert book.depth() == as_depth(snapshot)


def test_a_gap_shows_and_a_new_snapshot_heals_it(start_exchange):
    exchange = start_exchange(rate=500, admin=True)
    ws, api = exchange.market("?streams=btcusdt@depth@0ms"), exchange.api()
    frames = depth_frames(ws)
    previous = next(frames)["u"]
    api.ask("admin.fault", fault="gap", count=2)
    for data in frames:
        if data["pu"] != previous:
            break
        previous = data["u"]
    assert data["pu"] > previous
    book = Book(api.depth(5000))
    applied = 0
    for data in frames:
        assert book.apply(data)
        applied += book.joined
        if applied == 50:
            break


def test_a_gap_from_the_settings(start_exchange):
    ws = start_exchange(rate=500, faults={"gap_after": 60}).market("?streams=btcusdt@depth@0ms")
    previous, gaps = None, 0
    for number, data in enumerate(depth_frames(ws)):
        gaps += previous is not None and data["pu"] != previous
        previous = data["u"]
        if number == 200:
            break
    assert gaps == 1


@pytest.mark.parametrize("fault", ["drop_market", "garbage", "binary", "oversize"])
def test_misbehaviour_on_request(start_exchange, fault):
    exchange = start_exchange(rate=200, admin=True)
    ws = exchange.market()
    ws.recv(timeout=10)
    exchange.api().ask("admin.fault", fault=fault, **({"bytes": 3_000_000} if fault == "oversize" else {}))
    if fault == "drop_market":
        assert ending(ws) is None
    else:
        while True:
            frame = ws.recv(timeout=10)
            if isinstance(frame, bytes):
                assert fault == "binary"
                break
            if len(frame) == 3_000_000:
                assert fault == "oversize"
                break
            try:
                json.loads(frame)
            except ValueError:
                assert fault == "garbage"
                break
    exchange.market().recv(timeout=10)  # others are served


def test_a_slow_reader_is_cut_and_the_others_are_not(start_exchange):
    exchange = start_exchange(rate=2000, client_queue=4000, admin=True)
    slow, fast = exchange.market(max_queue=1), exchange.market()
    slow.recv(timeout=10)
    exchange.api().ask("admin.fault", fault="oversize", bytes=16 << 20)  # fills what the kernel buffers
    line = exchange.said("slow_client")
    assert (line["endpoint"], line["queued"]) == ("stream", 4000)
    assert ending(slow) is None
    for _ in range(1000):
        fast.recv(timeout=10)


def test_a_dropped_connection_from_the_settings(start_exchange):
    exchange = start_exchange(rate=500, faults={"drop_connection_after": 60})
    assert ending(exchange.market()) is None
    exchange.market().recv(timeout=10)  # once only


def test_a_client_that_talks_or_shouts_on_the_stream(start_exchange):
    exchange = start_exchange(rate=200)
    ws = exchange.market()
    ws.send("hello")
    ws.send(b"\x00")
    ws.recv(timeout=10)
    ws.send("x" * 70_000)
    assert ending(ws).code == 1009
    exchange.market().recv(timeout=10)


def test_our_order_is_seen_on_the_stream(start_exchange):
    exchange = start_exchange(rate=1)
    ws, api = exchange.market(), exchange.api("lockstep")
    api.order("a", "BUY", "0.010", "50000.00")
    for data in depth_frames(ws):
        if ["50000.00", "0.010"] in data["b"]:
            break
    api.order("b", "BUY", "0.001")
    fill = api.until(lambda o: o["x"] == "TRADE")
    while True:
        frame = json.loads(ws.recv(timeout=10))
        if frame["stream"].endswith("@trade") and frame["data"]["t"] == fill["t"]:
            break
    assert (frame["data"]["p"], frame["data"]["q"], frame["data"]["m"]) == (fill["L"], fill["l"], False)


def test_other_paths_are_refused(start_exchange):
    exchange = start_exchange(rate=1)
    with pytest.raises(InvalidStatus, match="404"), connect(f"ws://127.0.0.1:{exchange.port}/nothing"):
        pass


def test_sigterm_is_clean(start_exchange):
    exchange = start_exchange(rate=200)
    exchange.market().recv(timeout=10)
    exchange.api("lockstep").order("a", "BUY", "0.010", "50000.00")
    code, line, error = exchange.stop()
    assert (code, error, line["orders"], line["requests"]) == (0, "", 1, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prot": 1}, "unknown field `prot`"),
        ({"port": "x"}, "$.port"),
        ({"port": 70_000}, "port = 70000: expected 0 to 65535"),
        ({"rate": 0}, "rate = 0: expected 1 to 5000"),
        ({"speed": "fast"}, "speed = 'fast': expected \"max\" or a decimal"),
        ({"symbol": "XYZ"}, "quote is missing"),
        ({"start_px": 10}, "start_px = 10"),
        ({"host": "203.0.113.1"}, "cannot listen on 203.0.113.1:0"),
        ({"more_api_keys": ["lockstep"]}, "api_key"),
        ({"faults": {"gap_after": -1}}, "faults.gap_after = -1"),
        ({"capture": "no/such/file"}, "no/such/file: cannot be read: No such file or directory"),
    ],
)
def test_bad_settings_are_one_line(run_to_end, settings, words):
    code, error = run_to_end(**settings)
    assert code == 2
    assert words in error
    assert error.count("\n") == 1


def test_a_port_in_use_is_one_line(start_exchange, run_to_end):
    port = start_exchange(rate=1).port
    code, error = run_to_end(port=port)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in error


def agents_run(seed, steps=3000):
    settings = ExchangeSettings(seed=seed)
    listing = generated_listing(settings)
    engine = MatchingEngine(listing.rules)
    agents = Agents(listing, engine, seed=seed, start_px=settings.start_px, ids=OrderIds())
    feed = Feed(listing, engine)
    frames = feed.frames(agents.open(0), 0)
    spreads = []
    for step in range(steps):
        frames += feed.frames(agents.step(step), step)
        best = engine.best(1), engine.best(2)
        assert None not in best
        spreads.append((best[1][0] - best[0][0]) // listing.rules.tick)
    engine.check()
    return frames, spreads


def test_the_seed_is_the_market():
    assert agents_run(1, 500)[0] == agents_run(1, 500)[0]
    assert agents_run(1, 500)[0] != agents_run(2, 500)[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_agents_keep_a_believable_book(seed):
    frames, spreads = agents_run(seed)
    assert sum(spreads) / len(spreads) < 6
    assert max(spreads) < 40
    trades = sum(f.stream.endswith("@trade") for f in frames)
    assert 0.05 < trades / len(frames) < 0.6
