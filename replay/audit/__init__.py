"""replay.audit: questions to a journal.

Lives here: SQL over the frames (`Audit`; DuckDB, extra `audit`), one order's life with its causes (`order_life`), and the
arrays, names and latencies both are made of. Reads journals only; never asks a running process.
"""

from replay.audit.order_life import OrderLife, UnknownOrder, life_lines, order_life
from replay.audit.stream import Stream
from replay.audit.tables import Answer, Audit, AuditRefused

__all__ = [
    "Answer", "Audit", "AuditRefused", "OrderLife", "Stream", "UnknownOrder", "life_lines", "order_life",
]  # fmt: skip
