/* apps.state._pack: a state as lists, texts and small integers, before it is encoded. Values of rare kinds go to the Python. */
#include "layout.h"

#include <stddef.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *rest;             /* the one in Python */
    PyTypeObject *deque, *base; /* of msgspec's structs */
} Packer;

enum { WORD_BITS = 62 }; /* integers beyond go as text */

enum tag { INTEGER, DICT, LIST, TUPLE, DEQUE, STRUCT, TAGS };
static const char *const tag_names[TAGS] = {"i", "d", "l", "t", "q", "s"};
static PyObject *tags[TAGS]; /* interned */
static PyObject *name_of_fields, *name_of_module, *name_of_qualname, *name_of_maxlen, *name_of_steps; /* interned */

static PyObject *pack(Packer *p, PyObject *value);

/* An error's way out: where it stands. Takes the reference to the step. */
static void add_step(PyObject *step) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    PyObject *steps = step != NULL && error != NULL ? PyObject_GetAttr(error, name_of_steps) : NULL;
    if (steps != NULL && PyList_CheckExact(steps)) (void)PyList_Append(steps, step);
    Py_XDECREF(steps);
    Py_XDECREF(step);
    PyErr_Clear(); /* an error of another kind has no steps */
    PyErr_Restore(type, error, trace);
}

static PyObject *begin(enum tag tag, Py_ssize_t more) {
    PyObject *packed = PyList_New(1 + more);
    if (packed != NULL) PyList_SET_ITEM(packed, 0, Py_NewRef(tags[tag]));
    return packed;
}

/* packed[at] = value, packed. False: an error is set. */
static bool put(Packer *p, PyObject *packed, Py_ssize_t at, PyObject *value) {
    PyObject *held = pack(p, value);
    if (held != NULL) PyList_SET_ITEM(packed, at, held);
    return held != NULL;
}

static PyObject *pack_integer(PyObject *value) {
    int overflow;
    const long long x = PyLong_AsLongLongAndOverflow(value, &overflow), word = 1LL << WORD_BITS;
    if (!overflow && -word < x && x < word) return Py_NewRef(value);
    PyObject *text = PyObject_Str(value), *packed = text != NULL ? begin(INTEGER, 1) : NULL;
    if (packed != NULL) PyList_SET_ITEM(packed, 1, Py_NewRef(text));
    Py_XDECREF(text);
    return packed;
}

/* One entry of a dict, as two values. False: an error is set. */
static bool put_entry(Packer *p, PyObject *packed, Py_ssize_t at, PyObject *key, PyObject *value) {
    if (!put(p, packed, at, key)) return add_step(PyUnicode_FromString(" key")), false;
    if (!put(p, packed, at + 1, value)) return add_step(PyUnicode_FromFormat("[%R]", key)), false;
    return true;
}

static PyObject *pack_dict(Packer *p, PyObject *values) {
    const Py_ssize_t n = PyDict_GET_SIZE(values);
    PyObject *packed = begin(DICT, 2 * n), *key, *value;
    Py_ssize_t pos = 0;
    for (Py_ssize_t i = 0; packed != NULL && PyDict_Next(values, &pos, &key, &value); i++) {
        Py_INCREF(key);
        Py_INCREF(value);
        bool good = put_entry(p, packed, 1 + 2 * i, key, value);
        if (good && PyDict_GET_SIZE(values) != n) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            good = false;
        }
        Py_DECREF(key);
        Py_DECREF(value);
        if (!good) Py_CLEAR(packed);
    }
    return packed;
}

/* A list, tuple or deque; `more`: what stands before its values, or NULL. */
static PyObject *pack_row(Packer *p, enum tag tag, PyObject *row, PyObject *more) {
    PyObject *values = PySequence_Tuple(row); /* as it is now */
    const Py_ssize_t before = more != NULL ? 2 : 1;
    PyObject *packed = values != NULL ? begin(tag, before - 1 + PyTuple_GET_SIZE(values)) : NULL;
    if (packed != NULL && more != NULL) PyList_SET_ITEM(packed, 1, Py_NewRef(more));
    for (Py_ssize_t i = 0; packed != NULL && i < PyTuple_GET_SIZE(values); i++)
        if (!put(p, packed, before + i, PyTuple_GET_ITEM(values, i))) {
            add_step(PyUnicode_FromString("[]"));
            Py_CLEAR(packed);
        }
    Py_XDECREF(values);
    return packed;
}

static PyObject *pack_deque(Packer *p, PyObject *value) {
    PyObject *maxlen = PyObject_GetAttr(value, name_of_maxlen), *packed = maxlen != NULL ? pack_row(p, DEQUE, value, maxlen) : NULL;
    Py_XDECREF(maxlen);
    return packed;
}

