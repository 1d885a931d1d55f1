/* RiskEngine.on_execution_report for what becomes of most orders: pending, new, replaced, filled, ended. The position moves, and
 * what is reserved follows what may still trade. Whatever is otherwise is left to the Python before anything has changed. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "held.h"

enum { HOMES = 1024, OWN_NUMBER_BITS = 48 };
/* Where an owner's exposure is booked, found last time. */
struct kept_home {
    struct owner owner;
    struct home home;
};
typedef struct {
    Native native; /* of an engine */
    PyObject *counted; /* checks that count reports */
    PyObject *limits;  /* of the view, among which none is of these checks; they do not change */
    uint32_t parent, reducing; /* bits of report_flags, of exec_inst */
    struct kept_home homes[HOMES];
} Reports;

static PyObject *name_of_rows;

struct news {
    Reports *r;
    struct lockstep_execution_report m;
    PyObject *memory, *view, *order_id; /* references of its own */
    struct home *home;
    PyObject *book, *held, *wish; /* borrowed; the replace that it is about, or NULL */
    Py_ssize_t wish_at;
    bool closed, buys; /* of the order, as it is held */
};

static bool is_common(struct news *n) {
    const struct lockstep_execution_report *m = &n->m;
    switch (m->ord_status) {
    case LOCKSTEP_ORD_STATUS_CANCELED:
    case LOCKSTEP_ORD_STATUS_EXPIRED:
    case LOCKSTEP_ORD_STATUS_REJECTED:
    case LOCKSTEP_ORD_STATUS_FILLED: n->closed = true; break;
    case LOCKSTEP_ORD_STATUS_PENDING_NEW:
    case LOCKSTEP_ORD_STATUS_NEW:
    case LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED:
    case LOCKSTEP_ORD_STATUS_PENDING_REPLACE:
    case LOCKSTEP_ORD_STATUS_PENDING_CANCEL: break;
    default: return false;
    }
    switch (m->exec_type) {
    case LOCKSTEP_EXEC_TYPE_PENDING_NEW:
    case LOCKSTEP_EXEC_TYPE_NEW:
    case LOCKSTEP_EXEC_TYPE_PENDING_REPLACE:
    case LOCKSTEP_EXEC_TYPE_REPLACED:
    case LOCKSTEP_EXEC_TYPE_TRADE:
    case LOCKSTEP_EXEC_TYPE_PENDING_CANCEL:
    case LOCKSTEP_EXEC_TYPE_CANCELED:
    case LOCKSTEP_EXEC_TYPE_EXPIRED:
    case LOCKSTEP_EXEC_TYPE_REJECTED: break;
    default: return false;
    }
    return !(m->report_flags & n->r->parent) && !m->parent_order_id;
}

/* Nobody counts reports, budgets or balances. */
static bool is_quiet(struct news *n) {
    PyObject *usage = HELD(n->memory, Memory, usage), *limits = HELD(n->view, View, limits);
    if (!IS_A(usage, Usage) || !empty_dict(HELD(usage, Usage, told)) || !empty_dict(HELD(n->memory, Memory, funds)) ||
        HELD(n->view, View, _prices) != Py_None || limits == NULL)
        return false;
    if (limits == n->r->limits) return true;
    PyObject *rows = PyObject_GetAttr(limits, name_of_rows);
    bool quiet = rows != NULL && PyDict_Check(rows);
    for (Py_ssize_t i = 0; quiet && i < PyTuple_GET_SIZE(n->r->counted); i++)
        quiet = PyDict_Contains(rows, PyTuple_GET_ITEM(n->r->counted, i)) == 0;
    Py_XDECREF(rows);
    if (quiet) Py_XSETREF(n->r->limits, Py_NewRef(limits));
    return quiet;
}

static bool is_number(PyObject *v, uint64_t wanted) {
    uint64_t x;
    return whole_unsigned(v, &x) && x == wanted;
}

