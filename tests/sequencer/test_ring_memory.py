"""The protocols of the shared words under weak memory: all executions that C11 allows, not those x86 happens to give.

The programs below are the kernels' loops with everything but the shared accesses left out. The memory order of each access and
the presence of each fence are read from the C source, so a weaker order there fails here. P14 and invariant I-01 rest on this.
"""

import re
from pathlib import Path

from memory_model import Checker

ROOT = Path(__file__).resolve().parents[2]


def function(file: str, name: str) -> str:
    """The text of one C function."""
    text = (ROOT / file).read_text()
    found = re.search(rf"^[^\n;#]*\b{name}\([^;{{]*\)\s*\{{(?:[^\n]*\}}$|.*?^\}})", text, re.MULTILINE | re.DOTALL)
    assert found, f"{file} has no function {name}: this test follows the kernel, name the new one"
    return found[0]


def order(file: str, name: str, access: str, word: str) -> str:
    """The order with which function `name` accesses `word`: by load_/store_ helper, builtin or the disk seam."""
    body = function(file, name)
    builtin = {"load": "load_n", "store": "store_n"}[access]
    patterns = (
        rf"\b{access}_(acquire|release|relaxed)\([^;]*?{word}\b",
        rf"__atomic_{builtin}\([^;]*?{word}\b[^;]*?__ATOMIC_(ACQUIRE|RELEASE|RELAXED)",
    )
    orders = [found.lower() for pattern in patterns for found in re.findall(pattern, body)]
    if access == "store" and re.search(rf"j_publish(?:32|64)\([^;]*?{word}\b", body):
        orders += [disk_publish()]
    assert orders, f"{file}: {name} does not {access} {word} atomically"
    # The weakest of several accesses of one word in one function.
    return min(orders, key=["relaxed", "acquire", "release"].index)


def disk_publish() -> str:
    bodies = [function("journal/kernel/disk.h", name) for name in ("j_publish32", "j_publish64")]
    return min((re.search(r"__ATOMIC_(\w+)", body)[1].lower() for body in bodies), key=["relaxed", "release"].index)


def fenced(file: str, name: str, before: str, after: str) -> bool:
    """Whether a full fence stands between two accesses of a function."""
    body = function(file, name)
    return bool(re.search(rf"{before}.*?full_fence\(\).*?{after}", body, re.DOTALL))


RING, LANE, LOOP, BEHIND = (f"sequencer/kernel/{name}.c" for name in ("ring", "lane", "loop", "behind"))
WRITER, APPEND, READER = (f"journal/kernel/{name}" for name in ("writer.c", "append.h", "reader.c"))

SLOTS, RECORDS = 2, 3


def ring_programs(*, tail_store, tail_load, head_store, head_load):
    """A ring of two records through which three go: the publisher must wait for room once."""

    def publisher():
        head = 0
        for n in range(RECORDS):
            if n - head >= SLOTS:
                head = yield ("load", "head", head_load)
                if n - head >= SLOTS:
                    return  # full: its caller tries again, which adds no new order
            yield ("write", f"slot{n % SLOTS}", n + 1)
            yield ("store", "tail", n + 1, tail_store)

    def sequencer():
        taken = 0
        for _ in range(2):
            tail = yield ("load", "tail", tail_load)
            while taken < tail:
                assert (yield ("read", f"slot{taken % SLOTS}")) == taken + 1, "a record twice, torn or out of order"
                taken += 1
            yield ("store", "head", taken, head_store)

    return Checker(
        {"publisher": publisher, "sequencer": sequencer},
        words={"tail": 0, "head": 0},
        cells={f"slot{i}": 0 for i in range(SLOTS)},
    )


