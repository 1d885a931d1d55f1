/* oms.OrderManager for the life of a plain order that goes as it should: asked, passed by risk, routed, sent, acknowledged,
 * filled; while nothing stands in its way and nothing else depends on it. One handler for each of these frames. Whatever is
 * otherwise is left to the Python, which is the reference; nothing is changed before all is known to go as it should. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "plain.h"

/* A kind of message that the order manager says. */
struct saying {
    PyTypeObject *cls;
    PyObject *decoder, *message;
};
struct gate_name {
    uint64_t venue, account;
    PyObject *name;
};
enum { GATES_KEPT = 64 };
typedef struct {
    Native native; /* of an OrderManager */
    struct saying routed, report;
    PyObject *trade; /* oms.differences.Trade */
    struct mould order;
    struct gate_name gates[GATES_KEPT];
    int64_t timeout_ns, at_hand_ns; /* until a request ought to be answered; until what closed is archived */
} Orders;

static PyObject *name_of_memory, *name_of_synthetic, *name_of_tidy;

/* One frame, and whom it is about. */
struct at {
    Orders *o;
    const struct turn *t;
    PyObject *memory, *instructions, *ways; /* the first a reference of its own */
    PyObject *reconciling;                  /* NULL: nothing is compared */
    PyObject *order_id, *order;             /* the same; NULL: there is none */
};

static bool is_zero(PyObject *v) {
    int64_t x;
    return whole(v, &x) && x == 0;
}
static bool reads(PyObject *v, uint64_t wanted) {
    uint64_t x;
    return whole_unsigned(v, &x) && x == wanted;
}

/* ---- what an order manager is like that lets us */

