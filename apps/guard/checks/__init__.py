"""apps.guard.checks: one file for each family of rules. Each yields what it found in a module: (node, rule, what)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from apps.guard.checks import hidden, money, order, outside
from apps.guard.kinds import Kinds

Found = tuple[ast.AST, str, str]
CHECKS: tuple[Callable[[Kinds], Iterator[Found]], ...] = (outside.check, order.check, money.check, hidden.check)
