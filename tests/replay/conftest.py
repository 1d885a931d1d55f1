"""The made-up day that audit and report tests ask about: as tuples, and as a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.sample_day import Day, make_day, write_day


@pytest.fixture(scope="session")
def day() -> Day:
    return make_day()


@pytest.fixture(scope="session")
def day_path(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_day(day, tmp_path_factory.mktemp("day") / "journal")
