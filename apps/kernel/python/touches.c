/* World.on_top_of_book: the risk engine remembers the touch of every instrument, which nobody asks for until an order comes. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

static struct {
    PyTypeObject *memory;
    Py_ssize_t books_sources, touches, windowed;
} memory_at;
static struct {
    PyTypeObject *type;
    Py_ssize_t bid_px, ask_px, seq, ts;
} touch_at;
static PyObject *name_of_memory; /* interned */

/* World._counts: 1, 0; -1 where the list is none of small numbers. */
static int counts(PyObject *sources, uint16_t source) {
    if (sources == NULL || !PyList_CheckExact(sources)) return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sources); i++) {
        PyObject *v = PyList_GET_ITEM(sources, i);
        if (!PyLong_Check(v)) return -1;
        if (PyLong_AsUnsignedLongMask(v) == source) return 1;
    }
    return PyList_GET_SIZE(sources) == 0;
}

/* Let touches[instrument] be this one: the object that stands there, if nobody else holds it. */
static bool remember(PyObject *touches, const struct lockstep_top_of_book *m, const struct lockstep_ref *ref) {
    PyObject *key = PyLong_FromUnsignedLong(m->instrument), *touch = key != NULL ? PyDict_GetItemWithError(touches, key) : NULL;
    bool good = key != NULL && !PyErr_Occurred();
    if (good && (touch == NULL || Py_REFCNT(touch) != 1 || !Py_IS_TYPE(touch, touch_at.type))) {
        touch = PyObject_CallFunction((PyObject *)touch_at.type, "LLKL", (long long)m->bid_px, (long long)m->ask_px,
                                      (unsigned long long)ref->seq, (long long)ref->ts);
        good = touch != NULL && PyDict_SetItem(touches, key, touch) == 0;
        Py_XDECREF(touch);
    } else if (good)
        good = put_signed(SLOT(touch, touch_at.bid_px), m->bid_px) && put_signed(SLOT(touch, touch_at.ask_px), m->ask_px) &&
               put_unsigned(SLOT(touch, touch_at.seq), ref->seq) && put_signed(SLOT(touch, touch_at.ts), ref->ts);
    Py_XDECREF(key);
    return good;
}

static enum handled on_top_of_book(PyObject *self, const struct turn *t) {
    PyObject *engine = ((Native *)self)->of, *memory = engine != NULL ? PyObject_GetAttr(engine, name_of_memory) : NULL;
    if (memory == NULL) return FAILED;
    enum handled done = LEFT;
    if (Py_IS_TYPE(memory, memory_at.memory)) {
        PyObject *touches = *SLOT(memory, memory_at.touches);
        const int counted = counts(*SLOT(memory, memory_at.books_sources), t->ref->source);
        const bool windowed = *SLOT(memory, memory_at.windowed) != Py_False; /* then there is more to remember */
        if (counted == 0) done = HANDLED;
        else if (counted > 0 && !windowed && touches != NULL && PyDict_CheckExact(touches)) {
            struct lockstep_top_of_book m;
            memcpy(&m, t->bytes->at + t->body, sizeof m);
            Py_INCREF(touches);
            done = remember(touches, &m, t->ref) ? HANDLED : FAILED;
            Py_DECREF(touches);
        }
    }
    Py_DECREF(memory);
    return done;
}

/* Touches(engine, Memory, Touch) */
static PyObject *touches_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *engine, *memory, *touch;
    if (!PyArg_ParseTuple(args, "OO!O!", &engine, &PyType_Type, &memory, &PyType_Type, &touch)) return NULL;
    if (name_of_memory == NULL && (name_of_memory = PyUnicode_InternFromString("memory")) == NULL) return NULL;
    if (memory_at.memory != (PyTypeObject *)memory || touch_at.type != (PyTypeObject *)touch) {
        const struct slot_name of_memory[] = {{"books_sources", &memory_at.books_sources}, {"touches", &memory_at.touches},
                                                {"windowed", &memory_at.windowed}, {0}};
        const struct slot_name of_touch[] = {
            {"bid_px", &touch_at.bid_px}, {"ask_px", &touch_at.ask_px}, {"seq", &touch_at.seq}, {"ts", &touch_at.ts}, {0}};
        if (!lockstep_slots((PyTypeObject *)memory, of_memory) || !lockstep_slots((PyTypeObject *)touch, of_touch)) return NULL;
        /* For as long as the process lives. */
        memory_at.memory = (PyTypeObject *)Py_NewRef(memory);
        touch_at.type = (PyTypeObject *)Py_NewRef(touch);
    }
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
