"""`lockstep replace` at a desk: what the stream answers, and what it prints of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from journal.frames import frames
from journal.messages import (
    AlgoType,
    CommandCode,
    ExecType,
    InstrumentDefined,
    NewOrder,
    OperatorCommand,
    OrdStatus,
    OrdType,
    ParentOrder,
    Reason,
    ReplaceOrder,
    RiskCheck,
    RiskLimitSet,
    RoutedReplace,
    ScopeType,
    Side,
    SourceDefined,
    SourceRole,
    TimeInForce,
    order_id_of,
    order_id_text,
)
from lockstep import cli, person
from lockstep.commands import replacing
from replay.player import verify
from tests.end_to_end.system import one_line
from tests.replay.desk import LOADER, PERSON, SECOND, Desk

GIVEN = order_id_of(PERSON, 1)
NOW = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)


class Person:
    """Somebody at the command line of a desk."""

    def __init__(self, path, monkeypatch, capsys):
        self.d = Desk(path)
        self.d.put(SourceDefined(source=PERSON, role=SourceRole.OPERATOR, name="operator"), 0)
        self.capsys = capsys
        self.meanwhile = []
        """What happens once the command is on the stream: calls."""
        monkeypatch.setattr(person, "ANSWER_S", 0.2)
        monkeypatch.setattr(person.Operator, "say", lambda _, command, frame: self._say(command, frame))

    def _say(self, command, frame):
        self.d.put(frame, PERSON, cause=self.d.put(command, PERSON))
        self.d.hand_over()
        for call in self.meanwhile:
            call()

    def replace(self, order_id, *words, meanwhile=()):
        """(exit code, output)"""
        self.meanwhile = meanwhile
        given = ["replace", str(self.d.path), order_id_text(order_id), *words, "--reason", "test", "--user", "alice"]
        code = cli.main(given)
        said = self.capsys.readouterr()
        return code, said.out or one_line(said.err)

    def parent(self, **terms):
        """A person's parent for 0.4, no worse than 50.01, that nobody works."""
        base = {"order_id": GIVEN, "account": 1, "user": 1, "instrument": 1, "side": Side.BUY, "order_qty": 400,
                "limit_px": 5001, "algo": AlgoType.TWAP}  # fmt: skip
        self.d.put(ParentOrder(**(base | terms)), PERSON)
        return GIVEN

    def child(self, qty=100, px=5000, **terms):
        """A child of that parent, worked by the venue."""
        self.d.numbers += 1
        order_id = order_id_of(PERSON, 1 + self.d.numbers)
        terms = {"side": Side.BUY, "ord_type": OrdType.LIMIT, "tif": TimeInForce.GTC, "order_qty": qty, "price_px": px} | terms
        self.d.put(NewOrder(order_id=order_id, account=1, instrument=1, parent_order_id=GIVEN, **terms), PERSON)
        self.d.hand_over()
        self.d.ack(order_id)
        return order_id


@pytest.fixture
def p(tmp_path, monkeypatch, capsys):
    person = Person(tmp_path / "day", monkeypatch, capsys)
    yield person
    person.d.close()
    verdict = verify(person.d.path)
    assert verdict.identical, verdict.difference


def test_an_order_has_other_terms_when_the_venue_says_so(p):
    order = p.d.working(100, 4990)
    p.d.fill(order, 30)
    name = order_id_text(order)
    done = [lambda: p.d.replaced(order, OrdStatus.PARTIALLY_FILLED)]
    assert p.replace(order, "--qty", "0.2", "--price", "49.95", meanwhile=done) == (
        0, f"{name}: replaced: quantity 0.2, price 49.95; 0.03 is filled\n",
    )  # fmt: skip
    (command, asked) = (f for f in frames(p.d.path, kinds=[OperatorCommand.KIND, ReplaceOrder.KIND]))
    assert (command.message.command, command.message.target, command.message.user) == (CommandCode.REPLACE_ORDER, order, 1)
    assert (command.message.reason, asked.header.cause) == ("test", command.header.seq)
    assert asked.message == ReplaceOrder(order_id=order, order_qty=200, price_px=4995)
    assert (
        p.replace(order, "--qty", "0.03", meanwhile=done)[1]
        == f"{name}: replaced: quantity 0.03, price 49.95; 0.03 is filled\n"
    )
    assert p.d.status(order) == OrdStatus.FILLED


def test_one_that_is_held_has_other_terms_at_once(p):
    end = p.d.stream.ts + 100 * SECOND
    order = p.d.new(100, 5020, ord_type=OrdType.STOP_LIMIT, stop_px=5010, tif=TimeInForce.GTD, expire_ts=end)
    assert p.d.status(order) == OrdStatus.SUSPENDED
    code, out = p.replace(order, "--stop", "50.12", "--end", "2099-01-01")
    assert code == 0
    assert out == (
        f"{order_id_text(order)}: replaced: quantity 0.1, price 50.2, stop 50.12, end 2099-01-01T00:00:00.000000000Z\n"
    )
    p.d.wait(200 * SECOND)
    assert p.d.status(order) == OrdStatus.SUSPENDED


