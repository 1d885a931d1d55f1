/* places.h: objects of a class, copied from the first of them. */
#include "places.h"

void lockstep_break(struct mould *m) {
    Py_CLEAR(m->cls);
    Py_CLEAR(m->first);
    PyMem_Free(m->slots);
    m->slots = NULL;
    m->n = 0;
}

static PyObject *make(PyTypeObject *cls, Py_ssize_t required) {
    PyObject *arguments = PyTuple_New(required);
    for (Py_ssize_t i = 0; arguments != NULL && i < required; i++) PyTuple_SET_ITEM(arguments, i, PyLong_FromLong(0)); /* never fails */
    PyObject *made = arguments != NULL ? PyObject_Call((PyObject *)cls, arguments, NULL) : NULL;
    Py_XDECREF(arguments);
    return made;
}

static bool find_slots(struct mould *m, PyObject *names) {
    m->n = PyTuple_GET_SIZE(names);
    m->slots = PyMem_Calloc((size_t)m->n + 1, sizeof *m->slots);
    if (m->slots == NULL) return PyErr_NoMemory(), false;
    for (Py_ssize_t i = 0; i < m->n; i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
        const struct slot_name one[] = {{name, &m->slots[i]}, {0}};
        if (name == NULL || !lockstep_slots(m->cls, one)) return false;
    }
    return true;
}

bool lockstep_mould_of(struct mould *m, PyTypeObject *cls, Py_ssize_t required) {
    *m = (struct mould){(PyTypeObject *)Py_NewRef(cls), make(cls, required), 0, NULL};
    PyObject *names = m->first != NULL ? PyObject_GetAttrString((PyObject *)cls, "__struct_fields__") : NULL;
    const bool plain = names != NULL && PyTuple_Check(names) && !PyObject_HasAttrString((PyObject *)cls, "__post_init__");
    if (names != NULL && !plain) PyErr_Format(PyExc_TypeError, "%R: expected a struct without __post_init__", cls);
    const bool good = plain && find_slots(m, names);
    Py_XDECREF(names);
    if (!good) lockstep_break(m);
    return good;
}

static PyObject *own(PyObject *v) {
    if (PyDict_CheckExact(v) && PyDict_GET_SIZE(v) == 0) return PyDict_New();
    if (PyList_CheckExact(v) && PyList_GET_SIZE(v) == 0) return PyList_New(0);
    return Py_NewRef(v);
}

PyObject *lockstep_cast(const struct mould *m) {
    PyObject *o = m->cls->tp_alloc(m->cls, 0);
    for (Py_ssize_t i = 0; o != NULL && i < m->n; i++)
        if ((*SLOT(o, m->slots[i]) = own(*SLOT(m->first, m->slots[i]))) == NULL) Py_CLEAR(o);
    return o;
}
