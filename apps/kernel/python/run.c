/* The step of a Group (apps.group) without the interpreter between the frames.
 *
 * `Group.run` in Python is the reference, and says what every line here has to do. A Runner walks packed refs. A frame that nobody of the host handles, from a source that is not the host's own, costs two look-ups; what an app
 * must be told of (a due timer, an own emission come back, a digest) is noticed here and done by the Group's own methods. */
#include "pending.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/ahead.h"

enum { NUMBERS = 65536 }; /* of kinds, of sources */

static PyObject *name_of_kind; /* interned */

/* One app that handles a kind. */
struct listener {
    PyObject *slot, *app, *handler;
    Native *native; /* asked first; NULL: there is none */
    PyObject *function, *self; /* borrowed of a bound method `handler`; NULL: call it as it is */
    vectorcallfunc call;       /* of `function` */
};

struct kind {
    struct listener *listeners;
    Py_ssize_t n;
    PyObject *decode;  /* of the kind; NULL where it is not declared */
    PyObject *message; /* the last one handed out, to be filled anew if nobody kept it */
    bool fast;         /* `decode` is one of ours */
    bool own;          /* about the apps themselves */
    Py_ssize_t bytes;  /* of a body that the handlers in C may be asked about; where one is in Python only: more than any */
};

typedef struct {
    PyObject_HEAD
    PyObject *group;
    struct group_layout in; /* where it holds what */
    uint16_t kind_of[NUMBERS];   /* → kinds; 0: nobody cares */
    uint16_t source_of[NUMBERS]; /* → speaking; 0: not ours */
    struct kind *kinds;
    PyObject **speaking; /* slots */
    Py_ssize_t kinds_n, speaking_n;
    PyObject *owner; /* of the bytes that messages were last made from */
    struct lockstep_ahead *ahead; /* a thread that reads in them ahead of us, while what is wanted stays the same */
    Py_buffer ahead_in;
    uint64_t ahead_every;
    /* Where the group stands: the last frame that is done with. */
    unsigned long long seq;
    long long now;
    bool running, delivering;
} Runner;

/* ---- one frame */

/* The state of a walk that Python code may have changed; looked at again after every call. */
struct walk {
    Runner *r;
    Py_buffer view;
    struct lockstep_bytes bytes; /* the same */
    PyObject *held; /* the object that `due` was read of: while it is held, no other is in its place */
    int64_t due;
    bool waiting, derived;
};

static bool look_at_due(struct walk *w, PyObject *due) {
    if (due == NULL || !PyLong_Check(due)) {
        PyErr_SetString(PyExc_TypeError, "a group that is due at no integer");
        return false;
    }
    int overflow;
    w->due = PyLong_AsLongLongAndOverflow(due, &overflow);
    if (overflow) w->due = overflow > 0 ? INT64_MAX : INT64_MIN;
    Py_XSETREF(w->held, Py_NewRef(due));
    return true;
}

static inline bool look(struct walk *w) {
    PyObject *due = *SLOT(w->r->group, w->r->in.due), *waiting = *SLOT(w->r->group, w->r->in.waiting),
             *derived = *SLOT(w->r->group, w->r->in.derived);
    if (waiting == NULL || derived == NULL || !PyList_Check(waiting) || !PyList_Check(derived)) {
        PyErr_SetString(PyExc_TypeError, "a group without waiting or derived");
        return false;
    }
    w->waiting = PyList_GET_SIZE(waiting) > 0;
    w->derived = PyList_GET_SIZE(derived) > 0;
    return due == w->held || look_at_due(w, due);
}

/* A method of the group, with what it left behind. */
static bool ask(struct walk *w, const char *name, const char *format, ...) {
    va_list given;
    va_start(given, format);
    PyObject *arguments = Py_VaBuildValue(format, given);
    va_end(given);
    if (arguments == NULL) return false;
    PyObject *method = PyObject_GetAttrString(w->r->group, name), *result = method != NULL ? PyObject_CallObject(method, arguments) : NULL;
    Py_XDECREF(method);
    Py_DECREF(arguments);
    Py_XDECREF(result);
    return result != NULL && look(w);
}

