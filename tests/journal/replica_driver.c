/* Drives the replica's kernel under sanitizers: a journal is written, and copied as a follower would, by memory and by socket, cut
 * anywhere, with damage in between. Usage: replica_driver FOLDER SEED. Prints "ok" when every expectation held. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/kernel/crc32c.h"
#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/writer.h"
#include "journal/kernel/replica.h"

#define EXPECT(c) do { if (!(c)) { fprintf(stderr, "line %d: %s\n", __LINE__, #c); exit(1); } } while (0)

enum { SEGMENT = 64 * 1024, SEGMENTS = 12 };

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static struct lockstep_control controls[2];
static struct lockstep_writer primary, replica;
static struct lockstep_replica_run run;
static struct lockstep_replica_verdict verdict;
static uint64_t refused;

static void init(struct lockstep_writer *w, struct lockstep_control *control, const char *folder, const char *name)
{
    w->control = control;
    w->roll_fd = -1;
    w->stream_id = 1;
    w->nonce = 2;
    w->segment_bytes = SEGMENT;
    w->schema = (const uint8_t *)"{\"kinds\":[]}";
    w->schema_bytes = 12;
    snprintf(w->folder, sizeof w->folder, "%s/%s", folder, name);
    EXPECT(mkdir(w->folder, 0755) == 0);
}

static void write_primary(void)
{
    uint64_t durable;
    uint8_t *body = calloc(1, 8192);
    while (primary.segment < SEGMENTS) {
        struct lockstep_frame head = {.kind = 10000, .version = 1, .ts = primary.last_ts + 1 + (int64_t)draw(3), .source_seq = 1};
        uint32_t bytes = (uint32_t)(draw(20) == 0 ? draw(1000) : draw(30)) * 8;
        if (draw(100) == 0)
            primary.epoch++;
        int code = lockstep_writer_append(&primary, &head, body, bytes);
        EXPECT(code == 0 || code == -EAGAIN);
        if (code == 0)
            continue;
        EXPECT(lockstep_writer_sync(&primary, &durable) == 0 && lockstep_writer_prepare(&primary) == 0);
    }
    EXPECT(lockstep_writer_sync(&primary, &durable) == 0);
    free(body);
}

static uint8_t *load(const struct lockstep_writer *w, uint32_t number)
{
    char path[LOCKSTEP_FOLDER_BYTES + 32];
    snprintf(path, sizeof path, "%s/%08u.seg", w->folder, number);
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    uint8_t *data = malloc(SEGMENT);
    EXPECT(fread(data, 1, SEGMENT, file) == SEGMENT);
    fclose(file);
    return data;
}

/* Where the frames of a segment end: at its end marker, or its tail. */
static uint64_t end_of(const uint8_t *data, uint64_t at)
{
    uint32_t length;
    for (memcpy(&length, data + at, 4); length != 0 && length != UINT32_MAX; memcpy(&length, data + at, 4))
        at += length;
    return at;
}

/* A piece that is exactly as long as it says: whoever reads beyond it is caught. */
static int put(const uint8_t *from, uint64_t bytes)
{
    uint8_t *place;
    uint64_t room = lockstep_replica_place(&replica, &run, &place), n = bytes < room ? bytes : room;
    memcpy(place, from, n);
    int result = lockstep_replica_advance(&replica, &run, n, &verdict);
    return result != 0 ? result : (int)n;
}

static int receive(const int pair[2], const uint8_t *from, uint64_t bytes)
{
    bytes = bytes < 4096 ? bytes : 4096;
    EXPECT(lockstep_replica_receive(&replica, &run, pair[1], bytes, &verdict) == -EAGAIN);
    EXPECT(send(pair[0], from, bytes, 0) == (ssize_t)bytes);
    return (int)lockstep_replica_receive(&replica, &run, pair[1], bytes, &verdict);
}

/* The frames of one segment, in pieces. What is spoiled on the way is refused, at the latest with the frame's last byte; the sender then
 * begins again where the stream ends. */
static void send_frames(const uint8_t *data, uint64_t end, const int pair[2])
{
    while (replica.offset < end) {
        uint64_t first = replica.offset, sent = first;
        int damaged = draw(4) == 0, result = 0;
        uint64_t bytes = 1 + draw(draw(2) ? end - first : (end - first < 200 ? end - first : 200));
        uint8_t *piece = malloc(end - first);
        memcpy(piece, data + first, end - first);
        if (damaged)
            piece[draw(bytes)] ^= (uint8_t)(1 + draw(255));
        /* All of what is damaged arrives in the end: a length that became larger waits for more than the piece. */
        for (uint64_t all = damaged ? end - first : bytes; result >= 0 && sent - first < all; sent += (uint64_t)result) {
            uint64_t n = 1 + draw(all - (sent - first));
            result = draw(2) ? put(piece + (sent - first), n) : receive(pair, piece + (sent - first), n);
            if (result < 0)
                break;
        }
        free(piece);
        EXPECT(result >= 0 || (result == -EBADMSG && damaged && verdict.state != LOCKSTEP_REPLICA_OK && run.held == 0));
        refused += result < 0;
        lockstep_replica_clear(&replica, &run); /* as a new connection does */
        EXPECT(replica.offset <= end && replica.last_seq == controls[1].written_seq);
    }
}

