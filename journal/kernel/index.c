/* Making and reading a segment's index: see index.h. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "messages.h"
#include "segment.h"
#include "reader.h"
#include "index.h"

_Static_assert(sizeof(struct lockstep_block) == 24, "unpacked by Python as <QqII");
_Static_assert(sizeof(struct lockstep_posting) == 16, "a row");
_Static_assert(sizeof(struct lockstep_index_group) == 16, "unpacked by Python as <QII");
_Static_assert(sizeof(struct lockstep_number) == 16 && sizeof(struct lockstep_place) == 16, "rows");
_Static_assert(sizeof(struct lockstep_window) == 64 * 16 + 256 * 16 + 16, "taken apart by numpy");
_Static_assert(sizeof(struct lockstep_index_head) == 96, "sections follow");

static const uint32_t END = 0xFFFFFFFF;

static inline void note(struct lockstep_postings *p, uint64_t key, uint32_t block)
{
    struct lockstep_posting *last = &p->recent[(key * 0x9E3779B97F4A7C15u) >> 51];
    if (last->key == key && last->block == block && last->zero)
        return;
    *last = (struct lockstep_posting){key, block, 1};
    if (p->count == p->max) {
        p->left_out++;
        return;
    }
    p->rows[p->count++] = (struct lockstep_posting){key, block, 0};
}

static inline void note_kind(struct lockstep_indexer *x, uint16_t kind, uint32_t block)
{
    if (x->block_of_kind[kind] == block + 1)
        return;
    x->block_of_kind[kind] = block + 1;
    if (x->kinds.count == x->kinds.max) {
        x->kinds.left_out++;
        return;
    }
    x->kinds.rows[x->kinds.count++] = (struct lockstep_posting){kind, block, 0};
}

static struct lockstep_window *window_of(struct lockstep_indexer *x, uint16_t source)
{
    uint32_t *known = &x->window_of[source];
    if (*known == 0) {
        struct lockstep_window *fresh = &x->windows[x->windows_count++];
        memset(fresh, 0, sizeof *fresh);
        fresh->source = source;
        *known = x->windows_count;
    }
    return &x->windows[*known - 1];
}

/* A number that is not behind its source's last: what a sequencer must know of it after a restart. */
static inline void note_number(struct lockstep_indexer *x, const struct lockstep_frame *f, uint32_t offset)
{
    if (f->source_seq <= x->sources.last_source_seq[f->source])
        return;
    struct lockstep_window *w = window_of(x, f->source);
    w->numbers[f->source_seq % LOCKSTEP_NUMBERS_KEPT] = (struct lockstep_number){f->source_seq, f->seq};
    const struct lockstep_place *last = &w->places[(w->places_count - 1) % LOCKSTEP_PLACES_KEPT];
    if (w->places_count != 0 && f->source_seq - last->source_seq < LOCKSTEP_PLACE_NUMBERS &&
        offset - last->offset < LOCKSTEP_PLACE_BYTES)
        return;
    w->places[w->places_count++ % LOCKSTEP_PLACES_KEPT] = (struct lockstep_place){f->source_seq, offset, 0};
}

/* What the frame says at `at`; 0 where it is too short for it, or the kind has no such field. */
static inline uint32_t instrument_of(const uint8_t *frame, uint32_t length, uint16_t at)
{
    uint32_t value;
    if (at == 0 || at + sizeof value > length)
        return 0;
    memcpy(&value, frame + at, sizeof value);
    return value;
}

static inline uint64_t order_of(const uint8_t *frame, uint32_t length, uint16_t at)
{
    uint64_t value;
    if (at == 0 || at + sizeof value > length)
        return 0;
    memcpy(&value, frame + at, sizeof value);
    return value;
}

static inline void take(struct lockstep_indexer *x, const uint8_t *base, const struct lockstep_ref *ref,
                        const struct lockstep_index_fields *fields)
{
    const uint8_t *frame = base + ref->offset;
    const struct lockstep_frame *head = (const void *)frame;
    uint32_t block = ref->offset >> LOCKSTEP_INDEX_BLOCK_SHIFT, length = head->length;
    while (x->blocks_count <= block)
        x->blocks[x->blocks_count++] = (struct lockstep_block){ref->seq, ref->ts, ref->offset, 0};
    x->frames_by_kind[ref->kind]++;
    x->bytes_by_kind[ref->kind] += length;
    note_number(x, head, ref->offset);
    lockstep_note_source(&x->sources, head);
    note_kind(x, ref->kind, block);
    uint32_t instrument = instrument_of(frame, length, fields->instrument_at[ref->kind]);
    if (instrument)
        note(&x->instruments, instrument, block);
    uint64_t order = order_of(frame, length, fields->order_at[ref->kind]);
    if (order)
        note(&x->orders, order, block);
}

