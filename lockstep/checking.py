"""`lockstep sequencer CONFIG --check`: what a configuration means on this machine, before anything is started.

Facts first (who publishes what, what it will take), then warnings: what works, and will not be what was meant. What cannot work
at all is an error, one line with file, key, value and expectation, like every other one of the configuration.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.errors import JournalError
from journal.messages import FRAME_BYTES_MAX, REGISTRY, DurabilityPolicy, SessionMode
from journal.segment import read_header, segment_files
from journal.signing import Key
from lockstep import machine
from lockstep.config import Config, ConfigError
from sequencer.attach import AttachError, socket_path
from sequencer.grants import effective
from sequencer.settings import SourceSettings

SEGMENTS_AT_ONCE = 3
"""The one being written, the one prepared ahead, and one being synced and let go of."""
HOURS_LEFT_MIN = 24.0
IDLE_MEANS = {
    "spin": "never sleeps: takes one core whole, answers in well under a microsecond",
    "yield": "never sleeps, but lets others run: takes what is left of one core, answers in a few microseconds",
    "spin-then-park": "spins {spin_us} us after the last message, then sleeps: quick while busy, after a quiet time a wake",
    "park": "sleeps when there is nothing: costs nothing, each message after a quiet time costs a wake",
}  # fmt: skip


def check(config: Config) -> dict[str, Any]:
    """The whole report. ConfigError for what cannot work here."""
    s = config.system.sequencer
    sources = [_source(config, source) for source in config.sources()]
    for name, table in s.sources.items():
        if table.uid is not None and not _user(table.uid):
            raise config.error(f"sequencer.sources.{name}.uid", table.uid, "a user of this machine")
    try:
        socket = socket_path(config.journal)
    except AttachError as error:
        raise ConfigError(f"{config.path}: session.journal = {str(config.journal)!r}: {error}") from None
    cores = machine.cores()
    if s.cpu is not None and s.cpu not in cores:
        raise config.error("sequencer.cpu", s.cpu, f"one of the cores this process may run on ({cores})")
    place = machine.existing(config.journal)
    if not os.access(place, os.W_OK):
        raise config.error("session.journal", str(config.journal), f"a folder that can be made; {place} is not writable")
    _check_sealing(config)
    free = shutil.disk_usage(place).free
    rate = _bytes_per_hour(config)
    report: dict[str, Any] = {
        "config": str(config.path),
        "journal": {
            "path": str(config.journal), "exists": config.journal.exists(), "file_system": machine.file_system(place),
            "sync_us": machine.sync_us(place), "segment_bytes": s.segment_bytes, "free_bytes": free,
            "segments_free": free // s.segment_bytes, "bytes_per_hour": rate,
            "hours_left": round(free / rate, 1) if rate else None, "write_through": s.write_through,
        },
        "session": {"mode": config.mode.name.lower(), "durability": config.durability.name.lower(), "socket": str(socket)},
        "loop": {
            "idle": s.idle, "means": IDLE_MEANS[s.idle].format(spin_us=s.spin_us), "cpu": s.cpu, "cores": cores,
            "isolated": sorted(machine.isolated()), "clock_interval_ms": s.clock_interval_ms,
            "sync_interval_us": s.sync_interval_us, "sync_lag_us": s.sync_lag_us, "batch_bytes": s.batch_bytes,
        },
        "memory": {
            "rings_bytes": sum(source["ring_bytes"] for source in sources),
            "segments_bytes": SEGMENTS_AT_ONCE * s.segment_bytes, "locked_bytes": 0,
            "available_bytes": machine.memory_available(),
        },
        "sources": sources,
    }  # fmt: skip
    report["warnings"] = list(_warnings(config, report))
    return report


def _check_sealing(config: Config) -> None:
    """What the start would refuse (a key), and what would stop sealing without stopping the sequencer (a head file)."""
    s = config.system.sequencer
    if s.seal and s.seal_key:
        try:
            key = Key(Path(s.seal_key))
        except JournalError as error:
            raise ConfigError(f"{config.path}: sequencer.seal_key = {s.seal_key!r}: {error}") from None
        if not key.can_sign:
            raise config.error("sequencer.seal_key", s.seal_key, "the private key; a public one signs nothing")
    if s.seal and s.head_file:
        sink = os.path.abspath(s.head_file)
        folder = os.path.dirname(sink)
        if not os.path.isdir(folder) and folder != str(config.journal):  # which the start makes
            raise config.error("sequencer.head_file", s.head_file, f"a file in a folder that exists; {folder} is none")
        if os.path.exists(sink) and not os.path.isfile(sink):
            raise config.error("sequencer.head_file", s.head_file, "a file, existing or to be made")
        if not os.access(sink if os.path.exists(sink) else machine.existing(Path(folder)), os.W_OK):
            raise config.error("sequencer.head_file", s.head_file, "a file that this user may write")


def _source(config: Config, source: SourceSettings) -> dict[str, Any]:
    allowed = effective(source.name, source.role, source.kinds)
    tuning = config.system.sequencer.sources.get(source.name)
    limit = tuning.rate_limit if tuning is not None else None
    uid = os.getuid() if source.uid is None else source.uid
    return {
        "name": source.name, "role": source.role.name.lower(), "uid": uid, "user": _user(uid),
        "ring_bytes": source.ring_bytes or config.system.sequencer.ring_bytes,
        "kinds": [list(pair) for pair in allowed],
        "publishes": [cls.__name__ for kind, cls in sorted(REGISTRY.items()) if any(a <= kind <= b for a, b in allowed)],
        "rate_per_s": limit.per_second if limit is not None else None,
        "late_ms": tuning.late_ms if tuning is not None else None,
    }  # fmt: skip


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _bytes_per_hour(config: Config) -> int | None:
    """How fast the journals beside this one have grown: of the newest with at least two segments."""
    if not config.journal.parent.is_dir():
        return None
    beside = sorted((p for p in config.journal.parent.iterdir() if (p / "control").is_file()), key=lambda p: p.stat().st_mtime)
    for folder in reversed(beside):
        times = []
        for number, path in segment_files(folder):
            header = read_header(path, number)
            if header.opened is not None and header.opened.prev_last_ts > 0:
                times.append((header.opened.prev_last_ts, header.segment_bytes))
        if len(times) >= 2 and times[-1][0] > times[0][0]:
            return int(sum(size for _, size in times[1:]) * 3_600_000_000_000 / (times[-1][0] - times[0][0]))
    return None


def _warnings(config: Config, report: dict[str, Any]) -> Iterator[str]:
    s, journal, loop, memory = config.system.sequencer, report["journal"], report["loop"], report["memory"]
    kind, cores = journal["file_system"], loop["cores"]
    if kind in machine.VOLATILE:
        yield f"session.journal: {kind} is memory: a sync puts nothing on disk, a power cut takes the whole journal"
        if s.write_through:
            yield f"sequencer.write_through = true: of no use on {kind}, and each segment is written twice"
    elif kind == "overlay":
        yield "session.journal: overlay keeps files in a container's layer, which goes with it: mount a volume there"
    elif kind in machine.REMOTE or kind.startswith("fuse"):
        yield f"session.journal: {kind}: another machine or program decides what a sync means, and when it returns"
    if journal["sync_us"] is None:
        yield "session.journal: a sync cannot be tried there: nothing can be said about durability"
    if config.durability == DurabilityPolicy.WRITTEN and config.mode == SessionMode.LIVE:
        yield 'session.durability = "written": orders leave before their frames are on disk, in a live session'
    spinners = 1 if s.idle in ("spin", "yield") else 0
    if spinners and len(cores) <= spinners:
        yield f'sequencer.idle = "{s.idle}": never sleeps, and all processes share {len(cores)} core; use "park"'
    elif s.idle == "spin" and s.cpu is None:
        yield 'sequencer.idle = "spin" without sequencer.cpu: the kernel may move the loop, and others may get its core'
    if s.cpu is not None and s.cpu not in loop["isolated"] and len(cores) > 1:
        yield f"sequencer.cpu = {s.cpu}: not isolated (isolcpus=, or CPUAffinity of all others): other work runs there too"
    for core in [s.cpu] if s.cpu is not None else cores:
        if machine.governor(core) not in ("", "performance"):
            yield f"core {core}: frequency governor {machine.governor(core)}; expected performance for steady times"
            break
    for source in report["sources"]:
        fits = min(source["ring_bytes"] // 2, FRAME_BYTES_MAX)
        raw = "RawMessage" in source["publishes"]
        if raw and fits < FRAME_BYTES_MAX:
            yield (f"source {source['name']}: a ring of {source['ring_bytes']} bytes takes frames up to {fits}; raw messages "
                   f"may need {FRAME_BYTES_MAX}: set ring_bytes = {2 * FRAME_BYTES_MAX}")  # fmt: skip
    if s.batch_bytes > min(source["ring_bytes"] for source in report["sources"]):
        yield f"sequencer.batch_bytes = {s.batch_bytes}: more than a ring holds; one publisher can keep its turn"
    if journal["segments_free"] < SEGMENTS_AT_ONCE:
        yield (f"sequencer.segment_bytes = {s.segment_bytes}: {journal['free_bytes']} bytes are free, room for "
               f"{journal['segments_free']} segments; expected {SEGMENTS_AT_ONCE} at least")  # fmt: skip
    elif journal["hours_left"] is not None and journal["hours_left"] < HOURS_LEFT_MIN:
        yield f"session.journal: full in {journal['hours_left']} hours at the rate of the journals beside it"
    if memory["available_bytes"] and memory["rings_bytes"] + memory["segments_bytes"] > memory["available_bytes"]:
        yield (f"memory: rings and segments take {memory['rings_bytes'] + memory['segments_bytes']} bytes, "
               f"{memory['available_bytes']} are available")  # fmt: skip
    if config.system.sequencer.telemetry is False:
        yield "sequencer.telemetry = false: lockstep top has nothing to show"
