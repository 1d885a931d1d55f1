"""A stop is clean whatever the moment: the loop may obey and end between two looks of the control plane."""

import errno
import os
import time

import pytest

import sequencer.daemon as daemon_module
from journal.frames import frames
from journal.messages import DurabilityPolicy, LogRecord, Reason, SessionEnd, SessionMode, SourceRole
from sequencer.daemon import Sequencer, StreamEnded
from sequencer.kernel._sequencer import ffi, lib
from sequencer.settings import SequencerSettings, SourceSettings


class HeldUp:
    """The kernel, with a loop that sleeps on until the control plane has begun to look, and then obeys and ends at once."""

    def __init__(self, lib, sequencer):
        self.lib, self.sequencer, self.looks = lib, sequencer, 0

    def __getattr__(self, name):
        return getattr(self.lib, name)

    def lockstep_loop_post(self, loop, *command):
        real, unheard = loop.wake_fd, os.eventfd(0)
        loop.wake_fd = unheard
        self.lib.lockstep_loop_post(loop, *command)
        loop.wake_fd = real
        os.close(unheard)

    def lockstep_loop_done(self, loop):
        seen = self.lib.lockstep_loop_done(loop)
        if not self.looks:
            os.eventfd_write(loop.wake_fd, 1)
            self.sequencer._loop_thread.join(10)
        self.looks += 1
        return seen


def test_a_loop_that_ends_at_once_has_still_obeyed(tmp_path, monkeypatch):
    sequencer = Sequencer(
        tmp_path / "j",
        SequencerSettings(segment_bytes=1 << 20, idle="park", clock_interval_ms=60_000),
        [SourceSettings(name="md", role=SourceRole.MARKET_DATA)],
        mode=SessionMode.SIMULATION,
        durability=DurabilityPolicy.DURABLE,
    )
    sequencer.start()
    while not sequencer._loop.parks:
        time.sleep(0.01)
    held_up = HeldUp(daemon_module.lib, sequencer)
    monkeypatch.setattr(daemon_module, "lib", held_up)
    sequencer.close()
    assert held_up.looks == 2
    *_, last = frames(tmp_path / "j")
    assert isinstance(last.message, SessionEnd)
    assert last.message.reason == Reason.SHUTDOWN


class LookedTooEarly:
    """The kernel, with a loop that obeys and then ends while the control plane takes its first look, which shows neither."""

    def __init__(self, lib, sequencer):
        self.lib, self.sequencer, self.looks = lib, sequencer, 0

    def __getattr__(self, name):
        return getattr(self.lib, name)

    def lockstep_loop_done(self, loop):
        self.looks += 1
        if self.looks > 1:
            return self.lib.lockstep_loop_done(loop)
        control = loop.writer.control
        while self.lib.lockstep_loop_done(loop) != loop.command_no or control.durable_seq != control.written_seq:
            time.sleep(0.01)  # and the sync thread sleeps: it says nothing meanwhile
        loop.writer.failed, loop.flow.look_now = errno.EIO, 1
        os.eventfd_write(loop.wake_fd, 1)
        self.sequencer._loop_thread.join(10)
        return loop.command_no - 1


def test_a_loop_that_ends_after_it_has_obeyed_is_noticed(tmp_path, monkeypatch):
    """Who waits for a command takes the wake of the end with it: the control plane has to look once more, or it never would."""
    sequencer = Sequencer(
        tmp_path / "j",
        SequencerSettings(segment_bytes=1 << 20, idle="park", clock_interval_ms=60_000),
        [SourceSettings(name="md", role=SourceRole.MARKET_DATA)],
        mode=SessionMode.SIMULATION,
    )
    sequencer.start()
    body = LogRecord(text="seal").encode()
    with monkeypatch.context() as patched:
        patched.setattr(daemon_module, "lib", LookedTooEarly(lib, sequencer))
        lib.lockstep_loop_say(sequencer._loop, LogRecord.KIND, ffi.from_buffer("uint8_t[]", body), len(body))
        sequencer._await_obeyed()
    with pytest.raises(StreamEnded, match="Input/output error while"):
        sequencer.serve()
    sequencer.close(clean=False)
