/* RiskEngine.on_new_order for a plain order, limit or market, that passes every check in a world without kills, bans and restricted
 * states: the rows that the checks of riskengine.checks give, the RiskDecision, and the reservation. Whatever is not plain, not known
 * here or not a pass is left to the Python, which is the reference; nothing is changed before all is known to pass. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "decide.h"
#include "plain.h"

/* The last of the source's numbers that were used, [first, last], where the order's is the next; else NULL. */
static PyObject *range_before(const struct ask *a) {
    PyObject *ranges = entry_of(HELD(a->memory, Memory, used), a->plan->source);
    if (ranges == NULL || !PyList_CheckExact(ranges) || PyList_GET_SIZE(ranges) == 0) return NULL;
    PyObject *last = PyList_GET_ITEM(ranges, PyList_GET_SIZE(ranges) - 1);
    int64_t end;
    const bool next = PyList_CheckExact(last) && PyList_GET_SIZE(last) == 2 && whole(PyList_GET_ITEM(last, 1), &end) &&
                      (uint64_t)end + 1 == (a->m.order_id & ((UINT64_C(1) << OWN_NUMBER_BITS) - 1));
    return next ? last : NULL;
}

/* ---- the decision */

bool lockstep_say_decision(Decisions *d, const struct turn *t, const struct ask *a, const struct verdicts *v, uint64_t hash) {
    struct {
        struct lockstep_risk_decision fixed;
        struct lockstep_check_outcome_entry rows[PLAN_ROWS];
    } body;
    uint64_t generation;
    if (!whole_unsigned(HELD(a->memory, Memory, generation), &generation)) {
        PyErr_SetString(PyExc_TypeError, "a risk engine whose memory is none");
        return false;
    }
    memset(&body.fixed, 0, sizeof body.fixed);
    body.fixed.reserved_notional = (lockstep_i128){(uint64_t)a->reserved, (int64_t)(a->reserved >> 64)};
    body.fixed.order_id = a->m.order_id;
    body.fixed.request_seq = a->seq;
    body.fixed.content_hash = hash;
    body.fixed.reserved_qty = a->more_qty;
    body.fixed.rules_generation = (uint32_t)generation;
    body.fixed.request_kind = a->replace ? LOCKSTEP_REPLACE_ORDER : LOCKSTEP_NEW_ORDER;
    body.fixed.decision = LOCKSTEP_DECISION_PASS;
    body.fixed.checks = (struct lockstep_group){sizeof body.fixed, (uint16_t)v->n, sizeof *v->row};
    memcpy(body.rows, v->row, (size_t)v->n * sizeof *v->row);
    return lockstep_say(t, d->decision, d->decoder, &d->message, &body, (Py_ssize_t)(sizeof body.fixed + (size_t)v->n * sizeof *v->row));
}

/* ---- what passes is reserved */

/* The Held of an order, booked. */
static PyObject *held_of(const Decisions *d, const struct ask *a, PyObject *order_id, PyObject *px, PyObject *qty, PyObject *value) {
    const struct lockstep_new_order *m = &a->m;
    PyObject *held = lockstep_cast(&d->held);
    if (held == NULL) return NULL;
    Py_SETREF(HELD(held, Held, order_id), Py_NewRef(order_id));
    Py_SETREF(HELD(held, Held, account), Py_NewRef(a->plan->account));
    Py_SETREF(HELD(held, Held, instrument), Py_NewRef(a->plan->key));
    Py_SETREF(HELD(held, Held, value_px), Py_NewRef(px));
    if (m->price_px == a->px) Py_SETREF(HELD(held, Held, price_px), Py_NewRef(px)); /* else it has none, as at first */
    Py_SETREF(HELD(held, Held, order_qty), Py_NewRef(qty));
    Py_SETREF(HELD(held, Held, booked_qty), Py_NewRef(qty));
    Py_SETREF(HELD(held, Held, booked_value), Py_NewRef(value));
    if (put_unsigned(&HELD(held, Held, strategy), m->strategy) && put_unsigned(&HELD(held, Held, user), m->user) &&
        put_unsigned(&HELD(held, Held, side), m->side) && put_unsigned(&HELD(held, Held, ord_type), m->ord_type) &&
        put_unsigned(&HELD(held, Held, exec_inst), m->exec_inst) && put_unsigned(&HELD(held, Held, quantity_type), m->quantity_type))
        return held;
    Py_DECREF(held);
    return NULL;
}

