"""Readers of a stream that is being measured: at its tail, and far behind."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.reader import JournalReader
from lockstep.bench import rig
from sequencer.client import Publisher


class Tail(threading.Thread):
    """A reader in C of everything, crc checked; sleeps while there is nothing."""

    def __init__(self, journal: Path, name: str, from_seq: int) -> None:
        super().__init__(daemon=True)
        self.reader = JournalReader(journal, from_seq=from_seq, kinds=())
        self.wake = Publisher.connect(journal, name)
        self.ended = threading.Event()
        self.news = threading.Condition()

    def run(self) -> None:
        reader = self.reader
        while not self.ended.is_set():
            if reader.poll() is None:
                with self.news:
                    self.news.notify_all()
                self.wake.wait(0.2, unless=lambda: reader.written_seq >= reader.next_seq)

    def wait_for(self, seq: int) -> None:
        """Until it has checked the frame with this seq."""
        with self.news:
            while self.reader.next_seq <= seq:
                if not self.news.wait(1.0) and not self.is_alive():
                    raise SystemExit("lockstep bench: a reader ended")

    def close(self) -> None:
        """Let it end."""
        self.ended.set()
        self.join()
        self.wake.close()
        self.reader.close()


@contextlib.contextmanager
def tails(journal: Path, first: int, count: int, from_seq: int) -> Iterator[list[Tail]]:
    """So many of them, the sources reader`first` and following."""
    made: list[Tail] = []
    try:
        for i in range(count):
            made.append(Tail(journal, f"reader{first + i}", from_seq))
            made[-1].start()
        yield made
    finally:
        for tail in made:
            tail.close()


class Late:
    """A process that reads every frame from the first on, crc checked, and begins again before it is less than `least` behind.

    It has ordinary priority also where the stream is real-time: it never sleeps, and the threads that make segments and sync
    them need a core too.
    """

    def __init__(self, journal: Path, least: int) -> None:
        self._words = rig.spawn.Array("Q", [0, 0], lock=False)
        self._process = rig.spawn.Process(target=_read_behind, args=(journal, least, self._words), daemon=True)
        self._process.start()

    @property
    def behind(self) -> int:
        """The fewest frames that it was behind; 0: it has read nothing yet."""
        return int(self._words[0])

    @property
    def frames(self) -> int:
        """That it has read."""
        return int(self._words[1])

    def await_start(self) -> None:
        """Until it reads."""
        while not self.frames:
            if self._process.exitcode is not None:
                raise SystemExit("lockstep bench: the reader far behind ended")
            time.sleep(0.01)

    def end(self) -> None:
        """It is gone."""
        self._process.kill()
        self._process.join()


def _read_behind(journal: Path, least: int, words: Any) -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    while True:
        with JournalReader(journal) as reader:
            # Not `kinds=()`: a reader that wants nothing passes over full segments by their index.
            while (batch := reader.poll()) is not None and (behind := reader.written_seq - reader.seen_seq) >= least:
                words[0] = min(behind, words[0] or behind)
                words[1] += len(batch)


@contextlib.contextmanager
def late(journal: Path, least: int) -> Iterator[Late]:
    """One such reader, which has begun."""
    reader = Late(journal, least)
    try:
        reader.await_start()
        yield reader
    finally:
        reader.end()
