"""One side of a bisection or comparison, as a process: this code, or that of another checkout, over the same journal.

Run by path, with the checkout whose code is asked on the path: so it uses nothing but what every build of lockstep has.
Lines in: `try SEQ` (look at the state after SEQ, and stay), `go SEQ`, `hear SEQ` (go, and say what the apps said on the way).
Lines out: one JSON object a line. `--moved=OLD=NEW`: files below OLD are those below NEW.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from apps import discovery
from apps.ledger import Diverged, Ledger
from replay.player import Player


def trap() -> Any:
    """The trap for calls to the outside, where that build has one."""
    try:
        from apps.guard.trap import trapped
    except ImportError:
        return contextlib.nullcontext()
    return trapped()


def states(player: Player, to_seq: int) -> dict[str, str]:
    """App → digest of its state after a frame."""
    while player.reader.next_seq <= to_seq:
        batch = player.reader.poll(min(4096, to_seq + 1 - player.reader.next_seq))
        if batch is None:
            break
        player.group.run(batch.buffer, iter(batch))
    return {s.name: hashlib.blake2b(s.app.snapshot(), digest_size=16).hexdigest() for s in player.slots}


def hear(player: Player, to_seq: int, heard: dict[str, list[Any]]) -> None:
    """Gather in `heard` all that the apps say up to a frame."""
    for said in heard.values():
        said.clear()
    with trap():
        while player.reader.next_seq <= to_seq:
            batch = player.reader.poll(min(4096, to_seq + 1 - player.reader.next_seq))
            if batch is None:
                break
            player.group.run(batch.buffer, iter(batch))


def told(heard: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """App → [cause, kind, version, body] of what was gathered."""
    return {name: [[e.cause, e.kind, e.version, e.body.hex()] for e in said] for name, said in heard.items()}


def move(old: str, new: str) -> None:
    """Load strategies' files from another place than the journal names."""
    every: Any = discovery
    load = every._load_file

    def moved(path: Path) -> Any:
        return load(Path(new) / path.relative_to(old) if path.is_absolute() and path.is_relative_to(old) else path)

    every._load_file = moved


def forgive() -> None:
    """What an app says differently is no end here: its state is what is asked for."""
    match = Ledger.match

    def compare(ledger: Ledger, buffer: Any, offset: int, seq: int) -> None:
        with contextlib.suppress(Diverged):
            match(ledger, buffer, offset, seq)

    every: Any = Ledger
    every.match = compare


def main() -> None:
    """Answer until the input ends."""
    forgive()
    journal, *rest = sys.argv[1:]
    for option in [r for r in rest if r.startswith("--moved=")]:
        rest.remove(option)
        move(*option.removeprefix("--moved=").split("=", 1))
    player = Player(Path(journal), rest or None)
    heard: dict[str, list[Any]] = {s.name: [] for s in player.slots if s.ledger is not None}
    for slot in player.slots:
        if slot.ledger is not None:
            slot.ledger._publish = heard[slot.name].append
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command, seq = line.split()
        child = os.fork() if command == "try" else 0
        if child:
            os.waitpid(child, 0)
            continue
        answer: dict[str, Any] = {}
        try:
            if command == "hear":
                hear(player, int(seq), heard)
            else:
                answer["states"] = states(player, int(seq))
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            answer = {"states": {}, "raised": f"{type(error).__name__}: {said}", "seq": player.group.seq + 1}
        if command == "hear":
            answer["said"] = told(heard)  # also up to where it raised
        print(json.dumps(answer), flush=True)
        if command == "try":
            os._exit(0)


if __name__ == "__main__":
    main()
