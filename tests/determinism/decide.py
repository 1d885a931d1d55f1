"""Run in a process of its own by the tests beside it: replays a journal, or makes one; prints what came of it as JSON."""

import gc
import hashlib
import json
import sys
from pathlib import Path

import apps.group
from apps.ledger import Ledger
from replay.player import Player


def decisions(path):
    """Every emission of every app, in order, and the state behind them."""
    whole = hashlib.blake2b(digest_size=32)
    count = 0
    accept = Ledger.accept

    def heard(self, message, flags, cause, origin_ts):
        nonlocal count
        count += 1
        whole.update(b"%s %d %d %d %d " % (self.app.encode(), message.KIND, int(flags), cause, origin_ts))
        whole.update(message.encode())
        accept(self, message, flags, cause, origin_ts)

    Ledger.accept = heard
    player = Player(path)
    verdict = player.verdict(player.run())
    return {
        "identical": verdict.identical,
        "compared": verdict.decisions,
        "pending": verdict.pending,
        "said": count,
        "decisions": whole.hexdigest(),
        "state": verdict.state_digest,
    }


def segments(path):
    return {p.name: hashlib.blake2b(p.read_bytes(), digest_size=32).hexdigest() for p in sorted(path.glob("*.seg"))}


def made(config, out):
    from lockstep.backtesting import run_backtest
    from lockstep.config import load

    result = run_backtest(load(config), out)
    return {"state": result.state_digest, "frames": result.frames, "segments": segments(out)}


if __name__ == "__main__":
    collector, digest_every, action, *arguments = sys.argv[1:]
    apps.group.DIGEST_EVERY = int(digest_every)
    apps.group.SNAPSHOT_EVERY = 4 * int(digest_every)
    if collector == "eager":
        gc.set_threshold(1)
    elif collector == "off":
        gc.disable()
    run = {"replay": decisions, "backtest": made}[action]
    print(json.dumps(run(*map(Path, arguments))))
