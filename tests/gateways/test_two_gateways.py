"""Two gateways of one account: each sends what is routed to it, and both know the orders of both."""

from __future__ import annotations

from gateways.sim.order_view import OrderView
from journal.messages import AccountDefined, DestinationDefined, RoutedCancel, RoutedOrder, RoutedQuery, VenueDefined
from lockstep.backtesting import run_backtest
from lockstep.testing import Run
from tests.end_to_end.system import configuration

FIRST, SECOND = 4, 5


def view(source: int) -> OrderView:
    made = OrderView(venue_name="sim", account_name="demo", source=source)
    definitions = (
        VenueDefined(venue=1, name="sim"), AccountDefined(account=3, venue=1, name="demo"),
        DestinationDefined(destination=1, venue=1, account=3, gateway=FIRST),
        DestinationDefined(destination=2, venue=1, account=3, gateway=SECOND),
        DestinationDefined(destination=3, venue=2, account=8, gateway=6),
    )  # fmt: skip
    for seq, m in enumerate(definitions, start=1):
        made.apply(m, seq=seq, source=0, epoch=1)
    return made


def test_each_takes_its_own_destination():
    assert [view(FIRST).is_ours(d) for d in (1, 2, 3)] == [True, False, False]
    assert [view(SECOND).is_ours(d) for d in (1, 2, 3)] == [False, True, False]
    assert view(SECOND).has_destination()


def test_the_orders_of_the_other_are_known_and_not_answered_for():
    v = view(FIRST)
    v.apply(RoutedOrder(order_id=77, account=3, destination=2), seq=50, source=9, epoch=1)
    v.apply(RoutedCancel(order_id=77, account=3, destination=2), seq=51, source=9, epoch=1)
    v.apply(RoutedQuery(order_id=77, account=3, destination=2), seq=52, source=9, epoch=1)
    v.apply(RoutedOrder(order_id=78, account=8, destination=3), seq=53, source=9, epoch=1)
    assert v.order_of == {50: 77, 51: 77}
    assert not v.unanswered
    assert not v.orders


def test_gateways_of_one_account_are_destinations_of_their_own(tmp_path):
    changes = {"gateway__spare": {"venue": "sim", "account": "demo", "priority": "secondary"}, "backtest": {"duration": "1s"}}
    config = configuration(tmp_path / "unused", routing={"failures_before_down": 2, "down_for": "5s"}, **changes)
    run = Run(tmp_path / "day", run_backtest(config, tmp_path / "day"))
    # A backtest has one trading source, which stands for all gateways: one destination.
    assert run.count("DestinationDefined") == 1
    (routing,) = [f.message.value for f in run.frames("ConfigItem") if f.message.name == "routing"]
    assert routing == '{"failures_before_down": 2, "down_ns": 5000000000}'
