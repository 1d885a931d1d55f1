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

/* As journal.segment.read_header and read_schema, which say in words what is wrong. */
static bool valid(const struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes, uint32_t number)
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
    if (!zeros(base, sizeof *id, LOCKSTEP_OPEN_AT) || !zeros(base, open_end, block))
        return false;
    return lockstep_crc32c(0, base + block, id->schema_bytes) == id->schema_crc &&
           zeros(base, block + id->schema_bytes, id->frames_at);
}

static bool is_open(const uint8_t *base)
{
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    uint32_t crc = lockstep_crc32c(0, base, sizeof(struct lockstep_segment_identity));
    return lockstep_crc32c(crc, open, offsetof(struct lockstep_open_record, open_crc)) == open->open_crc;
}

static void follow(struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes, struct lockstep_sources *sources)
{
    const struct lockstep_segment_identity *id = (const void *)base;
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    uint32_t seed = lockstep_crc32c(0, &id->stream_id, sizeof id->stream_id);
    seed = lockstep_crc32c(seed, &id->nonce, sizeof id->nonce);
    r->reader.seed = lockstep_crc32c(seed, &id->number, sizeof id->number);
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
    r->segments++;
    if (r->segments == 1) {
        r->reader.next_seq = 1;
        r->epoch = r->control_epoch;
        r->durable_seq = r->control_durable_seq;
    }
    if (!valid(r, base, bytes, r->segments)) {
        r->verdict = LOCKSTEP_VERDICT_INVALID;
        return LOCKSTEP_ACTION_INVALID;
    }
    const struct lockstep_segment_identity *id = (const void *)base;
    const struct lockstep_open_record *open = (const void *)(base + LOCKSTEP_OPEN_AT);
    bool opened = is_open(base);
    if (opened && !r->elsewhere && open->durable_seq > r->durable_seq)
        r->durable_seq = open->durable_seq;
    if (!r->ended && opened && open->first_seq == r->reader.next_seq && open->prev_last_ts == r->reader.last_ts &&
        open->prev_last_crc == r->reader.last_crc) {
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
    if (r->segments == 0) {
        r->epoch = r->control_epoch;
        r->durable_seq = r->control_durable_seq;
    }
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
