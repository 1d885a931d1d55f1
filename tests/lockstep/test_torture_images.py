"""Power loss, 200,000 times, and whether the campaign would see a writer or a recovery that is wrong. (J03-J10)"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import threading
import time

import pytest

from lockstep import cli
from lockstep.torture import drivers, images
from lockstep.torture.drivers import ROOT, NoCompiler, build, scratch

pytestmark = pytest.mark.timeout(900)

SEED = 20261121


@pytest.fixture(autouse=True)
def _needs_a_compiler():
    try:
        drivers.compiler()
    except NoCompiler as error:
        pytest.skip(str(error))


def arguments(*words):
    return cli.parser("torture").parse_args(["torture", "images", "--seed", str(SEED), *words])


def test_two_hundred_thousand_images():
    """J05-J09: a prefix, byte for byte, up to the durable mark at least; interrupted, repeated, gone on with. J04 too."""
    told = []
    words = ["--count", "200000", "--exhaustive", "256", "--samples", "200", "--jobs", "2"]
    outcome = images.run(arguments(*words), lambda done, total, text: told.append((done, total)))
    assert outcome.finds == []
    m = outcome.metrics
    assert m["images"] >= 200_000
    assert m["samples"] >= 200
    assert told[-1][1] == 200_000
    # Not the same easy image again and again.
    assert m["traces"] >= 8
    assert min(m[name] for name in ("all_old", "all_new", "drop_one", "keep_one", "exhaustive", "random")) > 1000
    assert m["images"] * 0.5 < m["torn"] < m["images"]
    assert min(m["interrupted"], m["second_lives"], m["passed"]) > 10_000


def test_the_driver_is_clean_under_sanitizers():
    with scratch() as folder:
        try:
            sanitize = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
            binary = build(images.SOURCES, folder / "images", *sanitize)
        except drivers.OperatingError as error:
            if "cannot find" in str(error):
                pytest.skip("the compiler has no sanitizer libraries here")
            raise
        numbers = (SEED, 0, 1000, 10000, 0, 64, 16, 32, 0, 0)
        done = subprocess.run([binary, folder, *map(str, numbers)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout.splitlines()[-1])["images"] == 10000


BROKEN = {
    "acknowledged before it is synced": (
        "journal/kernel/writer.c",
        "    const uint64_t page = LOCKSTEP_BLOCK_BYTES;\n    uint64_t to",
        "    const uint64_t page = LOCKSTEP_BLOCK_BYTES;\n"
        "    __atomic_store_n(&w->control->durable_seq, target, __ATOMIC_RELEASE);\n    uint64_t to",
        "were durable",
    ),
    "a round behind acknowledges what came during it": (
        "journal/kernel/writer.c",
        "durable = whole ? target : w->noted_seq > durable ? w->noted_seq : durable;",
        "durable = target;",
        "were durable",
    ),
    "synced one page short": (
        "journal/kernel/writer.c",
        "j_sync_range(slot->base, w->synced_to, to)",
        "j_sync_range(slot->base, w->synced_to, to > w->synced_to + page ? to - page : to)",
        "were durable",
    ),
    "folder not synced": (
        "journal/kernel/writer.c",
        "result = j_dirsync(w->folder);",
        "result = 0;",
        "a crash is taken for damage",
    ),
    "a new segment not synced before it has its name": (
        "journal/kernel/writer.c",
        "result = believed(w, j_sync(fd));",
        "result = 0;",
        "a crash is taken for damage",
    ),
    "recovery goes on behind a bad frame": (
        "journal/kernel/recovery.c",
        "r->ended = r->reader.state != LOCKSTEP_END;",
        "r->ended = 0;",
        "in the image the appended frames go to",
    ),
    "recovery leaves the tail": (
        "journal/kernel/recovery.c",
        "r->cut_to = lockstep_last_nonzero(base, r->offset, bytes);",
        "r->cut_to = r->offset;",
        "were appended behind the recovered",
    ),
    "an index ahead of the durable mark is believed": (
        "journal/kernel/recovery.c",
        "    if (index->last_seq > r->durable_seq)\n        return 0;\n",
        "",
        "by the indices recovered up to seq",
    ),
    "by its index a segment is passed that leads nowhere": (
        "journal/kernel/recovery.c",
        "!leads_on(r, c->next, index) ||",
        "(!leads_on(r, c->next, index) && r->ended) ||",
        "by the indices recovered up to seq",
    ),
    "an index of what was cut is believed of what came in its place": (
        "journal/kernel/recovery.c",
        "!leads_on(r, c->next, index) || !ends_so(c, index))\n        return 0;",
        "(!leads_on(r, c->next, index) && !is_open(c->next)) || (!ends_so(c, index) && r->ended))\n        return 0;",
        "by the indices recovered up to seq",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found_and_can_be_repeated(fault):
    """The campaign on sources with one line changed: it finds that, and the same image again by its numbers."""
    file, right, wrong, words = BROKEN[fault]
    with scratch() as folder:
        for part in ("journal/kernel", "lockstep/torture"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.so", "_*", "*.o"))
        text = (folder / file).read_text()
        assert text.count(right) == 1
        (folder / file).write_text(text.replace(right, wrong))
        binary = build(images.SOURCES, folder / "images", "-O1", root=folder)

        def found(first, traces):
            numbers = (SEED, first, traces, 400_000, 0, 256, 32, 8, 0, 0)
            done = subprocess.run([binary, folder, *map(str, numbers)], capture_output=True, text=True)
            assert done.returncode == 1, done.stderr
            return next(json.loads(line) for line in done.stdout.splitlines() if '"found"' in line)

        first = found(0, 1_000_000)
        assert words in first["what"]
        assert found(first["trace"], 1) == first
        assert (folder / f"failed{first['trace']}-{first['image']}").is_dir()


def test_a_find_ends_with_exit_code_1_and_a_command(monkeypatch, tmp_path, capsys):
    """A recovery on real files that does not do what was decided: reported like any other find."""

    def other(folder, event):
        raise images.Wrong("something else")

    monkeypatch.setattr(images, "check_sample", other)
    words = ["torture", "images", "--seed", "5", "--count", "3000", "--samples", "1", "--jobs", "1", "--keep", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 1
    outcome = json.loads(capsys.readouterr().out)
    assert "something else" in outcome["finds"][0]["what"]
    command = outcome["finds"][0]["reproduce"]
    assert command.startswith("lockstep torture images --seed 5 ")
    monkeypatch.undo()
    assert cli.main([*command.split()[1:-1], str(tmp_path)]) == 0
    assert next(tmp_path.glob("failed*/00000001.seg")).stat().st_size == 16384


def test_a_driver_that_is_just_being_started_is_ended_too(monkeypatch):
    """The campaign is over before its driver stands among those that it ends."""
    start, join = subprocess.Popen, threading.Thread.join
    asked = threading.Event()

    def late(command, *more, **options):
        if "job0" in str(command):
            asked.set()
            time.sleep(0.3)
        return start(command, *more, **options)

    def ended(thread, *_):
        monkeypatch.setattr(threading.Thread, "join", join)
        assert asked.wait(60)
        raise SystemExit(143)

    monkeypatch.setattr(images.subprocess, "Popen", late)
    monkeypatch.setattr(threading.Thread, "join", ended)
    with pytest.raises(SystemExit):
        images.run(arguments("--hours", "1", "--jobs", "1"), lambda *_: None)


def test_without_a_compiler_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert cli.main(["torture", "images", "--count", "1"]) == 2
    assert "no C compiler found" in capsys.readouterr().err
    assert isinstance(arguments(), argparse.Namespace)
