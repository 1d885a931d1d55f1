/* What one publisher may say, and whether it says the same thing twice, see flow.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "journal/kernel/blake2b.h"
#include "sequencer/kernel/flow_private.h"

enum {
    SCOPE_SOURCE = 9, LEVEL_REPLICA = 3,
    REST_MIN_NS = 1000000,      /* a fast source rests for a millisecond's worth of tokens, not for each one */
    BANNED_LOOK_NS = 50000000, /* a banned source has twenty turns a second, each one Reject, whatever it does */
};

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- how much */

static void rest(struct lockstep_lane *lane, int64_t until) { lane->rests_until = lane->source->limit.rests_until = until; }

static int ban(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now, int64_t mono) {
    struct lockstep_source *source = lane->source;
    struct lockstep_limit *limit = &source->limit;
    struct lockstep_ban body = {
        .scope_source = source->source, .scope_type = SCOPE_SOURCE, .until_ts = stream_ts(loop, now) + limit->ban_ns,
        .count = (uint32_t)limit->held_messages, .rule = REASON_PUBLISH_RATE,
    };
    int result = loop_append(loop, now, LOCKSTEP_BAN, &body, sizeof body);
    if (result != 0) return result;
    limit->ban_seq = loop->writer->last_seq;
    limit->banned_until = mono + limit->ban_ns;
    limit->held_since = 0;
    limit->bans++;
    flow_attached(lane);
    lane_publish(lane);
    flow_told(loop);
    return 0;
}

static int lift(struct lockstep_loop *loop, struct lockstep_lane *lane, int64_t now, int64_t mono) {
    struct lockstep_source *source = lane->source;
    struct lockstep_ban_lifted body = {.ban_seq = source->limit.ban_seq};
    source->limit.ban_seq = 0;
    source->limit.full_at = mono;
    rest(lane, 0);
    memcpy(source->granted, source->granted_kept, sizeof source->granted);
    lane_publish(lane);
    flow_told(loop);
    return loop_append(loop, now, LOCKSTEP_BAN_LIFTED, &body, sizeof body);
}

int flow_lift(struct lockstep_loop *loop, int64_t now, int64_t mono) {
    int result = 0;
    for (uint32_t i = 0; i < loop->active_count && result == 0; i++) {
        struct lockstep_lane *lane = &loop->lane[loop->active[i]];
        const struct lockstep_limit *limit = &lane->source->limit;
        if (lane->limited && limit->ban_seq != 0 && mono >= limit->banned_until) result = lift(loop, lane, now, mono);
    }
    return result;
}

void flow_attached(struct lockstep_lane *lane) {
    struct lockstep_source *source = lane->source;
    lane->limited = source->limit.count != 0 || source->limit.ban_seq != 0;
    lane->rests_until = source->limit.rests_until;
    lane->owed = 0;
    if (source->limit.ban_seq == 0) return;
    /* A banned source is granted nothing: so every message is refused where ungranted ones are, at no cost to the others. */
    uint8_t any = 0;
    for (uint32_t i = 0; i < sizeof source->granted; i++) any |= source->granted[i];
    if (any) memcpy(source->granted_kept, source->granted, sizeof source->granted);
    memset(source->granted, 0, sizeof source->granted);
}

/* How long the next `messages` records are, and how many there are. What is no record ends the count: lane_take judges it. */
static uint64_t measure(const struct lockstep_lane *lane, uint64_t messages, uint64_t bytes_max, uint64_t *found) {
    uint64_t tail = load_acquire(&lane->ring.page->tail), bytes = 0, there = tail - lane->head;
    *found = 0;
    if (there > lane->ring.ring_bytes) return 1; /* one step is enough to find out */
    while (bytes < there && bytes < bytes_max && *found < messages) {
        uint32_t length;
        memcpy(&length, lane->ring.data + ((lane->head + bytes) & (lane->ring.ring_bytes - 1)), sizeof length);
        bytes += length < 64 || length > there - bytes ? 64 : length;
        ++*found;
    }
    return bytes;
}

