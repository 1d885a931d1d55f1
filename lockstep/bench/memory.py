"""What a process holds in memory, each page once: its journal not counted, which is the page cache's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """MiB: `own` is anonymous memory and rings; `code` the pages of programs and libraries, which all processes share."""

    own: float
    code: float


class _Mapping(NamedTuple):
    path: str
    shared: bool
    start: int
    """In the file."""
    end: int
    rss_kib: int
    anonymous_kib: int


def own_bytes() -> int:
    """Anonymous memory of this process: a mapped journal is the page cache's."""
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def memory_of(pid: int, journal: Path) -> Memory:
    """Of a process, files below `journal` not counted."""
    with open(f"/proc/{pid}/smaps") as smaps:
        return counted(smaps, journal)


def counted(smaps: Iterable[str], journal: Path) -> Memory:
    """The same of the lines of /proc/PID/smaps."""
    own = code = 0
    shared: dict[str, list[_Mapping]] = defaultdict(list)
    for mapping in _mappings(smaps):
        own += mapping.anonymous_kib
        if mapping.path.startswith(f"{journal}/"):
            continue
        if mapping.shared and mapping.path:
            shared[mapping.path].append(mapping)
        else:
            code += mapping.rss_kib - mapping.anonymous_kib
    own += sum(_once(mappings) for mappings in shared.values())
    return Memory(own / 1024, code / 1024)


def _once(mappings: list[_Mapping]) -> int:
    """A ring is mapped twice in a row, so that no record is torn at its end: what lies within another mapping is the same."""
    total, covered = 0, -1
    for mapping in sorted(mappings, key=lambda m: (m.start, -m.end)):
        if mapping.end > covered:
            total += mapping.rss_kib
            covered = mapping.end
    return total


def _mappings(smaps: Iterable[str]) -> Iterable[_Mapping]:
    head: list[str] = []
    kib = {"Rss:": 0, "Anonymous:": 0}
    for line in smaps:
        words = line.split(maxsplit=5)
        if words[0].endswith(":"):
            if words[0] in kib:
                kib[words[0]] = int(words[1])
            continue
        if head:
            yield _mapping(head, kib)
        head = words
    if head:
        yield _mapping(head, kib)


def _mapping(head: list[str], kib: dict[str, int]) -> _Mapping:
    low, high = (int(number, 16) for number in head[0].split("-"))
    at, inode = int(head[2], 16), head[4]
    name = head[5].strip() if len(head) > 5 else ""
    path = f"{name} {inode}" if inode != "0" and name.startswith("/memfd:") else name
    return _Mapping(path, head[1].endswith("s"), at, at + high - low, kib["Rss:"], kib["Anonymous:"])
