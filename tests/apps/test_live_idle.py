"""How a live host waits: every policy delivers every frame once, and a wrong core is named at the start."""

import os
import threading

import pytest

from apps import exits
from apps.live import HostSettings, LiveHost
from journal.messages import HEADER_BYTES, Clock, accelerator
from journal.reader import JournalReader, rows
from journal.writer import JournalWriter


@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("yields", [False, True])
def test_a_reader_at_the_tail_waits_in_c_and_takes_all(tmp_path, monkeypatch, yields, accelerated):
    """The same frames as `poll` gives, over segments, while a writer appends them."""
    if not accelerated:
        monkeypatch.setattr(accelerator, "follow", None)
    elif accelerator.follow is None:
        pytest.skip("the accelerator was not built")
    count = 20_000
    writer = JournalWriter.open(tmp_path, segment_bytes=1 << 20)

    def write():
        for n in range(1, count + 1):
            writer.append(Clock(wall_ts=n), ts=n)

    thread = threading.Thread(target=write)
    seen = []
    with JournalReader(tmp_path) as reader:
        thread.start()
        while len(seen) < count:
            refs = reader.at_tail(64, 200_000, yields=yields)
            for offset, _, _, seq, _ in rows(refs or b""):
                assert Clock.decode(reader.buffer, offset + HEADER_BYTES).wall_ts == seq
                seen.append(seq)
        thread.join()
        assert reader.at_tail(64, 1000, yields=yields) is None
    writer.close()
    assert seen == list(range(1, count + 1))


def test_policies_are_what_they_say():
    assert [HostSettings(idle=i).parks for i in ("spin", "yield", "spin-then-park", "park")] == [False, False, True, True]
    assert HostSettings(idle="park").spin_ns == 0
    assert HostSettings().spin_ns == HostSettings().spin_us * 1000 > 0


def test_a_core_that_is_not_there_is_named(tmp_path, capsys):
    wrong = max(os.sched_getaffinity(0)) + 1000
    assert LiveHost(tmp_path, ["a"], HostSettings(cpu=wrong)).run() == exits.CONFIG
    assert f"cpu {wrong}; this process may run on" in capsys.readouterr().err
