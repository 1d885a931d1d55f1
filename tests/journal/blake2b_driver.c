/* Hashes of 0, 1, 2, … bytes: how many, portable, as this processor does it. */
#include <stdio.h>
#include <stdlib.h>

#include "journal/kernel/blake2b.h"

enum { BYTES_MAX = 1200, HASH = 32 };

static void say(const uint8_t *hash) {
    printf(" ");
    for (int i = 0; i < HASH; i++) printf("%02x", hash[i]);
}

int main(void) {
    for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
        uint8_t portable[HASH], own[HASH], *text = malloc(bytes); /* as long as it is, so that a byte too many is seen */
        for (size_t i = 0; i < bytes; i++) text[i] = (uint8_t)(7 * i + bytes);
        lockstep_blake2b_by(lockstep_blake2b_portable, text, bytes, portable, HASH);
        lockstep_blake2b(text, bytes, own, HASH);
        free(text);
        printf("%zu", bytes);
        say(portable), say(own);
        printf("\n");
    }
    return 0;
}
