"""Recovery's decision in C beside the slow model: whatever the bytes, the same verdict, end, actions. (J05-J10, J19, J24)"""

from __future__ import annotations

import random
import shutil

import pytest
import recovery_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_folder import fast_folder
from small_journal import SCHEMA, SEGMENT_BYTES, STREAM, SmallWriter

from journal.errors import JournalError
from journal.kernel._journal import ffi, lib
from journal.segment import crc32c
from journal.writer import JournalWriter

VERDICTS = {
    lib.LOCKSTEP_VERDICT_CLEAN: "clean",
    lib.LOCKSTEP_VERDICT_TORN: "torn",
    lib.LOCKSTEP_VERDICT_DAMAGE: "damage",
    lib.LOCKSTEP_VERDICT_UNPROVEN: "unproven",
    lib.LOCKSTEP_VERDICT_MISSING: "missing",
    lib.LOCKSTEP_VERDICT_INVALID: "invalid",
    lib.LOCKSTEP_VERDICT_FULL: "full",
}
ACTIONS = {
    lib.LOCKSTEP_ACTION_STAYS: "stays",
    lib.LOCKSTEP_ACTION_REUSE: "reuse",
    lib.LOCKSTEP_ACTION_REMOVE: "remove",
    lib.LOCKSTEP_ACTION_PUT_ASIDE: "put aside",
    lib.LOCKSTEP_ACTION_INVALID: "invalid",
}


def decide(segments, control, segment_bytes=0, schema=SCHEMA):
    """The C decision, as the model's `Decision`."""
    found = ffi.new("struct lockstep_recovery *")
    kept = ffi.from_buffer(schema)
    found.stream_id, found.segment_bytes = STREAM, segment_bytes
    found.schema, found.schema_bytes = kept, len(schema)
    if control is not None:
        found.has_control, found.control_durable_seq = 1, control["durable_seq"]
        found.control_segment, found.control_epoch = control["segment"], control["epoch"]
        found.elsewhere = control.get("role", 0) != 0
    used = ffi.new("uint64_t *")
    actions, sizes = [], []
    for data in segments:
        # As long as it is, to the byte: a read behind it is a read of other memory.
        base = ffi.new("uint8_t[]", data)
        actions.append(ACTIONS[lib.lockstep_recovery_look(found, base, len(data), ffi.NULL, used)])
        sizes.append(int(used[0]))
    verdict = VERDICTS[lib.lockstep_recovery_decide(found)]
    return recovery_model.Decision(
        found.last_seq, found.last_ts, found.last_crc, found.epoch, found.segment, found.offset, found.cut_to,
        found.durable_seq, found.prepared, verdict, actions, sizes,
    )  # fmt: skip


def journal(seed):
    """Segments of a journal, the last one perhaps prepared only, as bytes."""
    rng = random.Random(seed)
    folder = fast_folder()
    writer = SmallWriter(folder, nonce=seed)
    for _ in range(rng.randint(0, 90)):
        writer.append(bytes(rng.choices(range(256), k=8 * rng.choice([0, 2, 9, 60]))))
        if rng.random() < 0.1:
            writer.sync()
        if rng.random() < 0.05:
            writer.c.epoch += 1
        if rng.random() < 0.1:
            writer.prepare()
    writer.release()
    segments = [path.read_bytes() for path in sorted(folder.glob("*.seg"))]
    shutil.rmtree(folder)
    return segments


JOURNALS = [journal(seed) for seed in range(6)]
PLACES = st.one_of(
    st.integers(0, 700), st.integers(4096, 4200), st.integers(8192, SEGMENT_BYTES - 1), st.integers(0, SEGMENT_BYTES - 1)
)
WOUNDS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "zero", "old", "swap", "drop last", "shorten", "duplicate"]),
        st.integers(0, 9),
        PLACES,
        PLACES,
        st.integers(0, 7),
    ),
    max_size=4,
)


def wounded(segments, wounds):
    """Bit flips, lost and swapped units, missing segments, short files."""
    out = [bytearray(s) for s in segments]
    for what, which, a, b, bit in wounds:
        if not out:
            break
        data = out[which % len(out)]
        low, high = min(a, b) & ~7, (max(a, b) & ~7) + 8
        match what:
            case "flip":
                data[a % len(data)] ^= 1 << bit
            case "zero":
                data[low:high] = bytes(len(data[low:high]))
            case "old":
                unit = a // 512 * 512
                data[unit : unit + 512] = bytes(len(data[unit : unit + 512]))
            case "swap":
                x, y = a // 512 * 512, b // 512 * 512
                if max(x, y) + 512 <= len(data):
                    data[x : x + 512], data[y : y + 512] = data[y : y + 512], data[x : x + 512]
            case "drop last":
                out.pop()
            case "shorten":
                del data[len(data) // 4096 * 2048 :]
            case "duplicate":
                out.append(bytearray(data))
    return [bytes(s) for s in out]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.integers(0, len(JOURNALS) - 1),
    wounds=WOUNDS,
    control=st.none() | st.fixed_dictionaries({
        "durable_seq": st.one_of(st.just(0), st.integers(0, 100)),
        "segment": st.integers(0, 4),
        "epoch": st.integers(0, 9),
        "role": st.integers(0, 2),
    }),
    segment_bytes=st.sampled_from([0, SEGMENT_BYTES, 2 * SEGMENT_BYTES]),
    schema=st.sampled_from([SCHEMA, SCHEMA, b"{}"]),
)  # fmt: skip
def test_the_decision_is_the_models(which, wounds, control, segment_bytes, schema):
    segments = wounded(JOURNALS[which], wounds)
    mine = decide(segments, control, segment_bytes, schema)
    assert mine == recovery_model.decide(segments, STREAM, schema, control, segment_bytes)


