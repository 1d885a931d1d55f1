"""The socket and the daemon against bad input: one clear line each, and the sequencer goes on."""

import json
import os
import shutil
import socket
import subprocess
import sys

import msgspec
import pytest

from journal.messages import RecoveryReport, SessionStart, SourceDefined, SourceRole, TopOfBook
from journal.writer import JournalWriter
from sequencer.attach import AttachError, socket_path
from sequencer.client import Publisher
from sequencer.rules import vocabulary_digest
from sequencer.settings import SequencerSettings, SourceSettings


def ask(journal, data: bytes) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(str(socket_path(journal)))
        connection.send(data)
        answer = connection.recv(4096)
        return json.loads(answer)["error"] if answer else ""


def request(**change) -> bytes:
    return json.dumps({"source": "md", "build": "", "schema_digest": vocabulary_digest().hex(), **change}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "attach request: Input data was truncated"),
        (b"\xff\xfe\x00garbage", "attach request:"),
        (b"[]", "Expected `object`"),
        (b'{"source": 5, "build": "", "schema_digest": ""}', "Expected `str`, got `int` - at `$.source`"),
        (b'{"source": "md"}', "missing required field `build`"),
        (request(extra=1), "unknown field `extra`"),
        (b" " * 5000, "attach request longer than 4096 bytes"),
        (request(source="nobody"), "source 'nobody' is not configured"),
        (request(schema_digest="00" * 32), "both must run the same version"),
    ],
)
def test_a_bad_request_gets_one_line(daemon, data, words):
    one = daemon()
    answer = ask(one.journal, data)
    assert words in answer
    assert "\n" not in answer
    with one.connect("md"):
        pass
    assert one.stop() == 0


def test_silent_and_talkative_connections_hurt_nobody(daemon, until):
    one = daemon()
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(50)]
    for s in silent:
        s.connect(str(socket_path(one.journal)))
    md = one.connect("md")
    md.publish(TopOfBook())
    until(lambda: md.accepted_source_seq == 1)
    md._connection.send(b"more")  # out of turn: hung up
    until(lambda: not md.alive)
    for s in silent:
        s.close()
    md.close()
    assert one.stop() == 0


def test_another_users_source(daemon):
    one = daemon([SourceSettings(name="md", role=SourceRole.MARKET_DATA, uid=os.getuid() + 1)])
    with pytest.raises(AttachError, match=r"source md belongs to user \d+; process \d+ runs as user \d+"):
        one.connect("md")
    assert one.stop() == 0


def test_no_sequencer(folder):
    with pytest.raises(AttachError, match=r"no sequencer answered source md within 0.1 s"):
        Publisher.connect(folder / "j", "md", timeout_s=0.1)


def refused(daemon, *arguments, **keywords) -> str:
    """The one line of a sequencer that does not start."""
    with pytest.raises(AssertionError) as failure:
        daemon(*arguments, **keywords)
    lines = [line for line in str(failure.value).splitlines() if " error sequencer " in line]
    text = "\n".join(lines)
    assert len(lines) == 1, failure.value
    return text


def test_a_second_sequencer_on_the_same_journal(daemon):
    one = daemon()
    assert f"process {one.pid} is writing this journal" in refused(daemon)
    with one.connect("md"):
        pass
    assert one.stop() == 0


def test_a_stale_socket_is_replaced(daemon):
    one = daemon()
    one.kill()
    assert socket_path(one.journal).exists()
    one.start()
    with one.connect("md"):
        pass
    assert one.stop() == 0
    assert not socket_path(one.journal).exists()


def test_something_else_where_the_socket_belongs(daemon, folder):
    JournalWriter.open(folder / "j").close()
    (folder / "j/run").mkdir()
    (folder / "j/run/sequencer.sock").write_text("precious")
    assert "is no socket; remove it" in refused(daemon)
    assert (folder / "j/run/sequencer.sock").read_text() == "precious"
    shutil.rmtree(folder / "j/run")
    (folder / "elsewhere").mkdir()
    (folder / "j/run").symlink_to(folder / "elsewhere")
    assert "expected a folder of user" in refused(daemon)


def test_a_socket_path_that_is_too_long(folder):
    with pytest.raises(AttachError, match=r"a Unix socket's path holds 107 bytes, this one needs \d+; choose a shorter path"):
        socket_path(folder / ("x" * 120))


FULL = """
import os, signal, sys, time
from pathlib import Path
from journal.messages import DurabilityPolicy, SessionMode, SourceRole, TopOfBook
from sequencer.client import Publisher, SequencerGone
from sequencer.daemon import run_sequencer
from sequencer.settings import SequencerSettings, SourceSettings

journal = Path("/mnt/j")
def sequencer(segment_bytes):
    sources = [SourceSettings(name="md", role=SourceRole.MARKET_DATA)]
    return run_sequencer(
        journal, SequencerSettings(segment_bytes=segment_bytes, ring_bytes=1 << 14), sources, mode=SessionMode.PAPER,
        durability=DurabilityPolicy.DURABLE, config_digest=bytes(32))
"""


