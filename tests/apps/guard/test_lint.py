"""Which code is looked at, and what a name means there: aliases, helpers, packages, tests that are left out."""

import pytest

from apps.guard.lint import NothingToLint, lint, own
from apps.guard.project import UnreadableSource
from apps.guard.rules import RULES

APP = "from apps.strategy import Strategy\n\n\nclass {name}(Strategy):\n    pass\n"


def write(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(*paths):
    return [(f.path.rpartition("/")[2], f.line, f.rule) for f in lint(paths).findings]


def test_what_an_app_imports_of_the_user_s_is_app_code(tmp_path):
    write(
        tmp_path,
        idea="from pack import inner as i\nimport helper\n" + APP.format(name="A") + "    x = helper.f\n",
        helper="import time\nimport deeper\n\n\ndef f():\n    return time.time()\n",
        deeper="import random\n\nx = random.random()\n",
        pack____init__="",
        pack__inner="from . import beside\n",
        pack__beside="from os import environ\n\nx = environ['A']\n",
        unrelated="import time\n\nx = time.time()\n",
    )
    expected = [("beside.py", 3, "DET103"), ("deeper.py", 3, "DET102"), ("helper.py", 6, "DET101")]
    assert sorted(found(tmp_path / "idea.py")) == expected
    # A folder: the modules that define apps, and what they import.
    assert sorted(found(tmp_path)) == expected
    # A file that is named is looked at whatever it holds.
    assert found(tmp_path / "unrelated.py") == [("unrelated.py", 3, "DET101")]


def test_a_helper_s_names_are_known(tmp_path):
    write(
        tmp_path,
        helper="""
from time import time as clock
SET = {1}


class Base:
    def __init__(self):
        self.held = {1}  # lockstep: allow DET204 because never kept in an app
""",
        idea="""
import helper
from apps.strategy import Strategy
from helper import Base, clock


class A(Strategy, Base):
    def on_timer(self, token):
        x = clock()
        y = helper.clock()
        for n in helper.SET:
            self.log(n)
        for n in self.held:
            self.log(n)
""",
    )
    assert found(tmp_path / "idea.py") == [
        ("idea.py", n, r) for n, r in [(9, "DET101"), (10, "DET101"), (11, "DET201"), (13, "DET201")]
    ]


def test_an_app_is_known_through_its_bases(tmp_path):
    write(
        tmp_path,
        base=APP.format(name="Base"),
        idea="import time\nfrom base import Base\n\n\nclass A(Base):\n    x = time.time()\n",
    )
    assert found(tmp_path) == [("idea.py", 6, "DET101")]


def test_tests_and_files_of_the_build_are_no_app_code(tmp_path):
    bad = "import time\n\nx = time.time()\n" + APP.format(name="B")
    names = ("test_idea", "idea_test", "conftest", "setup", "tests__helper", "docs__conf", "kernel__build")
    write(tmp_path, idea=APP.format(name="A"), **dict.fromkeys(names, bad))
    venv = tmp_path / "env"
    write(tmp_path, env__bad=bad)
    (venv / "pyvenv.cfg").write_text("")
    report = lint([tmp_path])
    assert report.findings == []
    assert [f.rpartition("/")[2] for f in report.files] == ["idea.py"]


def test_a_module_of_the_user_s_with_a_known_name_is_the_user_s(tmp_path):
    write(
        tmp_path,
        random="def random():\n    return 4\n",
        idea="import random\n" + APP.format(name="A") + "    x = random.random()\n",
    )
    assert found(tmp_path / "idea.py") == []


def test_names_that_are_shadowed_are_values(tmp_path):
    write(
        tmp_path,
        idea="""
def f(time, open, id):
    print = max
    return time.time() + open(1) + id(2) + print(3, 4) + [hash for hash in (1,)][0]
""",
    )
    assert found(tmp_path / "idea.py") == []


def test_lockstep_s_own_apps_are_clean():
    report = lint(own())
    assert [f.text for f in report.findings] == []
    looked_at = {f.rpartition("apps/")[2] for f in report.files}
    assert {"strategy.py", "positions.py", "strategies/maker.py", "books/book.py"} <= looked_at
    assert not {"live.py", "guard/trap.py"} & looked_at


def test_bad_input_is_told_in_one_line(tmp_path):
    with pytest.raises(NothingToLint, match=r"gone\.py: not there; expected a Python file or a folder"):
        lint([tmp_path / "gone.py"])
    write(tmp_path, tool="x = 1\n")
    with pytest.raises(NothingToLint, match="none of its 1 modules defines an App or Strategy"):
        lint([tmp_path])
    for text in (b"def f(:\n", b"x = '\xff'\n", b"x = 1\0\n"):
        (tmp_path / "bad.py").write_bytes(text)
        with pytest.raises(UnreadableSource, match=r"bad\.py:\d+: expected Python source, found: "):
            lint([tmp_path / "bad.py"])


def test_it_survives_any_syntax(tmp_path):
    """Every kind of statement and scope, in one file: nothing found, nothing raised."""
    write(
        tmp_path,
        idea="""
def f(a, /, b, *c, d=1, **e):
    nonlocal_ = 0

    def g():
        nonlocal nonlocal_
        nonlocal_ += 1
        return lambda x=1, *y: (x, y)

    match a:
        case {"k": [1, *rest], **others}:
            return rest, others
        case str() as s if (n := len(s)) > 1:
            return n
        case _:
            pass
    (x, *y), z = (1, 2), 3
    with g() as h, g() as (i, j):
        del h
    try:
        raise ValueError
    except* ValueError as error:
        yield from error.exceptions
    return {k: v for k, v in zip(b, c) if (w := k)} | {"w": w, **e}, x, y, z, i, j, d, a[1:2, ...]
""",
    )
    assert found(tmp_path / "idea.py") == []


def test_the_rules_in_the_guide_are_those_that_exist():
    from tests.end_to_end.system import ROOT

    guide = (ROOT / "docs/guides/determinism.md").read_text()
    for rule in RULES.values():
        assert f"| {rule.id} `{rule.name}` |" in guide
