"""The ring kernel: against its Python model, and under sanitizers with two threads."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.messages import SourceStateCode
from sequencer.client import _UNREAD as UNREAD
from sequencer.kernel._sequencer import ffi, lib
from sequencer.ring_model import RingModel

ROOT = Path(__file__).resolve().parents[2]

operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 2100)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 9)),
    ),
    max_size=120,
)


class KernelRing:
    """The C ring, consumed as the sequencer does: acquire the tail, read, release the head."""

    def __init__(self, ring_bytes: int) -> None:
        import os

        self.fd = lib.lockstep_ring_create(ring_bytes, 3, 4)
        assert self.fd > 0
        self.producer = ffi.new("struct lockstep_producer *")
        assert lib.lockstep_ring_map(self.fd, ffi.addressof(self.producer.ring)) == 0
        self.wake, self.client = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
        lib.lockstep_producer_init(self.producer, self.wake, self.client)
        self.head = 0

    def put(self, source_seq: int, body: bytes) -> int:
        return lib.lockstep_producer_put(self.producer, 201, 1, 1, 5, source_seq, 6, body, len(body))

    def commit(self) -> None:
        lib.lockstep_producer_commit(self.producer)

    def take(self, count: int) -> list:
        ring, out = self.producer.ring, []
        while len(out) < count and self.head < ring.page.tail:
            at = ring.data + self.head % ring.ring_bytes
            frame = ffi.cast("struct lockstep_frame *", at)
            out.append((frame.source_seq, bytes(ffi.buffer(at + 64, frame.length - 64))))
            self.head += frame.length
        ring.page.head = self.head
        return out

    def close(self) -> None:
        import os

        lib.lockstep_ring_unmap(ffi.addressof(self.producer.ring))
        for fd in (self.fd, self.wake, self.client):
            os.close(fd)


@settings(max_examples=150, deadline=None)
@given(operations)
def test_the_ring_is_its_model(steps):
    kernel, model = KernelRing(4096), RingModel(4096)
    try:
        for number, (step, argument) in enumerate(steps, start=1):
            if step == "put":
                body = bytes((number + i) % 251 for i in range(argument))
                assert kernel.put(number, body) == model.put(number, body)
            elif step == "commit":
                kernel.commit()
                model.commit()
            else:
                assert kernel.take(argument) == model.take(argument)
        kernel.commit()
        model.commit()
        assert kernel.take(10**6) == model.take(10**6)
    finally:
        kernel.close()


def test_a_ring_cannot_be_cut_by_its_publisher():
    import os

    fd = lib.lockstep_ring_create(4096, 1, 1)
    for size in (0, 4096, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)


@pytest.mark.parametrize("size", [0, 100, 4095, 4097, 3 << 20])
def test_a_ring_is_a_power_of_two_of_at_least_a_page(size):
    assert lib.lockstep_ring_create(size, 1, 1) == -22


def test_what_is_no_ring_is_not_mapped(tmp_path):
    ring = ffi.new("struct lockstep_ring *")
    for content in (b"", b"x" * 100, bytes(4096), b"\xff" * 8192, bytes(4096 + 5000)):
        path = tmp_path / "file"
        path.write_bytes(content)
        with path.open("r+b") as file:
            assert lib.lockstep_ring_map(file.fileno(), ring) == -22
    assert ring.page == ffi.NULL


def test_what_was_not_taken_is_put_again_in_order():
    old, new = KernelRing(4096), KernelRing(4096)
    for n in range(1, 11):
        assert old.put(n, bytes([n]) * n) == 0
    old.commit()
    old.take(3)
    first, last = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    assert lib.lockstep_producer_replay(new.producer, old.producer, 5, first, last) == 0
    new.commit()
    assert [n for n, _ in new.take(99)] == [6, 7, 8, 9, 10]
    assert (first[0], last[0]) == (6, 10)
    old.close()
    new.close()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc with sanitizers")
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_two_threads_under_sanitizers(tmp_path, sanitizer):
    program = tmp_path / "ring_driver"
    command = [
        "gcc", "-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all",
        "-I", str(ROOT), "-o", str(program), str(ROOT / "tests/sequencer/ring_driver.c"),
        str(ROOT / "sequencer/kernel/ring.c"), str(ROOT / "sequencer/kernel/admission.c"), "-lpthread",
    ]  # fmt: skip
    if sanitizer == "thread":
        command.append("-Wno-tsan")
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip(f"no lib for -fsanitize={sanitizer}")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program, "20000"], capture_output=True, text=True, timeout=60)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address layout is not known to the thread sanitizer")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("ok")


def test_rows_go_in_as_single_messages_would():
    one, many = KernelRing(4096), KernelRing(4096)
    what, bodies = 10000 | 2 << 16 | 1 << 32, [bytes([n]) * 24 for n in range(1, 60)]
    for body in bodies:
        if lib.lockstep_producer_send(one.producer, what, body, 24, 7, 9) < 0:
            break
    put = lib.lockstep_producer_send_rows(many.producer, what, b"".join(bodies), 24, len(bodies), 7, 9)
    assert put == one.producer.next_source_seq - 1 == 4096 // 88
    assert many.producer.next_source_seq == put + 1
    used = put * 88
    assert bytes(ffi.buffer(one.producer.ring.data, used)) == bytes(ffi.buffer(many.producer.ring.data, used))
    assert many.take(99) == [(n, body) for n, body in enumerate(bodies[:put], start=1)]
    assert lib.lockstep_producer_send_rows(many.producer, what, b"".join(bodies), 24, 9, 7, 9) == 9  # goes on where it stopped
    assert many.take(99) == [(put + n, body) for n, body in enumerate(bodies[:9], start=1)]
    assert lib.lockstep_producer_send_rows(many.producer, what, bytes(4000), 4000, 1, 0, 0) == lib.LOCKSTEP_PUT_OVERSIZED
    one.close()
    many.close()


def test_a_batch_stays_unseen_until_it_is_committed():
    ring = KernelRing(4096)
    ring.producer.in_batch = 1
    assert lib.lockstep_producer_send(ring.producer, 10000, b"x" * 8, 8, 0, 0) == 1
    assert lib.lockstep_producer_send_rows(ring.producer, 10000, b"y" * 16, 8, 2, 0, 0) == 2
    assert ring.take(9) == []
    ring.producer.in_batch = 0
    assert lib.lockstep_producer_send(ring.producer, 10000, b"z" * 8, 8, 0, 0) == 4
    assert [n for n, _ in ring.take(9)] == [1, 2, 3, 4]
    ring.close()


def test_a_publisher_that_is_not_read_any_more_is_told_so():
    ring = KernelRing(4096)
    for state in SourceStateCode:
        ring.producer.ring.page.state = state
        told = lib.lockstep_producer_send(ring.producer, 10000, b"x" * 8, 8, 0, 0)
        rows = lib.lockstep_producer_send_rows(ring.producer, 10000, b"x" * 8, 8, 1, 0, 0)
        if int(state) in UNREAD:
            assert told == rows == lib.LOCKSTEP_PUT_REFUSED - state
        else:
            assert (told, rows) == (ring.producer.next_source_seq - 2, 1)
    ring.close()
