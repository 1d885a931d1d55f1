"""Power loss, thousands of times: what the writer stored is replayed from a trace, cut at a point, and each disk unit that no
sync had covered keeps an older state of its own. Recovery must give a prefix of what was appended, at least up to the durable
watermark, and the same again when it is interrupted or repeated. (J03-J10)"""

from __future__ import annotations

import os
import platform
import random
import shutil
import struct
import subprocess
from collections import defaultdict
from pathlib import Path

import journal_model
import pytest

from journal import quarantine, recovery
from journal.frames import frames
from journal.reader import JournalReader
from journal.segment import ControlPage, create_control
from journal.verify import survey

ROOT = Path(__file__).resolve().parents[2]
STORE, PUBLISH, SYNC, CREATE, ALLOCATE, RENAME, DIRSYNC = range(7)
APPENDED, DURABLE = 100, 101
SEGMENT_BYTES = 16384
STREAM = 77
SEED = int(os.environ.get("LOCKSTEP_SEED", "20261121"))


class File:
    """One traced file: what is surely on disk, and the stores since, by disk unit."""

    def __init__(self) -> None:
        self.synced = bytearray(SEGMENT_BYTES)
        self.pending: list[tuple[int, bytes]] = []
        self.size_synced = False
        self.name = ""
        self.name_synced = False

    def sync_range(self, start: int, end: int) -> None:
        """What was stored in [start, end) is on disk; parts of stores that lie outside stay pending."""
        pending, self.pending = self.pending, []
        for offset, data in pending:
            low, high = max(offset, start), min(offset + len(data), end)
            if low >= high:
                self.pending.append((offset, data))
                continue
            self.synced[low:high] = data[low - offset : high - offset]
            if offset < low:
                self.pending.append((offset, data[: low - offset]))
            if high < offset + len(data):
                self.pending.append((high, data[high - offset :]))

    def units(self, unit: int) -> dict[int, list[tuple[int, bytes]]]:
        found = defaultdict(list)
        for offset, data in self.pending:
            while data:
                n = unit - offset % unit
                found[offset // unit].append((offset, data[:n]))
                offset, data = offset + n, data[n:]
        return found


class Disk:
    """The trace up to a crash point."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self.appended = self.durable = self.rolled = 0

    def apply(self, op, file, value, data) -> None:
        match op:
            case 0 | 1:
                self.files[file].pending.append((value, data))
                if value == 512:  # the open record
                    self.rolled = file
            case 2:
                f = self.files[file]
                for offset, stored in f.pending:
                    f.synced[offset : offset + len(stored)] = stored
                f.pending.clear()
                f.size_synced = True
            case 9:
                self.files[file].sync_range(value, value + int.from_bytes(data, "little"))
            case 3:
                self.files[file] = File()
            case 5:
                self.files[file].name = Path(data.decode()).name
            case 6:
                for f in self.files.values():
                    f.name_synced = f.name_synced or bool(f.name)
            case 100:
                self.appended = value
            case 101:
                self.durable = value

    def image(self, folder: Path, rng: random.Random, strategy: str) -> None:
        """One thing that the disk may hold now."""
        unit = rng.choice([512, 512, 512, 64, 4096])
        dirty = [(f, u, stores) for f in self.files.values() for u, stores in f.units(unit).items()]
        odd = rng.choice(dirty) if dirty else None
        contents = {id(f): bytearray(f.synced) for f in self.files.values()}
        for entry in dirty:
            f, _, stores = entry
            match strategy:
                case "old":
                    cut = 0
                case "new":
                    cut = len(stores)
                case "drop one":
                    cut = len(stores) if entry is not odd else rng.randrange(len(stores))
                case "keep one":
                    cut = 0 if entry is not odd else len(stores)
                case _:
                    cut = rng.choice([0, len(stores), rng.randint(0, len(stores))])
            for offset, data in stores[:cut]:
                contents[id(f)][offset : offset + len(data)] = data
        for f in self.files.values():
            name = f.name if f.name_synced else rng.choice(["", "prepare.tmp", f.name])
            if name:
                whole = f.size_synced or rng.random() < 0.5
                (folder / name).write_bytes(contents[id(f)] if whole else b"")


def records(trace: bytes):
    at = 0
    while at < len(trace):
        head, value, n = struct.unpack_from("<QQQ", trace, at)
        yield head & 0xFFFFFFFF, head >> 32, value, trace[at + 24 : at + 24 + n]
        at += 24 + n


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    binary = tmp_path_factory.mktemp("driver") / "trace_driver"
    machine = ["-msse4.2"] if platform.machine() == "x86_64" else []
    strict = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *strict, *machine, "-I.", "tests/journal/trace_driver.c", "-o", binary], cwd=ROOT, check=True)
    return binary


def run(driver, folder, seed, count):
    (folder / "live").mkdir()
    subprocess.run([driver, folder / "live", folder / "trace", str(seed), str(count)], check=True)
    truth, end = journal_model.read_stream(folder / "live")
    assert len(truth) == count
    assert end in ("tail", "next")
    return truth, list(records((folder / "trace").read_bytes()))


def read(folder):
    with JournalReader(folder) as reader:
        while (batch := reader.poll()) is not None:
            buffer = batch.buffer
            for offset, *_ in batch:
                yield bytes(buffer[offset : offset + struct.unpack_from("<I", buffer, offset)[0]])


class PowerLost(Exception):
    pass


def interrupted(folder, rng, monkeypatch):
    """Recovery that is stopped at one of its steps on the disk, a part of the tail perhaps zeroed already."""
    countdown = rng.randint(0, 5)

    def step(original):
        def wrapped(*arguments):
            nonlocal countdown
            countdown -= 1
            if countdown < 0:
                raise PowerLost
            return original(*arguments)

        return wrapped

    with monkeypatch.context() as patch:
        for module, name in (
            (recovery, "sync_folder"), (quarantine, "sync_folder"), (quarantine, "write_durably"), (quarantine, "put_aside"),
        ):  # fmt: skip
            patch.setattr(module, name, step(getattr(module, name)))
        try:
            recovery.recover(folder, ControlPage(folder / "control", writable=True))
        except PowerLost:
            return


def check(folder, disk, truth, rng, monkeypatch, number):
    create_control(folder, STREAM, SEGMENT_BYTES)
    page = ControlPage(folder / "control", writable=True)
    # The control page reaches the disk when it pleases, so it may be behind; never ahead.
    page.c.durable_seq = rng.choice([0, disk.durable, rng.randint(0, disk.durable)])
    page.c.segment = rng.choice([0, disk.rolled])
    if number % 4 == 0:
        interrupted(folder, rng, monkeypatch)
    stream = recovery.recover(folder, page)
    # The trace says "appended" after the last store of a frame, so one more may be whole.
    assert disk.durable <= stream.last_seq <= disk.appended + 1
    assert list(read(folder)) == truth[: stream.last_seq]
    again = recovery.recover(folder, page)
    assert (again.last_seq, again.last_ts, again.last_crc, again.segment, again.offset) == (
        stream.last_seq, stream.last_ts, stream.last_crc, stream.segment, stream.offset,
    )  # fmt: skip
    assert again.result is None
    if number % 20 == 0:
        assert survey(folder).problems == []
        assert len(list(frames(folder))) == stream.last_seq
        assert stream.last_source_seq == ({1: stream.last_seq} if stream.last_seq else {})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_power_loss_at_any_point(driver, folder, monkeypatch, seed):
    print(f"LOCKSTEP_SEED={SEED}")
    rng = random.Random(SEED + seed)
    truth, trace = run(driver, folder, seed, 260)
    points = set(rng.sample(range(len(trace)), 70)) | {len(trace) - 1}
    disk = Disk()
    made = torn = 0
    for index, record in enumerate(trace):
        disk.apply(*record)
        if index not in points:
            continue
        for strategy in ("old", "new", "drop one", "drop one", "keep one", *["random"] * 5):
            image = folder / "image"
            image.mkdir()
            disk.image(image, rng, strategy)
            check(image, disk, truth, rng, monkeypatch, made)
            torn += (image / "quarantine").exists()
            shutil.rmtree(image)
            made += 1
    assert made >= 700
    assert torn > 30
