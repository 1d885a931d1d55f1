"""Conditions on frames, as people type them: `price > 100 and side == BUY`. Explained in docs/cli.md, "Conditions".

The text is parsed to a syntax tree of which only the harmless nodes are taken; each becomes a function of a frame. Nothing in
it is ever executed as Python. Prices and quantities are compared as exact decimals in the instrument's own scale.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from journal.errors import JournalError
from journal.frames import Frame
from journal.messages import REGISTRY, enums
from journal.messages.header import Flag, Header
from journal.messages.schema import Field
from journal.text import Names
from journal.values import ABSENT, Named, field_value, header_value
from journal.when import BadTime, parse_time

_TEXT_MAX = 2000
_DEPTH_MAX = 50
_SCALE_MAX = 60
"""Powers of ten that a number may be away from 1: no field holds one beyond 10**39 or below 10**-18, and sums and products of
such numbers stay within what decimals can be."""
_SUFFIXES = ("", "_px", "_qty", "_amt", "_rate", "_ts", "_ref")
_HEADER = tuple(Header.__struct_fields__)
_HEADER_TIMES = ("ts", "origin_ts")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
}  # fmt: skip

Value = Callable[[Frame], Any]


class BadCondition(JournalError):
    """A condition that cannot be understood; says where and what is possible."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__(f"--where {text!r}: {what}")


class _Node(NamedTuple):
    """A part of a condition: its value on a frame, and what it is if it is the same on every frame."""

    value: Value
    constant: Any = ABSENT
    is_time: bool = False


