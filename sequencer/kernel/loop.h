/* loop: take from the rings fairly, check, stamp, append, publish the watermark. One thread, without the GIL.
 *
 * The control plane (sequencer/daemon.py) talks to it through one mailbox: it fills `command` words, raises `command_no`,
 * and waits until `done_no` equals it. Lanes belong to the loop between ATTACH and DETACH, to the control plane otherwise. */

enum lockstep_idle { LOCKSTEP_IDLE_SPIN = 1, LOCKSTEP_IDLE_YIELD = 2, LOCKSTEP_IDLE_SPIN_THEN_PARK = 3, LOCKSTEP_IDLE_PARK = 4 };
enum lockstep_turn { LOCKSTEP_TURN_IDLE = 0, LOCKSTEP_TURN_WORKED = 1, LOCKSTEP_TURN_STOPPED = 2 };
enum lockstep_command { LOCKSTEP_ATTACH = 1, LOCKSTEP_DETACH = 2, LOCKSTEP_STOP = 3, LOCKSTEP_SAY = 4 };
enum lockstep_loop_limit { LOCKSTEP_LANES_MAX = 256, LOCKSTEP_OWN_CAUSES = 64 };
/* A sync thread that sleeps is to be woken by any frame; one that dozes by a frame that somebody waits for. */
enum lockstep_sync_sleep { LOCKSTEP_SYNC_DOZES = 1 };

/* What the stream knows of one publisher; survives its rings, and (from the journal) the sequencer. */
struct lockstep_source {
    uint64_t last_source_seq; /* accepted or refused: both consume the number */
    uint64_t accepted_source_seq;
    uint64_t accepted_seq;
    uint64_t rejected;
    uint64_t duplicates;
    uint64_t last_reject_reason;
    int64_t  late_ns;          /* a message that its publisher saw so long before its ts is LATE; 0: none is */
    uint64_t late;             /* how many were, in this run */
    uint64_t first_source_seq; /* the last number before this run */
    uint64_t refused_numbers;  /* numbers of this run that are no frame */
    uint64_t bytes;            /* taken from its rings, as far as they were counted */
    uint64_t high_water;       /* most that ever waited in a ring of it */
    struct lockstep_source_telemetry *telemetry; /* NULL: none is kept */
    uint64_t own_source_seq[64]; /* the last accepted, by source_seq modulo 64: what OWN_CAUSE may name */
    uint64_t own_seq[64];
    uint32_t incarnation;
    uint16_t source;
    uint16_t zero;
    uint8_t  granted[8192]; /* bit per kind; none while it is banned */
    uint8_t  granted_kept[8192];
    struct lockstep_limit limit;
    struct lockstep_turns turns;
};

/* One attached ring and what the loop keeps of it. */
struct lockstep_lane {
    struct lockstep_ring ring;
    struct lockstep_source *source;
    uint64_t counted;    /* head up to which the source's bytes were counted */
    uint64_t head;       /* our own copy: what the publisher writes into the page cannot move it */
    uint64_t woken;      /* ticket that the loop has answered */
    uint64_t sync_woken; /* ticket that the sync thread has answered */
    uint64_t stop_tail;  /* drain up to here before stopping */
    uint64_t state;      /* SourceStateCode; only ATTACHED is read */
    uint64_t refused_count; /* Rejects not yet on the stream: the same kind and reason in a row */
    uint64_t refused_source_seq;
    uint16_t refused_kind;
    uint16_t refused_reason;
    int32_t  client_fd;
    uint8_t  refused_digest[32];
    uint8_t  build_digest[32];
    uint8_t  used;
    uint8_t  limited; /* 1: it has its turns from flow_turn */
    uint8_t  zero[2];
    uint32_t incarnation; /* of this ring: a source with copies has several at once */
    uint64_t owed;        /* bytes that it has taken beyond its turns, for a message is taken whole: of the next ones */
    int64_t  rests_until; /* its ring is not touched before: a line that a runaway writes costs a miss each time it is read. 0: no rest */
};

