"""`lockstep replicate serve|follow|promote|status|keys`: the stream on other machines."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from journal import logs
from journal.errors import JournalMissing
from journal.segment import CONTROL, ControlPage
from lockstep.config import ConfigError, load
from sequencer.remote.follower import Follower, FollowerHalted, run_follower
from sequencer.remote.keys import make_keys
from sequencer.remote.promote import promote, tell_epoch
from sequencer.remote.replica import Replica
from sequencer.remote.server import ReplicationServer
from sequencer.remote.settings import endpoint
from sequencer.remote.tls import Credentials, TlsError
from sequencer.remote.wire import LinkError

_ROLES = ("writer", "follower", "promoted")


def add_parser(subparsers: Any) -> None:
    """Register the commands."""
    top = subparsers.add_parser(
        "replicate",
        help="keep the stream on other machines: serve, follow, promote, status, keys",
        description="A follower keeps a byte-identical replica of a running system's journal; when the system is lost, a "
        "replica can be promoted. docs/guides/replicate.md shows how.",
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser("serve", help="(started by up) serve a journal to followers and remote publishers")
    serve.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML) with [replication]")
    serve.set_defaults(run=run_serve)
    follow = actions.add_parser("follow", help="keep a replica in FOLDER until SIGTERM or Ctrl-C")
    follow.add_argument(
        "server", metavar="HOST:PORT", help="the replication server; several with commas: the first that answers"
    )
    follow.add_argument(
        "folder", type=Path, metavar="FOLDER", help="the replica; a new folder, one that followed, or an old writer's"
    )
    follow.add_argument("--name", help="which [replication.follower.NAME] we are (default: the folder's name)")
    _credentials(follow)
    follow.set_defaults(run=run_follow)
    up = actions.add_parser("promote", help="make a replica writable under a higher epoch, which fences the old writer")
    up.add_argument("folder", type=Path, metavar="FOLDER", help="the replica; its follower, if one runs, is ended")
    up.add_argument("--tell", metavar="HOST:PORT", action="append", default=[], help="tell this old server at once; repeatable")
    up.add_argument("--json", action="store_true", help="the outcome as JSON")
    _credentials(up)
    up.set_defaults(run=run_promote)
    status = actions.add_parser("status", help="watermarks, role and epochs of a folder")
    status.add_argument("folder", type=Path, metavar="FOLDER", help="a journal or a replica")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=run_status)
    keys = actions.add_parser("keys", help="make a private authority and certificates for a first test")
    keys.add_argument("folder", type=Path, metavar="DIR", help="where to write them; nothing is overwritten")
    keys.add_argument("--name", action="append", default=[], help="whose certificate; repeatable (default: server, follower)")
    keys.add_argument(
        "--host", action="append", default=[], help="where it is valid; repeatable (default: localhost, 127.0.0.1, our name)"
    )
    keys.set_defaults(run=run_keys)


def _credentials(parser: argparse.ArgumentParser) -> None:
    for what, text in (("certificate", "our certificate"), ("key", "its key"), ("authority", "whom to believe")):
        parser.add_argument(f"--{what}", default="", metavar="FILE", help=f"TLS: {text} (PEM)")
    parser.add_argument("--plaintext", action="store_true", help="allow a connection to another machine without TLS")


def _given(arguments: argparse.Namespace) -> Credentials:
    return Credentials(arguments.certificate, arguments.key, arguments.authority)


def _say(text: str) -> None:
    print(f"lockstep replicate: {text}", file=sys.stderr, flush=True)


def run_serve(arguments: argparse.Namespace) -> int:
    """`lockstep replicate serve CONFIG`"""
    config = load(arguments.config)
    settings = config.system.replication
    if settings is None:
        raise ConfigError(f"{config.path}: has no [replication] table; expected one with listen")
    if not (config.journal / CONTROL).exists():
        raise JournalMissing(f"{config.journal}: no journal here yet; start the sequencer first")
    server = ReplicationServer(config.journal, settings, say=logs.Log("replication").warning)
    logs.configure(config.system.log, position=lambda: (server.epoch, int(server.voice.control.c.written_seq)))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    host, port = server.address
    print(json.dumps({"event": "listening", "host": host, "port": port}), flush=True)
    ended.wait()
    server.close()
    return 0


def run_follow(arguments: argparse.Namespace) -> int:
    """`lockstep replicate follow HOST:PORT FOLDER`"""
    try:
        endpoints = [endpoint(part) for part in arguments.server.split(",")]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    credentials = _given(arguments)
    if credentials:
        credentials.context(server=False)  # wrong files are said now, not at each attempt
    name = arguments.name or arguments.folder.resolve().name
    replica = Replica(arguments.folder)
    follower = Follower(replica, endpoints, name, credentials=credentials, plaintext=arguments.plaintext, say=_say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: follower.stop())
    return run_follower(follower)


def run_promote(arguments: argparse.Namespace) -> int:
    """`lockstep replicate promote FOLDER`"""
    credentials = _given(arguments)
    made = promote(arguments.folder)
    told: dict[str, str] = {}
    for where in arguments.tell:
        try:
            tell_epoch(
                endpoint(where), credentials, ControlPage(arguments.folder / CONTROL).stream_id, made.epoch,
                plaintext=arguments.plaintext,
            )  # fmt: skip
            told[where] = "told"
        except (LinkError, FollowerHalted, TlsError, ValueError) as error:
            told[where] = f"not told: {error}"
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(made) | {"told": told}))
        return 0
    print(f"{arguments.folder}: promoted at frame {made.last_seq}; its next writer begins epoch {made.epoch}")
    for where, text in told.items():
        print(f"  {where}: {text}")
    print("next: start the system with this folder as its journal; the old writer is fenced as soon as it hears of the epoch")
    return 0


def run_status(arguments: argparse.Namespace) -> int:
    """`lockstep replicate status FOLDER`"""
    path = arguments.folder / CONTROL
    if not path.exists():
        raise JournalMissing(f"{arguments.folder}: no journal and no replica here")
    c = ControlPage(path).c
    facts = {
        "path": str(arguments.folder), "role": _ROLES[c.role] if c.role < len(_ROLES) else str(c.role), "epoch": int(c.epoch),
        "fenced_epoch": int(c.fenced_epoch), "written_seq": int(c.written_seq), "durable_seq": int(c.durable_seq),
        "replicated_seq": int(c.replicated_seq), "pid": int(c.writer_pid),
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        print(f"{name:<15} {value}")
    return 0


def run_keys(arguments: argparse.Namespace) -> int:
    """`lockstep replicate keys DIR`"""
    names = arguments.name or ["server", "follower"]
    hosts = arguments.host or ["localhost", "127.0.0.1", socket.gethostname()]
    for path in make_keys(arguments.folder, names, hosts):
        print(f"wrote {path}")
    return 0
