"""Seals, signatures, heads: what vouches for a journal's past, and what it takes to notice a new one."""

import json
import os
import shutil
import subprocess

import pytest
import sealed_journal as sealed

from journal.chain import make_seals, measure
from journal.digest import blake3
from journal.errors import JournalCorrupt, JournalError, SealBroken, SegmentMissing
from journal.frames import frames
from journal.head import append_head, head_of, heads_in, parse_head
from journal.messages import EpochStart, SegmentSealed, SessionEnd
from journal.seal import last_seal, read_seal, seal_name
from journal.segment import segment_name
from journal.signing import Key, KeyRefused
from journal.verify import survey
from journal.writer import JournalWriter
from lockstep import cli

HMAC = "hmac-sha256 " + "5e" * 32 + "\n"


def key_file(path, text=HMAC):
    path.write_text(text)
    path.chmod(0o400)
    return path


def test_a_seal_is_the_digest_of_the_file_in_a_chain(folder):
    sealed.write(folder, 3)
    made = sealed.seal(folder)
    assert [s.number for s in made] == [1, 2, 3]
    previous, first = bytes(32), 1
    for seal in made:
        assert seal.digest == blake3((folder / segment_name(seal.number)).read_bytes())
        assert (seal.previous, seal.first_seq) == (previous, first)
        assert seal.chain == blake3(seal.facts)
        assert read_seal(folder, seal.number) == seal
        previous, first = seal.chain, seal.last_seq + 1
    assert last_seal(folder) == made[-1]
    assert sealed.seal(folder) == []
    found = survey(folder)
    assert (found.problems, found.sealed_seq) == ([], made[-1].last_seq)
    assert [s.sealed for s in found.segments] == [*(s.chain.hex() for s in made), ""]


def test_damage_is_not_sealed(folder):
    sealed.write(folder, 2)
    data = bytearray((folder / segment_name(2)).read_bytes())
    at = sealed.frame_offsets(data)[5]
    data[at + 70] ^= 1
    (folder / segment_name(2)).write_bytes(data)
    with pytest.raises(JournalCorrupt, match=rf"00000002.seg: at byte {at} expected frame"):
        sealed.seal(folder)
    assert read_seal(folder, 1) is not None
    assert read_seal(folder, 2) is None
    with pytest.raises(SegmentMissing, match=r"00000002.seal: missing; segment 3 is sealed behind it"):
        measure(folder, 3)
    data[at + 70] ^= 1
    (folder / segment_name(2)).write_bytes(data)
    assert [s.number for s in sealed.seal(folder)] == [2]
    with pytest.raises(SealBroken, match="has no end marker"):
        measure(folder, 3)


def test_a_lost_seal_is_made_again_and_must_fit_its_follower(folder):
    sealed.write(folder, 3)
    made = sealed.seal(folder)
    (folder / seal_name(2)).unlink()
    with pytest.raises(SegmentMissing, match=r"00000002.seal: missing, though 00000003.seal is there"):
        last_seal(folder)
    assert [s.number for s in sealed.seal(folder)] == [2]
    assert read_seal(folder, 2) == made[1]
    (folder / seal_name(2)).unlink()
    data = bytearray((folder / segment_name(2)).read_bytes())
    data[sealed.frame_offsets(data)[5] + 70] ^= 1
    sealed.fix_crcs(data)
    (folder / segment_name(2)).write_bytes(data)
    with pytest.raises(SealBroken, match=r"00000003.seal: follows chain digest .* was replaced"):
        list(make_seals(folder))


def test_every_bad_place_of_a_segment_is_named(folder):
    sealed.write(folder, 1)
    path = folder / segment_name(1)
    data = bytearray(path.read_bytes())
    offsets = sealed.frame_offsets(data)
    bad = [offsets[i] for i in (3, 50, 51, 200)]
    for at in bad:
        data[at + 66] ^= 1
    data[offsets[300]] = 9  # a length that leads nowhere
    path.write_bytes(data)
    problems = survey(folder).problems
    for at in [*bad[:2], bad[3], offsets[300]]:
        assert any(f"00000001.seg: at byte {at} expected" in p for p in problems), (at, problems)
    assert any(f"2 frames up to byte {offsets[52]} cannot be read" in p for p in problems)
    assert len(problems) == 4


