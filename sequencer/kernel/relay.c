/* The relay, see relay.h. */
#include <string.h>

#include "sequencer/kernel/ring_private.h"
#include "sequencer/kernel/relay.h"

enum { RECORD_MIN = 64, RECORD_MAX = 1 << 20 };

static uint32_t length_at(const uint8_t *record) {
    uint32_t length;
    memcpy(&length, record, sizeof length);
    return length;
}

static int plausible(uint64_t length, uint64_t left) {
    return length >= RECORD_MIN && (length & 7) == 0 && length <= RECORD_MAX && length <= left;
}

int32_t lockstep_producer_forward(struct lockstep_producer *p, const uint8_t *records, uint64_t bytes, uint64_t from,
                                  uint64_t *done, uint64_t *count) {
    *done = from;
    *count = 0;
    while (*done < bytes) {
        if (bytes - *done < RECORD_MIN) return LOCKSTEP_FORWARD_BAD;
        const uint8_t *at = records + *done;
        struct lockstep_frame h;
        memcpy(&h, at, sizeof h);
        if (!plausible(h.length, bytes - *done)) return LOCKSTEP_FORWARD_BAD;
        int32_t put = lockstep_producer_put(p, h.kind, h.version, h.flags, h.origin_ts, h.source_seq, h.cause, at + 64,
                                            h.length - 64);
        if (put == LOCKSTEP_PUT_FULL) return LOCKSTEP_FORWARD_FULL;
        if (put != LOCKSTEP_PUT_OK) return LOCKSTEP_FORWARD_BAD;
        *done += h.length;
        ++*count;
    }
    return LOCKSTEP_FORWARD_DONE;
}

uint64_t lockstep_ring_span(const struct lockstep_ring *ring, uint64_t from, uint64_t most, const uint8_t **at) {
    uint64_t committed = load_acquire(&ring->page->tail) - from, span = 0;
    *at = ring->data + (from & (ring->ring_bytes - 1));
    if (committed > ring->ring_bytes) return UINT64_MAX;
    while (committed - span >= RECORD_MIN) {
        uint64_t length = length_at(*at + span);
        if (!plausible(length, committed - span)) return UINT64_MAX;
        if (span + length > most) break;
        span += length;
    }
    return span;
}

void lockstep_ring_answer(const struct lockstep_ring *ring, uint64_t head, const uint64_t words[6], int32_t client_fd,
                          uint64_t *woken) {
    struct lockstep_ring_page *page = ring->page;
    uint64_t *to[6] = {&page->accepted_source_seq, &page->accepted_seq, &page->rejected, &page->duplicates,
                       &page->last_reject_reason, &page->state};
    for (int i = 0; i < 6; i++) store_release(to[i], words[i]);
    store_release(&page->head, head);
    full_fence();
    uint64_t ticket = load_relaxed(&page->armed);
    if (ticket != 0 && ticket != *woken) {
        *woken = ticket;
        wake_write(client_fd);
    }
}

uint64_t lockstep_producer_flood_empty(struct lockstep_producer *p, uint16_t kind, uint64_t source_seq, uint64_t count,
                                       uint64_t batch, int64_t patience_ns) {
    for (uint64_t n = 0; n < count; n++) {
        while (lockstep_producer_put(p, kind, 1, 1, 0, source_seq + n, 0, NULL, 0) != LOCKSTEP_PUT_OK)
            if (!lockstep_producer_wait_room(p, p->ring.ring_bytes / 4, patience_ns)) return n;
        if ((n + 1) % batch == 0) lockstep_producer_commit(p);
    }
    lockstep_producer_commit(p);
    return count;
}

void lockstep_ring_park(const struct lockstep_ring *ring, uint64_t ticket) {
    store_relaxed(&ring->page->parked, ticket);
    full_fence();
}
