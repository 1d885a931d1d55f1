/* Where the risk engine's objects hold what the kernel reads and writes. Told once, by the classes that define them. */
#ifndef LOCKSTEP_PLACES_H
#define LOCKSTEP_PLACES_H

#include "layout.h"

/* class, slot */
#define LOCKSTEP_PLACES(X)                                                                                                     \
    X(Memory, instruments) X(Memory, venues) X(Memory, gates) X(Memory, markets) X(Memory, books) X(Memory, books_sources)     \
    X(Memory, touches) X(Memory, used) X(Memory, kills) X(Memory, ledger_exp) X(Memory, generation) X(Memory, exposure)        \
    X(Memory, control) X(Memory, usage) X(Memory, sent)                                                                        \
    X(Book, orders) X(Book, cells) X(Control, states) X(Control, bans) X(Control, rules) X(Control, beats) X(Rules, watches)                  \
    X(Beat, paused_seq) X(Usage, told) X(Seen, value) X(Seen, seq) X(Seen, ts)                                                 \
    X(Touch, bid_px) X(Touch, ask_px) X(Touch, seq) X(Touch, ts)                                                               \
    X(Instrument, seq) X(Instrument, venue) X(Instrument, status) X(Instrument, contract) X(Instrument, quote_currency)        \
    X(Instrument, px_exp) X(Instrument, qty_exp) X(Instrument, multiplier) X(Instrument, multiplier_exp)                       \
    X(Instrument, tick_px) X(Instrument, lot_qty) X(Instrument, min_qty) X(Instrument, max_qty)                                \
    X(Instrument, post_only_max_qty) X(Instrument, min_px) X(Instrument, max_px) X(Instrument, max_orders)                     \
    X(Instrument, expiry_ts) X(Instrument, steps) X(Instrument, min_notional) X(Instrument, max_notional)                      \
    X(Instrument, band_up_rate) X(Instrument, band_down_rate)                                                                  \
    X(Offer, ord_types) X(Offer, tifs) X(Offer, exec_insts) X(Offer, quantity_types)                                           \
    X(Sums, position) X(Sums, buying) X(Sums, selling) X(Sums, orders) X(Sums, buying_value) X(Sums, selling_value)            \
    X(Area, orders) X(Area, by_instrument)                                                                                     \
    X(View, require_limits) X(View, plans) X(View, _areas) X(View, _reached) X(View, _homes) X(View, _prices)

#define LOCKSTEP_PLACE(cls, slot) PLACE_##cls##_##slot,
enum lockstep_place { LOCKSTEP_PLACES(LOCKSTEP_PLACE) PLACES };
#undef LOCKSTEP_PLACE

extern Py_ssize_t lockstep_places[PLACES];
/* What a slot holds, borrowed; of an object whose class is known. */
#define HELD(object, cls, slot) (*SLOT(object, lockstep_places[PLACE_##cls##_##slot]))

/* The classes, for as long as the process lives. */
enum lockstep_class {
    CLASS_Memory, CLASS_Book, CLASS_Control, CLASS_Rules, CLASS_Beat, CLASS_Usage, CLASS_Seen, CLASS_Touch, CLASS_Instrument,
    CLASS_Offer, CLASS_Held, CLASS_Sums, CLASS_Cell, CLASS_Area, CLASS_View, CLASSES
};
extern PyTypeObject *lockstep_classes[CLASSES];
#define IS_A(object, cls) ((object) != NULL && Py_IS_TYPE(object, lockstep_classes[CLASS_##cls]))

/* From {name: class}. False: an error is set. */
bool lockstep_learn_places(PyObject *classes);

/* An integer of 64 bits; false, without an error, where it is none. */
static inline bool whole(PyObject *v, int64_t *x) {
    if (v == NULL || !PyLong_Check(v)) return false;
    int overflow;
    *x = PyLong_AsLongLongAndOverflow(v, &overflow);
    return !overflow;
}
static inline bool whole_unsigned(PyObject *v, uint64_t *x) {
    int64_t signed_;
    if (!whole(v, &signed_) || signed_ < 0) return false;
    *x = (uint64_t)signed_;
    return true;
}
/* Empty, and a container of the kind that it ought to be. */
static inline bool empty_dict(PyObject *v) { return v != NULL && PyDict_CheckExact(v) && PyDict_GET_SIZE(v) == 0; }
static inline bool empty_list(PyObject *v) { return v != NULL && PyList_CheckExact(v) && PyList_GET_SIZE(v) == 0; }
/* What a dict has under a key, borrowed; NULL where there is nothing, or with an error set. */
static inline PyObject *entry_of(PyObject *dict, PyObject *key) {
    return dict != NULL && PyDict_CheckExact(dict) ? PyDict_GetItemWithError(dict, key) : NULL;
}

#endif
