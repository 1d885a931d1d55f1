"""An order with an end that its venue does not know: its terms are replaced there, its end here, and the replay agrees."""

import pytest

from journal.frames import frames
from journal.messages import (
    BookState,
    BookStateCode,
    ExecType,
    ExecutionReport,
    NewOrder,
    OrderCancelReject,
    OrdStatus,
    OrdType,
    Reason,
    ReplaceOrder,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SendRefused,
    Side,
    TimeInForce,
    TopOfBook,
    order_id_of,
    order_id_text,
)
from lockstep.cli import main
from tests.end_to_end.system import System, configuration, say_as_person, source_of, together
from tests.end_to_end.test_kill import compare_with_venue, prove
from tests.end_to_end.test_persons_parent import TWAP

SECOND = 1_000_000_000


def said(journal, kind):
    return [f.message for f in frames(journal, kinds=[kind.KIND])]


def of(journal, order, kind=ExecutionReport):
    return [m for m in said(journal, kind) if m.order_id == order.order_id]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_can_be_replaced_of_an_order_whose_end_we_keep(tmp_path, capsys):
    journal = tmp_path / "day"
    apps = together("books", "risk", "oms", "positions", "twap")
    system = System(configuration(journal, strategy={"twap": TWAP}, risk={}, **apps))

    def replace(*terms):
        """What the command says."""
        assert main(["replace", str(journal), order_id_text(order.order_id), *terms, "--reason", "test"]) == 0
        return capsys.readouterr().out

    try:
        system.start()
        system.until_ready()
        system.run_until(lambda: any(m.state == BookStateCode.LIVE for m in said(journal, BookState)), 30)
        touch = next(f for f in frames(journal, kinds=[TopOfBook.KIND]))
        px = touch.message.bid_px * 9 // 100 * 10  # far below the market
        order = NewOrder(order_id=order_id_of(source_of(journal, "operator"), 77), account=1, side=Side.BUY, order_qty=10,
                         instrument=touch.message.instrument, ord_type=OrdType.LIMIT, price_px=px, tif=TimeInForce.GTD,
                         expire_ts=touch.header.ts + 3600 * SECOND)  # fmt: skip
        say_as_person(journal, order)
        system.run_until(lambda: any(m.ord_status == OrdStatus.NEW for m in of(journal, order)), 30)

        assert "replaced: quantity 0.02, price " in replace("--qty", "0.02")
        assert "end 2" in replace("--qty", "0.03", "--for", "2h")
        system.kill_one("together")  # what it knows of the end is in the journal
        system.until_ready()
        say_as_person(journal, ReplaceOrder(order_id=order.order_id, expire_ts=touch.header.ts))
        system.run_until(lambda: of(journal, order, OrderCancelReject), 30)
        asked = len(of(journal, order, RoutedReplace))
        assert "replaced: quantity 0.03, price " in replace("--for", "2s")
        assert len(of(journal, order, RoutedReplace)) == asked == 2
        system.run_until(lambda: of(journal, order)[-1].ord_status == OrdStatus.CANCELED, 30)
        compare_with_venue(system, journal)
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)
    assert main(["replay", str(journal), "--verify"]) == 0

    (sent,) = of(journal, order, RoutedOrder)
    assert (sent.tif, sent.expire_ts) == (TimeInForce.GTC, 0)
    assert [(m.order_qty, m.expire_ts) for m in of(journal, order, RoutedReplace)] == [(20, 0), (30, 0)]
    assert said(journal, SendRefused) == []
    assert [m.reason for m in of(journal, order, OrderCancelReject)] == [Reason.INVALID_EXPIRE_TIME]
    assert [m.exec_type for m in of(journal, order)].count(ExecType.REPLACED) == 3
    assert of(journal, order)[-1].reason == Reason.EXPIRED_BY_TIME
    (cancel,) = (f for f in frames(journal, kinds=[RoutedCancel.KIND]))
    end = of(journal, order, ReplaceOrder)[-1].expire_ts
    assert 0 <= cancel.header.ts - end < SECOND
