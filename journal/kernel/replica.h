/* The replica: bytes of another machine's journal go into the same places of this one, each checked before a reader can see
 * it. Needs messages.h, segment.h and writer.h before it.
 *
 * A follower owns a `struct lockstep_writer` whose appender role is played by these functions; the other two roles (sync,
 * and the watermark) are the writer's own. Bytes are received straight into the map behind the stream's end, cut anywhere,
 * all but the first eight of the first frame: its length and crc stay apart until the frame is proven, so a reader finds
 * length 0 there, which is the tail, whatever stands behind it. What is refused is zeroed again. The received bytes enter by
 * recv, not by the disk seam's stores; a follower that dies in between leaves what a torn append leaves, and recovery puts
 * it aside. */

enum lockstep_replica_fault {
    LOCKSTEP_REPLICA_OK = 0,
    LOCKSTEP_REPLICA_BAD_LENGTH = 1,
    LOCKSTEP_REPLICA_BAD_CRC = 2,
    LOCKSTEP_REPLICA_BAD_SEQ = 3,
    LOCKSTEP_REPLICA_BAD_TS = 4,
    LOCKSTEP_REPLICA_BAD_EPOCH = 5,
    LOCKSTEP_REPLICA_BAD_OPEN = 6,
    LOCKSTEP_REPLICA_BAD_CHAIN = 7,
    LOCKSTEP_REPLICA_BAD_END = 8,
};

struct lockstep_replica_verdict {
    uint32_t state;
    uint32_t zero;
    uint64_t expected;
    uint64_t found;
    uint64_t frames;     /* accepted */
    int64_t  lag_ns;     /* from the last frame's ts until readers here could see it, if the clocks agree */
};

/* Make the segment after the current one, with this identity and schema block (`frames_at` bytes, checked by the caller):
 * create, allocate, store, sync, name it, sync the folder, touch every page. 0 when it is ready; -EBUSY: sync first. */
int lockstep_replica_prepare(struct lockstep_writer *w, const uint8_t *head, uint64_t frames_at);

/* Let go of a prepared segment that nothing has been stored into, and remove its file. */
int lockstep_replica_discard(struct lockstep_writer *w);

/* Store the open record of the prepared segment, if it continues this stream. The first segment is entered at once. */
int lockstep_replica_open(struct lockstep_writer *w, const struct lockstep_open_record *record,
                          struct lockstep_replica_verdict *v);

/* Store the end marker of the current segment, if it is right, and go on in the next one, which must be open. */
int lockstep_replica_end(struct lockstep_writer *w, const struct lockstep_end_marker *marker,
                         struct lockstep_replica_verdict *v);

/* What was received behind the stream's end and is not shown yet. Zero it at the start of each connection. */
struct lockstep_replica_run {
    uint8_t  head[8];    /* the first eight bytes; their place in the map is zero */
    uint64_t held;       /* bytes, with those of the head */
};

/* Where the next received byte belongs, and how many may follow it there. */
uint64_t lockstep_replica_place(struct lockstep_writer *w, struct lockstep_replica_run *run, uint8_t **at);

/* `bytes` more were received into the place. Every whole frame of the run is checked, then all of them are shown to readers
 * at once. 0, or -EBADMSG with the reason in *v: nothing new is shown, the run is zero again. */
int lockstep_replica_advance(struct lockstep_writer *w, struct lockstep_replica_run *run, uint64_t bytes,
                             struct lockstep_replica_verdict *v);

/* Receive from a socket that does not block, at most `bytes`, and advance. Bytes received, 0: the peer has ended, -EAGAIN:
 * nothing is there, -EBADMSG as advance, else -errno. */
int64_t lockstep_replica_receive(struct lockstep_writer *w, struct lockstep_replica_run *run, int fd, uint64_t bytes,
                                 struct lockstep_replica_verdict *v);

/* Zero what a broken connection left behind the stream's end. */
void lockstep_replica_clear(struct lockstep_writer *w, struct lockstep_replica_run *run);

/* Wait until control->published differs from `seen`: spins for spin_ns, never sleeps. Returns what it is. */
uint64_t lockstep_replica_spin(const struct lockstep_control *control, uint64_t seen, int64_t spin_ns);
