/* journal.kernel._fast: encode, decode and the wait at the tail without the interpreter between the fields.
 *
 * Only an accelerator. What it does not know for certain (a text that is not empty, a value that does not fit, another
 * class, a short buffer) it hands to the generated Python function it stands for, which does it or says what is wrong. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/follow.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little-endian, and so is this accelerator"
#endif

enum { FIELDS_MAX = 96 };

struct field {
    Py_ssize_t slot;    /* where the instance holds the value */
    PyObject *standard; /* the default, as object; NULL: none */
    uint32_t at, bytes;
    char what; /* s, u: integer with and without sign; d: digest; t, b: text and byte string, here always empty */
};

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyTypeObject *cls;
    PyObject *reference;
    uint8_t *defaults; /* the fixed part of a message of defaults */
    Py_ssize_t bytes, n;
    struct field *fields;
} Coder;

/* The low `bytes` of an integer into `to`; false where it is none or does not fit. */
static bool store_integer(PyObject *v, const struct field *f, uint8_t *to) {
    if (!PyLong_Check(v)) return false;
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow) {
        if (overflow < 0 || f->what != 'u' || f->bytes != 8) return false;
        x = (int64_t)PyLong_AsUnsignedLongLong(v);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
    } else if (f->what == 'u') {
        if (x < 0 || (f->bytes < 8 && x >> (8 * f->bytes) != 0)) return false;
    } else if (f->bytes < 8) {
        int64_t end = (int64_t)1 << (8 * f->bytes - 1);
        if (x < -end || x >= end) return false;
    }
    switch (f->bytes) { /* sizes known to the compiler: one store each */
    case 8: memcpy(to, &x, 8); break;
    case 4: memcpy(to, &x, 4); break;
    case 2: memcpy(to, &x, 2); break;
    default: *to = (uint8_t)x;
    }
    return true;
}

static bool store(PyObject *v, const struct field *f, uint8_t *to) {
    switch (f->what) {
    case 's':
    case 'u': return store_integer(v, f, to);
    case 't': return PyUnicode_CheckExact(v) && PyUnicode_GET_LENGTH(v) == 0;
    case 'b': return PyBytes_CheckExact(v) && PyBytes_GET_SIZE(v) == 0;
    default:
        if (!PyBytes_CheckExact(v) || PyBytes_GET_SIZE(v) != 32) return false;
        memcpy(to, PyBytes_AS_STRING(v), 32);
        return true;
    }
}

static PyObject *encode(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    const Coder *c = (Coder *)self;
    if (PyVectorcall_NARGS(nargsf) == 1 && names == NULL && Py_TYPE(args[0]) == c->cls) {
        PyObject *body = PyBytes_FromStringAndSize(NULL, c->bytes);
        if (body == NULL) return NULL;
        uint8_t *to = (uint8_t *)PyBytes_AS_STRING(body);
        memcpy(to, c->defaults, (size_t)c->bytes);
        const struct field *f = c->fields, *end = f + c->n;
        for (; f < end; f++) {
            PyObject *v = *(PyObject **)(void *)((char *)args[0] + f->slot);
            /* The very object that is the default has the default's bytes already; most fields of an order are that. */
            if (v != f->standard && (v == NULL || !store(v, f, to + f->at))) break;
            if (v == NULL) break; /* deleted, and without a default */
        }
        if (f == end) return body;
        Py_DECREF(body);
    }
    return PyObject_Vectorcall(c->reference, args, nargsf, names);
}

static PyObject *load(const struct field *f, const uint8_t *from) {
    int64_t x = 0;
    uint32_t length;
    switch (f->what) {
    case 'u':
    case 's':
        switch (f->bytes) {
        case 8: memcpy(&x, from, 8); break;
        case 4: memcpy(&x, from, 4); break;
        case 2: memcpy(&x, from, 2); break;
        default: x = *from;
        }
        if (f->what == 'u') return PyLong_FromUnsignedLongLong((uint64_t)x);
        return PyLong_FromLongLong((int64_t)((uint64_t)x << (64 - 8 * f->bytes)) >> (64 - 8 * f->bytes));
    case 't':
        memcpy(&length, from + 4, 4);
        return length & 0xFFFF ? NULL : PyUnicode_New(0, 0);
    case 'b':
        memcpy(&length, from + 4, 4);
        return length ? NULL : PyBytes_FromStringAndSize(NULL, 0);
    default: return PyBytes_FromStringAndSize((const char *)from, 32);
    }
}