int64_t flow_turn(struct lockstep_loop *loop, struct lockstep_lane *lane, uint64_t share, int64_t now) {
    struct lockstep_limit *limit = &lane->source->limit;
    int64_t mono = loop->mono = lockstep_mono_ns(NULL);
    int result = 0;
    if (limit->ban_seq != 0 && mono >= limit->banned_until && (result = lift(loop, lane, now, mono)) != 0) return result;
    if (flow_rests(loop, lane)) return 0;
    if (limit->ban_seq != 0) {
        rest(lane, at_most(mono + BANNED_LOOK_NS, limit->banned_until));
        return (int64_t)share;
    }
    if (limit->count == 0) return (int64_t)share;
    int64_t each = at_least(limit->window_ns / (int64_t)limit->count, 1);
    int64_t full_at = at_least(limit->full_at, mono), room = mono + limit->window_ns - full_at;
    uint64_t tokens = room > 0 ? (uint64_t)(room / each) : 0, found;
    if (tokens == 0) {
        if (limit->held_since == 0) {
            limit->held_since = mono;
            limit->held_messages = 0;
        } else if (limit->ban_ns != 0 && mono - limit->held_since >= limit->window_ns) {
            return ban(loop, lane, now, mono);
        }
        limit->rests++;
        rest(lane, mono + at_least(each - room, at_most(REST_MIN_NS, limit->window_ns / 8)));
        flow_rests(loop, lane);
        return 0;
    }
    uint64_t bytes = measure(lane, tokens, share, &found);
    limit->full_at = full_at + (int64_t)found * each;
    limit->held_messages += found;
    /* It has room for more than it asks: it has come to rest by itself. */
    if (lane->head + bytes == load_acquire(&lane->ring.page->tail) && found < tokens) limit->held_since = 0;
    return (int64_t)bytes;
}

/* ---- the same again? */

void flow_turned(struct lockstep_source *source, uint64_t first_source_seq, uint64_t place) {
    struct lockstep_turns *turns = &source->turns;
    uint64_t at = turns->count++ % LOCKSTEP_TURNS_KEPT;
    turns->first_source_seq[at] = first_source_seq;
    turns->place[at] = place;
}

/* Where to begin to look for a number: the last turn that does not begin behind it, or behind the one before it where that was
 * looked for last; 0: too long ago. A second copy is one or two turns behind the first, and finds its number at once. */
static uint64_t place_of(const struct lockstep_turns *turns, uint64_t source_seq) {
    uint64_t behind_last = source_seq == turns->next_source_seq ? turns->next_place : 0;
    uint64_t kept = turns->count < LOCKSTEP_TURNS_KEPT ? turns->count : LOCKSTEP_TURNS_KEPT;
    for (uint64_t back = 1; back <= kept; back++) {
        uint64_t at = (turns->count - back) % LOCKSTEP_TURNS_KEPT;
        if (turns->first_source_seq[at] <= source_seq)
            return turns->place[at] > behind_last ? turns->place[at] : behind_last;
    }
    return behind_last;
}

