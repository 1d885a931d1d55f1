"""Whether a capture is in a journal is found by comparing, and a missing, changed or swapped message is noticed."""

import pytest

from gateways.sim.market_data import MARKET_STREAM
from journal.messages import Direction, RawMessage
from journal.writer import JournalWriter
from lockstep.recorded import recorded_in

LINES = [b'{"stream":"x@trade","data":{"n":%d,"pad":"%s"}}' % (n, b"y" * 40) for n in range(20)]


def journal_of(path, messages, *, parts=1):
    with JournalWriter.open(path, stream_id=1, nonce=1, segment_bytes=1 << 20) as writer:
        ts = 0
        for data in messages:
            size = -(-len(data) // parts)
            for part in range(parts):
                ts += 1
                raw = RawMessage(
                    stream=MARKET_STREAM, direction=Direction.IN, part=part, parts=parts,
                    data=data[part * size : (part + 1) * size],
                )  # fmt: skip
                writer.append(raw, ts=ts, source=1, source_seq=ts)
    return path


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "capture.txt"
    path.write_bytes(b"".join(b"%d %s\n" % (1_723_161_255_000_000_000 + n, text) for n, text in enumerate(LINES)))
    return path


@pytest.mark.parametrize("parts", [1, 3])
def test_the_whole_capture_is_found(tmp_path, capture, parts):
    assert recorded_in(journal_of(tmp_path / "j", LINES, parts=parts), capture) == len(LINES)


def test_answers_to_our_own_requests_may_stand_between(tmp_path, capture):
    messages = [*LINES[:7], b'{"id":"depth-1","status":200}', *LINES[7:]]
    assert recorded_in(journal_of(tmp_path / "j", messages), capture) == len(LINES)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([*LINES[:7], *LINES[8:]], 7),
        ([*LINES[:7], LINES[7].replace(b"y", b"z", 1), *LINES[8:]], 7),
        ([*LINES[:7], LINES[8], LINES[7], *LINES[9:]], 8),
        (LINES[:-1], 19),
        ([], 0),
    ],
    ids=["missing", "changed", "swapped", "cut", "empty"],
)
def test_anything_less_is_noticed(tmp_path, capture, messages, found):
    assert recorded_in(journal_of(tmp_path / "j", messages), capture) == found