def test_a_record_is_whole_when_its_tail_is_seen_and_stays_until_its_head_is():
    orders = {
        "tail_store": order(RING, "lockstep_producer_commit", "store", "tail"),
        "tail_load": order(LANE, "lane_take", "load", "tail"),
        "head_store": order(LANE, "lane_publish", "store", "head"),
        "head_load": order(RING, "has_room", "load", "head"),
    }
    assert ring_programs(**orders).run().wrong == {}
    for weak in orders:
        assert "data race" in ring_programs(**orders | {weak: "relaxed"}).run().wrong, f"{weak} could be relaxed"


def park_programs(*, fence_publisher, fence_loop, looks_again=True):
    """The loop goes to sleep while a publisher commits: either sees the other (Dekker)."""

    def publisher():
        yield ("store", "tail", 1, "release")
        if fence_publisher:
            yield ("fence",)
        if (yield ("load", "parked", "relaxed")):
            yield ("wake", "wake_fd")

    def loop():
        yield ("store", "parked", 1, "relaxed")
        if fence_loop:
            yield ("fence",)
        if not (looks_again and (yield ("load", "tail", "acquire"))):
            yield ("sleep", "wake_fd")
        assert (yield ("load", "tail", "acquire")) == 1, "woken for nothing, and asleep for the next tick"

    return Checker({"publisher": publisher, "loop": loop}, words={"tail": 0, "parked": 0}, fds=("wake_fd",))


def test_a_commit_wakes_a_loop_that_is_falling_asleep():
    fences = {
        "fence_publisher": fenced(RING, "lockstep_producer_commit", "tail", "parked"),
        "fence_loop": fenced(LOOP, "lockstep_loop_arm", "parked", "work_waits"),
    }
    assert park_programs(**fences).run().wrong == {}
    for missing in fences:
        assert "lost wake" in park_programs(**fences | {missing: False}).run().wrong
    assert "lost wake" in park_programs(**fences, looks_again=False).run().wrong


def arm_programs(*, fence_loop, fence_client, armed_store, written_store, written_load):
    """A client that sleeps until frames are appended, against the loop that appends one."""

    def loop():
        yield ("write", "frame", 7)
        yield ("store", "written", 1, written_store)
        if fence_loop:
            yield ("fence",)
        if (yield ("load", "armed", "relaxed")):
            yield ("wake", "client_fd")

    def client():
        yield ("store", "armed", 1, armed_store)
        if fence_client:
            yield ("fence",)
        if not (yield ("load", "written", written_load)):
            yield ("sleep", "client_fd")
            assert (yield ("load", "written", written_load)) == 1, "woken before what it waits for"
        assert (yield ("read", "frame")) == 7

    return Checker({"loop": loop, "client": client}, words={"written": 0, "armed": 0}, cells={"frame": 0}, fds=("client_fd",))


def test_an_append_wakes_a_client_that_is_falling_asleep():
    orders = {
        "armed_store": order(RING, "arm", "store", "armed"),
        "written_store": order(WRITER, "lockstep_writer_publish_watermark", "store", "written_seq"),
        "written_load": "acquire",
        "fence_loop": fenced(LOOP, "publish", "publish_watermark", "lane_wake"),
        "fence_client": fenced(RING, "arm", "armed", "return"),
    }
    assert arm_programs(**orders).run().wrong == {}
    for missing in ("fence_loop", "fence_client"):
        assert "lost wake" in arm_programs(**orders | {missing: False}).run().wrong
    # The eventfd orders the frame for a client that slept; one that did not needs the watermark's release.
    assert "data race" in arm_programs(**orders | {"written_store": "relaxed", "fence_loop": False}).run().wrong


def frame_programs(*, length_store, length_load):
    """A reader polls the tail while two frames are appended."""

    def writer():
        for n in range(2):
            yield ("write", f"body{n}", n + 10)
            yield ("store", f"length{n}", 128, length_store)

    def reader():
        for n in range(2):
            if not (yield ("load", f"length{n}", length_load)):
                return
            assert (yield ("read", f"body{n}")) == n + 10

    return Checker(
        {"writer": writer, "reader": reader},
        words={"length0": 0, "length1": 0},
        cells={"body0": 0, "body1": 0},
    )


