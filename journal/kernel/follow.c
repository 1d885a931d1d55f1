/* See follow.h. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>

#include "clock.h"
#include "messages.h"
#include "reader.h"
#include "follow.h"

enum { LOOKS_PER_CLOCK = 16 }; /* reading the clock costs as much as several looks */

static void pause_core(uint32_t yields)
{
    if (yields) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

uint32_t lockstep_reader_follow(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t refs_max, uint64_t scan_max,
                                int64_t spin_ns, uint32_t yields)
{
    const uint64_t first = r->next_seq;
    uint32_t n = lockstep_reader_poll(r, refs, refs_max, scan_max, UINT64_MAX);
    if (r->next_seq != first || r->state != LOCKSTEP_TAIL || spin_ns <= 0)
        return n;
    const int64_t end = lockstep_mono_ns(NULL) + spin_ns;
    do {
        for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
            pause_core(yields);
            n = lockstep_reader_poll(r, refs, refs_max, scan_max, UINT64_MAX);
            if (r->next_seq != first || r->state != LOCKSTEP_TAIL)
                return n;
        }
    } while (lockstep_mono_ns(NULL) < end);
    return 0;
}
