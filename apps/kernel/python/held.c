/* held.h */
#include "held.h"

bool lockstep_rest_with(PyObject *held, const struct terms *t, struct rest *r) {
    int64_t px = t->price_px;
    if (t->order_qty >= MANTISSA_MAX || t->cum_qty < 0) return false;
    if (px == NO_VALUE && !whole(HELD(held, Held, value_px), &px)) return false;
    if (t->order_qty <= t->cum_qty) return true;
    const int64_t qty = t->order_qty - t->cum_qty;
    const wide value = px == NO_VALUE ? 0 : (wide)qty * (px < 0 ? -(wide)px : px);
    if (qty > r->qty) r->qty = qty;
    if (value > r->value) r->value = value;
    return true;
}

bool lockstep_rest(PyObject *held, const struct terms *t, PyObject *but, struct rest *r) {
    *r = (struct rest){0};
    PyObject *wishes = HELD(held, Held, wishes);
    if (t->order_qty < t->cum_qty || !lockstep_rest_with(held, t, r) || wishes == NULL || !PyList_CheckExact(wishes)) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(wishes); i++) {
        PyObject *wish = PyList_GET_ITEM(wishes, i);
        struct terms wanted = {.cum_qty = t->cum_qty};
        if (!IS_A(wish, Wish)) return false;
        if (wish == but || HELD(wish, Wish, passed) != Py_True) continue;
        if (!whole(HELD(wish, Wish, order_qty), &wanted.order_qty) || !whole(HELD(wish, Wish, price_px), &wanted.price_px) ||
            !lockstep_rest_with(held, &wanted, r))
            return false;
    }
    return true;
}

/* x - *slot; *slot = x. NULL: an error is set. */
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

bool lockstep_settle(PyObject *held, PyObject *home, bool buys, const struct rest *r, PyObject *orders, PyObject *position) {
    PyObject *qty = PyLong_FromLongLong(r->qty), *value = wide_number(r->value);
    const struct amounts more = {.orders = orders, .qty = exchange(&HELD(held, Held, booked_qty), qty),
                                 .value = exchange(&HELD(held, Held, booked_value), value), .position = position};
    const bool good = more.qty != NULL && more.value != NULL && book_at(home, buys, &more);
    Py_XDECREF(qty);
    Py_XDECREF(value);
    Py_XDECREF(more.qty);
    Py_XDECREF(more.value);
    return good;
}
