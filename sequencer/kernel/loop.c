/* The loop, see loop.h: one pass over all lanes, then one watermark, one wake check. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "sequencer/kernel/flow_private.h"
#include "sequencer/kernel/telemetry_private.h"

static int64_t mono(void) { return lockstep_mono_ns(NULL); }

static void drain_fd(int fd) {
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

static void sleep_on(int fd, int64_t ns) {
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (ppoll(&pfd, 1, ns < 0 ? NULL : &t, NULL) > 0) drain_fd(fd);
}

/* What was appended becomes known: watermark, then whoever sleeps for it. */
static void publish(struct lockstep_loop *loop) {
    lockstep_writer_publish_watermark(loop->writer);
    full_fence();
    for (uint32_t i = 0; i < loop->active_count; i++) {
        struct lockstep_lane *lane = &loop->lane[loop->active[i]];
        if (lane->rests_until <= loop->mono) lane_wake(lane); /* else when its rest is over */
    }
    uint64_t sync = load_relaxed(&loop->sync_parked);
    if (sync != 0 && sync != loop->sync_woken && (!(sync & LOCKSTEP_SYNC_DOZES) || loop->awaited_seq != loop->awaited_told)) {
        loop->sync_woken = sync;
        loop->awaited_told = loop->awaited_seq;
        wake_write(loop->sync_fd);
    }
}

static int commanded(const struct lockstep_loop *loop) { return load_acquire(&loop->command_no) != loop->done_no; }

int lane_stalled(struct lockstep_loop *loop, int error) {
    if (error != -EAGAIN) return error;
    store_relaxed(&loop->stalls, loop->stalls + 1);
    publish(loop);
    wake_write(loop->segment_fd);
    /* The preparer wakes us; the limit covers a wake that another waiter of the eventfd took. */
    sleep_on(loop->wake_fd, 10000000);
    if ((error = flow_no_segment(loop)) != 0) return error;
    /* A stop that waits for a full disk would wait for ever. */
    return load_acquire(&loop->stop_wanted) != 0 ? (int)load_acquire((uint64_t *)&loop->prepare_error) : 0;
}

static void drop_active(struct lockstep_loop *loop, uint32_t lane) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < loop->active_count; i++)
        if (loop->active[i] != lane) loop->active[n++] = loop->active[i];
    loop->active_count = n;
}

/* What the publisher has committed up to now. Its tail may be nonsense: then lane_take says so. */
static int drain_to_now(struct lockstep_loop *loop, struct lockstep_lane *lane) {
    uint64_t tail = load_acquire(&lane->ring.page->tail);
    while (lane->state == STATE_ATTACHED && lane->head != tail) {
        int64_t taken = lane_take(loop, lane, loop->batch_bytes, loop_now(loop));
        if (taken < 0) return (int)taken;
        if (lane->head - tail < (1ULL << 63)) break; /* past it: it has committed more meanwhile */
    }
    return 0;
}

static int obey(struct lockstep_loop *loop) {
    struct lockstep_lane *lane = &loop->lane[loop->command_lane];
    int result = 0;
    switch (loop->command) {
    case LOCKSTEP_ATTACH:
        loop->active[loop->active_count++] = loop->command_lane;
        flow_attached(lane);
        result = lane_state(loop, lane, loop_now(loop), STATE_ATTACHED, 0);
        break;
    case LOCKSTEP_DETACH:
        result = drain_to_now(loop, lane);
        drop_active(loop, loop->command_lane);
        if (result == 0 && lane->state != STATE_DEAD)
            result = lane_state(loop, lane, loop_now(loop), loop->command_state, (uint16_t)loop->command_reason);
        break;
    case LOCKSTEP_SAY:
        result = loop_append(loop, loop_now(loop), (uint16_t)loop->say_kind, loop->say_body, loop->say_bytes);
        break;
    case LOCKSTEP_STOP:
        for (uint32_t i = 0; i < loop->active_count && result == 0; i++) {
            lane = &loop->lane[loop->active[i]];
            result = drain_to_now(loop, lane);
            if (result == 0 && lane->state == STATE_ATTACHED)
                result = lane_state(loop, lane, loop_now(loop), STATE_DETACHED, (uint16_t)loop->command_reason);
        }
        break;
    }
    if (loop->command == LOCKSTEP_ATTACH || loop->command == LOCKSTEP_DETACH) telemetry_lane(loop, lane);
    telemetry_publish(loop, mono());
    publish(loop);
    return result;
}

/* A turn of one lane that has something: its share, less what it took beyond the ones before (a deficit round robin: Shreedhar and
 * Varghese, 1995). 1 if there is more to do, 0, or -errno. */
