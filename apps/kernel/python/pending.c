/* pending.h */
#include "pending.h"

enum { ROOM_AT_FIRST = 64 };

static bool make_room(Pending *p) {
    if (p->first + p->n < p->room) return true;
    if (p->first > p->room / 2) {
        memmove(p->rows, p->rows + p->first, (size_t)p->n * sizeof *p->rows);
        p->first = 0;
        return true;
    }
    const Py_ssize_t room = p->room ? 2 * p->room : ROOM_AT_FIRST;
    struct said *rows = PyMem_Realloc(p->rows, (size_t)room * sizeof *rows);
    if (rows == NULL) return PyErr_NoMemory(), false;
    p->rows = rows, p->room = room;
    return true;
}

bool lockstep_pending_add(Pending *p, const struct said *s) {
    if (p->n && p->rows[p->first + p->n - 1].number >= s->number) {
        PyErr_Format(PyExc_ValueError, "emission %llu after %llu", (unsigned long long)s->number,
                     (unsigned long long)p->rows[p->first + p->n - 1].number);
        return false;
    }
    if (!make_room(p)) return false;
    p->rows[p->first + p->n] = *s;
    Py_INCREF(s->body);
    p->n++;
    return true;
}

const struct said *lockstep_pending_find(const Pending *p, uint64_t number) {
    const struct said *rows = p->rows + p->first;
    Py_ssize_t low = 0, high = p->n;
    if (high && rows[0].number == number) return rows; /* as nearly always */
    while (low < high) {
        const Py_ssize_t middle = low + (high - low) / 2;
        if (rows[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < p->n && rows[low].number == number ? rows + low : NULL;
}

void lockstep_pending_drop(Pending *p, const struct said *s) {
    struct said *row = p->rows + (s - p->rows), *const first = p->rows + p->first;
    PyObject *body = row->body;
    if (row == first) p->first++;
    else memmove(row, row + 1, (size_t)(first + p->n - row - 1) * sizeof *row);
    if (--p->n == 0) p->first = 0;
    Py_DECREF(body);
}

PyObject *lockstep_emission(const struct said *s) {
    PyObject *of[] = {PyLong_FromUnsignedLongLong(s->number), PyLong_FromLong(s->kind),  PyLong_FromLong(s->version),
                      PyLong_FromLong(s->flags), PyLong_FromUnsignedLongLong(s->cause), PyLong_FromLongLong(s->origin_ts), Py_NewRef(s->body)};
    enum { ALL = sizeof of / sizeof *of };
    bool good = true;
    for (int i = 0; i < ALL; i++) good = good && of[i] != NULL;
    PyObject *made = good ? PyObject_Vectorcall((PyObject *)lockstep_said.type, of, ALL, NULL) : NULL;
    for (int i = 0; i < ALL; i++) Py_XDECREF(of[i]);
    return made;
}

/* ---- the same from an Emission */

static bool read_unsigned(PyObject *v, uint64_t most, uint64_t *x) {
    if (v == NULL || !PyLong_Check(v)) return false;
    *x = PyLong_AsUnsignedLongLong(v);
    return !PyErr_Occurred() && *x <= most;
}

static bool read_emission(PyObject *e, struct said *s) {
    uint64_t kind = 0, version = 0, flags = 0;
    const struct said_layout *l = &lockstep_said;
    PyObject *ts = Py_IS_TYPE(e, l->type) ? *SLOT(e, l->origin_ts) : NULL;
    s->body = Py_IS_TYPE(e, l->type) ? *SLOT(e, l->body) : NULL;
    const bool good = s->body != NULL && PyBytes_CheckExact(s->body) && ts != NULL && PyLong_Check(ts) &&
                      read_unsigned(*SLOT(e, l->source_seq), UINT64_MAX, &s->number) && read_unsigned(*SLOT(e, l->kind), UINT16_MAX, &kind) &&
                      read_unsigned(*SLOT(e, l->version), UINT16_MAX, &version) && read_unsigned(*SLOT(e, l->flags), UINT16_MAX, &flags) &&
                      read_unsigned(*SLOT(e, l->cause), UINT64_MAX, &s->cause);
    if (good) s->origin_ts = PyLong_AsLongLong(ts);
    s->kind = (uint16_t)kind, s->version = (uint16_t)version, s->flags = (uint16_t)flags;
    if (good && !PyErr_Occurred()) return true;
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%R: expected an Emission", e);
    return false;
}

/* ---- what a dict can do, as far as it is asked for */

static const struct said *row_of(PyObject *self, PyObject *number) {
    const uint64_t x = PyLong_Check(number) ? PyLong_AsUnsignedLongLong(number) : 0;
    if (!PyErr_Occurred()) return lockstep_pending_find((Pending *)self, x);
    PyErr_Clear(); /* no number of an emission */
    return NULL;
}

static Py_ssize_t length(PyObject *self) { return ((Pending *)self)->n; }

static PyObject *subscript(PyObject *self, PyObject *number) {
    const struct said *s = row_of(self, number);
    if (s == NULL) PyErr_SetObject(PyExc_KeyError, number);
    return s != NULL ? lockstep_emission(s) : NULL;
}

static int assign(PyObject *self, PyObject *number, PyObject *e) {
    const struct said *there = row_of(self, number);
    struct said s;
    if (e == NULL) {
        if (there == NULL) PyErr_SetObject(PyExc_KeyError, number);
        else lockstep_pending_drop((Pending *)self, there);
        return there != NULL ? 0 : -1;
    }
    if (!read_emission(e, &s)) return -1;
    return lockstep_pending_add((Pending *)self, &s) ? 0 : -1;
}

static int contains(PyObject *self, PyObject *number) { return row_of(self, number) != NULL; }

static PyObject *get(PyObject *self, PyObject *number) {
    const struct said *s = row_of(self, number);
    return s != NULL ? lockstep_emission(s) : Py_NewRef(Py_None);
}

/* pop(number, default) */
static PyObject *pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "pop takes a number and a default; found %zd arguments", nargs);
    const struct said *s = row_of(self, args[0]);
    PyObject *e = s != NULL ? lockstep_emission(s) : Py_NewRef(args[1]);
    if (e != NULL && s != NULL) lockstep_pending_drop((Pending *)self, s);
    return e;
}

static PyObject *values(PyObject *self, PyObject *none) {
    (void)none;
    const Pending *p = (Pending *)self;
    PyObject *all = PyList_New(0);
    for (Py_ssize_t i = 0; all != NULL && i < p->n; i++) {
        PyObject *e = lockstep_emission(&p->rows[p->first + i]);
        if (e == NULL || PyList_Append(all, e) < 0) Py_CLEAR(all);
        Py_XDECREF(e);
    }
    return all;
}

static PyObject *keys(PyObject *self, PyObject *none) {
    (void)none;
    const Pending *p = (Pending *)self;
    PyObject *all = PyList_New(p->n);
    for (Py_ssize_t i = 0; all != NULL && i < p->n; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(p->rows[p->first + i].number);
        if (number == NULL) Py_CLEAR(all);
        else PyList_SET_ITEM(all, i, number);
    }
    return all;
}

static PyObject *pending_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    if (PyTuple_GET_SIZE(args) || (keywords != NULL && PyDict_GET_SIZE(keywords)))
        return PyErr_Format(PyExc_TypeError, "Pending takes no arguments");
    return type->tp_alloc(type, 0);
}

static void dealloc(PyObject *self) {
    Pending *p = (Pending *)self;
    while (p->n) lockstep_pending_drop(p, p->rows + p->first);
    PyMem_Free(p->rows);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {{"get", get, METH_O, NULL},
                                {"pop", (PyCFunction)(void (*)(void))pop, METH_FASTCALL, NULL},
                                {"keys", keys, METH_NOARGS, NULL},
                                {"values", values, METH_NOARGS, NULL},
                                {0}};
static PyMappingMethods mapping = {length, subscript, assign};
static PySequenceMethods sequence = {.sq_contains = contains};
PyTypeObject lockstep_pending_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Pending",
    .tp_basicsize = sizeof(Pending),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_as_mapping = &mapping,
    .tp_as_sequence = &sequence,
    .tp_new = pending_new,
    .tp_dealloc = dealloc,
    .tp_methods = methods,
};
