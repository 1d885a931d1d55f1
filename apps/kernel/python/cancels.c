/* oms.OrderManager for the cancel of a plain order: asked by its owner, routed, and confirmed by the venue. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "oms.h"

static bool keep(const struct at *a, uint32_t version, uint16_t reason) {
    PyObject *of[] = {PyLong_FromUnsignedLongLong(a->t->ref->seq), PyLong_FromUnsignedLong(version), PyLong_FromLong(reason),
                      Py_NewRef(Py_True), PyLong_FromLong(0), PyLong_FromLongLong(a->t->ref->ts + a->o->timeout_ns)};
    PyObject *request = oms_make(lockstep_classes[CLASS_Request], of, sizeof of / sizeof *of);
    if (request == NULL) return false;
    Py_XSETREF(HELD(a->order, Order, cancel), request);
    return true;
}

/* Everything that is at the venue or on its way there; a pending replace does not hold it back. */
enum handled oms_on_cancel_order(struct at *a) {
    struct lockstep_cancel_order m;
    uint32_t version;
    uint64_t destination, current_seq;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    if (m.release_ts > a->t->ref->ts || !oms_may_change(a, m.order_id, m.version, m.conditional_on_version, &version) ||
        a->cancel != NULL || !oms_is_unpaced(a))
        return LEFT;
    PyObject *o = a->order;
    struct report r = EMPTY_REPORT;
    if ((!oms_works(a) && !reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW)) ||
        !whole_unsigned(HELD(o, Order, destination), &destination) || !whole_unsigned(HELD(o, Order, current_seq), &current_seq) ||
        !oms_fill_in(a, &r) || PyErr_Occurred())
        return LEFT;
    const uint16_t reason = m.reason ? m.reason : LOCKSTEP_REASON_USER_REQUEST;
    const struct lockstep_routed_cancel routed = {
        .order_id = m.order_id, .orig_request_seq = current_seq, .account = r.fixed.account, .instrument = r.fixed.instrument,
        .version = version, .destination = (uint16_t)destination, .reason = reason};
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_PENDING_CANCEL;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_PENDING_CANCEL;
    r.fixed.version = version;
    r.fixed.reason = reason;
    return oms_touch(a) && keep(a, version, reason) && oms_say(a, &a->o->routed_cancel, &routed, sizeof routed) &&
                   oms_say_report(a, &r) && oms_arm(a) && oms_note_version(a, version)
               ? HANDLED
               : FAILED;
}

enum handled oms_on_routed_cancel(struct at *a) {
    struct lockstep_routed_cancel m;
    memcpy(&m, a->t->bytes->at + a->t->body, sizeof m);
    return oms_learn_number(a, m.order_id, m.version, &a->cancel);
}

/* Why it ended: what the venue says, unless it says no more than that it was asked; then why we asked. */
static bool reason_of(const struct at *a, uint16_t told, uint16_t *reason) {
    uint64_t asked = 0;
    if (a->cancel != NULL && !whole_unsigned(HELD(a->cancel, Request, reason), &asked)) return false;
    *reason = told && told != LOCKSTEP_REASON_USER_REQUEST ? told : asked ? (uint16_t)asked : told ? told : LOCKSTEP_REASON_VENUE_OTHER;
    return true;
}

/* Asked for or not, its fills all known. Who waits for a replace is told that it was too late: that is left. */
enum handled oms_on_canceled(struct at *a, const struct lockstep_venue_order_update *m, const uint8_t *ref) {
    PyObject *o = a->order;
    struct report r = EMPTY_REPORT;
    if (a->replace != NULL || (!oms_works(a) && !reads(HELD(o, Order, base), LOCKSTEP_ORD_STATUS_PENDING_NEW)) ||
        !oms_fill_in(a, &r) || !reason_of(a, m->reason, &r.fixed.reason) ||
        (m->cum_qty > r.fixed.cum_qty && m->cum_qty < MANTISSA_MAX) || PyErr_Occurred())
        return LEFT;
    r.fixed.exec_type = LOCKSTEP_EXEC_TYPE_CANCELED;
    r.fixed.ord_status = LOCKSTEP_ORD_STATUS_CANCELED;
    r.fixed.leaves_qty = 0;
    r.fixed.cxl_qty = r.fixed.order_qty - r.fixed.cum_qty;
    r.fixed.venue_frame_seq = a->t->ref->seq;
    r.fixed.exchange_ts = m->exchange_ts;
    return oms_touch(a) && put_unsigned(&HELD(o, Order, heard_seq), a->t->ref->seq) && oms_note_ref(a, &r, &m->venue_order_ref, ref) &&
                   oms_close(a, LOCKSTEP_ORD_STATUS_CANCELED) && oms_say_report(a, &r) && oms_arm(a)
               ? HANDLED
               : FAILED;
}
