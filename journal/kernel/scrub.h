/* Going on behind damage: so that a check names every bad place of a segment, not only the first. */

/* After a BAD_… state: move r to the next frame (or end marker) that is valid by itself, at or behind its offset, in front of
 * which `seq`, `ts` and `epoch` may have any value. 1, with the reader's expectations set to what it finds there; 0 when there is
 * none up to the end. */
uint32_t lockstep_scrub_resync(struct lockstep_reader *r);

/* First and last + 1 of the next run of unequal 32-byte values from `from` on; `count` when there is none. */
uint64_t lockstep_scrub_unequal(const uint8_t *a, const uint8_t *b, uint64_t from, uint64_t count, uint64_t *to);

