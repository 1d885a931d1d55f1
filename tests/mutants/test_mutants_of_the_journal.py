"""Faults in how frames are written, checked and found again. Those in what is synced, and when: test_torture_images.py."""

import pytest
from mutants import Mutant, check

APPEND, CRC, DISK = "journal/kernel/append.h", "journal/kernel/crc32c.h", "journal/kernel/disk.h"
WRITER, READER, RECOVERY = "journal/kernel/writer.c", "journal/kernel/reader.c", "journal/kernel/recovery.c"
FAULTS = "tests/sequencer/test_sequencer_faults.py"
DAMAGE, FORMAT = "tests/journal/test_journal_damage.py", "tests/journal/test_journal_format.py"
START = "tests/journal/test_start_by_index.py"

MUTANTS = [
    Mutant(
        "readers do not compare the crc",
        READER,
        "if (__builtin_expect(crc != f->crc32c, 0)) {",
        "if (crc == 0 && crc != f->crc32c) {",
        (DAMAGE,),
    ),
    Mutant(
        "the crc leaves out the length",
        APPEND,
        "uint64_t crc = lockstep_crc_step32(lockstep_crc_begin(w->seed), length);",
        "uint64_t crc = lockstep_crc_begin(w->seed);",
        (FORMAT,),
        also=(
            (
                CRC,
                "    uint64_t crc = lockstep_crc_step32(lockstep_crc_begin(seed), length);",
                "    (void)length;\n    uint64_t crc = lockstep_crc_begin(seed);",
            ),
        ),
    ),
    Mutant(
        "the crc leaves out the seq",
        APPEND,
        "        crc = lockstep_crc_step(crc, head->word[i]);",
        "        crc = i == 1 ? crc : lockstep_crc_step(crc, head->word[i]);",
        (FORMAT,),
        also=(
            (
                CRC,
                "    for (; end - p >= 32; p += 32) {",
                "    if (bytes >= 64) {\n"
                "        crc = lockstep_crc_step(crc, lockstep_load64(p));\n"
                "        p += 16;\n"
                "    }\n"
                "    for (; end - p >= 32; p += 32) {",
            ),
        ),
    ),
    Mutant(
        "a frame's crc does not know its segment",
        WRITER,
        "    crc = lockstep_crc32c(crc, &id->nonce, sizeof id->nonce);\n"
        "    return lockstep_crc32c(crc, &id->number, sizeof id->number);",
        "    return crc;",
        (FORMAT,),
        also=(
            (
                RECOVERY,
                "    seed = lockstep_crc32c(seed, &id->nonce, sizeof id->nonce);\n"
                "    return lockstep_crc32c(seed, &id->number, sizeof id->number);",
                "    return seed;",
            ),
        ),
    ),
    Mutant(
        "frames are published without release",
        DISK,
        "    __atomic_store_n(at, value, __ATOMIC_RELEASE);\n}\n\nstatic inline void j_publish64(",
        "    __atomic_store_n(at, value, __ATOMIC_RELAXED);\n}\n\nstatic inline void j_publish64(",
        ("tests/sequencer/test_ring_memory.py",),
    ),
    Mutant(
        "recovery believes the control page's last number",
        "journal/recovery.py",
        "        last_seq=int(found.last_seq),\n        last_ts",
        "        last_seq=int(control.c.written_seq) if control else 0,\n        last_ts",
        ("tests/journal/test_journal_writer.py",),
    ),
    Mutant(
        "a sync that failed is tried again and believed",
        WRITER,
        "            result = j_sync_range(slot->base, w->synced_to, to);\n",
        "            result = j_sync_range(slot->base, w->synced_to, to);\n"
        "            if (result != 0)\n"
        "                result = j_sync_range(slot->base, w->synced_to, to);\n",
        (f"{FAULTS}::test_every_call_may_fail[msync-EIO]",),
    ),
    Mutant(
        "a sync does nothing",
        DISK,
        "J_AGAIN(result, msync(base + from, to - from, MS_SYNC));",
        "J_AGAIN(result, base == NULL || to < from ? -1 : 0);",
        (f"{FAULTS}::test_a_disk_that_stands_still",),
    ),
    Mutant(
        "an index is believed of a segment that ends otherwise",
        RECOVERY,
        "!leads_on(r, c->next, index) || !ends_so(c, index))",
        "!leads_on(r, c->next, index) || (r->ended && !ends_so(c, index)))",
        (f"{START}::test_a_segment_that_is_missing_truncated_renamed_or_swapped_is_refused",),
    ),
    Mutant(
        "an index is believed whose sources are damaged",
        "journal/index/vouch.py",
        "return self._head.check(name, os.pread(fd, section.bytes, section.at))",
        "return os.pread(fd, section.bytes, section.at)",
        (f"{START}::test_whatever_is_wrong_with_an_index_the_segment_is_read",),
    ),
    Mutant(
        "what recovery cuts keeps its index",
        "journal/recovery.py",
        "    _forget_indices(headers[max(int(found.segment), 1) - 1 :])\n",
        "    _forget_indices(headers[int(found.segment) :])\n",
        (f"{START}::test_what_is_cut_has_no_index_any_more",),
    ),
    Mutant(
        "a snapshot gets its name before it is synced",
        "journal/segment.py",
        "            os.fsync(file.fileno())\n        os.replace(temporary, path)\n",
        "            os.replace(temporary, path)\n            os.fsync(file.fileno())\n",
        ("tests/journal/test_write_durably.py",),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_fault_is_noticed(mutant, tmp_path):
    print(check(mutant, tmp_path))
