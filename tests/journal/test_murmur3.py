"""The hash of entries of tables: known answers, and the kernel beside its model."""

import murmur3_model as model
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journal.kernel._journal import ffi, lib
from journal.messages import tables

KNOWN = {
    b"": "00000000000000000000000000000000",
    b"hello": "cbd8a7b341bd9b025b1e906a48ae1d19",
    b"The quick brown fox jumps over the lazy dog": "e34bbc7bbc071b6c7a433ca9c49a9347",
}


def kernel(data: bytes) -> bytes:
    found = bytearray(tables.HASH_BYTES)
    lib.lockstep_murmur3(data, len(data), ffi.from_buffer(found))
    return bytes(found)


@pytest.mark.parametrize("data", KNOWN)
def test_known_answers(data: bytes) -> None:
    halves = [int(KNOWN[data][at : at + 16], 16).to_bytes(8, "little") for at in (0, 16)]
    assert model.murmur3(data) == kernel(data) == b"".join(halves)


@given(st.binary(max_size=100))
@example(bytes(16))
@example(b"\xff" * 33)
def test_the_kernel_gives_what_the_model_does(data: bytes) -> None:
    assert kernel(data) == model.murmur3(data)
