"""Power loss: disks as a crash may leave them, by the hundred thousand, each of them recovered and judged.

What the writer stores is traced; the driver is C (images.h). Every so many images one goes through the whole of recovery, on
real files.

How an image is made and what must hold: docs/crash-safety.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

from journal.index.make import make_indices
from journal.reader import JournalReader
from journal.recovery import RecoveredStream, recover
from journal.segment import ControlPage, create_control
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.option_types import whole
from lockstep.torture.drivers import build, scratch
from lockstep.torture.outcome import Find, Outcome, Tell

SOURCES = ["lockstep/torture/images*.c", "journal/kernel/reader.c", "journal/kernel/recovery.c"]
STREAM = 77
"""What the driver's traces are called."""
_TRACES_OF_A_JOB = 1 << 32
_CLEAN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep torture images` beside the common ones."""
    parser.add_argument(
        "--jobs", type=whole(1), default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)"
    )
    parser.add_argument(
        "--exhaustive",
        type=whole(0),
        default=20_000,
        metavar="N",
        help="try every combination of units where there are at most N",
    )
    parser.add_argument(
        "--samples", type=whole(0), default=1000, metavar="N", help="how many go through recovery on real files"
    )
    parser.add_argument("--trace", type=whole(0), metavar="N", help="only this trace: repeats a find")
    parser.add_argument("--image", type=whole(0), default=0, metavar="N", help="keep this image of the trace in --keep")


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture images`"""
    count = arguments.count or (0 if arguments.hours or arguments.trace is not None else 10_000_000)
    with scratch() as folder:
        campaign = _Campaign(arguments, count, folder, tell)
        return campaign.run()


class _Campaign:
    """The jobs of one run, and their sums."""

    def __init__(self, arguments: argparse.Namespace, count: int, folder: Path, tell: Tell) -> None:
        self.arguments, self.count, self.folder, self.tell = arguments, count, folder, tell
        self.seconds = int(arguments.hours * 3600) if arguments.hours else 0
        self.metrics: dict[str, int | float] = {}
        self.finds: list[Find] = []
        self.done: dict[int, int] = {}
        self.lock = threading.Lock()
        self.processes: list[subprocess.Popen[str]] = []
        self.over = False
        """No more of them is started: who ends the campaign ends those that there are."""

    def run(self) -> Outcome:
        binary = build(SOURCES, self.folder / "images")
        jobs = 1 if self.arguments.trace is not None else max(1, self.arguments.jobs)
        threads = [threading.Thread(target=self._job, args=(binary, job, jobs)) for job in range(jobs)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            with self.lock:
                self.over = True
            for process in self.processes:
                process.kill()
            for thread in threads:  # which write into the folder that is removed next
                if thread.ident is not None:
                    thread.join()
        wall_ns = self.metrics.pop("ns", 0)
        if wall_ns:
            self.metrics["images_per_s"] = round(self.metrics["images"] * jobs / wall_ns * 1e9)
        conditions: dict[str, str | int | float] = {
            "seed": self.arguments.seed, "jobs": jobs, "units": "512, 64, 4096 B", "exhaustive_max": self.arguments.exhaustive,
        }  # fmt: skip
        return Outcome("images", conditions, self.metrics, self.finds)

    def _job(self, binary: Path, job: int, jobs: int) -> None:
        a = self.arguments
        folder = self.folder / f"job{job}"
        folder.mkdir()
        first, traces = (a.trace, 1) if a.trace is not None else (job * _TRACES_OF_A_JOB, _TRACES_OF_A_JOB)
        count = -(-self.count // jobs)
        every = max(count // max(1, a.samples // jobs), 1) if count else 100_000
        numbers = (
            a.seed, first, traces, count, self.seconds, a.exhaustive, 64, 8, every if a.trace is None else 0, a.image,
        )  # fmt: skip
        with self.lock:
            if self.over:
                return
            process = subprocess.Popen([binary, folder, *map(str, numbers)], stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
        assert process.stdout is not None
        ended = False
        found: dict[str, Any] | None = None
        for line in process.stdout:
            event = json.loads(line)
            match event.pop("event"):
                case "progress":
                    self._progress(job, event["images"])
                case "sample":
                    self._sample(event)
                case "found":
                    found = event
                case "kept":
                    self._kept(found, event)
                case "end":
                    ended = True
                    self._add(event)
        if process.wait() not in (0, 1) or not ended:
            self.finds.append(Find(f"the driver of job {job} ended with exit code {process.returncode}", self._command("")))

    def _progress(self, job: int, images: int) -> None:
        with self.lock:
            self.done[job] = images
            total = sum(self.done.values())
            self.tell(total, self.count, f"{total:,} images, {len(self.finds)} found")

    def _add(self, event: dict[str, int]) -> None:
        with self.lock:
            for name, value in event.items():
                key = name.replace(" ", "_")
                self.metrics[key] = self.metrics.get(key, 0) + value

    def _command(self, more: str) -> str:
        return f"lockstep torture images --seed {self.arguments.seed} --exhaustive {self.arguments.exhaustive}{more}"

    def _kept(self, found: dict[str, Any] | None, event: dict[str, Any]) -> None:
        kept = ""
        if self.arguments.keep is not None:
            self.arguments.keep.mkdir(parents=True, exist_ok=True)
            target = self.arguments.keep / Path(event["folder"]).name
            shutil.copytree(event["folder"], target, dirs_exist_ok=True)
            _control(target, event)
            kept = str(target)
        if found is not None:
            text = "{what}; crash point {point}, units of {unit} bytes, {strategy}".format_map(found)
            more = f" --trace {found['trace']} --image {found['image']} --keep FOLDER"
            with self.lock:
                self.finds.append(Find(text, self._command(more), kept))

    def _sample(self, event: dict[str, Any]) -> None:
        folder = Path(event["folder"])
        try:
            check_sample(folder, event)
        except Exception as error:
            trace, image = folder.name.removeprefix("sample").split("-")
            with self.lock:
                self.finds.append(
                    Find(
                        f"recovery on real files: {type(error).__name__}: {error}",
                        self._command(f" --trace {trace} --image {image} --keep FOLDER"),
                    )
                )
        shutil.rmtree(folder)


class Wrong(Exception):
    """Recovery on real files did something else than the decision said."""


def _control(folder: Path, event: dict[str, Any]) -> None:
    create_control(folder, STREAM, 1 << 20, durable_seq=event["control_durable_seq"], segment=event["control_segment"])


def _demand(good: bool, what: str) -> None:
    if not good:
        raise Wrong(what)


def _end(stream: RecoveredStream) -> tuple[int, ...]:
    return (stream.last_seq, stream.last_ts, stream.last_crc, stream.segment, stream.offset)


def check_sample(folder: Path, event: dict[str, Any]) -> None:
    """The whole of recovery on one image: the decision's end, the cut bytes in quarantine, the same by the indices, then
    appending and reading."""
    _control(folder, event)
    segment = folder / f"{event['segment']:08d}.seg"
    tail = segment.read_bytes()[event["offset"] : event["cut_to"]] if event["segment"] else b""
    stream = recover(folder, ControlPage(folder / "control", writable=True))
    expected = tuple(event[name] for name in ("last_seq", "last_ts", "last_crc", "segment", "offset"))
    _demand(_end(stream) == expected, f"ends at {_end(stream)}; decided was {expected}")
    _demand((stream.result is None) == (event["verdict"] == _CLEAN), f"verdict {event['verdict']}, result {stream.result}")
    if tail:
        assert stream.result is not None
        copy = folder / f"quarantine/{event['segment']:08d}-{event['offset']}.bin"
        _demand(copy.read_bytes() == tail, f"{copy.name} does not hold the bytes cut")
    again = recover(folder, ControlPage(folder / "control", writable=True))
    _demand(_end(again) == expected and again.result is None, f"recovered again: {_end(again)}, {again.result}")
    _demand(not survey(folder).problems, f"verify: {survey(folder).problems}")
    made = make_indices(folder)
    _demand(made.made == made.full_segments, f"indices: {made.damaged}")
    by_index = recover(folder, ControlPage(folder / "control", writable=True), by_index=True)
    _demand(_end(by_index) == expected and by_index.result is None, f"by the indices: {_end(by_index)}, {by_index.result}")
    with JournalWriter.open(folder, schema=b'{"kinds":[]}', by_index=True) as writer:
        for ts in (1, 2, 3):
            writer.append_bytes(10000, 1, struct.pack("<Q", ts), ts=stream.last_ts + ts)
        _demand(writer.recovery == stream.result, f"reported was {writer.recovery}; cut was {stream.result}")
    with JournalReader(folder) as reader:
        while reader.poll() is not None:
            pass
        _demand(reader.seen_seq == stream.last_seq + 3, f"read {reader.seen_seq} frames; {stream.last_seq} + 3 were there")