static bool is_quiet(struct at *a) {
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

/* Gates._barred: nothing bars the account but what `is_open` looks at. */
static bool is_free(struct at *a, uint32_t account) {
    PyObject *c;
    const int is = compared(a, account, &c);
    if (is <= 0) return is == 0;
    PyObject *settings = HELD(a->reconciling, Reconciling, settings);
    int64_t unknown, most;
    return IS_A(settings, Compare) && HELD(c, Compared, settled) == Py_True && HELD(c, Compared, halted) == Py_False &&
           empty_dict(HELD(c, Compared, open)) && whole(HELD(c, Compared, unknown), &unknown) &&
           whole(HELD(settings, Compare, max_unknown), &most) && unknown <= most;
}

/* What comes now is no row of a download that is compared. */
static bool is_news(struct at *a, uint32_t account) {
    PyObject *c;
    uint64_t download;
    const int is = compared(a, account, &c);
    return is == 0 || (is == 1 && whole_unsigned(HELD(c, Compared, download_seq), &download) && download == 0);
}

static bool absent(PyObject *dict, PyObject *key) {
    return dict != NULL && PyDict_Check(dict) && (PyDict_GET_SIZE(dict) == 0 || PyDict_Contains(dict, key) == 0);
}

/* No list, quote, sweep or instruction depends on the order, nor it on them. */
static bool stands_alone(const struct at *a) {
    PyObject *i = a->instructions;
    return absent(HELD(i, Instructions, holds), a->order_id) && absent(HELD(i, Instructions, ends), a->order_id) &&
           absent(HELD(i, Instructions, list_of), a->order_id) && absent(HELD(i, Instructions, swept), a->order_id) &&
           absent(HELD(i, Instructions, later), a->order_id) && absent(HELD(i, Instructions, quote_of), a->order_id);
}

/* An order of ours at hand, its requests answered and its outcome known. */
static bool is_calm(const struct at *a) {
    PyObject *o = a->order;
    return IS_A(o, Order) && HELD(o, Order, cancel) == Py_None && HELD(o, Order, replace) == Py_None && HELD(o, Order, ending) == Py_None &&
           is_zero(HELD(o, Order, unknown)) && HELD(o, Order, query_wanted) == Py_False && is_zero(HELD(o, Order, parent_order_id)) &&
           !is_zero(HELD(o, Order, source));
}

static bool find(struct at *a, uint64_t order_id) {
    a->order_id = PyLong_FromUnsignedLongLong(order_id);
    a->order = a->order_id != NULL ? Py_XNewRef(entry_of(HELD(a->memory, Oms, orders), a->order_id)) : NULL;
    return a->order != NULL;
}

/* ---- what is said and set */

static bool call2(PyObject *self, PyObject *name, PyObject *first, PyObject *second) {
    PyObject *arguments[] = {self, first, second};
    PyObject *result = PyObject_VectorcallMethod(name, arguments, second != NULL ? 3 : 2, NULL);
    Py_XDECREF(result);
    return result != NULL;
}

static bool arm(const struct at *a, int64_t due) { return lockstep_set_timer(a->t, due, a->order_id); }
static bool disarm(const struct at *a) { return lockstep_cancel_timer(a->t, a->order_id); }

static bool touch(const struct at *a) { return lockstep_touch(HELD(a->memory, Oms, orders), a->order_id); }

enum { TEXT_MOST = 256 };
struct report {
    struct lockstep_execution_report fixed;
    uint8_t texts[2 * TEXT_MOST];
    Py_ssize_t used;
};

/* Core.report of what an order is now, with what the caller has put in already. */
static bool fill_in(const struct at *a, struct lockstep_execution_report *r) {
    PyObject *o = a->order;
    uint64_t account, strategy, user, instrument, exec_inst, version, side, type, tif, base;
    if (!whole_unsigned(HELD(o, Order, account), &account) || !whole_unsigned(HELD(o, Order, strategy), &strategy) ||
        !whole_unsigned(HELD(o, Order, user), &user) || !whole_unsigned(HELD(o, Order, instrument), &instrument) ||
        !whole_unsigned(HELD(o, Order, exec_inst), &exec_inst) || !whole_unsigned(HELD(o, Order, version), &version) ||
        !whole_unsigned(HELD(o, Order, side), &side) || !whole_unsigned(HELD(o, Order, ord_type), &type) ||
        !whole_unsigned(HELD(o, Order, tif), &tif) || !whole_unsigned(HELD(o, Order, base), &base) ||
        !whole(HELD(o, Order, order_qty), &r->order_qty) || !whole(HELD(o, Order, price_px), &r->price_px) ||
        !whole(HELD(o, Order, stop_px), &r->stop_px) || !whole(HELD(o, Order, cum_qty), &r->cum_qty) ||
        !whole_unsigned(HELD(o, Order, order_id), &r->order_id))
        return false;
    r->account = (uint32_t)account, r->strategy = (uint32_t)strategy, r->user = (uint32_t)user, r->instrument = (uint32_t)instrument;
    r->exec_inst = (uint32_t)exec_inst, r->version = (uint32_t)version;
    r->side = (uint8_t)side, r->ord_type = (uint8_t)type, r->tif = (uint8_t)tif, r->ord_status = (uint8_t)base;
    r->leaves_qty = r->order_qty - r->cum_qty;
    return true;
}

static const struct lockstep_execution_report nothing = {.last_qty = NO_VALUE, .last_px = NO_VALUE, .fee = NO_VALUE};

static void add_text(struct report *r, struct lockstep_text *where, const uint8_t *text, size_t size) {
    if (size == 0) return;
    memset(r->texts + r->used, 0, (size + 7) / 8 * 8);
    memcpy(r->texts + r->used, text, size);
    *where = (struct lockstep_text){(uint32_t)(sizeof r->fixed + (size_t)r->used), (uint16_t)size, 0};
    r->used += (Py_ssize_t)((size + 7) / 8 * 8);
}

static bool say_report(const struct at *a, struct report *r) {
    struct saying *s = &a->o->report;
    return lockstep_say(a->t, s->cls, s->decoder, &s->message, r, (Py_ssize_t)sizeof r->fixed + r->used);
}

/* A text of the frame, of which a report may have a copy: false where it is longer, or stands outside. */
static bool text_of(const struct at *a, const struct lockstep_text *t, const uint8_t **text) {
    const Py_ssize_t body = a->t->body;
    *text = a->t->bytes->at + body + t->at;
    return t->len <= TEXT_MOST && (Py_ssize_t)t->at + t->len <= a->t->bytes->size - body;
}

/* ---- a new order */

/* Whether a number of a source's was an order's that has left: what has left is a range of low numbers. */
static bool is_beyond(PyObject *left, uint64_t order_id) {
    if (empty_dict(left)) return true;
    PyObject *source = PyLong_FromUnsignedLongLong(order_id >> OWN_NUMBER_BITS), *ranges = source != NULL ? entry_of(left, source) : NULL;
    Py_XDECREF(source);
    if (ranges == NULL) return !PyErr_Occurred();
    const Py_ssize_t n = PyList_CheckExact(ranges) ? PyList_GET_SIZE(ranges) : 0;
    PyObject *last = n ? PyList_GET_ITEM(ranges, n - 1) : NULL;
    uint64_t end;
    return last != NULL && PyList_CheckExact(last) && PyList_GET_SIZE(last) == 2 && whole_unsigned(PyList_GET_ITEM(last, 1), &end) &&
           end < (order_id & ((UINT64_C(1) << OWN_NUMBER_BITS) - 1));
}

/* Held.accepted: it goes as it was asked. */
static bool is_taken(const struct at *a, PyObject *venue, const struct lockstep_new_order *m) {
    PyObject *offer = entry_of(HELD(a->instructions, Instructions, offers), venue);
    return offer != NULL ? is_native(offer, m) : !PyErr_Occurred() && m->exec_inst == 0;
}

/* How many wait in a Line, and since when the first of them; false: it is none. */
static bool line_of(PyObject *line, uint64_t *n, int64_t *since) {
    uint64_t first, next;
    if (!IS_A(line, Line) || !whole_unsigned(HELD(line, Line, first), &first) || !whole_unsigned(HELD(line, Line, next), &next)) return false;
    *n = next - first;
    if (*n == 0) return true;
    PyObject *row = entry_of(HELD(line, Line, waiting), HELD(line, Line, first));
    return row != NULL && PyTuple_CheckExact(row) && PyTuple_GET_SIZE(row) == 2 && whole(PyTuple_GET_ITEM(row, 0), since);
}

/* Memory.tidy, where there is anything to be done. */
static bool tidy(const struct at *a) {
    uint64_t closed, archived, kept;
    int64_t since = 0, of_archived;
    PyObject *keep = HELD(a->memory, Oms, keep);
    if (line_of(HELD(a->memory, Oms, closed), &closed, &since) && line_of(HELD(a->memory, Oms, archived), &archived, &of_archived) &&
        IS_A(keep, Keep) && whole_unsigned(HELD(keep, Keep, orders), &kept) && archived <= kept &&
        (closed == 0 || since + a->o->at_hand_ns > a->t->ref->ts))
        return true;
    PyObject *now = PyLong_FromLongLong(a->t->ref->ts);
    const bool good = now != NULL && !PyErr_Occurred() && call2(a->memory, name_of_tidy, now, NULL);
    Py_XDECREF(now);
    return good;
}

static bool keep(const struct at *a, const struct lockstep_new_order *m, PyObject *venue) {
    PyObject *o = lockstep_cast(&a->o->order);
    if (o == NULL) return false;
    Py_SETREF(HELD(o, Order, order_id), Py_NewRef(a->order_id));
    Py_SETREF(HELD(o, Order, venue), Py_NewRef(venue));
    PyObject *body = PyBytes_FromStringAndSize((const char *)m, sizeof *m);
    if (body != NULL) Py_SETREF(HELD(o, Order, asked), body);
    const bool good = body != NULL && put_unsigned(&HELD(o, Order, source), a->t->ref->source) && put_unsigned(&HELD(o, Order, account), m->account) &&
                      put_unsigned(&HELD(o, Order, instrument), m->instrument) && put_signed(&HELD(o, Order, order_qty), m->order_qty) &&
                      put_unsigned(&HELD(o, Order, side), m->side) && put_unsigned(&HELD(o, Order, strategy), m->strategy) &&
                      put_unsigned(&HELD(o, Order, user), m->user) && put_unsigned(&HELD(o, Order, ord_type), m->ord_type) &&
                      put_unsigned(&HELD(o, Order, tif), m->tif) && put_unsigned(&HELD(o, Order, exec_inst), m->exec_inst) &&
                      put_signed(&HELD(o, Order, price_px), m->price_px) && put_unsigned(&HELD(o, Order, request_seq), a->t->ref->seq) &&
                      lockstep_put(HELD(a->memory, Oms, orders), a->order_id, o);
    Py_DECREF(o);
    return good;
}

static enum handled on_new_order(struct at *a) {
    struct lockstep_new_order m;
    struct lockstep_frame frame;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    memcpy(&frame, a->t->bytes->at + a->t->ref->offset, sizeof frame);
    const bool bare = frame.length == LOCKSTEP_HEAD_BYTES + sizeof m && !m.cl_ord_ref.at && !m.cl_ord_ref.len && !m.cl_ord_ref.zero &&
                      !m.zero0[0] && !m.zero0[1];
    if (!bare || !is_plain_limit(&m) || m.order_id == 0 || m.order_id >> OWN_NUMBER_BITS != a->t->ref->source) return LEFT;
    if (find(a, m.order_id) || a->order_id == NULL || !absent(HELD(a->memory, Oms, archive), a->order_id) ||
        !absent(HELD(a->memory, Oms, parents), a->order_id) || !is_beyond(HELD(a->memory, Oms, left), m.order_id) ||
        !empty_dict(HELD(a->memory, Oms, owners)))
        return LEFT;
    PyObject *instrument = PyLong_FromUnsignedLong(m.instrument);
    PyObject *venue = instrument != NULL ? entry_of(HELD(a->memory, Oms, instrument_venue), instrument) : NULL;
    Py_XDECREF(instrument);
    if (venue == NULL || !is_taken(a, venue, &m) || PyErr_Occurred()) return LEFT;
    Py_INCREF(venue);
    const bool good = tidy(a) && keep(a, &m, venue);
    Py_DECREF(venue);
    return good ? HANDLED : FAILED;
}

/* ---- risk's pass */

/* Routing.route_for where there is one way at most: borrowed. */
static PyObject *way(const struct at *a, const struct lockstep_new_order *m, uint64_t venue) {
    PyObject *routes = HELD(a->memory, Oms, routes), *key, *route, *best = NULL;
    int64_t best_priority = 0, best_destination = 0;
    Py_ssize_t i = 0;
    if (routes == NULL || !PyDict_Check(routes)) return NULL;
    while (PyDict_Next(routes, &i, &key, &route)) {
        int64_t priority, destination;
        if (!IS_A(route, Route) || !whole(HELD(route, Route, priority), &priority) || !whole(HELD(route, Route, destination), &destination))
            return NULL;
        if (!reads(HELD(route, Route, account), m->account) || !reads(HELD(route, Route, venue), venue) ||
            (m->destination && m->destination != destination))
            continue;
        if (priority == 0) priority = 255;
        if (best == NULL || priority < best_priority || (priority == best_priority && destination < best_destination))
            best = route, best_priority = priority, best_destination = destination;
    }
    return best;
}

/* How the gate of a venue's account is called; borrowed. NULL: an error is set. */
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

/* Routing.shut and Ways.shut */
static bool is_open(const struct at *a, uint64_t venue, uint64_t account) {
    PyObject *venues = HELD(a->ways, Ways, venues), *key = name_of_gate(a->o, venue, account);
    PyObject *gate = key != NULL ? entry_of(HELD(a->memory, Oms, gates), key) : NULL;
    return IS_A(gate, Gate) && reads(HELD(gate, Gate, phase), LOCKSTEP_GATEWAY_PHASE_READY) && IS_A(venues, Venues) &&
           absent(HELD(venues, Venues, states), HELD(a->order, Order, venue)) && empty_dict(HELD(a->memory, Oms, overfilled));
}

static bool say_routed(const struct at *a, const struct lockstep_new_order *m, uint64_t hash, uint16_t destination) {
    const struct lockstep_routed_order r = {
        .order_id = m->order_id, .risk_seq = a->t->ref->seq, .content_hash = hash, .order_qty = m->order_qty, .price_px = m->price_px,
        .stop_px = m->stop_px, .display_qty = m->display_qty, .min_qty = m->min_qty, .expire_ts = m->expire_ts, .account = m->account,
        .instrument = m->instrument, .strategy = m->strategy, .exec_inst = m->exec_inst, .destination = destination, .side = m->side,
        .ord_type = m->ord_type, .tif = m->tif, .quantity_type = m->quantity_type, .trail_offset = m->trail_offset,
        .peg_offset = m->peg_offset, .leverage = m->leverage};
    struct saying *s = &a->o->routed;
    return lockstep_say(a->t, s->cls, s->decoder, &s->message, &r, sizeof r);
}

static bool put_empty_bytes(PyObject **slot) {
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL) return false;
    Py_XSETREF(*slot, empty);
    return true;
}