uint64_t lockstep_index_scan(struct lockstep_indexer *x, struct lockstep_reader *r, const struct lockstep_index_fields *fields)
{
    struct lockstep_ref refs[LOCKSTEP_INDEX_STEP];
    uint64_t before = x->frames;
    r->state = LOCKSTEP_MORE;
    while (r->state == LOCKSTEP_MORE && x->windows_max - x->windows_count >= LOCKSTEP_INDEX_STEP) {
        /* In portions that stay in the cache: the second look at a frame costs nothing. */
        uint32_t n = lockstep_reader_poll(r, refs, LOCKSTEP_INDEX_STEP, LOCKSTEP_INDEX_STEP, UINT64_MAX);
        if (n > 0 && x->frames == 0)
            x->first_ts = refs[0].ts;
        for (uint32_t i = 0; i < n; i++)
            take(x, r->base, &refs[i], fields);
        if (n > 0)
            x->last_offset = refs[n - 1].offset;
        x->frames += n;
    }
    return x->frames - before;
}

uint64_t lockstep_index_sort(struct lockstep_posting *rows, struct lockstep_posting *spare, uint64_t count)
{
    uint64_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (uint64_t i = 0; i < count; i++)
        for (int byte = 0; byte < 8; byte++)
            counts[byte][rows[i].key >> (8 * byte) & 255]++;
    struct lockstep_posting *from = rows, *to = spare;
    for (int byte = 0; byte < 8 && count > 0; byte++) {
        uint64_t *n = counts[byte];
        if (n[from[0].key >> (8 * byte) & 255] == count)
            continue;
        uint64_t at = 0;
        for (int digit = 0; digit < 256; digit++) {
            uint64_t here = n[digit];
            n[digit] = at;
            at += here;
        }
        for (uint64_t i = 0; i < count; i++)
            to[n[from[i].key >> (8 * byte) & 255]++] = from[i];
        struct lockstep_posting *swap = from;
        from = to;
        to = swap;
    }
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++)
        if (i == 0 || from[i].key != from[i - 1].key || from[i].block != from[i - 1].block)
            to[kept++] = from[i];
    if (to != rows)
        memcpy(rows, to, kept * sizeof *rows);
    return kept;
}

static uint8_t *put(uint8_t *at, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}

uint64_t lockstep_index_encode(const struct lockstep_posting *rows, uint64_t count, uint8_t *data,
                               struct lockstep_index_group *groups, uint64_t *groups_count, uint64_t *keys)
{
    uint8_t *at = data;
    uint64_t previous = 0;
    *groups_count = *keys = 0;
    for (uint64_t i = 0; i < count;) {
        uint64_t key = rows[i].key, end = i, runs = 0;
        for (; end < count && rows[end].key == key; end++)
            runs += end == i || rows[end].block != rows[end - 1].block + 1;
        if ((*keys)++ % LOCKSTEP_INDEX_GROUP == 0) {
            groups[(*groups_count)++] = (struct lockstep_index_group){key, (uint32_t)(at - data), 0};
            previous = key;
        }
        at = put(at, key - previous);
        at = put(at, runs);
        previous = key;
        for (uint32_t behind = 0; i < end;) {
            uint32_t first = rows[i].block;
            for (i++; i < end && rows[i].block == rows[i - 1].block + 1; i++)
                ;
            at = put(at, first - behind);
            behind = rows[i - 1].block + 1;
            at = put(at, behind - first - 1);
        }
    }
    return (uint64_t)(at - data);
}

