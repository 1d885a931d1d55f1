"""What reconciliation knows: its settings, what is being compared, the differences that are open. Data with a few questions;
runs are in `reconcile`, what is done about a difference is in `repair`.

State stays bounded: notes of trades leave when they are older than the lookback and its overlap, differences when they are
gone, approvals after so many younger ones.
"""

from __future__ import annotations

import msgspec

from journal.messages import DifferenceType
from journal.messages.tables import Fixed, look

SECOND_NS = 1_000_000_000
APPROVALS_MAX = 64
OF_POSITIONS = (DifferenceType.POSITION, DifferenceType.BALANCE)
"""Found by whoever keeps positions, not by the OMS."""


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The [reconcile] table, in the stream's units."""

    interval_ns: int = 60 * SECOND_NS
    """Between two runs of a connection that is up; 0: only after each connect."""
    lookback_ns: int = 24 * 3600 * SECOND_NS
    """How far back the venue's fills are compared after a connect; 0: only those that were missed."""
    overlap_ns: int = 300 * SECOND_NS
    """How far before the last run the fills of the next one begin."""
    attempts: int = 5
    """Runs that may end with differences before the account is halted."""
    backoff_ns: int = SECOND_NS
    """Until the run after the first that did not converge; twice as long after each further one."""
    max_unknown: int = 10
    """Orders with an unknown outcome before nothing new is sent."""
    close_missing: bool = False
    """Close an order that the venue says it never had; else a person does."""
    approval: bool = False
    """A person's correction needs a second person."""


class Open(msgspec.Struct, array_like=True):
    """A difference that is still there."""

    difference: int
    order_id: int
    ours: int
    theirs: int
    ref: str
    """The venue's trade or order, where the difference is about one."""
    seq: int = 0
    """The ReconcileDifference; 0 until it has come back on the stream."""

    @property
    def key(self) -> str:
        """The same difference in the next run has the same key."""
        return key_of(self.difference, self.order_id, self.ref)


def key_of(difference: int, order_id: int, ref: str) -> str:
    """What makes two differences one."""
    return f"{difference}/{order_id}/{ref}"


class Trade(msgspec.Struct, array_like=True):
    """What is noted of a fill beside the order's own numbers: enough to miss it at the venue and to give its fee back."""

    exchange_ts: int
    seq: int
    fee: int
    fee_exp: int
    fee_currency: int


class Compared(msgspec.Struct, array_like=True):
    """One venue and account."""

    venue: int
    account: int
    run: int = 0
    """The run under way; 0 = none."""
    trigger: int = 0
    began_ts: int = 0
    from_ts: int = 0
    asked: bool = False
    """The run's own download was asked for; before that, the gateway's after a connect brings what was missed."""
    download_seq: int = 0
    """Where the download under way began; 0 = none."""
    began_seq: int = 0
    """Where the last download began."""
    rows: int = 0
    trades_seen: dict[str, int] = {}
    """order/trade → row: what the download has shown."""
    found: int = 0
    """Differences of this run."""
    open: dict[str, Open] = {}
    accepted: dict[str, tuple[int, int]] = {}
    """Differences a person has accepted, as they were."""
    attempt: int = 0
    """Runs in a row that left differences."""
    settled: bool = False
    """A run has converged since the connection is up."""
    halted: bool = False
    last_ts: int = 0
    """When the last run that converged began."""
    due_ts: int = 0
    unknown: int = 0
    """Open orders here whose outcome is unknown."""
    causes: int = -1
    """As the last Gate said; -1: none was said."""

    def of_positions(self) -> bool:
        """Whether a difference of positions or balances is open."""
        return any(o.difference in OF_POSITIONS for o in self.open.values())


class Reconciling(msgspec.Struct, array_like=True):
    """All of it. Exists only where reconciliation is configured."""

    settings: Settings
    runs: int = 0
    accounts: dict[int, Compared] = {}
    trades: dict[str, Trade] = {}
    """account/order/trade → note, oldest first."""
    approvals: dict[int, tuple[int, int]] = {}
    """Approval's frame → (the difference it is for, who gave it)."""
    me: int = 0
    """Our own source, learned from our own runs."""

    def __post_init__(self) -> None:
        self.trades = Fixed.of(self.trades)

    def sort(self) -> None:
        """Let the notes stand as they came, in a table that was put together anyhow: each is of a frame of its own."""
        rows = sorted(look(self.trades), key=lambda row: row[1].seq)
        self.trades = Fixed(dict(rows))

    def note(self, account: int, order_id: int, trade: str, noted: Trade, now: int) -> None:
        """Remember a fill, and forget those that no lookback reaches any more."""
        key = f"{account}/{order_id}/{trade}"
        self.trades.pop(key, None)  # so that they stand in the order of their frames
        self.trades[key] = noted
        oldest = now - self.settings.lookback_ns - self.settings.overlap_ns
        while self.trades and next(iter(self.trades.values())).exchange_ts < oldest:
            del self.trades[next(iter(self.trades))]
