/* RiskEngine.on_new_order for a plain limit order that passes every check in a world without kills, bans and restricted states:
 * the rows that the checks of riskengine.checks give, the RiskDecision, and the reservation. Whatever is not plain, not known
 * here or not a pass is left to the Python, which is the reference; nothing is changed before all is known to pass. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "exposure.h"
#include "plain.h"
#include "plan.h"

typedef struct {
    Native native; /* of an engine */
    PyObject *flat, *decoder, *message;
    PyTypeObject *decision;
    struct plan *plans[PLANS_KEPT];
} Decisions;

static PyObject *name_of_memory, *name_of_view; /* interned */

/* An order, and what it is judged by. */
struct ask {
    struct lockstep_new_order m;
    int64_t now;
    uint64_t seq;
    PyObject *memory, *view, *book, *control, *touch; /* borrowed, but for the first two */
    struct plan *plan;
    wide value, notional; /* quantity times price; that times the multiplier */
    int notional_exp;
};
/* The rows so far. */
struct verdicts {
    int n;
    struct lockstep_check_outcome_entry row[PLAN_ROWS];
};

/* ---- what is plain */

/* Nobody has forbidden anything. Watches that have not paused are shown by the check; everything else is for the Python. */
static bool is_quiet(struct ask *a) {
    PyObject *memory = a->memory, *control = HELD(memory, Memory, control), *book = HELD(memory, Memory, exposure),
             *usage = HELD(memory, Memory, usage);
    if (!IS_A(control, Control) || !IS_A(book, Book) || !IS_A(usage, Usage)) return false;
    a->control = control, a->book = book;
    return empty_dict(HELD(memory, Memory, kills)) && empty_dict(HELD(control, Control, states)) &&
           empty_dict(HELD(control, Control, bans)) && entry_of(HELD(usage, Usage, told), a->plan->account) == NULL && !PyErr_Occurred() &&
           HELD(a->view, View, _prices) == Py_None && HELD(a->view, View, require_limits) == Py_False;
}

/* The last of the source's numbers that were used, [first, last], where the order's is the next; else NULL. */
static PyObject *range_before(const struct ask *a) {
    PyObject *ranges = entry_of(HELD(a->memory, Memory, used), a->plan->source);
    if (ranges == NULL || !PyList_CheckExact(ranges) || PyList_GET_SIZE(ranges) == 0) return NULL;
    PyObject *last = PyList_GET_ITEM(ranges, PyList_GET_SIZE(ranges) - 1);
    int64_t end;
    const bool next = PyList_CheckExact(last) && PyList_GET_SIZE(last) == 2 && whole(PyList_GET_ITEM(last, 1), &end) &&
                      (uint64_t)end + 1 == (a->m.order_id & ((UINT64_C(1) << OWN_NUMBER_BITS) - 1));
    return next ? last : NULL;
}

static bool value_of(struct ask *a) {
    const struct plan_instrument *i = &a->plan->of;
    a->value = (wide)a->m.order_qty * a->m.price_px;
    a->notional_exp = i->px_exp + i->qty_exp + i->multiplier_exp;
    return !__builtin_mul_overflow(a->value, (wide)i->multiplier, &a->notional);
}

/* The exponent that amounts of a currency are booked with: 1, 0 where nobody has said, -1 where it cannot be read. */
static int ledger_exp(const struct ask *a, int *exp) {
    PyObject *found = entry_of(HELD(a->memory, Memory, ledger_exp), a->plan->quote);
    int64_t x;
    if (found == NULL) return PyErr_Occurred() ? -1 : 0;
    if (!whole(found, &x)) return -1;
    *exp = (int)x;
    return 1;
}

/* ---- the checks: each adds its row, if it has one; false: it does not plainly pass */

static struct lockstep_check_outcome_entry *add(struct verdicts *v, uint16_t check, uint8_t result) {
    struct lockstep_check_outcome_entry *row = &v->row[v->n++];
    memset(row, 0, sizeof *row);
    row->check = check;
    row->result = result;
    return row;
}

