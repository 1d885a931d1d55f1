/* relay: a ring whose other end is another machine. Both ends move whole records as bytes; nothing is looked at but lengths.
 *
 * On the publisher's machine a thread plays the sequencer for a local ring: it sends what was committed and gives room back
 * when the far end says so. On the sequencer's machine a thread plays the publisher. Needs messages.h and ring.h before it. */

/* What lockstep_producer_forward found. */
enum lockstep_forward { LOCKSTEP_FORWARD_DONE = 0, LOCKSTEP_FORWARD_FULL = 1, LOCKSTEP_FORWARD_BAD = 2 };

/* lockstep_producer_forward: put the whole records in [from, bytes) of `records`, uncommitted; *done is how far it came,
 * *count how many it put. BAD: a length that no record has. What is in the records the sequencer judges. */
int32_t lockstep_producer_forward(struct lockstep_producer *p, const uint8_t *records, uint64_t bytes, uint64_t from,
                                  uint64_t *done, uint64_t *count);

/* lockstep_ring_span: bytes of whole records from position `from` on, at most `most`, that are committed. 0: none. They stand
 * at *at, in one piece. -1 as unsigned: the ring is damaged. */
uint64_t lockstep_ring_span(const struct lockstep_ring *ring, uint64_t from, uint64_t most, const uint8_t **at);

/* lockstep_ring_answer: what the sequencer would store into the page: head, then accepted_source_seq, accepted_seq, rejected,
 * duplicates, last_reject_reason, state. Wakes a publisher that has armed itself, once for each time it did. */
void lockstep_ring_answer(const struct lockstep_ring *ring, uint64_t head, const uint64_t words[6], int32_t client_fd,
                          uint64_t *woken);

/* lockstep_producer_flood_empty: as lockstep_producer_flood, with empty bodies. For the bench. */
uint64_t lockstep_producer_flood_empty(struct lockstep_producer *p, uint16_t kind, uint64_t source_seq, uint64_t count,
                                       uint64_t batch, int64_t patience_ns);

/* lockstep_ring_park: the far end's sender sleeps (ticket not 0) or is awake (0). Look once more, then sleep. */
void lockstep_ring_park(const struct lockstep_ring *ring, uint64_t ticket);
