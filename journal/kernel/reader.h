/* Reading a mapped segment. Needs messages.h and segment.h before it. No globals, no allocation, no system calls. */

/* Where a frame stands; 24 bytes, unpacked by Python as "<IHHQq". */
struct lockstep_ref {
    uint32_t offset;
    uint16_t kind;
    uint16_t source;
    uint64_t seq;
    int64_t  ts;
};

enum { LOCKSTEP_READ_AHEAD_BYTES = 4096 }; /* how far ahead of the checks lines are asked for, where that is known to be written */

enum lockstep_read_state {
    LOCKSTEP_MORE = 0,        /* stopped because a limit was reached */
    LOCKSTEP_TAIL = 1,        /* nothing further is written yet */
    LOCKSTEP_END = 2,         /* end marker: the stream goes on in the next segment */
    LOCKSTEP_BAD_LENGTH = 3,
    LOCKSTEP_BAD_CRC = 4,
    LOCKSTEP_BAD_SEQ = 5,
    LOCKSTEP_BAD_TS = 6,
    LOCKSTEP_BAD_EPOCH = 7,
    LOCKSTEP_BAD_END = 8,
    LOCKSTEP_BAD_VERSION = 9, /* a sound frame of a version that `versions` does not expect */
};

struct lockstep_reader {
    const uint8_t *base;      /* the mapped segment */
    uint64_t bytes;
    uint64_t offset;          /* of the next frame */
    uint64_t next_seq;        /* expected there; filtered frames count */
    int64_t  last_ts;
    uint32_t last_crc;
    uint32_t epoch;
    uint32_t seed;            /* crc(stream_id, nonce, number) */
    uint32_t verify;          /* 0: trust crc, ts, epoch */
    uint32_t filtered;        /* 1: deliver only kinds whose bit is set below */
    uint32_t state;           /* enum lockstep_read_state, set by poll */
    uint64_t expected;        /* what a BAD_… state expected and found */
    uint64_t found;
    uint64_t ahead_to;        /* frames before this offset have LOCKSTEP_READ_AHEAD_BYTES of frames behind them that nobody writes any more:
                               * lines there are asked for ahead. Where a writer is at work that would take them from it */
    uint64_t kinds[1024];
    const uint32_t *versions; /* by kind: the version that a delivered frame must have, 0: any; NULL: any of any kind */
};

/* What of a reader moves from frame to frame. */
struct lockstep_stand {
    uint64_t offset, next_seq;
    int64_t  last_ts;
    uint32_t last_crc, epoch;
};

/* What a scan of the whole stream keeps of each source. */
struct lockstep_sources {
    uint64_t last_source_seq[65536];
    uint32_t last_incarnation[65536];
};

/* Take a frame's numbers into its source's; a Reject's into those of the source it refuses, a SourceState's start number into
 * those of the source it tells of. */
void lockstep_note_source(struct lockstep_sources *s, const struct lockstep_frame *f);

/* Check frames from r->offset on and deliver those wanted: at most `refs_max` of them, at most `scan_max` looked at, none
 * with seq > `to_seq`. Returns how many stand in `refs`; r->state says why it stopped, r->next_seq how far it came. */
uint32_t lockstep_reader_poll(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t refs_max, uint64_t scan_max,
                              uint64_t to_seq);

/* Which frames somebody must see, of a stream whose every frame is checked. */
struct lockstep_interest {
    const uint16_t *kinds;   /* by number: not 0 where it must be seen */
    const uint16_t *sources;
    int64_t  ts;             /* whatever comes from this time on must */
    uint64_t seq;            /* this one must */
};

/* Such a frame, and the time of the one before it, which nobody need have seen. */
struct lockstep_found {
    struct lockstep_ref ref;
    int64_t ts_before;
};

/* As poll, but passing over what nobody must see: at most `scan_max` frames are looked at, at most `max` found. */
uint32_t lockstep_reader_find(struct lockstep_reader *r, const struct lockstep_interest *i, struct lockstep_found *found, uint32_t max,
                              uint64_t scan_max, uint64_t to_seq);

/* Where a reader stands; let it stand there, in the same segment. */
struct lockstep_stand lockstep_reader_stand(const struct lockstep_reader *r);
void lockstep_reader_stand_at(struct lockstep_reader *r, const struct lockstep_stand *p);

/* Go back, or forward, to behind a sound frame of the same segment. */
void lockstep_reader_stand_behind(struct lockstep_reader *r, uint64_t offset);

/* As poll to the end of the segment, delivering nothing but each source's last numbers (as lockstep_note_source takes them)
 * and the per-kind frame and byte counts; `sources`, `frames_by_kind`, `bytes_by_kind` may be NULL.
 * Returns the number of frames. */
uint64_t lockstep_reader_survey(struct lockstep_reader *r, uint64_t scan_max, struct lockstep_sources *sources,
                                uint64_t *frames_by_kind, uint64_t *bytes_by_kind);

/* Copy heads and the first `body_bytes` of the bodies of n frames into rows of 64 + body_bytes; where a body is shorter
 * the row keeps what stood there (the fields' defaults). */
void lockstep_gather(const uint8_t *base, const struct lockstep_ref *refs, uint32_t n, uint32_t body_bytes, uint8_t *rows);
