"""Captures for tests: one made here, and an independent reader that rebuilds a book as the venue's manual says."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

from gateways.sim.exchange.settings import ExchangeSettings
from lockstep.feeds import GeneratedMarket

SHARED = Path(__file__).parents[3] / "shared" / "data"
START_NS = 1_723_161_255_000_000_000


def lines_of(path):
    """(number, JSON text) of a capture's lines, those of a cut file too."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            yield number, line.rstrip(b"\n").partition(b" ")[2]


def made_capture(path, *, seconds=20, snapshot_at=40, cut=0):
    """A capture of the futures format with an inline snapshot; gzip where the name says so. Returns its number of lines."""
    settings = ExchangeSettings(seed=11, rate=200)
    market = GeneratedMarket(settings, start_ns=START_NS, duration_ns=seconds * 1_000_000_000)
    lines = []
    for ns, text in market.frames():
        lines.append(b"%d %s\n" % (ns, text))
        if len(lines) == snapshot_at:
            lines.append(b"%d %s\n" % (ns + 1, market.depth()))
    data = b"".join(lines)
    if path.suffix == ".gz":
        data = gzip.compress(data, 6)
    path.write_bytes(data[: len(data) - cut])
    return len(lines)


class ObviousReader:
    """Dictionaries of price → quantity; follows the venue's join rule (futures and spot) and nothing else."""

    def __init__(self):
        self.kept = []
        self.bids = {}
        self.asks = {}
        self.last = self.applied = 0
        self.joined = False

    def read(self, text):
        """One recorded message. True when it was a depth update that went into the book."""
        m = json.loads(text)
        if "lastUpdateId" in m:
            if not self.last:
                self._snapshot(m)
            return False
        if m["data"].get("e") != "depthUpdate":  # a spot bookTicker has no type
            return False
        return self._update(m["data"])

    def _snapshot(self, m):
        self.bids = {Decimal(px): Decimal(qty) for px, qty in m["bids"]}
        self.asks = {Decimal(px): Decimal(qty) for px, qty in m["asks"]}
        self.last = m["lastUpdateId"]
        for kept in self.kept:
            self._update(kept)

    def _update(self, m):
        if not self.last:
            self.kept.append(m)
            return False
        spot = "pu" not in m
        if not self.joined:
            if m["u"] < self.last + spot:
                return False
            assert m["U"] <= self.last + spot <= m["u"]
        else:
            assert m["U"] == self.last + 1 if spot else m["pu"] == self.last
        self.joined, self.last = True, m["u"]
        for side, rows in ((self.bids, m["b"]), (self.asks, m["a"])):
            for px, qty in rows:
                side[Decimal(px)] = Decimal(qty)
                if not Decimal(qty):
                    del side[Decimal(px)]
        self.applied += 1
        return True
