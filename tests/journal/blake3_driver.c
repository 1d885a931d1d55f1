/* The digest kernel under sanitizers: blake3_driver SIZE... prints "lanes size digest" for each size at each width of this machine. The
 * input repeats 0, 1, … 250, is exactly that long, and begins at an odd address; one block is also hashed from the middle. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/kernel/blake3.h"

static void digest_of(uint32_t lanes, uint64_t size)
{
    uint8_t *room = malloc(size + 1), *data = room + 1, digest[LOCKSTEP_B3_DIGEST];
    for (uint64_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i % 251);
    uint64_t blocks = size / LOCKSTEP_B3_BLOCK;
    uint8_t *values = malloc(blocks * 32 + 1);
    lockstep_b3_blocks(data, 0, blocks, values);
    if (blocks > 1) {
        uint8_t again[32];
        lockstep_b3_blocks(data, blocks - 1, 1, again);
        if (memcmp(again, values + (blocks - 1) * 32, 32) != 0)
            exit(1);
    }
    lockstep_b3_root(data, size, values, digest);
    printf("%u %llu ", lanes, (unsigned long long)size);
    for (int i = 0; i < LOCKSTEP_B3_DIGEST; i++)
        printf("%02x", digest[i]);
    putchar('\n');
    free(values);
    free(room);
}

int main(int argc, char **argv)
{
    for (uint32_t limit = 16; limit >= 4; limit /= 2) {
        uint32_t lanes = lockstep_b3_lanes(limit);
        for (int i = 1; i < argc; i++)
            digest_of(lanes, strtoull(argv[i], NULL, 10));
    }
    return 0;
}
