"""Memory of a host in large pages, there before it is needed."""

from __future__ import annotations

from journal.messages import accelerator

_fast = accelerator.extension("apps.kernel._fast")


def use_large_pages() -> tuple[int, int] | None:
    """From now on this process's objects come from pages of 2 MiB that a thread touches ahead: (address, bytes) of the space
    they lie in. None where that cannot be (no accelerator, no room for addresses): then they come from where they did."""
    found: tuple[int, int] | None = _fast.use_large_pages() if _fast is not None else None
    return found
