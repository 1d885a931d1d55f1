"""Orders without a right to leave, for a few seconds; the long form is `lockstep torture passes`. (I-29, I-30, I-33)"""

import json

import pytest

from gateways.sim import checks
from gateways.sim.order_view import OrderView, Owner
from lockstep import cli


def campaign(capsys, count):
    code = cli.main(["torture", "passes", "--seed", "20261128", "--json", "--count", str(count)])
    return code, json.loads(capsys.readouterr().out)


def test_nothing_leaves_without_a_right_to_and_nothing_with_one_stays(capsys):
    code, outcome = campaign(capsys, 6000)
    assert (code, outcome["finds"]) == (0, [])
    metrics = outcome["metrics"]
    assert metrics["orders"] == 6000 == metrics["left"] + metrics["refused"] + metrics["ignored"]
    assert min(metrics["left"], metrics["refused"]) > 1000


def _used_again(view, m, seq):
    ROUTED(view, m, seq)
    for found in view.passes.values():
        found.consumed = False


ROUTED = OrderView.routed
LAX = {
    "no pass is asked for": (checks, "_risk_pass", lambda *a, **k: None),
    "a pass is good for ever": (OrderView, "routed", _used_again),
    "a kill is not heard": (OrderView, "killed", lambda *a: False),
    "nobody knows who asked": (OrderView, "_owner", lambda *a: Owner(0, 0)),
    "terms are not compared": (checks, "content_hash", lambda m: m.content_hash),
}


@pytest.mark.parametrize("lax", LAX)
def test_a_lax_gateway_is_found(capsys, monkeypatch, lax):
    monkeypatch.setattr(*LAX[lax])
    code, outcome = campaign(capsys, 6000)
    assert code == 1
    assert len(outcome["finds"]) == 1
    assert outcome["finds"][0]["reproduce"].startswith("lockstep torture passes --seed 2026112")
