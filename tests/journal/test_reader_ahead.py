"""Reading ahead in a thread, under sanitizers: what is found is what a loop finds, whoever is faster, whatever is damaged."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc with sanitizers")
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_two_threads_find_what_one_finds(tmp_path, sanitizer):
    program = tmp_path / "ahead_driver"
    command = [
        "gcc", "-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all",
        *(["-msse4.2"] if platform.machine() == "x86_64" else []), "-I", str(ROOT), "-o", str(program),
        *(str(ROOT / path) for path in ("tests/journal/ahead_driver.c", "journal/kernel/ahead.c", "journal/kernel/reader.c")),
        "-lpthread",
    ]  # fmt: skip
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip(f"no lib for -fsanitize={sanitizer}")
    assert built.returncode == 0, built.stderr
    for seed in (1, 2):
        done = subprocess.run([program, str(seed), "60"], capture_output=True, text=True, timeout=60)
        if "unexpected memory mapping" in done.stderr:
            pytest.skip("this kernel's address layout is not known to the thread sanitizer")
        if done.returncode == 77:
            pytest.skip("one core: nothing reads ahead")
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout == "ok\n"
