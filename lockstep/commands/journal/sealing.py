"""`lockstep journal seal|head`: vouch for what stands there, and take the voucher elsewhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal.chain import make_seals, measure, store
from journal.errors import JournalError
from journal.head import append_head, head_of
from journal.seal import Seal, read_seal, sealed_numbers
from journal.segment import refuse_no_journal, segment_files
from journal.signing import Key
from lockstep.commands.journal.options import action, with_progress
from lockstep.option_types import whole


def add_actions(actions: Any) -> None:
    """Register them."""
    seal = action(actions, "seal", run_seal, "seal every full segment that has no seal yet", "one object: what was sealed")
    seal.add_argument("--key", type=Path, metavar="FILE", help="sign the seals, old unsigned ones too (Ed25519 or HMAC key)")
    head = action(actions, "head", run_head, "print the head: what vouches for all frames up to the last", "one object")
    head.add_argument("--at", type=whole(0), metavar="SEQ", help="the head at this frame (default: the last)")
    head.add_argument("--append", type=Path, metavar="FILE", help="append the line to this file too, and put it on disk")
    head.add_argument("--key", type=Path, metavar="FILE", help="sign it")


def run_seal(arguments: argparse.Namespace) -> int:
    """`lockstep journal seal`"""
    folder: Path = arguments.path
    refuse_no_journal(folder)
    key = Key(arguments.key) if arguments.key else None
    if key is not None and not key.can_sign:
        raise JournalError(f"{arguments.key}: is a public key; signing needs the private one")
    files = segment_files(folder)
    signed = list(_sign_old(folder, key)) if key is not None else []

    def work(progress: Any) -> list[Seal]:
        made = []
        for seal in make_seals(folder):
            made.append(store(folder, seal, key.sign(seal.chain) if key is not None else ""))
            progress(seal.number, len(files))
        return made

    made = with_progress("sealing", work)
    if arguments.json:
        print(json.dumps({"sealed": [_facts(s) for s in made], "signed": [_facts(s) for s in signed]}))
        return 0
    for seal in signed:
        print(f"signed {seal.number:08d}  frames {seal.first_seq}-{seal.last_seq}  {seal.chain.hex()}")
    for seal in made:
        print(f"sealed {seal.number:08d}  frames {seal.first_seq}-{seal.last_seq}  {seal.chain.hex()}")
    if not made and not signed:
        print(f"{folder}: every full segment is sealed ({len(sealed_numbers(folder))} of {len(files)} segments)")
    return 0


def _sign_old(folder: Path, key: Key) -> Iterator[Seal]:
    """Seals that stand there without a signature; the facts are measured anew before anybody signs them."""
    for number in sealed_numbers(folder):
        seal = read_seal(folder, number)
        if seal is None or seal.signature:
            continue
        if measure(folder, number).chain != seal.chain:
            raise JournalError(f"{folder}: segment {number} is not what its seal vouches for: lockstep journal verify {folder}")
        yield store(folder, seal, key.sign(seal.chain))


def _facts(seal: Seal) -> dict[str, Any]:
    return {
        "segment": seal.number, "first_seq": seal.first_seq, "last_seq": seal.last_seq, "chain_digest": seal.chain.hex(),
        "segment_digest": seal.digest.hex(), "signature": seal.signature,
    }  # fmt: skip


def run_head(arguments: argparse.Namespace) -> int:
    """`lockstep journal head`"""
    head = head_of(arguments.path, arguments.at, Key(arguments.key) if arguments.key else None)
    if arguments.append:
        append_head(arguments.append, head)
    if arguments.json:
        stream = f"{head.stream_id or 0:#018x}"
        facts = {"stream_id": stream, "segment": head.segment, "seq": head.seq, "chain_digest": head.digest.hex()}
        print(json.dumps(facts | {"signature": head.signature}))
    else:
        print(head.line())
    return 0
