"""python -m gateways.sim.exchange SETTINGS: JSON text, or the path of a JSON file; nothing is a generated market."""

from __future__ import annotations

import sys
from pathlib import Path

from gateways.sim.exchange.process import run_exchange
from gateways.sim.exchange.settings import BadSettings, read_settings


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        print(f"exchange: found {len(arguments)} arguments, expected one: settings as JSON text or a file", file=sys.stderr)
        return 2
    text = arguments[0] if arguments else "{}"
    try:
        settings = read_settings(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except BadSettings as error:
        print(f"exchange: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"exchange: {text}: cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    return run_exchange(settings)


sys.exit(main(sys.argv[1:]))
