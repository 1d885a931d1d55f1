"""`lockstep lint`: exit codes, what is printed, JSON, the rules."""

import json

from apps.guard.rules import RULES
from lockstep.cli import main

BAD = "import time\nfrom apps.strategy import Strategy\n\n\nclass A(Strategy):\n    x = time.time()\n"


def test_findings_are_printed_and_exit_code_is_1(tmp_path, capsys):
    (tmp_path / "idea.py").write_text(BAD)
    assert main(["lint", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{tmp_path}/idea.py:6:9: DET101 time.time reads the clock" in out
    assert "instead: use self.now" in out
    assert "1 finding in 1 file" in out
    assert "\x1b[" not in out  # no colour where there is no terminal


def test_nothing_found_is_0(capsys):
    assert main(["lint"]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_what_cannot_be_read_is_2(tmp_path, capsys):
    assert main(["lint", str(tmp_path / "gone")]) == 2
    assert capsys.readouterr().err == f"lockstep: {tmp_path}/gone: not there; expected a Python file or a folder\n"


def test_json_has_place_and_remedy(tmp_path, capsys):
    (tmp_path / "idea.py").write_text(BAD)
    assert main(["lint", "--json", str(tmp_path / "idea.py")]) == 1
    told = json.loads(capsys.readouterr().out)
    (finding,) = told["findings"]
    assert finding == {
        "path": f"{tmp_path}/idea.py",
        "line": 6,
        "column": 9,
        "rule": "DET101",
        "name": "clock",
        "what": "time.time reads the clock",
        "why": RULES["DET101"].why,
        "remedy": RULES["DET101"].remedy,
    }
    assert told["files"] == [f"{tmp_path}/idea.py"]


def test_own_and_a_path_together(tmp_path, capsys):
    (tmp_path / "idea.py").write_text(BAD)
    assert main(["lint", "--own", "--json", str(tmp_path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert len(told["findings"]) == 1
    assert len(told["files"]) > 40


def test_rules_are_listed_with_example_and_remedy(capsys):
    assert main(["lint", "--rules"]) == 0
    out = capsys.readouterr().out
    assert main(["lint", "--rules", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [r["id"] for r in told] == list(RULES)
    for rule in RULES.values():
        assert f"{rule.id} {rule.name}: {rule.why}" in out
        assert f"- {rule.bad}" in out
        assert f"+ {rule.good}" in out


def test_a_new_strategy_is_clean(tmp_path, capsys):
    assert main(["strategy", "new", "my_idea", "--dir", str(tmp_path)]) == 0
    assert main(["lint", str(tmp_path)]) == 0
