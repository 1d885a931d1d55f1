/* Own(me, kind): a strategy hears of its own orders only. What is said of others' is done with here; the rest is left to Python. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

enum { OWN_NUMBER_BITS = 48 }; /* of an order's number; its source stands above them */

typedef struct {
    Native native;
    uint16_t me;
} Own;

static enum handled unless_mine(PyObject *self, uint64_t order_id) { return order_id >> OWN_NUMBER_BITS == ((Own *)self)->me ? LEFT : HANDLED; }

static enum handled on_execution_report(PyObject *self, const struct turn *t) {
    struct lockstep_execution_report m;
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    return unless_mine(self, m.order_id);
}

static enum handled on_order_cancel_reject(PyObject *self, const struct turn *t) {
    struct lockstep_order_cancel_reject m;
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    return unless_mine(self, m.order_id);
}

static PyObject *own_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    unsigned short me;
    int kind;
    if (!PyArg_ParseTuple(args, "Hi", &me, &kind)) return NULL;
    if (kind != LOCKSTEP_EXECUTION_REPORT && kind != LOCKSTEP_ORDER_CANCEL_REJECT)
        return PyErr_Format(PyExc_ValueError, "kind: expected ExecutionReport's or OrderCancelReject's; found %d", kind);
    Own *o = (Own *)type->tp_alloc(type, 0);
    if (o == NULL) return NULL;
    const bool report = kind == LOCKSTEP_EXECUTION_REPORT;
    o->native.handle = report ? on_execution_report : on_order_cancel_reject;
    o->native.bytes = report ? sizeof(struct lockstep_execution_report) : sizeof(struct lockstep_order_cancel_reject);
    o->me = me;
    return (PyObject *)o;
}

static void dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_own_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Own",
    .tp_basicsize = sizeof(Own),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = own_new,
    .tp_dealloc = dealloc,
};
