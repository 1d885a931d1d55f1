/* exposure.h */
#include "exposure.h"

PyObject *lockstep_wide(wide x) {
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

bool lockstep_read_wide(PyObject *v, wide *x) {
    int64_t small;
    if (read_signed(v, &small)) {
        *x = small;
        return true;
    }
    PyObject *shift = v != NULL && PyLong_Check(v) ? PyLong_FromLong(64) : NULL, *high = shift != NULL ? PyNumber_Rshift(v, shift) : NULL;
    int64_t top;
    const bool good = high != NULL && read_signed(high, &top);
    if (good) *x = (wide)((unsigned __int128)(uint64_t)top << 64 | PyLong_AsUnsignedLongLongMask(v));
    else if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "%R: expected an integer of 127 bits", v != NULL ? v : Py_None);
    Py_XDECREF(shift);
    Py_XDECREF(high);
    return good;
}

bool lockstep_add_to(PyObject **slot, wide amount) {
    int64_t x;
    if (amount == 0) return true;
    if (read_signed(*slot, &x) && x + amount <= INT64_MAX && x + amount >= INT64_MIN) return put_signed(slot, (int64_t)(x + amount));
    PyObject *more = *slot != NULL ? lockstep_wide(amount) : NULL, *sum = more != NULL ? PyNumber_Add(*slot, more) : NULL;
    Py_XDECREF(more);
    if (sum == NULL) return false;
    Py_SETREF(*slot, sum);
    return true;
}

bool lockstep_home_of(struct home *h, const struct owner *o) {
    h->key = PyUnicode_FromFormat("%u/%u/%u/%u/%u", o->instrument, o->account, o->strategy, o->user, (unsigned)o->source);
    return h->key != NULL;
}

void lockstep_leave(struct home *h) {
    Py_CLEAR(h->key);
    Py_CLEAR(h->reached);
    Py_CLEAR(h->cell);
}

/* Rows (area, sums) of the classes that they ought to be of. */
static bool is_reached(PyObject *reached) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(reached); i++) {
        PyObject *row = PyList_GET_ITEM(reached, i);
        if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != 2 || !IS_A(PyTuple_GET_ITEM(row, 0), Area) ||
            !IS_A(PyTuple_GET_ITEM(row, 1), Sums))
            return false;
    }
    return true;
}

bool lockstep_at_home(struct home *h, PyObject *view, PyObject *memory) {
    PyObject *reached = entry_of(HELD(view, View, _reached), h->key);
    if (reached == NULL || !PyList_CheckExact(reached)) return false;
    if (reached == h->reached) return true;
    PyObject *book = HELD(memory, Memory, exposure);
    PyObject *cell = IS_A(book, Book) ? entry_of(HELD(book, Book, cells), h->key) : NULL;
    if (!IS_A(cell, Cell) || !is_reached(reached)) return false;
    Py_XSETREF(h->cell, Py_NewRef(cell));
    Py_XSETREF(h->reached, Py_NewRef(reached));
    return true;
}

static bool add(PyObject *sums, bool buys, const struct amounts *more) {
    return lockstep_add_to(&HELD(sums, Sums, orders), more->orders) &&
           lockstep_add_to(buys ? &HELD(sums, Sums, buying) : &HELD(sums, Sums, selling), more->qty) &&
           lockstep_add_to(buys ? &HELD(sums, Sums, buying_value) : &HELD(sums, Sums, selling_value), more->value) &&
           lockstep_add_to(&HELD(sums, Sums, position), more->position);
}

bool lockstep_book(const struct home *h, bool buys, const struct amounts *more) {
    if (!more->orders && !more->qty && !more->value && !more->position) return true;
    bool good = add(h->cell, buys, more);
    for (Py_ssize_t i = 0; good && i < PyList_GET_SIZE(h->reached); i++) {
        PyObject *row = PyList_GET_ITEM(h->reached, i);
        good = lockstep_add_to(&HELD(PyTuple_GET_ITEM(row, 0), Area, orders), more->orders) && add(PyTuple_GET_ITEM(row, 1), buys, more);
    }
    return good;
}
