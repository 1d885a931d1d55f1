"""SIGTERM as an exception: what a command has made is taken away again."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM ends what is inside like any other exception, with exit code 143: folders are removed, processes ended. A second
    one must not end that."""

    def end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
