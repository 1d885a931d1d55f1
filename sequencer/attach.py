"""How a publisher is handed its ring: one request, one answer, over a SOCK_SEQPACKET Unix socket.

    publisher → {"source", "build", "schema_digest"}
    sequencer → {"source_id", "incarnation", "last_source_seq", "epoch", "ring_bytes", "journal"} + 3 file descriptors
                (the ring, the sequencer's eventfd, the publisher's eventfd), or {"error"}

Who the publisher is the kernel says (SO_PEERCRED), not the request. The connection stays open: its end is how each side
notices that the other is gone.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from pathlib import Path

import msgspec

from journal.errors import OperatingError
from sequencer.rules import vocabulary_digest

REQUEST_BYTES_MAX = 4096
SOCKET_PATH_BYTES_MAX = 107
"""sun_path holds 108 bytes, the last one zero."""


class AttachRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a publisher says of itself. Nothing of it is believed but the name, and that only for the right user."""

    source: str
    build: str
    schema_digest: str
    fenced_epoch: int = 0
    """Not to attach, but to say: this epoch has begun elsewhere, end."""


class AttachReply(msgspec.Struct):
    """What it gets; file descriptors travel beside it. `error` not empty: one line, and no ring."""

    source_id: int = 0
    incarnation: int = 0
    last_source_seq: int = 0
    epoch: int = 0
    ring_bytes: int = 0
    journal: str = ""
    error: str = ""
    retry_in_ms: int = 0
    """With an error: not now, but then."""
    copies: int = 1
    """How many may be attached as this source at once, and say the same."""


class AttachError(OperatingError, ConnectionError):
    """The sequencer answered no, or there is none."""


class LockedOut(AttachError):
    """The sequencer has had enough of this source for a while."""

    def __init__(self, line: str, retry_in_s: float) -> None:
        super().__init__(line)
        self.retry_in_s = retry_in_s


def socket_path(journal: Path) -> Path:
    """Where the sequencer of a journal listens; refused when the system cannot bind it."""
    path = Path(journal).resolve() / "run" / "sequencer.sock"
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES_MAX:
        raise AttachError(
            f"{path}: a Unix socket's path holds {SOCKET_PATH_BYTES_MAX} bytes, this one needs {size}; "
            "choose a shorter path for the journal"
        )
    return path


def peer(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, from the kernel."""
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def send_reply(connection: socket.socket, reply: AttachReply, fds: tuple[int, ...] = ()) -> None:
    """Answer; never blocks on a peer that does not read."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([msgspec.json.encode(reply)], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def request_attach(journal: Path, source: str, build: str, timeout_s: float) -> tuple[socket.socket, AttachReply, list[int]]:
    """Connect and ask. Raises AttachError with the sequencer's own line, or OSError when nobody listens."""
    path = socket_path(journal)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds: list[int] = []
    try:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(msgspec.json.encode(AttachRequest(source, build, vocabulary_digest().hex())))
        data, fds, _, _ = socket.recv_fds(connection, REQUEST_BYTES_MAX, 3)
        if not data:
            raise ConnectionResetError(f"{path}: the sequencer closed the connection")
        reply = msgspec.json.decode(data, type=AttachReply)
        if reply.error:
            raise LockedOut(reply.error, reply.retry_in_ms / 1000) if reply.retry_in_ms else AttachError(reply.error)
        if len(fds) != 3:
            raise AttachError(f"{path}: expected 3 file descriptors with the answer, got {len(fds)}")
    except BaseException:
        connection.close()
        for fd in fds:
            os.close(fd)
        raise
    return connection, reply, fds