static void enter(const uint8_t *data, uint32_t number)
{
    const struct lockstep_segment_identity *id = (const void *)data;
    uint64_t durable;
    uint8_t *head = malloc(id->frames_at);
    memcpy(head, data, id->frames_at);
    memset(head + LOCKSTEP_OPEN_AT, 0, sizeof(struct lockstep_open_record));
    EXPECT(lockstep_writer_sync(&replica, &durable) == 0);
    EXPECT(lockstep_replica_prepare(&replica, head, id->frames_at) == 0);
    EXPECT(lockstep_replica_prepare(&replica, head, id->frames_at) == -EEXIST);
    if (number > 1 && draw(3) == 0) {
        EXPECT(lockstep_replica_discard(&replica) == 0 && lockstep_replica_discard(&replica) == 0);
        EXPECT(lockstep_replica_prepare(&replica, head, id->frames_at) == 0);
    }
    free(head);
    struct lockstep_open_record record;
    for (uint64_t at = 0; at < offsetof(struct lockstep_open_record, open_crc) + 4; at++) {
        memcpy(&record, data + LOCKSTEP_OPEN_AT, sizeof record);
        ((uint8_t *)&record)[at] ^= 0x10;
        EXPECT(lockstep_replica_open(&replica, &record, &verdict) == -EBADMSG);
    }
    memcpy(&record, data + LOCKSTEP_OPEN_AT, sizeof record);
    EXPECT(lockstep_replica_open(&replica, &record, &verdict) == 0);
}

static void leave(const uint8_t *data, uint64_t end)
{
    struct lockstep_end_marker marker;
    for (uint64_t at = 0; at < sizeof marker; at++) {
        memcpy(&marker, data + end, sizeof marker);
        ((uint8_t *)&marker)[at] ^= 0x01;
        EXPECT(lockstep_replica_end(&replica, &marker, &verdict) == -EBADMSG);
    }
    memcpy(&marker, data + end, sizeof marker);
    EXPECT(lockstep_replica_end(&replica, &marker, &verdict) == 0);
}

int main(int argc, char **argv)
{
    int pair[2];
    uint64_t durable;
    uint8_t *place;
    EXPECT(argc == 3 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252u;
    init(&primary, &controls[0], argv[1], "primary");
    init(&replica, &controls[1], argv[1], "replica");
    EXPECT(lockstep_replica_place(&replica, &run, &place) == 0 && place == NULL);
    EXPECT(lockstep_replica_receive(&replica, &run, pair[1], 8, &verdict) == -EBADMSG);
    write_primary();
    uint64_t before = 0;
    for (uint32_t number = 1; number <= SEGMENTS; number++) {
        uint8_t *data = load(&primary, number);
        if (number == 1)
            enter(data, number);
        uint64_t end = end_of(data, replica.offset);
        send_frames(data, end, pair);
        if (number < SEGMENTS) {
            uint8_t *following = load(&primary, number + 1);
            enter(following, number + 1);
            free(following);
            leave(data, end);
        }
        EXPECT(lockstep_replica_spin(&controls[1], before, 1000000) != before);
        before = controls[1].published;
        free(data);
    }
    EXPECT(lockstep_replica_spin(&controls[1], before, 1000) == before);
    EXPECT(lockstep_replica_receive(&replica, &run, pair[1], SEGMENT, &verdict) == -EBADMSG);
    close(pair[0]);
    EXPECT(lockstep_replica_receive(&replica, &run, pair[1], 8, &verdict) == 0);
    EXPECT(lockstep_writer_sync(&replica, &durable) == 0 && durable == primary.last_seq && replica.last_seq == primary.last_seq);
    for (uint32_t number = 1; number <= SEGMENTS; number++) {
        uint8_t *a = load(&primary, number), *b = load(&replica, number);
        EXPECT(memcmp(a, b, SEGMENT) == 0);
        free(a);
        free(b);
    }
    EXPECT(refused > 10);
    lockstep_writer_release(&primary);
    lockstep_writer_release(&replica);
    puts("ok");
    return 0;
}
