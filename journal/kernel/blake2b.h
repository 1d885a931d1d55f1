/* BLAKE2b (RFC 7693), unkeyed, of up to 64 bytes: for short texts, where a call and an object for each would cost more than the hash. */
#ifndef LOCKSTEP_BLAKE2B_H
#define LOCKSTEP_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const uint64_t lockstep_blake2b_start[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};

#define LOCKSTEP_TURN(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define LOCKSTEP_MIX(a, b, c, d, x, y)                                                                                         \
    a += b + m[x], d = LOCKSTEP_TURN(d ^ a, 32), c += d, b = LOCKSTEP_TURN(b ^ c, 24);                                         \
    a += b + m[y], d = LOCKSTEP_TURN(d ^ a, 16), c += d, b = LOCKSTEP_TURN(b ^ c, 63);
/* The order of the words is known to the compiler in each round: half the time of a table. */
#define LOCKSTEP_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                   \
    LOCKSTEP_MIX(v0, v4, v8, v12, s0, s1)                                                                                      \
    LOCKSTEP_MIX(v1, v5, v9, v13, s2, s3)                                                                                      \
    LOCKSTEP_MIX(v2, v6, v10, v14, s4, s5)                                                                                     \
    LOCKSTEP_MIX(v3, v7, v11, v15, s6, s7)                                                                                     \
    LOCKSTEP_MIX(v0, v5, v10, v15, s8, s9)                                                                                     \
    LOCKSTEP_MIX(v1, v6, v11, v12, s10, s11)                                                                                   \
    LOCKSTEP_MIX(v2, v7, v8, v13, s12, s13)                                                                                    \
    LOCKSTEP_MIX(v3, v4, v9, v14, s14, s15)

static inline void lockstep_blake2b_block(uint64_t h[8], const uint8_t data[128], uint64_t count, uint64_t last) {
    const uint64_t *const iv = lockstep_blake2b_start;
    uint64_t m[16];
    uint64_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7], v8 = iv[0], v9 = iv[1], v10 = iv[2],
             v11 = iv[3], v12 = iv[4] ^ count, v13 = iv[5], v14 = iv[6] ^ last, v15 = iv[7];
    memcpy(m, data, sizeof m);
    LOCKSTEP_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    LOCKSTEP_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    LOCKSTEP_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
    LOCKSTEP_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
    LOCKSTEP_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
    LOCKSTEP_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
    LOCKSTEP_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
    LOCKSTEP_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
    LOCKSTEP_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
    LOCKSTEP_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
    LOCKSTEP_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    LOCKSTEP_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    h[0] ^= v0 ^ v8, h[1] ^= v1 ^ v9, h[2] ^= v2 ^ v10, h[3] ^= v3 ^ v11;
    h[4] ^= v4 ^ v12, h[5] ^= v5 ^ v13, h[6] ^= v6 ^ v14, h[7] ^= v7 ^ v15;
}

/* The digest of `bytes` of data, `digest_bytes` (1 to 64) long. */
static inline void lockstep_blake2b(const void *data, size_t bytes, void *digest, size_t digest_bytes) {
    const uint8_t *at = data;
    uint64_t h[8], done = 0;
    uint8_t last[128] = {0};
    memcpy(h, lockstep_blake2b_start, sizeof h);
    h[0] ^= 0x01010000 | digest_bytes; /* no key, fanout and depth 1 */
    for (; bytes - done > sizeof last; done += sizeof last) lockstep_blake2b_block(h, at + done, done + sizeof last, 0);
    if (bytes > done) memcpy(last, at + done, bytes - done);
    lockstep_blake2b_block(h, last, bytes, ~UINT64_C(0));
    memcpy(digest, h, digest_bytes);
}

#undef LOCKSTEP_ROUND
#undef LOCKSTEP_MIX
#undef LOCKSTEP_TURN
#endif
