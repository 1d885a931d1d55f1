"""Every instruction boundary: the production shared objects single-stepped, and a start decided after each step.

The writer's append, a run of them, the sequencer's turn over a ring, a roll, a preparation, a sync, recovery's own store: for
each machine instruction, what a kill there would leave. Every so many boundaries a process really is killed there, and the
whole of recovery runs on its folder. What is written from Python (snapshots, indices, the control page, recovery) can change
files at its system calls only: it is stopped at each of those.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from apps.snapshots import Snapshots
from journal.errors import OperatingError
from journal.index import store
from journal.reader import JournalReader
from journal.recovery import recover
from journal.segment import ControlPage, map_file, read_header
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep.option_types import whole
from lockstep.torture.boundary_child import SCENARIOS
from lockstep.torture.drivers import ROOT, build, scratch
from lockstep.torture.outcome import Find, Outcome, Tell

SOURCES = [f"journal/kernel/{name}.c" for name in ("reader", "recovery", "writer")] + ["lockstep/torture/boundaries.c"]
SIZES = (64, 72, 136, 520, 1032)
"""Bytes of a frame: no body, one word, a usual one, more than a disk sector, many."""
SIZE_MIN, SIZE_MAX = 64, 4104
STEPPED = ("append", "batch", "lane", "roll")
ONCE = (
    "prepare:64", "sync:520", "zero:520", "py-snapshot:500", "py-index:4096", "py-control:4096", "py-recover:4096",
)  # fmt: skip
_CLEAN = 1
_FORBIDDEN = 3


class TracingForbidden(OperatingError):
    """This machine or container lets no process trace another."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep torture boundaries` beside the common ones."""
    parser.add_argument(
        "--every", type=whole(1), default=50, metavar="N", help="really kill at every Nth boundary (default 50)"
    )
    parser.add_argument(
        "--scenario",
        type=_scenario,
        action="append",
        default=[],
        metavar="NAME:SIZE",
        help="only this one, such as append:136; repeatable",
    )


def _scenario(text: str) -> str:
    """NAME:SIZE, of what there is: the driver takes it as it stands."""
    name, _, size = text.partition(":")
    try:
        if name in SCENARIOS and whole(SIZE_MIN, SIZE_MAX)(size) % 8 == 0:
            return text
    except argparse.ArgumentTypeError:
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r}: expected NAME:SIZE, one of {', '.join(SCENARIOS)} and a multiple of 8 from {SIZE_MIN} to {SIZE_MAX}"
    )


