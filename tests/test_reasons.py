"""The closed lists are no wishes: every reason is given somewhere and asserted by a test, every kind is published or read.

What is declared and not there yet stands in a table here with why. A table that is not true any more fails, too: whoever gives
a reason at last takes it out and asserts it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from journal.messages import REGISTRY, Reason
from journal.messages.derive import snake

ROOT = Path(__file__).parents[1]
PRODUCT = ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep")
DECLARATIONS = ROOT / "journal" / "messages"
TESTS = ROOT / "tests"

_NO_VENUE = "the simulated venue never says it; the adapter of one that does will"
_NO_SESSION = "operators and clients have no sessions with passwords or rights yet"
NOT_GIVEN = {
    "SOURCE_QUARANTINED": "a quarantined source has no ring that could be read: whoever attaches again replaces it",
    "BUILD_MISMATCH": "another build is told at replay (replay.skew), not refused at the door",
    "SCHEMA_MISMATCH": "an upgraded writer begins a new segment with its own schema",
    "UNKNOWN_STRATEGY_OR_USER": "a strategy or user that nobody has defined is limited and recorded like any other",
    "REFERENCE_DATA_MISSING": "each definition that is missing has a reason of its own",
    "ACCOUNT_DISABLED": "an account is halted by a trading state: TRADING_HALTED",
    "POLICY_CANCEL": "each policy that cancels says which it is: EXPIRED_BY_TIME, CONTINGENCY, MMP_TRIGGERED",
    "ADDRESS_BANNED": _NO_VENUE,
    "TIMESTAMP_OR_NONCE": _NO_VENUE,
    "RESPONSE_UNPARSED": "what cannot be read drops the connection, and its orders are asked for: OUTCOME_UNKNOWN",
    "ACCOUNT_LOCKED": _NO_VENUE,
    "LIQUIDATION": _NO_VENUE,
    "AUTO_DELEVERAGE": _NO_VENUE,
    "CONTINGENT_SIBLING": _NO_VENUE,
    "SETTLEMENT_OR_EXPIRY": _NO_VENUE,
    "DELISTED": _NO_VENUE,
    "RISK_REDUCTION": _NO_VENUE,
    "NOT_AUTHORIZED": _NO_SESSION,
    "SESSION_EXPIRED": _NO_SESSION,
    "CONFIG_INVALID": "a configuration is refused before anything is published",
    "VALIDATED_ONLY": "no venue here offers VALIDATE_ONLY",
}
"""Reasons without anyone who gives them, and why."""
NOT_USED = {
    "AppState": "the supervisor knows how its processes fare; the stream has digests and snapshots",
    "FeeSchedule": "fees are booked as charged, not compared with expected ones",
    "Exposure": "decisions carry what they saw; nothing shows exposure from time to time yet",
    "FaultInjected": "the exchange's faults come from outside the stream",
    "FillDecision": "a backtest's venue says fills, not why it made none",
}
"""Kinds that nobody publishes and nobody reads, and why."""


def trees(*folders: Path) -> Iterator[ast.Module]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if path != Path(__file__):
                yield parsed(path)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def kernels() -> str:
    """The C of the product, without the header that is derived from the declarations."""
    paths = [p for name in PRODUCT for ext in ("*.c", "*.h") for p in sorted((ROOT / name).rglob(ext))]
    return "\n".join(p.read_text("utf-8") for p in paths if p.name != "messages.h")


def named(node: ast.AST) -> str:
    """The member, if the node is `Reason.MEMBER`."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return node.attr if isinstance(node, ast.Attribute) and name == "Reason" else ""


def outside(node: ast.AST) -> list[ast.AST]:
    """The parts of a node in which a reason is only looked at: compared, looked up, listed among those that matter."""
    if isinstance(node, ast.Compare | ast.Set | ast.MatchValue):
        return list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if key is not None]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("frozenset", "set"):
        return list(node.args)
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Tuple):
        return [node.value]
    return []


def given(node: ast.AST) -> Iterator[str]:
    """Reasons that code gives."""
    if name := named(node):
        yield name
    looked_at = outside(node)
    for child in ast.iter_child_nodes(node):
        if child not in looked_at:
            yield from given(child)


def asserted(node: ast.AST) -> Iterator[str]:
    """Reasons that a test expects: all it names but those that it puts into messages."""
    if name := named(node):
        yield name
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.keyword) and child.arg in ("reason", "rule")):
            yield from asserted(child)


@pytest.fixture(scope="module")
def reasons_given() -> set[str]:
    found = {name for tree in trees(*(ROOT / name for name in PRODUCT)) for name in given(tree)}
    return found | {m.name for m in Reason if re.search(rf"\bREASON_{m.name}\b|\breturn {m.name};", kernels())}


def test_every_reason_is_given_somewhere_or_it_is_said_why_not(reasons_given: set[str]) -> None:
    missing = {m.name for m in Reason if m} - reasons_given
    assert sorted(missing - set(NOT_GIVEN)) == [], "declared, given by nobody: give it, or say here why not"
    assert sorted(set(NOT_GIVEN) - missing) == [], "given after all: take it out of the table"


def test_every_reason_that_is_given_is_asserted_by_a_test(reasons_given: set[str]) -> None:
    found = {name for tree in trees(TESTS) for name in asserted(tree)}
    found |= set(re.findall(r"[A-Z_]{4,}", (TESTS / "oms" / "order_lives.txt").read_text("utf-8")))  # pages of what was said
    assert sorted(reasons_given - found) == [], "given, and no test expects it"


def published(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def read(tree: ast.AST) -> Iterator[str]:
    """Classes that code names otherwise than to make one or to import it."""
    made = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in made:
            yield node.id


def test_every_kind_is_published_or_read_or_it_is_said_why_not() -> None:
    code = [tree for tree in trees(*(ROOT / name for name in PRODUCT)) if not declares(tree)]
    used = {name for tree in code for name in (*published(tree), *read(tree))}
    used |= {c.__name__ for c in REGISTRY.values() if re.search(rf"\blockstep_{snake(c.__name__)}\b", kernels())}
    unused = {c.__name__ for c in REGISTRY.values()} - used
    assert sorted(unused - set(NOT_USED)) == [], "neither published nor read: use it, or say here why not"
    assert sorted(set(NOT_USED) - unused) == [], "used after all: take it out of the table"


def declares(tree: ast.Module) -> bool:
    """A module of declarations: it uses no kind by naming it."""
    return any(isinstance(n, ast.ClassDef) and any(_is_message(d) for d in n.decorator_list) for n in tree.body)


def _is_message(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "message"
