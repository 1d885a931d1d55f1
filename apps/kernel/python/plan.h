/* A plan of riskengine.checks for all orders of one owner, instrument and side, with what its checks read laid out flat. */
#ifndef LOCKSTEP_PLAN_H
#define LOCKSTEP_PLAN_H

#include "exposure.h"

enum { PLAN_ROWS = 64, PLAN_LIMITS = 32, PLAN_RATES = 16, PLAN_STEPS = 64 };

/* One check, with the limit that is in force. */
struct plan_row {
    uint16_t check;
    bool limited, off;
    uint32_t limit;
    int64_t hard, warn, period_ns, seq, currency;
    int exp;
    PyObject *number;         /* of the limit, as the key that it is */
    PyObject *kind, *name;    /* of its scope */
    PyObject *area, *sums;    /* what the scope holds, and of that in the instrument; NULL: not looked up yet, or nothing */
};
/* A limit that a message counts towards. */
struct plan_rate {
    PyObject *number;
    int64_t period_ns;
};
struct plan_owner {
    struct owner of;
    uint8_t side;
};
struct plan_instrument {
    int64_t seq, status, quote_currency, multiplier, lot_qty, min_qty, max_qty, market_max_qty, post_only_max_qty, min_px, max_px,
        max_orders, expiry_ts;
    int px_exp, qty_exp, multiplier_exp;
    wide min_notional, max_notional;
    bool has_min_notional, has_max_notional;
    int ticks;
    struct {
        int64_t from_px, tick_px;
    } tick[PLAN_STEPS + 1]; /* the first is for all prices below the others */
};
struct plan {
    struct plan_owner owner;
    PyObject *plans, *rows_of; /* the view's dict and the plan in it that this was made from */
    bool plain;                /* all its checks are known here */
    Py_ssize_t n, limits_n, rates_n;
    struct plan_row *rows[PLAN_ROWS]; /* of `limits`, or the one that all plans have of a check without a limit: few lines of cache */
    struct plan_row limits[PLAN_LIMITS];
    struct plan_rate rates[PLAN_RATES];
    PyObject *instrument, *steps; /* the objects that `of` was read from */
    struct plan_instrument of;
    PyObject *key, *venue, *quote, *account, *gate, *account_instrument, *source; /* keys */
    struct home home; /* where its exposure is booked */
};

/* The plan of an owner: kept from before, or made of what the view has. NULL: it has none, or this kernel does not know one of
 * its checks; or an error is set. `row_of` says a plan's rows as plain numbers: riskengine.kernel.rows. */
struct plan *lockstep_plan_of(struct plan **kept, PyObject *view, PyObject *row_of, const struct plan_owner *owner);
enum { PLANS_KEPT = 1024 };
/* Let it be up to date with an instrument's definition. False: it is not plain, or an error is set. */
bool lockstep_plan_reads(struct plan *p, PyObject *memory);
/* What a scope holds, borrowed; NULL: the view keeps nothing of it. */
PyObject *lockstep_area(PyObject *view, PyObject *kind, PyObject *name);
void lockstep_plan_free(struct plan *p);
int lockstep_plan_visit(const struct plan *p, visitproc visit, void *arg); /* for tp_traverse */

#endif
