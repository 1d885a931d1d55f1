/* Going on behind damage: see scrub.h. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crc32c.h"
#include "messages.h"
#include "segment.h"
#include "reader.h"
#include "blake3.h"
#include "scrub.h"

static const uint32_t END = 0xFFFFFFFF;

/* Is there an end marker or a frame at `offset` that its crc vouches for? */
static const struct lockstep_frame *valid_at(const struct lockstep_reader *r, uint64_t offset)
{
    const struct lockstep_frame *f = (const void *)(r->base + offset);
    uint64_t room = r->bytes - offset;
    if (f->length == END) {
        const struct lockstep_end_marker *end = (const void *)f;
        return lockstep_frame_crc(r->seed, END, end, sizeof *end) == end->crc32c ? f : NULL;
    }
    if (f->length % 8 != 0 || f->length < LOCKSTEP_HEAD_BYTES || f->length > LOCKSTEP_FRAME_BYTES_MAX ||
        f->length + (uint64_t)LOCKSTEP_END_BYTES > room)
        return NULL;
    /* Cheap, and true of every frame that can still follow: so that a length in the midst of data seldom costs a crc. */
    if (f->seq < r->next_seq || f->seq - r->next_seq > r->bytes)
        return NULL;
    return lockstep_frame_crc(r->seed, f->length, f, f->length) == f->crc32c ? f : NULL;
}

uint32_t lockstep_scrub_resync(struct lockstep_reader *r)
{
    for (uint64_t at = r->offset; at + LOCKSTEP_END_BYTES <= r->bytes; at += 8) {
        const struct lockstep_frame *f = valid_at(r, at);
        if (f == NULL)
            continue;
        r->offset = at;
        if (f->length == END) {
            r->next_seq = ((const struct lockstep_end_marker *)(const void *)f)->next_seq;
            return 1;
        }
        r->next_seq = f->seq;
        r->last_ts = f->ts - 1;
        r->epoch = f->epoch;
        return 1;
    }
    return 0;
}

uint64_t lockstep_scrub_unequal(const uint8_t *a, const uint8_t *b, uint64_t from, uint64_t count, uint64_t *to)
{
    while (from < count && memcmp(a + from * 32, b + from * 32, 32) == 0)
        from++;
    uint64_t end = from;
    while (end < count && memcmp(a + end * 32, b + end * 32, 32) != 0)
        end++;
    *to = end;
    return from;
}
