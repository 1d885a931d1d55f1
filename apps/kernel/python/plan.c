/* plan.h */
#include "plan.h"

#include "journal/kernel/messages.h"

#include <string.h>

void lockstep_plan_free(struct plan *p) {
    if (p == NULL) return;
    for (Py_ssize_t i = 0; i < p->limits_n; i++) {
        struct plan_row *r = &p->limits[i];
        Py_XDECREF(r->number);
        Py_XDECREF(r->kind);
        Py_XDECREF(r->name);
        Py_XDECREF(r->area);
        Py_XDECREF(r->sums);
    }
    for (Py_ssize_t i = 0; i < p->rates_n; i++) Py_XDECREF(p->rates[i].number);
    PyObject *const held[] = {p->plans, p->rows_of, p->instrument, p->steps, p->key,    p->venue,    p->quote,   p->account,
                              p->gate,  p->source,  p->account_instrument};
    lockstep_leave(&p->home);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) Py_XDECREF(held[i]);
    PyMem_Free(p);
}

int lockstep_plan_visit(const struct plan *p, visitproc visit, void *arg) {
    for (Py_ssize_t i = 0; i < p->limits_n; i++) {
        Py_VISIT(p->limits[i].name);
        Py_VISIT(p->limits[i].area);
        Py_VISIT(p->limits[i].sums);
    }
    Py_VISIT(p->plans);
    Py_VISIT(p->rows_of);
    Py_VISIT(p->instrument);
    Py_VISIT(p->steps);
    Py_VISIT(p->account_instrument);
    Py_VISIT(p->home.reached);
    Py_VISIT(p->home.cell);
    return 0;
}

static struct plan_row without_limit[PLAN_ROWS]; /* by check */

/* (check, limit or None, off, hard, warn, period_ns, seq, currency, exp, kind of scope, what that names). False: it has no place, or
 * an error is set. */
static bool read_row(PyObject *row, struct plan *p) {
    struct plan_row r = {0};
    PyObject *limit, *kind, *name;
    int off;
    long long hard, warn, period, seq, currency;
    if (!PyArg_ParseTuple(row, "HOpLLLLLiOO", &r.check, &limit, &off, &hard, &warn, &period, &seq, &currency, &r.exp, &kind, &name))
        return false;
    if (r.check >= PLAN_ROWS || p->limits_n == PLAN_LIMITS) return false;
    if (limit == Py_None) {
        without_limit[r.check] = r;
        p->rows[p->n++] = &without_limit[r.check];
        return true;
    }
    r.limited = true;
    r.off = off;
    r.limit = (uint32_t)PyLong_AsUnsignedLongMask(limit);
    r.hard = hard, r.warn = warn, r.period_ns = period, r.seq = seq, r.currency = currency;
    r.number = Py_NewRef(limit), r.kind = Py_NewRef(kind), r.name = Py_NewRef(name);
    p->limits[p->limits_n] = r;
    p->rows[p->n++] = &p->limits[p->limits_n++];
    return !PyErr_Occurred();
}

/* What `row_of` says: None, or (rows, ((limit, period_ns), …)). */
static bool read_plan(PyObject *told, struct plan *p) {
    if (told == Py_None) return true;
    PyObject *rows, *rates;
    if (!PyArg_ParseTuple(told, "O!O!", &PyTuple_Type, &rows, &PyTuple_Type, &rates)) return false;
    if (PyTuple_GET_SIZE(rows) > PLAN_ROWS || PyTuple_GET_SIZE(rates) > PLAN_RATES) return true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); i++)
        if (!read_row(PyTuple_GET_ITEM(rows, i), p)) return !PyErr_Occurred();
    for (; p->rates_n < PyTuple_GET_SIZE(rates); p->rates_n++) {
        struct plan_rate *r = &p->rates[p->rates_n];
        long long period;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(rates, p->rates_n), "OL", &r->number, &period)) {
            r->number = NULL;
            return false;
        }
        Py_INCREF(r->number);
        r->period_ns = period;
    }
    p->plain = true;
    return true;
}