/* View.hold */
static bool hold(const Decisions *d, const struct ask *a, PyObject *order_id) {
    const struct amounts more = {.orders = 1, .qty = a->m.order_qty, .value = (wide)a->m.order_qty * a->px};
    PyObject *px = PyLong_FromLongLong(a->px), *qty = PyLong_FromLongLong(more.qty), *value = lockstep_wide(more.value);
    PyObject *held = px != NULL && qty != NULL && value != NULL ? held_of(d, a, order_id, px, qty, value) : NULL;
    const bool good = held != NULL && lockstep_put(HELD(a->book, Book, orders), order_id, held) &&
                      lockstep_book(&a->plan->home, a->m.side == LOCKSTEP_SIDE_BUY, &more);
    Py_XDECREF(held);
    Py_XDECREF(value);
    Py_XDECREF(qty);
    Py_XDECREF(px);
    return good;
}

bool lockstep_count_message(const struct ask *a) {
    PyObject *sent = HELD(a->memory, Memory, sent), *now = a->plan->rates_n ? PyLong_FromLongLong(a->now) : NULL;
    bool good = a->plan->rates_n == 0 || (now != NULL && sent != NULL && PyDict_CheckExact(sent));
    for (Py_ssize_t i = 0; good && i < a->plan->rates_n; i++) {
        const struct plan_rate *r = &a->plan->rates[i];
        PyObject *empty = PyList_New(0), *times = empty != NULL ? PyDict_SetDefault(sent, r->number, empty) : NULL;
        Py_ssize_t old = 0;
        good = times != NULL && PyList_CheckExact(times) && PyList_Append(times, now) == 0 &&
               lockstep_not_after(times, a->now - r->period_ns, &old) && (old == 0 || PyList_SetSlice(times, 0, old, NULL) == 0);
        Py_XDECREF(empty);
    }
    Py_XDECREF(now);
    return good;
}

static bool use_number(const struct ask *a, PyObject *range) {
    PyObject *number = PyLong_FromUnsignedLongLong(a->m.order_id & ((UINT64_C(1) << OWN_NUMBER_BITS) - 1));
    return number != NULL && PyList_SetItem(range, 1, number) == 0;
}

/* ---- one order */

static enum handled decide(Decisions *d, const struct turn *t, struct ask *a) {
    struct verdicts v;
    PyObject *range = range_before(a);
    if (range == NULL || !lockstep_at_home(&a->plan->home, a->view, a->memory) || !lockstep_passes(a, &v)) return LEFT;
    PyObject *order_id = PyLong_FromUnsignedLongLong(a->m.order_id), *orders = HELD(a->book, Book, orders);
    const int known = order_id == NULL || orders == NULL || !PyDict_Check(orders) ? -1 : PyDict_Contains(orders, order_id);
    enum handled done = LEFT;
    Py_INCREF(range);
    if (known == 0)
        done = lockstep_say_decision(d, t, a, &v, plain_hash(&a->m)) && use_number(a, range) && hold(d, a, order_id) && lockstep_count_message(a)
                   ? HANDLED
                   : FAILED;
    Py_DECREF(range);
    Py_XDECREF(order_id);
    return done;
}

bool lockstep_attend(const Decisions *d, struct ask *a) {
    if (d->native.of == NULL) return false;
    a->memory = Py_XNewRef(HELD(d->native.of, World, memory));
    a->view = Py_XNewRef(HELD(d->native.of, World, view));
    return IS_A(a->memory, Memory) && IS_A(a->view, View);
}

