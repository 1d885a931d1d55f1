/* oms.OrderManager for the life of a plain order that goes as it should: asked, passed by risk, routed, sent, acknowledged,
 * filled; while nothing stands in its way and nothing else depends on it. One handler for each of these frames; those of its
 * cancels and replaces are in cancels.c and replaces.c. Whatever is otherwise is left to the Python, which is the reference;
 * nothing is changed before all is known to go as it should. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "oms.h"
#include "plain.h"

static PyObject *name_of_tidy;

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
    if (PyErr_Occurred()) return false;
    PyObject *now = PyLong_FromLongLong(a->t->ref->ts), *done = now != NULL ? PyObject_CallMethodOneArg(a->memory, name_of_tidy, now) : NULL;
    Py_XDECREF(now);
    Py_XDECREF(done);
    return done != NULL;
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
    if (!bare || !is_plain(&m) || m.order_id == 0 || m.order_id >> OWN_NUMBER_BITS != a->t->ref->source) return LEFT;
    if (oms_find(a, m.order_id) || a->order_id == NULL || !absent(HELD(a->memory, Oms, archive), a->order_id) ||
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

static bool say_routed(const struct at *a, const struct lockstep_new_order *m, uint64_t hash, uint16_t destination) {
    const struct lockstep_routed_order r = {
        .order_id = m->order_id, .risk_seq = a->t->ref->seq, .content_hash = hash, .order_qty = m->order_qty, .price_px = m->price_px,
        .stop_px = m->stop_px, .display_qty = m->display_qty, .min_qty = m->min_qty, .expire_ts = m->expire_ts, .account = m->account,
        .instrument = m->instrument, .strategy = m->strategy, .exec_inst = m->exec_inst, .destination = destination, .side = m->side,
        .ord_type = m->ord_type, .tif = m->tif, .quantity_type = m->quantity_type, .trail_offset = m->trail_offset,
        .peg_offset = m->peg_offset, .leverage = m->leverage};
    return oms_say(a, &a->o->routed_order, &r, sizeof r);
}

static enum handled on_risk_decision(struct at *a) {
    struct lockstep_risk_decision d;
    struct lockstep_new_order m;
    memcpy(&d, a->t->bytes->at + a->t->body, sizeof d);
    if (d.decision != LOCKSTEP_DECISION_PASS && d.decision != LOCKSTEP_DECISION_PASS_WITH_WARNING) return LEFT;
    if (d.request_kind == LOCKSTEP_REPLACE_ORDER) return oms_on_replace_decided(a, &d);
    if (d.request_kind != LOCKSTEP_NEW_ORDER || (d.valid_until_ts && a->t->ref->ts > d.valid_until_ts)) return LEFT;
    if (!oms_find(a, d.order_id) || !oms_is_calm(a) || !oms_stands_alone(a)) return LEFT;
    PyObject *o = a->order, *asked = HELD(o, Order, asked);
    if (!reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_RECEIVED) || !reads(HELD(o, Order, request_seq), d.request_seq) ||
        !is_zero(HELD(o, Order, cum_qty)) || !PyBytes_CheckExact(asked) || PyBytes_GET_SIZE(asked) != sizeof m || !oms_is_unpaced(a) ||
        !oms_is_open(a))
        return LEFT;
    memcpy(&m, PyBytes_AS_STRING(asked), sizeof m);
    uint64_t venue, destination;
    if (!is_plain(&m) || plain_hash(&m) != d.content_hash || !whole_unsigned(HELD(o, Order, venue), &venue) ||
        !oms_is_free(a, m.account))
        return LEFT;
    PyObject *route = way(a, &m, venue);
    if (route == NULL || !whole_unsigned(HELD(route, Route, destination), &destination)) return LEFT;
    struct report r = EMPTY_REPORT;
    if (!oms_fill_in(a, &r) || PyErr_Occurred()) return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_PENDING_NEW;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_PENDING_NEW;
    return oms_touch(a) && put_unsigned(&HELD(o, Order, destination), destination) && oms_put_empty_bytes(&HELD(o, Order, asked)) &&
                   put_signed(&HELD(o, Order, deadline), a->t->ref->ts + a->o->timeout_ns) &&
                   say_routed(a, &m, d.content_hash, (uint16_t)destination) &&
                   put_unsigned(&HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) && oms_say_report(a, &r) && oms_arm(a)
               ? HANDLED
               : FAILED;
}

/* ---- what became of it */

static enum handled on_routed_order(struct at *a) {
    struct lockstep_routed_order m;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (!oms_find(a, m.order_id) || !oms_is_calm(a) || !oms_stands_alone(a)) return LEFT;
    PyObject *o = a->order;
    if (!is_zero(HELD(o, Order, routed_seq)) || !reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) || PyErr_Occurred())
        return LEFT;
    return oms_touch(a) && put_unsigned(&HELD(o, Order, routed_seq), a->t->ref->seq) &&
                   put_unsigned(&HELD(o, Order, current_seq), a->t->ref->seq) && oms_arm(a)
               ? HANDLED
               : FAILED;
}

