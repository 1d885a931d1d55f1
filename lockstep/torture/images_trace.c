/* The journal's writer with its disk seam traced. Three roles as in a sequencer, whose threads run at the same time: so the
 * appender also runs in the middle of syncs and preparations, and a sync in the middle of a preparation. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LOCKSTEP_TRACE
#include "journal/kernel/writer.c"

#include "lockstep/torture/images.h"

struct trace trace;
const char images_schema[] = "{\"kinds\":[]}";
uint64_t images_stream = 77;

static uint64_t random_state;
static struct lockstep_writer writer;
static struct lockstep_control control;
static struct { const uint8_t *base; uint32_t file; } maps[FILES_MAX];
static uint32_t file_of_fd[1024];
static struct second_life *life; /* not NULL: stores go there */
static struct image *life_image;
static bool appending, syncing;

void random_seed(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + UINT64_C(0xD1B54A32D192ED03);
}

uint64_t random64(void)
{
    uint64_t x = random_state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static void broken(const char *what)
{
    fprintf(stderr, "images: the driver itself is wrong: %s\n", what);
    exit(2);
}

static struct event *note(enum happened what, uint32_t file)
{
    if (trace.count == EVENTS_MAX)
        broken("trace too long");
    struct event *e = &trace.events[trace.count++];
    *e = (struct event){.what = what, .file = file, .durable_seq = control.durable_seq, .segment = control.segment};
    return e;
}

static uint32_t find_map(const void *at)
{
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (maps[i].base && (const uint8_t *)at >= maps[i].base && (const uint8_t *)at < maps[i].base + SEGMENT_BYTES)
            return i;
    broken("outside every map");
    return 0;
}

static void note_second(const void *at, const void *src, size_t n)
{
    struct second_life *l = life;
    uint64_t offset = (uint64_t)((const uint8_t *)at - &life_image->base[0][0]);
    if (l->count == 512 || l->pooled + n > sizeof l->old)
        broken("second life too long");
    l->events[l->count++] = (struct event){.what = STORED, .file = (uint32_t)(offset / SEGMENT_BYTES),
                                           .at = (uint32_t)(offset % SEGMENT_BYTES), .bytes = (uint32_t)n, .data = l->pooled};
    memcpy(l->old + l->pooled, at, n);
    memcpy(l->new + l->pooled, src, n);
    l->pooled += (uint32_t)n;
}

static void meanwhile(void);

void lockstep_trace(enum lockstep_trace_op op, const void *at, const void *src, size_t n, int fd, const char *a, const char *b)
{
    (void)a;
    if (life != NULL) {
        note_second(at, src, n);
        return;
    }
    uint32_t covers = trace.count, i;
    struct event *e;
    switch (op) {
    case J_STORE:
    case J_PUBLISH:
        i = find_map(at);
        if (trace.pooled + n > POOL_BYTES)
            broken("trace too large");
        e = note(STORED, maps[i].file);
        e->at = (uint32_t)((const uint8_t *)at - maps[i].base);
        e->bytes = (uint32_t)n;
        e->data = trace.pooled;
        memcpy(trace.pool + trace.pooled, src, n);
        memcpy(trace.final[e->file] + e->at, src, n);
        trace.pooled += (uint32_t)n;
        return;
    case J_SYNC:
        meanwhile();
        e = note(SYNCED, file_of_fd[fd]);
        e->bytes = SEGMENT_BYTES;
        e->covers = covers;
        return;
    case J_SYNC_RANGE:
        i = find_map(at);
        meanwhile();
        e = note(SYNCED, maps[i].file);
        e->at = (uint32_t)((const uint8_t *)at - maps[i].base);
        e->bytes = (uint32_t)n;
        e->covers = covers;
        return;
    case J_CREATE:
        if (++trace.files == FILES_MAX)
            broken("too many segments");
        file_of_fd[fd] = trace.files;
        note(CREATED, trace.files);
        meanwhile();
        return;
    case J_ALLOCATE:
        note(ALLOCATED, file_of_fd[fd]);
        meanwhile();
        return;
    case J_RENAME:
        if ((uint32_t)atoi(strrchr(b, '/') + 1) != trace.files)
            broken("a segment with another number than the files made");
        note(NAMED, trace.files);
        meanwhile();
        return;
    case J_DIRSYNC:
        meanwhile();
        note(FOLDER_SYNCED, 0);
        return;
    case J_MAPPED:
        for (i = 0; maps[i].base; i++)
            if (i == FILES_MAX - 1)
                broken("too many maps");
        maps[i].base = at;
        maps[i].file = file_of_fd[fd];
        return;
    case J_UNMAPPED:
        maps[find_map(at)].base = NULL;
        return;
    }
}

/* What one append left, for the oracle. */
static void note_frame(struct lockstep_writer *w, uint32_t length, uint32_t was_in, uint64_t was_at)
{
    if (w->last_seq > FRAMES_MAX)
        broken("too many frames");
    if (was_in != 0 && w->segment != was_in)
        trace.end_at[was_in] = (uint32_t)was_at;
    trace.frames[w->last_seq] = (struct truth_frame){w->segment, (uint32_t)(w->offset - length), length, w->last_ts, w->last_crc};
    trace.last_seq = w->last_seq;
}

/* One frame in one of the ways there are; false where no segment is prepared. */
static bool append_one(void)
{
    static uint64_t body[512];
    struct lockstep_writer *w = &writer;
    uint32_t was_in = w->segment, bytes = below(10) == 0 ? below(400) * 8 : below(20) * 8, how = below(8);
    uint64_t was_at = w->offset;
    for (uint32_t i = 0; i < bytes / 8; i++)
        body[i] = below(4) == 0 ? 0 : random64(); /* zeros too: a lost unit may look as if it were there */
    struct lockstep_frame head = {.kind = 10000, .version = 1, .ts = w->last_ts + 1 + below(3), .source = 1,
                                  .source_seq = w->last_seq + 1};
    if (below(30) == 0)
        w->epoch++;
    if (how > 1) {
        int code = lockstep_writer_append(w, &head, body, bytes);
        if (code == -EAGAIN)
            return false;
        if (code != 0)
            broken("append");
        note_frame(w, 64 + bytes, was_in, was_at);
        return true;
    }
    /* As the sequencer's lane does: the body is copied first, judged there, and sometimes refused. */
    uint32_t length = 64 + bytes;
    struct lockstep_frame *slot = lockstep_append_place(w, length);
    if (slot == NULL) {
        int code = lockstep_writer_reserve(w, length, &slot);
        if (code == -EAGAIN)
            return false;
        if (code != 0)
            broken("reserve");
        if (was_in != 0)
            trace.end_at[was_in] = (uint32_t)was_at;
    }
    struct lockstep_head words = lockstep_head_of(w, head.kind, 1, 1, 1, head.ts, 0, head.source_seq, 0, 1);
    uint32_t crc = lockstep_append_fill(w, slot, length, &words, body);
    if (how == 0) {
        lockstep_writer_abandon(w, slot, length);
        return true;
    }
    lockstep_append_seal(w, slot, length, head.ts, crc);
    note_frame(w, length, w->segment, 0);
    return true;
}

static void append_some(uint32_t most)
{
    bool was = appending;
    appending = true;
    for (uint32_t n = 1 + below(most); n > 0 && writer.last_seq < FRAMES_MAX && append_one(); n--)
        if (below(4) != 0)
            lockstep_writer_publish_watermark(&writer);
    lockstep_writer_publish_watermark(&writer);
    appending = was;
}

static void sync_now(void)
{
    uint64_t durable;
    syncing = true;
    /* Either kind at any time: a sequencer's thread uses the second one, a start and an end the first. */
    if ((below(3) == 0 ? lockstep_writer_sync(&writer, &durable) : lockstep_writer_sync_behind(&writer, &durable)) != 0)
        broken("sync");
    syncing = false;
}

/* The other threads, while one is inside a call. */
static void meanwhile(void)
{
    if (!appending && below(3) == 0)
        append_some(3);
    if (!appending && !syncing && below(6) == 0)
        sync_now();
}

static void prepare_now(void)
{
    if (lockstep_writer_prepare(&writer) != 0)
        broken("prepare");
}

/* The head of the index that a tool may have made of a segment as soon as it was full, synced or not. */
static void index_segment(uint32_t file)
{
    const struct lockstep_segment_identity *id = (const void *)trace.final[file];
    const struct lockstep_open_record *open = (const void *)(trace.final[file] + LOCKSTEP_OPEN_AT);
    const struct lockstep_end_marker *end = (const void *)(trace.final[file] + trace.end_at[file]);
    const struct truth_frame *first = &trace.frames[open->first_seq], *last = &trace.frames[end->next_seq - 1];
    struct lockstep_index_head *head = &trace.index[file].head;
    *head = (struct lockstep_index_head){
        .magic = {'L', 'K', 'S', 'T', 'P', 'I', 'D', 'X'}, .format = LOCKSTEP_INDEX_FORMAT, .number = file,
        .stream_id = id->stream_id, .nonce = id->nonce, .segment_bytes = id->segment_bytes, .first_seq = open->first_seq,
        .last_seq = end->next_seq - 1, .first_ts = first->ts, .last_ts = last->ts, .last_crc = last->crc,
        .last_epoch = ((const struct lockstep_frame *)(const void *)(trace.final[file] + last->at))->epoch,
        .last_offset = last->at, .end_offset = trace.end_at[file], .schema_crc = id->schema_crc,
    };
    uint32_t crc = lockstep_crc32c(0, head, LOCKSTEP_INDEX_HEAD_BYTES - sizeof crc);
    memcpy((uint8_t *)head + LOCKSTEP_INDEX_HEAD_BYTES - sizeof crc, &crc, sizeof crc);
}

void trace_run(const char *folder)
{
    lockstep_writer_release(&writer);
    memset(&trace, 0, sizeof trace);
    memset(&writer, 0, sizeof writer);
    memset(&control, 0, sizeof control);
    memset(maps, 0, sizeof maps);
    writer.control = &control;
    writer.roll_fd = -1;
    writer.stream_id = images_stream;
    writer.nonce = random64();
    writer.segment_bytes = SEGMENT_BYTES;
    writer.folio_bytes = 4096; /* segments are of 16 KiB here */
    writer.schema = (const uint8_t *)images_schema;
    writer.schema_bytes = sizeof images_schema - 1;
    writer.write_through = below(2);
    writer.epoch = 1;
    snprintf(writer.folder, sizeof writer.folder, "%s", folder);
    /* A stream that flows is synced behind its tail; one that pauses, up to it. */
    const uint32_t burst = below(2) == 0 ? 5 : 60;
    for (uint32_t rounds = 10 + below(50); rounds > 0; rounds--) {
        if (lockstep_writer_wants_segment(&writer) == 2)
            sync_now();
        if (trace.files < FILES_MAX - 2 && (writer.segment == 0 || below(8) == 0))
            prepare_now();
        append_some(burst);
        if (below(burst == 5 ? 5 : 2) == 0)
            sync_now();
    }
    uint64_t words[8] = {random64()};
    struct lockstep_frame head = {.kind = 10001, .version = 1, .ts = writer.last_ts + 1};
    if (below(4) == 0 && writer.last_seq < FRAMES_MAX && lockstep_writer_last_words(&writer, &head, words, sizeof words) == 0) {
        note_frame(&writer, 64 + sizeof words, writer.segment, 0);
        lockstep_writer_publish_watermark(&writer);
        sync_now();
    }
    lockstep_writer_release(&writer);
    for (uint32_t file = 1; file <= trace.files; file++)
        if (trace.end_at[file] != 0)
            index_segment(file);
}

void second_life_run(struct image *image, const struct lockstep_recovery *found, uint32_t frames, struct second_life *l)
{
    static struct lockstep_writer w;
    static struct lockstep_control words;
    memset(&w, 0, sizeof w);
    memset(&words, 0, sizeof words);
    l->count = l->pooled = 0;
    l->full = false;
    life = l;
    life_image = image;
    w.control = &words;
    w.roll_fd = -1;
    w.stream_id = images_stream;
    w.segment_bytes = SEGMENT_BYTES;
    w.last_seq = words.durable_seq = found->last_seq;
    w.last_ts = found->last_ts;
    w.last_crc = found->last_crc;
    w.epoch = found->epoch + 1;
    /* What lockstep_writer_adopt does, without a file. */
    for (uint32_t number = found->segment; number <= found->segment + 1; number++) {
        if (number == 0 || (number > found->segment && number != found->prepared))
            continue;
        struct lockstep_slot *slot = slot_of(&w, number);
        *slot = (struct lockstep_slot){.base = image->base[number], .bytes = SEGMENT_BYTES, .number = number};
        know_slot(slot);
        slot->state = number == found->segment ? LOCKSTEP_CURRENT : LOCKSTEP_PREPARED;
        if (number == found->segment) {
            w.base = slot->base;
            w.offset = found->offset;
            w.limit = slot->bytes - LOCKSTEP_END_BYTES - LOCKSTEP_RESERVE_BYTES;
            w.seed = slot->seed;
            w.segment = number;
        }
    }
    while (frames-- > 0 && !l->full) {
        uint64_t body[16];
        uint32_t bytes = below(16) * 8;
        for (uint32_t i = 0; i < bytes / 8; i++)
            body[i] = random64();
        struct lockstep_frame head = {.kind = 10002, .version = 1, .ts = w.last_ts + 1, .source = 1};
        l->full = lockstep_writer_append(&w, &head, body, bytes) != 0;
    }
    l->last_seq = w.last_seq;
    life = NULL;
}
