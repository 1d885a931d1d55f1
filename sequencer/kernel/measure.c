/* See measure.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "sequencer/kernel/loop_private.h"

#include "journal/kernel/reader.h"
#include "sequencer/kernel/measure.h"

/* Long enough for the others to be asleep: one that is still about to sleep answers at once, and tells nothing of a wake. */
static void let_sleep(void) {
    int64_t end = lockstep_mono_ns(NULL) + 50000;
    while (lockstep_mono_ns(NULL) < end) cpu_pause();
}

static void sleep_at(struct lockstep_producer *p, int64_t ns) {
    struct pollfd fd = {.fd = p->client_fd, .events = POLLIN};
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    uint64_t count;
    if (ppoll(&fd, 1, &t, NULL) > 0 && read(p->client_fd, &count, sizeof count) < 0) return;
}

/* What send is told of a message: kind, version 1, flag LAST. */
#define KIND_OF(kind) ((uint64_t)(kind) | 1ULL << 16 | 1ULL << 32)

/* The frame that the reader delivers next, or NULL: nothing there yet. */
static const struct lockstep_frame *next_frame(struct lockstep_reader *r) {
    struct lockstep_ref ref;
    if (lockstep_reader_poll(r, &ref, 1, 64, UINT64_MAX) == 0) return NULL;
    return (const struct lockstep_frame *)(const void *)(r->base + ref.offset);
}

static int sound(const struct lockstep_reader *r) { return r->state == LOCKSTEP_TAIL || r->state == LOCKSTEP_MORE; }

/* Wait for a frame as the policy says. NULL: none came in time, or the journal is not sound. */
static const struct lockstep_frame *await(struct lockstep_producer *p, struct lockstep_reader *r, uint32_t idle, int64_t end) {
    const struct lockstep_frame *frame;
    while ((frame = next_frame(r)) == NULL && sound(r)) {
        if (idle == LOCKSTEP_IDLE_PARK) {
            lockstep_producer_arm(p);
            if ((frame = next_frame(r)) != NULL) break;
            int64_t left = end - lockstep_mono_ns(NULL);
            if (left <= 0) break;
            sleep_at(p, left);
            continue;
        }
        if (idle == LOCKSTEP_IDLE_YIELD)
            sched_yield();
        else
            cpu_pause();
        if (lockstep_mono_ns(NULL) > end) break;
    }
    if (idle == LOCKSTEP_IDLE_PARK) lockstep_producer_disarm(p);
    return frame;
}

uint64_t lockstep_measure_trips(struct lockstep_producer *p, struct lockstep_reader *r, uint16_t kind, uint64_t count,
                                uint32_t idle, int64_t patience_ns, int64_t *ns) {
    uint64_t body[8] = {0};
    for (uint64_t n = 0; n < count; n++) {
        if (idle == LOCKSTEP_IDLE_PARK) let_sleep();
        int64_t start = lockstep_mono_ns(NULL);
        body[0] = n;
        int64_t number = lockstep_producer_send(p, KIND_OF(kind), (const uint8_t *)body, sizeof body, 0, 0);
        if (number <= 0) return n;
        const struct lockstep_frame *frame = await(p, r, idle, start + patience_ns);
        if (frame == NULL || frame->source_seq != (uint64_t)number) return n;
        ns[n] = lockstep_mono_ns(NULL) - start;
    }
    return count;
}

uint64_t lockstep_measure_durable(struct lockstep_producer *p, const uint64_t *durable_seq, uint16_t kind, uint64_t count,
                                  int64_t patience_ns, int64_t *ns) {
    uint64_t body[8] = {0};
    for (uint64_t n = 0; n < count; n++) {
        int64_t start = lockstep_mono_ns(NULL), left = patience_ns;
        int64_t number = lockstep_producer_send(p, KIND_OF(kind), (const uint8_t *)body, sizeof body, 0, 0);
        if (number <= 0) return n;
        while (left > 0) {
            lockstep_producer_arm(p);
            if (load_acquire(&p->ring.page->accepted_source_seq) >= (uint64_t)number &&
                load_acquire(durable_seq) >= load_acquire(&p->ring.page->accepted_seq))
                break;
            sleep_at(p, left);
            left = start + patience_ns - lockstep_mono_ns(NULL);
        }
        lockstep_producer_disarm(p);
        if (left <= 0) return n;
        ns[n] = lockstep_mono_ns(NULL) - start;
    }
    return count;
}

/* One turn of the hosted loop, if there is one. 0, or below: it has ended. */
static int turn(struct lockstep_loop *loop) {
    return loop == NULL || lockstep_loop_turn(loop) < LOCKSTEP_TURN_STOPPED ? 0 : -1;
}