static enum handled on_risk_decision(struct at *a) {
    struct lockstep_risk_decision d;
    struct lockstep_new_order m;
    memcpy(&d, a->t->bytes->at + a->t->body, sizeof d);
    const bool passed = d.decision == LOCKSTEP_DECISION_PASS || d.decision == LOCKSTEP_DECISION_PASS_WITH_WARNING;
    if (!passed || d.request_kind != LOCKSTEP_NEW_ORDER || (d.valid_until_ts && a->t->ref->ts > d.valid_until_ts)) return LEFT;
    if (!find(a, d.order_id) || !is_calm(a) || !stands_alone(a)) return LEFT;
    PyObject *o = a->order, *asked = HELD(o, Order, asked), *pace = HELD(a->memory, Oms, pace);
    if (!reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_RECEIVED) || !reads(HELD(o, Order, request_seq), d.request_seq) ||
        !is_zero(HELD(o, Order, cum_qty)) || !PyBytes_CheckExact(asked) || PyBytes_GET_SIZE(asked) != sizeof m || !IS_A(pace, Pace) ||
        !empty_list(HELD(pace, Pace, rules)))
        return LEFT;
    memcpy(&m, PyBytes_AS_STRING(asked), sizeof m);
    uint64_t venue, destination;
    if (!is_plain_limit(&m) || plain_hash(&m) != d.content_hash || !whole_unsigned(HELD(o, Order, venue), &venue) ||
        !is_open(a, venue, m.account) || !is_free(a, m.account))
        return LEFT;
    PyObject *route = way(a, &m, venue);
    if (route == NULL || !whole_unsigned(HELD(route, Route, destination), &destination)) return LEFT;
    struct report r = {nothing, .used = 0};
    if (!fill_in(a, &r.fixed) || PyErr_Occurred()) return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_PENDING_NEW;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_PENDING_NEW;
    const int64_t due = a->t->ref->ts + a->o->timeout_ns;
    return touch(a) && put_unsigned(&HELD(o, Order, destination), destination) && put_empty_bytes(&HELD(o, Order, asked)) &&
                   put_signed(&HELD(o, Order, deadline), due) && say_routed(a, &m, d.content_hash, (uint16_t)destination) &&
                   put_unsigned(&HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) && say_report(a, &r) && arm(a, due)
               ? HANDLED
               : FAILED;
}