static bool count_event(PyObject **slot) {
    PyObject *v = *slot;
    if (v != NULL && PyLong_CheckExact(v) && Py_REFCNT(v) == 1 && long_has_size(v, false, 1) && LONG_DIGITS(v)[0] > SMALL_MAX &&
        LONG_DIGITS(v)[0] < DIGIT_MASK) {
        LONG_DIGITS(v)[0]++;
        return true;
    }
    PyObject *one = PyLong_FromLong(1), *sum = one != NULL && v != NULL ? PyNumber_Add(v, one) : NULL;
    Py_XDECREF(one);
    if (sum == NULL) return false;
    *slot = sum;
    Py_DECREF(v);
    return true;
}

static PyObject *message_of(struct walk *w, struct kind *k, uint16_t kind, Py_ssize_t at) {
    if (k->fast) return lockstep_messages->message(k->decode, &k->message, &w->bytes, at) ? k->message : NULL;
    if (k->decode == NULL) {
        PyObject *number = PyLong_FromLong(kind);
        if (number != NULL) PyErr_SetObject(PyExc_KeyError, number);
        Py_XDECREF(number);
        return NULL;
    }
    Py_XSETREF(k->message, PyObject_CallFunction(k->decode, "On", w->bytes.owner, at));
    return k->message;
}

/* What an app knows of the frame that it is about to handle. */
static bool set_context(PyObject *slot, PyObject *app, const struct lockstep_ref *ref) {
    return put_signed(SLOT(app, lockstep_app.now), ref->ts) && put_unsigned(SLOT(app, lockstep_app.seq), ref->seq) &&
           put_unsigned(SLOT(app, lockstep_app.source), ref->source) && count_event(SLOT(slot, lockstep_slot.events));
}

static bool call(const struct listener *l, PyObject *message) {
    PyObject *arguments[] = {l->self, message};
    PyObject *result = l->call != NULL ? l->call(l->function, arguments, 2, NULL) : PyObject_CallOneArg(l->handler, message);
    Py_XDECREF(result);
    return result != NULL;
}

static bool deliver(struct walk *w, struct kind *k, const struct lockstep_ref *ref) {
    const Py_ssize_t at = (Py_ssize_t)ref->offset + LOCKSTEP_HEAD_BYTES;
    PyObject *message = NULL;
    bool good = true;
    /* As the reference does, before anybody is told: unless all may be able to do without. */
    if (k->bytes > w->bytes.size - at) good = (message = Py_XNewRef(message_of(w, k, ref->kind, at))) != NULL;
    for (Py_ssize_t i = 0; good && i < k->n; i++) {
        const struct listener *l = &k->listeners[i];
        if (!(good = set_context(l->slot, l->app, ref))) break;
        enum handled done = LEFT;
        if (l->native != NULL && at <= w->bytes.size - l->native->bytes) {
            const struct turn t = {ref, &w->bytes, at, w->r->group, l->slot, l->app, &w->r->in};
            done = l->native->handle((PyObject *)l->native, &t);
        }
        if (done == LEFT && message == NULL) message = Py_XNewRef(message_of(w, k, ref->kind, at));
        good = done == HANDLED || (done == LEFT && message != NULL && call(l, message));
    }
    Py_XDECREF(message);
    return good && look(w);
}

/* (Slot, …) or (Slot, App, …). */
static bool is_row(PyObject *row, Py_ssize_t n) {
    if (PyTuple_CheckExact(row) && PyTuple_GET_SIZE(row) == n && Py_IS_TYPE(PyTuple_GET_ITEM(row, 0), lockstep_slot.type) &&
        (n < 3 || PyObject_TypeCheck(PyTuple_GET_ITEM(row, 1), lockstep_app.type)))
        return true;
    PyErr_Format(PyExc_TypeError, "%R: not who said something, or who listens", row);
    return false;
}

/* Of a row (Slot, App, handler). */
static bool wake(PyObject *row, PyObject *message, const struct lockstep_ref *ref) {
    if (!set_context(PyTuple_GET_ITEM(row, 0), PyTuple_GET_ITEM(row, 1), ref)) return false;
    PyObject *result = PyObject_CallOneArg(PyTuple_GET_ITEM(row, 2), message);
    Py_XDECREF(result);
    return result != NULL;
}

