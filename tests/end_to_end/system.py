"""A whole running system for tests: real processes, real sockets, real shared memory; and the venue's own word."""

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from importlib import resources
from pathlib import Path

import tomli_w
import websockets

from journal.frames import frames
from journal.messages import (
    ExecType,
    ExecutionReport,
    Position,
    SessionStart,
    Side,
    SourceDefined,
    SourceState,
    SourceStateCode,
    VenueFill,
)
from lockstep.config import parse
from lockstep.supervisor import Supervisor
from sequencer.client import Publisher

ROOT = Path(__file__).parents[2]


def together(*apps):
    """One process for these apps: for tests to which it does not matter, since each process costs half a second to start."""
    return {"host__together": {"apps": list(apps)}}


def configuration_text(journal, **changes):
    """The demo's configuration as TOML; `a__b__c=value` changes one key."""
    raw = tomllib.loads(resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8"))
    raw["session"]["journal"] = str(journal)
    raw["sequencer"]["segment_bytes"] = 4 << 20
    raw["strategy"]["cross"] |= {"fast": 3, "slow": 10}
    for path, value in changes.items():
        *parents, key = path.split("__")
        table = raw
        for parent in parents:
            table = table.setdefault(parent, {})
        table[key] = value
    return tomli_w.dumps(raw)


def configuration(journal, **changes):
    return parse(Path("test.toml"), configuration_text(journal, **changes).encode())


class System(Supervisor):
    """Supervised for a given time, with something done to it meanwhile."""

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.wait(min(0.2, max(0.0, end - time.monotonic())))
            self.check()

    def kill_one(self, name):
        process = self.processes[name]
        before = process.restarts
        process.child.kill()
        process.child.wait()
        self.check()
        assert process.restarts == before + 1

    def run_until(self, condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition did not become true"
            self.run_for(0.2)

    def venue(self):
        """What the exchange says: our trades, our open orders."""
        return venue_says(*self.endpoints["sim"])


def venue_says(host, port):
    """An exchange's own word about our account. It ends the session of a gateway that is logged on with the same key."""

    async def ask():
        async with websockets.connect(f"ws://{host}:{port}/ws-api") as ws:
            answers = {}
            requests = [
                ("session.logon", {"apiKey": "lockstep"}),
                ("myTrades", {"symbol": "BTCUSDT", "fromId": 0}),
                ("openOrders", {"symbol": "BTCUSDT"}),
            ]
            for method, params in requests:
                await ws.send(json.dumps({"id": method, "method": method, "params": params}))
                while True:
                    answer = json.loads(await ws.recv())
                    if answer.get("id") == method:
                        assert answer["status"] == 200, answer
                        answers[method] = answer["result"]
                        break
            return answers

    return asyncio.run(ask())


def our_fills(journal):
    """(trade id, quantity, price) of each fill the OMS reported, in mantissas."""
    fills = []
    raw = {}
    for f in frames(journal, kinds=[VenueFill.KIND, ExecutionReport.KIND]):  # in one go: the stream may still grow
        m = f.message
        if f.header.kind == VenueFill.KIND:
            raw[f.header.seq] = m
        elif m.exec_type == ExecType.TRADE:
            fills.append((raw[m.venue_frame_seq].trade_no, m.last_qty, m.last_px))
    return fills


def source_of(journal, name):
    return next(f.message.source for f in frames(journal, kinds=[SourceDefined.KIND]) if f.message.name == name)


def say_as_person(journal, message):
    """Publish a person's own frame, and wait until it is on the stream."""
    with Publisher.connect(journal, "operator", timeout_s=5) as publisher:
        number = publisher.publish(message)
        while publisher.accepted_source_seq < number:
            publisher.wait(0.02)


def attached(journal, name):
    """How many rings of a source are attached now."""
    source, open_rings = source_of(journal, name), set()
    for f in frames(journal, kinds=[SessionStart.KIND, SourceState.KIND]):
        if f.header.kind == SessionStart.KIND:
            open_rings.clear()  # a sequencer that was killed told no ring's end
        elif f.message.source == source:
            (open_rings.add if f.message.state == SourceStateCode.ATTACHED else open_rings.discard)(f.message.incarnation)
    return len(open_rings)


def signed_fills(journal):
    total = 0
    for f in frames(journal, kinds=[ExecutionReport.KIND]):
        m = f.message
        if m.exec_type == ExecType.TRADE:
            total += m.last_qty if m.side == Side.BUY else -m.last_qty
    return total


def last_positions(journal):
    last = {}
    for f in frames(journal, kinds=[Position.KIND]):
        m = f.message
        last[m.strategy] = m.long_qty - m.short_qty
    return last


def run(*arguments, timeout=90, cwd=None, env=None):
    """The command as a user has it: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "lockstep", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def one_line(text):
    """What a person reads of an error: one line of ours, no traceback."""
    assert "Traceback" not in text, text
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("lockstep: ") or " error sequencer " in lines[0], text
    return lines[0]


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(journal):
    """Pids of every process of ours that has this journal's configuration on its command line."""
    wanted = str(journal / "run" / "config.toml").encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            with contextlib.suppress(OSError):
                if wanted in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def same_files(folder):
    """What a folder holds, to see that nothing was changed: name → digest. Sockets and locks have no contents."""
    return {
        str(p.relative_to(folder)): hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
