"""Reading a journal, live or offline, from any seq. Maps files read-only and checks every frame; the writer never notices."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from journal.errors import BeginMissing, JournalCorrupt, JournalMissing
from journal.evolve import Evolver, evolution_of, other_version
from journal.index.fields import fields_of
from journal.index.jump import follow
from journal.index.jump import to_seq as jump_to
from journal.index.layout import IndexDamaged
from journal.index.locate import last_segment
from journal.index.plan import Plan, Wanted
from journal.index.store import discard, is_full, load, load_or_build
from journal.index.tail import tail_blocks
from journal.kernel._journal import ffi, lib
from journal.messages import accelerator
from journal.messages.enums import DurabilityPolicy
from journal.recovery import chain_break, describe, start_reader
from journal.segment import (
    CONTROL,
    ControlPage,
    SegmentHeader,
    count_segments,
    map_file,
    read_header,
    segment_name,
)
from journal.slices import begins_after

_REF = struct.Struct("<IHHQq")
_NO_LIMIT = 2**64 - 1
_EMPTY_BYTES = 64
"""Of a window without frames."""
# How many frames a filtered poll looks at before it says how far it came.
_SCAN_FACTOR = 64


Row = tuple[int, int, int, int, int]
"""offset, kind, source, seq, ts of a frame."""
rows: Callable[[bytes], Iterator[Row]] = _REF.iter_unpack
"""The rows of packed refs, 24 bytes each."""


class Batch:
    """Frames of one poll, in order: iteration yields (offset, kind, source, seq, ts); the body stands at offset + 64.

    `buffer` is the whole mapped segment and stays valid as long as the batch or a view of it is held. `first_seq` and
    `last_seq` are what the poll looked at, frames that were filtered out included. `refs` are the rows, 24 bytes each.
    Of a segment that another schema wrote, `buffer` holds copies of frames, those of old kinds as this build writes them.
    """

    __slots__ = ("buffer", "first_seq", "header", "last_seq", "refs")

    def __init__(self, buffer: memoryview, refs: bytes, first_seq: int, last_seq: int, header: SegmentHeader) -> None:
        self.buffer = buffer
        self.refs = refs
        self.first_seq = first_seq
        self.last_seq = last_seq
        self.header = header

    def __iter__(self) -> Iterator[Row]:
        return rows(self.refs)

    def __len__(self) -> int:
        return len(self.refs) // _REF.size


class JournalReader:
    """Polls a journal from `from_seq` on. Any number may read at once, each at its own pace.

    `verify=False` trusts crc, ts and epoch (seq and length are always checked). `kinds`, `instruments` and `orders` are
    filtered in C: frames of these kinds that name one of these instruments and one of these orders. In full segments
    with an index (`journal.index`) only the blocks are read that may hold such frames, and `from_seq` is found without a scan.
    `build_index` makes indices that are missing, which costs a scan of the segment: for tools, not for live hosts.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        from_seq: int = 1,
        verify: bool = True,
        kinds: Iterable[int] | None = None,
        instruments: Iterable[int] | None = None,
        orders: Iterable[int] | None = None,
        build_index: bool = False,
    ) -> None:
        self.path = Path(path)
        if from_seq < 1:
            raise ValueError(f"from_seq {from_seq}; the first frame of a stream is 1")
        self._control: ControlPage | None = None
        if not (self.path / CONTROL).exists() and not count_segments(self.path):
            raise JournalMissing(f"{self.path}: no journal here: neither a control page nor a segment")
        self._from_seq = from_seq
        self._stream_id: int | None = None
        self._header: SegmentHeader | None = None
        self._buffer: memoryview | None = None
        self.buffer = memoryview(b"")
        """What the refs of the last `at_tail` stand in: the segment, or copies of frames that another schema wrote."""
        self._base: Any = None
        self._c = ffi.new("struct lockstep_reader *")
        self._c.verify = verify
        self._c.next_seq = 1
        self._wanted = Wanted(*(None if keys is None else tuple(sorted(set(keys))) for keys in (kinds, instruments, orders)))
        self._keys = [
            ffi.new(f"{c}[]", list(keys or ())) for c, keys in (("uint32_t", self._wanted[1]), ("uint64_t", self._wanted[2]))
        ]
        if self._wanted.kinds is not None:
            self._c.filtered = 1
            for kind in self._wanted.kinds:
                self._c.kinds[kind // 64] |= 1 << (kind % 64)
        self._build_index = build_index
        self._plan: Plan | None = None
        self._evolver: Evolver | None = None
        self._versions: Any = None
        """Of the segment's schema; the reader in C has but its address."""
        self._fields: Any = None
        self._skipped = 0
        self._asked_seq = 1
        self._refs: Any = None
        self._refs_bytes = memoryview(b"")
        self._refs_max = 0
        self._whole_max = 0
        """How many frames `tail` may be asked for without looking first whether it is the whole stream that is read."""
        self._addresses = (0, 0)
        self._read_control()

    def _read_control(self) -> ControlPage | None:
        if self._control is None and (self.path / CONTROL).exists():
            self._control = ControlPage(self.path / CONTROL)
            self._stream_id = self._control.stream_id
        return self._control

    @property
    def next_seq(self) -> int:
        """The next frame to be looked at; filtered frames count."""
        return max(int(self._c.next_seq), self._from_seq)

    @property
    def seen_seq(self) -> int:
        """The last frame looked at or skipped; below `next_seq` - 1 while the journal ends before `from_seq`."""
        return int(self._c.next_seq) - 1

    @property
    def written_seq(self) -> int:
        """How far the writer says it is; 0 where there is no control page."""
        control = self._read_control()
        return int(control.c.written_seq) if control else 0

    @property
    def durable_seq(self) -> int:
        """How much of it is on disk; 0 where there is no control page."""
        control = self._read_control()
        return int(control.c.durable_seq) if control else 0

    @property
    def halted(self) -> int:
        """Reason why the stream has ended by itself: act outside no more. 0: it goes on, or was stopped in order."""
        control = self._read_control()
        return int(control.c.halted) if control else 0

    @property
    def skipped_frames(self) -> int:
        """How many frames were never looked at because an index said that nothing wanted is among them."""
        return self._skipped

    @property
    def replicated_seq(self) -> int:
        """How much of it is on the disks of the followers that must have it; 0 where there is no control page."""
        control = self._read_control()
        return int(control.c.replicated_seq) if control else 0

    def released_seq(self, policy: DurabilityPolicy) -> int:
        """Up to where somebody may act outside on what stands here; 0 for ever once a higher epoch has begun elsewhere."""
        control = self._read_control()
        if control is None or control.c.fenced_epoch > control.c.epoch:
            return 0
        if policy == DurabilityPolicy.WRITTEN:
            return self.written_seq
        if policy == DurabilityPolicy.REPLICATED:
            return self.replicated_seq
        if policy == DurabilityPolicy.DURABLE_AND_REPLICATED:
            return min(self.durable_seq, self.replicated_seq)
        return self.durable_seq

    @property
    def stream_id(self) -> int | None:
        """Of the journal; None while nothing is written yet and no control page is there."""
        return self._stream_id

    @property
    def segment(self) -> SegmentHeader | None:
        """The segment the next frame is read from; None before the first poll."""
        return self._header

    def poll(self, max_frames: int = 4096, *, to_seq: int = _NO_LIMIT) -> Batch | None:
        """The next frames, at most `max_frames` and of one segment; None when nothing new is there.

        A batch may be empty (len 0) when all it looked at was filtered out. JournalCorrupt where a frame is bad; what stood
        before it has been delivered by then.
        """
        if max_frames > self._refs_max:
            self._refs, self._refs_max = ffi.new("struct lockstep_ref[]", max_frames), max_frames
            self._refs_bytes = memoryview(ffi.buffer(self._refs))
            self._whole_max = 0
        c = self._c
        first = self._asked_seq = self.next_seq
        while self.next_seq <= to_seq:
            if self._header is None and not self._enter_first():
                return None
            limit = to_seq
            if self._plan is not None:
                before = int(c.next_seq)
                limit = follow(c, self._plan, self.next_seq, to_seq)
                self._skipped += int(c.next_seq) - before
                if limit == 0:
                    self._from_seq = to_seq + 1
                    return self._batch(0, first, to_seq)
            elif c.next_seq < self._from_seq:
                lib.lockstep_reader_survey(c, self._from_seq - c.next_seq, ffi.NULL, ffi.NULL, ffi.NULL)
                if c.next_seq < self._from_seq and not self._go_on():
                    return None
                continue
            before = int(c.next_seq)
            scan_max = max_frames * _SCAN_FACTOR if c.filtered else max_frames
            n = lib.lockstep_reader_poll(c, self._refs, max_frames, scan_max, limit)
            if c.next_seq > before:
                return self._batch(self._select(n), first, int(c.next_seq) - 1)
            if not self._go_on():
                return None
        return None

    def _batch(self, n: int, first_seq: int, last_seq: int) -> Batch:
        assert self._buffer is not None
        assert self._header is not None
        refs = bytes(ffi.buffer(self._refs, n * _REF.size)) if n else b""
        return Batch(self._buffer, refs, first_seq, last_seq, self._header)

    def _select(self, n: int) -> int:
        """Drop frames of other instruments and orders from the first n refs."""
        instruments, orders = self._keys
        if not n or self._fields is None:
            return n
        if () in self._wanted:
            return 0
        return int(
            lib.lockstep_index_select(
                self._base, self._refs, n, self._fields.c, instruments, len(instruments), orders, len(orders)
            )
        )

    def tail(self, max_frames: int) -> tuple[int, int] | None:
        """Addresses of the C reader and of room for so many refs, for who waits at the tail of the whole stream in C; the
        frames then stand in `buffer`. None: `poll` first. To be asked before each wait: a segment ends, another begins."""
        if max_frames > self._whole_max:
            # Once seen to be so it stays so, except at a new segment, which may be of another schema.
            c = self._c
            whole = c.next_seq >= self._from_seq and not c.filtered and self._fields is None and self._evolver is None
            if self._header is None or not whole or max_frames > self._refs_max:
                return None
            self._whole_max = self._refs_max
            self._addresses = int(ffi.cast("uintptr_t", c)), int(ffi.cast("uintptr_t", self._refs))
        return self._addresses

    @property
    def is_at_tail(self) -> bool:
        """Whether the last look at the segment found nothing further written yet."""
        return bool(self._c.state == lib.LOCKSTEP_TAIL)

    def at_tail(self, max_frames: int, spin_ns: int, *, yields: bool = False) -> bytes | None:
        """`poll` for a host at the tail of the whole stream: waits in C, without the GIL, for up to `spin_ns` until there is
        something; `yields`: offers the core to others meanwhile. The refs of a Batch, in `buffer`. None: nothing came."""
        at = self.tail(max_frames)
        if at is None:
            return self._poll_refs(max_frames)
        if accelerator.follow is not None:
            refs = accelerator.follow(*at, max_frames, spin_ns, yields)
            if refs is not None:
                return refs
        else:
            n = lib.lockstep_reader_follow(self._c, self._refs, max_frames, max_frames, spin_ns, yields)
            if n:
                return bytes(self._refs_bytes[: n * _REF.size])
        # The tail, or the segment's end: the long way round.
        return None if self._c.state == lib.LOCKSTEP_TAIL else self._poll_refs(max_frames)

    def _poll_refs(self, max_frames: int) -> bytes | None:
        batch = self.poll(max_frames)
        return None if batch is None else batch.refs

    def _go_on(self) -> bool:
        """After a stop without a frame: True when the next segment was entered, False at the tail."""
        state = self._c.state
        assert self._header is not None
        if self._plan is not None and self._c.next_seq <= self._plan.index.ends.last_seq:
            self._distrust()
            return True
        if state == lib.LOCKSTEP_TAIL and self._evolver is not None:
            return self._next_window(self._evolver)
        if state in (lib.LOCKSTEP_TAIL, lib.LOCKSTEP_MORE):
            return False
        if state == lib.LOCKSTEP_END:
            if self._evolver is not None:
                self._c.last_crc = self._evolver.last_crc
            self._enter(self._next_header(self._header))
            return True
        at = int(self._c.offset)
        if state == lib.LOCKSTEP_BAD_VERSION:
            kind = int(ffi.cast("struct lockstep_frame *", self._base + at).kind)
            raise other_version(self._header, at, int(self._c.next_seq), kind, int(self._c.found))
        raise JournalCorrupt(self._header.path, at, *describe(self._c))

    def _next_header(self, header: SegmentHeader) -> SegmentHeader:
        path = self.path / segment_name(header.number + 1)
        following = read_header(path, header.number + 1, self._stream_id)
        if following.opened is None:
            raise JournalCorrupt(path, 512, "an open record, for the segment before ends here", "none")
        broken = chain_break(following, self._c)
        if broken is not None:
            raise JournalCorrupt(path, 512, *broken)
        return following

    def _enter_first(self) -> bool:
        """Find the open segment that holds `from_seq`; False while nothing is open yet."""
        found = last_segment(self.path, self._stream_id, lambda opened: opened.first_seq <= self._from_seq)
        if found is None:
            found = last_segment(self.path, self._stream_id, lambda opened: opened.prev_last_ts == 0)
            if found is None or found.opened is None:
                return False
            if not begins_after(self.path):
                if found.opened.first_seq == 1:
                    return False
                raise BeginMissing(
                    f"{self.path}: begins with seq {found.opened.first_seq}, so it is a slice, but its begin-….state (what its "
                    "apps start from) is missing; get this slice again"
                )
        self._stream_id = found.stream_id
        self._enter(found)
        return True

    def _enter(self, header: SegmentHeader) -> None:
        self._whole_max = 0
        mapped = map_file(header.path)
        self._base = ffi.from_buffer(mapped)
        self.buffer = self._buffer = memoryview(mapped)
        self._header = header
        start_reader(self._c, header, self._base)
        self._c.ahead_to = max(0, self._written_bytes(header) - lib.LOCKSTEP_READ_AHEAD_BYTES)
        evolution = evolution_of(header)
        named = self._wanted.instruments is not None or self._wanted.orders is not None
        self._fields = fields_of(header) if named else None
        self._evolver = None
        self._c.versions = self._versions = evolution.versions
        self._pass_over(evolution.ignorable)
        if evolution.old or evolution.newer:
            self._plan = None
            self._evolver = Evolver(evolution, header, self._buffer, self._wanted.kinds, verify=bool(self._c.verify))
            self._load(bytearray(_EMPTY_BYTES))
        else:
            self._plan = self._plan_for(header, mapped)

    def _written_bytes(self, header: SegmentHeader) -> int:
        """How far a segment is written that is entered now; all of it where no writer says so."""
        control = self._read_control()
        if control is None:
            return header.segment_bytes
        number, offset = divmod(int(control.c.published), 1 << 32)
        return header.segment_bytes if header.number < number else offset if header.number == number else 0

    def _pass_over(self, kinds: Iterable[int]) -> None:
        """Deliver no frames of these kinds."""
        for kind in kinds:
            if not self._c.filtered:
                self._c.filtered = 1
                ffi.memmove(self._c.kinds, b"\xff" * ffi.sizeof(self._c.kinds), ffi.sizeof(self._c.kinds))
            self._c.kinds[kind // 64] &= ~(1 << (kind % 64)) & _NO_LIMIT

    def _next_window(self, evolver: Evolver) -> bool:
        """The next frames of a segment that another schema wrote; False when there are none for now."""
        window = evolver.window()
        if window is not None:
            self._load(window)
            return True
        source = evolver.source
        if source.state in (lib.LOCKSTEP_TAIL, lib.LOCKSTEP_MORE):
            return False
        raise JournalCorrupt(evolver.header.path, int(source.offset), *describe(source))

    def _load(self, window: bytearray) -> None:
        self.buffer = self._buffer = memoryview(window).toreadonly()
        self._base = ffi.from_buffer(window)
        self._c.base, self._c.bytes, self._c.offset, self._c.ahead_to = self._base, len(window), 0, 0

    def _plan_for(self, header: SegmentHeader, mapped: mmap.mmap) -> Plan | None:
        """What to read of a full segment; None: everything, frame by frame."""
        late = header.opened is not None and header.opened.first_seq < self._from_seq
        if self._wanted.all and not late:
            return None
        full = is_full(header)
        index = None if not full else load_or_build(header, mapped) if self._build_index else load(header, mapped)
        if index is None:
            if late and not full and self._build_index and (blocks := tail_blocks(header, mapped)) is not None:
                jump_to(self._c, blocks, self._from_seq)
            return None
        try:
            return Plan(index, self._wanted)
        except IndexDamaged:
            discard(header)
            return None

    def _distrust(self) -> None:
        """Something else stands where the index says: forget it, read the segment from its start. That finds either what we
        are looking for, or the damage."""
        assert self._header is not None
        discard(self._header)
        self._from_seq, self._plan = self._asked_seq, None
        start_reader(self._c, self._header, self._base)

    def close(self) -> None:
        """Let go of the maps; batches still held keep theirs."""
        self._base = self._buffer = self._header = self._control = self._plan = None
        self._whole_max = 0
        self._c.base = ffi.NULL

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
