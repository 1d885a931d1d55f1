"""The kernels of a mutant, from objects: what a mutant does not touch is compiled once for all of them."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from lockstep.torture.drivers import compiler

ROOT = Path(__file__).resolve().parents[2]


class Kernel:
    """A package's extension. Most of the time of a build goes into the code that cffi generates, which is the same for all
    mutants: they edit no header that cffi reads."""

    def __init__(self, package: str) -> None:
        build = importlib.import_module(f"{package}.kernel.build")
        self.module, _, _, options = build.ffibuilder._assigned_source
        self.headers = {str(path) if "/" in str(path) else f"{package}/kernel/{path}" for path in build.HEADERS}
        """Those that cffi reads."""
        self._flags = [*options["extra_compile_args"], "-fPIC", "-I.", f"-I{sysconfig.get_path('include')}"]
        self._libraries = [f"-l{name}" for name in options.get("libraries", ())]
        self._folder = tempfile.TemporaryDirectory()
        kept = Path(self._folder.name)
        generated = str(kept / "generated.c")
        build.ffibuilder.emit_c_code(generated)
        self._objects = {source: self._compile(ROOT, source, kept) for source in [generated, *options["sources"]]}
        self._made_of = {
            source: set(Path(made).with_suffix(".d").read_text().split()) for source, made in self._objects.items()
        }

    def build(self, place: Path, changed: set[str]) -> None:
        """Link the extension of a copy, in which these files are other ones."""
        assert not self.headers & changed, f"{self.headers & changed}: build this mutant with {self.module}'s build.py"
        with tempfile.TemporaryDirectory() as folder:
            objects = [
                self._compile(place, source, Path(folder)) if self._made_of[source] & changed else kept
                for source, kept in self._objects.items()
            ]
            library = place / f"{self.module.replace('.', '/')}.abi3.so"
            library.unlink()
            _run(place, ["-shared", *objects, *self._libraries, "-o", str(library)])

    def _compile(self, place: Path, source: str, folder: Path) -> str:
        made = folder / f"{source.replace('/', '-')}.o"
        _run(place, [*self._flags, "-MMD", "-c", source, "-o", str(made)])
        return str(made)


def _run(place: Path, arguments: list[str]) -> None:
    done = subprocess.run([compiler(), *arguments], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@functools.cache
def kernel(package: str) -> Kernel:
    """One a process."""
    return Kernel(package)