/* Group._deliver_derived: what mute instances said goes to those of this host who listen. */
static bool deliver_derived(struct walk *w, const struct lockstep_ref *ref) {
    PyObject **place = SLOT(w->r->group, w->r->in.derived), *listeners = *SLOT(w->r->group, w->r->in.listeners);
    PyObject *empty = listeners != NULL ? PyList_New(0) : NULL;
    if (empty == NULL) return false;
    PyObject *heard = *place;
    *place = empty;
    Py_INCREF(listeners);
    bool good = true;
    for (Py_ssize_t i = 0; good && i < PyList_GET_SIZE(heard); i++) {
        PyObject *row = PyList_GET_ITEM(heard, i), *kind, *key = NULL, *rows = NULL;
        if (!(good = is_row(row, 2))) break;
        PyObject *mute = PyTuple_GET_ITEM(row, 0), *message = PyTuple_GET_ITEM(row, 1);
        if ((kind = PyObject_GetAttr(message, name_of_kind)) != NULL && (key = PyTuple_Pack(2, mute, kind)) != NULL)
            rows = PyObject_GetItem(listeners, key);
        Py_XDECREF(key);
        Py_XDECREF(kind);
        good = rows != NULL && PyList_Check(rows);
        for (Py_ssize_t j = 0; good && j < PyList_GET_SIZE(rows); j++) {
            PyObject *to = Py_NewRef(PyList_GET_ITEM(rows, j));
            const int looks = is_row(to, 3) ? lockstep_look(PyTuple_GET_ITEM(to, 1), message, ref->ts) : -1;
            good = looks == 0 || (looks > 0 && wake(to, message, ref));
            Py_DECREF(to);
        }
        Py_XDECREF(rows);
    }
    Py_DECREF(listeners);
    Py_DECREF(heard);
    return good && !PyErr_Occurred() && look(w);
}

/* Whether what an app said is what stands in the frame. */
static bool same(const struct said *s, const struct lockstep_frame *f, const uint8_t *bytes, Py_ssize_t room) {
    if (f->length < LOCKSTEP_HEAD_BYTES || (Py_ssize_t)f->length > room) return false;
    const Py_ssize_t size = (Py_ssize_t)f->length - LOCKSTEP_HEAD_BYTES;
    const uint16_t flags = f->flags & (uint16_t)~lockstep_sequencer_flags;
    return s->kind == f->kind && s->version == f->version && s->flags == flags && s->cause == f->cause && s->origin_ts == f->origin_ts &&
           PyBytes_GET_SIZE(s->body) == size && memcmp(PyBytes_AS_STRING(s->body), bytes + LOCKSTEP_HEAD_BYTES, (size_t)size) == 0;
}

/* A frame of our own is back: what is plainly right is struck off here, all else is the ledger's to judge. */
static bool match(struct walk *w, PyObject *slot, const struct lockstep_ref *ref) {
    PyObject *ledger = *SLOT(slot, lockstep_slot.ledger);
    const Py_ssize_t at = ref->offset;
    if (ledger != NULL && Py_IS_TYPE(ledger, lockstep_ledger.type) && at <= w->bytes.size - LOCKSTEP_HEAD_BYTES) {
        struct lockstep_frame frame;
        memcpy(&frame, w->bytes.at + at, sizeof frame);
        PyObject *pending = *SLOT(ledger, lockstep_ledger.pending);
        Pending *p = pending != NULL && Py_IS_TYPE(pending, &lockstep_pending_type) ? (Pending *)pending : NULL;
        const struct said *said = p != NULL ? lockstep_pending_find(p, frame.source_seq) : NULL;
        if (said != NULL && same(said, &frame, w->bytes.at + at, w->bytes.size - at)) {
            lockstep_pending_drop(p, said);
            return count_event(SLOT(ledger, lockstep_ledger.compared));
        }
    }
    PyObject *result = PyObject_CallMethod(ledger != NULL ? ledger : Py_None, "match", "OnK", w->bytes.owner, at,
                                           (unsigned long long)ref->seq);
    Py_XDECREF(result);
    return result != NULL && look(w);
}

