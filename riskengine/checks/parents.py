"""Does a child keep to what its parent sets (I-23 to I-25)? The OMS holds the same rule at every event; here it has numbers."""

from __future__ import annotations

import msgspec

from journal.messages import NULL, Reason, RiskCheck, order_id_source
from journal.messages.family import Wanted, Whose, fault, may_work
from riskengine.memory import Instrument, Memory
from riskengine.proposal import Proposal, Verdict, failed, passed


def parent_invariants(memory: Memory, p: Proposal) -> Verdict | None:
    """`value`: what the children would hold with it (for a price: the price); `bound`: what the parent allows; `input_seq`: the
    frame with the parent's terms."""
    check = RiskCheck.PARENT_INVARIANTS
    if not p.subject.parent_order_id:
        return None
    parent = memory.families.parents.get(p.subject.parent_order_id)
    if parent is None:
        return failed(check, Reason.PARENT_UNKNOWN_OR_CLOSED, value=p.subject.parent_order_id)
    owner = order_id_source(parent.order_id)
    child_of = Whose(order_id_source(p.subject.order_id), p.subject.strategy)
    if not may_work(child_of, Whose(owner, parent.strategy), roles=memory.roles, apps=memory.families.apps):
        return failed(check, Reason.NOT_OWNER, value=p.source, bound=owner, input_seq=parent.seq)
    held = parent.without(p.subject.order_id)
    child = p.child or Wanted(side=p.side, order_qty=p.order_qty, price_px=p.price_px)
    alike = _alike(memory, parent.instrument, p.instrument)
    reason = fault(parent.bounds, msgspec.structs.replace(child, alike=alike), held, p.now)
    if reason == 0:
        return passed(check, value=held.qty + p.order_qty, bound=parent.order_qty, input_seq=parent.seq)
    value, bound = held.qty + p.order_qty, parent.order_qty
    if reason == Reason.CHILD_WORSE_THAN_LIMIT:
        value, bound = (p.price_px if p.price_px != NULL else 0), parent.limit_px
    elif reason == Reason.CHILD_OUTLIVES_PARENT:
        value, bound = child.expire_ts or p.now, parent.end_ts or parent.start_ts
    elif reason == Reason.CHILD_DIFFERS:
        value, bound = p.subject.instrument, parent.instrument
    elif reason == Reason.CHILD_EXCEEDS_PARENT and parent.max_slice_qty != NULL and p.order_qty > parent.max_slice_qty:
        value, bound = p.order_qty, parent.max_slice_qty
    return failed(check, reason, value=value, bound=bound, input_seq=parent.seq)


def _alike(memory: Memory, instrument: int, child: Instrument | None) -> bool:
    """As far as risk knows: same kind, currency and units. The OMS compares the assets too."""
    own = memory.instruments.get(instrument)
    return own is None or child is None or _kin(own) == _kin(child)


def _kin(i: Instrument) -> tuple[int, ...]:
    return (
        i.instrument_type, i.contract, i.quote_currency, i.px_exp, i.qty_exp, i.multiplier, i.multiplier_exp, i.expiry_ts
    )  # fmt: skip
