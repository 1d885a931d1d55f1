"""Hostile schemas for a few seconds; the long form is `lockstep torture schemas`. (R10, R11)"""

import json

import pytest

from journal import evolve
from journal.kernel._journal import ffi
from journal.messages import REGISTRY
from lockstep import cli
from lockstep.torture import schemas


def campaign(capsys, *words):
    code = cli.main(["torture", "schemas", "--seed", "20261128", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_a_spoiled_schema_is_refused_or_changes_nothing(capsys):
    code, outcome = campaign(capsys, "--count", "300")
    assert (code, outcome["finds"]) == (0, [])
    assert outcome["metrics"]["texts"] == 300
    assert min(outcome["metrics"].values()) > 5
    assert schemas.PROBE not in REGISTRY


def _exchanged(schema):
    """Two fields of one type under each other's names."""
    (probe,) = (kind for kind in schema["kinds"] if kind["name"] == "Probe")
    a, b = (field for field in probe["fields"] if field["name"] in "ab")
    a["name"], b["name"] = b["name"], a["name"]


def _undeclared(schema):
    """Its frames are of a version of which nobody says how it is laid out."""
    schema["kinds"] = [kind for kind in schema["kinds"] if kind["name"] != "Probe"]


BELIEVING = {
    "the layout of an older kind": (_exchanged, "check_older", lambda kind, cls: None),
    "a frame of any version": (_undeclared, "_versions", lambda declared: ffi.new("uint32_t[]", 1 << 16)),
}


@pytest.mark.parametrize("what", BELIEVING)
def test_a_reader_that_believes_is_found(capsys, monkeypatch, tmp_path, what):
    """Refused as things are; without that check a frame is read as what it is not, which the judge sees and can show again."""
    change, check, believe = BELIEVING[what]

    def spoiled(texts, chance):
        schema = json.loads(texts[0])
        change(schema)
        return json.dumps(schema, separators=(",", ":"), sort_keys=True).encode()

    monkeypatch.setattr(schemas, "spoiled", spoiled)
    code, outcome = campaign(capsys, "--count", "1")
    assert (code, outcome["metrics"]) == (0, {"texts": 1, "refused": 1, "read": 0})
    monkeypatch.setattr(evolve, "_known", {})
    monkeypatch.setattr(evolve, check, believe)
    code, outcome = campaign(capsys, "--count", "1", "--keep", str(tmp_path))
    assert code == 1
    (find,) = outcome["finds"]
    assert find["reproduce"] == "lockstep torture schemas --seed 20261128 --count 1"
    assert json.loads((tmp_path / "schema-20261128.json").read_bytes())["format"] == 1
    assert cli.main(find["reproduce"].split()[1:]) == 1
