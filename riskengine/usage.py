"""What venues say of their rate budgets, and what was routed since: a mirror. Pacing itself is the OMS's business."""

from __future__ import annotations

import msgspec

from journal.messages import ExecType, ExecutionReport, RateLimitType, RateLimitUsage

# Which of (new order, replace, cancel) a budget of this type counts.
_COUNTS: dict[int, tuple[bool, bool, bool]] = {
    RateLimitType.ORDER_ACTION: (True, True, True),
    RateLimitType.CREATE_ORDER: (True, False, False),
    RateLimitType.CREATE_AND_MODIFY_ORDER: (True, True, False),
    RateLimitType.MODIFY_ORDER: (False, True, False),
    RateLimitType.REQUEST: (True, True, True),
    RateLimitType.MESSAGE: (True, True, True),
}
NEW, REPLACE, CANCEL = 0, 1, 2
_SENT: dict[int, int] = {ExecType.PENDING_NEW: NEW, ExecType.PENDING_REPLACE: REPLACE, ExecType.PENDING_CANCEL: CANCEL}
_KEPT = 4096


class Row(msgspec.Struct, array_like=True):
    """One budget as the venue told it."""

    limit_type: int
    period_ns: int
    end_ts: int
    limit: int
    used: int


class Told(msgspec.Struct, array_like=True):
    """A venue's last word about an account."""

    seq: int
    ts: int
    rows: list[Row] = []
    routed: list[tuple[int, int]] = []
    """(time, what) of requests routed since; the newest few thousand."""

    def fullest(self, action: int, now: int) -> tuple[int, int] | None:
        """(used with this request, limit) of the budget with the least room; None when none counts it."""
        found: list[tuple[int, int]] = []
        for row in self.rows:
            counts = _COUNTS.get(row.limit_type)
            if counts is None or not counts[action] or not row.limit:
                continue
            ended = now >= row.end_ts if row.end_ts else now - self.ts >= row.period_ns
            begin = now - row.period_ns if not ended or not row.end_ts else max(row.end_ts, now - row.period_ns)
            since = sum(1 for ts, what in self.routed if counts[what] and ts > begin)
            found.append(((0 if ended else row.used) + since + 1, row.limit))
        return min(found, key=lambda f: f[1] - f[0], default=None)


class Usage(msgspec.Struct, array_like=True):
    """By account."""

    told: dict[int, Told] = {}

    def tell(self, m: RateLimitUsage, seq: int, now: int) -> None:
        """The venue's word."""
        rows = [Row(r.limit_type, r.period_ns, r.end_ts, r.limit, r.used) for r in m.limits]
        self.told[m.account] = Told(seq, now, rows)

    def reported(self, m: ExecutionReport, now: int) -> None:
        """A request of ours has left, as the OMS reports it."""
        told = self.told.get(m.account)
        action = _SENT.get(m.exec_type)
        if told is not None and action is not None:
            told.routed.append((now, action))
            del told.routed[:-_KEPT]
