/* telemetry: what the loop knows of itself, in a file that anybody with the right may map and read while it is written.
 *
 * The file is one struct lockstep_telemetry followed by `sources` times struct lockstep_source_telemetry. Each section has one
 * writer, named below; every word is stored relaxed and means something by itself, so a reader needs no lock and disturbs
 * nobody. The loop's own counters are private memory: they are copied here every LOCKSTEP_TELEMETRY_TURNS turns (at most once a millisecond: looking at a
 * ring's words takes them from its publisher), when the
 * loop goes to sleep and with each clock frame, never per message. Of the passes, those turns are measured; of the parks, one
 * in four. A change of meaning or place raises the version. No directives: cffi reads the same text. Needs loop.h after it. */

enum lockstep_telemetry_limit {
    LOCKSTEP_TELEMETRY_VERSION = 1,
    LOCKSTEP_TELEMETRY_TURNS = 512,
    LOCKSTEP_BUCKETS = 168,
    LOCKSTEP_SOURCE_NAME_BYTES = 128,
};

/* Four buckets for each power of two: bucket b < 4 holds the value b, above that (4 + b % 4) << (b / 4 - 1) and what follows
 * up to the next bucket. The last one holds the rest. */
struct lockstep_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t zero;
    uint64_t bucket[168];
};

struct lockstep_source_telemetry {
    /* control plane, once */
    uint8_t  name[128]; /* UTF-8, zero filled */
    uint16_t source;
    uint16_t role;
    uint32_t zero0;
    uint64_t ring_bytes;
    /* loop */
    uint64_t state;       /* SourceStateCode, 0: not attached in this run */
    uint64_t incarnation;
    uint64_t accepted;    /* frames of it in this run */
    uint64_t rejected;
    uint64_t duplicates;
    uint64_t last_reject_reason;
    uint64_t last_source_seq;
    uint64_t accepted_seq;
    uint64_t bytes;       /* taken from its rings */
    uint64_t fill;        /* bytes waiting in its ring */
    uint64_t high_water;  /* most that ever waited */
    uint64_t full_waits;  /* the publisher's word: how often it had to wait for room */
    uint64_t seen_seq;    /* the publisher's word: what it has read of the stream, 0: it does not say */
    uint64_t bans;        /* in this run */
    uint64_t ban_seq;     /* the one that holds, 0: none */
    uint64_t rests;       /* how often its rate limit held it back */
    uint64_t late;        /* messages that were older than its limit when they came */
    uint64_t zero1[5];
};

struct lockstep_telemetry {
    /* control plane, once, before the file has its name */
    uint64_t magic;
    uint32_t version;
    uint32_t sources;
    uint64_t bytes; /* of the file */
    uint64_t stream_id;
    uint32_t epoch;
    uint32_t pid;
    int64_t  started_ns; /* wall clock */
    uint64_t segment_bytes;
    uint32_t idle;
    int32_t  cpu; /* -1: not pinned */
    uint64_t zero0[8];
    /* loop */
    uint64_t turns;
    uint64_t frames; /* appended in this run, its own included */
    uint64_t stalls; /* waits for a prepared segment */
    uint64_t parks;
    uint64_t segment;
    uint64_t offset; /* in that segment */
    uint64_t attached;
    int64_t  published_ns; /* monotonic */
    struct lockstep_histogram pass_ns;     /* passes that took something */
    struct lockstep_histogram pass_frames; /* and what they appended */
    struct lockstep_histogram park_ns;
    /* sync thread */
    uint64_t syncs;
    int64_t  synced_ns; /* monotonic, end of the last one */
    uint64_t zero1[6];
    struct lockstep_histogram sync_ns;    /* one sync of the disk */
    struct lockstep_histogram durable_ns; /* the oldest frame of each sync: from when it could be seen until it was on disk */
    /* thread that prepares segments */
    uint64_t prepared;
    int64_t  prepare_error; /* of the last attempt, -errno */
    uint64_t zero2[6];
    struct lockstep_histogram prepare_ns;
};

/* lockstep_histogram_add: one value; one writer. */
void lockstep_histogram_add(struct lockstep_histogram *h, uint64_t value);

/* lockstep_histogram_bucket: where a value belongs. */
uint32_t lockstep_histogram_bucket(uint64_t value);

/* lockstep_telemetry_sources: the array behind the page. */
struct lockstep_source_telemetry *lockstep_telemetry_sources(struct lockstep_telemetry *page);
