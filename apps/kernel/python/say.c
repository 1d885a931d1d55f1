/* From an app's `emit` to the ring: App.emit and Ledger.accept, as methods in C. */
#include "pending.h"
#include "sequencer/kernel/python/sender.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

/* What is said of the messages of one class. Classes are kept for as long as the process lives. */
struct coding {
    PyTypeObject *cls;
    PyObject *encode, *kind;
    uint64_t what; /* kind | version << 16 */
    bool fast;     /* `encode` is one of ours */
};
enum { CODINGS = 64 };
static struct coding codings[CODINGS];

static const struct coding *coding_of(PyTypeObject *cls) {
    struct coding *c = &codings[(uintptr_t)cls / sizeof(PyTypeObject) % CODINGS];
    if (c->cls == cls) return c;
    PyObject *encode = PyObject_GetAttrString((PyObject *)cls, "encode"), *kind = PyObject_GetAttrString((PyObject *)cls, "KIND"),
             *what = PyObject_GetAttrString((PyObject *)cls, "WHAT");
    const uint64_t number = what != NULL ? PyLong_AsUnsignedLongLong(what) : 0;
    Py_XDECREF(what);
    if (encode == NULL || kind == NULL || PyErr_Occurred()) {
        Py_XDECREF(encode);
        Py_XDECREF(kind);
        return NULL;
    }
    const struct coding before = *c;
    *c = (struct coding){(PyTypeObject *)Py_NewRef(cls), encode, kind, number, Py_IS_TYPE(encode, lockstep_messages->encoder)};
    Py_XDECREF(before.cls);
    Py_XDECREF(before.encode);
    Py_XDECREF(before.kind);
    return c;
}

/* All of it but what it is caused by, its number and its body. */
static struct said said_of(const struct coding *c, uint64_t flags) {
    return (struct said){.kind = (uint16_t)c->what, .version = (uint16_t)(c->what >> 16), .flags = (uint16_t)flags};
}

/* A slot's integer; false, with an error set, where it is none. */
static bool number_in(PyObject *object, Py_ssize_t slot, int64_t *x) {
    if (read_signed(*SLOT(object, slot), x)) return true;
    PyErr_SetString(PyExc_AttributeError, "a ledger that was not initialized");
    return false;
}

static uint64_t what_of(const struct said *s) { return s->kind | (uint64_t)s->version << 16 | (uint64_t)s->flags << 32; }

/* A call of any `send` but the one that we know; 0: an error is set. */
static uint64_t call_send(PyObject *function, const struct said *s) {
    PyObject *given = PyObject_CallFunction(function, "KOKL", (unsigned long long)what_of(s), s->body, (unsigned long long)s->cause,
                                            (long long)s->origin_ts);
    const uint64_t got = given != NULL ? PyLong_AsUnsignedLongLong(given) : 0;
    if (given != NULL && !PyErr_Occurred() && got == 0) PyErr_SetString(PyExc_AssertionError, "an emission without a number");
    Py_XDECREF(given);
    return PyErr_Occurred() ? 0 : got;
}

static const struct lockstep_sender_functions *sender; /* NULL: nobody has sent by one so far */
static PyTypeObject *strange;                           /* another type that `send` was of */

/* Whether `send` is a Sender of the sequencer, whose extension is loaded by whoever has one. */
static bool is_sender(PyObject *function) {
    if (sender != NULL && Py_IS_TYPE(function, sender->type)) return true;
    if (sender != NULL || Py_IS_TYPE(function, strange)) return false;
    PyObject *name = PyUnicode_FromString("sequencer.kernel._fast"), *module = name != NULL ? PyImport_GetModule(name) : NULL,
             *capsule = module != NULL ? PyObject_GetAttrString(module, "sender") : NULL;
    const struct lockstep_sender_functions *found = capsule != NULL ? PyCapsule_GetPointer(capsule, LOCKSTEP_SENDER_CAPSULE) : NULL;
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear(); /* then it is called as anything is */
    if (found != NULL && found->size == sizeof *found) sender = found;
    else Py_XSETREF(strange, (PyTypeObject *)Py_NewRef(Py_TYPE(function)));
    return sender != NULL && Py_IS_TYPE(function, sender->type);
}

/* Into the ring; false, with an error set, where that fails or it got another number. */
static bool send(PyObject *ledger, PyObject *function, const struct said *s) {
    const uint64_t got =
        is_sender(function) ? sender->send(function, what_of(s), s->body, s->cause, s->origin_ts) : call_send(function, s);
    if (got && got != s->number)
        PyErr_Format(PyExc_AssertionError, "%S: emission %llu was numbered %llu", *SLOT(ledger, lockstep_ledger.app),
                     (unsigned long long)s->number, (unsigned long long)got);
    return got == s->number;
}

