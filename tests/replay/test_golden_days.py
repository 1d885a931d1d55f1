"""A day of each schema version there was: traded by the code of then, decided again by that of today."""

import pytest

from replay.player import verify
from tests.replay import make_day

NAMES = sorted(day.name for day in make_day.DAYS.iterdir() if day.is_dir())
DECISIONS = {"books": 867, "risk": 174, "oms": 603, "positions": 84, "maker": 173, "cross": 2}
DIGEST = "7fbdb7c9c0a326078264e2543843c8a9e15d8de25c9a25cb10dd8b46153385ba"
"""Of the states of all apps at the end, printed by the code of the first schema."""


def test_today_has_a_day():
    """A new schema wants one: `python tests/replay/make_day.py`."""
    assert make_day.today().name in NAMES
    assert len(NAMES) > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_day_is_decided_as_it_was(name, tmp_path):
    journal = make_day.unpack(make_day.DAYS / name, tmp_path / "j")
    verdict = verify(journal)
    assert verdict.identical, verdict.difference
    assert (verdict.apps, verdict.state_digest) == (DECISIONS, DIGEST)
