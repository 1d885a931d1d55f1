/* riskengine.exposure.Sums: what is held, and a change of it. */
#ifndef LOCKSTEP_EXPOSURE_H
#define LOCKSTEP_EXPOSURE_H

#include "places.h"

/* By how much; NULL: not at all. */
struct amounts {
    PyObject *orders, *qty, *value, *position;
};

static inline bool add_to(PyObject **slot, PyObject *amount) {
    if (amount == NULL) return true;
    PyObject *sum = *slot != NULL ? PyNumber_Add(*slot, amount) : NULL;
    if (sum == NULL) return false;
    Py_SETREF(*slot, sum);
    return true;
}

static inline bool add_amounts(PyObject *sums, bool buys, const struct amounts *more) {
    return add_to(&HELD(sums, Sums, orders), more->orders) &&
           add_to(buys ? &HELD(sums, Sums, buying) : &HELD(sums, Sums, selling), more->qty) &&
           add_to(buys ? &HELD(sums, Sums, buying_value) : &HELD(sums, Sums, selling_value), more->value) &&
           add_to(&HELD(sums, Sums, position), more->position);
}

/* View._home: (cell, [(area, sums), …], key), all of the classes that they ought to be of. */
static inline bool is_home(PyObject *home) {
    if (home == NULL || !PyTuple_CheckExact(home) || PyTuple_GET_SIZE(home) != 3 || !IS_A(PyTuple_GET_ITEM(home, 0), Cell) ||
        !PyList_CheckExact(PyTuple_GET_ITEM(home, 1)) || !PyUnicode_CheckExact(PyTuple_GET_ITEM(home, 2)))
        return false;
    PyObject *reached = PyTuple_GET_ITEM(home, 1);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(reached); i++) {
        PyObject *row = PyList_GET_ITEM(reached, i);
        if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != 2 || !IS_A(PyTuple_GET_ITEM(row, 0), Area) ||
            !IS_A(PyTuple_GET_ITEM(row, 1), Sums))
            return false;
    }
    return true;
}

/* A change in a home: in its cell, and in all that this counts in. */
static inline bool book_at(PyObject *home, bool buys, const struct amounts *more) {
    PyObject *reached = PyTuple_GET_ITEM(home, 1);
    bool good = add_amounts(PyTuple_GET_ITEM(home, 0), buys, more);
    for (Py_ssize_t i = 0; good && i < PyList_GET_SIZE(reached); i++) {
        PyObject *row = PyList_GET_ITEM(reached, i);
        good = add_to(&HELD(PyTuple_GET_ITEM(row, 0), Area, orders), more->orders) && add_amounts(PyTuple_GET_ITEM(row, 1), buys, more);
    }
    return good;
}

#endif
