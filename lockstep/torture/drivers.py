"""C drivers of the campaigns: built when needed, from the kernels' own sources, by the compiler that built the kernels."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal.errors import OperatingError

ROOT = Path(__file__).resolve().parents[2]
"""Where the kernels' sources are: the checkout, or site-packages."""
STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-UNDEBUG")


class NoCompiler(OperatingError):
    """A campaign whose driver is written in C cannot be built here."""


def compiler() -> str:
    """The C compiler; NoCompiler in one line where there is none."""
    wanted = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    looked_for = list(dict.fromkeys([wanted, "gcc", "cc", "clang"]))
    for name in looked_for:
        if shutil.which(name):
            return name
    raise NoCompiler(
        f"no C compiler found (looked for {', '.join(looked_for)}); this campaign builds a driver in C:"
        " apt-get install gcc, or dnf install gcc, then run the same command again"
    )


def build(sources: list[str], binary: Path, *flags: str, root: Path = ROOT) -> Path:
    """Compile `sources` (relative to `root`, with or without wildcards) into `binary`."""
    files = sorted(str(path.relative_to(root)) for pattern in sources for path in root.glob(pattern))
    machine = ["-msse4.2"] if platform.machine() == "x86_64" else []
    command = [compiler(), *STRICT, *machine, "-I.", *flags, *files, "-o", str(binary)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise OperatingError(f"{compiler()} cannot build {binary.name} in {root}: {first}")
    return binary


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is a tmpfs (campaigns make files by the million), removed at the end."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="lockstep-torture-", dir=shm if os.access(shm, os.W_OK) else None) as name:
        yield Path(name)
