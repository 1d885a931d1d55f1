/* Books.on_market_by_price_update for the update that nearly all of them are: it continues a live book, whose sides have room.
 *
 * Everything else (a gap, a book that is not live, one that it would cross, one that has to grow) is left to the handler in Python,
 * the reference, which finds the book as it was; of a crossed book it is told what the update gave, and does not apply it again. */
#include "layout.h"

#include <string.h>

#include "apps/books/kernel/book.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

/* Where an apps.books.book.Book holds what. */
struct book_layout {
    PyTypeObject *type;
    Py_ssize_t state, source, stream, connection_epoch, exchange_seq, joined, sound, verified, seq, touch_seq, touched, address, given;
};
static struct book_layout book_at;

typedef struct {
    Native native;     /* of: the dict of instrument → Book */
    PyTypeObject *top; /* TopOfBook */
    PyObject *decoder, *message;
    long live;
    PyObject *last; /* the book that was asked for last: an app's book of an instrument is the same object for its life */
    uint32_t last_instrument;
} BookUpdates;

struct level_rows {
    const uint8_t *at;
    uint32_t n, stride;
};

/* Rows that lie within the frames' bytes and hold a price and a quantity each; false where they do not. */
static bool rows_of(const struct turn *t, const struct lockstep_group *g, struct level_rows *rows) {
    *rows = (struct level_rows){NULL, 0, sizeof(struct book_level)};
    if (g->count == 0) return true;
    const uint64_t from = (uint64_t)t->body + g->at, size = (uint64_t)g->count * g->stride;
    if (g->stride < sizeof(struct book_level) || from + size > (uint64_t)t->bytes->size) return false;
    *rows = (struct level_rows){t->bytes->at + from, g->count, g->stride};
    return true;
}

static bool read_number(PyObject *book, Py_ssize_t slot, uint64_t *x) {
    int64_t number;
    const bool good = read_signed(*SLOT(book, slot), &number);
    if (good) *x = (uint64_t)number;
    return good;
}

/* The book of an instrument, borrowed; NULL where there is none yet, or with an error set. Updates of one come in runs. */
static PyObject *book_of(BookUpdates *u, uint32_t instrument) {
    if (u->last != NULL && u->last_instrument == instrument) return u->last;
    PyObject *key = PyLong_FromUnsignedLong(instrument), *book = key != NULL ? PyDict_GetItemWithError(u->native.of, key) : NULL;
    Py_XDECREF(key);
    if (book == NULL || !Py_IS_TYPE(book, book_at.type)) return NULL;
    u->last_instrument = instrument;
    Py_XSETREF(u->last, Py_NewRef(book));
    return book;
}

static void put_bool(PyObject *book, Py_ssize_t slot, bool x) { Py_XSETREF(*SLOT(book, slot), Py_NewRef(x ? Py_True : Py_False)); }

enum verdict { APPLY, OLD, OTHER };

/* apps.books.continuity.judge */
static enum verdict judge(uint64_t last, bool joined, const struct lockstep_market_by_price_update *m) {
    if (m->prev_exchange_seq == 0 && m->first_exchange_seq == 0) return m->exchange_seq && m->exchange_seq <= last ? OLD : APPLY;
    const uint64_t before = m->prev_exchange_seq ? m->prev_exchange_seq : m->first_exchange_seq - 1;
    if (m->exchange_seq <= last) return OLD;
    return before == last || (before < last && !joined) ? APPLY : OTHER;
}

static bool say_touch(BookUpdates *u, const struct turn *t, const struct lockstep_market_by_price_update *m, const struct book *b) {
    const int heard = lockstep_is_heard(t, LOCKSTEP_TOP_OF_BOOK, m->instrument);
    if (heard <= 0) return heard == 0;
    const struct lockstep_top_of_book top = {
        .instrument = m->instrument, .stream = m->stream, .connection_epoch = m->connection_epoch, .exchange_ts = m->exchange_ts,
        .sending_ts = m->sending_ts, .exchange_seq = m->exchange_seq, .bid_px = b->bid_px, .bid_qty = b->bid_qty,
        .ask_px = b->ask_px, .ask_qty = b->ask_qty};
    return lockstep_say(t, u->top, u->decoder, &u->message, &top, sizeof top);
}

