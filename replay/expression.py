"""Expressions over a stop: `order.status == FILLED and position < 0`. Explained in docs/cli.md, "lockstep debug".

The text is parsed to a syntax tree of which only nodes that cannot change anything are taken: names, attributes, items,
numbers, texts, arithmetic on integers, comparisons, and, or, not. Nothing in it is ever executed as Python; there are no calls,
and an attribute that would run code from outside of this product is refused.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import operator
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from types import FunctionType
from typing import Any

from journal.errors import OperatingError
from journal.messages import REGISTRY, enums
from journal.values import ABSENT

_TEXT_MAX = 2000
_DEPTH_MAX = 50
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_SCALARS = (int, str, bytes, Decimal, Enum)
_CONTAINERS = (dict, list, tuple, deque, set, frozenset, str, bytes)
_SEQUENCES = (list, tuple, deque, str, bytes)
_OURS = ("journal", "oms", "riskengine", "apps", "replay")
_OTHER_NAMES = {"status": "OrdStatus", "base": "OrdStatus", "kind": ""}

NAMES = {
    "m": "the message",
    "kind": "its kind: kind == ExecutionReport",
    "app": "the app",
    "order": "the order that the message is about: status, side, qty, px, leaves_qty, cum_qty, …",
    "position": "our signed quantity of the message's instrument",
    "now": "the stream's time, ns",
    "seq": "the frame",
    "token": "of a timer",
}
Value = Callable[[Any], Any]


class BadExpression(OperatingError, ValueError):
    """An expression that cannot be understood, or could change something; says where and what is possible."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__(f"{text!r}: {what}")


