"""An app's state as a tree that people read (named values, dicts by key, books by level), and what differs between two."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from apps.app import App
from apps.books.app import Books
from apps.books.book import Book
from journal.errors import OperatingError
from journal.messages import BookStateCode, Side

Tree = Any
"""A scalar, or a dict of str → Tree."""
_DEPTH_MAX = 20


class NoSuchPath(OperatingError, LookupError):
    """A path that a state does not have: names what there is."""


class Difference(msgspec.Struct, frozen=True):
    """One value of two trees; None where a side does not have it."""

    path: tuple[str, ...]
    before: str | None
    after: str | None


def tree_of(app: App) -> Tree:
    """The state of an app. Names of its own (`_x`), what its host gave it and other apps are left out."""
    if isinstance(app, Books):
        return {str(number): _book(book) for number, book in sorted(app._books.items()) if book.seq}
    return _attributes(vars(app), 0)


def at_path(tree: Tree, path: str) -> Tree:
    """The part of a tree at `orders.123.status`. NoSuchPath names the nearest that is there."""
    here = tree
    for depth, name in enumerate(names := [p for p in path.split(".") if p]):
        if not isinstance(here, dict) or name not in here:
            inside = ", ".join(list(here)[:20]) if isinstance(here, dict) and here else "nothing"
            raise NoSuchPath(f"{path}: no {name!r} in {'.'.join(names[:depth]) or 'the state'}; it has {inside}")
        here = here[name]
    return here


def lines_of(tree: Tree, indent: str = "") -> Iterator[str]:
    """A tree as indented lines."""
    if not isinstance(tree, dict):
        yield f"{indent}{tree}"
        return
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{name}"
            yield from lines_of(value, indent + "  ")
        else:
            yield f"{indent}{name} = {'{}' if isinstance(value, dict) else value}"


def differences(before: Tree, after: Tree, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """What differs, leaf by leaf, in the order of the trees."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                yield Difference((*path, name), _short(before[name]), None)
            elif name not in before:
                yield Difference((*path, name), None, _short(after[name]))
            else:
                yield from differences(before[name], after[name], (*path, name))
    elif before != after:
        yield Difference(path, _short(before), _short(after))


def difference_lines(found: list[Difference]) -> Iterator[str]:
    """Differences as a tree: `-` gone, `+` new, `~` changed."""
    shown: tuple[str, ...] = ()
    for d in found:
        parents = d.path[:-1]
        common = next(
            (i for i, (a, b) in enumerate(zip(shown, parents, strict=False)) if a != b), min(len(shown), len(parents))
        )
        for depth in range(common, len(parents)):
            yield "  " + "  " * depth + parents[depth]
        shown = parents
        name, indent = (d.path or ("state",))[-1], "  " * len(parents)
        if d.before is None:
            yield f"+ {indent}{name} = {d.after}"
        elif d.after is None:
            yield f"- {indent}{name} = {d.before}"
        else:
            yield f"~ {indent}{name} = {d.before} → {d.after}"


def _short(tree: Tree) -> str:
    if not isinstance(tree, dict):
        return str(tree)
    return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in tree.items()) + "}"


def _book(book: Book) -> dict[str, Tree]:
    sides = {
        name: {str(level.px): str(level.qty) for level in book.levels(side, book.depth(side))}
        for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
    }
    return {
        "state": BookStateCode(book.state).name,
        "exchange_seq": str(book.exchange_seq),
        "pending": str(len(book.pending)),
    } | sides


def _plain(value: Any, depth: int) -> Tree:
    if value is None or isinstance(value, bool | int | str | Decimal):
        return (
            f"{value.name} ({value.value})"
            if isinstance(value, Enum)
            else repr(value)
            if isinstance(value, str)
            else str(value)
        )
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:8].hex()}" if value else "b''"
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | deque):
        return {str(i): _plain(v, depth + 1) for i, v in enumerate(value)}
    if isinstance(value, msgspec.Struct):
        return {f: _plain(getattr(value, f), depth + 1) for f in value.__struct_fields__}
    layout = getattr(value, "LAYOUT", None)
    if layout is not None:
        return {f.name: _plain(getattr(value, f.name), depth + 1) for f in layout.fields}
    if hasattr(value, "__dict__"):
        return _attributes(_held(value), depth + 1)
    return repr(value)


def _held(value: Any) -> dict[str, Any]:
    """The attributes of an object: those in slots of its classes, and those of its own."""
    slots = [name for cls in type(value).__mro__ for name in vars(cls).get("__slots__", ()) if not name.startswith("__")]
    held: dict[str, Any] = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**held, **vars(value)}


def _attributes(held: Mapping[str, Any], depth: int) -> dict[str, Tree]:
    return {
        name: _plain(value, depth)
        for name, value in held.items()
        if not name.startswith("_") and not isinstance(value, App) and (not callable(value) or isinstance(value, Enum))
    }
