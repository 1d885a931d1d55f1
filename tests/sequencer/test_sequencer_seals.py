"""A running sequencer seals what is full, says so on the stream, and writes down its head elsewhere."""

import os
import select
import threading
import time

import pytest

from journal.chain import make_seals, store
from journal.head import heads_in
from journal.messages import Alert, AlertState, EpochStart, RawMessage, SegmentSealed, SessionEnd
from journal.repair import repair
from journal.repair_plan import plan_repair
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


def test_a_key_that_is_not_there_refuses_the_start(daemon, folder):
    with pytest.raises(AssertionError, match="No such file"):
        daemon(seal_key=str(folder / "none"))


def alerts(one):
    return [f.message for f in one.frames(Alert) if not f.message.text.startswith("disk:")]


def damage(path):
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


def lose(path):
    path.unlink()


@pytest.mark.parametrize("spoil", ["damage the last", "lose one"])
def test_a_seal_that_is_damaged_or_lost_stops_sealing_only(daemon, spoil):
    """Seals are evidence, not the stream: it goes on, somebody is told, and it can be mended."""
    one = daemon()
    fill(one, 3)
    assert one.stop() == 0
    number = len(list(one.journal.glob("*.seal"))) if spoil == "damage the last" else 1
    path = one.journal / seal_name(number)
    kept = path.read_bytes()
    damage(path) if spoil == "damage the last" else path.unlink()
    one.start()
    with one.connect("md") as publisher:
        publisher.publish(RawMessage(data=b"meanwhile"))
    assert one.stop() == 0
    assert f"sealing has stopped, until the next start: {path}" in one.errors.read_text()
    assert any(path.name in a.text and a.state == AlertState.RAISED for a in alerts(one))
    assert one.frames(SessionEnd)[-1].message.chain_digest == bytes(32)
    if spoil == "damage the last":
        repair(plan_repair(one.journal))
    else:
        for seal in make_seals(one.journal):
            store(one.journal, seal)
    assert path.read_bytes() == kept
    assert survey(one.journal).problems == []
    told = len(alerts(one))
    one.start()
    assert one.stop() == 0
    assert len(alerts(one)) == told
    assert one.frames(SessionEnd)[-1].message.chain_digest != bytes(32)


def test_a_damaged_seal_further_back_stops_nothing(daemon):
    one = daemon()
    fill(one, 3)
    assert one.stop() == 0
    count = len(list(one.journal.glob("*.seal")))
    damage(one.journal / seal_name(1))
    one.start()
    fill(one, count + 1)
    assert one.stop() == 0
    assert one.frames(SessionEnd)[-1].message.chain_digest != bytes(32)


def test_an_untold_seal_that_is_damaged_is_told_instead(daemon):
    one = daemon(seal=False)
    with one.connect("md") as publisher:
        for _ in range(130):
            publisher.publish(RawMessage(data=bytes(30_000)))
    assert one.stop() == 0
    for seal in make_seals(one.journal):
        store(one.journal, seal)
    damage(one.journal / seal_name(2))
    again = daemon()
    assert again.stop() == 0
    (alert,) = alerts(again)
    assert f"{seal_name(2)}: at byte" in alert.text
    assert alert.text.endswith(f"next: lockstep journal repair {again.journal}")
    told = [f.message.segment for f in again.frames(SegmentSealed)]
    assert told[:2] == [1, 3]
    assert again.frames(SessionEnd)[-1].message.chain_digest != bytes(32)


def test_a_head_file_that_fails_does_not_end_sealing(daemon, folder, until):
    sink = folder / "elsewhere" / "heads"
    one = daemon(head_file=str(sink), head_interval_s=1)
    fill(one, 1)
    until(lambda: alerts(one))
    fill(one, 2)
    assert [a.state for a in alerts(one)] == [AlertState.RAISED]  # once
    assert f"head_file: {sink}: No such file or directory" in alerts(one)[0].text
    sink.parent.mkdir()
    until(lambda: len(alerts(one)) == 2)
    assert alerts(one)[1].state == AlertState.CLEARED
    assert one.stop() == 0
    heads = heads_in(sink)
    assert survey(one.journal, heads=heads).problems == []
    assert heads[-1].seq == survey(one.journal).last_seq


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
