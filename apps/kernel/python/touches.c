/* World.on_top_of_book: the risk engine remembers the touch of every instrument, which nobody asks for until an order comes. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "places.h"

/* World._counts: 1, 0; -1 where the list is none of small numbers. */
static int counts(PyObject *sources, uint16_t source) {
    if (sources == NULL || !PyList_CheckExact(sources)) return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sources); i++) {
        uint64_t x;
        if (!whole_unsigned(PyList_GET_ITEM(sources, i), &x)) return -1;
        if (x == source) return 1;
    }
    return PyList_GET_SIZE(sources) == 0;
}

/* Let touches[instrument] be this one: the object that stands there, if nobody else holds it. */
static bool remember(PyObject *touches, const struct lockstep_top_of_book *m, const struct lockstep_ref *ref) {
    PyObject *key = PyLong_FromUnsignedLong(m->instrument), *touch = key != NULL ? PyDict_GetItemWithError(touches, key) : NULL;
    bool good = key != NULL && !PyErr_Occurred();
    if (good && (!IS_A(touch, Touch) || Py_REFCNT(touch) != 1)) {
        touch = PyObject_CallFunction((PyObject *)lockstep_classes[CLASS_Touch], "LLKL", (long long)m->bid_px, (long long)m->ask_px,
                                      (unsigned long long)ref->seq, (long long)ref->ts);
        good = touch != NULL && PyDict_SetItem(touches, key, touch) == 0;
        Py_XDECREF(touch);
    } else if (good)
        good = put_signed(&HELD(touch, Touch, bid_px), m->bid_px) && put_signed(&HELD(touch, Touch, ask_px), m->ask_px) &&
               put_unsigned(&HELD(touch, Touch, seq), ref->seq) && put_signed(&HELD(touch, Touch, ts), ref->ts);
    Py_XDECREF(key);
    return good;
}

static enum handled on_top_of_book(PyObject *self, const struct turn *t) {
    PyObject *engine = ((Native *)self)->of, *memory = engine != NULL ? HELD(engine, World, memory) : NULL;
    if (!IS_A(memory, Memory)) return LEFT;
    const int counted = counts(HELD(memory, Memory, books_sources), t->ref->source);
    if (counted == 0) return HANDLED;
    PyObject *touches = HELD(memory, Memory, touches);
    if (counted < 0 || HELD(memory, Memory, windowed) != Py_False /* then there is more to remember */ || touches == NULL ||
        !PyDict_CheckExact(touches))
        return LEFT;
    struct lockstep_top_of_book m;
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    Py_INCREF(touches);
    const bool good = remember(touches, &m, t->ref);
    Py_DECREF(touches);
    return good ? HANDLED : FAILED;
}

/* Touches(engine, {name: class}) */
static PyObject *touches_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *engine, *classes;
    if (!PyArg_ParseTuple(args, "OO!", &engine, &PyDict_Type, &classes) || !lockstep_learn_places(classes) ||
        !lockstep_is_of(engine, CLASS_World))
        return NULL;
    Native *n = (Native *)type->tp_alloc(type, 0);
    if (n == NULL) return NULL;
    n->handle = on_top_of_book;
    n->bytes = sizeof(struct lockstep_top_of_book);
    n->of = Py_NewRef(engine);
    return (PyObject *)n;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Native *)self)->of);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_touches_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Touches",
    .tp_basicsize = sizeof(Native),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = touches_new,
    .tp_dealloc = dealloc,
};
