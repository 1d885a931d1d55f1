"""Snapshots: restore and tail equal full replay, byte for byte; damaged files are passed over."""

import hashlib
import re
import shutil

import msgspec
import pytest

import apps.group
import apps.snapshots
from apps import state
from apps.app import App
from apps.group import Group, Moment
from apps.ledger import Ledger
from apps.snapshots import Head, Snapshots, SnapshotUnfit
from apps.taking import SnapshotWriter, take
from journal.messages import LogRecord, SnapshotTaken, StateDigest, TopOfBook
from journal.reader import JournalReader
from tests.apps.stream import Stream, replay


class Tally(App):
    """State with everything in it: numbers, a dict, a pending timer."""

    def __init__(self):
        self.by_instrument = {}

    def on_top_of_book(self, m):
        self.by_instrument[m.instrument] = self.by_instrument.get(m.instrument, 0) + m.bid_px
        if m.bid_px % 7 == 0:
            self.set_timer(self.now + 3_500_000, m.instrument)
        if m.bid_px % 5 == 0:
            self.emit(LogRecord(text=f"{m.instrument} {self.by_instrument[m.instrument]}"))

    def on_timer(self, token):
        self.emit(LogRecord(text=f"timer {token}"))


class Reads(App):
    requires = (Tally,)

    def __init__(self):
        self.sums = 0

    def on_top_of_book(self, m):
        self.sums += self.uses(Tally).by_instrument[m.instrument]
        if self.sums % 3 == 0:
            self.emit(LogRecord(text=str(self.sums)))


@pytest.fixture
def often(monkeypatch):
    """Digests and snapshots at small distances."""
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", 64)
    monkeypatch.setattr(apps.group, "SNAPSHOT_EVERY", 256)


def day(path):
    stream = Stream(path)
    slots = [stream.add("tally", Tally(), 2), stream.add("reads", Reads(), 3)]
    snapshots = Snapshots(path / "snapshots", 7, {"tally": "t", "reads": "r"})
    stream.group.snapshot_sink = lambda slot, moment: take(snapshots, stream.group, slot, moment)
    for i in range(900):
        stream.input(TopOfBook(instrument=1 + i % 4, bid_px=i))
    stream.close()
    return stream, snapshots, slots


def restored(path, snapshots):
    group = Group()
    published = []
    slots = [
        group.add("tally", Tally(), source=2, ledger=Ledger("tally", published.append, 10**9)),
        group.add("reads", Reads(), source=3, ledger=Ledger("reads", published.append, 10**9)),
    ]
    reader = JournalReader(path)
    seq = snapshots.restore(group, slots, reader.written_seq)
    reader.close()
    reader = JournalReader(path, from_seq=seq + 1)
    while (batch := reader.poll()) is not None:
        group.run(batch.buffer, batch.refs)
    reader.close()
    return seq, group


def test_restore_and_tail_equal_the_whole(tmp_path, often):
    stream, snapshots, _ = day(tmp_path / "j")
    files = sorted((tmp_path / "j" / "snapshots").glob("*.snapshot"))
    assert len(files) == 6  # three kept for each app
    seq, group = restored(tmp_path / "j", snapshots)
    assert seq > 0
    assert group.state_digest() == stream.group.state_digest()


class Hoard(App):
    """A large state."""

    def __init__(self):
        self.kept = []

    def on_top_of_book(self, m):
        self.kept.append(m.bid_px)


def test_a_large_state_is_taken_less_often_and_all_start_from_one_frame(tmp_path, often, monkeypatch):
    monkeypatch.setattr(apps.group, "SNAPSHOT_BYTES_A_FRAME", 2)
    monkeypatch.setattr(apps.snapshots, "KEPT", 2)
    path = tmp_path / "j"
    stream = Stream(path)
    apps_of = {"hoard": Hoard, "reads": Reads}
    for number, (name, cls) in enumerate(apps_of.items(), start=2):
        stream.add(name, cls(), number)
    snapshots = Snapshots(path / "snapshots", 7, dict.fromkeys(apps_of, "c"))
    stream.group.snapshot_sink = lambda slot, moment: take(snapshots, stream.group, slot, moment)
    for i in range(3500):
        stream.input(TopOfBook(instrument=1 + i % 4, bid_px=i))
    taken = {n: [m for m in stream.messages(SnapshotTaken) if m.app == n] for n in (2, 3)}
    assert [m.upto_seq for m in taken[3]] == list(range(256, taken[3][-1].upto_seq + 1, 256))
    seqs = [m.upto_seq for m in taken[2]]
    assert seqs[0] == 256
    for one, two in zip(taken[2], taken[2][1:], strict=False):
        every = 256
        while one.size > every * 2:
            every *= 2
        assert two.upto_seq == one.upto_seq // every * every + every
    assert len(seqs) < len(taken[3]) / 2

    def rest(start):
        """The rest of the day, from what `start` restores; its first state on the way."""
        group = Group()
        slots = [
            group.add(name, cls(), source=number, ledger=Ledger(name, [].append, 10**9))
            for number, (name, cls) in enumerate(apps_of.items(), start=2)
        ]
        at, between = start(group, slots), None
        with JournalReader(path, from_seq=at + 1) as reader:
            while (batch := reader.poll(300)) is not None:
                group.run(batch.buffer, batch.refs)
                between = between or ([slot.snapshot() for slot in group.slots], group.seq, group.now)
        assert group.state_digest() == stream.group.state_digest()
        assert [s.snapshot_every for s in slots] == [s.snapshot_every for s in stream.group.slots if s.ledger]
        return at, between

    def from_files(group, slots):
        return snapshots.restore(group, slots, stream.reader.written_seq)

    def from_between(group, _slots):
        for slot, data in zip(group.slots, held, strict=True):
            slot.restore(data)
        group.stand(seq, ts)
        return seq

    assert rest(from_files)[0] == seqs[-1]
    _, (held, seq, ts) = rest(lambda *_: 0)
    rest(from_between)
    stream.close()


