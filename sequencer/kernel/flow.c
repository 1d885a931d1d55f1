/* Clock, disk and last words, see flow.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "sequencer/kernel/flow_private.h"

enum {
    RESOURCE_DISK = 1, SCOPE_GLOBAL = 1, SEVERITY_ERROR = 5, SEVERITY_CRITICAL = 6, ALERT_RAISED = 1, ALERT_CLEARED = 3,
    READS_PER_LOOK = 8192, DRIFT_JUMPS = 3, DRIFT_TOLD_NS = 1000000000, ABSENT_NS = 1000000000,
};

/* A frame into the room that is left, be it the reserve of a full segment: it waits for nothing. The very last bytes of the
 * reserve are StreamHalted's. */
static int say(struct lockstep_loop *loop, int64_t now, uint16_t kind, const void *body, uint32_t bytes) {
    const struct lockstep_writer *w = loop->writer;
    struct lockstep_frame head = {
        .kind = kind, .version = 1, .flags = 1, .origin_ts = now, .ts = stream_ts(loop, now),
    };
    uint64_t kept = kind == LOCKSTEP_STREAM_HALTED ? 0 : 64 + sizeof(struct lockstep_stream_halted);
    if (w->offset + 64 + bytes + kept > w->limit + LOCKSTEP_RESERVE_BYTES) return -ENOSPC;
    int result = lockstep_writer_last_words(loop->writer, &head, body, bytes);
    if (result == 0) loop->frames++;
    return result;
}

/* Raised or cleared. The control plane says it to people. */
/* The last thing one does: it wakes the control plane, which then reads what has changed. */
static void alert(struct lockstep_loop *loop, int64_t now, uint64_t number, uint16_t rule, uint8_t severity, uint8_t state,
                  const char *text) {
    struct { struct lockstep_alert alert; char text[112]; } body;
    uint32_t bytes = (uint32_t)strnlen(text, sizeof body.text);
    memset(&body, 0, sizeof body);
    body.alert = (struct lockstep_alert){
        .scope_type = SCOPE_GLOBAL, .alert = number, .about_seq = loop->flow.durable_seen, .rule = rule, .severity = severity,
        .state = state, .text = {.at = sizeof body.alert, .len = (uint16_t)bytes},
    };
    memcpy(body.text, text, bytes);
    say(loop, now, LOCKSTEP_ALERT, &body, (uint32_t)(sizeof body.alert + ((bytes + 7) & ~7u)));
    flow_told(loop);
}

/* ---- the clock */

/* Both clocks at one instant: a thread that loses its core between two readings would see a step that never was. 0: not now. */
static int read_clocks(const struct lockstep_flow *flow, int64_t *wall, int64_t *mono) {
    for (int i = 0; i < 4; i++) {
        int64_t before = lockstep_mono_ns(NULL);
        *wall = lockstep_wall_ns(NULL);
        *mono = lockstep_mono_ns(NULL);
        if (*mono - before <= flow->clock_jump_ns / 4) return 1;
    }
    return 0;
}

/* Jumps that follow one another in one direction are no steps: the clock stands still, or runs at a pace of its own. A jump
 * each hundred times its size is a pace that is wrong by one in a hundred. */
static void look_at_pace(struct lockstep_loop *loop, int64_t now, int64_t way, int64_t mono) {
    struct lockstep_flow *flow = &loop->flow;
    int64_t since = (mono - flow->jumped_at) / 100;
    char text[112];
    if (way == 0) {
        if (flow->drifts == 0 || since < flow->clock_jump_ns) return;
        uint64_t number = flow->drifts;
        flow->drifts = 0;
        flow->run = 0;
        alert(loop, now, number, 0, SEVERITY_ERROR, ALERT_CLEARED, "clock: the wall clock keeps pace again");
        return;
    }
    if (flow->run * way <= 0 || since > flow->clock_jump_ns) {
        flow->run = 0;
        flow->run_wall = flow->known_wall;
        flow->run_mono = flow->known_mono;
    }
    flow->run += way;
    if (flow->drifts != 0 || flow->run * way < DRIFT_JUMPS) return;
    flow->drifts = ++flow->alerts;
    snprintf(text, sizeof text, "clock: %lld ms went by on the wall clock, %lld ms on the monotonic clock",
             (long long)(now - flow->run_wall) / 1000000, (long long)(mono - flow->run_mono) / 1000000);
    alert(loop, now, flow->drifts, 0, SEVERITY_ERROR, ALERT_RAISED, text);
}