class Condition:
    """A parsed condition; called with a frame it says whether it holds. `day`, asked for if it is needed: of times without a
    date."""

    def __init__(self, text: str, names: Names, day: Callable[[], date] | None = None) -> None:
        self.text = text
        self._names = names
        self._day = day
        if len(text) > _TEXT_MAX:
            raise BadCondition(text[:40] + "…", f"{len(text)} characters; at most {_TEXT_MAX}")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise BadCondition(text, f"{reason}; expected a condition such as: price > 100 and side == BUY") from None
        self._holds = self._truth(tree.body, -1)

    def __call__(self, frame: Frame) -> bool:
        """A comparison with something that the frame does not have is false."""
        return self._holds(frame)

    def _bad(self, node: ast.AST, what: str) -> BadCondition:
        return BadCondition(self.text, f"{ast.unparse(node)}: {what}")

    def _node(self, node: ast.expr, depth: int) -> _Node:
        if depth > _DEPTH_MAX:
            raise BadCondition(self.text, f"deeper than {_DEPTH_MAX} levels")
        if isinstance(node, ast.BoolOp):
            return self._bool(node, depth)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, depth)
        if isinstance(node, ast.Compare):
            return self._compare(node, depth)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return self._arithmetic(node, depth)
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        raise self._bad(node, "not possible here; expected fields, numbers, texts, and or not, == != < <= > >= in, + - *")

    def _bool(self, node: ast.BoolOp, depth: int) -> _Node:
        parts = [self._truth(part, depth) for part in node.values]
        if isinstance(node.op, ast.And):
            return _Node(lambda frame: all(part(frame) for part in parts))
        return _Node(lambda frame: any(part(frame) for part in parts))

    def _truth(self, node: ast.expr, depth: int) -> Callable[[Frame], bool]:
        part = self._node(node, depth + 1).value
        if not isinstance(node.op if isinstance(node, ast.UnaryOp) else node, ast.BoolOp | ast.Compare | ast.Not):
            # True of no frame: `side == BUY or SELL` is a slip, and no answer would tell.
            raise self._bad(node, "is no condition; expected a comparison such as: side == BUY")
        return lambda frame: part(frame) is True

    def _unary(self, node: ast.UnaryOp, depth: int) -> _Node:
        if isinstance(node.op, ast.Not):
            part = self._truth(node.operand, depth)
            return _Node(lambda frame: not part(frame))
        if isinstance(node.op, ast.USub):
            value = self._node(node.operand, depth + 1).value
            return _Node(lambda frame: _number(value(frame), operator.neg))
        raise self._bad(node, "not possible here")

    def _arithmetic(self, node: ast.BinOp, depth: int) -> _Node:
        left, right = self._node(node.left, depth + 1).value, self._node(node.right, depth + 1).value
        act = _ARITHMETIC[type(node.op)]
        return _Node(lambda frame: _number(left(frame), act, right(frame)))

    def _compare(self, node: ast.Compare, depth: int) -> _Node:
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            return self._within(node, depth)
        nodes = [self._node(part, depth + 1) for part in (node.left, *node.comparators) if not _is_list(part)]
        if len(nodes) != len(node.ops) + 1:
            raise self._bad(node, "a list stands behind `in` only")
        acts: list[Callable[[Any, Any], Any]] = []
        for op in node.ops:
            if type(op) not in _COMPARE:
                raise self._bad(node, "expected == != < <= > >= in, or not in")
            acts.append(_COMPARE[type(op)])
        self._of_a_frame(node, nodes)
        times = [n.is_time for n in nodes]
        beside = [before or after for before, after in zip([False, *times], [*times[1:], False], strict=False)]
        values = [self._beside_time(n).value if b else n.value for n, b in zip(nodes, beside, strict=True)]

        def holds(frame: Frame) -> bool:
            found = [value(frame) for value in values]
            return all(_compared(act, a, b) for act, a, b in zip(acts, found, found[1:], strict=False))

        return _Node(holds)

    def _of_a_frame(self, node: ast.expr, parts: list[_Node]) -> None:
        """Refuses what is the same on every frame, as `maker > 0` where maker is a strategy's name."""
        if all(part.constant is not ABSENT for part in parts):
            raise self._bad(node, "compares nothing of a frame; expected a field, such as: side == BUY")

    def _beside_time(self, part: _Node) -> _Node:
        """A text that is compared with a time, as that time; all else as it is."""
        if not isinstance(part.constant, str):
            return part
        try:
            ns = parse_time(part.constant)
        except BadTime:
            try:
                ns = parse_time(part.constant, self._day() if self._day is not None else None)
            except BadTime as error:
                raise BadCondition(self.text, str(error)) from None
        value = Named(ns, (), True)
        return _Node(lambda _: value, value)

    def _within(self, node: ast.Compare, depth: int) -> _Node:
        """`side in (BUY, SELL)`, `"text" in reason`, `POSS_RESEND in flags`."""
        of, wanted = self._node(node.left, depth + 1), isinstance(node.ops[0], ast.In)
        left, container = of.value, node.comparators[0]
        if isinstance(container, ast.Tuple | ast.List | ast.Set):
            listed = [self._node(part, depth + 1) for part in container.elts]
            self._of_a_frame(node, [of, *listed])
            members = [(self._beside_time(member) if of.is_time else member).value for member in listed]

            def among(frame: Frame) -> bool:
                value = left(frame)
                if value is ABSENT:
                    return False
                return any(_compared(operator.eq, value, member(frame)) for member in members) is wanted

            return _Node(among)
        within = self._node(container, depth + 1)
        self._of_a_frame(node, [of, within])
        inside = within.value

        def part_of(frame: Frame) -> bool:
            text, whole = left(frame), inside(frame)
            if text is ABSENT or whole is ABSENT:
                return False
            return (_text(text) in _text(whole)) is wanted

        return _Node(part_of)

    def _constant(self, node: ast.Constant) -> _Node:
        value: Any = node.value
        if isinstance(value, float):
            # As it was typed: a price is never what binary makes of it.
            typed = ast.get_source_segment(self.text.strip(), node) or repr(value)
            try:
                value = Decimal(typed.replace("_", ""))
            except InvalidOperation:  # beyond even the exponents of decimals
                value = Decimal("Infinity")
            if not value.is_finite() or (value and abs(value.adjusted()) > _SCALE_MAX):
                raise BadCondition(self.text, f"{typed}: expected a number between 1e-{_SCALE_MAX} and 1e{_SCALE_MAX}")
        if not isinstance(value, (int, str, Decimal)):
            raise self._bad(node, "expected a number or a text")
        return _Node(lambda _: value, value)

    def _name(self, node: ast.Name) -> _Node:
        name, names = node.id, self._names
        if name in _HEADER or name.removeprefix("body_") in _fields():
            return _Node(lambda frame: _look(frame, name, names), is_time=_is_time(name))
        # Before what a field's name only begins with: `source == maker` means the strategy, not maker_rate.
        if name in _words() or name in names.known():
            return _Node(lambda _: name, name)
        if any(_found(cls.LAYOUT.fields, name) is not None for cls in REGISTRY.values()):
            return _Node(lambda frame: _look(frame, name, names), is_time=_is_time(name))
        known = {*_HEADER, *_words(), *names.known(), *_fields()}
        near = difflib.get_close_matches(name, known, 3) or difflib.get_close_matches(name.upper(), known, 3)
        raise BadCondition(
            self.text,
            f"no field, source, instrument or value is called {name}"
            + (f"; near: {', '.join(near)}" if near else "")
            + '; a text is written in quotes: "…"',
        )


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple | ast.List | ast.Set)


