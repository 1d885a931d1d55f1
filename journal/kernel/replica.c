/* The replica: see replica.h. Its slow, obvious twin is tests/journal/replica_model.py. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "crc32c.h"
#include "disk.h"
#include "messages.h"
#include "segment.h"
#include "writer.h"
#include "replica.h"

static const uint32_t END = 0xFFFFFFFF;

enum { WITHHELD = 8 };

static int refuse(struct lockstep_replica_verdict *v, uint32_t state, uint64_t expected, uint64_t found)
{
    v->state = state;
    v->expected = expected;
    v->found = found;
    return -EBADMSG;
}

static struct lockstep_slot *slot_of(struct lockstep_writer *w, uint32_t number)
{
    return &w->slots[number % LOCKSTEP_SLOTS];
}

/* ---- segments ------------------------------------------------------------------------------------------------- */

static void touch(uint8_t *base, uint64_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0)
        return;
#endif
    for (uint64_t at = 0; at < bytes; at += 4096)
        __atomic_fetch_or(base + at, 0, __ATOMIC_RELAXED);
}

static void close_slot(struct lockstep_slot *slot)
{
    J_TRACE(J_UNMAPPED, slot->base, NULL, slot->bytes, slot->fd, NULL, NULL);
    munmap(slot->base, slot->bytes);
    close(slot->fd);
    slot->base = NULL;
}

static int make(struct lockstep_writer *w, struct lockstep_slot *slot, const uint8_t *head, uint64_t frames_at,
                const char *temporary, const char *path)
{
    const struct lockstep_segment_identity *id = (const void *)head;
    int fd = j_create(temporary);
    if (fd < 0)
        return fd;
    int result = j_allocate(fd, id->segment_bytes);
    void *base = MAP_FAILED;
    if (result == 0) {
        base = mmap(NULL, id->segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        result = base == MAP_FAILED ? -errno : 0;
    }
    if (result != 0) {
        close(fd);
        return result;
    }
    J_TRACE(J_MAPPED, base, NULL, id->segment_bytes, fd, NULL, NULL);
    *slot = (struct lockstep_slot){.base = base, .bytes = id->segment_bytes, .state = LOCKSTEP_FREE, .number = id->number,
                                   .frames_at = id->frames_at, .fd = fd};
    slot->seed = lockstep_crc32c(0, &id->stream_id, sizeof id->stream_id);
    slot->seed = lockstep_crc32c(slot->seed, &id->nonce, sizeof id->nonce);
    slot->seed = lockstep_crc32c(slot->seed, &id->number, sizeof id->number);
    j_store(base, head, frames_at);
    if (w->write_through)
        result = j_fill_zeros(fd, frames_at, slot->bytes, LOCKSTEP_FOLIO_BYTES);
    if (result == 0)
        result = j_sync(fd);
    if (result == 0)
        result = j_rename(temporary, path);
    if (result == 0)
        result = j_dirsync(w->folder);
    if (result == 0 && !w->write_through)
        result = j_fill_zeros(fd, frames_at, slot->bytes, LOCKSTEP_FOLIO_BYTES);
    if (result != 0) {
        close_slot(slot);
        return result;
    }
    touch(slot->base, slot->bytes);
    return 0;
}

int lockstep_replica_prepare(struct lockstep_writer *w, const uint8_t *head, uint64_t frames_at)
{
    char temporary[LOCKSTEP_FOLDER_BYTES + 32], path[LOCKSTEP_FOLDER_BYTES + 32];
    const struct lockstep_segment_identity *id = (const void *)head;
    uint32_t number = __atomic_load_n(&w->segment, __ATOMIC_ACQUIRE) + 1;
    struct lockstep_slot *slot = slot_of(w, number);
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    int failed = __atomic_load_n(&w->failed, __ATOMIC_ACQUIRE);
    assert(id->number == number && id->frames_at == frames_at);
    if (failed != 0)
        return -failed;
    if (state != LOCKSTEP_FREE)
        return state == LOCKSTEP_RETIRED ? -EBUSY : -EEXIST;
    int n = snprintf(temporary, sizeof temporary, "%s/prepare.tmp", w->folder);
    int m = snprintf(path, sizeof path, "%s/%08u.seg", w->folder, number);
    if (n < 0 || m < 0 || (size_t)n >= sizeof temporary || (size_t)m >= sizeof path)
        return -ENAMETOOLONG;
    int result = make(w, slot, head, frames_at, temporary, path);
    if (result != 0) {
        unlink(temporary);
        return result;
    }
    __atomic_store_n(&slot->state, LOCKSTEP_PREPARED, __ATOMIC_RELEASE);
    return 0;
}

int lockstep_replica_discard(struct lockstep_writer *w)
{
    char path[LOCKSTEP_FOLDER_BYTES + 32];
    struct lockstep_slot *slot = slot_of(w, w->segment + 1);
    if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != LOCKSTEP_PREPARED || slot->number != w->segment + 1)
        return 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%08u.seg", w->folder, slot->number) >= sizeof path)
        return -ENAMETOOLONG;
    close_slot(slot);
    __atomic_store_n(&slot->state, LOCKSTEP_FREE, __ATOMIC_RELEASE);
    if (unlink(path) != 0)
        return -errno;
    return j_dirsync(w->folder);
}

