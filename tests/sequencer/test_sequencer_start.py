"""A start goes by the indices of full segments: it knows as much as one that reads everything, and reads what it must."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.frames import frames, last_seq
from journal.index.make import make_indices
from journal.messages import (
    OWN_CAUSE,
    Ban,
    BanLifted,
    Clock,
    Divergence,
    DurabilityPolicy,
    NewOrder,
    RawMessage,
    Reason,
    Reject,
    ScopeType,
    SessionMode,
    SourceDefined,
    SourceRole,
    SourceState,
    SourceStateCode,
)
from journal.reader import JournalReader
from journal.segment import segment_files
from journal.writer import JournalWriter
from sequencer.clock import LoopClock
from sequencer.flow import remember_bans
from sequencer.hosted import hosted
from sequencer.kernel._sequencer import ffi
from sequencer.past import Past
from sequencer.session import define_sources, learn
from sequencer.settings import SequencerSettings, SourceSettings

NAMES = ("md", "algo", "gone", "silent")
SOURCES = [SourceSettings(name=name, role=SourceRole.MARKET_DATA) for name in NAMES]
SESSION = {"mode": SessionMode.PAPER, "durability": DurabilityPolicy.DURABLE}
MIB = 1 << 20


def fast_folder():
    """In memory where there is a tmpfs: a short path, for the socket."""
    shm = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="lks-", dir=shm if shm.is_dir() else None))


@pytest.fixture
def folder():
    path = fast_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


# ---- what a start knows


def stream(path, seed):
    """A stream as a sequencer leaves it, from Python: four sources that come and go, refusals, bans; five segments."""
    rng = random.Random(seed)
    numbers, starts, banned = dict.fromkeys(range(1, 5), 0), dict.fromkeys(range(1, 5), 0), {}
    with JournalWriter.open(path, stream_id=3, nonce=seed, segment_bytes=MIB) as w:

        def say(message):
            return w.append(message, ts=w.last_ts + rng.randint(1, 9))

        for number, name in enumerate(NAMES, start=1):
            say(SourceDefined(source=number, role=SourceRole.MARKET_DATA, name=name))
        speaking = sorted(rng.sample(range(1, 5), 3))
        size = rng.choice((100, 700, 3000))
        while w.c.segment < 5:
            if rng.random() < 0.002:
                speaking = sorted(rng.sample(range(1, 5), rng.randint(1, 3)))
            source = rng.choice(speaking)
            if starts[source] == 0 or rng.random() < 0.001:
                starts[source] += 1
                say(SourceState(source=source, incarnation=starts[source], state=SourceStateCode.ATTACHED))
            what = rng.random()
            numbers[source] += what < 0.97
            if what < 0.9:
                w.append(
                    RawMessage(data=rng.randbytes(rng.randint(0, size))), ts=w.last_ts + 1, source=source,
                    source_seq=numbers[source], incarnation=starts[source], cause=rng.choice((0, w.last_seq)),
                )  # fmt: skip
            elif what < 0.97:
                say(Reject(for_source=source, for_source_seq=numbers[source], count=1, reason=Reason.MALFORMED))
            elif what < 0.98:
                say(Reject(for_source=source, for_source_seq=rng.randint(0, numbers[source]), reason=Reason.DUPLICATE_DIFFERS))
            elif what < 0.985 and source not in banned:
                banned[source] = say(Ban(scope_type=ScopeType.SOURCE, scope_source=source, until_ts=2**62))
            elif what < 0.99 and banned:
                say(BanLifted(ban_seq=banned.pop(rng.choice(sorted(banned)))))
            elif what < 0.992:
                say(SourceDefined(source=source, role=SourceRole.ALGO, rate_limit=rng.randint(1, 99), name=NAMES[source - 1]))
            else:
                say(Clock(wall_ts=w.last_ts))
        for source in speaking[1:]:  # the last that was heard of some
            numbers[source] += 1
            say(Reject(for_source=source, for_source_seq=numbers[source], count=1, reason=Reason.MALFORMED))
    return path


class Slow:
    """What the sources' records hold after the last frame, told frame by frame."""

    def __init__(self, path):
        self.last, self.starts, self.accepted = (dict.fromkeys(range(1, 5), 0) for _ in range(3))
        self.own = {n: {} for n in range(1, 5)}
        self.places = {n: [] for n in range(1, 5)}
        with JournalReader(path) as reader:
            while (batch := reader.poll()) is not None:
                for offset, *_ in batch:
                    self._frame(batch, offset)

    def _frame(self, batch, at):
        head = batch.buffer[at : at + 64]
        kind, source = int.from_bytes(head[8:10], "little"), int.from_bytes(head[14:16], "little")
        source_seq, seq = int.from_bytes(head[40:48], "little"), int.from_bytes(head[16:24], "little")
        place = batch.header.number << 32 | at
        body = batch.buffer[at + 64 : at + int.from_bytes(head[:4], "little")]
        if source and source_seq > self.last[source]:
            self.last[source], self.accepted[source] = source_seq, (source_seq, seq)
            self.own[source][source_seq % 64] = source_seq, seq
            known = self.places[source]
            if not known or source_seq - known[-1][0] >= 64 or place - known[-1][1] >= 65536:
                known.append((source_seq, place))
        elif kind == Reject.KIND:
            refused = Reject.decode(body)
            self.last[refused.for_source] = max(self.last[refused.for_source], refused.for_source_seq)
        elif kind == SourceState.KIND:
            state = SourceState.decode(body)
            self.starts[state.source] = max(self.starts[state.source], state.incarnation)

    def of(self, state):
        number = int(state.source)
        accepted = self.accepted[number] or (0, 0)
        own = self.own[number]
        places = self.places[number][-256:]
        assert (state.last_source_seq, state.incarnation) == (self.last[number], self.starts[number])
        assert (state.accepted_source_seq, state.accepted_seq) == accepted
        assert [(state.own_source_seq[n], state.own_seq[n]) for n in range(64)] == [own.get(n, (0, 0)) for n in range(64)]
        count = int(state.turns.count)
        assert [(state.turns.first_source_seq[n], state.turns.place[n]) for n in range(count)] == places


