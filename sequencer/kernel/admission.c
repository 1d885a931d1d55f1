/* Wire rules of a body, see admission.h. Canonical form: variable items stand behind the fixed part in declared order,
 * 8-byte aligned, without holes, padding zero, absent items all zero; so that equal messages are equal bytes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sequencer/kernel/admission.h"

enum { MALFORMED = 1, BAD_LENGTH = 3, NON_CANONICAL = 18, TEXT_BYTES_MAX = 4096 };

static int any(const uint8_t *p, uint64_t n) {
    uint8_t sum = 0;
    for (uint64_t i = 0; i < n; i++) sum |= p[i];
    return sum != 0;
}

uint16_t lockstep_check_body(const struct lockstep_wire_rule *rule, const uint8_t *body, uint64_t body_bytes) {
    if (body_bytes < rule->fixed_bytes) return BAD_LENGTH;
    for (int i = 0; i < rule->holes; i++)
        if (any(body + rule->hole[i].offset, rule->hole[i].bytes)) return NON_CANONICAL;
    uint64_t cursor = rule->fixed_bytes;
    int tail = 0; /* the item before may have left text behind its table */
    for (int i = 0; i < rule->items; i++) {
        const struct lockstep_wire_item *item = &rule->item[i];
        uint32_t at, word;
        memcpy(&at, body + item->offset, 4);
        memcpy(&word, body + item->offset + 4, 4);
        uint64_t count = item->type == 2 ? word : (word & 0xFFFFu);
        uint32_t high = item->type == 2 ? 0 : word >> 16; /* text: zero; group: stride */
        if (count == 0) {
            if (at != 0 || high != 0) return NON_CANONICAL;
            continue;
        }
        if (item->type == 1 && (high != 0 || count > TEXT_BYTES_MAX)) return high ? NON_CANONICAL : MALFORMED;
        if (item->type == 3 && high != item->stride) return MALFORMED;
        uint64_t bytes = count * item->stride, end = (uint64_t)at + bytes;
        if ((at & 7) != 0 || end > body_bytes || at < cursor) return MALFORMED;
        if (at != cursor && !tail) return NON_CANONICAL;
        uint64_t padded = (end + 7) & ~7ULL;
        if (padded > body_bytes) return MALFORMED;
        if (any(body + end, padded - end)) return NON_CANONICAL;
        cursor = padded;
        tail = item->tail;
    }
    if (cursor != body_bytes && !tail) return BAD_LENGTH;
    return 0;
}
