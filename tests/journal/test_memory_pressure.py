"""The kernel takes pages away while they are written and read, as it does when memory is short. (J25)"""

import ctypes
import os
import random

from journal.frames import frames
from journal.kernel._journal import ffi
from journal.messages import RawMessage
from journal.reader import JournalReader
from journal.segment import segment_name
from journal.verify import survey
from journal.writer import JournalWriter

PAGE = 4096
MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT = 4, 20, 21
SEGMENT_BYTES = 1 << 20


def test_pages_that_are_dropped_or_written_back_at_any_moment_change_nothing(tmp_path):
    """Written back early, dropped from the map, pushed out of memory: a shared map's pages come back as they were stored."""
    rng, libc = random.Random(5), ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    done, said = [], []

    def squeeze(writer):
        at = int(ffi.cast("uintptr_t", writer.c.base))
        first = rng.randrange(SEGMENT_BYTES // PAGE)
        pages = rng.randrange(1, SEGMENT_BYTES // PAGE - first + 1)
        advice = rng.choice([MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT])
        done.append((advice, libc.madvise(at + first * PAGE, pages * PAGE, advice)))
        with open(tmp_path / "j" / segment_name(writer.c.segment), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    with JournalWriter.open(tmp_path / "j", segment_bytes=SEGMENT_BYTES) as writer, JournalReader(tmp_path / "j") as reader:
        seen = 0
        for n in range(3000):
            data = rng.randbytes(rng.randrange(2000))
            said.append(data)
            writer.append(RawMessage(data=data), ts=n + 1)
            if n % 10 == 0:
                squeeze(writer)
            if n % 200 == 0:
                writer.sync()
            while (batch := reader.poll()) is not None:
                seen += len(batch)
        segments = writer.c.segment
        writer.sync()
    assert segments >= 3
    assert seen == 3000
    assert {advice for advice, failed in done if not failed} == {MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT}
    assert [f.message.data for f in frames(tmp_path / "j")] == said
    assert survey(tmp_path / "j").problems == []
