"""The C kernel under address and undefined-behaviour sanitizers, with a driver in C that reads what it wrote, and damage."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = ["-msse4.2"] if platform.machine() == "x86_64" else []
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1"]
SOURCES = ["tests/journal/kernel_driver.c", "journal/kernel/writer.c", "journal/kernel/reader.c"]


@pytest.mark.parametrize("machine", [MACHINE, []], ids=["hardware-crc", "table-crc"])
def test_driver_under_sanitizers(folder, machine):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    binary = folder / "driver"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        ["gcc", *STRICT, *sanitize, *machine, "-I.", *SOURCES, "-o", binary], cwd=ROOT, capture_output=True, text=True
    )
    if "cannot find" in built.stderr:
        pytest.skip("gcc has no sanitizer libraries here")
    assert built.returncode == 0, built.stderr
    for seed in (1, 2):
        journal = folder / f"journal{seed}"
        journal.mkdir()
        run = subprocess.run([binary, journal, str(seed)], capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout) == (0, "ok\n"), run.stderr
