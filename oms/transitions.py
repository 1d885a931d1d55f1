"""THE TABLE: what an event does to an order, for every state. Data, and total: `TABLE[event][state]` always exists.

The columns are the states as reported; an order holds a base state and three overlays (cancel pending, replace pending,
outcome unknown), and the reported state is closed > UNKNOWN > PENDING_CANCEL > PENDING_REPLACE > base.

Cells. What happens, then marks:
    =            nothing, or only quantities and overlays that the event itself answers
    PN N PF SUS  that base state; N and PF are one, told apart by the quantity filled. What was unknown is known again
    b            back to the base state: the overlay that the event answers is gone, what was unknown is known again
    bn           as b if the New itself was unknown; else UNKNOWN stays
    bo           as b if it was this very request whose outcome was unknown; else UNKNOWN stays
    PC PR        the overlay is set, or stays; the base state below follows the event
    U            outcome unknown
    h            an order we hold stays held: terms or overlays follow the event (a held order has column RCV, see State)
    F C E R      closed
    R0           rejected if nothing was filled; else the venue contradicts itself: stays, alert, query
    Rn           rejected if nothing was filled and the New was never acknowledged; else UNKNOWN, alert, query
    rjNNN        refused to the asker with reason NNN; the order is untouched
    x            impossible by construction: recorded by an alert with reason 329, the order is untouched
    marks: ! alert    ? ask the venue    +L a late fill: quantity moves from canceled to filled
"""

from __future__ import annotations

import re
from enum import Enum, unique

import msgspec


class State(Enum):
    """An order's state as reported: the columns."""

    RCV = "received, not sent"  # also what we hold: it is reported as SUSPENDED
    PN = "pending new"
    N = "new, working"
    PF = "partially filled"
    PC = "pending cancel"
    PR = "pending replace"
    U = "outcome unknown"
    SUS = "suspended, held or untriggered"
    F = "filled"
    C = "canceled"
    E = "expired, done for day"
    R = "rejected"


CLOSED_STATES = (State.F, State.C, State.E, State.R)


@unique
class Event(Enum):
    """What can happen to an order: the rows."""

    RISK_PASS = "risk passed it"
    RISK_REJECT = "risk refused it"
    HOLD = "risk passed it, we hold it"
    RELEASE = "what it waited for is there"
    HELD_REPLACE = "our replace of a held order asked"
    HELD_REPLACED = "risk passed a replace that no venue has to know"
    RESIZED = "its list changed the quantity of a held order"
    POLICY_CANCEL = "a rule of ours ends it: its time, list or quote"
    REPLACE_PASS = "risk passed its replace"
    REPLACE_FAIL = "risk refused its replace"
    CANCEL_ASKED = "our cancel asked"
    REPLACE_ASKED = "our replace asked"
    KILL = "kill switch in scope"
    ORDER_SENT = "the New was handed to the socket"
    NEW_REFUSED = "certainly not sent: the New"
    CANCEL_REFUSED = "certainly not sent: the cancel"
    REPLACE_REFUSED = "certainly not sent: the replace"
    VENUE_NEW = "venue: NEW"
    VENUE_PENDING_NEW = "venue: PENDING_NEW"
    VENUE_SUSPENDED = "venue: SUSPENDED"
    VENUE_REJECTED = "venue: REJECTED"
    FILL = "fill, something left"
    FILL_LAST = "fill, nothing left"
    FILL_OVER = "fill beyond the order quantity"
    FILL_AGAIN = "the same trade id again"
    TRADE_CANCEL = "the venue takes a trade back"
    TRADE_CORRECT = "the venue restates a trade"
    VENUE_CANCELED_ASKED = "venue: CANCELED, as we asked"
    VENUE_CANCELED = "venue: CANCELED, not asked"
    VENUE_EXPIRED = "venue: EXPIRED or DONE_FOR_DAY"
    CANCEL_ON_DISCONNECT = "venue confirms its cancel on disconnect"
    FORCED_END = "self-trade prevention, liquidation"
    CANCEL_NEW_FAILED = "replace by cancel and new: old canceled, new refused"
    CANCEL_TOO_LATE = "venue refuses the cancel: too late"
    CANCEL_UNKNOWN = "venue refuses the cancel: unknown order"
    CANCEL_OTHER = "venue refuses the cancel: anything else"
    REPLACE_TOO_LATE = "venue refuses the replace: too late"
    REPLACE_UNKNOWN = "venue refuses the replace: unknown order"
    REPLACE_OTHER = "venue refuses the replace: anything else"
    VENUE_REPLACED = "venue: REPLACED"
    VENUE_TRIGGERED = "venue: TRIGGERED"
    VENUE_RESTATED = "venue: RESTATED"
    VENUE_STATUS = "venue: a status that decides nothing"
    END_BEFORE_FILLS = "an end whose quantity filled is above ours"
    FILLS_COMPLETE = "the fills an end had announced are all here"
    TIMEOUT = "no answer to a request in time"
    DISCONNECT = "connection lost"
    QUERY_OPEN = "query: open at the venue"
    NEVER_EXISTED = "query: never existed, definite"
    NOT_FOUND = "query: not found, indefinite"
    CORRECTED_END = "a correction of ours: the venue has it no more"
    CORRECTED_OPEN = "a correction of ours: the venue works it"