def known(path, *, by_index):
    """Every source's record as a start makes it, as bytes; how many segments were not read."""
    with JournalWriter.open(path, by_index=by_index) as writer:
        past = Past(path, writer.passed)
        found, news = define_sources(past, SOURCES, os.getuid())
        learn(past, found.values())
        remember_bans(past, found.values(), 0)
        for source in found.values():
            source.state.limit.banned_until = 0  # by the clock
        states = {name: bytes(ffi.buffer(source.state)) for name, source in found.items()}
        return states, [m.encode() for m in news], len(writer.passed), [s.state for s in found.values()]


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_a_start_knows_the_same_with_indices_and_without(seed):
    folder = fast_folder()
    try:
        path = stream(folder / "j", seed)
        scanned = known(path, by_index=True)
        assert scanned[2] == 0
        # The start itself has made them.
        assert make_indices(path).made == 0
        by_index = known(path, by_index=True)
        assert by_index[2] == 4
        assert by_index[:2] == scanned[:2] == known(path, by_index=False)[:2]
        slow = Slow(path)
        for state in by_index[3]:
            slow.of(state)
    finally:
        shutil.rmtree(folder)


def test_a_section_that_is_gone_meanwhile_is_made_up_for(folder):
    """Recovery believed the index; before its long parts are read, somebody removes it."""
    path = stream(folder / "j", 5)
    make_indices(path)
    expected = known(path, by_index=False)[0]
    with JournalWriter.open(path, by_index=True) as writer:
        assert len(writer.passed) == 4
        shutil.rmtree(path / "index")
        past = Past(path, writer.passed)
        found, _ = define_sources(past, SOURCES, os.getuid())
        learn(past, found.values())
        remember_bans(past, found.values(), 0)
        for source in found.values():
            source.state.limit.banned_until = 0
        assert {name: bytes(ffi.buffer(source.state)) for name, source in found.items()} == expected


# ---- what it does next


def run(journal, work, **more):
    """A sequencer in this thread, with a clock that stands where it is put."""
    tuning = SequencerSettings(segment_bytes=MIB, ring_bytes=1 << 16, seal=False, telemetry=False, **more)
    clock = LoopClock(10**18)
    with hosted(journal, tuning, SOURCES, clock=clock, **SESSION) as sequencer:
        work(sequencer)


def take_all(sequencer, publisher):
    """Turn until the ring is empty, also while the next segment is still being made."""
    page = publisher.producer.ring.page
    while page.head != page.tail:
        sequencer.turn()


