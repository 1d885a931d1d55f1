"""The C kernels under address and undefined-behaviour sanitizers, with drivers in C that read what they wrote, and damage."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

import blake3_model
import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = ["-msse4.2"] if platform.machine() == "x86_64" else []
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build(binary: Path, driver: str, *kernels: str, machine: list[str] = MACHINE) -> Path:
    """Compile tests/journal/`driver`.c with these kernels of the journal."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    sources = [f"tests/journal/{driver}.c", *(f"journal/kernel/{name}.c" for name in kernels)]
    built = subprocess.run(
        ["gcc", *STRICT, *SANITIZE, *machine, "-I.", *sources, "-o", binary], cwd=ROOT, capture_output=True, text=True
    )
    if "cannot find" in built.stderr:
        pytest.skip("gcc has no sanitizer libraries here")
    assert built.returncode == 0, built.stderr
    return binary


def run(binary: Path, *arguments: object) -> str:
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("machine", [MACHINE, []], ids=["hardware-crc", "table-crc"])
def test_writer_and_reader_under_sanitizers(folder, machine):
    binary = build(folder / "driver", "kernel_driver", "writer", "reader", "scrub", machine=machine)
    for seed in (1, 2):
        (folder / f"journal{seed}").mkdir()
        assert run(binary, folder / f"journal{seed}", seed) == "ok\n"


def test_replica_under_sanitizers(folder):
    binary = build(folder / "driver", "replica_driver", "replica", "writer")
    for seed in range(1, 5):
        (folder / f"journals{seed}").mkdir()
        assert run(binary, folder / f"journals{seed}", seed) == "ok\n"


def test_digests_under_sanitizers(folder):
    sizes = [0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 3073, 65_535, 65_536, 65_537, 131_072, 197_700]
    data = (bytes(range(251)) * (sizes[-1] // 251 + 1))[: sizes[-1]]
    expected = {size: blake3_model.blake3(data[:size]).hex() for size in sizes}
    lines = [line.split() for line in run(build(folder / "driver", "blake3_driver", "blake3"), *sizes).splitlines()]
    assert len(lines) == 3 * len(sizes)
    assert {(int(size), digest) for _, size, digest in lines} == set(expected.items())


def test_hashes_of_short_texts_under_sanitizers(folder):
    """Portable, and as this processor does it."""
    lines = [line.split() for line in run(build(folder / "driver", "blake2b_driver")).splitlines()]
    assert [int(size) for size, *_ in lines] == list(range(1201))
    for size, *found in lines:
        text = bytes((7 * j + int(size)) & 0xFF for j in range(int(size)))
        assert set(found) == {hashlib.blake2b(text, digest_size=32).hexdigest()}, size
