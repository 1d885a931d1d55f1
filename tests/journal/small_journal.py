"""A journal with segments far below the size that `JournalWriter` allows: the C writer itself, driven from Python."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from journal.kernel._journal import ffi, lib

STREAM = 77
SCHEMA = b'{"kinds":[]}'
SEGMENT_BYTES = 16384


class SmallWriter:
    """Appends to segments of 16 KiB, two header blocks included. No control page of its own: `.control` is memory."""

    def __init__(self, folder: Path, nonce: int = 1, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.control = ffi.new("struct lockstep_control *")
        self.c = ffi.new("struct lockstep_writer *")
        self._schema = ffi.from_buffer(SCHEMA)
        self.c.folder = os.fsencode(folder)
        self.c.control, self.c.roll_fd, self.c.stream_id, self.c.nonce = self.control, -1, STREAM, nonce
        self.c.segment_bytes, self.c.schema, self.c.schema_bytes = segment_bytes, self._schema, len(SCHEMA)
        self.c.epoch = 1

    def append(self, body: bytes, source: int = 1) -> int:
        """One frame of kind 10000; rolls and prepares as it must."""
        head = ffi.new("struct lockstep_frame *")
        head.kind, head.version, head.ts = 10000, 1, self.c.last_ts + 1
        head.source, head.source_seq = source, self.c.last_seq + 1
        while code := lib.lockstep_writer_append(self.c, head, ffi.from_buffer(body), len(body)):
            assert code == -errno.EAGAIN
            if lib.lockstep_writer_wants_segment(self.c) == 2:
                self.sync()
            assert lib.lockstep_writer_prepare(self.c) == 0
        lib.lockstep_writer_publish_watermark(self.c)
        return int(self.c.last_seq)

    def sync(self) -> int:
        durable = ffi.new("uint64_t *")
        assert lib.lockstep_writer_sync(self.c, durable) == 0
        return int(durable[0])

    def prepare(self) -> None:
        assert lib.lockstep_writer_prepare(self.c) == 0

    def release(self) -> None:
        lib.lockstep_writer_release(self.c)