static int serve(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now) {
    if (__builtin_expect(lane->owed >= loop->batch_bytes, 0)) {
        lane->owed -= loop->batch_bytes;
        return 1;
    }
    uint64_t share = loop->batch_bytes - lane->owed, before = lane->head;
    int64_t bytes = lane->limited ? flow_turn(loop, lane, share, now) : (int64_t)share;
    if (bytes <= 0) return (int)bytes;
    int64_t result = lane_take(loop, lane, (uint64_t)bytes, now);
    if (result < 0) return (int)result;
    uint64_t taken = lane->head - before;
    lane->owed = taken > share ? taken - share : 0;
    if (lane->state != STATE_ATTACHED) {
        store_release(&loop->events, loop->events + 1);
        wake_write(loop->control_fd);
    }
    return result != 0;
}

/* One turn of every lane, beginning with another one each time. 1 if anything was taken, 0, or -errno. */
static int pass(struct lockstep_loop *loop) {
    int64_t now = 0;
    int any = 0, result;
    loop->flow.wake_at = INT64_MAX;
    for (uint32_t i = 0, at = loop->turn; i < loop->active_count; i++, at++) {
        if (at >= loop->active_count) at = 0;
        struct lockstep_lane *lane = &loop->lane[loop->active[at]];
        if (lane->state != STATE_ATTACHED || flow_rests(loop, lane) || load_acquire(&lane->ring.page->tail) == lane->head)
            continue;
        if (now == 0 && (result = flow_time(loop, now = loop_now(loop))) != 0) return result;
        if ((result = serve(loop, lane, now)) < 0) return result;
        any |= result;
    }
    if (++loop->turn >= loop->active_count) loop->turn = 0;
    if (any) publish(loop);
    return any;
}

static int work_waits(const struct lockstep_loop *loop) {
    if (commanded(loop)) return 1;
    for (uint32_t i = 0; i < loop->active_count; i++) {
        const struct lockstep_lane *lane = &loop->lane[loop->active[i]];
        if (lane->state == STATE_ATTACHED && lane->rests_until <= loop->mono && load_acquire(&lane->ring.page->tail) != lane->head)
            return 1;
    }
    return 0;
}

int32_t lockstep_loop_arm(struct lockstep_loop *loop) {
    telemetry_publish(loop, mono());
    uint64_t ticket = ++loop->park_ticket;
    for (uint32_t i = 0; i < loop->active_count; i++)
        store_relaxed(&loop->lane[loop->active[i]].ring.page->parked, ticket);
    full_fence();
    if (loop->hosted) loop->idle_ns = flow_due(loop, loop->idle_ns);
    return !work_waits(loop);
}

void lockstep_loop_disarm(struct lockstep_loop *loop) {
    for (uint32_t i = 0; i < loop->active_count; i++)
        store_relaxed(&loop->lane[loop->active[i]].ring.page->parked, 0);
}

static void park(struct lockstep_loop *loop, int64_t ns) {
    if (lockstep_loop_arm(loop)) {
        store_relaxed(&loop->parks, loop->parks + 1);
        int64_t begun = mono();
        sleep_on(loop->wake_fd, ns);
        telemetry_parked(loop, begun);
    }
    lockstep_loop_disarm(loop);
}

static int tick(struct lockstep_loop *loop, int64_t mono_now) {
    int64_t now = loop_now(loop);
    int looked = flow_now(loop, now); /* a clock that was stepped is told before the first frame of the new time */
    if (looked != 0) return looked;
    struct lockstep_clock_body { int64_t wall_ts, mono_ns; } body = {now, mono_now};
    int result = loop_append(loop, now, LOCKSTEP_CLOCK, &body, sizeof body);
    publish(loop);
    return result;
}

/* Replication moves its watermark in another process, which wakes only the loop: whoever sleeps for it is woken from here. */
static void tell_replicated(struct lockstep_loop *loop) {
    uint64_t seq = load_acquire(&loop->writer->control->replicated_seq);
    if (seq == loop->replicated_told) return;
    loop->replicated_told = seq;
    publish(loop);
}

/* The time is told by a frame when nothing else has told it for a while. How long until then; 0 when it was told just now,
 * or -errno. */
static int64_t tell_time(struct lockstep_loop *loop) {
    int64_t now = loop->mono = mono();
    if (loop->idle_since == 0) loop->idle_since = now;
    if (now >= loop->flow.look_at || load_relaxed(&loop->flow.look_now) != 0) {
        uint64_t before = loop->frames;
        int looked = flow_look(loop, loop_now(loop));
        if (looked != 0) return looked;
        if (loop->frames != before) publish(loop);
    }
    int64_t left = loop->idle_since + loop->clock_interval_ns - now;
    if (left > 0) return left;
    int result = tick(loop, now);
    loop->idle_since = now;
    return result;
}

