/* sequencer.kernel._fast: `Publisher.send` without the conversions of cffi. Only an accelerator, and only for the message that
 * finds room: everything else goes to the Python function it stands for. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>

#include "sequencer/kernel/python/sender.h"
#include "sequencer/kernel/ring.h"

typedef int64_t (*send_function)(struct lockstep_producer *, uint64_t, const uint8_t *, uint64_t, uint64_t, int64_t);

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    send_function send; /* of the extension that holds the producer, so that there is one ring's code in the process */
    struct lockstep_producer *producer;
    PyObject *slowly;
} Sender;

/* What did not go is told to slowly(result, what, body, cause, origin_ts). */
static uint64_t send_body(PyObject *self, uint64_t what, PyObject *body, uint64_t cause, int64_t origin_ts) {
    const Sender *s = (Sender *)self;
    if (s->producer == NULL) return PyErr_SetString(PyExc_ValueError, "a sender without a ring"), 0;
    const int64_t number =
        s->send(s->producer, what, (const uint8_t *)PyBytes_AS_STRING(body), (uint64_t)PyBytes_GET_SIZE(body), cause, origin_ts);
    if (number > 0) return (uint64_t)number;
    PyObject *given = PyObject_CallFunction(s->slowly, "LKOKL", (long long)number, (unsigned long long)what, body, (unsigned long long)cause,
                                            (long long)origin_ts);
    const uint64_t got = given != NULL ? PyLong_AsUnsignedLongLong(given) : 0;
    Py_XDECREF(given);
    if (got == 0 && !PyErr_Occurred()) PyErr_SetString(PyExc_AssertionError, "a message without a number");
    return PyErr_Occurred() ? 0 : got;
}

/* sender(what, body, cause, origin_ts) -> number */
static PyObject *call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    if (PyVectorcall_NARGS(nargsf) != 4 || names != NULL || !PyBytes_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "send takes what, body as bytes, cause and origin_ts, by position");
    uint64_t what = PyLong_AsUnsignedLongLong(args[0]), cause = PyLong_AsUnsignedLongLong(args[2]);
    int64_t origin_ts = PyLong_AsLongLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    const uint64_t number = send_body(self, what, args[1], cause, origin_ts);
    return number ? PyLong_FromUnsignedLongLong(number) : NULL;
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

static const struct lockstep_sender_functions functions = {sizeof functions, &sender_type, send_body};

PyMODINIT_FUNC PyInit__fast(void) {
    PyObject *module = PyModule_Create(&definition), *capsule = PyCapsule_New((void *)&functions, LOCKSTEP_SENDER_CAPSULE, NULL);
    const bool good = module != NULL && capsule != NULL && PyModule_AddType(module, &sender_type) == 0 &&
                      PyModule_AddObjectRef(module, "sender", capsule) == 0;
    Py_XDECREF(capsule);
    if (!good) Py_CLEAR(module);
    return module;
}
