"""Money: binary floating point that gets into state or orders, integers that pass through it, the process's decimal context."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from apps.guard.kinds import Kinds
from apps.guard.source import is_self, root_of

_ORDERS = frozenset({"buy", "sell", "replace", "target", "emit", "wake", "set_timer"})
_KEEPING = frozenset({"append", "appendleft", "add", "insert", "extend", "setdefault", "push", "__setitem__"})
_TO_INTEGER = frozenset({"builtins.int", "math.floor", "math.ceil", "math.trunc"})


def check(kinds: Kinds) -> Iterator[tuple[ast.AST, str, str]]:
    """Floats kept, sent, and turned into integers."""
    for node in kinds.module.nodes:
        match node:
            case ast.Assign(targets=targets, value=value) if kinds.is_float(value):
                for target in targets:
                    yield from _kept(kinds, node, target)
            case ast.AugAssign(target=target, value=value, op=operator):
                if kinds.is_float(value) or (isinstance(operator, ast.Div) and not _exact(kinds, target, value)):
                    yield from _kept(kinds, node, target)
            case ast.AnnAssign():
                yield from _annotated(kinds, node)
            case ast.Call():
                yield from _call(kinds, node)
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right) if kinds.is_float(left) or kinds.is_float(right):
                yield node, "DET302", f"{_shown(node)} divides floats"


def _exact(kinds: Kinds, *nodes: ast.expr) -> bool:
    return any(kind is not None and kind.name == "exact" for kind in map(kinds.of, nodes))


def _kept(kinds: Kinds, node: ast.AST, target: ast.expr) -> Iterator[tuple[ast.AST, str, str]]:
    if isinstance(target, ast.Attribute | ast.Subscript) and is_self(kinds.module, root_of(target)):
        yield node, "DET301", f"{_shown(target)} becomes a float"


def _annotated(kinds: Kinds, node: ast.AnnAssign) -> Iterator[tuple[ast.AST, str, str]]:
    module = kinds.module
    cls = module.class_of(node)
    kind = kinds.annotated(node.annotation)
    holds = kind is not None and "float" in (kind.name, kind.of.name if kind.of else "")
    if not holds and not kinds.is_float(node.value):
        return
    if isinstance(node.target, ast.Name) and cls is not None and module.parents.get(node) is cls:
        if "ClassVar" not in ast.unparse(node.annotation):
            yield node, "DET301", f"{cls.name}.{node.target.id} is a float"
    elif isinstance(node.target, ast.Attribute) and is_self(module, root_of(node.target)):
        yield node, "DET301", f"{_shown(node.target)} is a float"


def _call(kinds: Kinds, node: ast.Call) -> Iterator[tuple[ast.AST, str, str]]:
    module, func = kinds.module, node.func
    path = module.path_of(func)
    given = [a for a in [*node.args, *(k.value for k in node.keywords)] if kinds.is_float(a)]
    if not given:
        return
    first = _shown(given[0])
    if path in _TO_INTEGER or (path == "builtins.round" and len(node.args) == 1):
        yield node, "DET302", f"{_shown(node)} makes an integer of the float {first}"
    elif path in ("decimal.Decimal", "fractions.Fraction"):
        yield node, "DET302", f"{_shown(node)} takes the digits of the binary fraction {first}"
    elif isinstance(func, ast.Attribute) and func.attr in _ORDERS and is_self(module, func.value):
        yield given[0], "DET301", f"the float {first} goes into {_shown(func)}()"
    elif path.startswith("journal.messages."):
        yield given[0], "DET301", f"the float {first} goes into the message {path.rpartition('.')[2]}"
    elif isinstance(func, ast.Attribute) and func.attr in _KEEPING and is_self(module, root_of(func.value)):
        yield given[0], "DET301", f"the float {first} is kept in {_shown(func.value)}"


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}…"
