/* Power loss, image by image: what the parts of this driver share. images_trace.c runs the writer and records what it does
 * to the disk; images_disk.c makes what a disk may hold after a crash; images_check.c recovers it and judges; images.c counts.
 * Plan and vocabulary: docs/crash-safety.md. */
#ifndef LOCKSTEP_IMAGES_H
#define LOCKSTEP_IMAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifndef LOCKSTEP_TRACE /* who compiles the writer in has these from it */
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/writer.h"
#endif
#include "journal/kernel/reader.h"
#include "journal/kernel/recovery.h"

enum { SEGMENT_BYTES = 16384, FRAMES_AT = 8192, FILES_MAX = 16, EVENTS_MAX = 16384, POOL_BYTES = 1 << 20, FRAMES_MAX = 1024 };

/* ---- what happened ---- */

enum happened { STORED, SYNCED, CREATED, ALLOCATED, NAMED, FOLDER_SYNCED };

/* Files bear the number of their segment, from 1. The words are the control page's at that moment: it has no syncs of its
 * own, so a crash before this event may leave any older ones. */
struct event {
    enum happened what;
    uint32_t file;
    uint32_t at, bytes; /* STORED, SYNCED: the range */
    uint32_t data;      /* STORED: where in the pool */
    uint32_t covers;    /* SYNCED: stores before this event are on disk; those that came while it ran need not be */
    uint64_t durable_seq;
    uint32_t segment;
};

struct truth_frame {
    uint32_t file, at, bytes;
    int64_t  ts;
    uint32_t crc;
};

struct trace {
    struct event events[EVENTS_MAX];
    uint8_t pool[POOL_BYTES];
    uint32_t count, pooled;
    struct truth_frame frames[FRAMES_MAX + 1]; /* by seq */
    uint64_t last_seq;
    uint32_t files;
    uint32_t end_at[FILES_MAX];               /* where the end marker stands; 0: not rolled out of */
    _Alignas(8) uint8_t final[FILES_MAX][SEGMENT_BYTES]; /* with every store made */
    struct { struct lockstep_index_head head; uint8_t rest[LOCKSTEP_INDEX_HEAD_BYTES - sizeof(struct lockstep_index_head)]; }
        index[FILES_MAX];                     /* what an index of each full segment begins with, of all that was stored there */
};

extern struct trace trace;
extern const char images_schema[];
extern uint64_t images_stream;

uint64_t random64(void);
void random_seed(uint64_t seed);
static inline uint32_t below(uint32_t n) { return (uint32_t)((random64() >> 32) * n >> 32); }

/* Run the writer in an empty folder and fill `trace`. */
void trace_run(const char *folder);

/* Append a few frames to an image as a started writer would, and note the stores (old and new bytes) in `second`. */
struct second_life {
    struct event events[512];
    uint8_t old[1 << 16], new[1 << 16];
    uint32_t count, pooled;
    uint64_t last_seq;
    bool full; /* stopped because no segment was prepared */
};
struct image;
void second_life_run(struct image *image, const struct lockstep_recovery *found, uint32_t frames, struct second_life *life);

/* ---- what may be left of it ---- */

struct image {
    uint8_t base[FILES_MAX][SEGMENT_BYTES]; /* by segment number */
    uint32_t segments;                      /* 1 … segments have their name */
    uint64_t control_durable_seq;
    uint32_t control_segment;
};

enum strategy { ALL_OLD, ALL_NEW, DROP_ONE, KEEP_ONE, EXHAUSTIVE, RANDOM, STRATEGIES };

struct options {
    uint32_t exhaustive_max; /* all combinations where there are no more than this */
    uint32_t randoms;        /* else so many random ones */
    uint32_t points_in;      /* one in so many crash points, and every one at a call */
};

/* All images of the trace recorded, one call of `judge` each; false from it ends the run. `strategy` and `point` say where. */
typedef bool judge_image(struct image *image, uint32_t point, uint32_t unit, enum strategy strategy);
bool disk_images(const struct options *options, judge_image *judge);
uint64_t disk_points(void);

/* ---- is it right ---- */

/* Recover the image, compare with the trace, interrupt, repeat, go on behind it. False: `check_failure` says what is wrong.
 * The image is as before afterwards. */
bool check_image(struct image *image, uint64_t durable_seq, uint32_t unit);
extern char check_failure[512];
extern uint64_t check_torn, check_interrupted, check_second_lives, check_passed;
/* `indices`: bit f: there is one of segment f. */
void check_decide(const struct image *image, struct lockstep_recovery *found, uint64_t *used, uint32_t *actions, uint32_t indices);

#endif
