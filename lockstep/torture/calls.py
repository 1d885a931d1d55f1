"""The nth system call fails: every open, sync, allocation, rename and map of a real sequencer, one by one.

A publisher publishes, a consumer releases what is durable, as a gateway does; then the daemon is started again on what is
left. Nothing released may be missing, nothing be there twice or out of nowhere, and an end must be said in one line.
"""

from __future__ import annotations

import argparse
import errno
import re
import shutil
import time
from pathlib import Path

from journal.frames import frames
from journal.messages import LogRecord
from journal.reader import JournalReader
from journal.verify import survey
from lockstep.option_types import whole
from lockstep.torture.daemons import CALLS, SOURCE, Daemons
from lockstep.torture.drivers import scratch
from lockstep.torture.outcome import Find, Outcome, Tell
from sequencer.attach import AttachError
from sequencer.client import Publisher, SequencerGone
from sequencer.flow import EXIT_HALTED

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "ENOMEM", "EMFILE")
SYNCS = ("fsync", "fdatasync", "msync")
SETTINGS = {
    "segment_bytes": 1 << 20, "ring_bytes": 1 << 20, "disk_patience_ms": 200, "sync_interval_us": 0, "clock_interval_ms": 50,
    "idle": "park",
}  # fmt: skip
ROUNDS, OF_A_ROUND, TEXT_BYTES = 5, 150, 3000
PATIENCE_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep torture calls` beside the common ones."""
    parser.add_argument("--call", choices=CALLS, action="append", help="only this call (may be repeated; default: all)")
    parser.add_argument("--error", choices=ERRORS, action="append", help="only this error (may be repeated; default: all)")
    parser.add_argument("--nth", type=whole(1), metavar="N", help="only the Nth call: repeats a find")


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture calls`"""
    pairs = [(call, error) for call in arguments.call or CALLS for error in arguments.error or ERRORS]
    outcome = Outcome(
        "calls", {"pairs": len(pairs), "rounds": ROUNDS, "messages": ROUNDS * OF_A_ROUND}, {"runs": 0, "halted": 0}
    )
    with scratch() as folder, Daemons(folder) as daemons:
        for done, (call, error) in enumerate(pairs):
            nth = arguments.nth or 1
            while True:
                tell(done, len(pairs), f"{call} {error} {nth}")
                trial = Trial(daemons, folder / "j", call, error, nth)
                found = trial.run()
                outcome.metrics["runs"] += 1
                outcome.metrics["halted"] += trial.halted
                if found:
                    again = f"lockstep torture calls --call {call} --error {error} --nth {nth}"
                    kept = _keep(trial.journal, arguments.keep, f"{call}-{error}-{nth}")
                    outcome.finds.append(Find(f"{call} {error}, number {nth}: {found}", again, kept))
                if not trial.fired or arguments.nth or (arguments.count and outcome.metrics["runs"] >= arguments.count):
                    break
                nth += 1
    return outcome


def _keep(journal: Path, folder: Path | None, name: str) -> str:
    if folder is None:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    return str(shutil.copytree(journal, folder / name, ignore=shutil.ignore_patterns("*.sock")))


class Trial:
    """One workload with one fault."""

    def __init__(self, daemons: Daemons, journal: Path, call: str, error: str, nth: int) -> None:
        self.daemons, self.journal = daemons, journal
        self.call, self.error, self.nth = call, error, nth
        self.fired = False
        self.halted = False
        self.released: dict[int, int] = {}
        """source_seq → seq, of what the consumer saw durable: it would have been acted upon."""
        self._held: list[tuple[int, int]] = []

    def run(self) -> str:
        """What was found; empty when all is as promised."""
        shutil.rmtree(self.journal, ignore_errors=True)
        self.daemons.arm(self.call, self.nth, getattr(errno, self.error))
        code = self.daemons.start(self.journal, **SETTINGS)
        publisher = None
        if code is None:
            publisher = self._connect()
            lived = publisher is not None and self._work(publisher)
            code = self.daemons.stop() if lived else self.daemons.wait()
        self.fired = bool(self.daemons.faults.fired)
        self.daemons.arm()
        self.halted = code == EXIT_HALTED
        return self._judge_end(code) or self._go_on(publisher)

    def _connect(self) -> Publisher | None:
        """A publisher; None when the sequencer ended before one had come."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return Publisher.connect(self.journal, SOURCE, timeout_s=1)
            except AttachError:
                if self.daemons.has_ended():
                    return None
                if time.monotonic() > end:
                    raise

    def _work(self, publisher: Publisher) -> bool:
        """Publish what is not published yet, a round when the one before is durable. False: the sequencer has ended."""
        self._held = []
        with JournalReader(self.journal, kinds=[LogRecord.KIND]) as reader:
            for last in range(OF_A_ROUND, ROUNDS * OF_A_ROUND + 1, OF_A_ROUND):
                try:
                    with publisher.batch():
                        for number in range(publisher.next_source_seq, last + 1):
                            publisher.publish(message(number))
                except SequencerGone:
                    return False
                if not self._release(publisher, reader, last):
                    return False
        return True

    def _release(self, publisher: Publisher, reader: JournalReader, number: int) -> bool:
        """Wait until `number` is durable, as a gateway does that sends no order before."""
        end = time.monotonic() + PATIENCE_S
        while not self.released.get(number):
            while (batch := reader.poll()) is not None:
                self._held += [(int.from_bytes(batch.buffer[at + 40 : at + 48], "little"), seq) for at, _, _, seq, _ in batch]
            durable = 0 if reader.halted else reader.durable_seq
            self.released |= {mine: seq for mine, seq in self._held if seq <= durable}
            self._held = [(mine, seq) for mine, seq in self._held if seq > durable]
            if not self.released.get(number):
                if not publisher.alive:
                    return False
                if time.monotonic() > end:
                    raise TimeoutError(f"number {number} neither became durable nor did the sequencer end")
                publisher.wait(0.05)
        return True

    def _judge_end(self, code: int) -> str:
        said = self.daemons.said()
        if self.error == "EINTR" and self.call in SYNCS and code != 0:
            return f"an interrupted sync ended the sequencer: {said}"
        if self.fired and self.call in ("fdatasync", "msync") and self.error != "EINTR" and code == 0:
            return "a failed sync was believed"
        if code not in (0, 1, EXIT_HALTED) or any("Traceback" in line for line in said):
            return f"ended with {code}: {said[-3:]}"
        # Warnings come before: of a disk that a busy machine makes slow, of a segment that cannot be prepared yet.
        last = [line for line in said if not re.match(r"\S+ warning ", line)]
        if code == 1 and len(last) != 1:
            return f"said {len(last)} lines instead of one: {said}"
        return "" if code == 0 or last else f"ended with {code} without a word: {said}"

    def _go_on(self, publisher: Publisher | None) -> str:
        """Start again on a good disk, publish what is left, and look at the whole journal."""
        code = self.daemons.start(self.journal, **SETTINGS)
        if code is not None:
            return f"does not start again: {self.daemons.said()}"
        if publisher is None:
            publisher = Publisher.connect(self.journal, SOURCE, timeout_s=PATIENCE_S)
        else:
            publisher.reconnect(PATIENCE_S)
        before, self.released = self.released, {}
        with publisher:
            # Everything is released once more, from the start of the stream.
            if not self._work(publisher):
                return f"ended on a good disk: {self.daemons.said()}"
        if self.daemons.stop() != 0:
            return f"does not end: {self.daemons.said()}"
        moved = {mine for mine, seq in before.items() if self.released.get(mine) != seq}
        if moved:
            return f"released before the error, and not there afterwards: {sorted(moved)[:5]}"
        there = [(f.header.source_seq, f.message) for f in frames(self.journal, kinds=[LogRecord.KIND])]
        wanted = [(n, message(n)) for n in range(1, ROUNDS * OF_A_ROUND + 1)]
        if there != wanted:
            return f"{len(there)} messages in the journal, {len(wanted)} published, or another order"
        return "; ".join(map(str, survey(self.journal).problems))


def message(number: int) -> LogRecord:
    """The message of that number: every byte of it tells which it is."""
    return LogRecord(about_seq=number, text=f"{number:08x}" * (TEXT_BYTES // 8))
