"""A person's parent, from the command line to the venue: its strategy works it, and the replay decides the same."""

import pytest

from journal.frames import frames
from journal.messages import ExecutionReport, NewOrder, OrdStatus, ParentOrder, order_id_text
from lockstep.cli import main
from tests.end_to_end.system import System, configuration, our_fills, together
from tests.end_to_end.test_kill import compare_with_venue, prove

TWAP = {"class": "apps.strategies.twap:Twap", "account": "demo", "symbols": ["BTCUSDT"], "slices": 4, "seconds": 2}


def of(journal, parent):
    """Reports of a parent."""
    return [f.message for f in frames(journal, kinds=[ExecutionReport.KIND]) if f.message.order_id == parent.order_id]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_persons_parent_is_worked_by_the_strategy_that_it_names(tmp_path, capsys):
    journal = tmp_path / "day"
    apps = together("books", "risk", "oms", "positions", "twap")
    system = System(configuration(journal, strategy={"twap": TWAP}, risk={}, **apps))
    give = ["parent", str(journal), "buy", "0.4", "BTCUSDT", "--account", "demo", "--reason", "test", "--strategy", "twap"]
    try:
        system.start()
        assert main([*give, "--algo", "pov"]) == 1
        assert "is worked by nobody" in capsys.readouterr().out
        assert main([*give, "--start", "1s", "--max-slice", "0.15"]) == 0
        assert "is worked" in capsys.readouterr().out
        other, parent = (f.message for f in frames(journal, kinds=[ParentOrder.KIND]))
        system.run_until(lambda: of(journal, parent)[-1].ord_status == OrdStatus.FILLED, 30)
        end = ["cancel", str(journal), "--reason", "test"]
        assert main([*end, order_id_text(other.order_id)]) == 0
        assert capsys.readouterr().out.endswith("canceled\n")
        assert main([*end, order_id_text(other.order_id)]) == main([*end, order_id_text(parent.order_id)]) == 1
        assert capsys.readouterr().out.count("TOO_LATE") == 2
        assert main([*end, "9.42"]) == 1
        assert "UNKNOWN_ORDER" in capsys.readouterr().out
        compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)
    assert of(journal, other)[-1].ord_status == OrdStatus.CANCELED
    children = list(frames(journal, kinds=[NewOrder.KIND]))
    assert {f.message.parent_order_id for f in children} == {parent.order_id}
    assert all(f.header.ts > parent.start_ts and f.message.order_qty <= 150 for f in children)
    assert sum(qty for _, qty, _ in our_fills(journal)) == 400
