/* BLAKE2b-256 (RFC 7693), unkeyed: names the content of a refused message that itself never enters the journal. */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>

#include "sequencer/kernel/loop_private.h"

static const uint64_t IV[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};
static const uint8_t SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t ror(uint64_t x, int n) { return (x >> n) | (x << (64 - n)); }

static void g(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x, v[d] = ror(v[d] ^ v[a], 32);
    v[c] += v[d], v[b] = ror(v[b] ^ v[c], 24);
    v[a] += v[b] + y, v[d] = ror(v[d] ^ v[a], 16);
    v[c] += v[d], v[b] = ror(v[b] ^ v[c], 63);
}

static void block(uint64_t h[8], const uint8_t data[128], uint64_t count, uint64_t last) {
    uint64_t v[16], m[16];
    memcpy(v, h, 64);
    memcpy(v + 8, IV, 64);
    memcpy(m, data, 128);
    v[12] ^= count;
    v[14] ^= last;
    for (int r = 0; r < 12; r++) {
        const uint8_t *s = SIGMA[r % 10];
        for (int i = 0; i < 4; i++) g(v, i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            g(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}

void blake2b_256(const uint8_t *data, uint64_t bytes, uint8_t digest[32]) {
    uint64_t h[8], done = 0;
    uint8_t last[128] = {0};
    memcpy(h, IV, 64);
    h[0] ^= 0x01010020; /* digest length 32, no key, fanout and depth 1 */
    for (; bytes - done > 128; done += 128) block(h, data + done, done + 128, 0);
    if (bytes > done) memcpy(last, data + done, bytes - done);
    block(h, last, bytes, ~0ULL);
    memcpy(digest, h, 32);
}
