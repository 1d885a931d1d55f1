/* Idle(object, path): a handler that has nothing to do while the dict at that path of attributes is empty, and leaves everything
 * to the one in Python else. The OMS watches prices only while it holds orders. */
#include "layout.h"

/* The dict: a new reference, NULL with an error set. */
static PyObject *at_path(PyObject *of) {
    PyObject *found = Py_NewRef(PyTuple_GET_ITEM(of, 0));
    for (Py_ssize_t i = 1; found != NULL && i < PyTuple_GET_SIZE(of); i++) {
        PyObject *next = PyObject_GetAttr(found, PyTuple_GET_ITEM(of, i));
        Py_DECREF(found);
        found = next;
    }
    return found;
}

static enum handled unless_empty(PyObject *self, const struct turn *t) {
    (void)t;
    PyObject *of = ((Native *)self)->of, *dict = of != NULL ? at_path(of) : NULL;
    if (dict == NULL) return FAILED;
    const bool empty = PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0;
    Py_DECREF(dict);
    return empty ? HANDLED : LEFT;
}

static PyObject *idle_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *object, *path;
    if (!PyArg_ParseTuple(args, "OO!", &object, &PyTuple_Type, &path)) return NULL;
    const Py_ssize_t steps = PyTuple_GET_SIZE(path);
    PyObject *of = PyTuple_New(steps + 1);
    if (of == NULL) return NULL;
    PyTuple_SET_ITEM(of, 0, Py_NewRef(object));
    for (Py_ssize_t i = 0; i < steps; i++) PyTuple_SET_ITEM(of, i + 1, Py_NewRef(PyTuple_GET_ITEM(path, i)));
    Native *n = (Native *)type->tp_alloc(type, 0);
    if (n == NULL) {
        Py_DECREF(of);
        return NULL;
    }
    n->handle = unless_empty;
    n->bytes = 0;
    n->of = of;
    return (PyObject *)n;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Native *)self)->of);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_idle_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Idle",
    .tp_basicsize = sizeof(Native),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = idle_new,
    .tp_dealloc = dealloc,
};
