"""Recovery's decision in C beside the slow model: whatever the bytes, the same verdict, end, actions. (J05-J10, J19, J24)"""

from __future__ import annotations

import random
import shutil
import struct

import pytest
import recovery_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_folder import fast_folder
from small_journal import SCHEMA, SEGMENT_BYTES, STREAM, SmallWriter

from journal.errors import JournalError
from journal.index.make import make_indices
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


def passes(found, segments, indices, number):
    """Ask the kernel to pass a segment by its index, with what `journal.recovery` reads for that."""
    data, index = segments[number - 1], indices[number - 1]
    if index is None or len(index) < 512 or number == len(segments):
        return False
    last_at, end_at = struct.unpack_from("<II", index, 80)
    parts = [data[:4096], segments[number][:4096], index[:512], data[last_at : end_at + 16]]
    blocks = [ffi.new("uint8_t[]", part or b"\0") for part in parts]
    claim = ffi.new("struct lockstep_claim *")
    claim.header, claim.next, claim.index, claim.end = blocks
    claim.bytes, claim.end_bytes = len(data), len(parts[3])
    return bool(lib.lockstep_recovery_pass(found, claim))


def decide(segments, control, segment_bytes=0, schema=SCHEMA, indices=None):
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
    for data in segments if indices is not None else []:
        lib.lockstep_recovery_hear(found, ffi.new("uint8_t[]", data[:4096]))
    for number, data in enumerate(segments, start=1):
        if indices is not None and passes(found, segments, indices, number):
            actions.append("passed")
            sizes.append(0)
            continue
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
    """Segments of a journal, the last one perhaps prepared only, and their index files, as bytes."""
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
    make_indices(folder)
    names = [folder / f"index/{number:08d}.idx" for number in range(1, len(segments) + 1)]
    indices = [path.read_bytes() if path.exists() else None for path in names]
    shutil.rmtree(folder)
    return segments, indices


MADE = [journal(seed) for seed in range(6)]
JOURNALS = [segments for segments, _ in MADE]
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


LIES = st.lists(
    st.tuples(
        st.sampled_from(["gone", "flip", "lie", "foreign", "short"]), st.integers(0, 9), st.integers(8, 95), st.integers(0, 7)
    ),
    max_size=2,
)


def misled(indices, others, lies):
    """Index files that are lost, damaged, of another content of the same segment, or say what is not so under a right crc."""
    out = list(indices)
    for what, which, at, bit in lies:
        index = out[which % len(out)]
        if index is None:
            continue
        match what:
            case "gone":
                index = None
            case "flip":
                index = index[:at] + bytes([index[at] ^ 1 << bit]) + index[at + 1 :]
            case "lie":
                head = index[:at] + bytes([index[at] ^ 1 << bit]) + index[at + 1 : 508]
                index = head + struct.pack("<I", crc32c(head)) + index[512:]
            case "foreign":
                index = others[which % len(others)]
            case "short":
                index = index[:500]
        out[which % len(out)] = index
    return out


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
    lies=st.none() | LIES,
)  # fmt: skip
def test_the_decision_is_the_models(which, wounds, control, segment_bytes, schema, lies):
    segments = wounded(JOURNALS[which], wounds)
    indices = None
    if lies is not None and segments:
        own, others = MADE[which][1], MADE[(which + 1) % len(MADE)][1]
        indices = (misled(own, others, lies) + [None] * len(segments))[: len(segments)]
    mine = decide(segments, control, segment_bytes, schema, indices)
    assert mine == recovery_model.decide(segments, STREAM, schema, control, segment_bytes, indices)


def places(segments):
    """(seq, segment, from, to) of what is on disk as soon as frame `seq` is: frames, and before each segment's first one its
    open record and the end marker that leads there. Seq 0: what was there before."""
    last = 0
    for number, data in enumerate(segments):
        yield from ((0, number, 0, 512), (0, number, 552, 8192))
        at, (first,) = 8192, struct.unpack_from("<Q", data, 512)
        if first:
            yield (first, number, 512, 552)
        while first and (length := int.from_bytes(data[at : at + 4], "little")) not in (0, recovery_model.END):
            last += 1
            yield (last, number, at, at + length)
            at += length
        yield (last + 1, number, at, at + 16)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.sampled_from([n for n, segments in enumerate(JOURNALS) if len(segments) >= 3]),
    wounds=WOUNDS,
    durable=st.integers(0, 100),
    lies=LIES,
)
def test_indices_change_no_decision_about_a_crash(which, wounds, durable, lies):
    """Whatever a crash may leave (everything up to the durable mark, anything behind it), and whatever the index files are that
    are no forgery: the end is the same as without them."""
    segments, own = MADE[which]
    page = {"durable_seq": 0, "segment": 0, "epoch": 0}
    last = recovery_model.decide(segments, STREAM, SCHEMA, page)
    page["durable_seq"] = max(min(durable, last.last_seq), last.durable_seq)
    torn = [bytearray(data) for data in wounded(segments, [w for w in wounds if w[0] in ("flip", "zero", "old", "swap")])]
    for seq, number, at, end in places(segments):
        if seq <= page["durable_seq"]:
            torn[number][at:end] = segments[number][at:end]
    parts = [bytes(data) for data in torn]
    indices = misled(own, MADE[(which + 1) % len(MADE)][1], [lie for lie in lies if lie[0] != "lie"])
    without, by_index = decide(parts, page), decide(parts, page, indices=indices)
    assert without.verdict in ("clean", "torn")
    by_index.actions = ["stays" if action == "passed" else action for action in by_index.actions]
    assert by_index == without


def test_a_segment_is_passed_only_when_all_of_it_was_on_disk():
    segments, indices = next(made for made in MADE if len(made[0]) >= 3 and made[1][1] is not None)
    page = {"durable_seq": 0, "segment": 0, "epoch": 0}
    whole = recovery_model.decide(segments, STREAM, SCHEMA, page)
    (ends,) = struct.unpack_from("<Q", indices[0], 48)
    for durable, action in ((max(ends - 1, whole.durable_seq), None), (ends, "passed"), (whole.last_seq, "passed")):
        found = decide(segments, page | {"durable_seq": durable}, indices=indices)
        expected = action or ("passed" if whole.durable_seq >= ends else "stays")
        assert (found.actions[0], found.last_seq) == (expected, whole.last_seq)
    every = decide(segments, page | {"durable_seq": whole.last_seq}, indices=indices)
    assert [action == "passed" for action in every.actions] == [index is not None for index in indices]
    assert every.verdict == "clean"
    # Without a control page, or as a replica that knows nothing of its own disk, nothing is believed.
    assert "passed" not in decide(segments, None, indices=indices).actions
    assert "passed" not in decide(segments, page | {"role": 1}, indices=indices).actions


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
