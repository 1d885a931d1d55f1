"""Another build to run a journal with: a checkout of lockstep, or a git revision of the repository one stands in.

A revision is unpacked once, into a cache by its commit. If it is one of lockstep itself, its kernels are taken from here where
their sources are the same, and built where they are not. If it is one of a repository of strategies, lockstep stays what it is
and the strategies' files are the revision's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from journal.errors import OperatingError

HERE = Path(__file__).resolve().parent.parent


class CannotRun(OperatingError):
    """A side that cannot be run: names it and says why."""


class Build(msgspec.Struct, frozen=True):
    """Code to run. `lockstep`: the folder of its lockstep; `moved`: files below the first are those below the second."""

    what: str
    lockstep: Path = HERE
    moved: tuple[Path, Path] | None = None

    @property
    def python(self) -> str:
        """Its own interpreter where it has one."""
        own = self.lockstep / ".venv" / "bin" / "python"
        return str(own) if self.lockstep != HERE and own.exists() else sys.executable

    @property
    def path(self) -> str:
        """Where its modules are."""
        theirs = [str(self.moved[1])] if self.moved and self.moved[1] != self.lockstep else []
        return os.pathsep.join([*theirs, str(self.lockstep)])

    @property
    def folder(self) -> Path:
        """What stands for the current folder."""
        here = Path.cwd()
        if self.moved is not None and here.is_relative_to(self.moved[0]):
            there = self.moved[1] / here.relative_to(self.moved[0])
            return there if there.is_dir() else self.moved[1]
        return here


THIS = Build("this code")


def build_of(text: str) -> Build:
    """A folder with a checkout, or a revision as git names it. CannotRun says what it is not."""
    folder = Path(text)
    if folder.is_dir():
        if not (folder / "replay" / "player.py").is_file():
            raise CannotRun(f"--against {text}: no checkout of lockstep; expected a folder with its sources and built kernels, "
                            "or a git revision of the repository you stand in")  # fmt: skip
        return Build(f"the code of {text}", folder.resolve())
    root = _git(text, "rev-parse", "--show-toplevel", about="no such folder, and this is no git repository")
    commit = _git(
        text, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}", about=f"no such folder, and no revision of {root}"
    )
    unpacked = _unpacked(Path(root), commit)
    if (unpacked / "replay" / "player.py").is_file():
        _kernels(unpacked, text)
        return Build(f"revision {text} ({commit[:12]})", unpacked, (Path(root), unpacked))
    return Build(f"revision {text} ({commit[:12]})", HERE, (Path(root), unpacked))


def _git(revision: str, *arguments: str, about: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotRun(f"--against {revision}: no such folder, and no git here to look for a revision") from None
    if done.returncode:
        raise CannotRun(f"--against {revision}: {about}; expected a checkout's folder or a git revision")
    return done.stdout.strip()


def _unpacked(root: Path, commit: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep" / "builds"
    found = cache / commit
    if found.is_dir():
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = Path(folder) / "tree"
        made.mkdir()
        packed = subprocess.run(["git", "-C", str(root), "archive", "--format=tar", commit], capture_output=True, check=False)
        unpacked = subprocess.run(["tar", "-x", "-C", str(made)], input=packed.stdout, capture_output=True, check=False)
        if packed.returncode or unpacked.returncode:
            said = (packed.stderr or unpacked.stderr).decode(errors="replace").strip().splitlines()
            raise CannotRun(f"--against {commit}: cannot be unpacked: {said[-1] if said else 'git archive failed'}")
        try:
            made.rename(found)
        except OSError:
            if not found.is_dir():  # else somebody was faster
                raise
    return found


def _kernels(checkout: Path, revision: str) -> None:
    """Have its C kernels: those of here where they are made of the same, else built."""
    done = checkout / ".kernels-built"
    if done.exists():
        return
    if kernels_made_of(checkout) == kernels_made_of(HERE):
        for library in HERE.rglob("*.so"):
            place = checkout / library.relative_to(HERE)
            if ".venv" not in library.parts and "build" not in library.parts and place.parent.is_dir():
                shutil.copy2(library, place)
    else:
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", f"--parallel={os.cpu_count() or 1}"]
        built = subprocess.run(build, cwd=checkout, capture_output=True, text=True, check=False)
        if built.returncode:
            said = built.stderr.strip().splitlines() or ["no reason was given"]
            # The compiler's first word, where it was the compiler: the last is that a command failed.
            reason = next((line for line in said if ": error: " in line), said[-1])
            raise CannotRun(f"--against {revision}: its kernels cannot be built: {reason}")
    done.touch()


def kernels_made_of(checkout: Path) -> bytes:
    """A digest of all that kernels are made of: C, their build scripts, and the messages that C headers are derived from."""
    whole = hashlib.blake2b(digest_size=16)
    for folder in ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep"):
        for path in sorted((checkout / folder).rglob("*")):
            kernel = "kernel" in path.parts and path.suffix in (".c", ".h", ".py") and not path.name.startswith("_")
            if (kernel or "messages" in path.parts) and path.suffix in (".c", ".h", ".py"):
                whole.update(str(path.relative_to(checkout)).encode() + b"\0" + path.read_bytes())
    whole.update((checkout / "setup.py").read_bytes())
    return whole.digest()
