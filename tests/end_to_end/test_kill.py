"""kill -9 of any process while it runs, then started again: nothing lost, nothing doubled, the same final proof."""

from itertools import pairwise

import pytest

from journal.frames import frames, last_seq
from journal.messages import NewOrder, OrderSent, RoutedOrder
from replay.player import verify
from tests.end_to_end.system import (
    System,
    attached,
    configuration,
    last_positions,
    our_fills,
    signed_fills,
    source_of,
    together,
)

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
    system = System(configuration(journal, exchange__sim__rate=120, **together(*VICTIMS[2:])))
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_apps_start_again_from_their_snapshots(tmp_path):
    """And so does each copy of one that has two, from its own."""
    journal = tmp_path / "day"
    system = System(configuration(journal, exchange__sim__rate=3000, host__cross={"apps": ["cross"], "copies": 2}))
    apps, snapshots = VICTIMS[2:], journal / "snapshots"
    try:
        system.start()
        system.run_until(
            lambda: (
                {p.name.split("-")[0] for p in snapshots.glob("*.snapshot")} >= set(apps)
                and any((snapshots / "copy-2").glob("cross-*.snapshot"))
            )
        )
        killed = [*(app for app in apps if app != "cross"), "cross-2"]
        for victim in killed:
            system.kill_one(victim)
        system.run_until(lambda: attached(journal, "cross") == 2)
        system.run_until(lambda: all(len(followed(system, name)) == 2 for name in killed))
        seq = last_seq(journal)
        system.kill_one("cross")  # now all hangs on the copy that was restored
        source = source_of(journal, "cross")
        system.run_until(lambda: any(f.header.source == source for f in frames(journal, from_seq=seq)))
        # The market goes on meanwhile, and the restarted apps have to catch up with it before they can answer.
        system.run_until(lambda: system.withdraw() == 0)
        system.stop()
    except BaseException:
        system.kill()
        raise
    for name in killed:
        first, again = followed(system, name)
        assert "restored=0" in first
        assert "restored=65536" in again
    assert system.copies.halted == {}
    verdict = prove(system, journal)
    assert verdict.last_seq > 65536


def followed(system, name):
    """What a process said each time it had caught up."""
    return [line for line in system.processes[name].log.read_text().splitlines() if "following the stream" in line]
