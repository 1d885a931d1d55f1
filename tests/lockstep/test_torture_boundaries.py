"""Killed at every instruction, 5 frame sizes, 1 boundary in 50 for real; would a fault be seen? (J01-J04, R08)"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from lockstep import cli
from lockstep.torture import boundaries, drivers
from lockstep.torture.drivers import ROOT, NoCompiler, build, scratch

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _needs_a_compiler():
    try:
        drivers.compiler()
    except NoCompiler as error:
        pytest.skip(str(error))


def campaign(*words):
    arguments = cli.parser("torture").parse_args(["torture", "boundaries", "--seed", "1", *words])
    try:
        return boundaries.run(arguments, lambda done, total, text: None)
    except boundaries.TracingForbidden as error:
        pytest.skip(str(error))


def test_every_instruction_boundary():
    """J01 append, J02 batch and the sequencer's turn, J03 roll and preparation, J04 recovery, R08 snapshot; sync, index."""
    outcome = campaign()
    assert outcome.finds == []
    m = outcome.metrics
    # At least as many as the shortest way through each function has: no scenario can have ended at once.
    for name, least in (("append", 800), ("batch", 2400), ("lane", 2400), ("roll", 800), ("prepare", 800), ("sync", 150)):
        assert m[f"boundaries_{name}"] > least, name
    assert m["boundaries_zero"] > 50
    assert m["kills"] >= m["boundaries"] // 50 - len(boundaries.SIZES) * 7
    assert m["system_calls"] > 60


FAULTY = {
    "a frame is overwritten": (
        "path = os.fsencode(folder / '00000001.seg')\n"
        "    return c.address(c.journal_kernel, 'lockstep_zero_range'), lambda: c.lib.lockstep_zero_range(path, 8192, 8280)",
        "not what was appended",
    ),
    "the length is stored before the rest": (
        "at = int(writer.c.offset)\n"
        "    def call():\n"
        "        c.ffi.cast('uint32_t *', writer.c.base + at)[0] = 88\n"
        "        c.lib.lockstep_crc(0, c.ffi.new('char[64]'), 64)\n"
        "        c.ffi.cast('uint32_t *', writer.c.base + at)[0] = 0\n"
        "    return c.address(c.journal_kernel, 'lockstep_crc'), call",
        "a reader that is alive meets a bad frame",
    ),
    "a control page that is ahead": (
        "def call():\n"
        "        writer.page.c.durable_seq = 9\n"
        "        c.lib.lockstep_crc(0, c.ffi.new('char[64]'), 64)\n"
        "    return c.address(c.journal_kernel, 'lockstep_crc'), call",
        "a kill is taken for damage",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_is_found(fault, tmp_path):
    """The same driver on a child that does what a writer must not."""
    body, words = FAULTY[fault]
    child = tmp_path / "faulty_child.py"
    child.write_text(
        textwrap.dedent(
            """
            import os
            from lockstep.torture import boundary_child as c

            def faulty(folder, size):
                writer = c.Small(folder).started()
                BODY

            c.SCENARIOS["append"] = faulty
            c.main()
            """
        ).replace("BODY", body)
    )
    with scratch() as folder:
        binary = build(boundaries.SOURCES, folder / "boundaries")
        command = [binary, folder, "50", "append:64", "--", sys.executable, child]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        if done.returncode == 3:
            pytest.skip("tracing is forbidden here")
        found = [json.loads(line) for line in done.stdout.splitlines() if '"found"' in line]
        assert (done.returncode, len(found)) == (1, 1), done.stderr
        assert words in found[0]["what"]


def test_a_folder_that_recovers_otherwise_is_found(monkeypatch):
    """A decision that recovery on the killed process's folder does not bear out."""

    def off_by_one(folder, event):
        check(folder, event | {"last_seq": event["last_seq"] + 1})

    check = boundaries.check_killed
    monkeypatch.setattr(boundaries, "check_killed", off_by_one)
    outcome = campaign("--scenario", "append:64")
    assert outcome.finds
    assert outcome.finds[0].reproduce == "lockstep torture boundaries --scenario append:64"
    assert "decided was" in outcome.finds[0].what


def test_rounds_go_on_with_other_sizes():
    arguments = cli.parser("torture").parse_args(["torture", "boundaries", "--seed", "1"])
    rounds = [{s.split(":")[1] for s in boundaries.scenarios(arguments, n) if s.startswith("lane")} for n in range(20)]
    assert rounds[0] == {str(size) for size in boundaries.SIZES}
    assert len(set().union(*rounds)) > 60
    assert all(int(size) % 8 == 0 and 64 <= int(size) <= 4104 for size in set().union(*rounds))
    outcome = campaign("--scenario", "append:64", "--count", "300")
    assert outcome.finds == []
    assert outcome.metrics["rounds"] >= 2  # one append has fewer instructions than that


def test_where_tracing_is_forbidden_it_says_so(monkeypatch, tmp_path, capsys):
    """A driver that may not trace: one line with the next step, exit code 2; never a silent pass."""
    script = tmp_path / "driver"
    script.write_text('#!/bin/sh\necho \'{"event": "forbidden", "what": "Operation not permitted"}\'\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setattr(boundaries, "build", lambda sources, binary: script)
    assert cli.main(["torture", "boundaries"]) == 2
    assert "CAP_SYS_PTRACE" in capsys.readouterr().err
