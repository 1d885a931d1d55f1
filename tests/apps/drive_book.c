/* Drives the book kernel with random rows under the sanitizers; the invariants are checked after every call. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/books/kernel/book.h"

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t n) { /* xorshift64: seeded, so that a failure repeats */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static uint32_t rows(uint8_t *out, uint32_t stride) {
    uint32_t n = (uint32_t)draw(9);
    for (uint32_t i = 0; i < n; i++) {
        struct book_level row = {(int64_t)draw(64) - 20, (int64_t)draw(4)};
        if (draw(500) == 0)
            row.px = draw(2) ? INT64_MIN : INT64_MAX;
        if (draw(500) == 0)
            row.qty = draw(2) ? INT64_MIN : INT64_MAX;
        memcpy(out + (size_t)i * stride, &row, sizeof row);
    }
    return n;
}

static void sort_best_first(uint8_t *at, uint32_t n, uint32_t stride, int descending) {
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k > 0; k--) {
            struct book_level a, b;
            memcpy(&a, at + (size_t)(k - 1) * stride, sizeof a);
            memcpy(&b, at + (size_t)k * stride, sizeof b);
            if (descending ? a.px >= b.px : a.px <= b.px)
                break;
            memcpy(at + (size_t)(k - 1) * stride, &b, sizeof b);
            memcpy(at + (size_t)k * stride, &a, sizeof a);
        }
}

int main(int argc, char **argv) {
    long steps = argc > 1 ? atol(argv[1]) : 1000;
    uint32_t capacity = 24;
    struct book book = {0};
    book.bids.levels = malloc(capacity * sizeof(struct book_level));
    book.asks.levels = malloc(capacity * sizeof(struct book_level));
    book.bids.capacity = book.asks.capacity = capacity;
    book_refresh(&book);
    for (long step = 0; step < steps; step++) {
        uint32_t stride = draw(2) ? 16 : 24;
        uint8_t memory[2][9 * 24 + 1]; /* rows at odd addresses: a frame promises alignment, the kernel does not need it */
        uint8_t *bids = memory[0] + draw(2), *asks = memory[1] + draw(2);
        uint32_t bid_rows = rows(bids, stride), ask_rows = rows(asks, stride);
        int32_t result;
        if (draw(8) == 0) {
            if (draw(2)) {
                sort_best_first(bids, bid_rows, stride, 1);
                sort_best_first(asks, ask_rows, stride, 0);
            }
            result = book_replace(&book, bids, bid_rows, stride, asks, ask_rows, stride);
        } else {
            result = book_update(&book, bids, bid_rows, stride, asks, ask_rows, stride);
        }
        if (result == BOOK_FULL) { /* make room by forgetting: a snapshot of nothing */
            result = book_replace(&book, NULL, 0, 16, NULL, 0, 16);
        }
        if (result < BOOK_UNSORTED || result > 7 || !book_check(&book)) {
            printf("step %ld: result %d, check %d\n", step, result, book_check(&book));
            return 1;
        }
        struct book_level out[30];
        if (book_depth(&book.bids, 30, out) != book.bids.count || book_depth(&book.asks, 2, out) > 2) {
            printf("step %ld: depth\n", step);
            return 1;
        }
    }
    free(book.bids.levels);
    free(book.asks.levels);
    return 0;
}
