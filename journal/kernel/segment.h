/* The journal's files as structs. Offsets and meanings: docs/journal-format.md. Needs messages.h before it.
 * No directives, so that cffi and the compiler read the same text. */

enum lockstep_format {
    LOCKSTEP_FORMAT = 1,
    LOCKSTEP_BLOCK_BYTES = 4096,          /* header block; the schema block is a multiple of it */
    LOCKSTEP_OPEN_AT = 512,               /* the open record has a disk sector of its own */
    LOCKSTEP_HEAD_BYTES = 64,
    LOCKSTEP_FRAME_BYTES_MAX = 1048576,
    LOCKSTEP_END_BYTES = 16,
    LOCKSTEP_RESERVE_BYTES = 1024,        /* before it: kept for the last words of a stream that cannot go on */
    LOCKSTEP_SEGMENT_BYTES_MIN = 1048576,
    LOCKSTEP_SEGMENTS_MAX = 99999999,     /* eight digits in a file name */
    LOCKSTEP_INDEX_FORMAT = 2,
    LOCKSTEP_INDEX_HEAD_BYTES = 512,      /* its last four: the crc of those before */
};

struct lockstep_segment_identity {
    uint8_t  magic[8];
    uint32_t format;
    uint32_t frames_at;
    uint64_t stream_id;
    uint64_t nonce;
    uint64_t segment_bytes;
    uint32_t number;
    uint32_t schema_bytes;
    uint32_t schema_crc;
    uint32_t zero[2];
    uint32_t identity_crc;
};

struct lockstep_open_record {
    uint64_t first_seq;
    uint64_t durable_seq;
    int64_t  prev_last_ts;
    uint32_t prev_last_crc;
    uint32_t epoch;
    uint32_t zero;
    uint32_t open_crc;
};

struct lockstep_end_marker {
    uint32_t length;
    uint32_t crc32c;
    uint64_t next_seq;
};

/* The beginning of an index file: which segment, and how it ends. Its sections, which Python reads, come behind. */
struct lockstep_index_head {
    uint8_t  magic[8];
    uint32_t format;
    uint32_t number;
    uint64_t stream_id;
    uint64_t nonce;
    uint64_t segment_bytes;
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t  first_ts;
    int64_t  last_ts;
    uint32_t last_crc;
    uint32_t last_epoch;
    uint32_t last_offset;
    uint32_t end_offset;
    uint32_t schema_crc;
    uint32_t zero;
};

/* Whose folder this is: a writer's own, a follower's (its writer is elsewhere), or one that a writer may go on with. */
enum lockstep_role { LOCKSTEP_ROLE_WRITER = 0, LOCKSTEP_ROLE_FOLLOWER = 1, LOCKSTEP_ROLE_PROMOTED = 2 };

/* One cache line, one writer: identity (creation), appending thread, syncing thread, control plane, replication. */
struct lockstep_control {
    uint8_t  magic[8];
    uint32_t format;
    uint32_t identity_crc;
    uint64_t stream_id;
    uint64_t segment_bytes;
    uint64_t zero0[4];
    uint64_t written_seq;
    int64_t  written_ts;
    uint32_t segment;
    uint32_t halted;         /* Reason why the stream ended by itself; 0: it goes on, or it was stopped */
    uint64_t published;      /* segment << 32 | offset: everything before it is whole frames */
    uint64_t zero2[4];
    uint64_t durable_seq;
    uint64_t syncs;
    uint64_t zero3[6];
    uint32_t epoch;
    uint32_t writer_pid;
    uint64_t zero4[7];
    uint64_t replicated_seq; /* stored by the replication server, or by the follower whose folder this is */
    uint32_t fenced_epoch;   /* the highest epoch that this folder has heard of; a lower one may not be written any more */
    uint32_t role;           /* enum lockstep_role */
    uint64_t zero5[6];
};