/* Until when what a frame of ours asked for ought to be answered; NULL: no such thing is under way. */
static PyObject **deadline_of(const struct at *a, uint64_t request_seq) {
    PyObject *o = a->order, *const requests[] = {a->cancel, a->replace};
    for (int i = 0; i < 2; i++)
        if (requests[i] != NULL && reads(HELD(requests[i], Request, routed_seq), request_seq)) return &HELD(requests[i], Request, deadline);
    const bool is_new = reads(HELD(o, Order, routed_seq), request_seq) && reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW);
    return is_new ? &HELD(o, Order, deadline) : NULL;
}

static enum handled on_order_sent(struct at *a) {
    struct lockstep_order_sent m;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (!m.request_seq || !oms_find(a, m.order_id) || !oms_is_known(a) || !oms_stands_alone(a)) return LEFT;
    PyObject **deadline = deadline_of(a, m.request_seq);
    if (deadline == NULL || PyErr_Occurred()) return LEFT;
    /* Armed twice for a new order: once for its step, once for the new deadline. */
    const bool stepped = deadline == &HELD(a->order, Order, deadline);
    return oms_touch(a) && put_signed(deadline, a->t->ref->ts + a->o->timeout_ns) && oms_arm(a) && (!stepped || oms_arm(a)) ? HANDLED
                                                                                                                           : FAILED;
}

static enum handled acknowledge(struct at *a, const struct lockstep_venue_order_update *m, const uint8_t *ref) {
    PyObject *o = a->order;
    struct report r = EMPTY_REPORT;
    if (!reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW) || !is_zero(HELD(o, Order, cum_qty)) || !oms_fill_in(a, &r) ||
        PyErr_Occurred())
        return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_NEW;
    r.fixed.ord_status = oms_status(a, LOCKSTEP_ORD_STATUS_NEW);
    r.fixed.reason = m->reason;
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m->exchange_ts;
    return oms_touch(a) && put_unsigned(&HELD(o, Order, heard_seq), a->t->ref->seq) && oms_note_ref(a, &r, &m->venue_order_ref, ref) &&
                   put_unsigned(&HELD(o, Order, base), LOCKSTEP_ORD_STATUS_NEW) && oms_say_report(a, &r) && oms_arm(a)
               ? HANDLED
               : FAILED;
}

static enum handled on_venue_order_update(struct at *a) {
    struct lockstep_venue_order_update m;
    const uint8_t *ref;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (!oms_text(a, &m.venue_order_ref, &ref) || !m.order_id || !oms_is_news(a, m.account) || !oms_find(a, m.order_id) ||
        !oms_is_known(a) || !oms_stands_alone(a))
        return LEFT;
    switch (m.exec_type) {
    case LOCKSTEP_EXEC_TYPE_NEW: return acknowledge(a, &m, ref);
    case LOCKSTEP_EXEC_TYPE_CANCELED: return oms_on_canceled(a, &m, ref);
    case LOCKSTEP_EXEC_TYPE_REPLACED: return oms_on_replaced(a, &m, ref);
    default: return LEFT;
    }
}

/* Order.add_fill */
static bool add_fill(PyObject *o, PyObject *trade, const struct lockstep_venue_fill *m, int64_t cum, wide notional) {
    PyObject *qty = PyLong_FromLongLong(m->last_qty), *px = PyLong_FromLongLong(m->last_px);
    PyObject *fill = qty != NULL && px != NULL ? PyTuple_Pack(2, qty, px) : NULL;
    Py_XDECREF(qty);
    Py_XDECREF(px);
    if (fill != NULL) PyObject_GC_UnTrack(fill); /* of numbers: the collector need not look at it, nor at the dict of such */
    const bool good = fill != NULL && PyDict_SetItem(HELD(o, Order, fills), trade, fill) == 0;
    Py_XDECREF(fill);
    return good && put_signed(&HELD(o, Order, cum_qty), cum) && put_signed(&HELD(o, Order, notional_high), (int64_t)(notional >> NOTIONAL_WORD)) &&
           put_signed(&HELD(o, Order, notional_low), (int64_t)(notional & (((wide)1 << NOTIONAL_WORD) - 1)));
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
    if (*last && (a->cancel != NULL || a->replace != NULL)) return false; /* who asked is told that it was too late */
    *notional = high * ((wide)1 << NOTIONAL_WORD) + low + (wide)m->last_qty * m->last_px;
    return true;
}

