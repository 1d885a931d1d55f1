/* oms.OrderManager for a replace of a plain order in price and quantity: asked by its owner, passed by risk, routed, and confirmed
 * by the venue. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "journal/kernel/blake2b.h"

#include "oms.h"

/* The terms that an order, or a replace of one, has; they are packed so for the hash. */
struct terms {
    uint64_t order_id;
    int64_t order_qty, price_px, stop_px, display_qty, expire_ts;
};

static bool keep(const struct at *a, uint32_t version, const struct terms *t) {
    PyObject *of[] = {PyLong_FromUnsignedLongLong(a->t->ref->seq), PyLong_FromUnsignedLong(version), PyLong_FromLong(0),
                      Py_NewRef(Py_False), PyLong_FromLong(0), PyLong_FromLong(0), PyLong_FromLongLong(t->order_qty),
                      PyLong_FromLongLong(t->price_px), PyLong_FromLongLong(t->stop_px), PyLong_FromLongLong(t->display_qty),
                      PyLong_FromLongLong(t->expire_ts)};
    PyObject *request = oms_make(lockstep_classes[CLASS_Request], of, sizeof of / sizeof *of);
    if (request == NULL) return false;
    Py_XSETREF(HELD(a->order, Order, replace), request);
    return true;
}

/* Asked.on_replace_order: what is wanted, if it makes sense and leaves the other terms as they are. */
static bool wanted(const struct at *a, const struct lockstep_replace_order *m, struct terms *t) {
    PyObject *o = a->order;
    int64_t order_qty, price_px, cum_qty;
    if (m->stop_px != NO_VALUE || m->display_qty != NO_VALUE || m->expire_ts || !whole(HELD(o, Order, order_qty), &order_qty) ||
        !whole(HELD(o, Order, price_px), &price_px) || !whole(HELD(o, Order, cum_qty), &cum_qty) ||
        !whole(HELD(o, Order, stop_px), &t->stop_px) || !whole(HELD(o, Order, display_qty), &t->display_qty) ||
        !whole(HELD(o, Order, expire_ts), &t->expire_ts) || !reads(HELD(o, Order, ord_type), LOCKSTEP_ORD_TYPE_LIMIT))
        return false;
    t->order_qty = m->order_qty == NO_VALUE ? order_qty : m->order_qty;
    t->price_px = m->price_px == NO_VALUE ? price_px : m->price_px;
    return t->order_qty > 0 && t->order_qty < MANTISSA_MAX && t->order_qty >= cum_qty &&
           (t->order_qty != order_qty || t->price_px != price_px);
}

enum handled oms_on_replace_order(struct at *a) {
    struct lockstep_replace_order m;
    struct terms t;
    struct report r = EMPTY_REPORT;
    uint32_t version;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (m.release_ts > a->t->ref->ts || !oms_may_change(a, m.order_id, m.version, m.conditional_on_version, &version) ||
        a->cancel != NULL || a->replace != NULL || !oms_works(a) || !wanted(a, &m, &t) || !oms_fill_in(a, &r) || PyErr_Occurred())
        return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_PENDING_REPLACE;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_PENDING_REPLACE;
    r.fixed.version = version;
    r.fixed.exec_ref_seq = a->t->ref->seq;
    return oms_touch(a) && keep(a, version, &t) && oms_say_report(a, &r) && oms_arm(a) && oms_note_version(a, version) ? HANDLED
                                                                                                                       : FAILED;
}

/* The terms and the version of the replace under way, if no end of it is ours to keep. */
static bool read_terms(const struct at *a, struct terms *t, uint64_t *version) {
    PyObject *w = a->replace;
    return whole(HELD(w, Request, order_qty), &t->order_qty) && whole(HELD(w, Request, price_px), &t->price_px) &&
           whole(HELD(w, Request, stop_px), &t->stop_px) && whole(HELD(w, Request, display_qty), &t->display_qty) &&
           whole(HELD(w, Request, expire_ts), &t->expire_ts) && HELD(w, Request, end_kept) == Py_False &&
           whole_unsigned(HELD(w, Request, version), version) && whole_unsigned(HELD(a->order, Order, order_id), &t->order_id);
}

/* journal.messages.replace_hash */
static uint64_t hash_of(const struct terms *t) {
    uint64_t hash;
    lockstep_blake2b(t, sizeof *t, &hash, sizeof hash);
    return hash;
}

static bool set_routed(const struct at *a) {
    Py_XSETREF(HELD(a->replace, Request, routed), Py_NewRef(Py_True));
    return put_signed(&HELD(a->replace, Request, deadline), a->t->ref->ts + a->o->timeout_ns);
}

