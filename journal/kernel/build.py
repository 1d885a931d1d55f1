"""Builds journal.kernel._journal: writer, reader and index of the journal."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
KERNEL = Path("journal/kernel")
CFLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-UNDEBUG"] + (
    ["-msse4.2"] if platform.machine() == "x86_64" else []
)

ffibuilder = FFI()
HEADERS = [
    "messages.h",
    "segment.h",
    "writer.h",
    "replica.h",
    "reader.h",
    "follow.h",
    "recovery.h",
    "blake3.h",
    "index.h",
    "scrub.h",
    "gone.h",
    "murmur3.h",
]
SOURCES = [
    "writer.c",
    "replica.c",
    "reader.c",
    "follow.c",
    "recovery.c",
    "blake3.c",
    "index.c",
    "scrub.c",
    "gone.c",
    "murmur3.c",
]
for header in HEADERS:
    ffibuilder.cdef((ROOT / KERNEL / header).read_text())
ffibuilder.set_source(
    "journal.kernel._journal",
    '#include <stdint.h>\n#include "journal/kernel/clock.h"\n'
    + "".join(f'#include "journal/kernel/{header}"\n' for header in HEADERS),
    sources=[str(KERNEL / name) for name in SOURCES],
    include_dirs=["."],
    depends=[str(KERNEL / name) for name in (*HEADERS, "blake3_lanes.h", "crc32c.h", "disk.h", "append.h", "clock.h")],
    extra_compile_args=CFLAGS,
)

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=True, target="_journal.abi3.so")
