/* Long journals for benches, in seconds. Needs messages.h, segment.h and writer.h before it. */

enum lockstep_bench_fill_shape {
    LOCKSTEP_BENCH_BODY_BYTES = 64,
    LOCKSTEP_BENCH_INSTRUMENTS = 100,     /* the n-th of them is quoted 1 / n as often as the first */
    LOCKSTEP_BENCH_FRAMES_AN_ORDER = 10,  /* one frame in eight is of an order; so many in a row are of the same */
    LOCKSTEP_BENCH_TS_STEP = 1000,
};

/* Append up to `count` frames of 128 bytes, seq n at time n * LOCKSTEP_BENCH_TS_STEP: quotes, and orders between them.
 * Returns how many; fewer when the next segment is not ready or on an error, *code says which (-errno, 0: none). */
uint64_t lockstep_bench_fill(struct lockstep_writer *w, uint64_t count, int *code);