static PyObject *decode(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    const Coder *c = (Coder *)self;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf), n = 0;
    PyObject *made = NULL, *values[FIELDS_MAX];
    Py_buffer view;
    if (nargs < 1 || nargs > 2 || names != NULL || (nargs == 2 && !PyLong_CheckExact(args[1]))) goto reference;
    Py_ssize_t at = nargs == 2 ? PyLong_AsSsize_t(args[1]) : 0;
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        goto reference;
    }
    if (at >= 0 && at <= view.len - c->bytes) {
        const uint8_t *from = (const uint8_t *)view.buf + at;
        while (n < c->n && (values[n] = load(&c->fields[n], from + c->fields[n].at)) != NULL) n++;
        if (n == c->n) made = PyObject_Vectorcall((PyObject *)c->cls, values, (size_t)n, NULL);
    }
    while (n > 0) Py_DECREF(values[--n]);
    PyBuffer_Release(&view);
    if (made != NULL) return made;
    if (PyErr_Occurred()) return NULL;
reference:
    return PyObject_Vectorcall(c->reference, args, nargsf, names);
}

/* Encoder(cls, reference, fixed_bytes, [(name, at, bytes, what, default)]); classes live as long as the process. */
static PyObject *coder_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *cls, *reference, *fields;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(args, "O!OnO!", &PyType_Type, &cls, &reference, &bytes, &PyList_Type, &fields)) return NULL;
    Coder *c = (Coder *)type->tp_alloc(type, 0);
    if (c == NULL) return NULL;
    c->cls = (PyTypeObject *)Py_NewRef(cls);
    c->reference = Py_NewRef(reference);
    c->bytes = bytes;
    c->call = strcmp(type->tp_name, "journal.kernel._fast.Encoder") == 0 ? encode : decode;
    Py_ssize_t n = PyList_GET_SIZE(fields);
    c->fields = PyMem_Calloc((size_t)n + 1, sizeof *c->fields);
    c->defaults = PyMem_Calloc(1, (size_t)bytes + 1);
    if (c->fields == NULL || c->defaults == NULL) goto out_of_memory;
    if (n > FIELDS_MAX) goto unfit;
    for (; c->n < n; c->n++) {
        struct field *f = &c->fields[c->n];
        PyObject *standard;
        const char *name;
        int what;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(fields, c->n), "sIICO", &name, &f->at, &f->bytes, &what, &standard)) goto failed;
        f->what = (char)what;
        PyObject *member = PyObject_GetAttrString(cls, name);
        if (member == NULL) goto failed;
        bool slot = Py_IS_TYPE(member, &PyMemberDescr_Type) && ((PyMemberDescrObject *)member)->d_member->type == T_OBJECT_EX;
        if (slot) f->slot = ((PyMemberDescrObject *)member)->d_member->offset;
        Py_DECREF(member);
        if (!slot || strchr("sudtb", f->what) == NULL || f->at + f->bytes > bytes) goto unfit;
        if (store(standard, f, c->defaults + f->at)) f->standard = Py_NewRef(standard);
    }
    return (PyObject *)c;
out_of_memory:
    PyErr_NoMemory();
    goto failed;
unfit:
    PyErr_SetString(PyExc_TypeError, "not the layout of a message whose instances hold their fields in slots");
failed:
    Py_DECREF(c);
    return NULL;
}

