"""A thousand changes to a sealed journal by somebody who gets every checksum right: each found and named. (J18-J20, S06)"""

import os
import random
import re
import shutil
import struct

import msgspec
import pytest
import sealed_journal as sealed

from journal.chain import measure
from journal.messages.derive import schema_text
from journal.seal import read_seal, seal_name, write_seal
from journal.segment import segment_name
from journal.verify import survey

SEGMENTS = 3
BLOCK = 65536
PAGE = 4096


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    from journal_folder import fast_folder

    path = fast_folder()
    sealed.write(path / "j", SEGMENTS)
    sealed.seal(path / "j")
    sealed.write(path / "other", SEGMENTS, salt=1)
    sealed.seal(path / "other")
    assert survey(path / "j").problems == []
    assert survey(path / "j").sealed_seq > 0
    yield path
    shutil.rmtree(path)


def places(problems):
    """(file name, first byte, last byte) of what was found; the whole file where no bytes are named."""
    for problem in problems:
        name = re.search(r"(\d{8}\.se(?:g|al)):", problem)
        if name is None:
            continue
        if span := re.search(r"bytes (\d+) to (\d+) are not", problem):
            yield name[1], int(span[1]), int(span[2])
        elif at := re.search(r"at byte (\d+) expected schema crc", problem):
            yield name[1], int(at[1]), int(at[1]) + len(schema_text())  # one sum over all of the text
        elif at := re.search(r"at byte (\d+) expected", problem):
            yield name[1], int(at[1]) // BLOCK * BLOCK, int(at[1]) // BLOCK * BLOCK + BLOCK - 1
        else:
            yield name[1], 0, 2**63


