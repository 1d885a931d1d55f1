"""Routed orders and replaces that must not leave, mixed with some that must, at the gateway's production session: no escape.

Every order begins as it should be: asked, passed by risk, routed. Then up to three things are done to it or around it: a pass
that is missing, refused, used, stale, of other terms, of another order or another epoch, a tampered hash, a kill, a lost
connection, a watermark that lags. A model that knows no hashes, only what risk was asked and said, judges what came out as
bytes: what left without a right to, and what had one and did not leave, are finds.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from gateways.sim.checks import HardCaps
from gateways.sim.order_entry import OrderEntry
from gateways.sim.order_view import OrderView
from gateways.sim.session import Out
from journal.messages import (
    AccountDefined,
    CurrencyDefined,
    Decision,
    DestinationDefined,
    EpochStart,
    GatewayPhase,
    GroupDefined,
    GroupMember,
    InstrumentDefined,
    KillRelease,
    KillSwitch,
    Message,
    NewOrder,
    OrdType,
    Reason,
    ReplaceOrder,
    RiskDecision,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    TimeInForce,
    VenueDefined,
    content_hash,
    order_id_of,
    replace_hash,
)
from journal.messages.client_ids import ClientIds
from lockstep.torture.outcome import Find, Outcome, Tell

COUNTS = ("orders", "left", "refused", "ignored")
ORDERS = 1_000_000
SESSION_ORDERS = 5_000
"""Then a session begins anew: another gateway, another stream."""
VENUE, ACCOUNT, INSTRUMENT, DESTINATION, STRATEGY = 1, 7, 1001, 2, 3
SOURCE, GATEWAY = 9, 4
UNDERLYING, USERS, DESK, EMPTY_DESK = 50, (0, 1, 2), 3, 4
"""The desk is the last user."""
VALID_NS = 1_000_000
_METHODS = ("order.place", "order.modify")
_NO_WORDS = (Reason.NOT_SUPPORTED_BY_VENUE, Reason.REPLACE_NOT_ALLOWED)
"""The simulated venue has no words for some terms, whoever passed them."""
Routed = RoutedOrder | RoutedReplace


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Options of `lockstep torture passes` beside the common ones: none. `--count`: orders (default: 1000000)."""


def run(arguments: argparse.Namespace, tell: Tell) -> Outcome:
    """`lockstep torture passes`"""
    orders = arguments.count or ORDERS
    outcome = Outcome(
        "passes", {"seed": arguments.seed, "orders": orders}, {"orders": 0, "left": 0, "refused": 0, "ignored": 0}
    )
    seed = arguments.seed
    while outcome.metrics["orders"] < orders and not outcome.finds:
        tell(outcome.metrics["orders"], orders, f"{outcome.metrics['left']:,} left, {outcome.metrics['refused']:,} refused")
        count = min(SESSION_ORDERS, orders - int(outcome.metrics["orders"]))
        _Session(random.Random(seed), outcome, f"lockstep torture passes --seed {seed} --count {count}").run(count)
        seed += 1
    return outcome


class _Word(msgspec.Struct):
    """What risk said, and of which terms: what the model remembers of a RiskDecision."""

    order_id: int
    terms: tuple[int, ...]
    said_hash: int
    epoch: int
    valid_until_ts: int
    passed: bool
    used: bool = False


def _terms(m: Any) -> tuple[int, ...]:
    """What an order is about, field by field."""
    if isinstance(m, RoutedReplace):
        return (m.order_id, m.order_qty, m.price_px, m.stop_px, m.display_qty, m.expire_ts)
    return (
        m.account, m.instrument, m.exec_inst, m.side, m.ord_type, m.tif, m.trigger, m.order_qty, m.price_px, m.stop_px,
        m.display_qty, m.min_qty,
    )  # fmt: skip


def _hash(m: Any) -> int:
    if isinstance(m, RoutedOrder | NewOrder):
        return content_hash(m)
    return replace_hash(
        order_id=m.order_id, order_qty=m.order_qty, price_px=m.price_px, stop_px=m.stop_px, display_qty=m.display_qty,
        expire_ts=m.expire_ts,
    )  # fmt: skip


_KILLS = (ScopeType.GLOBAL, ScopeType.STRATEGY, ScopeType.VENUE, ScopeType.USER, ScopeType.GROUP, ScopeType.UNDERLYING)