/* apps.state._name */
static PyObject *name_of(PyTypeObject *type) {
    PyObject *module = PyObject_GetAttr((PyObject *)type, name_of_module), *name = NULL,
             *qualname = module != NULL ? PyObject_GetAttr((PyObject *)type, name_of_qualname) : NULL;
    if (qualname != NULL) name = PyUnicode_FromFormat("%S:%S", module, qualname);
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return name;
}

static bool put_field(Packer *p, PyObject *packed, Py_ssize_t at, PyObject *value, PyObject *name) {
    PyObject *field = PyObject_GetAttr(value, name);
    const bool good = field != NULL && put(p, packed, at, field);
    Py_XDECREF(field);
    if (!good) add_step(PyUnicode_FromFormat(".%U", name));
    return good;
}

static PyObject *pack_struct(Packer *p, PyObject *value) {
    PyObject *names = PyObject_GetAttr((PyObject *)Py_TYPE(value), name_of_fields), *packed = NULL;
    if (names != NULL && PyTuple_CheckExact(names)) packed = begin(STRUCT, 1 + PyTuple_GET_SIZE(names));
    PyObject *name = packed != NULL ? name_of(Py_TYPE(value)) : NULL;
    if (name != NULL) PyList_SET_ITEM(packed, 1, name);
    else Py_CLEAR(packed);
    for (Py_ssize_t i = 0; packed != NULL && i < PyTuple_GET_SIZE(names); i++)
        if (!put_field(p, packed, 2 + i, value, PyTuple_GET_ITEM(names, i))) Py_CLEAR(packed);
    Py_XDECREF(names);
    return packed;
}

static PyObject *pack_any(Packer *p, PyObject *value) {
    if (PyDict_CheckExact(value)) return pack_dict(p, value);
    if (PyList_CheckExact(value)) return pack_row(p, LIST, value, NULL);
    if (PyTuple_CheckExact(value)) return pack_row(p, TUPLE, value, NULL);
    if (Py_IS_TYPE(value, p->deque)) return pack_deque(p, value);
    if (PyObject_TypeCheck(value, p->base)) return pack_struct(p, value);
    return PyObject_CallOneArg(p->rest, value);
}

static PyObject *pack(Packer *p, PyObject *value) {
    if (PyLong_CheckExact(value)) return pack_integer(value);
    if (value == Py_None || PyBool_Check(value) || PyUnicode_CheckExact(value) || PyBytes_CheckExact(value)) return Py_NewRef(value);
    if (Py_EnterRecursiveCall(" while a state is packed")) return NULL;
    PyObject *packed = pack_any(p, value);
    Py_LeaveRecursiveCall();
    return packed;
}

/* ---- its type */

static PyObject *call(PyObject *self, PyObject *const *args, size_t nargs, PyObject *names) {
    if (PyVectorcall_NARGS(nargs) != 1 || names != NULL) return PyErr_Format(PyExc_TypeError, "a value is packed");
    return pack((Packer *)self, args[0]);
}

static bool learn_names(void) {
    if (name_of_steps != NULL) return true;
    for (int i = 0; i < TAGS; i++)
        if ((tags[i] = PyUnicode_InternFromString(tag_names[i])) == NULL) return false;
    return (name_of_fields = PyUnicode_InternFromString("__struct_fields__")) != NULL &&
           (name_of_module = PyUnicode_InternFromString("__module__")) != NULL &&
           (name_of_qualname = PyUnicode_InternFromString("__qualname__")) != NULL &&
           (name_of_maxlen = PyUnicode_InternFromString("maxlen")) != NULL && (name_of_steps = PyUnicode_InternFromString("steps")) != NULL;
}

/* Packer(rest, deque, Struct) */
static PyObject *packer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *rest, *deque, *base;
    if (!PyArg_ParseTuple(args, "OO!O!", &rest, &PyType_Type, &deque, &PyType_Type, &base) || !learn_names()) return NULL;
    Packer *p = (Packer *)type->tp_alloc(type, 0);
    if (p == NULL) return NULL;
    p->call = call;
    p->rest = Py_NewRef(rest);
    p->deque = (PyTypeObject *)Py_NewRef(deque);
    p->base = (PyTypeObject *)Py_NewRef(base);
    return (PyObject *)p;
}

static void dealloc(PyObject *self) {
    Packer *p = (Packer *)self;
    Py_DECREF(p->rest);
    Py_DECREF(p->deque);
    Py_DECREF(p->base);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_packer_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Packer",
    .tp_basicsize = sizeof(Packer),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Packer, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = packer_new,
    .tp_dealloc = dealloc,
};
