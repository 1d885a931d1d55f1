"""Expressions: what they mean, and that they can change nothing."""

from collections import defaultdict, deque
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.errors import OperatingError
from journal.messages import ExecutionReport, OrdStatus, Side
from journal.values import ABSENT
from replay.expression import NAMES, BadExpression, Expression
from replay.scene import OrderView


class Holder(msgspec.Struct):
    price: int
    rows: list[int]


def scene(**changes):
    m = ExecutionReport(order_id=7, side=Side.BUY, ord_status=OrdStatus.FILLED, last_px=100, instrument=3)
    app = Holder(price=5, rows=[1, 2, 3])
    found = {"m": m, "kind": m.KIND, "app": app, "order": OrderView({"status": 5, "side": 1}), "position": -4, "now": 1000}
    return SimpleNamespace(**dict.fromkeys(NAMES, ABSENT) | found | {"seq": 17} | changes)


@pytest.mark.parametrize(
    "text",
    [
        "order.status == FILLED and position < 0",
        "m.ord_status == OrdStatus.FILLED",
        "kind == ExecutionReport",
        "m.side == BUY",
        "m.last_px * 2 - 1 > 198 or False",
        "not (position > 0)",
        "-position == 4",
        "seq % 2 == 1 and now // 10 == 100",
        "m.ord_status in (FILLED, CANCELED)",
        "m.ord_status not in (NEW, CANCELED)",
        "app.rows[0] == 1 and app.rows[-1] == 3",
        "2 in app.rows",
        "app.nothing is None",
        "app.price is not None",
        "10 < seq < 20",
        "position",
    ],
)
def test_it_holds(text):
    assert Expression(text)(scene())
    assert not Expression(f"not ({text})")(scene())


@pytest.mark.parametrize(
    "text",
    [
        "app.nothing == 5", "app.nothing != 5", "app.nothing > 0", "token == 0", "app.rows[9] == 1", "app.price[0] == 1",
        "m.last_px < 'text'", "seq // 0 == 1", "app.nothing.at.all == 1", "app", "m.last_px in 5", "0", "app.rows == 5",
    ],
)  # fmt: skip
def test_what_is_not_there_is_false(text):
    assert not Expression(text)(scene())


def test_a_timer_has_no_message():
    assert Expression("token == 3")(scene(m=ABSENT, kind=ABSENT, token=3))
    assert not Expression("m.last_px > 0")(scene(m=ABSENT, kind=ABSENT, token=3))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected an expression such as"),
        ("position <", "invalid syntax"),
        ("position = 5", "invalid syntax"),
        ("(position := 5)", "an assignment changes something"),
        ("app.stop()", "a call could change something"),
        ("print(1)", "a call could change something"),
        ("app._host", "names that begin with _"),
        ("app.__class__", "names that begin with _"),
        ("m.__init__.__globals__", "names that begin with _"),
        ("lambda: 1", "not possible here"),
        ("[x for x in app.rows]", "not possible here"),
        ("{1: 2}", "not possible here"),
        ("f'{app}'", "not possible here"),
        ("1 if seq else 2", "not possible here"),
        ("2 ** 999999", "not possible here"),
        ("1 << 99", "not possible here"),
        ("m.last_px > 1.5", "no integer"),
        ("m.last_pxx > 1", "no message has a field last_pxx; near: last_px"),
        ("last_px > 1", "a field of the message is m.last_px"),
        ("m.ord_status == FILED", "nothing is called so; near: FILLED"),
        ("app.rows[0:2] == 1", "one item only"),
        ("seq == NEW", "several things; expected one of "),
        ("OrdStatus.FILED == 1", "no such member; near: FILLED"),
        ("not " * 60 + "1", "deeper than 50 levels"),
        ("1 +" * 1000 + "1", "characters; at most 2000"),
        ("\x00", ""),
        ("await m", "not possible here"),
        ("yield", "invalid syntax"),
        ("*m", ""),
    ],
)
def test_what_is_refused_is_one_line(text, says):
    with pytest.raises(BadExpression) as refused:
        Expression(text)(scene())
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_properties_and_made_attributes_of_a_users_classes_are_not_run():
    ran = []

    class Sly:
        @property
        def price(self):
            ran.append("property")
            return 1

        def method(self):
            ran.append("method")

    class Slyer:
        def __getattr__(self, name):
            ran.append("getattr")
            return 1

    for app, text in ((Sly(), "app.price == 1"), (Sly(), "app.method == 1"), (Slyer(), "app.price == 1")):
        with pytest.raises(BadExpression):
            Expression(text)(scene(app=app))
    assert ran == []


def test_items_of_a_defaultdict_are_not_made_and_comparisons_not_called():
    held = SimpleNamespace(counts=defaultdict(int), queue=deque([4]), odd=Odd())
    assert not Expression("app.counts[5] == 0")(scene(app=held))
    assert held.counts == {}
    assert Expression("app.queue[0] == 4")(scene(app=held))
    assert not Expression("app.odd == 1 or app.odd < 1 or app.odd in (1, 2) or app.odd")(scene(app=held))


class Odd:
    def _ran(self, *_):
        raise AssertionError("code of an object ran")

    __eq__ = __lt__ = __bool__ = __contains__ = _ran
    __hash__ = None


@given(st.text(max_size=40) | st.text("appmseq.[]()<>=!+-*/%_0159 ,'andornotiFILLED", max_size=60))
def test_any_text_is_an_expression_or_one_line(text):
    said = ""
    try:
        Expression(text)(scene())
    except OperatingError as error:
        said = str(error)
    assert "\n" not in said