class Expression:
    """A parsed expression; called with a scene (an object that has NAMES as attributes) it says whether it holds."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        if len(self.text) > _TEXT_MAX:
            raise BadExpression(self.text[:40] + "…", f"{len(self.text)} characters; at most {_TEXT_MAX}")
        try:
            tree = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise BadExpression(
                self.text, f"{reason}; expected an expression such as: m.price_px > 100 and position < 0"
            ) from None
        self._holds = self._truth(tree.body, 0)

    def __call__(self, scene: Any) -> bool:
        """What is not there equals nothing: a comparison with it is false."""
        return self._holds(scene)

    def _bad(self, node: ast.AST, what: str) -> BadExpression:
        return BadExpression(self.text, f"{ast.unparse(node)}: {what}")

    def _truth(self, node: ast.expr, depth: int) -> Callable[[Any], bool]:
        value = self._node(node, depth + 1)

        def holds(scene: Any) -> bool:
            found = value(scene)
            return isinstance(found, (*_SCALARS, *_CONTAINERS)) and bool(found)

        return holds

    def _node(self, node: ast.expr, depth: int) -> Value:
        if depth > _DEPTH_MAX:
            raise BadExpression(self.text, f"deeper than {_DEPTH_MAX} levels")
        match node:
            case ast.BoolOp():
                parts = [self._truth(part, depth) for part in node.values]
                both = isinstance(node.op, ast.And)
                return lambda scene: all(p(scene) for p in parts) if both else any(p(scene) for p in parts)
            case ast.UnaryOp(op=ast.Not()):
                part = self._truth(node.operand, depth)
                return lambda scene: not part(scene)
            case ast.UnaryOp(op=ast.USub()):
                value = self._node(node.operand, depth + 1)
                return lambda scene: -found if isinstance(found := value(scene), int) else ABSENT
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._arithmetic(node, depth)
            case ast.Compare():
                return self._compare(node, depth)
            case ast.Attribute():
                return self._attribute(node, depth)
            case ast.Subscript():
                return self._item(node, depth)
            case ast.Tuple() | ast.List():
                members = [self._node(part, depth + 1) for part in node.elts]
                return lambda scene: tuple(member(scene) for member in members)
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.Call():
                raise self._bad(node, "a call could change something; expected names, attributes, items, comparisons")
            case ast.NamedExpr():
                raise self._bad(node, "an assignment changes something; expected a comparison such as ==")
        raise self._bad(
            node, "not possible here; expected names, attributes, items, and or not, == != < <= > >= in, + - * // %"
        )

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Value:
        left, right, act = self._node(node.left, depth + 1), self._node(node.right, depth + 1), _ARITHMETIC[type(node.op)]

        def value(scene: Any) -> Any:
            a, b = left(scene), right(scene)
            if not isinstance(a, int) or not isinstance(b, int):
                return ABSENT
            return ABSENT if b == 0 and act in (operator.floordiv, operator.mod) else act(a, b)

        return value

    def _compare(self, node: ast.Compare, depth: int) -> Value:
        terms = [node.left, *node.comparators]
        values = [self._term(term, terms, depth + 1) for term in terms]
        acts = [self._act(node, op) for op in node.ops]

        def holds(scene: Any) -> bool:
            found = [value(scene) for value in values]
            return all(act(a, b) for act, a, b in zip(acts, found, found[1:], strict=False))

        return holds

    def _term(self, term: ast.expr, terms: list[ast.expr], depth: int) -> Value:
        """`FILLED` is several numbers; which one is meant, the field beside it says."""
        if isinstance(term, ast.Name) and term.id not in NAMES:
            fields = [name for t in terms for name in _field_names(t)]
            return self._member(term, fields)
        if isinstance(term, ast.Tuple | ast.List):
            members = [self._term(part, terms, depth + 1) for part in term.elts]
            return lambda scene: tuple(member(scene) for member in members)
        return self._node(term, depth)

    def _act(self, node: ast.Compare, op: ast.cmpop) -> Callable[[Any, Any], bool]:
        if isinstance(op, ast.In | ast.NotIn):
            wanted = isinstance(op, ast.In)
            return lambda a, b: a is not ABSENT and isinstance(b, _CONTAINERS) and _within(a, b) is wanted
        if isinstance(op, ast.Is | ast.IsNot):
            same = isinstance(op, ast.Is)
            return lambda a, b: (a is b or (a is ABSENT and b is None)) is same
        if type(op) not in _COMPARE:
            raise self._bad(node, "expected == != < <= > >= in, not in, is")
        act = _COMPARE[type(op)]
        return lambda a, b: _compared(act, a, b)

    def _attribute(self, node: ast.Attribute, depth: int) -> Value:
        name = node.attr
        if name.startswith("_"):
            raise self._bad(node, "names that begin with _ are the object's own")
        if isinstance(node.value, ast.Name) and node.value.id in _ENUMS:
            members = _ENUMS[node.value.id].__members__
            if name not in members:
                raise self._bad(node, f"no such member{_near(name, members)}")
            number = int(members[name])
            return lambda _: number
        if isinstance(node.value, ast.Name) and node.value.id == "m" and name not in _FIELDS:
            raise self._bad(node, f"no message has a field {name}{_near(name, _FIELDS)}")
        value = self._node(node.value, depth + 1)
        return lambda scene: self._read(node, value(scene), name)

    def _read(self, node: ast.Attribute, of: Any, name: str) -> Any:
        if of is ABSENT or of is None:
            return ABSENT
        cls = type(of)
        found = inspect.getattr_static(cls, name, None)
        foreign = cls.__module__.partition(".")[0] not in _OURS
        if callable(found) and not isinstance(found, type):
            raise self._bad(node, f"{name} is a method of {cls.__name__}; there are no calls here")
        if isinstance(found, property) and (found.fget is None or found.fget.__module__.partition(".")[0] not in _OURS):
            raise self._bad(node, f"{name} is a property of {cls.__name__}: reading it runs code that could change something")
        made = (vars(base).get(hook) for base in cls.__mro__ for hook in ("__getattr__", "__getattribute__"))
        if foreign and any(isinstance(function, FunctionType) for function in made):
            raise self._bad(node, f"{cls.__name__} makes attributes as they are asked for, which could change something")
        return getattr(of, name, ABSENT)

    def _item(self, node: ast.Subscript, depth: int) -> Value:
        if isinstance(node.slice, ast.Slice):
            raise self._bad(node, "one item only")
        value, key = self._node(node.value, depth + 1), self._node(node.slice, depth + 1)

        def item(scene: Any) -> Any:
            of: Any = value(scene)
            at = key(scene)
            try:
                # `get`: an item that a defaultdict would make is not made.
                return dict.get(of, at, ABSENT) if isinstance(of, dict) else of[at] if isinstance(of, _SEQUENCES) else ABSENT
            except (LookupError, TypeError):
                return ABSENT

        return item

    def _constant(self, node: ast.Constant) -> Value:
        value: Any = node.value
        if isinstance(value, float):
            raise self._bad(node, "no integer; prices and quantities here are the instrument's own integers")
        if value is not None and not isinstance(value, int | str):
            raise self._bad(node, "expected a whole number or a text")
        return lambda _: value

    def _name(self, node: ast.Name) -> Value:
        name = node.id
        if name in NAMES:
            return lambda scene: getattr(scene, name)
        return self._member(node, [])

    def _member(self, node: ast.Name, fields: list[str]) -> Value:
        """A kind, or the member of an enumeration: that of a field beside it, or the only one."""
        name = node.id
        numbers = {enum: int(cls.__members__[name]) for enum, cls in _ENUMS.items() if name in cls.__members__}
        beside = {enum: n for enum, n in numbers.items() if any(enum in _FIELDS.get(f, set()) for f in fields)}
        if name in _KINDS and "kind" in fields:
            number = _KINDS[name]
        elif len(set((beside or numbers).values())) == 1:
            (number,) = set((beside or numbers).values())
        elif numbers:
            raise self._bad(node, f"several things; expected one of {', '.join(f'{enum}.{name}' for enum in sorted(numbers))}")
        elif name in _KINDS:
            number = _KINDS[name]
        else:
            field = f"; a field of the message is m.{name}" if name in _FIELDS else ""
            known = {*NAMES, *_KINDS, *(m for cls in _ENUMS.values() for m in cls.__members__)}
            raise self._bad(node, f"nothing is called so{field or _near(name, known)}")
        return lambda _: number


def _compared(act: Callable[[Any, Any], Any], a: Any, b: Any) -> bool:
    if a is ABSENT or b is ABSENT:
        return False
    if not isinstance(a, (*_SCALARS, tuple)) or not isinstance(b, (*_SCALARS, tuple)):
        # Objects compare by code of their own.
        return (act is operator.eq and a is b) or (act is operator.ne and a is not b)
    try:
        return bool(act(a, b))
    except TypeError:
        return False


def _within(a: Any, b: Any) -> bool:
    try:
        return isinstance(a, (*_SCALARS, tuple)) and a in b
    except TypeError:
        return False


def _field_names(node: ast.expr) -> list[str]:
    return [node.attr] if isinstance(node, ast.Attribute) else [node.id] if isinstance(node, ast.Name) else []


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, 3) or difflib.get_close_matches(name.upper(), known, 3)
    return f"; near: {', '.join(near)}" if near else ""


def _fields() -> dict[str, set[str]]:
    """Field of a message or of its rows → the enumerations that it holds somewhere."""
    found: dict[str, set[str]] = {}
    for cls in REGISTRY.values():
        for field in cls.LAYOUT.fields:
            found.setdefault(field.name, set()).add(field.enum)
    for name, enum in _OTHER_NAMES.items():
        found.setdefault(name, set()).add(enum)
    return found


_ENUMS: dict[str, Any] = {
    name: cls for name, cls in vars(enums).items() if isinstance(cls, type) and issubclass(cls, Enum) and cls.__members__
}
_KINDS = {cls.__name__: cls.KIND for cls in REGISTRY.values()}
_FIELDS = _fields()