static bool not_applicable(struct verdicts *v, uint16_t check) {
    add(v, check, LOCKSTEP_CHECK_RESULT_NOT_APPLICABLE);
    return true;
}

static void show(struct lockstep_check_outcome_entry *row, wide value, wide bound) {
    row->value = clip(value); /* as Verdict.outcome: what fits is not changed */
    row->bound = clip(bound);
}

static bool passed(struct verdicts *v, uint16_t check, wide value, wide bound, uint64_t seq, int exp) {
    struct lockstep_check_outcome_entry *row = add(v, check, LOCKSTEP_CHECK_RESULT_PASS);
    show(row, value, bound);
    row->input_seq = seq;
    row->exp = (int8_t)exp;
    return true;
}

/* riskengine.proposal.against */
static bool against(struct verdicts *v, const struct plan_row *r, wide value, wide bound, wide warn, uint64_t seq, int exp) {
    if (value > bound || (r->warn > 0 && value > warn)) return false;
    struct lockstep_check_outcome_entry *row = add(v, r->check, LOCKSTEP_CHECK_RESULT_PASS);
    show(row, value, bound);
    row->input_seq = seq ? seq : (uint64_t)r->seq;
    row->limit = r->limit;
    row->exp = (int8_t)exp;
    return true;
}

/* The OMS has said nothing of its gate here, or that it is open. */
static bool is_unbarred(const struct ask *a) {
    PyObject *barred = HELD(a->memory, Memory, barred);
    if (empty_dict(barred)) return true;
    PyObject *account = PyUnicode_FromFormat("%U/0", a->plan->gate), *instrument = PyUnicode_FromFormat("%U/%S", a->plan->gate, a->plan->key);
    const bool free = account != NULL && instrument != NULL && barred != NULL && PyDict_Check(barred) &&
                      PyDict_Contains(barred, account) == 0 && PyDict_Contains(barred, instrument) == 0;
    Py_XDECREF(account);
    Py_XDECREF(instrument);
    return free;
}

static bool gate(const struct ask *a, struct verdicts *v) {
    if (!is_unbarred(a)) return false;
    PyObject *seen = entry_of(HELD(a->memory, Memory, gates), a->plan->gate);
    int64_t phase;
    uint64_t seq;
    return IS_A(seen, Seen) && whole(HELD(seen, Seen, value), &phase) && phase == LOCKSTEP_GATEWAY_PHASE_READY &&
           whole_unsigned(HELD(seen, Seen, seq), &seq) && passed(v, LOCKSTEP_RISK_CHECK_GATE, phase, phase, seq, 0);
}

static bool tradable(const struct ask *a, struct verdicts *v) {
    const struct plan_instrument *i = &a->plan->of;
    if ((i->expiry_ts && a->now >= i->expiry_ts) ||
        (i->status != LOCKSTEP_INSTRUMENT_STATUS_UNDEFINED && i->status != LOCKSTEP_INSTRUMENT_STATUS_ACTIVE))
        return false;
    PyObject *market = entry_of(HELD(a->memory, Memory, markets), a->plan->key);
    int64_t status = LOCKSTEP_TRADING_STATUS_UNDEFINED;
    if (PyErr_Occurred() || (market != NULL && (!IS_A(market, Seen) || !whole(HELD(market, Seen, value), &status)))) return false;
    return (status == LOCKSTEP_TRADING_STATUS_UNDEFINED || status == LOCKSTEP_TRADING_STATUS_OPEN ||
            status == LOCKSTEP_TRADING_STATUS_FAST_MARKET) &&
           passed(v, LOCKSTEP_RISK_CHECK_INSTRUMENT_TRADABLE, i->status, 0, (uint64_t)i->seq, 0);
}

/* What journal.messages.capabilities says of it: sent as it is. Listed where the venue says what it offers. */
static bool capable(const struct ask *a, struct verdicts *v) {
    PyObject *offer = entry_of(HELD(a->memory, Memory, venues), a->plan->venue);
    if (offer == NULL) return !PyErr_Occurred();
    enum { NATIVELY = 1 }; /* Handling */
    return is_native(offer, &a->m) && passed(v, LOCKSTEP_RISK_CHECK_VENUE_CAPABILITY, NATIVELY, 0, 0, 0);
}

static bool increment(const struct ask *a, struct verdicts *v) {
    const struct plan_instrument *i = &a->plan->of;
    const int64_t px = a->m.price_px;
    int64_t tick = NO_VALUE;
    for (int n = 0; n < i->ticks; n++)
        if (px >= i->tick[n].from_px) tick = i->tick[n].tick_px;
    if (tick == NO_VALUE || tick == 0) tick = 1;
    return tick > 0 && px % tick == 0 && (i->min_px == NO_VALUE || px >= i->min_px) && (i->max_px == NO_VALUE || px <= i->max_px) &&
           passed(v, LOCKSTEP_RISK_CHECK_PRICE_INCREMENT, px, tick, (uint64_t)i->seq, 0);
}

static bool quantity(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    const struct plan_instrument *i = &a->plan->of;
    const int64_t qty = a->m.order_qty, post_only = a->m.exec_inst & POST_ONLY ? i->post_only_max_qty : NO_VALUE;
    if ((i->min_qty != NO_VALUE && qty < i->min_qty) || (i->max_qty != NO_VALUE && qty > i->max_qty) ||
        (post_only != NO_VALUE && qty > post_only))
        return false;
    int64_t bound = i->max_qty; /* the smaller of those there are */
    if (bound == NO_VALUE || (post_only != NO_VALUE && post_only < bound)) bound = post_only;
    if (!r->limited) return passed(v, r->check, qty, bound != NO_VALUE ? bound : 0, (uint64_t)i->seq, i->qty_exp);
    wide value;
    return rescale_up(qty, i->qty_exp, r->exp, &value) && against(v, r, value, r->hard, r->warn, (uint64_t)r->seq, r->exp);
}

static bool lot(const struct ask *a, struct verdicts *v) {
    const struct plan_instrument *i = &a->plan->of;
    if (i->lot_qty == NO_VALUE || i->lot_qty == 0) return not_applicable(v, LOCKSTEP_RISK_CHECK_LOT_STEP);
    return i->lot_qty > 0 && a->m.order_qty % i->lot_qty == 0 &&
           passed(v, LOCKSTEP_RISK_CHECK_LOT_STEP, a->m.order_qty, i->lot_qty, (uint64_t)i->seq, i->qty_exp);
}

static bool notional_limits(const struct ask *a, struct verdicts *v) {
    const struct plan_instrument *i = &a->plan->of;
    if (!i->has_min_notional && !i->has_max_notional) return true;
    int exp;
    wide up, down;
    if (ledger_exp(a, &exp) <= 0 || !rescale_up(a->notional, a->notional_exp, exp, &up) || !rescale_down(a->notional, a->notional_exp, exp, &down))
        return false;
    if ((i->has_min_notional && down < i->min_notional) || (i->has_max_notional && up > i->max_notional)) return false;
    return passed(v, LOCKSTEP_RISK_CHECK_NOTIONAL_LIMITS, up, i->has_max_notional ? i->max_notional : i->min_notional, (uint64_t)i->seq, exp);
}

static bool book_fresh(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    PyObject *seen = entry_of(HELD(a->memory, Memory, books), a->plan->key);
    if (seen == NULL) return !PyErr_Occurred() && !r->limited && empty_list(HELD(a->memory, Memory, books_sources)) && not_applicable(v, r->check);
    int64_t state, ts, touched_ts;
    uint64_t seq, touched;
    if (!IS_A(seen, Seen) || !whole(HELD(seen, Seen, value), &state) || state != LOCKSTEP_BOOK_STATE_CODE_LIVE ||
        !whole_unsigned(HELD(seen, Seen, seq), &seq) || !whole(HELD(seen, Seen, ts), &ts))
        return false;
    if (!r->limited) return passed(v, r->check, state, state, seq, 0);
    if (a->touch != NULL) {
        if (!whole_unsigned(HELD(a->touch, Touch, seq), &touched) || !whole(HELD(a->touch, Touch, ts), &touched_ts)) return false;
        if (touched > seq || (touched == seq && touched_ts > ts)) seq = touched, ts = touched_ts;
    }
    return against(v, r, (wide)a->now - ts, r->hard, r->warn, seq, -9);
}

static bool collar(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    if (!r->limited) return not_applicable(v, r->check);
    int64_t bid, ask_px;
    uint64_t seq;
    if (a->touch == NULL || !whole(HELD(a->touch, Touch, bid_px), &bid) || !whole(HELD(a->touch, Touch, ask_px), &ask_px) ||
        !whole_unsigned(HELD(a->touch, Touch, seq), &seq) || bid == NO_VALUE || ask_px == NO_VALUE)
        return false;
    const wide mid2 = (wide)bid + ask_px, away = 2 * (wide)a->m.price_px - mid2;
    wide unit, bound, warn;
    if (mid2 <= 0 || !power10(-RATE_EXP, &unit) || !rescale_down(r->hard, r->exp, RATE_EXP, &bound) ||
        !rescale_down(r->warn, r->exp, RATE_EXP, &warn))
        return false;
    return against(v, r, ((away < 0 ? -away : away) * unit + mid2 - 1) / mid2, bound, warn, seq, RATE_EXP);
}

static bool order_notional(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    int exp;
    wide booked, value;
    const int known = ledger_exp(a, &exp);
    if (known < 0 || (known && (!rescale_up(a->notional, a->notional_exp, exp, &booked) || booked >= MANTISSA_MAX))) return false;
    if (!r->limited) return not_applicable(v, r->check);
    return (r->currency == 0 || r->currency == a->plan->of.quote_currency) && rescale_up(a->notional, a->notional_exp, r->exp, &value) &&
           against(v, r, value, r->hard, r->warn, (uint64_t)r->seq, r->exp);
}

/* What the limit's scope holds; false: the view keeps nothing of it yet. */
static bool look_at_area(const struct ask *a, struct plan_row *r) {
    if (r->area == NULL) {
        PyObject *found = lockstep_area(a->view, r->kind, r->name);
        if (found == NULL) return false;
        r->area = Py_NewRef(found);
    }
    if (r->sums == NULL) {
        PyObject *sums = entry_of(HELD(r->area, Area, by_instrument), a->plan->key);
        if (IS_A(sums, Sums)) r->sums = Py_NewRef(sums);
    }
    return !PyErr_Occurred();
}

static PyObject *kind_of_scope(long kind) { return PyLong_FromLong(kind); } /* a small number: the interpreter's own */

static bool working(const struct ask *a, struct verdicts *v, struct plan_row *r) {
    int64_t orders;
    if (a->plan->of.max_orders) {
        PyObject *kind = kind_of_scope(LOCKSTEP_SCOPE_TYPE_ACCOUNT_INSTRUMENT);
        PyObject *area = kind != NULL ? lockstep_area(a->view, kind, a->plan->account_instrument) : NULL;
        Py_XDECREF(kind);
        if (area == NULL || !whole(HELD(area, Area, orders), &orders) || orders + 1 > a->plan->of.max_orders) return false;
    }
    if (!r->limited) return not_applicable(v, r->check);
    return look_at_area(a, r) && whole(HELD(r->area, Area, orders), &orders) &&
           against(v, r, orders + (wide)1, r->hard, r->warn, (uint64_t)r->seq, 0);
}

static bool position(const struct ask *a, struct verdicts *v, struct plan_row *r) {
    const bool buys = a->m.side == LOCKSTEP_SIDE_BUY;
    PyObject *sums = NULL;
    if (r->limited) {
        if (!look_at_area(a, r)) return false;
        sums = r->sums;
    } else {
        PyObject *kind = kind_of_scope(LOCKSTEP_SCOPE_TYPE_INSTRUMENT), *area = kind != NULL ? lockstep_area(a->view, kind, a->plan->key) : NULL;
        Py_XDECREF(kind);
        if (area == NULL) return false;
        sums = entry_of(HELD(area, Area, by_instrument), a->plan->key);
        if (sums != NULL && !IS_A(sums, Sums)) return false;
    }
    int64_t held = 0, open = 0;
    if (sums != NULL && (!whole(HELD(sums, Sums, position), &held) ||
                         !whole(buys ? HELD(sums, Sums, buying) : HELD(sums, Sums, selling), &open)))
        return false;
    const wide exposure = (wide)a->m.order_qty + (buys ? (wide)held : -(wide)held) + open;
    if (exposure >= MANTISSA_MAX) return false;
    if (!r->limited) return not_applicable(v, r->check);
    wide value;
    return rescale_up(exposure, a->plan->of.qty_exp, r->exp, &value) && against(v, r, value, r->hard, r->warn, (uint64_t)r->seq, r->exp);
}

/* bisect_right(times, at) */
static bool not_after(PyObject *times, int64_t at, Py_ssize_t *n) {
    Py_ssize_t low = 0, high = PyList_GET_SIZE(times);
    while (low < high) {
        const Py_ssize_t middle = low + (high - low) / 2;
        int64_t ts;
        if (!whole(PyList_GET_ITEM(times, middle), &ts)) return false;
        if (at < ts) high = middle;
        else low = middle + 1;
    }
    *n = low;
    return true;
}

static bool rate(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    if (!r->limited) return not_applicable(v, r->check);
    PyObject *times = entry_of(HELD(a->memory, Memory, sent), r->number);
    Py_ssize_t old = 0;
    if (PyErr_Occurred() || (times != NULL && (!PyList_CheckExact(times) || !not_after(times, a->now - r->period_ns, &old)))) return false;
    const wide count = 1 + (times != NULL ? PyList_GET_SIZE(times) : 0) - old;
    return against(v, r, count, r->hard, r->warn, 0, 0);
}

static bool dead_man(const struct ask *a, struct verdicts *v) {
    PyObject *rules = HELD(a->control, Control, rules), *beats = HELD(a->control, Control, beats), *key, *beat;
    if (!IS_A(rules, Rules) || beats == NULL || !PyDict_CheckExact(beats)) return false;
    if (empty_list(HELD(rules, Rules, watches))) return true;
    Py_ssize_t at = 0;
    int64_t paused;
    while (PyDict_Next(beats, &at, &key, &beat))
        if (!IS_A(beat, Beat) || !whole(HELD(beat, Beat, paused_seq), &paused) || paused) return false;
    return passed(v, LOCKSTEP_RISK_CHECK_DEAD_MAN, 0, 0, 0, 0);
}

static bool judge(const struct ask *a, struct verdicts *v, struct plan_row *r) {
    if (r->limited && r->off) {
        add(v, r->check, LOCKSTEP_CHECK_RESULT_NOT_APPLICABLE)->limit = r->limit;
        return true;
    }
    switch (r->check) {
    case LOCKSTEP_RISK_CHECK_KILL_SWITCH: return passed(v, r->check, 0, 0, 0, 0);
    case LOCKSTEP_RISK_CHECK_GATE: return gate(a, v);
    case LOCKSTEP_RISK_CHECK_PERMISSION:
        return passed(v, r->check, a->plan->owner.source, a->plan->owner.source, 0, 0);
    case LOCKSTEP_RISK_CHECK_CLIENT_ID_UNIQUE: return passed(v, r->check, (wide)a->m.order_id, 0, 0, 0);
    case LOCKSTEP_RISK_CHECK_INSTRUMENT_TRADABLE: return tradable(a, v);
    case LOCKSTEP_RISK_CHECK_VENUE_CAPABILITY: return capable(a, v);
    case LOCKSTEP_RISK_CHECK_PRICE_INCREMENT: return increment(a, v);
    case LOCKSTEP_RISK_CHECK_QUANTITY_LIMITS: return quantity(a, v, r);
    case LOCKSTEP_RISK_CHECK_LOT_STEP: return lot(a, v);
    case LOCKSTEP_RISK_CHECK_NOTIONAL_LIMITS: return notional_limits(a, v);
    case LOCKSTEP_RISK_CHECK_BOOK_VERIFIED_FRESH: return book_fresh(a, v, r);
    case LOCKSTEP_RISK_CHECK_PRICE_COLLAR: return collar(a, v, r);
    case LOCKSTEP_RISK_CHECK_ORDER_NOTIONAL: return order_notional(a, v, r);
    case LOCKSTEP_RISK_CHECK_WORKING_ORDERS: return working(a, v, r);
    case LOCKSTEP_RISK_CHECK_POSITION: return position(a, v, r);
    case LOCKSTEP_RISK_CHECK_ORDER_RATE: return rate(a, v, r);
    case LOCKSTEP_RISK_CHECK_DEAD_MAN: return dead_man(a, v);
    /* These have nothing to say of a plain order in a quiet world. */
    case LOCKSTEP_RISK_CHECK_TRADING_STATE:
    case LOCKSTEP_RISK_CHECK_BAN:
    case LOCKSTEP_RISK_CHECK_QUOTE_QUANTITY_CONVERSION:
    case LOCKSTEP_RISK_CHECK_REDUCE_ONLY:
    case LOCKSTEP_RISK_CHECK_PARENT_INVARIANTS:
    case LOCKSTEP_RISK_CHECK_VENUE_RATE_BUDGET: return true;
    default: return false;
    }
}

/* ---- the decision */

static bool say(Decisions *d, const struct turn *t, const struct ask *a, const struct verdicts *v) {
    struct {
        struct lockstep_risk_decision fixed;
        struct lockstep_check_outcome_entry rows[PLAN_ROWS];
    } body;
    uint64_t generation;
    int exp;
    wide reserved = 0;
    const int known = ledger_exp(a, &exp);
    if (known < 0 || (known && !rescale_up(a->notional, a->notional_exp, exp, &reserved)) ||
        !whole_unsigned(HELD(a->memory, Memory, generation), &generation)) {
        PyErr_SetString(PyExc_TypeError, "a risk engine whose memory is none");
        return false;
    }
    memset(&body.fixed, 0, sizeof body.fixed);
    body.fixed.reserved_notional = (lockstep_i128){(uint64_t)reserved, (int64_t)(reserved >> 64)};
    body.fixed.order_id = a->m.order_id;
    body.fixed.request_seq = a->seq;
    body.fixed.content_hash = plain_hash(&a->m);
    body.fixed.reserved_qty = a->m.order_qty;
    body.fixed.rules_generation = (uint32_t)generation;
    body.fixed.request_kind = LOCKSTEP_NEW_ORDER;
    body.fixed.decision = LOCKSTEP_DECISION_PASS;
    body.fixed.checks = (struct lockstep_group){sizeof body.fixed, (uint16_t)v->n, sizeof *v->row};
    memcpy(body.rows, v->row, (size_t)v->n * sizeof *v->row);
    return lockstep_say(t, d->decision, d->decoder, &d->message, &body, (Py_ssize_t)(sizeof body.fixed + (size_t)v->n * sizeof *v->row));
}

/* ---- what passes is reserved */

static PyObject *held_names;

/* The Held of an order, booked. */
static PyObject *held_of(const struct ask *a, PyObject *order_id, PyObject *px, const struct amounts *more) {
    const struct lockstep_new_order *m = &a->m;
    PyObject *none = PyLong_FromLongLong(NO_VALUE);
    PyObject *of[] = {Py_NewRef(order_id), Py_NewRef(a->plan->account), PyLong_FromUnsignedLong(m->strategy), PyLong_FromUnsignedLong(m->user),
                      Py_NewRef(a->plan->key), PyLong_FromLong(m->side), PyLong_FromLong(m->ord_type), Py_NewRef(more->qty), Py_NewRef(px),
                      Py_XNewRef(none), Py_XNewRef(none), PyLong_FromLong(0),
                      /* by name */ Py_NewRef(px), PyLong_FromUnsignedLong(m->exec_inst), PyLong_FromLong(m->quantity_type),
                      Py_NewRef(more->qty), Py_NewRef(more->value)};
    enum { ALL = sizeof of / sizeof *of, BY_NAME = 5 };
    bool good = none != NULL;
    for (int i = 0; i < ALL; i++) good = good && of[i] != NULL;
    PyObject *held = good ? PyObject_Vectorcall((PyObject *)lockstep_classes[CLASS_Held], of, ALL - BY_NAME, held_names) : NULL;
    for (int i = 0; i < ALL; i++) Py_XDECREF(of[i]);
    Py_XDECREF(none);
    return held;
}

/* View.hold */
static bool hold(const struct ask *a) {
    struct plan *p = a->plan;
    PyObject *order_id = PyLong_FromUnsignedLongLong(a->m.order_id), *px = PyLong_FromLongLong(a->m.price_px);
    struct amounts more = {.orders = PyLong_FromLong(1), .qty = PyLong_FromLongLong(a->m.order_qty)};
    more.value = more.qty != NULL && px != NULL ? PyNumber_Multiply(more.qty, px) : NULL;
    PyObject *held = order_id != NULL && more.orders != NULL && more.value != NULL ? held_of(a, order_id, px, &more) : NULL;
    const bool good = held != NULL && lockstep_put(HELD(a->book, Book, orders), order_id, held) &&
                      PyDict_SetItem(HELD(a->view, View, _homes), order_id, p->home) == 0 &&
                      lockstep_touch(HELD(a->book, Book, cells), p->cell_key) && book_at(p->home, a->m.side == LOCKSTEP_SIDE_BUY, &more);
    Py_XDECREF(held);
    Py_XDECREF(more.orders);
    Py_XDECREF(more.qty);
    Py_XDECREF(more.value);
    Py_XDECREF(px);
    Py_XDECREF(order_id);
    return good;
}

/* Conduct.count_message */
static bool count_message(const struct ask *a) {
    PyObject *sent = HELD(a->memory, Memory, sent), *now = a->plan->rates_n ? PyLong_FromLongLong(a->now) : NULL;
    bool good = a->plan->rates_n == 0 || (now != NULL && sent != NULL && PyDict_CheckExact(sent));
    for (Py_ssize_t i = 0; good && i < a->plan->rates_n; i++) {
        const struct plan_rate *r = &a->plan->rates[i];
        PyObject *empty = PyList_New(0), *times = empty != NULL ? PyDict_SetDefault(sent, r->number, empty) : NULL;
        Py_ssize_t old = 0;
        good = times != NULL && PyList_CheckExact(times) && PyList_Append(times, now) == 0 &&
               not_after(times, a->now - r->period_ns, &old) && (old == 0 || PyList_SetSlice(times, 0, old, NULL) == 0);
        Py_XDECREF(empty);
    }
    Py_XDECREF(now);
    return good;
}

static bool use_number(const struct ask *a, PyObject *range) {
    PyObject *number = PyLong_FromUnsignedLongLong(a->m.order_id & ((UINT64_C(1) << OWN_NUMBER_BITS) - 1));
    return number != NULL && PyList_SetItem(range, 1, number) == 0;
}

/* ---- one order */

static enum handled decide(Decisions *d, const struct turn *t, struct ask *a) {
    struct verdicts v = {0};
    PyObject *range = is_quiet(a) && lockstep_plan_reads(a->plan, a->memory) ? range_before(a) : NULL;
    if (range == NULL || !value_of(a) || !lockstep_plan_at_home(a->plan, a->view, a->memory)) return LEFT;
    PyObject *order_id = PyLong_FromUnsignedLongLong(a->m.order_id), *orders = HELD(a->book, Book, orders);
    const int known = order_id == NULL || orders == NULL || !PyDict_Check(orders) ? -1 : PyDict_Contains(orders, order_id);
    Py_XDECREF(order_id);
    a->touch = entry_of(HELD(a->memory, Memory, touches), a->plan->key);
    if (known != 0 || (a->touch != NULL && !IS_A(a->touch, Touch)) || PyErr_Occurred()) return LEFT;
    for (Py_ssize_t i = 0; i < a->plan->n; i++)
        if (!judge(a, &v, &a->plan->rows[i])) return LEFT;
    if (PyErr_Occurred()) return LEFT;
    Py_INCREF(range);
    const bool good = say(d, t, a, &v) && use_number(a, range) && hold(a) && count_message(a);
    Py_DECREF(range);
    return good ? HANDLED : FAILED;
}

static enum handled on_new_order(PyObject *self, const struct turn *t) {
    Decisions *d = (Decisions *)self;
    struct ask a = {.now = t->ref->ts, .seq = t->ref->seq};
    memcpy(&a.m, t->bytes->at + t->body, sizeof a.m);
    if (d->native.of == NULL || !is_plain_limit(&a.m) || a.m.order_id == 0 ||
        a.m.order_id >> OWN_NUMBER_BITS != t->ref->source)
        return LEFT;
    a.memory = PyObject_GetAttr(d->native.of, name_of_memory);
    a.view = a.memory != NULL ? PyObject_GetAttr(d->native.of, name_of_view) : NULL;
    enum handled done = LEFT;
    if (IS_A(a.memory, Memory) && IS_A(a.view, View)) {
        const struct plan_owner owner = {a.m.account, a.m.strategy, a.m.user, a.m.instrument, t->ref->source, a.m.side};
        a.plan = lockstep_plan_of(d->plans, a.view, d->flat, &owner);
        if (a.plan != NULL) done = decide(d, t, &a);
    }
    Py_XDECREF(a.view);
    Py_XDECREF(a.memory);
    return PyErr_Occurred() ? FAILED : done;
}

/* Decisions(engine, {name: class}, flat, RiskDecision): `flat` is riskengine.flat.flat. */
static PyObject *decisions_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *engine, *classes, *flat, *decision;
    if (!PyArg_ParseTuple(args, "OO!OO!", &engine, &PyDict_Type, &classes, &flat, &PyType_Type, &decision)) return NULL;
    if (name_of_memory == NULL && ((name_of_memory = PyUnicode_InternFromString("memory")) == NULL ||
                                   (name_of_view = PyUnicode_InternFromString("view")) == NULL))
        return NULL;
    if (held_names == NULL &&
        (held_names = Py_BuildValue("(sssss)", "value_px", "exec_inst", "quantity_type", "booked_qty", "booked_value")) == NULL)
        return NULL;
    if (!lockstep_learn_places(classes)) return NULL;
    PyObject *decoder = PyObject_GetAttrString(decision, "decode");
    if (decoder == NULL || !Py_IS_TYPE(decoder, lockstep_messages->decoder)) {
        Py_XDECREF(decoder);
        return PyErr_Format(PyExc_TypeError, "%R: no decoder of ours", decision);
    }
    Decisions *d = (Decisions *)type->tp_alloc(type, 0);
    if (d == NULL) {
        Py_DECREF(decoder);
        return NULL;
    }
    d->native.handle = on_new_order;
    d->native.bytes = sizeof(struct lockstep_new_order);
    d->native.of = Py_NewRef(engine);
    d->flat = Py_NewRef(flat);
    d->decoder = decoder;
    d->decision = (PyTypeObject *)Py_NewRef(decision);
    return (PyObject *)d;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    const Decisions *d = (Decisions *)self;
    Py_VISIT(d->native.of);
    Py_VISIT(d->flat);
    for (int i = 0; i < PLANS_KEPT; i++) {
        const int result = d->plans[i] != NULL ? lockstep_plan_visit(d->plans[i], visit, arg) : 0;
        if (result) return result;
    }
    return 0;
}

static void forget(Decisions *d) {
    for (int i = 0; i < PLANS_KEPT; i++) {
        struct plan *p = d->plans[i];
        d->plans[i] = NULL;
        lockstep_plan_free(p);
    }
}

static int clear(PyObject *self) {
    Py_CLEAR(((Native *)self)->of);
    forget((Decisions *)self);
    return 0;
}

static void dealloc(PyObject *self) {
    Decisions *d = (Decisions *)self;
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    Py_CLEAR(d->flat);
    Py_CLEAR(d->decoder);
    Py_CLEAR(d->message);
    Py_CLEAR(d->decision);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_decisions_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Decisions",
    .tp_basicsize = sizeof(Decisions),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = decisions_new,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
};
