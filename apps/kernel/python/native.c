/* What handlers in C have in common. */
#include "layout.h"

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Native *)self)->of);
    return 0;
}

static int clear(PyObject *self) {
    Py_CLEAR(((Native *)self)->of);
    return 0;
}

PyTypeObject lockstep_native_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Native",
    .tp_basicsize = sizeof(Native),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_traverse = traverse,
    .tp_clear = clear,
};
