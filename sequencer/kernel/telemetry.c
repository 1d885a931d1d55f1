/* telemetry, see telemetry.h: relaxed copies of what the loop counts anyway. Nothing here is on the way of a message. */
#define _GNU_SOURCE
#include "sequencer/kernel/telemetry_private.h"

enum { FULL_EVERY_NS = 50000000, BUSY_EVERY_NS = 1000000 };

uint32_t lockstep_histogram_bucket(uint64_t value) {
    if (value < 4) return (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value), at = (power - 1) * 4 + (uint32_t)((value >> (power - 2)) & 3);
    return at < LOCKSTEP_BUCKETS ? at : LOCKSTEP_BUCKETS - 1;
}

void lockstep_histogram_add(struct lockstep_histogram *h, uint64_t value) {
    uint64_t *bucket = &h->bucket[lockstep_histogram_bucket(value)];
    store_relaxed(bucket, *bucket + 1);
    store_relaxed(&h->count, h->count + 1);
    store_relaxed(&h->sum, h->sum + value);
    if (value > h->max) store_relaxed(&h->max, value);
}

struct lockstep_source_telemetry *lockstep_telemetry_sources(struct lockstep_telemetry *page) {
    return (struct lockstep_source_telemetry *)(page + 1);
}

static uint64_t positive(int64_t ns) { return ns > 0 ? (uint64_t)ns : 0; }

void telemetry_lane(struct lockstep_loop *loop, struct lockstep_lane *lane) {
    struct lockstep_source *source = lane->source;
    source->bytes += lane->head - lane->counted;
    lane->counted = lane->head;
    struct lockstep_source_telemetry *t = source->telemetry;
    if (telemetry_of(loop) == NULL || t == NULL) return;
    uint64_t waiting = load_relaxed(&lane->ring.page->tail) - lane->head;
    store_relaxed(&t->state, lane->state);
    store_relaxed(&t->incarnation, source->incarnation);
    store_relaxed(&t->accepted, source->last_source_seq - source->first_source_seq - source->refused_numbers);
    store_relaxed(&t->rejected, source->rejected);
    store_relaxed(&t->duplicates, source->duplicates);
    store_relaxed(&t->last_reject_reason, source->last_reject_reason);
    store_relaxed(&t->last_source_seq, source->last_source_seq);
    store_relaxed(&t->accepted_seq, source->accepted_seq);
    store_relaxed(&t->bytes, source->bytes);
    /* A tail that is nonsense is the lane's business, not the display's. */
    store_relaxed(&t->fill, waiting <= lane->ring.ring_bytes ? waiting : 0);
    store_relaxed(&t->high_water, source->high_water);
    store_relaxed(&t->bans, source->limit.bans);
    store_relaxed(&t->ban_seq, source->limit.ban_seq);
    store_relaxed(&t->rests, source->limit.rests);
    store_relaxed(&t->late, source->late);
    store_relaxed(&t->full_waits, load_relaxed(&lane->ring.page->full_waits));
    store_relaxed(&t->seen_seq, load_relaxed(&lane->ring.page->seen_seq));
}

static void loop_words(const struct lockstep_loop *loop, struct lockstep_telemetry *t, int64_t now) {
    store_relaxed(&t->turns, loop->turns);
    store_relaxed(&t->frames, loop->frames);
    store_relaxed(&t->stalls, loop->stalls);
    store_relaxed(&t->parks, loop->parks);
    store_relaxed(&t->segment, loop->writer->segment);
    store_relaxed(&t->offset, loop->writer->offset);
    store_relaxed(&t->attached, loop->active_count);
    store_relaxed((uint64_t *)&t->published_ns, (uint64_t)now);
}

void telemetry_publish(struct lockstep_loop *loop, int64_t now) {
    struct lockstep_telemetry *t = telemetry_of(loop);
    if (t == NULL) return;
    /* Lanes that brought nothing may still have been read or filled: they are looked at now and then. */
    int full = now - loop->telemetry_full_ns >= FULL_EVERY_NS;
    if (full) loop->telemetry_full_ns = now;
    for (uint32_t i = 0; i < loop->active_count; i++) {
        struct lockstep_lane *lane = &loop->lane[loop->active[i]];
        if (full || lane->head != lane->counted) telemetry_lane(loop, lane);
    }
    loop_words(loop, t, now);
}

void telemetry_pass(struct lockstep_loop *loop, int64_t begun, uint64_t frames_before, int any) {
    struct lockstep_telemetry *t = telemetry_of(loop);
    if (t == NULL) return;
    int64_t now = lockstep_mono_ns(NULL);
    if (any) {
        lockstep_histogram_add(&t->pass_ns, positive(now - begun));
        lockstep_histogram_add(&t->pass_frames, loop->frames - frames_before);
    }
    if (now - t->published_ns >= BUSY_EVERY_NS) telemetry_publish(loop, now);
}

void telemetry_parked(struct lockstep_loop *loop, int64_t begun) {
    struct lockstep_telemetry *t = telemetry_of(loop);
    if (t == NULL || (loop->parks & 3) != 0) return;
    lockstep_histogram_add(&t->park_ns, positive(lockstep_mono_ns(NULL) - begun));
}

void telemetry_synced(struct lockstep_loop *loop, int64_t oldest, int64_t begun) {
    struct lockstep_telemetry *t = telemetry_of(loop);
    if (t == NULL) return;
    int64_t now = lockstep_mono_ns(NULL);
    lockstep_histogram_add(&t->sync_ns, positive(now - begun));
    lockstep_histogram_add(&t->durable_ns, positive(now - oldest));
    store_relaxed(&t->syncs, t->syncs + 1);
    store_relaxed((uint64_t *)&t->synced_ns, (uint64_t)now);
}

void telemetry_prepared(struct lockstep_loop *loop, int64_t begun, int64_t result) {
    struct lockstep_telemetry *t = telemetry_of(loop);
    if (t == NULL) return;
    store_relaxed((uint64_t *)&t->prepare_error, (uint64_t)result);
    if (result != 0) return;
    lockstep_histogram_add(&t->prepare_ns, positive(lockstep_mono_ns(NULL) - begun));
    store_relaxed(&t->prepared, t->prepared + 1);
}