def test_it_comes_too_late(p):
    order = p.d.working()
    name = order_id_text(order)
    filled = [lambda: p.d.fill(order, 100)]
    assert p.replace(order, "--qty", "0.2", meanwhile=filled) == (1, f"{name}: not replaced (TOO_LATE): it is filled\n")
    assert p.replace(order, "--qty", "0.2") == (1, f"{name}: not replaced (TOO_LATE): it is filled\n")
    other = p.d.working()
    p.d.cancel(other)
    assert "(ALREADY_PENDING)" in p.replace(other, "--qty", "0.2")[1]
    p.d.canceled(other)
    assert p.replace(other, "--qty", "0.2")[1].endswith("not replaced (TOO_LATE): it is canceled\n")


def test_it_is_refused_with_the_reason(p):
    order = p.d.working(100, 4990)
    p.d.fill(order, 30)
    name = order_id_text(order)
    assert p.replace(order, "--qty", "0.02") == (1, f"{name}: not replaced (REPLACE_BELOW_CUM): 0.03 is filled\n")
    assert p.replace(order, "--price", "49.9") == (1, f"{name}: not replaced (REPLACE_HAS_NO_EFFECT)\n")

    def no():
        asked = p.d.last(RoutedReplace, order)
        p.d.update(order, ExecType.REJECTED, OrdStatus.PARTIALLY_FILLED, asked=asked, reason=Reason.PRICE_BAND)

    assert p.replace(order, "--price", "49.8", meanwhile=[no]) == (1, f"{name}: not replaced (PRICE_BAND)\n")
    p.d.refusing = Reason.REPLACE_NOT_ALLOWED
    assert p.replace(order, "--price", "49.8") == (1, f"{name}: not replaced (REPLACE_NOT_ALLOWED)\n")
    assert p.d.status(order) == OrdStatus.PARTIALLY_FILLED


def test_risk_refuses_it(p):
    p.d.put(RiskLimitSet(limit=1, check=RiskCheck.ORDER_NOTIONAL, hard=40, currency=1, scope_type=ScopeType.GLOBAL), LOADER)
    order = p.d.working()
    assert p.replace(order, "--qty", "0.9") == (1, f"{order_id_text(order)}: not replaced (MAX_ORDER_NOTIONAL)\n")


def test_nobody_answers(p):
    order = p.d.working()
    name = order_id_text(order)
    assert p.replace(order, "--qty", "0.2") == (1, f"{name}: pending: neither replaced nor refused within 5 s\n")
    assert p.replace(order, "--qty", "0.3") == (1, f"{name}: not replaced (ALREADY_PENDING)\n")


def test_what_is_said_to_another_replace_is_no_answer(p, monkeypatch):
    order = p.d.working()

    def only_the_strategys(_, command, frame):
        p.d.put(command, PERSON)  # the frame itself is still to come
        p.d.replace(order, price_px=4980)
        p.d.replaced(order)
        p.d.replace(order, price_px=4980)

    monkeypatch.setattr(person.Operator, "say", only_the_strategys)
    assert p.replace(order, "--qty", "0.2") == (
        1, f"{order_id_text(order)}: no answer within 5 s: the replace is on the stream, what became of it is not\n",
    )  # fmt: skip


def test_a_parent_has_other_terms_at_once_or_not_at_all(p):
    parent = p.parent()
    name = order_id_text(parent)
    child = p.child(100, 5000)
    p.d.fill(child, 50, 5000)
    assert p.replace(parent, "--qty", "0.3", "--price", "50") == (
        0, f"{name}: replaced: quantity 0.3, limit 50; 0.05 is filled\n",
    )  # fmt: skip
    for words, reason in [
        (("--price", "49.99"), "CHILD_WORSE_THAN_LIMIT"),
        (("--qty", "0.09"), "CHILD_EXCEEDS_PARENT"),
        (("--qty", "0.04"), "REPLACE_BELOW_CUM): 0.05 is filled"),
        (("--qty", "0.3", "--price", "50.00"), "REPLACE_HAS_NO_EFFECT"),
        (("--stop", "49"), "REPLACE_NOT_ALLOWED"),
    ]:
        code, out = p.replace(parent, *words)
        assert (code, f"{name}: not replaced ({reason}" in out) == (1, True), out
    code, out = p.replace(parent, "--for", "1h")
    assert code == 0
    assert out.startswith(f"{name}: replaced: quantity 0.3, limit 50, end 20")
    code, out = p.replace(parent, "--end", "2099-01-01")
    assert "end 2099-01-01T00:00:00.000000000Z" in out
    p.d.fill(child, 50, 5000)
    assert p.replace(parent, "--qty", "0.1")[0] == 0
    assert p.replace(parent, "--qty", "0.2") == (1, f"{name}: not replaced (TOO_LATE): it is filled\n")


