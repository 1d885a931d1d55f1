/* Where objects of the risk engine and of the order manager hold what the kernel reads and writes. Told once, by the classes
 * that define them. */
#ifndef LOCKSTEP_PLACES_H
#define LOCKSTEP_PLACES_H

#include "layout.h"

/* class, slot */
#define LOCKSTEP_RISK_PLACES(X)                                                                                                     \
    X(World, memory) X(World, view) X(Memory, instruments) X(Memory, venues) X(Memory, gates) X(Memory, markets) X(Memory, books) X(Memory, books_sources)     \
    X(Memory, touches) X(Memory, used) X(Memory, kills) X(Memory, ledger_exp) X(Memory, generation) X(Memory, exposure)        \
    X(Memory, control) X(Memory, usage) X(Memory, sent) X(Memory, funds) X(Memory, windowed) X(Memory, forms) X(Memory, barred) X(Memory, families)    \
    X(Families, parents) X(Families, parent_of)                                                                                \
    X(Book, orders) X(Book, cells) X(Control, states) X(Control, bans) X(Control, rules) X(Control, beats) X(Rules, watches)                  \
    X(Beat, paused_seq) X(Usage, told) X(Seen, value) X(Seen, seq) X(Seen, ts)                                                 \
    X(Touch, bid_px) X(Touch, ask_px) X(Touch, seq) X(Touch, ts)                                                               \
    X(Instrument, seq) X(Instrument, venue) X(Instrument, status) X(Instrument, contract) X(Instrument, quote_currency)        \
    X(Instrument, px_exp) X(Instrument, qty_exp) X(Instrument, multiplier) X(Instrument, multiplier_exp)                       \
    X(Instrument, tick_px) X(Instrument, lot_qty) X(Instrument, min_qty) X(Instrument, max_qty)                                \
    X(Instrument, market_max_qty) X(Instrument, post_only_max_qty) X(Instrument, min_px) X(Instrument, max_px)                 \
    X(Instrument, max_orders)                                                                                                  \
    X(Instrument, expiry_ts) X(Instrument, steps) X(Instrument, min_notional) X(Instrument, max_notional)                      \
    X(Instrument, band_up_rate) X(Instrument, band_down_rate)                                                                  \
    X(Sums, position) X(Sums, buying) X(Sums, selling) X(Sums, orders) X(Sums, buying_value) X(Sums, selling_value)            \
    X(Area, orders) X(Area, by_instrument)                                                                                     \
    X(Held, order_id) X(Held, account) X(Held, strategy) X(Held, user) X(Held, instrument) X(Held, side) X(Held, order_qty)    \
    X(Held, price_px)                                                                                                          \
    X(Held, stop_px) X(Held, cum_qty) X(Held, wishes) X(Held, value_px) X(Held, exec_inst) X(Held, quantity_type)              \
    X(Held, list_id) X(Held, unknown) X(Held, booked_qty) X(Held, booked_value) X(Held, ord_type) X(Held, display_qty)         \
    X(Held, expire_ts) X(Held, end_kept)                                                                                       \
    X(Wish, request_seq) X(Wish, passed) X(Wish, order_qty) X(Wish, price_px) X(Wish, display_qty) X(Wish, expire_ts)          \
    X(Wish, taken_up) X(Wish, end_kept)                                                                                        \
    X(View, require_limits) X(View, limits) X(View, plans) X(View, _areas) X(View, _reached) X(View, _prices)

#define LOCKSTEP_OMS_PLACES(X)                                                                                                 \
    X(Core, memory) X(Core, synthetic) X(Oms, orders) X(Oms, closed) X(Oms, archived) X(Oms, keep) X(Line, waiting) X(Line, first) X(Line, next) X(Keep, orders)   \
     X(Oms, archive) X(Oms, left) X(Oms, instrument_venue) X(Oms, routes) X(Oms, gates)           \
    X(Oms, overfilled) X(Oms, kills) X(Oms, again) X(Oms, instructions) X(Oms, parents) X(Oms, pace) X(Oms, owners)            \
    X(Oms, ways) X(Oms, reconcile)                                                                                             \
    X(Order, order_id) X(Order, source) X(Order, account) X(Order, instrument) X(Order, order_qty) X(Order, side)              \
    X(Order, strategy) X(Order, user) X(Order, parent_order_id) X(Order, ord_type) X(Order, tif) X(Order, exec_inst)           \
    X(Order, price_px) X(Order, stop_px) X(Order, venue) X(Order, destination) X(Order, request_seq) X(Order, asked)           \
    X(Order, routed_seq) X(Order, current_seq) X(Order, deadline) X(Order, base) X(Order, cancel) X(Order, replace)            \
    X(Order, unknown) X(Order, ending) X(Order, cum_qty) X(Order, notional_high) X(Order, notional_low) X(Order, fills)        \
    X(Order, version) X(Order, query_wanted) X(Order, heard_seq) X(Order, venue_order_ref)                                     \
    X(Order, last_version) X(Order, display_qty) X(Order, expire_ts)                                                           \
    X(Request, request_seq) X(Request, version) X(Request, reason) X(Request, routed) X(Request, routed_seq)                    \
    X(Request, deadline) X(Request, order_qty) X(Request, price_px) X(Request, stop_px) X(Request, display_qty)                 \
    X(Request, expire_ts) X(Request, end_kept)                                                                                 \
    X(Route, destination) X(Route, venue) X(Route, account) X(Route, priority) X(Gate, phase)                                  \
    X(Instructions, offers) X(Instructions, holds) X(Instructions, ends) X(Instructions, list_of) X(Instructions, swept)       \
    X(Instructions, later) X(Instructions, quote_of) X(Pace, rules) X(Ways, links) X(Ways, venues) X(Venues, states)          \
    X(Reconciling, settings) X(Reconciling, accounts) X(Compare, max_unknown) X(Compared, settled) X(Compared, halted)         \
    X(Compared, open) X(Compared, unknown) X(Compared, download_seq)                                                          \
    /* of either */                                                                                                            \
    X(Offer, ord_types) X(Offer, tifs) X(Offer, exec_insts) X(Offer, quantity_types) X(Table, _asked) X(Fixed, _added)  \
    X(Table, watchers) X(Fixed, watchers)

