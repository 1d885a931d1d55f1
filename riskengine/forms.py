"""What an order is when it leaves, which is not always what was asked: a life that we end is sent as GTC, a stop that we hold
as a market order. A pass is for what leaves; for a held order that is decided when it is released."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, EmulatedTrigger, NewOrder
from journal.messages.capabilities import RELEASED_AS, Offer, decided_form, keeps_ends, released_form
from riskengine.exposure import Held
from riskengine.world import World


class Forming(World):
    """The terms of orders that may be held."""

    def _offer(self, instrument: int) -> Offer | None:
        i = self.memory.instruments.get(instrument)
        return self.memory.venues.get(i.venue) if i is not None else None

    def decided(self, m: NewOrder) -> NewOrder:
        """What the decision on a new order is about."""
        return decided_form(self._offer(m.instrument), m)

    def end_kept(self, m: NewOrder) -> bool:
        """Whether an order has an end that no venue is told, neither at once nor when it is released."""
        return bool(m.expire_ts) and not released_form(self._offer(m.instrument), m, NULL).expire_ts

    def keeps_ends(self, instrument: int) -> bool:
        """Whether an order there that gets an end by a replace gets it from the OMS."""
        return keeps_ends(self._offer(instrument))

    def keep_form(self, m: NewOrder) -> None:
        """Remember the terms of an order that the OMS may hold, until it is closed."""
        if m.ord_type in RELEASED_AS or m.release_ts or m.list_id:
            self.memory.forms[m.order_id] = m.encode()

    def released(self, m: EmulatedTrigger, held: Held | None) -> NewOrder | None:
        """What a held order is sent as, with the terms in force; None when it has ended."""
        body = self.memory.forms.get(m.order_id)
        if held is None or body is None:
            return None
        new = msgspec.structs.replace(
            NewOrder.decode(body), order_qty=held.order_qty, price_px=held.price_px, stop_px=held.stop_px,
            display_qty=held.display_qty, expire_ts=held.expire_ts,
        )  # fmt: skip
        return released_form(self._offer(new.instrument), new, m.trigger_px)
