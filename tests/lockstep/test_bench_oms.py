"""`lockstep bench oms` in small: every order it times goes the whole way."""

import json

from lockstep import cli
from lockstep.bench import oms


def test_it_measures_whatever_the_figures_are(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(oms, "SINGLES", 60)
    monkeypatch.setattr(oms, "WARM", 10)
    words = ["--working", "300", "--orders", "100", "--folder", str(tmp_path), "--json"]
    assert cli.main(["bench", "oms", *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["bench"], report["conditions"]["working"]) == ("oms", 300)
    named = {f"{what}_us_{figure}" for what in ("order", "report") for figure in ("p50", "p99")}
    assert set(report["metrics"]) == {*named, "orders_per_s", "bytes_per_working_order", "bytes_per_closed_order"}
    assert all(report["metrics"][name] > 0 for name in (*named, "orders_per_s"))
    assert not list(tmp_path.iterdir())
