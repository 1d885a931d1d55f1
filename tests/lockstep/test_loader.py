"""Starting again on a journal that exists: classes are kept, parameters and limits follow the file."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest
import tomli_w

from journal.messages import ConfigItem, RiskLimitSet
from lockstep.backtesting import run_backtest
from lockstep.config import ConfigError, parse
from lockstep.loader import Loader, refuse_changed_classes


def configuration(journal, change=lambda raw: None):
    raw = tomllib.loads(resources.files("lockstep.templates").joinpath("demo.toml").read_text("utf-8"))
    raw["session"]["journal"] = str(journal)
    raw["backtest"] = {"duration": "1s"}
    change(raw)
    return parse(Path("my.toml"), tomli_w.dumps(raw).encode())


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "day"
    run_backtest(configuration(path), path)
    return path


def test_the_same_file_says_nothing_new_about_limits_and_parameters(journal):
    config = configuration(journal)
    refuse_changed_classes(config)
    assert not [m for m in Loader(config).messages() if isinstance(m, RiskLimitSet)]


def test_a_changed_class_is_refused_by_name(journal):
    changed = configuration(journal, lambda raw: raw["strategy"].update(cross=raw["strategy"]["maker"]))
    with pytest.raises(ConfigError) as error:
        refuse_changed_classes(changed)
    assert str(error.value).startswith("my.toml: strategy.cross.class = 'apps.strategies.maker:MarketMaker': ")
    assert "\n" not in str(error.value)


def test_changed_parameters_are_said_again_and_nothing_else(journal):
    config = configuration(journal, lambda raw: raw["strategy"]["maker"].update(qty="0.040"))
    refuse_changed_classes(config)
    said = [m for m in Loader(config).messages() if isinstance(m, ConfigItem)]
    assert {m.name for m in said} == {"class", "symbols", "qty", "max_position"}
    assert {m.generation for m in said} == {2}


def test_a_limit_taken_out_of_the_file_ends(journal):
    config = configuration(journal, lambda raw: raw["risk"]["default"].pop("max_messages"))
    (ended,) = [m for m in Loader(config).messages() if isinstance(m, RiskLimitSet)]
    assert (ended.limit, ended.generation, ended.valid_until_ts) == (6, 2, 1)
