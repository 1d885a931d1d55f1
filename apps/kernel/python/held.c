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

/* What it holds now, instead of what was booked before: the difference. False: an error is set. */
static bool exchange(PyObject *held, const struct rest *r, struct amounts *more) {
    int64_t qty, value;
    PyObject **booked_qty = &HELD(held, Held, booked_qty), **booked_value = &HELD(held, Held, booked_value);
    if (!whole(*booked_qty, &qty)) {
        PyErr_SetString(PyExc_TypeError, "an order whose reservation is no number");
        return false;
    }
    more->qty = r->qty - qty;
    if (whole(*booked_value, &value) && r->value <= INT64_MAX) {
        more->value = r->value - value;
        return put_signed(booked_qty, r->qty) && put_signed(booked_value, (int64_t)r->value);
    }
    wide before;
    PyObject *now = lockstep_read_wide(*booked_value, &before) ? lockstep_wide(r->value) : NULL;
    if (now == NULL) return false;
    more->value = r->value - before;
    Py_SETREF(*booked_value, now);
    return put_signed(booked_qty, r->qty);
}

bool lockstep_settle(PyObject *held, const struct home *home, bool buys, const struct rest *r, int orders, int64_t position) {
    struct amounts more = {.orders = orders, .position = position};
    return exchange(held, r, &more) && lockstep_book(home, buys, &more);
}
