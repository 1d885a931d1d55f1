"""What a publisher may not do, done: each gets its typed answer, the stream goes on, the others do not notice."""

import hashlib
import random
import re
import struct
from pathlib import Path

import pytest

from journal.messages import (
    OWN_CAUSE,
    Alert,
    NewOrder,
    Reason,
    Reject,
    SessionMode,
    SourceGap,
    SourceRole,
    SourceState,
    SourceStateCode,
    TopOfBook,
)
from journal.messages.derive import wire_rules
from journal.messages.schema import REGISTRY
from sequencer.client import PublisherRefused
from sequencer.kernel._sequencer import ffi, lib
from sequencer.rules import holes, rule_table
from sequencer.settings import SourceSettings

BODY = TopOfBook(instrument=1).encode()


def rejects(one):
    return [
        (f.message.for_source_seq, f.message.count, f.message.refused_kind, Reason(f.message.reason))
        for f in one.frames(Reject)
    ]


BAD = {
    "unknown kind": ({"kind": 5000}, Reason.UNKNOWN_KIND),
    "kind 0": ({"kind": 0}, Reason.UNKNOWN_KIND),
    "kind of another role": ({"kind": 331}, Reason.KIND_NOT_GRANTED),
    "user kind that was not granted": ({"kind": 10_001}, Reason.KIND_NOT_GRANTED),
    "sequencer's own kind": ({"kind": 1}, Reason.KIND_NOT_GRANTED),
    "unknown version": ({"version": 9}, Reason.UNKNOWN_VERSION),
    "reserved flag": ({"flags": 1 << 12}, Reason.NON_CANONICAL),
    "cause in the future": ({"cause": 10**9}, Reason.CAUSE_IN_FUTURE),
    "own cause never published": ({"cause": OWN_CAUSE | 77}, Reason.CAUSE_IN_FUTURE),
    "own cause 0": ({"cause": OWN_CAUSE}, Reason.CAUSE_IN_FUTURE),
    "body too short": ({"body": BODY[:-8]}, Reason.BAD_LENGTH),
    "body too long": ({"body": BODY + bytes(8)}, Reason.BAD_LENGTH),
    "no body": ({"body": b""}, Reason.BAD_LENGTH),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_message_is_rejected_and_nothing_else(daemon, hostile, until, name):
    change, reason = BAD[name]
    one = daemon()
    with one.connect("md") as md, one.connect("algo") as algo:
        bad = hostile(md)
        bad.record(source_seq=1, body=BODY)
        bad.record(**{"source_seq": 2, "body": BODY, **change})
        bad.record(source_seq=3, body=BODY)
        algo.publish(NewOrder(instrument=1))
        until(lambda: md.accepted_source_seq == 3 and algo.accepted_source_seq == 1)
        assert (md.rejected, md.last_reject_reason, md.state) == (1, reason, SourceStateCode.ATTACHED)
        assert (algo.rejected, algo.state) == (0, SourceStateCode.ATTACHED)
    assert one.stop() == 0
    assert rejects(one) == [(2, 1, change.get("kind", 201), reason)]
    assert [f.header.source_seq for f in one.frames(TopOfBook)] == [1, 3]
    content = change.get("body", BODY)
    assert one.frames(Reject)[0].message.content_digest == hashlib.blake2b(content, digest_size=32).digest()


def test_what_the_sequencer_owns_cannot_be_forged(daemon, hostile, until):
    one = daemon()
    with one.connect("md") as md:
        hostile(md).record(source_seq=1, body=BODY, forged=0x7777777777777777)
        until(lambda: md.accepted_source_seq == 1)
    one.stop()
    header = one.frames(TopOfBook)[0].header
    assert (header.source, header.incarnation, header.epoch) == (1, 1, 1)
    assert header.seq < 100
    assert header.origin_ts == 7


def test_equal_refusals_in_a_row_become_one_frame(daemon, hostile, until):
    one = daemon(ring_bytes=1 << 20)
    with one.connect("md") as md:
        bad = hostile(md)
        data = bytearray()
        for n in range(1, 1001):
            data += struct.pack("<IIHHHHQqqQQII", 64 + len(BODY), 0, 331, 1, 1, 0, 0, 0, 0, n, 0, 0, 0) + BODY
        bad.raw(bytes(data))
        until(lambda: md.rejected == 1000)
        bad.record(source_seq=1001, body=BODY)
        until(lambda: md.accepted_source_seq == 1001)
    one.stop()
    found = rejects(one)
    assert sum(count for _, count, _, _ in found) == 1000
    assert len(found) < 20
    assert found[-1][0] == 1000


def test_an_oversized_record_is_skipped(daemon, hostile, until):
    one = daemon(ring_bytes=4 << 20)
    with one.connect("md") as md:
        bad = hostile(md)
        bad.record(source_seq=1, body=bytes((1 << 20) + 8))
        bad.record(source_seq=2, body=BODY)
        until(lambda: md.accepted_source_seq == 2)
        assert md.last_reject_reason == Reason.OVERSIZED
    assert one.stop() == 0


def test_a_repeated_number_is_dropped_and_zero_is_refused(daemon, hostile, until):
    one = daemon()
    with one.connect("md") as md:
        bad = hostile(md)
        for n in (1, 2, 1, 2, 0, 3):
            bad.record(source_seq=n, body=BODY)
        until(lambda: md.accepted_source_seq == 3)
        assert (md.duplicates, md.rejected, md.last_reject_reason) == (2, 1, Reason.SOURCE_SEQ_BACKWARDS)
    one.stop()
    assert [f.header.source_seq for f in one.frames(TopOfBook)] == [1, 2, 3]


def test_a_skipped_number_is_quarantine_until_the_next_attach(daemon, hostile, until):
    one = daemon()
    md, algo = one.connect("md"), one.connect("algo")
    bad = hostile(md)
    bad.record(source_seq=1, body=BODY)
    bad.record(source_seq=3, body=BODY)
    bad.record(source_seq=2, body=BODY)
    until(lambda: md.state == SourceStateCode.QUARANTINED)
    with pytest.raises(PublisherRefused, match="QUARANTINED"):
        md.publish(TopOfBook())
    algo.publish(NewOrder())
    until(lambda: algo.accepted_source_seq == 1)
    with one.connect("md") as again:
        assert again.last_source_seq == 1
        again.publish(TopOfBook(instrument=2))
        until(lambda: again.accepted_source_seq == 2)
    md.close()
    algo.close()
    one.stop()
    gap = one.frames(SourceGap)
    assert [(f.message.expected_source_seq, f.message.got_source_seq, f.message.source) for f in gap] == [(2, 3, 1)]
    states = [(f.message.state, f.message.reason) for f in one.frames(SourceState) if f.message.source == 1]
    assert states[:3] == [
        (SourceStateCode.ATTACHED, 0),
        (SourceStateCode.QUARANTINED, Reason.SOURCE_SEQ_GAP),
        (SourceStateCode.REPLACED, Reason.STALE_INCARNATION),
    ]


DAMAGE = {
    "length 0": lambda bad: bad.record(body=BODY, length=0),
    "length below a header": lambda bad: bad.record(body=BODY, length=63),
    "length no multiple of 8": lambda bad: bad.record(body=BODY, length=100),
    "length beyond the ring": lambda bad: bad.record(body=BODY, length=1 << 31),
    # Whole and canonical as they stand in memory: who believes the length finds nothing else wrong.
    "length beyond the tail, which ends with the header": lambda bad: bad.record(body=BODY, committed=64),
    "length beyond the tail by a word": lambda bad: bad.record(body=BODY, committed=64 + len(BODY) - 8),
    "tail beyond the ring": lambda bad: bad.raw(bytes(64), advance=1 << 40),
    "tail that goes back": lambda bad: bad.raw(bytes(64), advance=-64),
    "tail no multiple of 8": lambda bad: bad.raw(bytes(64), advance=12),
    "tail inside a header": lambda bad: bad.raw(bytes(64), advance=32),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_ring_is_dropped(daemon, hostile, until, damage):
    """DEAD at the first look, whatever stands behind what was committed: no frame of it, no number is the stream's. (P13)"""
    one = daemon()
    md, algo = one.connect("md"), one.connect("algo")
    DAMAGE[damage](hostile(md))
    until(lambda: md.state == SourceStateCode.DEAD)
    until(lambda: not md.alive)
    algo.publish(NewOrder())
    until(lambda: algo.accepted_source_seq == 1)
    with one.connect("md") as again:
        assert (again.incarnation, again.last_source_seq) == (2, 0)
        again.publish(TopOfBook(instrument=99))
        until(lambda: again.accepted_source_seq == 1)
    md.close()
    algo.close()
    assert one.stop() == 0
    dead = [f.message for f in one.frames(SourceState) if f.message.state == SourceStateCode.DEAD]
    assert [(m.source, m.reason, m.last_source_seq) for m in dead] == [(1, Reason.RING_CORRUPT, 0)]
    assert [f.message for f in one.frames() if f.header.source == 1] == [TopOfBook(instrument=99)]
    assert rejects(one) == []


def test_random_bytes_all_over_a_ring(daemon, until):
    """Whatever stands in a ring and its control page: the others' messages are sequenced, each exactly once."""
    one = daemon()
    chance = random.Random(4)
    with one.connect("algo") as algo:
        for round_ in range(40):
            md = one.connect("md")
            ring = md.producer.ring
            data = ffi.buffer(ring.data, ring.ring_bytes)
            start = chance.randrange(len(data) - 512)
            data[start : start + 512] = chance.randbytes(512)
            if round_ % 2:
                lib.lockstep_page_tail(ring.page, chance.choice([8, 64, 512, 4096, chance.getrandbits(64)]))
            else:
                page = ffi.buffer(ring.page, 4096)
                page[128:1024] = chance.randbytes(896)
            algo.publish(NewOrder(order_id=round_))
            md.close()
        until(lambda: algo.accepted_source_seq == 40)
        assert algo.rejected == 0
    assert one.stop() == 0
    assert [f.message.order_id for f in one.frames(NewOrder)] == list(range(40))


def test_simulation_kinds_are_refused_in_a_live_session(daemon, until):
    from journal.messages import SimulationSettings

    source = [SourceSettings(name="sim", role=SourceRole.SIMULATOR)]
    for mode, reason in ((SessionMode.LIVE, Reason.MODE_FORBIDS), (SessionMode.PAPER, Reason.UNDEFINED)):
        one = daemon(source, mode=mode)
        with one.connect("sim") as sim:
            number = sim.publish(SimulationSettings())
            until(lambda sim=sim, number=number: sim.rejected or sim.accepted_source_seq >= number)
            assert sim.last_reject_reason == reason
        one.stop()


def test_own_cause_becomes_the_seq(daemon, until):
    one = daemon()
    with one.connect("md") as md:
        with md.batch():
            raw = md.publish(TopOfBook(instrument=1))
            for i in range(64):
                md.publish(TopOfBook(instrument=2 + i), cause=OWN_CAUSE | raw)
            md.publish(TopOfBook(instrument=99), cause=OWN_CAUSE | raw)  # 65 later: forgotten
        until(lambda: md.pending == 0)
        assert (md.rejected, md.last_reject_reason) == (1, Reason.CAUSE_IN_FUTURE)
        md.publish(TopOfBook(), cause=5)
    one.stop()
    found = one.frames(TopOfBook)
    assert [f.header.cause for f in found] == [0] + [found[0].header.seq] * 64 + [5]


def test_the_digest_of_refused_content_is_blake2b(daemon, hostile, until):
    one = daemon(ring_bytes=1 << 18)
    sizes = [0, 8, 120, 128, 136, 248, 256, 264, 4096, 65_400, 70_000]
    with one.connect("md") as md:
        bad = hostile(md)
        for n, size in enumerate(sizes, start=1):
            bad.record(source_seq=n, kind=5000 + n, body=random.Random(n).randbytes(size))
        until(lambda: md.rejected == len(sizes))
    one.stop()
    for n, (size, frame) in enumerate(zip(sizes, one.frames(Reject), strict=True), start=1):
        content = random.Random(n).randbytes(size)
        wanted = hashlib.blake2b(content, digest_size=32).digest() if size < 65_500 else bytes(32)
        assert frame.message.content_digest == wanted, size


def test_the_kernels_numbers_are_the_vocabularys():
    text = (Path(__file__).resolve().parents[2] / "sequencer/kernel/loop_private.h").read_text()
    found = re.findall(r"(REASON|STATE)_(\w+) = (\d+)", text)
    assert len(found) >= 15
    for what, name, value in found:
        assert {"REASON": Reason, "STATE": SourceStateCode}[what][name] == int(value)


# ---- the wire rules themselves, without a process


def check(kind: int, body: bytes) -> int:
    table, _ = rule_table()
    return lib.lockstep_check_body(ffi.addressof(table, kind), body, len(body))


def test_default_messages_of_every_kind_are_canonical():
    for kind, cls in REGISTRY.items():
        if kind < 10_000:
            assert check(kind, cls().encode()) == 0, cls.__name__


def test_the_table_holds_every_rule():
    for rule in wire_rules():
        assert len(rule.descriptors) <= 12
        assert len(holes(REGISTRY[rule.kind].LAYOUT)) <= 8


def test_every_byte_of_padding_counts():
    for kind, cls in REGISTRY.items():
        good = cls().encode()
        for offset, size in holes(cls.LAYOUT):
            for at in range(offset, offset + size):
                bad = bytearray(good)
                bad[at] = 1
                assert check(kind, bytes(bad)) == Reason.NON_CANONICAL, (cls.__name__, at)


def test_variable_parts_stand_where_they_must():
    text = "seventeen letters"
    good = Alert(text=text).encode()
    fixed = Alert.LAYOUT.fixed_bytes
    field = next(f for f in Alert.LAYOUT.variable if f.name == "text")
    assert check(Alert.KIND, good) == 0

    def changed(at: int, value: bytes) -> bytes:
        return good[:at] + value + good[at + len(value) :]

    assert check(Alert.KIND, changed(field.offset, (fixed + 8).to_bytes(4, "little"))) != 0  # a hole before the text
    assert (
        check(Alert.KIND, changed(field.offset, (fixed - 8).to_bytes(4, "little"))) == Reason.MALFORMED
    )  # into the fixed part
    assert check(Alert.KIND, changed(field.offset, (1 << 31).to_bytes(4, "little"))) == Reason.MALFORMED  # out of the frame
    assert check(Alert.KIND, changed(field.offset + 4, (60_000).to_bytes(2, "little"))) == Reason.MALFORMED
    assert check(Alert.KIND, changed(field.offset + 6, b"\1")) == Reason.NON_CANONICAL
    assert check(Alert.KIND, good[:-1] + b"x") == Reason.NON_CANONICAL  # padding behind the text
    assert check(Alert.KIND, good + bytes(8)) == Reason.BAD_LENGTH
    assert check(Alert.KIND, good[:-8]) == Reason.MALFORMED
