"""A schema text is believed as far as it can be checked, and nothing else comes of it than kinds or one error. (R10)"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.messages import REGISTRY, ConfigItem, MarketByPriceUpdate
from journal.messages.declared import SchemaError, check_older, check_same, read_kinds
from journal.messages.derive import schema_text

WRONG: list[Any] = [0, -1, 1, 7, 8, 2**16, 2**64, -(2**63), 1.5, 1e300, None, True, "", "\ud800", "q", "text", [], {}]
LAYOUT = {"name", "type", "offset", "bytes", "code", "stride", "entry", "fixed_bytes", "fields"}


def canonical(schema: Any) -> bytes:
    return json.dumps(schema, separators=(",", ":"), sort_keys=True).encode()


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, Any, tuple[Any, ...]]]:
    """(list or object, key, path) of everything below."""
    found = []
    for key in range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ():
        found += [(node, key, (*path, key)), *places(node[key], (*path, key))]
    return found


def believed(text: bytes) -> bool:
    """Whether the text is taken for one of ours; nothing but a SchemaError may say that it is not."""
    said = ""
    try:
        for kind in read_kinds(text):
            if (cls := REGISTRY.get(kind.kind)) is not None and kind.version == cls.VERSION:
                check_same(kind, cls)
                check_older(kind, cls)  # the rules hold for today's kinds as well
    except SchemaError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 2000
    return not said


def test_todays_schema_is_believed():
    assert believed(schema_text())
    assert [(k.kind, k.version, k.name) for k in read_kinds(schema_text())] == [
        (kind, cls.VERSION, cls.__name__) for kind, cls in sorted(REGISTRY.items())
    ]


@pytest.mark.parametrize("cls", [ConfigItem, MarketByPriceUpdate], ids=lambda cls: cls.__name__)
def test_whatever_is_changed_in_a_layout_is_refused(cls):
    """Each value, key and element of two kinds, texts and groups included: replaced, removed, repeated."""
    text = schema_text([cls.KIND])
    tried = 0
    for n in range(len(places(json.loads(text)))):
        for wrong in [*WRONG, "removed", "repeated"]:
            schema = json.loads(text)
            holder, key, path = places(schema)[n]
            before = json.dumps(holder[key])
            if wrong == "removed":
                del holder[key]
            elif wrong == "repeated":
                if not isinstance(holder, list):
                    continue
                holder.insert(key, holder[key])
            else:
                holder[key] = wrong
                if json.dumps(wrong) == before:
                    continue
            said = believed(canonical(schema))
            names = [part for part in path if isinstance(part, str)]
            if set(names) <= LAYOUT | {"kinds"} and len(path) > 2:
                assert not said, (path, wrong)
                tried += 1
    assert tried > 500


@pytest.mark.parametrize("cls", [ConfigItem, MarketByPriceUpdate], ids=lambda cls: cls.__name__)
def test_fields_that_change_places_are_refused(cls):
    """Two of the same type and width: everything adds up, and every value would stand under the other's name."""
    text = schema_text([cls.KIND])
    (kind,) = read_kinds(text)
    same = [(a, b) for a in range(len(kind.fields)) for b in range(a) if kind.fields[a].code == kind.fields[b].code]
    assert same
    for a, b in same:
        schema = json.loads(text)
        fields = schema["kinds"][0]["fields"]
        fields[a]["name"], fields[b]["name"] = fields[b]["name"], fields[a]["name"]
        (spoiled,) = read_kinds(canonical(schema))
        for check in (check_same, check_older):
            with pytest.raises(SchemaError, match=r"as it is here|has no such field there"):
                check(spoiled, cls)


TWICE = b'{"kinds":[%b,%b]}' % (2 * (b'{"fields":[],"fixed_bytes":0,"kind":7,"name":"A","version":1}',))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "truncated"),
        (b"\xff", "invalid"),
        (b"{}", "missing required field `kinds`"),
        (b'{"kinds": []}', "not canonical"),
        (b'{"kinds":[],"kinds":[]}', "not canonical"),
        (b'{"format":2,"kinds":[]}', "schema format 2; this version of lockstep reads format 1"),
        (b'{"kinds":[],"more":' + b"[" * 100_000, "recursion|nest|Recursion"),
        (b'{"kinds":[],"more":1' + b"0" * 100_000 + b"}", "digits|range|large"),
        (b'{"kinds":[{"fields":[],"fixed_bytes":0,"kind":70000,"name":"A","version":1}]}', "kind 70000"),
        (b'{"kinds":[{"fields":[],"fixed_bytes":0,"kind":7,"name":"A","version":0}]}', "version 0"),
        (b'{"kinds":[{"fields":[],"fixed_bytes":0,"kind":7,"name":"\\u001b[2J","version":1}]}', "expected an identifier"),
        (TWICE, "each kind once"),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_said_in_words(text, why):
    with pytest.raises(SchemaError, match=why):
        read_kinds(text)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(["kinds", "fields", "kind", "name"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner))


@given(st.binary(max_size=200), JSON)
def test_any_bytes_and_any_json_are_refused_or_read(data, tree):
    believed(data)
    believed(canonical(tree))
    believed(canonical({"kinds": [tree]}))
