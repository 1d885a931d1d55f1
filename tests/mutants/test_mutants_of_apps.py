"""Faults in what follows the stream: snapshots, epochs, reservations, fills, sends, and the laws of determinism."""

import pytest
from mutants import Mutant, check

DETERMINISM = "tests/determinism/test_determinism.py"

MUTANTS = [
    Mutant(
        "a snapshot forgets closed orders, and with them which of their fills are counted",
        "oms/memory.py",
        "        return _encode(self)\n",
        "        return _encode(msgspec.structs.replace(self, archive={}))\n",
        ("tests/oms/test_order_lives.py",),
    ),
    Mutant(
        "a snapshot made of parts forgets closed orders",
        "oms/memory.py",
        "        entries.fill(table, found)\n",
        "        entries.fill(table, found if table is not memory.archive else [])\n",
        ("tests/oms/test_order_machine.py", "tests/apps/test_digests.py"),
    ),
    Mutant(
        "what goes while a snapshot is taken is not in it",
        "journal/messages/captures.py",
        "            if key in self._table:\n",
        "            if False:\n",
        ("tests/journal/test_captures.py",),
    ),
    Mutant(
        "a restored state is not compared with what was said of it",
        "apps/snapshots.py",
        "        if why:\n",
        "        if False:\n",
        ("tests/apps/test_snapshots.py",),
    ),
    Mutant(
        "a gateway does not compare epochs",
        "gateways/sim/checks.py",
        "    if epoch != view.epoch:\n        return Reason.STALE_EPOCH\n",
        "",
        ("tests/gateways/test_order_entry.py",),
    ),
    Mutant(
        "a reservation is released twice",
        "riskengine/view.py",
        "        self._book(held, 0, 0)\n",
        "        self._book(held, 0, 0)\n        self._book(held, -held.reserved_qty, 0)\n",
        ("tests/riskengine/test_risk_checks.py::test_position",),
    ),
    Mutant(
        "fills are told apart by quantity and price",
        "oms/answered.py",
        "        trade = self.trade_of(m)\n        if trade in order.fills:",
        '        trade = f"{m.last_qty}@{m.last_px}"\n        if trade in order.fills:',
        ("tests/oms/test_order_lives.py",),
    ),
    Mutant(
        "an app goes through a set of names",
        "apps/group.py",
        "        for slot in self._speaking.values():\n            if slot in self._waiting:",
        "        named = {s.name: s for s in self._speaking.values()}\n"
        "        for slot in [named[n] for n in set(named)]:\n            if slot in self._waiting:",
        (f"{DETERMINISM}::test_every_condition_decides_the_same",),
    ),
    Mutant(
        "an app reads the wall clock",
        "apps/strategies/maker.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nimport time\n\nSTARTED = time.time_ns()\n",
        ("tests/test_floors.py",),
    ),
    Mutant(
        "timers fire when the machine's clock says so",
        "apps/group.py",
        "        while (token := self._timers.pop(ts)) is not None:\n",
        "        while (token := self._timers.pop(__import__('time').time_ns())) is not None:\n",
        ("tests/apps/test_group.py",),
    ),
    Mutant(
        "a gateway sends again what was not answered",
        "gateways/sim/order_entry.py",
        "            return self._ask(Download.of_order(self.view, self.ids, order_id=m.order_id, request_seq=seq), now_ns)\n",
        "            again = {'epoch': self.view.epoch, 'released_seq': seq}\n"
        "            return self.routed(m, seq=seq, ts=now_ns, now_ns=now_ns, **again)\n",
        ("tests/gateways/test_order_entry.py",),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_fault_is_noticed(mutant, tmp_path):
    print(check(mutant, tmp_path))