static enum handled apply(struct at *a, const struct lockstep_venue_fill *m, PyObject *trade, const char *name, Py_ssize_t size,
                          const uint8_t *ref) {
    int64_t cum;
    wide notional;
    bool last;
    struct report r = EMPTY_REPORT;
    if (!fits(a, m, trade, &cum, &notional, &last) || !oms_fill_in(a, &r) || PyErr_Occurred()) return LEFT;
    r.fixed.cum_notional = (lockstep_i128){(uint64_t)notional, (int64_t)(notional >> 64)};
    r.fixed.cum_qty = cum;
    r.fixed.leaves_qty = r.fixed.order_qty - cum;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_TRADE;
    r.fixed.ord_status = last ? LOCKSTEP_ORD_STATUS_FILLED : oms_status(a, LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED);
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m->exchange_ts;
    r.fixed.last_qty = m->last_qty, r.fixed.last_px = m->last_px;
    r.fixed.fee = m->fee, r.fixed.fee_exp = m->fee_exp, r.fixed.fee_currency = m->fee_currency;
    r.fixed.liquidity = m->liquidity;
    if (!oms_touch(a) || !put_unsigned(&HELD(a->order, Order, heard_seq), a->t->ref->seq) || !oms_note_ref(a, &r, &m->venue_order_ref, ref) ||
        !add_fill(a->order, trade, m, cum, notional) ||
        !(last ? oms_close(a, LOCKSTEP_ORD_STATUS_FILLED) : put_unsigned(&HELD(a->order, Order, base), LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED)))
        return FAILED;
    oms_add_text(&r, &r.fixed.venue_trade_ref, (const uint8_t *)name, (size_t)size);
    return oms_say_report(a, &r) && oms_arm(a) ? HANDLED : FAILED;
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
    if (m.last_qty <= 0 || m.last_qty >= most || m.last_px <= -most || m.last_px >= most || !oms_text(a, &m.venue_order_ref, &ref) ||
        !oms_text(a, &m.venue_trade_ref, &trade_ref) || (!m.trade_no && !m.venue_trade_ref.len))
        return LEFT;
    if (!m.order_id || !oms_is_news(a, m.account) || !oms_find(a, m.order_id) || !oms_is_known(a) || !oms_stands_alone(a)) return LEFT;
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
    {LOCKSTEP_REPLACE_ORDER, sizeof(struct lockstep_replace_order), oms_on_replace_order},
    {LOCKSTEP_CANCEL_ORDER, sizeof(struct lockstep_cancel_order), oms_on_cancel_order},
    {LOCKSTEP_RISK_DECISION, sizeof(struct lockstep_risk_decision), on_risk_decision},
    {LOCKSTEP_ROUTED_ORDER, sizeof(struct lockstep_routed_order), on_routed_order},
    {LOCKSTEP_ROUTED_REPLACE, sizeof(struct lockstep_routed_replace), oms_on_routed_replace},
    {LOCKSTEP_ROUTED_CANCEL, sizeof(struct lockstep_routed_cancel), oms_on_routed_cancel},
    {LOCKSTEP_ORDER_SENT, sizeof(struct lockstep_order_sent), on_order_sent},
    {LOCKSTEP_VENUE_ORDER_UPDATE, sizeof(struct lockstep_venue_order_update), on_venue_order_update},
    {LOCKSTEP_VENUE_FILL, sizeof(struct lockstep_venue_fill), on_venue_fill},
};
enum { HANDLERS = sizeof handlers / sizeof *handlers };

static enum handled on_frame(PyObject *self, const struct turn *t) {
    struct at a = {.o = (Orders *)self, .t = t};
    PyObject *machine = a.o->native.of;
    if (machine == NULL) return LEFT;
    a.memory = Py_XNewRef(HELD(machine, Core, memory));
    enum handled done = LEFT;
    if (HELD(machine, Core, synthetic) == Py_False && IS_A(a.memory, Oms) && oms_is_quiet(&a))
        for (int i = 0; i < HANDLERS; i++)
            if (t->ref->kind == handlers[i].kind) done = handlers[i].handle(&a);
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

/* Orders(machine, {name: class}, kind, timeout_ns, at_hand_ns, RoutedOrder, RoutedReplace, RoutedCancel, ExecutionReport, Trade) */
static PyObject *orders_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *machine, *classes, *routed_order, *routed_replace, *routed_cancel, *report, *trade;
    int kind;
    long long timeout_ns, at_hand_ns;
    if (!PyArg_ParseTuple(args, "OO!iLLO!O!O!O!O!", &machine, &PyDict_Type, &classes, &kind, &timeout_ns, &at_hand_ns, &PyType_Type,
                          &routed_order, &PyType_Type, &routed_replace, &PyType_Type, &routed_cancel, &PyType_Type, &report, &PyType_Type,
                          &trade) ||
        !lockstep_learn_places(classes) || !lockstep_is_of(machine, CLASS_Core) ||
        (name_of_tidy == NULL && (name_of_tidy = PyUnicode_InternFromString("tidy")) == NULL))
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
    if (learn_saying(routed_order, &o->routed_order) && learn_saying(routed_replace, &o->routed_replace) &&
        learn_saying(routed_cancel, &o->routed_cancel) && learn_saying(report, &o->report) &&
        lockstep_mould_of(&o->order, lockstep_classes[CLASS_Order], REQUIRED))
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
    struct saying *const all[] = {&o->routed_order, &o->routed_replace, &o->routed_cancel, &o->report};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        Py_CLEAR(all[i]->cls);
        Py_CLEAR(all[i]->decoder);
        Py_CLEAR(all[i]->message);
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
