"""Several connections to one venue and account: turns, priorities, what is down and how it comes back, told on the stream."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oms_recorder import ACCOUNT, GATEWAY, SECOND, STRATEGY, VENUE, Recorder

from journal.messages import (
    CancelOrder,
    ConnectionState,
    DestinationDefined,
    ExecType,
    GatewayPhase,
    GatewayStatus,
    MarketStatus,
    OrdStatus,
    Reason,
    RoutedCancel,
    RoutedOrder,
    RoutingDecision,
    SendRefused,
    SourceState,
    SourceStateCode,
    StreamStatus,
    TradingStatus,
    VenueOrderUpdate,
    VenueStatus,
    VenueStatusCode,
)
from oms.venues import Place, Venues

SECOND_GATEWAY, THIRD_GATEWAY = 20, 21


class Several:
    def __init__(self, *priorities: int) -> None:
        self.r = Recorder()
        self.r.ready()
        self.numbers = 0
        gateways = {2: GATEWAY, 3: SECOND_GATEWAY, 4: THIRD_GATEWAY}
        self.gateways = dict(list(gateways.items())[: len(priorities)])
        for (destination, gateway), priority in zip(self.gateways.items(), priorities, strict=True):
            self.r.frame(
                DestinationDefined(destination=destination, venue=VENUE, account=ACCOUNT, gateway=gateway, priority=priority), 1
            )
        for destination in self.gateways:
            self.phase(destination, GatewayPhase.READY)

    def phase(self, destination: int, phase: int) -> None:
        source = self.gateways[destination]
        self.r.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=source, phase=phase), source)

    def send(self, **terms: int) -> int:
        """Where it went; 0 = nowhere."""
        self.numbers += 1
        order_id, seq = self.r.new(self.numbers, **terms)
        self.r.decide(seq)
        self.r.oms.check()
        self.order_id = order_id
        found = [m.destination for m in self.r.said(RoutedOrder) if m.order_id == order_id]
        return found[0] if found else 0

    def refuse(self, reason: int = Reason.NOT_CONNECTED) -> None:
        seq = self.r.routed(self.order_id)
        self.r.frame(SendRefused(request_seq=seq, order_id=self.order_id, reason=reason), GATEWAY)

    def decision(self) -> RoutingDecision:
        found: RoutingDecision = self.r.said(RoutingDecision)[-1]
        return found


def test_one_destination_says_nothing():
    s = Several(1)
    assert s.send() == 2
    assert not s.r.said(RoutingDecision)


def test_equals_take_turns_and_the_choice_is_told():
    s = Several(1, 1, 1)
    assert [s.send() for _ in range(7)] == [2, 3, 4, 2, 3, 4, 2]
    said = s.decision()
    assert (said.order_id, said.venue, said.destination, said.rule) == (s.order_id, VENUE, 2, 1)
    assert [(c.destination, c.skipped) for c in said.candidates] == [(2, 0), (3, 0), (4, 0)]
    assert s.r.routed(s.order_id) > next(q for q, _, m in s.r.stream if m is said)


def test_the_better_priority_goes_while_it_is_up():
    s = Several(2, 1, 1)
    assert [s.send() for _ in range(3)] == [3, 4, 3]
    s.phase(3, GatewayPhase.DISCONNECTED)
    assert [s.send() for _ in range(2)] == [4, 4]
    assert [(c.destination, c.skipped) for c in s.decision().candidates] == [(3, Reason.DESTINATION_DOWN), (4, 0), (2, 0)]
    s.phase(4, GatewayPhase.DOWNLOADING)
    assert s.send() == 2
    s.phase(3, GatewayPhase.READY)
    assert s.send() == 3


def test_none_up_is_a_rejection_with_the_candidates():
    s = Several(1, 1)
    s.phase(2, GatewayPhase.DISCONNECTED)
    s.phase(3, GatewayPhase.DISCONNECTED)
    assert s.send() == 0
    assert (s.r.last().ord_status, s.r.last().reason) == (OrdStatus.REJECTED, Reason.DESTINATION_DOWN)
    assert (s.decision().destination, [c.skipped for c in s.decision().candidates]) == (0, [Reason.DESTINATION_DOWN] * 2)


def test_an_order_may_name_its_destination():
    s = Several(1, 1)
    assert [s.send(destination=3) for _ in range(2)] == [3, 3]
    assert s.decision().rule == 2
    s.phase(3, GatewayPhase.DISCONNECTED)
    assert s.send(destination=3) == 0
    assert s.r.last().reason == Reason.DESTINATION_DOWN
    assert s.send(destination=9) == 0
    assert s.r.last().reason == Reason.UNKNOWN_VENUE_OR_DESTINATION


def test_failures_in_a_row_take_a_connection_out_and_evidence_brings_it_back():
    s = Several(1, 2)
    for _ in range(2):
        assert s.send() == 2
        s.refuse()
    assert s.send() == 2  # two are not three
    s.refuse()
    assert s.send() == 3
    s.r.pass_time(9 * SECOND)
    assert s.send() == 3
    s.r.pass_time(SECOND)
    assert s.send() == 2  # it is tried
    s.refuse()
    assert s.send() == 3  # and fails: no three more
    s.r.pass_time(10 * SECOND)
    assert s.send() == 2
    s.r.frame(VenueOrderUpdate(order_id=s.order_id, exec_type=ExecType.NEW), GATEWAY)
    for _ in range(2):
        assert s.send() == 2
        s.refuse()
    assert s.send() == 2


def test_a_refusal_for_the_orders_sake_says_nothing_about_the_connection():
    s = Several(1, 2)
    for _ in range(5):
        assert s.send() == 2
        s.refuse(Reason.HARD_CAP)


def test_what_is_lost_is_what_went_by_the_lost_connection():
    s = Several(1, 1)
    first, second = (s.send(), s.order_id), (s.send(), s.order_id)
    assert (first[0], second[0]) == (2, 3)
    for order_id in (first[1], second[1]):
        s.r.frame(VenueOrderUpdate(order_id=order_id, exec_type=ExecType.NEW), GATEWAY)
    s.r.frame(StreamStatus(venue=VENUE, account=ACCOUNT, stream=1, connection=ConnectionState.DISCONNECTED), SECOND_GATEWAY)
    states = [s.r.oms.memory.orders[o].ord_status for o in (first[1], second[1])]
    assert states == [OrdStatus.NEW, OrdStatus.UNKNOWN]
    s.phase(3, GatewayPhase.READY)
    assert s.r.emitted[-1].order_id == second[1]  # its outcome is asked for
    s.r.frame(SourceState(source=GATEWAY, state=SourceStateCode.DEAD), 0)
    assert s.r.oms.memory.orders[first[1]].ord_status == OrdStatus.UNKNOWN
    s.r.frame(CancelOrder(order_id=first[1]), STRATEGY)
    assert s.r.said(RoutedCancel)[-1].destination == 2  # where the order is


def test_a_venue_that_is_down_takes_nothing_new():
    s = Several(1)
    for status, reason in ((VenueStatusCode.DOWN, Reason.DESTINATION_DOWN), (VenueStatusCode.MAINTENANCE, Reason.MAINTENANCE),
                           (VenueStatusCode.CANCEL_ONLY, Reason.MODE_RESTRICTED)):  # fmt: skip
        s.r.frame(VenueStatus(venue=VENUE, status=status), GATEWAY)
        assert s.send() == 0
        assert s.r.last().reason == reason
    s.r.frame(VenueStatus(venue=VENUE, status=VenueStatusCode.DOWN, until_ts=s.r.now + SECOND), GATEWAY)
    assert s.send() == 0
    s.r.pass_time(SECOND)
    assert s.send() == 2


def test_the_same_stream_says_the_same_through_a_restart():
    s = Several(1, 1, 2)
    for number in range(6):
        s.send()
        if number % 2:
            s.refuse()
    for at in range(0, len(s.r.stream), 3):
        said = s.r.replay(restart_at=at)
        assert [m.encode() for m in said] == [m.encode() for m in s.r.emitted]


# Venues.


def test_venues_take_turns_and_those_that_are_down_are_passed_over():
    v = Venues()
    places = [Place(1, 7, 1001), Place(2, 8, 2001), Place(3, 9, 3001, priority=1)]
    last, went = 0, []
    for _ in range(3):
        chosen, rows = v.select(last, places, 0)
        assert chosen is not None
        assert [r.skipped for r in rows] == [0, 0, 0]
        last = chosen.venue
        went.append(last)
    assert went == [1, 2, 1]
    v.on_venue_status(VenueStatus(venue=1, status=VenueStatusCode.MAINTENANCE, until_ts=100))
    v.on_market_status(MarketStatus(instrument=2001, trading_status=TradingStatus.HALT))
    chosen, rows = v.select(last, places, 99)
    assert chosen == places[2]
    assert [r.skipped for r in rows] == [Reason.MAINTENANCE, Reason.MARKET_CLOSED, 0]
    v.on_gateway_phase(3, 9, GatewayPhase.DISCONNECTED)
    assert v.select(last, places, 99)[0] is None
    assert v.select(last, places, 100)[0] == places[0]


@settings(max_examples=100, deadline=None)
@given(up=st.lists(st.sets(st.integers(1, 4)), min_size=1, max_size=30))
def test_turns_are_fair_whatever_goes_down(up):
    """The obvious model: a ring one walks along, stepping over what is down."""
    ring, at, last = [1, 2, 3, 4], -1, 0
    for alive in up:
        v = Venues()
        for venue in ring:
            if venue not in alive:
                v.on_venue_status(VenueStatus(venue=venue, status=VenueStatusCode.DOWN))
        chosen, _ = v.select(last, [Place(venue, 1, venue) for venue in ring], 0)
        steps = [ring[(at + n) % 4] for n in range(1, 5) if ring[(at + n) % 4] in alive]
        assert (chosen.venue if chosen is not None else 0) == (steps[0] if steps else 0)
        if chosen is not None:
            last, at = chosen.venue, ring.index(chosen.venue)
