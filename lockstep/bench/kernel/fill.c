/* Journals for benches: see fill.h. */
#include <stdint.h>
#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/writer.h"
#include "lockstep/bench/kernel/fill.h"

enum { WATERMARK_EVERY = 1024 };

/* A number that looks random and is the same in every run. */
static uint64_t mixed(uint64_t n)
{
    n = (n ^ n >> 30) * 0xBF58476D1CE4E5B9u;
    n = (n ^ n >> 27) * 0x94D049BB133111EBu;
    return n ^ n >> 31;
}

uint64_t lockstep_bench_fill(struct lockstep_writer *w, uint64_t count, int *code)
{
    struct lockstep_frame head;
    uint8_t body[LOCKSTEP_BENCH_BODY_BYTES];
    memset(&head, 0, sizeof head);
    memset(body, 0, sizeof body);
    head.version = 1;
    head.flags = 1;
    head.source = 1;
    *code = 0;
    uint64_t done = 0;
    for (; done < count; done++) {
        uint64_t n = w->last_seq + 1, random = mixed(n);
        head.ts = (int64_t)(n * LOCKSTEP_BENCH_TS_STEP);
        head.source_seq = n;
        if (n % 8 == 0) {
            uint64_t order = (uint64_t)1 << 48 | (1 + n / 8 / LOCKSTEP_BENCH_FRAMES_AN_ORDER);
            head.kind = LOCKSTEP_CANCEL_ORDER;
            memcpy(body, &order, sizeof order);
        } else {
            uint32_t instrument = 1 + (uint32_t)(random % (1 + (random >> 32) % LOCKSTEP_BENCH_INSTRUMENTS));
            head.kind = LOCKSTEP_TOP_OF_BOOK;
            memcpy(body, &instrument, sizeof instrument);
            memset(body + sizeof instrument, 0, sizeof(uint64_t) - sizeof instrument);
        }
        memcpy(body + 24, &random, sizeof random);
        *code = lockstep_writer_append(w, &head, body, sizeof body);
        if (*code)
            break;
        if (n % WATERMARK_EVERY == 0)
            lockstep_writer_publish_watermark(w);
    }
    lockstep_writer_publish_watermark(w);
    return done;
}
