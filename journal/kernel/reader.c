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
__attribute__((noinline)) static const struct lockstep_frame *look(struct lockstep_reader *r)
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

/* In registers while frames pass: kept in the reader it would go through memory at every step. */
static inline struct lockstep_stand place_of(const struct lockstep_reader *r)
{
    return (struct lockstep_stand){r->offset, r->next_seq, r->last_ts, r->last_crc, r->epoch};
}

static inline void put_back(struct lockstep_reader *r, const struct lockstep_stand *p)
{
    r->offset = p->offset;
    r->next_seq = p->next_seq;
    r->last_ts = p->last_ts;
    r->last_crc = p->last_crc;
    r->epoch = p->epoch;
}

static inline void pass(struct lockstep_stand *p, const struct lockstep_frame *f)
{
    p->offset += f->length;
    p->next_seq++;
    p->last_ts = f->ts;
    p->last_crc = f->crc32c;
    p->epoch = f->epoch;
}

/* The frame at a place, if nothing at all is wrong with it. NULL: look() says why, or that it has come meanwhile. */
static inline const struct lockstep_frame *plain(const struct lockstep_reader *r, const struct lockstep_stand *p)
{
    const struct lockstep_frame *f = (const void *)(r->base + p->offset);
    uint64_t length = __atomic_load_n(&f->length, __ATOMIC_ACQUIRE); /* 0 and END are no lengths */
    if (length % 8 != 0 || length - LOCKSTEP_HEAD_BYTES > LOCKSTEP_FRAME_BYTES_MAX - LOCKSTEP_HEAD_BYTES ||
        length > r->bytes - LOCKSTEP_END_BYTES - p->offset || f->seq != p->next_seq)
        return NULL;
    if (r->verify && (f->ts <= p->last_ts || f->epoch < p->epoch ||
                      lockstep_frame_crc(r->seed, (uint32_t)length, f, length) != f->crc32c))
        return NULL;
    return f;
}

/* The next frame, or NULL with r at its place and r->state set. */
static inline const struct lockstep_frame *next(struct lockstep_reader *r, const struct lockstep_stand *p)
{
    /* The hardware asks for lines ahead too, but not beyond a page. */
    if (p->offset < r->ahead_to) {
        const uint8_t *ahead = r->base + p->offset + LOCKSTEP_READ_AHEAD_BYTES;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 64);
        __builtin_prefetch(ahead + 128);
    }
    const struct lockstep_frame *f = plain(r, p);
    if (__builtin_expect(f != NULL, 1))
        return f;
    put_back(r, p);
    return look(r);
}

static inline bool wanted(const struct lockstep_reader *r, uint16_t kind)
{
    return !r->filtered || (r->kinds[kind / 64] >> (kind % 64) & 1);
}

/* Whether a frame that is to be delivered is of the version that its kind must have; false with r at its place and r->state set. */
static inline bool right_version(struct lockstep_reader *r, const struct lockstep_stand *p, const struct lockstep_frame *f)
{
    if (r->versions == NULL || r->versions[f->kind] == f->version || r->versions[f->kind] == 0)
        return true;
    put_back(r, p);
    return stop(r, LOCKSTEP_BAD_VERSION, r->versions[f->kind], f->version);
}

static inline struct lockstep_ref ref_of(const struct lockstep_stand *p, const struct lockstep_frame *f)
{
    return (struct lockstep_ref){(uint32_t)p->offset, f->kind, f->source, f->seq, f->ts};
}

uint32_t lockstep_reader_poll(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t refs_max, uint64_t scan_max,
                              uint64_t to_seq)
{
    uint32_t n = 0;
    assert(r->offset % 8 == 0 && r->offset + LOCKSTEP_END_BYTES <= r->bytes);
    r->state = LOCKSTEP_MORE;
    struct lockstep_stand p = place_of(r);
    for (uint64_t scanned = 0; scanned < scan_max && n < refs_max && p.next_seq <= to_seq; scanned++) {
        const struct lockstep_frame *f = next(r, &p);
        if (f == NULL)
            return n;
        if (wanted(r, f->kind)) {
            if (!right_version(r, &p, f))
                return n;
            refs[n++] = ref_of(&p, f);
        }
        pass(&p, f);
    }
    put_back(r, &p);
    return n;
}

