"""Faults in orders and in risk: limits, reservations, latches, passes, held orders, lists, parents, reconciliation."""

import pytest
from mutants import Mutant, check

LIMITS = "tests/riskengine/test_every_limit.py"
RECONCILE = "tests/oms/test_reconcile.py"

MUTANTS = [
    Mutant(
        "an order of unknown outcome holds nothing",
        "riskengine/engine.py",
        "        if m.ord_status in CLOSED:\n",
        "        if m.ord_status in CLOSED or m.ord_status == OrdStatus.UNKNOWN:\n",
        (f"{LIMITS}::test_an_order_counts_in_full_until_its_end_is_known",),
    ),
    Mutant(
        "a value at its bound is refused",
        "riskengine/proposal.py",
        "    if value > bound and limit.action",
        "    if value >= bound and limit.action",
        ("tests/riskengine/test_boundaries.py",),
    ),
    Mutant(
        "the wider of two limits holds",
        "riskengine/limits.py",
        "for kind in reversed(SPECIFICITY)",
        "for kind in SPECIFICITY",
        (f"{LIMITS}::test_the_narrower_limit_holds_and_is_shown",),
    ),
    Mutant(
        "who asks for the end of a kill approves it, too",
        "journal/messages/persons.py",
        "        if m.user == wanted.user or m.user in wanted.not_by:\n",
        "        if m.user in wanted.not_by:\n",
        ("tests/riskengine/test_control.py::test_neither_who_killed_nor_who_asks_approves_it",),
    ),
    Mutant(
        "a pass lets two orders out",
        "gateways/sim/checks.py",
        "    if found.consumed:\n        return Reason.RISK_PASS_CONSUMED\n",
        "",
        ("tests/gateways/test_order_entry.py::test_a_pass_counts_once_for_one_order_of_one_epoch",),
    ),
    Mutant(
        "a kill asks for each cancel once",
        "oms/kills.py",
        "        return again.setdefault(order.order_id, self.ctx.now + CANCEL_AGAIN_NS)\n",
        "        return 0\n",
        ("tests/oms/test_kills.py::test_a_refused_cancel_is_sent_again_as_long_as_the_kill_holds",),
    ),
    Mutant(
        "a trail goes back with the price",
        "oms/held.py",
        "            hold.stop_px = min(hold.stop_px, stop) if buys else max(hold.stop_px, stop)\n",
        "            hold.stop_px = stop\n",
        ("tests/oms/test_held.py::test_a_trail_follows_and_never_goes_back",),
    ),
    Mutant(
        "a stop waits for a price beyond its own",
        "oms/held.py",
        "        return seen2 >= 2 * stop_px if up",
        "        return seen2 > 2 * stop_px if up",
        ("tests/oms/test_held.py::test_each_type_and_price",),
    ),
    Mutant(
        "of two orders that exclude one another both stay",
        "oms/lists.py",
        "            return 0 if made.winner not in (0, leg.order_id) else None\n",
        "            return None\n",
        ("tests/oms/test_lists.py::test_oco_a_fill_of_one_cancels_the_other_and_its_own_rest_goes_on",),
    ),
    Mutant(
        "a protection is larger than what it protects",
        "oms/lists.py",
        "of = leg.qty if final and not first.closed else min(leg.qty, first.cum_qty)",
        "of = leg.qty",
        ("tests/oms/test_lists.py::test_bracket_protects_what_was_filled_when_the_entry_is_done",),
    ),
    Mutant(
        "a child of unknown outcome takes nothing of its parent",
        "oms/parents.py",
        "held_qty=order.cum_qty if order.closed else max(most, order.cum_qty)",
        "held_qty=order.cum_qty if order.closed or order.unknown else max(most, order.cum_qty)",
        ("tests/oms/test_parents.py::test_an_unknown_child_counts_in_full_and_says_so",),
    ),
    Mutant(
        "a reconciliation converges with differences open",
        "oms/reconcile.py",
        "        if complete and not left:\n",
        "        if complete:\n",
        (f"{RECONCILE}::test_an_order_that_the_venue_has_lost_halts_the_account",),
    ),
    Mutant(
        "a reconciliation that never converges goes on for ever",
        "oms/reconcile.py",
        "        if c.attempt >= settings.attempts and not c.halted:\n",
        "        if c.attempt > 1 << 62:\n",
        (f"{RECONCILE}::test_a_download_that_never_ends_is_incomplete_and_then_halts",),
    ),
    Mutant(
        "a download that lacks rows is compared",
        "oms/reconcile.py",
        "bool(m.complete) and c.rows >= m.rows",
        "bool(m.complete)",
        (f"{RECONCILE}::test_a_download_that_is_not_whole_is_not_compared",),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_fault_is_noticed(mutant, tmp_path):
    print(check(mutant, tmp_path))
