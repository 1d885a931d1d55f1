"""Journals of other schemas: older ones are read with defaults, newer ones refused, ignorable kinds passed over. (R10, R11)"""

import json
import shutil
import struct

import make_evolution as made
import numpy as np
import pytest

from journal.columns import columns
from journal.errors import JournalCorrupt, NewerSchema
from journal.frames import frames
from journal.messages import Clock, TopOfBook
from journal.messages.derive import schema_text
from journal.messages.schema import REGISTRY, Message, message
from journal.reader import JournalReader, rows
from journal.segment import read_header, schema_kinds
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.cli import main


@pytest.fixture
def probe_v2():
    yield made.declare(2)
    REGISTRY.pop(made.PROBE, None)


@pytest.mark.parametrize("name", made.NAMES)
def test_every_golden_verifies(name):
    assert survey(made.GOLDEN / name).problems == []


def expected(cls):
    return [made.probe(cls, n) for n in range(1, 6)]


def test_an_older_version_is_read_with_the_defaults_of_what_it_lacks(probe_v2):
    got = [f.message for f in frames(made.GOLDEN / "older")]
    assert [type(m) for m in got] == [Clock, probe_v2] * 5
    for m, wanted in zip(got[1::2], expected(probe_v2), strict=True):
        assert m == wanted
        assert m.added == 4711
        assert all(row.b == 17 for row in m.rows)
        assert m.encode() == wanted.encode()


def test_from_any_seq_and_by_kind(probe_v2):
    for seq in range(1, 11):
        assert [f.header.seq for f in frames(made.GOLDEN / "older", from_seq=seq)] == list(range(seq, 11))
    got = list(frames(made.GOLDEN / "older", kinds=[made.PROBE]))
    assert [f.message.a for f in got] == [1, 2, 3, 4, 5]
    assert all(f.header.version == 2 for f in got)


def test_columns_have_the_new_field(probe_v2):
    table = columns(made.GOLDEN / "older", probe_v2)
    assert np.array_equal(table["a"], [1, 2, 3, 4, 5])
    assert np.array_equal(table["added"], [4711] * 5)
    assert table["digest"][2].tobytes() == bytes([3]) * 32


def test_a_newer_version_is_refused_where_its_first_frame_is(probe_v2):
    with JournalReader(made.GOLDEN / "newer_version") as reader:
        assert len(reader.poll()) == 1
        with pytest.raises(NewerSchema, match=r"frame 2 at byte \d+ is a Probe \(kind 20001, version 3\); .* reads version 2"):
            reader.poll()
    # Who does not ask for that kind is not kept from the others.
    assert len(columns(made.GOLDEN / "newer_version", Clock)) == 5


def test_an_unknown_kind_is_refused_or_passed_over_as_its_schema_says():
    with pytest.raises(NewerSchema, match=r"frame 2 at byte \d+ is a Tomorrow \(kind 98, version 1\); .* does not know it"):
        list(frames(made.GOLDEN / "new_kind"))
    assert [f.header.seq for f in frames(made.GOLDEN / "new_kind_ignorable")] == [1, 3, 5, 7, 9]
    assert len(columns(made.GOLDEN / "new_kind_ignorable", Clock)) == 5


def test_a_live_journal_of_an_older_schema_goes_on(probe_v2, folder):
    """An upgrade: old frames in front, new ones behind, in a segment of their own that tells how to read them."""
    shutil.copytree(made.GOLDEN / "older", folder / "j")
    with JournalReader(folder / "j") as reader:
        assert len(reader.poll()) == 10
        assert reader.poll() is None
        with JournalWriter.open(folder / "j") as w:
            w.append(made.probe(probe_v2, 6), ts=1000, source=1, source_seq=6)
            w.append(probe_v2(a=7, added=8), ts=1001, source=1, source_seq=7)
            batch = reader.poll()
        assert [probe_v2.decode(batch.buffer, at + 64, at + 64).added for at, *_ in batch] == [4711, 8]
    found = survey(folder / "j")
    assert (found.problems, [s.last_seq for s in found.segments]) == ([], [10, 12])


def test_a_host_at_the_tail_of_an_older_schema_goes_on(probe_v2, folder):
    """The refs stand in copies of the frames, window by window; `buffer` is the one they stand in."""
    shutil.copytree(made.GOLDEN / "older", folder / "j")
    seen = []
    with JournalReader(folder / "j") as reader:

        def take():
            while (refs := reader.at_tail(64, 0)) is not None:
                for at, kind, *_ in rows(refs):
                    if kind == made.PROBE:
                        seen.append(probe_v2.decode(reader.buffer, at + 64, at + 64))

        take()
        assert seen == expected(probe_v2)
        with JournalWriter.open(folder / "j") as w:
            w.append(made.probe(probe_v2, 6), ts=1000, source=1, source_seq=6)
            take()
            w.append(probe_v2(a=7, added=8), ts=1001, source=1, source_seq=7)
            take()
    assert [m.added for m in seen[5:]] == [4711, 8]


