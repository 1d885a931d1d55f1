/* Positions.on_execution_report for what most reports are: no fill, or one of a linear instrument in a position that there is, its fee
 * in the position's currency, all numbers of 64 bits. Whatever is otherwise is left to the Python before anything has changed. */
#include "layout.h"

#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

#include "exact.h"
#include "places.h"

static struct {
    PyTypeObject *holding, *instrument, *currency;
    Py_ssize_t h_currency, h_qty_exp, qty, cost, realized, fees, funding, last_fill_seq;
    Py_ssize_t quote_currency, contract, multiplier, multiplier_exp, px_exp, i_qty_exp;
    Py_ssize_t ledger_exp;
} fill_at;
static PyObject *name_of_holdings, *name_of_held, *name_of_confirmed, *name_of_instruments, *name_of_currencies; /* interned */

typedef struct {
    Native native;       /* of a Positions */
    PyObject *reference; /* the Instruments that it reads */
    PyTypeObject *said;  /* Position */
    PyObject *decoder, *message;
    uint16_t duplicate; /* of report_flags: a fill that was told before */
    uint8_t net;        /* the side of a position that has none */
} Fills;

/* A position, before and after. */
struct position {
    int64_t currency, qty_exp, qty, cost, realized, fees, funding;
};
/* value = px × qty × up / down */
struct terms {
    int64_t currency, qty_exp, ledger_exp;
    wide up, down;
};

static int moves(uint8_t exec_type) {
    switch (exec_type) {
    case LOCKSTEP_EXEC_TYPE_TRADE:
    case LOCKSTEP_EXEC_TYPE_TRADE_CORRECT: return 1;
    case LOCKSTEP_EXEC_TYPE_TRADE_CANCEL: return -1;
    default: return 0;
    }
}

static wide magnitude(wide x) { return x < 0 ? -x : x; }

/* apps.valuation.div_half_away of what is far from 128 bits. */
static bool divided(wide numerator, wide denominator, wide *x) {
    const wide most = (wide)1 << 125;
    if (magnitude(numerator) > most || denominator > most) return false;
    const wide rounded = (2 * magnitude(numerator) + denominator) / (2 * denominator);
    *x = numerator < 0 ? -rounded : rounded;
    return true;
}

static bool value_of(const struct terms *t, int64_t px, int64_t qty, wide *x) {
    wide product;
    return !__builtin_mul_overflow((wide)px * qty, t->up, &product) && divided(product, t->down, x);
}

static bool fits(wide x, int64_t *to) {
    if (x < INT64_MIN || x > INT64_MAX) return false;
    *to = (int64_t)x;
    return true;
}

/* Of an attribute that is a dict, what stands under a number, borrowed; NULL where it is none of a class. */
static PyObject *found(PyObject *object, PyObject *name, PyObject *key, PyTypeObject *cls) {
    PyObject *dict = key != NULL ? PyObject_GetAttr(object, name) : NULL;
    PyObject *value = dict != NULL && PyDict_CheckExact(dict) ? PyDict_GetItemWithError(dict, key) : NULL;
    Py_XDECREF(dict); /* the object holds it */
    return value != NULL && Py_IS_TYPE(value, cls) ? value : NULL;
}

static PyObject *numbered(PyObject *object, PyObject *name, uint64_t number, PyTypeObject *cls) {
    PyObject *key = PyLong_FromUnsignedLongLong(number), *value = found(object, name, key, cls);
    Py_XDECREF(key);
    return value;
}

/* Nothing waits in suspense, and nothing is reconciled. */
static bool is_quiet(PyObject *positions) {
    PyObject *held = PyObject_GetAttr(positions, name_of_held), *confirmed = PyObject_GetAttr(positions, name_of_confirmed);
    const bool quiet = held != NULL && empty_list(held) && confirmed == Py_None;
    Py_XDECREF(held);
    Py_XDECREF(confirmed);
    return quiet;
}

