"""The outside world: clock, chance, machine, I/O, threads, code from elsewhere, the collector, addresses and hashes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from apps.guard import world
from apps.guard.kinds import Kinds
from apps.guard.source import Function, Module

_CATCHES_ALL = frozenset({"BaseException", "MemoryError", "RecursionError", "KeyboardInterrupt", "SystemExit"})


def check(kinds: Kinds) -> Iterator[tuple[ast.AST, str, str]]:
    """Every use of a name that leads outside of the stream."""
    module = kinds.module
    yield from _imports(kinds)
    for node in module.nodes:
        if node in module.late:
            continue
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from _name(kinds, node)
        elif isinstance(node, ast.AsyncFunctionDef):
            yield node, "DET105", f"async def {node.name} waits for the machine's event loop"
        elif isinstance(node, ast.FunctionDef) and node.name == "__del__":
            yield node, "DET107", "__del__ runs when the garbage collector wants it to"
        elif isinstance(node, ast.ExceptHandler):
            yield from _handler(module, node)


def _name(kinds: Kinds, node: ast.Name | ast.Attribute) -> Iterator[tuple[ast.AST, str, str]]:
    module = kinds.module
    parent = module.parents.get(node)
    path = module.path_of(node)
    breach = world.breach(path) if path else None
    if breach is None or kinds.project.find(module, path.partition(".")[0]) is not None:
        yield from _local_zone(module, node, path)
        return
    if isinstance(parent, ast.Attribute) and module.path_of(parent):
        return  # the whole of `time.time` is one name
    if isinstance(parent, ast.Assign) and parent.value is node and all(isinstance(t, ast.Name) for t in parent.targets):
        return  # an alias; its uses are found
    if _in_annotation(module, node) or (path == "builtins.hash" and _defines_hash(module, node)):
        return
    yield node, breach.rule, f"{path.removeprefix('builtins.')} {breach.does}"


def _local_zone(module: Module, node: ast.expr, path: str) -> Iterator[tuple[ast.AST, str, str]]:
    if path not in ("datetime.datetime.fromtimestamp", "datetime.date.fromtimestamp"):
        return
    match module.parents.get(node):
        case ast.Call(func=func, args=[] | [_], keywords=[]) if func is node:
            yield node, "DET103", f"{path} without a time zone takes that of the machine"


def _in_annotation(module: Module, node: ast.AST) -> bool:
    below = node
    for around in module.ancestors(node):
        if isinstance(around, ast.arg | ast.AnnAssign) and around.annotation is below:
            return True
        if isinstance(around, Function):
            return around.returns is below
        below = around
    return False


def _defines_hash(module: Module, node: ast.AST) -> bool:
    """`__hash__` may call hash(): dicts keep the order of insertion, and iterating over sets is found elsewhere."""
    function = module.function_of(node)
    return function is not None and function.name == "__hash__"


def _imports(kinds: Kinds) -> Iterator[tuple[ast.AST, str, str]]:
    for node, name, file in kinds.project.imported(kinds.module):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            breach = world.breach(name)
            if breach is not None:
                yield node, breach.rule, f"{name} {breach.does}; everything of it is imported"
                continue
        why = "" if file is not None and name.partition(".")[0] not in world.OURS else world.foreign(name)
        if why and not name.startswith("."):
            yield node, "DET108", why


def _handler(module: Module, node: ast.ExceptHandler) -> Iterator[tuple[ast.AST, str, str]]:
    if any(isinstance(n, ast.Raise) for n in ast.walk(node)):
        return
    if node.type is None:
        yield node, "DET501", "except without an error catches everything"
        return
    named = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    for name in named:
        path = module.path_of(name).removeprefix("builtins.")
        if path in _CATCHES_ALL:
            yield node, "DET501", f"except {path} goes on"