static void coder_dealloc(PyObject *self) {
    Coder *c = (Coder *)self;
    for (Py_ssize_t i = 0; c->fields != NULL && i <= c->n; i++) Py_XDECREF(c->fields[i].standard);
    PyMem_Free(c->fields);
    PyMem_Free(c->defaults);
    Py_XDECREF(c->cls);
    Py_XDECREF(c->reference);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *as_method(PyObject *self, PyObject *instance, PyObject *owner) {
    (void)owner;
    return instance == NULL || instance == Py_None ? Py_NewRef(self) : PyMethod_New(self, instance);
}

static PyObject *coder_doc(PyObject *self, void *closure) {
    (void)closure;
    return PyObject_GetAttrString(((Coder *)self)->reference, "__doc__");
}

static PyGetSetDef coder_described[] = {{"__doc__", coder_doc, NULL, NULL, NULL}, {0}};
static PyMemberDef coder_members[] = {{"reference", T_OBJECT, offsetof(Coder, reference), READONLY, NULL}, {0}};

#define CODER_TYPE(NAME, ...)                                                                                            \
    {                                                                                                                    \
        PyVarObject_HEAD_INIT(NULL, 0).tp_name = "journal.kernel._fast." NAME, .tp_basicsize = sizeof(Coder),            \
        .tp_vectorcall_offset = offsetof(Coder, call), .tp_call = PyVectorcall_Call, .tp_new = coder_new,                \
        .tp_dealloc = coder_dealloc, .tp_getset = coder_described, .tp_members = coder_members, __VA_ARGS__              \
    }

static PyTypeObject encoder_type =
    CODER_TYPE("Encoder", .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
               .tp_descr_get = as_method);
static PyTypeObject decoder_type = CODER_TYPE("Decoder", .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL);

static PyObject *row_of(const struct lockstep_ref *ref) {
    PyObject *row = PyTuple_New(5);
    if (row == NULL) return NULL;
    PyTuple_SET_ITEM(row, 0, PyLong_FromUnsignedLong(ref->offset));
    PyTuple_SET_ITEM(row, 1, PyLong_FromLong(ref->kind));
    PyTuple_SET_ITEM(row, 2, PyLong_FromLong(ref->source));
    PyTuple_SET_ITEM(row, 3, PyLong_FromUnsignedLongLong(ref->seq));
    PyTuple_SET_ITEM(row, 4, PyLong_FromLongLong(ref->ts));
    for (Py_ssize_t i = 0; i < 5; i++) {
        if (PyTuple_GET_ITEM(row, i) != NULL) continue;
        Py_DECREF(row);
        return NULL;
    }
    return row;
}

/* Whether this thread is the only one: then nobody wants the interpreter while it waits. */
static bool alone(void) {
    return PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) == NULL;
}

/* follow(reader, refs, refs_max, spin_ns, yields): lockstep_reader_follow; the rows as a list, None when there are none.
 * The interpreter is given away meanwhile, if there is anybody to give it to: to take it back would delay what has come. */
static PyObject *follow(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 5) return PyErr_Format(PyExc_TypeError, "follow takes 5 arguments; found %zd", nargs);
    struct lockstep_reader *r = PyLong_AsVoidPtr(args[0]);
    struct lockstep_ref *refs = PyLong_AsVoidPtr(args[1]);
    unsigned long max = PyLong_AsUnsignedLong(args[2]);
    int64_t spin_ns = PyLong_AsLongLong(args[3]);
    uint32_t yields = args[4] == Py_True, n;
    if (PyErr_Occurred()) return NULL;
    PyThreadState *mine = alone() ? NULL : PyEval_SaveThread();
    n = lockstep_reader_follow(r, refs, (uint32_t)max, max, spin_ns, yields);
    if (mine != NULL) PyEval_RestoreThread(mine);
    if (n == 0) Py_RETURN_NONE;
    PyObject *rows = PyList_New(n);
    for (uint32_t i = 0; rows != NULL && i < n; i++) {
        PyObject *row = row_of(&refs[i]);
        if (row == NULL) Py_CLEAR(rows);
        else PyList_SET_ITEM(rows, i, row);
    }
    return rows;
}

static PyMethodDef functions[] = {{"follow", (PyCFunction)(void (*)(void))follow, METH_FASTCALL, NULL}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fast", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__fast(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddType(module, &encoder_type) < 0 || PyModule_AddType(module, &decoder_type) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