/* ---- what became of it */

static enum handled on_routed_order(struct at *a) {
    struct lockstep_routed_order m;
    int64_t deadline;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (!find(a, m.order_id) || !is_calm(a) || !stands_alone(a)) return LEFT;
    PyObject *o = a->order;
    if (!is_zero(HELD(o, Order, routed_seq)) || !reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) ||
        !whole(HELD(o, Order, deadline), &deadline) || deadline <= 0 || PyErr_Occurred())
        return LEFT;
    return touch(a) && put_unsigned(&HELD(o, Order, routed_seq), a->t->ref->seq) && put_unsigned(&HELD(o, Order, current_seq), a->t->ref->seq) &&
                   arm(a, deadline)
               ? HANDLED
               : FAILED;
}

static enum handled on_order_sent(struct at *a) {
    struct lockstep_order_sent m;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (!m.request_seq || !find(a, m.order_id) || !is_calm(a) || !stands_alone(a)) return LEFT;
    PyObject *o = a->order;
    if (!reads(HELD(o, Order, routed_seq), m.request_seq) || !reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) || PyErr_Occurred())
        return LEFT;
    const int64_t due = a->t->ref->ts + a->o->timeout_ns;
    /* Twice: once for the step, once for the new deadline. */
    return touch(a) && put_signed(&HELD(o, Order, deadline), due) && arm(a, due) && arm(a, due) ? HANDLED : FAILED;
}

