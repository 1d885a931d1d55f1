/* Every bit of one sealed block of 64 KiB, flipped, one after the other: flip_driver SEGMENT BLOCK.
 *
 * Two guards are asked about each flip: the block's node in the digest's tree, and the check of the frame that the bit is in. For the tree
 * only the nodes above the flipped chunk are computed again, the others being what they were; one flip in 1009 also goes through the whole
 * production path. Prints: flips, missed by the tree, missed by the production path, flips inside frames, missed by the frame's check. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "journal/kernel/blake3.c"
#include "journal/kernel/crc32c.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"

enum { LEVELS = 7 };

/* The block's tree, level by level: 64 chunks, 32 parents … 1. */
static uint8_t tree[LEVELS][BLOCK_CHUNKS][32];

static void parent(const uint8_t *pair, uint8_t *value)
{
    uint32_t h[8];
    compress(IV, pair, 64, 0, PARENT, h);
    memcpy(value, h, sizeof h);
}

static void build(const uint8_t *block, uint64_t first_chunk)
{
    for (uint32_t i = 0; i < BLOCK_CHUNKS; i++)
        chunk(block + i * 1024, 1024, first_chunk + i, 0, tree[0][i]);
    for (uint32_t level = 1, n = BLOCK_CHUNKS / 2; level < LEVELS; level++, n /= 2)
        for (uint32_t i = 0; i < n; i++)
            parent(tree[level - 1][2 * i], tree[level][i]);
}

/* The block's value with this one chunk as it is now. */
static void climb(const uint8_t *block, uint64_t first_chunk, uint32_t i, uint8_t *value)
{
    uint8_t now[32], pair[64];
    chunk(block + i * 1024, 1024, first_chunk + i, 0, now);
    for (uint32_t level = 0; level < LEVELS - 1; level++, i /= 2) {
        memcpy(pair, tree[level][i & ~1u], 64);
        memcpy(pair + 32 * (i & 1), now, 32);
        parent(pair, now);
    }
    memcpy(value, now, 32);
}

int main(int argc, char **argv)
{
    struct stat st;
    if (argc != 3)
        return 2;
    int fd = open(argv[1], O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return 2;
    uint8_t *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    uint64_t first = (uint64_t)atoi(argv[2]), at = first * LOCKSTEP_B3_BLOCK;
    const struct lockstep_segment_identity *id = (const void *)base;
    const struct lockstep_open_record *opened = (const void *)(base + LOCKSTEP_OPEN_AT);
    uint32_t seed = lockstep_crc32c(0, &id->stream_id, 16);
    seed = lockstep_crc32c(seed, &id->number, 4);

    uint8_t sealed[32], value[32];
    lockstep_b3_blocks(base, first, 1, sealed);
    build(base + at, first * BLOCK_CHUNKS);
    if (memcmp(tree[LEVELS - 1][0], sealed, 32) != 0)
        return 3;

    static struct lockstep_reader r; /* stands before the frame that holds the byte */
    r = (struct lockstep_reader){.base = base, .bytes = (uint64_t)st.st_size, .offset = id->frames_at, .seed = seed, .verify = 1,
                                 .next_seq = opened->first_seq, .last_ts = opened->prev_last_ts, .epoch = opened->epoch};
    uint64_t flips = 0, tree_missed = 0, path_missed = 0, inside = 0, frame_missed = 0;
    for (uint64_t byte = at; byte < at + LOCKSTEP_B3_BLOCK; byte++) {
        const struct lockstep_frame *f = (const void *)(base + r.offset);
        while (byte >= r.offset && f->length != 0 && f->length != 0xFFFFFFFF && byte >= r.offset + f->length) {
            lockstep_reader_survey(&r, 1, NULL, NULL, NULL);
            f = (const void *)(base + r.offset);
        }
        for (int bit = 0; bit < 8; bit++, flips++) {
            base[byte] ^= (uint8_t)(1 << bit);
            climb(base + at, first * BLOCK_CHUNKS, (uint32_t)((byte - at) / 1024), value);
            tree_missed += memcmp(value, sealed, 32) == 0;
            if (flips % 1009 == 0) {
                lockstep_b3_blocks(base, first, 1, value);
                path_missed += memcmp(value, sealed, 32) == 0;
            }
            if (byte >= r.offset) {
                static struct lockstep_reader probe;
                memcpy(&probe, &r, offsetof(struct lockstep_reader, kinds));
                inside++;
                frame_missed += lockstep_reader_survey(&probe, 1, NULL, NULL, NULL) != 0;
            }
            base[byte] ^= (uint8_t)(1 << bit);
        }
    }
    printf("%llu %llu %llu %llu %llu\n", (unsigned long long)flips, (unsigned long long)tree_missed,
           (unsigned long long)path_missed, (unsigned long long)inside, (unsigned long long)frame_missed);
    return 0;
}
