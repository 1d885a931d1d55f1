"""A trading day under `durability = "replicated"`: two hosts (folders, certificates) and a venue that outlives either.

Nothing leaves before the follower's disk has its cause (I-31), whatever becomes of the follower. A dead primary is replaced
by its replica: nothing that was acknowledged is lost, nothing doubled at the venue, one writer remains (I-03, I-07; R01, R02).
"""

import contextlib
import filecmp
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib

import pytest
import tomli_w

from journal.frames import frames
from journal.messages import (
    Alert,
    AlertState,
    EpochCause,
    EpochStart,
    OrderSent,
    Reason,
    ReplicaState,
    ReplicaStateCode,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SendRefused,
    SourceState,
    SourceStateCode,
)
from journal.segment import CONTROL, ControlPage, segment_files
from sequencer.remote.keys import make_keys
from tests.end_to_end.system import (
    ROOT,
    configuration_text,
    last_positions,
    our_fills,
    processes_of,
    run,
    signed_fills,
    together,
    venue_says,
)
from tests.end_to_end.tap import Tap
from tests.end_to_end.test_kill import prove

PATIENCE_S = 90
HELD = 3
"""Requests that must have had to wait before a fault counts as felt."""
LEAVE = 3
REQUESTS = (RoutedOrder, RoutedReplace, RoutedCancel)
TAG = "E2E-"
APPS = together("books", "risk", "oms", "positions", "maker", "cross")


