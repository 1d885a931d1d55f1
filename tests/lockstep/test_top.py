"""The page of a real sequencer, read from its shared memory; and keys pressed on a real terminal."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from journal.messages import Clock, NewOrder, SourceRole
from lockstep.cli import main
from lockstep.commands.top import SORTS, ordered, screen
from lockstep.watch import Watch
from sequencer.client import Publisher
from sequencer.daemon import Sequencer
from sequencer.settings import SequencerSettings, SourceSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def running():
    """A sequencer in this process, on a short path (a Unix socket's path is at most 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="lks-"))
    sources = [SourceSettings(name="md", role=SourceRole.MARKET_DATA), SourceSettings(name="algo", role=SourceRole.ALGO)]
    sequencer = Sequencer(folder / "j", SequencerSettings(segment_bytes=1 << 20, clock_interval_ms=10), sources)
    sequencer.start()
    thread = threading.Thread(target=sequencer.serve)
    thread.start()
    yield folder / "j"
    sequencer.stop()
    thread.join()
    with contextlib.suppress(Exception):
        sequencer.close()
    shutil.rmtree(folder, ignore_errors=True)


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_the_page_tells_what_happened(running):
    watch = Watch(running)
    first = watch.page()
    assert first["state"] == "running"
    assert first["pid"] == os.getpid()
    assert first["loop"]["frames_per_s"] == 0
    with Publisher.connect(running, "algo") as algo:
        for i in range(500):
            algo.publish(NewOrder(instrument=i + 1))
        algo.publish(Clock())
        until(lambda: algo.rejected == 1)
        algo.saw(algo.accepted_seq - 5)
        pages = []
        until(lambda: pages.append(watch.page()) or pages[-1]["sources"][1]["lag"] is not None)
        assert max(p["sources"][1]["messages_per_s"] for p in pages) > 0
        algo_now = pages[-1]["sources"][1]
        assert (algo_now["name"], algo_now["accepted"], algo_now["rejected"]) == ("algo", 500, 1)
        assert algo_now["last_reject_reason"] == "KIND_NOT_GRANTED"
        assert algo_now["state"] == "attached"
        assert algo_now["lag"] >= 5
        assert pages[-1]["sources"][0]["state"] == "never attached"
        assert pages[-1]["disk"]["free_bytes"] > 0
        until(lambda: watch.page()["watermarks"]["not_durable"] == 0)
        assert watch.page()["histograms"]["sync_ns"]["count"] > 0


def test_a_session_that_has_ended_was_up_as_long_as_it_ran(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="lks-") as folder:
        journal = Path(folder) / "j"
        sequencer = Sequencer(journal, SequencerSettings(segment_bytes=1 << 20), [])
        sequencer.start()
        thread = threading.Thread(target=sequencer.serve)
        thread.start()
        watch = Watch(journal)
        hour = lambda _: time.time_ns() + 3600 * 10**9  # noqa: E731
        with monkeypatch.context() as later:
            later.setattr("lockstep.watch.SystemClock.now_ns", hour)
            assert watch.page()["up_s"] >= 3600
        sequencer.stop()
        thread.join()
        sequencer.close()
        monkeypatch.setattr("lockstep.watch.SystemClock.now_ns", hour)
        page = watch.page()
        assert page["state"] == "ended"
        assert page["up_s"] < 60


def test_once(running, capsys):
    assert main(["top", str(running), "--once", "--interval", "0.05", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in page["sources"]] == ["md", "algo"]
    assert main(["top", str(running), "--once", "--interval", "0.05"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"running\s+pid", text)
    assert "seen to durable" in text


def test_no_sequencer_is_one_line(tmp_path, capsys):
    assert main(["top", str(tmp_path), "--once"]) == 2
    assert "no telemetry; expected the file of a sequencer" in capsys.readouterr().err


def test_order_of_the_sources():
    sources = [
        {"name": "b", "lag": None, "fill": 1}, {"name": "a", "lag": 3, "fill": 2}, {"name": "c", "lag": 9, "fill": 0},
    ]  # fmt: skip
    assert [s["name"] for s in ordered(sources, "lag", False)] == ["c", "a", "b"]
    assert [s["name"] for s in ordered(sources, "lag", True)] == ["a", "c", "b"]
    assert [s["name"] for s in ordered(sources, "name", False)] == ["a", "b", "c"]
    assert [s["name"] for s in ordered(sources, "fill", False)] == ["a", "b", "c"]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_can_be_shown(running, sort):
    page = Watch(running).page()
    assert screen(page, sort, True).renderables


def test_keys_on_a_terminal(running):
    """s moves the mark of the column, q ends it; the terminal is as it was."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep", "top", str(running), "--interval", "0.2"], stdin=follower, stdout=follower,
        stderr=follower, cwd=ROOT, env={**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"},
    )  # fmt: skip
    os.close(follower)
    said = b""

    def read_until(wanted):
        nonlocal said
        end = time.monotonic() + 40
        while wanted not in said:
            assert time.monotonic() < end, said[-2000:]
            if select.select([leader], [], [], 1)[0]:
                said += os.read(leader, 65536)

    try:
        read_until(b"messages *")
        os.write(leader, b"s")
        read_until(b"bytes *")
        os.write(leader, b"q")
        assert process.wait(40) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)
