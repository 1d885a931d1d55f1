/* The two threads behind the loop: one puts on disk what is written, one makes segments before they are needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "sequencer/kernel/flow_private.h"
#include "sequencer/kernel/telemetry_private.h"

static pthread_mutex_t lanes = PTHREAD_MUTEX_INITIALIZER;

void lockstep_lanes_lock(void) { pthread_mutex_lock(&lanes); }
void lockstep_lanes_unlock(void) { pthread_mutex_unlock(&lanes); }

static void wait_fd(int fd, int64_t ns) {
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    uint64_t count;
    if (ppoll(&pfd, 1, ns < 0 ? NULL : &t, NULL) > 0) {
        ssize_t n = read(fd, &count, sizeof count);
        (void)n;
    }
}

static void wake_clients(struct lockstep_loop *loop) {
    full_fence();
    lockstep_lanes_lock();
    for (uint64_t i = 0; i < loop->lanes_seen; i++) {
        struct lockstep_lane *lane = &loop->lane[i];
        if (!lane->used) continue;
        uint64_t ticket = wanted_wake(lane->ring.page, 0); /* who sleeps for room waits for the loop, not for the disk */
        if (ticket != 0 && ticket != lane->sync_woken) {
            lane->sync_woken = ticket;
            wake_write(lane->client_fd);
        }
    }
    lockstep_lanes_unlock();
}

static int all_durable(const struct lockstep_loop *loop) {
    const struct lockstep_control *control = loop->writer->control;
    return load_acquire(&control->written_seq) == load_acquire(&control->durable_seq);
}

/* Does a publisher sleep that may be waiting for the disk? */
static int somebody_sleeps(struct lockstep_loop *loop) {
    int found = 0;
    lockstep_lanes_lock();
    for (uint64_t i = 0; i < loop->lanes_seen && !found; i++)
        found = loop->lane[i].used && wanted_wake(loop->lane[i].ring.page, 0) != 0;
    lockstep_lanes_unlock();
    return found;
}

/* Does anybody wait for the next sync? The writer does as soon as it has left a segment: its place is needed again. */
static int awaited(struct lockstep_loop *loop) {
    const struct lockstep_writer *writer = loop->writer;
    return load_acquire(&loop->sync_stop) != 0 ||
           load_relaxed(&loop->awaited_seq) > load_relaxed(&writer->control->durable_seq) ||
           __atomic_load_n(&writer->segment, __ATOMIC_ACQUIRE) != writer->first_unsynced || somebody_sleeps(loop);
}

/* Let syncs start an interval apart. What is written meanwhile shares the next one; behind a pause there was nothing to share with,
 * and a publisher that sleeps until its message is durable does not wait for more. (For what is awaited while nobody sleeps, a sync
 * for each message would be too many: each makes the page that the loop writes to fault again.) */
static void space(struct lockstep_loop *loop, int64_t due, int paused) {
    int64_t nap = paused ? loop->sync_interval_ns / 4 + 1 : INT64_MAX;
    for (int64_t now = lockstep_mono_ns(NULL); now < due; now = lockstep_mono_ns(NULL)) {
        if (load_acquire(&loop->sync_stop) != 0 || (paused && somebody_sleeps(loop))) return;
        wait_fd(loop->sync_fd, nap < due - now ? nap : due - now);
    }
}

/* Frames are not on disk, and nobody waits for them: put it off until `end`. The loop wakes us for a frame that is waited for;
 * publishers that fall asleep meanwhile are looked for, less and less often. */
static void doze(struct lockstep_loop *loop, uint64_t *ticket, int64_t end) {
    int64_t nap = loop->sync_interval_ns / 4 + 1; /* who has just published may be about to sleep */
    for (int64_t now = lockstep_mono_ns(NULL); now < end; now = lockstep_mono_ns(NULL), nap *= 2) {
        store_release(&loop->sync_parked, ++*ticket << 1 | LOCKSTEP_SYNC_DOZES);
        full_fence();
        int now_wanted = awaited(loop);
        if (!now_wanted) wait_fd(loop->sync_fd, nap < end - now ? nap : end - now);
        store_release(&loop->sync_parked, 0);
        if (now_wanted) return;
    }
}

int32_t lockstep_sync_run(struct lockstep_loop *loop) {
    uint64_t ticket = 0, durable = 0;
    int paused = 0;
    int64_t last = 0, oldest = lockstep_mono_ns(NULL); /* when the first frame not yet on disk could be seen */
    for (;;) {
        int stop = load_acquire(&loop->sync_stop) != 0;
        if (all_durable(loop)) {
            if (stop) return 0;
            store_release(&loop->sync_parked, ++ticket << 1);
            full_fence();
            if (all_durable(loop) && load_acquire(&loop->sync_stop) == 0) wait_fd(loop->sync_fd, -1);
            store_release(&loop->sync_parked, 0);
            oldest = lockstep_mono_ns(NULL);
            paused = 1;
            continue;
        }
        space(loop, last + loop->sync_interval_ns, paused);
        paused = 0;
        doze(loop, &ticket, oldest + loop->sync_lag_ns);
        stop = load_acquire(&loop->sync_stop) != 0;
        last = lockstep_mono_ns(NULL);
        int result = stop ? lockstep_writer_sync(loop->writer, &durable) : lockstep_writer_sync_behind(loop->writer, &durable);
        if (result != 0) {
            loop->sync_error = result;
            store_release(&loop->flow.look_now, 1);
            wake_write(loop->control_fd);
            wake_write(loop->wake_fd); /* the loop's next append fails, and so the stream ends */
            return result;
        }
        loop->syncs++;
        telemetry_synced(loop, oldest, last);
        oldest = last;
        if (lockstep_writer_wants_segment(loop->writer) || lockstep_writer_wants_touch(loop->writer))
            wake_write(loop->segment_fd);
        wake_clients(loop);
    }
}

void lockstep_sync_end(struct lockstep_loop *loop) {
    store_release(&loop->sync_stop, 1);
    wake_write(loop->sync_fd);
}

int32_t lockstep_prepare_run(struct lockstep_loop *loop) {
    while (load_acquire(&loop->prepare_stop) == 0) {
        int64_t patience = -1;
        lockstep_writer_touch(loop->writer);
        if (lockstep_writer_wants_segment(loop->writer) == 1) {
            int64_t begun = lockstep_mono_ns(NULL);
            int64_t result = lockstep_writer_prepare(loop->writer);
            if (result == -EBUSY)
                result = 0; /* a slot is free after the next sync, which wakes us */
            else
                telemetry_prepared(loop, begun, result);
            if (result != 0) flow_measure_disk(loop);
            int news = result != loop->prepare_error;
            store_release((uint64_t *)&loop->prepare_error, (uint64_t)result);
            if (news) {
                store_release(&loop->flow.look_now, 1);
                wake_write(loop->control_fd);
            }
            wake_write(loop->wake_fd);
            if (result == 0 && loop->seal_fd > 0) wake_write(loop->seal_fd);
            if (result != 0) patience = flow_retry_ns(loop);
        }
        wait_fd(loop->segment_fd, patience);
    }
    return 0;
}

void lockstep_prepare_end(struct lockstep_loop *loop) {
    store_release(&loop->prepare_stop, 1);
    wake_write(loop->segment_fd);
}
