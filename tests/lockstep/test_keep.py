"""[orders]: what the file says of closed orders, to OMS, risk engine and gateways alike."""

from __future__ import annotations

from typing import Any

import pytest

from apps.order_manager import OmsApp
from apps.risk import RiskApp
from journal.messages.keeping import Keep
from lockstep.config import ConfigError
from lockstep.control import control_parameters
from tests.end_to_end.system import configuration

MINUTE = 60_000_000_000
OMS, RISK, FLATTENER = "apps.order_manager:OmsApp", "apps.risk:RiskApp", "apps.flattener:Flattener"


def parameters(config: Any, path: str) -> dict[str, Any]:
    found = control_parameters(config, path, {}, {})
    return {"keep": found["keep"]} if "keep" in found else {}


def test_nothing_is_said_of_the_defaults(tmp_path):
    config = configuration(tmp_path / "day")
    assert config.keep == Keep() == Keep(100_000, 10 * MINUTE)
    assert parameters(config, OMS) == parameters(config, RISK) == {}


def test_the_machines_get_what_the_file_says(tmp_path):
    config = configuration(tmp_path / "day", orders={"keep": 7, "keep_for": "3m"})
    assert config.keep == Keep(7, 3 * MINUTE)
    oms, risk = OmsApp(), RiskApp()
    oms.configure(parameters(config, OMS))
    risk.configure(parameters(config, RISK))
    assert oms.machine.memory.kept == risk.engine.memory.families.keep == config.keep
    assert parameters(config, FLATTENER) == {}


def test_a_reconciliation_makes_it_longer(tmp_path):
    config = configuration(tmp_path / "day", orders={"keep_for": "3m"}, reconcile={"lookback": "2h", "overlap": "5m"})
    assert config.keep.ns == 125 * MINUTE
    oms = OmsApp()
    oms.configure({"reconcile": config.parameters_of("oms")["reconcile"]})  # also where nobody has said so
    assert oms.machine.memory.kept.ns == 125 * MINUTE


@pytest.mark.parametrize("table", [{"keep": -1}, {"keep_for": "soon"}, {"keeps": 1}])
def test_what_is_no_rule_is_refused(tmp_path, table):
    with pytest.raises(ConfigError, match=f"orders.{next(iter(table))}|{next(iter(table))}"):
        configuration(tmp_path / "day", orders=table)