static int look_at_clock(struct lockstep_loop *loop) {
    struct lockstep_flow *flow = &loop->flow;
    int64_t wall, mono;
    if (!read_clocks(flow, &wall, &mono)) return 0;
    /* The monotonic clock is slewed together with the wall clock: only a step moves them apart. */
    int64_t step = wall - mono - flow->offset;
    int64_t way = step > flow->clock_jump_ns ? 1 : -step > flow->clock_jump_ns ? -1 : 0;
    struct lockstep_clock_jump body = {
        .before_ts = flow->known_wall, .after_ts = wall, .mono_delta_ns = mono - flow->known_mono,
    };
    int first = flow->known_mono == 0, result = 0;
    flow->wall = wall;
    /* Of a clock that goes on jumping, a jump a second is enough. */
    if (!first && way != 0 && flow->drifts != 0 && mono - flow->jumped_at < DRIFT_TOLD_NS) return 0;
    if (!first && way != 0) {
        flow->jumps++;
        result = loop_append(loop, wall, LOCKSTEP_CLOCK_JUMP, &body, sizeof body);
    }
    if (!first) look_at_pace(loop, wall, way, mono);
    if (first || way != 0) {
        flow->offset = wall - mono;
        flow->jumped_at = mono;
    }
    flow->known_wall = wall;
    flow->known_mono = mono;
    return result;
}

/* ---- the disk */

/* The watermark of what is on disk stands still although there is something to be written. */
static void look_at_watermark(struct lockstep_loop *loop, int64_t now, int64_t mono) {
    struct lockstep_flow *flow = &loop->flow;
    uint64_t durable = load_acquire(&loop->writer->control->durable_seq), seen = flow->durable_seen;
    long long still = (mono - flow->behind_since) / 1000000;
    char text[96];
    int done = durable == loop->writer->last_seq;
    if (done || durable != seen || flow->behind_since == 0) {
        flow->durable_seen = durable;
        flow->behind_since = done ? 0 : mono;
        uint64_t number = flow->stalled;
        if (number == 0) return;
        flow->stalled = 0;
        snprintf(text, sizeof text, "disk: frames become durable again, after %lld ms", still);
        alert(loop, now, number, REASON_STREAM_HALTED, SEVERITY_CRITICAL, ALERT_CLEARED, text);
    } else if (!flow->stalled && mono - flow->behind_since >= flow->stall_alert_ns) {
        flow->stalled = ++flow->alerts;
        snprintf(text, sizeof text, "disk: no frame behind %llu became durable for %lld ms", (unsigned long long)seen, still);
        alert(loop, now, flow->stalled, REASON_STREAM_HALTED, SEVERITY_CRITICAL, ALERT_RAISED, text);
    }
}

static int say_disk(struct lockstep_loop *loop, int64_t now) {
    struct lockstep_flow *flow = &loop->flow;
    struct lockstep_resource_state body = {
        .used = load_acquire(&flow->disk_used), .capacity = load_acquire(&flow->disk_capacity), .resource = RESOURCE_DISK,
    };
    return say(loop, now, LOCKSTEP_RESOURCE_STATE, &body, sizeof body);
}

/* There is no next segment yet: the one that is left is the last. Said once, and once when it has passed. */
static void look_at_disk(struct lockstep_loop *loop, int64_t now) {
    uint64_t low = load_acquire((uint64_t *)&loop->prepare_error) != 0;
    if (low == loop->flow.disk_low) return;
    if (say_disk(loop, now) == 0) loop->flow.disk_low = low;
}

void flow_told(struct lockstep_loop *loop) {
    store_release(&loop->events, loop->events + 1);
    wake_write(loop->control_fd);
}

/* Time in which we did not run is held against nobody. */
static void excuse(struct lockstep_loop *loop, int64_t gone) {
    struct lockstep_flow *flow = &loop->flow;
    if (flow->behind_since != 0) flow->behind_since += gone;
    if (flow->waits_since != 0) flow->waits_since += gone;
    for (uint32_t i = 0; i < loop->active_count; i++) {
        struct lockstep_limit *limit = &loop->lane[loop->active[i]].source->limit;
        if (limit->held_since != 0) limit->held_since += gone;
    }
}