/* apps.valuation.terms_of a linear instrument. */
static bool read_terms(PyObject *reference, uint32_t instrument, struct terms *t) {
    PyObject *i = numbered(reference, name_of_instruments, instrument, fill_at.instrument);
    int64_t contract, multiplier, multiplier_exp, px_exp;
    if (i == NULL || !whole(*SLOT(i, fill_at.contract), &contract) || contract < 0 || contract > LOCKSTEP_CONTRACT_TYPE_LINEAR ||
        !whole(*SLOT(i, fill_at.quote_currency), &t->currency) || !whole(*SLOT(i, fill_at.multiplier), &multiplier) || multiplier <= 0 ||
        !whole(*SLOT(i, fill_at.multiplier_exp), &multiplier_exp) || !whole(*SLOT(i, fill_at.px_exp), &px_exp) ||
        !whole(*SLOT(i, fill_at.i_qty_exp), &t->qty_exp))
        return false;
    PyObject *money = numbered(reference, name_of_currencies, (uint64_t)t->currency, fill_at.currency);
    if (money == NULL || !whole(*SLOT(money, fill_at.ledger_exp), &t->ledger_exp)) return false;
    const int64_t exp = t->qty_exp + multiplier_exp + px_exp - t->ledger_exp;
    wide unit;
    return power10((int)(exp > 0 ? exp : 0), &unit) && power10((int)(exp < 0 ? -exp : 0), &t->down) &&
           !__builtin_mul_overflow(unit, (wide)multiplier, &t->up);
}

/* A position in the units of its instrument, in which something was filled before. */
static bool read_position(PyObject *holding, const struct terms *t, struct position *p) {
    int64_t last_fill_seq;
    return whole(*SLOT(holding, fill_at.h_currency), &p->currency) && p->currency == t->currency &&
           whole(*SLOT(holding, fill_at.h_qty_exp), &p->qty_exp) && p->qty_exp == t->qty_exp && whole(*SLOT(holding, fill_at.qty), &p->qty) &&
           whole(*SLOT(holding, fill_at.cost), &p->cost) && whole(*SLOT(holding, fill_at.realized), &p->realized) &&
           whole(*SLOT(holding, fill_at.fees), &p->fees) && whole(*SLOT(holding, fill_at.funding), &p->funding) &&
           whole(*SLOT(holding, fill_at.last_fill_seq), &last_fill_seq) && last_fill_seq > 0;
}

/* The fee in the position's currency, in ledger units. */
static bool read_fee(const struct lockstep_execution_report *m, const struct terms *t, wide *fee) {
    *fee = 0;
    if (m->fee == NO_VALUE || m->fee == 0) return true;
    const int64_t exp = m->fee_exp - t->ledger_exp;
    wide unit;
    if ((m->fee_currency && m->fee_currency != t->currency) || !power10((int)(exp < 0 ? -exp : exp), &unit)) return false;
    return exp >= 0 ? !__builtin_mul_overflow((wide)m->fee, unit, fee) : divided(m->fee, unit, fee);
}

/* Holding.fill: `qty` is signed. False: it does not fit, and nothing has changed. */
static bool fill(struct position *p, const struct terms *t, int64_t px, int64_t qty) {
    const int64_t held = p->qty;
    wide left = p->cost, realized = 0, opening;
    if (magnitude(held) > MANTISSA_MAX || magnitude(qty) > MANTISSA_MAX || !value_of(t, px, qty, &opening)) return false;
    if (held && (held > 0) != (qty > 0)) {
        const bool all = magnitude(qty) >= magnitude(held);
        const int64_t closing = all ? -held : qty;
        wide out = opening, share = p->cost;
        if (closing != qty && !value_of(t, px, closing, &out)) return false;
        if (!all && !divided((wide)p->cost * (wide)magnitude(closing), magnitude(held), &share)) return false;
        left = p->cost - share, realized = -out - share, opening -= out;
    }
    const wide net = (wide)held + qty;
    if (magnitude(net) > MANTISSA_MAX) return false;
    struct position after = *p;
    if (!fits(net, &after.qty) || !fits(left + opening, &after.cost) || !fits(p->realized + realized, &after.realized)) return false;
    *p = after;
    return true;
}

