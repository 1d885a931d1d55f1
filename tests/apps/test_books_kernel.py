"""The C book against the obvious one, after every step; and the kernel under the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.books.book import BAD_LEVEL, CROSSED, LEVELS_FIRST, LOCKED, TOO_DEEP, TOUCHED, UNSORTED, Book
from apps.books.kernel._books import lib
from apps.books.model import ModelBook, Refused
from journal.messages import NULL, BookStateCode, Level, MarketByPriceUpdate, Side

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "apps/books/kernel"

# Few prices, so that inserts, changes and deletes meet; a few far and hostile ones.
prices = st.one_of(st.integers(-8, 40), st.sampled_from([2**63 - 1, NULL + 1, NULL]))
quantities = st.one_of(st.integers(0, 3), st.sampled_from([2**63 - 1, -1, NULL]))
rows = st.lists(st.builds(Level, px=prices, qty=quantities), max_size=8)
good_rows = st.dictionaries(st.integers(-8, 40), st.integers(1, 5), max_size=12)


def live(instrument: int = 1) -> Book:
    book = Book(instrument)
    book.state, book.sound = BookStateCode.LIVE, True
    return book


def touch_of(book: Book) -> tuple[int, int, int, int]:
    return book.bid_px, book.bid_qty, book.ask_px, book.ask_qty


def agree(book: Book, model: ModelBook) -> None:
    bids, asks = model.levels()
    assert [(r.px, r.qty) for r in book.levels(Side.BUY, 10_000)] == bids
    assert [(r.px, r.qty) for r in book.levels(Side.SELL, 10_000)] == asks
    assert touch_of(book) == model.best()
    assert lib.book_check(book._book)


def expected(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    bits = TOUCHED if before != after else 0
    if NULL not in (after[0], after[2]):
        bits |= CROSSED if after[0] > after[2] else LOCKED if after[0] == after[2] else 0
    return bits


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.tuples(rows, rows), st.tuples(good_rows, good_rows)), max_size=12))
def test_c_book_and_model_agree_after_every_step(steps):
    book, model = live(), ModelBook()
    for bids, asks in steps:
        before = model.best()
        if isinstance(bids, dict):
            bids = [Level(p, q) for p, q in sorted(bids.items(), reverse=True)]
            asks = [Level(p, q) for p, q in sorted(asks.items())]
            step, model_step = book.replace, model.replace
        else:
            step, model_step = book.update, model.update
        # Through the bytes of a frame, as in life.
        m = MarketByPriceUpdate.decode(MarketByPriceUpdate(bids=bids, asks=asks).encode())
        result = step(m.bids, m.asks)
        try:
            model_step(bids, asks)
        except Refused:
            assert result in (BAD_LEVEL, UNSORTED)
        else:
            assert result == expected(before, model.best())
        agree(book, model)


@settings(max_examples=100, deadline=None)
@given(rows, rows, good_rows, good_rows)
def test_snapshot_rows_as_they_come_are_taken_or_refused_whole(bids, asks, held_bids, held_asks):
    book, model = live(), ModelBook()
    start = (
        [Level(p, q) for p, q in sorted(held_bids.items(), reverse=True)],
        [Level(p, q) for p, q in sorted(held_asks.items())],
    )
    book.replace(*start)
    model.replace(*start)
    result = book.replace(bids, asks)
    try:
        model.replace(bids, asks)
    except Refused:
        assert result < 0
    else:
        assert result >= 0
    agree(book, model)


def test_a_book_grows_and_keeps_its_levels():
    book, model = live(), ModelBook()
    for step in range(6):
        bids = [Level(-(step * 400 + i), 1 + i) for i in range(400)]
        asks = [Level(10 + step * 400 + i, 1 + i) for i in range(400)]
        assert book.update(bids, asks) >= 0
        model.update(bids, asks)
    assert book.depth(Side.BUY) == 2400 > LEVELS_FIRST
    agree(book, model)
    assert [r.px for r in book.levels(Side.SELL, 3)] == [10, 11, 12]


def test_a_book_beyond_the_limit_is_refused_whole(monkeypatch):
    monkeypatch.setattr("apps.books.book.LEVELS_MAX", 300)
    book = live()
    assert book.update([Level(i, 1) for i in range(1, 257)], []) == TOUCHED
    assert book.update([Level(1000 + i, 1) for i in range(60)], []) == TOO_DEEP
    assert book.depth(Side.BUY) == 256


def test_contents_come_back():
    book, other = live(), live(2)
    book.update([Level(1, 5), Level(3, 2)], [Level(7, 1)])
    other.set_contents(*book.contents())
    assert other.contents() == book.contents()
    assert touch_of(other) == touch_of(book) == (3, 2, 7, 1)
    other.set_contents(b"", b"")
    assert touch_of(other) == (NULL, NULL, NULL, NULL)


def test_rows_of_a_wider_future_stride_are_read():
    """Entries may grow at the end: the stride is in the frame, and the kernel steps by it. Also at odd addresses."""
    from apps.books.kernel._books import ffi

    book = live()
    wide = b"".join(r.pack() + b"future!!" for r in (Level(5, 1), Level(6, 2)))
    odd = ffi.from_buffer(b"x" + wide)
    assert lib.book_update(book._book, odd + 1, 2, 24, ffi.NULL, 0, 16) == TOUCHED
    assert [(r.px, r.qty) for r in book.levels(Side.BUY, 9)] == [(6, 2), (5, 1)]


def test_only_a_live_book_shows_a_touch():
    book = live()
    book.update([Level(1, 1)], [Level(2, 1)])
    book.state = BookStateCode.STALE
    assert touch_of(book) == (NULL, NULL, NULL, NULL)
    assert len(book.levels(Side.BUY, 1)) == 1


def test_kernel_under_sanitizers(tmp_path):
    """A million random changes, valid and not, under address and undefined-behaviour checks, invariants after each."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine; the kernel could not have been built either")
    program = tmp_path / "drive"
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(Path(__file__).parent / "drive_book.c"), str(KERNEL / "book.c")]
    built = subprocess.run(
        [compiler, *flags, *sanitize, f"-I{ROOT}", *sources, "-o", str(program)], capture_output=True, text=True
    )
    if "asan" in built.stderr and "cannot find" in built.stderr:
        pytest.skip(f"this compiler has no sanitizer libraries: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program), "200000"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
