"""Client order ids at venues: made of the stream's tag and the seq of the routed frame that a gateway acts on, in the account's
`id_scheme`. So an id is unique for ever, the same after a crash, ever-increasing, and leads back to its journal line without a
database.

DECIMAL writes the seq as it is, behind a tag that does not end in a digit; the others write it with a fixed width, so that ids
sort as their frames do. UUID hides a hash of the tag and the seq (version 8 of RFC 9562); UUID_TIME_FIRST begins with the
frame's time (version 7), for venues that want that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec

from journal.messages.enums import IdScheme

SEQ_BITS = 62
SEQ_MAX = (1 << SEQ_BITS) - 1
_U64_MAX = (1 << 64) - 1
SEQ_NEEDED = 10**12
"""A scheme must be able to write frames up to this one: a million a second for eleven days."""
_DIGITS = {
    IdScheme.BASE32: "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    IdScheme.BASE36: "0123456789abcdefghijklmnopqrstuvwxyz",
    IdScheme.BASE62: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    IdScheme.HEX: "0123456789abcdef",
}
_NS_PER_MS = 1_000_000


class Terms(msgspec.Struct, frozen=True):
    """What a venue takes as a client order id."""

    length_max: int
    characters: str
    """As within the brackets of a regular expression."""
    numbers_only: bool = False
    """Its ids are numbers: an id with a tag is none."""
    uuids: bool = True


TERMS = {
    "binance": Terms(36, r".A-Z:/a-z0-9_\-"),
    "bybit": Terms(36, r"A-Za-z0-9_\-"),
    "deribit": Terms(64, r"\x20-\x7e"),
    "kraken": Terms(18, r"A-Za-z0-9_\-"),
    "kraken_fix": Terms(18, r"0-9", numbers_only=True),
    "okx": Terms(32, r"A-Za-z0-9", uuids=False),
    "sim": Terms(36, r"A-Za-z0-9._:/\-"),
}
"""From the venues' documentation. Kraken takes UUIDs too, whatever their length."""


class ClientIds(msgspec.Struct, frozen=True):
    """The client ids of one stream on one account."""

    tag: str
    scheme: int = IdScheme.DECIMAL

    def text(self, seq: int, ts: int = 0) -> str:
        """The id under which the request routed at `seq` is known to the venue. `ts`: the frame's time, ns, for
        UUID_TIME_FIRST. ValueError beyond what can be written."""
        plain = self.scheme in (IdScheme.DECIMAL, IdScheme.UNDEFINED)
        most = _U64_MAX if plain else SEQ_MAX
        if not 0 < seq <= most:
            raise ValueError(f"seq {seq}: expected 1 to {most}")
        if plain:
            return f"{self.tag}{seq}"
        if self.scheme == IdScheme.UUID:
            word = self._hash(60)
            return _uuid((word >> 12, 8, word & 0xFFF), seq)
        if self.scheme == IdScheme.UUID_TIME_FIRST:
            return _uuid((ts // _NS_PER_MS & (1 << 48) - 1, 7, self._hash(12)), seq)
        digits = _DIGITS[IdScheme(self.scheme)]
        return self.tag + _written(seq, digits)

    def seq(self, client_id: str) -> int:
        """The routed frame behind a client id; 0 when it is not of this stream."""
        if self.scheme in (IdScheme.UUID, IdScheme.UUID_TIME_FIRST):
            found = _read_uuid(client_id)
            if found is None or found[1] != (8 if self.scheme == IdScheme.UUID else 7):
                return 0
            hashed = found[0] << 12 | found[2] if self.scheme == IdScheme.UUID else found[2]
            return found[3] if hashed == self._hash(60 if self.scheme == IdScheme.UUID else 12) else 0
        if not client_id.startswith(self.tag):
            return 0
        return _read(client_id.removeprefix(self.tag), self.scheme)

    def _hash(self, bits: int) -> int:
        word = int.from_bytes(hashlib.blake2b(self.tag.encode(), digest_size=8).digest(), "big")
        return word >> (64 - bits)

    def misfit(self, terms: Terms) -> str:
        """Why a venue would not take these ids; empty: it does."""
        if self.scheme in (IdScheme.UUID, IdScheme.UUID_TIME_FIRST):
            return "" if terms.uuids else f"{self.text(1)!r}: a UUID; expected at most {terms.length_max} characters"
        last = self.text(SEQ_NEEDED)
        if terms.numbers_only and not last.isdigit():
            return f"{last!r}: expected a number without a tag"
        if re.fullmatch(f"[{terms.characters}]*", last) is None:
            return f"{last!r}: expected characters of {terms.characters}"
        if len(last) > terms.length_max:
            return f"{last!r}: {len(last)} characters; expected at most {terms.length_max}"
        return ""


_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})", re.ASCII)


def _uuid(high: tuple[int, int, int], seq: int) -> str:
    first, version, third = high
    text = f"{(first << 16 | version << 12 | third) << 64 | 0b10 << 62 | seq:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _read_uuid(text: str) -> tuple[int, int, int, int] | None:
    """(48 bits, version, 12 bits, seq)."""
    found = _UUID.fullmatch(text)
    word = int("".join(found.groups()), 16) if found is not None else 0
    if word >> 62 & 0b11 != 0b10:
        return None
    high = word >> 64
    return high >> 16, high >> 12 & 0xF, high & 0xFFF, word & SEQ_MAX


def _width(digits: str) -> int:
    width, most = 1, len(digits)
    while most <= SEQ_MAX:
        width, most = width + 1, most * len(digits)
    return width


def _written(seq: int, digits: str) -> str:
    out = ""
    for _ in range(_width(digits)):
        seq, digit = divmod(seq, len(digits))
        out = digits[digit] + out
    return out


def _read(text: str, scheme: int) -> int:
    """A seq without its tag; 0 when it is none."""
    if scheme in (IdScheme.DECIMAL, IdScheme.UNDEFINED):
        plain = text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= len(str(_U64_MAX))
        return int(text) if plain and int(text) <= _U64_MAX else 0
    digits = _DIGITS[IdScheme(scheme)]
    if len(text) != _width(digits) or any(c not in digits for c in text):
        return 0
    value = 0
    for c in text:
        value = value * len(digits) + digits.index(c)
    return value if value <= SEQ_MAX else 0


def readings(client_id: str) -> Iterator[int]:
    """Every seq that a client id could have been made of, whatever its scheme and tag: for whoever looks it up in a journal."""
    found = _read_uuid(client_id)
    if found is not None:
        yield found[3]
        return
    digits = re.search(r"(\d+)$", client_id, re.ASCII)
    if digits is not None:
        yield from (n for start in range(len(digits[1])) if (n := _read(digits[1][start:], IdScheme.DECIMAL)))
    for scheme, alphabet in _DIGITS.items():
        value = _read(client_id[-_width(alphabet) :], scheme)
        if value:
            yield value


__all__ = ["TERMS", "ClientIds", "Terms", "readings"]