def test_the_head_of_every_seq_holds_and_no_other(folder):
    sealed.write(folder, 2)
    last = survey(folder).last_seq
    before = {seq: head_of(folder, seq) for seq in (1, 2, last // 2, last - 1, last)}
    sealed.seal(folder)
    boundary = read_seal(folder, 1).last_seq
    heads = [*before.values(), head_of(folder, boundary), head_of(folder, boundary + 1), head_of(folder)]
    assert head_of(folder).seq == last
    assert [parse_head(h.line()) for h in heads] == heads
    assert {seq: head_of(folder, seq) for seq in before} == before  # sealing changes nothing
    found = survey(folder, heads=[*heads, parse_head(f"{last}:{before[last].digest.hex()}")])
    assert (found.problems, found.heads_checked) == ([], len(heads) + 1)
    assert survey(folder, heads=[parse_head(read_seal(folder, 1).chain.hex())]).problems == []
    wrong = parse_head(f"{last}:{before[2].digest.hex()}")
    assert "is not the one whose head" in survey(folder, heads=[wrong]).problems[0]
    assert "no seal has chain digest" in survey(folder, heads=[parse_head("ab" * 32)]).problems[0]
    with pytest.raises(JournalError, match="no frame 99999; the journal ends with"):
        head_of(folder, 99_999)
    with pytest.raises(ValueError, match="expected a line of"):
        parse_head("7:abc")


def test_a_whole_new_end_is_noticed_by_an_exported_head(folder):
    """Everything from segment 2 on is written anew, every crc, link and seal right: only who remembers can tell."""
    path, sink = folder / "j", folder / "heads"
    sealed.write(path, 3)
    sealed.seal(path)
    for seq in (read_seal(path, 1).last_seq, read_seal(path, 2).last_seq, head_of(path).seq):
        append_head(sink, head_of(path, seq))
    assert [h.segment for h in heads_in(sink)] == [1, 2, 4]
    data = bytearray((path / segment_name(2)).read_bytes())
    at = sealed.frame_offsets(data)[100]
    data[at + 64 : at + 72] = b"not true"
    sealed.fix_crcs(data)
    (path / segment_name(2)).write_bytes(data)
    for number in (3, 4):
        later = bytearray((path / segment_name(number)).read_bytes())
        sealed.relink(later, data)
        (path / segment_name(number)).write_bytes(later)
        data = later
    for number in (2, 3):
        (path / seal_name(number)).unlink()
    sealed.seal(path)
    assert survey(path).problems == []
    (problem,) = survey(path, heads=heads_in(sink)).problems
    assert "00000002.seg: the stream up to frame" in problem
    assert f"replaced after frame {read_seal(path, 1).last_seq}, where an earlier head agrees" in problem


def test_what_the_stream_says_of_its_past_is_checked(folder):
    """SegmentSealed, SessionEnd and EpochStart frames testify to earlier segments even when all seals were made anew."""
    path = folder / "j"
    sealed.write(path, 1)
    (first,) = sealed.seal(path)
    ts = 10**9
    said = head_of(path)
    with JournalWriter.open(path) as w:
        sealed_frame = SegmentSealed(first_seq=1, last_seq=first.last_seq, segment=1, chain_digest=first.chain)
        w.append(EpochStart(prev_last_seq=said.seq, new_epoch=2, prev_chain_digest=said.digest), ts=ts)
        w.append(sealed_frame, ts=ts + 1)
    ended = head_of(path)
    with JournalWriter.open(path) as w:
        w.append(SessionEnd(chain_digest=ended.digest), ts=ts + 2)
    assert survey(path).problems == []
    data = bytearray((path / segment_name(1)).read_bytes())
    data[sealed.frame_offsets(data)[9] + 70] ^= 1
    sealed.fix_crcs(data)
    (path / segment_name(1)).write_bytes(data)
    (path / seal_name(1)).unlink()
    sealed.seal(path)
    problems = survey(path).problems
    assert [p for p in problems if f"frame {said.seq + 1} says" in p]
    assert [p for p in problems if f"frame {said.seq + 2} says that the stream up to frame {first.last_seq}" in p]
    assert [p for p in problems if f"frame {said.seq + 3} says" in p]


def ed25519(folder):
    pytest.importorskip("cryptography")
    private, public = folder / "seal.pem", folder / "seal.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    private.chmod(0o400)
    return private, public


@pytest.mark.parametrize("scheme", ["hmac", "ed25519"])
def test_signatures_are_made_and_checked(folder, scheme, capsys):
    path = folder / "j"
    sealed.write(path, 2)
    if scheme == "hmac":
        private = public = key_file(folder / "key")
        stranger = key_file(folder / "other", HMAC.replace("5e", "5f"))
    else:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl to make a key with")
        private, public = ed25519(folder)
        (folder / "strange").mkdir()
        stranger = ed25519(folder / "strange")[1]
        with pytest.raises(KeyRefused, match="is a public key"):
            Key(public).sign(bytes(32))
    sealed.seal(path)
    assert "is not signed" in survey(path, key=Key(public)).problems[0]
    assert cli.main(["journal", "seal", str(path), "--key", str(private), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert ([s["segment"] for s in done["signed"]], done["sealed"]) == ([1, 2], [])
    assert survey(path, key=Key(public)).problems == []
    assert "is signed with" in survey(path, key=Key(stranger)).problems[0]
    head = head_of(path, key=Key(private))
    assert survey(path, heads=[parse_head(head.line())], key=Key(public)).problems == []
    seal = read_seal(path, 2)
    forged = seal.signature[:-1] + ("0" if seal.signature[-1] != "0" else "1")
    from journal.seal import write_seal

    write_seal(path, seal.signed(forged))
    (problem,) = survey(path, key=Key(public)).problems
    assert "00000002.seal: has a signature that" in problem


def test_keys_that_cannot_be_used_are_refused(folder):
    with pytest.raises(KeyRefused, match="no key; expected"):
        Key(key_file(folder / "a", "secret"))
    open_key = key_file(folder / "b")
    open_key.chmod(0o644)
    with pytest.raises(KeyRefused, match="readable by others"):
        Key(open_key)
    with pytest.raises(KeyRefused, match=r"no usable PEM key|need a library"):
        Key(key_file(folder / "c", "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"))
    with pytest.raises(JournalError, match="No such file"):
        Key(folder / "d")


def test_the_command(folder, capsys):
    path, sink = folder / "j", folder / "heads"
    sealed.write(path, 2)
    assert cli.main(["journal", "seal", str(path)]) == 0
    assert capsys.readouterr().out.count("sealed 0000000") == 2
    assert cli.main(["journal", "seal", str(path)]) == 0
    assert "every full segment is sealed (2 of 3 segments)" in capsys.readouterr().out
    assert cli.main(["journal", "head", str(path), "--append", str(sink)]) == 0
    line = capsys.readouterr().out
    assert sink.read_text() == line
    assert cli.main(["journal", "verify", str(path), "--head", f"@{sink}", "--head", line]) == 0
    assert "2 heads hold" in capsys.readouterr().out
    assert cli.main(["journal", "verify", str(path), "--head", "f" * 64]) == 1
    assert cli.main(["journal", "verify", str(path), "--head", "zz"]) == 2
    assert "expected a line of" in capsys.readouterr().err
    sink.write_text("# heads\n\nnonsense\n")
    assert cli.main(["journal", "verify", str(path), "--head", f"@{sink}"]) == 2
    assert "heads: line 3:" in capsys.readouterr().err
    os.truncate(path / seal_name(1), 100)
    assert cli.main(["journal", "verify", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert any("00000001.seal" in p for p in found["problems"])


def test_a_sealed_journal_goes_on(folder):
    sealed.write(folder, 1)
    sealed.seal(folder)
    with JournalWriter.open(folder) as w:
        w.append(SessionEnd(), ts=10**9)
    assert survey(folder).problems == []
    assert sum(1 for _ in frames(folder)) == survey(folder).last_seq


@pytest.mark.parametrize("action", [["seal"], ["archive"], ["archive", "--restore"], ["head"], ["index"], ["verify"]])
def test_a_folder_without_a_journal(folder, action, capsys):
    assert cli.main(["journal", action[0], str(folder), *action[1:]]) == 2
    assert f"{folder}: no journal here: neither a control page nor a segment" in capsys.readouterr().err


def test_the_head_of_an_empty_stream_holds(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    sealed.write(folder / "j", 1)
    assert cli.main(["journal", "head", "j", "--at", "0", "--append", "heads"]) == 0
    assert cli.main(["journal", "head", "j", "--append", "heads"]) == 0
    assert cli.main(["journal", "verify", "j", "--head", "@heads"]) == 0
    assert "2 heads hold" in capsys.readouterr().out
    assert cli.main(["journal", "verify", "j", "--head", f"0:{'ab' * 32}"]) == 1
    assert capsys.readouterr().err.startswith("j: the stream up to frame 0 is not the one")
    assert cli.main(["journal", "verify", "j", "--head", f"1:{'ab' * 32}"]) == 1
    assert capsys.readouterr().err.startswith("j/00000001.seg: the stream up to frame 1 is not the one")
    assert cli.main(["journal", "verify", "j", "--head", "0" * 64]) == 1  # vouches for nothing
