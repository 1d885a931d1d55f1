"""The other Python versions of this machine, each with what a replay needs in a `.venv-MINOR` beside the sources."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from journal.errors import OperatingError
from lockstep.torture.drivers import ROOT
from replay.builds import kernels_made_of

MINORS = ("3.11", "3.12", "3.13")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
_NEEDS = ("cffi", "msgspec", "sortedcontainers", "setuptools")


class NotMade(OperatingError):
    """A Python that is here could not be given what a replay needs."""


def pythons(*, make: bool) -> dict[str, Path]:
    """Minor → interpreter, of those that can replay. With `make`, all that are found here can. NotMade says why not."""
    return {minor: path for minor in MINORS if (path := interpreter(minor, make=make)) is not None}


def interpreter(minor: str, *, make: bool) -> Path | None:
    """A Python of this version that has what a replay needs: this one, or that of a `.venv-MINOR` beside the sources. With
    `make` it is made where that Python is found. Its accelerators are built. None: there is none."""
    if minor == HERE:
        return Path(sys.executable)
    python = ROOT / f".venv-{minor}" / "bin" / "python"
    if not _can(python, "import msgspec, cffi, sortedcontainers"):
        base = found(minor) if make else None
        if base is None:
            return None
        _make(minor, base, python)
    if (ROOT / "setup.py").exists():
        _accelerate(minor, python)
    return python


def found(minor: str) -> str | None:
    """An interpreter of this version that runs: on the path, or one of pyenv's (a name on the path may be a shim of it that
    finds nothing). None: there is none."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    runs = f"import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != {minor!r})"
    for python in (shutil.which(f"python{minor}"), *sorted(map(str, versions.glob(f"{minor}.*/bin/python")), reverse=True)):
        if python and _can(Path(python), runs):
            return python
    return None


def _make(minor: str, base: str, python: Path) -> None:
    """Our pip fills it where we have one: a pip of its own would take longer to install than all the rest."""
    ours = importlib.util.find_spec("pip") is not None
    _run(minor, [base, "-m", "venv", "--clear", *(["--without-pip"] if ours else []), str(python.parents[1])])
    pip = [sys.executable, "-m", "pip", "--python", str(python)] if ours else [str(python), "-m", "pip"]
    _run(minor, [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-compile", *_NEEDS])


def _accelerate(minor: str, python: Path) -> None:
    """Build the accelerators as their sources are now. The kernels serve every version; accelerators have theirs in their file
    names, so those of all versions lie side by side. One that does not build is done without, as in any installation."""
    stamp, sources = python.parents[1] / "accelerators-made-of", kernels_made_of(ROOT).hex()
    if stamp.exists() and stamp.read_text() == sources:
        return
    with tempfile.TemporaryDirectory() as folder:  # not in place: the kernels there are in use
        built = Path(folder) / "lib"
        build = [str(python), "setup.py", "-q", "build_ext", "--build-lib", str(built), "--build-temp", f"{folder}/temp"]
        _run(minor, build, LOCKSTEP_BUILD="accelerators")
        for library in built.rglob(f"*.cpython-{minor.replace('.', '')}-*.so"):
            beside = (ROOT / library.relative_to(built)).with_suffix(".new")
            shutil.copy2(library, beside)
            beside.rename(ROOT / library.relative_to(built))
    stamp.write_text(sources)


def _run(minor: str, command: list[str], **environment: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason was given"]
        raise NotMade(f"Python {minor} is here and cannot be prepared: {' '.join(command[:4])} …: {said[-1]}")


def _can(python: Path, statement: str) -> bool:
    if not python.exists():
        return False
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(python), "-c", statement], check=False, capture_output=True, env=environment).returncode == 0
