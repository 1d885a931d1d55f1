/* RiskEngine.on_replace_order for a plain order whose new terms pass every check: the RiskDecision, the wish that is kept until it
 * is in force or refused, and the reservation; and on_cancel_order, which counts. As for new orders (decide.c), whatever is
 * otherwise is left to the Python, and nothing is changed before all is known. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "decide.h"
#include "held.h"
#include "plain.h"

/* An order that is open, and who asks about it. */
struct change {
    struct ask ask;
    PyObject *order_id, *orders, *held; /* borrowed, but for the first */
};

static bool small(PyObject *v, uint64_t most, uint64_t *x) { return whole_unsigned(v, x) && *x <= most; }

/* The order as it is held, and its owner's plan. */
static bool find(Decisions *d, struct change *c, uint64_t order_id) {
    struct ask *a = &c->ask;
    PyObject *book = HELD(a->memory, Memory, exposure);
    if (!IS_A(book, Book) || (c->order_id = PyLong_FromUnsignedLongLong(order_id)) == NULL) return false;
    c->orders = HELD(book, Book, orders);
    PyObject *h = c->held = entry_of(c->orders, c->order_id);
    uint64_t account, strategy, user, instrument, side, exec_inst;
    if (!IS_A(h, Held) || !small(HELD(h, Held, account), UINT32_MAX, &account) || !small(HELD(h, Held, strategy), UINT32_MAX, &strategy) ||
        !small(HELD(h, Held, user), UINT32_MAX, &user) || !small(HELD(h, Held, instrument), UINT32_MAX, &instrument) ||
        !small(HELD(h, Held, side), UINT8_MAX, &side) || !small(HELD(h, Held, exec_inst), UINT32_MAX, &exec_inst))
        return false;
    const struct plan_owner owner = {{(uint32_t)account, (uint32_t)strategy, (uint32_t)user, (uint32_t)instrument,
                                      (uint16_t)(order_id >> OWN_NUMBER_BITS)},
                                     (uint8_t)side};
    a->m.order_id = order_id, a->m.side = owner.side, a->m.exec_inst = (uint32_t)exec_inst;
    return (a->plan = lockstep_plan_of(d->plans, a->view, d->flat, &owner)) != NULL;
}

/* ---- a replace */

static bool is_number(PyObject *v, int64_t wanted) {
    int64_t x;
    return whole(v, &x) && x == wanted;
}

/* Without terms that only some orders have: it asks for none, and the order has none. */
static bool is_plainly_asked(const struct change *c, const struct lockstep_replace_order *m) {
    PyObject *h = c->held;
    uint64_t quantity_type;
    return m->stop_px == NO_VALUE && m->display_qty == NO_VALUE && !m->expire_ts && !m->release_ts &&
           is_number(HELD(h, Held, ord_type), LOCKSTEP_ORD_TYPE_LIMIT) && is_number(HELD(h, Held, stop_px), NO_VALUE) &&
           is_number(HELD(h, Held, display_qty), NO_VALUE) && is_number(HELD(h, Held, expire_ts), 0) &&
           small(HELD(h, Held, quantity_type), LOCKSTEP_QUANTITY_TYPE_CONTRACTS, &quantity_type) && c->ask.m.exec_inst <= POST_ONLY &&
           c->ask.m.side >= LOCKSTEP_SIDE_BUY && c->ask.m.side <= LOCKSTEP_SIDE_SELL;
}

/* Neither a parent nor a child. */
static bool is_alone(const struct change *c) {
    PyObject *families = HELD(c->ask.memory, Memory, families);
    if (!IS_A(families, Families)) return false;
    PyObject *parents = HELD(families, Families, parents), *parent_of = HELD(families, Families, parent_of);
    return parents != NULL && PyDict_Check(parents) && PyDict_Contains(parents, c->order_id) == 0 && parent_of != NULL &&
           PyDict_Check(parent_of) && PyDict_Contains(parent_of, c->order_id) == 0;
}

/* What the order is to become, as all checks read it, and what that may still trade. */
static bool ask_for(struct change *c, const struct lockstep_replace_order *m, struct rest *r) {
    struct ask *a = &c->ask;
    struct terms now, then;
    int64_t booked;
    if (!whole(HELD(c->held, Held, order_qty), &now.order_qty) || !whole(HELD(c->held, Held, cum_qty), &now.cum_qty) ||
        !whole(HELD(c->held, Held, price_px), &now.price_px) || !whole(HELD(c->held, Held, booked_qty), &booked))
        return false;
    then = (struct terms){m->order_qty != NO_VALUE ? m->order_qty : now.order_qty, now.cum_qty,
                          m->price_px != NO_VALUE ? m->price_px : now.price_px};
    if (then.order_qty <= 0 || then.order_qty >= MANTISSA_MAX || then.price_px <= 0 || then.price_px >= MANTISSA_MAX ||
        !lockstep_rest(c->held, &now, NULL, r) || !lockstep_rest_with(c->held, &then, r) || booked < 0)
        return false;
    a->replace = true;
    a->m.ord_type = LOCKSTEP_ORD_TYPE_LIMIT, a->m.order_qty = then.order_qty, a->m.price_px = then.price_px;
    const wide more = (wide)then.order_qty - now.cum_qty - booked;
    a->more_qty = more > 0 ? (int64_t)more : 0;
    return true;
}

