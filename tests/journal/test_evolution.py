"""Journals of other schemas: older ones are read with defaults, newer ones refused, ignorable kinds passed over. (R10, R11)"""

import json
import shutil

import make_evolution as made
import numpy as np
import pytest

from journal.columns import columns
from journal.errors import JournalCorrupt, NewerSchema
from journal.frames import frames
from journal.messages import Clock
from journal.messages.derive import schema_text
from journal.messages.schema import REGISTRY, Message, message
from journal.reader import JournalReader, rows
from journal.verify import survey
from journal.writer import JournalWriter


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
    """An upgrade in the midst of a segment: old frames in front, new ones behind, under one old schema."""
    shutil.copytree(made.GOLDEN / "older", folder / "j")
    with JournalReader(folder / "j") as reader:
        assert len(reader.poll()) == 10
        assert reader.poll() is None
        with JournalWriter.open(folder / "j") as w:
            w.append(made.probe(probe_v2, 6), ts=1000, source=1, source_seq=6)
            w.append(probe_v2(a=7, added=8), ts=1001, source=1, source_seq=7)
            batch = reader.poll()
        assert [probe_v2.decode(batch.buffer, at + 64, at + 64).added for at, *_ in batch] == [4711, 8]
    assert survey(folder / "j").problems == []


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


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"kinds":[{"kind":1}]}', b'{"kinds":[{"kind":"x"}]}', b"\xff", b""])
def test_a_schema_that_is_none_is_refused_in_one_line(folder, monkeypatch, text):
    """Its crc is right: somebody wrote it so."""
    monkeypatch.setattr("journal.writer.schema_text", lambda: text)
    with JournalWriter.open(folder / "j", segment_bytes=1 << 20) as w:
        w.append_bytes(10_000, 1, bytes(8), ts=1)
    with pytest.raises(JournalCorrupt, match="at byte 4096 expected a schema as docs"):
        list(frames(folder / "j"))


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
