"""replay.report: what a day came to, from its journal alone.

Lives here: `summarize` (frames, orders, positions, P&L, latency as plain data), the one-screen view of it, and the
self-contained report.html with its plots.
"""

from replay.report.summary import Summary, summarize

__all__ = ["Summary", "summarize"]
