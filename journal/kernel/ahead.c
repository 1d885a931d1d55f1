/* See ahead.h. A ring of portions: one thread makes them, one takes them, neither has to wait for the other. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "messages.h"
#include "reader.h"
#include "ahead.h"

enum {
    PORTIONS = 32, /* a mebibyte of usual frames */
    PATIENCE_NS = 20000 /* to make a portion takes 5 to 10 µs */
};

/* Some frames, all of them sound, and those of them that must be seen. */
struct portion {
    uint64_t first_seq;
    struct lockstep_stand behind; /* the last of them */
    uint32_t n;
    struct lockstep_found found[LOCKSTEP_PORTION_FOUND];
};

struct lockstep_ahead {
    /* Of the thread. */
    struct lockstep_reader reader;
    struct lockstep_interest interest;
    uint64_t every;
    /* Of who takes. */
    pthread_t thread;
    pid_t pid;
    bool patient; /* the thread was not waited for in vain since it was last here in time */
    /* Of both: what one writes and the other reads has lines of its own. */
    _Alignas(64) sem_t room;
    _Alignas(64) uint64_t made;
    uint32_t ended;
    _Alignas(64) uint64_t taken;
    uint32_t stop;
    _Alignas(64) uint32_t sleeps; /* the thread, until there is room */
    /* Where the other one goes on alone. Written while it is not new, read while it is. */
    _Alignas(64) uint32_t alone_is_new;
    struct lockstep_stand alone;
    _Alignas(64) struct portion portions[PORTIONS];
};

/* ---- the thread */

static bool is_full(const struct lockstep_ahead *a)
{
    return a->made - __atomic_load_n(&a->taken, __ATOMIC_SEQ_CST) == PORTIONS;
}

/* False: it is to end. */
static bool wait_for_room(struct lockstep_ahead *a)
{
    while (is_full(a) && !__atomic_load_n(&a->stop, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&a->sleeps, 1, __ATOMIC_SEQ_CST);
        /* If there is room meanwhile, either we take the word back or it is on its way to us. */
        if ((is_full(a) && !__atomic_load_n(&a->stop, __ATOMIC_SEQ_CST)) || !__atomic_exchange_n(&a->sleeps, 0, __ATOMIC_SEQ_CST))
            while (sem_wait(&a->room) != 0)
                continue;
    }
    return !__atomic_load_n(&a->stop, __ATOMIC_SEQ_CST);
}

/* What the other one has passed alone need not be checked again. */
static void catch_up(struct lockstep_ahead *a)
{
    if (!__atomic_load_n(&a->alone_is_new, __ATOMIC_ACQUIRE))
        return;
    if (a->alone.next_seq > a->reader.next_seq)
        lockstep_reader_stand_at(&a->reader, &a->alone);
    __atomic_store_n(&a->alone_is_new, 0, __ATOMIC_RELEASE);
}

static void make(struct lockstep_ahead *a)
{
    struct lockstep_reader *r = &a->reader;
    struct portion *p = &a->portions[a->made % PORTIONS];
    p->first_seq = r->next_seq;
    a->interest.seq = (r->next_seq + a->every - 1) / a->every * a->every;
    p->n = lockstep_reader_find(r, &a->interest, p->found, LOCKSTEP_PORTION_FOUND, LOCKSTEP_PORTION_CHECKED, a->interest.seq);
    p->behind = lockstep_reader_stand(r);
    if (r->next_seq > p->first_seq)
        __atomic_store_n(&a->made, a->made + 1, __ATOMIC_RELEASE);
}

