"""Whose objects the kernel (apps/kernel/python/oms.h) reads and changes, by the names that it has for them."""

from __future__ import annotations

from journal.messages.capabilities import Offer
from journal.messages.keeping import Keep, Line
from journal.messages.tables import Fixed, Table
from oms.budgets import Pace
from oms.core import Core
from oms.differences import Compared, Reconciling, Settings
from oms.instructions import Instructions
from oms.memory import Gate, Memory, Route
from oms.order import Order, Request
from oms.venues import Venues
from oms.ways import Ways

CLASSES: dict[str, type] = {
    "Core": Core, "Oms": Memory, "Order": Order, "Request": Request, "Route": Route, "Gate": Gate, "Instructions": Instructions,
    "Pace": Pace, "Ways": Ways, "Venues": Venues, "Offer": Offer, "Line": Line, "Keep": Keep,
    "Reconciling": Reconciling, "Compare": Settings, "Compared": Compared,
    "Table": Table, "Fixed": Fixed,
}  # fmt: skip
