"""`Publisher.send`, accelerated and through cffi: same frames, same errors, same wait for room, also after a reconnect."""

import pytest

from journal.frames import frames
from journal.messages import DurabilityPolicy, Flag, SessionMode, SourceRole, TopOfBook
from sequencer.client import Publisher, _fast
from sequencer.hosted import hosted
from sequencer.settings import SequencerSettings, SourceSettings

SOURCES = [SourceSettings(name=n, role=SourceRole.MARKET_DATA) for n in ("fast", "plain", "away")]
SESSION = {"mode": SessionMode.PAPER, "durability": DurabilityPolicy.DURABLE}
WHAT = TopOfBook.WHAT | int(Flag.LAST) << 32

pytestmark = pytest.mark.skipif(_fast is None, reason="the accelerator was not built")


def plain(publisher):
    publisher.send = publisher._send_plainly
    return publisher


def outcome(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return type(error), str(error)


def test_both_ways_give_the_same_frames_and_errors(tmp_path):
    settings = SequencerSettings(segment_bytes=1 << 20, ring_bytes=1 << 16)
    with hosted(tmp_path / "j", settings, SOURCES, **SESSION) as sequencer:
        fast, slow = sequencer.connect("fast"), plain(sequencer.connect("plain"))
        assert fast.send is fast._sender
        for n in range(1, 300):
            body = TopOfBook(instrument=n, bid_px=-n).encode()
            assert [p.send(WHAT, body, n % 5, n) for p in (fast, slow)] == [n, n]
            while sequencer.turn():
                pass
        huge = bytes(1 << 20)
        said, expected = outcome(fast.send, WHAT, huge, 0, 0), outcome(slow.send, WHAT, huge, 0, 0)
        assert said[0] is expected[0] is ValueError
        assert said[1].replace("fast", "plain") == expected[1]
        for wrong in ((-1, b"", 0, 0), (WHAT, b"", -1, 0), (WHAT, b"", 0, 2**63), (WHAT, None, 0, 0), (WHAT, b"")):
            with pytest.raises((OverflowError, TypeError)):
                fast.send(*wrong)
        assert fast.next_source_seq == slow.next_source_seq == 300
        fast.close()
        slow.close()
        assert outcome(fast.send, WHAT, b"", 0, 0) == (ValueError, "a sender without a ring")
    found = {}
    for f in frames(tmp_path / "j", kinds=[TopOfBook.KIND]):
        h = f.header
        found.setdefault(h.source, []).append((h.source_seq, h.cause, h.origin_ts, h.flags, f.message))
    a, b = (rows for rows in found.values() if rows)
    assert len(a) == 299
    assert a == b


def test_a_full_ring_is_waited_for_and_a_new_ring_is_written_to(daemon):
    d = daemon()
    publisher = Publisher.connect(d.journal, "md")
    body = TopOfBook(instrument=1).encode()
    numbers = [publisher.send(WHAT, body, 0, 0) for _ in range(3000)]
    assert numbers == list(range(1, 3001))
    d.kill()
    for _ in range(5):
        publisher.send(WHAT, body, 0, 0)
    d.start()
    publisher.reconnect()
    assert publisher.send(WHAT, body, 0, 0) == 3006
    publisher.close()
    d.stop()
    assert [f.header.source_seq for f in frames(d.journal, kinds=[TopOfBook.KIND])] == list(range(1, 3007))
