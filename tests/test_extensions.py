"""The extensions for Python under sanitizers: their own tests, in an interpreter that has them built so."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FAST = "journal/kernel/python/fast.c"


def sources(package: str, *more: str) -> list[str]:
    """The files of an extension, from the root."""
    return [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(f"{package}/kernel/python/*.c"))] + [*more]


EXTENSIONS = {
    "journal.kernel._fast": sources(
        "journal", *(f"journal/kernel/{name}.c" for name in ("reader", "follow", "ahead", "murmur3"))
    ),
    "sequencer.kernel._fast": sources("sequencer"),
    "apps.kernel._fast": sources("apps", "apps/books/kernel/book.c"),
}
TESTS = [
    "tests/journal/messages/test_accelerator.py", "tests/sequencer/test_sequencer_send.py", "tests/apps/test_live_idle.py",
    "tests/apps/test_group_run.py", "tests/apps/test_read_ahead.py", "tests/apps/test_natives.py", "tests/apps/test_idle.py",
    "tests/apps/test_decisions.py", "tests/apps/test_orders.py", "tests/journal/test_tables.py",
    "tests/apps/test_ledger.py", "tests/apps/test_timers.py", "tests/apps/test_looks.py",
    "tests/apps/test_fills.py", "tests/apps/test_state.py", "tests/journal/test_captures.py",
]  # fmt: skip
FLAGS = ["-std=c11", "-fno-strict-aliasing", "-g1", "-O0", "-shared", "-fPIC", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers",
         "-I.", f"-I{sysconfig.get_path('include')}"]  # fmt: skip
PLUGIN = """
import importlib.util, sys
from pathlib import Path

# The one of the lowest floor first: others take functions from it.
for path in sorted(Path(__file__).parent.glob("*._fast.so"), key=lambda path: not path.name.startswith("journal.")):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])


def pytest_sessionfinish(session):
    from apps import app, group
    from journal.messages import accelerator
    from sequencer import client

    modules = [accelerator._fast, client._fast, app._fast, group._fast]
    assert {Path(module.__file__).parent for module in modules} == {Path(__file__).parent}
    print("sanitized:", session.testscollected, "tests")
"""


def libasan() -> str:
    """The runtime that has to be in the process before anything else; skips where there is none."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    said = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(said).is_absolute():
        pytest.skip("gcc has no sanitizer libraries here")
    return said


def build(folder: Path, name: str, files: list[str]) -> None:
    """One extension into `folder`."""
    machine = ["-msse4.2"] if platform.machine() == "x86_64" else []
    command = ["gcc", *FLAGS, *machine, *files, "-o", folder / f"{name}.so"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    libasan()
    folder = tmp_path_factory.mktemp("built")
    for name, files in EXTENSIONS.items():
        build(folder, name, files)
    return folder


def sanitized(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests with the extensions of a folder."""
    runtime = libasan()
    (folder / "sanitized.py").write_text(PLUGIN)
    environment = os.environ | {
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={folder}/found",  # the interpreter's own leaks are not ours
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={folder}/found",
        "PYTHONMALLOC": "malloc",  # so that every object has its own guarded place
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }
    for name in [n for n in environment if n.startswith("PYTEST_")]:
        del environment[name]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "sanitized", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800,
    )  # fmt: skip


def found(folder: Path) -> str:
    """What the sanitizers have said; pytest has their stderr."""
    return "".join(path.read_text() for path in sorted(folder.glob("found.*")))


@pytest.mark.timeout(900)
def test_their_tests_under_sanitizers(built):
    done = sanitized(built, *TESTS)
    assert done.returncode == 0, found(built)[:5000] + done.stdout[-3000:] + done.stderr[-3000:]
    assert "sanitized: " in done.stdout
    assert found(built) == ""


@pytest.mark.timeout(900)
def test_a_byte_too_many_would_be_seen(built, tmp_path):
    """The harness: an encoder that copies beyond what it has."""
    text = (ROOT / FAST).read_text()
    right = "memcpy(to, c->defaults, (size_t)c->bytes);"
    assert text.count(right) == 1
    (tmp_path / "fast.c").write_text(text.replace(right, "memcpy(to, c->defaults, (size_t)c->bytes + 2);"))
    for library in built.glob("*.so"):
        shutil.copy(library, tmp_path)
    files = [str(tmp_path / "fast.c") if path == FAST else path for path in EXTENSIONS["journal.kernel._fast"]]
    build(tmp_path, "journal.kernel._fast", files)
    assert sanitized(tmp_path, TESTS[0]).returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in found(tmp_path)
