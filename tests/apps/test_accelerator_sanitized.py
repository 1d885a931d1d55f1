"""The extensions for Python under ASan and UBSan: their own tests again, with every object in a block of its own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import apps.group

ROOT = Path(__file__).parents[2]
SOURCES = {
    "journal.kernel._fast": ["journal/kernel/python/fast.c", "journal/kernel/reader.c", "journal/kernel/follow.c"],
    "sequencer.kernel._fast": ["sequencer/kernel/python/fast.c"],
    "apps.kernel._fast": [f"apps/kernel/python/{name}.c" for name in ("fast", "run", "say")],
}
TESTS = [
    "tests/apps/test_group_run.py",
    "tests/apps/test_live_idle.py",
    "tests/journal/messages/test_accelerator.py",
    "tests/sequencer/test_sequencer_send.py",
]
# Stands before every other way to find a module: the extensions come from the folder given first.
RUN = """
import importlib.util, os, sys
from pathlib import Path

class Sanitized:
    @staticmethod
    def find_spec(name, path=None, target=None):
        file = Path(sys.argv[1]) / f"{name}.so"
        return importlib.util.spec_from_file_location(name, file) if file.exists() else None

sys.meta_path.insert(0, Sanitized)
import apps.kernel._fast
assert apps.kernel._fast.__file__.startswith(sys.argv[1])
import pytest
os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[2:]]))
"""


def build(folder: Path, root: Path = ROOT) -> None:
    """Compile the extensions of the sources below `root` into `folder`."""
    for name, sources in SOURCES.items():
        command = [
            "gcc", "-std=c11", "-g", "-O1", "-fPIC", "-shared", "-fno-strict-aliasing", "-fwrapv", "-Wall", "-Wextra",
            "-Werror", "-Wno-missing-field-initializers", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer", "-I", str(root), "-I", sysconfig.get_path("include"),
            "-o", str(folder / f"{name}.so"), *(str(root / source) for source in sources),
        ]  # fmt: skip
        command += ["-msse4.2"] if platform.machine() == "x86_64" else []
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode and "cannot find" in built.stderr:
            pytest.skip("no libraries for -fsanitize=address,undefined")
        assert built.returncode == 0, built.stderr


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests with the extensions in `folder`; what sanitizers say goes to files named `found` there: stderr is pytest's."""
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    said = f"log_path={folder}/found"
    return subprocess.run(
        [sys.executable, "-c", RUN, str(folder), *tests], cwd=ROOT, capture_output=True, text=True, timeout=600,
        env=os.environ
        | {
            "LD_PRELOAD": library,
            "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:{said}",
            "UBSAN_OPTIONS": said,
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip


def found(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("found.*")))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc with sanitizers")
@pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")
def test_the_accelerator_under_sanitizers(tmp_path):
    build(tmp_path)
    done = run(tmp_path, *TESTS)
    assert done.returncode == 0, found(tmp_path)[:5000] + done.stdout[-3000:] + done.stderr[-5000:]
    assert "[100%]" in done.stdout


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc with sanitizers")
@pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")
def test_a_byte_too_many_would_be_seen(tmp_path):
    """The harness itself: an encoder that copies beyond what it has."""
    for package in ("journal", "sequencer", "apps"):
        shutil.copytree(ROOT / package / "kernel", tmp_path / package / "kernel", ignore=shutil.ignore_patterns("*.so", "_*"))
    path = tmp_path / SOURCES["journal.kernel._fast"][0]
    text, right = path.read_text(), "memcpy(to, c->defaults, (size_t)c->bytes);"
    assert text.count(right) == 1
    path.write_text(text.replace(right, "memcpy(to, c->defaults, (size_t)c->bytes + 2);"))
    build(tmp_path, tmp_path)
    assert run(tmp_path, "tests/journal/messages/test_accelerator.py").returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in found(tmp_path)
