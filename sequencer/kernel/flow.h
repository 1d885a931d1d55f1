/* flow: what the loop watches besides the messages: how much a publisher may say, whether the wall clock was stepped or does not
 * keep pace, whether the disk keeps up and has room, and what was said before. Nothing here costs a message anything: it runs once a batch for
 * a limited publisher, else every 50 ms, or when something is wrong already.
 *
 * Its clock is the monotonic one; what it decides is on the stream (ClockJump, Ban, BanLifted, ResourceState, Alert,
 * Divergence, StreamHalted), so that a replay need not decide again. No directives: cffi reads the same text. */

enum lockstep_flow_limits { LOCKSTEP_TURNS_KEPT = 256 };

/* Token bucket of a source: `count` messages in `window_ns`, all of which may come at once. Who asks for more is held back:
 * its ring is read as fast as tokens come, and fills. Who is held back for a whole window is banned: until `ban_ns` have
 * passed its messages are refused (SOURCE_BANNED). */
struct lockstep_limit {
    uint64_t count;         /* 0: no limit */
    int64_t  window_ns;
    int64_t  ban_ns;        /* 0: held back for ever, never banned */
    int64_t  full_at;       /* when the bucket is full again */
    int64_t  rests_until;   /* its ring is not read before */
    int64_t  held_since;    /* 0: not held back */
    uint64_t held_messages; /* taken since then */
    int64_t  banned_until;
    uint64_t ban_seq;       /* the Ban that holds; 0: none */
    uint64_t bans;          /* of this run */
    uint64_t rests;         /* how often it was held back */
};

/* Where a source's last turns stand in the journal: what a number that comes again had said is read there. */
struct lockstep_turns {
    uint64_t first_source_seq[256];
    uint64_t place[256];    /* segment << 32 | offset; by `count` modulo 256 */
    uint64_t count;
    uint64_t next_source_seq; /* the number behind the one compared last stands at next_place, if it is a resend in order */
    uint64_t next_place;
    uint64_t differs;       /* second copies that said something else */
    uint64_t told;          /* the incarnation of the last Divergence: one each, the Rejects count the rest */
};

struct lockstep_flow {
    int64_t  clock_jump_ns;    /* a step of the wall clock smaller than this is not told */
    int64_t  stall_alert_ns;   /* the disk has stood still for so long: an alert */
    int64_t  disk_patience_ns; /* no room for a next segment and the last one full: wait so long for some, then halt */
    int64_t  wall;             /* at the last look */
    uint64_t unlooked;         /* readings of it since then: a clock that stands still must not keep us from looking */
    uint64_t look_now;         /* 1: another thread has news of the disk */
    int64_t  seen;             /* monotonic, of the last look; 0: not looked yet */
    int64_t  look_at;
    int64_t  wake_at;          /* the first resting lane's; INT64_MAX: none rests */
    int64_t  offset;           /* wall - monotonic clock, as far as the stream knows */
    int64_t  known_wall;       /* both clocks when they last were so far apart */
    int64_t  known_mono;
    int64_t  jumped_at;        /* monotonic */
    int64_t  run;              /* jumps that followed one another in one direction: positive forward, negative back */
    int64_t  run_wall;         /* both clocks before the first of them */
    int64_t  run_mono;
    uint64_t drifts;           /* the alert that is raised because of them; 0: none */
    uint64_t jumps;
    uint64_t durable_seen;
    int64_t  behind_since;     /* the watermark of what is on disk has stood still since; 0: nothing is to be written */
    uint64_t alerts;
    uint64_t stalled;          /* the alert that is raised because of that; 0: none */
    uint64_t disk_low;         /* 1: the stream knows that there is no room for a next segment */
    int64_t  waits_since;      /* the last segment is full and there is no room; 0: no such wait */
    uint64_t disk_used;        /* the preparer's, when it finds no room: bytes of the filesystem */
    uint64_t disk_capacity;
    uint64_t reads_left;       /* until the next look: a flood of old numbers must not cost the others their time */
};
