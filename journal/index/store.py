"""Index files: `index/00000001.idx` beside the segments. Read, compared with the segment, made again when they do not fit.

A file that cannot be written (a read-only backup, a disk that is nearly full) is no failure: the index is then used
from memory, and made again by the next who wants it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

from journal.errors import JournalError
from journal.index.layout import IndexDamaged, SegmentIndex, index_path
from journal.index.scan import SegmentScan
from journal.kernel._journal import ffi, lib
from journal.recovery import start_reader
from journal.segment import SegmentHeader, map_file, read_header, segment_name, write_durably


def is_full(header: SegmentHeader) -> bool:
    """Whether the stream has gone on in the next segment: then this one never changes again."""
    path = header.path.with_name(segment_name(header.number + 1))
    try:
        return read_header(path, header.number + 1, header.stream_id).opened is not None
    except JournalError:
        return False


def load(header: SegmentHeader, mapped: mmap.mmap) -> SegmentIndex | None:
    """The index of a full segment, if there is one and it fits. What does not fit is removed."""
    path = index_path(header)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        index = SegmentIndex(data, header)
        _compare(index, header, mapped)
    except IndexDamaged:
        discard(header)
        return None
    return index


def _compare(index: SegmentIndex, header: SegmentHeader, mapped: mmap.mmap) -> None:
    """The last frame and the end marker must stand where the index has them, and be right: an index of an earlier content
    (the segment was cut by recovery and filled anew, or replaced by an older copy) does not survive this."""
    ends = index.ends
    if not header.frames_at <= ends.last_offset < ends.end_offset <= header.segment_bytes - lib.LOCKSTEP_END_BYTES:
        raise IndexDamaged("offsets")
    if ends.last_offset % 8:
        raise IndexDamaged("offsets")
    reader, ref = ffi.new("struct lockstep_reader *"), ffi.new("struct lockstep_ref *")
    start_reader(reader, header, ffi.from_buffer(mapped))
    reader.verify, reader.offset, reader.next_seq = 1, ends.last_offset, ends.last_seq
    lib.lockstep_reader_poll(reader, ref, 1, 1, ends.last_seq)
    found = (reader.offset, reader.next_seq - 1, reader.last_ts, reader.last_crc, reader.epoch)
    if found != (ends.end_offset, ends.last_seq, ends.last_ts, ends.last_crc, ends.last_epoch):
        raise IndexDamaged("of an earlier content of the segment")
    lib.lockstep_reader_poll(reader, ref, 1, 1, 2**64 - 1)
    if reader.state != lib.LOCKSTEP_END:
        raise IndexDamaged("the segment is not full")


def build(header: SegmentHeader, mapped: mmap.mmap) -> SegmentIndex | None:
    """Make a segment's index and keep it if that can be done; None when the segment is not full, or is damaged: what a
    damaged segment has to say, the reader says who comes to the place."""
    scan = SegmentScan(header, mapped)
    try:
        if not scan.advance():
            return None
    except JournalError:
        return None
    data = scan.pack()
    with contextlib.suppress(JournalError, OSError):
        keep(header, data)
    return SegmentIndex(data, header)


def keep(header: SegmentHeader, data: bytes) -> None:
    """Write an index file, unless the disk is so full that the writer of the journal will need what is left."""
    path = index_path(header)
    path.parent.mkdir(exist_ok=True)
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < 2 * header.segment_bytes + len(data):
        return
    write_durably(path, data, temporary=path.with_suffix(f".{os.getpid()}-{threading.get_native_id()}.tmp"))


def discard(header: SegmentHeader) -> None:
    """Remove an index that does not fit."""
    with contextlib.suppress(OSError):
        index_path(header).unlink()


def load_or_build(header: SegmentHeader, mapped: mmap.mmap | None = None) -> SegmentIndex | None:
    """The index of a segment; None when it is not full."""
    mapped = mapped if mapped is not None else map_file(header.path)
    return load(header, mapped) or build(header, mapped)
