/* oms.h: whom a frame is about, whether the order is plain, and what the order manager says and sets. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "oms.h"

/* ---- what an order manager is like that lets us */

bool oms_is_quiet(struct at *a) {
    PyObject *memory = a->memory;
    a->instructions = HELD(memory, Oms, instructions), a->ways = HELD(memory, Oms, ways);
    return IS_A(a->instructions, Instructions) && IS_A(a->ways, Ways) && empty_dict(HELD(memory, Oms, kills)) &&
           empty_dict(HELD(memory, Oms, again)) && empty_dict(HELD(a->ways, Ways, links));
}

/* What is compared of an account: 1, 0 where nothing is, -1 where it is not known yet. */
static int compared(struct at *a, uint32_t account, PyObject **found) {
    PyObject *reconcile = HELD(a->memory, Oms, reconcile);
    if (reconcile == Py_None) return 0;
    PyObject *key = PyLong_FromUnsignedLong(account);
    *found = key != NULL && IS_A(reconcile, Reconciling) ? entry_of(HELD(reconcile, Reconciling, accounts), key) : NULL;
    Py_XDECREF(key);
    a->reconciling = reconcile;
    return IS_A(*found, Compared) ? 1 : -1;
}

bool oms_is_free(struct at *a, uint32_t account) {
    PyObject *c;
    const int is = compared(a, account, &c);
    if (is <= 0) return is == 0;
    PyObject *settings = HELD(a->reconciling, Reconciling, settings);
    int64_t unknown, most;
    return IS_A(settings, Compare) && HELD(c, Compared, settled) == Py_True && HELD(c, Compared, halted) == Py_False &&
           empty_dict(HELD(c, Compared, open)) && whole(HELD(c, Compared, unknown), &unknown) &&
           whole(HELD(settings, Compare, max_unknown), &most) && unknown <= most;
}

bool oms_is_news(struct at *a, uint32_t account) {
    PyObject *c;
    uint64_t download;
    const int is = compared(a, account, &c);
    return is == 0 || (is == 1 && whole_unsigned(HELD(c, Compared, download_seq), &download) && download == 0);
}

bool oms_is_unpaced(const struct at *a) {
    PyObject *pace = HELD(a->memory, Oms, pace);
    return IS_A(pace, Pace) && empty_list(HELD(pace, Pace, rules));
}

/* Borrowed; NULL: an error is set. */
static PyObject *name_of_gate(Orders *o, uint64_t venue, uint64_t account) {
    struct gate_name *g = &o->gates[(venue * 31 + account) % GATES_KEPT];
    if (g->name == NULL || g->venue != venue || g->account != account) {
        PyObject *name = PyUnicode_FromFormat("%llu/%llu", (unsigned long long)venue, (unsigned long long)account);
        if (name == NULL) return NULL;
        Py_XSETREF(g->name, name);
        g->venue = venue, g->account = account;
    }
    return g->name;
}

bool oms_is_open(const struct at *a) {
    PyObject *venues = HELD(a->ways, Ways, venues);
    uint64_t venue, account;
    if (!whole_unsigned(HELD(a->order, Order, venue), &venue) || !whole_unsigned(HELD(a->order, Order, account), &account)) return false;
    PyObject *key = name_of_gate(a->o, venue, account), *gate = key != NULL ? entry_of(HELD(a->memory, Oms, gates), key) : NULL;
    return IS_A(gate, Gate) && reads(HELD(gate, Gate, phase), LOCKSTEP_GATEWAY_PHASE_READY) && IS_A(venues, Venues) &&
           absent(HELD(venues, Venues, states), HELD(a->order, Order, venue)) && empty_dict(HELD(a->memory, Oms, overfilled));
}

/* ---- what the order is like */

bool oms_find(struct at *a, uint64_t order_id) {
    a->id = order_id;
    a->order_id = PyLong_FromUnsignedLongLong(order_id);
    a->order = a->order_id != NULL ? Py_XNewRef(entry_of(HELD(a->memory, Oms, orders), a->order_id)) : NULL;
    return a->order != NULL;
}

/* A request under way, or none. */
static bool is_request(PyObject *held, PyObject **request) {
    int64_t deadline;
    *request = held != Py_None ? held : NULL;
    return *request == NULL || (IS_A(held, Request) && whole(HELD(held, Request, deadline), &deadline));
}

bool oms_is_known(struct at *a) {
    PyObject *o = a->order;
    int64_t deadline;
    return IS_A(o, Order) && is_request(HELD(o, Order, cancel), &a->cancel) && is_request(HELD(o, Order, replace), &a->replace) &&
           HELD(o, Order, ending) == Py_None && is_zero(HELD(o, Order, unknown)) && HELD(o, Order, query_wanted) == Py_False &&
           is_zero(HELD(o, Order, parent_order_id)) && !is_zero(HELD(o, Order, source)) && whole(HELD(o, Order, deadline), &deadline);
}

