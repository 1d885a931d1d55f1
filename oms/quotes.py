"""Mass quotes as orders, two an entry, with market-maker protection of our own.

A quote replaces the one its asker has on that entry: the old orders' cancels go out before the new orders can, which wait for
risk. Protection counts the fills of a group of quotes; too many in too short a time, and the group is frozen: its quotes are
pulled, new ones refused, until a MassQuote with `mmp_reset`, or the venue's own protection says so.
"""

from __future__ import annotations

from journal.messages import (
    AlertSeverity,
    CancelQuotes,
    MassQuote,
    MmpState,
    OrdStatus,
    QuoteStatus,
    QuoteStatusReport,
    Reason,
    SourceRole,
    VenueFill,
    VenueMmpState,
)
from journal.messages.quoting import is_quote_order, quote_order_id, quote_orders, valid_quote
from oms.instructions import Protection, Quote
from oms.native_quotes import NativeQuotes
from oms.order import Order
from oms.transitions import Event

_MAY_CANCEL_ANYBODYS = (SourceRole.OPERATOR, SourceRole.RISK)


class Quotes(NativeQuotes):
    """Quotes and their protection. `mmp_*`: by configuration; 0 = not counted."""

    mmp_window_ns: int = 0
    mmp_fills: int = 0
    """So many fills of a group within the window freeze it."""
    mmp_qty: int = 0
    """So much filled (mantissas, summed) within the window freezes it."""

    def on_mass_quote(self, m: MassQuote) -> None:
        """New quotes of these entries, in place of those there are."""
        if not valid_quote(m, self.ctx.now):
            for e in m.entries or ():
                self._say_quote(m.quote_id, e.entry, m.account, e.instrument, QuoteStatus.REJECTED, Reason.INVALID_QUOTE)
            if not m.entries:
                self._say_quote(m.quote_id, 0, m.account, 0, QuoteStatus.REJECTED, Reason.INVALID_QUOTE)
            return
        i, source, seq = self.memory.instructions, self.ctx.source, self.ctx.seq
        if m.mmp_reset and m.mmp_group:
            i.protections.pop(_group(source, m.account, m.mmp_group), None)
        orders = quote_orders(m, seq, source)
        for index, e in enumerate(m.entries):
            key = f"{source}/{m.account}/{e.entry}"
            self._pull(i.quotes.get(key), Reason.USER_REQUEST)
            # The old one is let go: what becomes of its orders is no news of this entry.
            self._forget(key)
            sides = [quote_order_id(source, seq, index, side) for side in (1, 2)]
            asked = [o.order_id for o in orders]
            bid, ask = (x if x in asked else 0 for x in sides)
            i.quotes[key] = Quote(m.quote_id, source, m.account, e.entry, e.instrument, e.set, m.mmp_group, bid, ask)
            for order_id in (bid, ask):
                if order_id:
                    i.quote_of[order_id] = key
        self.gather(m)
        for new in orders:
            self.on_new_order(new)
        protection = i.protections.get(_group(source, m.account, m.mmp_group)) if m.mmp_group else None
        if protection is not None and self._frozen(protection):
            for new in orders:
                order = self.memory.orders[new.order_id]
                if not order.closed:
                    self.step(order, Event.RISK_REJECT, reason=Reason.MMP_TRIGGERED)
        self.gathered(seq)

    def on_cancel_quotes(self, m: CancelQuotes) -> None:
        """Pull the quotes that match all that is given; an operator's or risk's word pulls anybody's."""
        anybodys = self.memory.roles.get(self.ctx.source) in _MAY_CANCEL_ANYBODYS
        for q in list(self.memory.instructions.quotes.values()):
            fits = all(
                want in (0, have)
                for want, have in (
                    (m.quote_id, q.quote_id), (m.account, q.account), (m.instrument, q.instrument), (m.set, q.set)
                )
            )  # fmt: skip
            if fits and (anybodys or q.source == self.ctx.source):
                self._pull(q, m.reason or Reason.USER_REQUEST)

    def _pull(self, quote: Quote | None, reason: int) -> None:
        for order_id in (quote.bid_order_id, quote.ask_order_id) if quote is not None else ():
            order = self.memory.orders.get(order_id)
            if order is not None and not order.closed and order.cancel is None:
                self.cancel(order, Event.POLICY_CANCEL, version=0, reason=reason)

    def _forget(self, key: str) -> None:
        i = self.memory.instructions
        quote = i.quotes.pop(key, None)
        if quote is not None:
            i.quote_of.pop(quote.bid_order_id, None)
            i.quote_of.pop(quote.ask_order_id, None)

    # What becomes of them.

    def moved(self, order: Order) -> None:
        """A side of a quote has moved: say how the quote is, when that has changed."""
        i = self.memory.instructions
        if not (order.kept_end or i.holds or i.ends or i.list_of or i.swept or i.later or i.quote_of or i.native_quotes):
            return  # as for most orders: nothing depends on any
        super().moved(order)
        key = i.quote_of.get(order.order_id) if i.quote_of else None
        if key is None:
            return
        quote = i.quotes[key]
        sides = [self.memory.peek(x) for x in (quote.bid_order_id, quote.ask_order_id) if x]
        known = [o for o in sides if o is not None]
        status = _status(known) if len(known) == len(sides) else QuoteStatus.ACCEPTED
        frozen = i.protections.get(_group(quote.source, quote.account, quote.mmp_group))
        if status in (QuoteStatus.CANCELED, QuoteStatus.REJECTED) and frozen is not None and frozen.frozen:
            status = QuoteStatus.MMP_FROZEN
        if status != quote.status:
            quote.status = status
            reason = 0 if status in (QuoteStatus.ACCEPTED, QuoteStatus.ACTIVE, QuoteStatus.TRADED) else quote.why
            if not reason and status == QuoteStatus.MMP_FROZEN:
                reason = Reason.MMP_TRIGGERED
            self._say_quote(
                quote.quote_id, quote.entry, quote.account, quote.instrument, status, reason, quote.bid_order_id,
                quote.ask_order_id,
            )  # fmt: skip
        if all(o.closed for o in known) and len(known) == len(sides):
            self._forget(key)

    def report(self, order: Order, exec_type: int, *, reason: int = 0, flags: int = 0, **news: object) -> None:
        """A quote's end has the reason of the order that ended it."""
        key = self.memory.instructions.quote_of.get(order.order_id) if reason else None
        if key is not None and order.closed:
            self.memory.instructions.quotes[key].why = reason
        super().report(order, exec_type, reason=reason, flags=flags, **news)

    def _say_quote(
        self, quote_id: int, entry: int, account: int, instrument: int, status: int, reason: int, bid: int = 0, ask: int = 0
    ) -> None:
        self.ctx.emit(
            QuoteStatusReport(
                quote_id=quote_id, bid_order_id=bid, ask_order_id=ask, entry=entry, account=account, instrument=instrument,
                reason=reason, quote_status=status,
            )
        )  # fmt: skip

    # Protection.

    def on_venue_fill(self, m: VenueFill) -> None:
        """A fill of a quote counts."""
        before = self._filled(m.order_id)
        key = self.memory.instructions.quote_of.get(m.order_id)
        quote = self.memory.instructions.quotes.get(key) if key is not None else None
        super().on_venue_fill(m)
        more = self._filled(m.order_id) - before
        if quote is not None and quote.mmp_group and more > 0 and self.mmp_window_ns:
            self._protect(quote, more)

    def _filled(self, order_id: int) -> int:
        order = self.memory.peek(order_id) if is_quote_order(order_id) else None
        return order.cum_qty if order is not None else 0

    def _protect(self, quote: Quote, qty: int) -> None:
        name = _group(quote.source, quote.account, quote.mmp_group)
        p = self.memory.instructions.protections.setdefault(name, Protection())
        p.fills = [(ts, n) for ts, n in p.fills if ts > self.ctx.now - self.mmp_window_ns] + [(self.ctx.now, qty)]
        often = 0 < self.mmp_fills <= len(p.fills)
        much = 0 < self.mmp_qty <= sum(n for _, n in p.fills)
        if (often or much) and not p.frozen:
            self._freeze(quote.source, quote.account, quote.mmp_group, p)

    def _freeze(self, source: int, account: int, group: int, p: Protection) -> None:
        p.frozen, p.fills = True, []
        self.alert(None, Reason.MMP_TRIGGERED, f"quotes of source {source}, account {account}, group {group} are frozen",
                   severity=AlertSeverity.WARNING)  # fmt: skip
        for q in list(self.memory.instructions.quotes.values()):
            if (q.source, q.account, q.mmp_group) == (source, account, group):
                self._pull(q, Reason.MMP_TRIGGERED)

    def _frozen(self, p: Protection) -> bool:
        if p.frozen and 0 < p.until <= self.ctx.now:
            p.frozen, p.until = False, 0
        return p.frozen

    def on_venue_mmp_state(self, m: VenueMmpState) -> None:
        """The venue's own protection: ours follows, for every asker of that account and group."""
        i = self.memory.instructions
        if m.state == MmpState.ACTIVE:
            for name in [n for n in i.protections if n.endswith(f"/{m.account}/{m.mmp_group}")]:
                del i.protections[name]
            return
        sources = {q.source for q in i.quotes.values() if (q.account, q.mmp_group) == (m.account, m.mmp_group)}
        for source in sorted(sources):
            p = i.protections.setdefault(_group(source, m.account, m.mmp_group), Protection())
            p.until = m.frozen_until_ts
            if not p.frozen:
                self._freeze(source, m.account, m.mmp_group, p)

    def check_instructions(self) -> None:
        """Assert what holds of quotes. O(n)."""
        super().check_instructions()
        i = self.memory.instructions
        for key, q in i.quotes.items():
            sides = [x for x in (q.bid_order_id, q.ask_order_id) if x]
            assert sides, key
            assert all(i.quote_of[x] == key for x in sides), key
            orders = [o for x in sides if (o := self.memory.peek(x)) is not None]
            assert any(not o.closed for o in orders), key
            frozen = i.protections.get(_group(q.source, q.account, q.mmp_group))
            if frozen is not None and frozen.frozen and q.mmp_group:
                # Nothing of a frozen group is left alone.
                assert all(o.closed or o.cancel is not None for o in orders), orders
        assert len(i.quote_of) == sum((q.bid_order_id > 0) + (q.ask_order_id > 0) for q in i.quotes.values())


def _group(source: int, account: int, group: int) -> str:
    return f"{source}/{account}/{group}"


def _status(sides: list[Order]) -> int:
    """How a quote is, from its sides."""
    if any(o.cum_qty for o in sides):
        return QuoteStatus.TRADED
    if any(not o.closed for o in sides):
        active = all(o.closed or o.base in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED) for o in sides)
        return QuoteStatus.ACTIVE if active else QuoteStatus.ACCEPTED
    if all(o.base == OrdStatus.REJECTED for o in sides):
        return QuoteStatus.REJECTED
    return QuoteStatus.EXPIRED if all(o.base == OrdStatus.EXPIRED for o in sides) else QuoteStatus.CANCELED
