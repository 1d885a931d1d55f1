"""Which builds wrote a journal, and which app code: said with both identities where it is not this one."""

import hashlib

import pytest

from apps.discovery import load_class
from apps.identity import code_of
from journal.messages import SessionStart, SourceState, SourceStateCode
from journal.writer import JournalWriter
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from replay.player import apps_of
from replay.skew import skews
from sequencer.session import build_digest
from tests.end_to_end.system import configuration


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


@pytest.fixture
def day(tmp_path):
    run_backtest(configuration(tmp_path / "unused", backtest={"duration": "2s"}), tmp_path / "day")
    return tmp_path / "day"


@pytest.fixture
def recorded(day):
    """A day with what a live session says of itself, thrice: another build, this one, another again."""
    path, spec = day, apps_of(day)[0]
    own = code_of([load_class(spec.class_path)])
    with JournalWriter.open(path) as writer:
        ts = writer.last_ts
        for build, code in ((digest("a"), digest("x")), (build_digest(), own), (digest("b"), digest("y"))):
            ts += 2
            writer.append(SessionStart(build_digest=build, name="lockstep", version="9.9"), ts=ts)
            for _ in range(2):  # a restart of the same code is nothing new
                ts += 1
                state = SourceState(source=spec.source, state=SourceStateCode.ATTACHED, build_digest=code)
                writer.append(state, ts=ts)
    return path, spec.name


def test_each_other_build_and_each_other_code_once(recorded):
    path, name = recorded
    found = skews(path, apps_of(path))
    assert [(s.what, s.recorded.split()[0]) for s in found] == [
        ("", digest("a").hex()[:16]), ("", digest("b").hex()[:16]), (name, digest("x").hex()[:16]),
        (name, digest("y").hex()[:16]),
    ]  # fmt: skip
    assert {s.here.split()[0] for s in found if not s.what} == {build_digest().hex()[:16]}
    assert "lockstep 9.9" in found[0].line
    assert skews(path, apps_of(path, [name])) == found


def test_a_backtest_says_nothing_of_itself(day):
    assert skews(day, apps_of(day)) == []


def test_replay_warns_of_both_and_compares_all_the_same(recorded, capsys):
    path, name = recorded
    main(["replay", str(path)])
    err = capsys.readouterr().err
    assert f"recorded by build {digest('a').hex()[:16]}" in err
    assert f"replayed by build {build_digest().hex()[:16]}" in err
    assert f"{name}: decided by code {digest('x').hex()[:16]}" in err
