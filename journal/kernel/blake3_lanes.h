/* One BLAKE3 compression over LANES inputs at once, included once for each width. Expects LANES and LANE_NAME(name).
 *
 * Word j of every lane stands in one vector, so that each step of the round is one instruction for all lanes. */

typedef uint32_t LANE_NAME(vec) __attribute__((vector_size(4 * LANES)));
typedef uint32_t LANE_NAME(loose) __attribute__((vector_size(4 * LANES), aligned(1), may_alias));

#define VEC LANE_NAME(vec)
#define ROT(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define MIX(a, b, c, d, x, y)                                                                                              \
    a += b + x, d = ROT(d ^ a, 16), c += d, b = ROT(b ^ c, 12), a += b + y, d = ROT(d ^ a, 8), c += d, b = ROT(b ^ c, 7)
#define ROUND(r)                                                                                                           \
    MIX(v0, v4, v8, v12, m[ORDER[r][0]], m[ORDER[r][1]]), MIX(v1, v5, v9, v13, m[ORDER[r][2]], m[ORDER[r][3]]),            \
        MIX(v2, v6, v10, v14, m[ORDER[r][4]], m[ORDER[r][5]]), MIX(v3, v7, v11, v15, m[ORDER[r][6]], m[ORDER[r][7]]),      \
        MIX(v0, v5, v10, v15, m[ORDER[r][8]], m[ORDER[r][9]]), MIX(v1, v6, v11, v12, m[ORDER[r][10]], m[ORDER[r][11]]),    \
        MIX(v2, v7, v8, v13, m[ORDER[r][12]], m[ORDER[r][13]]), MIX(v3, v4, v9, v14, m[ORDER[r][14]], m[ORDER[r][15]])

/* Rows of LANES words become columns: as many perfect shuffles as the width has bits. */
static inline void LANE_NAME(transpose)(VEC *rows)
{
    VEC low, high;
    for (int j = 0; j < LANES / 2; j++) {
        low[2 * j] = (uint32_t)j;
        low[2 * j + 1] = (uint32_t)(j + LANES);
        high[2 * j] = (uint32_t)(j + LANES / 2);
        high[2 * j + 1] = (uint32_t)(j + LANES + LANES / 2);
    }
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
        VEC next[LANES];
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = __builtin_shuffle(rows[i], rows[i + LANES / 2], low);
            next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + LANES / 2], high);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            rows[i] = next[i];
    }
}

/* Lane i reads `blocks` blocks of 64 bytes at rows + i * stride and gets the counter counter + i * step; its chaining value
 * goes to out + i * 32. `first` and `last` are the flags of the first and the last block. */
static void LANE_NAME(compress)(const uint8_t *rows, size_t stride, int blocks, uint64_t counter, uint32_t step, uint32_t flags,
                                uint32_t first, uint32_t last, uint8_t *out)
{
    VEC h[8], low, high;
    for (int i = 0; i < 8; i++)
        h[i] = (VEC){0} + IV[i];
    for (int i = 0; i < LANES; i++) {
        low[i] = (uint32_t)(counter + (uint64_t)i * step);
        high[i] = (uint32_t)((counter + (uint64_t)i * step) >> 32);
    }
    for (int block = 0; block < blocks; block++) {
        VEC m[16];
#pragma GCC unroll 4
        for (int group = 0; group < 16; group += LANES) {
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                m[group + i] = *(const LANE_NAME(loose) *)(const void *)(rows + (size_t)i * stride + block * 64 + group * 4);
            LANE_NAME(transpose)(m + group);
        }
        VEC v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
        VEC v8 = (VEC){0} + IV[0], v9 = (VEC){0} + IV[1], v10 = (VEC){0} + IV[2], v11 = (VEC){0} + IV[3];
        VEC v12 = low, v13 = high, v14 = (VEC){0} + 64u;
        VEC v15 = (VEC){0} + (flags | (block == 0 ? first : 0) | (block == blocks - 1 ? last : 0));
        ROUND(0), ROUND(1), ROUND(2), ROUND(3), ROUND(4), ROUND(5), ROUND(6);
        h[0] = v0 ^ v8, h[1] = v1 ^ v9, h[2] = v2 ^ v10, h[3] = v3 ^ v11;
        h[4] = v4 ^ v12, h[5] = v5 ^ v13, h[6] = v6 ^ v14, h[7] = v7 ^ v15;
    }
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < 8; j++)
            store32(out + i * 32 + j * 4, h[j][i]);
}

#undef VEC
#undef ROT
#undef MIX
#undef ROUND
#undef LANES
#undef LANE_NAME
