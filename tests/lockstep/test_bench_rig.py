"""The benches' common parts: they need no more disk than is free, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections import namedtuple

import pytest

from journal.errors import OperatingError
from lockstep.bench import flat, rig

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_bench_leaves_nothing(tmp_path, number):
    program = (
        "import signal, sys, time; from pathlib import Path; from lockstep.bench import rig\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background\n"
        f"with rig.workspace(Path({str(tmp_path)!r})) as work:\n"
        "    (work / 'big').write_bytes(bytes(4096)); print('there', flush=True); time.sleep(60)\n"
    )
    bench = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert bench.stdout is not None
    assert bench.stdout.readline() == b"there\n"
    assert len(list(tmp_path.iterdir())) == 1
    os.kill(bench.pid, number)
    assert bench.wait(30) != 0
    bench.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_the_curve_ends_with_the_last_frame():
    assert flat.marks(1_000_000) == [1_000_000]
    assert flat.marks(20_000_000) == [1_000_000, 3_000_000, 10_000_000, 20_000_000]
    assert flat.marks(100_000_000)[-2:] == [30_000_000, 100_000_000]


def test_percentiles_are_values_that_occurred():
    values = [float(n) for n in range(1000, 0, -1)]
    assert (rig.percentile(values, 0.5), rig.percentile(values, 0.999), rig.percentile([3.0], 0.999)) == (501.0, 1000.0, 3.0)
