/* timers.h. Nearly all timers of an app are set for the same while from now, and each is due behind the one before: such runs need no
 * comparing. What fits none of them stands in a heap. */
#include "timers.h"

#include <string.h>
#include <structmember.h>

enum { ROOM_AT_FIRST = 16 };

static bool before(struct due a, struct due b) { return a.at < b.at || (a.at == b.at && a.order < b.order); }
static bool same_due(struct due a, struct due b) { return a.at == b.at && a.order == b.order; }
static bool same_token(struct token a, struct token b) { return a.bits == b.bits && a.negative == b.negative; }

/* ---- what is known of a token */

static size_t place_of(const Timers *t, struct token token) {
    uint64_t x = (token.bits ^ token.negative) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(x >> 32) & (t->room - 1);
}

/* Where a token stands, or would stand. There is room. */
static struct timer *seek(const Timers *t, struct token token) {
    size_t i = place_of(t, token);
    while (t->table[i].used && !same_token(t->table[i].token, token)) i = (i + 1) & (t->room - 1);
    return &t->table[i];
}

static struct timer *find(const Timers *t, struct token token) {
    struct timer *found = t->room ? seek(t, token) : NULL;
    return found != NULL && found->used ? found : NULL;
}

static bool grow(Timers *t) {
    if (2 * (t->used + 1) <= t->room) return true;
    struct timer *old = t->table;
    const size_t room = t->room;
    struct timer *table = PyMem_Calloc(room ? 2 * room : ROOM_AT_FIRST, sizeof *table);
    if (table == NULL) return PyErr_NoMemory(), false;
    t->table = table, t->room = room ? 2 * room : ROOM_AT_FIRST;
    for (size_t i = 0; i < room; i++)
        if (old[i].used) *seek(t, old[i].token) = old[i];
    PyMem_Free(old);
    return true;
}

/* Those behind it that would have stood here move up. */
static void forget(Timers *t, struct timer *gone) {
    size_t hole = (size_t)(gone - t->table), i = hole;
    t->used--;
    for (;;) {
        t->table[hole].used = false;
        do {
            i = (i + 1) & (t->room - 1);
            if (!t->table[i].used) return;
            /* Whether its own place lies behind the hole, on the way round to where it stands. */
        } while (((i - place_of(t, t->table[i].token)) & (t->room - 1)) < ((i - hole) & (t->room - 1)));
        t->table[hole] = t->table[i];
        hole = i;
    }
}

/* ---- the queue */

static struct row *row_at(const struct run *r, size_t i) { return &r->rows[(r->first + i) & (r->room - 1)]; }

static bool append(struct run *r, const struct row *row) {
    if (r->n == r->room) {
        const size_t room = r->room ? 2 * r->room : ROOM_AT_FIRST;
        struct row *rows = PyMem_Malloc(room * sizeof *rows);
        if (rows == NULL) return PyErr_NoMemory(), false;
        for (size_t i = 0; i < r->n; i++) rows[i] = *row_at(r, i);
        PyMem_Free(r->rows);
        *r = (struct run){rows, 0, r->n, room};
    }
    r->n++;
    *row_at(r, r->n - 1) = *row;
    return true;
}

static bool heap_push(Timers *t, const struct row *row) {
    if (t->heap_n == t->heap_room) {
        const size_t room = t->heap_room ? 2 * t->heap_room : ROOM_AT_FIRST;
        struct row *heap = PyMem_Realloc(t->heap, room * sizeof *heap);
        if (heap == NULL) return PyErr_NoMemory(), false;
        t->heap = heap, t->heap_room = room;
    }
    size_t i = t->heap_n++;
    for (; i && before(row->due, t->heap[(i - 1) / 2].due); i = (i - 1) / 2) t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = *row;
    return true;
}