def test_a_writer_goes_on_in_a_segment_whose_schema_declares_its_kinds(folder):
    """No new segment for kinds that are of no use to it; one for a kind or a version that the schema lacks."""
    all_of_it = schema_text()
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20) as w:
        w.append(Clock(), ts=1)
    for n, schema in enumerate([all_of_it, schema_text([Clock.KIND])], start=2):
        with JournalWriter.open(folder / "j", schema=schema) as w:
            w.append(Clock(), ts=n)
    assert [s.last_seq for s in survey(folder / "j").segments] == [3]
    newer = json.loads(all_of_it)
    newer["kinds"] = [k | {"version": 2} if k["kind"] == TopOfBook.KIND else k for k in newer["kinds"]]
    text = json.dumps(newer, separators=(",", ":"), sort_keys=True).encode()
    with JournalWriter.open(folder / "j", schema=text) as w:
        w.append(Clock(), ts=4)
        assert w.append(Clock(), ts=5) == 5
    found = survey(folder / "j")
    assert (found.problems, [s.last_seq for s in found.segments]) == ([], [3, 5])
    assert {(k.kind, k.version) for k in schema_kinds(read_header(folder / "j" / "00000002.seg", 2))} >= {(201, 2)}


def test_no_segment_is_left_without_a_frame(folder):
    """Power lost between the roll and its first frame, then an upgrade: what was opened gets a Clock, and is left."""
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20, schema=schema_text([Clock.KIND])) as w:
        while w.c.segment < 2:
            last = w.append(Clock(), ts=w.last_ts + 1)
        shutil.copytree(folder / "j", folder / "cut")
    path = folder / "cut" / "00000002.seg"
    at = read_header(path, 2).frames_at
    data = bytearray(path.read_bytes())
    assert any(data[at:])
    data[at:] = bytes(len(data) - at)
    path.write_bytes(data)
    with JournalWriter.open(folder / "cut") as w:
        assert w.last_seq == last
        assert w.append(TopOfBook(instrument=7), ts=10**9) == last + 1
    for _ in range(2):
        found = survey(folder / "cut")
        assert (found.problems, [s.last_seq for s in found.segments]) == ([], [last - 1, last, last + 1])
        assert [f.header.seq for f in frames(folder / "cut", instruments=[7])] == [last + 1]
        assert [f.header.seq for f in frames(folder / "cut", from_seq=last)] == [last, last + 1]
        assert main(["journal", "seal", str(folder / "cut")]) == 0


def test_a_frame_that_its_schema_does_not_tell_how_to_read_is_refused(folder, probe_v2):
    """Its version is another one than ours, or it is of a kind that every schema of ours declares."""
    body = probe_v2().encode()
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20, schema=schema_text([Clock.KIND])) as w:
        w.append(Clock(), ts=1)
        w.append_bytes(made.PROBE, 2, body, ts=2)  # the kinds of users are in no sequencer's schema
        w.append_bytes(made.PROBE, 1, body, ts=3)
        w.append(TopOfBook(), ts=4)
    with pytest.raises(NewerSchema, match=r"frame 3 at byte \d+ is a Probe \(kind 20001\) in version 1, .* reads version 2"):
        list(frames(folder / "j"))
    with JournalReader(folder / "j") as reader:
        assert len(reader.poll()) == 2
        with pytest.raises(NewerSchema, match="frame 3"):
            reader.poll()
    with pytest.raises(JournalCorrupt, match=r"of a kind that .* declares, found frame 4, a TopOfBook \(kind 201\)"):
        list(frames(folder / "j", kinds=[TopOfBook.KIND]))
    assert len(list(frames(folder / "j", kinds=[Clock.KIND]))) == 1


def test_an_old_body_that_does_not_fit_its_layout_is_corrupt(folder, probe_v2):
    good = made.probe(made.declare(1), 2).encode()
    rows_at = struct.calcsize("<QQQ32sIHHII")
    bodies = {
        "short": good[:72],
        "text beyond its end": good[:60] + b"\xff\xff" + good[62:],
        "more rows than there are": good[: rows_at + 4] + b"\xff\xff" + good[rows_at + 6 :],
        "rows that are too narrow": good[: rows_at + 6] + b"\x08\x00" + good[rows_at + 8 :],
        "rows somewhere else": good[:rows_at] + b"\xff\xff\xff\xff" + good[rows_at + 4 :],
    }
    for n, (name, body) in enumerate(bodies.items()):
        made.declare(1)
        with JournalWriter.open(folder / str(n), segment_bytes=1 << 20) as w:
            w.append_bytes(made.PROBE, 1, good, ts=1)
            w.append_bytes(made.PROBE, 1, body, ts=2)
        made.declare(2)
        with JournalReader(folder / str(n)) as reader:
            assert len(reader.poll()) == 1
            with pytest.raises(JournalCorrupt, match=r"at byte \d+ expected a body of Probe \(kind 20001, version 1\)"):
                raise AssertionError(f"{name}: {reader.poll()}")


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"kinds":[{"kind":1}]}', b'{"kinds":[{"kind":"x"}]}', b"\xff", b" "])
def test_a_schema_that_is_none_is_refused_in_one_line(folder, text):
    """Its crc is right: somebody wrote it so."""
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20, schema=text) as w:
        w.append_bytes(10_000, 1, bytes(8), ts=1)
    with pytest.raises(JournalCorrupt, match="at byte 4096 expected a schema as docs"):
        list(frames(folder / "j"))
    assert len(survey(folder / "j").problems) == 1
    with pytest.raises(JournalCorrupt, match="at byte 4096 expected a schema as docs"):
        JournalWriter.open(folder / "j")  # nobody could read what it appends there


def test_the_marker_is_in_the_schema_only_where_it_is_set():
    plain = schema_text()
    assert b"ignorable" not in plain

    @message(98, ignorable=True)
    class Probe(Message):
        pass

    kinds = {k["name"]: k for k in json.loads(schema_text())["kinds"]}
    del REGISTRY[98]
    assert kinds["Probe"]["ignorable"] is True
    assert schema_text() == plain