/* ---- the walk */

static bool step(struct walk *w, const struct lockstep_ref *ref, bool digests) {
    Runner *r = w->r;
    const long long ts = ref->ts;
    const unsigned long long seq = ref->seq;
    const unsigned source = ref->source;
    if (w->waiting && !ask(w, "_activate", "(L)", (long long)seq - 1)) return false;
    if (ts >= w->due && !ask(w, "_fire", "(IKL)", source, seq, ts)) return false;
    const uint16_t ours = r->source_of[source], kind = r->kind_of[ref->kind];
    if (ours && !match(w, r->speaking[ours], ref)) return false;
    if (kind) {
        struct kind *k = &r->kinds[kind];
        if (k->n) {
            r->delivering = true;
            const bool good = deliver(w, k, ref);
            r->delivering = false;
            if (!good) return false;
        }
    }
    if (w->derived && !deliver_derived(w, ref)) return false;
    if (kind && r->kinds[kind].own) {
        PyObject *message = message_of(w, &r->kinds[kind], ref->kind, (Py_ssize_t)ref->offset + LOCKSTEP_HEAD_BYTES);
        if (message == NULL || !ask(w, "_about_apps", "(OK)", message, seq)) return false;
    }
    return !digests || ask(w, "_digests", "(IKL)", source, seq, ts);
}

static void end_ahead(Runner *r) {
    if (r->ahead == NULL) return;
    lockstep_messages->ahead_end(r->ahead);
    r->ahead = NULL;
    PyBuffer_Release(&r->ahead_in);
}

static bool begin(struct walk *w, Runner *r, PyObject *buffer) {
    Py_buffer *view = &w->view;
    if (PyObject_GetBuffer(buffer, view, PyBUF_SIMPLE) < 0) return false;
    w->r = r;
    w->bytes = (struct lockstep_bytes){buffer, view->buf, view->len};
    if (r->owner != buffer) {
        end_ahead(r);
        /* Groups of rows point into their segment; it should not stay for the sake of a message that nobody keeps. */
        for (Py_ssize_t i = 0; i < r->kinds_n; i++) Py_CLEAR(r->kinds[i].message);
        Py_INCREF(buffer);
        Py_XSETREF(r->owner, buffer);
    }
    r->running = true;
    return true;
}

static void end(struct walk *w) {
    w->r->running = false;
    Py_XDECREF(w->held);
    PyBuffer_Release(&w->view);
}

/* Of the next digest. */
static uint64_t digest_seq(uint64_t seq, uint64_t every) { return (seq + every - 1) / every * every; }

/* Step through n frames. Returns how many; -1: an error is set. */
static Py_ssize_t walk(Runner *r, PyObject *buffer, const void *refs, Py_ssize_t n, uint64_t every) {
    struct walk w = {0};
    if (!begin(&w, r, buffer)) return -1;
    uint64_t before = UINT64_MAX - 1, next = 0; /* seq of the frame before; of the next digest */
    Py_ssize_t done = 0;
    bool good = look(&w);
    for (; good && done < n; done++) {
        struct lockstep_ref ref;
        memcpy(&ref, (const char *)refs + done * (Py_ssize_t)sizeof ref, sizeof ref);
        if (ref.seq != before + 1) next = digest_seq(ref.seq, every);
        const bool digests = ref.seq == next;
        if (digests) next += every;
        before = ref.seq;
        if (digests || w.waiting || w.derived || ref.ts >= w.due || r->source_of[ref.source] || r->kind_of[ref.kind])
            good = step(&w, &ref, digests);
        if (!good) break;
        r->seq = ref.seq;
        r->now = ref.ts;
    }
    end(&w);
    return good ? done : -1;
}

static int64_t must_see_from(const struct walk *w) { return w->waiting || w->derived ? INT64_MIN : w->due; }

static uint32_t find(Runner *r, struct lockstep_reader *reader, const struct lockstep_interest *i, struct lockstep_found *found,
                     uint64_t last) {
    if (r->ahead != NULL) return lockstep_messages->ahead_find(r->ahead, reader, i, found, last);
    return lockstep_messages->find(reader, i, found, LOCKSTEP_PORTION_FOUND, LOCKSTEP_PORTION_CHECKED, last);
}

