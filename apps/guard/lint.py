"""Looks at app code without running it: files and folders in, findings out.

Of a folder, app code is every module that defines an app (a subclass of App or Strategy), whole, and every module of the user's
that such a module imports. A file that is named is looked at whatever it holds. Tests and files of the build are no app code.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from apps.guard.checks import CHECKS
from apps.guard.kinds import Kinds
from apps.guard.project import Project, is_test, source_files
from apps.guard.rules import Finding
from apps.guard.source import Module
from apps.guard.waivers import judge
from apps.guard.world import HOSTS, OURS, OWN, within
from journal.errors import OperatingError


class NothingToLint(OperatingError, ValueError):
    """A path that is not there, or holds no app."""


class Report(msgspec.Struct, frozen=True):
    """What was found, in the order of files and lines, and which files were looked at."""

    findings: list[Finding]
    files: list[str]


def lint(paths: Iterable[Path]) -> Report:
    """Look at files and folders, and at the user's modules that they import. Raises NothingToLint, UnreadableSource."""
    project = Project()
    found: list[Finding] = []
    seen: dict[Path, str] = {}
    waiting = [module for path in paths for module in _named(project, path)]
    while waiting:
        module = waiting.pop(0)
        if module.path in seen:
            continue
        seen[module.path] = _shown(module.path)
        found += look(project, module, seen[module.path])
        for _, _, file in project.imported(module):
            if file is not None and not is_test(file):
                helper = project.load(file)
                if helper.name.partition(".")[0] not in OURS:
                    waiting.append(helper)
    return Report(sorted(found), sorted(seen.values()))


def own() -> list[Path]:
    """The folders of lockstep's own app code."""
    specs = [importlib.util.find_spec(package) for package in OWN]
    return [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]


def look(project: Project, module: Module, shown: str) -> Iterator[Finding]:
    """The findings of one module, waivers heard."""
    kinds = Kinds(project, module)
    found: dict[Finding, None] = {}
    for check in CHECKS:
        for node, rule, what in check(kinds):
            line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
            found[Finding(path=shown, line=line, column=column, rule=rule, what=what)] = None
    return judge(module, shown, found)


def _named(project: Project, path: Path) -> list[Module]:
    if path.is_file():
        return [project.load(path)]
    if not path.is_dir():
        raise NothingToLint(f"{path}: not there; expected a Python file or a folder")
    modules = [project.load(p) for p in source_files(path.resolve())]
    apps = [m for m in modules if _is_ours(m) or project.has_app(m)]
    if not apps:
        raise NothingToLint(
            f"{path}: none of its {len(modules)} modules defines an App or Strategy; name a file to look at it anyway"
        )
    return apps


def _is_ours(module: Module) -> bool:
    """A module of lockstep that is a function of the stream."""
    return within(module.name, OWN) and not within(module.name, HOSTS)


def _shown(path: Path) -> str:
    """A path as the user would type it: from here, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
