/* apps.looks in C: who looks at an instrument now and then only is not woken in between, and nobody makes a message for them. */
#include "layout.h"

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

static struct {
    PyTypeObject *type;
    Py_ssize_t every, after;
} looks_at;
static PyObject *name_of_looks, *name_of_instrument; /* interned */

bool lockstep_learn_looks(PyTypeObject *looks) {
    if (looks_at.type == looks) return true;
    const struct slot_name names[] = {{"every", &looks_at.every}, {"after", &looks_at.after}, {0}};
    if (!lockstep_slots(looks, names) || (name_of_looks = PyUnicode_InternFromString("_looks")) == NULL ||
        (name_of_instrument = PyUnicode_InternFromString("instrument")) == NULL)
        return false;
    looks_at.type = (PyTypeObject *)Py_NewRef(looks); /* for as long as the process lives */
    return true;
}

/* An app's Looks, or None: a new reference. NULL: an error is set. */
static PyObject *looks_of(PyObject *app) {
    PyObject *looks = PyObject_GetAttr(app, name_of_looks);
    if (looks == NULL || looks == Py_None) return looks;
    PyObject *after = Py_IS_TYPE(looks, looks_at.type) ? *SLOT(looks, looks_at.after) : NULL;
    if (after != NULL && PyDict_Check(after)) return looks;
    PyErr_Format(PyExc_TypeError, "%R looks by %R", app, looks);
    Py_DECREF(looks);
    return NULL;
}

/* Looks.passes_over: 1, 0; -1: an error is set. */
static int passes_over(PyObject *looks, PyObject *instrument, int64_t now) {
    PyObject *after = PyDict_GetItemWithError(*SLOT(looks, looks_at.after), instrument);
    if (after == NULL) return PyErr_Occurred() ? -1 : 0;
    int overflow;
    const int64_t from = PyLong_AsLongLongAndOverflow(after, &overflow);
    if (from == -1 && PyErr_Occurred()) return -1;
    return overflow ? overflow > 0 : now < from;
}

/* Looks.look: 1, 0; -1: an error is set. */
static int look(PyObject *looks, PyObject *instrument, int64_t now) {
    const int passed = passes_over(looks, instrument, now);
    if (passed) return passed < 0 ? -1 : 0;
    PyObject *ts = PyLong_FromLongLong(now), *every = *SLOT(looks, looks_at.every),
             *after = ts != NULL && every != NULL ? PyNumber_Add(ts, every) : NULL;
    const bool good = after != NULL && PyDict_SetItem(*SLOT(looks, looks_at.after), instrument, after) == 0;
    Py_XDECREF(ts);
    Py_XDECREF(after);
    return good ? 1 : -1;
}

int lockstep_look(PyObject *app, PyObject *message, int64_t now) {
    PyObject *looks = looks_of(app);
    if (looks == NULL || looks == Py_None) {
        Py_XDECREF(looks);
        return looks != NULL ? 1 : -1;
    }
    PyObject *instrument = PyObject_GetAttr(message, name_of_instrument);
    const int looked = instrument != NULL ? look(looks, instrument, now) : -1;
    Py_XDECREF(instrument);
    Py_DECREF(looks);
    return looked;
}

/* Whether one of those who listen to a mute instance wants to hear of an instrument now. */
static int one_looks(PyObject *listeners, PyObject *instrument, int64_t now) {
    int wanted = 0;
    for (Py_ssize_t i = 0; wanted == 0 && PyList_Check(listeners) && i < PyList_GET_SIZE(listeners); i++) {
        PyObject *row = PyList_GET_ITEM(listeners, i);
        if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != 3) return 1; /* whoever delivers it will say */
        PyObject *looks = looks_of(PyTuple_GET_ITEM(row, 1));
        const int passed = looks == NULL ? -1 : looks == Py_None ? 0 : passes_over(looks, instrument, now);
        wanted = passed < 0 ? -1 : !passed;
        Py_XDECREF(looks);
    }
    return wanted;
}

int lockstep_is_heard(const struct turn *t, uint16_t kind, uint32_t instrument) {
    PyObject *to = *SLOT(t->slot, lockstep_slot.emit), *listeners = *SLOT(t->group, t->in_group->listeners);
    if (to == NULL || !PyMethod_Check(to) || PyMethod_GET_FUNCTION(to) != lockstep_slot.tell) return 1; /* not only told here */
    PyObject *number = PyLong_FromLong(kind), *key = number != NULL ? PyTuple_Pack(2, t->slot, number) : NULL,
             *of = PyLong_FromUnsignedLong(instrument);
    PyObject *rows = key != NULL && of != NULL && listeners != NULL && PyDict_Check(listeners) ? PyDict_GetItemWithError(listeners, key) : NULL;
    Py_XINCREF(rows);
    const int heard = PyErr_Occurred() ? -1 : rows == NULL ? 0 : one_looks(rows, of, t->ref->ts);
    Py_XDECREF(rows);
    Py_XDECREF(number);
    Py_XDECREF(key);
    Py_XDECREF(of);
    return heard;
}
