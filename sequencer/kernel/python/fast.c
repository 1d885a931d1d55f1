/* sequencer.kernel._fast: `Publisher.send` without the conversions of cffi. Only an accelerator, and only for the message that
 * finds room: everything else goes to the Python function it stands for. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdint.h>

#include "sequencer/kernel/ring.h"

typedef int64_t (*send_function)(struct lockstep_producer *, uint64_t, const uint8_t *, uint64_t, uint64_t, int64_t);

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    send_function send; /* of the extension that holds the producer, so that there is one ring's code in the process */
    struct lockstep_producer *producer;
    PyObject *slowly;
} Sender;

/* sender(what, body, cause, origin_ts) -> number. What did not go is told to slowly(result, what, body, cause, origin_ts). */
static PyObject *call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    const Sender *s = (Sender *)self;
    if (PyVectorcall_NARGS(nargsf) != 4 || names != NULL || !PyBytes_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "send takes what, body as bytes, cause and origin_ts, by position");
    uint64_t what = PyLong_AsUnsignedLongLong(args[0]), cause = PyLong_AsUnsignedLongLong(args[2]);
    int64_t origin_ts = PyLong_AsLongLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    if (s->producer == NULL) return PyErr_Format(PyExc_ValueError, "a sender without a ring");
    int64_t number = s->send(s->producer, what, (const uint8_t *)PyBytes_AS_STRING(args[1]), (uint64_t)PyBytes_GET_SIZE(args[1]),
                             cause, origin_ts);
    if (number > 0) return PyLong_FromLongLong(number);
    return PyObject_CallFunction(s->slowly, "LOOOO", (long long)number, args[0], args[1], args[2], args[3]);
}

static PyObject *sender_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *address, *slowly;
    if (!PyArg_ParseTuple(args, "O!O", &PyLong_Type, &address, &slowly)) return NULL;
    Sender *s = (Sender *)type->tp_alloc(type, 0);
    if (s == NULL) return NULL;
    s->call = call;
    s->send = (send_function)(uintptr_t)PyLong_AsVoidPtr(address);
    s->slowly = Py_NewRef(slowly);
    return (PyObject *)s;
}

/* aim(address of a producer, 0: none): from now on it writes there. */
static PyObject *aim(PyObject *self, PyObject *address) {
    void *producer = PyLong_AsVoidPtr(address);
    if (PyErr_Occurred()) return NULL;
    ((Sender *)self)->producer = producer;
    Py_RETURN_NONE;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Sender *)self)->slowly);
    return 0;
}

static int clear(PyObject *self) {
    Py_CLEAR(((Sender *)self)->slowly);
    return 0;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {{"aim", aim, METH_O, NULL}, {0}};
static PyTypeObject sender_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "sequencer.kernel._fast.Sender",
    .tp_basicsize = sizeof(Sender),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC,
    .tp_vectorcall_offset = offsetof(Sender, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = sender_new,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
    .tp_methods = methods,
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fast", .m_size = -1};

PyMODINIT_FUNC PyInit__fast(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddType(module, &sender_type) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
