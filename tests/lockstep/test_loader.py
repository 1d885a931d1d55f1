"""The loader says a configuration as frames: once, with ids that stay, and afterwards only what is new."""

import json

import pytest

from apps.discovery import Discovery, build
from journal.frames import frames
from journal.messages import (
    AccountDefined,
    ConfigApplied,
    ConfigItem,
    CurrencyDefined,
    DestinationDefined,
    InstrumentDefined,
    RiskCheck,
    RiskLimitSet,
    ScopeType,
    SourceDefined,
    StrategyDefined,
    SupportType,
    VenueDefined,
)
from journal.writer import JournalWriter
from lockstep.loader import Loader
from tests.end_to_end.system import configuration


class Stream:
    """A journal that takes what a loader says, as the sequencer would."""

    def __init__(self, path):
        self.path = path
        self.writer = JournalWriter.open(path, stream_id=5, nonce=5, segment_bytes=1 << 20)
        self.ts = 0
        self.sources = {}

    def load(self, config):
        for source in config.sources():
            if source.name not in self.sources:
                number = self.sources[source.name] = len(self.sources) + 1
                self._append(0, SourceDefined(source=number, role=source.role, name=source.name))
        said = Loader(config, journal=self.path).messages()
        for message in said:
            self._append(self.sources["loader"], message)
        return said

    def _append(self, source, message):
        self.ts += 1
        self.writer.append(message, ts=self.ts, source=source)


@pytest.fixture
def stream(tmp_path):
    found = Stream(tmp_path / "day")
    yield found
    found.writer.close()


def of(said, cls):
    return [m for m in said if isinstance(m, cls)]


def test_everything_is_said_once_and_in_an_order_that_needs_nothing_later(stream, tmp_path):
    said = stream.load(configuration(tmp_path / "day"))
    assert [m.name for m in of(said, CurrencyDefined)] == ["BTC", "USDT"]
    assert [m.name for m in of(said, StrategyDefined)] == ["maker", "cross"]
    (instrument,) = of(said, InstrumentDefined)
    assert (instrument.px_exp, instrument.qty_exp, instrument.tick_px, instrument.lot_qty) == (-2, -3, 10, 1)
    assert instrument.max_qty == 100_000
    (destination,) = of(said, DestinationDefined)
    assert destination.gateway == stream.sources["sim-trade"]
    known = {CurrencyDefined: set(), VenueDefined: set(), AccountDefined: set()}
    for m in said:
        if isinstance(m, AccountDefined):
            assert m.venue in known[VenueDefined]
            assert m.currency in known[CurrencyDefined]
        if isinstance(m, InstrumentDefined):
            assert m.venue in known[VenueDefined]
            assert {m.base_currency, m.quote_currency, m.settlement_currency} <= known[CurrencyDefined]
        if isinstance(m, StrategyDefined | DestinationDefined):
            assert (m.default_account if isinstance(m, StrategyDefined) else m.account) in known[AccountDefined]
        for cls, field in ((CurrencyDefined, "currency"), (VenueDefined, "venue"), (AccountDefined, "account")):
            if isinstance(m, cls):
                known[cls].add(getattr(m, field))


def test_the_same_configuration_again_says_nothing(stream, tmp_path):
    assert stream.load(configuration(tmp_path / "day"))
    assert stream.load(configuration(tmp_path / "day")) == []


def test_only_what_has_changed_is_said_and_ids_stay(stream, tmp_path):
    first = stream.load(configuration(tmp_path / "day"))
    second = stream.load(configuration(tmp_path / "day", instrument__BTCUSDT__max_quantity="50", strategy__maker__qty="0.03"))
    assert {type(m) for m in second} == {InstrumentDefined, ConfigItem, ConfigApplied}
    (changed,) = of(second, InstrumentDefined)
    assert changed.instrument == of(first, InstrumentDefined)[0].instrument
    assert changed.max_qty == 50_000
    (applied,) = of(second, ConfigApplied)
    assert applied.owner == stream.sources["maker"]
    assert applied.generation == 2
    assert {m.name: json.loads(m.value) for m in of(second, ConfigItem)}["qty"] == "0.03"


def test_a_venue_does_what_its_exchange_does_unless_its_table_says_otherwise(stream, tmp_path):
    native = {"exchange__sim__native": ["cancel_all", "dead_man"]}
    for changes, supports in (
        ({}, 0),
        (native, SupportType.CANCEL_ALL | SupportType.DEAD_MAN),
        (native | {"venue__sim__native": []}, 0),
        ({"venue__sim__native": ["dead_man"]}, SupportType.DEAD_MAN),
    ):
        said = stream.load(configuration(tmp_path / "day", **changes))
        assert [m.supports for m in of(said, VenueDefined)] == [supports]


def test_the_timer_of_a_venue_is_told_to_the_risk_engine(stream, tmp_path):
    native = {"exchange__sim__native": ["dead_man"]}
    said = stream.load(configuration(tmp_path / "day", venue__sim__dead_man="60s", **native))
    (item,) = [m for m in of(said, ConfigItem) if m.name == "dead_men"]
    assert (item.owner, json.loads(item.value)) == (stream.sources["risk"], [[1, 60 * 10**9]])


def test_new_names_get_new_ids(stream, tmp_path):
    stream.load(configuration(tmp_path / "day"))
    more = {"class": "apps.strategies.cross:Cross", "account": "demo", "qty": "0.01"}
    said = stream.load(configuration(tmp_path / "day", strategy__another=more, currency__ETH={"type": "crypto"}))
    assert [(m.name, m.strategy) for m in of(said, StrategyDefined)] == [("another", 3)]
    assert [(m.name, m.currency) for m in of(said, CurrencyDefined)] == [("ETH", 3)]


def test_apps_are_built_from_the_frames_alone(stream, tmp_path):
    config = configuration(tmp_path / "day")
    stream.load(config)
    found = Discovery().fold(frames(stream.path))
    assert {s.name for s in found.specs.values()} == {*config.apps, *config.system.strategy}
    maker = found.named("maker")
    assert maker.class_path == "apps.strategies.maker:MarketMaker"
    app = build(maker)
    assert str(app.qty) == "0.020"
    assert app.symbols == ("BTCUSDT",)
    assert maker.active_from < found.named("cross").active_from


def test_limits_are_exact_and_scoped(stream, tmp_path):
    own, collar = {"maker": {"max_order_qty": "0.5"}}, {"BTCUSDT": {"price_collar": "1.5%"}}
    said = stream.load(configuration(tmp_path / "day", risk__strategy=own, risk__instrument=collar))
    rows = {(m.scope_type, m.check): m for m in of(said, RiskLimitSet)}
    assert rows[ScopeType.GLOBAL, RiskCheck.PRICE_COLLAR].hard == 2 * 10**10
    assert rows[ScopeType.INSTRUMENT, RiskCheck.PRICE_COLLAR].hard == 15 * 10**9
    own = rows[ScopeType.STRATEGY, RiskCheck.QUANTITY_LIMITS]
    assert (own.hard, own.exp) == (5, -1)
    assert own.scope_strategy == of(said, StrategyDefined)[0].strategy
    rate = rows[ScopeType.GLOBAL, RiskCheck.ORDER_RATE]
    assert (rate.hard, rate.period_ns) == (200, 10**9)
    assert len({m.limit for m in of(said, RiskLimitSet)}) == len(of(said, RiskLimitSet))