struct lockstep_loop {
    struct lockstep_writer *writer;
    const struct lockstep_wire_rule *rules; /* by kind, below rules_count */
    uint32_t rules_count;
    uint32_t idle;      /* enum lockstep_idle */
    uint32_t spin_ns;   /* spin-then-park: how long */
    uint32_t live;      /* session mode LIVE: simulation kinds are refused */
    uint32_t hosted;    /* turned by another program's thread: never sleeps */
    uint32_t zero;
    int64_t  clock_interval_ns;
    int64_t  sync_interval_ns;
    int64_t  sync_lag_ns; /* frames that nobody waits for are on disk after so long */
    uint64_t batch_bytes; /* taken from one ring before the next one has its turn */
    int32_t  wake_fd;     /* publishers and the control plane wake the loop */
    int32_t  control_fd;  /* the loop wakes the control plane: command done, a ring died, loop ended */
    int32_t  sync_fd;     /* the loop wakes the sync thread */
    int32_t  segment_fd;  /* the loop wakes the thread that prepares segments */
    int32_t  seal_fd;     /* that thread wakes whoever seals full segments: a roll has just been; 0: nobody does */
    int32_t  zero_fd;
    struct lockstep_telemetry *telemetry; /* the mapped file; NULL: none is kept */
    const int64_t *manual_ns; /* a clock that its owner moves; NULL: the wall clock */
    /* mailbox: control plane writes, loop reads */
    uint64_t command_no;
    uint32_t command;
    uint32_t command_lane;
    uint32_t command_state; /* DETACH: the state the source gets */
    uint32_t command_reason;
    uint32_t say_kind;       /* SAY: a frame of the sequencer's own, its encoded body, a multiple of 8 bytes */
    uint32_t say_bytes;
    const uint8_t *say_body; /* valid until done */
    uint64_t stop_wanted; /* the control plane's: end even while the disk gives no room */
    uint8_t  zero0[64];
    /* mailbox: loop writes */
    uint64_t done_no;
    uint64_t events;    /* rings that died or were quarantined so far */
    uint64_t stalls;    /* waits for a prepared segment */
    uint64_t parks;
    uint64_t frames;    /* appended in this run */
    uint64_t awaited_seq; /* the last frame of a kind that somebody waits for */
    uint64_t turns;     /* of the loop, idle ones too: it lives as long as this or `stalls` moves */
    int64_t  telemetry_full_ns;
    uint64_t ended;
    int64_t  error;     /* of the writer; 0 = none */
    uint8_t  zero1[64];
    /* sync thread */
    uint64_t sync_parked;  /* sync thread writes: ticket << 1, and LOCKSTEP_SYNC_DOZES */
    uint64_t sync_woken;   /* loop's: what was answered of it */
    uint64_t awaited_told; /* loop's: awaited_seq at the last wake of a thread that dozed */
    uint64_t sync_stop;
    uint64_t lanes_seen; /* the lanes ever used are below; under the lanes' lock */
    int64_t  sync_error;
    uint64_t syncs;
    /* thread that prepares segments */
    uint64_t prepare_stop;
    int64_t  prepare_error; /* of the last attempt, -errno; 0 = well */
    uint8_t  zero2[64];
    struct lockstep_flow flow;
    uint64_t park_ticket;
    uint64_t replicated_told; /* watermark of the followers that sleepers know of */
    int64_t  mono;       /* the monotonic clock, read or reckoned in this turn or the last one */
    int64_t  wall_ahead; /* wall - monotonic clock at the last look; 0: not reckoned with */
    int64_t  idle_since; /* 0: the last turn had work */
    int64_t  idle_ns;    /* after an idle turn: the clock frame is due in so long */
    uint32_t active_count;
    uint32_t turn;
    uint32_t active[256];
    struct lockstep_lane lane[256];
};

/* lockstep_loop_turn: a command, every lane's turn, the clock frame when it is due; no waiting. enum lockstep_turn, or
 * -errno. For a program that has the loop inside its own (`hosted`); one thread. Before that program sleeps it arms:
 * 1, publishers will write wake_fd, sleep idle_ns at most; 0, there is work. Disarm after the sleep. */
int32_t lockstep_loop_turn(struct lockstep_loop *loop);
int32_t lockstep_loop_arm(struct lockstep_loop *loop);
void lockstep_loop_disarm(struct lockstep_loop *loop);

/* lockstep_loop_run: turns, and rests between them, until STOP. 0, or -errno of the writer: the journal is as far as its watermark says, nothing else is lost. */
int32_t lockstep_loop_run(struct lockstep_loop *loop);

/* lockstep_loop_post: give the loop a command; wakes it. The caller waits for done_no. */
void lockstep_loop_post(struct lockstep_loop *loop, uint32_t command, uint32_t lane, uint32_t state, uint32_t reason);
/* lockstep_loop_progress: moves as long as the loop turns, or waits for the disk as it should. Any thread. */
uint64_t lockstep_loop_progress(const struct lockstep_loop *loop);

/* lockstep_loop_say: have the loop append a frame of the sequencer's own. The caller waits for done_no, body in hand. */
void lockstep_loop_say(struct lockstep_loop *loop, uint32_t kind, const uint8_t *body, uint32_t bytes);
uint64_t lockstep_loop_done(const struct lockstep_loop *loop);

/* lockstep_sync_run: fdatasync behind the tail until lockstep_sync_end; one sync covers all frames of an interval. At once where
 * somebody waits for it (an awaited kind, a publisher that sleeps, a full segment), else sync_lag_ns later at the most: a sync
 * takes a core for a while, and on a machine without one to spare that core is the loop's or a reader's. */
int32_t lockstep_sync_run(struct lockstep_loop *loop);
void lockstep_sync_end(struct lockstep_loop *loop);

/* lockstep_prepare_run: keep one segment ready ahead of the writer until lockstep_prepare_end. While the disk refuses, it
 * tries again and again and the publishers wait: nothing is lost, `prepare_error` tells. */
int32_t lockstep_prepare_run(struct lockstep_loop *loop);
void lockstep_prepare_end(struct lockstep_loop *loop);

/* The sync thread wakes clients through the lanes: the control plane holds this while it changes a slot's mapping. */
void lockstep_lanes_lock(void);
void lockstep_lanes_unlock(void);
