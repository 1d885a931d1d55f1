"""[[risk.limits]]: a limit of any check reaches the stream as it is written, or is refused with its key."""

import tomllib

import pytest
import tomli_w

from journal.messages import (
    NULL,
    Decision,
    GroupDefined,
    LimitAction,
    Reason,
    RiskCheck,
    RiskDecision,
    RiskLimitSet,
    ScopeType,
    Side,
)
from lockstep.config import ConfigError
from lockstep.risk_limits import BOUNDS, Bound, LimitEntry, limit_message
from lockstep.testing import backtest
from tests.end_to_end.system import configuration
from tests.lockstep.test_loader import Stream, of
from tests.replay.make_day import DAYS


@pytest.fixture
def stream(tmp_path):
    found = Stream(tmp_path / "day")
    yield found
    found.writer.close()


def limits(stream, tmp_path, *entries, **more):
    said = stream.load(configuration(tmp_path / "day", risk={"limits": list(entries)}, **more))
    return of(said, RiskLimitSet)


def test_a_limit_reaches_the_stream_as_it_is_written(stream, tmp_path):
    desk = {"accounts": ["demo"], "strategies": ["maker", "cross"]}
    gross, rate, off = limits(
        stream, tmp_path,
        {"check": "gross_exposure", "group": "desk", "hard": "500000 USDT", "warn": "1000.5 USDT", "side": "buy"},
        {"check": "order_rate", "strategy": "maker", "instrument": "BTCUSDT", "hard": 9, "window": "2s", "action": "ban",
         "ban": "5m"},
        {"check": "price_increment", "venue": "sim", "hard": "off"},
        group={"desk": desk},
    )  # fmt: skip
    assert (gross.check, gross.scope_type, gross.side) == (RiskCheck.GROSS_EXPOSURE, ScopeType.GROUP, Side.BUY)
    assert (gross.hard, gross.warn, gross.exp) == (5_000_000, 10_005, -1)
    assert gross.scope_group
    assert gross.currency
    assert (rate.hard, rate.period_ns, rate.action, rate.ban_ms) == (9, 2 * 10**9, LimitAction.BAN, 300_000)
    assert (rate.scope_type, rate.scope_strategy > 0, rate.scope_instrument > 0) == (ScopeType.STRATEGY_INSTRUMENT, True, True)
    assert (off.hard, off.scope_type, off.limit) == (NULL, ScopeType.VENUE, 3)
    config = configuration(tmp_path / "day", group={"desk": desk | {"accounts": []}})
    said = stream.load(config)
    (group,) = of(said, GroupDefined)
    assert [m.member_type for m in group.members] == [ScopeType.STRATEGY] * 2
    ended = [m.limit for m in of(said, RiskLimitSet) if m.valid_until_ts]
    assert ended == []  # the tables of the demo have taken these numbers


EXAMPLES = {Bound.AMOUNT: "5 USD", Bound.DECIMAL: "0.5", Bound.COUNT: 5, Bound.RATE: "5%", Bound.DURATION: "5s", Bound.NONE: "",
            Bound.SWITCH: "off"}  # fmt: skip


@pytest.mark.parametrize("check", BOUNDS, ids=lambda c: c.name)
def test_every_check_takes_its_bound_and_off_and_nothing_else(check):
    bound = BOUNDS[check]
    for kind, hard in EXAMPLES.items():
        window = "" if check not in (16, 27, 28, 29) else "1s"
        entry = LimitEntry(check=check.name.lower(), hard=hard, window=window)
        alike = kind is bound or hard == "off" or (kind is Bound.COUNT and bound is Bound.DECIMAL)
        if alike:
            m = limit_message(entry, known)
            assert m.check == check
            m.encode()
        else:
            with pytest.raises(ValueError, match="expected"):
                limit_message(entry, known)


def known(kind, name):
    if (kind, name) != ("currency", "USD"):
        raise ValueError(f"{name}: expected USD")
    return 1


