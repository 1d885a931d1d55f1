/* Two threads over one ring, random sizes and batches, every byte checked; then admission on random bodies. */
#define _GNU_SOURCE
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "sequencer/kernel/ring_private.h"
#include "sequencer/kernel/admission.h"

static uint64_t records;
static struct lockstep_producer producer;

static uint32_t next_random(uint32_t *x) { return *x = *x * 1664525u + 1013904223u, *x >> 8; }

static void *produce(void *unused) {
    (void)unused;
    uint32_t x = 1;
    uint8_t body[2048];
    for (uint64_t n = 1; n <= records; n++) {
        uint32_t size = next_random(&x) % 1500;
        memset(body, (int)(n & 0xff), size);
        while (lockstep_producer_put(&producer, 201, 1, 1, (int64_t)n, n, size, body, size) != 0)
            lockstep_producer_commit(&producer);
        if (next_random(&x) % 4 == 0) lockstep_producer_commit(&producer);
    }
    lockstep_producer_commit(&producer);
    return NULL;
}

static void consume(void) {
    uint64_t head = 0, n = 0;
    while (n < records) {
        uint64_t tail = load_acquire(&producer.ring.page->tail);
        for (; head != tail; n++) {
            const uint8_t *at = producer.ring.data + (head & (producer.ring.ring_bytes - 1));
            struct lockstep_frame h;
            memcpy(&h, at, sizeof h);
            if (h.source_seq != n + 1 || h.length != 64 + ((h.cause + 7) & ~7ULL)) abort();
            for (uint64_t i = 0; i < h.length - 64; i++)
                if (at[64 + i] != (i < h.cause ? (uint8_t)(n + 1) : 0)) abort();
            head += h.length;
        }
        store_release(&producer.ring.page->head, head);
    }
}

static void fuzz_admission(void) {
    uint32_t x = 7;
    for (int round = 0; round < 200000; round++) {
        struct lockstep_wire_rule rule = {.fixed_bytes = 8 + 8 * (next_random(&x) % 6), .known = 1};
        rule.items = (uint8_t)(next_random(&x) % (rule.fixed_bytes / 8));
        for (int i = 0; i < rule.items; i++) {
            rule.item[i].offset = (uint16_t)(8 * i);
            rule.item[i].type = (uint8_t)(1 + next_random(&x) % 3);
            rule.item[i].stride = rule.item[i].type == 3 ? 16 : 1;
            rule.item[i].tail = (uint8_t)(next_random(&x) % 2);
        }
        uint64_t bytes = 8 * (next_random(&x) % 20);
        uint8_t *body = malloc(bytes ? bytes : 1); /* exact size: the sanitizer sees a read past it */
        for (uint64_t i = 0; i < bytes; i++) body[i] = next_random(&x) % 3 ? 0 : (uint8_t)next_random(&x);
        lockstep_check_body(&rule, body, bytes);
        free(body);
    }
}

int main(int argc, char **argv) {
    records = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    int fd = lockstep_ring_create(1 << 14, 1, 1);
    if (fd < 0 || lockstep_ring_map(fd, &producer.ring) != 0) return 2;
    lockstep_producer_init(&producer, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK));
    pthread_t thread;
    if (pthread_create(&thread, NULL, produce, NULL) != 0) return 2;
    consume();
    pthread_join(thread, NULL);
    fuzz_admission();
    lockstep_ring_unmap(&producer.ring);
    puts("ok");
    return 0;
}