/* ---- open record and end marker ------------------------------------------------------------------------------- */

static struct lockstep_open_record *record_of(const struct lockstep_slot *slot)
{
    return (struct lockstep_open_record *)(slot->base + LOCKSTEP_OPEN_AT);
}

static void enter(struct lockstep_writer *w, struct lockstep_slot *next)
{
    __atomic_store_n(&next->state, LOCKSTEP_CURRENT, __ATOMIC_RELEASE);
    w->base = next->base;
    w->offset = next->frames_at;
    w->limit = next->bytes - LOCKSTEP_END_BYTES;
    w->seed = next->seed;
    __atomic_store_n(&w->segment, next->number, __ATOMIC_RELEASE);
    __atomic_store_n(&w->control->segment, next->number, __ATOMIC_RELEASE);
}

int lockstep_replica_open(struct lockstep_writer *w, const struct lockstep_open_record *record,
                          struct lockstep_replica_verdict *v)
{
    struct lockstep_slot *next = slot_of(w, w->segment + 1);
    *v = (struct lockstep_replica_verdict){0};
    if (__atomic_load_n(&next->state, __ATOMIC_ACQUIRE) != LOCKSTEP_PREPARED || next->number != w->segment + 1)
        return refuse(v, LOCKSTEP_REPLICA_BAD_OPEN, w->segment + 1, 0);
    uint32_t crc = lockstep_crc32c(0, next->base, sizeof(struct lockstep_segment_identity));
    crc = lockstep_crc32c(crc, record, offsetof(struct lockstep_open_record, open_crc));
    if (crc != record->open_crc)
        return refuse(v, LOCKSTEP_REPLICA_BAD_OPEN, crc, record->open_crc);
    if (record->first_seq != w->last_seq + 1)
        return refuse(v, LOCKSTEP_REPLICA_BAD_SEQ, w->last_seq + 1, record->first_seq);
    if (record->prev_last_crc != w->last_crc || record->prev_last_ts != w->last_ts)
        return refuse(v, LOCKSTEP_REPLICA_BAD_CHAIN, w->last_crc, record->prev_last_crc);
    if (record->epoch < w->epoch)
        return refuse(v, LOCKSTEP_REPLICA_BAD_EPOCH, w->epoch, record->epoch);
    j_store(record_of(next), record, offsetof(struct lockstep_open_record, open_crc));
    j_publish32(&record_of(next)->open_crc, record->open_crc);
    if (w->base == NULL) {
        enter(w, next);
        lockstep_writer_publish_watermark(w);
    }
    return 0;
}

