"""What nobody waits for is not synced at once; what somebody waits for is. The lag is endless here: only a reason ends it."""

import threading

import pytest

from gateways.sim.tail import REQUESTS
from journal.messages import RoutedCancel, SessionMode, SourceRole, TopOfBook
from journal.reader import JournalReader
from sequencer.client import Publisher
from sequencer.daemon import Sequencer
from sequencer.kernel._sequencer import lib
from sequencer.rules import AWAITED
from sequencer.settings import SequencerSettings, SourceSettings

SOURCES = [SourceSettings(name="md", role=SourceRole.MARKET_DATA), SourceSettings(name="oms", role=SourceRole.OMS)]


@pytest.fixture
def lazy(folder, until):
    """A sequencer in this process whose sync thread dozes: a message is written, and not durable."""
    settings = SequencerSettings(segment_bytes=1 << 20, ring_bytes=1 << 16, clock_interval_ms=60_000, idle="spin")
    sequencer = Sequencer(folder / "j", settings, SOURCES, mode=SessionMode.PAPER)
    sequencer.start()
    thread = threading.Thread(target=sequencer.serve)
    thread.start()
    loop = sequencer._loop
    with Publisher.connect(sequencer.journal, "md") as md, JournalReader(sequencer.journal) as reader:
        until(lambda: reader.durable_seq == reader.written_seq)
        loop.sync_lag_ns = 1 << 60
        md.publish(TopOfBook(bid_px=1))
        until(lambda: md.accepted_seq != 0 and loop.sync_parked & lib.LOCKSTEP_SYNC_DOZES)
        assert reader.durable_seq < md.accepted_seq
        yield sequencer, md, reader
    sequencer.stop()
    thread.join()
    sequencer.close()


def test_frames_that_nobody_waits_for_are_put_off(lazy, until):
    _, md, reader = lazy
    for n in range(2, 102):
        md.publish(TopOfBook(bid_px=n))
        until(lambda n=n: md.accepted_source_seq == n)
    assert reader.durable_seq < md.accepted_seq


def test_a_routed_request_is_synced_at_once_with_all_before_it(lazy, until):
    sequencer, _, reader = lazy
    with Publisher.connect(sequencer.journal, "oms") as oms:
        oms.publish(RoutedCancel())
        until(lambda: oms.accepted_source_seq == 1 and reader.durable_seq >= oms.accepted_seq)


def test_a_publisher_that_sleeps_is_waited_for(lazy, until):
    _, md, reader = lazy
    md.arm()
    until(lambda: reader.durable_seq >= md.accepted_seq)
    md.disarm()


def test_a_full_segment_is_synced(lazy, until):
    """Its place is needed again: a writer that fills segments must not wait for a thread that waits for nothing."""
    sequencer, md, _ = lazy
    rows = TopOfBook(bid_px=1).encode() * 100
    size = len(rows) // 100
    for n in range(1, 401):  # some six segments
        md.publish_rows(TopOfBook.KIND, 1, rows, row_bytes=size)
        until(lambda n=n: md.accepted_source_seq == 1 + 100 * n)
    assert int(sequencer._loop.writer.segment) > 4


def test_the_end_does_not_wait(lazy, until):
    sequencer, _, reader = lazy
    lib.lockstep_sync_end(sequencer._loop)
    until(lambda: reader.durable_seq == reader.written_seq)


def test_awaited_is_what_a_gateway_holds_back():
    assert set(AWAITED) == set(REQUESTS)
