"""Builds apps.books.kernel._books: the market-by-price book."""

from __future__ import annotations

import os
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[3]
KERNEL = Path("apps/books/kernel")
CFLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror"]

ffibuilder = FFI()
ffibuilder.cdef((ROOT / KERNEL / "book.h").read_text())
ffibuilder.set_source(
    "apps.books.kernel._books",
    '#include <stdint.h>\n#include "apps/books/kernel/book.h"\n',
    sources=[str(KERNEL / "book.c")],
    include_dirs=["."],
    depends=[str(KERNEL / "book.h")],
    extra_compile_args=CFLAGS,
)

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=True, target="_books.abi3.so")
