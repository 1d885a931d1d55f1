/* murmur3.h. Other kernels compile this file into their own extension. */
#include <stdint.h>
#include <string.h>

#include "murmur3.h"

static const uint64_t C1 = UINT64_C(0x87c37b91114253d5), C2 = UINT64_C(0x4cf5ad432745937f);

static inline uint64_t turned(uint64_t x, unsigned by) { return x << by | x >> (64 - by); }

static inline uint64_t first(uint64_t x) { return turned(x * C1, 31) * C2; }
static inline uint64_t second(uint64_t x) { return turned(x * C2, 33) * C1; }

static inline uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

void lockstep_murmur3(const void *data, uint64_t bytes, uint8_t *hash) {
    const uint8_t *at = data, *const end = at + bytes / 16 * 16;
    uint64_t h[2] = {0, 0}, k[2];
    for (; at < end; at += 16) {
        memcpy(k, at, 16);
        h[0] = (turned(h[0] ^ first(k[0]), 27) + h[1]) * 5 + 0x52dce729;
        h[1] = (turned(h[1] ^ second(k[1]), 31) + h[0]) * 5 + 0x38495ab5;
    }
    if (bytes % 16 != 0) {
        memset(k, 0, sizeof k);
        memcpy(k, at, bytes % 16);
        h[0] ^= first(k[0]);
        h[1] ^= second(k[1]);
    }
    h[0] ^= bytes, h[1] ^= bytes;
    h[0] += h[1], h[1] += h[0];
    h[0] = mixed(h[0]), h[1] = mixed(h[1]);
    h[0] += h[1], h[1] += h[0];
    memcpy(hash, h, sizeof h);
}
