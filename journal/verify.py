"""Checking a whole journal, to the last byte: every header, schema, chain link, frame, seal, and the zeros behind them.

Unlike recovery it changes nothing and does not stop at the first bad place: each segment is checked by itself (several at once
where there are cores), so that all damage is named. What runs from one segment to the next is compared afterwards. A journal
that is being written may be verified; its end is then where it was when the check came there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from journal.check_segment import CheckedSegment, Tallies, alive, check_segment
from journal.errors import FramesLost, JournalCorrupt, JournalError, JournalMissing, os_failure
from journal.head import Head
from journal.seal import NO_CHAIN, Seal, check_link, read_seal, seal_name, sealed_numbers
from journal.segment import CONTROL, ControlPage, all_segment_files, read_header, segment_name
from journal.signing import Key
from journal.slices import begins_after

WORKERS_MAX = 8


class SegmentSurvey(msgspec.Struct):
    """What one segment holds."""

    number: int
    file: str
    bytes: int
    used_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_epoch: int = 0
    last_epoch: int = 0
    state: str = "prepared"
    sealed: str = ""
    """The chain digest of its seal, if there is one."""


class Survey(msgspec.Struct):
    """What a journal holds, and what is wrong with it (nothing, when `problems` is empty)."""

    path: str
    stream_id: int = 0
    segments: list[SegmentSurvey] = []
    frames: int = 0
    first_ts: int = 0
    last_ts: int = 0
    last_seq: int = 0
    frames_by_kind: dict[int, int] = {}
    bytes_by_kind: dict[int, int] = {}
    last_source_seq: dict[int, int] = {}
    written_seq: int = 0
    durable_seq: int = 0
    writer_pid: int = 0
    sealed_seq: int = 0
    """Seals vouch for the frames up to here."""
    heads_checked: int = 0
    quarantine: list[str] = []
    problems: list[str] = []


class _Survey:
    """The run of one survey."""

    def __init__(self, path: Path, progress: Callable[[int, int], None] | None, heads: Iterable[Head], key: Key | None) -> None:
        self.path = path
        self.heads = list(heads)
        self.key = key
        self.out = Survey(str(path))
        self._progress = progress
        self._lock = threading.Lock()
        self._done_bytes = self._total_bytes = 0
        self._tallies: list[Tallies] = []
        self._local = threading.local()

    def run(self) -> Survey:
        out = self.out
        files = all_segment_files(self.path)
        control = ControlPage(self.path / CONTROL) if (self.path / CONTROL).exists() else None
        if control is None and not files:
            raise JournalMissing(f"{self.path}: no journal here: neither a control page nor a segment")
        out.stream_id = control.stream_id if control else read_header(files[0][1], files[0][0]).stream_id
        if control is None:
            out.problems.append(f"{self.path / CONTROL}: missing; how far the journal was on disk is not known")
        seals = self._read_seals()
        self._total_bytes = sum(path.stat().st_size for _, path in files if path.exists())
        checked = self._check_all(files, seals)
        self._join(checked, seals)
        self._heads(checked, seals)
        self._finish(control, files[-1][0] if files else 0)
        return out

    def _read_seals(self) -> dict[int, Seal]:
        seals: dict[int, Seal] = {}
        for number in sealed_numbers(self.path):
            try:
                seal = read_seal(self.path, number, self.out.stream_id)
            except JournalError as error:
                self.out.problems.append(str(error))
            else:
                if seal is not None:
                    seals[number] = seal
        return seals

    def _check_all(self, files: list[tuple[int, Path]], seals: dict[int, Seal]) -> list[CheckedSegment]:
        workers = min(len(os.sched_getaffinity(0)), len(files), WORKERS_MAX)
        if workers < 2:
            return [self._check(number, path, seals.get(number)) for number, path in files]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda file: self._check(file[0], file[1], seals.get(file[0])), files))

    def _check(self, number: int, path: Path, seal: Seal | None) -> CheckedSegment:
        """One segment, in whatever thread; nothing that is wrong with it can end the check of the others."""
        if not hasattr(self._local, "tallies"):
            self._local.tallies = Tallies()
            with self._lock:
                self._tallies.append(self._local.tallies)
        found = CheckedSegment(number, path, claims_wanted=[h.seq for h in self.heads if h.seq is not None])
        try:
            check_segment(found, self.out.stream_id, seal, self._local.tallies, self._step)
        except JournalError as error:
            found.problems.append(str(error))
            found.state = "unreadable"
        except OSError as error:
            found.problems.append(str(os_failure(path, error.errno or 0, "reading it")))
            found.state = "unreadable"
        return found

    def _step(self, fresh_bytes: int) -> None:
        with self._lock:
            self._done_bytes += fresh_bytes
            if self._progress is not None:
                self._progress(min(self._done_bytes, self._total_bytes), self._total_bytes)

    # ---- from one segment to the next

    def _join(self, checked: list[CheckedSegment], seals: dict[int, Seal]) -> None:
        out = self.out
        closed, expected = False, 1
        before: CheckedSegment | None = None
        for found in checked:
            for missing in range(expected, found.number):
                name = segment_name(missing)
                out.problems.append(f"{self.path / name}: missing, though {found.path.name} is there; restore it from a copy")
                before = None
            expected = found.number + 1
            out.problems += found.problems
            if found.state == "unreadable":
                before = None
                continue
            seal = seals.get(found.number)
            entry = SegmentSurvey(found.number, found.path.name, found.segment_bytes)
            out.segments.append(entry)
            if not found.opened:
                closed = True
                continue
            if closed:
                out.problems.append(f"{found.path}: is open, but the stream ends in an earlier segment")
            self._link(found, before, seals.get(found.number - 1))
            entry.first_seq, entry.last_seq, entry.used_bytes = found.first_seq, found.last_seq, found.used_bytes
            entry.first_epoch, entry.last_epoch, entry.state = found.first_epoch, found.last_epoch, found.state
            entry.sealed = seal.chain.hex() if seal is not None else ""
            out.frames += found.frames
            out.first_ts = out.first_ts or found.first_ts
            out.last_ts, out.last_seq = found.last_ts, found.last_seq
            closed = closed or found.state == "current"
            before = found
        for number in sorted(n for n in seals if n >= expected):
            out.problems.append(f"{self.path / segment_name(number)}: missing, though {seal_name(number)} is there")
        self._seal_chain(seals)

    def _link(self, found: CheckedSegment, before: CheckedSegment | None, sealed_before: Seal | None) -> None:
        """Does the open record continue the segment before? Where that one is damaged, its seal still knows how it ended."""
        if found.number == 1:
            end = (found.link[0] if begins_after(self.path) else 1, 0, 0)
        elif before is not None and before.state in ("full", "current"):
            end = (before.last_seq + 1, before.last_ts, before.last_crc)
        elif sealed_before is not None:
            end = (sealed_before.last_seq + 1, sealed_before.last_ts, sealed_before.last_crc)
        else:
            return
        if found.link[0] != end[0]:
            expected = f"a segment that starts with seq {end[0]}"
            self.out.problems.append(str(JournalCorrupt(found.path, 512, expected, f"first_seq {found.link[0]}")))
        elif found.link != end:
            expected = f"a segment that follows a frame with ts {end[1]}, crc {end[2]:#010x}"
            actual = f"ts {found.link[1]}, crc {found.link[2]:#010x}"
            self.out.problems.append(str(JournalCorrupt(found.path, 512, expected, actual)))

    def _seal_chain(self, seals: dict[int, Seal]) -> None:
        out = self.out
        on_disk = sealed_numbers(self.path)
        numbers = sorted(seals)
        for number in range(1, (on_disk[-1] if on_disk else 0) + 1):
            seal = seals.get(number)
            if seal is None:
                if number not in on_disk:
                    out.problems.append(
                        f"{self.path / seal_name(number)}: missing, though {seal_name(on_disk[-1])} is there; restore it, or"
                        " make it again: lockstep journal seal"
                    )
                continue
            before = seals.get(number - 1)
            if number == 1 or before is not None:
                try:
                    check_link(self.path, seal, before)
                except JournalError as error:
                    out.problems.append(str(error))
            if self.key is not None and (fault := self.key.fault(seal.chain, seal.signature)):
                out.problems.append(f"{self.path / seal_name(number)}: {fault}")
        if numbers and numbers == list(range(1, numbers[-1] + 1)):
            out.sealed_seq = seals[numbers[-1]].last_seq

    # ---- what was said about the past

    def _heads(self, checked: list[CheckedSegment], seals: dict[int, Seal]) -> None:
        """Claims on the stream itself (a seal, an end, a take-over) and heads from outside, against what stands here."""
        chains = {0: NO_CHAIN} | {n: s.chain for n, s in seals.items()}
        for found in checked:
            if found.number not in chains and found.number - 1 in chains and found.whole is not None:
                chains[found.number] = msgspec.structs.replace(found.whole, previous=chains[found.number - 1]).chain
        at: dict[int, set[bytes]] = {}
        for found in checked:
            previous = chains.get(found.number - 1)
            if previous is None:
                continue
            for seq, facts in found.prefixes.items():
                at.setdefault(seq, set()).add(msgspec.structs.replace(facts, previous=previous).chain)
            if found.whole is not None:
                at.setdefault(found.last_seq, set()).add(chains[found.number])
        for found in checked:
            for said in found.claims:
                known = at.get(said.seq)
                if known is not None and said.digest not in known:
                    self.out.problems.append(
                        f"{found.path}: frame {said.by_seq} says that the stream up to frame {said.seq} has chain digest"
                        f" {said.digest.hex()}; what stands there has {min(known).hex()}: frames before it were replaced"
                    )
        by_digest = {digest: seq for seq, digests in at.items() for digest in digests}
        agreed = 0
        for head in self.heads:
            problem = self._head_fault(head, at, by_digest, agreed)
            if problem:
                self.out.problems.append(problem)
                break
            agreed = head.seq if head.seq is not None else by_digest[head.digest]
            self.out.heads_checked += 1

    def _head_fault(self, head: Head, at: dict[int, set[bytes]], by_digest: dict[bytes, int], agreed: int) -> str:
        if head.stream_id not in (None, self.out.stream_id):
            return f"{self.path}: is stream {self.out.stream_id:#018x}; the head is one of stream {head.stream_id:#018x}"
        if self.key is not None and head.signature and (fault := self.key.fault(head.digest, head.signature)):
            return f"{self.path}: the head of frame {head.seq} {fault}"
        if head.seq is None:
            known = head.digest in by_digest
            return "" if known else f"{self.path}: no seal has chain digest {head.digest.hex()}: the journal was replaced"
        if head.seq > self.out.last_seq:
            return f"{self.path}: ends with seq {self.out.last_seq}; the head is of seq {head.seq}: frames are lost"
        if head.digest in at.get(head.seq, ()) or (head.seq == 0 and head.digest == NO_CHAIN):
            return ""
        place = next((self.path / s.file for s in self.out.segments if s.first_seq <= head.seq <= s.last_seq), self.path)
        since = f"after frame {agreed}, where an earlier head agrees, and" if agreed else "at or"
        return (
            f"{place}: the stream up to frame {head.seq} is not the one whose head {head.digest.hex()} was"
            f" exported: frames were replaced {since} before frame {head.seq + 1}"
        )

    def _finish(self, control: ControlPage | None, last_number: int) -> None:
        out = self.out
        out.frames_by_kind = Tallies.frames_by_kind(self._tallies)
        out.bytes_by_kind = Tallies.bytes_by_kind(self._tallies)
        out.last_source_seq = Tallies.last_source_seq(self._tallies)
        quarantine = self.path / "quarantine"
        out.quarantine = sorted(p.name for p in quarantine.iterdir()) if quarantine.is_dir() else []
        if control is None:
            return
        out.written_seq, out.durable_seq = int(control.c.written_seq), int(control.c.durable_seq)
        pid = int(control.c.writer_pid)
        out.writer_pid = pid if alive(pid) else 0
        if out.last_seq < out.durable_seq and not out.writer_pid:
            out.problems.append(str(FramesLost(self.path, out.last_seq, out.durable_seq)))
        if control.c.segment > last_number:
            out.problems.append(
                f"{self.path / segment_name(control.c.segment)}: missing; the control page says that it was written"
            )


def survey(
    path: Path | str,
    progress: Callable[[int, int], None] | None = None,
    *,
    heads: Iterable[Head] = (),
    key: Key | None = None,
) -> Survey:
    """Read and check everything; `progress(done_bytes, total_bytes)` is called every few megabytes. `heads` were exported
    earlier and must still hold; every seal must be signed with `key`, if one is given."""
    return _Survey(Path(path), progress, heads, key).run()