int lockstep_replica_end(struct lockstep_writer *w, const struct lockstep_end_marker *marker,
                         struct lockstep_replica_verdict *v)
{
    *v = (struct lockstep_replica_verdict){0};
    struct lockstep_slot *next = slot_of(w, w->segment + 1);
    if (w->base == NULL)
        return refuse(v, LOCKSTEP_REPLICA_BAD_END, 1, 0);
    if (marker->length != END || marker->next_seq != w->last_seq + 1)
        return refuse(v, LOCKSTEP_REPLICA_BAD_END, w->last_seq + 1, marker->next_seq);
    uint32_t crc = lockstep_frame_crc(w->seed, END, marker, sizeof *marker);
    if (crc != marker->crc32c)
        return refuse(v, LOCKSTEP_REPLICA_BAD_END, crc, marker->crc32c);
    if (__atomic_load_n(&next->state, __ATOMIC_ACQUIRE) != LOCKSTEP_PREPARED || record_of(next)->first_seq != marker->next_seq)
        return refuse(v, LOCKSTEP_REPLICA_BAD_OPEN, w->segment + 1, 0);
    struct lockstep_end_marker *at = (struct lockstep_end_marker *)(w->base + w->offset);
    j_store((uint8_t *)at + 4, (const uint8_t *)marker + 4, sizeof *marker - 4);
    j_publish32(&at->length, END);
    __atomic_store_n(&slot_of(w, w->segment)->state, LOCKSTEP_RETIRED, __ATOMIC_RELEASE);
    enter(w, next);
    lockstep_writer_publish_watermark(w);
    return 0;
}

/* ---- frames --------------------------------------------------------------------------------------------------- */

uint64_t lockstep_replica_place(struct lockstep_writer *w, struct lockstep_replica_run *run, uint8_t **at)
{
    *at = NULL;
    if (w->base == NULL)
        return 0;
    if (run->held < WITHHELD) {
        *at = run->head + run->held;
        return WITHHELD - run->held;
    }
    *at = w->base + w->offset + run->held;
    return w->limit - w->offset - run->held;
}

struct seen {
    uint64_t frames;
    uint64_t bytes;
    int64_t  ts;
    uint32_t crc;
    uint32_t epoch;
};

/* The whole frames of a run, before any of them is shown. */
static int check(const struct lockstep_writer *w, const struct lockstep_replica_run *run, struct seen *s,
                 struct lockstep_replica_verdict *v)
{
    const uint8_t *base = w->base + w->offset;
    uint64_t room = w->limit - w->offset;
    while (run->held - s->bytes >= WITHHELD) {
        const uint8_t *head = s->bytes == 0 ? run->head : base + s->bytes;
        const struct lockstep_frame *f = (const void *)(base + s->bytes);
        uint32_t length, crc;
        memcpy(&length, head, sizeof length);
        memcpy(&crc, head + 4, sizeof crc);
        if (length % 8 != 0 || length < LOCKSTEP_HEAD_BYTES || length > LOCKSTEP_FRAME_BYTES_MAX || length > room - s->bytes)
            return refuse(v, LOCKSTEP_REPLICA_BAD_LENGTH, room - s->bytes, length);
        if (length > run->held - s->bytes)
            return 0;
        uint32_t expected = lockstep_frame_crc(w->seed, length, f, length);
        if (__builtin_expect(expected != crc, 0))
            return refuse(v, LOCKSTEP_REPLICA_BAD_CRC, expected, crc);
        if (__builtin_expect(f->seq != w->last_seq + 1 + s->frames, 0))
            return refuse(v, LOCKSTEP_REPLICA_BAD_SEQ, w->last_seq + 1 + s->frames, f->seq);
        if (__builtin_expect(f->ts <= s->ts, 0))
            return refuse(v, LOCKSTEP_REPLICA_BAD_TS, (uint64_t)s->ts + 1, (uint64_t)f->ts);
        if (__builtin_expect(f->epoch < s->epoch, 0))
            return refuse(v, LOCKSTEP_REPLICA_BAD_EPOCH, s->epoch, f->epoch);
        *s = (struct seen){s->frames + 1, s->bytes + length, f->ts, crc, f->epoch};
    }
    return 0;
}

