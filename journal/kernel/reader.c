/* The reader: see reader.h. Its slow, obvious twin is tests/journal/journal_model.py. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crc32c.h"
#include "messages.h"
#include "segment.h"
#include "reader.h"

_Static_assert(sizeof(struct lockstep_ref) == 24, "unpacked by Python as <IHHQq");

static const uint32_t END = 0xFFFFFFFF;

static bool stop(struct lockstep_reader *r, uint32_t state, uint64_t expected, uint64_t found)
{
    r->state = state;
    r->expected = expected;
    r->found = found;
    return false;
}

static bool at_end_marker(struct lockstep_reader *r)
{
    const struct lockstep_end_marker *end = (const void *)(r->base + r->offset);
    uint32_t crc = lockstep_frame_crc(r->seed, END, end, sizeof *end);
    if (r->verify && crc != end->crc32c)
        return stop(r, LOCKSTEP_BAD_END, crc, end->crc32c);
    if (end->next_seq != r->next_seq)
        return stop(r, LOCKSTEP_BAD_END, r->next_seq, end->next_seq);
    return stop(r, LOCKSTEP_END, 0, 0);
}

/* The frame at r->offset, checked; NULL with r->state set when there is none. */
static inline const struct lockstep_frame *look(struct lockstep_reader *r)
{
    const struct lockstep_frame *f = (const void *)(r->base + r->offset);
    /* Acquire: the writer stored length last; whoever sees it sees the frame. */
    uint32_t length = __atomic_load_n(&f->length, __ATOMIC_ACQUIRE);
    if (length == 0) {
        stop(r, LOCKSTEP_TAIL, 0, 0);
        return NULL;
    }
    if (__builtin_expect(length == END, 0)) {
        at_end_marker(r);
        return NULL;
    }
    uint64_t room = r->bytes - LOCKSTEP_END_BYTES - r->offset;
    if (length % 8 != 0 || length < LOCKSTEP_HEAD_BYTES || length > LOCKSTEP_FRAME_BYTES_MAX || length > room) {
        stop(r, LOCKSTEP_BAD_LENGTH, room < LOCKSTEP_FRAME_BYTES_MAX ? room : LOCKSTEP_FRAME_BYTES_MAX, length);
        return NULL;
    }
    if (r->verify) {
        uint32_t crc = lockstep_frame_crc(r->seed, length, f, length);
        if (__builtin_expect(crc != f->crc32c, 0)) {
            stop(r, LOCKSTEP_BAD_CRC, crc, f->crc32c);
            return NULL;
        }
    }
    if (__builtin_expect(f->seq != r->next_seq, 0)) {
        stop(r, LOCKSTEP_BAD_SEQ, r->next_seq, f->seq);
        return NULL;
    }
    if (r->verify) {
        if (__builtin_expect(f->ts <= r->last_ts, 0)) {
            stop(r, LOCKSTEP_BAD_TS, (uint64_t)r->last_ts + 1, (uint64_t)f->ts);
            return NULL;
        }
        if (__builtin_expect(f->epoch < r->epoch, 0)) {
            stop(r, LOCKSTEP_BAD_EPOCH, r->epoch, f->epoch);
            return NULL;
        }
    }
    return f;
}

static inline void pass(struct lockstep_reader *r, const struct lockstep_frame *f)
{
    r->offset += f->length;
    r->next_seq++;
    r->last_ts = f->ts;
    r->last_crc = f->crc32c;
    r->epoch = f->epoch;
}

static inline bool wanted(const struct lockstep_reader *r, uint16_t kind)
{
    return !r->filtered || (r->kinds[kind / 64] >> (kind % 64) & 1);
}

uint32_t lockstep_reader_poll(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t refs_max, uint64_t scan_max,
                              uint64_t to_seq)
{
    uint32_t n = 0;
    assert(r->offset % 8 == 0 && r->offset + LOCKSTEP_END_BYTES <= r->bytes);
    r->state = LOCKSTEP_MORE;
    for (uint64_t scanned = 0; scanned < scan_max && n < refs_max && r->next_seq <= to_seq; scanned++) {
        const struct lockstep_frame *f = look(r);
        if (f == NULL)
            return n;
        if (wanted(r, f->kind))
            refs[n++] = (struct lockstep_ref){(uint32_t)r->offset, f->kind, f->source, f->seq, f->ts};
        pass(r, f);
    }
    return n;
}

void lockstep_note_source(struct lockstep_sources *s, const struct lockstep_frame *f)
{
    if (f->source_seq > s->last_source_seq[f->source])
        s->last_source_seq[f->source] = f->source_seq;
    if (f->incarnation > s->last_incarnation[f->source])
        s->last_incarnation[f->source] = f->incarnation;
    if (f->kind != LOCKSTEP_REJECT || f->length < LOCKSTEP_HEAD_BYTES + sizeof(struct lockstep_reject))
        return;
    const struct lockstep_reject *reject = (const void *)((const uint8_t *)f + LOCKSTEP_HEAD_BYTES);
    if (f->source == 0 && reject->for_source_seq > s->last_source_seq[reject->for_source])
        s->last_source_seq[reject->for_source] = reject->for_source_seq;
}

uint64_t lockstep_reader_survey(struct lockstep_reader *r, uint64_t scan_max, struct lockstep_sources *sources,
                                uint64_t *frames_by_kind, uint64_t *bytes_by_kind)
{
    assert(r->offset % 8 == 0 && r->offset + LOCKSTEP_END_BYTES <= r->bytes);
    r->state = LOCKSTEP_MORE;
    for (uint64_t n = 0; n < scan_max; n++) {
        const struct lockstep_frame *f = look(r);
        if (f == NULL)
            return n;
        if (sources != NULL)
            lockstep_note_source(sources, f);
        if (frames_by_kind != NULL)
            frames_by_kind[f->kind]++;
        if (bytes_by_kind != NULL)
            bytes_by_kind[f->kind] += f->length;
        pass(r, f);
    }
    return scan_max;
}

void lockstep_gather(const uint8_t *base, const struct lockstep_ref *refs, uint32_t n, uint32_t body_bytes, uint8_t *rows)
{
    for (uint32_t i = 0; i < n; i++, rows += LOCKSTEP_HEAD_BYTES + body_bytes) {
        const uint8_t *frame = base + refs[i].offset;
        uint32_t length = ((const struct lockstep_frame *)(const void *)frame)->length;
        uint32_t wanted_bytes = LOCKSTEP_HEAD_BYTES + body_bytes;
        memcpy(rows, frame, length < wanted_bytes ? length : wanted_bytes);
    }
}
