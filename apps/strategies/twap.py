"""Time-weighted average price: a parent is worked in equal slices at equal distances of time, each through the touch."""

from __future__ import annotations

import msgspec

from apps.algo import Algo, OpenParent
from apps.strategy import SECOND, Qty, on
from journal.messages import NULL, AlgoType, ExecType, ExecutionReport, ParentOrder, Side, TimeInForce, TopOfBook


class Plan(msgspec.Struct):
    """When a parent is worked, and how much of it. Times in ns: from `began`, in `slices` pieces, one every `step`."""

    parent: int
    began: int
    step: int
    slices: int
    end_ts: int = 0
    """The end it was made for; 0: the parent had none."""
    held_qty: int = 0
    """What the children held when it was made: the rest is what the slices are of."""


class Twap(Algo):
    """Works the TWAP parents that persons give to it, each from its start to its end (none: for `seconds`, and then until it is
    done), in `slices` pieces or as many as `max_slice_qty` makes. What a slice did not get the later ones take along; less than
    `min_slice_qty` waits for the next, unless it is the rest.

    A parent that is replaced is planned anew from then on: what its children do not hold is spread evenly over the slices to
    come. These keep their times, unless the end is another, none is left, or `max_slice_qty` wants more of them: then it is
    planned like one given now, its first slice no later than the next would have been.

    With a `qty` it gives itself one for each of its symbols: to be bought or sold within `seconds`, no further than
    `limit_ticks` from the mid it began at."""

    qty: Qty = Qty(0)
    side: str = "buy"
    seconds: int = 60
    slices: int = 10
    limit_ticks: int = 50

    def start(self) -> None:
        if self.side not in ("buy", "sell") or self.seconds < 1 or self.slices < 1:
            raise ValueError(
                f"side = {self.side!r}, seconds = {self.seconds}, slices = {self.slices}; expected 'buy' or 'sell', 1 or more"
            )
        self.own: dict[int, int] = {}
        """Instrument → the parent it gave itself."""
        self.plans: dict[int, Plan] = {}
        """By number, which is its timer, too."""
        self.planned = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        """The first live touch begins its own."""
        if not self.qty or m.instrument in self.own or not self.trades(m.instrument) or NULL in (m.bid_px, m.ask_px):
            return
        side = Side.BUY if self.side == "buy" else Side.SELL
        tick = self.refdata.tick(m.instrument)
        away = self.limit_ticks * tick * (1 if side == Side.BUY else -1)
        limit = (m.mid2 + 2 * away) // (2 * tick) * tick
        parent = self.parent(side, m.instrument, self.qty, limit, end=self.now + self.seconds * SECOND, algo=AlgoType.TWAP)
        if parent:
            self.own[m.instrument] = parent
            self._plan(self.parents[parent])

    def parent_given(self, parent: OpenParent, m: ParentOrder) -> bool:
        if m.algo != AlgoType.TWAP:
            return False
        self._plan(parent)
        return True

    def parent_changed(self, parent: OpenParent, m: ExecutionReport) -> None:
        """New terms are in force, ours or the person's. The OMS has seen to it that no child breaks them."""
        if m.exec_type == ExecType.REPLACED and parent.takes_children:
            self._plan_anew(parent)

    def _plan(self, parent: OpenParent, number: int = 0, latest: int = 0) -> None:
        """Plan what its children do not hold, from now or its start on. `number`: of the plan that this replaces; `latest`:
        when its first slice has to be."""
        if not number:
            number = self.planned = self.planned + 1
        began = max(self.now, parent.start_ts)
        slices = max(self.slices, self._fewest(parent))
        end = parent.end_ts or began + self.seconds * SECOND
        step = max((end - began) // (slices + 1), 1)
        if 0 < latest < began + step:
            step = max((end - latest) // slices, 1)
            began = latest - step
        self.plans[number] = Plan(parent.order_id, began, step, slices, parent.end_ts, self.held(parent.order_id))
        self.wake(began + step, number)

    def _plan_anew(self, parent: OpenParent) -> None:
        number, old = next(((n, plan) for n, plan in self.plans.items() if plan.parent == parent.order_id), (0, None))
        if old is None:
            self._plan(parent)
            return
        passed = (max(self.now, parent.start_ts) - old.began) // old.step
        left = old.slices - passed
        if parent.end_ts == old.end_ts and left >= self._fewest(parent):
            began, held = old.began + passed * old.step, self.held(parent.order_id)
            self.plans[number] = Plan(parent.order_id, began, old.step, left, parent.end_ts, held)  # its timer is set
        else:
            # Not later than it would have been: else who replaces it again and again would keep it from being worked.
            self._plan(parent, number, old.began + (passed + 1) * old.step if self.now > parent.start_ts else 0)

    def _fewest(self, parent: OpenParent) -> int:
        """So many slices the rest takes at least."""
        rest = max(parent.qty - self.held(parent.order_id), 1)
        return 1 if parent.max_slice_qty == NULL else -(-rest // parent.max_slice_qty)

    def on_timer(self, token: int) -> None:
        """A slice is due: what should have been done by now, less what the children hold."""
        plan = self.plans[token]
        parent = self.parents.get(plan.parent)
        if parent is None:
            del self.plans[token]
            return
        self._work(plan, parent)
        after = self.now + plan.step - (self.now - plan.began) % plan.step
        if not parent.end_ts or after < parent.end_ts:
            self.wake(after, token)
        else:
            del self.plans[token]

    def _work(self, plan: Plan, parent: OpenParent) -> None:
        passed = min((self.now - plan.began) // plan.step, plan.slices)
        due = plan.held_qty + (parent.qty - plan.held_qty) * passed // plan.slices
        room, book = self.room(parent.order_id), self.book(parent.instrument)
        missing = due - (parent.qty - room)
        if parent.max_slice_qty != NULL:
            missing = min(missing, parent.max_slice_qty)
        lot = self.refdata.lot(parent.instrument)
        missing = missing // lot * lot
        if parent.min_slice_qty != NULL and missing < min(parent.min_slice_qty, room):
            return
        px = book.ask_px if parent.side == Side.BUY else book.bid_px
        if missing > 0 and book.is_live and px != NULL:
            self.slice(parent.order_id, missing, px, tif=TimeInForce.IOC)