uint64_t lockstep_measure_answers(struct lockstep_producer *p, struct lockstep_loop *loop, struct lockstep_reader *r,
                                  uint16_t kind, const uint8_t *body, uint64_t body_bytes, uint64_t count,
                                  uint32_t idle, uint32_t direct, int64_t gap_ns, int64_t patience_ns, int64_t *ns) {
    for (uint64_t n = 0; n < count; n++) {
        int64_t quiet = lockstep_mono_ns(NULL) + gap_ns, start;
        while ((start = lockstep_mono_ns(NULL)) < quiet) {
            if (turn(loop) < 0) return n;
            if (idle == LOCKSTEP_IDLE_YIELD) sched_yield();
        }
        int64_t number = lockstep_producer_send(p, KIND_OF(kind), body, body_bytes, 0, 0);
        if (number <= 0) return n;
        for (uint32_t look = 1;; look++) {
            if (turn(loop) < 0) return n;
            const struct lockstep_frame *frame = next_frame(r);
            uint64_t mine = load_acquire(&p->ring.page->accepted_seq);
            if (frame != NULL && (direct ? frame->cause == mine : frame->seq > mine)) break;
            if (!sound(r) || (look % 64 == 0 && lockstep_mono_ns(NULL) - start > patience_ns)) return n;
            if (idle == LOCKSTEP_IDLE_YIELD) sched_yield();
        }
        ns[n] = lockstep_mono_ns(NULL) - start;
    }
    return count;
}

uint64_t lockstep_measure_alone(struct lockstep_producer *p, struct lockstep_loop *loop, uint16_t kind, uint64_t count,
                                uint64_t batch, int64_t gap_ns, int64_t *ns) {
    uint64_t body[8] = {0};
    for (uint64_t n = 0; n < count; n += batch) {
        int64_t start = lockstep_mono_ns(NULL), quiet = start + gap_ns, last = 0;
        while (gap_ns != 0 && (start = lockstep_mono_ns(NULL)) < quiet)
            if (turn(loop) < 0) return n;
        p->in_batch = 1;
        for (uint64_t i = 0; i < batch; i++) {
            body[0] = n + i;
            last = lockstep_producer_send(p, KIND_OF(kind), (const uint8_t *)body, sizeof body, 0, 0);
            if (last <= 0) break;
        }
        p->in_batch = 0;
        lockstep_producer_commit(p);
        if (last <= 0) return n;
        while (load_acquire(&p->ring.page->accepted_source_seq) < (uint64_t)last)
            if (turn(loop) < 0) return n;
        *ns++ = lockstep_mono_ns(NULL) - start;
    }
    return count;
}

/* ---- the machine's own */

struct pair {
    uint32_t there, back;
    uint64_t count;
};

static void futex_wait(uint32_t *word, uint32_t seen) { syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0); }
static void futex_wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

static void await_word(uint32_t *word, uint32_t wanted) {
    uint32_t seen;
    while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != wanted) futex_wait(word, seen);
}

static void *answer(void *state) {
    struct pair *pair = state;
    for (uint32_t n = 1; n <= pair->count; n++) {
        await_word(&pair->there, n);
        __atomic_store_n(&pair->back, n, __ATOMIC_RELEASE);
        futex_wake(&pair->back);
    }
    return NULL;
}

uint64_t lockstep_measure_futex(uint64_t count, int64_t *ns) {
    struct pair pair = {.count = count};
    pthread_t other;
    if (pthread_create(&other, NULL, answer, &pair) != 0) return 0;
    for (uint32_t n = 1; n <= count; n++) {
        let_sleep();
        int64_t start = lockstep_mono_ns(NULL);
        __atomic_store_n(&pair.there, n, __ATOMIC_RELEASE);
        futex_wake(&pair.there);
        await_word(&pair.back, n);
        ns[n - 1] = lockstep_mono_ns(NULL) - start;
    }
    pthread_join(other, NULL);
    return count;
}

struct line {
    _Alignas(128) uint64_t there;
    _Alignas(128) uint64_t back;
    uint64_t count;
    uint32_t cpu;
};

static void spin_until(const uint64_t *word, uint64_t wanted) {
    while (load_acquire(word) != wanted) cpu_pause();
}

static void *echo(void *state) {
    struct line *line = state;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(line->cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    for (uint64_t n = 1; n <= line->count; n++) {
        spin_until(&line->there, n);
        store_release(&line->back, n);
    }
    return NULL;
}

uint64_t lockstep_measure_line(uint64_t count, uint32_t cpu, int64_t *ns) {
    struct line line = {.count = count, .cpu = cpu};
    pthread_t other;
    if (cpu >= CPU_SETSIZE || pthread_create(&other, NULL, echo, &line) != 0) return 0;
    for (uint64_t n = 1; n <= count; n++) {
        int64_t start = lockstep_mono_ns(NULL);
        store_release(&line.there, n);
        spin_until(&line.back, n);
        ns[n - 1] = lockstep_mono_ns(NULL) - start;
    }
    pthread_join(other, NULL);
    return count;
}

uint64_t lockstep_measure_syncs(int32_t fd, uint64_t bytes, uint64_t size, uint64_t count, int64_t *ns) {
    static const uint8_t zeros[4096];
    uint64_t at = 0;
    for (uint64_t n = 0; n < count; n++, at = (at + bytes) % size) {
        int64_t start = lockstep_mono_ns(NULL);
        for (uint64_t done = 0; done < bytes; done += sizeof zeros)
            if (pwrite(fd, zeros, sizeof zeros, (off_t)(at + done)) != sizeof zeros) return n;
        if (fdatasync(fd) != 0) return n;
        ns[n] = lockstep_mono_ns(NULL) - start;
    }
    return count;
}
