/* Two threads over segments of random frames, whole and damaged: what is found with a thread ahead is what a loop finds, and ends
 * where the reader alone ends. Usage: ahead_driver SEED ROUNDS. Prints "ok" when all was as expected. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/kernel/crc32c.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/ahead.h"

#define EXPECT(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

enum { BYTES = 1 << 19, FRAMES_MAX = BYTES / 64, SEED = 77 };

static uint64_t state;
static uint16_t kinds[65536], sources[65536];
static uint8_t *data;
static struct lockstep_ref frames[FRAMES_MAX]; /* all sound ones, by seq */
static uint64_t sound;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static const struct lockstep_frame *frame(uint64_t seq)
{
    return (const void *)(data + frames[seq - 1].offset);
}

/* A segment from its first byte on, and at the end of its frames nothing, or an end marker. */
static uint64_t fill(void)
{
    memset(data, 0, BYTES);
    uint64_t at = 0, seq = 0, to = BYTES - 4096 - random64() % (BYTES / 2);
    int64_t ts = 0;
    while (at < to) {
        struct lockstep_frame *f = (void *)(data + at);
        f->seq = ++seq;
        f->ts = ts += 1 + (int64_t)(random64() % 3);
        f->kind = (uint16_t)(random64() % 40);
        f->source = (uint16_t)(random64() % 9);
        f->epoch = 1;
        uint32_t length = (uint32_t)(64 + random64() % 20 * 8);
        f->crc32c = lockstep_frame_crc(SEED, length, f, length);
        f->length = length;
        at += length;
    }
    if (random64() % 2) {
        struct lockstep_end_marker *end = (void *)(data + at);
        end->next_seq = seq + 1;
        end->crc32c = lockstep_frame_crc(SEED, UINT32_MAX, end, sizeof *end);
        end->length = UINT32_MAX;
    }
    return at;
}

static struct lockstep_reader reader(uint64_t written)
{
    static const struct lockstep_reader fresh;
    struct lockstep_reader r = fresh;
    r.base = data;
    r.bytes = BYTES;
    r.next_seq = 1;
    r.seed = SEED;
    r.verify = 1;
    r.ahead_to = random64() % 4 ? written : written / 2;
    return r;
}

/* What a find says it passed over and found. */
static void check(const struct lockstep_interest *i, uint64_t from, uint64_t to, const struct lockstep_found *found, uint32_t n)
{
    uint32_t seen = 0;
    for (uint64_t seq = from; seq <= to; seq++) {
        const struct lockstep_ref *ref = &frames[seq - 1];
        if (!(i->kinds[ref->kind] | i->sources[ref->source]) && ref->ts < i->ts && seq != i->seq)
            continue;
        EXPECT(seen < n && memcmp(&found[seen].ref, ref, sizeof *ref) == 0);
        EXPECT(found[seen++].ts_before == (seq > 1 ? frames[seq - 2].ts : 0));
    }
    EXPECT(seen == n);
}

static uint64_t one_round(void)
{
    const uint64_t written = fill(), every = 1 + random64() % 600, part = 1 + random64() % 30;
    for (int k = 0; k < 65536; k++) {
        kinds[k] = random64() % 40 < part / 10;
        sources[k] = random64() % 40 < part / 10;
    }
    if (random64() % 3 == 0)
        data[random64() % written] ^= (uint8_t)(1 + random64() % 255);
    struct lockstep_reader alone = reader(written), r = reader(written);
    sound = lockstep_reader_poll(&alone, frames, FRAMES_MAX, UINT64_MAX, UINT64_MAX);
    const struct lockstep_interest fixed = {kinds, sources, 0, 0};
    struct lockstep_ahead *a = lockstep_ahead_start(&r, &fixed, every, 1);
    EXPECT(a != NULL);
    EXPECT(lockstep_ahead_start(&r, &fixed, every, written + 1) == NULL);
    uint64_t taken = 0;
    const uint64_t stop_at = random64() % 4 ? UINT64_MAX : random64() % (sound + 1), sleepy = random64() % 3;
    do {
        if (sleepy && random64() % 200 == 0)
            usleep((unsigned)(random64() % 300));
        const uint64_t first = r.next_seq, digest = (first + every - 1) / every * every;
        const int64_t due = random64() % 4 ? INT64_MAX : r.last_ts + (int64_t)(random64() % 900);
        const struct lockstep_interest i = {kinds, sources, due, digest};
        const uint64_t limit = random64() % 10 ? digest : first + random64() % 50;
        struct lockstep_found found[LOCKSTEP_PORTION_FOUND];
        uint32_t n = lockstep_ahead_find(a, &r, &i, found, limit < digest ? limit : digest);
        EXPECT(r.next_seq > first || r.state != LOCKSTEP_MORE);
        EXPECT(r.next_seq - 1 <= digest && r.next_seq - 1 <= (limit < digest ? limit : digest) && r.verify == 1);
        check(&i, first, r.next_seq - 1, found, n);
        if (r.next_seq > 1) {
            const struct lockstep_frame *last = frame(r.next_seq - 1);
            EXPECT(r.offset == (uint64_t)((const uint8_t *)last - data) + last->length);
            EXPECT(r.last_ts == last->ts && r.last_crc == last->crc32c && r.epoch == last->epoch);
        }
        taken += r.next_seq - first;
        if (n > 0 && random64() % 20 == 0)
            lockstep_reader_stand_behind(&r, found[random64() % n].ref.offset);
    } while (r.state == LOCKSTEP_MORE && r.next_seq <= stop_at);
    if (r.state != LOCKSTEP_MORE)
        EXPECT(r.state == alone.state && r.next_seq == alone.next_seq && r.offset == alone.offset &&
               r.expected == alone.expected && r.found == alone.found);
    lockstep_ahead_end(a);
    return taken;
}

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return 77;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252u;
    data = malloc(BYTES);
    uint64_t taken = 0;
    for (int round = atoi(argv[2]); round > 0; round--)
        taken += one_round();
    free(data);
    EXPECT(taken > 0);
    puts("ok");
    return 0;
}
