#include <stdint.h>
#include <string.h>

#include "book.h"

_Static_assert(sizeof(struct book_level) == 16, "levels are hashed and stored as they stand: no padding");

enum { BID = 1, ASK = -1 };

/* Sides are ascending in `rank`: higher is better for bids, lower for asks. No overflow: INT64_MIN is refused at the door. */
static int64_t rank(int64_t px, int sign) { return sign * px; }

static struct book_level row_at(const void *rows, uint32_t index, uint32_t stride) {
    struct book_level row;
    memcpy(&row, (const uint8_t *)rows + (size_t)index * stride, sizeof row);
    return row;
}

/* Index of the first level that is not worse than px. */
static uint32_t find(const struct book_side *side, int64_t px, int sign) {
    uint32_t low = 0, high = side->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rank(side->levels[middle].px, sign) < rank(px, sign))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void set_level(struct book_side *side, struct book_level row, int sign) {
    uint32_t at = find(side, row.px, sign);
    struct book_level *level = side->levels + at;
    size_t behind = (size_t)(side->count - at) * sizeof *level;
    if (at < side->count && level->px == row.px) {
        if (row.qty != 0) {
            level->qty = row.qty;
            return;
        }
        memmove(level, level + 1, behind - sizeof *level);
        side->count--;
    } else if (row.qty != 0) {
        memmove(level + 1, level, behind);
        *level = row;
        side->count++;
    }
}

static int32_t check_update(const struct book_side *side, const void *rows, uint32_t n, uint32_t stride) {
    for (uint32_t i = 0; i < n; i++) {
        struct book_level row = row_at(rows, i, stride);
        if (row.qty < 0 || row.px == INT64_MIN)
            return BOOK_BAD_LEVEL;
    }
    return n > side->capacity - side->count ? BOOK_FULL : 0;
}

static int32_t check_snapshot(const struct book_side *side, const void *rows, uint32_t n, uint32_t stride, int sign) {
    for (uint32_t i = 0; i < n; i++) {
        struct book_level row = row_at(rows, i, stride);
        if (row.qty <= 0 || row.px == INT64_MIN)
            return BOOK_BAD_LEVEL;
        if (i > 0 && rank(row.px, sign) >= rank(row_at(rows, i - 1, stride).px, sign))
            return BOOK_UNSORTED;
    }
    return n > side->capacity ? BOOK_FULL : 0;
}

static void fill(struct book_side *side, const void *rows, uint32_t n, uint32_t stride) {
    for (uint32_t i = 0; i < n; i++)
        side->levels[n - 1 - i] = row_at(rows, i, stride);
    side->count = n;
}

static void best_of(const struct book_side *side, int64_t *px, int64_t *qty) {
    *px = side->count ? side->levels[side->count - 1].px : INT64_MIN;
    *qty = side->count ? side->levels[side->count - 1].qty : INT64_MIN;
}

int32_t book_refresh(struct book *book) {
    best_of(&book->bids, &book->bid_px, &book->bid_qty);
    best_of(&book->asks, &book->ask_px, &book->ask_qty);
    if (!book->bids.count || !book->asks.count || book->bid_px < book->ask_px)
        return 0;
    return book->bid_px > book->ask_px ? BOOK_CROSSED : BOOK_LOCKED;
}

static int32_t finish(struct book *book) {
    int64_t bid_px = book->bid_px, bid_qty = book->bid_qty, ask_px = book->ask_px, ask_qty = book->ask_qty;
    int32_t result = book_refresh(book);
    if (bid_px != book->bid_px || bid_qty != book->bid_qty || ask_px != book->ask_px || ask_qty != book->ask_qty)
        result |= BOOK_TOUCHED;
    return result;
}

int32_t book_update(struct book *book, const void *bids, uint32_t bid_rows, uint32_t bid_stride, const void *asks,
                    uint32_t ask_rows, uint32_t ask_stride) {
    int32_t bad = check_update(&book->bids, bids, bid_rows, bid_stride);
    if (!bad)
        bad = check_update(&book->asks, asks, ask_rows, ask_stride);
    if (bad)
        return bad;
    for (uint32_t i = 0; i < bid_rows; i++)
        set_level(&book->bids, row_at(bids, i, bid_stride), BID);
    for (uint32_t i = 0; i < ask_rows; i++)
        set_level(&book->asks, row_at(asks, i, ask_stride), ASK);
    return finish(book);
}

int32_t book_replace(struct book *book, const void *bids, uint32_t bid_rows, uint32_t bid_stride, const void *asks,
                     uint32_t ask_rows, uint32_t ask_stride) {
    int32_t bad = check_snapshot(&book->bids, bids, bid_rows, bid_stride, BID);
    if (!bad)
        bad = check_snapshot(&book->asks, asks, ask_rows, ask_stride, ASK);
    if (bad)
        return bad;
    fill(&book->bids, bids, bid_rows, bid_stride);
    fill(&book->asks, asks, ask_rows, ask_stride);
    return finish(book);
}

uint32_t book_depth(const struct book_side *side, uint32_t n, struct book_level *out) {
    if (n > side->count)
        n = side->count;
    for (uint32_t i = 0; i < n; i++)
        out[i] = side->levels[side->count - 1 - i];
    return n;
}

static int sorted(const struct book_side *side, int sign) {
    for (uint32_t i = 0; i < side->count; i++) {
        if (side->levels[i].qty <= 0 || side->levels[i].px == INT64_MIN)
            return 0;
        if (i > 0 && rank(side->levels[i - 1].px, sign) >= rank(side->levels[i].px, sign))
            return 0;
    }
    return side->count <= side->capacity;
}

int32_t book_check(const struct book *book) {
    int64_t px, qty;
    best_of(&book->bids, &px, &qty);
    if (px != book->bid_px || qty != book->bid_qty)
        return 0;
    best_of(&book->asks, &px, &qty);
    if (px != book->ask_px || qty != book->ask_qty)
        return 0;
    return sorted(&book->bids, BID) && sorted(&book->asks, ASK);
}
