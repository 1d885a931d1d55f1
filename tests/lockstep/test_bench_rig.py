"""The benches' common parts: they need no more disk than is free, and leave nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import pytest

from journal.errors import OperatingError
from lockstep.bench import flat, rig, system
from lockstep.cli import main

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "wanted", "got"), [(100 << 30, 4 << 30, 4 << 30), (3 << 30, 4 << 30, 1 << 30)])
def test_a_bench_takes_less_on_a_smaller_disk(monkeypatch, tmp_path, free, wanted, got):
    monkeypatch.setattr(rig.shutil, "disk_usage", lambda _: Usage(free, 0, free))
    assert rig.bytes_that_fit(tmp_path, wanted, 1 << 20) == got


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(rig.shutil, "disk_usage", lambda _: Usage(1 << 30, 0, 1 << 30))
    with pytest.raises(OperatingError, match="1024 MiB free; this bench needs 2176 MiB"):
        rig.bytes_that_fit(tmp_path, 4 << 30, 128 << 20)
    assert list(tmp_path.iterdir()) == []


def test_how_far_the_cores_lie_apart():
    before = os.sched_getaffinity(0)
    apart = system.core_to_core_ns(100)
    assert os.sched_getaffinity(0) == before
    # From a few nanoseconds between threads of one core to a slice of the scheduler's where others run.
    assert apart == 0 if len(before) == 1 else 10 < apart < 100_000_000


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def child_folder(pid, start):
    """The folder, beginning like this, that a child of a process runs a program in; None: there is none yet."""
    for child in (int(n) for task in Path(f"/proc/{pid}/task").iterdir() for n in (task / "children").read_text().split()):
        with contextlib.suppress(OSError):
            program = Path(os.readlink(f"/proc/{child}/exe"))
            if str(program).startswith(start):
                return program.parent
    return None


BENCHES = {
    "seek": ["--frames", "3000000", "--seeks", "1"],
    "verify": ["--segments", "4"],
    "replicate": ["--size", str(64 << 20)],
    "sequencer": ["--size", str(128 << 20)],
    "latency": [],
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("bench", BENCHES)
def test_an_interrupted_bench_leaves_nothing(bench, number):
    def restored():  # a shell ignores it for what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with tempfile.TemporaryDirectory(prefix="lk-") as name:  # short: a socket lies below it
        work = Path(name)
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", "bench", bench, *BENCHES[bench]],
            env={**os.environ, "TMPDIR": name}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=restored,
        )  # fmt: skip
        until(lambda: process.poll() is not None or any(path.is_file() for path in work.rglob("*")))
        assert process.poll() is None
        os.kill(process.pid, number)
        assert process.wait(60) == 128 + number
        assert list(work.iterdir()) == []


def test_an_ended_torture_leaves_nothing():
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep", "torture", "images", "--hours", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: child_folder(process.pid, "/dev/shm/lockstep-torture-") is not None)
    folder = child_folder(process.pid, "/dev/shm/lockstep-torture-")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143
    assert not folder.exists()


WRONG = (
    "verify --rounds 0", "scan --rounds 0", "replay --rounds -1", "durable --rounds 0", "sequencer --ring 5000",
    "sequencer --size -5", "durable --size -5", "replicate --size 0", "flat --folder nodir", "seek --folder nodir",
    "seek --frames 1", "seek --seeks 0", "oms --orders 0", "zero-impact --messages 0",
)  # fmt: skip
WRONG_TORTURE = (
    "images --hours nan", "images --hours inf", "images --hours=-1", "images --trace=-1", "images --count=-1",
    "images --jobs 0", "boundaries --scenario append", "boundaries --scenario nosuch:64", "boundaries --scenario append:1",
    "boundaries --every 0", "boundaries --scenario append:", "fuzz --minutes nan",
)  # fmt: skip


@pytest.mark.parametrize("words", [f"bench {words}" for words in WRONG] + [f"torture {words}" for words in WRONG_TORTURE])
def test_a_wrong_option_is_told_before_anything_begins(words, capsys):
    with pytest.raises(SystemExit) as refused:
        main(words.split())
    assert refused.value.code == 2
    option = next(word for word in words.split() if word.startswith("--")).split("=")[0]
    assert f"argument {option}: " in capsys.readouterr().err


def test_the_curve_ends_with_the_last_frame():
    assert flat.marks(1_000_000) == [1_000_000]
    assert flat.marks(20_000_000) == [1_000_000, 3_000_000, 10_000_000, 20_000_000]
    assert flat.marks(100_000_000)[-2:] == [30_000_000, 100_000_000]


def test_percentiles_are_values_that_occurred():
    values = [float(n) for n in range(1000, 0, -1)]
    assert (rig.percentile(values, 0.5), rig.percentile(values, 0.999), rig.percentile([3.0], 0.999)) == (501.0, 1000.0, 3.0)