def test_every_damaged_file_is_passed_over(tmp_path, often):
    stream, snapshots, _ = day(tmp_path / "j")
    newest, _ = restored(tmp_path / "j", snapshots)
    seen = set()
    for path in sorted((tmp_path / "j" / "snapshots").glob("tally-*.snapshot"), reverse=True):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        seq, group = restored(tmp_path / "j", snapshots)
        assert seq < newest
        assert seq not in seen
        seen.add(seq)
        assert group.state_digest() == stream.group.state_digest()
    assert 0 in seen  # in the end: a replay from the start


def test_a_snapshot_of_another_stream_or_class_is_not_taken(tmp_path, often):
    day(tmp_path / "j")
    other = Snapshots(tmp_path / "j" / "snapshots", 8, {"tally": "t", "reads": "r"})
    assert restored(tmp_path / "j", other)[0] == 0
    other = Snapshots(tmp_path / "j" / "snapshots", 7, {"tally": "x", "reads": "r"})
    assert restored(tmp_path / "j", other)[0] == 0


def test_snapshot_frames_name_the_files_and_the_digest_of_their_state(tmp_path, often):
    stream, snapshots, _ = day(tmp_path / "j")
    taken = stream.messages(SnapshotTaken)
    held = {m.file: m for m in taken}
    digests = {(m.app, m.upto_seq): m.digest for m in stream.messages(StateDigest)}
    for path in (tmp_path / "j" / "snapshots").glob("*.snapshot"):
        head = snapshots.read(path).head
        m = held[path.name]
        assert m.digest == head.digest == digests[m.app, m.upto_seq]
        assert m.size == len(state.decode(head.own.rest)["app"])
        assert m.upto_seq == head.upto_seq


def test_what_is_said_does_not_depend_on_whether_files_are_written(tmp_path, often):
    stream, _, _ = day(tmp_path / "j")
    _, slots = replay(tmp_path / "j", ("tally", Tally(), 2), ("reads", Reads(), 3))  # without a sink
    assert [len(s.ledger.pending) for s in slots] == [0, 0]
    assert len(stream.messages(SnapshotTaken)) > 6


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"stream_id": 8}, "of stream 0x7; this journal is stream 0x8"),
        ({"classes": {"tally": "x", "reads": "r"}}, "of class t; tally is x"),
        (
            {"code": {"tally": b"n" * 32, "reads": bytes(32)}},
            "written by code 0000000000000000; this process runs 6e6e6e6e6e6e6e6e",
        ),
    ],
)
def test_what_is_refused_says_why(tmp_path, often, change, line):
    day(tmp_path / "j")
    other = Snapshots(tmp_path / "j" / "snapshots", **{"stream_id": 7, "classes": {"tally": "t", "reads": "r"}, **change})
    assert restored(tmp_path / "j", other)[0] == 0
    assert len(other.refused) >= 3
    assert re.search(rf"/tally-\d{{12}}\.snapshot: {line}$", "\n".join(other.refused), re.MULTILINE)