def _in_group(group: int, user: int | None) -> bool:
    """Whoever asked; one that is not known is everybody's, a group that is not defined everything."""
    return group not in (DESK, EMPTY_DESK) or (group == DESK and user in (None, USERS[-1]))


class _Session:
    """One gateway and the stream it reads."""

    def __init__(self, rng: random.Random, outcome: Outcome, again: str) -> None:
        self.rng, self.outcome, self.again = rng, outcome, again
        self.seq = self.ts = 0
        self.epoch = 1
        self.numbers = 0
        self.kills: dict[int, KillSwitch] = {}
        self.words: dict[int, _Word] = {}
        self.routed: dict[int, Routed] = {}
        """Order id → the last request of it that left."""
        self.seqs: dict[int, int] = {}
        self.recent: deque[Routed] = deque(maxlen=50)
        self.users: dict[int, int] = {}
        """Every order: for whom it was asked."""
        self.whose: dict[int, int] = {}
        """Every request: whose it is."""
        self.view = OrderView(venue_name="sim", account_name="main", source=GATEWAY)
        for m in (
            EpochStart(new_epoch=1),
            VenueDefined(venue=VENUE, name="sim"),
            AccountDefined(account=ACCOUNT, venue=VENUE, name="main"),
            CurrencyDefined(currency=1, ledger_exp=-5, name="USDT"),
            InstrumentDefined(
                instrument=INSTRUMENT,
                venue=VENUE,
                underlying=UNDERLYING,
                px_exp=-2,
                qty_exp=-3,
                tick_px=1,
                lot_qty=1,
                name="BTCUSDT",
            ),
            GroupDefined(group=DESK, members=[GroupMember(member=USERS[-1], member_type=ScopeType.USER)]),
            GroupDefined(group=EMPTY_DESK),
            DestinationDefined(destination=DESTINATION, venue=VENUE, account=ACCOUNT, gateway=GATEWAY),
            DestinationDefined(destination=DESTINATION + 1, venue=VENUE + 1, account=ACCOUNT),
        ):
            self.frame(m)
        self.entry = OrderEntry(self.view, ids=ClientIds("t"), api_key="", caps=HardCaps(), gateway=GATEWAY)
        self.entry.phase = GatewayPhase.READY

    def frame(self, m: Message, source: int = 0) -> int:
        """Anything of the stream but routed frames."""
        self.seq += 1
        self.ts += self.rng.randrange(1, 1000)
        self.view.watch(m, seq=self.seq, epoch=self.epoch, source=source)
        return self.seq

    def run(self, count: int) -> None:
        """So many orders and replaces."""
        for _ in range(count):
            self.around()
            self.one()
            if self.outcome.finds:
                return

    # What happens around an order.

    def around(self) -> None:
        rng = self.rng
        if rng.random() < 0.02:
            kill = KillSwitch(kill=self.seq + 1, scope_type=rng.choice(_KILLS))
            kill.scope_strategy, kill.scope_venue = rng.choice([STRATEGY, STRATEGY + 1]), rng.choice([VENUE, VENUE + 1])
            kill.scope_user, kill.scope_group = rng.choice(USERS[1:]), rng.choice([DESK, EMPTY_DESK, EMPTY_DESK + 1])
            kill.scope_underlying = rng.choice([UNDERLYING, UNDERLYING + 1])
            self.kills[kill.kill] = kill
            self.frame(kill)
        elif self.kills and rng.random() < 0.2:
            kill_no = rng.choice(list(self.kills))
            del self.kills[kill_no]
            self.frame(KillRelease(kill=kill_no))
        if rng.random() < 0.01:
            self.epoch += 1
            self.frame(EpochStart(new_epoch=self.epoch, prev_epoch=self.epoch - 1))
        ready = self.entry.phase == GatewayPhase.READY
        if rng.random() < (0.02 if ready else 0.5):
            self.entry.phase = GatewayPhase.DISCONNECTED if ready else GatewayPhase.READY

    # One order.

    def one(self) -> None:
        rng = self.rng
        m = self.replace() if self.routed and rng.random() < 0.2 else self.order()
        lag = 0
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            lag += rng.choice(_TAMPERS)(self, m) or 0
        if rng.random() < 0.02:
            self.ts += 2 * VALID_NS
        self.seq += 1
        self.ts += 1
        may = self.may_leave(m, released_seq=self.seq - lag)
        actions = self.entry.routed(m, seq=self.seq, ts=self.ts, epoch=self.epoch, released_seq=self.seq - lag, now_ns=self.ts)
        sent = [json.loads(a) for a in actions if isinstance(a, bytes)]
        refused = [a.message for a in actions if isinstance(a, Out) and isinstance(a.message, SendRefused)]
        self.recent.append(m)
        left = self.judge(m, may, sent, refused)
        word = self.words.get(m.risk_seq)
        if word is not None and m.destination == DESTINATION:
            word.used = True
        if m.destination == DESTINATION:
            self.whose[self.seq] = m.order_id
        if left:
            self.routed[m.order_id], self.seqs[m.order_id] = m, self.seq

    def order(self) -> RoutedOrder:
        """As it should be."""
        rng = self.rng
        self.numbers += 1
        asked = NewOrder(
            order_id=order_id_of(SOURCE, self.numbers), account=ACCOUNT, strategy=STRATEGY, instrument=INSTRUMENT,
            side=rng.choice([Side.BUY, Side.SELL]), ord_type=OrdType.LIMIT, tif=TimeInForce.GTC,
            order_qty=rng.randrange(1, 1000), price_px=rng.randrange(1, 100_000), user=rng.choice(USERS),
        )  # fmt: skip
        self.users[asked.order_id] = asked.user
        self.frame(asked, SOURCE)
        seq = self.decide(asked, NewOrder.KIND)
        return RoutedOrder(
            order_id=asked.order_id, risk_seq=seq, content_hash=content_hash(asked), order_qty=asked.order_qty,
            price_px=asked.price_px, account=ACCOUNT, instrument=INSTRUMENT, strategy=STRATEGY, destination=DESTINATION,
            side=asked.side, ord_type=asked.ord_type, tif=asked.tif,
        )  # fmt: skip

    def replace(self) -> RoutedReplace:
        """Of an order that has left."""
        rng = self.rng
        old = self.routed[rng.choice(list(self.routed)[-20:])]
        m = RoutedReplace(
            order_id=old.order_id, orig_request_seq=self.seqs[old.order_id], order_qty=rng.randrange(1, 1000),
            price_px=rng.randrange(1, 100_000), account=ACCOUNT, instrument=INSTRUMENT, version=1, destination=DESTINATION,
            side=old.side,
        )  # fmt: skip
        m.content_hash = _hash(m)
        m.risk_seq = self.decide(m, ReplaceOrder.KIND)
        return m

    def decide(self, asked: Any, kind: int, decision: int = Decision.PASS) -> int:
        """Risk's frame on it."""
        until = self.ts + VALID_NS if self.rng.random() < 0.5 else 0
        m = RiskDecision(
            order_id=asked.order_id, request_kind=kind, decision=decision, content_hash=_hash(asked), valid_until_ts=until
        )
        seq = self.frame(m)
        passed = decision in (Decision.PASS, Decision.PASS_WITH_WARNING)
        self.words[seq] = _Word(asked.order_id, (kind, *_terms(asked)), m.content_hash, self.epoch, until, passed)
        return seq

    # The model, and what it is compared with.

    def may_leave(self, m: Routed, *, released_seq: int) -> bool:
        """Whether this may become bytes, by what risk was asked and said."""
        kind = NewOrder.KIND if isinstance(m, RoutedOrder) else ReplaceOrder.KIND
        word = self.words.get(m.risk_seq)
        strategy = m.strategy if isinstance(m, RoutedOrder) else STRATEGY
        user = self.users.get(m.order_id)
        killed = any(
            k.scope_type == ScopeType.GLOBAL
            or (k.scope_type == ScopeType.STRATEGY and k.scope_strategy == strategy)
            or (k.scope_type == ScopeType.VENUE and k.scope_venue == VENUE)
            or (k.scope_type == ScopeType.USER and user in (None, k.scope_user))
            or (k.scope_type == ScopeType.GROUP and _in_group(k.scope_group, user))
            or (k.scope_type == ScopeType.UNDERLYING and k.scope_underlying == UNDERLYING)
            for k in self.kills.values()
        )
        if word is None or m.risk_seq >= self.seq or killed or self.entry.phase != GatewayPhase.READY:
            return False
        passed = word.passed and not word.used and word.epoch == self.epoch and not 0 < word.valid_until_ts < self.ts
        same = word.terms == (kind, *_terms(m)) and word.order_id == m.order_id and word.said_hash == m.content_hash
        fits = m.destination == DESTINATION and released_seq >= self.seq and m.order_qty > 0
        if isinstance(m, RoutedOrder):
            return passed and same and fits and m.order_id not in self.routed
        return passed and same and fits and self.whose.get(m.orig_request_seq) == m.order_id

    def judge(self, m: Routed, may: bool, sent: list[Any], refused: list[Any]) -> bool:
        """Compare what came out with the right to; whether it left."""
        counts = self.outcome.metrics
        counts["orders"] += 1
        business = [s for s in sent if s["method"] in _METHODS]
        counts["left" if business else "refused" if refused else "ignored"] += 1
        if len(business) > 1 or (business and not may):
            self.find(f"left without a right to: {m!r} as {business}")
        elif may and not business and not any(r.reason in _NO_WORDS for r in refused):
            self.find(f"had a right to leave and did not: {m!r}, {refused}")
        elif business and _mantissa(business[0]) != (m.order_qty, m.price_px):
            self.find(f"left as another: {m!r} as {business}")
        return bool(business)

    def find(self, what: str) -> None:
        self.outcome.finds.append(Find(what, self.again))


