/* The ring, see ring.h. Memory order in one place:
 *   tail  publisher release -> sequencer acquire: a visible tail means visible bytes
 *   head  sequencer release -> publisher acquire: a visible head means the bytes were copied out
 *   parked/armed: store own word, full fence, load the other's: one of the two sides sees the other (Dekker). */
#define _GNU_SOURCE
#include "sequencer/kernel/ring_private.h"

#include "journal/kernel/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_PAGE_BYTES 4096u
#define RING_VERSION 2u
#define RING_MAGIC 0x676e69726b636f6cULL /* "lockring" */
#define FRAME_BYTES_MAX (1u << 20)
#define AHEAD_BYTES 1024u
#define SPINS_FOR_ROOM 100 /* some microseconds: what is not free then takes longer than a sleep */
/* SourceStateCodes by which the sequencer has closed the ring: quarantined, dead, replaced. A banned publisher's is read on. */
#define STATES_UNREAD (1u << 3 | 1u << 5 | 1u << 6)

_Static_assert(sizeof(struct lockstep_ring_page) <= RING_PAGE_BYTES, "the page holds the control words");
_Static_assert(offsetof(struct lockstep_ring_page, head) == 128, "own lines");
_Static_assert(offsetof(struct lockstep_ring_page, tail) == 256, "own lines");
_Static_assert(offsetof(struct lockstep_ring_page, armed) == 384, "own lines");
_Static_assert(offsetof(struct lockstep_ring_page, parked) == 512, "own lines");
_Static_assert(offsetof(struct lockstep_ring_page, accepted_source_seq) == 640, "own lines");
_Static_assert(sizeof(struct lockstep_frame) == 64, "header");

int32_t lockstep_ring_create(uint64_t ring_bytes, uint16_t source, uint32_t incarnation) {
    if (ring_bytes < RING_PAGE_BYTES || (ring_bytes & (ring_bytes - 1)) != 0 || ring_bytes > (1ULL << 32)) return -EINVAL;
    int fd = memfd_create("lockstep-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)(RING_PAGE_BYTES + ring_bytes)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    struct lockstep_ring_page *page = mmap(NULL, RING_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        int error = errno;
        close(fd);
        return -error;
    }
    page->magic = RING_MAGIC;
    page->ring_bytes = ring_bytes;
    page->incarnation = incarnation;
    page->source = source;
    page->version = RING_VERSION;
    munmap(page, RING_PAGE_BYTES);
    return fd;
}