/* journal.messages.replace_hash */
static uint64_t hash_of(const struct ask *a) {
    const int64_t none = NO_VALUE, terms[] = {(int64_t)a->m.order_id, a->m.order_qty, a->m.price_px, none, none, 0};
    uint64_t hash;
    lockstep_blake2b(terms, sizeof terms, &hash, sizeof hash);
    return hash;
}

/* The Wish, which has passed, is one of the order's. */
static bool keep_wish(const struct change *c) {
    const struct ask *a = &c->ask;
    PyObject *none = PyLong_FromLongLong(NO_VALUE);
    PyObject *of[] = {PyLong_FromUnsignedLongLong(a->seq), Py_NewRef(Py_True), PyLong_FromLongLong(a->m.order_qty),
                      PyLong_FromLongLong(a->m.price_px), Py_XNewRef(none), Py_XNewRef(none), PyLong_FromLong(0)};
    enum { ALL = sizeof of / sizeof *of };
    bool good = none != NULL;
    for (int i = 0; i < ALL; i++) good = good && of[i] != NULL;
    PyObject *wish = good ? PyObject_Vectorcall((PyObject *)lockstep_classes[CLASS_Wish], of, ALL, NULL) : NULL;
    for (int i = 0; i < ALL; i++) Py_XDECREF(of[i]);
    Py_XDECREF(none);
    good = wish != NULL && lockstep_touch(c->orders, c->order_id) && PyList_Append(HELD(c->held, Held, wishes), wish) == 0;
    Py_XDECREF(wish);
    return good;
}

/* View.settle, where its owner's exposure is booked. */
static bool reserve(const struct change *c, const struct rest *r) {
    return lockstep_settle(c->held, &c->ask.plan->home, c->ask.m.side == LOCKSTEP_SIDE_BUY, r, 0, 0);
}

static enum handled replace(Decisions *d, const struct turn *t, struct change *c, const struct lockstep_replace_order *m) {
    struct verdicts v;
    struct rest r;
    if (!find(d, c, m->order_id) || !is_plainly_asked(c, m) || !is_alone(c) || !ask_for(c, m, &r) ||
        !lockstep_at_home(&c->ask.plan->home, c->ask.view, c->ask.memory) || !lockstep_passes(&c->ask, &v))
        return LEFT;
    Py_INCREF(c->held);
    const bool good = lockstep_say_decision(d, t, &c->ask, &v, hash_of(&c->ask)) && keep_wish(c) && reserve(c, &r) &&
                      lockstep_count_message(&c->ask);
    Py_DECREF(c->held);
    return good ? HANDLED : FAILED;
}

static enum handled on_replace_order(PyObject *self, const struct turn *t) {
    Decisions *d = (Decisions *)((Native *)self)->of;
    struct lockstep_replace_order m;
    struct change c = {.ask = {.now = t->ref->ts, .seq = t->ref->seq}};
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    if (m.order_id == 0 || m.order_id >> OWN_NUMBER_BITS != t->ref->source) return LEFT;
    const enum handled done = d != NULL && lockstep_attend(d, &c.ask) ? replace(d, t, &c, &m) : LEFT;
    Py_XDECREF(c.order_id);
    return lockstep_dismiss(&c.ask, done);
}

/* ---- a cancel */

static enum handled on_cancel_order(PyObject *self, const struct turn *t) {
    Decisions *d = (Decisions *)((Native *)self)->of;
    struct lockstep_cancel_order m;
    struct change c = {.ask = {.now = t->ref->ts}};
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    enum handled done = LEFT;
    if (d != NULL && lockstep_attend(d, &c.ask) && find(d, &c, m.order_id)) done = lockstep_count_message(&c.ask) ? HANDLED : FAILED;
    Py_XDECREF(c.order_id);
    return lockstep_dismiss(&c.ask, done);
}

/* ---- their type */

/* Changes(decisions, kind): of the engine that the decisions are of, and with the plans that they keep. */
static PyObject *changes_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *decisions;
    int kind;
    if (!PyArg_ParseTuple(args, "O!i", &lockstep_decisions_type, &decisions, &kind)) return NULL;
    if (kind != LOCKSTEP_REPLACE_ORDER && kind != LOCKSTEP_CANCEL_ORDER)
        return PyErr_Format(PyExc_ValueError, "kind: expected ReplaceOrder's or CancelOrder's; found %d", kind);
    Native *n = (Native *)type->tp_alloc(type, 0);
    if (n == NULL) return NULL;
    const bool replaces = kind == LOCKSTEP_REPLACE_ORDER;
    n->handle = replaces ? on_replace_order : on_cancel_order;
    n->bytes = replaces ? sizeof(struct lockstep_replace_order) : sizeof(struct lockstep_cancel_order);
    n->of = Py_NewRef(decisions);
    return (PyObject *)n;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Native *)self)->of);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_changes_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Changes",
    .tp_basicsize = sizeof(Native),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = changes_new,
    .tp_dealloc = dealloc,
};
