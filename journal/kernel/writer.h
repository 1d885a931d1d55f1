/* The single writer of a journal. Needs messages.h and segment.h before it.
 *
 * Three roles, each at most one thread at a time, any of them may be the same thread:
 *   appender   reserve, append, publish_watermark      never blocks, never allocates, no system call but an eventfd
 *   preparer   prepare                                         makes the next segment, ahead of need
 *   syncer     sync                                            puts on disk what is written, lets go of full segments
 * They share the slots (one acquire/release state word each) and the control page. No globals: the caller owns the struct.
 * Results below 0 are -errno: -EAGAIN no segment is ready yet, -EMSGSIZE length not allowed, -EOVERFLOW the stream's
 * numbers are used up, else what the disk said; after a failed sync every call fails for ever (a disk that lost a write
 * once is not believed again: the process ends and recovery reads what is there). */

enum lockstep_slot_limits {
    LOCKSTEP_SLOTS = 16,
    LOCKSTEP_FOLDER_BYTES = 3072,
    LOCKSTEP_FOLIO_BYTES = 65536, /* pieces in which a segment comes into memory: a sync writes whole ones */
    LOCKSTEP_HUGE_BYTES = 2097152,
};
enum lockstep_slot_state { LOCKSTEP_FREE = 0, LOCKSTEP_PREPARED = 1, LOCKSTEP_CURRENT = 2, LOCKSTEP_RETIRED = 3 };

/* A mapped segment; segment n lives in slot n mod LOCKSTEP_SLOTS. */
struct lockstep_slot {
    uint8_t  *base;
    uint64_t bytes;
    uint32_t state;        /* stored with release by whoever hands the slot on */
    uint32_t number;
    uint32_t seed;         /* crc(stream_id, nonce, number) */
    uint32_t frames_at;
    int32_t  fd;
    uint32_t zero;
    uint64_t touched;      /* bytes from the start whose pages are in the map for writing; the preparer's */
};

struct lockstep_writer {
    /* the appender's */
    uint8_t  *base;                 /* current segment; NULL before the first roll */
    uint64_t offset;                /* where the next frame starts */
    uint64_t limit;                 /* frames end here at the latest: the end marker's place is behind it */
    uint64_t last_seq;
    int64_t  last_ts;
    uint32_t last_crc;
    uint32_t seed;
    uint32_t epoch;                 /* set by the owner between appends */
    uint32_t segment;               /* current segment, 0: none. Stored with release, the other roles read it */
    struct lockstep_control *control;
    int32_t  roll_fd;               /* eventfd to be written at the watermark after a roll (wakes the preparer), -1: none */
    int32_t  failed;                /* errno of a failed sync or prepare, 0: all well. Stored by syncer and preparer */
    uint64_t published;             /* segment << 32 | offset at the last watermark; stored with release, the syncer reads it */
    uint64_t zero[6];
    /* the syncer's */
    uint32_t first_unsynced;        /* first segment that may hold stores not on disk */
    uint32_t zero2;
    uint64_t synced_to;             /* of that segment, everything before this offset is on disk */
    uint64_t seen_at;               /* `published` in the round before */
    uint64_t noted_at;              /* `published` in some round before, and the seq that it covers: durable once this is on disk */
    uint64_t noted_seq;
    uint64_t zero3[3];
    /* the preparer's, and what does not change */
    struct lockstep_slot slots[16];
    uint64_t stream_id;
    uint64_t nonce;                 /* nonces of new segments derive from it and the segment number */
    uint64_t segment_bytes;
    uint64_t folio_bytes;           /* of new segments, a power of two up to LOCKSTEP_HUGE_BYTES; 0: LOCKSTEP_FOLIO_BYTES */
    const uint8_t *schema;
    uint32_t schema_bytes;
    uint32_t write_through;         /* 1: zeros go to disk at preparation, later syncs overwrite (faster); 0: not */
    char folder[3072];
};

/* Make room for a frame of `length` bytes (multiple of 8, 64 … 1 MiB), rolling into the prepared segment when the current
 * one is full. 0 and *slot: all zero bytes, to be filled and sealed (append.h) or zeroed again (lockstep_writer_abandon). */
