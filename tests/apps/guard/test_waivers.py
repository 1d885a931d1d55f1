"""Waivers: on the line or above it, with a reason; one that says or does nothing is a finding itself."""

import pytest

from apps.guard.lint import lint

GOOD = "allow DET101 because the tape's own clock"


def found(folder, text):
    path = folder / "case.py"
    path.write_text(text)
    return [(f.line, f.rule) for f in lint([path]).findings]


@pytest.mark.parametrize(
    "text",
    [
        f"import time\nx = time.time()  # lockstep: {GOOD}\n",
        f"import time\n# lockstep: {GOOD}\nx = time.time()\n",
        f"import time\n# lockstep: {GOOD}\n# and more of it\n\nx = time.time()\n",
        f"import time\nx = (\n    1\n    + time.time()  # lockstep: {GOOD}\n)\n",
        "import os\nimport time\nx = time.time(), os.getpid()  # lockstep: allow DET101, DET103 because both are asked once\n",
        f"import time\nx = 'lockstep:'\ny = time.time()  #lockstep:{GOOD}\n",
    ],
)
def test_a_waiver_with_a_reason_covers_its_line(tmp_path, text):
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    ("comment", "what"),
    [
        ("allow DET101", "no reason given"),
        ("allow DET101 because", "not understood"),
        ("allow DET999 because it is so", "no rule DET999"),
        ("allow clock because it is so", "no rule clock"),
        ("ignore", "not understood"),
    ],
)
def test_a_waiver_that_says_too_little_waives_nothing_and_is_found(tmp_path, comment, what):
    path = tmp_path / "case.py"
    path.write_text(f"import time\nx = time.time()  # lockstep: {comment}\n")
    clock, waiver = lint([path]).findings
    assert (clock.line, clock.rule) == (2, "DET101")
    assert (waiver.line, waiver.column, waiver.rule) == (2, 18, "DET901")
    assert what in waiver.what


def test_a_waiver_of_nothing_is_found(tmp_path):
    assert found(tmp_path, f"x = 1  # lockstep: {GOOD}\n") == [(1, "DET902")]
    assert found(tmp_path, f"import time\nx = time.time()  # lockstep: {GOOD.replace('DET101', 'DET101, DET104')}\n") == [
        (2, "DET902")
    ]
    assert found(tmp_path, f"x = 1\n# lockstep: {GOOD}\n") == [(2, "DET902")]


def test_a_waiver_covers_its_own_line_only(tmp_path):
    text = f"import time\nx = time.time()  # lockstep: {GOOD}\ny = time.time()\n"
    assert found(tmp_path, text) == [(3, "DET101")]


def test_text_that_looks_like_one_is_none(tmp_path):
    assert found(tmp_path, f'import time\nx = "# lockstep: {GOOD}", time.time()\n') == [(2, "DET101")]
