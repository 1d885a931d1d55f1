"""What can be wrong with a journal, one class each, one line each: where, what was found, what was expected."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class OperatingError(Exception):
    """Something that a person can mend (a file, a configuration, a disk): its text is the one line they get to read. What is
    no OperatingError is a bug, and is shown with its traceback."""


class JournalError(OperatingError):
    """Anything that keeps a journal from being written or read."""


class JournalMissing(JournalError):
    """There is no journal at this path."""


class JournalLocked(JournalError):
    """Another process writes this journal."""

    def __init__(self, path: Path, pid: int) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{path}: {who} is writing this journal; a journal has one writer at a time")


class JournalFenced(JournalError):
    """The stream of this folder is written elsewhere: it may be read and followed, not written."""


class ForeignFile(JournalError):
    """A file of another make where one of ours belongs."""


class NewerFormat(JournalError):
    """Written by a newer version of lockstep."""


class NewerSchema(JournalError):
    """A frame of a kind, or of a version of a kind, that this build does not know."""


class WrongStream(JournalError):
    """A file of another journal."""


class SegmentMissing(JournalError):
    """A segment file is not there though others say that it must be."""


class BeginMissing(JournalError):
    """A slice without the states that its apps start from."""


class FramesLost(JournalError):
    """The journal ends before what was on disk of it, as its control page says."""

    def __init__(self, path: Path | str, last_seq: int, durable_seq: int) -> None:
        super().__init__(f"{path}: ends with seq {last_seq}, but frames up to {durable_seq} were on disk; frames are lost")


class SegmentUnreachable(JournalError):
    """A segment stands on another disk, and that is not there now: nothing is lost."""


class SegmentTruncated(JournalError):
    """A segment file is shorter (or longer) than its header says."""


class SealBroken(JournalError):
    """What a seal vouches for is not what stands there, or the chain of seals is broken."""


class DiskFull(JournalError):
    """No room for the next segment."""


class AccessDenied(JournalError):
    """The operating system does not let us."""


class MessageTooLong(JournalError):
    """A frame that does not fit."""


class JournalFailed(JournalError):
    """The disk failed under the writer; it stays failed."""


class JournalCorrupt(JournalError):
    """Bytes that are no valid frame where one must be."""

    def __init__(self, file: Path, offset: int, expected: str, found: str, remedy: str = "") -> None:
        self.file, self.offset, self.expected, self.found = file, offset, expected, found
        super().__init__(f"{file}: at byte {offset} expected {expected}, found {found}" + (f"; {remedy}" if remedy else ""))


class JournalDamaged(JournalCorrupt):
    """Corruption of what was already on disk: no crash does that, so recovery refuses to cut it away."""


def os_failure(path: Path | str, code: int, doing: str) -> JournalError:
    """The error for an errno, in one line."""
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(
            f"{path}: disk full while {doing} ({os.strerror(code)}); free some space or set a smaller segment_bytes"
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(f"{path}: {os.strerror(code)} while {doing}; the writer needs read and write access")
    return JournalFailed(f"{path}: {os.strerror(code)} while {doing}")