static void heap_pop(Timers *t) {
    const struct row last = t->heap[--t->heap_n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->heap_n; i = child) {
        if (child + 1 < t->heap_n && before(t->heap[child + 1].due, t->heap[child].due)) child++;
        if (!before(t->heap[child].due, last.due)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
}

static bool enqueue(Timers *t, const struct row *row) {
    for (int i = 0; i < RUNS; i++)
        if (t->run[i].n == 0 || !before(row->due, row_at(&t->run[i], t->run[i].n - 1)->due)) return append(&t->run[i], row);
    return heap_push(t, row);
}

/* The first of a run, or of the heap behind them. */
static const struct row *head(const Timers *t, int queue) {
    if (queue == RUNS) return t->heap_n ? t->heap : NULL;
    return t->run[queue].n ? row_at(&t->run[queue], 0) : NULL;
}

static void drop_head(Timers *t, int queue) {
    if (queue == RUNS) heap_pop(t);
    else t->run[queue].first = (t->run[queue].first + 1) & (t->run[queue].room - 1), t->run[queue].n--;
}

/* Whether a first row is of a timer that is due then. It is gone else, and the timer, if it is set, stands where it is due. */
static int settle(Timers *t, int queue) {
    const struct row row = *head(t, queue);
    struct timer *of = find(t, row.token);
    const bool stands = of != NULL && same_due(row.due, of->queued);
    if (stands && same_due(of->due, of->queued)) return 1;
    drop_head(t, queue);
    if (!stands) return 0;
    of->queued = of->due;
    const struct row again = {of->due, of->token};
    return enqueue(t, &again) ? 0 : -1;
}

/* Where the next timer stands: a queue; -1: none is set, -2: an error is set. */
static int next_of(Timers *t) {
    for (;;) {
        int best = -1;
        for (int q = 0; q <= RUNS; q++)
            if (head(t, q) != NULL && (best < 0 || before(head(t, q)->due, head(t, best)->due))) best = q;
        const int good = best >= 0 ? settle(t, best) : 1;
        if (good) return good < 0 ? -2 : best;
    }
}

/* ---- what an app does with them */

static bool put(Timers *t, struct due due, struct token token) {
    if (!grow(t)) return false;
    struct timer *of = seek(t, token);
    const bool waits = of->used && !before(due, of->queued);
    const struct row row = {due, token};
    if (!waits && !enqueue(t, &row)) return false;
    if (!of->used) t->used++;
    *of = (struct timer){token, due, waits ? of->queued : due, true};
    return true;
}

static void cancel_token(Timers *t, struct token token) {
    struct timer *of = find(t, token);
    if (of != NULL) forget(t, of);
}

static Timers *timers_in(const struct turn *t) {
    PyObject *timers = *SLOT(t->slot, lockstep_slot.timers);
    if (timers != NULL && Py_IS_TYPE(timers, &lockstep_timers_type)) return (Timers *)timers;
    PyErr_SetString(PyExc_TypeError, "a slot without timers");
    return NULL;
}

bool lockstep_set_timer(const struct turn *t, int64_t at, uint64_t token) {
    Timers *timers = timers_in(t);
    PyObject **due = SLOT(t->group, t->in_group->due);
    int64_t earliest;
    if (timers == NULL || !put(timers, (struct due){at, timers->requests + 1}, (struct token){token, false})) return false;
    timers->requests++;
    return (read_signed(*due, &earliest) && earliest <= at) || put_signed(due, at);
}

bool lockstep_cancel_timer(const struct turn *t, uint64_t token) {
    Timers *timers = timers_in(t);
    if (timers != NULL) cancel_token(timers, (struct token){token, false});
    return timers != NULL;
}

/* ---- the same from Python */

static bool read_token(PyObject *v, struct token *token) {
    if (!PyLong_Check(v)) {
        PyErr_Format(PyExc_TypeError, "%R: expected a token", v);
        return false;
    }
    int overflow;
    const long long x = PyLong_AsLongLongAndOverflow(v, &overflow);
    *token = (struct token){(uint64_t)x, x < 0};
    if (overflow > 0) token->bits = PyLong_AsUnsignedLongLong(v), token->negative = false;
    if (overflow < 0 || (overflow > 0 && PyErr_Occurred())) {
        PyErr_Format(PyExc_OverflowError, "timer %R: expected a token of 64 bits", v);
        return false;
    }
    return true;
}

static PyObject *token_of(struct token token) {
    return token.negative ? PyLong_FromLongLong((long long)token.bits) : PyLong_FromUnsignedLongLong(token.bits);
}

static PyObject *set(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Timers *t = (Timers *)self;
    struct token token;
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "set takes a time and a token; found %zd arguments", nargs);
    if (!read_token(args[1], &token)) return NULL;
    int64_t at;
    if (!PyLong_Check(args[0])) return PyErr_Format(PyExc_TypeError, "timer %R: due at %R; expected an integer", args[1], args[0]);
    if (!read_signed(args[0], &at)) return PyErr_Format(PyExc_OverflowError, "timer %R: due at %R; expected ns in 64 bits", args[1], args[0]);
    if (!put(t, (struct due){at, t->requests + 1}, token)) return NULL;
    t->requests++;
    Py_RETURN_NONE;
}

static PyObject *cancel(PyObject *self, PyObject *of) {
    struct token token;
    if (!read_token(of, &token)) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) return NULL;
        PyErr_Clear(); /* no such token was ever set */
    } else
        cancel_token((Timers *)self, token);
    Py_RETURN_NONE;
}