def test_every_verdict_and_action_occurs():
    """The examples above are not all of one kind: each outcome has a journal here, and both agree on it."""
    whole = next(s for s in JOURNALS if len(s) >= 3 and recovery_model.decide(s, STREAM, SCHEMA, None).prepared)
    last = recovery_model.decide(whole, STREAM, SCHEMA, None)
    page = {"durable_seq": 0, "segment": 0, "epoch": 0}
    torn = wounded(whole, [("flip", len(whole) - 1, 9000, 0, 1)])  # a byte in the segment that was never opened
    cases = [
        (whole, page, 0, "clean", "reuse"),
        (whole, page, 2 * SEGMENT_BYTES, "clean", "remove"),
        (torn, page, 0, "torn", "put aside"),
        (torn, page | {"durable_seq": last.last_seq + 1}, 0, "damage", "put aside"),
        (torn, None, 0, "unproven", "put aside"),
        (whole, page | {"segment": 99}, 0, "missing", "stays"),
        ([whole[0][:4096]], page, 0, "invalid", "invalid"),
    ]
    for segments, control, size, verdict, action in cases:
        model = recovery_model.decide(segments, STREAM, SCHEMA, control, size)
        assert (model.verdict, action in model.actions) == (verdict, True)
        assert decide(segments, control, size) == model


def test_a_replica_knows_its_own_disk_only(folder):
    """R04, J06: an open record tells what was durable at the writer. A follower that loses power may have less: a torn tail."""
    writer = SmallWriter(folder)
    while writer.c.segment < 2:
        writer.append(bytes(800))
        writer.sync()
    writer.release()
    segments = [bytearray(path.read_bytes()) for path in sorted(folder.glob("*.seg"))]
    segments[0][9100] ^= 1  # in the second frame
    page = {"durable_seq": 1, "segment": 2, "epoch": 1}
    for role, verdict in ((0, "damage"), (1, "torn"), (2, "torn")):
        parts = [bytes(data) for data in segments]
        found = decide(parts, page | {"role": role})
        assert (found.verdict, found.last_seq) == (verdict, 1)
        assert found == recovery_model.decide(parts, STREAM, SCHEMA, page | {"role": role})
    assert decide([bytes(d) for d in segments], page | {"role": 1, "durable_seq": 2}).verdict == "damage"


def test_the_numbers_end_before_they_overflow(folder):
    """J24: seq 2^63 - 2^40 is the last one: no append behind it, and no start either."""
    limit = int(lib.lockstep_seq_max())
    assert limit == 2**63 - 2**40
    with JournalWriter.open(folder / "j") as writer:
        writer.c.last_seq = limit - 1
        assert writer.append_bytes(10000, 1, b"", ts=1) == limit
        with pytest.raises(JournalError, match=f"ends with seq {limit}.*begin a new journal"):
            writer.append_bytes(10000, 1, b"", ts=2)


def test_a_stream_that_is_full_is_not_started(folder):
    """J24: what a journal at the last seq would look like is refused at the start, by kernel and model."""
    writer = SmallWriter(folder)
    writer.append(b"")
    writer.release()
    data = bytearray((folder / "00000001.seg").read_bytes())
    limit = int(lib.lockstep_seq_max())
    found = ffi.new("struct lockstep_recovery *")
    found.stream_id, found.has_control = STREAM, 1
    used = ffi.new("uint64_t *")
    # The chain in front of it would be 2^63 frames long, so its end is given instead.
    found.segments, found.reader.next_seq = 0, 1
    assert lib.lockstep_recovery_look(found, ffi.from_buffer(data), len(data), ffi.NULL, used) == lib.LOCKSTEP_ACTION_STAYS
    for last, verdict in ((limit - 1, lib.LOCKSTEP_VERDICT_CLEAN), (limit, lib.LOCKSTEP_VERDICT_FULL)):
        found.last_seq = last
        assert lib.lockstep_recovery_decide(found) == verdict


def test_the_segments_end_where_their_names_do(folder):
    """J24: segment 99,999,999 is the last: its name has eight digits, and a ninth would not be seen again."""
    with JournalWriter.open(folder / "j") as writer:
        writer.c.segment = lib.LOCKSTEP_SEGMENTS_MAX
        with pytest.raises(JournalError, match="has 99999999 segments; a journal has at most 99999999"):
            writer.prepare_next()
        writer.c.segment = 0
    assert sorted(p.name for p in (folder / "j").glob("*.seg")) == []


def test_crc_chains():
    """The kernel's crc of two parts is that of both: what the model's single string relies on."""
    assert crc32c(b"56789", crc32c(b"1234")) == 0xE3069283
