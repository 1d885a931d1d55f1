/* Slot.set_timer and Slot.cancel_timer of apps.group, for handlers in C. */
#include "layout.h"

#include "places.h"

static PyObject *heappush;

static bool push(PyObject *heap, PyObject *at, PyObject *request, PyObject *token) {
    if (heappush == NULL) {
        PyObject *module = PyImport_ImportModule("heapq");
        heappush = module != NULL ? PyObject_GetAttrString(module, "heappush") : NULL;
        Py_XDECREF(module);
        if (heappush == NULL) return false;
    }
    PyObject *row = PyTuple_Pack(3, at, request, token);
    PyObject *arguments[] = {heap, row}, *result = row != NULL ? PyObject_Vectorcall(heappush, arguments, 2, NULL) : NULL;
    Py_XDECREF(row);
    Py_XDECREF(result);
    return result != NULL;
}

bool lockstep_set_timer(const struct turn *t, int64_t at, PyObject *token) {
    PyObject *timers = *SLOT(t->slot, lockstep_slot.timers), *heap = *SLOT(t->slot, lockstep_slot.heap);
    PyObject **due = SLOT(t->group, t->in_group->due);
    int64_t requests, earliest;
    if (timers == NULL || heap == NULL || !whole(*SLOT(t->slot, lockstep_slot.requests), &requests) || !whole(*due, &earliest)) {
        PyErr_SetString(PyExc_TypeError, "a slot without timers");
        return false;
    }
    PyObject *when = PyLong_FromLongLong(at), *request = PyLong_FromLongLong(requests + 1);
    PyObject *row = when != NULL && request != NULL ? PyTuple_Pack(2, when, request) : NULL;
    bool good = row != NULL && PyDict_SetItem(timers, token, row) == 0 && push(heap, when, request, token);
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
