"""Every (role, kind) pair: the grants in the product against the table of the vocabulary, written out here a second time."""

import pytest

from journal.messages import SourceRole
from sequencer.grants import KIND_MAX, USER_KIND_ROLES, GrantError, bitmap, effective, granted, ranges

ROLES = [
    "SEQUENCER", "SUPERVISOR", "LOADER", "MARKET_DATA", "TRADING", "CLIENT", "BOOKS", "OMS", "RISK", "POSITIONS", "ALGO",
    "OPERATOR", "SINK", "SIMULATOR",
]  # fmt: skip
COMMON = "801 804 806"
# block: first-last; then one cell a role: "*" all, "* not ..." all but these, else the kinds named.
TABLE = [
    ("1-34", "* not 15 16 20 21 33", "5 22 24 33 34", "15 16", "", "", "", "20-22 33", "20-22 33", "20-22 31-33", "20-22 33",
     "20-22 33", "14 25 32", "", ""),
    ("100-119", "", "", "*", "100 106-112 119", "100 102 106 108 111", "", "", "", "", "", "", "", "", "*"),
    ("200-290", "", "", "", "* not 212", "290", "290", "201 208 209 212 213", "", "", "", "", "", "", "* not 212"),
    ("300-308", "", "303", "", "", "", "*", "", "301 308", "302 303 307", "300", "*", "300-305 307 308", "", "*"),
    ("320-326", "", "326", "", "", "", "", "", "*", "323 326", "325", "", "", "", ""),
    ("327-336", "", "", "", "", "*", "", "", "", "", "", "", "", "", "*"),
    ("350-370", "", "", "", "", "", "", "", "*", "", "360-363", "355", "362", "", ""),
    ("400-410", "", "403 407", "400", "", "", "407", "", "402 406", "* not 400 404 407", "", "402 407", "400 403-405 407", "",
     ""),
    ("500-541", "", "", "521 527", "", "501 502 504 520 522 523 525 526", "540 541", "520 521", "", "",
     "500 503 510 511 520 524 526 530 532 540", "", "524 527 531 540", "541", "501 502 504 520 522 523 525 526 521"),
    ("600-613", "", "600", "608 613", "", "", "", "612", "609", "", "", "* not 600 605 608", "600 602 605 608 611", "", "613"),
    ("700-730", "", "", "", "700-702 705-709 720-724", "700-710 720-724", "700 701 709 720-724 730", "", "703 704", "", "", "",
     "", "", "700-710"),
    ("800-812", "804 806 811", "804 806 809 812", "806", "806", "806", "803 806", COMMON, COMMON, COMMON, COMMON, COMMON,
     "800-803 805-807 809", "804 806-808 810-812", "806"),
    ("900-908", "", "", "", "", "", "", "", "", "", "", "", "", "907 908", "*"),
]  # fmt: skip
BY_GRANT = {"LOADER", "MARKET_DATA", "TRADING", "CLIENT", "BOOKS", "OMS", "RISK", "POSITIONS", "ALGO", "SINK", "SIMULATOR"}


def numbers(cell: str) -> set[int]:
    out: set[int] = set()
    for word in cell.split():
        first, _, last = word.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def expected() -> dict[str, set[int]]:
    out = {role: set() for role in ROLES}
    for block, *cells in TABLE:
        assert len(cells) == len(ROLES), block
        whole = numbers(block)
        for role, cell in zip(ROLES, cells, strict=True):
            if cell.startswith("*"):
                out[role] |= whole - numbers(cell.partition("not")[2])
            else:
                assert numbers(cell) <= whole, (block, role)
                out[role] |= numbers(cell)
    return out


def test_every_pair_of_role_and_kind():
    table = expected()
    for role in ROLES:
        bits = bitmap(effective("x", SourceRole[role], None))
        for kind in range(KIND_MAX + 1):
            assert bool(bits[kind >> 3] & (1 << (kind & 7))) == (kind in table[role]), (role, kind)
        assert granted(SourceRole[role], 806) == (806 in table[role])


@pytest.mark.parametrize("role", ROLES)
def test_user_kinds_only_where_the_table_allows_them_and_only_by_grant(role):
    assert (SourceRole[role] in USER_KIND_ROLES) == (role in BY_GRANT)
    if role in BY_GRANT:
        assert effective("x", SourceRole[role], [10_000, (20_000, 20_010)]) == [(10_000, 10_000), (20_000, 20_010)]
    else:
        with pytest.raises(GrantError, match="user-defined kinds 10000-10000 cannot be granted"):
            effective("x", SourceRole[role], [10_000])


def test_a_configuration_narrows():
    assert effective("x", SourceRole.ALGO, [300, (301, 302)]) == [(300, 302)]
    assert effective("x", SourceRole.LOADER, [(110, 119), 400]) == [(110, 119), (400, 400)]


@pytest.mark.parametrize(
    ("kinds", "words"),
    [([331], "331-331 exceed what role ALGO"), ([(300, 320)], "300-320 exceed"), ([0], "0-0; expected"), ([(5, 3)], "5-3")],
)
def test_a_configuration_cannot_widen(kinds, words):
    with pytest.raises(GrantError, match=words):
        effective("strategy1", SourceRole.ALGO, kinds)


def test_ranges_merge():
    assert ranges([5, 3, 4, (7, 9), 10, (20, 30), 25]) == [(3, 5), (7, 10), (20, 30)]