static int read_whole(int fd, void *to, uint64_t bytes, uint64_t at) {
    return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

/* The same in the segment that is being written: it is mapped, and the numbers of a copy that runs beside the first are there. */
static int find_mapped(struct lockstep_loop *loop, const struct lockstep_source *source, uint64_t source_seq, uint64_t at,
                       struct lockstep_frame *frame, uint8_t *body, uint64_t body_max, uint64_t *next) {
    const struct lockstep_writer *w = loop->writer;
    while (at < w->offset && loop->flow.reads_left > 0) {
        loop->flow.reads_left--;
        memcpy(frame, w->base + at, sizeof *frame);
        *next = (uint64_t)w->segment << 32 | (at + frame->length);
        if (frame->source == source->source && frame->source_seq >= source_seq) {
            if (frame->source_seq != source_seq || frame->length - 64 > body_max) return 0;
            memcpy(body, w->base + at + 64, frame->length - 64);
            return 1;
        }
        at += frame->length;
    }
    return 0;
}

static uint32_t first_frame_at(const struct lockstep_writer *w) {
    struct lockstep_segment_identity id;
    memcpy(&id, w->base, sizeof id);
    return id.frames_at;
}

/* The frame of that number, from `place` on, through at most one end marker: its body in `body`. 1 if it was found. */
static int find(struct lockstep_loop *loop, const struct lockstep_source *source, uint64_t source_seq, uint64_t place,
                struct lockstep_frame *frame, uint8_t *body, uint64_t body_max, uint64_t *next) {
    char path[LOCKSTEP_FOLDER_BYTES + 32];
    uint32_t segment = (uint32_t)(place >> 32), at = (uint32_t)place;
    for (int files = 0; files < 2; files++, segment++) {
        struct lockstep_segment_identity id;
        if (segment == loop->writer->segment)
            return find_mapped(loop, source, source_seq, files == 0 ? at : first_frame_at(loop->writer), frame, body, body_max,
                               next);
        snprintf(path, sizeof path, "%s/%08u.seg", loop->writer->folder, segment);
        int fd = open(path, O_RDONLY | O_CLOEXEC), found = 0;
        if (fd < 0) return 0;
        if (files == 1) at = read_whole(fd, &id, sizeof id, 0) ? id.frames_at : 0;
        while (at != 0 && loop->flow.reads_left > 0 && read_whole(fd, frame, sizeof *frame, at)) {
            loop->flow.reads_left--;
            if (frame->length < 64 || frame->length > LOCKSTEP_FRAME_BYTES_MAX) break;
            if (frame->source == source->source && frame->source_seq >= source_seq) {
                found = frame->source_seq == source_seq && frame->length - 64 <= body_max &&
                        read_whole(fd, body, frame->length - 64, at + 64);
                *next = (uint64_t)segment << 32 | (at + frame->length);
                close(fd);
                return found;
            }
            at += frame->length;
        }
        int rolled = frame->length == UINT32_MAX;
        close(fd);
        if (!rolled) return 0;
    }
    return 0;
}

int flow_again(struct lockstep_loop *loop, struct lockstep_lane *lane, const struct lockstep_frame *h, const uint8_t *body,
               int64_t now) {
    static uint8_t before[LOCKSTEP_FRAME_BYTES_MAX], again[LOCKSTEP_FRAME_BYTES_MAX]; /* the loop is one thread */
    struct lockstep_turns *turns = &lane->source->turns;
    struct lockstep_frame frame;
    uint64_t bytes = h->length - 64, place, next = 0;
    if (bytes > sizeof again || (place = place_of(turns, h->source_seq)) == 0) return 0;
    if (!find(loop, lane->source, h->source_seq, place, &frame, before, sizeof before, &next)) return 0;
    turns->next_source_seq = h->source_seq + 1;
    turns->next_place = next;
    memcpy(again, body, bytes);
    atomic_signal_fence(memory_order_seq_cst); /* what is compared is the copy */
    /* A cause that names an own earlier message was replaced by its seq: the number is judged by the body it came with. */
    int same = frame.length == h->length && frame.kind == h->kind && frame.version == h->version &&
               ((frame.flags ^ h->flags) & ~FLAG_LATE) == 0 &&
               frame.origin_ts == h->origin_ts && (h->cause >> 63 || frame.cause == h->cause) &&
               memcmp(before, again, bytes) == 0;
    if (same) return 0;
    turns->differs++;
    if (turns->told == lane->incarnation) return 1;
    turns->told = lane->incarnation;
    struct { struct lockstep_divergence body; char field[8]; } said = {
        .body = {.at_seq = frame.seq, .app = lane->source->source, .level = LEVEL_REPLICA,
                 .field = {.at = sizeof said.body, .len = 7}},
        .field = "content",
    };
    lockstep_blake2b(before, frame.length - 64, said.body.expected_digest, sizeof said.body.expected_digest);
    lockstep_blake2b(again, bytes, said.body.got_digest, sizeof said.body.got_digest);
    int result = lane_flush(loop, lane, now);
    if (result == 0) result = loop_append(loop, now, LOCKSTEP_DIVERGENCE, &said, sizeof said);
    return result != 0 ? result : 1;
}