int32_t lockstep_ring_map(int32_t fd, struct lockstep_ring *ring) {
    struct stat st;
    memset(ring, 0, sizeof *ring);
    if (fstat(fd, &st) < 0) return -errno;
    uint64_t bytes = (uint64_t)st.st_size - RING_PAGE_BYTES;
    if (st.st_size <= (off_t)RING_PAGE_BYTES || (bytes & (bytes - 1)) != 0) return -EINVAL;
    /* One reservation, three mappings into it: page, data, data again. */
    uint8_t *base = mmap(NULL, RING_PAGE_BYTES + 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return -errno;
    uint8_t *data = base + RING_PAGE_BYTES;
    int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    if (mmap(base, RING_PAGE_BYTES + bytes, prot, flags | MAP_POPULATE, fd, 0) == MAP_FAILED ||
        mmap(data + bytes, bytes, prot, flags | MAP_POPULATE, fd, RING_PAGE_BYTES) == MAP_FAILED) {
        int error = errno;
        munmap(base, RING_PAGE_BYTES + 2 * bytes);
        return -error;
    }
    ring->page = (struct lockstep_ring_page *)base;
    ring->data = data;
    ring->ring_bytes = bytes;
    if (ring->page->magic != RING_MAGIC || ring->page->version != RING_VERSION || ring->page->ring_bytes != bytes) {
        lockstep_ring_unmap(ring);
        return -EINVAL;
    }
    return 0;
}

void lockstep_ring_unmap(struct lockstep_ring *ring) {
    if (ring->page) munmap(ring->page, RING_PAGE_BYTES + 2 * ring->ring_bytes);
    memset(ring, 0, sizeof *ring);
}

void lockstep_producer_init(struct lockstep_producer *p, int32_t wake_fd, int32_t client_fd) {
    p->tail = p->committed = p->replayed = load_acquire(&p->ring.page->tail);
    p->head_seen = load_acquire(&p->ring.page->head);
    p->woken = p->wakes = 0;
    p->next_source_seq = 1;
    p->in_batch = 0;
    p->next_ticket = 0;
    p->wake_fd = wake_fd;
    p->client_fd = client_fd;
    p->frame_bytes_max = p->ring.ring_bytes / 2 < FRAME_BYTES_MAX ? (uint32_t)(p->ring.ring_bytes / 2) : FRAME_BYTES_MAX;
}

static inline uint64_t what_of(uint64_t kind, uint64_t version, uint64_t flags) { return kind | version << 16 | flags << 32; }

static inline int has_room(struct lockstep_producer *p, uint64_t length) {
    if (__builtin_expect(p->tail + length - p->head_seen <= p->ring.ring_bytes, 1)) return 1;
    p->head_seen = load_acquire(&p->ring.page->head);
    return p->tail + length - p->head_seen <= p->ring.ring_bytes;
}

int32_t lockstep_producer_room(struct lockstep_producer *p, uint64_t length) { return has_room(p, length); }

/* The record's words one by one, each stored once from a register. The lines were last read by the sequencer's core: ask for
 * those further on, to own them by the time they are written. */
static inline int32_t put(struct lockstep_producer *p, uint64_t what, int64_t origin_ts, uint64_t source_seq, uint64_t cause,
                          const uint8_t *body, uint64_t body_bytes) {
    uint64_t length = 64 + ((body_bytes + 7) & ~7ULL);
    if (__builtin_expect(body_bytes > FRAME_BYTES_MAX || length > p->frame_bytes_max, 0)) return LOCKSTEP_PUT_OVERSIZED;
    if (__builtin_expect(!has_room(p, length), 0)) return LOCKSTEP_PUT_FULL;
    uint64_t *at = (uint64_t *)(void *)(p->ring.data + (p->tail & (p->ring.ring_bytes - 1)));
    for (uint64_t ahead = 0; ahead < length && ahead < 512; ahead += 64)
        __builtin_prefetch((const uint8_t *)at + AHEAD_BYTES + ahead, 1);
    at[0] = length;
    at[1] = what & 0xFFFFFFFFFFFF; /* behind kind, version and flags stands the source: the sequencer's to fill in */
    at[2] = at[3] = 0;
    at[4] = (uint64_t)origin_ts;
    at[5] = source_seq;
    at[6] = cause;
    at[7] = 0;
    uint64_t *to = at + 8;
    for (; body_bytes >= 8; body_bytes -= 8, body += 8) memcpy(to++, body, 8);
    if (body_bytes) {
        *to = 0;
        memcpy(to, body, body_bytes);
    }
    p->tail += length;
    return LOCKSTEP_PUT_OK;
}

int32_t lockstep_producer_put(struct lockstep_producer *p, uint16_t kind, uint16_t version, uint16_t flags, int64_t origin_ts,
                              uint64_t source_seq, uint64_t cause, const uint8_t *body, uint64_t body_bytes) {
    return put(p, what_of(kind, version, flags), origin_ts, source_seq, cause, body, body_bytes);
}

int32_t lockstep_producer_commit(struct lockstep_producer *p) {
    if (p->tail == p->committed) return 0;
    store_release(&p->ring.page->tail, p->tail);
    p->committed = p->tail;
    full_fence();
    uint64_t ticket = load_relaxed(&p->ring.page->parked);
    if (ticket == 0 || ticket == p->woken) return 0;
    p->woken = ticket;
    p->wakes++;
    wake_write(p->wake_fd);
    return 1;
}

/* After a commit: `result`, or that nobody reads this ring any more. */
static inline int64_t unless_refused(const struct lockstep_producer *p, int64_t result) {
    uint64_t state = load_relaxed(&p->ring.page->state) & 31;
    return __builtin_expect(STATES_UNREAD >> state & 1, 0) ? LOCKSTEP_PUT_REFUSED - (int64_t)state : result;
}

int64_t lockstep_producer_send(struct lockstep_producer *p, uint64_t what, const uint8_t *body, uint64_t body_bytes,
                               uint64_t cause, int64_t origin_ts) {
    uint64_t number = p->next_source_seq;
    int32_t result = put(p, what, origin_ts, number, cause, body, body_bytes);
    if (__builtin_expect(result != LOCKSTEP_PUT_OK, 0)) return result;
    p->next_source_seq = number + 1;
    if (p->in_batch) return (int64_t)number;
    lockstep_producer_commit(p);
    return unless_refused(p, (int64_t)number);
}

int64_t lockstep_producer_send_rows(struct lockstep_producer *p, uint64_t what, const uint8_t *rows, uint64_t row_bytes,
                                    uint64_t count, uint64_t cause, int64_t origin_ts) {
    uint64_t n = 0;
    int32_t result = LOCKSTEP_PUT_OK;
    while (n < count && (result = put(p, what, origin_ts, p->next_source_seq, cause, rows, row_bytes)) == LOCKSTEP_PUT_OK) {
        p->next_source_seq++;
        rows += row_bytes;
        n++;
    }
    if (n == 0 && result == LOCKSTEP_PUT_OVERSIZED) return result;
    if (p->in_batch) return (int64_t)n;
    lockstep_producer_commit(p);
    return unless_refused(p, (int64_t)n);
}

static uint64_t arm(struct lockstep_producer *p, uint64_t wanted) {
    uint64_t ticket = ++p->next_ticket;
    store_relaxed(&p->ring.page->wanted, wanted);
    store_release(&p->ring.page->armed, ticket);
    full_fence();
    return ticket;
}

uint64_t lockstep_producer_arm(struct lockstep_producer *p) { return arm(p, 0); }

void lockstep_producer_arm_room(struct lockstep_producer *p, uint64_t length) {
    uint64_t end = p->tail + length;
    arm(p, end > p->ring.ring_bytes ? end - p->ring.ring_bytes : 0);
}

void lockstep_producer_disarm(struct lockstep_producer *p) { store_release(&p->ring.page->armed, 0); }

int32_t lockstep_producer_replay(struct lockstep_producer *p, struct lockstep_producer *old, uint64_t after, uint64_t *first,
                                 uint64_t *last) {
    uint64_t head = load_acquire(&old->ring.page->head);
    /* The head is the sequencer's to write; one that lies outside what we wrote is a scribble, and all is put again. */
    if (head > old->tail || old->tail - head > old->ring.ring_bytes)
        head = old->tail > old->ring.ring_bytes ? old->tail - old->ring.ring_bytes : 0;
    if (old->replayed < head) old->replayed = head;
    while (old->replayed < old->tail) {
        const uint8_t *at = old->ring.data + (old->replayed & (old->ring.ring_bytes - 1));
        struct lockstep_frame h;
        memcpy(&h, at, sizeof h);
        if (h.length < 64 || (h.length & 7) != 0 || h.length > old->tail - old->replayed) return LOCKSTEP_PUT_OVERSIZED;
        if (h.source_seq > after) {
            int32_t put = lockstep_producer_put(p, h.kind, h.version, h.flags, h.origin_ts, h.source_seq, h.cause, at + 64,
                                                h.length - 64);
            if (put != LOCKSTEP_PUT_OK) return put;
            if (*first == 0) *first = h.source_seq;
            *last = h.source_seq;
        }
        old->replayed += h.length;
    }
    return LOCKSTEP_PUT_OK;
}

void lockstep_producer_saw(struct lockstep_producer *p, uint64_t seq) { store_relaxed(&p->ring.page->seen_seq, seq); }

void lockstep_producer_waits(struct lockstep_producer *p) {
    uint64_t *waits = &p->ring.page->full_waits;
    store_relaxed(waits, load_relaxed(waits) + 1);
}

int32_t lockstep_producer_wait_room(struct lockstep_producer *p, uint64_t length, int64_t patience_ns) {
    lockstep_producer_commit(p);
    if (lockstep_producer_room(p, length)) return 1;
    lockstep_producer_waits(p);
    for (int i = 0; i < SPINS_FOR_ROOM; i++) {
        if (lockstep_producer_room(p, length)) return 1;
        cpu_pause();
    }
    int64_t end = lockstep_mono_ns(NULL) + patience_ns;
    int room = 0;
    while (!room) {
        lockstep_producer_arm_room(p, length);
        if ((room = lockstep_producer_room(p, length)) != 0) break;
        int64_t left = end - lockstep_mono_ns(NULL);
        if (left <= 0) break;
        struct pollfd fd = {.fd = p->client_fd, .events = POLLIN};
        struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        uint64_t count;
        if (ppoll(&fd, 1, &t, NULL) > 0 && read(p->client_fd, &count, sizeof count) < 0 && errno != EAGAIN) break;
    }
    lockstep_producer_disarm(p);
    return room;
}

uint64_t lockstep_producer_flood(struct lockstep_producer *p, uint16_t kind, uint64_t source_seq, uint64_t count,
                                 uint64_t batch, int64_t patience_ns) {
    uint64_t body[8] = {0}, open = 0, n = 0;
    int64_t now = lockstep_wall_ns(NULL);
    assert(batch > 0);
    for (; n < count; n++) {
        body[0] = source_seq + n;
        while (put(p, what_of(kind, 1, 1), now, source_seq + n, 0, (const uint8_t *)body, sizeof body) != 0) {
            if (!lockstep_producer_wait_room(p, p->ring.ring_bytes / 2, patience_ns)) return n;
            open = 0;
        }
        if (++open == batch) {
            lockstep_producer_commit(p);
            open = 0;
            now = lockstep_wall_ns(NULL);
        }
    }
    lockstep_producer_commit(p);
    return n;
}

uint64_t lockstep_producer_ping(struct lockstep_producer *p, const uint64_t *written_seq, uint16_t kind, uint64_t source_seq,
                                uint64_t count, int64_t gap_ns, int64_t patience_ns, int64_t *ns) {
    uint64_t body[8] = {0};
    for (uint64_t n = 0; n < count; n++) {
        int64_t quiet = lockstep_mono_ns(NULL) + gap_ns, start;
        while ((start = lockstep_mono_ns(NULL)) < quiet) cpu_pause();
        uint64_t accepted = source_seq + n, before = load_acquire(written_seq);
        start = lockstep_mono_ns(NULL);
        if (lockstep_producer_put(p, kind, 1, 1, 0, accepted, 0, (const uint8_t *)body, sizeof body) != 0) return n;
        lockstep_producer_commit(p);
        while (load_acquire(written_seq) == before || load_acquire(&p->ring.page->accepted_source_seq) < accepted) {
            if (lockstep_mono_ns(NULL) - start > patience_ns) return n;
        }
        ns[n] = lockstep_mono_ns(NULL) - start;
    }
    return count;
}

void lockstep_page_words(const struct lockstep_ring_page *page, uint64_t words[10]) {
    const uint64_t *from[10] = {
        &page->head, &page->tail, &page->armed, &page->parked, &page->accepted_source_seq, &page->accepted_seq,
        &page->rejected, &page->duplicates, &page->last_reject_reason, &page->state,
    };
    for (int i = 0; i < 10; i++) words[i] = load_acquire(from[i]);
}

void lockstep_page_tail(struct lockstep_ring_page *page, uint64_t tail) { store_release(&page->tail, tail); }
