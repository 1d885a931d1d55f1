/* BLAKE2b (RFC 7693), unkeyed, of up to 64 bytes: for short texts, where a call and an object for each would cost more than the hash. */
#ifndef LOCKSTEP_BLAKE2B_H
#define LOCKSTEP_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const uint64_t lockstep_blake2b_start[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};
/* No key, fanout and depth 1. */
#define LOCKSTEP_BLAKE2B_PARAMETERS(digest_bytes) (UINT64_C(0x01010000) | (digest_bytes))

/* Which words of the block each round takes. The order is known to the compiler in each: half the time of a table. */
#define LOCKSTEP_BLAKE2B_ROUNDS(ROUND)                                                                                         \
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                                                \
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)                                                                \
    ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)                                                                \
    ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)                                                                \
    ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)                                                                \
    ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)                                                                \
    ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)                                                                \
    ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)                                                                \
    ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)                                                                \
    ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)                                                                \
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                                                \
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

#define LOCKSTEP_TURN(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define LOCKSTEP_MIX(a, b, c, d, x, y)                                                                                         \
    a += b + m[x], d = LOCKSTEP_TURN(d ^ a, 32), c += d, b = LOCKSTEP_TURN(b ^ c, 24);                                         \
    a += b + m[y], d = LOCKSTEP_TURN(d ^ a, 16), c += d, b = LOCKSTEP_TURN(b ^ c, 63);
#define LOCKSTEP_BLAKE2B_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                           \
    LOCKSTEP_MIX(v0, v4, v8, v12, s0, s1)                                                                                      \
    LOCKSTEP_MIX(v1, v5, v9, v13, s2, s3)                                                                                      \
    LOCKSTEP_MIX(v2, v6, v10, v14, s4, s5)                                                                                     \
    LOCKSTEP_MIX(v3, v7, v11, v15, s6, s7)                                                                                     \
    LOCKSTEP_MIX(v0, v5, v10, v15, s8, s9)                                                                                     \
    LOCKSTEP_MIX(v1, v6, v11, v12, s10, s11)                                                                                   \
    LOCKSTEP_MIX(v2, v7, v8, v13, s12, s13)                                                                                    \
    LOCKSTEP_MIX(v3, v4, v9, v14, s14, s15)

/* `count`: bytes so far, with those of this block; `last`: all ones for the last block. */
typedef void lockstep_blake2b_block(uint64_t h[8], const uint8_t data[128], uint64_t count, uint64_t last);

static inline void lockstep_blake2b_portable(uint64_t h[8], const uint8_t data[128], uint64_t count, uint64_t last) {
    const uint64_t *const iv = lockstep_blake2b_start;
    uint64_t m[16];
    uint64_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7], v8 = iv[0], v9 = iv[1], v10 = iv[2],
             v11 = iv[3], v12 = iv[4] ^ count, v13 = iv[5], v14 = iv[6] ^ last, v15 = iv[7];
    memcpy(m, data, sizeof m);
    LOCKSTEP_BLAKE2B_ROUNDS(LOCKSTEP_BLAKE2B_ROUND)
    h[0] ^= v0 ^ v8, h[1] ^= v1 ^ v9, h[2] ^= v2 ^ v10, h[3] ^= v3 ^ v11;
    h[4] ^= v4 ^ v12, h[5] ^= v5 ^ v13, h[6] ^= v6 ^ v14, h[7] ^= v7 ^ v15;
}

#if defined(__x86_64__)
/* The same with the four columns of a round in one vector, then its four diagonals: half the time. */
typedef uint64_t lockstep_blake2b_row __attribute__((vector_size(32)));
typedef uint8_t lockstep_blake2b_bytes __attribute__((vector_size(32)));
/* AVX2 turns no words, but it moves bytes. */
#define LOCKSTEP_TURNED(at, n)                                                                                                 \
    at + (n & 7), at + ((n + 1) & 7), at + ((n + 2) & 7), at + ((n + 3) & 7), at + ((n + 4) & 7), at + ((n + 5) & 7),          \
        at + ((n + 6) & 7), at + ((n + 7) & 7)
