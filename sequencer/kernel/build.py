"""Builds sequencer.kernel._sequencer: the rings, admission, the loop, and the journal's writer that it appends with."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
KERNEL = Path("sequencer/kernel")
JOURNAL = Path("journal/kernel")
CFLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-UNDEBUG"] + (
    ["-msse4.2"] if platform.machine() == "x86_64" else []
)

ffibuilder = FFI()
HEADERS = [
    JOURNAL / "messages.h", JOURNAL / "segment.h", JOURNAL / "writer.h",
    JOURNAL / "reader.h", KERNEL / "ring.h", KERNEL / "relay.h", KERNEL / "admission.h", KERNEL / "telemetry.h",
    KERNEL / "flow.h", KERNEL / "loop.h", KERNEL / "measure.h",
]  # fmt: skip
for header in HEADERS:
    ffibuilder.cdef((ROOT / header).read_text())
NAMES = ("ring", "relay", "admission", "lane", "loop", "behind", "flow", "flow_sources", "telemetry", "measure")
SOURCES = [KERNEL / f"{name}.c" for name in NAMES]
ffibuilder.set_source(
    "sequencer.kernel._sequencer",
    "#include <stdint.h>\n" + "".join(f'#include "{header}"\n' for header in HEADERS),
    sources=[*map(str, SOURCES), str(JOURNAL / "writer.c"), str(JOURNAL / "reader.c")],
    include_dirs=["."],
    depends=[
        *map(str, HEADERS),
        *(str(KERNEL / name) for name in ("ring_private.h", "loop_private.h", "flow_private.h", "telemetry_private.h")),
        *(str(JOURNAL / name) for name in ("blake2b.h", "crc32c.h", "disk.h", "append.h", "clock.h")),
    ],
    libraries=["pthread"],
    extra_compile_args=CFLAGS,
)

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=True, target="_sequencer.abi3.so")
