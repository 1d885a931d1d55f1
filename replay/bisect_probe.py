"""One side of a bisection, as a process: this code, or that of another checkout, over the same journal.

Run by path, with the checkout whose code is asked on the path: so it uses nothing but what every build of lockstep has.
Lines in: `try SEQ` (look at the state after SEQ, and stay), `go SEQ`. Lines out: one JSON object a line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from apps.ledger import Diverged, Ledger
from replay.player import Player


def states(player: Player, to_seq: int) -> dict[str, str]:
    """App → digest of its state after a frame."""
    while player.reader.next_seq <= to_seq:
        batch = player.reader.poll(min(4096, to_seq + 1 - player.reader.next_seq))
        if batch is None:
            break
        player.group.run(batch.buffer, iter(batch))
    return {s.name: hashlib.blake2b(s.app.snapshot(), digest_size=16).hexdigest() for s in player.slots}


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
    player = Player(Path(sys.argv[1]), sys.argv[2:] or None)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command, seq = line.split()
        child = os.fork() if command == "try" else 0
        if child:
            os.waitpid(child, 0)
            continue
        try:
            answer: dict[str, Any] = {"states": states(player, int(seq))}
        except Exception as error:
            answer = {"states": {}, "raised": f"{type(error).__name__}: {error}", "seq": player.group.seq + 1}
        print(json.dumps(answer), flush=True)
        if command == "try":
            os._exit(0)


if __name__ == "__main__":
    main()
