"""Frozen: numbers, names and layouts of every kind, and the values of every enumeration.

A journal is read years later. What tests/golden/schema.json holds may never change; what is new must be added to it, by
`python tests/journal/messages/test_messages_golden.py`, and its diff committed only if every changed line is an addition.
"""

from __future__ import annotations

import enum
import json
from pathlib import Path

import pytest

from journal.messages import enums
from journal.messages.derive import schema_text

GOLDEN = Path(__file__).parents[2] / "golden" / "schema.json"
ADD = "run: python tests/journal/messages/test_messages_golden.py"


def current() -> dict[str, dict[str, object]]:
    """kind.version → its declaration; enumeration → its members."""
    kinds = {f"{k['kind']}.{k['version']}": k for k in json.loads(schema_text())["kinds"]}
    lists = {
        name: {m.name: int(m) for m in found}
        for name, found in sorted(vars(enums).items())
        if isinstance(found, type) and issubclass(found, enum.Enum) and found.__module__ == enums.__name__
    }
    return {"kinds": kinds, "enums": lists}


def written(schema: dict[str, dict[str, object]]) -> str:
    """One kind or enumeration a line, so that a diff shows what changed."""
    parts = []
    for part, rows in schema.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(row, sort_keys=part == 'kinds')}" for name, row in rows.items()]
        parts.append(f"{json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


def test_no_frozen_layout_has_changed(golden):
    now = current()["kinds"]
    for name, frozen in golden["kinds"].items():
        kind, version = (int(n) for n in name.split("."))
        found = now.get(name)
        if found is None:
            newer = [n for n in now if n.startswith(f"{kind}.") and int(n.split(".")[1]) > version]
            assert newer, f"kind {kind} ({frozen['name']}) is gone; journals hold it, and its number is never used again"
            continue
        assert found == frozen, (
            f"{frozen['name']} (kind {kind}) differs from its frozen layout. Journals hold frames of version {version}: "
            f"declare version {version + 1} with the new fields appended, and keep decoding version {version}"
        )


def test_no_frozen_enumeration_value_has_changed(golden):
    now = current()["enums"]
    for name, frozen in golden["enums"].items():
        changed = {member: value for member, value in frozen.items() if now.get(name, {}).get(member) != value}
        assert not changed, f"{name}: {changed} changed or gone; values are frozen, new ones go to the end"


def test_everything_declared_is_frozen(golden):
    now = current()
    kinds = [f"{k} {v['name']}" for k, v in now["kinds"].items() if k not in golden["kinds"]]
    members = [
        f"{name}.{member}"
        for name, row in now["enums"].items()
        for member in row
        if member not in golden["enums"].get(name, {})
    ]
    assert not kinds + members, f"not frozen yet: {', '.join(kinds + members)}; {ADD}"


def test_enumerations_begin_with_undefined_and_never_repeat():
    for name, row in current()["enums"].items():
        values = list(row.values())
        assert len(set(values)) == len(values), name
        if not issubclass(getattr(enums, name), enum.Flag):
            assert row.get("UNDEFINED") == 0, name


if __name__ == "__main__":
    was = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"kinds": {}, "enums": {}}
    # Versions that are declared no more stay: journals hold them.
    merged = {part: {**was[part], **rows} for part, rows in current().items()}
    merged["kinds"] = dict(sorted(merged["kinds"].items(), key=lambda row: [int(n) for n in row[0].split(".")]))
    GOLDEN.write_text(written(merged))
    print(f"{GOLDEN}: {len(merged['kinds'])} kinds, {len(merged['enums'])} enumerations")
