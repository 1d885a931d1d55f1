"""Client order ids: within every venue's terms, unique, ever-increasing, and back to the frame they were made of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.messages import IdScheme
from journal.messages.client_ids import SEQ_MAX, SEQ_NEEDED, TERMS, ClientIds, readings

SCHEMES = [s for s in IdScheme if s is not IdScheme.UNDEFINED]
seqs = st.integers(1, SEQ_MAX)
TS = 1_764_324_000_000_000_000


@given(scheme=st.sampled_from(SCHEMES), seq=seqs)
def test_an_id_leads_back_to_its_frame(scheme, seq):
    text = ClientIds("L1-", scheme).text(seq, TS)
    assert ClientIds("L1-", scheme).seq(text) == seq
    assert seq in set(readings(text))


@given(scheme=st.sampled_from(SCHEMES), a=seqs, b=seqs)
def test_ids_differ_as_their_frames_do_and_sort_as_they_do(scheme, a, b):
    ids = ClientIds("T-", scheme)
    one, two = ids.text(a, TS), ids.text(b, TS)
    assert (one == two) == (a == b)
    if scheme is not IdScheme.DECIMAL:
        assert (one < two) == (a < b)
    later = ids.text(a, TS + 1_000_000)
    assert scheme is not IdScheme.UUID_TIME_FIRST or later > one


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ids_of_another_stream_and_other_texts_are_not_ours(scheme):
    ids = ClientIds("AB-", scheme)
    text = ids.text(5004, TS)
    assert ClientIds("XY-", scheme).seq(text) == 0
    longer = text + ("x" if scheme is IdScheme.DECIMAL else "0")
    for foreign in ("", "web-1", text[:-1] + "!", longer, "AB-", text + "Ü"):
        assert ids.seq(foreign) == 0, foreign


@pytest.mark.parametrize("seq", [0, -1, SEQ_MAX + 1])
def test_what_cannot_be_written_is_an_error(seq):
    with pytest.raises(ValueError, match="expected 1 to"):
        ClientIds("T-", IdScheme.BASE36).text(seq)
    with pytest.raises(ValueError, match="expected 1 to"):
        ClientIds("T-").text(0)


FITS = {
    "kraken": {IdScheme.BASE62: "L1-", IdScheme.BASE36: "L1-", IdScheme.DECIMAL: "L1-", IdScheme.UUID: ""},
    "kraken_fix": {IdScheme.DECIMAL: ""},
    "okx": {IdScheme.BASE62: "L1", IdScheme.HEX: "abcdefghijklmnop", IdScheme.DECIMAL: "L"},
    "bybit": {IdScheme.BASE62: "L1-", IdScheme.UUID: ""},
    "deribit": dict.fromkeys(SCHEMES, "my desk: "),
    "binance": {IdScheme.BASE32: "L1-", IdScheme.DECIMAL: "L1-"},
    "sim": {IdScheme.DECIMAL: "L0123456789-"},
}


@pytest.mark.parametrize(("venue", "scheme", "tag"), [(v, s, t) for v, row in FITS.items() for s, t in row.items()])
def test_schemes_that_fit_a_venue(venue, scheme, tag):
    ids, terms = ClientIds(tag, scheme), TERMS[venue]
    assert not ids.misfit(terms)
    for seq in (1, 5004, SEQ_NEEDED):
        text = ids.text(seq, TS)
        if scheme not in (IdScheme.UUID, IdScheme.UUID_TIME_FIRST):
            assert len(text) <= terms.length_max
            assert re.fullmatch(f"[{terms.characters}]+", text)


@pytest.mark.parametrize(("venue", "scheme", "tag", "why"), [
    ("kraken", IdScheme.BASE62, "L1234567", "19 characters; expected at most 18"),
    ("kraken", IdScheme.HEX, "L1-", "expected at most 18"),
    ("kraken_fix", IdScheme.DECIMAL, "L", "a number without a tag"),
    ("kraken_fix", IdScheme.BASE36, "", "a number"),
    ("okx", IdScheme.BASE62, "L1-", "expected characters of"),
    ("okx", IdScheme.UUID, "", "a UUID"),
])  # fmt: skip
def test_schemes_that_do_not_fit_say_why(venue, scheme, tag, why):
    assert why in ClientIds(tag, scheme).misfit(TERMS[venue])


def test_the_boundary_of_the_length():
    assert not ClientIds("L123456", IdScheme.BASE62).misfit(TERMS["kraken"])  # 7 + 11