def test_damage_and_another_schema_are_named(tmp_path, often, monkeypatch):
    _, snapshots, _ = day(tmp_path / "j")
    newest = max((tmp_path / "j" / "snapshots").glob("tally-*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-1])
    seq, _ = restored(tmp_path / "j", snapshots)
    assert seq > 0
    (line,) = snapshots.refused
    assert line.startswith(f"{newest}: damaged: ")
    monkeypatch.setattr(apps.snapshots, "schema_digest", lambda: b"s" * 32)
    other = Snapshots(snapshots.folder, 7, snapshots.classes)
    assert restored(tmp_path / "j", other)[0] == 0
    assert "this build's is 7373737373737373" in other.refused[0]


def test_other_code_is_taken_when_that_is_allowed(tmp_path, often):
    stream, snapshots, _ = day(tmp_path / "j")
    code = dict.fromkeys(snapshots.classes, b"n" * 32)
    seq, group = restored(tmp_path / "j", Snapshots(snapshots.folder, 7, snapshots.classes, code, other_code=True))
    assert seq > 0
    assert group.state_digest() == stream.group.state_digest()


def test_a_snapshot_of_frames_that_were_lost_is_not_taken(tmp_path, often):
    """The power went, the journal was shorter, and another frame got the number."""
    _, snapshots, _ = day(tmp_path / "j")
    stream = Stream(tmp_path / "k")
    group = stream.group
    fresh = [stream.add("tally", Tally(), 2), stream.add("reads", Reads(), 3)]
    seqs = []

    def ts_at(seq):
        seqs.append(seq)
        return 5

    assert snapshots.restore(group, fresh, 10**6, ts_at) == 0
    assert seqs == sorted(seqs, reverse=True)
    assert len(seqs) == 3
    assert "as another journal had it" in snapshots.refused[-1]
    stream.close()


def test_an_app_whose_name_begins_like_anothers_keeps_its_own(tmp_path, often):
    _, snapshots, _ = day(tmp_path / "j")
    other = tmp_path / "j" / "snapshots" / "tally-two-000000000001.snapshot"
    other.write_bytes(b"of tally-two")
    seq, _ = restored(tmp_path / "j", snapshots)
    assert seq > 0
    assert snapshots.refused == []


def taken(snapshots):
    """A writer, what begins a snapshot of a seq with it, and what it complains of."""
    group, complaints = Group(), []
    slot = group.add("tally", Tally(), source=2, ledger=Ledger("tally"))
    writer = SnapshotWriter(snapshots, complaints.append)
    begin = writer.sink(group)
    return writer, lambda seq: begin(slot, Moment(seq, seq, slot.digest(), slot.app.parts())), complaints


def test_the_writer_writes_all_that_waits_and_tells_what_it_cannot(tmp_path):
    there = Snapshots(tmp_path / "there", 7, {"tally": "t"})
    writer, begin, complaints = taken(there)
    for seq in range(1, 6):
        begin(seq)
        assert writer.busy
        writer.go_on()
        assert not writer.busy  # there are no tables
    writer.close()
    assert [there.read(p).head.upto_seq for p in sorted((tmp_path / "there").iterdir())] == [3, 4, 5]
    assert complaints == []

    (tmp_path / "file").write_bytes(b"")
    writer, begin, complaints = taken(Snapshots(tmp_path / "file", 7, {"tally": "t"}))
    begin(9)
    writer.close()
    assert len(complaints) == 1
    assert complaints[0].startswith("tally: no snapshot of seq 9: ")


def test_what_is_under_way_comes_to_its_end_and_what_is_due_meanwhile_is_left(tmp_path):
    there = Snapshots(tmp_path / "there", 7, {"tally": "t"})
    writer, begin, complaints = taken(there)
    begin(1)
    begin(2)
    writer.close()  # the host ends: what was begun is finished
    assert [there.read(p).head.upto_seq for p in (tmp_path / "there").iterdir()] == [1]
    assert complaints == ["tally: no snapshot of seq 2: that of 1 is still being taken"]


def forge(path, digest=None):
    """Another digest of the state, or bytes that are no state; the file itself is whole."""
    data = path.read_bytes()
    size = int.from_bytes(data[32:36], "little")
    head = msgspec.msgpack.decode(data[36 : 36 + size], type=Head)
    if digest:
        head.digest = digest
    else:
        head.own.rest = head.own.rest[:-1]
    told = msgspec.msgpack.encode(head)
    body = len(told).to_bytes(4, "little") + told + data[36 + size :]
    path.write_bytes(hashlib.blake2b(body, digest_size=32).digest() + body)


@pytest.mark.parametrize(("digest", "line"), [(b"x" * 32, "has the digest"), (None, "it cannot be taken: ")])
def test_a_state_that_is_another_than_was_said_is_passed_over(tmp_path, often, digest, line):
    stream, snapshots, _ = day(tmp_path / "j")
    path = max((tmp_path / "j" / "snapshots").glob("tally-*.snapshot"))
    forge(path, digest)
    with pytest.raises(SnapshotUnfit, match=line):
        restored(tmp_path / "j", snapshots)
    seq, group = restored(tmp_path / "j", snapshots)
    assert 0 < seq < int(path.stem.removeprefix("tally-"))
    assert line in snapshots.refused[0]
    assert group.state_digest() == stream.group.state_digest()


def test_files_of_the_older_form_are_passed_over(tmp_path, often):
    _, snapshots, _ = day(tmp_path / "j")
    folder = tmp_path / "j" / "snapshots"
    names = [p.name for p in folder.iterdir()]
    shutil.rmtree(folder)
    folder.mkdir()
    for name in names:
        body = msgspec.msgpack.encode(["lockstep snapshot 2", 7, name[:5], "t", b"", b"", 512, 1, b"state", {}])
        (folder / name).write_bytes(hashlib.blake2b(body, digest_size=32).digest() + body)
    assert restored(tmp_path / "j", snapshots)[0] == 0
    assert len(snapshots.refused) == len(names)
    assert all("of another version of lockstep" in line for line in snapshots.refused)
