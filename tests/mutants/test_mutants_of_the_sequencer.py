"""Faults in the rings, in admission, in the order and time of the stream, and in who may write it."""

import pytest
from mutants import Mutant, check

LANE, LOOP, RING = "sequencer/kernel/lane.c", "sequencer/kernel/loop.c", "sequencer/kernel/ring.c"
ADMISSION = "tests/sequencer/test_sequencer_admission.py"
ONCE = "tests/sequencer/test_sequencer_exactly_once.py"
FLOW = "tests/sequencer/test_sequencer_time_and_flow.py"
MEMORY = "tests/sequencer/test_ring_memory.py"
FAIRNESS = "tests/sequencer/test_sequencer_fairness.py"
START, SCRUB = "tests/sequencer/test_sequencer_start.py", "tests/sequencer/test_sequencer_scrubbing.py"

MUTANTS = [
    Mutant(
        "a message that was put again is sequenced again",
        LANE,
        "if (r.source_seq <= source->last_source_seq) {",
        "if (r.source_seq <= source->last_source_seq && r.source_seq == 0) {",
        (f"{ADMISSION}::test_a_repeated_number_is_dropped_and_zero_is_refused",),
    ),
    Mutant(
        "grants are not asked for",
        LANE,
        "return REASON_KIND_NOT_GRANTED;\n        if (r->version",
        "return 0;\n        if (r->version",
        (f"{ADMISSION}::test_one_bad_message_is_rejected_and_nothing_else",),
    ),
    Mutant(
        "a length is believed that is longer than what is there",
        LANE,
        "(r.length & 7) != 0 || r.length > there, 0)",
        "(r.length & 7) != 0, 0)",
        (f"{ADMISSION}::test_a_damaged_ring_is_dropped",),
    ),
    Mutant(
        "what a turn took beyond its share is forgotten",
        LOOP,
        "taken > share ? taken - share : 0;",
        "taken > share && taken == 0;",
        (f"{FAIRNESS}::test_sixty_four_publishers_are_served_alike",),
    ),
    Mutant(
        "the stream's time is the wall clock's",
        "sequencer/kernel/loop_private.h",
        "    return now > next ? now : next;",
        "    return next > 1 && now + 1000 < next ? now : now > next ? now : next;",
        (f"{FLOW}::test_stream_time_never_steps_back",),
    ),
    Mutant(
        "a commit looks for a sleeper before everybody can see it",
        RING,
        "    p->committed = p->tail;\n    full_fence();\n",
        "    p->committed = p->tail;\n",
        (f"{MEMORY}::test_a_commit_wakes_a_loop_that_is_falling_asleep",),
    ),
    Mutant(
        "room is given back without release",
        LANE,
        "store_release(&page->head, lane->head);",
        "store_relaxed(&page->head, lane->head);",
        (MEMORY,),
    ),
    Mutant(
        "a second writer is let in",
        "journal/lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        ("tests/journal/test_journal_writer.py",),
    ),
    Mutant(
        "a new run keeps the old epoch",
        "journal/writer.py",
        "epoch = self.epoch + 1",
        "epoch = max(self.epoch, 1)",
        (f"{ONCE}::test_a_refused_message_keeps_its_number_over_a_restart",),
    ),
    Mutant(
        "a start by the indices forgets the numbers that were refused last",
        "sequencer/past.py",
        "max(self.last_source_seq, row.source_seq)",
        "max([self.last_source_seq, *(n for n, _ in sources.numbers(source))])",
        (f"{START}::test_a_start_knows_the_same_with_indices_and_without",),
    ),
    Mutant(
        "a segment that was found damaged is passed again by the next start",
        "sequencer/scrubbing.py",
        "            vouch.path.unlink()\n",
        "            vouch.path.exists()\n",
        (f"{SCRUB}::test_rot_is_told_and_the_next_start_refuses_it",),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_fault_is_noticed(mutant, tmp_path):
    print(check(mutant, tmp_path))
