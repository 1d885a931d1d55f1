/* The loop's hooks into flow.c. Each is called once a batch or less; the inline part is what everybody pays. */
#ifndef LOCKSTEP_FLOW_PRIVATE_H
#define LOCKSTEP_FLOW_PRIVATE_H

#include "sequencer/kernel/loop_private.h"

enum { FLOW_LOOK_NS = 50000000, FLOW_READINGS = 1024 };

/* Something for people: the control plane looks at the counters. */
void flow_told(struct lockstep_loop *loop);

/* Look at clock, disk and watermark. 0, or -errno when the stream must end. */
int flow_look(struct lockstep_loop *loop, int64_t now);

/* With every reading of the wall clock: who writes here; and a look after a step back, 50 ms, a thousand readings, or news of the
 * disk. */
static inline int flow_now(struct lockstep_loop *loop, int64_t now) {
    struct lockstep_flow *flow = &loop->flow;
    int overtaken = lockstep_overtaken(loop->writer);
    if (__builtin_expect(overtaken != 0, 0)) return overtaken;
    if (__builtin_expect((uint64_t)(now - flow->wall) <= FLOW_LOOK_NS && load_relaxed(&flow->look_now) == 0 &&
                         ++flow->unlooked < FLOW_READINGS, 1))
        return 0;
    return flow_look(loop, now);
}

/* The same, and the monotonic clock reckoned from it: wrong by a step of the wall clock until the next look, 50 ms. */
static inline int flow_time(struct lockstep_loop *loop, int64_t now) {
    int result = flow_now(loop, now);
    loop->mono = loop->wall_ahead != 0 ? now - loop->wall_ahead : lockstep_mono_ns(NULL);
    return result;
}

/* Whether a lane's ring is left alone in this pass. The loop is awake when that is over, and wakes whom it left asleep. */
static inline int flow_rests(struct lockstep_loop *loop, struct lockstep_lane *lane) {
    if (__builtin_expect(lane->rests_until == 0, 1)) return 0;
    if (lane->rests_until > loop->mono) {
        if (lane->rests_until < loop->flow.wake_at) loop->flow.wake_at = lane->rests_until;
        return 1;
    }
    lane->rests_until = 0;
    lane_wake(lane);
    return 0;
}

/* When the loop, with nothing to do, must be awake again at the latest. */
int64_t flow_due(const struct lockstep_loop *loop, int64_t due);

/* What a limited lane may have now: bytes of whole records, 0 = its ring rests, or -errno. */
int64_t flow_turn(struct lockstep_loop *loop, struct lockstep_lane *lane, uint64_t share, int64_t now);
/* End the bans whose time has passed. */
int flow_lift(struct lockstep_loop *loop, int64_t now, int64_t mono);
void flow_attached(struct lockstep_lane *lane);

/* A turn begins to append at the writer's end: remember where, once something was accepted. */
static inline uint64_t flow_place(const struct lockstep_loop *loop) {
    return (uint64_t)loop->writer->segment << 32 | loop->writer->offset;
}
void flow_turned(struct lockstep_source *source, uint64_t first_source_seq, uint64_t place);

/* A number came again: 0 = as before, or nobody can say; 1 = it differs, a Divergence was appended; -errno. */
int flow_again(struct lockstep_loop *loop, struct lockstep_lane *lane, const struct lockstep_frame *h, const uint8_t *body,
               int64_t now);

/* No segment to roll into. 0 = wait on, or -errno: the disk has refused for too long. */
int flow_no_segment(struct lockstep_loop *loop);
/* By the preparer, when the disk refuses: how much there is. */
void flow_measure_disk(struct lockstep_loop *loop);
/* How long it waits before it tries again: five times within the patience, at least every second. */
int64_t flow_retry_ns(const struct lockstep_loop *loop);

/* The stream ends with `error`: say so, as far as the disk takes it. */
void flow_last_words(struct lockstep_loop *loop, int error);

#endif
