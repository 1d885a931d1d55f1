"""Terms as a strategy writes them, and the order that they make."""

import pytest

from apps.terms import fields_of
from journal.messages import ExecInst, OrdType, QuantityType, TimeInForce


@pytest.mark.parametrize(("terms", "limit", "fields"), [
    ({}, True, {"ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC, "exec_inst": 0}),
    ({}, False, {"ord_type": OrdType.MARKET, "tif": TimeInForce.IOC, "exec_inst": 0}),
    ({"tif": TimeInForce.DAY, "hidden": None}, False, {"ord_type": OrdType.MARKET, "tif": TimeInForce.DAY, "exec_inst": 0}),
    ({"post_only": True, "reduce_only": True, "hidden": False}, True, {
        "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC,
        "exec_inst": ExecInst.PARTICIPATE_DO_NOT_INITIATE | ExecInst.DO_NOT_INCREASE,
    }),
    ({"stop": 0}, True, {"ord_type": OrdType.STOP_LIMIT, "tif": TimeInForce.GTC, "exec_inst": 0, "stop_px": 0}),
    ({"touched": 7}, False, {"ord_type": OrdType.MARKET_IF_TOUCHED, "tif": TimeInForce.GTC, "exec_inst": 0, "stop_px": 7}),
    ({"stop": 7, "trail": 3}, False, {
        "ord_type": OrdType.TRAILING_STOP, "tif": TimeInForce.GTC, "exec_inst": 0, "stop_px": 7, "trail_offset": 3,
    }),
    ({"expire": 9, "quote_quantity": True}, True, {
        "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTD, "exec_inst": 0, "expire_ts": 9,
        "quantity_type": QuantityType.QUOTE_AMOUNT,
    }),
])  # fmt: skip
def test_terms_and_their_fields(terms, limit, fields):
    assert fields_of(terms, limit=limit) == fields


@pytest.mark.parametrize(("terms", "why"), [
    ({"touched": 1, "stop": 0}, "a stop or is touched, not both"),
    ({"touched": 1, "trail": 2}, "a stop or is touched, not both"),
    ({"stopp": 1, "tiff": 2}, "order terms stopp, tiff; expected some of"),
])  # fmt: skip
def test_terms_that_are_none(terms, why):
    with pytest.raises(TypeError, match=why):
        fields_of(terms, limit=True)