def _fields() -> set[str]:
    """Fields of all bodies, by their whole names."""
    return {f.name for cls in REGISTRY.values() for f in cls.LAYOUT.fields}


def _found(fields: Iterable[Field], name: str) -> Field | None:
    """The field that a name means in a body, with or without its unit."""
    by_name = {field.name: field for field in fields}
    for suffix in _SUFFIXES:
        if (field := by_name.get(name.removeprefix("body_") + suffix)) is not None:
            return field
    return None


def _is_time(name: str) -> bool:
    """Whether it is a time wherever it is: of one that is something else in another kind, the frame tells."""
    if name in _HEADER:
        return name in _HEADER_TIMES
    found = [field for cls in REGISTRY.values() if (field := _found(cls.LAYOUT.fields, name)) is not None]
    return all(field.scalar is not None and field.scalar.unit == "ns" for field in found)


_WORDS: set[str] = set()


def _words() -> set[str]:
    """Members of all enumerations, and the names of kinds."""
    if not _WORDS:
        _WORDS.update(cls.__name__ for cls in REGISTRY.values())
        _WORDS.update(flag.name or "" for flag in Flag)
        for enum in vars(enums).values():
            _WORDS.update(getattr(enum, "__members__", ()))
    return _WORDS


def _look(frame: Frame, name: str, names: Names) -> Any:
    """A field's value: the header's, then the body's own. `body_source` is the body's where both have one."""
    if name in _HEADER:
        return header_value(frame.header, name, names)
    message = frame.message
    field = _found(message.LAYOUT.fields, name) if message is not None else None
    return field_value(field, message, names) if message is not None and field is not None else ABSENT


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value.text if isinstance(value, Named) else str(value)


def _number(a: Any, act: Callable[..., Any], *rest: Any) -> Any:
    values = [v.number if isinstance(v, Named) else v for v in (a, *rest)]
    if any(v is ABSENT or isinstance(v, str) for v in values):
        return ABSENT
    return act(*values)


def _compared(act: Callable[[Any, Any], Any], a: Any, b: Any) -> bool:
    if a is ABSENT or b is ABSENT:
        return False
    if isinstance(b, Named) and not isinstance(a, Named):
        flipped = {operator.lt: operator.gt, operator.gt: operator.lt, operator.le: operator.ge, operator.ge: operator.le}
        return _compared(flipped.get(act, act), b, a)
    if isinstance(a, Named):
        if isinstance(b, str) and a.is_time:
            try:
                return bool(act(a.number, parse_time(b)))
            except BadTime:
                return False
        if isinstance(b, str):
            same = b.casefold() in {word.casefold() for word in a.words}
            return same if act is operator.eq else not same if act is operator.ne else False
        return bool(act(a.number, b.number if isinstance(b, Named) else b))
    if isinstance(a, str) is not isinstance(b, str):
        return act is operator.ne
    return bool(act(a, b))
