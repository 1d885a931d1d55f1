"""Starting again on a journal that exists: parameters are kept, limits follow the file."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest
import tomli_w

from journal.messages import RiskLimitSet
from lockstep.backtesting import run_backtest
from lockstep.config import ConfigError, parse
from lockstep.loader import Loader, refuse_changed_parameters


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
    refuse_changed_parameters(config)
    assert not [m for m in Loader(config).messages() if isinstance(m, RiskLimitSet)]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda raw: raw["strategy"]["maker"].update(qty="0.040"), 'strategy.maker.qty = "0.040"'),
        (lambda raw: raw["strategy"]["maker"].update(skew_ticks=1), "strategy.maker.skew_ticks = 1"),
        (lambda raw: raw["strategy"]["cross"].pop("fast"), "strategy.cross.fast = not given"),
    ],
)
def test_a_changed_parameter_is_refused_by_name(journal, change, key):
    with pytest.raises(ConfigError) as error:
        refuse_changed_parameters(configuration(journal, change))
    assert str(error.value).startswith(f"my.toml: {key}: ")
    assert "\n" not in str(error.value)


def test_a_limit_taken_out_of_the_file_ends(journal):
    config = configuration(journal, lambda raw: raw["risk"]["default"].pop("max_messages"))
    (ended,) = [m for m in Loader(config).messages() if isinstance(m, RiskLimitSet)]
    assert (ended.limit, ended.generation, ended.valid_until_ts) == (6, 2, 1)
