/* Recovery's decision: where the stream ends, and what becomes of everything behind that. Needs messages.h, segment.h and
 * reader.h before it. A pure function over mapped segments and the words of the control page: no system calls, no
 * allocation, nothing is changed. journal/recovery.py carries the decision out; the power-loss campaign takes it, the same
 * object code, some ten thousand times a second. Rules and reasons: docs/journal-format.md, "Recovery".
 *
 * Use: fill what is given (all else zero), lockstep_recovery_look for every segment in order, lockstep_recovery_decide.
 * Who has indices: first lockstep_recovery_hear for every segment; then lockstep_recovery_pass where there is one, and
 * lockstep_recovery_look only where that says no. */

enum lockstep_recovery_verdict {
    LOCKSTEP_VERDICT_NONE = 0,     /* not decided yet */
    LOCKSTEP_VERDICT_CLEAN = 1,    /* nothing behind the last frame but zeros */
    LOCKSTEP_VERDICT_TORN = 2,     /* something there, none of it known to have been on disk: put aside, then cut */
    LOCKSTEP_VERDICT_DAMAGE = 3,   /* the stream ends before what was on disk: refuse */
    LOCKSTEP_VERDICT_UNPROVEN = 4, /* torn, and no control page to tell that from damage: refuse */
    LOCKSTEP_VERDICT_MISSING = 5,  /* the control page names a later segment than there is: refuse */
    LOCKSTEP_VERDICT_INVALID = 6,  /* a segment with a header or schema that is not this stream's: refuse */
    LOCKSTEP_VERDICT_FULL = 7,     /* the stream's numbers are used up: refuse */
};

enum lockstep_recovery_action {
    LOCKSTEP_ACTION_STAYS = 0,     /* holds a part of the stream, at least its open record */
    LOCKSTEP_ACTION_REUSE = 1,     /* prepared, never opened, fits: the next segment */
    LOCKSTEP_ACTION_REMOVE = 2,    /* prepared, never opened, does not fit */
    LOCKSTEP_ACTION_PUT_ASIDE = 3, /* holds bytes that are no part of the stream: copy [0, used), then remove */
    LOCKSTEP_ACTION_INVALID = 4,
};

struct lockstep_recovery {
    /* given */
    uint64_t stream_id;
    uint64_t control_durable_seq;
    uint64_t segment_bytes;        /* of segments made from now on; 0: whatever they have. What a reusable one must have */
    const uint8_t *schema;         /* this build's; what a reusable segment must have */
    uint32_t schema_bytes;
    uint32_t has_control;          /* 0: no control page; the control_… words are 0 then */
    uint32_t control_segment;
    uint32_t control_epoch;
    uint32_t elsewhere;            /* 1: a replica. Its open records tell of the writer's disk, not of this one */
    uint32_t zero;
    /* found */
    uint64_t last_seq;
    int64_t  last_ts;
    uint32_t last_crc;
    uint32_t epoch;
    uint32_t segment;              /* the last one that is part of the stream; 0: none */
    uint32_t segments;             /* looked at */
    uint64_t offset;               /* there, where the next frame goes */
    uint64_t cut_to;               /* there, behind the last byte that is not zero: [offset, cut_to) is to be cut */
    uint64_t durable_seq;          /* known to have been on disk */
    uint32_t prepared;             /* number of the segment to be reused; 0: none */
    uint32_t ended;                /* 1: the stream ended in an earlier segment than the next one looked at */
    uint32_t torn;                 /* 1: a later segment has to be put aside */
    uint32_t verdict;
    struct lockstep_reader reader; /* stands where the stream ends, and says why */
};

/* What is read of a full segment in the place of its frames. All 8-byte aligned. */
struct lockstep_claim {
    const uint8_t *header;         /* its header block */
    const uint8_t *next;           /* that of the segment behind it */
    const uint8_t *index;          /* the head of its index file */
    const uint8_t *end;            /* its bytes from the index's last_offset to behind the end marker */
    uint64_t bytes;                /* of the segment file */
    uint64_t end_bytes;
};

/* A segment's header block, valid, before the first segment is looked at or passed: how far the writer was on disk when it
 * opened this one. */
void lockstep_recovery_hear(struct lockstep_recovery *r, const uint8_t *header);

/* Go on behind the next segment unread: 1. It is full, all of it was on disk, and header, index, last frame, end marker and
 * the next segment's open record agree. 0: nothing has changed, look at it. */
int lockstep_recovery_pass(struct lockstep_recovery *r, const struct lockstep_claim *claim);

/* The next segment, mapped whole. `sources`, where not NULL, learns what its frames say of them. Returns an action;
 * *used: of PUT_ASIDE, how many bytes to keep a copy of, else 0. */
enum lockstep_recovery_action lockstep_recovery_look(struct lockstep_recovery *r, const uint8_t *base, uint64_t bytes,
                                                     struct lockstep_sources *sources, uint64_t *used);

/* After the last segment: the verdict, also in r->verdict. */
enum lockstep_recovery_verdict lockstep_recovery_decide(struct lockstep_recovery *r);
