/* Sorted lists there and back, lists of random bytes, and a scan of a segment of many sources, under the sanitizers.
 * Prints "ok". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/kernel/crc32c.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/index.h"

#define EXPECT(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); exit(1); } } while (0)

static uint64_t state = 88172645463325252u;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void there_and_back(uint64_t count, uint64_t keys, uint32_t blocks)
{
    struct lockstep_posting *rows = malloc(count * sizeof *rows + 1), *spare = malloc(count * sizeof *rows + 1);
    uint8_t *present = calloc(keys, blocks);
    uint64_t *key_of = malloc(keys * sizeof *key_of);
    for (uint64_t k = 0; k < keys; k++)
        key_of[k] = (k == 0 ? 1 + random64() % 8 : key_of[k - 1] + 1 + (random64() % 3 ? 0 : random64() >> (8 + random64() % 50)));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t k = random64() % keys;
        uint32_t block = (uint32_t)(i * blocks / count); /* ascending, as a scan leaves them */
        rows[i] = (struct lockstep_posting){key_of[k], block, 0};
        present[k * blocks + block] = 1;
    }
    uint64_t kept = lockstep_index_sort(rows, spare, count), groups_count, keys_count;
    uint8_t *data = malloc(kept * LOCKSTEP_INDEX_LIST_BYTES_MAX + 1);
    struct lockstep_index_group *groups = malloc(kept * sizeof *groups + 1);
    uint64_t bytes = lockstep_index_encode(rows, kept, data, groups, &groups_count, &keys_count);
    uint32_t *runs = malloc((blocks + 2) * sizeof *runs);
    uint64_t seen = 0;
    for (uint64_t k = 0; k < keys; k++) {
        int64_t n = lockstep_index_find(data, bytes, groups, groups_count, key_of[k], blocks, runs, blocks / 2 + 1);
        EXPECT(n >= 0);
        uint8_t *row = present + k * blocks;
        for (int64_t i = 0; i < n; i++)
            for (uint32_t b = runs[2 * i]; b < runs[2 * i + 1]; b++, seen++)
                EXPECT(row[b] == 1);
        if (n == 0)
            EXPECT(memchr(row, 1, blocks) == NULL);
    }
    EXPECT(seen == kept);
    uint64_t *all = malloc(keys * sizeof *all);
    EXPECT(lockstep_index_keys(data, bytes, groups, groups_count, all, keys) == (int64_t)keys_count);
    /* Whatever the bytes are, nothing outside of them is read and no run leaves the segment. */
    for (int round = 0; round < 200 && bytes > 0; round++) {
        uint8_t *hostile = malloc(bytes);
        memcpy(hostile, data, bytes);
        for (uint64_t i = random64() % 9; i-- > 0;)
            hostile[random64() % bytes] = (uint8_t)random64();
        struct lockstep_index_group *bad = malloc(groups_count * sizeof *bad + 1);
        memcpy(bad, groups, groups_count * sizeof *bad);
        if (round % 4 == 0)
            bad[random64() % groups_count].at = (uint32_t)(random64() >> (random64() % 64));
        uint64_t key = key_of[random64() % keys];
        int64_t n = lockstep_index_find(hostile, bytes, bad, groups_count, key, blocks, runs, blocks / 2 + 1);
        for (int64_t i = 0; i < n; i++)
            EXPECT(runs[2 * i] < runs[2 * i + 1] && runs[2 * i + 1] <= blocks);
        EXPECT(lockstep_index_keys(hostile, bytes, bad, groups_count, all, keys) <= (int64_t)keys);
        free(hostile);
        free(bad);
    }
    free(rows); free(spare); free(present); free(key_of); free(data); free(groups); free(runs); free(all);
}

/* Frames of all kinds and sizes from any number of sources: windows to the byte of what there is, and more when they are full. */
static void scan(uint32_t sources, uint64_t bytes)
{
    static struct lockstep_indexer x;
    static struct lockstep_index_fields fields;
    memset(&x, 0, sizeof x);
    uint8_t *base = calloc(1, bytes);
    uint64_t at = 0, seq = 0, *last = calloc(65536, sizeof *last);
    for (uint32_t length; at + (length = 64 + 8 * (uint32_t)(random64() % 12)) + LOCKSTEP_END_BYTES <= bytes; at += length) {
        struct lockstep_frame *f = (void *)(base + at);
        for (uint32_t i = 64; i < length; i++)
            base[at + i] = (uint8_t)random64();
        f->kind = random64() % 3 ? (uint16_t)random64() : random64() % 2 ? LOCKSTEP_REJECT : LOCKSTEP_SOURCE_STATE;
        f->source = (uint16_t)(random64() % sources);
        f->seq = ++seq;
        f->ts = (int64_t)seq;
        f->source_seq = random64() % 4 ? last[f->source] + 1 + random64() % 90 : random64() % 5;
        if (f->source_seq > last[f->source])
            last[f->source] = f->source_seq;
        f->length = length;
        f->crc32c = lockstep_frame_crc(0, length, f, length);
    }
    struct lockstep_reader r = {.base = base, .bytes = bytes, .next_seq = 1, .verify = 1};
    x.blocks = malloc((bytes >> LOCKSTEP_INDEX_BLOCK_SHIFT) * sizeof *x.blocks + sizeof *x.blocks);
    struct lockstep_posting *rows = malloc(3 * seq * sizeof *rows);
    x.kinds.rows = rows, x.instruments.rows = rows + seq, x.orders.rows = rows + 2 * seq;
    x.kinds.max = x.instruments.max = x.orders.max = seq;
    do {
        x.windows_max += LOCKSTEP_INDEX_STEP;
        x.windows = realloc(x.windows, x.windows_max * sizeof *x.windows);
        lockstep_index_scan(&x, &r, &fields);
    } while (r.state == LOCKSTEP_MORE);
    EXPECT(x.frames == seq && r.state != LOCKSTEP_BAD_CRC);
    for (uint32_t w = 0; w < x.windows_count; w++) {
        uint64_t most = 0;
        for (int n = 0; n < LOCKSTEP_NUMBERS_KEPT; n++)
            most = x.windows[w].numbers[n].source_seq > most ? x.windows[w].numbers[n].source_seq : most;
        EXPECT(most <= x.sources.last_source_seq[x.windows[w].source] && x.windows[w].places_count > 0);
        EXPECT(x.window_of[x.windows[w].source] == w + 1);
    }
    free(base); free(last); free(x.blocks); free(rows); free(x.windows);
}

int main(void)
{
    scan(1, 1 << 20);
    scan(9, 1 << 18);
    scan(65536, 1 << 21);
    there_and_back(1, 1, 1);
    there_and_back(1, 1, 65536);
    for (int round = 0; round < 40; round++)
        there_and_back(1 + random64() % 3000, 1 + random64() % 400, 1 + (uint32_t)(random64() % 300));
    struct lockstep_posting none[1];
    EXPECT(lockstep_index_sort(none, none, 0) == 0);
    puts("ok");
    return 0;
}
