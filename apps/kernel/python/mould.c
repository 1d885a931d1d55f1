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

/* Empty dicts and lists are the object's own. */
static bool is_own(PyObject *v) { return (PyDict_CheckExact(v) && PyDict_GET_SIZE(v) == 0) || (PyList_CheckExact(v) && PyList_GET_SIZE(v) == 0); }

/* Those whose values all objects share stand first. */
static void sort_slots(struct mould *m) {
    for (Py_ssize_t i = m->shared = 0; i < m->n; i++) {
        const Py_ssize_t slot = m->slots[i];
        if (is_own(*SLOT(m->first, slot))) continue;
        m->slots[i] = m->slots[m->shared];
        m->slots[m->shared++] = slot;
    }
}

bool lockstep_mould_of(struct mould *m, PyTypeObject *cls, Py_ssize_t required) {
    *m = (struct mould){(PyTypeObject *)Py_NewRef(cls), make(cls, required), 0, 0, NULL};
    PyObject *names = m->first != NULL ? PyObject_GetAttrString((PyObject *)cls, "__struct_fields__") : NULL;
    const bool plain = names != NULL && PyTuple_Check(names) && !PyObject_HasAttrString((PyObject *)cls, "__post_init__");
    if (names != NULL && !plain) PyErr_Format(PyExc_TypeError, "%R: expected a struct without __post_init__", cls);
    const bool good = plain && find_slots(m, names);
    if (good) sort_slots(m);
    Py_XDECREF(names);
    if (!good) lockstep_break(m);
    return good;
}

PyObject *lockstep_cast(const struct mould *m) {
    PyObject *o = m->cls->tp_alloc(m->cls, 0);
    if (o == NULL) return NULL;
    for (Py_ssize_t i = 0; i < m->shared; i++) *SLOT(o, m->slots[i]) = Py_NewRef(*SLOT(m->first, m->slots[i]));
    for (Py_ssize_t i = m->shared; i < m->n; i++) {
        PyObject *made = PyDict_CheckExact(*SLOT(m->first, m->slots[i])) ? PyDict_New() : PyList_New(0);
        if (made == NULL) {
            Py_DECREF(o);
            return NULL;
        }
        if (PyList_CheckExact(made)) PyObject_GC_UnTrack(made); /* of numbers: no collector need look at a list for each order */
        *SLOT(o, m->slots[i]) = made;
    }
    return o;
}
