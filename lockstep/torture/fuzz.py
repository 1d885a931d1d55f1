"""Hostile bytes: valid messages, spoiled at random, against the production ring, admission, loop and reader under ASan.

Nothing may crash, hang or read beyond what is its own, and what comes into the journal must have stood in the ring.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
from pathlib import Path

from journal import entropy
from journal.messages import REGISTRY
from lockstep.option_types import minutes
from lockstep.torture.drivers import build, scratch
from lockstep.torture.outcome import Find, Outcome, Tell
from sequencer.kernel._sequencer import ffi
from sequencer.rules import rule_table

SOURCES = [
    "lockstep/torture/fuzz.c",
    "sequencer/kernel/[a-z]*.c",
    "journal/kernel/writer.c",
    "journal/kernel/reader.c",
]
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-lpthread", "-Wno-unused-result")
COUNTS = ("rounds", "frames", "refused", "rings_dropped", "frames_read_back", "reads_stopped")
_SLICE_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lockstep torture fuzz` beside the common ones."""
    parser.add_argument("--minutes", type=minutes, default=10, metavar="N", help="how long (default: 10; --hours replaces it)")


def corpus() -> bytes:
    """One frame of each kind, as a publisher writes it, a short and a long one where there is text."""
    out = b""
    for kind, cls in sorted(REGISTRY.items()):
        texts = [f.name for f in cls.LAYOUT.fields if f.wire == "text"]
        for text in ("", "text of a message"):
            body = cls(**dict.fromkeys(texts, text)).encode()
            out += struct.pack("<IIHHHHQqqQQII", 64 + len(body), 0, kind, cls.VERSION, 1, 0, 0, 0, 7, 0, 0, 0, 0) + body
    return out


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture fuzz`"""
    seconds = arguments.hours * 3600 or arguments.minutes * 60
    seed = arguments.seed if arguments.seed is not None else entropy.random_u64() >> 32
    outcome = Outcome("fuzz", {"seed": seed, "seconds": seconds}, dict.fromkeys(COUNTS, 0))
    with scratch() as folder:
        binary = build(SOURCES, folder / "fuzz", *SANITIZED)
        rules, count = rule_table()
        (folder / "rules").write_bytes(bytes(ffi.buffer(rules)))
        (folder / "corpus").write_bytes(corpus())
        done = 0.0
        while done < seconds and not outcome.finds:
            tell(done, seconds, f"{outcome.metrics['rounds']:,} rounds")
            part = min(_SLICE_S, seconds - done)
            _slice(binary, folder, count, seed, part, outcome)
            done += part
            seed += 1
    return outcome


def _slice(binary: Path, folder: Path, count: int, seed: int, seconds: float, outcome: Outcome) -> None:
    journal = folder / f"j{seed}"
    journal.mkdir()
    command = [str(binary), str(folder / "corpus"), str(folder / "rules"), str(count), str(journal), str(seed), str(seconds)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 10 + 60)
    if ended.returncode:
        words = ("ERROR", "Assert", "runtime error")
        said = [line for line in ended.stderr.splitlines() if any(word in line for word in words)]
        what = said[0] if said else f"exit {ended.returncode}"
        outcome.finds.append(Find(what, f"lockstep torture fuzz --seed {seed} --minutes {seconds / 60:g}"))
        return
    for name, value in zip(COUNTS, ended.stdout.split(), strict=True):
        outcome.metrics[name] += int(value)
