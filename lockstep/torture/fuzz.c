/* Hostile bytes against the production loop and reader, under AddressSanitizer. See fuzz.py.
 *
 *   fuzz CORPUS RULES RULES_COUNT FOLDER SEED SECONDS
 *
 * CORPUS: frames (64-byte head, body) one behind the other. Each round copies some of them into a ring, spoils bytes, lengths
 * or the tail, and turns the loop; what came into the journal must be what stood in the ring. Then a copy of the journal's
 * segment is spoiled and read: a reader may stop, it must not crash, nor deliver a frame that was never written. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sequencer/kernel/flow_private.h"
#include "journal/kernel/reader.h"

enum { RING = 1 << 16, SEGMENT = 1 << 20, RECORDS = 4096 };

static uint64_t state;
static uint64_t draw(uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static uint8_t *slurp(const char *path, uint64_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) exit(3);
    fseek(file, 0, SEEK_END);
    *bytes = (uint64_t)ftell(file);
    rewind(file);
    uint8_t *data = aligned_alloc(64, (*bytes + 63) / 64 * 64 + 64);
    if (fread(data, 1, *bytes, file) != *bytes) exit(3);
    fclose(file);
    return data;
}

static uint8_t *corpus; /* static, so that nothing leaks at the end */
static struct lockstep_loop loop;
static struct lockstep_writer writer;
static struct lockstep_control control;
static struct lockstep_source source;
static uint64_t frames, refused, deaths, stops, checked;

static void attach(struct lockstep_lane *lane, uint32_t incarnation) {
    int fd = lockstep_ring_create(RING, 1, incarnation);
    memset(lane, 0, sizeof *lane);
    assert(fd >= 0 && lockstep_ring_map(fd, &lane->ring) == 0);
    close(fd);
    source.incarnation = incarnation;
    lane->source = &source;
    lane->client_fd = -1;
    lane->used = 1;
    lane->state = STATE_ATTACHED;
}

/* Every frame of our source from `from` on says what a record of the ring's copy says. */
static void compare(const uint8_t *from, const uint8_t *to, const uint8_t *copy, uint64_t copied_bytes) {
    while (from < to) {
        struct lockstep_frame f;
        memcpy(&f, from, sizeof f);
        assert(f.length >= 64 && f.length % 8 == 0 && f.length <= (uint64_t)(to - from));
        if (f.source == 1) {
            const uint8_t *at = memmem(copy, copied_bytes, from + 64, f.length - 64);
            assert(f.length == 64 || at != NULL);
            /* Kinds of users have no rule of ours. */
            assert(f.kind >= USER_KIND_MIN || (f.kind < loop.rules_count && loop.rules[f.kind].known));
            assert(f.kind >= USER_KIND_MIN || lockstep_check_body(&loop.rules[f.kind], from + 64, f.length - 64) == 0);
            frames++;
        }
        from += f.length;
    }
}

static void read_spoiled(void) {
    static uint8_t copy[SEGMENT];
    static struct lockstep_ref refs[65536];
    struct lockstep_slot *slot = &writer.slots[writer.segment % LOCKSTEP_SLOTS];
    memcpy(copy, slot->base, SEGMENT);
    uint64_t used = writer.offset - slot->frames_at;
    for (uint64_t n = draw(8); n > 0 && used > 0; n--) copy[slot->frames_at + draw(used)] ^= (uint8_t)(1 + draw(255));
    const struct lockstep_open_record *open = (const void *)(copy + LOCKSTEP_OPEN_AT);
    struct lockstep_reader r = {
        .base = copy, .bytes = SEGMENT, .offset = slot->frames_at, .next_seq = open->first_seq, .last_ts = open->prev_last_ts,
        .epoch = open->epoch, .seed = slot->seed, .verify = 1,
    };
    uint32_t found = lockstep_reader_poll(&r, refs, 65536, UINT64_MAX, UINT64_MAX);
    for (uint32_t i = 0; i < found; i++) {
        uint32_t length;
        memcpy(&length, slot->base + refs[i].offset, sizeof length);
        assert(memcmp(copy + refs[i].offset, slot->base + refs[i].offset, length) == 0);
    }
    checked += found;
    stops += r.state != LOCKSTEP_TAIL;
}

