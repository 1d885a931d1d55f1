"""Builds lockstep.bench.kernel._fill: journals of any length for benches."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[3]
KERNEL = Path("lockstep/bench/kernel")
JOURNAL = Path("journal/kernel")
CFLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-UNDEBUG"] + (
    ["-msse4.2"] if platform.machine() == "x86_64" else []
)

ffibuilder = FFI()
HEADERS = [JOURNAL / "messages.h", JOURNAL / "segment.h", JOURNAL / "writer.h", KERNEL / "fill.h"]
for header in HEADERS:
    ffibuilder.cdef((ROOT / header).read_text())
ffibuilder.set_source(
    "lockstep.bench.kernel._fill",
    "#include <stdint.h>\n" + "".join(f'#include "{header}"\n' for header in HEADERS),
    sources=[str(KERNEL / "fill.c"), str(JOURNAL / "writer.c")],
    include_dirs=["."],
    depends=[*map(str, HEADERS), *(str(JOURNAL / name) for name in ("crc32c.h", "disk.h", "clock.h"))],
    extra_compile_args=CFLAGS,
)

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=True, target="_fill.abi3.so")