enum handled lockstep_dismiss(struct ask *a, enum handled done) {
    Py_XDECREF(a->view);
    Py_XDECREF(a->memory);
    return PyErr_Occurred() ? FAILED : done;
}

static enum handled on_new_order(PyObject *self, const struct turn *t) {
    Decisions *d = (Decisions *)self;
    struct ask a = {.now = t->ref->ts, .seq = t->ref->seq};
    memcpy(&a.m, t->bytes->at + t->body, sizeof a.m);
    a.more_qty = a.m.order_qty;
    if (!is_plain(&a.m) || a.m.order_id == 0 || a.m.order_id >> OWN_NUMBER_BITS != t->ref->source) return LEFT;
    enum handled done = LEFT;
    if (lockstep_attend(d, &a)) {
        const struct plan_owner owner = {{a.m.account, a.m.strategy, a.m.user, a.m.instrument, t->ref->source}, a.m.side};
        a.plan = lockstep_plan_of(d->plans, a.view, d->flat, &owner);
        if (a.plan != NULL) done = decide(d, t, &a);
    }
    return lockstep_dismiss(&a, done);
}

/* Decisions(engine, {name: class}, flat, RiskDecision): `flat` is riskengine.flat.flat. */
static PyObject *decisions_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *engine, *classes, *flat, *decision;
    if (!PyArg_ParseTuple(args, "OO!OO!", &engine, &PyDict_Type, &classes, &flat, &PyType_Type, &decision)) return NULL;
    if (!lockstep_learn_places(classes) || !lockstep_is_of(engine, CLASS_World)) return NULL;
    PyObject *decoder = PyObject_GetAttrString(decision, "decode");
    if (decoder == NULL || !Py_IS_TYPE(decoder, lockstep_messages->decoder)) {
        Py_XDECREF(decoder);
        return PyErr_Format(PyExc_TypeError, "%R: no decoder of ours", decision);
    }
    Decisions *d = (Decisions *)type->tp_alloc(type, 0);
    if (d == NULL) {
        Py_DECREF(decoder);
        return NULL;
    }
    d->native.handle = on_new_order;
    d->native.bytes = sizeof(struct lockstep_new_order);
    d->native.of = Py_NewRef(engine);
    d->flat = Py_NewRef(flat);
    d->decoder = decoder;
    d->decision = (PyTypeObject *)Py_NewRef(decision);
    enum { REQUIRED = 8 }; /* of Held */
    if (lockstep_mould_of(&d->held, lockstep_classes[CLASS_Held], REQUIRED)) return (PyObject *)d;
    Py_DECREF(d);
    return NULL;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    const Decisions *d = (Decisions *)self;
    Py_VISIT(d->native.of);
    Py_VISIT(d->flat);
    for (int i = 0; i < PLANS_KEPT; i++) {
        const int result = d->plans[i] != NULL ? lockstep_plan_visit(d->plans[i], visit, arg) : 0;
        if (result) return result;
    }
    return 0;
}

static void forget(Decisions *d) {
    for (int i = 0; i < PLANS_KEPT; i++) {
        struct plan *p = d->plans[i];
        d->plans[i] = NULL;
        lockstep_plan_free(p);
    }
}

static int clear(PyObject *self) {
    Py_CLEAR(((Native *)self)->of);
    forget((Decisions *)self);
    return 0;
}

static void dealloc(PyObject *self) {
    Decisions *d = (Decisions *)self;
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    Py_CLEAR(d->flat);
    Py_CLEAR(d->decoder);
    Py_CLEAR(d->message);
    Py_CLEAR(d->decision);
    lockstep_break(&d->held);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_decisions_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Decisions",
    .tp_basicsize = sizeof(Decisions),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = decisions_new,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
};