class Attack:
    """One attack on a copy. `expect`: (file, offset or None) of which one must be named."""

    def __init__(self, path, rng):
        self.path, self.rng, self.expect = path, rng, []
        self.aim_at(rng.randint(1, SEGMENTS))

    def aim_at(self, number):
        self.number = number
        self.file = self.path / "j" / segment_name(number)
        self.seal_file = self.path / "j" / seal_name(number)

    def rewrite(self, change, *, repair):
        data = bytearray(self.file.read_bytes())
        before = bytes(data)
        change(data)
        if repair:
            sealed.fix_crcs(data)
        if data == before:
            data[self.rng.randrange(len(data))] ^= 1
        at = next(i for i in range(0, len(data), PAGE) if data[i : i + PAGE] != before[i : i + PAGE])
        at = next(i for i in range(at, len(data)) if data[i] != before[i])
        self.file.write_bytes(data)
        self.expect = [(self.file.name, at)]

    # ---- frames

    def edit_a_body(self):
        def change(data):
            at = self.rng.choice(sealed.frame_offsets(data))
            data[at + 64 + self.rng.randrange(64)] ^= self.rng.randrange(1, 256)

        self.rewrite(change, repair=True)

    def edit_a_timestamp(self):
        def change(data):
            at = self.rng.choice(sealed.frame_offsets(data))
            struct.pack_into("<q", data, at + 24, struct.unpack_from("<q", data, at + 24)[0] + 1)

        self.rewrite(change, repair=True)

    def delete_a_frame(self):
        def change(data):
            offsets = sealed.frame_offsets(data)
            at = self.rng.choice(offsets)
            length = struct.unpack_from("<I", data, at)[0]
            data[at:] = data[at + length :] + bytes(length)
            for later in (o for o in sealed.frame_offsets(data) if o >= at):
                struct.pack_into("<Q", data, later + 16, struct.unpack_from("<Q", data, later + 16)[0] - 1)

        self.rewrite(change, repair=True)

    def reorder_frames(self):
        def change(data):
            offsets = sealed.frame_offsets(data)
            i = self.rng.randrange(len(offsets) - 2)
            a, b, c = offsets[i : i + 3]
            first, second = bytearray(data[a:b]), bytearray(data[b:c])
            first[16:32], second[16:32] = second[16:32], first[16:32]  # seq and ts stay in order
            data[a:c] = second + first

        self.rewrite(change, repair=True)

    # ---- bytes and pages

    def flip_a_bit(self):
        def change(data):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)

        self.rewrite(change, repair=False)

    def burst(self):
        def change(data):
            n = self.rng.randrange(2, 3000)
            at = self.rng.randrange(len(data) - n)
            data[at : at + n] = self.rng.randbytes(n)

        self.rewrite(change, repair=False)

    def page(self):
        def change(data):
            a, b = (i * PAGE for i in self.rng.sample(range(len(data) // PAGE), 2))
            stale = (self.path / "other" / self.file.name).read_bytes()
            match self.rng.randrange(4):
                case 0:
                    data[a : a + PAGE] = bytes(PAGE)
                case 1:
                    data[a : a + PAGE], data[b : b + PAGE] = data[b : b + PAGE], data[a : a + PAGE]
                case 2:
                    data[a : a + PAGE] = data[b : b + PAGE]
                case _:
                    data[a : a + PAGE] = stale[a : a + PAGE]

        self.rewrite(change, repair=False)

    # ---- files

    def truncate(self):
        os.truncate(self.file, self.rng.randrange(sealed.MIB))
        self.expect = [(self.file.name, None)]

    def delete_a_segment(self):
        self.file.unlink()
        self.expect = [(self.file.name, None)]

    def swap_segments(self):
        other = self.path / "j" / segment_name(self.number % SEGMENTS + 1)
        mine = self.file.read_bytes()
        self.file.write_bytes(other.read_bytes())
        other.write_bytes(mine)
        self.expect = [(self.file.name, None), (other.name, None)]

    def replace_a_segment(self):
        shutil.copy(self.path / "other" / self.file.name, self.file)
        self.expect = [(self.file.name, None)]

    def replace_a_segment_and_its_seal(self):
        for name in (self.file.name, self.seal_file.name):
            shutil.copy(self.path / "other" / name, self.path / "j" / name)
        # Which of two seals that do not fit is the false one, a chain cannot say: either is named. The newest seal has
        # no follower; what gives it away is that it does not follow.
        after = seal_name(self.number + 1)
        self.expect = [(self.seal_file.name, None), (after, None), (segment_name(self.number + 1), None)]

    def reseal_an_edited_segment(self):
        """Edit, and make the seal anew with everything right: only the seal behind it can tell."""
        self.aim_at(self.rng.randint(1, SEGMENTS - 1))
        self.edit_a_body()
        write_seal(self.path / "j", measure(self.path / "j", self.number))
        self.expect = [(seal_name(self.number + 1), None)]

    # ---- seals

    def delete_a_seal(self):
        self.number = self.rng.randint(1, SEGMENTS - 1)
        (self.path / "j" / seal_name(self.number)).unlink()
        self.expect = [(seal_name(self.number), None)]

    def damage_a_seal(self):
        data = bytearray(self.seal_file.read_bytes())
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        self.seal_file.write_bytes(data)
        self.expect = [(self.seal_file.name, None)]

    def swap_seals(self):
        other = self.path / "j" / seal_name(self.number % SEGMENTS + 1)
        mine = self.seal_file.read_bytes()
        self.seal_file.write_bytes(other.read_bytes())
        other.write_bytes(mine)
        self.expect = [(self.seal_file.name, None)]

    def forge_a_fact(self):
        """A seal with another fact and every checksum right."""
        seal = read_seal(self.path / "j", self.number)
        name = self.rng.choice(["first_seq", "last_seq", "first_ts", "last_ts", "last_crc", "nonce", "last_epoch"])
        write_seal(self.path / "j", msgspec.structs.replace(seal, **{name: getattr(seal, name) ^ 1}))
        self.expect = [(self.seal_file.name, None), (self.file.name, None)]


ATTACKS = [
    Attack.edit_a_body, Attack.edit_a_timestamp, Attack.delete_a_frame, Attack.reorder_frames, Attack.flip_a_bit, Attack.burst,
    Attack.page, Attack.truncate, Attack.delete_a_segment, Attack.swap_segments, Attack.replace_a_segment,
    Attack.replace_a_segment_and_its_seal, Attack.reseal_an_edited_segment, Attack.delete_a_seal, Attack.damage_a_seal,
    Attack.swap_seals, Attack.forge_a_fact,
]  # fmt: skip
EACH = 59  # 17 × 59 = 1003


def restore(original, path):
    for file in (original / "j").iterdir():
        copy = path / "j" / file.name
        if (
            not copy.exists()
            or copy.stat().st_size != file.stat().st_size
            or copy.stat().st_mtime_ns != file.stat().st_mtime_ns
        ):
            shutil.copy2(file, copy)
    for file in (path / "j").iterdir():
        if not (original / "j" / file.name).exists():
            file.unlink()


@pytest.fixture(scope="module")
def copy(original):
    from journal_folder import fast_folder

    path = fast_folder()
    (path / "other").symlink_to(original / "other")
    (path / "j").mkdir()
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_every_attack_is_located(original, copy, attack):
    rng = random.Random(attack.__name__)
    for turn in range(EACH):
        restore(original, copy)
        one = Attack(copy, rng)
        attack(one)
        found = list(places(survey(copy / "j").problems))
        hit = any(
            name == wanted and (offset is None or first <= offset <= last)
            for wanted, offset in one.expect
            for name, first, last in found
        )
        assert hit, (turn, one.expect, survey(copy / "j").problems)