static enum handled on_update(PyObject *self, const struct turn *t) {
    BookUpdates *u = (BookUpdates *)self;
    const struct book_layout *l = &book_at;
    struct lockstep_market_by_price_update m;
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    struct level_rows bids, asks;
    if (u->native.of == NULL || !rows_of(t, &m.bids, &bids) || !rows_of(t, &m.asks, &asks)) return LEFT;
    PyObject *book = book_of(u, m.instrument);
    if (book == NULL) return PyErr_Occurred() ? FAILED : LEFT;
    uint64_t state, source, stream, epoch, last, verified, address;
    if (!read_number(book, l->state, &state) || !read_number(book, l->source, &source) || !read_number(book, l->stream, &stream) ||
        !read_number(book, l->connection_epoch, &epoch) || !read_number(book, l->exchange_seq, &last) ||
        !read_number(book, l->verified, &verified) || !read_number(book, l->address, &address))
        return LEFT;
    if (state != (uint64_t)u->live || *SLOT(book, l->sound) != Py_True || source != t->ref->source || stream != m.stream ||
        epoch != m.connection_epoch)
        return LEFT;
    const enum verdict verdict = judge(last, *SLOT(book, l->joined) == Py_True, &m);
    if (verdict == OTHER) return LEFT;
    if (verdict == OLD) {
        put_bool(book, l->touched, false);
        return HANDLED;
    }
    struct book *b = (struct book *)(uintptr_t)address;
    const int32_t result = book_update(b, bids.at, bids.n, bids.stride, asks.at, asks.n, asks.stride);
    if (result < 0) return LEFT; /* and nothing has changed */
    if (result & (BOOK_CROSSED | BOOK_LOCKED)) return put_signed(SLOT(book, l->given), result) ? LEFT : FAILED;
    const bool touched = result & BOOK_TOUCHED;
    put_bool(book, l->joined, true);
    put_bool(book, l->touched, touched);
    if (!put_unsigned(SLOT(book, l->seq), t->ref->seq) || !put_unsigned(SLOT(book, l->exchange_seq), m.exchange_seq) ||
        !put_unsigned(SLOT(book, l->verified), verified + 1))
        return FAILED;
    return !touched || (put_unsigned(SLOT(book, l->touch_seq), t->ref->seq) && say_touch(u, t, &m, b)) ? HANDLED : FAILED;
}

/* BookUpdates(books, Book, TopOfBook, live) */
static PyObject *book_updates_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *books, *book, *top;
    long live;
    if (!PyArg_ParseTuple(args, "O!O!O!l", &PyDict_Type, &books, &PyType_Type, &book, &PyType_Type, &top, &live)) return NULL;
    if (book_at.type != (PyTypeObject *)book) {
        struct book_layout l = {.type = (PyTypeObject *)book};
        const struct slot_name names[] = {
            {"state", &l.state}, {"source", &l.source}, {"stream", &l.stream}, {"connection_epoch", &l.connection_epoch},
            {"exchange_seq", &l.exchange_seq}, {"joined", &l.joined}, {"sound", &l.sound}, {"verified", &l.verified},
            {"seq", &l.seq}, {"touch_seq", &l.touch_seq}, {"touched", &l.touched}, {"_address", &l.address}, {"given", &l.given}, {0}};
        if (!lockstep_slots(l.type, names)) return NULL;
        Py_INCREF(book); /* for as long as the process lives */
        book_at = l;
    }
    PyObject *decoder = PyObject_GetAttrString(top, "decode");
    if (decoder == NULL || !Py_IS_TYPE(decoder, lockstep_messages->decoder)) {
        Py_XDECREF(decoder);
        return PyErr_Format(PyExc_TypeError, "%R: no decoder of ours", top);
    }
    BookUpdates *u = (BookUpdates *)type->tp_alloc(type, 0);
    if (u == NULL) {
        Py_DECREF(decoder);
        return NULL;
    }
    u->native.handle = on_update;
    u->native.bytes = sizeof(struct lockstep_market_by_price_update);
    u->native.of = Py_NewRef(books);
    u->top = (PyTypeObject *)Py_NewRef(top);
    u->decoder = decoder;
    u->live = live;
    return (PyObject *)u;
}

static void dealloc(PyObject *self) {
    BookUpdates *u = (BookUpdates *)self;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(u->native.of);
    Py_CLEAR(u->top);
    Py_CLEAR(u->decoder);
    Py_CLEAR(u->message);
    Py_CLEAR(u->last);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_book_updates_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.BookUpdates",
    .tp_basicsize = sizeof(BookUpdates),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = book_updates_new,
    .tp_dealloc = dealloc,
};