def _mantissa(sent: Any) -> tuple[int, int]:
    """Quantity and price in the venue's words, back as integers."""
    quantity, price = sent["params"]["quantity"], sent["params"]["price"]
    assert quantity[-4] == "."
    assert price[-3] == "."
    return int(quantity.replace(".", "")), int(price.replace(".", ""))


# What is done to an order that was as it should be. A number: the watermark lags by so much.


def _no_pass(s: _Session, m: Routed) -> None:
    m.risk_seq = s.rng.choice([0, 1, s.seq + 1, s.seq + 2, 1 << 63])


def _refused(s: _Session, m: Routed) -> None:
    kind = NewOrder.KIND if isinstance(m, RoutedOrder) else ReplaceOrder.KIND
    m.risk_seq = s.decide(m, kind, s.rng.choice([Decision.REJECT, Decision.UNDEFINED]))


def _warned(s: _Session, m: Routed) -> None:
    kind = NewOrder.KIND if isinstance(m, RoutedOrder) else ReplaceOrder.KIND
    m.risk_seq, m.content_hash = s.decide(m, kind, Decision.PASS_WITH_WARNING), _hash(m)


def _other_kind(s: _Session, m: Routed) -> None:
    m.risk_seq = s.decide(m, ReplaceOrder.KIND if isinstance(m, RoutedOrder) else NewOrder.KIND)


