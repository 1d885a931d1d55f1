"""Instruments that one strategy alone may trade on a shared login."""

from __future__ import annotations

from oms_recorder import ACCOUNT, INSTRUMENT, Recorder

from journal.messages import IdScheme, OrdStatus, OwnershipDefined, Reason
from lockstep.backtesting import run_backtest
from lockstep.testing import Run
from tests.end_to_end.system import configuration


def test_only_the_owner_trades_until_it_is_given_up():
    r = Recorder()
    r.ready()
    before = r.oms.snapshot()
    r.frame(OwnershipDefined(account=ACCOUNT, instrument=INSTRUMENT, strategy=3, exclusive=1), 1)
    for number, strategy, wanted in ((1, 3, OrdStatus.RECEIVED), (2, 4, OrdStatus.REJECTED), (3, 0, OrdStatus.REJECTED)):
        order_id, _ = r.new(number, strategy=strategy)
        order = r.oms.memory.peek(order_id)
        assert order is not None
        assert order.base == wanted
        assert wanted != OrdStatus.REJECTED or r.last().reason == Reason.NOT_OWNER
    r.frame(OwnershipDefined(account=ACCOUNT, instrument=INSTRUMENT), 1)
    order_id, _ = r.new(4, strategy=4)
    found = r.oms.memory.peek(order_id)
    assert found is not None
    assert found.base == OrdStatus.RECEIVED
    assert len(before) < len(r.oms.snapshot())


def test_a_restart_keeps_the_owners():
    r = Recorder()
    r.ready()
    r.frame(OwnershipDefined(account=ACCOUNT, instrument=INSTRUMENT, strategy=3, exclusive=1), 1)
    r.new(1, strategy=4)
    assert [m.encode() for m in r.replay(restart_at=len(r.stream) - 1)] == [m.encode() for m in r.emitted]


def test_from_the_file_to_the_machine(tmp_path):
    changes = {"account__demo__owners": {"BTCUSDT": "maker"}, "account__demo__id_scheme": "base36"}
    config = configuration(tmp_path / "unused", backtest={"duration": "2s"}, **changes)
    run = Run(tmp_path / "day", run_backtest(config, tmp_path / "day"))
    (owner,) = [f.message for f in run.frames("OwnershipDefined")]
    assert (owner.exclusive, run.frames("AccountDefined")[0].message.id_scheme) == (1, IdScheme.BASE36)
    routed = {f.message.strategy for f in run.frames("RoutedOrder")}
    assert routed == {owner.strategy}