/* Number an emission, send it, and note it for the comparison. False: an error is set. */
static bool number_and_send(PyObject *self, struct said *s) {
    const struct ledger_layout *l = &lockstep_ledger;
    PyObject *publish = *SLOT(self, l->publish), *function = *SLOT(self, l->send), *pending = *SLOT(self, l->pending);
    int64_t emitted, published;
    if (!number_in(self, l->emitted, &emitted) || !number_in(self, l->published, &published)) return false;
    if (function == NULL || publish == NULL || pending == NULL || !Py_IS_TYPE(pending, &lockstep_pending_type)) {
        PyErr_SetString(PyExc_TypeError, "a ledger without its pending");
        return false;
    }
    s->number = (uint64_t)emitted + 1;
    Py_INCREF(pending);
    Py_INCREF(function);
    Py_INCREF(publish);
    const bool goes = emitted >= published;
    bool good = function == Py_None || !goes || send(self, function, s);
    good = good && put_unsigned(SLOT(self, l->emitted), s->number) && lockstep_pending_add((Pending *)pending, s);
    if (good && publish != Py_None && goes) {
        PyObject *e = lockstep_emission(s), *result = e != NULL ? PyObject_CallOneArg(publish, e) : NULL;
        good = result != NULL;
        Py_XDECREF(result);
        Py_XDECREF(e);
    }
    Py_DECREF(publish);
    Py_DECREF(function);
    Py_DECREF(pending);
    return good;
}

/* Ledger.accept(message, flags, cause, origin_ts). First of all it goes; what is noted afterwards serves the comparison. */
static PyObject *accept(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 4) return PyErr_Format(PyExc_TypeError, "accept takes message, flags, cause and origin_ts; found %zd", nargs);
    PyObject *m = args[0];
    PyObject *number = PyNumber_Long(args[1]);
    const uint64_t flags = number != NULL ? PyLong_AsUnsignedLongLong(number) : 0;
    Py_XDECREF(number);
    const struct coding *c = PyErr_Occurred() ? NULL : coding_of(Py_TYPE(m));
    if (c == NULL) return NULL;
    struct said s = said_of(c, flags);
    s.cause = PyLong_AsUnsignedLongLong(args[2]), s.origin_ts = PyLong_AsLongLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    s.body = c->fast ? lockstep_messages->encode(c->encode, m) : PyObject_CallOneArg(c->encode, m);
    if (s.body != NULL && !PyBytes_CheckExact(s.body)) PyErr_Format(PyExc_TypeError, "%R encodes to no bytes", m);
    const bool good = s.body != NULL && PyBytes_CheckExact(s.body) && number_and_send(self, &s);
    Py_XDECREF(s.body);
    return good ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef accept_method = {"accept", (PyCFunction)(void (*)(void))accept, METH_FASTCALL,
                                    "Number an emission; publish it unless the sequencer has it from an earlier life."};

/* accept_of(Ledger, Emission, sequencer_flags) -> the method. */
PyObject *lockstep_accept_of(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *ledger, *said;
    unsigned short flags;
    if (!PyArg_ParseTuple(args, "O!O!H", &PyType_Type, &ledger, &PyType_Type, &said, &flags)) return NULL;
    struct ledger_layout l = {.type = (PyTypeObject *)ledger};
    struct said_layout e = {.type = (PyTypeObject *)said};
    const struct slot_name of_ledger[] = {{"app", &l.app},         {"emitted", &l.emitted},     {"compared", &l.compared}, {"pending", &l.pending},
                                          {"_publish", &l.publish}, {"_published", &l.published}, {"_send", &l.send},        {0}};
    const struct slot_name of_said[] = {{"source_seq", &e.source_seq}, {"kind", &e.kind},           {"version", &e.version}, {"flags", &e.flags},
                                        {"cause", &e.cause},           {"origin_ts", &e.origin_ts}, {"body", &e.body},       {0}};
    if (!lockstep_slots(l.type, of_ledger) || !lockstep_slots(e.type, of_said)) return NULL;
    Py_INCREF(ledger);
    Py_INCREF(said);
    lockstep_ledger = l;
    lockstep_said = e;
    lockstep_sequencer_flags = flags;
    return PyDescr_NewMethod(l.type, &accept_method);
}

static PyObject *last_flag;
static uint64_t last_flags; /* the same */

/* App.emit(message, flags=LAST): the host's emit, with the current frame as the cause. */
static PyObject *emit(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    const Py_ssize_t named = names != NULL ? PyTuple_GET_SIZE(names) : 0;
    PyObject *flags = nargs == 2 ? args[1] : last_flag;
    if (nargs < 1 || nargs + named > 2) return PyErr_Format(PyExc_TypeError, "emit takes a message and flags; found %zd", nargs + named);
    if (named) {
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "flags") != 0)
            return PyErr_Format(PyExc_TypeError, "emit got an unexpected keyword argument %R", PyTuple_GET_ITEM(names, 0));
        flags = args[1];
    }
    PyObject *host = *SLOT(self, lockstep_app.host), *seq = *SLOT(self, lockstep_app.seq), *now = *SLOT(self, lockstep_app.now);
    if (host == NULL || seq == NULL || now == NULL) return PyErr_Format(PyExc_AttributeError, "%R has no host yet", self);
    PyObject *to = Py_IS_TYPE(host, lockstep_slot.type) ? Py_XNewRef(*SLOT(host, lockstep_slot.emit)) : NULL;
    if (to == NULL && (to = PyObject_GetAttrString(host, "emit")) == NULL) return NULL;
    /* Held while they are used: the next frame writes over what only the app's slots hold. */
    PyObject *arguments[5] = {NULL, args[0], flags, Py_NewRef(seq), Py_NewRef(now)};
    PyObject *result = PyObject_Vectorcall(to, arguments + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(seq);
    Py_DECREF(now);
    Py_DECREF(to);
    if (result == NULL) return NULL;
    Py_DECREF(result);
    Py_RETURN_NONE;
}

