/* The writer: see writer.h. Other kernels compile this file into their own extension. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "crc32c.h"
#include "disk.h"
#include "messages.h"
#include "segment.h"
#include "writer.h"
#include "append.h"

_Static_assert(sizeof(struct lockstep_frame) == LOCKSTEP_HEAD_BYTES, "a head is one cache line");
_Static_assert(sizeof(struct lockstep_segment_identity) == 64, "identity");
_Static_assert(offsetof(struct lockstep_segment_identity, identity_crc) == 60, "identity crc closes the identity");
_Static_assert(sizeof(struct lockstep_open_record) == 40, "open record");
_Static_assert(sizeof(struct lockstep_end_marker) == LOCKSTEP_END_BYTES, "end marker");
_Static_assert(offsetof(struct lockstep_control, written_seq) == 64, "appender's line");
_Static_assert(offsetof(struct lockstep_control, durable_seq) == 128, "syncer's line");
_Static_assert(offsetof(struct lockstep_control, epoch) == 192, "control plane's line");
_Static_assert(offsetof(struct lockstep_control, replicated_seq) == 256, "the replication's line");
_Static_assert(sizeof(struct lockstep_control) == 320, "control");
_Static_assert(offsetof(struct lockstep_writer, first_unsynced) % 64 == 0, "the syncer's own line");

static const uint32_t END = 0xFFFFFFFF;
static const uint64_t NEAR_THE_END = 1024;

uint64_t lockstep_seq_max(void)
{
    return LOCKSTEP_SEQ_MAX;
}

uint32_t lockstep_crc(uint32_t crc, const void *data, uint64_t bytes)
{
    return lockstep_crc32c(crc, data, bytes);
}

/* Spreads any two different inputs (splitmix64): nonces of one writer's segments have nothing in common. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint32_t seed_of(const struct lockstep_segment_identity *id)
{
    uint32_t crc = lockstep_crc32c(0, &id->stream_id, sizeof id->stream_id);
    crc = lockstep_crc32c(crc, &id->nonce, sizeof id->nonce);
    return lockstep_crc32c(crc, &id->number, sizeof id->number);
}

static struct lockstep_slot *slot_of(struct lockstep_writer *w, uint32_t number)
{
    return &w->slots[number % LOCKSTEP_SLOTS];
}

static uint64_t folio_of(const struct lockstep_writer *w)
{
    return w->folio_bytes != 0 ? w->folio_bytes : LOCKSTEP_FOLIO_BYTES;
}

static int failure(const struct lockstep_writer *w)
{
    return -__atomic_load_n(&w->failed, __ATOMIC_ACQUIRE);
}

static int fail(struct lockstep_writer *w, int error)
{
    __atomic_store_n(&w->failed, -error, __ATOMIC_RELEASE);
    return error;
}

/* ---- appender ------------------------------------------------------------------------------------------------ */

static void store_open_record(struct lockstep_writer *w, struct lockstep_slot *next)
{
    struct lockstep_open_record open = {
        .first_seq = w->last_seq + 1,
        .durable_seq = __atomic_load_n(&w->control->durable_seq, __ATOMIC_ACQUIRE),
        .prev_last_ts = w->last_ts,
        .prev_last_crc = w->last_crc,
        .epoch = w->epoch,
    };
    uint32_t crc = lockstep_crc32c(0, next->base, sizeof(struct lockstep_segment_identity));
    crc = lockstep_crc32c(crc, &open, offsetof(struct lockstep_open_record, open_crc));
    struct lockstep_open_record *at = (struct lockstep_open_record *)(next->base + LOCKSTEP_OPEN_AT);
    j_store(at, &open, offsetof(struct lockstep_open_record, open_crc));
    j_publish32(&at->open_crc, crc);
}

static void store_end_marker(struct lockstep_writer *w)
{
    struct lockstep_end_marker *at = (struct lockstep_end_marker *)(w->base + w->offset);
    struct lockstep_end_marker end = {.length = END, .next_seq = w->last_seq + 1};
    end.crc32c = lockstep_frame_crc(w->seed, END, &end, sizeof end);
    j_store((uint8_t *)at + 4, (const uint8_t *)&end + 4, sizeof end - 4);
    j_publish32(&at->length, END);
}

