/* ring: a single-producer, single-consumer byte ring in shared memory, one for each publisher.
 *
 * A memfd of 4096 + ring_bytes: the page below, then the data, which both sides map twice in a row so that a record that
 * wraps is contiguous in memory. Records are frames (64-byte header, body), lengths multiples of 8. Positions count bytes
 * since the ring was made and never wrap (2^64 bytes); position & (ring_bytes - 1) is the offset in the data.
 *
 * Every word below has one writer. Words of different writers lie 128 bytes apart: x86 prefetches cache lines in pairs.
 * The sequencer keeps its own copies of what it wrote and checks everything that it reads here: a publisher can spoil its
 * ring, not the sequencer. No directives in this file: cffi reads the same text. */

struct lockstep_ring_page {
    /* written once by the sequencer, before the ring is handed over */
    uint64_t magic;
    uint64_t ring_bytes;
    uint32_t incarnation;
    uint16_t source;
    uint16_t version;
    uint8_t  zero0[104];
    /* sequencer: bytes taken out; behind it the publisher may write again */
    uint64_t head;
    uint8_t  zero1[120];
    /* publisher: bytes committed; a batch is one store */
    uint64_t tail;
    uint8_t  zero2[120];
    /* publisher: ticket of its sleep, 0 = awake: wake me when frames were appended or made durable */
    uint64_t armed;
    uint64_t wanted; /* and only when `head` is here: a publisher that sleeps for room; 0: at any news */
    uint8_t  zero3[112];
    /* sequencer: ticket of its sleep, 0 = awake: wake me when you have committed */
    uint64_t parked;
    uint64_t state; /* SourceStateCode; here because every publish looks at it, and this line changes seldom */
    uint8_t  zero4[112];
    /* sequencer: status, stored once a batch, each word by itself */
    uint64_t accepted_source_seq;
    uint64_t accepted_seq;
    uint64_t rejected;
    uint64_t duplicates;
    uint64_t last_reject_reason;
    uint8_t  zero5[88];
    /* publisher: for whoever watches; the sequencer shows it and decides nothing by it */
    uint64_t full_waits; /* how often it had to wait for room, in this ring */
    uint64_t seen_seq;   /* what it has read of the stream; 0: it does not say */
    uint8_t  zero6[112];
};

/* A mapping of one ring, private to a process. */
struct lockstep_ring {
    struct lockstep_ring_page *page;
    uint8_t *data;
    uint64_t ring_bytes;
};

/* The publisher's side. All of it private but `ring`. */
struct lockstep_producer {
    struct lockstep_ring ring;
    uint64_t tail;      /* next byte to write; from `committed` to here lies an open batch */
    uint64_t committed; /* what the sequencer may see */
    uint64_t head_seen; /* the sequencer's head when last read: re-read only when the ring looks full */
    uint64_t woken;     /* the sequencer's sleep that was already interrupted */
    uint64_t wakes;     /* eventfd writes so far */
    uint64_t next_ticket;
    uint64_t replayed;  /* cursor of lockstep_producer_replay */
    int32_t  wake_fd;   /* the sequencer's eventfd */
    int32_t  client_fd; /* ours, written by the sequencer when we are armed */
    uint32_t frame_bytes_max;
    uint32_t in_batch; /* send and send_rows leave the commit to the caller */
    uint64_t next_source_seq; /* what send gives out next */
};

/* What put returns; and send, which subtracts the state of a publisher that is no longer read from PUT_REFUSED. */
enum lockstep_put { LOCKSTEP_PUT_OK = 0, LOCKSTEP_PUT_FULL = -1, LOCKSTEP_PUT_OVERSIZED = -2, LOCKSTEP_PUT_REFUSED = -16 };

/* lockstep_ring_create: a sealed memfd for a ring (ring_bytes a power of two, at least one memory page). Its size can no
 * longer be changed, so a publisher cannot make the sequencer fault by cutting it. Returns the fd or -errno. */
int32_t lockstep_ring_create(uint64_t ring_bytes, uint16_t source, uint32_t incarnation);

/* lockstep_ring_map: map page and data (twice in a row). Returns 0 or -errno; -22 (EINVAL) when the fd is no ring. */
int32_t lockstep_ring_map(int32_t fd, struct lockstep_ring *ring);
void lockstep_ring_unmap(struct lockstep_ring *ring);

/* lockstep_producer_init: take over the publisher's side of a mapped, empty ring. */
void lockstep_producer_init(struct lockstep_producer *p, int32_t wake_fd, int32_t client_fd);

