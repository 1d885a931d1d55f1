/* walk.h */
#include "journal/kernel/python/walk.h"

#include <stdbool.h>

typedef struct {
    PyObject_HEAD
    PyObject *dict;
    PyObject *stands_at; /* the next key; NULL: the end was reached */
    Py_ssize_t behind;   /* for PyDict_Next: right behind it, unless entries have moved since */
} Walk;

/* Stand at the next key behind `behind`. */
static void advance(Walk *w) {
    PyObject *key = NULL;
    (void)PyDict_Next(w->dict, &w->behind, &key, NULL);
    Py_XSETREF(w->stands_at, Py_XNewRef(key));
}

/* Entries move when a dict grows, all of them to the front: the key where it stands is looked for from there. Keys themselves are not
 * looked at, so of 100,000 entries that is 0.1 ms, as against several of the growth. */
static bool find_place(Walk *w) {
    PyObject *key = NULL;
    for (Py_ssize_t from_start = 0; PyDict_Next(w->dict, &from_start, &key, NULL);)
        if (key == w->stands_at) return w->behind = from_start, true;
    PyErr_SetString(PyExc_RuntimeError, "the key where a walk stands was removed without a word");
    return false;
}

/* Whether `behind` is still right behind where it stands. */
static bool is_in_place(const Walk *w) {
    PyObject *key = NULL;
    Py_ssize_t at = w->behind - 1;
    return PyDict_Next(w->dict, &at, &key, NULL) && key == w->stands_at && at == w->behind;
}

static bool hold_place(Walk *w) { return w->stands_at == NULL || is_in_place(w) || find_place(w); }

static PyObject *next(PyObject *self, PyObject *count) {
    Walk *w = (Walk *)self;
    const Py_ssize_t most = PyLong_AsSsize_t(count);
    PyObject *keys = most == -1 && PyErr_Occurred() ? NULL : PyList_New(0);
    bool good = keys != NULL && hold_place(w);
    for (Py_ssize_t n = 0; good && n < most && w->stands_at != NULL; n++) {
        good = PyList_Append(keys, w->stands_at) == 0;
        if (good) advance(w);
    }
    if (!good) Py_CLEAR(keys);
    return keys;
}

static PyObject *leave(PyObject *self, PyObject *key) {
    Walk *w = (Walk *)self;
    const int here = w->stands_at != NULL ? PyObject_RichCompareBool(w->stands_at, key, Py_EQ) : 0;
    if (here < 0 || (here && !hold_place(w))) return NULL;
    if (here) advance(w);
    Py_RETURN_NONE;
}

static PyObject *walk_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *dict;
    if (keywords != NULL || !PyArg_ParseTuple(args, "O!", &PyDict_Type, &dict)) return NULL;
    Walk *w = (Walk *)type->tp_alloc(type, 0);
    if (w == NULL) return NULL;
    w->dict = Py_NewRef(dict);
    advance(w);
    return (PyObject *)w;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Walk *)self)->dict);
    Py_VISIT(((Walk *)self)->stands_at);
    return 0;
}

static int clear(PyObject *self) {
    Py_CLEAR(((Walk *)self)->dict);
    Py_CLEAR(((Walk *)self)->stands_at);
    return 0;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {{"next", next, METH_O, NULL}, {"leave", leave, METH_O, NULL}, {0}};
PyTypeObject lockstep_walk_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "journal.kernel._fast.Walk", .tp_basicsize = sizeof(Walk),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_new = walk_new, .tp_traverse = traverse, .tp_clear = clear,
    .tp_dealloc = dealloc, .tp_methods = methods};
