/* riskengine.exposure.Sums: what is held, where an owner's is booked, and a change of it. */
#ifndef LOCKSTEP_EXPOSURE_H
#define LOCKSTEP_EXPOSURE_H

#include "exact.h"
#include "places.h"

/* By how much. */
struct amounts {
    int64_t orders, qty, position;
    wide value;
};

/* Whose exposure it is. */
struct owner {
    uint32_t account, strategy, user, instrument;
    uint16_t source;
};

/* Where it is booked: View._home. */
struct home {
    PyObject *key;     /* of the cell; NULL: of nobody yet */
    PyObject *reached; /* [(area, sums), …] that the cell counts in: the view's list */
    PyObject *cell;
};

/* Let a home be an owner's. False: an error is set. */
bool lockstep_home_of(struct home *h, const struct owner *o);
/* Let it be where the view books now. False: it has not done so yet, or an error is set. */
bool lockstep_at_home(struct home *h, PyObject *view, PyObject *memory);
/* A change: in its cell, and in all that this counts in. False: an error is set. */
bool lockstep_book(const struct home *h, bool buys, const struct amounts *more);
void lockstep_leave(struct home *h);

/* The integer; NULL: an error is set. */
PyObject *lockstep_wide(wide x);
/* One of at most 127 bits; false with an error set where it is none. */
bool lockstep_read_wide(PyObject *v, wide *x);
/* *slot += amount. False: an error is set. */
bool lockstep_add_to(PyObject **slot, wide amount);

#endif