int main(int argc, char **argv) {
    uint64_t corpus_bytes, rules_bytes, at[RECORDS], records = 0, rounds = 0;
    if (argc != 7) return 2;
    corpus = slurp(argv[1], &corpus_bytes);
    loop.rules = (const void *)slurp(argv[2], &rules_bytes);
    loop.rules_count = (uint32_t)atoi(argv[3]);
    state = strtoull(argv[5], NULL, 10);
    int64_t end = lockstep_mono_ns(NULL) + (int64_t)(atof(argv[6]) * 1e9);
    for (uint64_t i = 0; i < corpus_bytes && records < RECORDS; records++) {
        uint32_t length;
        at[records] = i;
        memcpy(&length, corpus + i, sizeof length);
        i += length;
    }
    snprintf(writer.folder, sizeof writer.folder, "%s", argv[4]);
    writer.control = &control;
    writer.roll_fd = -1;
    writer.stream_id = writer.nonce = 1;
    writer.segment_bytes = SEGMENT;
    writer.schema = (const uint8_t *)"{}";
    writer.schema_bytes = 2;
    writer.epoch = 1;
    loop.writer = &writer;
    loop.hosted = 1;
    loop.clock_interval_ns = 1000000000;
    loop.batch_bytes = RING;
    loop.wake_fd = loop.control_fd = loop.sync_fd = loop.segment_fd = eventfd(0, EFD_NONBLOCK);
    loop.active_count = 1;
    loop.flow.clock_jump_ns = loop.flow.stall_alert_ns = loop.flow.disk_patience_ns = INT64_MAX / 2;
    memset(source.granted, 0xFF, sizeof source.granted);
    source.source = 1;
    struct lockstep_lane *lane = &loop.lane[0];
    uint32_t incarnation = 1;
    attach(lane, incarnation);
    static uint8_t copy[RING];
    while (lockstep_mono_ns(NULL) < end) {
        if (lockstep_writer_prepare(&writer) != 0) return 4;
        uint64_t tail = lane->head, number = source.last_source_seq, put = 1 + draw(20), bytes = 0, durable;
        for (uint64_t n = 0; n < put; n++) {
            const uint8_t *record = corpus + at[draw(records)];
            uint32_t length;
            memcpy(&length, record, sizeof length);
            if (bytes + length > RING / 2) break;
            uint8_t *to = lane->ring.data + (tail & (RING - 1));
            memcpy(to, record, length);
            number++;
            memcpy(to + 40, &number, sizeof number);
            tail += length;
            bytes += length;
        }
        if (bytes == 0) continue;
        uint8_t *first = lane->ring.data + (lane->head & (RING - 1));
        for (uint64_t n = draw(4); n > 0; n--) first[draw(draw(2) ? bytes : bytes < 64 ? bytes : 64)] = (uint8_t)draw(256);
        if (draw(50) == 0) tail += 8 * draw(RING / 4);
        if (draw(200) == 0) tail = draw(UINT64_MAX);
        memcpy(copy, lane->ring.data, RING);
        const uint8_t *base = writer.base, *from = writer.base + writer.offset;
        uint64_t rejected = source.rejected;
        store_release(&lane->ring.page->tail, tail);
        if (lockstep_loop_turn(&loop) < 0) return 5;
        if (writer.base == base) {
            /* The ring is mapped twice: what wraps is contiguous in a doubled copy. */
            static uint8_t twice[2 * RING];
            memcpy(twice, copy, RING);
            memcpy(twice + RING, copy, RING);
            compare(from, writer.base + writer.offset, twice, sizeof twice);
        }
        refused += source.rejected - rejected;
        if (lane->state != STATE_ATTACHED) {
            deaths++;
            lockstep_ring_unmap(&lane->ring);
            attach(lane, ++incarnation);
        }
        if (rounds++ % 64 == 0) read_spoiled();
        if (lockstep_writer_sync(&writer, &durable) != 0) return 6;
        char path[LOCKSTEP_FOLDER_BYTES + 32];
        snprintf(path, sizeof path, "%s/%08u.seg", writer.folder, writer.segment - 1);
        unlink(path);
    }
    printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)rounds, (unsigned long long)frames,
           (unsigned long long)refused, (unsigned long long)deaths, (unsigned long long)checked, (unsigned long long)stops);
    return rounds > 0 ? 0 : 7;
}
