"""The table is total, and the step does what every one of its cells says."""

from __future__ import annotations

import pytest
from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, STRATEGY, VENUE, Recorder

from journal.messages import Alert, ExecutionReport, OrdStatus, Reason, RoutedQuery, order_id_of
from oms.order import Order, Request, Unknown
from oms.transitions import CLOSED_STATES, TABLE, Event, State

_BASE = {
    State.RCV: OrdStatus.RECEIVED,
    State.PN: OrdStatus.PENDING_NEW,
    State.N: OrdStatus.NEW,
    State.PF: OrdStatus.PARTIALLY_FILLED,
    State.PC: OrdStatus.NEW,
    State.PR: OrdStatus.NEW,
    State.U: OrdStatus.NEW,
    State.SUS: OrdStatus.SUSPENDED,
    State.F: OrdStatus.FILLED,
    State.C: OrdStatus.CANCELED,
    State.E: OrdStatus.EXPIRED,
    State.R: OrdStatus.REJECTED,
}
_RESTATED = {Event.TRADE_CANCEL: (0, 5000), Event.TRADE_CORRECT: (39, 5001)}
_FILL_QTY = {Event.FILL: 10, Event.FILL_LAST: None, Event.FILL_OVER: 1000}


def order_in(state: State, *, acknowledged: bool = True) -> Order:
    order = Order(
        order_id=order_id_of(STRATEGY, 1), source=STRATEGY, account=ACCOUNT, instrument=INSTRUMENT, order_qty=100, side=1,
        price_px=5000, venue=VENUE, base=_BASE[state], routed_seq=3, current_seq=3, destination=2,
    )  # fmt: skip
    if state is State.PF:
        order.add_fill("first", 40, 5000)
    if state is State.F:
        order.add_fill("first", 100, 5000)
    if state is State.PC:
        order.cancel = Request(request_seq=4, version=1, routed=True, routed_seq=5)
    if state is State.PR:
        order.replace = Request(request_seq=4, version=1, routed=True, routed_seq=5, order_qty=200, price_px=5001)
    if state is State.U:
        order.unknown = Unknown.ORDER
    if not acknowledged:
        order.base = OrdStatus.PENDING_NEW
    assert order.state is state
    order.check()
    return order


def recorder_with(order: Order) -> Recorder:
    r = Recorder()
    r.ready()
    r.oms.memory.orders[order.order_id] = order
    r.emitted.clear()
    r.pending.clear()
    r.source = GATEWAY
    return r


def step(r: Recorder, order: Order, event: Event) -> None:
    """The step, with what such an event brings."""
    request = Request(request_seq=9, version=9, routed=True)
    rest = order.order_qty - order.cum_qty

    def then() -> None:
        if event in _FILL_QTY:
            order.add_fill("another", _FILL_QTY[event] or rest, 5000)
        elif event in (Event.CANCEL_ASKED, Event.KILL, Event.POLICY_CANCEL) and order.base != OrdStatus.RECEIVED:
            order.cancel = request
        elif event is Event.REPLACE_ASKED:
            order.replace = request
        elif event in _RESTATED and "first" in order.fills:
            order.restate_fill("first", *_RESTATED[event])
        elif event is Event.VENUE_REPLACED:
            order.replace, order.order_qty = None, 200
        elif event is Event.HELD_REPLACED:
            order.replace = None

    r.oms.step(order, event, then=then)


def expected(order: Order, event: Event, acknowledged: bool) -> set[State]:
    """States the cell allows, from the cell's text alone."""
    was = order.state
    cell = TABLE[event][was]
    base = State.PF if (order.cum_qty and event is not Event.TRADE_CANCEL) or event is Event.FILL else State.N
    if was is State.SUS or order.base == OrdStatus.SUSPENDED:
        base = State.SUS if event not in (Event.FILL, Event.VENUE_NEW, Event.VENUE_TRIGGERED) else base
    if event is Event.CORRECTED_OPEN and was in CLOSED_STATES:
        base = State.PF if order.cum_qty else State.N
    if not acknowledged and event in (Event.CANCEL_REFUSED, Event.REPLACE_REFUSED, Event.CANCEL_OTHER, Event.REPLACE_OTHER,
                                      Event.CANCEL_TOO_LATE, Event.REPLACE_TOO_LATE, Event.VENUE_PENDING_NEW):  # fmt: skip
        base = State.PN
    match cell.to:
        case "=" | "x" | "rj" | "h":
            return {was}
        case "b":
            return {base}
        case "bn":
            return {was} if acknowledged else {base}
        case "bo":
            return {was}  # the whole order is unknown, not this request alone
        case "N" | "PF":
            return {base}
        case "PC" | "PR" if was is State.U:
            return {State.U}
        case "R0":
            return {was} if order.cum_qty else {State.R}
        case "Rn":
            return {State.U} if acknowledged else {State.R}
    return {State[cell.to]}


CELLS = [
    pytest.param(event, state, acknowledged, id=f"{event.name}-{state.name}{'' if acknowledged else '-unacknowledged'}")
    for event in Event
    for state in State
    for acknowledged in ((True, False) if state in (State.PC, State.U) else (True,))
]


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(Event)
    for event, row in TABLE.items():
        assert list(row) == list(State), event


@pytest.mark.parametrize(("event", "state", "acknowledged"), CELLS)
def test_every_cell_is_handled(event: Event, state: State, acknowledged: bool) -> None:
    order = order_in(state, acknowledged=acknowledged)
    r = recorder_with(order)
    cell = TABLE[event][state]
    wanted = expected(order, event, acknowledged)
    before = order.essence()
    step(r, order, event)
    assert order.state in wanted
    order.check()
    reports = r.said(ExecutionReport)
    restated = event in _RESTATED and cell.to != "x"
    assert len(reports) == (order.essence() != before or restated)
    for report in reports:
        assert report.cum_qty + report.leaves_qty + report.cxl_qty == max(report.order_qty, report.cum_qty)
        assert report.ord_status == order.ord_status
    if cell.alert or cell.to == "x":
        assert r.said(Alert)
    if cell.to == "x":
        assert [m.rule for m in r.said(Alert)] == [Reason.ILLEGAL_TRANSITION]
    if cell.query:
        assert r.said(RoutedQuery)
    if cell.to in ("x", "rj"):
        assert order.essence() == before


@pytest.mark.parametrize("state", CLOSED_STATES)
@pytest.mark.parametrize("event", Event)
def test_a_closed_order_reopens_only_when_the_venue_works_what_we_called_rejected(event: Event, state: State) -> None:
    order = order_in(state)
    r = recorder_with(order)
    step(r, order, event)
    reopened = not order.closed
    by_venue = state is State.R and event in (Event.VENUE_NEW, Event.FILL)
    assert reopened == (by_venue or (event is Event.CORRECTED_OPEN and state is not State.F))


def test_a_bad_cell_names_itself() -> None:
    from oms.transitions import _parse

    with pytest.raises(ValueError, match="'PX' is no cell"):
        _parse("PX")
