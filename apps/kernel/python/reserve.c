/* RiskEngine.on_execution_report for what becomes of most orders: pending, new, filled, canceled. The position moves, and what is
 * reserved follows what may still trade. Whatever is otherwise is left to the Python before anything has changed. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "exact.h"
#include "exposure.h"

typedef struct {
    Native native; /* of an engine */
    PyObject *counted; /* checks that count reports */
    uint32_t parent, reducing; /* bits of report_flags, of exec_inst */
} Reports;

static PyObject *name_of_memory, *name_of_view, *name_of_rows;

struct news {
    const Reports *r;
    struct lockstep_execution_report m;
    PyObject *memory, *view, *order_id; /* references of its own */
    PyObject *book, *held, *home;       /* borrowed */
    bool closed, buys;                  /* of the order, as it is held */
};

static bool is_common(struct news *n) {
    const struct lockstep_execution_report *m = &n->m;
    const bool ends = m->ord_status == LOCKSTEP_ORD_STATUS_CANCELED || m->ord_status == LOCKSTEP_ORD_STATUS_FILLED;
    const bool lives = m->ord_status == LOCKSTEP_ORD_STATUS_PENDING_NEW || m->ord_status == LOCKSTEP_ORD_STATUS_NEW ||
                       m->ord_status == LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED;
    const bool told = m->exec_type == LOCKSTEP_EXEC_TYPE_PENDING_NEW || m->exec_type == LOCKSTEP_EXEC_TYPE_NEW ||
                      m->exec_type == LOCKSTEP_EXEC_TYPE_TRADE || m->exec_type == LOCKSTEP_EXEC_TYPE_CANCELED;
    n->closed = ends;
    return (ends || lives) && told && !(m->report_flags & n->r->parent) && !m->parent_order_id && !m->exec_ref_seq;
}

/* Nobody counts reports, budgets or balances. */
static bool is_quiet(struct news *n) {
    PyObject *usage = HELD(n->memory, Memory, usage), *limits = HELD(n->view, View, limits);
    if (!IS_A(usage, Usage) || !empty_dict(HELD(usage, Usage, told)) || !empty_dict(HELD(n->memory, Memory, funds)) ||
        HELD(n->view, View, _prices) != Py_None || limits == NULL)
        return false;
    PyObject *rows = PyObject_GetAttr(limits, name_of_rows);
    bool quiet = rows != NULL && PyDict_Check(rows);
    for (Py_ssize_t i = 0; quiet && i < PyTuple_GET_SIZE(n->r->counted); i++)
        quiet = PyDict_Contains(rows, PyTuple_GET_ITEM(n->r->counted, i)) == 0;
    Py_XDECREF(rows);
    return quiet;
}

static bool is_number(PyObject *v, uint64_t wanted) {
    uint64_t x;
    return whole_unsigned(v, &x) && x == wanted;
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
        !empty_list(HELD(h, Held, wishes)) || !is_number(HELD(h, Held, list_id), 0) || HELD(h, Held, unknown) != Py_False ||
        !whole_unsigned(HELD(h, Held, exec_inst), &exec_inst) || (exec_inst & n->r->reducing) ||
        !whole_unsigned(HELD(h, Held, quantity_type), &quantity_type) || quantity_type == LOCKSTEP_QUANTITY_TYPE_QUOTE_AMOUNT ||
        !whole_unsigned(HELD(h, Held, side), &side) || side != m->side || !is_number(HELD(h, Held, account), m->account) ||
        !is_number(HELD(h, Held, strategy), m->strategy) || !is_number(HELD(h, Held, user), m->user) ||
        !is_number(HELD(h, Held, instrument), m->instrument))
        return false;
    n->buys = side == LOCKSTEP_SIDE_BUY;
    n->home = entry_of(HELD(n->view, View, _homes), n->order_id);
    return is_home(n->home);
}

/* What may still trade, and what that is worth: Held.reserved_qty and reserved_value without replaces. */
static bool rest(const struct news *n, int64_t *qty, wide *value) {
    const int64_t most = n->m.order_qty > n->m.cum_qty ? n->m.order_qty : n->m.cum_qty;
    int64_t px = n->m.price_px;
    if (n->m.order_qty >= MANTISSA_MAX || n->m.cum_qty < 0 || n->m.cum_qty >= MANTISSA_MAX) return false;
    if (px == NO_VALUE && !whole(HELD(n->held, Held, value_px), &px)) return false;
    *qty = n->closed ? 0 : most - n->m.cum_qty;
    *value = n->closed || px == NO_VALUE ? 0 : (wide)*qty * (px < 0 ? -(wide)px : px);
    return true;
}

