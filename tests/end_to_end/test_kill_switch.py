"""The kill switch while a strategy is dead and the gateway is killed: nothing new leaves, everything is canceled and closed,
and two people end it."""

import pytest

from journal.frames import frames, last_seq
from journal.messages import (
    CommandResult,
    KillSwitch,
    RequestState,
    RoutedOrder,
    SourceDefined,
    order_id_source,
)
from lockstep.cli import main
from tests.end_to_end.system import System, configuration, last_positions, our_fills
from tests.end_to_end.test_kill import prove

PEOPLE = {"user": {"alice": {}, "bob": {}}}


def routed(journal, from_seq):
    """The sources of orders routed from a frame on."""
    return [order_id_source(f.message.order_id) for f in frames(journal, from_seq=from_seq, kinds=[RoutedOrder.KIND])]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_works_with_a_strategy_and_the_gateway_dead(tmp_path, capsys):
    journal = tmp_path / "day"
    system = System(configuration(journal, exchange__sim__rate=120, risk__flatten=True, **PEOPLE))

    def command(*words):
        assert main([words[0], str(journal), *words[1:], "--reason", "test"]) == 0
        return capsys.readouterr().out

    try:
        system.start()
        system.run_until(lambda: journal.exists() and len(our_fills(journal)) >= 2 and any(last_positions(journal).values()))
        sources = {f.message.name: f.message.source for f in frames(journal, kinds=[SourceDefined.KIND])}
        for name in ("cross", "gateway-sim"):  # both stay dead: nobody looks after them for now
            system.processes[name].child.kill()
            system.processes[name].child.wait()
        kill = command("kill", "--level", "flatten", "--user", "alice").split()[1].rstrip(";")
        (killed,) = [f.header.seq for f in frames(journal, kinds=[KillSwitch.KIND])]
        system.run_for(1.0)  # the gateway and the strategy are started again: their orders are canceled, positions closed

        def done():
            return any(
                m.request == int(kill) and m.status == RequestState.DONE
                for m in (f.message for f in frames(journal, from_seq=killed, kinds=[CommandResult.KIND]))
            )

        system.run_until(done)
        system.run_until(lambda: system.open_orders() == 0)
        assert not any(last_positions(journal).values())
        said = system.venue()
        assert said["openOrders"] == []
        net = sum(float(t["qty"]) * (1 if t["buyer"] else -1) for t in said["myTrades"])
        assert abs(net) < 1e-9
        assert set(routed(journal, killed)) <= {sources["flattener"]}

        command("release", kill, "--user", "alice")
        request = next(f.message.request for f in frames(journal, from_seq=killed, kinds=[CommandResult.KIND])
                       if f.message.status == RequestState.PENDING)  # fmt: skip
        assert set(routed(journal, killed)) <= {sources["flattener"]}
        released = last_seq(journal)
        assert "has ended" in command("approve", str(request), "--user", "bob")
        system.run_until(lambda: sources["maker"] in routed(journal, released))
        assert system.withdraw() == 0
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)
