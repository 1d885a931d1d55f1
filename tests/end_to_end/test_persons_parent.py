"""A person's parent, from the command line to the venue: its strategy works it, also to other terms, and the replay decides the
same."""

import pytest

from journal.frames import frames
from journal.messages import (
    ExecutionReport,
    NewOrder,
    OrdStatus,
    OrdType,
    ParentOrder,
    Side,
    TimeInForce,
    TopOfBook,
    order_id_of,
    order_id_text,
)
from lockstep.cli import main
from tests.end_to_end.system import System, configuration, our_fills, say_as_person, source_of, together
from tests.end_to_end.test_kill import compare_with_venue, prove

TWAP = {"class": "apps.strategies.twap:Twap", "account": "demo", "symbols": ["BTCUSDT"], "slices": 4, "seconds": 2}


def of(journal, order):
    """Reports of an order or parent."""
    return [f.message for f in frames(journal, kinds=[ExecutionReport.KIND]) if f.message.order_id == order.order_id]


def resting(journal):
    """A person's own order, far below the market."""
    touch = next(f.message for f in frames(journal, kinds=[TopOfBook.KIND]))
    order = NewOrder(order_id=order_id_of(source_of(journal, "operator"), 77), account=1, instrument=touch.instrument,
                     side=Side.BUY, ord_type=OrdType.LIMIT, tif=TimeInForce.GTC, order_qty=10,
                     price_px=touch.bid_px * 9 // 100 * 10)  # fmt: skip
    say_as_person(journal, order)
    return order


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


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_person_replaces_the_terms_of_a_parent_and_of_an_order(tmp_path, capsys):
    journal = tmp_path / "day"
    apps = together("books", "risk", "oms", "positions", "twap")
    system = System(configuration(journal, strategy={"twap": TWAP}, risk={}, **apps))
    give = ["parent", str(journal), "buy", "0.4", "BTCUSDT", "--account", "demo", "--reason", "test", "--strategy", "twap"]

    def replace(order, *terms):
        """(exit code, output)"""
        code = main(["replace", str(journal), order_id_text(order.order_id), *terms, "--reason", "test"])
        said = capsys.readouterr()
        return code, said.out + said.err

    try:
        system.start()
        system.until_ready()
        assert main([*give, "--for", "1h"]) == 0
        capsys.readouterr()
        (parent,) = (f.message for f in frames(journal, kinds=[ParentOrder.KIND]))
        code, out = replace(parent, "--qty", "0.6", "--for", "6s")
        assert (code, "replaced: quantity 0.6, end 2" in out) == (0, True), out
        code, out = replace(parent, "--qty", "0.6")
        assert (code, "not replaced (REPLACE_HAS_NO_EFFECT)" in out) == (1, True), out
        assert replace(parent, "--end", "2020-01-01")[0] == replace(parent)[0] == 2

        # A child that is filled has passed risk: the book is live.
        system.run_until(lambda: of(journal, parent)[-1].cum_qty, 30)
        order = resting(journal)
        system.run_until(lambda: any(m.ord_status == OrdStatus.NEW for m in of(journal, order)), 30)
        code, out = replace(order, "--qty", "0.02")
        assert (code, "replaced: quantity 0.02, price " in out) == (0, True), out
        assert main(["cancel", str(journal), order_id_text(order.order_id), "--reason", "test"]) == 0
        code, out = replace(order, "--qty", "0.03")
        assert (code, out.endswith("not replaced (TOO_LATE): it is canceled\n")) == (1, True), out

        system.run_until(lambda: of(journal, parent)[-1].ord_status in (OrdStatus.FILLED, OrdStatus.EXPIRED), 30)
        compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)
    # By its first terms nothing was due for minutes; what the market did not have by the end is left.
    children = [f for f in frames(journal, kinds=[NewOrder.KIND]) if f.message.parent_order_id == parent.order_id]
    assert len(children) >= 3
    assert 400 < sum(qty for _, qty, _ in our_fills(journal)) == of(journal, parent)[-1].cum_qty <= 600
