"""The modules that are looked at: the files that were named, and the user's own modules that they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from apps.guard.source import Module
from apps.guard.world import OURS, within
from journal.errors import OperatingError

_BASES = ("apps.app.App", "apps.strategy.Strategy")
_NOT_APPS = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "__main__.py"})
_SKIPPED = frozenset({"tests", "test", "docs", "build", "dist", "node_modules", "site-packages", "__pycache__"})


class UnreadableSource(OperatingError, ValueError):
    """A file that is no Python: names file and line."""


class Project:
    """Modules by file. Imports are looked for beside the importing file and in the folders above it that are packages."""

    def __init__(self) -> None:
        self.modules: dict[Path, Module] = {}
        self._files: dict[tuple[Module, str], Path | None] = {}
        self._imports: dict[Module, list[tuple[ast.stmt, str, Path | None]]] = {}

    def load(self, path: Path) -> Module:
        """The module of a file, parsed once."""
        held = self.modules.get(path) or self.modules.get(path := path.resolve())
        if held is not None:
            return held
        try:
            module = Module(path, dotted_name(path), path.read_text("utf-8"))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            raise UnreadableSource(f"{path}:{line}: expected Python source, found: {error.args[0]}") from None
        self.modules[path] = module
        module.elsewhere = lambda name: self.lookup(module, name)
        return module

    def lookup(self, module: Module, dotted: str) -> tuple[Module, str] | None:
        """(module, name in it) of a dotted path that one of the user's own modules gives."""
        name = dotted.rpartition(".")[2]
        base = dotted[: -len(name)] if not dotted[: -len(name)].strip(".") else dotted.rpartition(".")[0]
        found = self.find(module, base) if base and name else None
        if found is None:
            return None
        there = self.load(found)
        return (there, name) if there is not module and name in there.top.names else None

    def find(self, module: Module, name: str) -> Path | None:
        """The file of a module that this one imports, when it is the user's own. Looked for once: names are many, files few."""
        key = module, name
        if key not in self._files:
            self._files[key] = self._find(module, name)
        return self._files[key]

    def _find(self, module: Module, name: str) -> Path | None:
        if not name.startswith("."):
            if name.partition(".")[0] in OURS and not within(module.name, tuple(OURS)):
                return None
            for folder in _roots(module.path):
                found = _file(folder, name.split("."))
                if found is not None:
                    return found
            return None
        level = len(name) - len(name.lstrip("."))
        folder = module.path.parent
        for _ in range(level - 1):
            folder = folder.parent
        rest = name.lstrip(".")
        return _file(folder, rest.split(".") if rest else [])

    def imported(self, module: Module) -> list[tuple[ast.stmt, str, Path | None]]:
        """What a module imports at run time: the statement, the dotted name, and the file if it is the user's own."""
        if module not in self._imports:
            self._imports[module] = list(self._imported(module))
        return self._imports[module]

    def _imported(self, module: Module) -> Iterator[tuple[ast.stmt, str, Path | None]]:
        for node in module.nodes:
            if node in module.late:
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name, self.find(module, alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                whole = self.find(module, base)
                for alias in node.names:
                    dotted = f"{base}{'' if base.endswith('.') else '.'}{alias.name}"
                    inner = self.find(module, dotted)
                    yield node, dotted if inner else base, inner or whole

    def definition(self, module: Module, node: ast.expr) -> tuple[Module, ast.ClassDef] | None:
        """The class that an expression names, when its source is at hand."""
        if isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name):
            found = module.scope(node).find(node.id)
            for binding in found[1] if found else ():
                if isinstance(binding.definition, ast.ClassDef):
                    return module, binding.definition
        path = module.path_of(node)
        there = self.lookup(module, path) if path else None
        for binding in there[0].top.names[there[1]] if there else ():
            if there and isinstance(binding.definition, ast.ClassDef):
                return there[0], binding.definition
        return None

    def lineage(self, module: Module, node: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
        """A class and its bases whose source is at hand."""
        waiting, seen = [(module, node)], set()
        while waiting:
            where, cls = waiting.pop(0)
            if cls in seen:
                continue
            seen.add(cls)
            yield where, cls
            waiting += filter(None, (self.definition(where, base) for base in cls.bases))

    def bases(self, module: Module, node: ast.ClassDef) -> set[str]:
        """Dotted paths of all bases, as far as they can be told."""
        return {path for where, cls in self.lineage(module, node) for base in cls.bases if (path := where.path_of(_bare(base)))}

    def is_app(self, module: Module, node: ast.ClassDef) -> bool:
        """Whether a class is an app."""
        return bool(self.bases(module, node) & set(_BASES))

    def has_app(self, module: Module) -> bool:
        """Whether a module defines an app."""
        return any(isinstance(n, ast.ClassDef) and self.is_app(module, n) for n in module.nodes)


def dotted_name(path: Path) -> str:
    """The name that a file is imported by: its place in its package; alone, its stem."""
    parts = [path.stem] if path.stem != "__init__" else []
    folder = path.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def source_files(folder: Path) -> Iterator[Path]:
    """The Python files of a folder that may hold app code: no tests, nothing of the build, nothing hidden."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED or path.is_symlink():
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from source_files(path)
        elif path.suffix == ".py" and not is_test(path) and not (path.name == "build.py" and path.parent.name == "kernel"):
            yield path


def is_test(path: Path) -> bool:
    """Whether a file is a test, or belongs to the build."""
    return path.name in _NOT_APPS or path.name.startswith("test_") or path.name.endswith("_test.py")


def _bare(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _roots(path: Path) -> Iterator[Path]:
    """Where an import of this file may find the user's modules: beside it, and beside each package that it is in."""
    folder = path.parent
    yield folder
    while (folder / "__init__.py").exists() and folder.parent != folder:
        folder = folder.parent
        yield folder


def _file(folder: Path, parts: list[str]) -> Path | None:
    whole = folder.joinpath(*parts)
    if parts and whole.with_suffix(".py").is_file():
        return whole.with_suffix(".py").resolve()
    if (whole / "__init__.py").is_file():
        return (whole / "__init__.py").resolve()
    return None
