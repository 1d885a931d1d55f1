"""The index of a segment: the same as a second, slow one says; refused and made again whatever is wrong with its file."""

from __future__ import annotations

import os
import platform
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_journals import MIB, damages, fill
from index_model import Model
from journal_folder import fast_folder

from journal.errors import JournalCorrupt
from journal.frames import frame_at, frames, last_seq
from journal.index.layout import Ends, SegmentIndex, index_path, pack, pack_sources
from journal.index.locate import seq_at
from journal.index.make import make_indices
from journal.index.scan import SegmentScan
from journal.index.store import build, load, load_or_build
from journal.reader import JournalReader
from journal.segment import map_file, read_header, segment_files
from journal.writer import JournalWriter

ROOT = Path(__file__).resolve().parents[2]
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def headers(path):
    return [read_header(file, number) for number, file in segment_files(path)]


def index_of(path, number=1):
    header = read_header(path / f"{number:08d}.seg", number)
    return load(header, map_file(header.path))


def build_all(path):
    for header in headers(path):
        load_or_build(header)


def said(sources):
    """What an index says of sources, as the model has it."""
    last = {source: (row.source_seq, row.incarnation) for source, row in sources.rows.items()}
    numbers = {source: sources.numbers(source) for source, row in sources.rows.items() if row.numbers}
    return last, numbers, {source: sources.places(source) for source, row in sources.rows.items() if row.places}


def windows(model):
    numbers = {source: sorted(by_remainder.values()) for source, by_remainder in model.numbers.items()}
    return numbers, {source: places[-256:] for source, places in model.places.items()}


def what(frame):
    return (frame.header.seq, frame.header.ts, frame.header.kind, bytes(frame.body))


@pytest.fixture(scope="module")
def several():
    """One journal of four segments, its models; not changed by anybody."""
    path = fast_folder()
    fill(path / "j", 5, segments=4)
    yield path / "j", [Model(file) for _, file in segment_files(path / "j")]
    shutil.rmtree(path)


@FEW
@given(seed=st.integers(0, 10**6))
def test_kernel_and_model_agree(seed):
    folder = fast_folder()
    try:
        fill(folder / "j", seed, segments=2)
        header = headers(folder / "j")[0]
        model = Model(header.path)
        index = build(header, map_file(header.path))
        first, last = model.frames[0], model.frames[-1]
        assert model.full
        assert [index.blocks.at(b) for b in range(index.blocks.count)] == model.blocks
        assert index.kinds == model.kinds
        assert said(index.sources) == (model.sources, *windows(model))
        assert index.ends[:4] == (first[4], last[4], first[5], last[5])
        assert index.ends[6:] == (last[0], model.end)
        for dimension in ("by_kind", "by_instrument", "by_order"):
            expected, postings = getattr(model, dimension), index.postings(dimension)
            assert postings.keys() == sorted(expected)
            for key, blocks in expected.items():
                assert {b for a, e in postings.runs(key) for b in range(a, e)} == blocks
            assert postings.runs(max(expected, default=1) + 1) == []
            assert postings.runs(0) == []
    finally:
        shutil.rmtree(folder)