/* A place in data that may hold anything. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t get(struct cursor *c)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    c->bad = true;
    return 0;
}

/* The data of one group; empty and bad where the directory points outside. */
static struct cursor group_data(const uint8_t *data, uint64_t bytes, const struct lockstep_index_group *groups,
                                uint64_t groups_count, uint64_t group)
{
    uint64_t from = groups[group].at, to = group + 1 < groups_count ? groups[group + 1].at : bytes;
    bool bad = from >= to || to > bytes;
    return (struct cursor){data + (bad ? 0 : from), data + (bad ? 0 : to), bad};
}

/* One list behind its key. -1: bad, or more than there is room for. */
static int64_t runs_of(struct cursor *c, uint32_t blocks, uint32_t *runs, uint32_t runs_max)
{
    uint64_t n = get(c), behind = 0;
    if (n == 0 || n > runs_max)
        return -1;
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        uint64_t gap = get(c), more = get(c);
        if (gap >= blocks || more >= blocks || behind + gap + more >= blocks)
            return -1;
        runs[2 * i] = (uint32_t)(behind + gap);
        behind += gap + more + 1;
        runs[2 * i + 1] = (uint32_t)behind;
    }
    return c->bad ? -1 : (int64_t)n;
}

static void pass_runs(struct cursor *c)
{
    for (uint64_t words = 2 * get(c); words > 0 && !c->bad; words--)
        get(c);
}

int64_t lockstep_index_find(const uint8_t *data, uint64_t bytes, const struct lockstep_index_group *groups,
                            uint64_t groups_count, uint64_t key, uint32_t blocks, uint32_t *runs, uint32_t runs_max)
{
    uint64_t low = 0, high = groups_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (groups[middle].key <= key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    struct cursor c = group_data(data, bytes, groups, groups_count, low - 1);
    uint64_t at = groups[low - 1].key;
    while (!c.bad && c.at < c.end) {
        at += get(&c);
        if (c.bad || at > key)
            break;
        if (at == key)
            return runs_of(&c, blocks, runs, runs_max);
        pass_runs(&c);
    }
    return c.bad ? -1 : 0;
}

int64_t lockstep_index_keys(const uint8_t *data, uint64_t bytes, const struct lockstep_index_group *groups,
                            uint64_t groups_count, uint64_t *keys, uint64_t max)
{
    uint64_t n = 0;
    for (uint64_t group = 0; group < groups_count; group++) {
        struct cursor c = group_data(data, bytes, groups, groups_count, group);
        uint64_t at = groups[group].key;
        while (!c.bad && c.at < c.end) {
            at += get(&c);
            if (n == max)
                return -1;
            keys[n++] = at;
            pass_runs(&c);
        }
        if (c.bad)
            return -1;
    }
    return (int64_t)n;
}

static bool among(const uint64_t *orders, uint32_t count, uint64_t order)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (orders[middle] < order)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && orders[low] == order;
}

static bool among32(const uint32_t *instruments, uint32_t count, uint32_t instrument)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (instruments[middle] < instrument)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && instruments[low] == instrument;
}

uint32_t lockstep_index_select(const uint8_t *base, struct lockstep_ref *refs, uint32_t n,
                               const struct lockstep_index_fields *fields, const uint32_t *instruments,
                               uint32_t instruments_count, const uint64_t *orders, uint32_t orders_count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *frame = base + refs[i].offset;
        uint32_t length = ((const struct lockstep_frame *)(const void *)frame)->length;
        if (instruments_count &&
            !among32(instruments, instruments_count, instrument_of(frame, length, fields->instrument_at[refs[i].kind])))
            continue;
        if (orders_count && !among(orders, orders_count, order_of(frame, length, fields->order_at[refs[i].kind])))
            continue;
        refs[kept++] = refs[i];
    }
    return kept;
}

int lockstep_reader_seek(struct lockstep_reader *r, uint64_t seq, int64_t ts)
{
    struct lockstep_ref ref;
    for (;;) {
        const struct lockstep_frame *f = (const void *)(r->base + r->offset);
        uint32_t length = __atomic_load_n(&f->length, __ATOMIC_ACQUIRE);
        /* What is no frame is for the poll to judge. */
        if (length != 0 && length != END && r->next_seq >= seq && f->ts >= ts)
            return 1;
        uint64_t before = r->next_seq;
        lockstep_reader_poll(r, &ref, 1, 1, UINT64_MAX);
        if (r->next_seq == before)
            return 0;
    }
}
