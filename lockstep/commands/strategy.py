"""`lockstep strategy new NAME`: a commented strategy file with its test and configuration that runs as it is."""

from __future__ import annotations

import argparse
import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Any

from lockstep.config import ConfigError


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    top = subparsers.add_parser("strategy", help="make a new strategy of your own")
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new",
        help="write NAME.py, test_NAME.py and NAME.toml",
        description="Writes a commented strategy, its test and a configuration that runs as it is: "
        "`lockstep demo --strategy NAME.py`, `lockstep backtest NAME.toml`.",
    )
    new.add_argument("name", metavar="NAME", help="a Python module name, such as my_cross")
    new.add_argument("--dir", type=Path, default=Path(), help="where to write (default: here)")
    new.set_defaults(run=run_new)


def run_new(arguments: argparse.Namespace) -> int:
    """`lockstep strategy new NAME`"""
    name: str = arguments.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(f"NAME = {name!r}: expected a Python module name: lower case letters, digits and _")
    files = {f"{name}.py": "strategy.py.tmpl", f"test_{name}.py": "test_strategy.py.tmpl", f"{name}.toml": "strategy.toml.tmpl"}
    for file in files:
        if (arguments.dir / file).exists():
            raise ConfigError(f"{arguments.dir / file}: exists already; nothing was written")
    arguments.dir.mkdir(parents=True, exist_ok=True)
    class_name = "".join(part.capitalize() for part in name.split("_"))
    for file, template in files.items():
        text = resources.files("lockstep.templates").joinpath(template).read_text("utf-8")
        (arguments.dir / file).write_text(text.replace("@NAME@", name).replace("@CLASS@", class_name), "utf-8")
        print(f"wrote {arguments.dir / file}")
    print(f"next: lockstep demo --strategy {arguments.dir / f'{name}.py'}")
    print(f"      python -m pytest {arguments.dir / f'test_{name}.py'}")
    print(f"      lockstep backtest {arguments.dir / f'{name}.toml'}")
    return 0