/* The new segment is open before the old one points to it: a reader that sees the end marker finds what it names. */
static int roll(struct lockstep_writer *w)
{
    struct lockstep_slot *next = slot_of(w, w->segment + 1);
    if (__atomic_load_n(&next->state, __ATOMIC_ACQUIRE) != LOCKSTEP_PREPARED || next->number != w->segment + 1)
        return -EAGAIN;
    store_open_record(w, next);
    if (w->base != NULL) {
        store_end_marker(w);
        __atomic_store_n(&slot_of(w, w->segment)->state, LOCKSTEP_RETIRED, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&next->state, LOCKSTEP_CURRENT, __ATOMIC_RELEASE);
    w->base = next->base;
    w->offset = next->frames_at;
    w->limit = next->bytes - LOCKSTEP_END_BYTES - LOCKSTEP_RESERVE_BYTES;
    w->seed = next->seed;
    __atomic_store_n(&w->segment, next->number, __ATOMIC_RELEASE);
    __atomic_store_n(&w->control->segment, next->number, __ATOMIC_RELEASE);
    return 0;
}

int lockstep_writer_reserve(struct lockstep_writer *w, uint32_t length, struct lockstep_frame **slot)
{
    int failed = failure(w);
    if (failed == 0)
        failed = lockstep_overtaken(w);
    if (__builtin_expect(failed != 0, 0))
        return failed;
    if (length % 8 != 0 || length < LOCKSTEP_HEAD_BYTES || length > LOCKSTEP_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    if (w->last_seq >= LOCKSTEP_SEQ_MAX)
        return -EOVERFLOW;
    if (__builtin_expect(w->base == NULL || w->offset + length > w->limit, 0)) {
        uint64_t schema_blocks = (w->schema_bytes + LOCKSTEP_BLOCK_BYTES - 1) / LOCKSTEP_BLOCK_BYTES;
        uint64_t room = w->segment_bytes - (1 + schema_blocks) * LOCKSTEP_BLOCK_BYTES - LOCKSTEP_END_BYTES -
                        LOCKSTEP_RESERVE_BYTES;
        if (length > room)
            return -EMSGSIZE;
        int rolled = roll(w);
        if (rolled != 0)
            return rolled;
    }
    *slot = (struct lockstep_frame *)(w->base + w->offset);
    return 0;
}

void lockstep_writer_abandon(struct lockstep_writer *w, struct lockstep_frame *slot, uint32_t length)
{
    assert((uint8_t *)slot == w->base + w->offset && w->offset + length <= w->limit);
    j_zero(slot, length);
}

static void put_frame(struct lockstep_writer *w, struct lockstep_frame *slot, uint32_t length,
                      const struct lockstep_frame *head, const void *body)
{
    struct lockstep_head words = lockstep_head_of(w, head->kind, head->version, head->flags, head->source, head->ts,
                                                  head->origin_ts, head->source_seq, head->cause, head->incarnation);
    uint32_t crc = lockstep_append_fill(w, slot, length, &words, body);
    lockstep_append_seal(w, slot, length, head->ts, crc);
}

int lockstep_writer_append(struct lockstep_writer *w, const struct lockstep_frame *head, const void *body,
                           uint32_t body_bytes)
{
    struct lockstep_frame *slot;
    if (body_bytes > LOCKSTEP_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    uint32_t length = LOCKSTEP_HEAD_BYTES + body_bytes;
    int reserved = lockstep_writer_reserve(w, length, &slot);
    if (reserved != 0)
        return reserved;
    put_frame(w, slot, length, head, body);
    return 0;
}

int lockstep_writer_last_words(struct lockstep_writer *w, const struct lockstep_frame *head, const void *body,
                               uint32_t body_bytes)
{
    uint32_t length = LOCKSTEP_HEAD_BYTES + body_bytes;
    if (w->base == NULL || body_bytes > LOCKSTEP_RESERVE_BYTES || w->offset + length > w->limit + LOCKSTEP_RESERVE_BYTES)
        return -ENOSPC;
    put_frame(w, (struct lockstep_frame *)(w->base + w->offset), length, head, body);
    return 0;
}

/* The next segment's first lines come from memory, and none of its pages has a translation at hand: ask for them before the frame
 * that rolls needs them. */
static void ask_for_next(struct lockstep_writer *w)
{
    const struct lockstep_slot *next = slot_of(w, w->segment + 1);
    if (__atomic_load_n(&next->state, __ATOMIC_ACQUIRE) != LOCKSTEP_PREPARED)
        return;
    __builtin_prefetch(next->base);
    __builtin_prefetch(next->base + LOCKSTEP_OPEN_AT, 1);
    for (uint32_t at = 0; at < LOCKSTEP_AHEAD_BYTES; at += 64)
        __builtin_prefetch(next->base + next->frames_at + at, 1);
}

void lockstep_writer_publish_watermark(struct lockstep_writer *w)
{
    uint64_t published = (uint64_t)w->segment << 32 | w->offset;
    bool rolled = published >> 32 != w->published >> 32;
    __atomic_store_n(&w->published, published, __ATOMIC_RELEASE);
    __atomic_store_n(&w->control->published, published, __ATOMIC_RELEASE);
    __atomic_store_n(&w->control->written_ts, w->last_ts, __ATOMIC_RELAXED);
    __atomic_store_n(&w->control->written_seq, w->last_seq, __ATOMIC_RELEASE);
    /* Only now: waking a thread takes longer than a hundred frames, and the frame that rolled is somebody's. */
    if (rolled && w->roll_fd >= 0) {
        const uint64_t one = 1;
        /* The counter cannot overflow before 2^64 rolls, and a wake-up that fails leaves the preparer one late. */
        ssize_t ignored = write(w->roll_fd, &one, sizeof one);
        (void)ignored;
    }
    if (__builtin_expect(w->limit - w->offset < NEAR_THE_END, 0))
        ask_for_next(w);
}

int lockstep_writer_put(struct lockstep_writer *w, uint16_t kind, uint16_t version, uint16_t flags, uint16_t source, int64_t ts,
                        int64_t origin_ts, uint64_t source_seq, uint64_t cause, uint32_t incarnation, const void *body,
                        uint32_t body_bytes)
{
    const struct lockstep_frame head = {
        .kind = kind, .version = version, .flags = flags, .source = source, .ts = ts, .origin_ts = origin_ts,
        .source_seq = source_seq, .cause = cause, .incarnation = incarnation,
    };
    int code = lockstep_writer_append(w, &head, body, body_bytes);
    if (code == 0)
        lockstep_writer_publish_watermark(w);
    return code;
}

/* ---- preparer ------------------------------------------------------------------------------------------------ */

int lockstep_writer_wants_segment(const struct lockstep_writer *w)
{
    uint32_t number = __atomic_load_n(&w->segment, __ATOMIC_ACQUIRE) + 1;
    const struct lockstep_slot *slot = &w->slots[number % LOCKSTEP_SLOTS];
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (state == LOCKSTEP_FREE)
        return 1;
    return state == LOCKSTEP_PREPARED ? 0 : 2;
}

/* How far ahead of the appender pages are touched. A touched page is dirty: where more of them lie about than the kernel likes
 * (a tenth of the memory), it writes them back and each faults again under the appender. */
static const uint64_t TOUCH_AHEAD = UINT64_C(1) << 30, TOUCH_STEP = UINT64_C(64) << 20;

/* Fault pages up to `to` in for writing, so that the appender never does. */
static void touch(struct lockstep_slot *slot, uint64_t to)
{
    uint64_t from = slot->touched;
    to = to < slot->bytes ? to : slot->bytes;
#ifdef MADV_POPULATE_WRITE
    while (from < to && madvise(slot->base + from, to - from < TOUCH_STEP ? to - from : TOUCH_STEP, MADV_POPULATE_WRITE) == 0) {
        from += to - from < TOUCH_STEP ? to - from : TOUCH_STEP;
        __atomic_store_n(&slot->touched, from, __ATOMIC_RELAXED);
    }
    if (slot->touched > 0)
        return; /* what is not touched now is touched later, or faults */
#endif
    for (; from < slot->bytes; from += 4096)
        __atomic_fetch_or(slot->base + from, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->touched, slot->bytes, __ATOMIC_RELAXED);
}

int lockstep_writer_wants_touch(const struct lockstep_writer *w)
{
    uint64_t published = __atomic_load_n(&w->published, __ATOMIC_ACQUIRE);
    const struct lockstep_slot *slot = &w->slots[(published >> 32) % LOCKSTEP_SLOTS];
    uint64_t touched = __atomic_load_n(&slot->touched, __ATOMIC_RELAXED);
    return touched < slot->bytes && (published & UINT32_MAX) + TOUCH_AHEAD - TOUCH_STEP > touched;
}

void lockstep_writer_touch(struct lockstep_writer *w)
{
    uint64_t published = __atomic_load_n(&w->published, __ATOMIC_ACQUIRE);
    /* Should the appender roll meanwhile and the syncer unmap it, the kernel refuses, and no byte is changed in any case. */
    if (lockstep_writer_wants_touch(w))
        touch(slot_of(w, (uint32_t)(published >> 32)), (published & UINT32_MAX) + TOUCH_AHEAD);
}

static void fill_header(const struct lockstep_writer *w, uint8_t *base, uint32_t number)
{
    uint32_t schema_blocks = (w->schema_bytes + LOCKSTEP_BLOCK_BYTES - 1) / LOCKSTEP_BLOCK_BYTES;
    struct lockstep_segment_identity id = {
        .magic = {'L', 'K', 'S', 'T', 'P', 'S', 'E', 'G'},
        .format = LOCKSTEP_FORMAT,
        .frames_at = (1 + schema_blocks) * LOCKSTEP_BLOCK_BYTES,
        .stream_id = w->stream_id,
        .nonce = mix(w->nonce ^ mix(number)),
        .segment_bytes = w->segment_bytes,
        .number = number,
        .schema_bytes = w->schema_bytes,
        .schema_crc = lockstep_crc32c(0, w->schema, w->schema_bytes),
    };
    id.identity_crc = lockstep_crc32c(0, &id, offsetof(struct lockstep_segment_identity, identity_crc));
    j_store(base, &id, sizeof id);
    j_store(base + LOCKSTEP_BLOCK_BYTES, w->schema, w->schema_bytes);
}

static int map_slot(struct lockstep_slot *slot, int fd, uint32_t number, uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    J_TRACE(J_MAPPED, base, NULL, bytes, fd, NULL, NULL);
    slot->base = base;
    slot->bytes = bytes;
    slot->fd = fd;
    slot->number = number;
    slot->touched = 0;
    return 0;
}

static void unmap_slot(struct lockstep_slot *slot)
{
    J_TRACE(J_UNMAPPED, slot->base, NULL, slot->bytes, slot->fd, NULL, NULL);
    munmap(slot->base, slot->bytes);
    slot->base = NULL;
}

static void close_slot(struct lockstep_slot *slot)
{
    unmap_slot(slot);
    close(slot->fd);
}

static void know_slot(struct lockstep_slot *slot)
{
    const struct lockstep_segment_identity *id = (const void *)slot->base;
    slot->seed = seed_of(id);
    slot->frames_at = id->frames_at;
}

static int segment_path(const struct lockstep_writer *w, uint32_t number, char *path, size_t bytes)
{
    int n = number == 0 ? snprintf(path, bytes, "%s/prepare.tmp", w->folder)
                        : snprintf(path, bytes, "%s/%08u.seg", w->folder, number);
    return n > 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

/* No room, no file, no memory: that may pass, and the preparer tries again. A sync that failed may not: what the disk has lost
 * once it loses again, and reports it only the first time. */
static int believed(struct lockstep_writer *w, int result)
{
    return result == 0 ? 0 : fail(w, result);
}

static int make_segment(struct lockstep_writer *w, struct lockstep_slot *slot, uint32_t number, const char *temporary)
{
    char path[LOCKSTEP_FOLDER_BYTES + 32];
    int result = segment_path(w, number, path, sizeof path);
    if (result != 0)
        return result;
    int fd = j_create(temporary);
    if (fd < 0)
        return fd;
    result = j_allocate(fd, w->segment_bytes);
    if (result == 0)
        result = map_slot(slot, fd, number, w->segment_bytes);
    if (result != 0) {
        close(fd);
        return result;
    }
    fill_header(w, slot->base, number);
    know_slot(slot);
    if (w->write_through)
        result = j_fill_zeros(fd, slot->frames_at, slot->bytes, folio_of(w));
    if (result == 0)
        result = believed(w, j_sync(fd));
    if (result == 0)
        result = j_rename(temporary, path);
    if (result == 0) {
        result = j_dirsync(w->folder);
        /* A folder that could not even be opened: nothing was asked of the disk. */
        if (result != -EMFILE && result != -ENFILE)
            result = believed(w, result);
    }
    if (result == 0 && !w->write_through)
        result = j_fill_zeros(fd, slot->frames_at, slot->bytes, folio_of(w));
    if (result != 0) {
        close_slot(slot);
        return result;
    }
    /* Map the pages for writing (a sync has write-protected them again): the appender shall not pay for that. */
    touch(slot, TOUCH_AHEAD);
    return 0;
}

int lockstep_writer_prepare(struct lockstep_writer *w)
{
    char temporary[LOCKSTEP_FOLDER_BYTES + 32];
    int result = failure(w);
    if (result == 0)
        result = segment_path(w, 0, temporary, sizeof temporary);
    if (result != 0)
        return result;
    uint32_t number = __atomic_load_n(&w->segment, __ATOMIC_ACQUIRE) + 1;
    if (number > LOCKSTEP_SEGMENTS_MAX)
        return -EOVERFLOW;
    struct lockstep_slot *slot = slot_of(w, number);
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (state != LOCKSTEP_FREE)
        return state == LOCKSTEP_RETIRED ? -EBUSY : 0;
    result = make_segment(w, slot, number, temporary);
    if (result != 0) {
        unlink(temporary);
        return result;
    }
    __atomic_store_n(&slot->state, LOCKSTEP_PREPARED, __ATOMIC_RELEASE);
    return 0;
}

/* ---- syncer -------------------------------------------------------------------------------------------------- */

/* Sync up to the tail (`whole`), or only folios that the appender has left behind: the one it writes to would be
 * write-protected under its hands, and each page in it fault again. Then not all is durable: what had been written when some
 * round before noted it is, once the appender has left those folios. */
static int sync_round(struct lockstep_writer *w, int whole, uint64_t *durable_seq)
{
    int result = failure(w);
    if (result != 0)
        return result;
    /* In this order: every frame up to `target` stands before `published`. */
    uint64_t target = __atomic_load_n(&w->control->written_seq, __ATOMIC_ACQUIRE);
    uint64_t published = __atomic_load_n(&w->published, __ATOMIC_ACQUIRE);
    uint32_t current = (uint32_t)(published >> 32);
    uint64_t tail = published & UINT32_MAX;
    uint64_t durable = __atomic_load_n(&w->control->durable_seq, __ATOMIC_RELAXED);
    *durable_seq = durable;
    if (current == 0 || (target == durable && w->first_unsynced == current))
        return 0;
    /* A stream that pauses, or flows slowly, has nothing behind it: whoever waits for its last frames shall not wait on. */
    if (w->seen_at == 0 || published - w->seen_at < LOCKSTEP_FOLIO_BYTES)
        whole = 1;
    const uint64_t page = LOCKSTEP_BLOCK_BYTES;
    uint64_t to = whole ? (tail + page - 1) / page * page : tail / folio_of(w) * folio_of(w);
    /* 0 in a new stream, whose first segment is 1. */
    for (uint32_t n = w->first_unsynced ? w->first_unsynced : 1; n <= current; n++) {
        struct lockstep_slot *slot = slot_of(w, n);
        if (n != w->first_unsynced)
            w->synced_to = 0;
        w->first_unsynced = n;
        if (n < current) {
            unmap_slot(slot);
            result = j_sync(slot->fd);
            close(slot->fd);
        } else if (to > w->synced_to) {
            j_let_go(slot->base, w->synced_to, whole ? tail / page * page : to);
            result = j_sync_range(slot->base, w->synced_to, to);
            /* The page of the tail has room for more frames: it is synced again next time. */
            w->synced_to = whole ? tail / page * page : to;
        }
        if (result != 0)
            return fail(w, result);
        if (n < current)
            __atomic_store_n(&slot->state, LOCKSTEP_FREE, __ATOMIC_RELEASE);
    }
    w->seen_at = published;
    if (whole || ((uint64_t)current << 32 | to) >= w->noted_at) {
        durable = whole ? target : w->noted_seq > durable ? w->noted_seq : durable;
        w->noted_at = published;
        w->noted_seq = target;
    }
    __atomic_store_n(&w->control->syncs, w->control->syncs + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&w->control->durable_seq, durable, __ATOMIC_RELEASE);
    *durable_seq = durable;
    return 0;
}

int lockstep_writer_sync(struct lockstep_writer *w, uint64_t *durable_seq) { return sync_round(w, 1, durable_seq); }

int lockstep_writer_sync_behind(struct lockstep_writer *w, uint64_t *durable_seq) { return sync_round(w, 0, durable_seq); }

/* ---- start and end ------------------------------------------------------------------------------------------- */

int lockstep_writer_adopt(struct lockstep_writer *w, uint32_t number, uint32_t state, uint64_t offset)
{
    char path[LOCKSTEP_FOLDER_BYTES + 32];
    struct lockstep_slot *slot = slot_of(w, number);
    struct stat status;
    assert(slot->state == LOCKSTEP_FREE && (state == LOCKSTEP_PREPARED || state == LOCKSTEP_CURRENT));
    int result = segment_path(w, number, path, sizeof path);
    if (result != 0)
        return result;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    result = fstat(fd, &status) == 0 ? 0 : -errno;
    if (result == 0)
        result = map_slot(slot, fd, number, (uint64_t)status.st_size);
    if (result != 0) {
        close(fd);
        return result;
    }
    touch(slot, (state == LOCKSTEP_CURRENT ? offset : 0) + TOUCH_AHEAD);
    know_slot(slot);
    if (state == LOCKSTEP_CURRENT) {
        assert(offset >= slot->frames_at && offset <= slot->bytes - LOCKSTEP_END_BYTES);
        w->base = slot->base;
        w->offset = offset;
        w->limit = slot->bytes - LOCKSTEP_END_BYTES - LOCKSTEP_RESERVE_BYTES;
        w->seed = slot->seed;
        w->first_unsynced = number;
        w->published = (uint64_t)number << 32 | offset;
        __atomic_store_n(&w->control->published, w->published, __ATOMIC_RELEASE);
        __atomic_store_n(&w->segment, number, __ATOMIC_RELEASE);
        __atomic_store_n(&w->control->segment, number, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
    return 0;
}

void lockstep_writer_release(struct lockstep_writer *w)
{
    for (uint32_t i = 0; i < LOCKSTEP_SLOTS; i++)
        if (w->slots[i].base != NULL) {
            close_slot(&w->slots[i]);
            w->slots[i].state = LOCKSTEP_FREE;
        }
    w->base = NULL;
}

/* ---- recovery ------------------------------------------------------------------------------------------------ */

uint64_t lockstep_last_nonzero(const uint8_t *base, uint64_t from, uint64_t to)
{
    while (to > from && to % 8 != 0 && base[to - 1] == 0)
        to--;
    if (to % 8 == 0)
        while (to >= from + 8) {
            uint64_t word;
            memcpy(&word, base + to - 8, sizeof word);
            if (word != 0)
                break;
            to -= 8;
        }
    while (to > from && base[to - 1] == 0)
        to--;
    return to;
}

int lockstep_zero_range(const char *path, uint64_t from, uint64_t to)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct lockstep_slot slot = {0};
    struct stat status;
    int result = fstat(fd, &status) == 0 ? 0 : -errno;
    if (result == 0 && (from > to || to > (uint64_t)status.st_size))
        result = -EINVAL;
    if (result == 0)
        result = map_slot(&slot, fd, 0, (uint64_t)status.st_size);
    if (result != 0) {
        close(fd);
        return result;
    }
    /* The first word, a frame's length, before all others: a frame that was torn because a part of it still holds what stood
     * there before must not become whole while that part is being zeroed. */
    uint64_t word = to - from < 8 ? to - from : 8;
    j_zero(slot.base + from, word);
    result = j_sync(fd);
    if (result == 0) {
        j_zero(slot.base + from + word, to - from - word);
        result = j_sync(fd);
    }
    close_slot(&slot);
    return result;
}