/* The venue's own number of an order: told the first time only. False: an error is set. */
static bool note_ref(const struct at *a, struct report *r, const struct lockstep_text *t, const uint8_t *text) {
    if (t->len == 0) return true;
    PyObject **held = &HELD(a->order, Order, venue_order_ref), *ref = PyUnicode_DecodeUTF8((const char *)text, t->len, NULL);
    const int differs = ref != NULL && *held != NULL ? PyObject_RichCompareBool(ref, *held, Py_NE) : -1;
    if (differs > 0) {
        add_text(r, &r->fixed.venue_order_ref, text, t->len);
        Py_SETREF(*held, Py_NewRef(ref));
    }
    Py_XDECREF(ref);
    return differs >= 0;
}

static bool is_text(const uint8_t *text, size_t size) { /* what is not plain ASCII is the Python's to judge */
    for (size_t i = 0; i < size; i++)
        if (text[i] == 0 || text[i] >= 0x80) return false;
    return true;
}

static enum handled on_venue_order_update(struct at *a) {
    struct lockstep_venue_order_update m;
    const uint8_t *ref;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (m.exec_type != LOCKSTEP_EXEC_TYPE_NEW || !text_of(a, &m.venue_order_ref, &ref) || !is_text(ref, m.venue_order_ref.len)) return LEFT;
    if (!m.order_id || !is_news(a, m.account) || !find(a, m.order_id) || !is_calm(a) || !stands_alone(a)) return LEFT;
    PyObject *o = a->order;
    if (!reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) || !is_zero(HELD(o, Order, cum_qty))) return LEFT;
    struct report r = {nothing, .used = 0};
    if (!fill_in(a, &r.fixed) || PyErr_Occurred()) return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_NEW;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_NEW;
    r.fixed.reason = m.reason;
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m.exchange_ts;
    return touch(a) && put_unsigned(&HELD(o, Order, heard_seq), a->t->ref->seq) && note_ref(a, &r, &m.venue_order_ref, ref) &&
                   put_unsigned(&HELD(o, Order, base), LOCKSTEP_ORD_STATUS_NEW) && say_report(a, &r) && disarm(a)
               ? HANDLED
               : FAILED;
}

