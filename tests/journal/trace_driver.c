/* Runs the journal's writer with its disk seam traced: every store, sync and change of a file goes to a trace from which the
 * crash test builds what a disk may hold after power loss. Usage: trace_driver FOLDER TRACE SEED FRAMES. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCKSTEP_TRACE
#include "journal/kernel/writer.c"

enum { MARK_APPENDED = 100, MARK_DURABLE = 101 };

static FILE *trace;
static uint64_t state;

/* Files are numbered in the order of their creation. */
static struct { const uint8_t *base; uint64_t bytes; int32_t file; } maps[64];
static int32_t file_of_fd[1024], files, current_file;

static void put(uint32_t op, int32_t file, uint64_t offset, const void *data, uint32_t n)
{
    uint64_t head[3] = {op | (uint64_t)(uint32_t)file << 32, offset, n};
    fwrite(head, sizeof head, 1, trace);
    if (n)
        fwrite(data, 1, n, trace);
}

void lockstep_trace(enum lockstep_trace_op op, const void *at, const void *src, size_t n, int fd, const char *a, const char *b)
{
    (void)a;
    switch (op) {
    case J_STORE:
    case J_PUBLISH:
        for (int i = 0; i < 64; i++)
            if (maps[i].base && (const uint8_t *)at >= maps[i].base && (const uint8_t *)at < maps[i].base + maps[i].bytes) {
                put(op, maps[i].file, (uint64_t)((const uint8_t *)at - maps[i].base), src, (uint32_t)n);
                return;
            }
        abort(); /* a store outside every map */
    case J_CREATE:
        current_file = file_of_fd[fd] = ++files;
        put(op, current_file, 0, NULL, 0);
        return;
    case J_ALLOCATE:
        put(op, file_of_fd[fd], n, NULL, 0);
        return;
    case J_SYNC:
        put(op, file_of_fd[fd], 0, NULL, 0);
        return;
    case J_SYNC_RANGE:
        for (int i = 0; i < 64; i++)
            if (maps[i].base && (const uint8_t *)at >= maps[i].base && (const uint8_t *)at < maps[i].base + maps[i].bytes) {
                uint64_t bytes = n;
                put(op, maps[i].file, (uint64_t)((const uint8_t *)at - maps[i].base), &bytes, sizeof bytes);
                return;
            }
        abort(); /* a sync outside every map */
    case J_RENAME:
        put(op, current_file, 0, b, (uint32_t)strlen(b));
        return;
    case J_DIRSYNC:
        put(op, 0, 0, NULL, 0);
        return;
    case J_MAPPED:
        for (int i = 0; i < 64; i++)
            if (!maps[i].base) {
                maps[i].base = at;
                maps[i].bytes = n;
                maps[i].file = file_of_fd[fd];
                return;
            }
        abort();
    case J_UNMAPPED:
        for (int i = 0; i < 64; i++)
            if (maps[i].base == at)
                maps[i].base = NULL;
        return;
    }
}

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    static struct lockstep_control control;
    static struct lockstep_writer w;
    static const char schema[] = "{\"traced\":true}";
    static uint64_t body[1024];
    trace = fopen(argv[2], "wb");
    state = strtoull(argv[3], NULL, 10) * 2654435761u + 88172645463325252u;
    uint64_t frames = strtoull(argv[4], NULL, 10), durable = 0;
    w.control = &control;
    w.roll_fd = -1;
    w.stream_id = 77;
    w.nonce = random64();
    w.segment_bytes = 16384;
    w.schema = (const uint8_t *)schema;
    w.schema_bytes = sizeof schema - 1;
    snprintf(w.folder, sizeof w.folder, "%s", argv[1]);
    w.epoch = 1;
    while (w.last_seq < frames) {
        uint32_t bytes = (uint32_t)(random64() % 10 == 0 ? random64() % 200 : random64() % 20) * 8;
        for (uint32_t i = 0; i < bytes / 8; i++)
            body[i] = random64() % 4 == 0 ? 0 : random64(); /* zeros too: a lost unit may look as if it were there */
        struct lockstep_frame head = {.kind = 10000, .version = 1, .ts = w.last_ts + 1, .source = 1, .source_seq = w.last_seq + 1};
        int code = lockstep_writer_append(&w, &head, body, bytes);
        if (code == -EAGAIN) {
            if (lockstep_writer_wants_segment(&w) == 2 && lockstep_writer_sync(&w, &durable) != 0)
                return 1;
            put(MARK_DURABLE, 0, durable, NULL, 0);
            if (lockstep_writer_prepare(&w) != 0)
                return 1;
            continue;
        }
        if (code != 0)
            return 1;
        lockstep_writer_publish_watermark(&w);
        put(MARK_APPENDED, 0, w.last_seq, NULL, 0);
        if (random64() % 25 == 0 && lockstep_writer_prepare(&w) != 0)
            return 1;
        if (random64() % 15 == 0) {
            if (lockstep_writer_sync(&w, &durable) != 0)
                return 1;
            put(MARK_DURABLE, 0, durable, NULL, 0);
        }
    }
    fclose(trace);
    return 0;
}
