/* lane: the records of one ring, from the publisher's bytes to frames of the journal or refusals.
 *
 * Everything in a ring is hostile and may change while it is read. So: the header's words are read once, into registers,
 * and judged there; the body is copied into the journal's reserved place (not a frame before its length is stored), with the
 * crc taken on the way, and judged there; what is refused is zeroed again.
 *
 * A record that nothing is wrong with takes one pass without a call (take_record, admit, append.h); whatever is not that
 * leaves it for a function that is not inlined. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "journal/kernel/blake2b.h"
#include "sequencer/kernel/flow_private.h"
#include "sequencer/kernel/telemetry_private.h"

int loop_append(struct lockstep_loop *loop, int64_t now, uint16_t kind, const void *body, uint32_t body_bytes) {
    struct lockstep_frame head = {.kind = kind, .version = 1, .flags = 1, .origin_ts = now};
    for (;;) {
        head.ts = stream_ts(loop, now);
        int result = lockstep_writer_append(loop->writer, &head, body, body_bytes);
        if (result == 0) {
            loop->frames++;
            return 0;
        }
        result = lane_stalled(loop, result);
        if (result != 0) return result;
    }
}

int lane_flush(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now) {
    if (lane->refused_count == 0) return 0;
    struct lockstep_reject body = {
        .for_source_seq = lane->refused_source_seq,
        .count = (uint32_t)lane->refused_count,
        .for_source = lane->source->source,
        .refused_kind = lane->refused_kind,
        .reason = lane->refused_reason,
    };
    memcpy(body.content_digest, lane->refused_digest, 32);
    lane->refused_count = 0;
    return loop_append(loop, now, LOCKSTEP_REJECT, &body, sizeof body);
}

int lane_state(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now, uint64_t state, uint16_t reason) {
    struct lockstep_source_state body = {
        .last_source_seq = lane->source->last_source_seq,
        .incarnation = lane->incarnation,
        .source = lane->source->source,
        .reason = reason,
        .state = (uint8_t)state,
    };
    memcpy(body.build_digest, lane->build_digest, 32);
    int result = lane_flush(loop, lane, now);
    if (result == 0) result = loop_append(loop, now, LOCKSTEP_SOURCE_STATE, &body, sizeof body);
    lane->state = state;
    lane_publish(lane);
    wake_write(lane->client_fd); /* it may sleep for room in a ring that nobody reads any more */
    return result;
}

void lane_publish(struct lockstep_lane *lane) {
    struct lockstep_ring_page *page = lane->ring.page;
    const struct lockstep_source *source = lane->source;
    store_relaxed(&page->accepted_seq, source->accepted_seq);
    store_relaxed(&page->rejected, source->rejected);
    store_relaxed(&page->duplicates, source->duplicates);
    store_relaxed(&page->last_reject_reason, source->last_reject_reason);
    uint64_t state = source->limit.ban_seq != 0 && lane->state == STATE_ATTACHED ? STATE_BANNED : lane->state;
    if (load_relaxed(&page->state) != state) store_relaxed(&page->state, state);
    store_release(&page->accepted_source_seq, source->accepted_source_seq);
    /* Only now may the publisher write over what was taken: it is in the journal, or refused. */
    store_release(&page->head, lane->head);
}

/* A record's header, each word of it read once. What the publisher wrote into seq, ts, epoch and incarnation is not looked at. */
struct record {
    uint64_t length, source_seq, cause;
    int64_t origin_ts;
    uint16_t kind, version, flags;
    const uint8_t *body; /* in the ring: hostile */
};

static inline struct record read_record(const uint64_t *at) {
    uint64_t first = load_relaxed(at), second = load_relaxed(at + 1);
    return (struct record){
        .length = (uint32_t)first, .kind = (uint16_t)second, .version = (uint16_t)(second >> 16), .flags = (uint16_t)(second >> 32),
        .origin_ts = (int64_t)load_relaxed(at + 4), .source_seq = load_relaxed(at + 5), .cause = load_relaxed(at + 6),
        .body = (const uint8_t *)(at + 8),
    };
}

/* Count a refusal. Equal ones in a row become one Reject frame that names the last of them. */
__attribute__((noinline)) static int refuse(struct lockstep_loop *loop, struct lockstep_lane *lane, struct record r,
                                            uint16_t reason, int64_t now) {
    struct lockstep_source *source = lane->source;
    if (source->limit.ban_seq != 0) reason = REASON_SOURCE_BANNED;
    source->rejected++;
    source->last_reject_reason = reason;
    if (r.source_seq == source->last_source_seq + 1) {
        source->last_source_seq = r.source_seq;
        source->refused_numbers++;
    }
    if (lane->refused_count != 0 && lane->refused_count < UINT32_MAX && lane->refused_kind == r.kind &&
        lane->refused_reason == reason) {
        lane->refused_count++;
        lane->refused_source_seq = r.source_seq;
        return 0;
    }
    int result = lane_flush(loop, lane, now);
    lane->refused_count = 1;
    lane->refused_source_seq = r.source_seq;
    lane->refused_kind = r.kind;
    lane->refused_reason = reason;
    /* Hashing must not become a way to stop the others: large content goes without a digest. */
    if (r.length <= DIGEST_BYTES_MAX)
        lockstep_blake2b(r.body, r.length - 64, lane->refused_digest, sizeof lane->refused_digest);
    else
        memset(lane->refused_digest, 0, 32);
    return result;
}