/* Take the first bytes of the frame that is not whole yet out of the map: its length must not be seen. */
static void withhold(struct lockstep_writer *w, struct lockstep_replica_run *run, uint64_t shown)
{
    uint8_t *at = w->base + w->offset + shown;
    run->held -= shown;
    uint64_t n = run->held < WITHHELD ? run->held : WITHHELD;
    memcpy(run->head, at, n);
    if (n != 0)
        j_zero(at, n);
}

int lockstep_replica_advance(struct lockstep_writer *w, struct lockstep_replica_run *run, uint64_t bytes,
                             struct lockstep_replica_verdict *v)
{
    *v = (struct lockstep_replica_verdict){0};
    struct seen s = {.ts = w->last_ts, .crc = w->last_crc, .epoch = w->epoch};
    assert(w->base != NULL && run->held + bytes <= w->limit - w->offset);
    run->held += bytes;
    int result = check(w, run, &s, v);
    if (result != 0) {
        lockstep_replica_clear(w, run);
        return result;
    }
    if (s.frames == 0)
        return 0;
    uint8_t first[WITHHELD];
    memcpy(first, run->head, WITHHELD);
    uint8_t *at = w->base + w->offset;
    withhold(w, run, s.bytes);
    uint32_t length;
    memcpy(&length, first, sizeof length);
    w->last_seq += s.frames;
    w->last_ts = s.ts;
    w->last_crc = s.crc;
    w->epoch = s.epoch;
    w->offset += s.bytes;
    j_store(at + 4, first + 4, WITHHELD - 4);
    j_publish32((uint32_t *)at, length);
    lockstep_writer_publish_watermark(w);
    v->frames = s.frames;
    v->lag_ns = lockstep_wall_ns(NULL) - w->last_ts;
    return 0;
}

int64_t lockstep_replica_receive(struct lockstep_writer *w, struct lockstep_replica_run *run, int fd, uint64_t bytes,
                                 struct lockstep_replica_verdict *v)
{
    struct iovec part[2];
    int parts = 0;
    uint64_t held = run->held, room = w->base == NULL ? 0 : w->limit - w->offset;
    *v = (struct lockstep_replica_verdict){0};
    if (bytes == 0 || bytes > room - held)
        return refuse(v, LOCKSTEP_REPLICA_BAD_LENGTH, room - held, bytes);
    uint64_t left = bytes;
    if (held < WITHHELD) {
        uint64_t n = left < WITHHELD - held ? left : WITHHELD - held;
        part[parts++] = (struct iovec){run->head + held, n};
        left -= n;
        held += n;
    }
    if (left != 0)
        part[parts++] = (struct iovec){w->base + w->offset + held, left};
    struct msghdr message = {.msg_iov = part, .msg_iovlen = (size_t)parts};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    if (n <= 0)
        return n == 0 ? 0 : -errno;
    int result = lockstep_replica_advance(w, run, (uint64_t)n, v);
    return result != 0 ? result : n;
}

void lockstep_replica_clear(struct lockstep_writer *w, struct lockstep_replica_run *run)
{
    if (w->base != NULL && run->held != 0)
        j_zero(w->base + w->offset, run->held);
    *run = (struct lockstep_replica_run){0};
}

uint64_t lockstep_replica_spin(const struct lockstep_control *control, uint64_t seen, int64_t spin_ns)
{
    int64_t end = lockstep_mono_ns(NULL) + spin_ns;
    uint64_t found;
    while ((found = __atomic_load_n(&control->published, __ATOMIC_ACQUIRE)) == seen && lockstep_mono_ns(NULL) < end)
        ;
    return found;
}
