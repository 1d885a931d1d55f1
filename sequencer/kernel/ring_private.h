/* What the sequencer's C files share: the C11 atomics for words in shared memory, and the eventfd wake.
 * The shared words are declared plain so that cffi reads the headers; every access goes through these functions. */
#ifndef LOCKSTEP_RING_PRIVATE_H
#define LOCKSTEP_RING_PRIVATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "journal/kernel/messages.h"
#include "sequencer/kernel/ring.h"

static inline uint64_t load_acquire(const uint64_t *p) {
    return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_acquire);
}
static inline uint64_t load_relaxed(const uint64_t *p) {
    return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
}
static inline void store_release(uint64_t *p, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_release);
}
static inline void store_relaxed(uint64_t *p, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_relaxed);
}
static inline void full_fence(void) { atomic_thread_fence(memory_order_seq_cst); }

static inline void cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether a client that sleeps wants to hear of this: its ticket, or 0. `head` is what its ring has been read to. */
static inline uint64_t wanted_wake(const struct lockstep_ring_page *page, uint64_t head) {
    uint64_t ticket = load_acquire(&page->armed);
    return ticket == 0 || head < load_relaxed(&page->wanted) ? 0 : ticket;
}

/* A full eventfd counter is a wake already: the error is meant to be ignored. */
static inline void wake_write(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

#endif
