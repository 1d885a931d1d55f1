/* Slot.set_timer and Slot.cancel_timer of apps.group, for handlers in C. */
#include "layout.h"

#include "places.h"

static PyObject *heappush, *name_of_append;

static bool learn_names(void) {
    if (heappush != NULL) return true;
    PyObject *module = PyImport_ImportModule("heapq");
    if (name_of_append == NULL) name_of_append = PyUnicode_InternFromString("append");
    heappush = module != NULL && name_of_append != NULL ? PyObject_GetAttrString(module, "heappush") : NULL;
    Py_XDECREF(module);
    return heappush != NULL;
}

/* Whether a run is empty or ends no later than `at`: 1 or 0; -1: an error is set. */
static int fits(PyObject *run, int64_t at) {
    const Py_ssize_t n = PySequence_Size(run);
    if (n <= 0) return n == 0 ? 1 : -1;
    PyObject *row = PySequence_GetItem(run, n - 1);
    int64_t last;
    const bool read = row != NULL && PyTuple_CheckExact(row) && PyTuple_GET_SIZE(row) == 3 && whole(PyTuple_GET_ITEM(row, 0), &last);
    Py_XDECREF(row);
    if (!read && !PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "a run of timers that holds something else");
    return read ? last <= at : -1;
}

static bool put(PyObject *runs, PyObject *heap, int64_t at, PyObject *row) {
    PyObject *arguments[] = {heap, row}, *function = NULL;
    if (!learn_names()) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(runs); i++) {
        PyObject *run = PyList_GET_ITEM(runs, i);
        const int good = fits(run, at);
        if (good < 0) return false;
        if (!good) continue;
        arguments[0] = run;
        function = name_of_append;
        break;
    }
    PyObject *result = function != NULL ? PyObject_VectorcallMethod(function, arguments, 2, NULL)
                                        : PyObject_Vectorcall(heappush, arguments, 2, NULL);
    Py_XDECREF(result);
    return result != NULL;
}

/* Slot._await. */
static bool await(PyObject *runs, PyObject *heap, int64_t at, PyObject *when, PyObject *request, PyObject *token) {
    PyObject *row = PyTuple_Pack(3, when, request, token);
    const bool good = row != NULL && put(runs, heap, at, row);
    Py_XDECREF(row);
    return good;
}

bool lockstep_set_timer(const struct turn *t, int64_t at, PyObject *token) {
    PyObject *timers = *SLOT(t->slot, lockstep_slot.timers), *heap = *SLOT(t->slot, lockstep_slot.heap),
             *runs = *SLOT(t->slot, lockstep_slot.runs);
    PyObject **due = SLOT(t->group, t->in_group->due);
    int64_t requests, earliest;
    if (timers == NULL || heap == NULL || runs == NULL || !PyList_CheckExact(runs) || !whole(*SLOT(t->slot, lockstep_slot.requests), &requests) || !whole(*due, &earliest)) {
        PyErr_SetString(PyExc_TypeError, "a slot without timers");
        return false;
    }
    PyObject *when = PyLong_FromLongLong(at), *request = PyLong_FromLongLong(requests + 1);
    PyObject *row = when != NULL && request != NULL ? PyTuple_Pack(2, when, request) : NULL;
    bool good = row != NULL && PyDict_SetItem(timers, token, row) == 0 && await(runs, heap, at, when, request, token);
    if (good) Py_XSETREF(*SLOT(t->slot, lockstep_slot.requests), Py_NewRef(request));
    if (good && at < earliest) Py_XSETREF(*due, Py_NewRef(when));
    Py_XDECREF(row);
    Py_XDECREF(when);
    Py_XDECREF(request);
    return good;
}

bool lockstep_cancel_timer(const struct turn *t, PyObject *token) {
    PyObject *timers = *SLOT(t->slot, lockstep_slot.timers);
    const int there = timers != NULL && PyDict_Check(timers) ? PyDict_Contains(timers, token) : -1;
    return there == 0 || (there == 1 && PyDict_DelItem(timers, token) == 0);
}