enum { SOON = 2 }; /* frames from now: their lines are asked for, which another core has read last */

static void ask_for(const uint8_t *frame) {
    for (int line = 0; line < 3; line++) __builtin_prefetch(frame + 64 * line);
}

/* What is to be read: to which frame now, and to which at all; how far digests are apart; how many frames are worth a thread. */
struct reading {
    uint64_t last, to_seq, every, ahead_from;
};

/* A thread reads ahead where much is to be read, unless somebody waits to begin who will want more. */
static bool start_ahead(Runner *r, const struct walk *w, const struct lockstep_reader *reader, const struct reading *what) {
    if (r->ahead != NULL && r->ahead_every != what->every) end_ahead(r);
    if (r->ahead != NULL || w->waiting || what->to_seq - reader->next_seq < what->ahead_from) return true;
    if (PyObject_GetBuffer(r->owner, &r->ahead_in, PyBUF_SIMPLE) < 0) return false;
    const struct lockstep_interest fixed = {r->kind_of, r->source_of, 0, 0};
    r->ahead = lockstep_messages->ahead_start(reader, &fixed, what->every, what->ahead_from * LOCKSTEP_HEAD_BYTES);
    r->ahead_every = what->every;
    if (r->ahead == NULL) PyBuffer_Release(&r->ahead_in);
    return true;
}

/* Step through what a reader finds in the segment that the buffer is. Returns the last frame that is done with; 0: an error is set. */
static uint64_t read_through(Runner *r, PyObject *buffer, struct lockstep_reader *reader, const struct reading *what) {
    const uint64_t last = what->last, every = what->every;
    uint64_t done = reader->next_seq - 1;
    struct walk w = {0};
    if (!begin(&w, r, buffer)) return 0;
    bool good = look(&w), more = done < last;
    if (good && more) good = start_ahead(r, &w, reader, what);
    /* Handlers in Python may have closed the reader, or led it elsewhere. */
    while (good && more && reader->base == w.bytes.at && reader->next_seq == done + 1 && done < last) {
        struct lockstep_found found[LOCKSTEP_PORTION_FOUND];
        const uint64_t digest = digest_seq(done + 1, every);
        const struct lockstep_interest interest = {r->kind_of, r->source_of, must_see_from(&w), digest};
        const uint32_t n = find(r, reader, &interest, found, digest < last ? digest : last);
        const uint64_t upto = reader->next_seq - 1;
        const int64_t upto_ts = reader->last_ts;
        more = reader->state == LOCKSTEP_MORE;
        bool missed = false; /* a handler wants to be woken by a frame that was passed over */
        for (uint32_t i = 0; good && !missed && i < n; i++) {
            const struct lockstep_ref *ref = &found[i].ref;
            if (i + SOON < n) ask_for(w.bytes.at + found[i + SOON].ref.offset);
            if (ref->seq > done + 1) {
                r->seq = ref->seq - 1;
                r->now = found[i].ts_before;
            }
            if (!(good = step(&w, ref, ref->seq == digest))) break;
            r->seq = done = ref->seq;
            r->now = ref->ts;
            const int64_t from_ts = must_see_from(&w);
            missed = from_ts < interest.ts && from_ts <= upto_ts && done < upto;
            if (missed && reader->base == w.bytes.at) lockstep_messages->stand_behind(reader, ref->offset);
        }
        if (good && missed) more = true;
        else if (good && upto > done) {
            r->seq = done = upto;
            r->now = upto_ts;
        }
    }
    if (!good || !more || done >= what->to_seq) end_ahead(r);
    end(&w);
    return good ? done : 0;
}

static bool may_run(const Runner *r, long long every) {
    if (PyErr_Occurred()) return false;
    if (every < 1) PyErr_Format(PyExc_ValueError, "digests every %lld frames; expected at least 1", every);
    else if (r->running) PyErr_SetString(PyExc_RuntimeError, "the group is stepping already");
    return !PyErr_Occurred();
}