def expected_frames(models, *, kinds=None, instruments=None, orders=None, from_seq=1, to_seq=2**64):
    return [
        f[4]
        for model in models
        for f in model.frames
        if from_seq <= f[4] <= to_seq
        and (kinds is None or f[2] in kinds)
        and (instruments is None or f[8] in instruments)
        and (orders is None or f[9] in orders)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_filtered_reads_say_what_a_scan_says(several, data):
    path, models = several
    every = [f for m in models for f in m.frames]

    def keys(column):
        some = st.sampled_from(sorted({f[column] for f in every} - {0}))
        return data.draw(st.none() | st.sets(some | st.integers(1, 99), max_size=4))

    chosen = {"kinds": keys(2), "instruments": keys(8), "orders": keys(9)}
    last = every[-1][4]
    from_seq, to_seq = data.draw(st.integers(1, last + 3)), data.draw(st.integers(1, last + 3))
    wanted = expected_frames(models, **chosen, from_seq=from_seq, to_seq=to_seq)
    assert [f.header.seq for f in frames(path, **chosen, from_seq=from_seq, to_seq=to_seq)] == wanted
    # In small polls, with limits that move: batches follow each other without a gap, whatever was skipped.
    build = data.draw(st.booleans())
    with JournalReader(path, **chosen, from_seq=from_seq, build_index=build) as reader:
        at, found = from_seq, []
        while at <= to_seq:
            assert reader.next_seq == at
            limit = min(to_seq, at + data.draw(st.sampled_from((0, 3, 100, 10**6))))
            batch = reader.poll(data.draw(st.sampled_from((1, 7, 4096))), to_seq=limit)
            if batch is None:
                assert at > last or reader.next_seq > last
                break
            found += [seq for _, _, _, seq, _ in batch]
            assert batch.first_seq == at
            assert at <= batch.last_seq <= limit
            at = batch.last_seq + 1
        assert found == wanted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_time_is_found(several, data):
    path, models = several
    every = [f for m in models for f in m.frames]
    ts = data.draw(st.sampled_from(every).map(lambda f: f[5]) | st.integers(-5, every[-1][5] + 5)) + data.draw(
        st.integers(-1, 1)
    )
    assert seq_at(path, ts) == next((f[4] for f in every if f[5] >= ts), every[-1][4] + 1)


def test_less_is_read(several):
    path, models = several
    build_all(path)
    rare = min(models[0].by_kind, key=lambda k: len(models[0].by_kind[k]))
    with JournalReader(path, kinds=[rare]) as reader:
        while reader.poll() is not None:
            pass
        assert reader.next_seq - 1 == models[-1].frames[-1][4]
        in_full = [f for m in models[:-1] for f in m.frames]
        blocks = {(m.frames[0][4], b) for m in models[:-1] for b in m.by_kind.get(rare, ())}
        read = sum(1 for m in models[:-1] for f in m.frames if (m.frames[0][4], f[0] >> 16) in blocks)
        assert reader.skipped_frames == len(in_full) - read > 100
    with JournalReader(path, from_seq=models[2].frames[-1][4]) as reader:
        reader.poll(1)
        assert reader.skipped_frames > len(models[2].frames) // 2
    with JournalReader(path, kinds=[9999]) as reader:
        assert len(reader.poll() or ()) == 0
        assert reader.skipped_frames == len(in_full)


def test_whatever_is_wrong_with_the_file_it_is_made_again(several, folder):
    original, models = several
    build_all(original)
    path = folder / "j"
    shutil.copytree(original, path)
    rng = random.Random(11)
    file = path / "index" / "00000002.idx"
    good = file.read_bytes()
    for name, content in list(damages(path, rng)):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        kind, order = rng.choice(sorted(models[1].by_kind)), rng.choice(sorted(models[1].by_order))
        for chosen in ({"kinds": [kind]}, {"orders": [order]}):
            assert [f.header.seq for f in frames(path, **chosen)] == expected_frames(models, **chosen), name
        some = rng.choice(models[1].frames)
        assert what(frame_at(path, some[4])) == what(frame_at(original, some[4])), name
        assert seq_at(path, some[5]) == some[4], name
        assert file.read_bytes() == good, name
        with JournalReader(path, kinds=[kind]) as reader:  # who does not build, scans
            file.write_bytes(content or b"")
            seen = []
            while (batch := reader.poll()) is not None:
                seen += [seq for _, _, _, seq, _ in batch]
            assert seen == expected_frames(models, kinds=[kind])


def test_an_index_of_an_earlier_content_is_refused(folder):
    """The same stream, segment and nonce, cut and filled otherwise: what recovery does after a power loss."""
    a, b = fill(folder / "a", 1, segments=2), fill(folder / "b", 2, segments=2)
    build_all(a)
    build_all(b)
    shutil.copy(a / "index" / "00000001.idx", b / "index" / "00000001.idx")
    assert index_of(b) is None
    model = Model(b / "00000001.seg")
    kind = next(iter(model.by_kind))
    models = [model, Model(b / "00000002.seg")]
    assert [f.header.seq for f in frames(b, kinds=[kind])] == expected_frames(models, kinds=[kind])
    # An older copy of a segment, which was not full then, has no index at all.
    c = fill(folder / "c", 1, segments=2, until=50)
    (c / "index").mkdir()
    shutil.copy(a / "index" / "00000001.idx", c / "index" / "00000001.idx")
    assert index_of(c) is None
    assert last_seq(c) == 50


def test_an_index_that_lies_changes_no_answer(several, folder):
    """Right checksums, right ends, wrong blocks: only somebody who means it makes such a file."""
    original, models = several
    path = folder / "j"
    shutil.copytree(original, path, ignore=shutil.ignore_patterns("index"))
    header = headers(path)[1]
    scan = SegmentScan(header, map_file(header.path))
    assert scan.advance()
    honest = SegmentIndex(scan.pack(), header)
    for shift in (8, -8, 4096, 64):
        rows = b"".join(
            struct.pack("<QqII", seq, ts, offset + shift * (b > 0), 0)
            for b, (seq, ts, offset) in enumerate(honest.blocks.at(n) for n in range(honest.blocks.count))
        )
        index_path(header).parent.mkdir(exist_ok=True)
        index_path(header).write_bytes(
            pack(header, Ends(*honest.ends), rows, [], pack_sources({}, {}, {}), [(b"", 2**32 - 1)] * 3)
        )
        for seq in (models[1].frames[0][4], models[1].frames[-1][4], models[1].frames[len(models[1].frames) // 2][4]):
            assert what(frame_at(path, seq)) == what(frame_at(original, seq))


def test_damage_of_a_segment_is_named_by_who_comes_to_it(several, folder):
    original, models = several
    path = folder / "j"
    build_all(original)
    shutil.copytree(original, path)
    victim = models[1].frames[len(models[1].frames) // 2]
    with (path / "00000002.seg").open("r+b") as file:
        file.seek(victim[0] + 30)
        byte = file.read(1)
        file.seek(victim[0] + 30)
        file.write(bytes([byte[0] ^ 4]))
    for act in (
        lambda: frame_at(path, victim[4]),
        lambda: list(frames(path)),
        lambda: list(frames(path, kinds=[victim[2]])),
        lambda: seq_at(path, victim[5]),
    ):
        with pytest.raises(JournalCorrupt, match=f"00000002.seg: at byte {victim[0]} expected frame {victim[4]}"):
            act()
    (path / "index" / "00000002.idx").unlink(missing_ok=True)
    with pytest.raises(JournalCorrupt, match=f"frame {victim[4]}"):
        frame_at(path, victim[4])
    assert not (path / "index" / "00000002.idx").exists()  # nothing is said about a segment that is not right


def test_a_journal_that_is_being_written(folder):
    path = folder / "j"
    with JournalWriter.open(path, stream_id=1, nonce=1, segment_bytes=MIB) as w:
        for i in range(1, 400):
            w.append_bytes(4, 1, bytes(10_000 if i % 2 else 16), ts=10 * i)
            if i % 7 == 0:
                assert last_seq(path) == i
                assert seq_at(path, 10 * i - 9) == i
                assert seq_at(path, 10 * i + 1) == i + 1
                assert frame_at(path, i // 2 + 1).header.seq == i // 2 + 1
        assert w.c.segment > 1
    assert {p.name for p in (path / "index").iterdir()} <= {f"{n:08d}.idx" for n in range(1, w_segments(path))}


def w_segments(path):
    return len(segment_files(path))


def test_where_no_index_can_be_kept_answers_are_the_same(several, folder):
    original, models = several
    path = folder / "j"
    shutil.copytree(original, path, ignore=shutil.ignore_patterns("index"))
    (path / "index").write_bytes(b"a file where a folder belongs")
    kind = min(models[0].by_kind)
    for _ in range(2):
        assert [f.header.seq for f in frames(path, kinds=[kind])] == expected_frames(models, kinds=[kind])


def test_an_empty_journal_has_no_first_frame(folder):
    JournalWriter.open(folder, stream_id=1).close()
    assert seq_at(folder, 0) == 1
    assert list(frames(folder, kinds=[1], from_seq=4)) == []


def test_sources_of_any_number_are_told_of(folder):
    """Thousands of sources in one segment, one in many places: more than there was room for at first, and than is kept."""
    with JournalWriter.open(folder, stream_id=1, segment_bytes=MIB) as w:
        while w.c.segment < 2:
            n = w.last_seq + 1
            source = 7 if n % 4 else n // 4 % 3000 + 1
            w.append_bytes(4, 1, bytes(16), ts=n, source=source, source_seq=n)
    model = Model(folder / "00000001.seg")
    index = build(headers(folder)[0], map_file(folder / "00000001.seg"))
    assert len(index.sources.rows) > 2500
    assert 40 < len(index.sources.numbers(7)) < 64  # its numbers leave out remainders
    assert said(index.sources) == (model.sources, *windows(model))
    # A place at least every 64 numbers: of few bytes a segment has many more than are kept.
    with JournalWriter.open(folder / "wide", stream_id=1, segment_bytes=4 * MIB) as w:
        while w.c.segment < 2:
            w.append_bytes(4, 1, bytes(16), ts=w.last_seq + 1, source=7, source_seq=w.last_seq + 1)
    model = Model(folder / "wide" / "00000001.seg")
    assert len(model.places[7]) > 300
    assert said(build(headers(folder / "wide")[0], map_file(folder / "wide" / "00000001.seg")).sources)[2] == windows(model)[1]


def test_too_many_rows_leave_their_dimension_out(folder, monkeypatch):
    monkeypatch.setattr("journal.index.scan.POSTINGS_MAX", 3)
    fill(folder, 3, segments=2)
    models = [Model(file) for _, file in segment_files(folder)]
    index = build(headers(folder)[0], map_file(folder / "00000001.seg"))
    assert index.postings("by_kind") is None
    kind = next(iter(models[0].by_kind))
    assert [f.header.seq for f in frames(folder, kinds=[kind])] == expected_frames(models, kinds=[kind])


def test_driver_under_sanitizers(folder):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    machine = ["-msse4.2"] if platform.machine() == "x86_64" else []
    built = subprocess.run(
        ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", *machine, "-I.", "tests/journal/index_driver.c", "journal/kernel/index.c",
         "journal/kernel/reader.c", "-o", folder / "driver"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if "cannot find" in built.stderr:
        pytest.skip("gcc has no sanitizer libraries here")
    assert built.returncode == 0, built.stderr
    run = subprocess.run([folder / "driver"], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "ok\n"), run.stderr


def test_all_are_made_ahead(several, folder):
    original, _ = several
    path = folder / "j"
    shutil.copytree(original, path, ignore=shutil.ignore_patterns("index"))
    first = make_indices(path)
    assert (first.full_segments, first.made, first.removed, first.damaged) == (3, 3, 0, [])
    assert first.index_bytes == sum(p.stat().st_size for p in (path / "index").iterdir())
    assert make_indices(path).made == 0
    half = path / "index" / "00000001.1-1.tmp"
    half.write_bytes(b"half")
    os.utime(half, (1, 1))
    (path / "index" / "00000003.idx").write_bytes(b"not right")
    assert (again := make_indices(path)).made == 1
    assert again.removed == 2
    assert make_indices(path, rebuild=True).made == 3
    with (path / "00000001.seg").open("r+b") as file:
        file.seek(300_000)
        file.write(b"\xff" * 99)
    assert make_indices(path, rebuild=True).damaged == ["00000001.seg"]