static struct plan *make(PyObject *view, PyObject *row_of, const struct plan_owner *o, PyObject *plans, PyObject *key, PyObject *rows) {
    struct plan *p = PyMem_Calloc(1, sizeof *p);
    if (p == NULL) return (struct plan *)PyErr_NoMemory();
    p->owner = *o;
    p->plans = Py_NewRef(plans);
    p->rows_of = Py_NewRef(rows);
    PyObject *told = PyObject_CallFunctionObjArgs(row_of, view, key, NULL);
    bool good = told != NULL && read_plan(told, p);
    Py_XDECREF(told);
    good = good && (p->key = PyLong_FromUnsignedLong(o->of.instrument)) != NULL && (p->account = PyLong_FromUnsignedLong(o->of.account)) != NULL &&
           (p->source = PyLong_FromUnsignedLong(o->of.source)) != NULL &&
           (p->account_instrument = PyTuple_Pack(2, p->account, p->key)) != NULL &&
           lockstep_home_of(&p->home, &o->of);
    if (good) return p;
    lockstep_plan_free(p);
    return NULL;
}

enum { PLACES_OF_ONE = 8 };
/* The first of the places where an owner's plan may be. */
static size_t place_of(const struct plan_owner *o) {
    uint64_t h = o->of.instrument;
    const uint64_t parts[] = {o->of.account, o->of.strategy, o->of.user, (uint64_t)o->of.source << 8 | o->side};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) h = (h ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 32) % (PLANS_KEPT / PLACES_OF_ONE) * PLACES_OF_ONE;
}

static bool same_owner(const struct plan_owner *a, const struct plan_owner *b) {
    return a->of.account == b->of.account && a->of.strategy == b->of.strategy && a->of.user == b->of.user && a->of.instrument == b->of.instrument &&
           a->of.source == b->of.source && a->side == b->side;
}

struct plan *lockstep_plan_of(struct plan **kept, PyObject *view, PyObject *row_of, const struct plan_owner *owner) {
    PyObject *plans = HELD(view, View, plans);
    struct plan **place = &kept[place_of(owner)];
    for (int i = 0; i < PLACES_OF_ONE; i++)
        if (place[i] != NULL && place[i]->plans == plans && same_owner(&place[i]->owner, owner)) return place[i]->plain ? place[i] : NULL;
    PyObject *key = Py_BuildValue("(kkkIkB)", (unsigned long)owner->of.account, (unsigned long)owner->of.strategy, (unsigned long)owner->of.user,
                                  (unsigned)owner->of.source, (unsigned long)owner->of.instrument, owner->side);
    PyObject *rows = key != NULL ? entry_of(plans, key) : NULL;
    struct plan *made = rows != NULL ? make(view, row_of, owner, plans, key, rows) : NULL;
    Py_XDECREF(key);
    if (made == NULL) return NULL;
    /* The oldest goes: they stand by age. */
    struct plan *oldest = place[PLACES_OF_ONE - 1];
    memmove(place + 1, place, (PLACES_OF_ONE - 1) * sizeof *place);
    *place = made;
    lockstep_plan_free(oldest);
    return made->plain ? made : NULL;
}

/* An amount of at most 127 bits, or NULL of the schema: false where it is neither. */
static bool read_amount(PyObject *v, bool *given, wide *x) {
    const wide least = (wide)((unsigned __int128)1 << 127);
    if (!lockstep_read_wide(v, x)) return PyErr_Clear(), false;
    *given = *x != least && *x != least + 1;
    return true;
}