def test_a_child_stays_within_its_parent(p):
    p.parent()
    child = p.child()
    assert "(CHILD_EXCEEDS_PARENT)" in p.replace(child, "--qty", "0.5")[1]
    assert "(CHILD_WORSE_THAN_LIMIT)" in p.replace(child, "--price", "50.02")[1]
    assert p.replace(child, "--qty", "0.2", meanwhile=[lambda: p.d.replaced(child)])[0] == 0


def test_what_cannot_be_asked_is_a_line_and_not_on_the_stream(p, monkeypatch):
    order, day, parent = p.d.working(), p.d.working(tif=TimeInForce.DAY), p.parent()
    i = next(m for m in p.d.said(InstrumentDefined))
    i.tick_px, i.lot_qty = 5, 10
    p.d.put(i, LOADER)
    monkeypatch.setattr(replacing.SystemClock, "now_ns", lambda self: int(NOW.timestamp()) * SECOND)
    name = order_id_text(day)
    for order_id, words, line in [
        (order, (), "replace: nothing is asked for; expected --qty, --price, --end or another term"),
        (order, ("--qty", "much"), "replace: --qty: 'much': expected a decimal number"),
        (order, ("--qty", "0"), "replace: --qty: '0': expected a number above 0 with at most 3 decimals"),
        (order, ("--qty", "0.0005"), "replace: --qty: '0.0005': expected a number above 0 with at most 3 decimals"),
        (order, ("--qty", "0.105"), "replace: --qty = '0.105': expected a multiple of 0.01"),
        (order, ("--price", "-3"), "replace: --price: '-3': expected a number above 0"),
        (order, ("--price", "49.98"), "replace: --price = '49.98': expected a multiple of 0.05"),
        (order, ("--stop", "49.98"), "replace: --stop = '49.98': expected a multiple of 0.05"),
        (order, ("--display", "0.001"), "replace: --display = '0.001': expected a multiple of 0.01"),
        (day, ("--end", "12:00"), f"replace: {name} is DAY: expected a parent, a GTC or a GTD order where an end is given"),
        (parent, ("--end", "10:15:00"), "--end = '10:15:00': expected a time to come; it is 2026-11-21T10:15:00.000000000Z"),
        (parent, ("--end", "2300-01-01"), "--end = '2300-01-01': expected a time to come; before the year 2262"),
        (parent, ("--end", "noon"), "replace: --end: 'noon': expected a time such as"),
        (parent, ("--for", "0s"), "replace: --for = '0s': expected a duration above 0"),
        (parent, ("--for", "999999d"), "replace: --for = '999999d': expected a duration above 0, and an end before"),
        (parent, ("--for", "long"), "replace: --for: 'long': expected a duration"),
    ]:
        code, said = p.replace(order_id, *words)
        assert (code, line in said) == (2, True), said
    assert p.replace(order_id_of(9, 42), "--qty", "1") == (1, "9·42: not replaced (UNKNOWN_ORDER)\n")
    assert not p.d.said(OperatorCommand)


def test_the_terms_of_a_new_parent_are_whole_ticks_and_lots_too(p):
    i = next(m for m in p.d.said(InstrumentDefined))
    i.tick_px, i.lot_qty = 5, 10
    p.d.put(i, LOADER)
    for qty, words, line in [
        ("0.105", (), "parent: QTY = '0.105': expected a multiple of 0.01"),
        ("0.1", ("--limit", "49.98"), "parent: --limit = '49.98': expected a multiple of 0.05"),
        ("0.1", ("--max-slice", "0.015"), "parent: --max-slice = '0.015': expected a multiple of 0.01"),
        ("much", (), "parent: QTY: 'much': expected a decimal number"),
    ]:
        about = ["--account", "main", "--reason", "test", "--user", "alice"]
        assert cli.main(["parent", str(p.d.path), "buy", qty, i.name, *about, *words]) == 2
        assert line in one_line(p.capsys.readouterr().err)
    assert not p.d.said(OperatorCommand)


def test_what_is_no_order_and_both_ends_are_wrong_use(p, capsys):
    path = str(p.d.path)
    assert cli.main(["replace", path, "it", "--qty", "1", "--reason", "x", "--user", "alice"]) == 2
    assert "'it': no order; expected SOURCE.NUMBER" in one_line(capsys.readouterr().err)
    with pytest.raises(SystemExit):
        cli.main(["replace", path, "9.42", "--end", "12:00", "--for", "1h", "--reason", "x"])
    assert "not allowed with" in capsys.readouterr().err