/* run(buffer, refs, digest_every): step through the frames whose refs, packed, stand in bytes. Returns how many. */
static PyObject *run(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Runner *r = (Runner *)self;
    if (nargs != 3 || !PyBytes_Check(args[1])) return PyErr_Format(PyExc_TypeError, "run takes a buffer, refs as bytes and a number");
    const long long every = PyLong_AsLongLong(args[2]);
    if (!may_run(r, every)) return NULL;
    const Py_ssize_t n = PyBytes_GET_SIZE(args[1]) / (Py_ssize_t)sizeof(struct lockstep_ref);
    const Py_ssize_t done = walk(r, args[0], PyBytes_AS_STRING(args[1]), n, (uint64_t)every);
    return done < 0 ? NULL : PyLong_FromSsize_t(done);
}

/* follow(buffer, reader, refs, refs_max, spin_ns, yields, digest_every): wait for frames at the tail, by the addresses of
 * JournalReader.tail, and step through them before anything else is done. Returns how many; 0: none came. */
static PyObject *follow(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Runner *r = (Runner *)self;
    if (nargs != 7) return PyErr_Format(PyExc_TypeError, "follow takes 7 arguments; found %zd", nargs);
    struct lockstep_reader *reader = PyLong_AsVoidPtr(args[1]);
    struct lockstep_ref *refs = PyLong_AsVoidPtr(args[2]);
    const unsigned long max = PyLong_AsUnsignedLong(args[3]);
    const int64_t spin_ns = PyLong_AsLongLong(args[4]);
    const long long every = PyLong_AsLongLong(args[6]);
    if (!may_run(r, every)) return NULL;
    if (reader == NULL || refs == NULL) return PyErr_Format(PyExc_ValueError, "no reader there");
    const uint32_t n = lockstep_messages->follow(reader, refs, (uint32_t)max, spin_ns, args[5] == Py_True);
    const Py_ssize_t done = n ? walk(r, args[0], refs, n, (uint64_t)every) : 0;
    return done < 0 ? NULL : PyLong_FromSsize_t(done);
}

/* read(buffer, reader, frames_max, to_seq, digest_every, ahead_from): step through what a reader of the whole stream, by the
 * address of JournalReader.tail, finds in the segment that stands in the buffer: at most so many frames, none behind `to_seq`.
 * Where so many as `ahead_from` are there and to be read, now or later, a thread reads ahead. Returns how many; 0: none is there,
 * the reader says why. */
static PyObject *read_on(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Runner *r = (Runner *)self;
    if (nargs != 6) return PyErr_Format(PyExc_TypeError, "read takes 6 arguments; found %zd", nargs);
    struct lockstep_reader *reader = PyLong_AsVoidPtr(args[1]);
    const unsigned long long max = PyLong_AsUnsignedLongLong(args[2]), to_seq = PyLong_AsUnsignedLongLong(args[3]);
    const long long every = PyLong_AsLongLong(args[4]);
    const unsigned long long ahead_from = PyLong_AsUnsignedLongLong(args[5]);
    if (!may_run(r, every)) return NULL;
    if (reader == NULL) return PyErr_Format(PyExc_ValueError, "no reader there");
    const uint64_t before = reader->next_seq - 1, last = to_seq - before < max || to_seq < before ? to_seq : before + max;
    const struct reading what = {last, to_seq, (uint64_t)every, ahead_from};
    const uint64_t done = read_through(r, args[0], reader, &what);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(done - before);
}

/* ---- what it knows of the group */

static void forget_listeners(struct kind *k) {
    for (Py_ssize_t i = 0; i < k->n; i++) {
        Py_CLEAR(k->listeners[i].slot);
        Py_CLEAR(k->listeners[i].app);
        Py_CLEAR(k->listeners[i].handler);
        Py_CLEAR(k->listeners[i].native);
    }
    PyMem_Free(k->listeners);
    k->listeners = NULL;
    k->n = 0;
}

static void *grown(void *items, Py_ssize_t n, size_t each) {
    void *more = PyMem_Realloc(items, (size_t)n * each);
    if (more == NULL) PyErr_NoMemory();
    return more;
}

