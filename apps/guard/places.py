"""Whose code a frame of the stack runs: an app's, a host's, or a library's on behalf of whoever called it."""

from __future__ import annotations

import sys
import sysconfig
from enum import Enum
from pathlib import Path
from types import CodeType

from apps.app import App
from apps.guard.project import is_test
from apps.guard.world import HOSTS, OURS, OWN, within


class Place(Enum):
    """Whose code it is."""

    APP = "app"
    HOST = "host"
    """Lockstep's own machinery; also what Python itself runs in between: imports, a debugger's hooks, warnings, finalizers."""
    LIBRARY = "library"


_LOCKSTEP = f"{Path(__file__).resolve().parents[2]}/"
_STANDARD = f"{sysconfig.get_path('stdlib')}/"
_INTERPRETER = tuple(
    f"{_STANDARD}{m}" for m in ("importlib/", "bdb.py", "pdb.py", "cmd.py", "warnings.py", "weakref.py", "_strptime.py")
)
_WATCHERS = tuple(f"/site-packages/{p}/" for p in ("debugpy", "coverage", "_pytest", "pluggy"))


class Places:
    """Sorts code by its file, once; a file of no known owner again each time, for its app may not be loaded yet."""

    def __init__(self) -> None:
        self._known: dict[str, Place] = {}

    def of(self, code: CodeType) -> Place:
        """Whose code it is."""
        if code.co_name == "__del__":
            return Place.HOST
        file = code.co_filename
        place = self._known.get(file)
        if place is None:
            place = self._find(file)
            if place is not None:
                self._known[file] = place
        return place or Place.LIBRARY

    def _find(self, file: str) -> Place | None:
        if file.startswith(("<frozen importlib", *_INTERPRETER)) or any(p in file for p in _WATCHERS):
            return Place.HOST
        if file.startswith(_LOCKSTEP):
            module = file.removeprefix(_LOCKSTEP).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if within(module, tuple(OURS)):
                return Place.APP if within(module, OWN) and not within(module, HOSTS) else Place.HOST
        if file in AppFiles():
            return Place.APP
        known_library = file.startswith((_STANDARD, "<frozen")) or "/site-packages/" in file
        return Place.LIBRARY if known_library else None


class AppFiles:
    """The files of the user's apps that are loaded now, and the folders in which their helpers lie."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.folders: set[str] = set()
        for cls in _apps(App):
            if not within(cls.__module__, tuple(OURS)):
                self.files |= _files(cls)
        self.folders = {f.rpartition("/")[0] for f in self.files if "/" in f}
        self.folders = {f for f in self.folders if not f.endswith("/site-packages")}

    def __contains__(self, file: object) -> bool:
        if not isinstance(file, str):
            return False
        folder, _, name = file.rpartition("/")
        return file in self.files or (folder in self.folders and name.endswith(".py") and not is_test(Path(name)))


def _apps(cls: type) -> list[type]:
    children: list[type] = cls.__subclasses__()
    return [found for child in children for found in (child, *_apps(child))]


def _files(cls: type) -> set[str]:
    """Where a class is written: its module's file, and, for one of a notebook, that of its methods."""
    files = {f.__code__.co_filename for f in vars(cls).values() if hasattr(f, "__code__")}
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return files | {file} if file else files
