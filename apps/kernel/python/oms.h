/* What the twins of oms.OrderManager have in common (orders.c, cancels.c, replaces.c): one frame and the order that it is about,
 * what must be so that the order is plain, and what is said and set. Stands behind journal/kernel/messages.h, which has no guard. */
#ifndef LOCKSTEP_OMS_H
#define LOCKSTEP_OMS_H

#include "exact.h"
#include "places.h"

/* A kind of message that the order manager says. */
struct saying {
    PyTypeObject *cls;
    PyObject *decoder, *message;
};
/* How the gate of a venue's account is called. */
struct gate_name {
    uint64_t venue, account;
    PyObject *name;
};
enum { GATES_KEPT = 64 };
typedef struct {
    Native native; /* of an OrderManager */
    struct saying routed_order, routed_replace, routed_cancel, report;
    PyObject *trade; /* oms.differences.Trade */
    struct mould order;
    struct gate_name gates[GATES_KEPT];
    int64_t timeout_ns, at_hand_ns; /* until a request ought to be answered; until what closed is archived */
} Orders;

/* One frame, and whom it is about. */
struct at {
    Orders *o;
    const struct turn *t;
    PyObject *memory, *instructions, *ways; /* the first a reference of its own */
    PyObject *reconciling;                  /* NULL: nothing is compared */
    uint64_t id;
    PyObject *order_id, *order;             /* references of their own; NULL: there is none */
    PyObject *cancel, *replace;             /* Requests of it under way, borrowed; NULL: there is none. Known by `oms_is_known` */
};

static inline bool is_zero(PyObject *v) {
    int64_t x;
    return whole(v, &x) && x == 0;
}
static inline bool reads(PyObject *v, uint64_t wanted) {
    uint64_t x;
    return whole_unsigned(v, &x) && x == wanted;
}
static inline bool absent(PyObject *dict, PyObject *key) {
    return dict != NULL && PyDict_Check(dict) && (PyDict_GET_SIZE(dict) == 0 || PyDict_Contains(dict, key) == 0);
}

/* ---- what an order manager is like that lets us */

bool oms_is_quiet(struct at *a);
/* Gates._barred: nothing bars the account but what `oms_is_open` looks at. */
bool oms_is_free(struct at *a, uint32_t account);
/* What comes now is no row of a download that is compared. */
bool oms_is_news(struct at *a, uint32_t account);
/* No request waits for a budget. */
bool oms_is_unpaced(const struct at *a);
/* Routing.shut and Ways.shut: something new may go where the order goes. */
bool oms_is_open(const struct at *a);

/* ---- what the order is like */

bool oms_find(struct at *a, uint64_t order_id);
/* An order of ours at hand, whose outcome is known; `cancel` and `replace` are known from here on. */
bool oms_is_known(struct at *a);
/* The same, its requests answered. */
bool oms_is_calm(struct at *a);
/* No list, quote, sweep or instruction depends on the order, nor it on them. */
bool oms_stands_alone(const struct at *a);
/* The venue has it: acknowledged, and not filled. */
bool oms_works(const struct at *a);
/* Its owner may ask for a change of what has been sent, and how the change is numbered: Asked._not_allowed. */
bool oms_may_change(struct at *a, uint64_t order_id, uint32_t version, uint32_t conditional_on_version, uint32_t *given);

/* Order.ord_status of an open one whose base is as said. */
static inline uint8_t oms_status(const struct at *a, uint8_t base) {
    return a->cancel != NULL ? LOCKSTEP_ORD_STATUS_PENDING_CANCEL : a->replace != NULL ? LOCKSTEP_ORD_STATUS_PENDING_REPLACE : base;
}

/* ---- what is said and set; false: an error is set */

static inline bool oms_touch(const struct at *a) { return lockstep_touch(HELD(a->memory, Oms, orders), a->order_id); }
/* Core.arm: the earliest deadline of what is under way. */
bool oms_arm(const struct at *a);
/* Core._close of an order without a replace. */
bool oms_close(const struct at *a, uint8_t base);
/* An object of a class; the references to what it is made of are taken over. */
PyObject *oms_make(PyTypeObject *cls, PyObject **of, size_t n);
/* A request that was routed is back with its number, which gateway and venue will name; `request`: which of the two it is. */
enum handled oms_learn_number(struct at *a, uint64_t order_id, uint32_t version, PyObject *const *request);
bool oms_put_empty_bytes(PyObject **slot);
/* A higher version was asked for. */
bool oms_note_version(const struct at *a, uint32_t version);
bool oms_say(const struct at *a, struct saying *s, const void *body, size_t size);

enum { TEXT_MOST = 256, NOTIONAL_WORD = 62 };
struct report {
    struct lockstep_execution_report fixed;
    uint8_t texts[2 * TEXT_MOST];
    Py_ssize_t used;
};
#define EMPTY_REPORT {.fixed = {.last_qty = NO_VALUE, .last_px = NO_VALUE, .fee = NO_VALUE}, .used = 0}

/* Core.report of what an order is now; false, without an error, where it is no such order. */
bool oms_fill_in(const struct at *a, struct report *r);
void oms_add_text(struct report *r, struct lockstep_text *where, const uint8_t *text, size_t size);
/* The venue's own number of an order: told the first time only. */
bool oms_note_ref(const struct at *a, struct report *r, const struct lockstep_text *t, const uint8_t *text);
bool oms_say_report(const struct at *a, const struct report *r);

/* A text of the frame, plain ASCII, of which a report may have a copy. False: it is something else, the Python's to judge. */
bool oms_text(const struct at *a, const struct lockstep_text *t, const uint8_t **text);

/* ---- handlers of what is asked, and of its answers */

enum handled oms_on_cancel_order(struct at *a);
enum handled oms_on_routed_cancel(struct at *a);
enum handled oms_on_canceled(struct at *a, const struct lockstep_venue_order_update *m, const uint8_t *ref);
enum handled oms_on_replace_order(struct at *a);
enum handled oms_on_replace_decided(struct at *a, const struct lockstep_risk_decision *d);
enum handled oms_on_routed_replace(struct at *a);
enum handled oms_on_replaced(struct at *a, const struct lockstep_venue_order_update *m, const uint8_t *ref);

#endif