static bool put_position(PyObject *holding, const struct position *p, uint64_t seq) {
    return put_signed(SLOT(holding, fill_at.qty), p->qty) && put_signed(SLOT(holding, fill_at.cost), p->cost) &&
           put_signed(SLOT(holding, fill_at.realized), p->realized) && put_signed(SLOT(holding, fill_at.fees), p->fees) &&
           put_unsigned(SLOT(holding, fill_at.last_fill_seq), seq);
}

static lockstep_i128 amount(int64_t x) { return (lockstep_i128){(uint64_t)x, x < 0 ? -1 : 0}; }

static bool say_position(Fills *f, const struct turn *t, const struct lockstep_execution_report *m, const struct position *p) {
    const int heard = lockstep_is_heard(t, LOCKSTEP_POSITION, m->instrument);
    if (heard <= 0) return heard == 0;
    const struct lockstep_position said = {
        .cost = amount(p->cost), .realized = amount(p->realized), .fees = amount(p->fees), .funding = amount(p->funding),
        .long_qty = p->qty > 0 ? p->qty : 0, .short_qty = p->qty < 0 ? -p->qty : 0, .last_fill_seq = t->ref->seq,
        .account = m->account, .strategy = m->strategy, .instrument = m->instrument, .currency = (uint32_t)p->currency,
        .position_side = f->net};
    return lockstep_say(t, f->said, f->decoder, &f->message, &said, sizeof said);
}

/* Positions._take of what is plain. `holding`: borrowed. */
static enum handled take(Fills *f, const struct turn *t, const struct lockstep_execution_report *m, PyObject *holding) {
    const bool buys = m->side == LOCKSTEP_SIDE_BUY;
    const int sign = moves(m->exec_type);
    struct terms terms;
    struct position p;
    wide fee;
    if (m->last_qty < 0 || (!buys && m->side != LOCKSTEP_SIDE_SELL) || !is_quiet(f->native.of) ||
        !read_terms(f->reference, m->instrument, &terms) || !read_position(holding, &terms, &p) || !read_fee(m, &terms, &fee) ||
        !fits(p.fees + sign * fee, &p.fees) || !fill(&p, &terms, m->last_px, buys == (sign > 0) ? m->last_qty : -m->last_qty))
        return LEFT;
    return put_position(holding, &p, t->ref->seq) && say_position(f, t, m, &p) ? HANDLED : FAILED;
}

static enum handled on_execution_report(PyObject *self, const struct turn *t) {
    Fills *f = (Fills *)self;
    struct lockstep_execution_report m;
    memcpy(&m, t->bytes->at + t->body, sizeof m);
    if (!moves(m.exec_type) || m.report_flags & f->duplicate || m.last_qty == NO_VALUE || m.last_qty == 0 ||
        m.last_px == NO_VALUE)
        return HANDLED;
    if (f->native.of == NULL || f->reference == NULL) return LEFT;
    PyObject *key = Py_BuildValue("(kkk)", (unsigned long)m.account, (unsigned long)m.strategy, (unsigned long)m.instrument);
    PyObject *holding = Py_XNewRef(found(f->native.of, name_of_holdings, key, fill_at.holding));
    enum handled done = holding != NULL ? take(f, t, &m, holding) : LEFT;
    Py_XDECREF(holding);
    Py_XDECREF(key);
    return PyErr_Occurred() ? FAILED : done;
}

