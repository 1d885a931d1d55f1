"""The digest kernel says what its specification says, at every width this machine has."""

import random

import blake3_model as model
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.digest import BLOCK, BlockHash, blake3
from journal.kernel._journal import lib

# From the test vectors that its authors publish: the input repeats 0, 1, … 250.
VECTORS = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
    3073: "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
    7168: "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a",
}


def pattern(n):
    return (bytes(range(251)) * (n // 251 + 1))[:n]


@pytest.fixture(params=[16, 8, 4])
def lanes(request):
    if lib.lockstep_b3_lanes(request.param) != request.param:
        lib.lockstep_b3_lanes(16)
        pytest.skip(f"this machine has no {request.param} lanes")
    yield request.param
    lib.lockstep_b3_lanes(16)


@pytest.mark.parametrize("size", VECTORS)
def test_published_vectors(size):
    assert blake3(pattern(size)).hex() == VECTORS[size]
    assert model.blake3(pattern(size)).hex() == VECTORS[size]


def test_every_width_agrees_with_the_model_about_blocks_and_roots(lanes):
    data = random.Random(lanes).randbytes(2 * BLOCK + 1500)
    run = BlockHash(data)
    for size in (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1024, len(data)):
        assert run.digest(size) == model.blake3(data[:size]), size
    assert run.values == model.node(data[:BLOCK]) + model.node(data[BLOCK : 2 * BLOCK], BLOCK // 1024)


@given(st.integers(0, 5000), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_short_inputs_agree_with_the_model(size, seed):
    data = random.Random(seed).randbytes(size)
    assert blake3(data) == model.blake3(data)


def test_widths_agree_with_one_another_over_many_blocks():
    data = random.Random(5).randbytes(7 * BLOCK + 77)
    found = set()
    for limit in (16, 8, 4):
        lib.lockstep_b3_lanes(limit)
        found.add(blake3(data))
    lib.lockstep_b3_lanes(16)
    assert len(found) == 1