static void *read_on(void *given)
{
    struct lockstep_ahead *a = given;
    while (a->reader.state == LOCKSTEP_MORE && a->reader.offset < a->reader.ahead_to && wait_for_room(a)) {
        catch_up(a);
        make(a);
    }
    __atomic_store_n(&a->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- who takes */

static void wake(struct lockstep_ahead *a)
{
    if (__atomic_load_n(&a->sleeps, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&a->sleeps, 0, __ATOMIC_SEQ_CST))
        sem_post(&a->room);
}

/* Done with the oldest portion. Half of the room is free before the thread is woken: that costs as much as to make one. */
static void let_go(struct lockstep_ahead *a, uint64_t made)
{
    __atomic_store_n(&a->taken, a->taken + 1, __ATOMIC_SEQ_CST);
    if (made - a->taken <= PORTIONS / 2)
        wake(a);
}

static void go_alone(struct lockstep_ahead *a, const struct lockstep_reader *r)
{
    if (__atomic_load_n(&a->alone_is_new, __ATOMIC_ACQUIRE))
        return;
    a->alone = lockstep_reader_stand(r);
    __atomic_store_n(&a->alone_is_new, 1, __ATOMIC_RELEASE);
}

/* The portion that the reader's next frame is in; NULL: there is none. It stays until another one is asked for. */
static const struct portion *portion_of(struct lockstep_ahead *a, const struct lockstep_reader *r)
{
    for (int64_t until = 0;;) {
        const bool ended = __atomic_load_n(&a->ended, __ATOMIC_ACQUIRE);
        const uint64_t made = __atomic_load_n(&a->made, __ATOMIC_ACQUIRE);
        for (; a->taken != made; let_go(a, made)) {
            const struct portion *p = &a->portions[a->taken % PORTIONS];
            if (p->behind.next_seq <= r->next_seq)
                continue;
            a->patient = true;
            return p->first_seq <= r->next_seq ? p : NULL;
        }
        if (ended || !a->patient)
            return NULL;
        /* It is nearly there, or it has no core just now: then it is not waited for again. */
        const int64_t now = lockstep_mono_ns(NULL);
        if (until == 0)
            until = now + PATIENCE_NS;
        a->patient = now < until;
    }
}

uint32_t lockstep_ahead_find(struct lockstep_ahead *a, struct lockstep_reader *r, const struct lockstep_interest *i,
                             struct lockstep_found *found, uint64_t to_seq)
{
    const struct portion *p = portion_of(a, r);
    if (p == NULL) {
        go_alone(a, r);
        return lockstep_reader_find(r, i, found, LOCKSTEP_PORTION_FOUND, LOCKSTEP_PORTION_CHECKED, to_seq);
    }
    const uint64_t last = p->behind.next_seq - 1;
    if (p->first_seq == r->next_seq && p->behind.last_ts < i->ts && last <= to_seq) {
        memcpy(found, p->found, p->n * sizeof *found);
        lockstep_reader_stand_at(r, &p->behind);
        return p->n;
    }
    /* Something else is wanted of it. Its frames are checked already. */
    const uint32_t verify = r->verify;
    r->verify = 0;
    const uint32_t n =
        lockstep_reader_find(r, i, found, LOCKSTEP_PORTION_FOUND, LOCKSTEP_PORTION_CHECKED, last < to_seq ? last : to_seq);
    r->verify = verify;
    return n;
}

/* ---- begin and end */

static bool is_other_core(void)
{
    cpu_set_t ours;
    return sched_getaffinity(0, sizeof ours, &ours) == 0 && CPU_COUNT(&ours) > 1;
}

/* Signals are for the other threads, but for those of its own making. */
static bool begin(struct lockstep_ahead *a)
{
    sigset_t others, before;
    sigfillset(&others);
    sigdelset(&others, SIGBUS);
    sigdelset(&others, SIGSEGV);
    sigdelset(&others, SIGILL);
    sigdelset(&others, SIGFPE);
    pthread_sigmask(SIG_BLOCK, &others, &before);
    const bool begun = pthread_create(&a->thread, NULL, read_on, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return begun;
}

struct lockstep_ahead *lockstep_ahead_start(const struct lockstep_reader *r, const struct lockstep_interest *i, uint64_t every,
                                            uint64_t bytes_min)
{
    if (r->ahead_to < r->offset + bytes_min || !is_other_core())
        return NULL;
    struct lockstep_ahead *a = aligned_alloc(64, sizeof *a);
    if (a == NULL)
        return NULL;
    memset(a, 0, sizeof *a);
    a->reader = *r;
    a->reader.state = LOCKSTEP_MORE;
    a->interest = *i;
    a->interest.ts = INT64_MAX;
    a->every = every;
    a->pid = getpid();
    a->patient = true;
    if (sem_init(&a->room, 0, 0) != 0 || !begin(a)) {
        free(a);
        return NULL;
    }
    return a;
}

void lockstep_ahead_end(struct lockstep_ahead *a)
{
    /* A process that was forked meanwhile has no such thread. */
    if (a->pid == getpid()) {
        __atomic_store_n(&a->stop, 1, __ATOMIC_SEQ_CST);
        wake(a);
        pthread_join(a->thread, NULL);
        sem_destroy(&a->room);
    }
    free(a);
}
