/* Recovery's decision: see recovery.h. Its slow, obvious twin is tests/journal/recovery_model.py. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crc32c.h"
#include "messages.h"
#include "segment.h"
#include "reader.h"
#include "recovery.h"
#include "writer.h"

static bool zeros(const uint8_t *base, uint64_t from, uint64_t to)
{
    return lockstep_last_nonzero(base, from, to) == from;
}

/* As journal.segment.read_header, which says in words what is wrong. Looks at the header block alone. */
static bool valid_header(const struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes, uint32_t number)
{
    const struct lockstep_segment_identity *id = (const void *)base;
    const uint64_t block = LOCKSTEP_BLOCK_BYTES, open_end = LOCKSTEP_OPEN_AT + sizeof(struct lockstep_open_record);
    if (bytes < 2 * block || memcmp(id->magic, "LKSTPSEG", 8) != 0 || id->format != LOCKSTEP_FORMAT)
        return false;
    if (lockstep_crc32c(0, id, offsetof(struct lockstep_segment_identity, identity_crc)) != id->identity_crc)
        return false;
    if (id->stream_id != r->stream_id || id->number != number || id->segment_bytes != bytes || bytes > UINT32_MAX)
        return false;
    if (bytes % block != 0 || id->frames_at % block != 0 || id->frames_at > bytes - LOCKSTEP_END_BYTES ||
        block + id->schema_bytes > id->frames_at)
        return false;
    return zeros(base, sizeof *id, LOCKSTEP_OPEN_AT) && zeros(base, open_end, block);
}

/* Of a segment with a valid header; as journal.segment.read_schema. */
static bool valid_schema(const uint8_t *base)
{
    const struct lockstep_segment_identity *id = (const void *)base;
    const uint64_t block = LOCKSTEP_BLOCK_BYTES;
    return lockstep_crc32c(0, base + block, id->schema_bytes) == id->schema_crc &&
           zeros(base, block + id->schema_bytes, id->frames_at);
}

static bool is_open(const uint8_t *base)
{
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    uint32_t crc = lockstep_crc32c(0, base, sizeof(struct lockstep_segment_identity));
    return lockstep_crc32c(crc, open, offsetof(struct lockstep_open_record, open_crc)) == open->open_crc;
}

static uint32_t seed_of(const struct lockstep_segment_identity *id)
{
    uint32_t seed = lockstep_crc32c(0, &id->stream_id, sizeof id->stream_id);
    seed = lockstep_crc32c(seed, &id->nonce, sizeof id->nonce);
    return lockstep_crc32c(seed, &id->number, sizeof id->number);
}

static bool continues(const struct lockstep_open_record *open, uint64_t next_seq, int64_t last_ts, uint32_t last_crc)
{
    return open->first_seq == next_seq && open->prev_last_ts == last_ts && open->prev_last_crc == last_crc;
}

static void begin(struct lockstep_recovery *r)
{
    if (r->reader.next_seq != 0)
        return;
    r->reader.next_seq = 1;
    r->epoch = r->control_epoch;
    r->durable_seq = r->control_durable_seq;
}

static void open_said(struct lockstep_recovery *r, const struct lockstep_open_record *open)
{
    if (!r->elsewhere && open->durable_seq > r->durable_seq)
        r->durable_seq = open->durable_seq;
}

void lockstep_recovery_hear(struct lockstep_recovery *r, const uint8_t *header)
{
    begin(r);
    if (is_open(header))
        open_said(r, (const void *)(header + LOCKSTEP_OPEN_AT));
}

/* ---- by the index -------------------------------------------------------------------------------------------- */

/* The last frame and the end marker stand where the index has them, and are what it says. What stands here now, that is: a
 * segment that was cut and filled anew, or is an older copy, keeps its identity and ends otherwise. */
static bool ends_so(const struct lockstep_claim *c, const struct lockstep_index_head *index)
{
    const struct lockstep_segment_identity *id = (const void *)c->header;
    const struct lockstep_open_record *open = (const void *)(c->header + LOCKSTEP_OPEN_AT);
    if (index->last_offset < id->frames_at || index->last_offset % 8 != 0 || index->end_offset <= index->last_offset ||
        index->end_offset > c->bytes - LOCKSTEP_END_BYTES ||
        c->end_bytes != (uint64_t)index->end_offset - index->last_offset + LOCKSTEP_END_BYTES)
        return false;
    struct lockstep_reader r = {
        .base = c->end, .bytes = c->end_bytes, .next_seq = index->last_seq, .last_ts = open->prev_last_ts, .epoch = open->epoch,
        .seed = seed_of(id), .verify = 1,
    };
    return lockstep_reader_survey(&r, UINT64_MAX, NULL, NULL, NULL) == 1 && r.state == LOCKSTEP_END &&
           r.last_ts == index->last_ts && r.last_crc == index->last_crc && r.epoch == index->last_epoch;
}

static bool belongs(const struct lockstep_index_head *index, const struct lockstep_segment_identity *id,
                    const struct lockstep_open_record *open)
{
    const uint64_t covered = LOCKSTEP_INDEX_HEAD_BYTES - sizeof(uint32_t);
    uint32_t crc;
    memcpy(&crc, (const uint8_t *)index + covered, sizeof crc);
    return memcmp(index->magic, "LKSTPIDX", 8) == 0 && index->format == LOCKSTEP_INDEX_FORMAT &&
           lockstep_crc32c(0, index, covered) == crc && index->number == id->number && index->stream_id == id->stream_id &&
           index->nonce == id->nonce && index->segment_bytes == id->segment_bytes && index->schema_crc == id->schema_crc &&
           index->first_seq == open->first_seq && index->last_seq >= index->first_seq;
}