/* The checks that need the header alone. 0 or the reason; *cause is what goes into the frame. */
static inline uint16_t judge(const struct lockstep_loop *loop, const struct lockstep_source *source, const struct record *r,
                             uint64_t *cause) {
    if (r->length - 64 > BODY_MAX) return REASON_OVERSIZED;
    if (r->kind < USER_KIND_MIN) {
        if (r->kind >= loop->rules_count || !loop->rules[r->kind].known) return REASON_UNKNOWN_KIND;
        if (!(source->granted[r->kind >> 3] & (1u << (r->kind & 7)))) return REASON_KIND_NOT_GRANTED;
        if (r->version != loop->rules[r->kind].version) return REASON_UNKNOWN_VERSION;
        if (loop->live && r->kind >= SIMULATION_FIRST && r->kind <= SIMULATION_LAST) return REASON_MODE_FORBIDS;
    } else if (!(source->granted[r->kind >> 3] & (1u << (r->kind & 7)))) {
        return REASON_KIND_NOT_GRANTED;
    }
    if (r->flags & ~FLAGS_KNOWN) return REASON_NON_CANONICAL;
    if (r->cause >> 63) {
        uint64_t own = r->cause & ~(1ULL << 63), at = own % LOCKSTEP_OWN_CAUSES;
        if (own == 0 || source->own_source_seq[at] != own) return REASON_CAUSE_IN_FUTURE;
        *cause = source->own_seq[at];
        return 0;
    }
    if (r->cause > loop->writer->last_seq) return REASON_CAUSE_IN_FUTURE;
    *cause = r->cause;
    return 0;
}

/* A place for a frame where the current segment has none: rolls, waits. 0, REASON_OVERSIZED, or -errno. */
__attribute__((noinline)) static int find_place(struct lockstep_loop *loop, uint32_t length, struct lockstep_frame **slot) {
    int result;
    while ((result = lockstep_writer_reserve(loop->writer, length, slot)) != 0) {
        if (result == -EMSGSIZE) return REASON_OVERSIZED;
        if ((result = lane_stalled(loop, result)) != 0) return result;
    }
    return 0;
}

/* The flags that go into the frame. How old a message is stands in it as it came, origin_ts; what is LATE is ours to say: one whose
 * origin is longer ago than its source's limit. It has its place and its ts like any other. */
static inline uint16_t flags_of(struct lockstep_loop *loop, struct lockstep_source *source, const struct record *r, int64_t ts) {
    uint16_t flags = (uint16_t)(r->flags & ~FLAG_LATE);
    if (__builtin_expect(source->late_ns == 0 || r->origin_ts == 0 || r->origin_ts >= ts - source->late_ns, 1)) return flags;
    if (source->late++ == 0) flow_told(loop);
    return flags | FLAG_LATE;
}

/* Copy one judged record into the journal and seal it, unless its body is not what its kind says. */
static inline int admit(struct lockstep_loop *loop, struct lockstep_lane *lane, const struct record *r, uint64_t cause,
                        int64_t now) {
    struct lockstep_source *source = lane->source;
    struct lockstep_writer *writer = loop->writer;
    uint32_t length = (uint32_t)r->length;
    if (__builtin_expect(lane->refused_count != 0, 0)) {
        int result = lane_flush(loop, lane, now);
        if (result != 0) return result;
    }
    struct lockstep_frame *slot = lockstep_append_place(writer, length);
    if (__builtin_expect(slot == NULL || writer->last_seq >= LOCKSTEP_SEQ_MAX, 0)) {
        int result = find_place(loop, length, &slot);
        if (result > 0) return refuse(loop, lane, *r, (uint16_t)result, now);
        if (result < 0) return result;
    }
    int64_t ts = stream_ts(loop, now);
    struct lockstep_head head = lockstep_head_of(writer, r->kind, r->version, flags_of(loop, source, r, ts), source->source, ts,
                                                 r->origin_ts, r->source_seq, cause, lane->incarnation);
    uint32_t crc = lockstep_append_fill(writer, slot, length, &head, r->body);
    if (r->kind < USER_KIND_MIN) {
        uint16_t reason = lockstep_check_body(&loop->rules[r->kind], (const uint8_t *)slot + 64, length - 64);
        if (__builtin_expect(reason != 0, 0)) {
            lockstep_writer_abandon(writer, slot, length);
            return refuse(loop, lane, *r, reason, now);
        }
        if (__builtin_expect(loop->rules[r->kind].awaited, 0)) store_relaxed(&loop->awaited_seq, writer->last_seq + 1);
    }
    uint64_t seq = lockstep_append_seal(writer, slot, length, ts, crc);
    loop->frames++;
    source->last_source_seq = source->accepted_source_seq = r->source_seq;
    source->accepted_seq = seq;
    source->own_source_seq[r->source_seq % LOCKSTEP_OWN_CAUSES] = r->source_seq;
    source->own_seq[r->source_seq % LOCKSTEP_OWN_CAUSES] = seq;
    return 0;
}