/* Where the order's exposure is booked. */
static bool find_home(struct news *n) {
    const struct lockstep_execution_report *m = &n->m;
    const struct owner o = {m->account, m->strategy, m->user, m->instrument, (uint16_t)(m->order_id >> OWN_NUMBER_BITS)};
    uint64_t h = o.instrument;
    const uint64_t parts[] = {o.account, o.strategy, o.user, o.source};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) h = (h ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    struct kept_home *kept = &n->r->homes[h >> 32 & (HOMES - 1)];
    const bool same = kept->home.key != NULL && kept->owner.account == o.account && kept->owner.strategy == o.strategy &&
                      kept->owner.user == o.user && kept->owner.instrument == o.instrument && kept->owner.source == o.source;
    if (!same) {
        lockstep_leave(&kept->home);
        kept->owner = o;
        if (!lockstep_home_of(&kept->home, &o)) return false;
    }
    n->home = &kept->home;
    return lockstep_at_home(n->home, n->view, n->memory);
}

/* The order as it is held, with nothing that a report may have to be judged by. */
static bool find(struct news *n) {
    const struct lockstep_execution_report *m = &n->m;
    n->book = HELD(n->memory, Memory, exposure);
    n->order_id = PyLong_FromUnsignedLongLong(m->order_id);
    if (n->order_id == NULL || !IS_A(n->book, Book)) return false;
    PyObject *h = n->held = entry_of(HELD(n->book, Book, orders), n->order_id), *forms = HELD(n->memory, Memory, forms);
    uint64_t exec_inst, quantity_type, side;
    if (!IS_A(h, Held) || forms == NULL || !PyDict_Check(forms) || PyDict_Contains(forms, n->order_id) != 0 ||
        !is_number(HELD(h, Held, list_id), 0) || HELD(h, Held, unknown) != Py_False ||
        !whole_unsigned(HELD(h, Held, exec_inst), &exec_inst) || (exec_inst & n->r->reducing) ||
        !whole_unsigned(HELD(h, Held, quantity_type), &quantity_type) || quantity_type == LOCKSTEP_QUANTITY_TYPE_QUOTE_AMOUNT ||
        !whole_unsigned(HELD(h, Held, side), &side) || side != m->side || !is_number(HELD(h, Held, account), m->account) ||
        !is_number(HELD(h, Held, strategy), m->strategy) || !is_number(HELD(h, Held, user), m->user) ||
        !is_number(HELD(h, Held, instrument), m->instrument))
        return false;
    n->buys = side == LOCKSTEP_SIDE_BUY;
    return find_home(n);
}

/* The replace that it says has begun or ended, if it is one that is waited for. False: it was given up, or is none as it ought to be. */
static bool find_wish(struct news *n) {
    PyObject *wishes = HELD(n->held, Held, wishes);
    if (wishes == NULL || !PyList_CheckExact(wishes)) return false;
    for (Py_ssize_t i = 0; n->m.exec_ref_seq && !n->closed && i < PyList_GET_SIZE(wishes); i++) {
        PyObject *wish = PyList_GET_ITEM(wishes, i);
        if (!IS_A(wish, Wish)) return false;
        if (!is_number(HELD(wish, Wish, request_seq), n->m.exec_ref_seq)) continue;
        n->wish = wish, n->wish_at = i;
        return n->m.exec_type == LOCKSTEP_EXEC_TYPE_PENDING_REPLACE || n->m.exec_type == LOCKSTEP_EXEC_TYPE_REPLACED;
    }
    return true;
}

/* What it is from now on, and what may still trade of that. */
static bool rest(const struct news *n, struct terms *now, struct rest *r) {
    const struct lockstep_execution_report *m = &n->m;
    *now = (struct terms){m->order_qty > m->cum_qty ? m->order_qty : m->cum_qty, m->cum_qty, m->price_px};
    PyObject *ended = m->exec_type == LOCKSTEP_EXEC_TYPE_REPLACED ? n->wish : NULL;
    if (!lockstep_rest(n->held, now, ended, r)) return false;
    if (n->closed) *r = (struct rest){0};
    return true;
}

/* View.settle and View.release, and before either View.traded. */
static bool book_news(const struct news *n, const struct rest *r, bool traded) {
    const int64_t position = !traded ? 0 : n->buys ? n->m.last_qty : -n->m.last_qty;
    return lockstep_settle(n->held, n->home, n->buys, r, n->closed ? -1 : 0, position);
}

