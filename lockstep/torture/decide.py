"""Run as a process of its own, `python -m lockstep.torture.decide COLLECTOR DIGEST_EVERY ACTION PATH…`: replays a journal from
its first frame and from every snapshot, or makes one; prints what came of it as one JSON object.

Uses nothing but apps, journal and replay for a replay: so a Python that has no web server decides too.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import apps.group
from apps.ledger import Ledger
from apps.snapshots import Snapshots
from apps.taking import take
from journal.reader import JournalReader
from replay.player import Player, judge


class Heard:
    """Every emission from some frame on, in order: one digest, whoever says it and from wherever the run began."""

    def __init__(self, after: list[int]) -> None:
        self.count = 0
        self._whole = {seq: hashlib.blake2b(digest_size=16) for seq in after}
        self._accept: Any = Ledger.accept

    def __enter__(self) -> Heard:
        heard, accept = self, self._accept
        every: Any = Ledger

        def listen(ledger: Ledger, message: Any, flags: int, cause: int, origin_ts: int) -> None:
            heard.count += 1
            said = b"%s %d %d %d %d " % (ledger.app.encode(), message.KIND, int(flags), cause, origin_ts) + message.encode()
            for seq, whole in heard._whole.items():
                # What a restored app says again of its snapshot was said before it.
                if cause > seq:
                    whole.update(said)
            accept(ledger, message, flags, cause, origin_ts)

        every.accept = listen
        return self

    def __exit__(self, *_: object) -> None:
        every: Any = Ledger
        every.accept = self._accept

    def digest(self, seq: int) -> str:
        """Of all that was said because of frames after `seq`."""
        return self._whole[seq].hexdigest()


def _of(folder: Path, player: Player) -> Snapshots:
    """Code is not compared: another Python's kernels are other files."""
    classes = {s.name: f"{type(s.app).__module__}:{type(s.app).__qualname__}" for s in player.slots}
    return Snapshots(folder, player.reader.stream_id or 0, classes)


def _taken(folder: Path) -> list[int]:
    return sorted(int(p.name) for p in folder.iterdir()) if folder.is_dir() else []


def keep(journal: Path, folder: Path) -> dict[str, Any]:
    """Write every snapshot of the day, each seq into a folder of its own."""
    player = Player(journal)

    def sink(slot: apps.group.Slot, moment: apps.group.Moment) -> None:
        take(_of(folder / str(moment.seq), player), player.group, slot, moment)

    player.group.snapshot_sink = sink
    verdict = player.verdict(player.run())
    player.reader.close()
    return {"identical": verdict.identical, "snapshots": len(_taken(folder))}


def replay(journal: Path, folder: Path) -> dict[str, Any]:
    """The whole day, and the rest of it from each snapshot of `folder`: equal decisions, equal states at the end."""
    starts = [0, *_taken(folder)]
    runs: dict[str, Any] = {}
    whole: dict[int, str] = {}
    for start in starts:
        with Heard(starts if not start else [start]) as heard:  # around all: a slot knows its ledger's `accept` from the first
            player = Player(journal)
            if start:
                restored = _of(folder / str(start), player).restore(player.group, player.slots, start)
                if restored != start:
                    runs[str(start)] = "its snapshots were not taken"
                    continue
                player.reader.close()
                player.reader = JournalReader(journal, from_seq=start + 1)
            verdict = judge(player)
        player.reader.close()
        if not start:
            whole = {seq: heard.digest(seq) for seq in starts}
            runs["0"] = {
                "identical": verdict.identical, "compared": verdict.decisions, "pending": verdict.pending, "said": heard.count,
                "decisions": whole[0], "state": verdict.state_digest,
            }  # fmt: skip
        else:
            same = heard.digest(start) == whole[start] and verdict.state_digest == runs["0"]["state"]
            runs[str(start)] = {"identical": verdict.identical, "same": same, "pending": verdict.pending}
    return runs


def made(config: Path, out: Path) -> dict[str, Any]:
    """A backtest of a configuration."""
    from lockstep.backtesting import run_backtest
    from lockstep.config import load

    result = run_backtest(load(config), out)
    segments = {p.name: hashlib.blake2b(p.read_bytes(), digest_size=32).hexdigest() for p in sorted(out.glob("*.seg"))}
    return {"state": result.state_digest, "frames": result.frames, "segments": segments}


def main() -> None:
    """One action."""
    collector, digest_every, action, *arguments = sys.argv[1:]
    apps.group.DIGEST_EVERY = int(digest_every)
    apps.group.SNAPSHOT_EVERY = 4 * int(digest_every)
    if collector == "aggressive":
        gc.set_threshold(1)
    elif collector == "off":
        gc.disable()
    actions: dict[str, Any] = {"replay": replay, "keep": keep, "backtest": made}
    print(json.dumps(actions[action](*map(Path, arguments))))


if __name__ == "__main__":
    main()
