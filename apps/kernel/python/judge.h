/* What is judged, and the rows that come of it. Stands behind journal/kernel/messages.h, which has no guard. */
#ifndef LOCKSTEP_JUDGE_H
#define LOCKSTEP_JUDGE_H

#include "plan.h"

/* An order as it would be, and what it is judged by. */
struct ask {
    struct lockstep_new_order m;
    bool replace;     /* it is open: `m` has what all checks read of the order that it becomes */
    int64_t more_qty; /* by how much that raises what is reserved */
    int64_t now;
    uint64_t seq;
    PyObject *memory, *view;
    struct plan *plan;
    PyObject *book, *control, *touch; /* borrowed */
    int64_t px;      /* to value it at: its own, or the far touch */
    uint64_t px_seq; /* the frame that is from; 0: its own */
    wide notional;   /* quantity times price times the multiplier */
    int notional_exp;
    int ledger_known, ledger_exp; /* that amounts of its currency are booked with: 1; 0 where nobody has said, -1 where it cannot be read */
    wide reserved; /* notional of `more_qty`, as it is booked; 0 where nobody has said how */
};
/* The rows so far. */
struct verdicts {
    int n;
    struct lockstep_check_outcome_entry row[PLAN_ROWS];
};

/* Whether the order of an `ask`, with all before `book`, plainly passes every check; the rest is filled in. False: it
 * does not, or an error is set. */
bool lockstep_passes(struct ask *a, struct verdicts *v);
/* bisect_right(times, at); false where they are no times. */
bool lockstep_not_after(PyObject *times, int64_t at, Py_ssize_t *n);

#endif
