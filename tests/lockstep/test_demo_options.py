"""What the demo's command line makes of its configuration."""

from pathlib import Path

import pytest

from lockstep.cli import main
from lockstep.config import ConfigError
from lockstep.demo import Options, demo_config
from tests.end_to_end.captures import made_capture


def test_as_it_is(tmp_path):
    config = demo_config(Options(journal=tmp_path / "day"))
    assert config.journal == tmp_path / "day"
    assert list(config.system.strategy) == ["maker", "cross"]
    assert config.system.exchange["sim"].capture is None


def test_a_folder_of_its_own_by_default():
    assert demo_config(Options()).journal.parent == Path("days").absolute()
    assert demo_config(Options()).journal.name.startswith("demo-2")


def test_strategies_by_name_and_by_file(tmp_path):
    assert list(demo_config(Options(strategies=["cross"])).system.strategy) == ["cross"]
    assert list(demo_config(Options(strategies=["cross", "maker"])).system.strategy) == ["cross", "maker"]
    assert main(["strategy", "new", "mine", "--dir", str(tmp_path)]) == 0
    config = demo_config(Options(strategies=["maker", str(tmp_path / "mine.py")]))
    assert list(config.system.strategy) == ["maker", "mine"]
    assert config.class_of("mine") == f"{tmp_path / 'mine.py'}:Mine"


def test_the_instrument_is_what_the_capture_says(tmp_path):
    capture = tmp_path / "made.gz"
    made_capture(capture, seconds=3)
    config = demo_config(Options(capture=capture, speed="max"))
    exchange = config.system.exchange["sim"]
    assert (exchange.capture, exchange.speed) == (str(capture), "max")
    ((name, instrument),) = config.system.instrument.items()
    assert name == "BTCUSDT"
    assert (instrument.price_decimals, instrument.quantity_decimals) == (2, 3)
    assert all(t["symbols"] == [name] for t in config.system.strategy.values())


def test_no_capture_at_all(tmp_path):
    (tmp_path / "x").write_text("dear diary\n")
    with pytest.raises(ConfigError, match=r"--capture: .*line 1"):
        demo_config(Options(capture=tmp_path / "x"))
