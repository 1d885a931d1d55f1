"""kill -9 of any process while it runs, then started again: nothing lost, nothing doubled, the same final proof."""

from itertools import pairwise
from pathlib import Path

import pytest

from journal.frames import frames
from journal.messages import NewOrder, OrderSent, RoutedOrder
from lockstep.demo import Options, demo_config
from replay.player import verify
from tests.end_to_end.system import System, configuration, last_positions, our_fills, signed_fills

VICTIMS = ["sequencer", "gateway-sim", "oms", "risk", "positions", "books", "maker", "cross"]


def prove(system, journal):
    """What must hold of the journal, and against the venue's own word, after whatever happened."""
    verdict = verify(journal)
    assert verdict.identical, verdict.difference
    assert verdict.decisions > 0

    headers = [f.header for f in frames(journal)]
    assert [h.seq for h in headers] == list(range(1, len(headers) + 1))
    assert all(a.ts < b.ts for a, b in pairwise(headers))
    numbers = {}
    for h in headers:
        if h.source:
            assert h.source_seq == numbers.get(h.source, 0) + 1 or h.source_seq > numbers.get(h.source, 0)
            numbers[h.source] = h.source_seq

    sent = [f.message.request_seq for f in frames(journal, kinds=[OrderSent.KIND])]
    assert len(sent) == len(set(sent)), "a request was sent twice"
    routed = [f.message.order_id for f in frames(journal, kinds=[RoutedOrder.KIND])]
    assert len(routed) == len(set(routed)), "an order was routed twice"
    asked = [f.message.order_id for f in frames(journal, kinds=[NewOrder.KIND])]
    assert len(asked) == len(set(asked)), "an order was asked twice"
    return verdict


def compare_with_venue(system, journal):
    said = system.venue()
    theirs = sorted((int(t["id"]), t["qty"], t["price"]) for t in said["myTrades"])
    ours = sorted((number, qty, px) for number, qty, px in our_fills(journal))
    assert [t[0] for t in ours] == [t[0] for t in theirs], "fills lost or doubled"
    for (_, qty, px), (_, their_qty, their_px) in zip(ours, theirs, strict=True):
        assert qty == round(float(their_qty) * 1000)
        assert px == round(float(their_px) * 100)
    assert said["openOrders"] == []
    return len(ours)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killing_each_process_once_loses_and_doubles_nothing(tmp_path):
    journal = tmp_path / "day"
    system = System(configuration(journal, exchange__sim__rate=120))
    try:
        system.start()
        system.run_until(lambda: journal.exists() and len(our_fills(journal)) >= 2)
        for victim in VICTIMS:
            system.kill_one(victim)
            system.run_for(1.5)
        system.run_for(2.0)
        assert system.withdraw() == 0
        fills = compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    assert fills >= 2
    assert sorted(set(system.restarted)) == sorted(VICTIMS)
    prove(system, journal)
    assert sum(last_positions(journal).values()) == signed_fills(journal)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["sequencer", "gateway-sim"])
def test_killing_one_process_again_and_again(tmp_path, victim):
    journal = tmp_path / "day"
    system = System(configuration(journal, exchange__sim__rate=120))
    try:
        system.start()
        system.run_until(lambda: journal.exists() and len(our_fills(journal)) >= 1)
        for pause in (0.7, 0.3, 1.1, 0.9):
            system.kill_one(victim)
            system.run_for(pause)
        system.run_for(2.0)
        assert system.withdraw() == 0
        compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)


CAPTURE = Path(__file__).parents[2].parent / "shared/data/captures/binance-usdm/hftbacktest_btcusdt_20240808.gz"


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.timeout(300)
def test_killed_apps_start_again_from_their_snapshots(tmp_path):
    if not CAPTURE.exists():
        pytest.skip(f"needs the recorded venue data: {CAPTURE} is not there")
    journal = tmp_path / "day"
    system = System(demo_config(Options(journal=journal, capture=CAPTURE, speed="20")))
    try:
        system.start()
        snapshots = journal / "snapshots"
        system.run_until(lambda: {p.name.split("-")[0] for p in snapshots.glob("*.snapshot")} >= set(VICTIMS[2:]))
        for victim in VICTIMS[2:]:
            system.kill_one(victim)
        # The recording goes on at many times its pace, and the restarted apps have to catch up with it before they can answer.
        system.run_until(lambda: system.withdraw() == 0)
        system.stop()
    except BaseException:
        system.kill()
        raise
    verdict = prove(system, journal)
    assert verdict.last_seq > 65536
