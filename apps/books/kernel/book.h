/* Market-by-price book of one instrument. The readable twin is apps/books/model.py.
 *
 * A side is an array sorted worst first, best LAST: most changes are near the touch, so they move few levels. All memory is the
 * caller's; nothing here allocates, keeps globals or does I/O. A call either applies its whole input or returns a negative
 * result and has changed nothing. Rows are read in place from a frame: `stride` bytes apart, price and quantity first, at any
 * alignment. A price of INT64_MIN is "not given" and refused. */

struct book_level {
    int64_t px;
    int64_t qty; /* > 0 in a book */
};

struct book_side {
    struct book_level *levels; /* strictly sorted, best last */
    uint32_t count;
    uint32_t capacity;
};

struct book {
    struct book_side bids;
    struct book_side asks;
    int64_t bid_px; /* the touch, kept equal to the last levels; INT64_MIN while a side is empty */
    int64_t bid_qty;
    int64_t ask_px;
    int64_t ask_qty;
};

enum book_result {
    BOOK_TOUCHED = 1, /* bit: best price or quantity changed */
    BOOK_CROSSED = 2, /* bit: best bid above best ask */
    BOOK_LOCKED = 4,  /* bit: best bid equal to best ask */
    BOOK_FULL = -1,      /* a side might not hold its rows: give it room for count + rows levels and call again */
    BOOK_BAD_LEVEL = -2, /* quantity negative (or, in a snapshot, zero), or price not given */
    BOOK_UNSORTED = -3   /* snapshot rows are not strictly best first */
};

/* book_update: apply changed levels; quantity 0 deletes, deleting an unknown level does nothing. Rows count in their order. */
int32_t book_update(struct book *book, const void *bids, uint32_t bid_rows, uint32_t bid_stride, const void *asks,
                    uint32_t ask_rows, uint32_t ask_stride);

/* book_replace: forget everything and take the rows of a snapshot, best first on both sides. */
int32_t book_replace(struct book *book, const void *bids, uint32_t bid_rows, uint32_t bid_stride, const void *asks,
                     uint32_t ask_rows, uint32_t ask_stride);

/* book_refresh: compute the touch from the sides, after the caller has filled them; returns the crossing bits. */
int32_t book_refresh(struct book *book);

/* book_depth: copy the best n levels, best first, to out; returns how many there were. */
uint32_t book_depth(const struct book_side *side, uint32_t n, struct book_level *out);

/* book_check: 1 when both sides are strictly sorted, quantities positive and the touch right. O(n): tests, debugger. */
int32_t book_check(const struct book *book);
