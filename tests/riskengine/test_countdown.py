"""The venue's own dead man's timer: armed, kept up, let go, by the stream's time."""

from __future__ import annotations

import pytest
from risk_recorder import ACCOUNT, GATEWAY, SECOND, VENUE, RiskRecorder

from journal.messages import (
    Alert,
    Clock,
    ConnectionState,
    DeadManAction,
    DestinationDefined,
    GatewayPhase,
    GatewayStatus,
    OrdType,
    RoutedDeadMan,
    SourceState,
    SourceStateCode,
    StreamStatus,
    SupportType,
    VenueDeadMan,
    VenueDefined,
    VenueStatus,
    VenueStatusCode,
)
from riskengine.controlled import Rules

ARM, REFRESH, DISARM = DeadManAction.ARM, DeadManAction.REFRESH, DeadManAction.DISARM
TIMEOUT = 30 * SECOND


class Desk(RiskRecorder):
    def __init__(self, *, supports: int = SupportType.DEAD_MAN, timeout_ns: int = TIMEOUT) -> None:
        super().__init__()
        self.configure(Rules(dead_men=[(VENUE, timeout_ns)] if timeout_ns else []))
        self.frame(VenueDefined(venue=VENUE, supports=supports, ord_types=1 << OrdType.LIMIT))
        self.frame(DestinationDefined(destination=2, venue=VENUE, account=ACCOUNT, gateway=GATEWAY))

    def phase(self, phase: int, source: int = GATEWAY) -> None:
        self.frame(GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=source, phase=phase), source)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.frame(Clock(), 0, ns=SECOND)

    def status(self, code: int) -> None:
        self.frame(VenueStatus(venue=VENUE, status=code), GATEWAY)

    @property
    def said(self) -> list[tuple[int, int]]:
        return [(m.action, m.timeout_ns) for m in self.emitted if isinstance(m, RoutedDeadMan)]


def test_armed_when_ready_and_kept_up_three_times_in_its_time() -> None:
    d = Desk()
    assert d.said == []
    d.phase(GatewayPhase.DOWNLOADING)
    assert d.said == []
    d.phase(GatewayPhase.READY)
    assert d.said == [(ARM, TIMEOUT)]
    d.wait(9)
    assert len(d.said) == 1
    d.wait(1)
    assert d.said[1:] == [(REFRESH, TIMEOUT)]
    d.wait(20)
    assert d.said[1:] == [(REFRESH, TIMEOUT)] * 3
    (m,) = [m for m in d.emitted if isinstance(m, RoutedDeadMan)][:1]
    assert (m.account, m.destination) == (ACCOUNT, 2)


@pytest.mark.parametrize("without", [{"supports": 0}, {"timeout_ns": 0}])
def test_neither_where_the_venue_has_none_nor_where_nobody_wants_it(without: dict[str, int]) -> None:
    d = Desk(**without)
    d.phase(GatewayPhase.READY)
    d.status(VenueStatusCode.ONLINE)
    d.wait(40)
    assert d.said == []


LOSSES = [
    GatewayStatus(venue=VENUE, account=ACCOUNT, gateway=GATEWAY, phase=GatewayPhase.DISCONNECTED),
    StreamStatus(venue=VENUE, account=ACCOUNT, connection=ConnectionState.DISCONNECTED),
    SourceState(source=GATEWAY, state=SourceStateCode.DEAD),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda m: type(m).__name__)
def test_without_its_gateway_it_runs_out_and_is_armed_anew(loss: GatewayStatus | StreamStatus | SourceState) -> None:
    d = Desk()
    d.phase(GatewayPhase.READY)
    d.frame(loss, 0 if isinstance(loss, SourceState) else GATEWAY)
    d.wait(40)
    assert d.said == [(ARM, TIMEOUT)]
    d.phase(GatewayPhase.READY)
    d.wait(10)
    assert d.said[1:] == [(ARM, TIMEOUT), (REFRESH, TIMEOUT)]


def test_another_gateways_word_is_about_its_own_connection() -> None:
    d = Desk()
    d.frame(DestinationDefined(destination=3, venue=VENUE, account=ACCOUNT, gateway=44))
    d.phase(GatewayPhase.READY)
    d.phase(GatewayPhase.READY, 44)
    assert [m.destination for m in d.emitted if isinstance(m, RoutedDeadMan)] == [2, 3]
    d.phase(GatewayPhase.DISCONNECTED, 44)
    d.wait(10)
    assert [m.destination for m in d.emitted if isinstance(m, RoutedDeadMan)][2:] == [2]


def test_let_go_during_maintenance() -> None:
    d = Desk()
    d.phase(GatewayPhase.READY)
    d.status(VenueStatusCode.MAINTENANCE)
    d.status(VenueStatusCode.MAINTENANCE)
    d.phase(GatewayPhase.READY)  # it can be reached, and would still find everything unrefreshed
    d.wait(40)
    assert d.said == [(ARM, TIMEOUT), (DISARM, 0)]
    d.status(VenueStatusCode.ONLINE)
    d.wait(10)
    assert d.said[2:] == [(ARM, TIMEOUT), (REFRESH, TIMEOUT)]


def test_let_go_where_nobody_wants_it_any_more() -> None:
    d = Desk()
    d.phase(GatewayPhase.READY)
    d.configure(Rules())
    d.wait(40)
    assert d.said == [(ARM, TIMEOUT), (DISARM, 0)]


def test_a_person_is_told_once_that_the_venue_does_not_hold_it() -> None:
    d = Desk()
    d.phase(GatewayPhase.READY)
    for confirmed, alerts in ((0, 1), (0, 1), (1, 1), (0, 2)):
        d.frame(VenueDeadMan(venue=VENUE, account=ACCOUNT, state=REFRESH, confirmed=confirmed), GATEWAY)
        assert sum(isinstance(m, Alert) for m in d.emitted) == alerts
    d.frame(VenueDeadMan(venue=VENUE, account=99, state=REFRESH), GATEWAY)
    assert sum(isinstance(m, Alert) for m in d.emitted) == 2


def test_restarts_say_the_same() -> None:
    d = Desk()
    d.phase(GatewayPhase.READY)
    d.wait(15)
    d.status(VenueStatusCode.MAINTENANCE)
    d.status(VenueStatusCode.ONLINE)
    d.wait(5)
    for at in range(2, len(d.stream)):
        assert d.replay(restart_at=at).emitted == d.emitted
