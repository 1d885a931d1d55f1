/* Orders without special terms: what they are, their hash, and whether a venue takes them as they are. Stands behind
 * journal/kernel/messages.h, which has no guard. */
#ifndef LOCKSTEP_PLAIN_H
#define LOCKSTEP_PLAIN_H

#include <string.h>

#include "journal/kernel/blake2b.h"

#include "exact.h"
#include "places.h"

enum { OWN_NUMBER_BITS = 48, POST_ONLY = 1 };

/* An order without anything that a venue may have to be asked about, whatever its type. */
static inline bool is_bare(const struct lockstep_new_order *m) {
    return m->side >= LOCKSTEP_SIDE_BUY && m->side <= LOCKSTEP_SIDE_SELL && m->quantity_type <= LOCKSTEP_QUANTITY_TYPE_CONTRACTS &&
           m->order_qty > 0 && m->order_qty < MANTISSA_MAX && !m->parent_order_id && !m->list_id && m->stop_px == NO_VALUE &&
           m->trail_offset == NO_VALUE && m->display_qty == NO_VALUE && m->min_qty == NO_VALUE && m->peg_offset == NO_VALUE &&
           m->leverage == NO_VALUE && !m->expire_ts && !m->release_ts && !m->position_effect && !m->margin_mode && !m->stp_mode &&
           !m->trigger && !m->trigger_direction && !m->trail_type && !m->peg_type && !m->trail_offset_exp && !m->peg_offset_exp &&
           !m->leverage_exp;
}

static inline bool is_at_once(const struct lockstep_new_order *m) {
    return m->tif == LOCKSTEP_TIME_IN_FORCE_IOC || m->tif == LOCKSTEP_TIME_IN_FORCE_FOK;
}

static inline bool rests(const struct lockstep_new_order *m) {
    return m->tif == LOCKSTEP_TIME_IN_FORCE_DAY || m->tif == LOCKSTEP_TIME_IN_FORCE_GTC;
}

static inline bool is_limit(const struct lockstep_new_order *m) {
    return is_bare(m) && m->ord_type == LOCKSTEP_ORD_TYPE_LIMIT && (rests(m) || (is_at_once(m) && m->exec_inst == 0)) &&
           m->exec_inst <= POST_ONLY && m->price_px > 0 && m->price_px < MANTISSA_MAX;
}

static inline bool is_market(const struct lockstep_new_order *m) {
    return is_bare(m) && m->ord_type == LOCKSTEP_ORD_TYPE_MARKET && (rests(m) || is_at_once(m)) && m->exec_inst == 0 &&
           m->price_px == NO_VALUE;
}

/* A limit or market order without other terms. */
static inline bool is_plain(const struct lockstep_new_order *m) { return is_limit(m) || is_market(m); }

/* journal.messages.content_hash of such an order. */
static inline uint64_t plain_hash(const struct lockstep_new_order *m) {
    uint8_t terms[128], *at = terms; /* 98 at most */
#define PUT(x) (memcpy(at, &(x), sizeof(x)), at += sizeof(x))
    PUT(m->account), PUT(m->instrument), PUT(m->exec_inst), PUT(m->side), PUT(m->ord_type), PUT(m->tif), PUT(m->trigger);
    PUT(m->order_qty), PUT(m->price_px), PUT(m->stop_px), PUT(m->display_qty), PUT(m->min_qty);
    if (m->quantity_type) { /* the only one of these terms that it may have */
        PUT(m->trail_offset), PUT(m->peg_offset), PUT(m->leverage), PUT(m->expire_ts), PUT(m->position_effect), PUT(m->margin_mode);
        PUT(m->quantity_type), PUT(m->stp_mode), PUT(m->trigger_direction), PUT(m->trail_type), PUT(m->peg_type);
        PUT(m->trail_offset_exp), PUT(m->peg_offset_exp), PUT(m->leverage_exp);
    }
#undef PUT
    uint64_t hash;
    lockstep_blake2b(terms, (size_t)(at - terms), &hash, sizeof hash);
    return hash;
}

/* Whether journal.messages.capabilities has it sent as it is, by what a venue offers (an Offer). */
static inline bool is_native(PyObject *offer, const struct lockstep_new_order *m) {
    int64_t types, tifs, insts, quantities;
    if (!IS_A(offer, Offer) || !whole(HELD(offer, Offer, ord_types), &types) || !whole(HELD(offer, Offer, tifs), &tifs) ||
        !whole(HELD(offer, Offer, exec_insts), &insts) || !whole(HELD(offer, Offer, quantity_types), &quantities))
        return false;
    const bool counted = m->quantity_type <= LOCKSTEP_QUANTITY_TYPE_UNITS || (quantities >> m->quantity_type & 1);
    return (types >> m->ord_type & 1) && (tifs >> m->tif & 1) && !((int64_t)m->exec_inst & ~insts) && counted;
}

#endif