def until(condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


class Command:
    """A lockstep command for as long as it runs; what it says is in a file."""

    def __init__(self, log, *arguments):
        self.log = log
        with log.open("ab") as file:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "lockstep", *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def said(self):
        return self.log.read_text()

    def stop(self):
        self.child.send_signal(signal.SIGSTOP)
        os.waitpid(self.child.pid, os.WUNTRACED)

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        self.child.terminate()
        return self.child.wait(PATIENCE_S)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def page(folder):
    return ControlPage(folder / CONTROL).c


class World:
    """One venue behind a tap, two hosts."""

    def __init__(self, tmp_path):
        self.path = tmp_path
        self.journals = {"one": tmp_path / "one", "two": tmp_path / "two"}
        make_keys(tmp_path / "keys", list(self.journals), ["127.0.0.1"])
        self.commands = []
        self.follower = None
        """The folder whose disk counts; None: nobody's, so nothing may leave."""
        self.sent = []
        """(method, seq of the cause) of all that has left for the venue."""
        self.early = []

    def seen(self, method, client_id):
        """Called by the tap while the request is on its way. I-31."""
        seq = int(client_id.removeprefix(TAG))
        there = self.follower is not None and (self.follower / CONTROL).exists()
        durable = int(page(self.follower).durable_seq) if there else 0
        self.sent.append((method, seq))
        if seq > durable:
            self.early.append((method, seq, durable))

    def start(self, name, *arguments):
        command = Command(self.path / f"{name}.log", *arguments)
        self.commands.append(command)
        return command

    def exchange(self):
        text = configuration_text(self.path / "venue", exchange__sim__rate=100)
        (self.path / "venue.toml").write_text(text)
        command = self.start("exchange", "exchange", "sim", self.path / "venue.toml")
        until(lambda: command.said() or command.child.poll() is not None)
        return command, json.loads(command.said().splitlines()[0])["port"]

    def configure(self, host, port, *, listen, peer, follower):
        """A host's configuration: the venue is elsewhere, the other host follows."""
        raw = tomllib.loads(configuration_text(self.journals[host], session__durability="replicated", **APPS))
        del raw["exchange"]
        raw["gateway"]["sim"] |= {"port": port, "tag": TAG}
        raw["replication"] = {
            "listen": f"127.0.0.1:{listen}", "peers": [f"127.0.0.1:{peer}"], "heartbeat_ms": 200, "silence_ms": 2000,
            "follower": {follower: {"node": 2, "required": True}}, **self.credentials(host),
        }  # fmt: skip
        path = self.path / f"{host}.toml"
        path.write_text(tomli_w.dumps(raw))
        return path

    def credentials(self, host):
        keys = self.path / "keys"
        return {"certificate": f"{keys}/{host}.pem", "key": f"{keys}/{host}.key", "authority": f"{keys}/authority.pem"}

    def options(self, host):
        return [word for name, file in self.credentials(host).items() for word in (f"--{name}", file)]

    def follow(self, host, port):
        folder = self.journals[host]
        return self.start(
            f"follow-{host}", "replicate", "follow", f"127.0.0.1:{port}", folder, "--name", host, *self.options(host)
        )

    def kill_host(self, host, up):
        """As when it loses its power, but for what memory the kernel still writes."""
        up.kill()
        for pid in processes_of(self.journals[host]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_of(self.journals[host]))

    def close(self):
        for command in self.commands:
            if command.child.poll() is None:
                command.kill()
        for journal in self.journals.values():
            for pid in processes_of(journal):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def requests_behind(journal, seq):
    """Seqs of what was decided to be sent, behind a frame."""
    kinds = [cls.KIND for cls in REQUESTS]
    return [f.header.seq for f in frames(journal, from_seq=seq + 1, kinds=kinds)]


def answered_behind(journal, seq):
    """Requests of behind a frame that were sent or refused."""
    kinds = [OrderSent.KIND, SendRefused.KIND]
    return [f.message.request_seq for f in frames(journal, from_seq=seq + 1, kinds=kinds) if f.message.request_seq > seq]


def alerts(journal):
    return [f.message.state for f in frames(journal, kinds=[Alert.KIND]) if f.message.rule == Reason.NOT_RELEASED]


def sends_again(world, journal):
    """Orders leave again: until there are some that were decided just now."""
    behind, before = int(page(journal).written_seq), len(world.sent)
    until(lambda: sum(seq > behind for _, seq in world.sent[before:]) >= LEAVE)


def while_the_follower_is_away(world, journal, replica):
    """Its folder stands still: what is decided now waits, the rest of the day goes on, and it is said."""
    held_from = int(page(replica).written_seq)
    before = len(world.sent)
    until(lambda: len(requests_behind(journal, held_from)) >= HELD)
    # Long enough on the writer's own disk, with the stream going on, that any other policy would have sent them.
    enough = int(page(journal).written_seq) + 300
    until(lambda: int(page(journal).durable_seq) > enough)
    assert int(page(replica).written_seq) == held_from
    assert answered_behind(journal, held_from) == []
    assert all(seq <= held_from for _, seq in world.sent[before:])
    assert int(page(journal).replicated_seq) <= held_from
    until(lambda: alerts(journal)[-1:] == [AlertState.RAISED])
    assert "nothing is replicated behind frame" in (journal / "run" / "replication.log").read_text()
    code, out, err = run("top", journal, "--once", "--json", "--interval", "0.2")
    assert code == 0, err
    told = json.loads(out)
    assert told["watermarks"]["not_replicated"] > 300
    attached = {source["name"] for source in told["sources"] if source["state"] == "attached"}
    assert {"sim-md", "sim-trade", "books", "risk", "oms", "maker", "cross", "replication"} <= attached
    return held_from


def in_sync_again(world, journal, replica):
    until(lambda: alerts(journal)[-1:] == [AlertState.CLEARED])
    sends_again(world, journal)
    states = [f.message.state for f in frames(journal, kinds=[ReplicaState.KIND])]
    assert states[-1] == ReplicaStateCode.IN_SYNC


def same_bytes(a, b):
    used = int(page(a).segment)
    pairs = list(zip(segment_files(a)[:used], segment_files(b)[:used], strict=True))
    return used == int(page(b).segment) and all(filecmp.cmp(x, y, shallow=False) for (_, x), (_, y) in pairs)


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_replicated_day_and_the_death_of_its_primary(world):
    one, two = world.journals["one"], world.journals["two"]
    exchange, venue_port = world.exchange()
    with Tap(venue_port, world.seen) as tap:
        ports = {host: free_port() for host in world.journals}
        config_one = world.configure("one", tap.port, listen=ports["one"], peer=ports["two"], follower="two")
        config_two = world.configure("two", tap.port, listen=ports["two"], peer=ports["one"], follower="one")

        # A day begins before its follower is there: nothing leaves, and it is said.
        up = world.start("up-one", "up", config_one)
        until(lambda: (one / CONTROL).exists() and alerts(one) == [AlertState.RAISED])
        assert world.sent == []
        world.follower = two
        follower = world.follow("two", ports["one"])
        until(lambda: (two / CONTROL).exists())
        in_sync_again(world, one, two)

        follower.kill()
        held = while_the_follower_is_away(world, one, two)
        follower = world.follow("two", ports["one"])
        in_sync_again(world, one, two)
        assert f"from frame {held + 1}" in follower.said()

        follower.stop()
        while_the_follower_is_away(world, one, two)
        follower.go_on()
        in_sync_again(world, one, two)
        assert "ended" not in up.said()  # no process of the system noticed

        # The primary dies. What was acknowledged is on the other host, which goes on.
        world.kill_host("one", up)
        acknowledged = int(page(one).replicated_seq)
        code, out, err = run("replicate", "promote", two, "--json")
        assert code == 0, err
        promoted = json.loads(out)
        assert follower.child.wait(PATIENCE_S) == 0
        assert promoted["last_seq"] >= acknowledged
        assert all(seq <= promoted["last_seq"] for _, seq in world.sent)
        before, left = len(world.sent), list(world.sent)
        world.follower = None  # the new writer has no follower yet
        up = world.start("up-two", "up", config_two)
        until(lambda: f"journal {two}" in up.said())
        until(lambda: len(requests_behind(two, promoted["last_seq"])) >= HELD)
        assert world.sent[before:] == []

        # The old one comes back and knows nothing. It is told, ends, and is not started again.
        old = world.start("up-one", "up", config_one)
        assert old.child.wait(PATIENCE_S) == 2
        assert "has begun elsewhere" in old.said()
        assert not processes_of(one)
        assert world.sent[before:] == []
        code, out, err = run("sequencer", config_one)
        assert code == 2
        assert f"epoch {promoted['epoch']} of this stream has begun elsewhere" in err

        # Its folder follows: what nobody had relied on is put aside, and orders leave again.
        world.follower = one
        follower = world.follow("one", ports["two"])
        in_sync_again(world, two, one)
        assert list((one / "quarantine").glob("*.bin"))

        assert up.end() == 0, up.said()
        until(lambda: int(page(one).durable_seq) == int(page(two).written_seq))
        assert follower.end() == 0
    said = venue_says("127.0.0.1", venue_port)
    assert exchange.end() == 0

    assert world.early == [], "left before the follower's disk had its cause"
    assert len({seq for _, seq in world.sent}) == len(world.sent), "a request left twice"
    told = [f.message.request_seq for f in frames(two, kinds=[OrderSent.KIND])]
    assert set(told) <= {seq for _, seq in world.sent}
    # What left and is not told lost its telling with the old writer: at most what the death cut off.
    untold = {seq for _, seq in world.sent} - set(told)
    assert untold <= {seq for _, seq in left}
    placed = sum(method == "order.place" for method, _ in world.sent)
    assert json.loads(exchange.said().splitlines()[-1])["orders"] <= placed

    assert said["openOrders"] == []
    assert sorted(number for number, _, _ in our_fills(two)) == sorted(int(t["id"]) for t in said["myTrades"])
    assert sum(last_positions(two).values()) == signed_fills(two)
    starts = [f.message for f in frames(two, kinds=[EpochStart.KIND])]
    assert [s.cause_code for s in starts] == [EpochCause.FIRST_START, EpochCause.FAILOVER]
    assert (starts[1].prev_last_seq, starts[1].new_epoch) == (promoted["last_seq"], promoted["epoch"])
    lost = (SourceStateCode.QUARANTINED, SourceStateCode.DEAD, SourceStateCode.BANNED)
    assert [f.message for f in frames(two, kinds=[SourceState.KIND]) if f.message.state in lost] == []
    prove(None, two)
    code, out, err = run("replay", two, "--verify")
    assert code == 0, out + err
    assert same_bytes(one, two)
    assert not processes_of(two)