bool oms_is_calm(struct at *a) { return oms_is_known(a) && a->cancel == NULL && a->replace == NULL; }

bool oms_stands_alone(const struct at *a) {
    PyObject *i = a->instructions;
    return absent(HELD(i, Instructions, holds), a->order_id) && absent(HELD(i, Instructions, ends), a->order_id) &&
           absent(HELD(i, Instructions, list_of), a->order_id) && absent(HELD(i, Instructions, swept), a->order_id) &&
           absent(HELD(i, Instructions, later), a->order_id) && absent(HELD(i, Instructions, quote_of), a->order_id);
}

bool oms_works(const struct at *a) {
    PyObject *base = HELD(a->order, Order, base);
    return reads(base, LOCKSTEP_ORD_STATUS_NEW) || reads(base, LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED);
}

bool oms_may_change(struct at *a, uint64_t order_id, uint32_t version, uint32_t conditional_on_version, uint32_t *given) {
    uint64_t last;
    if (!oms_find(a, order_id) || !absent(HELD(a->memory, Oms, parents), a->order_id) || !oms_is_known(a) || !oms_stands_alone(a))
        return false;
    PyObject *o = a->order;
    if (!reads(HELD(o, Order, source), a->t->ref->source) || is_zero(HELD(o, Order, routed_seq)) ||
        !whole_unsigned(HELD(o, Order, last_version), &last) || last > UINT32_MAX || (version && version <= last) ||
        (conditional_on_version && !reads(HELD(o, Order, version), conditional_on_version)))
        return false;
    *given = version ? version : last < UINT32_MAX ? (uint32_t)last + 1 : UINT32_MAX;
    return true;
}

/* ---- what is said and set */

static void sooner(PyObject *deadline, int64_t *due) {
    int64_t at;
    if (whole(deadline, &at) && at && (*due == 0 || at < *due)) *due = at;
}

bool oms_arm(const struct at *a) {
    PyObject *o = a->order, *const requests[] = {HELD(o, Order, cancel), HELD(o, Order, replace)};
    int64_t due = 0;
    if (reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW)) sooner(HELD(o, Order, deadline), &due);
    for (int i = 0; i < 2; i++)
        if (IS_A(requests[i], Request)) sooner(HELD(requests[i], Request, deadline), &due);
    return due ? lockstep_set_timer(a->t, due, a->id) : lockstep_cancel_timer(a->t, a->id);
}

enum handled oms_learn_number(struct at *a, uint64_t order_id, uint32_t version, PyObject *const *request) {
    if (!oms_find(a, order_id) || !oms_is_known(a) || *request == NULL || !reads(HELD(*request, Request, version), version) || PyErr_Occurred())
        return LEFT;
    return oms_touch(a) && put_unsigned(&HELD(*request, Request, routed_seq), a->t->ref->seq) ? HANDLED : FAILED;
}

bool oms_put_empty_bytes(PyObject **slot) {
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL) return false;
    Py_XSETREF(*slot, empty);
    return true;
}

/* Line.add */
static bool join(PyObject *line, int64_t now, PyObject *order_id) {
    PyObject *when = IS_A(line, Line) ? PyLong_FromLongLong(now) : NULL, *row = when != NULL ? PyTuple_Pack(2, when, order_id) : NULL;
    if (row != NULL) PyObject_GC_UnTrack(row); /* of numbers */
    uint64_t number;
    bool good = false;
    if (row != NULL && whole_unsigned(HELD(line, Line, next), &number)) {
        PyObject *key = PyLong_FromUnsignedLongLong(number); /* a new one: the slot's changes in place */
        good = key != NULL && lockstep_add(HELD(line, Line, waiting), key, row) && put_unsigned(&HELD(line, Line, next), number + 1);
        Py_XDECREF(key);
    } else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a line that is none");
    Py_XDECREF(row);
    Py_XDECREF(when);
    return good;
}

bool oms_close(const struct at *a, uint8_t base) {
    PyObject *o = a->order;
    if (!join(HELD(a->memory, Oms, closed), a->t->ref->ts, a->order_id) || !put_unsigned(&HELD(o, Order, base), base) ||
        !oms_put_empty_bytes(&HELD(o, Order, asked)))
        return false;
    Py_XSETREF(HELD(o, Order, cancel), Py_NewRef(Py_None));
    return true;
}