_ROWS: dict[Event, str] = {
    #                            RCV    PN     N      PF     PC     PR     U      SUS    F      C      E      R
    # A cancel or a kill may close an order while its risk decision is under way: the pass is then not used.
    Event.RISK_PASS:           " PN     x      x      x      x      x      x      x      =      =      =      =     ",
    Event.RISK_REJECT:         " R      =      =      =      =      =      =      =      =      =      =      =     ",
    # A held order was never sent, so it needs no venue for any of these. RELEASE: risk decides once more, on what is sent.
    Event.HOLD:                " SUS    x      x      x      x      x      x      x      =      =      =      =     ",
    Event.RELEASE:             " RCV    x      x      x      x      x      x      x      =      =      =      =     ",
    Event.HELD_REPLACE:        " h      x      x      x      x      x      x      x      rj302  rj302  rj302  rj302 ",
    # PR: of one at the venue, a new end that only we keep.
    Event.HELD_REPLACED:       " h      x      x      x      x      b      x      x      =      =      =      =     ",
    Event.RESIZED:             " h      x      x      x      x      x      x      x      =      =      =      =     ",
    Event.POLICY_CANCEL:       " C      PC     PC     PC     =      PC     U      PC     =      =      =      =     ",
    # The cancel came between the replace and its risk decision: cancels win, the replace is not sent.
    Event.REPLACE_PASS:        " x      x      x      x      rj303  =      rj304  x      x      x      x      x     ",
    Event.REPLACE_FAIL:        " h      x      x      x      PC     b      U      x      x      x      x      x     ",
    # PN: sent at once, for the venue takes our own ids. U: cancels always go.
    Event.CANCEL_ASKED:        " C      PC     PC     PC     rj303  PC     U      PC     rj302  rj302  rj302  rj302 ",
    # RCV, PN: the risk pass under way is for the old terms. One replace at a time.
    Event.REPLACE_ASKED:       " rj303  rj303  PR     PR     rj303  rj303  rj304  PR     rj302  rj302  rj302  rj302 ",
    Event.KILL:                " R      PC     PC     PC     =      PC     U      PC     =      =      =      =     ",
    Event.ORDER_SENT:          " x      =      =      =      =      =      =      =      =!     =!     =!     =!    ",
    Event.NEW_REFUSED:         " R      R      =!     =!     Rn     =!     Rn     =!     =      =      =      =     ",
    Event.CANCEL_REFUSED:      " x      =      =      =      b      =      bo     =      =      =      =      =     ",
    Event.REPLACE_REFUSED:     " x      =      =      =      PC     b      bo     =      =      =      =      =     ",
    # R: we said rejected and the venue works it. Truth first: it is open again, and someone must look.
    Event.VENUE_NEW:           " x      N      =      =      PC     PR     bn     N      =      =      =      N!?   ",
    Event.VENUE_PENDING_NEW:   " x      =      =      =      =      =      bn     =      =      =      =      =!?   ",
    Event.VENUE_SUSPENDED:     " x      SUS    SUS    SUS    PC     PR     SUS    =      =      =      =      =!?   ",
    Event.VENUE_REJECTED:      " x      R      R0!    =!?    R0     =      R0     R      =!?    =      =      =     ",
    # Fills are applied whatever the state. RCV: it was never sent, so nothing more of it can work; its risk pass goes unused.
    # PN: fill before ack. PC, PR: the fill crossed our request on the wire. C, E: late fill after the end.
    # R: the venue is wrong or we are; the rest works at the venue. F with something left is FILL_OVER, hence x.
    Event.FILL:                " C!     PF     PF     PF     PC     PR     bn     PF     x      C+L    E+L    PF!   ",
    Event.FILL_LAST:           " F!     F      F      F      F      F      F      F      x      F+L    F+L    F!    ",
    Event.FILL_OVER:           " F!     F!     F!     F!     F!     F!     F!     F!     F!     F!     F!     F!    ",
    Event.FILL_AGAIN:          " =      =      =      =      =      =      =      =      =      =      =      =     ",
    # x: nothing there has traded, so nothing can be taken back. F: what was taken back is canceled; if the venue works it
    # again, a person says so. Of an open order it counts as open, which is the worst case, until the venue's next word.
    # C, E: closed in whatever way the quantity says now, FILLED included.
    Event.TRADE_CANCEL:        " x      x      x      PF?    PC?    PR?    =?     =?     C!     =      =      x     ",
    Event.TRADE_CORRECT:       " x      x      x      PF     PC     PR     =      =      C      C      E      x     ",
    # PN: cancel-ack before new-ack. F: crossed on the wire, the fill had it all.
    Event.VENUE_CANCELED_ASKED:" x      C      C      C      C      C      C      C      =      =      =      =     ",
    Event.VENUE_CANCELED:      " x      C      C      C      C      C      C      C      =      =      =      =     ",
    Event.VENUE_EXPIRED:       " x      E      E      E      E      E      E      E      =      =      =      =     ",
    Event.CANCEL_ON_DISCONNECT:" =      C      C      C      C      C      C      C      =      =      =      =     ",
    Event.FORCED_END:          " x      C      C      C      C      C      C      C      =      =      =      =     ",
    Event.CANCEL_NEW_FAILED:   " x      x      x      x      C      C      C      x      =      =      =      =     ",
    # Too late: a fill or an end must come; ask, so that it does. Unknown at the venue: never assume gone.
    Event.CANCEL_TOO_LATE:     " x      =?     =      =      b?     =      U?     =      =      =      =      =     ",
    Event.CANCEL_UNKNOWN:      " x      =?     =?     =?     U?     U?     U?     =?     =      =      =      =     ",
    Event.CANCEL_OTHER:        " x      =      =      =      b      =      =?     =      =      =      =      =     ",
    Event.REPLACE_TOO_LATE:    " x      =?     =      =      PC     b?     U?     =      =      =      =      =     ",
    Event.REPLACE_UNKNOWN:     " x      =?     =?     =?     U?     U?     U?     =?     =      =      =      =     ",
    Event.REPLACE_OTHER:       " x      =      =      =      PC     b      =?     =      =      =      =      =     ",
    # N, PF: the venue amended unasked. C: the replace crossed our cancel.
    Event.VENUE_REPLACED:      " x      =!?    b!     b!     PC     b      b      SUS    =      =      =      =!    ",
    Event.VENUE_TRIGGERED:     " x      b      =      =      PC     PR     b      N      =      =      =      =     ",
    Event.VENUE_RESTATED:      " x      =      b      b      PC     PR     b      SUS    =      =      =      =     ",
    # The venue's status word never decides: Kraken reports the last trade as partially filled and sends FILLED apart.
    Event.VENUE_STATUS:        " =      =      =      =      =      =      =      =      =      =      =      =     ",
    # The missing fills count as exposure until found.
    Event.END_BEFORE_FILLS:    " x      U?     U?     U?     U?     U?     U?     U?     =!?    =!?    =!?    =!?   ",
    Event.FILLS_COMPLETE:      " x      x      x      x      x      x      C      x      =      =      =      =     ",
    Event.TIMEOUT:             " =      U?     =      =      U?     U?     =?     =      =      =      =      =     ",
    Event.DISCONNECT:          " =      U?     U?     U?     U?     U?     =      U?     =      =      =      =     ",
    # A closed order never reopens by a query; a correction by a person may.
    Event.QUERY_OPEN:          " x      b      b      b      PC     PR     b      SUS    =!     =!     =!     =!    ",
    Event.NEVER_EXISTED:       " =      R      U!?    U!?    Rn     U!?    Rn     =      =!     =      =      =     ",
    Event.NOT_FOUND:           " =      U?     =?     =?     U?     U?     =?     =      =      =      =      =     ",
    # Reconciliation's, by policy or by a person: the only way back from an end, and the only end without the venue's frame.
    Event.CORRECTED_END:       " x      C      C      C      C      C      C      C      =      =      =      =     ",
    Event.CORRECTED_OPEN:      " x      =      =      =      =      =      =      =      x      b      b      b     ",
}  # fmt: skip

_CELL = re.compile(r"^(=|x|h|b[no]?|R[0n]?|RCV|PN|N|PF|SUS|PC|PR|U|F|C|E|rj(\d{3}))(\+L)?(!)?(\?)?$")


class Cell(msgspec.Struct, frozen=True):
    """One cell: where to, and what else."""

    to: str
    refuse: int = 0
    late: bool = False
    alert: bool = False
    query: bool = False


def _parse(text: str) -> Cell:
    found = _CELL.match(text)
    if found is None:
        raise ValueError(f"transition table: {text!r} is no cell")
    to, reason, late, alert, query = found.groups()
    return Cell("rj" if reason else to, int(reason or 0), bool(late), bool(alert), bool(query))


def _table() -> dict[Event, dict[State, Cell]]:
    table: dict[Event, dict[State, Cell]] = {}
    for event in Event:
        cells = _ROWS[event].split()
        if len(cells) != len(State):
            raise ValueError(f"transition table: {event.name} has {len(cells)} cells; expected {len(State)}")
        table[event] = dict(zip(State, (_parse(c) for c in cells), strict=True))
    return table


TABLE = _table()
