"""What a venue does itself, through sequencer, apps, gateway and exchange; and the same day at a venue that does none of it."""

from pathlib import Path

import pytest

from journal.frames import frames
from journal.messages import (
    NULL,
    AlgoType,
    CancelAllReport,
    CommandCode,
    ExecType,
    ExecutionReport,
    OperatorCommand,
    OrdStatus,
    ParentOrder,
    RateLimitUsage,
    ReportFlag,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuote,
    Side,
    VenueDeadMan,
    VenueMassCancelReport,
    VenueOrderUpdate,
    order_id_text,
)
from journal.messages.quoting import is_quote_order
from lockstep.cli import main
from replay.audit import Stream, order_life
from tests.end_to_end.system import System, configuration, together
from tests.end_to_end.test_kill import prove

NATIVE = ["cancel_all", "dead_man", "mass_quote", "stops"]
STRATEGY = {"class": f"{Path(__file__).with_name('native_strategy.py')}:Native", "account": "demo"}


def said(journal, *kinds):
    return [f.message for f in frames(journal, kinds=[k.KIND for k in kinds])]


def day(journal, **changes):
    """One run, until everything has been canceled; what the venue then says is open."""
    apps = together("books", "risk", "oms", "positions", "native")
    system = System(configuration(journal, strategy={"native": STRATEGY}, risk={}, **apps, **changes))
    try:
        system.start()
        system.run_until(lambda: journal.exists() and any(m.final for m in said(journal, CancelAllReport)), 30)
        give_parents(journal)
        open_there = system.venue()["openOrders"]
        system.stop()
    except BaseException:
        system.kill()
        raise
    prove(system, journal)
    return open_there


def give_parents(journal):
    """A person's parents by the command: one that the OMS takes up, one of an unknown name, one that is no number."""
    words = ["parent", str(journal), "buy", "2.5", "BTCUSDT", "--account", "demo", "--reason", "test"]
    more = ["--algo", "pov", "--limit", "61000.5", "--for", "10m", "--participation", "10%", "--max-slice", "0.5"]
    assert main([*words, *more, "--set", "a=b"]) == 0
    assert main([*words, "--set", "a=b", "--set", "a=c"]) == 2
    assert main([*words[:3], "2.5001", *words[4:]]) == 2
    assert main([*words, "--strategy", "nobody"]) == 2
    (m,) = said(journal, ParentOrder)
    assert (m.order_qty, m.limit_px, m.max_slice_qty, m.min_slice_qty) == (2500, 6_100_050, 500, NULL)
    assert (m.algo, m.side, m.participation_rate, m.start_ts) == (AlgoType.POV, Side.BUY, 10**11, 0)
    assert [(p.name, p.value) for p in m.parameters] == [("a", "b")]
    (command,) = said(journal, OperatorCommand)
    assert (command.command, command.reason) == (CommandCode.NEW_ORDER, "test")
    (report,) = [r for r in said(journal, ExecutionReport) if r.report_flags & ReportFlag.PARENT]
    assert (report.order_id, report.exec_type) == (m.order_id, ExecType.NEW)


def ends(journal):
    """(own number, 0 for quotes; status; filled) of every order as last reported."""
    last = {m.order_id: m for m in said(journal, ExecutionReport) if not m.report_flags & ReportFlag.PARENT}
    return sorted(
        (0 if is_quote_order(n) else n & 0xFFFF, m.ord_status, m.cum_qty) for n, m in last.items()
    )  # fmt: skip


def begins(journal):
    """Kinds of the frames that the orders' lives go back to, each told whole."""
    stream, roots = Stream(journal), set()
    for number in {m.order_id for m in said(journal, ExecutionReport)}:
        life = order_life(stream, order_id_text(number))
        roots |= {e.kind for e in life.events if not e.parent}
        assert all(e.fields or e.kind == "Clock" for e in life.events)
    return roots


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_natively_and_order_by_order_the_day_ends_the_same(tmp_path):
    native, plain = tmp_path / "native", tmp_path / "plain"
    assert day(native, exchange__sim__native=NATIVE, exchange__sim__order_limit=100, exchange__sim__order_window_s=3600,
               venue__sim__dead_man="30s") == []  # fmt: skip
    assert day(plain) == []

    # All went as one: stops by the venue, the quote, the cancel of everything, and the venue's timer was held.
    assert [m.affected for m in said(native, VenueMassCancelReport)] == [7]
    assert (len(said(native, RoutedCancelAll)), said(native, RoutedCancel)) == (1, [])
    (swept,) = [f.header.seq for f in frames(native, kinds=[RoutedCancelAll.KIND])]
    assert [m.request_seq for m in said(native, VenueOrderUpdate) if m.ord_status == OrdStatus.CANCELED] == [swept] * 7
    assert len(said(native, RoutedQuote)) == 1
    told = [m.exec_type for m in said(native, VenueOrderUpdate)]
    assert (told.count(ExecType.SUSPENDED), told.count(ExecType.TRIGGERED)) == (2, 1)
    assert ExecType.TRIGGERED in [m.exec_type for m in said(native, ExecutionReport)]
    assert said(native, RoutedDeadMan)
    assert all(m.confirmed for m in said(native, VenueDeadMan)[:1])
    assert max(m.limits[0].used for m in said(native, RateLimitUsage)) == 7  # six orders, one quote

    # A price, a moment at which a timer fell due, and a person's word.
    for journal in (native, plain):
        assert begins(journal) <= {"MarketByPriceSnapshot", "MarketByPriceUpdate", "RawMessage", "Clock", "OperatorCommand"}

    # The other venue was asked order by order, and was never told of the stop that waits.
    assert said(plain, RoutedCancelAll, RoutedQuote, RoutedDeadMan, RateLimitUsage) == []
    assert len(said(plain, RoutedCancel)) == 6
    assert len(said(plain, RoutedOrder)) == 7
    assert len(said(native, RoutedOrder)) == 6

    assert ends(native) == ends(plain)
    assert [status for _, status, _ in ends(native)].count(OrdStatus.CANCELED) == 7
    for journal in (native, plain):
        last = said(journal, CancelAllReport)[-1]
        assert (last.matched, last.canceled, last.rejected, last.pending) == (7, 7, 0, 0)
