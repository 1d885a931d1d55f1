/* What is judged, and the rows that come of it. Stands behind journal/kernel/messages.h, which has no guard. */
#ifndef LOCKSTEP_JUDGE_H
#define LOCKSTEP_JUDGE_H

#include "plan.h"

/* An order, and what it is judged by. */
struct ask {
    struct lockstep_new_order m;
    int64_t now;
    uint64_t seq;
    PyObject *memory, *view, *book, *control, *touch; /* borrowed, but for the first two */
    struct plan *plan;
    wide value, notional; /* quantity times price; that times the multiplier */
    int notional_exp;
};
/* The rows so far. */
struct verdicts {
    int n;
    struct lockstep_check_outcome_entry row[PLAN_ROWS];
};

/* Whether the order of `m`, `now`, `seq`, `memory`, `view` and `plan` plainly passes every check of its plan; the rest of `ask` is
 * filled in. False: it does not, or an error is set. */
bool lockstep_passes(struct ask *a, struct verdicts *v);
/* The exponent that amounts of its currency are booked with: 1, 0 where nobody has said, -1 where it cannot be read. */
int lockstep_ledger_exp(const struct ask *a, int *exp);
/* bisect_right(times, at); false where they are no times. */
bool lockstep_not_after(PyObject *times, int64_t at, Py_ssize_t *n);

#endif
