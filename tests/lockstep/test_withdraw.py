"""What counts as an open order when a system stops."""

from journal.messages import ExecutionReport, NewOrder, OrdStatus
from journal.writer import JournalWriter
from lockstep.demo import Options, demo_config
from lockstep.supervisor import Supervisor


def test_an_order_without_any_report_is_open(tmp_path):
    journal = tmp_path / "day"
    said = [
        NewOrder(order_id=1),
        ExecutionReport(order_id=1, ord_status=OrdStatus.NEW),
        NewOrder(order_id=2),
        ExecutionReport(order_id=1, ord_status=OrdStatus.CANCELED),
        NewOrder(order_id=3),
        ExecutionReport(order_id=3, ord_status=OrdStatus.PENDING_NEW),
    ]
    with JournalWriter.open(journal, segment_bytes=1 << 20) as writer:
        for ts, message in enumerate(said, start=1):
            writer.append(message, ts=ts, source=1, source_seq=ts)
    # 1 is closed, 2 was asked and has not been answered, 3 is on its way.
    assert Supervisor(demo_config(Options(journal=journal))).open_orders() == 2