/* The next segment is open, and with the very end that the index gives to this one: without that, what stands behind the end
 * marker would have to be looked at. */
static bool leads_on(const struct lockstep_recovery *r, const uint8_t *next, const struct lockstep_index_head *index)
{
    const struct lockstep_segment_identity *id = (const void *)next;
    const struct lockstep_open_record *open = (const void *)(next + LOCKSTEP_OPEN_AT);
    return id->stream_id == r->stream_id && id->number == index->number + 1 && is_open(next) &&
           continues(open, index->last_seq + 1, index->last_ts, index->last_crc);
}

int lockstep_recovery_pass(struct lockstep_recovery *r, const struct lockstep_claim *c)
{
    begin(r);
    if (!r->has_control || r->ended || !valid_header(r, c->header, c->bytes, r->segments + 1) || !is_open(c->header))
        return 0;
    const struct lockstep_open_record *open = (const void *)(c->header + LOCKSTEP_OPEN_AT);
    const struct lockstep_index_head *index = (const void *)c->index;
    if (!continues(open, r->reader.next_seq, r->reader.last_ts, r->reader.last_crc) ||
        !belongs(index, (const void *)c->header, open) || !leads_on(r, c->next, index) || !ends_so(c, index))
        return 0;
    /* What may not be on disk may be torn anywhere. */
    if (index->last_seq > r->durable_seq)
        return 0;
    r->segments++;
    r->reader.next_seq = index->last_seq + 1;
    r->reader.offset = index->end_offset;
    r->reader.state = LOCKSTEP_END;
    r->last_seq = index->last_seq;
    r->last_ts = r->reader.last_ts = index->last_ts;
    r->last_crc = r->reader.last_crc = index->last_crc;
    r->reader.epoch = index->last_epoch;
    r->epoch = index->last_epoch > r->epoch ? index->last_epoch : r->epoch;
    r->segment = r->segments;
    r->offset = r->cut_to = index->end_offset;
    return 1;
}

/* ---- frame by frame ------------------------------------------------------------------------------------------ */

static void follow(struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes, struct lockstep_sources *sources)
{
    const struct lockstep_segment_identity *id = (const void *)base;
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    r->reader.seed = seed_of(id);
    r->reader.base = base;
    r->reader.bytes = bytes;
    r->reader.offset = id->frames_at;
    r->reader.epoch = open->epoch;
    r->reader.verify = 1;
    lockstep_reader_survey(&r->reader, UINT64_MAX, sources, NULL, NULL);
    r->last_seq = r->reader.next_seq - 1;
    r->last_ts = r->reader.last_ts;
    r->last_crc = r->reader.last_crc;
    r->segment = r->segments;
    r->offset = r->reader.offset;
    /* An end marker is behind the end too, until the segment that it points to turns out to be open. */
    r->cut_to = lockstep_last_nonzero(base, r->offset, bytes);
    if (r->reader.epoch > r->epoch)
        r->epoch = r->reader.epoch;
    r->ended = r->reader.state != LOCKSTEP_END;
    r->reader.base = NULL; /* the caller unmaps it */
}

enum lockstep_recovery_action lockstep_recovery_look(struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes,
                                                     struct lockstep_sources *sources, uint64_t *used)
{
    *used = 0;
    begin(r);
    r->segments++;
    if (!valid_header(r, base, bytes, r->segments) || !valid_schema(base)) {
        r->verdict = LOCKSTEP_VERDICT_INVALID;
        return LOCKSTEP_ACTION_INVALID;
    }
    const struct lockstep_segment_identity *id = (const void *)base;
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    bool opened = is_open(base);
    if (opened)
        open_said(r, open);
    if (!r->ended && opened && continues(open, r->reader.next_seq, r->reader.last_ts, r->reader.last_crc)) {
        follow(r, base, bytes, sources);
        return LOCKSTEP_ACTION_STAYS;
    }
    r->ended = 1;
    *used = lockstep_last_nonzero(base, id->frames_at, bytes);
    if (*used == id->frames_at)
        *used = zeros(base, LOCKSTEP_OPEN_AT, LOCKSTEP_OPEN_AT + sizeof *open) ? 0 : LOCKSTEP_BLOCK_BYTES;
    if (*used != 0) {
        r->torn = 1;
        return LOCKSTEP_ACTION_PUT_ASIDE;
    }
    if (r->segments == r->segment + 1 && (r->segment_bytes == 0 || r->segment_bytes == bytes) &&
        id->schema_bytes == r->schema_bytes && memcmp(base + LOCKSTEP_BLOCK_BYTES, r->schema, r->schema_bytes) == 0) {
        r->prepared = r->segments;
        return LOCKSTEP_ACTION_REUSE;
    }
    return LOCKSTEP_ACTION_REMOVE;
}

enum lockstep_recovery_verdict lockstep_recovery_decide(struct lockstep_recovery *r)
{
    begin(r);
    bool torn = r->torn || r->cut_to > r->offset;
    if (r->verdict == LOCKSTEP_VERDICT_INVALID)
        return r->verdict;
    if (r->control_segment > r->segments)
        r->verdict = LOCKSTEP_VERDICT_MISSING;
    else if (r->last_seq < r->durable_seq)
        r->verdict = LOCKSTEP_VERDICT_DAMAGE;
    else if (torn && !r->has_control)
        r->verdict = LOCKSTEP_VERDICT_UNPROVEN;
    else if (r->last_seq >= lockstep_seq_max())
        r->verdict = LOCKSTEP_VERDICT_FULL;
    else
        r->verdict = torn ? LOCKSTEP_VERDICT_TORN : LOCKSTEP_VERDICT_CLEAN;
    return r->verdict;
}
