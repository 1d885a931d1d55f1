"""Writes the golden journal and its text: `python tests/journal/make_golden.py`. Commit the difference only if each changed
line is understood: the point of a golden journal is that tomorrow's code reads yesterday's bytes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from journal.frames import frames
from journal.messages import (
    Clock,
    EpochStart,
    ExecType,
    ExecutionReport,
    Flag,
    InstrumentDefined,
    MarketByPriceSnapshot,
    NewOrder,
    OrdStatus,
    OrdType,
    Reason,
    Reject,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    TopOfBook,
    order_id_of,
)
from journal.messages.control import Grant
from journal.messages.marketdata import Level
from journal.text import Names, frame_text
from journal.writer import JournalWriter

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "journal"
STREAM_ID, NONCE = 0x0102030405060708, 0x1112131415161718
T0 = 1_700_000_000_000_000_000


def text_of(path: Path) -> str:
    """The journal as `lockstep journal dump` prints it."""
    names = Names.of(path)
    return "".join(frame_text(frame, names) + "\n" for frame in frames(path))


def write(path: Path) -> None:
    """A short day: definitions, a book, an order that fills, a refused message, an unknown kind, two epochs."""
    with JournalWriter.open(path, stream_id=STREAM_ID, nonce=NONCE, segment_bytes=1 << 20) as w:
        w.begin_epoch()
        w.append(EpochStart(new_epoch=1), ts=T0)
        w.append(SourceDefined(uid=1000, source=1, role=SourceRole.MARKET_DATA, name="md", grants=[Grant(200, 299)]), ts=T0 + 1)
        w.append(SourceDefined(uid=1000, source=2, role=SourceRole.ALGO, name="maker1"), ts=T0 + 2)
        w.append(
            InstrumentDefined(instrument=7, px_exp=-2, qty_exp=-3, tick_px=10, lot_qty=1, name="BTCUSDT"),
            ts=T0 + 3,
            source=1,
            source_seq=1,
        )
        levels = [Level(6_543_210, 1500), Level(6_543_200, 20)], [Level(6_543_220, 700)]
        w.append(
            MarketByPriceSnapshot(instrument=7, exchange_ts=T0 - 5_000_000, bids=levels[0], asks=levels[1]),
            ts=T0 + 1000,
            source=1,
            source_seq=2,
            origin_ts=T0 + 900,
            flags=Flag.LAST | Flag.SNAPSHOT,
        )
        w.append(
            TopOfBook(instrument=7, bid_px=6_543_210, bid_qty=1500, ask_px=6_543_220, ask_qty=700),
            ts=T0 + 1001,
            source=1,
            source_seq=3,
            cause=5,
            origin_ts=T0 + 900,
        )
        order_id = order_id_of(2, 1)
        w.append(
            NewOrder(
                order_id=order_id,
                instrument=7,
                account=1,
                strategy=1,
                side=Side.BUY,
                ord_type=OrdType.LIMIT,
                tif=TimeInForce.GTC,
                order_qty=100,
                price_px=6_543_210,
                book_seq=6,
            ),
            ts=T0 + 2000,
            source=2,
            source_seq=1,
            cause=6,
            origin_ts=T0 + 1001,
        )
        w.append(
            ExecutionReport(
                order_id=order_id,
                instrument=7,
                account=1,
                side=Side.BUY,
                exec_type=ExecType.TRADE,
                ord_status=OrdStatus.FILLED,
                order_qty=100,
                cum_qty=100,
                leaves_qty=0,
                last_qty=100,
                last_px=6_543_210,
            ),
            ts=T0 + 3000,
            source=3,
            source_seq=1,
            cause=7,
        )
        w.append(Reject(for_source=2, for_source_seq=2, count=1, refused_kind=9999, reason=Reason.UNKNOWN_KIND), ts=T0 + 4000)
        w.append_bytes(12_345, 1, bytes(range(16)), ts=T0 + 5000, source=9, source_seq=1)
        w.begin_epoch()
        w.append(Clock(wall_ts=T0 + 6000, mono_ns=42), ts=T0 + 6000)


if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write(GOLDEN)
    (GOLDEN / "lock").unlink()
    (GOLDEN / "expected.txt").write_text(text_of(GOLDEN))
    print((GOLDEN / "expected.txt").read_text())