static bool learn(PyTypeObject *holding, PyTypeObject *instrument, PyTypeObject *currency) {
    if (fill_at.holding == holding && fill_at.instrument == instrument && fill_at.currency == currency) return true;
    const struct slot_name of_holding[] = {
        {"currency", &fill_at.h_currency}, {"qty_exp", &fill_at.h_qty_exp}, {"qty", &fill_at.qty}, {"cost", &fill_at.cost},
        {"realized", &fill_at.realized}, {"fees", &fill_at.fees}, {"funding", &fill_at.funding}, {"last_fill_seq", &fill_at.last_fill_seq}, {0}};
    const struct slot_name of_instrument[] = {
        {"quote_currency", &fill_at.quote_currency}, {"contract", &fill_at.contract}, {"multiplier", &fill_at.multiplier},
        {"multiplier_exp", &fill_at.multiplier_exp}, {"px_exp", &fill_at.px_exp}, {"qty_exp", &fill_at.i_qty_exp}, {0}};
    const struct slot_name of_currency[] = {{"ledger_exp", &fill_at.ledger_exp}, {0}};
    if (!lockstep_slots(holding, of_holding) || !lockstep_slots(instrument, of_instrument) || !lockstep_slots(currency, of_currency) ||
        (name_of_holdings = PyUnicode_InternFromString("holdings")) == NULL || (name_of_held = PyUnicode_InternFromString("held")) == NULL ||
        (name_of_confirmed = PyUnicode_InternFromString("confirmed")) == NULL ||
        (name_of_instruments = PyUnicode_InternFromString("instruments")) == NULL ||
        (name_of_currencies = PyUnicode_InternFromString("currencies")) == NULL)
        return false;
    /* For as long as the process lives. */
    fill_at.holding = (PyTypeObject *)Py_NewRef(holding);
    fill_at.instrument = (PyTypeObject *)Py_NewRef(instrument);
    fill_at.currency = (PyTypeObject *)Py_NewRef(currency);
    return true;
}

/* Fills(positions, instruments, Holding, InstrumentDefined, CurrencyDefined, Position, DUPLICATE_SUPPRESSED, NET) */
static PyObject *fills_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *positions, *reference, *holding, *instrument, *currency, *said;
    unsigned short duplicate;
    unsigned char net;
    if (!PyArg_ParseTuple(args, "OOO!O!O!O!Hb", &positions, &reference, &PyType_Type, &holding, &PyType_Type, &instrument, &PyType_Type,
                          &currency, &PyType_Type, &said, &duplicate, &net) ||
        !learn((PyTypeObject *)holding, (PyTypeObject *)instrument, (PyTypeObject *)currency))
        return NULL;
    PyObject *decoder = PyObject_GetAttrString(said, "decode");
    if (decoder == NULL || !Py_IS_TYPE(decoder, lockstep_messages->decoder)) {
        Py_XDECREF(decoder);
        return PyErr_Format(PyExc_TypeError, "%R: no decoder of ours", said);
    }
    Fills *f = (Fills *)type->tp_alloc(type, 0);
    if (f == NULL) {
        Py_DECREF(decoder);
        return NULL;
    }
    f->native.handle = on_execution_report;
    f->native.bytes = sizeof(struct lockstep_execution_report);
    f->native.of = Py_NewRef(positions);
    f->reference = Py_NewRef(reference);
    f->said = (PyTypeObject *)Py_NewRef(said);
    f->decoder = decoder;
    f->duplicate = duplicate;
    f->net = net;
    return (PyObject *)f;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Fills *)self)->native.of);
    Py_VISIT(((Fills *)self)->reference);
    return 0;
}

static int clear(PyObject *self) {
    Py_CLEAR(((Fills *)self)->native.of);
    Py_CLEAR(((Fills *)self)->reference);
    return 0;
}

static void dealloc(PyObject *self) {
    Fills *f = (Fills *)self;
    PyObject_GC_UnTrack(self);
    (void)clear(self);
    Py_CLEAR(f->said);
    Py_CLEAR(f->decoder);
    Py_CLEAR(f->message);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject lockstep_fills_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "apps.kernel._fast.Fills",
    .tp_basicsize = sizeof(Fills),
    .tp_base = &lockstep_native_type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = fills_new,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
};
