"""Hidden state: what no snapshot holds. Variables of the module, of the class, of a default argument, of a cache."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from apps.guard.kinds import Kinds
from apps.guard.source import Function, Module, is_self, root_of

_MUTATING = frozenset({
    "append", "appendleft", "extend", "extendleft", "insert", "remove", "pop", "popleft", "popitem", "clear", "sort", "reverse",
    "rotate", "add", "discard", "update", "setdefault", "difference_update", "intersection_update", "subtract",
    "symmetric_difference_update", "move_to_end", "__setitem__", "__delitem__",
})  # fmt: skip
_MAKERS = frozenset({
    "builtins.list", "builtins.dict", "builtins.set", "builtins.bytearray", "collections.deque", "collections.defaultdict",
    "collections.OrderedDict", "collections.Counter", "sortedcontainers.SortedDict", "sortedcontainers.SortedList",
})  # fmt: skip
_DISPLAYS = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
_FIELDS = ("msgspec.", "typing.NamedTuple", "enum.", "pydantic.", "typing.Protocol", "typing.TypedDict")
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})


def check(kinds: Kinds) -> Iterator[tuple[ast.AST, str, str]]:
    """Written where it must not be, or kept where it must not be."""
    module = kinds.module
    for node in module.nodes:
        if isinstance(node, Function):
            yield from _function(module, node)
        elif isinstance(node, ast.ClassDef):
            yield from _class_body(kinds, node)
        if module.function_of(node) is not None:
            yield from _written(kinds, node)


def _function(module: Module, node: Function) -> Iterator[tuple[ast.AST, str, str]]:
    for default in filter(None, [*node.args.defaults, *node.args.kw_defaults]):
        if is_mutable(module, default):
            yield default, "DET403", f"{node.name}() has the default {ast.unparse(default)}"
    if isinstance(module.parents.get(node), ast.ClassDef):
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if module.path_of(called) in _CACHES:
                yield decorator, "DET404", f"{node.name}() is a cached method"


def _class_body(kinds: Kinds, cls: ast.ClassDef) -> Iterator[tuple[ast.AST, str, str]]:
    """A mutable value in the body of a class: shared by its instances. In a Struct or a dataclass it is only a default."""
    module = kinds.module
    if _declares_fields(kinds, cls):
        return
    for node in cls.body:
        if isinstance(node, ast.Assign):
            target, value, constant = node.targets[0], node.value, False
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value, constant = node.target, node.value, "ClassVar" in ast.unparse(node.annotation)
        else:
            continue
        name = target.id if isinstance(target, ast.Name) else ""
        if constant or name.isupper() or name.startswith("__") or not is_mutable(module, value):
            continue
        yield node, "DET402", f"{cls.name}.{name} = {ast.unparse(value)[:30]} is one object for all instances"


def _written(kinds: Kinds, node: ast.AST) -> Iterator[tuple[ast.AST, str, str]]:
    """Assignments, deletions and mutating calls in a function."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Global):
        yield node, "DET401", f"global {', '.join(node.names)} is written by a function"
    elif isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATING:
        yield from _changed(kinds, node, node.func.value)
    for target in targets:
        if isinstance(target, ast.Attribute | ast.Subscript):
            yield from _changed(kinds, node, target.value, target)


def _changed(kinds: Kinds, node: ast.AST, held: ast.expr, target: ast.expr | None = None) -> Iterator[tuple[ast.AST, str, str]]:
    module = kinds.module
    root = root_of(held)
    shown = ast.unparse(target if target is not None else held)
    if _is_class(module, held):
        yield node, "DET402", f"{shown} is written, and belongs to the class"
    elif is_self(module, root):
        cls = module.class_of(node)
        name = held.attr if isinstance(held, ast.Attribute) and held.value is root else ""
        if name and cls is not None and _only_in_class(kinds, cls, name):
            yield node, "DET402", f"{shown} is changed, and belongs to the class"
    elif isinstance(root, ast.Name) and _is_of_a_module(kinds, root, held):
        yield node, "DET401", f"{shown} of the module is changed"


def _is_of_a_module(kinds: Kinds, root: ast.Name, held: ast.expr) -> bool:
    """A variable of this module, or of another one of the user's: no class, no function, no module of the world."""
    found = kinds.module.scope(root).find(root.id)
    if found is None or found[0] is not kinds.module.top:
        return False
    if any(b.value is not None for b in found[1]):
        return True
    there: tuple[Module, str] | None = None
    while isinstance(held, ast.Attribute | ast.Subscript | ast.Call | ast.Name) and there is None:
        path = kinds.module.path_of(held)
        there = kinds.project.lookup(kinds.module, path) if path else None
        if isinstance(held, ast.Name):
            break
        held = held.func if isinstance(held, ast.Call) else held.value
    return there is not None and any(b.value is not None for b in there[0].top.names[there[1]])


def _is_class(module: Module, node: ast.expr) -> bool:
    """`type(self)`, `self.__class__`, `cls` in a class method, or the name of a class of the module."""
    if isinstance(node, ast.Call) and module.path_of(node.func) == "builtins.type" and len(node.args) == 1:
        return True
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    if not isinstance(node, ast.Name):
        return False
    function = module.function_of(node)
    if function is not None and function.args.args and function.args.args[0].arg == node.id:
        return any(isinstance(d, ast.Name) and d.id == "classmethod" for d in function.decorator_list)
    found = module.scope(node).find(node.id)
    return found is not None and any(isinstance(b.definition, ast.ClassDef) for b in found[1])


def _only_in_class(kinds: Kinds, cls: ast.ClassDef, name: str) -> bool:
    """A mutable attribute made in a class's body that no method makes anew for the instance."""
    in_body = False
    if _declares_fields(kinds, cls):
        return False
    for module, owner in kinds.project.lineage(kinds.module, cls):
        for node in module.assignments(owner):
            if node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Attribute) and target.attr == name and is_self(module, target.value):
                return False
            if isinstance(target, ast.Name) and target.id == name and module.parents.get(node) is owner:
                in_body = in_body or is_mutable(module, node.value)
    return in_body


def _declares_fields(kinds: Kinds, cls: ast.ClassDef) -> bool:
    """A Struct, a dataclass, an enumeration: what its body assigns are defaults and members, not one shared object."""
    if any(owner.decorator_list for _, owner in kinds.project.lineage(kinds.module, cls)):
        return True
    return any(base.startswith(_FIELDS) for base in kinds.project.bases(kinds.module, cls))


def is_mutable(module: Module, node: ast.expr) -> bool:
    """Whether an expression makes a list, dict, set or the like."""
    if isinstance(node, _DISPLAYS):
        return True
    return isinstance(node, ast.Call) and module.path_of(node.func) in _MAKERS
