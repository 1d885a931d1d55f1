"""Two processes that run the same apps at once: which they are, and what becomes of one that differs.

What is on the stream counts: it was said first. A copy that would have said something else ends by itself (`apps.parting`); the
other one goes on. The supervisor tells the stream, and looks for the event at which they parted where only their states differ:
copy N runs under hash seed N - 1, so a replay under both seeds is what both copies did.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from pathlib import Path

from apps.parting import Parting, path_of, take
from journal import logs
from journal.errors import OperatingError
from journal.messages import Alert, AlertSeverity, AlertState, Divergence, DivergenceLevel, Message, Reason, ScopeType
from lockstep.config import Config
from replay.bisect import Side, bisect

_LOG = logs.Log("supervisor")
_TEXT_MAX = 400


def name_of(host: str, copy: int) -> str:
    """The process of a copy."""
    return host if copy == 1 else f"{host}-{copy}"


def environment(copy: int) -> dict[str, str]:
    """What a copy's process has that the other one has not."""
    return {"PYTHONHASHSEED": str(copy - 1)}


class Copies:
    """The hosts of a system that run twice."""

    def __init__(self, config: Config, journal: Path) -> None:
        self._journal = journal
        self._apps = {host: apps for host, apps in config.hosts().items() if config.copies_of(apps) > 1}
        self._others: dict[str, str] = {}
        self._place: dict[str, tuple[str, int]] = {}
        for host in self._apps:
            one, two = name_of(host, 1), name_of(host, 2)
            self._others |= {one: two, two: one}
            self._place |= {one: (host, 1), two: (host, 2)}
        self.halted: dict[str, str] = {}
        """Process → why. It is not started again while this supervisor runs."""
        self._found: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._unsaid: list[Message] = []

    def can_halt(self, process: str) -> bool:
        """Whether this one may end for good: the other one goes on."""
        other = self._others.get(process)
        return other is not None and other not in self.halted

    def halt(self, process: str, last_words: str) -> str:
        """A copy has ended because it differs. Why, in a line; the frames that say so are in `unsaid`."""
        host, copy = self._place[process]
        found = take(path_of(self._journal, self._apps[host][0], copy))
        if found is None:
            self.halted[process] = last_words
            return last_words
        in_state = found.level == DivergenceLevel.DIGEST
        where = (
            f"its state differs at seq {found.first_bad_seq} and was right at seq {found.right_at}"
            if in_state
            else f"the first bad event is seq {found.first_bad_seq}"
        )
        line = self.halted[process] = f"{process} differs from {self._others[process]} and is halted: {found.app}: {where}"
        self._unsaid.append(
            Divergence(
                at_seq=found.first_bad_seq, app=found.source, level=found.level, expected_digest=found.expected_digest,
                got_digest=found.got_digest, field=found.app,
            )
        )  # fmt: skip
        self._unsaid.append(_alert(process, found, found.first_bad_seq, line))
        if in_state:
            threading.Thread(target=self._search, args=(process, found), name=f"search {process}", daemon=True).start()
        return line

    def _search(self, process: str, found: Parting) -> None:
        """The first bad event of an interval: both copies again, from processes of their own."""
        try:
            with (
                Side(self._journal, [found.app], hash_seed=0) as one,
                Side(self._journal, [found.app], hash_seed=1) as two,
            ):
                parted = bisect(one, two, self._journal, found.first_bad_seq, right_at=found.right_at)
        except (OperatingError, OSError, ValueError) as error:
            _LOG.error("the first bad event was not found", process=process, why=error)
            return
        if parted is None:
            interval = f"seq {found.right_at} to {found.first_bad_seq}"
            line = f"{found.app}: a replay parts nowhere from {interval}: {process} ran other code, or its machine failed"
            seq = found.first_bad_seq
        else:
            seq, line = parted.seq, f"{found.app}: the first bad event of {process} is seq {parted.seq}"
        self._found.put(_alert(process, found, seq, line))

    def unsaid(self) -> list[Message]:
        """What the stream is still to be told; whoever has told it clears the list."""
        while not self._found.empty():
            m = self._found.get()
            assert isinstance(m, Alert)
            _LOG.error(m.text)
            self._unsaid.append(m)
        return self._unsaid


def _alert(process: str, found: Parting, seq: int, line: str) -> Alert:
    # One alert for each copy of a source: the second frame of it says more.
    number = int.from_bytes(hashlib.blake2b(process.encode(), digest_size=6).digest(), "little")
    return Alert(
        scope_type=ScopeType.SOURCE, scope_source=found.source, alert=1 << 48 | number, about_seq=seq,
        rule=Reason.DUPLICATE_DIFFERS, severity=AlertSeverity.CRITICAL, state=AlertState.RAISED, text=line[:_TEXT_MAX],
    )  # fmt: skip