/* A pass for exactly what was asked, of which nothing has been sent yet. */
enum handled oms_on_replace_decided(struct at *a, const struct lockstep_risk_decision *d) {
    struct terms t;
    uint64_t version, account, instrument, destination, current_seq, side;
    if (!oms_find(a, d->order_id) || !oms_is_known(a) || !oms_stands_alone(a) || a->cancel != NULL || a->replace == NULL || !oms_works(a))
        return LEFT;
    PyObject *o = a->order;
    if (!reads(HELD(a->replace, Request, request_seq), d->request_seq) || HELD(a->replace, Request, routed) != Py_False ||
        !read_terms(a, &t, &version) || hash_of(&t) != d->content_hash || !oms_is_unpaced(a) || !oms_is_open(a) ||
        !whole_unsigned(HELD(o, Order, account), &account) || !whole_unsigned(HELD(o, Order, instrument), &instrument) ||
        !whole_unsigned(HELD(o, Order, destination), &destination) || !whole_unsigned(HELD(o, Order, current_seq), &current_seq) ||
        !whole_unsigned(HELD(o, Order, side), &side) || !oms_is_free(a, (uint32_t)account) || PyErr_Occurred())
        return LEFT;
    const struct lockstep_routed_replace routed = {
        .order_id = t.order_id, .risk_seq = a->t->ref->seq, .content_hash = d->content_hash, .orig_request_seq = current_seq,
        .order_qty = t.order_qty, .price_px = t.price_px, .stop_px = t.stop_px, .display_qty = t.display_qty, .expire_ts = t.expire_ts,
        .account = (uint32_t)account, .instrument = (uint32_t)instrument, .version = (uint32_t)version,
        .destination = (uint16_t)destination, .replace_mode = LOCKSTEP_REPLACE_MODE_AMEND, .side = (uint8_t)side};
    /* Armed for the step, and with the deadline. */
    return oms_touch(a) && oms_arm(a) && set_routed(a) && oms_say(a, &a->o->routed_replace, &routed, sizeof routed) && oms_arm(a) ? HANDLED
                                                                                                                                 : FAILED;
}

enum handled oms_on_routed_replace(struct at *a) {
    struct lockstep_routed_replace m;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    return oms_learn_number(a, m.order_id, m.version, &a->replace);
}

/* Let the terms of the replace, as the venue has taken them, be those of the order; the replace is done with. */
static bool take(const struct at *a, const struct terms *t, uint64_t version, uint64_t routed_seq) {
    PyObject *o = a->order;
    Py_XSETREF(HELD(o, Order, replace), Py_NewRef(Py_None));
    return put_signed(&HELD(o, Order, order_qty), t->order_qty) && put_signed(&HELD(o, Order, price_px), t->price_px) &&
           put_signed(&HELD(o, Order, stop_px), t->stop_px) && put_signed(&HELD(o, Order, display_qty), t->display_qty) &&
           put_signed(&HELD(o, Order, expire_ts), t->expire_ts) && put_unsigned(&HELD(o, Order, version), version) &&
           (!routed_seq || put_unsigned(&HELD(o, Order, current_seq), routed_seq));
}

/* What the venue says of the terms goes before what was asked; but one that has less than was filled has ended, which is left. */
enum handled oms_on_replaced(struct at *a, const struct lockstep_venue_order_update *m, const uint8_t *ref) {
    struct terms t;
    struct report r = EMPTY_REPORT;
    uint64_t version, request_seq, routed_seq;
    if (a->replace == NULL || !oms_works(a) || !read_terms(a, &t, &version) || !oms_fill_in(a, &r) ||
        !whole_unsigned(HELD(a->replace, Request, request_seq), &request_seq) ||
        !whole_unsigned(HELD(a->replace, Request, routed_seq), &routed_seq))
        return LEFT;
    if (m->order_qty > 0 && m->order_qty < MANTISSA_MAX) t.order_qty = m->order_qty;
    if (m->price_px != NO_VALUE && t.price_px != NO_VALUE) t.price_px = m->price_px;
    if (m->stop_px != NO_VALUE && t.stop_px != NO_VALUE) t.stop_px = m->stop_px;
    if (t.order_qty <= r.fixed.cum_qty || PyErr_Occurred()) return LEFT;
    r.fixed.order_qty = t.order_qty, r.fixed.price_px = t.price_px, r.fixed.stop_px = t.stop_px;
    r.fixed.leaves_qty = t.order_qty - r.fixed.cum_qty;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_REPLACED;
    r.fixed.ord_status = a->cancel != NULL ? LOCKSTEP_ORD_STATUS_PENDING_CANCEL : r.fixed.ord_status;
    r.fixed.version = (uint32_t)version;
    r.fixed.reason = m->reason;
    r.fixed.exec_ref_seq = request_seq;
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m->exchange_ts;
    return oms_touch(a) && put_unsigned(&HELD(a->order, Order, heard_seq), a->t->ref->seq) &&
                   oms_note_ref(a, &r, &m->venue_order_ref, ref) && take(a, &t, version, routed_seq) && oms_say_report(a, &r) && oms_arm(a)
               ? HANDLED
               : FAILED;
}
