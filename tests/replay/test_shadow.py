"""A shadow and the watermark: frames can be read a moment before the sequencer says that they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from journal.reader import JournalReader
from lockstep.bench.replay import make_journal
from replay.player import Finding
from replay.shadow import Behind, Progress, follow, specs_for

FRAMES = 9_000


def followed(journal: Path, marks: list[int], monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """What is told while the journal says that so much is written, one after the other."""
    specs = specs_for(journal, None, lambda _: None)
    said, told = iter(marks), []
    monkeypatch.setattr(JournalReader, "written_seq", property(lambda _: next(said)))
    assert follow(journal, specs, lambda: len(told) == len(marks), told.append).finding == Finding.IDENTICAL
    return told


def test_it_goes_as_far_as_the_journal_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_journal(tmp_path / "j", FRAMES)
    marks = [500, 500, 4_500, 4_501, FRAMES]
    told = followed(tmp_path / "j", marks, monkeypatch)
    assert [p.seq for p in told] == marks
    assert all(p.caught_up for p in told)


def test_a_journal_that_has_lost_what_it_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_journal(tmp_path / "j", FRAMES)
    with pytest.raises(Behind, match="ends at seq 499, this shadow has seen 500"):
        followed(tmp_path / "j", [500, 499], monkeypatch)
