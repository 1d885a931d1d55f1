"""Who may write a folder: one process at a time.

The lock is held twice: on the file `lock`, which says who holds it, and on the folder itself. A file may be removed or replaced
by somebody who takes it for stale; the next writer would lock another file of that name, and both would write. The folder
cannot be replaced without its journal.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from journal.errors import JournalLocked, os_failure
from journal.segment import make_folder

NAME = "lock"
_ALONE = fcntl.LOCK_EX | fcntl.LOCK_NB


class FolderLock:
    """Creates the folder if need be and takes its lock; JournalLocked where another process has it. It dies with the process,
    whatever kills that."""

    def __init__(self, folder: Path) -> None:
        self._fds: list[int] = []
        try:
            make_folder(folder)
            self._fds.append(os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
            self._fds.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            self._close()
            raise os_failure(folder, error.errno or 0, "opening the journal for writing") from None
        try:
            for fd in self._fds:
                fcntl.flock(fd, _ALONE)
        except BlockingIOError:
            text = os.pread(self._fds[0], 32, 0).decode("ascii", "replace").strip()
            self._close()
            raise JournalLocked(folder, int(text) if text.isdigit() else 0) from None
        except OSError as error:
            self._close()
            raise os_failure(folder, error.errno or 0, "locking the journal") from None
        os.ftruncate(self._fds[0], 0)
        os.pwrite(self._fds[0], f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it; once more does nothing."""
        if self._fds:
            os.ftruncate(self._fds[0], 0)
        self._close()

    def _close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []
