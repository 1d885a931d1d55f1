/* The checks of riskengine.checks for a plain order, new or replaced, in a world without kills, bans and restricted states: their
 * rows, where all of them plainly pass. They change nothing. */
#include "layout.h"

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "judge.h"
#include "plain.h"

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

static bool at_market(const struct ask *a) { return a->m.ord_type == LOCKSTEP_ORD_TYPE_MARKET; }

/* Proposal.reference_px */
static bool reference_px(struct ask *a) {
    a->touch = entry_of(HELD(a->memory, Memory, touches), a->plan->key);
    if (a->touch != NULL && !IS_A(a->touch, Touch)) return false;
    a->px = a->m.price_px;
    if (!at_market(a)) return true;
    return a->touch != NULL && whole(a->m.side == LOCKSTEP_SIDE_BUY ? HELD(a->touch, Touch, ask_px) : HELD(a->touch, Touch, bid_px), &a->px) &&
           a->px > 0 && a->px < MANTISSA_MAX && whole_unsigned(HELD(a->touch, Touch, seq), &a->px_seq);
}

static bool value_of(struct ask *a) {
    const struct plan_instrument *i = &a->plan->of;
    a->notional_exp = i->px_exp + i->qty_exp + i->multiplier_exp;
    return !__builtin_mul_overflow((wide)a->m.order_qty * a->px, (wide)i->multiplier, &a->notional);
}

static void find_ledger_exp(struct ask *a) {
    PyObject *found = entry_of(HELD(a->memory, Memory, ledger_exp), a->plan->quote);
    int64_t exp = 0;
    a->ledger_known = found != NULL ? (whole(found, &exp) ? 1 : -1) : PyErr_Occurred() ? -1 : 0;
    a->ledger_exp = (int)exp;
}

static bool reserved_of(struct ask *a) {
    find_ledger_exp(a);
    const wide more = (wide)a->more_qty * a->px * a->plan->of.multiplier; /* at most `notional` */
    return a->ledger_known == 0 || (a->ledger_known > 0 && rescale_up(more, a->notional_exp, a->ledger_exp, &a->reserved));
}

/* What journal.messages.capabilities says of it: sent as it is, so that the decision is about what was asked for. */
static bool is_offered(const struct ask *a) {
    PyObject *offer = a->replace ? NULL : entry_of(HELD(a->memory, Memory, venues), a->plan->venue);
    return offer == NULL || is_native(offer, &a->m);
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

/* Listed where the venue says what it offers: sent as it is (see `is_offered`). */
static bool capable(const struct ask *a, struct verdicts *v) {
    enum { NATIVELY = 1 }; /* Handling */
    PyObject *offer = a->replace ? NULL : entry_of(HELD(a->memory, Memory, venues), a->plan->venue);
    return offer == NULL || passed(v, LOCKSTEP_RISK_CHECK_VENUE_CAPABILITY, NATIVELY, 0, 0, 0);
}

static bool increment(const struct ask *a, struct verdicts *v) {
    const struct plan_instrument *i = &a->plan->of;
    const int64_t px = a->m.price_px;
    int64_t tick = NO_VALUE;
    for (int n = 0; n < i->ticks; n++)
        if (px >= i->tick[n].from_px) tick = i->tick[n].tick_px;
    if (tick == NO_VALUE || tick == 0) tick = 1;
    if (at_market(a)) return tick > 0 && passed(v, LOCKSTEP_RISK_CHECK_PRICE_INCREMENT, 0, tick, (uint64_t)i->seq, 0);
    return tick > 0 && px % tick == 0 && (i->min_px == NO_VALUE || px >= i->min_px) && (i->max_px == NO_VALUE || px <= i->max_px) &&
           passed(v, LOCKSTEP_RISK_CHECK_PRICE_INCREMENT, px, tick, (uint64_t)i->seq, 0);
}

static bool quantity(const struct ask *a, struct verdicts *v, const struct plan_row *r) {
    const struct plan_instrument *i = &a->plan->of;
    const int64_t qty = a->m.order_qty;
    const int64_t of_kind = a->m.exec_inst & POST_ONLY ? i->post_only_max_qty : at_market(a) ? i->market_max_qty : NO_VALUE;
    if ((i->min_qty != NO_VALUE && qty < i->min_qty) || (i->max_qty != NO_VALUE && qty > i->max_qty) ||
        (of_kind != NO_VALUE && qty > of_kind))
        return false;
    int64_t bound = i->max_qty; /* the smaller of those there are */
    if (bound == NO_VALUE || (of_kind != NO_VALUE && of_kind < bound)) bound = of_kind;
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
    const int exp = a->ledger_exp;
    wide up, down;
    if (a->ledger_known <= 0 || !rescale_up(a->notional, a->notional_exp, exp, &up) || !rescale_down(a->notional, a->notional_exp, exp, &down))
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
    if (!r->limited || at_market(a)) return not_applicable(v, r->check);
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
    wide booked, value;
    if (a->ledger_known < 0 ||
        (a->ledger_known && (!rescale_up(a->notional, a->notional_exp, a->ledger_exp, &booked) || booked >= MANTISSA_MAX)))
        return false;
    if (!r->limited) return not_applicable(v, r->check);
    return (r->currency == 0 || r->currency == a->plan->of.quote_currency) && rescale_up(a->notional, a->notional_exp, r->exp, &value) &&
           against(v, r, value, r->hard, r->warn, a->px_seq, r->exp);
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
    if (a->replace) return not_applicable(v, r->check);
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
    const wide exposure = (wide)a->more_qty + (buys ? (wide)held : -(wide)held) + open;
    if (exposure >= MANTISSA_MAX) return false;
    if (!r->limited) return not_applicable(v, r->check);
    wide value;
    if (!rescale_up(exposure, a->plan->of.qty_exp, r->exp, &value)) return false;
    if (a->more_qty == 0) return passed(v, r->check, value, r->hard, (uint64_t)r->seq, r->exp); /* above it, too */
    return against(v, r, value, r->hard, r->warn, (uint64_t)r->seq, r->exp);
}

bool lockstep_not_after(PyObject *times, int64_t at, Py_ssize_t *n) {
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
    if (PyErr_Occurred() || (times != NULL && (!PyList_CheckExact(times) || !lockstep_not_after(times, a->now - r->period_ns, &old)))) return false;
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
        return passed(v, r->check, a->plan->owner.of.source, a->plan->owner.of.source, 0, 0);
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

bool lockstep_passes(struct ask *a, struct verdicts *v) {
    v->n = 0;
    if (!is_quiet(a) || !lockstep_plan_reads(a->plan, a->memory) || !is_offered(a) || !reference_px(a) || !value_of(a) || !reserved_of(a))
        return false;
    for (Py_ssize_t i = 0; i < a->plan->n; i++)
        if (!judge(a, v, a->plan->rows[i])) return false;
    return !PyErr_Occurred();
}