def grown(journal, segments):
    """A day so far: `gone` spoke in the first segment only; every tenth number of the others was refused."""

    def work(sequencer):
        publishers = {name: sequencer.connect(name) for name in ("md", "algo", "gone")}
        bodies = {name: RawMessage(data=bytes([n]) * 4000) for n, name in enumerate(publishers)}
        for n in range(200):
            publishers["gone"].publish(RawMessage(data=bytes([n])), origin_ts=7)
        take_all(sequencer, publishers["gone"])
        while sequencer._loop.writer.segment < segments:
            for name in ("md", "algo"):
                number = publishers[name].next_source_seq
                publishers[name].publish(NewOrder() if number % 10 == 0 else bodies[name], origin_ts=7)
                take_all(sequencer, publishers[name])
        for publisher in publishers.values():
            publisher.close()

    run(journal, work)


def next_frames(journal, hostile):
    """What a restarted sequencer makes of old and new numbers, and of causes by own numbers: its frames, without their crc."""
    before = last_seq(journal)

    def work(sequencer):
        for name in ("md", "gone", "algo"):
            publisher = sequencer.connect(name)
            ring, last = hostile(publisher), publisher.last_source_seq
            same, other = RawMessage(data=bytes([0]) * 4000).encode(), RawMessage(data=b"other").encode()
            for number in (1, 30, last // 2, last - 150, last - 64, last - 1, last):
                for body in (same, other):
                    ring.record(kind=RawMessage.KIND, source_seq=max(number, 1), body=body)
                    take_all(sequencer, publisher)
            for number, back in enumerate((0, 1, 2, 30, 57, 58, 63, 64, 65, 200), start=last + 1):
                ring.record(kind=RawMessage.KIND, source_seq=number, body=other, cause=OWN_CAUSE | (last - back))
                take_all(sequencer, publisher)
            publisher.close()

    run(journal, work)
    return [
        (h.seq, h.ts, h.kind, h.source, h.source_seq, h.cause, h.epoch, h.incarnation, bytes(f.body))
        for f in frames(journal, from_seq=before + 1)
        for h in (f.header,)
    ]


def test_the_next_frames_are_the_same_with_indices_and_without(folder, hostile):
    grown(folder / "j", 5)
    make_indices(folder / "j")
    shutil.copytree(folder / "j", folder / "k")
    shutil.rmtree(folder / "k" / "index")
    with_indices, without = next_frames(folder / "j", hostile), next_frames(folder / "k", hostile)
    assert with_indices == without
    kinds = {row[2] for row in with_indices}
    assert {RawMessage.KIND, Reject.KIND, Divergence.KIND} <= kinds  # old numbers were compared, causes resolved and refused
    assert any(row[5] for row in with_indices if row[2] == RawMessage.KIND)


# ---- what it reads

COUNTED = """
import json, os, sys, threading
from pathlib import Path
from sequencer.daemon import Sequencer
from sequencer.settings import SequencerSettings, SourceSettings
from journal.messages import SourceRole, SessionMode
mapped, here = set(), threading.get_ident()
def hook(event, arguments):
    if event == "mmap.__new__" and threading.get_ident() == here and arguments[0] >= 0:
        mapped.add(Path(os.readlink(f"/proc/self/fd/{arguments[0]}")).name)
def read():
    lines = Path(f"/proc/self/task/{threading.get_native_id()}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])
sources = [SourceSettings(name=n, role=SourceRole.MARKET_DATA) for n in ("md", "algo", "gone", "silent")]
settings = SequencerSettings(segment_bytes=1 << 20, ring_bytes=1 << 16)
sequencer = Sequencer(Path(sys.argv[1]), settings, sources, mode=SessionMode.PAPER)
sys.addaudithook(hook)
before = read()
sequencer.start()
print(json.dumps({"read": read() - before, "mapped": sorted(n for n in mapped if n.endswith(".seg"))}))
sequencer.close()
"""


def counted(journal):
    """A start in a process of its own: bytes that its thread has read, and the segments that it has mapped."""
    done = subprocess.run([sys.executable, "-c", COUNTED, journal], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0])


def test_a_start_reads_what_is_behind_the_indices_whatever_the_length(folder):
    read = {}
    for segments in (6, 24):
        journal = folder / f"j{segments}"
        grown(journal, segments)
        counted(journal)  # the first one seals, and makes the indices
        found = counted(journal)
        last = segment_files(journal)[-1][0]
        # Sources are defined in the first one: there, one block is read. The seals of the newest are looked for on the stream.
        assert set(found["mapped"]) <= {f"{n:08d}.seg" for n in (1, last - 2, last - 1, last)}, found
        read[segments] = found["read"]
        shutil.rmtree(journal / "index")
        assert len(counted(journal)["mapped"]) >= segments
    # A header block, a seek's worth of index, the last frame: of 18 MiB more.
    assert read[24] - read[6] < 18 * 20_000, read