#define LOCKSTEP_TURN_BYTES(x, n)                                                                                              \
    (lockstep_blake2b_row) __builtin_shuffle(                                                                                  \
        (lockstep_blake2b_bytes)(x),                                                                                           \
        (lockstep_blake2b_bytes){LOCKSTEP_TURNED(0, n), LOCKSTEP_TURNED(8, n), LOCKSTEP_TURNED(16, n), LOCKSTEP_TURNED(24, n)})
#define LOCKSTEP_TURN_ROW(x, by) __builtin_shuffle(x, (lockstep_blake2b_row){by, (by + 1) & 3, (by + 2) & 3, (by + 3) & 3})
#define LOCKSTEP_MIX_ROWS(x0, x1, x2, x3, y0, y1, y2, y3)                                                                      \
    a += (lockstep_blake2b_row){m[x0], m[x1], m[x2], m[x3]} + b;                                                               \
    d = LOCKSTEP_TURN_BYTES(d ^ a, 4), c += d, b = LOCKSTEP_TURN_BYTES(b ^ c, 3);                                              \
    a += (lockstep_blake2b_row){m[y0], m[y1], m[y2], m[y3]} + b;                                                               \
    d = LOCKSTEP_TURN_BYTES(d ^ a, 2), c += d, b = LOCKSTEP_TURN(b ^ c, 63);
/* `b` stays where it is, for the next step waits for it. */
#define LOCKSTEP_ROUND_OF_ROWS(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                           \
    LOCKSTEP_MIX_ROWS(s0, s2, s4, s6, s1, s3, s5, s7)                                                                          \
    a = LOCKSTEP_TURN_ROW(a, 3), c = LOCKSTEP_TURN_ROW(c, 1), d = LOCKSTEP_TURN_ROW(d, 2);                                     \
    LOCKSTEP_MIX_ROWS(s14, s8, s10, s12, s15, s9, s11, s13)                                                                    \
    a = LOCKSTEP_TURN_ROW(a, 1), c = LOCKSTEP_TURN_ROW(c, 3), d = LOCKSTEP_TURN_ROW(d, 2);

__attribute__((target("avx2"), unused)) static void lockstep_blake2b_avx2(uint64_t h[8], const uint8_t data[128], uint64_t count,
                                                                          uint64_t last) {
    uint64_t m[16];
    lockstep_blake2b_row a, b, c, d, low, high;
    memcpy(m, data, sizeof m);
    memcpy(&low, h, sizeof low), memcpy(&high, h + 4, sizeof high);
    memcpy(&c, lockstep_blake2b_start, sizeof c), memcpy(&d, lockstep_blake2b_start + 4, sizeof d);
    a = low, b = high, d ^= (lockstep_blake2b_row){count, 0, last, 0};
    LOCKSTEP_BLAKE2B_ROUNDS(LOCKSTEP_ROUND_OF_ROWS)
    low ^= a ^ c, high ^= b ^ d;
    memcpy(h, &low, sizeof low), memcpy(h + 4, &high, sizeof high);
}
#undef LOCKSTEP_ROUND_OF_ROWS
#undef LOCKSTEP_MIX_ROWS
#undef LOCKSTEP_TURN_ROW
#undef LOCKSTEP_TURN_BYTES
#undef LOCKSTEP_TURNED
#endif

static inline void lockstep_blake2b_by(lockstep_blake2b_block *block, const void *data, size_t bytes, void *digest, size_t digest_bytes) {
    const uint8_t *at = data;
    uint64_t h[8], done = 0;
    uint8_t last[128] = {0};
    memcpy(h, lockstep_blake2b_start, sizeof h);
    h[0] ^= LOCKSTEP_BLAKE2B_PARAMETERS(digest_bytes);
    for (; bytes - done > sizeof last; done += sizeof last) block(h, at + done, done + sizeof last, 0);
    if (bytes > done) memcpy(last, at + done, bytes - done);
    block(h, last, bytes, ~UINT64_C(0));
    memcpy(digest, h, digest_bytes);
}

/* The digest of `bytes` of data, `digest_bytes` (1 to 64) long. */
static inline void lockstep_blake2b(const void *data, size_t bytes, void *digest, size_t digest_bytes) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        lockstep_blake2b_by(lockstep_blake2b_avx2, data, bytes, digest, digest_bytes);
        return;
    }
#endif
    lockstep_blake2b_by(lockstep_blake2b_portable, data, bytes, digest, digest_bytes);
}

#endif