/* lockstep_producer_put: copy one message into the ring, uncommitted. body is padded with zeros to 8. */
int32_t lockstep_producer_put(struct lockstep_producer *p, uint16_t kind, uint16_t version, uint16_t flags, int64_t origin_ts,
                              uint64_t source_seq, uint64_t cause, const uint8_t *body, uint64_t body_bytes);

/* lockstep_producer_commit: one release store makes everything put so far visible; wakes a sleeping sequencer.
 * Returns 1 if it had to be woken. */
int32_t lockstep_producer_commit(struct lockstep_producer *p);

/* lockstep_producer_send: number one message, put it, and commit unless in_batch; what a foreign language calls, so it takes as
 * few arguments as can be: `what` is kind | version << 16 | flags << 32. Returns the source_seq; FULL or OVERSIZED when nothing
 * was put; PUT_REFUSED - state when it was put into a ring that is no longer read. */
int64_t lockstep_producer_send(struct lockstep_producer *p, uint64_t what, const uint8_t *body, uint64_t body_bytes,
                               uint64_t cause, int64_t origin_ts);

/* lockstep_producer_send_rows: the same for `count` messages of one kind whose bodies, `row_bytes` each, stand one behind the
 * other. Returns how many were put (and committed unless in_batch), below count when the ring is full; or as send. */
int64_t lockstep_producer_send_rows(struct lockstep_producer *p, uint64_t what, const uint8_t *rows, uint64_t row_bytes,
                                    uint64_t count, uint64_t cause, int64_t origin_ts);

/* lockstep_producer_room: 1 if a frame of `length` bytes fits now. */
int32_t lockstep_producer_room(struct lockstep_producer *p, uint64_t length);

/* lockstep_producer_wait_room: commit, then sleep until a frame of `length` bytes fits: 1, or 0 after patience_ns. */
int32_t lockstep_producer_wait_room(struct lockstep_producer *p, uint64_t length, int64_t patience_ns);

/* lockstep_producer_arm: ask for a wake; returns the ticket. Look once more for what you wait for, then sleep. */
uint64_t lockstep_producer_arm(struct lockstep_producer *p);
/* lockstep_producer_arm_room: the same, for the wake at which a frame of `length` bytes fits, and for no other. */
void lockstep_producer_arm_room(struct lockstep_producer *p, uint64_t length);
void lockstep_producer_disarm(struct lockstep_producer *p);

/* lockstep_producer_replay: put every message of `old` that the sequencer had not taken and whose source_seq is greater
 * than `after` into `p`, uncommitted. The ring is the outbox: a message leaves it only after it is in the journal.
 * Returns LOCKSTEP_PUT_FULL when p is full (commit, wait, call again) or LOCKSTEP_PUT_OK; *first and *last tell the source_seqs put. */
int32_t lockstep_producer_replay(struct lockstep_producer *p, struct lockstep_producer *old, uint64_t after, uint64_t *first,
                                 uint64_t *last);

/* lockstep_producer_flood: put and commit `count` messages with 64-byte bodies in batches, numbered from source_seq on;
 * sleeps while the ring is full. For the bench. Returns the number put: below count when nothing moved for `patience_ns`. */
uint64_t lockstep_producer_flood(struct lockstep_producer *p, uint16_t kind, uint64_t source_seq, uint64_t count,
                                 uint64_t batch, int64_t patience_ns);

/* lockstep_producer_ping: `count` single messages with 64-byte bodies, `gap_ns` of quiet before each, one in flight: ns from
 * before the put until *written_seq (the journal's watermark) has moved past the message before. Spins. Returns the number
 * measured: below count when one took longer than patience_ns. */
uint64_t lockstep_producer_ping(struct lockstep_producer *p, const uint64_t *written_seq, uint16_t kind, uint64_t source_seq,
                                uint64_t count, int64_t gap_ns, int64_t patience_ns, int64_t *ns);

/* lockstep_page_words: head, tail, armed, parked, accepted_source_seq, accepted_seq, rejected, duplicates,
 * last_reject_reason, state; each an acquire load. */
void lockstep_page_words(const struct lockstep_ring_page *page, uint64_t words[10]);

/* lockstep_producer_saw: say how far this publisher has read the stream. */
void lockstep_producer_saw(struct lockstep_producer *p, uint64_t seq);

/* lockstep_producer_waits: say that a publish has to wait for room. wait_room does it by itself. */
void lockstep_producer_waits(struct lockstep_producer *p);

/* lockstep_page_tail: publish a tail as it is. Only tests of a bad publisher need it. */
void lockstep_page_tail(struct lockstep_ring_page *page, uint64_t tail);