def on_a_small_disk(megabytes: int, script: str) -> subprocess.CompletedProcess:
    """Run a script with a small file system at /mnt, in a mount namespace of its own; skip without the right to make one."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a mount namespace")
    command = f"mount -t tmpfs -o size={megabytes}m none /mnt && exec {sys.executable} -c '{FULL}{script}'"
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip


def test_a_full_disk_at_the_start():
    done = on_a_small_disk(1, "sys.exit(sequencer(4 << 20))")
    assert done.returncode == 1, done.stderr
    assert "disk full" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_disk_that_fills_up_makes_publishers_wait_and_can_be_stopped():
    """Nothing that was accepted is lost; SIGTERM ends it although the rings cannot be drained; room lets it go on."""
    done = on_a_small_disk(
        8,
        """
ballast = Path("/mnt/ballast"); ballast.write_bytes(bytes(4 << 20))
pid = os.fork()
if pid == 0:
    os._exit(sequencer(1 << 20))
md = Publisher.connect(journal, "md")
n = 0
from journal.frames import frames
from journal.messages import ResourceState
from journal.segment import CONTROL, ControlPage
from sequencer.kernel._sequencer import lib
body = TopOfBook().encode()
page = ControlPage(journal / CONTROL).c
def full():
    # A ring without room is no full disk: the loop may not have run for a while. No next segment, and no room in this one.
    room = (1 << 20) - 1040 - (page.published & 0xFFFFFFFF)
    return room < 64 + len(body) and any(frames(journal, kinds=[ResourceState.KIND]))
while md.alive:
    if lib.lockstep_producer_wait_room(md.producer, 4096, 10**8):
        n = md.publish_bytes(TopOfBook.KIND, 1, body)
    elif full():
        break
print("stalled after", n, "accepted", md.accepted_source_seq, flush=True)
assert md.accepted_source_seq < n
os.kill(pid, signal.SIGTERM)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("exit", code, flush=True)
ballast.unlink()
pid = os.fork()
if pid == 0:
    os._exit(sequencer(1 << 20))
md.reconnect()
while md.accepted_source_seq < n:
    md.wait(1)
os.kill(pid, signal.SIGTERM)
print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("exit 8") == 1, done.stdout + done.stderr
    assert done.stdout.endswith("exit 0\n"), done.stdout + done.stderr
    assert "No space left on device while preparing a segment; the one being written is the last" in done.stderr
    assert "No space left on device while preparing a segment; the stream ends at seq" in done.stderr


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([("a", SourceRole.ALGO), ("a", SourceRole.OMS)], "source a: configured 2 times"),
        ([("a", SourceRole.SEQUENCER)], "the sequencer is source 0 and no publisher"),
    ],
)
def test_sources_that_cannot_be(daemon, sources, words):
    assert words in refused(daemon, [SourceSettings(name=n, role=r) for n, r in sources])


def test_a_core_that_is_not_there(daemon):
    assert "cpu 4000; this process may run on [" in refused(daemon, cpu=4000)


def test_settings_are_strict():
    for bad, words in (
        ({"ring_byte": 5}, "unknown field `ring_byte`"),
        ({"idle": "fast"}, "Invalid enum value 'fast'"),
        ({"ring_bytes": 5000}, "expected a power of two"),
        ({"segment_bytes": 1000}, ">= 1048576"),
    ):
        with pytest.raises(msgspec.ValidationError, match=words):
            msgspec.convert(bad, SequencerSettings)


def test_sources_keep_their_ids_over_restarts(daemon):
    a, b, c = (SourceSettings(name=n, role=SourceRole.ALGO) for n in "abc")
    one = daemon([a, b])
    one.stop()
    one.sources = [c, SourceSettings(name="b", role=SourceRole.ALGO, kinds=[300])]
    one.start()
    assert one.connect("b").source == 2
    assert one.connect("c").source == 3
    with pytest.raises(AttachError, match="'a' is not configured"):
        one.connect("a")
    one.stop()
    one.start()
    one.stop()
    defined = [(f.message.source, f.message.name, len(f.message.grants)) for f in one.frames(SourceDefined)]
    assert [d[:2] for d in defined] == [(1, "a"), (2, "b"), (3, "c"), (2, "b")]
    assert defined[-1][2] == 1
    starts = one.frames(SessionStart)
    assert [f.message.session for f in starts] == [1, 2, 3]


def test_what_recovery_cut_is_reported(daemon, until):
    one = daemon()
    with one.connect("md") as md:
        md.publish(TopOfBook())
        until(lambda: md.accepted_source_seq == 1)
    one.kill()
    from journal.frames import last_seq
    from journal.reader import JournalReader

    kept = last_seq(one.journal)
    with JournalReader(one.journal) as reader:
        while (batch := reader.poll()) is not None:
            end = max(offset + int.from_bytes(batch.buffer[offset : offset + 4], "little") for offset, *_ in batch)
    with (one.journal / "00000001.seg").open("r+b") as file:
        file.seek(end)
        file.write(b"torn frame")
    one.start()
    one.stop()
    report = one.frames(RecoveryReport)[0].message
    assert (report.kept_seq, report.segment, report.quarantined_bytes > 0) == (kept, 1, True)
