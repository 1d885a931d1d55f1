"""The books app: which book may be traded on, and what it says. V03-V07, I-44, I-45, I-47."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.books.app import Books
from apps.books.book import PENDING_MAX
from apps.books.model import ModelBook
from journal.messages import (
    NULL,
    BookState,
    BookStateCode,
    BookStateReason,
    ConnectionState,
    GapAction,
    Level,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    MarketDataGap,
    SessionStart,
    Side,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TopOfBook,
)

BTC, ETH = 1001, 1002
LIVE, STALE, INVALID = BookStateCode.LIVE, BookStateCode.STALE, BookStateCode.INVALID


def levels(text: str) -> list[Level]:
    """'5@100 3@99' → levels."""
    return [Level(int(px), int(qty)) for qty, px in (row.split("@") for row in text.split())]


def snapshot(seq: int, bids: str = "5@99", asks: str = "5@101", *, epoch: int = 1, instrument: int = BTC, **more):
    return MarketByPriceSnapshot(
        instrument=instrument,
        stream=2,
        connection_epoch=epoch,
        exchange_seq=seq,
        exchange_ts=seq * 10,
        bids=levels(bids),
        asks=levels(asks),
        **more,
    )


def update(prev: int, seq: int, bids: str = "", asks: str = "", *, epoch: int = 1, first: int = 0, instrument: int = BTC):
    return MarketByPriceUpdate(
        instrument=instrument,
        stream=2,
        connection_epoch=epoch,
        prev_exchange_seq=prev,
        first_exchange_seq=first,
        exchange_seq=seq,
        exchange_ts=seq * 10,
        bids=levels(bids),
        asks=levels(asks),
    )


@pytest.fixture
def on_stage(stage):
    return stage(Books())


@pytest.fixture
def live(on_stage):
    on_stage.frame(snapshot(10))
    assert on_stage.app.book(BTC).is_live
    on_stage.said.clear()
    return on_stage


def states(said) -> list[tuple[int, int]]:
    return [(m.state, m.reason) for m in said if isinstance(m, BookState)]


def touches(said) -> list[tuple[int, int, int, int]]:
    return [(m.bid_px, m.bid_qty, m.ask_px, m.ask_qty) for m in said if isinstance(m, TopOfBook)]


def test_a_book_nobody_spoke_of_is_empty(on_stage):
    book = on_stage.app.book(BTC)
    assert (book.state, book.is_live, book.bid_px, book.ask_qty) == (BookStateCode.EMPTY, False, NULL, NULL)
    assert on_stage.app.book(BTC) is book
    assert on_stage.app.snapshot() == Books().snapshot()


def test_a_snapshot_makes_a_book_live_and_says_its_touch(on_stage):
    said = on_stage.frame(snapshot(10, "5@99 2@98", "1@101"))
    assert [type(m) for m in said] == [BookState, TopOfBook]
    assert states(said) == [(LIVE, BookStateReason.VERIFIED)]
    top = said[1]
    assert (top.instrument, top.stream, top.connection_epoch, top.exchange_ts, top.exchange_seq) == (BTC, 2, 1, 100, 10)
    assert (top.bid_px, top.bid_qty, top.ask_px, top.ask_qty) == (99, 5, 101, 1)
    book = on_stage.app.book(BTC)
    assert (book.seq, book.touch_seq, book.touched) == (on_stage.seq, on_stage.seq, True)
    assert [(r.px, r.qty) for r in book.levels(Side.BUY, 5)] == [(99, 5), (98, 2)]


def test_top_of_book_is_said_when_the_touch_changes_and_only_then(live):
    assert touches(live.frame(update(10, 11, "7@98"))) == []
    book = live.app.book(BTC)
    assert (book.touched, book.seq, book.exchange_seq) == (False, live.seq, 11)
    assert touches(live.frame(update(11, 12, "6@99"))) == [(99, 6, 101, 5)]
    assert book.touched
    assert touches(live.frame(update(12, 13, "0@99"))) == [(98, 7, 101, 5)]
    assert touches(live.frame(update(13, 14, "", "0@101"))) == [(98, 7, NULL, NULL)]
    assert touches(live.frame(update(14, 15, "0@50", "0@500"))) == []
    assert states(live.said) == []
    live.app.check()


def test_a_gap_invalidates_in_the_same_frame_and_a_snapshot_heals(live):
    said = live.frame(update(12, 13, "6@99"))
    assert states(said) == [(INVALID, BookStateReason.SEQUENCE_GAP)]
    book = live.app.book(BTC)
    assert (book.is_live, book.bid_px, book.touched) == (False, NULL, True)
    assert live.frame(update(13, 14, "8@98")) == []  # kept for the snapshot
    said = live.frame(snapshot(12))
    assert states(said) == [(LIVE, BookStateReason.VERIFIED)]
    assert touches(said) == [(99, 6, 101, 5)]
    assert (book.exchange_seq, book.verified, book.levels(Side.BUY, 2)[1]) == (14, 2, Level(98, 8))


def test_a_venue_that_gives_only_the_first_number(live):
    assert states(live.frame(update(0, 12, "6@99", first=11))) == []
    assert states(live.frame(update(0, 15, "7@99", first=13))) == []
    assert states(live.frame(update(0, 18, "7@99", first=17))) == [(INVALID, BookStateReason.SEQUENCE_GAP)]


def test_a_venue_without_numbers_is_taken_in_order_but_cannot_heal(on_stage):
    on_stage.frame(snapshot(0))
    assert touches(on_stage.frame(update(0, 0, "6@99"))) == [(99, 6, 101, 5)]
    on_stage.frame(StreamStatus(stream=2, connection_epoch=1, connection=ConnectionState.STALE))
    assert states(on_stage.frame(update(0, 0, "7@99"))) == [(INVALID, BookStateReason.SEQUENCE_GAP)]
    assert on_stage.frame(update(0, 0, "8@99")) == []
    assert touches(on_stage.frame(snapshot(0, "1@99"))) == [(99, 1, 101, 5)]


def test_what_was_sent_twice_changes_nothing(live):
    live.frame(update(10, 12, "6@99"))
    live.said.clear()
    live.frame(update(10, 12, "6@99"))
    before = live.app.snapshot()
    live.frame(update(9, 11, "9@99"))
    assert live.said == []
    assert live.app.book(BTC).bid_qty == 6
    assert live.app.snapshot() == before


def test_an_overlap_after_the_join_is_not_believed(live):
    live.frame(update(10, 13, "6@99"))
    assert states(live.frame(update(11, 15, "7@99"))) == [(INVALID, BookStateReason.SEQUENCE_BACKWARDS)]


def test_the_first_update_may_begin_before_the_snapshot(live):
    assert states(live.frame(update(8, 12, "6@99"))) == []
    assert live.app.book(BTC).exchange_seq == 12


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        ("5@102", "", BookStateReason.CROSSED),
        ("5@101", "", BookStateReason.LOCKED),
        ("-5@98", "", BookStateReason.NEGATIVE_OR_ZERO),
        ("", f"5@{NULL}", BookStateReason.NEGATIVE_OR_ZERO),
    ],
)
def test_a_book_that_cannot_be_is_invalid(live, bids, asks, reason):
    said = live.frame(update(10, 11, bids, asks))
    assert states(said) == [(INVALID, reason)]
    assert touches(said) == []
    assert live.frame(update(11, 12, "0@102")) == []  # it does not heal by itself
    assert states(live.frame(snapshot(12))) == [(LIVE, BookStateReason.VERIFIED)]


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        ("5@99 5@99", "5@101", BookStateReason.UNSORTED),
        ("5@99", "5@102 5@101", BookStateReason.UNSORTED),
        ("0@99", "5@101", BookStateReason.NEGATIVE_OR_ZERO),
        ("5@99", "5@98", BookStateReason.CROSSED),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused(on_stage, bids, asks, reason):
    assert states(on_stage.frame(snapshot(10, bids, asks))) == [(INVALID, reason)]
    on_stage.app.check()


def test_an_old_book_never_merges_with_a_new_connection(live):
    said = live.frame(update(10, 11, "6@99", epoch=2))  # the numbers fit, the connection does not
    assert states(said) == [(BookStateCode.SNAPSHOT_PENDING, BookStateReason.DISCONNECTED)]
    assert live.app.book(BTC).levels(Side.BUY, 1) == [Level(99, 5)]
    live.frame(update(11, 12, "7@99", epoch=2))
    assert touches(live.frame(snapshot(10, "1@99", epoch=2))) == [(99, 7, 101, 5)]


def test_a_lost_connection_makes_stale_and_only_its_own_books(live):
    live.frame(MarketByPriceSnapshot(instrument=ETH, stream=9, exchange_seq=1, bids=levels("1@1"), asks=levels("1@2")))
    live.said.clear()
    assert live.frame(StreamStatus(stream=9, account=77, connection=ConnectionState.DISCONNECTED), live.OTHER_GATEWAY) == []
    said = live.frame(StreamStatus(stream=2, connection_epoch=1, connection=ConnectionState.DISCONNECTED))
    assert states(said) == [(STALE, BookStateReason.DISCONNECTED)]
    assert live.app.book(ETH).is_live
    assert live.frame(StreamStatus(stream=2, connection_epoch=2, connection=ConnectionState.UP)) == []
    assert states(live.frame(snapshot(30, epoch=2))) == [(LIVE, BookStateReason.VERIFIED)]


def test_a_stream_that_is_up_with_another_connection_was_down(live):
    assert live.frame(StreamStatus(stream=2, connection_epoch=1, connection=ConnectionState.UP)) == []
    said = live.frame(StreamStatus(stream=2, connection_epoch=2, connection=ConnectionState.UP))
    assert states(said) == [(STALE, BookStateReason.DISCONNECTED)]


def test_a_gateway_that_died_makes_its_books_stale_and_proof_heals_them(live):
    assert live.frame(SourceState(source=live.OTHER_GATEWAY, state=SourceStateCode.DEAD), 0) == []
    said = live.frame(SourceState(source=live.GATEWAY, state=SourceStateCode.DETACHED), 0)
    assert states(said) == [(STALE, BookStateReason.DISCONNECTED)]
    # Only the sequencer was restarted; the next update of the same connection begins where the book ends.
    said = live.frame(update(10, 11, "6@99"))
    assert states(said) == [(LIVE, BookStateReason.VERIFIED)]
    assert touches(said) == [(99, 6, 101, 5)]


def test_a_new_session_trusts_no_book_of_the_old_one(live):
    assert states(live.frame(SessionStart(session=2), live.SEQUENCER)) == [(STALE, BookStateReason.DISCONNECTED)]
    assert states(live.frame(update(10, 11))) == [(LIVE, BookStateReason.VERIFIED)]
    live.frame(SessionStart(session=3), live.SEQUENCER)
    assert states(live.frame(update(12, 13))) == [(INVALID, BookStateReason.SEQUENCE_GAP)]


def test_an_invalid_book_called_stale_does_not_heal_by_numbers(live):
    live.frame(update(10, 11, "5@102"))
    live.frame(BookState(instrument=BTC, stream=2, state=STALE, reason=BookStateReason.VENUE_DOWN))
    said = live.frame(update(10, 12, "0@102"))
    assert (said, live.app.book(BTC).is_live) == ([], False)


def test_a_gateways_word_is_taken_but_not_its_live(live):
    said = live.frame(BookState(instrument=BTC, stream=2, state=BookStateCode.QUARANTINED, reason=BookStateReason.VENUE_DOWN))
    assert states(said) == [(BookStateCode.QUARANTINED, BookStateReason.VENUE_DOWN)]
    assert live.frame(BookState(instrument=BTC, stream=2, state=LIVE, reason=BookStateReason.VERIFIED)) == []
    said = live.frame(MarketDataGap(instrument=BTC, stream=2, expected_seq=11, got_seq=15, action=GapAction.RESNAPSHOT))
    assert states(said) == [(INVALID, BookStateReason.SEQUENCE_GAP)]
    assert live.frame(MarketDataGap(instrument=BTC, stream=2, action=GapAction.IGNORED)) == []


def test_its_own_words_coming_back_change_nothing(live):
    live.frame(update(12, 13))
    gap = live.said[-1]
    live.frame(snapshot(20))
    assert live.app.book(BTC).is_live
    before = live.app.snapshot()
    for m in (gap, *live.said):
        assert live.frame(m, live.BOOKS) == []
    assert live.app.snapshot() == before


def test_a_second_feed_does_not_disturb_a_live_book(live):
    other = live.OTHER_GATEWAY
    assert live.frame(update(50, 51, "9@100"), other) == []
    assert live.frame(BookState(instrument=BTC, stream=2, state=STALE), other) == []
    assert live.frame(StreamStatus(stream=2, connection=ConnectionState.DISCONNECTED), other) == []
    assert live.app.book(BTC).bid_px == 99


def test_an_older_snapshot_does_not_take_a_proved_book_back(live):
    live.frame(update(10, 20, "6@99"))
    assert live.frame(snapshot(15, "1@90")) == []
    assert live.app.book(BTC).bid_qty == 6
    said = live.frame(snapshot(25, "2@97"))
    assert (states(said), touches(said)) == ([], [(97, 2, 101, 5)])


def test_updates_that_wait_are_bounded_and_a_snapshot_older_than_them_is_not_enough(on_stage):
    for n in range(PENDING_MAX + 10):
        on_stage.frame(update(100 + n, 101 + n, "1@99"))
    assert states(on_stage.said) == [(BookStateCode.SNAPSHOT_PENDING, BookStateReason.SUBSCRIBED)]
    book = on_stage.app.book(BTC)
    assert len(book.pending) == PENDING_MAX
    assert states(on_stage.frame(snapshot(105))) == [(INVALID, BookStateReason.SNAPSHOT_OLDER_THAN_BUFFER)]
    assert states(on_stage.frame(snapshot(112))) == [(LIVE, BookStateReason.VERIFIED)]
    assert book.exchange_seq == 100 + PENDING_MAX + 10
    on_stage.app.check()


# The join, against the venue's true book.


def venue_day() -> tuple[list[MarketByPriceUpdate], dict[int, tuple[list[Level], list[Level]]]]:
    """Six updates of a venue whose numbers have holes, and its true book after each number."""
    model = ModelBook()
    model.update(levels("5@99 4@98"), levels("5@101"))
    changes = [("6@99", ""), ("0@99", "2@100"), ("3@99", "0@100"), ("", "7@101 1@103"), ("0@98", ""), ("9@97", "0@103")]
    truth, updates, last = {10: model.levels()}, [], 10
    for n, (bids, asks) in enumerate(changes):
        seq = last + 1 + n % 3
        updates.append(update(last, seq, bids, asks))
        model.update(levels(bids), levels(asks))
        for number in range(last + 1, seq + 1):
            # A book taken in the middle of a stretch shows the changes of the whole stretch: levels are absolute.
            truth[number] = model.levels()
        last = seq
    return updates, {s: ([Level(*r) for r in b], [Level(*r) for r in a]) for s, (b, a) in truth.items()}


UPDATES, TRUTH = venue_day()


def assert_true(app: Books) -> None:
    app.check()
    book = app.book(BTC)
    if book.is_live:
        assert (book.levels(Side.BUY, 99), book.levels(Side.SELL, 99)) == TRUTH[book.exchange_seq]


def test_every_interleaving_of_updates_and_a_snapshot_joins_to_the_true_book(stage):
    """V04: a snapshot of any moment, arriving at any place among the updates, one of which may be lost."""
    last = UPDATES[-1].exchange_seq
    for taken, place in itertools.product(TRUTH, range(len(UPDATES) + 1)):
        for lost in (None, *range(len(UPDATES))):
            sent = [u for i, u in enumerate(UPDATES) if i != lost]
            snap = snapshot(taken)
            snap.bids, snap.asks = TRUTH[taken]
            on = stage(Books())
            for m in (*sent[:place], snap, *sent[place:]):
                on.frame(m)
                assert_true(on.app)
            book = on.app.book(BTC)
            harmless = lost is None or UPDATES[lost].exchange_seq <= taken
            older_than_sent = any(u.exchange_seq > taken for u in UPDATES) or taken == last
            if harmless and older_than_sent:
                assert book.is_live
                assert book.exchange_seq == max(last, taken)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=16), st.sampled_from(sorted(TRUTH)))
def test_any_order_repetition_and_loss_never_shows_a_false_book(stage, order, taken):
    """V05: whatever comes, a book that says LIVE is the venue's."""
    on = stage(Books())
    for index, snap in order:
        m = UPDATES[index]
        if snap:
            m = snapshot(taken)
            m.bids, m.asks = TRUTH[taken]
        on.frame(m)
        assert_true(on.app)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=20), st.integers(0, 20))
def test_a_restored_app_goes_on_as_the_old_one(stage, order, at):
    """I-58: restore at any frame, same emissions and same bytes from there on; and equal states are equal bytes."""
    snap = snapshot(14)
    snap.bids, snap.asks = TRUTH[14]
    down = StreamStatus(stream=2, connection_epoch=1, connection=ConnectionState.DISCONNECTED)
    gap = MarketDataGap(instrument=BTC, stream=2, action=GapAction.RESNAPSHOT)
    frames = [[*UPDATES, snap, down, gap][i] for i in order]
    on = stage(Books())
    for m in frames[:at]:
        on.frame(m)
    other = stage(Books())
    reader = other.app.book(BTC)
    other.app.restore(on.app.snapshot())
    other.seq = on.seq
    assert other.app.snapshot() == on.app.snapshot()
    for m in frames[at:]:
        assert other.frame(m) == on.frame(m)
    assert other.app.snapshot() == on.app.snapshot()
    assert other.app.book(BTC) is reader
