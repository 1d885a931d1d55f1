"""A wrong configuration gets one line: file, key, value found, value expected. Nothing is started."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest
import tomli_w

from lockstep.config import ConfigError, load, parse

TEMPLATE = resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8")


def changed(**tables):
    raw = tomllib.loads(TEMPLATE)
    for path, value in tables.items():
        *parents, key = path.split("__")
        table = raw
        for parent in parents:
            table = table.setdefault(parent, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return tomli_w.dumps(raw).encode()


def test_the_template_is_valid():
    config = parse(Path("demo.toml"), TEMPLATE.encode())
    assert {s.name for s in config.sources()} >= {"loader", "sim-md", "sim-trade", "oms", "risk", "maker", "cross"}
    assert config.hosts() == {n: [n] for n in ("books", "risk", "oms", "positions", "maker", "cross")}


WRONG = {
    "native to no venue": ({"venue__sim__native": ["magic"]}, "venue.sim.native = 'magic'", "cancel_all"),
    "native to no exchange": ({"exchange__sim__native": ["magic"]}, "exchange.sim.native = 'magic'", "cancel_all"),
    "a timer the venue has not": ({"venue__sim__dead_man": "60s"}, "venue.sim.dead_man", "native"),
    "a timer denied": (
        {"venue__sim__dead_man": "60s", "venue__sim__native": [], "exchange__sim__native": ["dead_man"]},
        "venue.sim.dead_man", "native",
    ),
    "a timer too short": ({"venue__sim__dead_man": "2s", "venue__sim__native": ["dead_man"]}, "venue.sim.dead_man", "'3s'"),
    "no duration": ({"reconcile__interval": "soon"}, "reconcile.interval", "expected a duration"),
    "no backoff": ({"reconcile__backoff": "0s"}, "reconcile.backoff = '0s'", "above 0"),
    "no attempt": ({"reconcile__attempts": 0}, "reconcile.attempts = 0", ">= 1"),
    "missing orders": ({"reconcile__missing_orders": "guess"}, "reconcile.missing_orders", "ask"),
    "negative tolerance": ({"reconcile__position_tolerance": "-1"}, "reconcile.position_tolerance", "0 or more"),
    "unknown key": ({"session__jurnal": "x"}, "session.jurnal", "unknown key"),
    "unknown table": ({"sesion": {"a": 1}}, "sesion", "unknown key"),
    "wrong type": ({"sequencer__ring_bytes": "big"}, "sequencer.ring_bytes = 'big'", "int"),
    "wrong choice": ({"sequencer__idle": "doze"}, "sequencer.idle = 'doze'", "spin"),
    "ring of no power of two": ({"sequencer__ring_bytes": 5000}, "sequencer.ring_bytes = 5000: ", "a power of two"),
    "segment of no whole blocks": ({"sequencer__segment_bytes": (1 << 20) + 1}, "sequencer.segment_bytes = 1048577: ", "4096"),
    "segment beyond 32 bits": ({"sequencer__segment_bytes": 1 << 32}, "sequencer.segment_bytes = 4294967296: ", "4294963200"),
    "tag that is none": ({"gateway__sim__tag": "a b"}, "gateway.sim.tag = 'a b': ", "expected at most"),
    "key that must be given": ({"session__journal": None}, "session.journal: ", "not given"),
    "table that must be given": ({"session": None}, "session.journal: ", "not given"),
    "out of range": ({"sequencer__clock_interval_ms": 0}, "sequencer.clock_interval_ms = 0", ">= 1"),
    "wrong mode": ({"session__mode": "lively"}, "session.mode = 'lively'", "one of live"),
    "wrong durability": ({"session__durability": "hope"}, "session.durability = 'hope'", "durable"),
    "budget of no kind": ({"venue__sim__budget": {"a": {"type": "leaky", "limit": 1, "window": "1s"}}},
                          "venue.sim.budget.a.type = 'leaky'", "token_bucket"),
    "budget without refill": ({"venue__sim__budget": {"a": {"type": "token_bucket", "limit": 9, "window": "1s"}}},
                              "venue.sim.budget.a.refill = 0", "1 or more tokens"),
    "budget with no room": ({"venue__sim__budget": {"a": {"type": "rolling_window", "limit": 1, "window": "1s"}}},
                            "venue.sim.budget.a.limit = 1", "room for a request of 1"),
    "budget of no window": ({"venue__sim__budget": {"a": {"type": "rolling_window", "limit": 9, "window": "0s"}}},
                            "venue.sim.budget.a.window = '0s'", "more than nothing"),
    "age without unit": ({"venue__sim__budget": {"a": {"type": "rolling_window", "limit": 9, "window": "1s",
                                                       "cancel_by_age": {"5": 8}}}},
                         "venue.sim.budget.a.cancel_by_age.5 = '5'", "a duration"),
    "unknown venue": ({"instrument__BTCUSDT__venue": "mars"}, "instrument.BTCUSDT.venue = 'mars'", "sim"),
    "wrong unit": ({"risk__default__max_messages": {"count": 5, "window": "10 parsecs"}}, "risk.default.max_messages.window",
                   "expected a duration"),
    "amount without currency": ({"risk__default__max_order_notional": "5000"}, "risk.default.max_order_notional", "currency"),
    "unknown currency": ({"risk__default__max_order_notional": "5000 DOGE"}, "risk.default.max_order_notional", "USDT"),
    "rate without unit": ({"risk__default__price_collar": "2"}, "risk.default.price_collar", "'2%'"),
    "float for money": ({"strategy__maker__qty": 0.01}, "strategy.maker.qty", "decimal"),
    "missing parameter": ({"strategy__maker__qty": None}, "strategy.maker", "qty"),
    "unknown parameter": ({"strategy__maker__qtty": "1"}, "strategy.maker.qtty", "unknown key"),
    "no such class": ({"strategy__maker": {"class": "nowhere:X", "account": "demo"}}, "strategy.maker.class", "nowhere"),
    "no such account": ({"strategy__maker__account": "rich"}, "strategy.maker.account = 'rich'", "demo"),
    "impossible parameters": ({"strategy__cross__fast": 100}, "strategy.cross", "0 < fast < slow"),
    "risk of nobody": ({"risk__strategy": {"nobody": {}}}, "risk.strategy.nobody", "maker"),
    "tick finer than decimals": ({"instrument__BTCUSDT__tick": "0.001"}, "instrument.BTCUSDT.tick", "2 decimals"),
    "exchange out of range": ({"exchange__sim__rate": 999_999}, "exchange.sim.rate = 999999", "1 to 5000"),
    "exchange of no venue": ({"exchange__mars": {}}, "exchange.mars", "a venue of this file (sim)"),
    "no quantity": ({"instrument__BTCUSDT__max_quantity": "lots"}, "instrument.BTCUSDT.max_quantity", "decimal"),
    "quantity finer than decimals": ({"instrument__BTCUSDT__min_quantity": "0.00001"}, "min_quantity", "3 decimals"),
    "tick below zero": ({"instrument__BTCUSDT__tick": "-0.10"}, "instrument.BTCUSDT.tick", "above 0"),
    "too many decimals": ({"instrument__BTCUSDT__price_decimals": 40}, "price_decimals = 40", "0 to 12"),
    "unknown durability": ({"session__durability": "soon"}, "session.durability", "durable, written, replicated"),
    "replicated by nobody": ({"session__durability": "replicated"}, "session.durability", "required = true"),
    "replicated by one not required": (
        {"session__durability": "replicated", "replication": {"listen": "127.0.0.1:0", "follower": {"b": {"node": 2}}}},
        "session.durability", "required = true",
    ),
    "replication nowhere": ({"replication": {"listen": "here"}}, "replication.listen", "HOST:PORT"),
    "half a certificate": ({"replication": {"listen": "127.0.0.1:0", "key": "k"}}, "replication", "all three"),
    "two followers of a number": (
        {"replication": {"listen": "127.0.0.1:0", "follower": {"a": {"node": 2}, "b": {"node": 2}}}}, "node = 2", "its own",
    ),
    "mode of another command": ({"session__mode": "backtest"}, "session.mode = 'backtest'", "live, paper, simulation"),
    "limit below zero": ({"risk__default__max_position": "-1"}, "risk.default.max_position", "above 0"),
    "app in two hosts": ({"host": {"a": {"apps": ["oms"]}, "b": {"apps": ["oms"]}}}, "host.b.apps", "host.a"),
    "host without apps": ({"host": {"a": {"apps": []}}}, "host.a.apps", "at least one"),
    "host named as another process": ({"host": {"risk": {"apps": ["oms"]}}}, "host.risk", "a name of its own"),
    "app that cannot be loaded": ({"app": {"x": {"class": "nowhere:X", "role": "positions"}}}, "app.x.class", "nowhere"),
    "two publishers of one name": ({"app": {"maker": {"class": "apps.positions:Positions", "role": "positions"}}}, "'maker'",
                                   "name of its own"),
    "three copies": ({"host": {"a": {"apps": ["oms"], "copies": 3}, "b": {"apps": ["risk"]}}}, "host.a.copies = 3", "<= 2"),
    "copies with a name that is taken": (
        {"host": {"a": {"apps": ["oms"], "copies": 2}, "a-2": {"apps": ["risk"]}}}, "host.a.copies", "a-2"
    ),
    "copies on one core": ({"host": {"a": {"apps": ["oms"], "copies": 2, "cpu": 0}}}, "host.a.cpu", "none"),
    "host of nobody": ({"host": {"core": {"apps": ["omms"]}}}, "host.core.apps", "oms"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_one_line_names_file_key_value_and_expectation(name):
    change, key, expected = WRONG[name]
    with pytest.raises(ConfigError) as error:
        parse(Path("my.toml"), changed(**change))
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith("my.toml: ")
    assert key in line
    assert expected in line


def test_no_file_and_no_toml():
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file"):
        load(Path("absent.toml"))
    with pytest.raises(ConfigError, match="not TOML"):
        parse(Path("x.toml"), b"[session")
    with pytest.raises(ConfigError, match="not TOML"):
        parse(Path("x.toml"), b"\xff\xfe")


def test_a_strategy_file_is_looked_for_beside_the_configuration(tmp_path):
    (tmp_path / "mine.py").write_text("from apps.strategies.cross import Cross\nclass Mine(Cross): pass\n")
    text = changed(strategy={"mine": {"class": "mine.py:Mine", "account": "demo", "qty": "0.01"}})
    (tmp_path / "mine.toml").write_bytes(text)
    config = load(tmp_path / "mine.toml")
    assert config.class_of("mine") == f"{tmp_path / 'mine.py'}:Mine"