#define LOCKSTEP_PLACE(cls, slot) PLACE_##cls##_##slot,
enum lockstep_place { LOCKSTEP_RISK_PLACES(LOCKSTEP_PLACE) LOCKSTEP_OMS_PLACES(LOCKSTEP_PLACE) PLACES };
#undef LOCKSTEP_PLACE

extern Py_ssize_t lockstep_places[PLACES];
/* What a slot holds, borrowed; of an object whose class is known. */
#define HELD(object, cls, slot) (*SLOT(object, lockstep_places[PLACE_##cls##_##slot]))

/* The classes, for as long as the process lives. */
#define LOCKSTEP_CLASSES(X)                                                                                                    \
    X(World) X(Core) X(Memory) X(Book) X(Control) X(Rules) X(Beat) X(Usage) X(Seen) X(Touch) X(Instrument) X(Offer) X(Held) X(Sums) X(Cell)     \
    X(Area) X(View) X(Oms) X(Order) X(Request) X(Route) X(Gate) X(Instructions) X(Pace) X(Ways) X(Venues) X(Line) X(Keep)    \
    X(Reconciling) X(Compare) X(Compared) X(Wish) X(Families) X(Table) X(Fixed)
#define LOCKSTEP_CLASS(cls) CLASS_##cls,
enum lockstep_class { LOCKSTEP_CLASSES(LOCKSTEP_CLASS) CLASSES };
#undef LOCKSTEP_CLASS
extern PyTypeObject *lockstep_classes[CLASSES];
#define IS_A(object, cls) ((object) != NULL && Py_IS_TYPE(object, lockstep_classes[CLASS_##cls]))

/* From {name: class}, of either. What nobody has told of is no object of its class, and left alone. False: an error is set. */
bool lockstep_learn_places(PyObject *classes);

/* Whether an object is of a class or of one derived from it; false with an error set. */
bool lockstep_is_of(PyObject *object, enum lockstep_class cls);

/* An integer of 64 bits; false, without an error, where it is none. */
static inline bool whole(PyObject *v, int64_t *x) { return read_signed(v, x); }
static inline bool whole_unsigned(PyObject *v, uint64_t *x) {
    int64_t signed_;
    if (!whole(v, &signed_) || signed_ < 0) return false;
    *x = (uint64_t)signed_;
    return true;
}
/* Empty, and a container of the kind that it ought to be. */
static inline bool empty_dict(PyObject *v) { return v != NULL && PyDict_Check(v) && PyDict_GET_SIZE(v) == 0; }
static inline bool empty_list(PyObject *v) { return v != NULL && PyList_CheckExact(v) && PyList_GET_SIZE(v) == 0; }
/* What a dict, or a table of journal.messages.tables, has under a key, borrowed; NULL where there is nothing, or with an error
 * set. Who changes it says so: `lockstep_touch`. */
static inline PyObject *entry_of(PyObject *dict, PyObject *key) {
    return dict != NULL && PyDict_Check(dict) ? PyDict_GetItemWithError(dict, key) : NULL;
}
/* dict[key] = value, and "an entry has changed"; of a dict or a table. False: an error is set. */
bool lockstep_put(PyObject *dict, PyObject *key, PyObject *value);
/* It will change: to be said before it does. */
bool lockstep_touch(PyObject *dict, PyObject *key);
bool lockstep_remove(PyObject *dict, PyObject *key);
/* The same of a table whose entries do not change. */
bool lockstep_add(PyObject *fixed, PyObject *key, PyObject *value);

/* How the objects of a class (a msgspec.Struct without __post_init__) begin their life: made once by a call, which costs a
 * microsecond, and copied from then on. */
struct mould {
    PyTypeObject *cls;
    PyObject *first; /* what is copied, slot by slot */
    Py_ssize_t n, shared, *slots;
};
/* `required`: so many arguments without a default, which are all 0 at first. False: an error is set. */
bool lockstep_mould_of(struct mould *m, PyTypeObject *cls, Py_ssize_t required);
/* Another one, with empty dicts and lists of its own. NULL: an error is set. */
PyObject *lockstep_cast(const struct mould *m);
void lockstep_break(struct mould *m);

#endif
