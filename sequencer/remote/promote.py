"""A replica becomes the writer's folder: by a person's word, under a higher epoch that fences the old writer.

The upper half of an epoch counts promotions, the lower half starts: however often an old writer is started again, its epochs
stay below that of a promoted one.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import msgspec

from journal.errors import JournalError, JournalLocked, JournalMissing
from journal.kernel._journal import lib
from journal.lock import FolderLock
from journal.recovery import recover
from journal.segment import CONTROL, ControlPage
from sequencer.remote.follower import connect
from sequencer.remote.tls import Credentials
from sequencer.remote.wire import PROTOCOL, Hello, Kind, LinkError, Refused, Welcome

TERM_BITS = 16
FOLLOWER_ENDS_S = 20.0


class Promotion(msgspec.Struct):
    """What a promotion found and made."""

    path: str
    last_seq: int
    replicated_seq: int
    epoch: int
    """The next writer's."""


def next_term(epoch: int) -> int:
    """The last epoch that comes before the first of the next term."""
    return ((epoch >> TERM_BITS) + 1) << TERM_BITS


def promote(folder: Path) -> Promotion:
    """End the following of this folder and make it writable under a higher epoch. Its follower, if one runs, is ended."""
    folder = Path(folder)
    if not (folder / CONTROL).exists():
        raise JournalMissing(f"{folder}: no replica here: expected a folder that lockstep replicate follow has filled")
    role = int(ControlPage(folder / CONTROL).c.role)
    if role == lib.LOCKSTEP_ROLE_WRITER:
        raise JournalError(f"{folder}: is no replica; its own writer may start, nothing has to be promoted")
    lock = _take_over(folder)
    try:
        control = ControlPage(folder / CONTROL, writable=True)
        stream = recover(folder, control, stream_id=control.stream_id)
        c = control.c
        if stream.last_seq < c.replicated_seq:
            raise JournalError(
                f"{folder}: ends with frame {stream.last_seq}, but frames up to {c.replicated_seq} were acknowledged; "
                "promote a follower that has them"
            )
        if c.role == lib.LOCKSTEP_ROLE_FOLLOWER:
            c.epoch = next_term(max(int(c.epoch), int(c.fenced_epoch), stream.epoch))
            c.fenced_epoch = c.epoch
            control.flush()
            c.role = lib.LOCKSTEP_ROLE_PROMOTED
            control.flush()
        return Promotion(str(folder), stream.last_seq, int(c.replicated_seq), int(c.epoch) + 1)
    finally:
        lock.release()


def _take_over(folder: Path) -> FolderLock:
    """The folder's lock; a follower that holds it is asked to end first."""
    try:
        return FolderLock(folder)
    except JournalLocked as error:
        if not error.pid or ControlPage(folder / CONTROL).c.role != lib.LOCKSTEP_ROLE_FOLLOWER:
            raise
        _end(error.pid)
    return FolderLock(folder)


def _end(pid: int) -> None:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        os.kill(pid, signal.SIGTERM)
        select.select([watched], [], [], FOLLOWER_ENDS_S)
    finally:
        os.close(watched)


def tell_epoch(
    endpoint: tuple[str, int], credentials: Credentials, stream_id: int, epoch: int, *, plaintext: bool = False,
    timeout_s: float = 5.0,
) -> int:  # fmt: skip
    """Tell another machine's server that this epoch has begun; the highest epoch it knows of."""
    link = connect(endpoint, credentials, heartbeat_s=timeout_s, silence_s=timeout_s, plaintext=plaintext)
    try:
        link.send(Kind.HELLO, msgspec.json.encode(Hello(PROTOCOL, "peer", "peer", stream_id, known_epoch=epoch)))
        while (m := link.receive()).kind == Kind.HEARTBEAT:
            pass
        if m.kind == Kind.REFUSED:
            no: Refused = m.as_(Refused)
            if no.epoch:
                return no.epoch
            raise LinkError(f"{link.peer}: {no.text}")
        if m.kind != Kind.WELCOME:
            raise LinkError(f"{link.peer}: a {m.kind.name} where none belongs")
        welcome: Welcome = m.as_(Welcome)
        return welcome.epoch
    finally:
        link.close()