/* A number that is not the next one: a message that was put again, one that is not numbered, or a gap. As take_record. */
__attribute__((noinline)) static int64_t misnumbered(struct lockstep_loop *loop, struct lockstep_lane *lane, struct record r,
                                                     int64_t now) {
    struct lockstep_source *source = lane->source;
    int result;
    if (r.source_seq == 0) {
        result = refuse(loop, lane, r, REASON_SOURCE_SEQ_BACKWARDS, now);
        return result != 0 ? result : (int64_t)r.length;
    }
    if (r.source_seq <= source->last_source_seq) {
        source->duplicates++;
        struct lockstep_frame h = {
            .length = (uint32_t)r.length, .kind = r.kind, .version = r.version, .flags = r.flags, .origin_ts = r.origin_ts,
            .source_seq = r.source_seq, .cause = r.cause,
        };
        if ((result = flow_again(loop, lane, &h, r.body, now)) > 0)
            result = refuse(loop, lane, r, REASON_DUPLICATE_DIFFERS, now);
        return result != 0 ? result : (int64_t)r.length;
    }
    struct lockstep_source_gap gap = {
        .expected_source_seq = source->last_source_seq + 1,
        .got_source_seq = r.source_seq,
        .source = source->source,
    };
    if ((result = lane_flush(loop, lane, now)) != 0) return result;
    if ((result = loop_append(loop, now, LOCKSTEP_SOURCE_GAP, &gap, sizeof gap)) != 0) return result;
    return lane_state(loop, lane, now, STATE_QUARANTINED, REASON_SOURCE_SEQ_GAP);
}

/* One record. Bytes taken; 0 when the lane is no longer read; -errno when the writer failed. */
static inline int64_t take_record(struct lockstep_loop *loop, struct lockstep_lane *lane, uint64_t there, int64_t now) {
    const uint8_t *at = lane->ring.data + (lane->head & (lane->ring.ring_bytes - 1));
    if (there < 64) return lane_state(loop, lane, now, STATE_DEAD, REASON_RING_CORRUPT);
    /* These lines are the publisher's: on the way from its core while the records before them are handled. */
    __builtin_prefetch(at + LOCKSTEP_AHEAD_BYTES, 0);
    __builtin_prefetch(at + LOCKSTEP_AHEAD_BYTES + 64, 0);
    struct record r = read_record((const uint64_t *)(const void *)at);
    if (__builtin_expect(r.length < 64 || (r.length & 7) != 0 || r.length > there, 0))
        return lane_state(loop, lane, now, STATE_DEAD, REASON_RING_CORRUPT);
    if (__builtin_expect(r.source_seq != lane->source->last_source_seq + 1, 0)) return misnumbered(loop, lane, r, now);
    uint64_t cause = 0;
    uint16_t reason = judge(loop, lane->source, &r, &cause);
    int result = __builtin_expect(reason != 0, 0) ? refuse(loop, lane, r, reason, now) : admit(loop, lane, &r, cause, now);
    return result != 0 ? result : (int64_t)r.length;
}

int64_t lane_take(struct lockstep_loop *loop, struct lockstep_lane *lane, uint64_t bytes, int64_t now) {
    uint64_t tail = load_acquire(&lane->ring.page->tail), start = lane->head;
    if (tail == start || lane->state != STATE_ATTACHED) return 0;
    int64_t result = __atomic_load_n(&loop->writer->failed, __ATOMIC_ACQUIRE);
    if (result != 0) return -result;
    result = 1;
    uint64_t accepted = lane->source->accepted_source_seq, place = flow_place(loop);
    telemetry_waiting(lane, tail - start);
    if (tail - start > lane->ring.ring_bytes || (tail & 7) != 0)
        result = lane_state(loop, lane, now, STATE_DEAD, REASON_RING_CORRUPT);
    while (lane->state == STATE_ATTACHED && lane->head != tail && lane->head - start < bytes) {
        result = take_record(loop, lane, tail - lane->head, now);
        if (result < 0) return result;
        lane->head += (uint64_t)result;
    }
    if (result < 0) return result;
    if ((result = lane_flush(loop, lane, now)) != 0) return result;
    if (lane->source->accepted_source_seq != accepted) flow_turned(lane->source, accepted + 1, place);
    lane_publish(lane);
    return (int64_t)(lane->head - start) + (lane->state != STATE_ATTACHED);
}
