"""A module as its syntax tree says it: scopes, what each name was bound to, and the dotted path that an expression means.

`t` after `from time import time as t` means `time.time`; so does `clock` after `clock = t`. Names that a module beside this one
gives are looked up there. Nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DEEPEST = 20
"""Aliases of aliases are followed this far."""


class Binding(NamedTuple):
    """One way in which a name gets its value."""

    path: str = ""
    """What an import gives."""
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    element_of: ast.expr | None = None
    """A loop's variable: an element of this."""
    definition: ast.ClassDef | Function | None = None


class Scope:
    """The names of a module, a class, a function or a comprehension."""

    def __init__(self, node: ast.AST, parent: Scope | None) -> None:
        self.node = node
        self.parent = parent
        self.names: dict[str, list[Binding]] = {}
        self.elsewhere: dict[str, str] = {}  # name → "global" or "nonlocal"

    @property
    def is_class(self) -> bool:
        """A class body: its names are not seen by the functions in it."""
        return isinstance(self.node, ast.ClassDef)

    def find(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that a name read here belongs to, and its bindings; None: a builtin, or nothing."""
        scope: Scope | None = self
        while scope is not None:
            bound = scope.names.get(name)
            if bound and (scope is self or not scope.is_class) and name not in scope.elsewhere:
                return scope, bound
            scope = scope.parent
        return None


class Module:
    """A parsed file."""

    def __init__(self, path: Path, name: str, text: str) -> None:
        self.path = path
        self.name = name
        self.text = text
        self.tree = ast.parse(text, str(path))
        self.nodes = list(ast.walk(self.tree))
        self.top = Scope(self.tree, None)
        self.parents: dict[ast.AST, ast.AST] = {}
        self.scopes: dict[ast.AST, Scope] = {}
        self.late: set[ast.AST] = set()  # imports for the type checker only
        self.elsewhere: Callable[[str], tuple[Module, str] | None] = lambda _: None
        """Finds (module, name in it) for a dotted path that lies beside this file; set by who loads modules."""
        self._assignments: dict[ast.ClassDef, list[ast.Assign | ast.AnnAssign]] = {}
        _Binder(self).visit_all(self.tree, self.top)

    def assignments(self, cls: ast.ClassDef) -> list[ast.Assign | ast.AnnAssign]:
        """Everything that a class's body and methods assign. Looked for once: each attribute that is read asks."""
        found = self._assignments.get(cls)
        if found is None:
            found = [node for node in ast.walk(cls) if isinstance(node, ast.Assign | ast.AnnAssign)]
            self._assignments[cls] = found
        return found

    def scope(self, node: ast.AST) -> Scope:
        """Where a node stands."""
        return self.scopes.get(node, self.top)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """What encloses a node, from the inside."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> Function | None:
        """The function that a node is in, if any."""
        return next((a for a in self.ancestors(node) if isinstance(a, Function)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose method, or whose body, a node is in."""
        return next((a for a in self.ancestors(node) if isinstance(a, ast.ClassDef)), None)

    def self_name(self, node: ast.AST) -> str:
        """What the method around a node calls its instance; empty outside of methods."""
        for around in self.ancestors(node):
            if isinstance(around, Function) and isinstance(self.parents.get(around), ast.ClassDef):
                args = [*around.args.posonlyargs, *around.args.args]
                static = any(isinstance(d, ast.Name) and d.id in ("staticmethod", "classmethod") for d in around.decorator_list)
                return args[0].arg if args and not static else ""
        return ""

    def path_of(self, node: ast.expr, depth: int = 0) -> str:
        """The dotted path that an expression means, `builtins.` for builtins; empty when it is a value of the program."""
        if depth > _DEEPEST:
            return ""
        if isinstance(node, ast.Attribute):
            base = self.path_of(node.value, depth + 1)
            return self._beyond(f"{base}.{node.attr}", depth) if base else ""
        if not isinstance(node, ast.Name):
            return ""
        found = self.scope(node).find(node.id)
        if found is None:
            return f"builtins.{node.id}"
        return next(filter(None, (self._bound(b, depth) for b in found[1])), "")

    def _bound(self, binding: Binding, depth: int) -> str:
        if binding.path:
            return self._beyond(binding.path, depth)
        if isinstance(binding.value, ast.Name | ast.Attribute):
            path = self.path_of(binding.value, depth + 1)
            return "" if path == "builtins.None" else path
        return ""

    def _beyond(self, path: str, depth: int) -> str:
        """Follow a name that another module of the user's only passes on."""
        there = self.elsewhere(path)
        if there is None or depth > _DEEPEST:
            return path
        module, name = there
        bound = module.top.names.get(name, ())
        return next(filter(None, (module._bound(b, depth + 1) for b in bound)), path)


class _Binder:
    """Walks a tree once: who is whose parent, which scope is where, what binds which name."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_all(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, node, scope)

    def visit(self, node: ast.AST, parent: ast.AST, scope: Scope) -> None:
        self.module.parents[node] = parent
        self.module.scopes[node] = scope
        if isinstance(node, Function | ast.Lambda):
            self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._bind(scope, node.name, Binding(definition=node))
            inner = Scope(node, scope)
            for child in [*node.decorator_list, *node.bases, *node.keywords]:
                self.visit(child, node, scope)
            for statement in node.body:
                self.visit(statement, node, inner)
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, scope)
        else:
            self._bindings(node, scope)
            self.visit_all(node, scope)

    def _function(self, node: Function | ast.Lambda, scope: Scope) -> None:
        inner = Scope(node, scope)
        a = node.args
        for arg in [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]:
            self.module.parents[arg], self.module.scopes[arg] = node, inner
            self._bind(inner, arg.arg, Binding(annotation=arg.annotation if arg not in (a.vararg, a.kwarg) else None))
            if arg.annotation is not None:
                self.visit(arg.annotation, arg, scope)
        for default in filter(None, [*a.defaults, *a.kw_defaults]):
            self.visit(default, node, scope)
        if isinstance(node, ast.Lambda):
            self.visit(node.body, node, inner)
            return
        self._bind(scope, node.name, Binding(definition=node))
        for child in filter(None, [*node.decorator_list, node.returns]):
            self.visit(child, node, scope)
        for statement in node.body:
            self.visit(statement, node, inner)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, scope: Scope) -> None:
        inner = Scope(node, scope)
        for i, generator in enumerate(node.generators):
            self.module.parents[generator], self.module.scopes[generator] = node, inner
            self.visit(generator.iter, generator, scope if i == 0 else inner)
            self._targets(inner, generator.target, Binding(element_of=generator.iter))
            self.visit(generator.target, generator, inner)
            for condition in generator.ifs:
                self.visit(condition, generator, inner)
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        for part in parts:
            self.visit(part, node, inner)

    def _bindings(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    self._bind(scope, alias.asname, Binding(path=alias.name))
                else:
                    top = alias.name.partition(".")[0]
                    self._bind(scope, top, Binding(path=top))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                base = "." * node.level + (node.module or "")
                dot = "" if base.endswith(".") else "."
                self._bind(scope, alias.asname or alias.name, Binding(path=f"{base}{dot}{alias.name}"))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            self.module.late.update(n for s in node.body for n in ast.walk(s))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._targets(scope, target, Binding(value=node.value))
        elif isinstance(node, ast.AnnAssign):
            self._targets(scope, node.target, Binding(value=node.value, annotation=node.annotation))
        elif isinstance(node, ast.AugAssign | ast.NamedExpr):
            self._targets(scope, node.target, Binding(value=node.value))
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._targets(scope, node.target, Binding(element_of=node.iter))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._targets(scope, node.optional_vars, Binding())
        elif isinstance(node, ast.ExceptHandler) and node.name:
            self._bind(scope, node.name, Binding())
        elif isinstance(node, ast.Global | ast.Nonlocal):
            scope.elsewhere.update(dict.fromkeys(node.names, "global" if isinstance(node, ast.Global) else "nonlocal"))
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            self._bind(scope, node.name, Binding())
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self._bind(scope, node.rest, Binding())

    def _targets(self, scope: Scope, target: ast.expr, binding: Binding) -> None:
        if isinstance(target, ast.Name):
            self._bind(scope, target.id, binding)
        elif isinstance(target, ast.Tuple | ast.List):
            values = binding.value.elts if isinstance(binding.value, ast.Tuple | ast.List) else []
            paired = len(values) == len(target.elts) and not any(isinstance(e, ast.Starred) for e in [*values, *target.elts])
            for i, element in enumerate(target.elts):
                self._targets(scope, element, Binding(value=values[i]) if paired else Binding())
        elif isinstance(target, ast.Starred):
            self._targets(scope, target.value, Binding())

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        while isinstance(scope.node, _COMPREHENSIONS) and binding.value is not None and scope.parent is not None:
            scope = scope.parent  # a walrus binds outside of the comprehension
        if scope.elsewhere.get(name) == "global":
            scope = self.module.top
        scope.names.setdefault(name, []).append(binding)


def is_self(module: Module, node: ast.AST) -> bool:
    """Whether an expression is the instance that the method around it belongs to."""
    return isinstance(node, ast.Name) and node.id == module.self_name(node) != ""


def root_of(node: ast.expr) -> ast.expr:
    """The name at the left end of a chain of attributes, subscripts and calls."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node
