/* Idle(object, path): a handler that has nothing to do while the dict at that path of attributes is empty, and leaves everything
 * to the one in Python else. The OMS watches prices only while it holds orders. */
#include "layout.h"

enum { STEPS = 4 };
/* One attribute, and where it is in objects of the class that had it last: most are slots. */
struct step {
    PyObject *name;
    PyTypeObject *cls; /* NULL: in none so far */
    Py_ssize_t offset;
};
typedef struct {
    Native native;
    struct step step[STEPS];
    Py_ssize_t n;
} Idle;

/* The attribute, a new reference; NULL: an error is set. */
static PyObject *take(struct step *s, PyObject *of) {
    if (Py_IS_TYPE(of, s->cls) && *SLOT(of, s->offset) != NULL) return Py_NewRef(*SLOT(of, s->offset));
    PyObject *found = PyObject_GetAttr(of, s->name);
    const struct slot_name one[] = {{PyUnicode_AsUTF8(s->name), &s->offset}, {0}};
    if (found == NULL || s->cls == Py_TYPE(of)) return found;
    if (lockstep_slots(Py_TYPE(of), one)) Py_XSETREF(s->cls, (PyTypeObject *)Py_NewRef(Py_TYPE(of)));
    else PyErr_Clear(); /* it is no slot */
    return found;
}

/* The dict: a new reference, NULL with an error set. */
static PyObject *at_path(Idle *idle) {
    PyObject *found = Py_NewRef(idle->native.of);
    for (Py_ssize_t i = 0; found != NULL && i < idle->n; i++) {
        PyObject *next = take(&idle->step[i], found);
        Py_DECREF(found);
        found = next;
    }
    return found;
}

static enum handled unless_empty(PyObject *self, const struct turn *t) {
    (void)t;
    PyObject *dict = ((Native *)self)->of != NULL ? at_path((Idle *)self) : NULL;
    if (dict == NULL) return PyErr_Occurred() ? FAILED : LEFT;
    const bool empty = PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0;
    Py_DECREF(dict);
    return empty ? HANDLED : LEFT;
}

static PyObject *idle_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *object, *path;
    if (!PyArg_ParseTuple(args, "OO!", &object, &PyTuple_Type, &path)) return NULL;
    const Py_ssize_t n = PyTuple_GET_SIZE(path);
    if (n > STEPS) return PyErr_Format(PyExc_ValueError, "a path of %d attributes at most; found %zd", STEPS, n);
    for (Py_ssize_t i = 0; i < n; i++)
        if (!PyUnicode_Check(PyTuple_GET_ITEM(path, i))) return PyErr_Format(PyExc_TypeError, "%R: expected names", path);
    Idle *idle = (Idle *)type->tp_alloc(type, 0);
    if (idle == NULL) return NULL;
    idle->native.handle = unless_empty;
    idle->native.bytes = 0;
    idle->native.of = Py_NewRef(object);
    idle->n = n;
    for (Py_ssize_t i = 0; i < n; i++) idle->step[i].name = Py_NewRef(PyTuple_GET_ITEM(path, i));
    return (PyObject *)idle;
}

static void dealloc(PyObject *self) {
    Idle *idle = (Idle *)self;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(idle->native.of);
    for (Py_ssize_t i = 0; i < idle->n; i++) {
        Py_CLEAR(idle->step[i].name);
        Py_CLEAR(idle->step[i].cls);
    }
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_idle_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Idle",
    .tp_basicsize = sizeof(Idle),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = idle_new,
    .tp_dealloc = dealloc,
};
