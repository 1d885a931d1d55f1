/* The clock seam in C: the only place where the kernels read a clock. Twin of journal/clock.py. */
#ifndef LOCKSTEP_CLOCK_H
#define LOCKSTEP_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A clock is a function and its state, so that a test or a simulator can hand in another one. */
struct lockstep_time_source {
    int64_t (*now_ns)(void *state);
    void *state;
};

/* Wall clock, UTC, nanoseconds since 1970. */
static inline int64_t lockstep_wall_ns(void *state)
{
    struct timespec t;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Monotonic, for intervals only. */
static inline int64_t lockstep_mono_ns(void *state)
{
    struct timespec t;
    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A clock that stands still until its owner moves it; state is an int64_t. */
static inline int64_t lockstep_manual_ns(void *state)
{
    return __atomic_load_n((const int64_t *)state, __ATOMIC_ACQUIRE);
}

#endif