uint32_t lockstep_reader_find(struct lockstep_reader *r, const struct lockstep_interest *i, struct lockstep_found *found, uint32_t max,
                              uint64_t scan_max, uint64_t to_seq)
{
    uint32_t n = 0;
    assert(r->offset % 8 == 0 && r->offset + LOCKSTEP_END_BYTES <= r->bytes);
    r->state = LOCKSTEP_MORE;
    struct lockstep_stand p = place_of(r);
    for (uint64_t scanned = 0; scanned < scan_max && n < max && p.next_seq <= to_seq; scanned++) {
        const struct lockstep_frame *f = next(r, &p);
        if (f == NULL || !right_version(r, &p, f))
            return n;
        if (i->kinds[f->kind] | i->sources[f->source] || f->ts >= i->ts || f->seq == i->seq)
            found[n++] = (struct lockstep_found){ref_of(&p, f), p.last_ts};
        pass(&p, f);
    }
    put_back(r, &p);
    return n;
}

struct lockstep_stand lockstep_reader_stand(const struct lockstep_reader *r)
{
    return place_of(r);
}

void lockstep_reader_stand_at(struct lockstep_reader *r, const struct lockstep_stand *p)
{
    put_back(r, p);
    r->state = LOCKSTEP_MORE;
}

void lockstep_reader_stand_behind(struct lockstep_reader *r, uint64_t offset)
{
    const struct lockstep_frame *f = (const void *)(r->base + offset);
    struct lockstep_stand p = {offset, f->seq, 0, 0, 0};
    pass(&p, f);
    lockstep_reader_stand_at(r, &p);
}

void lockstep_note_source(struct lockstep_sources *s, const struct lockstep_frame *f)
{
    if (f->source_seq > s->last_source_seq[f->source])
        s->last_source_seq[f->source] = f->source_seq;
    if (f->incarnation > s->last_incarnation[f->source])
        s->last_incarnation[f->source] = f->incarnation;
    if (f->source != 0)
        return;
    const void *body = (const uint8_t *)f + LOCKSTEP_HEAD_BYTES;
    if (f->kind == LOCKSTEP_REJECT && f->length >= LOCKSTEP_HEAD_BYTES + sizeof(struct lockstep_reject)) {
        const struct lockstep_reject *reject = body;
        if (reject->for_source_seq > s->last_source_seq[reject->for_source])
            s->last_source_seq[reject->for_source] = reject->for_source_seq;
    } else if (f->kind == LOCKSTEP_SOURCE_STATE && f->length >= LOCKSTEP_HEAD_BYTES + sizeof(struct lockstep_source_state)) {
        const struct lockstep_source_state *state = body;
        if (state->incarnation > s->last_incarnation[state->source])
            s->last_incarnation[state->source] = state->incarnation;
    }
}

uint64_t lockstep_reader_survey(struct lockstep_reader *r, uint64_t scan_max, struct lockstep_sources *sources,
                                uint64_t *frames_by_kind, uint64_t *bytes_by_kind)
{
    assert(r->offset % 8 == 0 && r->offset + LOCKSTEP_END_BYTES <= r->bytes);
    r->state = LOCKSTEP_MORE;
    struct lockstep_stand p = place_of(r);
    for (uint64_t n = 0; n < scan_max; n++) {
        const struct lockstep_frame *f = next(r, &p);
        if (f == NULL)
            return n;
        if (sources != NULL)
            lockstep_note_source(sources, f);
        if (frames_by_kind != NULL)
            frames_by_kind[f->kind]++;
        if (bytes_by_kind != NULL)
            bytes_by_kind[f->kind] += f->length;
        pass(&p, f);
    }
    put_back(r, &p);
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
