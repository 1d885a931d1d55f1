"""The life of plain orders in C: what is said, what is set and what is kept is as oms.OrderManager has it in Python, whatever
venue, strategy and operator do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apps.group
from journal.messages import (
    DestinationDefined,
    DifferenceType,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    GatewayStatus,
    InstrumentDefined,
    OrderCancelReject,
    OrdStatus,
    Reason,
    RiskDecision,
    RoutedCancel,
    RoutedReplace,
)
from oms.budgets import Kind, Rule
from oms.differences import Compared, Open
from tests.apps.orders_day import PLAIN, Day
from tests.apps.stream import MANY
from tests.apps.test_decisions import GATEWAY, orders
from tests.apps.told import watch

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

Step = tuple[str, Any]
ASKED = ("order", "market", "ending")
MINUTE = 60_000_000_000
GATES_KEPT = 64
"""As oms.h has it."""
BEGIN = ("order", "pass", "sent", "new")
FILLED = (*BEGIN, "part", "part", "rest")
TAKEN = ("market", *FILLED[1:])
REPLACED = ("replace both", "pass", "replace sent", "replaced")
CANCELED = ("cancel", "cancel sent", "canceled")
ENDING = ("offers", "ending", *BEGIN[1:])
CROSSED = (
    *BEGIN,
    "part",
    "replace",
    "part",
    "pass",
    "part",
    "replace sent",
    "part",
    "replaced to",
    "part",
    "cancel",
    "part",
    "canceled",
)
"""Lives as they usually are. `pass` is for a day on which no risk engine is there to say it."""
LIVES = (
    BEGIN, FILLED, TAKEN, REPLACED, CANCELED, CROSSED, ("market", *BEGIN[1:], *CANCELED),
    (*BEGIN, *REPLACED, *REPLACED, *CANCELED),
    (*REPLACED, "part", "replace less", "pass"),
    ("order", "pass", "cancel", "new", "cancel sent", "canceled"),
    ("replace px", "pass", "cancel", "replaced", "canceled"),
    (*ENDING, "replace life", *REPLACED[1:], "part", "time", "cancel sent", "canceled"),
    (*ENDING, *REPLACED, "replace end", "pass", "replace px", "pass", "time", "replaced", "time", "cancel rejected",
     "replace end"),
    (*ENDING, "rejected", "new", "time", "replace px", "pass", "time", "cancel rejected"),
    ("offers", *BEGIN, "replace life", *REPLACED[1:], "part", "replace px", "pass", "time", "canceled"),
    ("offers", *BEGIN, "replace end", "pass", "replace life", *REPLACED[1:], "time", "cancel rejected"),
)  # fmt: skip

WORLDS = (
    "lost", "ready", "kill", "kill one", "release", "venue down", "venue up", "owned", "offers", "second way", "over", "time",
)  # fmt: skip
"""After most of these little is plain for the rest of the day, so they are few."""
worlds = st.sampled_from(WORLDS)
ODD = (
    "again", "canceled", "expired", "rejected", "refused", "pending", "suspended", "status", "no trade id", "text id",
    "unnamed", "other side", "huge", "bad ref", "long ref", "wrong request", "late", "unknown order", "negative", "ended",
    "ended why", "disconnect", "time",
)  # fmt: skip
CHANGES = (
    "replace", "replace less", "replace px", "replace both", "replace to filled", "replace below", "replace to none",
    "replace nothing", "replace empty", "replace stop", "replace display", "replace life", "replace huge", "replace numbered",
    "replace stale", "replace last", "replace if first", "replace later", "replace by other", "replace by operator", "cancel",
    "sweep", "cancel why", "cancel numbered", "cancel stale", "cancel if first", "cancel later", "cancel by other",
    "cancel by operator", "change unknown", "replace end", "pass", "pass again", "warn", "pass other", "pass earlier",
    "refuse",
)  # fmt: skip
ANSWERS = (
    "replace sent", "cancel sent", "replaced", "replaced to", "replaced small", "replaced odd", "replaced huge",
    "replace late", "replace rejected", "cancel late", "cancel rejected", "cancel of none", "replace refused",
    "cancel refused", "stray cancel", "stray replace", "canceled", "part", "rest",
)  # fmt: skip


happening = st.one_of(*(st.sampled_from(names) for names in (ODD, CHANGES, CHANGES, ANSWERS)))


@st.composite
def lives(draw: st.DrawFn) -> list[Step]:
    """A life, with something that happens in between."""
    steps = [(what, draw(st.integers(0, 30)) if what in ASKED else 0) for what in draw(st.sampled_from(LIVES))]
    for what in draw(st.lists(happening, max_size=4)):
        steps.insert(draw(st.integers(0, len(steps))), (what, 0))
    return steps


def flat(parts: Iterable[list[Step]]) -> list[Step]:
    return list(chain.from_iterable(parts))


one = st.one_of(
    st.tuples(st.one_of(worlds, happening), st.integers(0, 5)), st.tuples(st.just("any order"), orders())
).map(lambda step: [step])  # fmt: skip
days = st.lists(st.one_of(*(lives(),) * 6, one), min_size=8, max_size=30).map(flat)


def both(stack: ExitStack, **how: Any) -> Iterator[Day]:
    """The same day in C, and in Python."""
    for in_c in (True, False):
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        yield stack.enter_context(Day(folder, in_c=in_c, **how))


@settings(max_examples=MANY // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(days, st.booleans(), st.booleans())
def test_orders_live_as_in_python(day: list[Step], compared: bool, alone: bool) -> None:
    with ExitStack() as stack:
        fast, slow = both(stack, compared=compared, alone=alone)
        watch(fast.stream, fast.app)
        for step in [("order", 1), *day]:
            for each in (fast, slow):
                each.play(*step)
            assert fast.slot.snapshot() == slow.slot.snapshot(), step
            assert fast.slot.digest() == slow.slot.digest(), step  # of what is said to have changed
        assert fast.stream.messages() == slow.stream.messages()
        fast.app.machine.check()


STATES = {
    "works": BEGIN,
    "has filled": (*BEGIN, "part"),
    "is to be replaced": (*BEGIN, "part", "replace both"),
    "is being replaced": (*BEGIN, "part", *REPLACED[:3]),
    "is being canceled": (*BEGIN, "part", "cancel", "cancel sent"),
    "is being both": (*BEGIN, "part", *REPLACED[:3], *CANCELED[:2]),
    "at the market": ("market", *BEGIN[1:]),
    "has an end": ENDING,
    "is one of two": ("listed", "sent", "new"),
    "is one of two and fills": ("listed", "sent", "new", "part"),
    "is a child": ("child", *BEGIN[1:], "part"),
    "is to be asked for": (*BEGIN, "part", "rejected", "rejected"),
    "is not answered": (*BEGIN[:3], "time", "wrong request"),
    "is swept": (*BEGIN, "part", "sweep"),
}


@pytest.mark.parametrize("state", STATES)
def test_whatever_happens_to_an_order_that(state: str) -> None:
    """Each change and answer, in each state that such a thing is about; and then what usually follows."""
    life = STATES[state]
    with ExitStack() as stack:
        fast, slow = both(stack, alone=True)
        for each in (fast, slow):
            for hurry in ((), ("cancel",), ("replace px", "pass")):
                played(each, *life, *hurry, *("wrong request",) * 8)  # nobody answers in time
        for what in (*CHANGES, *ANSWERS, "suspended", "new", "sent", "canceled")[:: 100 // MANY]:
            for each in (fast, slow):
                played(each, *life, what, "pass", "replace sent", "replaced", "part", "cancel sent", "canceled")
            assert fast.slot.digest() == slow.slot.digest(), what
        assert fast.stream.messages() == slow.stream.messages()
        fast.app.machine.check()


AND_THEN = {"download": ("row",), "way beside": ("that is ready", "its way is loading")}


@pytest.mark.parametrize("state", ["has filled", "is to be replaced", "is being replaced"])
@pytest.mark.parametrize("world", [*WORLDS, "budget", "download", "way beside"])
def test_a_replace_in_a_world_that_changes(state: str, world: str) -> None:
    """Each has a day of its own."""
    with ExitStack() as stack:
        fast, slow = both(stack, alone=True, compared=world == "download")
        for each in (fast, slow):
            played(each, *STATES[state])
            if world == "budget":
                each.app.machine.set_budgets([Rule(name="few", venue=1, kind=Kind.FIXED_WINDOW, limit=1, period_ns=MINUTE)])
            else:
                played(each, world, *AND_THEN.get(world, ()))
            played(each, "replace px", "pass", "replace sent", "replaced", "replace", "pass", "part", "cancel", "time")
        assert fast.stream.messages() == slow.stream.messages()
        assert fast.slot.digest() == slow.slot.digest()
        fast.app.machine.check()


def test_whatever_happens_once_in_a_life() -> None:
    """Each thing (a fifth of them under sanitizers), at every third moment; all of one thing on one day."""
    life = (*BEGIN, "part", *REPLACED[:3], "part", "cancel", "part", "replaced", "cancel sent", "canceled")
    for n, what in enumerate((*ODD, *CHANGES, *ANSWERS)[:: 100 // MANY]):
        with ExitStack() as stack:
            fast, slow = both(stack, alone=True)
            for each in (fast, slow):
                watch(each.stream, each.app)
            for at in range(1 + n % 3, len(life) + 1, 3):
                for each in (fast, slow):
                    played(each, *life[:at], what, *life[at:])
                assert fast.slot.digest() == slow.slot.digest(), (what, at)
            assert fast.stream.messages() == slow.stream.messages(), what
            fast.app.machine.check()


@pytest.mark.parametrize("begin", [ENDING, ("offers", *BEGIN)], ids=["from the start", "from its replace on"])
def test_ends_that_we_keep_are_for_python_and_go_to_no_venue(begin: tuple[str, ...]) -> None:
    with ExitStack() as stack:
        fast, slow = both(stack, alone=True)
        for day in (fast, slow):
            day.play("order", 0)
            played(day, *begin, *REPLACED, "part", "replace end", "pass", "replace life", *REPLACED[1:], "time", "time")
            played(day, "cancel sent", "canceled")
        assert [m.expire_ts for m in fast.stream.messages(RoutedReplace)] == [0, 0]
        assert [m.reason for m in fast.stream.messages(RoutedCancel)] == [Reason.EXPIRED_BY_TIME]
        assert [m.exec_type for m in fast.stream.messages(ExecutionReport)].count(ExecType.REPLACED) == 3
        assert fast.stream.messages() == slow.stream.messages()
        assert fast.slot.digest() == slow.slot.digest()
        fast.app.machine.check()


@pytest.mark.parametrize("again", ["new", "part"])
def test_an_end_that_we_keep_is_there_again_with_the_order(again: str) -> None:
    with ExitStack() as stack:
        fast, slow = both(stack, alone=True)
        for day in (fast, slow):
            day.play("order", 0)
            played(day, *ENDING[:-1], "rejected", again, "time", "replace px", "pass", "time", "sent")
        assert [m.reason for m in fast.stream.messages(RoutedCancel)] == [Reason.EXPIRED_BY_TIME]
        assert fast.stream.messages() == slow.stream.messages()
        assert fast.slot.digest() == slow.slot.digest()
        fast.app.machine.check()


@pytest.mark.parametrize(("venue", "account"), [(1 + GATES_KEPT, 7), (1, 7 + GATES_KEPT)])
def test_two_gates_whose_names_are_kept_at_one_place(venue: int, account: int) -> None:
    with ExitStack() as stack:
        fast, slow = both(stack, alone=True)
        for each in (fast, slow):
            each.stream.input(InstrumentDefined(instrument=4, venue=venue), source=2)
            each.stream.input(DestinationDefined(destination=20, venue=venue, account=account, gateway=GATEWAY), source=2)
            played(each, *BEGIN, *REPLACED)
            for phase, steps in ((GatewayPhase.READY, BEGIN[1:]), (GatewayPhase.DOWNLOADING, REPLACED[:2])):
                each.stream.input(GatewayStatus(venue=venue, account=account, phase=phase), source=GATEWAY)
                if phase == GatewayPhase.READY:
                    each.ask(**PLAIN | {"instrument": 4, "account": account})
                played(each, *steps)
        assert len(fast.stream.messages(RoutedReplace)) == 1
        assert fast.stream.messages() == slow.stream.messages()
        assert fast.slot.digest() == slow.slot.digest()


def halted(c: Compared) -> None:
    c.halted = True


def unsettled(c: Compared) -> None:
    c.settled = False


def open_difference(c: Compared) -> None:
    c.open["STATUS"] = Open(DifferenceType.STATUS, 1, OrdStatus.NEW, OrdStatus.CANCELED, "")


def unknown_orders(c: Compared) -> None:
    c.unknown = 2


@pytest.mark.parametrize("bar", [halted, unsettled, open_difference, unknown_orders])
def test_a_barred_account_sends_no_replace(bar: Callable[[Compared], None]) -> None:
    with ExitStack() as stack:
        fast, slow = both(stack, compared=True, alone=True)
        for day in (fast, slow):
            played(day, *BEGIN, "replace both")
            compared = day.app.machine.memory.reconcile
            assert compared is not None
            bar(compared.accounts[7])
            played(day, "pass")
        assert fast.stream.messages(RoutedReplace) == []
        assert fast.stream.messages() == slow.stream.messages()


def played(day: Day, *names: str) -> None:
    """Steps about the newest order."""
    for what in names:
        day.play(what, 1 if what == "order" else 0)


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_a_plain_life_is_all_in_c(compared: bool, alone: bool) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        Day(folder, in_c=True, compared=compared, alone=alone) as day,
    ):
        for n in range(20):
            for what in (FILLED, TAKEN)[n % 4 == 3]:
                day.play(what, n if what in ASKED else 0)
        assert day.in_python == []
        reports = day.stream.messages(ExecutionReport)
        decisions = day.stream.messages(RiskDecision)
    assert len(decisions) == 20
    assert [m.exec_type for m in reports[:5]] == [ExecType.PENDING_NEW, ExecType.NEW, *[ExecType.TRADE] * 3]
    assert sum(m.ord_status == OrdStatus.FILLED for m in reports) == 20


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_replaces_and_cancels_are_all_in_c(compared: bool, alone: bool) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        Day(folder, in_c=True, compared=compared, alone=alone) as day,
    ):
        played(day, *BEGIN, *REPLACED, "part", "replace less", "pass", "part", "replace sent", "replaced", *CANCELED)
        played(day, *BEGIN, "replace px", "pass", "cancel", "part", "replaced", "cancel sent", "canceled")
        played(day, "order", "pass", "cancel", "cancel sent", "sent", "new", "ended")
        played(day, *BEGIN, "replace", "pass", "replaced to", "ended why")
        assert day.in_python == []
        reports = day.stream.messages(ExecutionReport)
        assert day.stream.messages(OrderCancelReject) == []
        assert len(day.stream.messages(RoutedReplace)) == 4
        assert len(day.stream.messages(RoutedCancel)) == 3
        day.app.machine.check()
    e = ExecType
    assert [m.exec_type for m in reports[:10]] == [
        e.PENDING_NEW, e.NEW, e.PENDING_REPLACE, e.REPLACED, e.TRADE, e.PENDING_REPLACE, e.TRADE, e.REPLACED, e.PENDING_CANCEL,
        e.CANCELED,
    ]  # fmt: skip
    assert [(m.order_qty, m.price_px, m.version) for m in reports[1:4:2]] == [(40, 9_990, 0), (44, 9_995, 1)]
    assert sum(m.ord_status == OrdStatus.CANCELED for m in reports) == 4