/* Nothing may wait for the stream any more: it has ended. */
static int end(struct lockstep_loop *loop, int result) {
    if (result < 0) {
        loop->error = result;
        flow_last_words(loop, result);
        /* The publishers must not wait for a dead stream. */
        for (uint32_t i = 0; i < loop->active_count; i++) {
            struct lockstep_lane *lane = &loop->lane[loop->active[i]];
            store_release(&lane->ring.page->state, STATE_DETACHED);
            wake_write(lane->client_fd);
        }
    }
    store_release(&loop->ended, 1);
    wake_write(loop->control_fd);
    return result;
}

/* A hosted loop does not sleep for a segment: without one it takes nothing, and the publishers' rings hold what is there.
 * 1, 0, or -errno when the disk has refused for too long. */
static int has_room(struct lockstep_loop *loop) {
    const struct lockstep_writer *w = loop->writer;
    uint64_t wanted = (1u << 21) + loop->active_count * (loop->batch_bytes + (1u << 16));
    if (!loop->hosted || w->limit > w->offset + wanted || lockstep_writer_wants_segment(w) == 0) return 1;
    if (load_acquire(&loop->stop_wanted) != 0) return 1;
    store_relaxed(&loop->stalls, loop->stalls + 1);
    wake_write(loop->segment_fd);
    return flow_no_segment(loop);
}

int32_t lockstep_loop_turn(struct lockstep_loop *loop) {
    if (loop->ended) return loop->error != 0 ? (int32_t)loop->error : LOCKSTEP_TURN_STOPPED;
    int worked = commanded(loop);
    if (worked) {
        int stop = loop->command == LOCKSTEP_STOP;
        int result = obey(loop);
        if (result != 0) return end(loop, result);
        store_release(&loop->done_no, loop->command_no);
        wake_write(loop->control_fd);
        if (stop) return end(loop, LOCKSTEP_TURN_STOPPED);
    }
    int result = has_room(loop);
    if (result == 0) return LOCKSTEP_TURN_IDLE;
    int64_t measured = telemetry_turn(loop);
    uint64_t frames = loop->frames;
    if (result > 0) result = pass(loop);
    if (result < 0) return end(loop, result);
    if (measured != 0) telemetry_pass(loop, measured, frames, result);
    if (result > 0 || worked) {
        loop->idle_since = 0;
        return LOCKSTEP_TURN_WORKED;
    }
    tell_replicated(loop);
    int64_t left = tell_time(loop);
    if (left < 0) return end(loop, (int)left);
    loop->idle_ns = left;
    return LOCKSTEP_TURN_IDLE;
}

/* Nothing to do: wait as the policy says. */
static void rest(struct lockstep_loop *loop) {
    /* The clock frame is due in idle_ns: so long has it been quiet. */
    int64_t quiet = loop->clock_interval_ns - loop->idle_ns;
    if (loop->idle_ns > 0 && (loop->idle == LOCKSTEP_IDLE_PARK ||
                              (loop->idle == LOCKSTEP_IDLE_SPIN_THEN_PARK && quiet >= (int64_t)loop->spin_ns)))
        park(loop, flow_due(loop, loop->idle_ns));
    else if (loop->idle == LOCKSTEP_IDLE_YIELD)
        sched_yield();
    else
        cpu_pause();
}

int32_t lockstep_loop_run(struct lockstep_loop *loop) {
    for (;;) {
        int32_t result = lockstep_loop_turn(loop);
        if (result == LOCKSTEP_TURN_IDLE)
            rest(loop);
        else if (result != LOCKSTEP_TURN_WORKED)
            return result < 0 ? result : 0;
    }
}

void lockstep_loop_post(struct lockstep_loop *loop, uint32_t command, uint32_t lane, uint32_t state, uint32_t reason) {
    loop->command = command;
    loop->command_lane = lane;
    loop->command_state = state;
    loop->command_reason = reason;
    store_release(&loop->command_no, loop->command_no + 1);
    wake_write(loop->wake_fd);
}

uint64_t lockstep_loop_progress(const struct lockstep_loop *loop) {
    return load_relaxed(&loop->turns) + load_relaxed(&loop->stalls);
}

void lockstep_loop_say(struct lockstep_loop *loop, uint32_t kind, const uint8_t *body, uint32_t bytes) {
    loop->say_kind = kind;
    loop->say_body = body;
    loop->say_bytes = bytes;
    lockstep_loop_post(loop, LOCKSTEP_SAY, 0, 0, 0);
}

uint64_t lockstep_loop_done(const struct lockstep_loop *loop) { return load_acquire(&loop->done_no); }
