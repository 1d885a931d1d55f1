"""The cursor: wherever it is sent, by whatever way, the apps are byte for byte what a replay from the start makes of them."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replay
from apps.order_manager import OmsApp
from journal.frames import frames
from journal.messages import ExecutionReport
from lockstep.backtesting import run_backtest
from replay.cursor import Cursor, OutOfRange, Place
from replay.player import Player, UnknownApp
from tests.end_to_end.system import configuration

GRAIN = 32


def state_of(group):
    """Everything: apps, timers, what waits to be compared, of all slots, mute ones included."""
    whole = [(s.ledger is None, s.name, s.snapshot(), s.app.now, s.app.seq, s.app.source) for s in group.slots]
    return hashlib.blake2b(repr([*whole, group.seq, group.now]).encode()).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cursor")
    run_backtest(configuration(folder / "unused", backtest={"duration": "1s"}), folder / "day")
    return folder / "day"


@pytest.fixture(scope="module")
def states(made):
    """seq → the state after it, from one replay from the start."""
    player = Player(made)
    found = {0: state_of(player.group)}
    while player.run(to_seq=player.reader.next_seq):
        found[player.group.seq] = state_of(player.group)
    player.reader.close()
    return found


@pytest.fixture
def day(made, tmp_path):
    shutil.copytree(made, tmp_path / "day", ignore=shutil.ignore_patterns("checkpoints"))
    return tmp_path / "day"


@pytest.fixture
def cursor(day):
    with Cursor(day, grain=GRAIN, pause_s=0) as cursor:
        yield cursor


def events(day, cursor, name):
    """Where code of an app runs, in the whole journal."""
    stops = []

    def visit(stop):
        stops.append(stop)
        stop.call()

    cursor.at(0)
    cursor.run_watched([name], visit)
    assert sum(1 for stop in stops if stop.message is not None) == cursor.slot(name).events
    return [stop.place for stop in stops]


def test_every_checkpoint_and_its_tail_equal_the_whole(day, cursor, states):
    end = cursor.at(cursor.last).seq
    assert state_of(cursor.group) == states[end]
    held = list(cursor.checkpoints.seqs)
    assert len(held) == end // GRAIN > 5
    for seq in held:
        cursor.at(0)
        cursor._stand(seq)
        assert cursor.seq == seq
        assert state_of(cursor.group) == states[seq]
        cursor.at(end)
        assert state_of(cursor.group) == states[end]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_walk_ends_where_a_replay_would(made, states, data):
    """Checkpoints of earlier walks lie there; that they do makes no difference."""
    with Cursor(made, grain=GRAIN, pause_s=0) as cursor:
        for _ in range(data.draw(st.integers(1, 4))):
            seq = data.draw(st.integers(0, cursor.last))
            cursor.at(seq)
            assert cursor.seq == seq
            assert state_of(cursor.group) == states[seq]
            if data.draw(st.booleans()):
                place = cursor.back("oms")
                assert state_of(cursor.group) == states[place.seq - 1 if place else seq]


def test_back_and_forward_find_each_event_once(day, cursor, states):
    """Back through the last third of the day, forward through the first."""
    places = events(day, cursor, "oms")
    first, last = cursor.last // 3, cursor.last * 2 // 3
    assert min(sum(p.seq <= first for p in places), sum(p.seq > last for p in places)) > 10
    cursor.at(cursor.last)
    back = []
    while (place := cursor.back("oms")) is not None and place.seq > last:
        back.append(place)
        assert cursor.seq == place.seq - 1
        assert state_of(cursor.group) == states[cursor.seq]
    assert back == [max(p for p in places if p.seq == s) for s in sorted({p.seq for p in places if p.seq > last}, reverse=True)]
    cursor.at(0)
    forward = []
    while (place := cursor.forward("oms")) is not None and place.seq <= first:
        forward.append(place)
        assert state_of(cursor.group) == states[place.seq - 1]
        cursor.at(place.seq)
    assert forward == [p for p in places if p.nth == 1 and p.seq <= first]


def test_a_match_is_searched_in_both_directions(day, cursor):
    fills = [f.header.seq for f in frames(day, kinds=[ExecutionReport.KIND]) if f.message.last_qty > 0]
    assert fills

    def fill(stop):
        return isinstance(stop.message, ExecutionReport) and stop.message.last_qty > 0

    cursor.at(cursor.last)
    assert cursor.back("positions", fill).seq == fills[-1]
    cursor.at(0)
    assert cursor.forward("positions", fill).seq == fills[0]


def test_the_objects_are_the_apps(cursor, day):
    report = next(f for f in frames(day, kinds=[ExecutionReport.KIND]))
    cursor.at(report.header.seq)
    oms = cursor["oms"]
    assert isinstance(oms, OmsApp)
    assert oms.machine.memory.peek(report.message.order_id) is not None
    assert cursor.apps["oms"] is oms
    assert cursor.at(report.header.seq)["oms"] is oms  # no move, no new object
    with pytest.raises(UnknownApp, match="no app 'nobody'; it has books"):
        cursor["nobody"]


def test_a_seq_that_is_not_there(cursor):
    for seq in (-1, cursor.last + 1):
        with pytest.raises(OutOfRange, match=f"seq {seq} is not in the journal; it has 1 to {cursor.last}"):
            cursor.at(seq)


def test_a_damaged_checkpoint_is_passed_over(day, states):
    with Cursor(day, grain=GRAIN, pause_s=0) as cursor:
        cursor.at(cursor.last)
        held, folder, last = list(cursor.checkpoints.seqs), cursor.checkpoints.folder, cursor.last
    newest = folder / f"{held[-1]:012d}.checkpoint"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    (folder / f"{held[-2]:012d}.checkpoint").write_bytes(b"")
    (folder / f"{held[-3]:012d}.checkpoint").write_bytes((folder / f"{held[0]:012d}.checkpoint").read_bytes())
    with Cursor(day, grain=GRAIN, pause_s=3600) as cursor:
        cursor._stand(last)
        assert cursor.seq == held[-4]
        assert cursor.checkpoints.seqs == held[:-3]
        assert state_of(cursor.at(last).group) == states[last]
    for path in folder.iterdir():
        path.write_bytes(b"nothing")
    with Cursor(day, grain=GRAIN, pause_s=3600) as cursor:
        assert state_of(cursor.at(last).group) == states[last]


def test_checkpoints_of_other_code_streams_and_histories_are_not_taken(day, states, monkeypatch):
    with Cursor(day, grain=GRAIN, pause_s=0) as cursor:
        cursor.at(cursor.last)
        held, folder = list(cursor.checkpoints.seqs), cursor.checkpoints.folder
        middle = cursor.checkpoints.get(held[3])
    for change in ({"code": b"c" * 32}, {"stream_id": middle.stream_id + 1}, {"schema": b"s" * 32}, {"ts": middle.ts + 1}):
        other = type(middle)(**{f: getattr(middle, f) for f in middle.__struct_fields__} | change)
        with Cursor(day, grain=GRAIN, pause_s=3600) as cursor:
            cursor.checkpoints.put(other)
            cursor._stand(held[3])
            assert cursor.seq == held[2]
            cursor.checkpoints.put(middle)
    monkeypatch.setattr("replay.cursor.code_of", lambda classes: b"n" * 32)
    with Cursor(day, grain=GRAIN, pause_s=3600) as cursor:
        assert cursor.checkpoints.seqs == []
        assert cursor.checkpoints.folder.parent == folder.parent


def test_only_the_last_two_codes_keep_theirs(day, monkeypatch):
    for n in range(4):
        monkeypatch.setattr("replay.cursor.code_of", lambda classes, n=n: bytes([n]) * 32)
        Cursor(day).close()
        folder = day / "checkpoints" / (bytes([n]) * 8).hex()
        os.utime(folder, (n, n))
    assert len(list((day / "checkpoints").iterdir())) <= 3


def test_a_journal_that_cannot_be_written_keeps_them_elsewhere(day, states):
    (day / "checkpoints").write_bytes(b"a file where the folder should be")
    with Cursor(day, grain=GRAIN, pause_s=0) as cursor:
        folder = cursor.checkpoints.folder
        assert state_of(cursor.at(cursor.last).group) == states[cursor.last]
        assert len(cursor.checkpoints.seqs) > 5
        assert Path(folder).exists()
    assert not Path(folder).exists()


def test_they_are_bounded(day, states, monkeypatch):
    monkeypatch.setattr("replay.checkpoints.COUNT_MAX", 6)
    with Cursor(day, grain=GRAIN, pause_s=0) as cursor:
        end = cursor.at(cursor.last).seq
        held = cursor.checkpoints.seqs
        assert 3 <= len(held) <= 6
        assert sorted(int(p.stem) for p in cursor.checkpoints.folder.glob("*.checkpoint")) == held
        assert held[-1] == end // GRAIN * GRAIN
        assert state_of(cursor.at(held[1] + 5).group) == states[held[1] + 5]


def test_what_a_person_has_touched_is_not_kept(cursor, states):
    cursor.at(3 * GRAIN - 1)
    held = list(cursor.checkpoints.seqs)
    cursor["oms"].machine.memory.queries = 99
    cursor.touched = True
    cursor.run_watched(["oms"], lambda stop: stop.call(), 4 * GRAIN)
    assert cursor.checkpoints.seqs == held
    assert state_of(cursor.at(4 * GRAIN).group) == states[4 * GRAIN]


def test_it_opens_from_the_package(day):
    with replay.open(day) as cursor:
        assert cursor.at(200).seq == 200
        assert cursor.previous(Place(201), ["books"]) is not None
