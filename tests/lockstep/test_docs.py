"""The documentation is true where a machine can tell: keys, commands, links, configurations."""

import contextlib
import io
import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateways.sim.exchange.settings import ExchangeSettings
from gateways.sim.settings import SimGatewaySettings
from lockstep import cli
from lockstep.config import System, parse
from sequencer.settings import SequencerSettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
PLACEHOLDERS = {"SEQ": "1", "NAME": "name", "N": "1", "SECONDS": "1", "ID": "1", "BYTES": "1", "…": "x"}
"""What stands for a value in a documented command line."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def structs(of, seen):
    """A settings struct and all that its fields hold."""
    if of in seen:
        return
    seen.append(of)
    for field in msgspec.structs.fields(of):
        stack = [msgspec.inspect.type_info(field.type)]
        while stack:
            node = stack.pop()
            if isinstance(node, msgspec.inspect.StructType):
                structs(node.cls, seen)
            elif isinstance(node, msgspec.inspect.DictType):
                stack.append(node.value_type)
            elif isinstance(node, msgspec.inspect.UnionType):
                stack.extend(node.types)


def settings():
    found = []
    structs(System, found)
    return found


def test_all_settings_are_found():
    assert {SequencerSettings, SimGatewaySettings, ExchangeSettings} <= set(settings())
    assert len(settings()) > 12


@pytest.mark.parametrize("struct", settings(), ids=lambda s: s.__name__)
def test_every_key_is_in_the_configuration_page(struct):
    names = [f.encode_name for f in msgspec.structs.fields(struct)]
    # As a key, or in the name of a table.
    missing = [n for n in names if not re.search(rf"`{n}`|\[{n}\b|\[\w+\.{n}\b", CONFIGURATION)]
    assert not missing, f"docs/configuration.md does not mention {missing} of {struct.__name__}"


def test_every_command_is_in_the_command_page():
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    headings = " ".join(re.findall(r"^## (.*)$", page, re.MULTILINE))
    for commands in cli._MODULES.values():
        for command in commands:
            assert re.search(rf"\b{command}\b", headings), f"docs/cli.md has no section about lockstep {command}"


def command_lines():
    """(page, line) of every lockstep command in a code block, and of every one in `code` that is more than a name."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for language, block in FENCE.findall(text):
            if language not in ("", "sh"):
                continue
            for line in block.splitlines():
                line = line.removeprefix("$ ")
                if re.match(r"lockstep [a-z]", line):
                    yield page.name, line
        for code in re.findall(r"`(lockstep [a-z]+ [^`]+)`", FENCE.sub("", text)):
            yield page.name, code


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_every_command_line_parses(page, line):
    written = line.split("  (")[0].split(" > ")[0]
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(written, comments=True)]
    if words[1] not in {c for commands in cli._MODULES.values() for c in commands} or words[-1] in ("COMMAND", "--help"):
        return
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            cli.parser(words[1]).parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{page}: {line}: {told.getvalue().strip().splitlines()[-1]}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page):
    text = FENCE.sub("", page.read_text("utf-8"))
    for link in LINK.findall(text):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists(), f"{page.name}: {link} does not exist"


def test_every_configuration_loads():
    (example, *more) = [
        (p, block) for p in PAGES for language, block in FENCE.findall(p.read_text("utf-8")) if language == "toml"
    ]
    base = tomllib.loads(example[1])
    assert "strategy" in base
    parse(Path(example[0].name), example[1].encode())
    # The others are parts, to be put beside the first.
    for page, block in more:
        assert (tomllib.loads(block).keys() - {"risk"}).isdisjoint(base), page  # limits add to those of the first
        parse(Path(page.name), (example[1] + block).encode())