enum { NOTIONAL_WORD = 62 };

/* Order.add_fill */
static bool add_fill(PyObject *o, PyObject *trade, const struct lockstep_venue_fill *m, int64_t cum, wide notional) {
    PyObject *fill = Py_BuildValue("(LL)", (long long)m->last_qty, (long long)m->last_px);
    const bool good = fill != NULL && PyDict_SetItem(HELD(o, Order, fills), trade, fill) == 0;
    Py_XDECREF(fill);
    return good && put_signed(&HELD(o, Order, cum_qty), cum) && put_signed(&HELD(o, Order, notional_high), (int64_t)(notional >> NOTIONAL_WORD)) &&
           put_signed(&HELD(o, Order, notional_low), (int64_t)(notional & (((wide)1 << NOTIONAL_WORD) - 1)));
}

/* Line.add */
static bool join(PyObject *line, int64_t now, PyObject *order_id) {
    PyObject *when = IS_A(line, Line) ? PyLong_FromLongLong(now) : NULL, *row = when != NULL ? PyTuple_Pack(2, when, order_id) : NULL;
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

/* Core._close of one that is filled. */
static bool fill_up(const struct at *a) {
    return join(HELD(a->memory, Oms, closed), a->t->ref->ts, a->order_id) &&
           put_unsigned(&HELD(a->order, Order, base), LOCKSTEP_ORD_STATUS_FILLED) && put_empty_bytes(&HELD(a->order, Order, asked));
}

/* A fill that fits, of which nothing was heard before. */
static bool fits(const struct at *a, const struct lockstep_venue_fill *m, PyObject *trade, int64_t *cum, wide *notional, bool *last) {
    PyObject *o = a->order;
    int64_t order_qty, high, low;
    uint64_t base;
    if (!whole_unsigned(HELD(o, Order, base), &base) || !whole(HELD(o, Order, order_qty), &order_qty) ||
        !whole(HELD(o, Order, cum_qty), cum) || !whole(HELD(o, Order, notional_high), &high) || !whole(HELD(o, Order, notional_low), &low))
        return false;
    const bool works = base == LOCKSTEP_ORD_STATUS_PENDING_NEW || base == LOCKSTEP_ORD_STATUS_NEW || base == LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED;
    if (!works || (m->side && !is_zero(HELD(o, Order, side)) && !reads(HELD(o, Order, side), m->side)) || high > INT64_C(1) << 60 ||
        high < -(INT64_C(1) << 60) || !absent(HELD(o, Order, fills), trade) || m->last_qty > order_qty - *cum)
        return false;
    *cum += m->last_qty;
    *last = *cum == order_qty;
    *notional = high * ((wide)1 << NOTIONAL_WORD) + low + (wide)m->last_qty * m->last_px;
    return true;
}

static enum handled apply(struct at *a, const struct lockstep_venue_fill *m, PyObject *trade, const char *name, Py_ssize_t size,
                          const uint8_t *ref) {
    int64_t cum;
    wide notional;
    bool last;
    struct report r = {nothing, .used = 0};
    if (!fits(a, m, trade, &cum, &notional, &last) || !fill_in(a, &r.fixed) || PyErr_Occurred()) return LEFT;
    r.fixed.cum_notional = (lockstep_i128){(uint64_t)notional, (int64_t)(notional >> 64)};
    r.fixed.cum_qty = cum;
    r.fixed.leaves_qty = r.fixed.order_qty - cum;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_TRADE;
    r.fixed.ord_status = last ? LOCKSTEP_ORD_STATUS_FILLED : LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED;
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m->exchange_ts;
    r.fixed.last_qty = m->last_qty, r.fixed.last_px = m->last_px;
    r.fixed.fee = m->fee, r.fixed.fee_exp = m->fee_exp, r.fixed.fee_currency = m->fee_currency;
    r.fixed.liquidity = m->liquidity;
    if (!touch(a) || !put_unsigned(&HELD(a->order, Order, heard_seq), a->t->ref->seq) || !note_ref(a, &r, &m->venue_order_ref, ref) ||
        !add_fill(a->order, trade, m, cum, notional) ||
        !(last ? fill_up(a) : put_unsigned(&HELD(a->order, Order, base), LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED)))
        return FAILED;
    add_text(&r, &r.fixed.venue_trade_ref, (const uint8_t *)name, (size_t)size);
    return say_report(a, &r) && disarm(a) ? HANDLED : FAILED;
}

/* Reconciling.note: what a later download is compared with. */
static bool note(const struct at *a, const struct lockstep_venue_fill *m, PyObject *trade) {
    const int64_t now = a->t->ref->ts;
    PyObject *noted = PyObject_CallFunction(a->o->trade, "LKLiI", (long long)(m->exchange_ts ? m->exchange_ts : now),
                                            (unsigned long long)a->t->ref->seq, (long long)m->fee, (int)m->fee_exp, m->fee_currency);
    PyObject *result = noted != NULL ? PyObject_CallMethod(a->reconciling, "note", "IOOOL", m->account, a->order_id, trade, noted, (long long)now) : NULL;
    Py_XDECREF(noted);
    Py_XDECREF(result);
    return result != NULL;
}

/* str(n) */
static PyObject *decimal(uint64_t n) {
    char digits[20], *at = digits + sizeof digits;
    do *--at = (char)('0' + n % 10);
    while (n /= 10);
    return PyUnicode_FromStringAndSize(at, digits + sizeof digits - at);
}

static enum handled on_venue_fill(struct at *a) {
    struct lockstep_venue_fill m;
    const uint8_t *ref, *trade_ref;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    const wide most = MANTISSA_MAX;
    if (m.last_qty <= 0 || m.last_qty >= most || m.last_px <= -most || m.last_px >= most || !text_of(a, &m.venue_order_ref, &ref) ||
        !is_text(ref, m.venue_order_ref.len) || !text_of(a, &m.venue_trade_ref, &trade_ref) || !is_text(trade_ref, m.venue_trade_ref.len) ||
        (!m.trade_no && !m.venue_trade_ref.len))
        return LEFT;
    if (!m.order_id || !is_news(a, m.account) || !find(a, m.order_id) || !is_calm(a) || !stands_alone(a)) return LEFT;
    PyObject *trade = m.trade_no ? decimal(m.trade_no)
                                 : PyUnicode_FromStringAndSize((const char *)trade_ref, m.venue_trade_ref.len);
    /* What the report names is the venue's text, or its number. */
    Py_ssize_t size = m.venue_trade_ref.len;
    const char *name = size ? (const char *)trade_ref : trade != NULL ? PyUnicode_AsUTF8AndSize(trade, &size) : NULL;
    enum handled done = trade != NULL && name != NULL ? apply(a, &m, trade, name, size, ref) : FAILED;
    if (done == HANDLED && a->reconciling != NULL && !note(a, &m, trade)) done = FAILED;
    Py_XDECREF(trade);
    return done;
}

/* ---- one frame */

static const struct {
    long kind;
    Py_ssize_t bytes;
    enum handled (*handle)(struct at *a);
} handlers[] = {
    {LOCKSTEP_NEW_ORDER, sizeof(struct lockstep_new_order), on_new_order},
    {LOCKSTEP_RISK_DECISION, sizeof(struct lockstep_risk_decision), on_risk_decision},
    {LOCKSTEP_ROUTED_ORDER, sizeof(struct lockstep_routed_order), on_routed_order},
    {LOCKSTEP_ORDER_SENT, sizeof(struct lockstep_order_sent), on_order_sent},
    {LOCKSTEP_VENUE_ORDER_UPDATE, sizeof(struct lockstep_venue_order_update), on_venue_order_update},
    {LOCKSTEP_VENUE_FILL, sizeof(struct lockstep_venue_fill), on_venue_fill},
};
enum { HANDLERS = sizeof handlers / sizeof *handlers };

static enum handled on_frame(PyObject *self, const struct turn *t) {
    struct at a = {.o = (Orders *)self, .t = t};
    PyObject *machine = a.o->native.of, *synthetic = NULL;
    if (machine == NULL) return LEFT;
    a.memory = PyObject_GetAttr(machine, name_of_memory);
    if (a.memory != NULL) synthetic = PyObject_GetAttr(machine, name_of_synthetic);
    enum handled done = LEFT;
    if (synthetic == Py_False && IS_A(a.memory, Oms) && is_quiet(&a))
        for (int i = 0; i < HANDLERS; i++)
            if (t->ref->kind == handlers[i].kind) done = handlers[i].handle(&a);
    Py_XDECREF(synthetic);
    Py_XDECREF(a.memory);
    Py_XDECREF(a.order_id);
    Py_XDECREF(a.order);
    return PyErr_Occurred() ? FAILED : done;
}

static bool learn_saying(PyObject *cls, struct saying *s) {
    s->decoder = PyObject_GetAttrString(cls, "decode");
    if (s->decoder == NULL || !Py_IS_TYPE(s->decoder, lockstep_messages->decoder)) {
        PyErr_Format(PyExc_TypeError, "%R: no decoder of ours", cls);
        return false;
    }
    s->cls = (PyTypeObject *)Py_NewRef(cls);
    return true;
}

static bool learn_names(void) {
    struct {
        PyObject **name;
        const char *text;
    } names[] = {{&name_of_memory, "memory"}, {&name_of_synthetic, "synthetic"}, {&name_of_tidy, "tidy"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i].name == NULL && (*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL) return false;
    return true;
}

/* Orders(machine, {name: class}, kind, timeout_ns, at_hand_ns, RoutedOrder, ExecutionReport, Trade) */
static PyObject *orders_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *machine, *classes, *routed, *report, *trade;
    int kind;
    long long timeout_ns, at_hand_ns;
    if (!PyArg_ParseTuple(args, "OO!iLLO!O!O!", &machine, &PyDict_Type, &classes, &kind, &timeout_ns, &at_hand_ns, &PyType_Type, &routed,
                          &PyType_Type, &report, &PyType_Type, &trade) ||
        !learn_names() || !lockstep_learn_places(classes))
        return NULL;
    Orders *o = (Orders *)type->tp_alloc(type, 0);
    if (o == NULL) return NULL;
    o->native.handle = on_frame;
    o->native.bytes = PY_SSIZE_T_MAX;
    for (int i = 0; i < HANDLERS; i++)
        if (handlers[i].kind == kind) o->native.bytes = handlers[i].bytes;
    o->native.of = Py_NewRef(machine);
    o->trade = Py_NewRef(trade);
    o->timeout_ns = timeout_ns, o->at_hand_ns = at_hand_ns;
    enum { REQUIRED = 5 }; /* of Order */
    if (learn_saying(routed, &o->routed) && learn_saying(report, &o->report) && lockstep_mould_of(&o->order, lockstep_classes[CLASS_Order], REQUIRED))
        return (PyObject *)o;
    Py_DECREF(o);
    return NULL;
}

static void dealloc(PyObject *self) {
    Orders *o = (Orders *)self;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(o->native.of);
    Py_CLEAR(o->trade);
    lockstep_break(&o->order);
    for (int i = 0; i < GATES_KEPT; i++) Py_CLEAR(o->gates[i].name);
    struct saying *const both[] = {&o->routed, &o->report};
    for (int i = 0; i < 2; i++) {
        Py_CLEAR(both[i]->cls);
        Py_CLEAR(both[i]->decoder);
        Py_CLEAR(both[i]->message);
    }
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_orders_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Orders",
    .tp_basicsize = sizeof(Orders),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = orders_new,
    .tp_dealloc = dealloc,
};
