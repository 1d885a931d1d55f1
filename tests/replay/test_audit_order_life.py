"""One order's life on a page: the golden text of the orders that go every way, and how an order is found."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from journal.messages import ExecutionReport, IdScheme, NewOrder, Position, VenueOrderUpdate, order_id_text
from journal.messages.client_ids import ClientIds
from replay.audit import Stream, UnknownOrder, life_lines, order_life
from tests.replay.sample_day import Day

GOLDEN = Path(__file__).parents[1] / "golden" / "order_life"
# What each one shows is said by its headline; together they touch every kind of frame an order can meet.
SHOWN = {
    "filled_in_two": "9·42",
    "canceled": "9·43",
    "replaced_then_filled": "9·44",
    "too_late_to_cancel": "10·2",
    "refused_by_risk": "9·45",
    "refused_by_the_venue": "9·46",
    "killed": "9·71",
}


@pytest.fixture(scope="module")
def stream(day_path: Path) -> Stream:
    return Stream(day_path)


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_is_as_recorded(stream: Stream, name: str) -> None:
    """LOCKSTEP_REWRITE_GOLDEN=1 writes the pages anew; read the difference before committing it."""
    page = "\n".join(life_lines(order_life(stream, SHOWN[name]))) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LOCKSTEP_REWRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")


def test_a_life_has_every_frame_of_the_order(day: Day, stream: Stream) -> None:
    for p in (p for p in day.puts if isinstance(p.message, NewOrder)):
        number = p.message.order_id
        about = {q.seq for q in day.puts if getattr(q.message, "order_id", None) == number}
        about |= {q.seq for q in day.puts if isinstance(q.message, Position) and q.cause in about}
        life = order_life(stream, order_id_text(number))
        seqs = [e.seq for e in life.events]
        assert seqs == sorted(seqs)
        assert about <= set(seqs)
        assert p.message.book_seq in seqs
        # Everything hangs on something, back to a tick, a command or a kill.
        roots = {e.kind for e in life.events if not e.parent}
        assert roots <= {"TopOfBook", "KillSwitch"}
        by_seq = {e.seq: e for e in life.events}
        for e in life.events:
            if e.parent:
                assert e.parent < e.seq
                assert e.depth == by_seq[e.parent].depth + 1
                assert e.after_ns == e.ts - by_seq[e.parent].ts


def test_an_order_is_found_by_any_of_its_names(day: Day, stream: Stream) -> None:
    number = (9 << 48) | 42
    said = next(p.message for p in day.puts if isinstance(p.message, VenueOrderUpdate) and p.message.order_id == number)
    for name in ("9·42", "9.42", "9:42", " 9 · 42 ", str(number), said.client_ref, said.venue_order_ref, "F88003"):
        assert order_life(stream, name).order_no == number, name
    # A client id that the venue never repeated still names the frame it was made of: tag + seq of the RoutedOrder.
    seq = int(said.client_ref.split("-")[1])
    assert order_life(stream, f"OTHER-{seq}").order_no == number
    for scheme in IdScheme:
        assert order_life(stream, ClientIds("X", scheme).text(seq)).order_no == number, scheme
    assert order_life(stream, "c1").order_id == "10·1"


@pytest.mark.parametrize(
    "name",
    [
        "9.999",
        "L1-77777",
        "x",
        "",
        "99999·1",
        "-1",
        "18446744073709551616",
        "L1-" + "9" * 40,
        "9·" + "9" * 40,
        "9" * 5000,
        "²",
        "٣·١",
    ],
)
def test_an_unknown_order_names_its_neighbours(stream: Stream, name: str) -> None:
    with pytest.raises(UnknownOrder) as unknown:
        order_life(stream, name)
    assert "\n" not in str(unknown.value)
    assert "is not among the 41 orders of" in str(unknown.value)
    if name == "9.999":
        assert str(unknown.value).endswith("nearest: 9·71, 9·70, 9·69, 9·68, 9·67")


def test_json_holds_what_the_page_leaves_out(day: Day, stream: Stream) -> None:
    life = order_life(stream, "9·44")
    told = msgspec.json.decode(msgspec.json.encode(life))
    reports = [e for e in told["events"] if e["kind"] == "ExecutionReport"]
    assert len(reports) == sum(isinstance(p.message, ExecutionReport) and p.message.order_id == life.order_no for p in day.puts)
    assert all(r["fields"]["price_px"] for r in reports)
    decisions = [e for e in told["events"] if e["kind"] == "RiskDecision"]
    assert [c.split()[0] for c in decisions[0]["checks"]] == ["KILL_SWITCH", "ORDER_NOTIONAL", "POSITION"]