static bool read_steps(PyObject *steps, int64_t tick_px, struct plan_instrument *of) {
    of->tick[0].from_px = INT64_MIN, of->tick[0].tick_px = tick_px;
    of->ticks = 1;
    if (steps == NULL || !PyList_CheckExact(steps) || PyList_GET_SIZE(steps) > PLAN_STEPS) return false;
    for (; of->ticks <= PyList_GET_SIZE(steps); of->ticks++) {
        PyObject *step = PyList_GET_ITEM(steps, of->ticks - 1);
        if (!PyTuple_CheckExact(step) || PyTuple_GET_SIZE(step) != 2 || !whole(PyTuple_GET_ITEM(step, 0), &of->tick[of->ticks].from_px) ||
            !whole(PyTuple_GET_ITEM(step, 1), &of->tick[of->ticks].tick_px))
            return false;
    }
    return true;
}

static bool read_instrument(PyObject *i, struct plan_instrument *of) {
    int64_t contract, px_exp, qty_exp, multiplier_exp, up, down, tick;
    const bool good =
        whole(HELD(i, Instrument, seq), &of->seq) && whole(HELD(i, Instrument, status), &of->status) &&
        whole(HELD(i, Instrument, quote_currency), &of->quote_currency) && whole(HELD(i, Instrument, multiplier), &of->multiplier) &&
        whole(HELD(i, Instrument, lot_qty), &of->lot_qty) && whole(HELD(i, Instrument, min_qty), &of->min_qty) &&
        whole(HELD(i, Instrument, max_qty), &of->max_qty) && whole(HELD(i, Instrument, market_max_qty), &of->market_max_qty) &&
        whole(HELD(i, Instrument, post_only_max_qty), &of->post_only_max_qty) &&
        whole(HELD(i, Instrument, min_px), &of->min_px) && whole(HELD(i, Instrument, max_px), &of->max_px) &&
        whole(HELD(i, Instrument, max_orders), &of->max_orders) && whole(HELD(i, Instrument, expiry_ts), &of->expiry_ts) &&
        whole(HELD(i, Instrument, px_exp), &px_exp) && whole(HELD(i, Instrument, qty_exp), &qty_exp) &&
        whole(HELD(i, Instrument, multiplier_exp), &multiplier_exp) && whole(HELD(i, Instrument, contract), &contract) &&
        whole(HELD(i, Instrument, tick_px), &tick) && whole(HELD(i, Instrument, band_up_rate), &up) &&
        whole(HELD(i, Instrument, band_down_rate), &down) &&
        read_amount(HELD(i, Instrument, min_notional), &of->has_min_notional, &of->min_notional) &&
        read_amount(HELD(i, Instrument, max_notional), &of->has_max_notional, &of->max_notional) &&
        read_steps(HELD(i, Instrument, steps), tick, of);
    if (!good) return false;
    of->px_exp = (int)px_exp, of->qty_exp = (int)qty_exp, of->multiplier_exp = (int)multiplier_exp;
    return contract != LOCKSTEP_CONTRACT_TYPE_INVERSE && up == NO_VALUE && down == NO_VALUE;
}

bool lockstep_plan_reads(struct plan *p, PyObject *memory) {
    PyObject *i = entry_of(HELD(memory, Memory, instruments), p->key);
    if (!IS_A(i, Instrument)) return false;
    if (i == p->instrument && HELD(i, Instrument, steps) == p->steps) return true;
    Py_CLEAR(p->instrument);
    if (!read_instrument(i, &p->of)) return false;
    PyObject *venue = HELD(i, Instrument, venue), *quote = HELD(i, Instrument, quote_currency);
    Py_XSETREF(p->gate, PyUnicode_FromFormat("%S/%S", venue, p->account));
    Py_XSETREF(p->venue, Py_NewRef(venue));
    Py_XSETREF(p->quote, Py_NewRef(quote));
    Py_XSETREF(p->steps, Py_NewRef(HELD(i, Instrument, steps)));
    if (p->gate == NULL) return false;
    p->instrument = Py_NewRef(i);
    return true;
}

PyObject *lockstep_area(PyObject *view, PyObject *kind, PyObject *name) {
    PyObject *row = entry_of(HELD(view, View, _areas), kind), *area = row != NULL ? entry_of(row, name) : NULL;
    return IS_A(area, Area) ? area : NULL;
}
