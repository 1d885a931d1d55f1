"""`lockstep journal info|verify`: what a journal holds, and whether every byte of it is right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from journal.errors import JournalError
from journal.head import Head, heads_in, parse_head
from journal.signing import Key
from journal.text import Names, kind_name, time_text
from journal.verify import Survey, survey
from lockstep.commands.journal.options import action, with_progress


def add_actions(actions: Any) -> None:
    """Register them."""
    whole = "print what was found as one JSON object"
    action(actions, "info", run_info, "what it holds: segments, kinds, sources, watermarks", whole)
    verify = action(actions, "verify", run_verify, "check every byte; exit code 0 only when all is well", whole)
    verify.add_argument(
        "--head", action="append", default=[], metavar="HEAD",
        help="an exported head that must still hold: its line, SEQ:DIGEST, a digest, or @FILE for all of a sink; repeatable",
    )  # fmt: skip
    verify.add_argument("--key", type=Path, metavar="FILE", help="every seal must be signed with this key (Ed25519 or HMAC)")


def run_info(arguments: argparse.Namespace) -> int:
    """`lockstep journal info`"""
    found = with_progress("reading", lambda progress: survey(arguments.path, progress))
    if arguments.json:
        print(json.dumps(_survey_json(found, arguments.path)))
    else:
        _print_info(found, arguments.path)
        _print_problems(found)
    return 1 if found.problems else 0


def run_verify(arguments: argparse.Namespace) -> int:
    """`lockstep journal verify`"""
    heads = list(_heads(arguments.head))
    key = Key(arguments.key) if arguments.key else None
    found = with_progress("verifying", lambda progress: survey(arguments.path, progress, heads=heads, key=key))
    if arguments.json:
        print(json.dumps({"ok": not found.problems} | _survey_json(found, arguments.path)))
    else:
        _print_problems(found)
        if not found.problems:
            print(f"{found.path}: well: {found.frames:,} frames in {len(found.segments)} segments, last seq {found.last_seq}")
            sealed = f"sealed up to seq {found.sealed_seq}" if found.sealed_seq else "nothing is sealed"
            signed = f", signed with {key.scheme} key {key.id}" if key is not None and found.sealed_seq else ""
            print(f"{sealed}{signed}" + (f"; {found.heads_checked} heads hold" if heads else ""))
    return 1 if found.problems else 0


def _heads(given: list[str]) -> Iterator[Head]:
    for text in given:
        if text.startswith("@"):
            yield from heads_in(Path(text[1:]))
            continue
        try:
            yield parse_head(text)
        except ValueError as error:
            raise JournalError(f"--head {error}") from None


def _survey_json(found: Survey, path: Path) -> dict[str, Any]:
    names = Names.of(path) if not found.problems else Names()
    out: dict[str, Any] = msgspec.to_builtins(found)
    out["stream_id"] = f"{found.stream_id:#018x}"
    out["kinds"] = [
        {"kind": k, "name": kind_name(k), "frames": n, "bytes": found.bytes_by_kind[k]} for k, n in found.frames_by_kind.items()
    ]
    out["sources"] = [
        {"source": s, "name": names.sources.get(s, ""), "last_source_seq": n} for s, n in found.last_source_seq.items()
    ]
    for key in ("frames_by_kind", "bytes_by_kind", "last_source_seq"):
        del out[key]
    return out


def _print_info(found: Survey, path: Path) -> None:
    console = Console()
    names = Names.of(path) if not found.problems else Names()
    size = sum(s.bytes for s in found.segments)
    facts = Table(show_header=False, box=None)
    facts.add_row("journal", found.path)
    facts.add_row("stream", f"{found.stream_id:#018x}")
    facts.add_row("frames", f"{found.frames:,}  (last seq {found.last_seq:,})")
    if found.frames:
        facts.add_row("from", time_text(found.first_ts))
        facts.add_row("to", time_text(found.last_ts))
    facts.add_row("watermarks", f"written {found.written_seq:,}, durable {found.durable_seq:,}")
    facts.add_row("writer", f"process {found.writer_pid}" if found.writer_pid else "none")
    facts.add_row("files", f"{len(found.segments)} segments, {size / 2**20:,.0f} MiB")
    if found.quarantine:
        facts.add_row("quarantine", ", ".join(found.quarantine))
    console.print(facts)
    segments = Table("segment", "state", "first seq", "last seq", "epochs", "used")
    for s in found.segments:
        epochs = str(s.first_epoch) if s.first_epoch == s.last_epoch else f"{s.first_epoch}-{s.last_epoch}"
        opened = s.state != "prepared"
        segments.add_row(
            s.file, s.state, f"{s.first_seq:,}" if opened else "", f"{s.last_seq:,}" if opened else "",
            epochs if opened else "", f"{s.used_bytes / s.bytes:.0%}",
        )  # fmt: skip
    console.print(segments)
    kinds = Table("kind", "name", "frames", "bytes")
    for kind, count in found.frames_by_kind.items():
        kinds.add_row(str(kind), kind_name(kind), f"{count:,}", f"{found.bytes_by_kind[kind]:,}")
    console.print(kinds)
    if found.last_source_seq:
        sources = Table("source", "name", "last source_seq")
        for source, last in found.last_source_seq.items():
            sources.add_row(str(source), names.source(source), f"{last:,}")
        console.print(sources)


def _print_problems(found: Survey) -> None:
    for problem in found.problems:
        print(problem, file=sys.stderr)
