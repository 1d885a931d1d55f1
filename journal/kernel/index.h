/* The index of one segment, made from a scan of it. Needs messages.h, segment.h and reader.h before it.
 * No directives, no globals, no allocation, no system calls: the caller owns all memory. Layout of the file and what the
 * sections mean: docs/journal-format.md, "Index". Its slow, obvious twin is tests/journal/index_model.py. */

enum lockstep_index_limits {
    LOCKSTEP_INDEX_BLOCK_SHIFT = 16,      /* a block is 64 KiB of the segment; a frame belongs to the block it starts in */
    LOCKSTEP_INDEX_GROUP = 64,            /* keys between two entries of a directory */
    LOCKSTEP_INDEX_LIST_BYTES_MAX = 20,   /* the longest a posting can become */
    LOCKSTEP_INDEX_RECENT = 8192,
    LOCKSTEP_NUMBERS_KEPT = 64,
    LOCKSTEP_PLACES_KEPT = 256,
    LOCKSTEP_PLACE_NUMBERS = 64,          /* a place is noted after so many numbers of its source, or so many bytes */
    LOCKSTEP_PLACE_BYTES = 65536,
    LOCKSTEP_INDEX_STEP = 256,            /* frames taken in at a time: so many new sources there may be */
};

/* Where the frames of each kind say their instrument (u32) and their order (u64), counted from the frame's start; 0: not. */
struct lockstep_index_fields {
    uint16_t instrument_at[65536];
    uint16_t order_at[65536];
};

/* The first frame that starts in this block or behind it. 24 bytes, unpacked by Python as "<QqII". */
struct lockstep_block {
    uint64_t seq;
    int64_t  ts;
    uint32_t offset;
    uint32_t zero;
};

/* This key occurs in this block. */
struct lockstep_posting {
    uint64_t key;
    uint32_t block;
    uint32_t zero;
};

struct lockstep_postings {
    struct lockstep_posting *rows;
    uint64_t count;
    uint64_t max;
    uint64_t left_out;                    /* how many found no room: then the rows say nothing */
    /* What was noted last, by hash: most repetitions end here, the others when the rows are sorted. */
    struct lockstep_posting recent[8192];
};

/* Which frame a source's number became. */
struct lockstep_number {
    uint64_t source_seq;                  /* 0: none */
    uint64_t seq;
};

/* Where a source's numbers from this one on are to be looked for. */
struct lockstep_place {
    uint64_t source_seq;
    uint32_t offset;
    uint32_t zero;
};

/* The latest of one source. */
struct lockstep_window {
    struct lockstep_number numbers[64];   /* the last one of each remainder of source_seq by 64 */
    struct lockstep_place places[256];    /* by places_count modulo 256 */
    uint64_t places_count;
    uint32_t source;
    uint32_t zero;
};

struct lockstep_indexer {
    struct lockstep_block *blocks;        /* room for one for each block of the segment */
    uint32_t blocks_count;
    uint32_t last_offset;                 /* of the last frame */
    uint64_t frames;
    int64_t  first_ts;
    uint64_t frames_by_kind[65536];
    uint64_t bytes_by_kind[65536];
    uint32_t block_of_kind[65536];        /* + 1; 0: none yet */
    struct lockstep_sources sources;
    struct lockstep_window *windows;      /* of sources that numbered a frame, in order of appearance */
    uint32_t windows_count;
    uint32_t windows_max;
    uint32_t window_of[65536];            /* by source, + 1; 0: none yet */
    struct lockstep_postings kinds;
    struct lockstep_postings instruments;
    struct lockstep_postings orders;
};

/* One entry of a directory: the first key of a group of lists, and where in the section's data the group starts. */
struct lockstep_index_group {
    uint64_t key;
    uint32_t at;
    uint32_t zero;
};

/* Take in the frames from r->offset on, checked as r says, to the tail, the end or the first bad one (r->state); LOCKSTEP_MORE:
 * there is no room for LOCKSTEP_INDEX_STEP more windows. Goes on where it stopped when called again. Returns how many frames
 * were new. */
uint64_t lockstep_index_scan(struct lockstep_indexer *x, struct lockstep_reader *r, const struct lockstep_index_fields *fields);

/* Sort by key, then block, and drop repetitions; `spare` has room for as many. Returns how many are left.
 * The blocks of each key must stand in ascending order already, as the scan leaves them. */
uint64_t lockstep_index_sort(struct lockstep_posting *rows, struct lockstep_posting *spare, uint64_t count);

/* Write sorted rows as lists. `data` has room for LOCKSTEP_INDEX_LIST_BYTES_MAX a row, `groups` for one a row.
 * Returns the bytes of data; *groups_count and *keys are how many there are. */
uint64_t lockstep_index_encode(const struct lockstep_posting *rows, uint64_t count, uint8_t *data,
                               struct lockstep_index_group *groups, uint64_t *groups_count, uint64_t *keys);

/* The runs of blocks with `key`: pairs (first, one behind the last) into `runs`, room for 2 * runs_max words. Returns how
 * many runs, 0 when the key does not occur, -1 when the data is no list (or has more runs, or blocks from `blocks` on). */
int64_t lockstep_index_find(const uint8_t *data, uint64_t bytes, const struct lockstep_index_group *groups,
                            uint64_t groups_count, uint64_t key, uint32_t blocks, uint32_t *runs, uint32_t runs_max);

/* All keys, ascending, into `keys` (room for `max`). Returns how many there are, -1 when the data is no list. */
int64_t lockstep_index_keys(const uint8_t *data, uint64_t bytes, const struct lockstep_index_group *groups,
                            uint64_t groups_count, uint64_t *keys, uint64_t max);

/* Keep of n refs those whose frame names one of the instruments and one of the orders (sorted; none given: any). */
uint32_t lockstep_index_select(const uint8_t *base, struct lockstep_ref *refs, uint32_t n,
                               const struct lockstep_index_fields *fields, const uint32_t *instruments,
                               uint32_t instruments_count, const uint64_t *orders, uint32_t orders_count);

/* Go on to the first frame with at least this seq and this ts. 1: the next poll begins with it; 0: there is none, r->state
 * says why. What is passed is checked as r says. */
int lockstep_reader_seek(struct lockstep_reader *r, uint64_t seq, int64_t ts);
