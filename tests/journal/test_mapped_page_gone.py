"""A page that a reader has mapped cannot be read any more: the reader says where and ends, nobody else notices. (J12)"""

import os
import re
import signal
import subprocess
import sys

import pytest

from journal.frames import frames
from journal.messages import RawMessage
from journal.reader import JournalReader
from journal.segment import segment_name
from journal.writer import JournalWriter

READER = """
import sys
from journal.reader import JournalReader
with JournalReader(sys.argv[1]) as reader:
    reader.poll(1)
    print("mapped", flush=True)
    sys.stdin.readline()
    while (batch := reader.poll()) is not None:
        pass
"""


@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")], ids=["alone", "beside another handler"])
def test_a_reader_names_the_place_and_dies_and_the_writer_goes_on(tmp_path, options):
    """The segment before the one being written loses its pages, as of a disk that gives no block back."""
    body = RawMessage(data=bytes(30_000))
    with JournalWriter.open(tmp_path / "j", segment_bytes=1 << 20) as writer:
        while writer.c.segment < 2:
            writer.append(body, ts=writer.last_seq + 1)
            writer.sync()
            writer.prepare_next()
        reader = subprocess.Popen(
            [sys.executable, *options, "-c", READER, tmp_path / "j"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stderr is not None
        assert reader.stdout.readline() == b"mapped\n"
        first = tmp_path / "j" / segment_name(1)
        kept = first.read_bytes()
        os.truncate(first, 8192)
        reader.stdin.write(b"on\n")
        reader.stdin.close()
        said = reader.stderr.read().decode()
        assert reader.wait(60) == -signal.SIGBUS
        reader.stdout.close()
        reader.stderr.close()
        named = re.search(rf"lockstep: {re.escape(str(first))}: the page with byte (\d+) cannot be read: the disk failed", said)
        assert named, said
        assert 8192 <= int(named[1]) < len(kept)
        assert ("Fatal Python error: Bus error" in said) == bool(options)
        before = writer.last_seq
        for _ in range(10):
            writer.append(body, ts=writer.last_seq + 1)
        writer.sync()
        assert writer.durable_seq == writer.last_seq == before + 10
        with JournalReader(tmp_path / "j", from_seq=before + 1) as tail:
            assert tail.poll() is not None
        first.write_bytes(kept)
    assert len(list(frames(tmp_path / "j", kinds=[RawMessage.KIND]))) == before + 10