static void take_over(PyObject **slot, PyObject *x) { Py_XSETREF(*slot, Py_XNewRef(x)); }

/* RiskEngine._follow: a replace is taken up, or in force. */
static bool follow_wish(const struct news *n) {
    if (n->wish == NULL) return true;
    if (n->m.exec_type == LOCKSTEP_EXEC_TYPE_PENDING_REPLACE) {
        take_over(&HELD(n->wish, Wish, taken_up), Py_True);
        return true;
    }
    take_over(&HELD(n->held, Held, display_qty), HELD(n->wish, Wish, display_qty));
    take_over(&HELD(n->held, Held, expire_ts), HELD(n->wish, Wish, expire_ts));
    take_over(&HELD(n->held, Held, end_kept), HELD(n->wish, Wish, end_kept));
    return PyList_SetSlice(HELD(n->held, Held, wishes), n->wish_at, n->wish_at + 1, NULL) == 0;
}

static bool follow(const struct news *n, const struct terms *now) {
    PyObject *held = n->held, *orders = HELD(n->book, Book, orders);
    if (n->closed) return lockstep_remove(orders, n->order_id);
    return follow_wish(n) && put_signed(&HELD(held, Held, order_qty), now->order_qty) &&
           put_signed(&HELD(held, Held, cum_qty), now->cum_qty) && put_signed(&HELD(held, Held, price_px), now->price_px) &&
           put_signed(&HELD(held, Held, stop_px), n->m.stop_px);
}

static enum handled apply(struct news *n) {
    struct terms now;
    struct rest r;
    const bool traded = n->m.exec_type == LOCKSTEP_EXEC_TYPE_TRADE;
    if (!is_quiet(n) || !find(n) || !find_wish(n) || !rest(n, &now, &r) || (traded && n->m.last_qty == NO_VALUE) || PyErr_Occurred())
        return LEFT;
    Py_INCREF(n->held);
    const bool good = lockstep_touch(HELD(n->book, Book, orders), n->order_id) && book_news(n, &r, traded) && follow(n, &now);
    Py_DECREF(n->held);
    return good ? HANDLED : FAILED;
}

static enum handled on_execution_report(PyObject *self, const struct turn *t) {
    struct news n = {.r = (Reports *)self};
    PyObject *engine = n.r->native.of;
    memcpy(&n.m, t->bytes->at + t->body, sizeof n.m);
    if (engine == NULL || !is_common(&n)) return LEFT;
    n.memory = Py_XNewRef(HELD(engine, World, memory));
    n.view = Py_XNewRef(HELD(engine, World, view));
    const enum handled done = IS_A(n.memory, Memory) && IS_A(n.view, View) ? apply(&n) : LEFT;
    Py_XDECREF(n.order_id);
    Py_XDECREF(n.view);
    Py_XDECREF(n.memory);
    return PyErr_Occurred() ? FAILED : done;
}

/* Reports(engine, {name: class}, counted, parent, reducing) */
static PyObject *reports_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *engine, *classes, *counted;
    unsigned parent, reducing;
    if (!PyArg_ParseTuple(args, "OO!O!II", &engine, &PyDict_Type, &classes, &PyTuple_Type, &counted, &parent, &reducing) ||
        !lockstep_learn_places(classes) || !lockstep_is_of(engine, CLASS_World) ||
        (name_of_rows == NULL && (name_of_rows = PyUnicode_InternFromString("_rows")) == NULL))
        return NULL;
    Reports *r = (Reports *)type->tp_alloc(type, 0);
    if (r == NULL) return NULL;
    r->native.handle = on_execution_report;
    r->native.bytes = sizeof(struct lockstep_execution_report);
    r->native.of = Py_NewRef(engine);
    r->counted = Py_NewRef(counted);
    r->parent = parent, r->reducing = reducing;
    return (PyObject *)r;
}

static void dealloc(PyObject *self) {
    Reports *r = (Reports *)self;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(r->native.of);
    Py_CLEAR(r->counted);
    Py_CLEAR(r->limits);
    for (int i = 0; i < HOMES; i++) lockstep_leave(&r->homes[i].home);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_reports_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Reports",
    .tp_basicsize = sizeof(Reports),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = reports_new,
    .tp_dealloc = dealloc,
};
