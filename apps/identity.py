"""Which code an app is: one digest over every source that decides what its state means.

Covered are this product's own floors that apps stand on (journal, oms, riskengine, apps: Python and C), and for a class from
elsewhere the file it is written in and every file that one reaches by its imports; installed packages and Python are left out.
Two processes with equal digests compute the same states from the same frames; a state of other code is another state.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from apps.app import App

_FLOORS = ("journal", "oms", "riskengine", "apps")
_ROOT = Path(__file__).resolve().parent.parent
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_of(classes: Iterable[type[App]]) -> bytes:
    """BLAKE2b-256 over the sources of app classes, in any order, and of the state machines they require."""
    found: dict[str, Path] = {}
    for cls in _with_required(classes):
        for base in cls.__mro__:
            _reach(sys.modules.get(base.__module__), found)
    digest = hashlib.blake2b(_floors(), digest_size=32)
    for name, path in sorted(found.items()):
        digest.update(name.encode() + b"\0" + hashlib.blake2b(_content(path), digest_size=32).digest())
    return digest.digest()


@cache
def _floors() -> bytes:
    """What a build generates (`_name.c`) is no source."""
    digest = hashlib.blake2b(digest_size=32)
    for floor in _FLOORS:
        for path in sorted((_ROOT / floor).rglob("*")):
            if path.suffix in (".py", ".c", ".h") and not (path.suffix == ".c" and path.name.startswith("_")):
                digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + _content(path))
    return digest.digest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _with_required(classes: Iterable[type[App]]) -> list[type[App]]:
    found: list[type[App]] = []
    waiting = list(classes)
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.append(cls)
            waiting.extend(cls.requires)
    return found


def _reach(module: ModuleType | None, found: dict[str, Path]) -> None:
    """A module from outside of the product, and those that its names come from."""
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ in found or not _is_outside(module.__name__, file):
        return
    found[module.__name__] = Path(file)
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            _reach(value, found)
        elif isinstance(name := getattr(value, "__module__", None), str):
            _reach(sys.modules.get(name), found)


def _is_outside(name: str, file: str) -> bool:
    return name.partition(".")[0] not in _FLOORS and not file.startswith(_INSTALLED)