/* The entry of a kind, made when first asked for. */
static struct kind *entry_of(Runner *r, unsigned kind, PyObject *decode) {
    if (r->kind_of[kind] == 0) {
        struct kind *more = grown(r->kinds, r->kinds_n + 1, sizeof *more);
        if (more == NULL) return NULL;
        r->kinds = more;
        more[r->kinds_n] = (struct kind){.decode = decode == Py_None ? NULL : Py_NewRef(decode),
                                         .fast = Py_IS_TYPE(decode, lockstep_messages->decoder)};
        r->kind_of[kind] = (uint16_t)r->kinds_n++;
    }
    return &r->kinds[r->kind_of[kind]];
}

/* handle(kind, decode, [(slot, app, handler, handler in C or None)]): who gets this kind, in order. */
static PyObject *handle(PyObject *self, PyObject *args) {
    Runner *r = (Runner *)self;
    end_ahead(r);
    unsigned short kind;
    PyObject *decode, *rows;
    if (!PyArg_ParseTuple(args, "HOO!", &kind, &decode, &PyList_Type, &rows)) return NULL;
    if (r->delivering) return PyErr_Format(PyExc_RuntimeError, "an app cannot be added from within a handler");
    const Py_ssize_t n = PyList_GET_SIZE(rows);
    struct listener *listeners = PyMem_Calloc((size_t)n + 1, sizeof *listeners);
    if (listeners == NULL) return PyErr_NoMemory();
    struct kind fresh = {.listeners = listeners};
    PyObject *native;
    for (; fresh.n < n; fresh.n++) {
        struct listener *l = &listeners[fresh.n];
        if (!PyArg_ParseTuple(PyList_GET_ITEM(rows, fresh.n), "O!O!OO", lockstep_slot.type, &l->slot, lockstep_app.type, &l->app, &l->handler, &native))
            goto failed;
        if (PyObject_TypeCheck(native, &lockstep_native_type)) l->native = (Native *)Py_NewRef(native);
        const Py_ssize_t bytes = l->native != NULL ? l->native->bytes : PY_SSIZE_T_MAX;
        if (fresh.bytes < bytes) fresh.bytes = bytes;
        Py_INCREF(l->slot);
        Py_INCREF(l->app);
        Py_INCREF(l->handler);
        if (PyMethod_Check(l->handler)) {
            l->function = PyMethod_GET_FUNCTION(l->handler);
            l->self = PyMethod_GET_SELF(l->handler);
            l->call = PyVectorcall_Function(l->function);
        }
    }
    struct kind *k = entry_of(r, kind, decode);
    if (k == NULL) goto failed;
    forget_listeners(k);
    k->listeners = fresh.listeners;
    k->n = fresh.n;
    k->bytes = fresh.bytes;
    Py_RETURN_NONE;
failed:
    forget_listeners(&fresh);
    return NULL;
}

/* own(kind, decode): frames of this kind are about the apps themselves. */
static PyObject *own(PyObject *self, PyObject *args) {
    unsigned short kind;
    PyObject *decode;
    if (!PyArg_ParseTuple(args, "HO", &kind, &decode)) return NULL;
    end_ahead((Runner *)self);
    struct kind *k = entry_of((Runner *)self, kind, decode);
    if (k == NULL) return NULL;
    k->own = true;
    Py_RETURN_NONE;
}

/* speaks(source, slot): frames of this source are what the slot's app said. */
static PyObject *speaks(PyObject *self, PyObject *args) {
    Runner *r = (Runner *)self;
    end_ahead(r);
    unsigned short source;
    PyObject *slot;
    if (!PyArg_ParseTuple(args, "HO!", &source, lockstep_slot.type, &slot)) return NULL;
    if (r->source_of[source]) {
        Py_INCREF(slot);
        Py_SETREF(r->speaking[r->source_of[source]], slot);
        Py_RETURN_NONE;
    }
    PyObject **more = grown(r->speaking, r->speaking_n + 1, sizeof *more);
    if (more == NULL) return NULL;
    r->speaking = more;
    more[r->speaking_n] = Py_NewRef(slot);
    r->source_of[source] = (uint16_t)r->speaking_n++;
    Py_RETURN_NONE;
}

