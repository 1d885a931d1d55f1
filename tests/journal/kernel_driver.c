/* Drives the journal's C kernel under sanitizers: append, roll, refuse, abandon, sync, read, survey, gather, and read
 * segments full of random damage. Usage: kernel_driver FOLDER SEED. Prints "ok" when every expectation held. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/kernel/clock.h"
#include "journal/kernel/crc32c.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/writer.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/blake3.h"
#include "journal/kernel/scrub.h"

#define EXPECT(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

static uint64_t state;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void crc(void)
{
    uint8_t data[600];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)random64();
    EXPECT(lockstep_crc32c(0, "123456789", 9) == 0xE3069283);
    for (size_t from = 0; from < 16; from++)
        for (size_t n = 0; n + from <= sizeof data; n++)
            EXPECT(lockstep_crc32c((uint32_t)n, data + from, n) == lockstep_crc32c_table((uint32_t)n, data + from, n));
}

static void clocks(void)
{
    int64_t manual = 5;
    struct lockstep_time_source source = {lockstep_manual_ns, &manual};
    EXPECT(source.now_ns(source.state) == 5);
    EXPECT(lockstep_wall_ns(NULL) > 1000000000000000000);
    EXPECT(lockstep_mono_ns(NULL) <= lockstep_mono_ns(NULL));
}

static uint64_t write_all(struct lockstep_writer *w)
{
    uint64_t *body = calloc(1, 50000), durable;
    uint64_t appended = 0;
    while (w->segment < 20) {
        uint32_t bytes = (uint32_t)(random64() % 100 == 0 ? random64() % 5000 : random64() % 40) * 8;
        struct lockstep_frame head = {.kind = (uint16_t)(1 + random64() % 40), .ts = w->last_ts + 1, .source = (uint16_t)(random64() % 3)};
        head.source_seq = ++appended;
        body[0] = appended;
        int code = lockstep_writer_append(w, &head, body, bytes);
        if (code == -11) {
            appended--;
            EXPECT(lockstep_writer_wants_segment(w) != 0);
            if (lockstep_writer_wants_segment(w) == 2)
                EXPECT(lockstep_writer_sync(w, &durable) == 0);
            EXPECT(lockstep_writer_prepare(w) == 0);
            continue;
        }
        EXPECT(code == 0);
        if (random64() % 50 == 0) {
            struct lockstep_frame *slot;
            if (lockstep_writer_reserve(w, 256, &slot) == 0) {
                memset((uint8_t *)slot + 8, 0xAA, 248);
                lockstep_writer_abandon(w, slot, 256);
            }
        }
        if (random64() % 500 == 0) {
            lockstep_writer_publish_watermark(w);
            EXPECT(lockstep_writer_sync(w, &durable) == 0 && durable == w->last_seq);
        }
    }
    lockstep_writer_publish_watermark(w);
    EXPECT(lockstep_writer_sync(w, &durable) == 0 && durable == appended);
    free(body);
    return appended;
}

static uint8_t *load(const char *folder, uint32_t number, uint64_t bytes)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%08u.seg", folder, number);
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    uint8_t *data = malloc(bytes);
    EXPECT(fread(data, 1, bytes, file) == bytes);
    fclose(file);
    return data;
}

static void start(struct lockstep_reader *r, const uint8_t *data, uint64_t bytes)
{
    const struct lockstep_segment_identity *id = (const void *)data;
    const struct lockstep_open_record *open = (const void *)(data + LOCKSTEP_OPEN_AT);
    uint8_t key[20];
    memcpy(key, &id->stream_id, 8);
    memcpy(key + 8, &id->nonce, 8);
    memcpy(key + 16, &id->number, 4);
    r->base = data;
    r->bytes = bytes;
    r->offset = id->frames_at;
    r->next_seq = open->first_seq;
    r->last_ts = open->prev_last_ts;
    r->epoch = open->epoch;
    r->seed = lockstep_crc(0, key, sizeof key);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252u;
    crc();
    clocks();
    static struct lockstep_control control;
    static struct lockstep_writer w;
    static const char schema[] = "{\"driver\":true}";
    const uint64_t bytes = 64 * 1024;
    w.control = &control;
    w.roll_fd = -1;
    w.stream_id = 1;
    w.nonce = 2;
    w.segment_bytes = bytes;
    w.schema = (const uint8_t *)schema;
    w.schema_bytes = sizeof schema - 1;
    w.write_through = 1;
    snprintf(w.folder, sizeof w.folder, "%s", argv[1]);
    uint64_t appended = write_all(&w);
    uint32_t segments = w.segment;
    lockstep_writer_release(&w);

    static struct lockstep_reader r;
    static struct lockstep_sources sources;
    static uint64_t frames_by_kind[65536], bytes_by_kind[65536];
    struct lockstep_ref refs[64];
    uint8_t rows[64 * (64 + 32)];
    uint64_t seen = 0, surveyed = 0;
    static uint16_t wanted[65536];
    static struct lockstep_found found[16];
    for (int i = 0; i < 65536; i += 3)
        wanted[i] = 1;
    for (uint32_t n = 1; n <= segments; n++) {
        uint8_t *data = load(argv[1], n, bytes);
        r.verify = 1;
        start(&r, data, bytes);
        EXPECT(r.next_seq == seen + 1);
        for (;;) {
            uint32_t got = lockstep_reader_poll(&r, refs, 64, 64, UINT64_MAX);
            lockstep_gather(data, refs, got, 32, rows);
            for (uint32_t i = 0; i < got; i++)
                EXPECT(refs[i].seq == ++seen && ((struct lockstep_frame *)(rows + i * 96))->seq == seen);
            if (r.state != LOCKSTEP_MORE)
                break;
        }
        EXPECT(r.state == (n < segments ? LOCKSTEP_END : LOCKSTEP_TAIL));
        start(&r, data, bytes);
        surveyed += lockstep_reader_survey(&r, UINT64_MAX, &sources, frames_by_kind, bytes_by_kind);
        /* Damage of every sort: the reader must stay inside the segment whatever stands there. */
        for (int round = 0; round < 60; round++) {
            uint8_t *copy = malloc(bytes);
            memcpy(copy, data, bytes);
            uint64_t at = ((const struct lockstep_segment_identity *)(const void *)data)->frames_at;
            for (uint64_t k = random64() % 40; k-- > 0;)
                copy[at + random64() % (bytes - at)] = (uint8_t)random64();
            if (round % 3 == 0) {
                /* A plausible length at a random frame. */
                start(&r, data, bytes);
                uint32_t got = lockstep_reader_poll(&r, refs, 64, 64, UINT64_MAX);
                uint32_t length = (uint32_t)(random64() % (2 * bytes / 8)) * 8;
                if (got > 0)
                    memcpy(copy + refs[random64() % got].offset, &length, 4);
            }
            r.verify = round % 2;
            start(&r, copy, bytes);
            do {
                uint32_t got = lockstep_reader_poll(&r, refs, 64, 1000, UINT64_MAX);
                lockstep_gather(copy, refs, got, 32, rows);
            } while (r.state == LOCKSTEP_MORE);
            const uint32_t poll_state = r.state;
            const uint64_t polled_to = r.next_seq;
            start(&r, copy, bytes);
            do {
                const struct lockstep_interest interest = {wanted, wanted, INT64_MAX, r.next_seq + random64() % 40};
                uint32_t got = lockstep_reader_find(&r, &interest, found, 16, 300, UINT64_MAX);
                if (got > 0 && random64() % 4 == 0) {
                    lockstep_reader_stand_behind(&r, found[got - 1].ref.offset);
                    EXPECT(r.next_seq == found[got - 1].ref.seq + 1 && r.last_ts == found[got - 1].ref.ts);
                }
            } while (r.state == LOCKSTEP_MORE);
            EXPECT(r.state == poll_state && r.next_seq == polled_to);
            start(&r, copy, bytes);
            lockstep_reader_survey(&r, UINT64_MAX, &sources, NULL, NULL);
            /* Behind each bad place it goes on at the next good one, ever further. */
            for (uint64_t stood = r.offset; r.state > LOCKSTEP_END && lockstep_scrub_resync(&r) != 0; stood = r.offset) {
                EXPECT(r.offset >= stood);
                lockstep_reader_survey(&r, UINT64_MAX, &sources, NULL, NULL);
                EXPECT(r.offset > stood || r.state == LOCKSTEP_END);
            }
            EXPECT(lockstep_last_nonzero(copy, at + random64() % 8, bytes) <= bytes);
            free(copy);
        }
        free(data);
    }
    EXPECT(seen == appended && surveyed == appended);
    puts("ok");
    return 0;
}