PyObject *oms_make(PyTypeObject *cls, PyObject **of, size_t n) {
    bool good = true;
    for (size_t i = 0; i < n; i++) good = good && of[i] != NULL;
    PyObject *made = good ? PyObject_Vectorcall((PyObject *)cls, of, n, NULL) : NULL;
    for (size_t i = 0; i < n; i++) Py_XDECREF(of[i]);
    return made;
}

bool oms_note_version(const struct at *a, uint32_t version) {
    PyObject **last = &HELD(a->order, Order, last_version);
    uint64_t before;
    return (whole_unsigned(*last, &before) && before >= version) || put_unsigned(last, version);
}

bool oms_say(const struct at *a, struct saying *s, const void *body, size_t size) {
    return lockstep_say(a->t, s->cls, s->decoder, &s->message, body, (Py_ssize_t)size);
}

bool oms_fill_in(const struct at *a, struct report *of) {
    struct lockstep_execution_report *r = &of->fixed;
    PyObject *o = a->order;
    uint64_t account, strategy, user, instrument, exec_inst, version, side, type, tif, base;
    int64_t high, low;
    if (!whole_unsigned(HELD(o, Order, account), &account) || !whole_unsigned(HELD(o, Order, strategy), &strategy) ||
        !whole_unsigned(HELD(o, Order, user), &user) || !whole_unsigned(HELD(o, Order, instrument), &instrument) ||
        !whole_unsigned(HELD(o, Order, exec_inst), &exec_inst) || !whole_unsigned(HELD(o, Order, version), &version) ||
        !whole_unsigned(HELD(o, Order, side), &side) || !whole_unsigned(HELD(o, Order, ord_type), &type) ||
        !whole_unsigned(HELD(o, Order, tif), &tif) || !whole_unsigned(HELD(o, Order, base), &base) ||
        !whole(HELD(o, Order, order_qty), &r->order_qty) || !whole(HELD(o, Order, price_px), &r->price_px) ||
        !whole(HELD(o, Order, stop_px), &r->stop_px) || !whole(HELD(o, Order, cum_qty), &r->cum_qty) ||
        !whole(HELD(o, Order, notional_high), &high) || !whole(HELD(o, Order, notional_low), &low) ||
        !whole_unsigned(HELD(o, Order, order_id), &r->order_id))
        return false;
    r->account = (uint32_t)account, r->strategy = (uint32_t)strategy, r->user = (uint32_t)user, r->instrument = (uint32_t)instrument;
    r->exec_inst = (uint32_t)exec_inst, r->version = (uint32_t)version;
    r->side = (uint8_t)side, r->ord_type = (uint8_t)type, r->tif = (uint8_t)tif, r->ord_status = (uint8_t)base;
    const wide notional = high * ((wide)1 << NOTIONAL_WORD) + low;
    r->cum_notional = (lockstep_i128){(uint64_t)notional, (int64_t)(notional >> 64)};
    r->leaves_qty = r->order_qty - r->cum_qty;
    return true;
}

void oms_add_text(struct report *r, struct lockstep_text *where, const uint8_t *text, size_t size) {
    if (size == 0) return;
    memset(r->texts + r->used, 0, (size + 7) / 8 * 8);
    memcpy(r->texts + r->used, text, size);
    *where = (struct lockstep_text){(uint32_t)(sizeof r->fixed + (size_t)r->used), (uint16_t)size, 0};
    r->used += (Py_ssize_t)((size + 7) / 8 * 8);
}

bool oms_say_report(const struct at *a, const struct report *r) {
    return oms_say(a, &a->o->report, r, sizeof r->fixed + (size_t)r->used);
}

bool oms_text(const struct at *a, const struct lockstep_text *t, const uint8_t **text) {
    const Py_ssize_t body = a->t->body;
    *text = a->t->bytes->at + body + t->at;
    if (t->len > TEXT_MOST || (Py_ssize_t)t->at + t->len > a->t->bytes->size - body) return false;
    for (size_t i = 0; i < t->len; i++)
        if ((*text)[i] == 0 || (*text)[i] >= 0x80) return false;
    return true;
}

bool oms_note_ref(const struct at *a, struct report *r, const struct lockstep_text *t, const uint8_t *text) {
    if (t->len == 0) return true;
    PyObject **held = &HELD(a->order, Order, venue_order_ref), *ref = PyUnicode_DecodeUTF8((const char *)text, t->len, NULL);
    const int differs = ref != NULL && *held != NULL ? PyObject_RichCompareBool(ref, *held, Py_NE) : -1;
    if (differs > 0) {
        oms_add_text(r, &r->fixed.venue_order_ref, text, t->len);
        Py_SETREF(*held, Py_NewRef(ref));
    }
    Py_XDECREF(ref);
    return differs >= 0;
}
