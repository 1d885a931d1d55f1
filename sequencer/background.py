"""Threads that work behind the stream: what they do may come a little later, the stream may not."""

from __future__ import annotations

import contextlib
import os
import threading


def yield_to_the_stream(*, nice: int = 0) -> None:
    """The calling thread never takes a core from one that runs just because it was woken: it waits its turn (SCHED_BATCH).
    `nice`: how much shorter its turns are besides. A policy other than the ordinary one stays as it is."""
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        if nice:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