WRONG = {
    "no such check": ({"check": "gross"}, "check = 'gross'", "gross_exposure"),
    "a check without limits": ({"check": "kill_switch", "hard": "off"}, "check = 'kill_switch'", "one of"),
    "amount without currency": ({"check": "credit", "hard": "5000"}, "hard = '5000'", "currency"),
    "unknown currency": ({"check": "credit", "hard": "5 DOGE"}, "hard = 'DOGE'", "USDT"),
    "two currencies": ({"check": "credit", "hard": "5 USDT", "warn": "4 BTC"}, "warn = '4 BTC'", "the currency of hard"),
    "count below zero": ({"check": "working_orders", "hard": -1}, "hard = -1", "from 0"),
    "negative quantity": ({"check": "position", "hard": "-1"}, "hard = '-1'", "decimal"),
    "no bound": ({"check": "position"}, "hard = ''", "decimal"),
    "bound of what has none": ({"check": "self_trade", "hard": "1"}, "hard = '1'", "off"),
    "switch that is not off": ({"check": "lot_step", "hard": "1"}, "hard = '1'", "off"),
    "too large": ({"check": "position", "hard": "1" * 30}, "hard = '111", "2^62"),
    "no window": ({"check": "order_rate", "hard": 5}, "window = ''", "duration"),
    "window of what has none": ({"check": "position", "hard": "5", "window": "1s"}, "window = '1s'", "order_rate"),
    "window of nothing": ({"check": "order_rate", "hard": 5, "window": "0s"}, "window = '0s'", "duration"),
    "ban too short": ({"check": "order_rate", "hard": 5, "window": "1s", "ban": "1us"}, "ban = '1us'", "1ms"),
    "confirmations of what has none": (
        {"check": "position", "hard": "5", "confirmations": 2}, "confirmations = 2", "daily_loss"
    ),
    "unknown action": ({"check": "position", "hard": "5", "action": "shout"}, "action = 'shout'", "reject"),
    "unknown side": ({"check": "position", "hard": "5", "side": "up"}, "side = 'up'", "buy"),
    "unknown strategy": ({"check": "position", "hard": "5", "strategy": "nobody"}, "strategy = 'nobody'", "maker"),
    "unknown group": ({"check": "position", "hard": "5", "group": "desk"}, "group = 'desk'", "a group of this file"),
    "scopes that do not go together": (
        {"check": "position", "hard": "5", "venue": "sim", "account": "demo"}, "scope = 'venue and account'", "one of"
    ),
    "a connection of a strategy": (
        {"check": "reconnect_rate", "hard": 5, "window": "1m", "strategy": "maker"}, "scope = 'strategy'", "venue, group or"
    ),
    "unknown key": ({"check": "position", "hrad": "5"}, "hrad", "unknown key"),
}  # fmt: skip


@pytest.mark.parametrize("entry", WRONG.values(), ids=WRONG)
def test_a_wrong_limit_gets_one_line_with_its_key(entry, tmp_path):
    given, found, expected = entry
    with pytest.raises(ConfigError) as told:
        configuration(tmp_path / "day", risk__limits=[{"check": "self_trade"}, given])
    line = str(told.value)
    assert "\n" not in line
    assert found in line
    assert expected in line
    assert "risk.limits" in line


def test_a_group_has_members_of_this_file(tmp_path):
    with pytest.raises(ConfigError, match=r"group.desk.accounts = 'nobody'"):
        configuration(tmp_path / "day", group={"desk": {"accounts": ["nobody"]}})


def test_limits_hold_in_a_backtest(tmp_path):
    """The desk's exposure, what is short, and its own orders: each refuses some orders of a day, and the others trade."""
    raw = tomllib.loads((DAYS / "day.toml").read_text())
    raw["backtest"]["duration"] = "4s"
    raw["group"] = {"desk": {"accounts": ["demo"]}}
    raw["risk"]["limits"] = [
        {"check": "gross_exposure", "group": "desk", "hard": "5000 USDT"},
        {"check": "short_sell", "account": "demo", "hard": "0.03"},
        {"check": "self_trade"},
        {"check": "daily_loss", "hard": "100000 USDT", "confirmations": 3},
    ]
    path = tmp_path / "day.toml"
    path.write_text(tomli_w.dumps(raw))
    run = backtest(path, tmp_path / "one")
    decisions = [f.message for f in run.frames("RiskDecision")]
    assert all(isinstance(d, RiskDecision) for d in decisions)
    reasons = {d.reason for d in decisions}
    assert {0, Reason.GROSS_EXPOSURE_LIMIT, Reason.SHORT_SELL_NOT_PERMITTED, Reason.SELF_TRADE} >= reasons > {0}
    exposure = [c for d in decisions for c in d.checks if c.check == RiskCheck.GROSS_EXPOSURE and d.decision != Decision.REJECT]
    assert exposure
    assert all(c.value <= c.bound for c in exposure)
    assert {RiskCheck.DAILY_LOSS, RiskCheck.SELF_TRADE} <= {c.check for d in decisions for c in d.checks}
    assert run.count("VenueFill") > 0
    assert backtest(path, tmp_path / "two").digest() == run.digest()
