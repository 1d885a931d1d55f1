"""A venue that loses, doubles, delays and denies, and is killed itself: every fill once, as in its own list, and provable."""

import pytest

from journal.frames import frames
from journal.messages import ExecutionReport, OrdStatus
from tests.end_to_end.system import System, configuration, last_positions, our_fills, signed_fills
from tests.end_to_end.test_kill import compare_with_venue, prove


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_venue_does_nothing_is_lost_or_doubled(tmp_path, seed):
    journal = tmp_path / "day"
    chaos = {"chaos_per_mille": 60, "chaos_seed": seed, "chaos_ms": 150}
    sim = {"exchange__sim__rate": 150, "exchange__sim__faults": chaos, "exchange__sim__state": str(tmp_path / "venue.json")}
    system = System(configuration(journal, **sim))
    try:
        system.start()
        system.run_until(lambda: journal.exists() and len(our_fills(journal)) >= 3, 60)
        system.kill_one("exchange-sim")
        system.run_for(6)
        system.run_until(lambda: system.withdraw() == 0, 60)
        fills = compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    assert fills >= 3
    prove(system, journal)
    assert sum(last_positions(journal).values()) == signed_fills(journal)
    last = {f.message.order_id: f.message for f in frames(journal, kinds=[ExecutionReport.KIND])}
    open_still = [m for m in last.values() if m.leaves_qty]
    assert open_still == [], "an order's outcome is unknown for ever"
    assert {m.ord_status for m in last.values()} <= {
        OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED,
    }  # fmt: skip
