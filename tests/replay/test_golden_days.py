"""A day of each schema version there was: traded by the code of then, decided again by that of today."""

import pytest

from replay.player import verify
from tests.replay import make_day

NAMES = sorted(day.name for day in make_day.DAYS.iterdir() if day.is_dir())
DECISIONS = {"books": 867, "risk": 174, "oms": 603, "positions": 84, "maker": 173, "cross": 2}


def test_today_has_a_day():
    """A new schema wants one: `python tests/replay/make_day.py`."""
    assert make_day.today().name in NAMES
    assert len(NAMES) > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_day_is_decided_as_it_was(name, tmp_path):
    """What an app keeps in mind has grown since, so that digests of states differ; what it decides has not changed."""
    journal = make_day.unpack(make_day.DAYS / name, tmp_path / "j")
    verdict = verify(journal, states=False)
    assert verdict.identical, verdict.difference
    assert verdict.apps == DECISIONS


def test_the_same_definitions_leave_the_same_states(tmp_path):
    """Two days whose streams differ in nothing but the schema that wrote them; later ones say what the venue takes, too."""
    journals = [make_day.unpack(make_day.DAYS / name, tmp_path / name) for name in ("7de00005", "9ef7495e")]
    assert len({verify(journal, states=False).state_digest for journal in journals}) == 1