static PyObject *due(PyObject *self, PyObject *none) {
    (void)none;
    const int queue = next_of((Timers *)self);
    return queue == -2 ? NULL : PyLong_FromLongLong(queue < 0 ? INT64_MAX : head((Timers *)self, queue)->due.at);
}

static PyObject *pop(PyObject *self, PyObject *ts) {
    Timers *t = (Timers *)self;
    const long long until = PyLong_AsLongLong(ts);
    if (until == -1 && PyErr_Occurred()) return NULL;
    const int queue = next_of(t);
    if (queue == -2) return NULL;
    if (queue < 0 || head(t, queue)->due.at > until) Py_RETURN_NONE;
    const struct token token = head(t, queue)->token;
    drop_head(t, queue);
    cancel_token(t, token);
    return token_of(token);
}

/* (due, order, token) */
static PyObject *row_of(const struct timer *of) {
    PyObject *values[] = {PyLong_FromLongLong(of->due.at), PyLong_FromUnsignedLongLong(of->due.order), token_of(of->token)};
    PyObject *row = values[0] != NULL && values[1] != NULL && values[2] != NULL ? PyTuple_Pack(3, values[0], values[1], values[2]) : NULL;
    for (int i = 0; i < 3; i++) Py_XDECREF(values[i]);
    return row;
}

static PyObject *rows(PyObject *self, PyObject *none) {
    (void)none;
    const Timers *t = (Timers *)self;
    PyObject *all = PyList_New(0);
    for (size_t i = 0; all != NULL && i < t->room; i++) {
        if (!t->table[i].used) continue;
        PyObject *row = row_of(&t->table[i]);
        if (row == NULL || PyList_Append(all, row) < 0) Py_CLEAR(all);
        Py_XDECREF(row);
    }
    if (all != NULL && PyList_Sort(all) < 0) Py_CLEAR(all);
    return all;
}

static void empty(Timers *t) {
    PyMem_Free(t->table);
    for (int i = 0; i < RUNS; i++) PyMem_Free(t->run[i].rows);
    PyMem_Free(t->heap);
    memset((char *)t + offsetof(Timers, table), 0, sizeof *t - offsetof(Timers, table));
}

/* restore(rows, requests) */
static PyObject *restore(PyObject *self, PyObject *args) {
    Timers *t = (Timers *)self;
    PyObject *given;
    unsigned long long requests;
    if (!PyArg_ParseTuple(args, "O!K", &PyList_Type, &given, &requests)) return NULL;
    empty(t);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(given); i++) {
        PyObject *row = PySequence_Tuple(PyList_GET_ITEM(given, i)), *number;
        long long at;
        unsigned long long order;
        struct token token;
        const bool good = row != NULL && PyArg_ParseTuple(row, "LKO", &at, &order, &number) && read_token(number, &token) &&
                          put(t, (struct due){at, order}, token);
        Py_XDECREF(row);
        if (!good) return NULL;
    }
    t->requests = requests;
    Py_RETURN_NONE;
}

static Py_ssize_t length(PyObject *self) { return (Py_ssize_t)((Timers *)self)->used; }

static PyObject *timers_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    if (PyTuple_GET_SIZE(args) || (keywords != NULL && PyDict_GET_SIZE(keywords)))
        return PyErr_Format(PyExc_TypeError, "Timers takes no arguments");
    return type->tp_alloc(type, 0);
}

static void dealloc(PyObject *self) {
    empty((Timers *)self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {{"set", (PyCFunction)(void (*)(void))set, METH_FASTCALL, NULL},
                                {"cancel", cancel, METH_O, NULL},
                                {"due", due, METH_NOARGS, NULL},
                                {"pop", pop, METH_O, NULL},
                                {"rows", rows, METH_NOARGS, NULL},
                                {"restore", restore, METH_VARARGS, NULL},
                                {0}};
static PyMemberDef members[] = {{"requests", T_ULONGLONG, offsetof(Timers, requests), READONLY, NULL}, {0}};
static PySequenceMethods sequence = {.sq_length = length};
PyTypeObject lockstep_timers_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Timers",
    .tp_basicsize = sizeof(Timers),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_as_sequence = &sequence,
    .tp_new = timers_new,
    .tp_dealloc = dealloc,
    .tp_methods = methods,
    .tp_members = members,
};
