"""`lockstep up`, and the processes it starts: `sequencer`, `app`, `gateway`, `exchange`. Each can be started by hand too.

A process imports what it runs, not what the others run.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import signal
from pathlib import Path
from typing import Any

from journal import logs
from journal.notify import Heartbeat, Notifier
from lockstep.config import Config, ConfigError, load


def add_parser(subparsers: Any) -> None:
    """Register the five commands."""
    up = subparsers.add_parser(
        "up",
        help="run a whole system and supervise it",
        description="Starts exchange, sequencer, apps and gateways of CONFIG as separate processes, restarts what dies, "
        "and stops all of it cleanly on SIGTERM or Ctrl-C.",
    )
    up.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML)")
    up.add_argument("--journal", metavar="DIR", help="journal folder instead of the configuration's")
    up.set_defaults(run=run_up)
    one = {
        "sequencer": ("run the sequencer daemon", run_one_sequencer),
        "app": ("run apps or strategies (NAME, or several with commas) in one process", run_one_app),
        "gateway": ("run one gateway", run_one_gateway),
        "exchange": ("run one simulated exchange", run_one_exchange),
    }
    for name, (text, run) in one.items():
        command = subparsers.add_parser(
            name,
            help=f"(started by up) {text}",
            description=f"{text[0].upper()}{text[1:]}, as CONFIG describes it. `lockstep up` starts it for you; by hand it is "
            "started with the file run/config.toml of the journal, which holds the ports in use.",
        )
        if name != "sequencer":
            command.add_argument(
                "name",
                metavar="NAME",
                help=f"the {name}'s name in CONFIG" + (" (several with commas)" if name == "app" else ""),
            )
        command.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML)")
        if name == "app":
            command.add_argument(
                "--copy", type=int, default=1, metavar="N", help="which copy, where [host.NAME] has copies = 2 (default 1)"
            )
        if name == "sequencer":
            command.add_argument(
                "--check",
                action="store_true",
                help="start nothing: say what CONFIG means on this machine; exit code 1: with warnings",
            )
            command.add_argument("--json", action="store_true", help="with --check: one JSON object")
        command.set_defaults(run=run)


def run_up(arguments: argparse.Namespace) -> int:
    """`lockstep up CONFIG`"""
    config = load(arguments.config, journal=arguments.journal)
    from lockstep.supervisor import Supervisor

    supervisor = Supervisor(config)
    notifier = Notifier()
    turns = itertools.count()
    heartbeat = Heartbeat(notifier, lambda: next(turns))
    supervisor.on_halt = lambda line: print(line, flush=True)
    supervisor.on_restart = lambda name, code: print(f"{name} ended ({ended(code)}); started again", flush=True)
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    signal.signal(signal.SIGINT, lambda number, _: stop.append(number))
    try:
        supervisor.start()
        print(f"up: {len(supervisor.processes)} processes, journal {supervisor.journal}; Ctrl-C stops", flush=True)
        notifier.ready(f"{len(supervisor.processes)} processes, journal {supervisor.journal}")
        while not stop:
            supervisor.wait(0.5)
            supervisor.check()
            heartbeat.tick()
        notifier.stopping()
        print("stopping: withdrawing orders, then all processes", flush=True)
        supervisor.stop()
    except BaseException:
        supervisor.kill()
        raise
    print(f"stopped; next: lockstep replay {supervisor.journal} --verify")
    return 0


def ended(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _named(config: Config, table: str, name: str) -> Any:
    known = getattr(config.system, table)
    if name not in known:
        raise ConfigError(f"{config.path}: no [{table}.{name}]; it has {', '.join(known) or 'none'}")
    return known[name]


def run_one_sequencer(arguments: argparse.Namespace) -> int:
    """`lockstep sequencer CONFIG`"""
    config = load(arguments.config)
    if arguments.check:
        from lockstep.checking import check
        from lockstep.commands.service import print_check

        return print_check(check(config), as_json=arguments.json)
    logs.configure(config.system.log)
    from sequencer.daemon import run_sequencer

    return run_sequencer(
        config.journal,
        config.system.sequencer,
        config.sources(),
        mode=config.mode,
        durability=config.durability,
        config_digest=hashlib.blake2b(config.text, digest_size=32).digest(),
    )


def run_one_app(arguments: argparse.Namespace) -> int:
    """`lockstep app NAME CONFIG`"""
    config = load(arguments.config)
    names = arguments.name.split(",")
    known = [*config.apps, *config.system.strategy]
    for name in names:
        if name not in known:
            raise ConfigError(f"{config.path}: no app or strategy {name!r}; it has {', '.join(known) or 'none'}")
    logs.configure(config.system.log)
    from apps.live import run_apps

    copies = config.copies_of(names)
    if not 1 <= arguments.copy <= copies:
        raise ConfigError(
            f"{config.path}: --copy {arguments.copy}: expected 1 to {copies}, the copies of host.{arguments.name}"
        )
    return run_apps(config.journal, names, config.host_settings(names), copy=arguments.copy)


def run_one_gateway(arguments: argparse.Namespace) -> int:
    """`lockstep gateway NAME CONFIG`"""
    config = load(arguments.config)
    settings = _named(config, "gateway", arguments.name)
    logs.configure(config.system.log)
    from gateways.sim.driver import run_gateway

    return run_gateway(config.journal, arguments.name, settings, policy=config.durability, keep=config.keep)


def run_one_exchange(arguments: argparse.Namespace) -> int:
    """`lockstep exchange NAME CONFIG`"""
    config = load(arguments.config)
    from gateways.sim.exchange.process import run_exchange

    return run_exchange(_named(config, "exchange", arguments.name))
