"""Which apps run in a stream, with which parameters: read from its configuration frames alone.

A replay needs the journal and the code, never yesterday's configuration file. The loader publishes, for each app's source,
ConfigItem frames (`class`, then the parameters, values as JSON text) and closes them with ConfigApplied.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import msgspec

from apps.app import App
from journal.errors import OperatingError
from journal.messages import ConfigApplied, ConfigItem, Message, SourceDefined

CLASS_ITEM = "class"
DISCOVERY_KINDS = (SourceDefined.KIND, ConfigItem.KIND, ConfigApplied.KIND)


class AppSpec(msgspec.Struct):
    """One app of a stream."""

    name: str
    source: int
    class_path: str
    active_from: int
    parameters: dict[str, Any]


class ConfigError(OperatingError, ValueError):
    """A configuration that does not fit its app: names app, key, value, expectation."""


class Discovery:
    """Folds source and configuration frames into app specs."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.specs: dict[int, AppSpec] = {}
        self._items: dict[int, dict[str, Any]] = {}

    def handle(self, seq: int, message: Message) -> None:
        """Take one frame of DISCOVERY_KINDS."""
        if isinstance(message, SourceDefined):
            self.names[message.source] = message.name
        elif isinstance(message, ConfigItem):
            self._items.setdefault(message.owner, {})[message.name] = json.loads(message.value)
        elif isinstance(message, ConfigApplied):
            items = self._items.pop(message.owner, {})
            class_path = items.pop(CLASS_ITEM, None)
            if class_path is not None and message.owner not in self.specs:
                name = self.names.get(message.owner, str(message.owner))
                self.specs[message.owner] = AppSpec(name, message.owner, class_path, seq, items)

    def fold(self, frames: Iterable[Any]) -> Discovery:
        """Take many frames (objects with `.header.seq` and `.message`)."""
        for frame in frames:
            if frame.message is not None:
                self.handle(frame.header.seq, frame.message)
        return self

    def named(self, name: str) -> AppSpec | None:
        """The spec of the app with this name, if the stream has completed it."""
        return next((s for s in self.specs.values() if s.name == name), None)


def load_class(path: str) -> type[App]:
    """The class at `package.module:Name` or `path/file.py:Name`; one clear line when it is not there or no App."""
    module_name, _, name = path.rpartition(":")
    try:
        module = _load_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        found = getattr(module, name)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as error:
        raise ConfigError(f"class = {path!r}: {error}; expected 'package.module:Name' or 'file.py:Name' of an App") from None
    if not (isinstance(found, type) and issubclass(found, App)):
        raise ConfigError(f"class = {path!r}: not a subclass of apps.App")
    return found


class _AsWritten(importlib.machinery.SourceFileLoader):
    """Compiles what a file says now. Python would take what it has compiled of a file of the same size and second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _load_file(path: Path) -> ModuleType:
    """A strategy file, loaded once a process under the name of its stem.

    A journal names it as it was where the session ran; on another machine a file of that name is looked for here."""
    if not path.exists():
        path = Path.cwd() / path.name
    held = sys.modules.get(path.stem)
    if held is not None and getattr(held, "__file__", None) == str(path):
        return held
    spec = importlib.util.spec_from_file_location(path.stem, path, loader=_AsWritten(path.stem, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def build(spec: AppSpec) -> App:
    """An app as its first configuration frames describe it."""
    app = load_class(spec.class_path)()
    _configure(spec.name, app, spec.parameters)
    return app


def reconfigure(name: str, app: App, items: dict[str, Any]) -> None:
    """Give a running app the parameters of a later ConfigApplied. Its class is for the stream's life."""
    parameters = {k: v for k, v in items.items() if k != CLASS_ITEM}
    if CLASS_ITEM in items and load_class(items[CLASS_ITEM]) is not type(app):
        raise ConfigError(
            f"{name}: class = {items[CLASS_ITEM]!r}: this journal's {name} is a {type(app).__name__}; expected the same class, "
            "or another name for the new one"
        )
    _configure(name, app, parameters)


def _configure(name: str, app: App, parameters: dict[str, Any]) -> None:
    try:
        app.configure(dict(parameters))
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{name} ({type(app).__name__}): {error}") from None