def test_a_frame_is_whole_when_its_length_is_seen():
    orders = {
        "length_store": order(APPEND, "lockstep_append_seal", "store", "length"),
        "length_load": order(READER, "look", "load", "length"),
    }
    assert frame_programs(**orders).run().wrong == {}
    for weak in orders:
        assert "data race" in frame_programs(**orders | {weak: "relaxed"}).run().wrong


def slot_programs(*, prepared, taken, retired, freed_look, freed, reuse_look):
    """A segment's slot goes round: preparer, appender, syncer, preparer."""
    FREE, PREPARED, RETIRED = 0, 1, 2

    def preparer():
        yield ("write", "map", "first")
        yield ("store", "prepared", PREPARED, prepared)
        if (yield ("load", "freed", reuse_look)):
            yield ("write", "map", "second")

    def appender():
        if (yield ("load", "prepared", taken)) == PREPARED:
            assert (yield ("read", "map")) == "first"
            yield ("store", "retired", RETIRED, retired)

    def syncer():
        if (yield ("load", "retired", freed_look)) == RETIRED:
            yield ("read", "map")
            yield ("store", "freed", 1, freed)

    return Checker(
        {"preparer": preparer, "appender": appender, "syncer": syncer},
        words={"prepared": FREE, "retired": FREE, "freed": 0},
        cells={"map": None},
    )


def test_a_segment_is_handed_on_whole_and_not_reused_too_early():
    # One word in C (its writers take turns); a word for each hand-over here.
    look = order(WRITER, "lockstep_writer_prepare", "load", "state")
    orders = {
        "prepared": order(WRITER, "lockstep_writer_prepare", "store", "state"),
        "taken": order(WRITER, "roll", "load", "state"),
        "retired": order(WRITER, "roll", "store", "state"),
        "freed_look": order(WRITER, "sync_round", "load", "published"),
        "freed": order(WRITER, "sync_round", "store", "state"),
        "reuse_look": look,
    }
    assert slot_programs(**orders).run().wrong == {}
    for weak in orders:
        assert "data race" in slot_programs(**orders | {weak: "relaxed"}).run().wrong, f"{weak} could be relaxed"


def mailbox_programs(*, command_store, command_load, done_store, done_load):
    """The control plane posts two commands; the loop obeys each once, with its own words."""

    def control():
        for no in (1, 2):
            yield ("write", "command", no * 100)
            yield ("store", "command_no", no, command_store)
            if (yield ("load", "done_no", done_load)) != no:
                return

    def loop():
        done = 0
        for _ in range(2):
            no = yield ("load", "command_no", command_load)
            if no != done:
                assert (yield ("read", "command")) == no * 100
                done = no
                yield ("store", "done_no", no, done_store)

    return Checker({"control": control, "loop": loop}, words={"command_no": 0, "done_no": 0}, cells={"command": 0})


def test_the_loop_obeys_whole_commands():
    orders = {
        "command_store": order(LOOP, "lockstep_loop_post", "store", "command_no"),
        "command_load": order(LOOP, "commanded", "load", "command_no"),
        "done_store": order(LOOP, "lockstep_loop_turn", "store", "done_no"),
        "done_load": order(LOOP, "lockstep_loop_done", "load", "done_no"),
    }
    assert mailbox_programs(**orders).run().wrong == {}
    for weak in orders:
        assert "data race" in mailbox_programs(**orders | {weak: "relaxed"}).run().wrong, f"{weak} could be relaxed"


def test_the_head_is_the_last_word_of_a_batch():
    """Status first: a publisher that sees room also sees why its messages were refused."""
    stores = re.findall(r"store_\w+\(&page->(\w+)", function(LANE, "lane_publish"))
    assert stores[-1] == "head"
    assert stores.count("head") == 1
