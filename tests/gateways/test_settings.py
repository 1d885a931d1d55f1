"""The gateway's table of the configuration: what is refused, and that the line says which key."""

from __future__ import annotations

import msgspec
import pytest

from gateways.sim.checks import Cap
from gateways.sim.settings import SimGatewaySettings
from journal.messages.client_ids import ClientIds

GOOD = {"venue": "sim", "account": "demo"}


def read(**over):
    return msgspec.convert(GOOD | over, SimGatewaySettings)


def test_defaults_and_caps():
    s = read(max_order_qty="0.5", max_order_notional="5000")
    assert s.raw_market_data
    assert s.caps().order_qty == Cap(5, -1)
    assert s.caps().order_notional == Cap(5000, 0)
    assert read().caps().order_qty is None


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({"colour": 1}, "colour"), ({"port": 70_000}, "port"), ({"port": "80"}, "port"),
        ({"max_order_qty": "1e3"}, "max_order_qty"),
        ({"max_order_qty": "0"}, "max_order_qty"), ({"max_order_notional": "-5"}, "max_order_notional"),
        ({"tag": "a b"}, "tag"),
        ({"tag": "X1"}, "tag"), ({"tag": "x" * 17}, "tag"), ({"answer_within_ms": 0}, "answer_within_ms"),
        ({"venue": 3}, "venue"),
    ],
)  # fmt: skip
def test_refused(over, line):
    with pytest.raises(msgspec.ValidationError, match=line):
        read(**over)


def test_the_key_may_stand_in_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("abc\n")
    assert read(api_key_file=str(path)).key() == "abc"
    path.write_text("\n")
    for broken in (str(path), str(tmp_path / "absent")):
        with pytest.raises(ValueError, match="api_key_file"):
            read(api_key_file=broken).key()


def test_client_ids_are_the_journal_line():
    ids = ClientIds(read().tag_of(0x1234_5678_9ABC_DEF0))
    text = ids.text(2**64 - 1)
    assert len(text) <= 36
    assert ids.seq(text) == 2**64 - 1
    for foreign in ("", "web-1", text[:-1] + "x", ids.tag, ids.tag + "007", ids.tag + "²", "x" + text):
        assert ids.seq(foreign) == 0
