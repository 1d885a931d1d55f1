"""The same frames give the same decisions: under any hash seed, garbage collector, interpreter option and Python version."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import apps.group
from apps.snapshots import Snapshots
from journal.frames import frames
from journal.messages import NewOrder, SnapshotTaken, SourceDefined, StateDigest
from journal.reader import JournalReader
from replay.player import Player
from tests.determinism.conftest import DIGEST_EVERY, ROOT, decide

OTHERS = ("3.12", "3.13")


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(apps.group, "DIGEST_EVERY", DIGEST_EVERY)
    monkeypatch.setattr(apps.group, "SNAPSHOT_EVERY", 4 * DIGEST_EVERY)


def test_the_day_is_worth_deciding_again(day, made, reference):
    assert reference["identical"]
    assert reference["pending"] == 0
    assert reference["said"] == reference["compared"] > 1000
    assert reference["state"] == made[1]["state"]
    sources = {f.message.source: f.message.name for f in frames(day, kinds=[SourceDefined.KIND])}
    assert {sources[f.header.source] for f in frames(day, kinds=[NewOrder.KIND])} == {"maker", "cross"}
    assert sum(1 for _ in frames(day, kinds=[SnapshotTaken.KIND])) >= 6 * 3
    assert sum(1 for _ in frames(day, kinds=[StateDigest.KIND])) >= 6 * 12


@pytest.mark.parametrize("seed", ["1", "4242", "random"])
def test_hash_seeds_decide_nothing(day, reference, seed):
    assert decide("replay", day, seed=seed) == reference


@pytest.mark.parametrize("collector", ["eager", "off"])
def test_the_garbage_collector_decides_nothing(day, reference, collector):
    assert decide("replay", day, collector=collector) == reference


@pytest.mark.parametrize("options", [("-O",), ("-X", "dev")], ids=" ".join)
def test_interpreter_options_decide_nothing(day, reference, options):
    assert decide("replay", day, options=options, seed="7") == reference


def test_a_backtest_writes_the_same_bytes_in_any_process(config, made, tmp_path):
    again = decide("backtest", config, tmp_path / "again", seed="4242", options=("-O",))
    assert again == made[1]
    assert len(again["segments"]) >= 1


def test_every_snapshot_leads_to_the_same_end(day, reference, tmp_path, often):
    """From frame 0, and from each snapshot on the way: the same decisions to the end, the same state."""
    whole = Player(day)
    names = [s.name for s in whole.slots]
    classes = {s.name: f"{type(s.app).__module__}:{type(s.app).__qualname__}" for s in whole.slots}
    stream_id = whole.reader.stream_id
    taken = {}

    def keep(slot, seq, ts, data):
        folder = tmp_path / str(seq)
        taken.setdefault(seq, Snapshots(folder, stream_id, classes)).write(whole.group, slot, seq, ts, data)

    whole.group.snapshot_sink = keep
    said = whole.verdict(whole.run())
    assert said.state_digest == reference["state"]
    assert len(taken) >= 3

    for seq, snapshots in taken.items():
        part = Player(day)
        assert snapshots.restore(part.group, part.slots, seq) == seq
        part.reader.close()
        part.reader = JournalReader(day, from_seq=seq + 1)
        verdict = part.verdict(part.run())
        assert verdict.identical
        assert verdict.frames == said.last_seq - seq
        assert verdict.state_digest == said.state_digest
        assert verdict.pending == 0
        part.reader.close()
        after = sum(1 for f in frames(day, from_seq=seq + 1) if f.header.source in {s.app.me for s in part.slots})
        assert verdict.decisions == after
    assert len(names) == 6
    whole.reader.close()


def found(minor):
    """A Python of this version on the machine: on the path, or of pyenv."""
    path = [shutil.which(f"python{minor}"), *sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))]
    for python in filter(None, path):
        if subprocess.run([python, "-c", "import venv"], check=False, capture_output=True).returncode == 0:
            return python
    return None


def interpreter(minor):
    """The Python of a ready `.venv-MINOR` beside the sources. With LOCKSTEP_MATRIX=1 one is made where that Python is."""
    ready = ROOT / f".venv-{minor}" / "bin" / "python"
    if ready.exists() and subprocess.run([ready, "-c", "import msgspec, numpy, cffi"], check=False).returncode == 0:
        return ready
    if os.environ.get("LOCKSTEP_MATRIX") != "1":
        pytest.skip(f"no .venv-{minor}; LOCKSTEP_MATRIX=1 makes it")
    base = found(minor)
    if base is None:
        pytest.skip(f"Python {minor} is not on this machine")
    subprocess.run([base, "-m", "venv", ready.parents[1]], check=True)
    wanted = ["cffi", "msgspec", "numpy", "sortedcontainers", "setuptools", "tomli-w"]
    subprocess.run([ready, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    return ready


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("minor", [m for m in OTHERS if m != f"{sys.version_info[0]}.{sys.version_info[1]}"])
def test_other_pythons_decide_the_same(day, reference, minor):
    python = interpreter(minor)
    # Kernels have the version in their file names, so those of all versions may lie side by side.
    for build in sorted(ROOT.glob("*/kernel/build.py")) + sorted(ROOT.glob("*/*/kernel/build.py")):
        kernel = [p for p in build.parent.glob("*.so") if f"cpython-{minor.replace('.', '')}-" in p.name]
        if not kernel:
            subprocess.run([python, str(build.relative_to(ROOT))], cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert decide("replay", day, python=python) == reference