/* The monotonic clock. Where we are long overdue, the whole process stood still: stopped, suspended, out of memory. What waits for
 * something is looked at every 50 ms. */
static int64_t awake(struct lockstep_loop *loop) {
    struct lockstep_flow *flow = &loop->flow;
    int64_t mono = lockstep_mono_ns(NULL), gone = flow->seen != 0 ? mono - flow->seen : 0;
    flow->seen = mono;
    if (gone > ABSENT_NS) excuse(loop, gone);
    return mono;
}

int flow_look(struct lockstep_loop *loop, int64_t now) {
    int64_t mono = loop->mono = awake(loop);
    int result = 0;
    loop->flow.reads_left = READS_PER_LOOK;
    loop->flow.look_at = mono + FLOW_LOOK_NS;
    loop->flow.unlooked = 0;
    loop->flow.wall = now;
    store_relaxed(&loop->flow.look_now, 0);
    if ((result = -__atomic_load_n(&loop->writer->failed, __ATOMIC_ACQUIRE)) != 0) return result;
    if (loop->manual_ns == NULL) { /* a clock that its owner moves jumps by design */
        loop->wall_ahead = now - mono;
        result = look_at_clock(loop);
    }
    look_at_disk(loop, now);
    look_at_watermark(loop, now, mono);
    return result != 0 ? result : flow_lift(loop, now, mono);
}

int64_t flow_due(const struct lockstep_loop *loop, int64_t due) {
    const struct lockstep_flow *flow = &loop->flow;
    int64_t mono = lockstep_mono_ns(NULL);
    int64_t rest = flow->wake_at - mono, look = flow->look_at - mono;
    if (flow->wake_at != INT64_MAX && rest < due) due = rest;
    for (uint32_t i = 0; i < loop->active_count; i++) {
        const struct lockstep_lane *lane = &loop->lane[loop->active[i]];
        if (lane->limited && lane->source->limit.ban_seq != 0 && lane->source->limit.banned_until - mono < due)
            due = lane->source->limit.banned_until - mono;
    }
    if (load_relaxed(&loop->writer->control->durable_seq) != loop->writer->last_seq && look < due) due = look;
    return due > 0 ? due : 1;
}

int flow_no_segment(struct lockstep_loop *loop) {
    struct lockstep_flow *flow = &loop->flow;
    int error = (int)load_acquire((uint64_t *)&loop->prepare_error);
    int64_t mono = awake(loop);
    look_at_disk(loop, loop_now(loop));
    look_at_watermark(loop, loop_now(loop), mono);
    if (error == 0) {
        flow->waits_since = 0; /* the disk is slow, not full: nothing is lost by waiting */
        return 0;
    }
    if (flow->waits_since == 0) flow->waits_since = mono;
    return mono - flow->waits_since >= flow->disk_patience_ns ? error : 0;
}

void flow_measure_disk(struct lockstep_loop *loop) {
    struct statvfs fs;
    if (statvfs(loop->writer->folder, &fs) != 0) return;
    store_release(&loop->flow.disk_used, (uint64_t)(fs.f_blocks - fs.f_bavail) * fs.f_frsize);
    store_release(&loop->flow.disk_capacity, (uint64_t)fs.f_blocks * fs.f_frsize);
}

int64_t flow_retry_ns(const struct lockstep_loop *loop) {
    int64_t fifth = loop->flow.disk_patience_ns / 5;
    return fifth < 1000000 ? 1000000 : fifth > 1000000000 ? 1000000000 : fifth;
}

void flow_last_words(struct lockstep_loop *loop, int error) {
    if (error == -ESTALE) return; /* the stream is another's, and goes on */
    int full = error == -ENOSPC || error == -EDQUOT;
    struct lockstep_stream_halted body = {
        .os_error = -error, .reason = full ? REASON_DISK_LOW : REASON_STREAM_HALTED,
    };
    /* Before the frame: who sees the frame sees the gate shut. */
    __atomic_store_n(&loop->writer->control->halted, (uint32_t)body.reason, __ATOMIC_RELEASE);
    say(loop, loop_now(loop), LOCKSTEP_STREAM_HALTED, &body, sizeof body);
    lockstep_writer_publish_watermark(loop->writer);
}
