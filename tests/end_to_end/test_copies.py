"""Two copies of an app, as processes of a running system: killed at any moment, and made to differ."""

from pathlib import Path

import pytest

from apps.group import DIGEST_EVERY
from journal.frames import frames, last_seq
from journal.messages import (
    Alert,
    Divergence,
    DivergenceLevel,
    LogRecord,
    Reason,
    Reject,
    StateDigest,
)
from replay.player import verify
from tests.end_to_end.system import (
    System,
    attached,
    configuration,
    last_positions,
    our_fills,
    signed_fills,
    source_of,
    together,
)
from tests.end_to_end.test_kill import compare_with_venue, prove

TWICE = {f"host__{app}": {"apps": [app], "copies": 2} for app in ("oms", "risk", "cross")}
PARTS = Path(__file__).with_name("parting_strategy.py.txt")


def incarnations(journal, name):
    """Which copies were first to say something."""
    source = source_of(journal, name)
    return {f.header.incarnation for f in frames(journal, from_seq=1) if f.header.source == source}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_either_copy_may_be_killed_at_any_moment(tmp_path):
    journal = tmp_path / "day"
    system = System(configuration(journal, exchange__sim__rate=120, **TWICE, **together("books", "positions", "maker")))
    try:
        system.start()
        system.until_ready()
        assert {"oms", "oms-2", "risk", "risk-2", "cross", "cross-2"} <= system.processes.keys()
        system.run_until(lambda: len(our_fills(journal)) >= 2)
        for victim, pause in (
            ("oms", 0.0), ("oms-2", 0.3), ("cross-2", 0.1), ("cross", 0.7), ("risk", 0.2), ("risk-2", 0.0), ("oms", 0.5),
        ):  # fmt: skip
            system.kill_one(victim)
            system.run_for(pause)
        system.kill_one("sequencer")
        # Each copy that was killed has caught up, and is a copy again.
        system.run_until(lambda: all(attached(journal, app) == 2 for app in ("oms", "risk", "cross")))
        fills = len(our_fills(journal))
        system.run_until(lambda: len(our_fills(journal)) > fills)
        system.run_until(lambda: system.withdraw() == 0)
        assert compare_with_venue(system, journal) >= 3
        system.stop()
    except BaseException:
        system.kill()
        raise
    assert system.copies.halted == {}
    prove(system, journal)
    assert sum(last_positions(journal).values()) == signed_fills(journal)
    assert list(frames(journal, kinds=[Divergence.KIND])) == []
    assert [f for f in frames(journal, kinds=[Reject.KIND]) if f.message.reason == Reason.DUPLICATE_DIFFERS] == []


def parting_system(tmp_path, **parameters):
    strategy = tmp_path / "parts.py"
    strategy.write_text(PARTS.read_text())
    table = {"class": f"{strategy}:Parts", "account": "demo"} | parameters
    changes = {"strategy__parts": table, "host__parts": {"apps": ["parts"], "copies": 2}, "exchange__sim__rate": 400}
    others = together("books", "risk", "oms", "positions", "maker", "cross")
    return System(configuration(tmp_path / "day", **changes, **others))


def alerts(journal):
    return [f.message for f in frames(journal, kinds=[Alert.KIND]) if f.message.rule == Reason.DUPLICATE_DIFFERS]


def run_until_told(system, journal, count):
    try:
        system.start()
        system.until_ready()
        system.run_until(lambda: len(alerts(journal)) >= count)
        system.run_for(1.0)  # the other one goes on
        (halted,) = system.copies.halted
        assert system.processes[halted].ended() is not None
        assert all(p.ended() is None for name, p in system.processes.items() if name != halted)
        system.stop()
    except BaseException:
        system.kill()
        raise
    assert halted in ("parts", "parts-2")
    return halted


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_copy_that_says_something_else_is_halted_at_once(tmp_path):
    journal = tmp_path / "day"
    system = parting_system(tmp_path, after=300, says=True)
    halted = run_until_told(system, journal, 1)
    (record,) = [f for f in frames(journal, kinds=[LogRecord.KIND]) if f.header.source == source_of(journal, "parts")]
    (told,) = alerts(journal)
    assert told.about_seq == record.header.cause
    assert f"the first bad event is seq {record.header.cause}" in told.text
    said = [f.message for f in frames(journal, kinds=[Divergence.KIND])]
    assert DivergenceLevel.EMISSION in {m.level for m in said}
    assert all(m.app == record.header.source and m.expected_digest != m.got_digest for m in said)
    # The order of the set is that of the copy that was first; the other one is halted.
    assert system.copies.halted[halted] == told.text
    seqs = [f.header.seq for f in frames(journal, kinds=[StateDigest.KIND])]
    assert last_seq(journal) > record.header.seq + 100
    assert seqs == sorted(seqs)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_copy_whose_state_differs_is_halted_at_the_next_digest(tmp_path):
    journal = tmp_path / "day"
    system = parting_system(tmp_path, after=300)
    run_until_told(system, journal, 2)
    first, named = alerts(journal)
    (divergence,) = [f for f in frames(journal, kinds=[Divergence.KIND]) if f.message.level == DivergenceLevel.DIGEST]
    at = divergence.message.at_seq
    assert at % DIGEST_EVERY == 0
    assert first.about_seq == at
    # Within one interval, and the event of it by name: the copies agreed before it.
    bad = named.about_seq
    assert at - DIGEST_EVERY < bad <= at
    assert named.text.startswith("parts: the first bad event of ")
    found = next(iter(frames(journal, from_seq=bad, to_seq=bad)))
    assert type(found.message).__name__ == "TopOfBook"
    assert divergence.header.seq < at + DIGEST_EVERY
    assert verify(journal, ["books", "risk", "oms", "positions"]).identical