/* Runner(group, Slot, Looks) */
static PyObject *runner_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *group, *slot, *looks;
    if (!PyArg_ParseTuple(args, "OO!O!", &group, &PyType_Type, &slot, &PyType_Type, &looks)) return NULL;
    if (!lockstep_learn_looks((PyTypeObject *)looks)) return NULL;
    if (lockstep_app.type == NULL || lockstep_ledger.type == NULL)
        return PyErr_Format(PyExc_RuntimeError, "emit_of and accept_of come first");
    if (lockstep_slot.type != (PyTypeObject *)slot) {
        struct slot_layout s = {.type = (PyTypeObject *)slot};
        const struct slot_name names[] = {{"events", &s.events}, {"ledger", &s.ledger}, {"emit", &s.emit},
                                           {"_timers", &s.timers}, {0}};
        if (!lockstep_slots(s.type, names) || (s.tell = PyObject_GetAttrString(slot, "_tell")) == NULL) return NULL;
        Py_INCREF(slot);
        lockstep_slot = s;
    }
    if (name_of_kind == NULL && (name_of_kind = PyUnicode_InternFromString("KIND")) == NULL) return NULL;
    Runner *r = (Runner *)type->tp_alloc(type, 0);
    if (r == NULL) return NULL;
    r->group = Py_NewRef(group);
    const struct slot_name names[] = {
        {"due", &r->in.due}, {"_waiting", &r->in.waiting}, {"derived", &r->in.derived}, {"_listeners", &r->in.listeners}, {0}};
    if (!lockstep_slots(Py_TYPE(group), names)) goto failed;
    /* Entry 0 of both means none. */
    if ((r->kinds = PyMem_Calloc(1, sizeof *r->kinds)) == NULL || (r->speaking = PyMem_Calloc(1, sizeof *r->speaking)) == NULL) {
        PyErr_NoMemory();
        goto failed;
    }
    r->kinds_n = r->speaking_n = 1;
    return (PyObject *)r;
failed:
    Py_DECREF(r);
    return NULL;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    const Runner *r = (Runner *)self;
    Py_VISIT(r->group);
    Py_VISIT(r->owner);
    for (Py_ssize_t i = 0; i < r->speaking_n; i++) Py_VISIT(r->speaking[i]);
    for (Py_ssize_t i = 0; i < r->kinds_n; i++) {
        const struct kind *k = &r->kinds[i];
        Py_VISIT(k->decode);
        Py_VISIT(k->message);
        for (Py_ssize_t j = 0; j < k->n; j++) {
            Py_VISIT(k->listeners[j].slot);
            Py_VISIT(k->listeners[j].app);
            Py_VISIT(k->listeners[j].handler);
            Py_VISIT(k->listeners[j].native);
        }
    }
    return 0;
}

static int clear(PyObject *self) {
    Runner *r = (Runner *)self;
    end_ahead(r);
    Py_CLEAR(r->group);
    Py_CLEAR(r->owner);
    for (Py_ssize_t i = 0; i < r->speaking_n; i++) Py_CLEAR(r->speaking[i]);
    for (Py_ssize_t i = 0; i < r->kinds_n; i++) {
        forget_listeners(&r->kinds[i]);
        Py_CLEAR(r->kinds[i].decode);
        Py_CLEAR(r->kinds[i].message);
    }
    return 0;
}

static void dealloc(PyObject *self) {
    Runner *r = (Runner *)self;
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    PyMem_Free(r->kinds);
    PyMem_Free(r->speaking);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL},
                                {"follow", (PyCFunction)(void (*)(void))follow, METH_FASTCALL, NULL},
                                {"read", (PyCFunction)(void (*)(void))read_on, METH_FASTCALL, NULL},
                                {"handle", handle, METH_VARARGS, NULL},
                                {"own", own, METH_VARARGS, NULL},
                                {"speaks", speaks, METH_VARARGS, NULL},
                                {0}};
static PyMemberDef members[] = {{"seq", T_ULONGLONG, offsetof(Runner, seq), 0, NULL},
                                {"now", T_LONGLONG, offsetof(Runner, now), 0, NULL},
                                {0}};
PyTypeObject lockstep_runner_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Runner",
    .tp_basicsize = sizeof(Runner),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = runner_new,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
    .tp_methods = methods,
    .tp_members = members,
};
