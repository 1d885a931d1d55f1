"""Every single flipped bit of a sealed 64 KiB block is found, by the seal and by the frame's own check. (J18)"""

import platform
import subprocess
from pathlib import Path

import sealed_journal as sealed

from journal.digest import BLOCK
from journal.seal import read_seal
from journal.segment import segment_name
from journal.verify import survey

ROOT = Path(__file__).parents[2]


def driver(folder):
    out = folder / "flip"
    sources = ["tests/journal/flip_driver.c", "journal/kernel/reader.c"]
    flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *(["-msse4.2"] if platform.machine() == "x86_64" else [])]
    subprocess.run(["gcc", *flags, "-I.", "-o", out, *sources], cwd=ROOT, check=True)
    return out


def test_every_flip_of_a_sealed_block_is_found(folder):
    path = folder / "j"
    sealed.write(path, 1)
    sealed.seal(path)
    block = 6
    done = subprocess.run([driver(folder), path / segment_name(1), str(block)], check=True, capture_output=True, text=True)
    flips, tree_missed, path_missed, inside, frame_missed = map(int, done.stdout.split())
    assert flips == 8 * BLOCK == 524_288
    assert (tree_missed, path_missed) == (0, 0)
    assert inside == flips
    assert frame_missed == 0
    # And what the check of a journal says of some of them.
    data = bytearray((path / segment_name(1)).read_bytes())
    seal = read_seal(path, 1)
    for bit in range(0, flips, 65_537):
        at = block * BLOCK + bit // 8
        data[at] ^= 1 << bit % 8
        (path / segment_name(1)).write_bytes(data)
        span = f"bytes {block * BLOCK} to {block * BLOCK + BLOCK - 1} are not those that 00000001.seal vouches for"
        assert any(span in p for p in survey(path).problems), bit
        data[at] ^= 1 << bit % 8
    (path / segment_name(1)).write_bytes(data)
    assert survey(path).problems == []
    assert read_seal(path, 1) == seal