int lockstep_writer_reserve(struct lockstep_writer *w, uint32_t length, struct lockstep_frame **slot);

/* Append the last frames of a stream that cannot go on: into the bytes that each segment keeps for them, never rolling, also
 * after a failed sync (nobody is told that they are on disk). 0, or -ENOSPC when that room is used up too. */
int lockstep_writer_last_words(struct lockstep_writer *w, const struct lockstep_frame *head, const void *body,
                               uint32_t body_bytes);

/* Zero a reserved slot whose content was refused. */
void lockstep_writer_abandon(struct lockstep_writer *w, struct lockstep_frame *slot, uint32_t length);

/* reserve, fill and seal a frame whose head and body stand in private memory. `head` gives kind, version, flags,
 * source, ts, origin_ts, source_seq, cause, incarnation; body_bytes is a multiple of 8. Returns 0 or -errno. */
int lockstep_writer_append(struct lockstep_writer *w, const struct lockstep_frame *head, const void *body,
                           uint32_t body_bytes);

/* Tell readers and the syncer how far the stream goes: once a batch. */
void lockstep_writer_publish_watermark(struct lockstep_writer *w);

/* Both for one frame: for who appends from Python, where each call costs more than what it does. */
int lockstep_writer_put(struct lockstep_writer *w, uint16_t kind, uint16_t version, uint16_t flags, uint16_t source, int64_t ts,
                        int64_t origin_ts, uint64_t source_seq, uint64_t cause, uint32_t incarnation, const void *body,
                        uint32_t body_bytes);

/* 1 when the segment after the current one is not prepared yet and a slot is free, 2 when no slot is free (sync first),
 * 0 when it is ready. Any thread. */
int lockstep_writer_wants_segment(const struct lockstep_writer *w);

/* Make segment current + 1: create, allocate, write header and schema, sync, name it, sync the folder, touch every page.
 * Blocks (tens of milliseconds for 64 MiB). 0 when it is ready, also if it was before. */
int lockstep_writer_prepare(struct lockstep_writer *w);

/* 1 when the appender comes near the pages of a large segment that are not touched yet. Any thread. */
int lockstep_writer_wants_touch(const struct lockstep_writer *w);

/* Touch more of the current segment, ahead of the appender. The preparer's. */
void lockstep_writer_touch(struct lockstep_writer *w);

/* Put everything written so far on disk and publish durable_seq. Blocks for the disk. 0 and *durable_seq, or -errno. */
int lockstep_writer_sync(struct lockstep_writer *w, uint64_t *durable_seq);

/* The same for a stream that flows: only what the appender has left behind, so that no store of it ever faults. What is
 * written when a round begins is durable after the next one; once the stream pauses, after this one. */
int lockstep_writer_sync_behind(struct lockstep_writer *w, uint64_t *durable_seq);

/* Take over an existing segment file of this stream: state LOCKSTEP_PREPARED (never opened, to be reused) or
 * LOCKSTEP_CURRENT (append at `offset`; last_seq, last_ts, last_crc are set by the caller). Only before the first append. */
int lockstep_writer_adopt(struct lockstep_writer *w, uint32_t number, uint32_t state, uint64_t offset);

/* Unmap and close all segments. Syncs nothing. */
void lockstep_writer_release(struct lockstep_writer *w);

/* Recovery's two tools, through the same seam as all stores: overwrite a range of a segment file with zeros and sync it;
 * and find the last byte that is not zero in [from, to): its offset + 1, or `from` if there is none. */
int lockstep_zero_range(const char *path, uint64_t from, uint64_t to);
uint64_t lockstep_last_nonzero(const uint8_t *base, uint64_t from, uint64_t to);

/* The last seq a stream may have, 2^63 - 2^40: nothing that counts frames or adds to a seq comes near an overflow. */
uint64_t lockstep_seq_max(void);

/* crc(a ‖ data) where `crc` is crc(a); 0 for an empty a. */
uint32_t lockstep_crc(uint32_t crc, const void *data, uint64_t bytes);
