"""Order: where the order of a set gets out, and sets and identities where a state needs an order and values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from apps.guard.kinds import Kinds
from apps.guard.source import Module, is_self

# Consumers that give the same for any order of the same elements.
_ANY_ORDER = frozenset({"sorted", "set", "frozenset", "len", "sum", "any", "all", "min", "max", "bool", "isinstance"})
_TIES = frozenset({"sorted", "min", "max"})
_TAKE_ORDER = frozenset({"list", "tuple", "enumerate", "iter", "zip", "map", "filter", "str", "repr", "format", "dict", "next"})
_TAKE_ORDER_FROM = ("itertools.", "collections.deque", "collections.OrderedDict", "collections.Counter", "functools.reduce",
                    "builtins.dict.fromkeys", "numpy.array", "numpy.fromiter", "heapq.")  # fmt: skip
_TAKING_METHODS = frozenset({"extend", "extendleft", "join", "writelines"})


def check(kinds: Kinds) -> Iterator[tuple[ast.AST, str, str]]:
    """Iterated, chosen from, kept."""
    for node in kinds.module.nodes:
        match node:
            case ast.For(iter=source):
                yield from _iterated(kinds, source)
            case ast.ListComp(generators=generators) | ast.DictComp(generators=generators):
                for generator in generators:
                    yield from _iterated(kinds, generator.iter)
            case ast.GeneratorExp(generators=generators):
                if not _order_is_lost(kinds.module, node):
                    for generator in generators:
                        yield from _iterated(kinds, generator.iter)
            case ast.Starred(value=value, ctx=ast.Load()) if not isinstance(kinds.module.parents.get(node), ast.Set):
                yield from _iterated(kinds, value)
            case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value):
                yield from _iterated(kinds, value)
            case ast.YieldFrom(value=value):
                yield from _iterated(kinds, value)
            case ast.FormattedValue(value=value) if kinds.is_set(value):
                yield value, "DET201", f"the text of a set, {_shown(value)}, has its elements in any order"
            case ast.Call():
                yield from _call(kinds, node)
            case ast.ClassDef():
                yield from _kept(kinds, node)


def _iterated(kinds: Kinds, source: ast.expr) -> Iterator[tuple[ast.AST, str, str]]:
    if kinds.is_set(source):
        yield source, "DET201", f"the order of a set, {_shown(source)}, gets out"


def _order_is_lost(module: Module, node: ast.GeneratorExp) -> bool:
    call = module.parents.get(node)
    if not isinstance(call, ast.Call) or node not in call.args:
        return False
    return module.path_of(call.func).removeprefix("builtins.") in _ANY_ORDER


def _call(kinds: Kinds, node: ast.Call) -> Iterator[tuple[ast.AST, str, str]]:
    path = kinds.module.path_of(node.func)
    name = path.removeprefix("builtins.")
    if isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args and kinds.is_set(node.func.value):
        yield node, "DET202", f"{_shown(node)} takes any element of a set"
    sets = [a for a in node.args if kinds.is_set(a)]
    if not sets:
        return
    if name in _TIES and any(k.arg == "key" and not _breaks_ties(k.value) for k in node.keywords):
        yield node, "DET202", f"{name} with a key over a set, {_shown(sets[0])}: equal keys keep the set's order"
    elif name == "next" or (name == "iter" and _is_next(kinds.module, node)):
        yield node, "DET202", f"{_shown(node)} takes any element of a set"
    elif (path.startswith(("builtins.", *_TAKE_ORDER_FROM)) and (name in _TAKE_ORDER or path.startswith(_TAKE_ORDER_FROM))) or (
        isinstance(node.func, ast.Attribute) and node.func.attr in _TAKING_METHODS
    ):
        for taken in sets:
            yield taken, "DET201", f"the order of a set, {_shown(taken)}, gets out by {_shown(node.func)}()"


def _is_next(module: Module, node: ast.Call) -> bool:
    around = module.parents.get(node)
    return isinstance(around, ast.Call) and module.path_of(around.func) == "builtins.next"


def _breaks_ties(key: ast.expr) -> bool:
    """`lambda x: (…, x)`: elements that are equal by the rest differ by themselves."""
    if not isinstance(key, ast.Lambda) or not isinstance(key.body, ast.Tuple) or not key.body.elts or not key.args.args:
        return False
    last = key.body.elts[-1]
    return isinstance(last, ast.Name) and last.id == key.args.args[0].arg


def _kept(kinds: Kinds, cls: ast.ClassDef) -> Iterator[tuple[ast.AST, str, str]]:
    """What a class keeps in its instances: their state, when an app holds them."""
    module = kinds.module
    for node in ast.walk(cls):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or module.class_of(node) is not cls:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        in_body = module.parents.get(node) is cls
        if in_body and (not isinstance(node, ast.AnnAssign) or _is_class_variable(node)):
            continue
        if not in_body and not (isinstance(target, ast.Attribute) and is_self(module, target.value)):
            continue
        shown = _shown(target) if not in_body else f"{cls.name}.{_shown(target)}"
        annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
        kind = kinds.annotated(annotation) or kinds.of(node.value)
        if kind is not None and (kind.name == "set" or (kind.of is not None and kind.of.name == "set")):
            yield node, "DET204", f"{shown} keeps a set"
        key = _key_of(annotation)
        found = kinds.project.definition(module, key) if key is not None else None
        if key is not None and found is not None and _has_identity_only(kinds, *found):
            yield node, "DET206", f"{shown} has objects of {found[1].name} as keys"


def _is_class_variable(node: ast.AnnAssign) -> bool:
    return "ClassVar" in ast.unparse(node.annotation)


def _key_of(annotation: ast.expr | None) -> ast.expr | None:
    match annotation:
        case ast.Subscript(value=ast.Name(id="dict" | "Dict" | "defaultdict"), slice=ast.Tuple(elts=[key, _])):
            return key
    return None


def _has_identity_only(kinds: Kinds, module: Module, cls: ast.ClassDef) -> bool:
    """A plain class: no base but ours that are plain too, no decorator, no __eq__."""
    for where, owner in kinds.project.lineage(module, cls):
        if owner.decorator_list or any(isinstance(n, ast.FunctionDef) and n.name == "__eq__" for n in owner.body):
            return False
        if owner.keywords or any(kinds.project.definition(where, b) is None for b in owner.bases):
            return False
    return True


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}…"
