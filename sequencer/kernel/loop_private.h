/* What the loop's C files share. */
#ifndef LOCKSTEP_LOOP_PRIVATE_H
#define LOCKSTEP_LOOP_PRIVATE_H

#include "sequencer/kernel/ring_private.h"

#include "journal/kernel/clock.h"
#include "journal/kernel/disk.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/writer.h"
#include "journal/kernel/append.h"
#include "sequencer/kernel/admission.h"
#include "sequencer/kernel/telemetry.h"
#include "sequencer/kernel/flow.h"
#include "sequencer/kernel/loop.h"

/* The enumeration values the loop itself needs; journal/messages/enums.py has them all, a test compares. */
enum {
    REASON_MALFORMED = 1, REASON_OVERSIZED = 4, REASON_UNKNOWN_KIND = 5, REASON_UNKNOWN_VERSION = 6,
    REASON_KIND_NOT_GRANTED = 7, REASON_SOURCE_BANNED = 9, REASON_SOURCE_SEQ_GAP = 10, REASON_SOURCE_SEQ_BACKWARDS = 11,
    REASON_DUPLICATE_DIFFERS = 12, REASON_PUBLISH_RATE = 15, REASON_RING_CORRUPT = 16,
    REASON_CAUSE_IN_FUTURE = 17, REASON_NON_CANONICAL = 18, REASON_MODE_FORBIDS = 21,
    REASON_STREAM_HALTED = 22, REASON_DISK_LOW = 23,
    STATE_ATTACHED = 1, STATE_DETACHED = 2, STATE_QUARANTINED = 3, STATE_BANNED = 4, STATE_DEAD = 5,
    SIMULATION_FIRST = 900, SIMULATION_LAST = 999, USER_KIND_MIN = 10000, FLAGS_KNOWN = 0x01FF, FLAG_LATE = 1 << 7, BODY_MAX = (1 << 20) - 64,
    DIGEST_BYTES_MAX = 1 << 16,
};

static inline int64_t loop_now(const struct lockstep_loop *loop) {
    int64_t now = loop->manual_ns ? lockstep_manual_ns((void *)(uintptr_t)loop->manual_ns) : lockstep_wall_ns(NULL);
    return now;
}

/* Stream time: never back, never still. */
static inline int64_t stream_ts(const struct lockstep_loop *loop, int64_t now) {
    int64_t next = loop->writer->last_ts + 1;
    return now > next ? now : next;
}

/* Wake the publisher if it sleeps and wants to hear of what there is now. */
static inline void lane_wake(struct lockstep_lane *lane) {
    uint64_t ticket = wanted_wake(lane->ring.page, lane->head);
    if (ticket == 0 || ticket == lane->woken) return;
    lane->woken = ticket;
    wake_write(lane->client_fd);
}

/* Wait until the writer has a segment to roll into. 0, or -errno when the stream must end. */
int lane_stalled(struct lockstep_loop *loop, int error);
int loop_append(struct lockstep_loop *loop, int64_t now, uint16_t kind, const void *body, uint32_t body_bytes);
int lane_state(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now, uint64_t state, uint16_t reason);
int lane_flush(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now);
/* Take up to `bytes` from a lane. Bytes taken, or -errno. */
int64_t lane_take(struct lockstep_loop *loop, struct lockstep_lane *lane, uint64_t bytes, int64_t now);
void lane_publish(struct lockstep_lane *lane);

#endif