/* x - *slot as an object, or None where that is 0; *slot = x. NULL: an error is set. */
static PyObject *exchange(PyObject **slot, PyObject *x) {
    PyObject *more = x != NULL && *slot != NULL ? PyNumber_Subtract(x, *slot) : NULL;
    if (more == NULL) return NULL;
    Py_SETREF(*slot, Py_NewRef(x));
    return more;
}

static PyObject *wide_number(wide x) {
    if (x <= INT64_MAX && x >= INT64_MIN) return PyLong_FromLongLong((long long)x);
    PyObject *high = PyLong_FromLongLong((long long)(x >> 62)), *shift = PyLong_FromLong(62);
    PyObject *low = PyLong_FromLongLong((long long)(x & (((wide)1 << 62) - 1)));
    PyObject *top = high != NULL && shift != NULL ? PyNumber_Lshift(high, shift) : NULL;
    PyObject *sum = top != NULL && low != NULL ? PyNumber_Add(top, low) : NULL;
    Py_XDECREF(high);
    Py_XDECREF(shift);
    Py_XDECREF(low);
    Py_XDECREF(top);
    return sum;
}

/* View.settle and View.release, and before either View.traded. */
static bool book_news(const struct news *n, int64_t qty, wide value, bool traded) {
    PyObject *held = n->held, *worth = wide_number(value), *left = PyLong_FromLongLong(qty);
    struct amounts more = {.orders = n->closed ? PyLong_FromLong(-1) : NULL, .qty = exchange(&HELD(held, Held, booked_qty), left),
                           .value = exchange(&HELD(held, Held, booked_value), worth),
                           .position = traded ? PyLong_FromLongLong(n->buys ? n->m.last_qty : -n->m.last_qty) : NULL};
    const bool made = more.qty != NULL && more.value != NULL && (!n->closed || more.orders != NULL) && (!traded || more.position != NULL);
    const bool good = made && book_at(n->home, n->buys, &more);
    Py_XDECREF(worth);
    Py_XDECREF(left);
    Py_XDECREF(more.orders);
    Py_XDECREF(more.qty);
    Py_XDECREF(more.value);
    Py_XDECREF(more.position);
    return good;
}

static bool follow(const struct news *n) {
    const struct lockstep_execution_report *m = &n->m;
    PyObject *held = n->held, *orders = HELD(n->book, Book, orders), *homes = HELD(n->view, View, _homes);
    if (n->closed) return lockstep_remove(orders, n->order_id) && PyDict_DelItem(homes, n->order_id) == 0;
    const int64_t most = m->order_qty > m->cum_qty ? m->order_qty : m->cum_qty;
    return lockstep_touch(orders, n->order_id) && put_signed(&HELD(held, Held, order_qty), most) &&
           put_signed(&HELD(held, Held, cum_qty), m->cum_qty) && put_signed(&HELD(held, Held, price_px), m->price_px) &&
           put_signed(&HELD(held, Held, stop_px), m->stop_px);
}

static enum handled apply(struct news *n) {
    int64_t qty;
    wide value;
    const bool traded = n->m.exec_type == LOCKSTEP_EXEC_TYPE_TRADE;
    if (!is_quiet(n) || !find(n) || !rest(n, &qty, &value) || (traded && n->m.last_qty == NO_VALUE) || PyErr_Occurred()) return LEFT;
    Py_INCREF(n->held);
    Py_INCREF(n->home);
    PyObject *key = PyTuple_GET_ITEM(n->home, 2);
    const bool good = lockstep_touch(HELD(n->book, Book, cells), key) && book_news(n, qty, value, traded) && follow(n);
    Py_DECREF(n->home);
    Py_DECREF(n->held);
    return good ? HANDLED : FAILED;
}

static enum handled on_execution_report(PyObject *self, const struct turn *t) {
    struct news n = {.r = (Reports *)self};
    PyObject *engine = n.r->native.of;
    memcpy(&n.m, t->bytes->at + t->body, sizeof n.m);
    if (engine == NULL || !is_common(&n)) return LEFT;
    n.memory = PyObject_GetAttr(engine, name_of_memory);
    n.view = n.memory != NULL ? PyObject_GetAttr(engine, name_of_view) : NULL;
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
        !lockstep_learn_places(classes))
        return NULL;
    if (name_of_memory == NULL &&
        ((name_of_memory = PyUnicode_InternFromString("memory")) == NULL || (name_of_view = PyUnicode_InternFromString("view")) == NULL ||
         (name_of_rows = PyUnicode_InternFromString("_rows")) == NULL))
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
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Native *)self)->of);
    Py_CLEAR(((Reports *)self)->counted);
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
