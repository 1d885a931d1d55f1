/* BLAKE3: see blake3.h. Written from the specification (github.com/BLAKE3-team/BLAKE3-specs); the slow, obvious twin is
 * tests/journal/blake3_model.py.
 *
 * Chunks of a block are independent of one another, so they are hashed 16 (AVX-512), 8 (AVX2) or 4 at a time. Measured
 * (2026, Zen 4 class): see docs/performance.md. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "blake3.h"

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8, BLOCK_CHUNKS = LOCKSTEP_B3_BLOCK / LOCKSTEP_B3_CHUNK };

static const uint32_t IV[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* Which message word each step of each round takes. */
static const uint8_t ORDER[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

static inline void store32(uint8_t *at, uint32_t value)
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the journal is little-endian"
#endif
    memcpy(at, &value, sizeof value);
}

#define LANES 4
#define LANE_NAME(name) lanes4_##name
#include "blake3_lanes.h"

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
#define LANES 8
#define LANE_NAME(name) lanes8_##name
#include "blake3_lanes.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,prefer-vector-width=512")
#define LANES 16
#define LANE_NAME(name) lanes16_##name
#include "blake3_lanes.h"
#pragma GCC pop_options
#endif

static uint32_t lanes_limit = 16;

uint32_t lockstep_b3_lanes(uint32_t limit)
{
    if (limit != 0)
        lanes_limit = limit;
#if defined(__x86_64__)
    if (lanes_limit >= 16 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return 16;
    if (lanes_limit >= 8 && __builtin_cpu_supports("avx2"))
        return 8;
#endif
    return 4;
}

typedef void (*compress_fn)(const uint8_t *, size_t, int, uint64_t, uint32_t, uint32_t, uint32_t, uint32_t, uint8_t *);

static compress_fn widest(uint32_t lanes)
{
#if defined(__x86_64__)
    if (lanes == 16)
        return lanes16_compress;
    if (lanes == 8)
        return lanes8_compress;
#endif
    (void)lanes;
    return lanes4_compress;
}

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The compression function as the specification has it, for what stands alone: odd chunks and the top of the tree. */
static void compress(const uint32_t h[8], const uint8_t *block, uint32_t bytes, uint64_t counter, uint32_t flags, uint32_t out[8])
{
    static const uint8_t column[8][4] = {{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15},
                                         {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}};
    uint32_t m[16], v[16];
    memcpy(m, block, sizeof m);
    memcpy(v, h, 32);
    memcpy(v + 8, IV, 16);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = bytes, v[15] = flags;
    for (int round = 0; round < 7; round++)
        for (int g = 0; g < 8; g++) {
            uint32_t *a = &v[column[g][0]], *b = &v[column[g][1]], *c = &v[column[g][2]], *d = &v[column[g][3]];
            *a += *b + m[ORDER[round][2 * g]], *d = rotate(*d ^ *a, 16), *c += *d, *b = rotate(*b ^ *c, 12);
            *a += *b + m[ORDER[round][2 * g + 1]], *d = rotate(*d ^ *a, 8), *c += *d, *b = rotate(*b ^ *c, 7);
        }
    for (int i = 0; i < 8; i++)
        out[i] = v[i] ^ v[i + 8];
}

/* A chunk of at most 1024 bytes, from its first block to its last. */
static void chunk(const uint8_t *data, uint64_t bytes, uint64_t counter, uint32_t root, uint8_t *value)
{
    uint32_t h[8];
    memcpy(h, IV, sizeof h);
    uint64_t at = 0;
    do {
        uint32_t n = bytes - at < 64 ? (uint32_t)(bytes - at) : 64;
        uint8_t block[64] = {0};
        if (n != 0)
            memcpy(block, data + at, n);
        uint32_t flags = (at == 0 ? CHUNK_START : 0) | (at + n == bytes ? CHUNK_END | root : 0);
        compress(h, block, n, counter, flags, h);
        at += n;
    } while (at < bytes);
    memcpy(value, h, sizeof h);
}

/* The node over `n` leaves that stand side by side: the left part is the largest power of two below n. */
static void merge(const uint8_t *leaves, uint64_t n, uint32_t root, uint8_t *value)
{
    if (n == 1) {
        memcpy(value, leaves, 32);
        return;
    }
    uint64_t left = 1;
    while (2 * left < n)
        left *= 2;
    uint8_t pair[64];
    uint32_t h[8];
    merge(leaves, left, 0, pair);
    merge(leaves + 32 * left, n - left, 0, pair + 32);
    compress(IV, pair, 64, 0, PARENT | root, h);
    memcpy(value, h, sizeof h);
}

/* Chaining value of one whole block. Parents are combined side by side too: one by one they would cost as much as the chunks. */
static void whole_block(const uint8_t *data, uint64_t first_chunk, uint32_t lanes, compress_fn wide, uint8_t *value)
{
    uint8_t level[2][(BLOCK_CHUNKS + 16) * 32] = {{0}}; /* a wide call always fills all its lanes, wanted or not */
    for (uint32_t i = 0; i < BLOCK_CHUNKS; i += lanes)
        wide(data + (size_t)i * LOCKSTEP_B3_CHUNK, LOCKSTEP_B3_CHUNK, 16, first_chunk + i, 1, 0, CHUNK_START, CHUNK_END,
             level[0] + (size_t)i * 32);
    int now = 0;
    uint32_t n = BLOCK_CHUNKS;
    for (; n > 4; n /= 2, now = !now)
        for (uint32_t i = 0; i < n / 2; i += lanes)
            wide(level[now] + (size_t)i * 64, 64, 1, 0, 0, PARENT, 0, 0, level[!now] + (size_t)i * 32);
    merge(level[now], n, 0, value);
}

void lockstep_b3_blocks(const uint8_t *data, uint64_t first, uint64_t blocks, uint8_t *values)
{
    uint32_t lanes = lockstep_b3_lanes(0);
    compress_fn wide = widest(lanes);
    for (uint64_t i = 0; i < blocks; i++)
        whole_block(data + (first + i) * LOCKSTEP_B3_BLOCK, (first + i) * BLOCK_CHUNKS, lanes, wide, values + i * 32);
}

/* The chunks of a last block that may be short, as a list of leaves. */
static uint64_t leaves_of(const uint8_t *data, uint64_t bytes, uint64_t counter, uint8_t *leaves)
{
    uint64_t n = 0;
    for (uint64_t at = 0; at < bytes; at += LOCKSTEP_B3_CHUNK, n++) {
        uint64_t rest = bytes - at < LOCKSTEP_B3_CHUNK ? bytes - at : LOCKSTEP_B3_CHUNK;
        chunk(data + at, rest, counter + n, 0, leaves + n * 32);
    }
    return n;
}

/* merge() over the values of whole blocks and one more behind them, without a copy of the values. */
static void merge_with(const uint8_t *values, uint64_t n, const uint8_t *last, uint32_t root, uint8_t *value)
{
    if (last == NULL) {
        merge(values, n, root, value);
        return;
    }
    if (n == 0) {
        memcpy(value, last, 32);
        return;
    }
    uint64_t left = 1;
    while (2 * left < n + 1)
        left *= 2;
    uint8_t pair[64];
    uint32_t h[8];
    merge(values, left, 0, pair);
    merge_with(values + 32 * left, n - left, last, 0, pair + 32);
    compress(IV, pair, 64, 0, PARENT | root, h);
    memcpy(value, h, sizeof h);
}

void lockstep_b3_root(const uint8_t *data, uint64_t bytes, const uint8_t *values, uint8_t *digest)
{
    uint8_t leaves[BLOCK_CHUNKS * 32], last[32];
    if (bytes <= LOCKSTEP_B3_CHUNK) {
        chunk(data, bytes, 0, ROOT, digest);
        return;
    }
    if (bytes <= LOCKSTEP_B3_BLOCK) {
        merge(leaves, leaves_of(data, bytes, 0, leaves), ROOT, digest);
        return;
    }
    uint64_t whole = bytes / LOCKSTEP_B3_BLOCK, rest = bytes % LOCKSTEP_B3_BLOCK;
    if (rest != 0)
        merge(leaves, leaves_of(data + whole * LOCKSTEP_B3_BLOCK, rest, whole * BLOCK_CHUNKS, leaves), 0, last);
    merge_with(values, whole, rest != 0 ? last : NULL, ROOT, digest);
}