def scenarios(arguments: argparse.Namespace, round_: int) -> list[str]:
    """NAME:SIZE of all that is run in a round: the usual sizes in the first one, five others in each one after it."""
    if arguments.scenario:
        return list(arguments.scenario)
    spread = (arguments.seed + 5 * round_) * 2654435761
    sizes = SIZES if round_ == 0 else tuple(64 + 8 * ((spread + 101 * i) % 506) for i in range(len(SIZES)))
    return [f"{name}:{size}" for size in sizes for name in STEPPED] + list(ONCE)


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture boundaries`: one round, or as many as --hours and --count (of boundaries) ask for."""
    if platform.machine() != "x86_64":
        raise TracingForbidden(f"this campaign steps x86-64 instructions only; this machine is {platform.machine()}")
    outcome = Outcome("boundaries", {"seed": arguments.seed, "kill_every": arguments.every}, {})
    ends = time.monotonic() + arguments.hours * 3600
    with scratch() as folder:
        binary = build(SOURCES, folder / "boundaries")
        for round_ in itertools.count():
            place = folder / f"round{round_}"
            place.mkdir()
            _round(binary, place, arguments, scenarios(arguments, round_), outcome, tell)
            shutil.rmtree(place)
            enough = outcome.metrics.get("boundaries", 0) >= arguments.count and time.monotonic() >= ends
            if enough or outcome.finds:
                outcome.metrics["rounds"] = round_ + 1
                return outcome
    raise AssertionError("unreachable")


def _round(binary: Path, folder: Path, arguments: argparse.Namespace, wanted: list[str], outcome: Outcome, tell: Tell) -> None:
    command = [str(binary), str(folder), str(arguments.every), *wanted]
    child = ["--", sys.executable, "-m", "lockstep.torture.boundary_child"]
    process = subprocess.Popen([*command, *child], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        _follow(process, outcome, arguments, len(wanted), tell)
    finally:
        process.kill()
        process.wait()


def _follow(process: subprocess.Popen[str], outcome: Outcome, arguments: argparse.Namespace, total: int, tell: Tell) -> None:
    """Read what the driver says, and look at the folders that it leaves."""
    assert process.stdout is not None
    metrics, done, ended = outcome.metrics, 0, False
    ends: dict[str, Any] = {}
    for line in process.stdout:
        event = json.loads(line)
        match event["event"]:
            case "forbidden":
                raise TracingForbidden(
                    f"no process may trace another here ({event['what']}): give the container CAP_SYS_PTRACE or a seccomp"
                    " profile that allows ptrace, then run the same command again"
                )
            case "killed":
                _look_at(event, outcome, arguments, lambda e: check_killed(Path(e["folder"]), e))
            case "copied":
                metrics["system_calls"] = metrics.get("system_calls", 0) + 1
                _look_at(event, outcome, arguments, lambda e: check_copied(Path(e["folder"]), e["scenario"], ends))
            case "found":
                text = "{what}; {scenario} of {size} bytes, boundary {boundary}".format_map(event)
                outcome.finds.append(Find(text, _again(event)))
            case "scenario":
                done += 1
                key = "boundaries_" + event["scenario"].replace("-", "_")
                metrics[key] = metrics.get(key, 0) + event["boundaries"]
                tell(done, total, f"{event['scenario']} {event['size']}, {len(outcome.finds)} found")
            case "end":
                ended = True
                for key in ("boundaries", "kills"):
                    metrics[key] = metrics.get(key, 0) + event[key]
    if process.wait() not in (0, 1) or not ended:
        outcome.finds.append(Find(f"the driver ended with exit code {process.returncode}", "lockstep torture boundaries"))


def _again(event: dict[str, Any]) -> str:
    return f"lockstep torture boundaries --scenario {event['scenario']}:{event['size']}"


def _look_at(event: dict[str, Any], outcome: Outcome, arguments: argparse.Namespace, check: Any) -> None:
    folder = Path(event["folder"])
    kept = ""
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, arguments.keep / folder.name, dirs_exist_ok=True)
    try:
        check(event)
    except Exception as error:
        where = f"{event['scenario']} of {event['size']} bytes, boundary {event['boundary']}"
        kept = str(arguments.keep / folder.name) if arguments.keep is not None else ""
        outcome.finds.append(Find(f"{type(error).__name__}: {error}; {where}", _again(event), kept))
    shutil.rmtree(folder)


class Wrong(Exception):
    """A start that does not find what it must."""


def _demand(good: bool, what: str) -> None:
    if not good:
        raise Wrong(what)


def check_killed(folder: Path, event: dict[str, Any]) -> None:
    """The whole of recovery on the folder of a process that was killed: it ends where was decided while it still lived."""
    expected = tuple(event[name] for name in ("last_seq", "last_ts", "last_crc", "segment", "offset"))
    for clean in (event["verdict"] == _CLEAN, True):
        stream = recover(folder, ControlPage(folder / "control", writable=True))
        found = (stream.last_seq, stream.last_ts, stream.last_crc, stream.segment, stream.offset)
        _demand(found == expected, f"recovery ends at {found}; decided was {expected}")
        _demand((stream.result is None) == clean, f"verdict {event['verdict']}; recovery cut {stream.result}")
    with JournalWriter.open(folder, segment_bytes=1 << 20) as writer:
        for ts in (1, 2, 3):
            writer.append_bytes(10000, 1, bytes(8), ts=stream.last_ts + ts)
    _demand(_read(folder) == stream.last_seq + 3, f"{_read(folder)} frames are read; {stream.last_seq} + 3 were there")


def _read(folder: Path) -> int:
    with JournalReader(folder) as reader:
        while reader.poll() is not None:
            pass
        return reader.seen_seq


def check_copied(folder: Path, scenario: str, ends: dict[str, Any]) -> None:
    """A folder as a kill at a system call would leave it: the old content whole, or the new one; never neither."""
    match scenario:
        case "py-snapshot":
            snapshots = Snapshots(folder, 77, {"app": "some.App"})
            held = [snapshots.read(path) for path in sorted(folder.glob("*.snapshot"))]
            states = [file.head.own.rest if file is not None else None for file in held]
            _demand(states in ([b"old"], [b"old", b"new"]), f"snapshots {states}")
        case "py-index":
            header = read_header(folder / "00000001.seg", 1)
            _demand(store.load(header, map_file(header.path)) is not None, "no index that can be used")
        case "py-control" | "py-recover":
            with JournalWriter.open(folder) as writer:
                end = (writer.last_seq, writer.recovery and writer.recovery.kept_seq)
                _demand(end == ends.setdefault(scenario, end), f"ends at {end}; at another call at {ends[scenario]}")
                cut = writer.last_seq if scenario == "py-recover" else None
                _demand(end == (writer.last_seq, cut), f"reported as cut behind {end[1]}; expected {cut}")
            _demand(not survey(folder).problems, f"verify: {survey(folder).problems}")
