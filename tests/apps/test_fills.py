"""Reports that positions and strategies need no Python for: either way of the step holds and says the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apps.group
from apps.app import App
from apps.ledger import Ledger
from apps.positions import Positions
from apps.strategy import Strategy
from journal.messages import (
    NULL,
    ContractType,
    CurrencyDefined,
    ExecType,
    ExecutionReport,
    InstrumentDefined,
    OrderCancelReject,
    OrdStatus,
    Position,
    ReportFlag,
    Side,
    order_id_of,
)
from journal.reader import JournalReader
from tests.apps.stream import MANY, Stream

pytestmark = pytest.mark.skipif(apps.group._fast is None, reason="the accelerator was not built")

POSITIONS, MINE, OTHER, HEARS = 8, 9, 10, 11


class Mine(Strategy):
    def start(self):
        self.reports = []

    def on_execution_report(self, m):
        self.reports.append((self.seq, m.order_id, m.ord_status))

    def on_order_cancel_reject(self, m):
        self.reports.append((self.seq, m.order_id))


class Hears(App):
    """Hears of positions in the frame of their fill."""

    requires = (Positions,)

    def __init__(self):
        self.heard = []

    def derived_handlers(self):
        return {Position.KIND: self.position}

    def position(self, m):
        self.heard.append((self.seq, m.encode()))


def with_apps(add):
    mine = Mine()
    mine.configure({})
    return [
        add(n, a, s) for n, a, s in (("positions", Positions(), POSITIONS), ("mine", mine, MINE), ("hears", Hears(), HEARS))
    ]


def recorded(folder, messages):
    stream = Stream(folder)
    with_apps(stream.add)
    for message in messages:
        stream.input(message)
    stream.close()


def played(folder, *, accelerated):
    group = apps.group.Group()
    if not accelerated:
        group._runner = None
    slots = with_apps(lambda n, a, s: group.add(n, a, source=s, ledger=Ledger(n)))
    with JournalReader(folder) as reader:
        while (batch := reader.poll()) is not None:
            group.run(batch.buffer, batch.refs)
    states = [(s.snapshot(), s.events, s.app.seq) for s in group.slots]
    return states, slots[0].ledger.compared, slots[1].app.reports, slots[2].app.heard


def definitions(**terms):
    linear = {"quote_currency": 2, "px_exp": -2, "qty_exp": -3} | terms
    return [
        CurrencyDefined(currency=2, ledger_exp=-8),
        CurrencyDefined(currency=3, ledger_exp=0),
        InstrumentDefined(instrument=1, **linear),
        InstrumentDefined(instrument=2, quote_currency=3, px_exp=-2, multiplier=5, multiplier_exp=-1),
        InstrumentDefined(instrument=3, contract=ContractType.INVERSE, settlement_currency=2, px_exp=-2, multiplier=100),
    ]


def fill(qty, px=6_000_000, **terms):
    side = Side.BUY if qty > 0 else Side.SELL
    common = {"account": 1, "strategy": 1, "instrument": 1, "exec_type": ExecType.TRADE, "fee_currency": 2, "fee_exp": -8}
    return ExecutionReport(
        **{"order_id": order_id_of(MINE, 1), "side": side, "last_qty": abs(qty), "last_px": px} | common | terms
    )


QTY = st.one_of(st.integers(1, 12), st.integers(-(2**62), 2**62), st.sampled_from([0, NULL, 2**63 - 1, -5]))
PX = st.one_of(st.integers(-50, 12_000), st.integers(-(2**63), 2**63 - 1), st.just(NULL))
FEE = st.one_of(st.integers(-90, 90), st.integers(-(2**63), 2**63 - 1), st.just(NULL))


@st.composite
def reports(draw):
    """Mostly small fills of one position; some of others, taken back, repeated, huge, without a price, in odd money."""
    found = []
    for _ in range(draw(st.integers(2, 40))):
        odd = draw(st.integers(0, 9))
        rare = [e for e in ExecType if e != ExecType.UNDEFINED] if odd == 0 else [ExecType.TRADE]
        found.append(
            ExecutionReport(
                order_id=order_id_of(draw(st.sampled_from([MINE, OTHER])), draw(st.integers(1, 3))),
                account=1 + (odd == 1), strategy=draw(st.integers(0, 1)),
                instrument=draw(st.sampled_from([1, 2, 3, 4])) if odd == 2 else draw(st.integers(1, 2)),
                side=draw(st.integers(0, 6)) if odd == 3 else draw(st.sampled_from([Side.BUY, Side.SELL])),
                last_qty=draw(QTY) if odd == 4 else draw(st.integers(1, 12)),
                last_px=draw(PX) if odd == 5 else draw(st.integers(5_000_000, 6_000_000)),
                fee=draw(FEE) if odd == 6 else draw(st.sampled_from([0, NULL, 7, -3])),
                fee_exp=draw(st.integers(-40, 40)) if odd == 7 else draw(st.sampled_from([-8, -9, -7, 0])),
                fee_currency=draw(st.integers(0, 4)) if odd == 8 else 0,
                report_flags=ReportFlag.DUPLICATE_SUPPRESSED if odd == 9 else 0,
                exec_type=draw(st.sampled_from([ExecType.TRADE, ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.NEW, *rare])),
                ord_status=draw(st.sampled_from([OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED])),
            )
        )  # fmt: skip
        if odd == 9:
            found.append(OrderCancelReject(order_id=order_id_of(draw(st.sampled_from([MINE, OTHER])), 1)))
    return found


@settings(max_examples=MANY, deadline=None)
@given(st.data())
def test_both_ways_hold_and_say_the_same(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fills")
    terms = {
        "multiplier": data.draw(st.sampled_from([1, 1, 1, 3, 0, 10**12])),
        "qty_exp": data.draw(st.sampled_from([-3, -3, -8, 30])),
    }
    defined = definitions(**terms)
    messages = data.draw(reports())
    if data.draw(st.booleans()):  # an instrument becomes another one under its position
        again = definitions(qty_exp=data.draw(st.sampled_from([-3, -5])), quote_currency=data.draw(st.sampled_from([2, 3])))[2]
        messages.insert(data.draw(st.integers(0, len(messages))), again)
    late = data.draw(st.integers(0, 5))  # definitions that come after fills of what they define
    recorded(folder, [*defined[:late], *messages[:2], *defined[late:], *messages[2:]])
    assert played(folder, accelerated=True) == played(folder, accelerated=False)


ROUND = [fill(10), fill(5, 6_000_100, fee=7), fill(-8, 6_000_333, fee=-2), fill(-20, 5_999_999), fill(13, 6_000_001)]


def test_plain_fills_need_no_python(tmp_path, monkeypatch):
    """What the two ways are compared over is not the way in Python twice."""
    others = [fill(0, exec_type=ExecType.NEW), fill(3, order_id=order_id_of(OTHER, 1), exec_type=ExecType.TRADE_CANCEL)]
    recorded(tmp_path, [*definitions(), *ROUND, *others])
    plain = played(tmp_path, accelerated=False)
    taken = []
    take = Positions._take
    monkeypatch.setattr(Positions, "_take", lambda self, seq, m, **_: taken.append(seq) or take(self, seq, m))
    monkeypatch.setattr(Strategy, "_execution_report", own_only(Strategy._execution_report))
    assert played(tmp_path, accelerated=True) == plain
    assert len(taken) == 2, "each of the two instances meets its first fill in Python, and no other"
    assert plain[1] == len(ROUND) + 1
    assert len(plain[2]) == len(ROUND) + 1
    assert len(plain[3]) == len(ROUND) + 1


def own_only(handler):
    def handle(self, m):
        assert m.order_id == order_id_of(MINE, 1), "of another's order"
        handler(self, m)

    return handle


def test_a_position_goes_through_zero_and_back(tmp_path):
    """By hand: 10 at 60,000.00, 5 at 60,001.00; 8 sold at 60,003.33, with 8/15 of the cost; 7 more close, 13 are short."""
    recorded(tmp_path, [*definitions(), *ROUND[:4]])
    (heard,) = {played(tmp_path, accelerated=a)[3][-1][1] for a in (True, False)}
    said = Position.decode(heard, 0)
    unit = 10**3  # 1e-2 of a price times 1e-3 of a quantity, in 1e-8
    cost = (10 * 6_000_000 + 5 * 6_000_100) * unit
    first = (8 * 6_000_333) * unit - cost * 8 // 15
    rest = cost - cost * 8 // 15
    assert said.realized == first + 7 * 5_999_999 * unit - rest
    assert (said.short_qty, said.long_qty, said.cost, said.fees) == (13, 0, -13 * 5_999_999 * unit, 5)


class Listener(Strategy):
    """Takes every report as its own, its own way."""

    def start(self):
        self.all = 0

    def _execution_report(self, m):
        self.all += 1


def test_who_hears_of_all_orders_still_does(tmp_path):
    stream = Stream(tmp_path)
    listener = Listener()
    listener.configure({})
    stream.add("listener", listener, MINE)
    for message in (*definitions(), fill(1), fill(1, order_id=order_id_of(OTHER, 1))):
        stream.input(message)
    assert listener.all == 2
    stream.close()
