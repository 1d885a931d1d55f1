"""A running sequencer seals what is full, says so on the stream, and writes down its head elsewhere."""

import os
import select
import shutil
import threading
import time

import pytest

from journal.head import heads_in
from journal.messages import EpochStart, RawMessage, SegmentSealed, SessionEnd
from journal.seal import read_seal, seal_name
from journal.signing import Key
from journal.verify import survey
from journal.writer import JournalWriter
from sequencer.sealing import Sealing
from sequencer.settings import SequencerSettings


def fill(one, segments):
    """Publish until so many seals are told of on the stream."""
    body = RawMessage(data=bytes(range(256)) * 100)
    with one.connect("md") as publisher:
        deadline = time.monotonic() + 60
        while len(one.frames(SegmentSealed)) < segments:
            assert time.monotonic() < deadline, one.errors.read_text()
            for _ in range(20):
                publisher.publish(body)


def test_full_segments_are_sealed_and_told_of(daemon, folder):
    key = folder / "key"
    key.write_text("hmac-sha256 " + "ab" * 32)
    key.chmod(0o400)
    sink = folder / "heads"
    one = daemon(seal_key=str(key), head_file=str(sink), head_interval_s=1)
    fill(one, 3)
    assert one.stop() == 0
    told = [f.message for f in one.frames(SegmentSealed)]
    assert [m.segment for m in told] == list(range(1, len(told) + 1))
    for m in told:
        seal = read_seal(one.journal, m.segment)
        assert (m.first_seq, m.last_seq, m.chain_digest, m.signature) == (
            seal.first_seq, seal.last_seq, seal.chain, seal.signature,
        )  # fmt: skip
    assert one.frames(SessionEnd)[-1].message.chain_digest != bytes(32)
    heads = heads_in(sink)
    found = survey(one.journal, heads=heads, key=Key(key))
    assert found.problems == []
    assert heads[-1].seq == found.last_seq
    # The next session names its predecessor's end.
    one.start()
    assert one.stop() == 0
    start = one.frames(EpochStart)[-1].message
    assert (start.prev_last_seq, start.prev_chain_digest) == (heads[-1].seq, heads[-1].digest)
    assert survey(one.journal, heads=heads_in(sink), key=Key(key)).problems == []


def test_full_segments_are_indexed_before_anybody_asks(daemon, until):
    one = daemon()
    with one.connect("md") as publisher:
        for _ in range(90):
            publisher.publish(RawMessage(data=bytes(25_000)))
    until(lambda: {p.name for p in (one.journal / "index").glob("*.idx")} >= {"00000001.idx", "00000002.idx"})
    assert one.stop() == 0


def test_what_was_sealed_and_not_told_is_told_at_the_next_start(daemon):
    one = daemon(seal=False)
    body = RawMessage(data=bytes(30_000))
    with one.connect("md") as publisher:
        for _ in range(130):
            publisher.publish(body)
        deadline = time.monotonic() + 60
        while survey(one.journal).last_seq < 130 and time.monotonic() < deadline:
            time.sleep(0.01)
    one.kill()
    assert not list(one.journal.glob("*.seal"))
    again = daemon()
    assert again.stop() == 0
    sealed = sorted(p.name for p in again.journal.glob("*.seal"))
    assert len(sealed) >= 3
    assert [seal_name(f.message.segment) for f in again.frames(SegmentSealed)] == sealed
    assert again.frames(EpochStart)[-1].message.prev_chain_digest != bytes(32)
    assert survey(again.journal).problems == []
    once = daemon()
    assert once.stop() == 0
    assert [seal_name(f.message.segment) for f in once.frames(SegmentSealed)] == sealed


def test_a_key_or_a_chain_that_is_wrong_refuses_the_start(daemon, folder):
    one = daemon()
    fill(one, 2)
    assert one.stop() == 0
    shutil.copy(one.journal / "00000002.seal", folder / "kept")
    (one.journal / "00000001.seal").unlink()
    with pytest.raises(AssertionError, match=r"00000001.seal: missing, though 0000000\d.seal is there"):
        daemon()
    with pytest.raises(AssertionError, match="No such file"):
        daemon(seal_key=str(folder / "none"))


def test_waiting_for_the_disk_takes_no_core(folder, monkeypatch):
    """News while it waits is taken: left there, it would turn round and round, and as a real-time thread keep the one that
    syncs from ever coming."""
    sealing = Sealing(folder / "j", SequencerSettings())
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20) as writer:
        writer.append(RawMessage(data=b"x"), ts=1)
        sealing._writer = writer
        os.eventfd_write(sealing.wake_fd, 1)
        ready, real = [], select.select

        waiting = threading.get_ident()

        def looked(*arguments):
            found = real(*arguments)
            if threading.get_ident() != waiting:  # whoever else waits for something in this process
                return found
            ready.append(bool(found[0]))
            if len(ready) == 4:
                writer.sync()
            return found

        monkeypatch.setattr(select, "select", looked)
        assert sealing._durable(writer.last_seq)
    assert ready == [True, False, False, False]
    sealing.close()


def test_a_stop_is_heard_while_a_seal_waits_for_the_disk(folder, monkeypatch):
    """Whoever takes the news that wakes it, the thread ends."""
    sealing, waits, real = Sealing(folder / "j", SequencerSettings()), threading.Event(), select.select

    def looked(*arguments):
        if arguments[0] == [sealing.wake_fd]:
            waits.set()
        return real(*arguments)

    with JournalWriter.open(folder / "j", segment_bytes=1 << 20) as writer:
        sealing.catch_up()
        for ts in range(1, 10):
            writer.append(RawMessage(data=bytes(200_000)), ts=ts)  # into the second segment, and not synced
        assert writer.c.segment > 1
        monkeypatch.setattr(select, "select", looked)
        sealing.start(writer, lambda: None)
        assert waits.wait(60)
        stopping = threading.Thread(target=sealing.stop, daemon=True)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
    sealing.close()
