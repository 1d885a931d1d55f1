/* measure: what `lockstep bench` times, in C so that the figure is the mechanism's. Needs ring.h, reader.h and loop.h before
 * it. One message in flight, back to back: the next one leaves when the last one has been read at the far end.
 *
 * `ns` takes one duration a message. All return the number measured: below `count` when one took longer than patience_ns,
 * when the publisher was refused, or when the reader found something that is no sound frame. */

/* lockstep_measure_trips: publish a 64-byte body, read its frame from the journal (crc checked), again. `idle` is how this end
 * waits for it (enum lockstep_idle: SPIN, YIELD, PARK). The reader delivers `kind` only and stands at the tail. */
uint64_t lockstep_measure_trips(struct lockstep_producer *p, struct lockstep_reader *r, uint16_t kind, uint64_t count,
                                uint32_t idle, int64_t patience_ns, int64_t *ns);

/* lockstep_measure_durable: publish, wait until *durable_seq covers the frame; asleep meanwhile, as a gateway is. */
uint64_t lockstep_measure_durable(struct lockstep_producer *p, const uint64_t *durable_seq, uint16_t kind, uint64_t count,
                                  int64_t patience_ns, int64_t *ns);

/* lockstep_measure_answers: publish `body` as `kind`, gap_ns after the last answer, and read what the reader delivers until a
 * frame has it as its cause (`direct`), or any frame behind it. `loop` not NULL: this thread turns that hosted loop too. The
 * reader delivers the answer's kind only. */
uint64_t lockstep_measure_answers(struct lockstep_producer *p, struct lockstep_loop *loop, struct lockstep_reader *r,
                                  uint16_t kind, const uint8_t *body, uint64_t body_bytes, uint64_t count,
                                  uint32_t idle, uint32_t direct, int64_t gap_ns, int64_t patience_ns, int64_t *ns);

/* lockstep_measure_alone: one thread is publisher and host of the loop, so that a single core is busy. `batch` messages with
 * 64-byte bodies, committed together, then turns until the journal has them, again until there were `count`. `ns` takes one
 * duration a batch; gap_ns of quiet, in which the loop turns, before each. Returns the messages taken. */
uint64_t lockstep_measure_alone(struct lockstep_producer *p, struct lockstep_loop *loop, uint16_t kind, uint64_t count,
                                uint64_t batch, int64_t gap_ns, int64_t *ns);

/* lockstep_measure_futex: the machine's own floor: two threads wake each other, there and back. */
uint64_t lockstep_measure_futex(uint64_t count, int64_t *ns);

/* lockstep_measure_line: how far the cores lie apart: a word from this core to `cpu` and back, each in a cache line of its own, both
 * ends spinning. This thread has to be on another core. */
uint64_t lockstep_measure_line(uint64_t count, uint32_t cpu, int64_t *ns);

/* lockstep_measure_syncs: overwrite `bytes` of an open, allocated file at successive offsets below `size`, fdatasync each. */
uint64_t lockstep_measure_syncs(int32_t fd, uint64_t bytes, uint64_t size, uint64_t count, int64_t *ns);
