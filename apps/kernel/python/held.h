/* riskengine.exposure.Held: what an open order may still do at its worst, and how that is booked. */
#ifndef LOCKSTEP_HELD_H
#define LOCKSTEP_HELD_H

#include "exact.h"
#include "exposure.h"

/* What an order is to be from now on. */
struct terms {
    int64_t order_qty, cum_qty, price_px;
};
/* The most that it may still trade, and be worth: quantity times price. */
struct rest {
    int64_t qty;
    wide value;
};

/* Held.reserved_qty and reserved_value with these terms, and the replaces that have passed but for one (NULL: all of them).
 * False: it is not held as it ought to be, or does not fit. */
bool lockstep_rest(PyObject *held, const struct terms *t, PyObject *but, struct rest *r);
/* The same, where a replace may be in force as well. */
bool lockstep_rest_with(PyObject *held, const struct terms *t, struct rest *r);
/* View.settle: book what it holds now, and with it `orders` and `position` (see `amounts`). False: an error is set. */
bool lockstep_settle(PyObject *held, const struct home *home, bool buys, const struct rest *r, int orders, int64_t position);

#endif
