"""Waivers: `# lockstep: allow DET108 because …`, on the line of the finding or alone on the line above it.

A waiver without a reason, or with a rule that does not exist, waives nothing and is a finding; so is one with nothing to waive.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator

import msgspec

from apps.guard.rules import RULES, Finding
from apps.guard.source import Module

_WAIVER = re.compile(r"#\s*lockstep:\s*(?P<rest>.*)$")
_ALLOW = re.compile(r"allow\s+(?P<rules>\w+(?:\s*,\s*\w+)*)(?:\s+because\s+(?P<reason>\S.*))?$")


class Waiver(msgspec.Struct):
    """One rule, waived on one line. `line` is that of the code, `at` where the comment stands."""

    rule: str
    line: int
    at: tuple[int, int]
    used: bool = False


def waived(text: str, line: int, rule: str) -> bool:
    """Whether a good waiver covers a rule on a line of a source text."""
    try:
        comments = list(_comments(text))
    except (tokenize.TokenError, SyntaxError):
        return False
    for about, _, said in comments:
        parsed = _ALLOW.match(said) if about == line else None
        if parsed and parsed["reason"] and rule in re.split(r"\s*,\s*", parsed["rules"]):
            return True
    return False


def judge(module: Module, shown: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings that no waiver covers, and those about waivers."""
    waivers: list[Waiver] = []
    for line, at, text in _comments(module.text):
        parsed = _ALLOW.match(text)
        rules = re.split(r"\s*,\s*", parsed["rules"]) if parsed else []
        unknown = [r for r in rules if r not in RULES]
        if parsed is None or unknown or not parsed["reason"]:
            what = f"no rule {unknown[0]}" if unknown else "no reason given" if parsed else f"not understood: {text!r}"
            yield Finding(path=shown, line=at[0], column=at[1] + 1, rule="DET901", what=what)
            continue
        waivers += [Waiver(rule, line, at) for rule in rules]
    for finding in found:
        covering = [w for w in waivers if (w.line, w.rule) == (finding.line, finding.rule)]
        for waiver in covering:
            waiver.used = True
        if not covering:
            yield finding
    for waiver in waivers:
        if not waiver.used:
            what = f"nothing here breaks {waiver.rule}"
            yield Finding(path=shown, line=waiver.at[0], column=waiver.at[1] + 1, rule="DET902", what=what)


def _comments(text: str) -> Iterator[tuple[int, tuple[int, int], str]]:
    """(line of code it is about, its own place, what follows `lockstep:`) of each waiver."""
    waiting: list[tuple[tuple[int, int], str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            found = _WAIVER.match(token.string)
            if found is None:
                continue
            if token.line[: token.start[1]].strip():
                yield token.start[0], token.start, found["rest"].strip()
            else:
                waiting.append((token.start, found["rest"].strip()))
        elif waiting and token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            for at, rest in waiting:
                yield token.start[0], at, rest
            waiting.clear()
