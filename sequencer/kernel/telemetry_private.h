/* Where the loop meets its telemetry: what is inline here is all that a turn pays for it. */
#ifndef LOCKSTEP_TELEMETRY_PRIVATE_H
#define LOCKSTEP_TELEMETRY_PRIVATE_H

#include "sequencer/kernel/loop_private.h"

/* Each word of one lane's source. Also says where the lane's bytes were counted up to. */
void telemetry_lane(struct lockstep_loop *loop, struct lockstep_lane *lane);
/* The loop's words, and the lanes that have moved. */
void telemetry_publish(struct lockstep_loop *loop, int64_t now);
void telemetry_pass(struct lockstep_loop *loop, int64_t begun, uint64_t frames_before, int any);
void telemetry_parked(struct lockstep_loop *loop, int64_t begun);
/* Sync thread: `oldest` is when the first frame of this sync could be seen. */
void telemetry_synced(struct lockstep_loop *loop, int64_t oldest, int64_t begun);
void telemetry_prepared(struct lockstep_loop *loop, int64_t begun, int64_t result);

/* Read once a use: whoever measures what telemetry costs takes it away and gives it back while the loop runs. */
static inline struct lockstep_telemetry *telemetry_of(const struct lockstep_loop *loop) {
    return __atomic_load_n(&loop->telemetry, __ATOMIC_RELAXED);
}

/* Every turn: the loop turns, whoever watches over it sees that. Not 0: this turn is measured, from then on. */
static inline int64_t telemetry_turn(struct lockstep_loop *loop) {
    store_relaxed(&loop->turns, loop->turns + 1);
    if (loop->turns % LOCKSTEP_TELEMETRY_TURNS != 0 || telemetry_of(loop) == NULL) return 0;
    return lockstep_mono_ns(NULL);
}

/* Every take: `waiting` bytes were in the ring. */
static inline void telemetry_waiting(struct lockstep_lane *lane, uint64_t waiting) {
    if (waiting > lane->source->high_water && waiting <= lane->ring.ring_bytes) lane->source->high_water = waiting;
}

#endif
