"""Every rule: what it must find, line by line, and what it must leave alone."""

import re
from collections import Counter
from pathlib import Path

import pytest

from apps.guard.lint import lint
from apps.guard.rules import RULES

CASES = Path(__file__).parent / "cases"
BESIDE = (Path(__file__).parent / "beside.py.txt").read_text()
ABOUT_WAIVERS = {"DET901", "DET902"}  # in test_waivers


def found(folder, text):
    """(line, rule) of each finding in a module with a helper beside it."""
    (folder / "beside.py").write_text(BESIDE)
    (folder / "case.py").write_text(text)
    return [(f.line, f.rule) for f in lint([folder / "case.py"]).findings]


def expected(rule, text):
    """What the marks say: `#!` for the file's own rule, `#! RULE` for another."""
    for number, line in enumerate(text.splitlines(), start=1):
        for other in re.findall(r"#!(?: (DET\d+))?", line):
            yield number, other or rule


def halves(rule):
    bad, good = (CASES / f"{rule}.txt").read_text().split("--- good\n")
    return bad, good


@pytest.mark.parametrize("rule", sorted(set(RULES) - ABOUT_WAIVERS))
def test_what_a_rule_finds(rule, tmp_path):
    bad, _ = halves(rule)
    marks = Counter(expected(rule, bad))
    assert marks
    assert Counter(found(tmp_path, bad)) == marks


@pytest.mark.parametrize("rule", sorted(set(RULES) - ABOUT_WAIVERS))
def test_what_a_rule_leaves_alone(rule, tmp_path):
    assert found(tmp_path, halves(rule)[1]) == []


def test_every_rule_tells_why_and_what_instead():
    for rule in RULES.values():
        assert re.fullmatch(r"DET\d{3}", rule.id)
        assert all((rule.name, rule.why, rule.remedy, rule.bad, rule.good))
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_a_finding_says_where_what_why_and_the_remedy(tmp_path):
    path = tmp_path / "case.py"
    path.write_text("from time import time as t\n\n\nx = 1 + t()\n")
    (finding,) = lint([path]).findings
    assert finding.text.startswith(
        f"{path}:4:9: DET101 time.time reads the clock: a replay reads another time. Instead: use self.now"
    )