static PyMethodDef emit_method = {
    "emit", (PyCFunction)(void (*)(void))emit, METH_FASTCALL | METH_KEYWORDS,
    "Publish a message: it becomes a fact when the sequencer has ordered it, and comes back as a frame."};

/* emit_of(App, LAST) -> the method. */
PyObject *lockstep_emit_of(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *app, *last;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &app, &PyLong_Type, &last)) return NULL;
    const uint64_t bits = PyLong_AsUnsignedLongLong(last);
    if (PyErr_Occurred()) return NULL;
    struct app_layout a = {.type = (PyTypeObject *)app};
    const struct slot_name names[] = {{"seq", &a.seq}, {"now", &a.now}, {"source", &a.source}, {"_host", &a.host}, {0}};
    if (!lockstep_slots(a.type, names)) return NULL;
    Py_INCREF(app);
    lockstep_app = a;
    Py_XSETREF(last_flag, Py_NewRef(last));
    last_flags = bits;
    return PyDescr_NewMethod(a.type, &emit_method);
}

/* A mute instance is heard by the apps of its own host, if one of them listens. */
static bool tell(const struct turn *t, PyObject *kind, PyObject *message) {
    PyObject *listeners = *SLOT(t->group, t->in_group->listeners), *derived = *SLOT(t->group, t->in_group->derived);
    if (listeners == NULL || !PyDict_Check(listeners) || derived == NULL || !PyList_Check(derived)) {
        PyErr_SetString(PyExc_TypeError, "a group without derived or _listeners");
        return false;
    }
    PyObject *key = PyTuple_Pack(2, t->slot, kind), *row = NULL;
    const int wanted = key != NULL ? PyDict_Contains(listeners, key) : -1;
    Py_XDECREF(key);
    if (wanted <= 0) return wanted == 0;
    const bool told = (row = PyTuple_Pack(2, t->slot, message)) != NULL && PyList_Append(derived, row) == 0;
    Py_XDECREF(row);
    return told;
}

/* To whoever takes messages: a mute instance's listeners, or any other `emit`. */
static bool say_message(const struct turn *t, PyObject *to, PyObject *kind, PyObject *decoder, PyObject **held, PyObject *bytes) {
    const struct lockstep_bytes b = {bytes, (const uint8_t *)PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
    if (!lockstep_messages->message(decoder, held, &b, 0)) return false; /* its groups are read there, for as long as it is kept */
    if (PyMethod_Check(to) && PyMethod_GET_FUNCTION(to) == lockstep_slot.tell && PyMethod_GET_SELF(to) == t->slot)
        return tell(t, kind, *held);
    /* Held while they are used: Python writes over what only the app's slots hold. */
    PyObject *arguments[] = {NULL, *held, last_flag, Py_NewRef(*SLOT(t->app, lockstep_app.seq)), Py_NewRef(*SLOT(t->app, lockstep_app.now))};
    PyObject *result = PyObject_Vectorcall(to, arguments + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(arguments[3]);
    Py_DECREF(arguments[4]);
    Py_XDECREF(result);
    return result != NULL;
}

bool lockstep_say(const struct turn *t, PyTypeObject *cls, PyObject *decoder, PyObject **held, const void *body, Py_ssize_t size) {
    PyObject *to = *SLOT(t->slot, lockstep_slot.emit), *ledger = *SLOT(t->slot, lockstep_slot.ledger);
    const struct coding *c = to != NULL ? coding_of(cls) : NULL;
    if (c == NULL) return false;
    struct said s = said_of(c, last_flags);
    s.cause = t->ref->seq, s.origin_ts = t->ref->ts;
    s.body = PyBytes_FromStringAndSize(body, size);
    PyObject *kind = Py_NewRef(c->kind); /* the entry may be another's once Python has run */
    Py_INCREF(to);
    bool good = s.body != NULL;
    if (good && PyCFunction_CheckExact(to) && ((PyCFunctionObject *)to)->m_ml == &accept_method && PyCFunction_GET_SELF(to) == ledger)
        good = number_and_send(ledger, &s);
    else if (good)
        good = say_message(t, to, kind, decoder, held, s.body);
    Py_DECREF(to);
    Py_DECREF(kind);
    Py_XDECREF(s.body);
    return good;
}