def _old_pass(s: _Session, m: Routed) -> None:
    m.risk_seq = s.rng.choice(list(s.words)[-200:])


def _used_pass(s: _Session, m: Routed) -> None:
    used = [seq for seq, word in list(s.words.items())[-200:] if word.used]
    if used:
        m.risk_seq = s.rng.choice(used)


def _again(s: _Session, m: Routed) -> None:
    """An earlier one to the letter, its pass included."""
    earlier = [old for old in s.recent if type(old) is type(m)]
    if earlier:
        old = s.rng.choice(earlier)
        for name in old.__struct_fields__:
            setattr(m, name, getattr(old, name))


def _field(s: _Session, m: Routed) -> None:
    name = s.rng.choice(["order_qty", "price_px", "stop_px", "side", "display_qty"])
    setattr(m, name, s.rng.randrange(1, 3) if name == "side" else s.rng.randrange(1, 1000))


def _field_and_hash(s: _Session, m: Routed) -> None:
    _field(s, m)
    m.content_hash = _hash(m)


def _hash_alone(s: _Session, m: Routed) -> None:
    m.content_hash = s.rng.getrandbits(64)


def _another_order(s: _Session, m: Routed) -> None:
    m.order_id = s.rng.choice([0, m.order_id + 1, order_id_of(SOURCE, s.rng.randrange(1, s.numbers + 2))])


def _another_request(s: _Session, m: Routed) -> None:
    if isinstance(m, RoutedReplace):
        m.orig_request_seq = s.rng.choice(list(s.whose)[-50:])


def _elsewhere(s: _Session, m: Routed) -> None:
    m.destination = s.rng.choice([0, DESTINATION + 1, DESTINATION + 2])


def _lag(s: _Session, _: Routed) -> int:
    return s.rng.randrange(1, 5)


_TAMPERS: tuple[Callable[[_Session, Any], int | None], ...] = (
    _no_pass, _refused, _warned, _other_kind, _old_pass, _used_pass, _again, _field, _field_and_hash, _hash_alone,
    _another_order, _another_request, _elsewhere, _lag,
)  # fmt: skip
