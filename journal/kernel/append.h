/* What happens to every single frame, inline: compose the head in registers, copy the body and compute the crc in one pass,
 * store the length last. writer.c wraps it for callers that append now and then; the sequencer's lanes use it directly, for at
 * thirty million frames a second two calls and a second look at the bytes are half of the work.
 * Needs messages.h, segment.h and writer.h before it. */
#ifndef LOCKSTEP_APPEND_H
#define LOCKSTEP_APPEND_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "crc32c.h"
#include "disk.h"

/* The stream's numbers end here: far from where `cause` marks an own message (bit 63). */
#define LOCKSTEP_SEQ_MAX ((UINT64_C(1) << 63) - (UINT64_C(1) << 40))

enum { LOCKSTEP_HEAD_WORDS = 7, LOCKSTEP_AHEAD_BYTES = 1024 };

/* A head as the words that are stored, without the first one: that is length and crc32c. */
struct lockstep_head {
    uint64_t word[LOCKSTEP_HEAD_WORDS];
};

static inline struct lockstep_head lockstep_head_of(const struct lockstep_writer *w, uint64_t kind, uint64_t version,
                                                    uint64_t flags, uint64_t source, int64_t ts, int64_t origin_ts,
                                                    uint64_t source_seq, uint64_t cause, uint64_t incarnation)
{
    return (struct lockstep_head){{
        kind | version << 16 | flags << 32 | source << 48, w->last_seq + 1, (uint64_t)ts, (uint64_t)origin_ts, source_seq, cause,
        w->epoch | incarnation << 32,
    }};
}

/* Whether another process has begun an epoch in this folder: somebody has taken the lock away from us, and whatever we stored
 * now would stand in its frames. Then every call of this writer fails for ever. */
static inline int lockstep_overtaken(struct lockstep_writer *w)
{
    if (__builtin_expect(__atomic_load_n(&w->control->epoch, __ATOMIC_RELAXED) <= w->epoch, 1))
        return 0;
    __atomic_store_n(&w->failed, ESTALE, __ATOMIC_RELEASE);
    return -ESTALE;
}

/* The place of a frame of `length` bytes in the current segment; NULL when there is none: lockstep_writer_reserve rolls. */
static inline struct lockstep_frame *lockstep_append_place(const struct lockstep_writer *w, uint64_t length)
{
    if (__builtin_expect(w->base == NULL || w->offset + length > w->limit, 0))
        return NULL;
    return (struct lockstep_frame *)(w->base + w->offset);
}

/* Store head and body at a place, without the length: not a frame yet. Returns the crc. Each byte of `body` is read once, so
 * what is stored is what the crc covers, whoever may write there meanwhile. */
static inline uint32_t lockstep_append_fill(const struct lockstep_writer *w, struct lockstep_frame *at, uint32_t length,
                                            const struct lockstep_head *head, const void *body)
{
    /* The line that this frame's successors will be stored to comes from memory: ask for it now. */
    __builtin_prefetch((const uint8_t *)at + LOCKSTEP_AHEAD_BYTES, 1);
    __builtin_prefetch((const uint8_t *)at + LOCKSTEP_AHEAD_BYTES + 64, 1);
    uint64_t crc = lockstep_crc_step32(lockstep_crc_begin(w->seed), length);
#pragma GCC unroll 8
    for (int i = 0; i < LOCKSTEP_HEAD_WORDS; i++)
        crc = lockstep_crc_step(crc, head->word[i]);
    j_store_words((uint64_t *)at + 1, head->word, LOCKSTEP_HEAD_WORDS);
    return lockstep_crc_end(j_store_crc((uint8_t *)at + LOCKSTEP_HEAD_BYTES, body, length - LOCKSTEP_HEAD_BYTES, crc));
}

/* Make it a frame: from here every reader sees it. Returns its seq. */
static inline uint64_t lockstep_append_seal(struct lockstep_writer *w, struct lockstep_frame *at, uint32_t length,
                                            int64_t ts, uint32_t crc)
{
    assert((uint8_t *)at == w->base + w->offset && ts > w->last_ts);
    w->last_ts = ts;
    w->last_crc = crc;
    w->offset += length;
    /* length and crc32c are one word. */
    j_publish64((uint64_t *)&at->length, length | (uint64_t)crc << 32);
    return ++w->last_seq;
}

#endif
