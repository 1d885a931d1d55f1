/* Following a stream at its tail. Needs reader.h before it. */

/* lockstep_reader_follow: lockstep_reader_poll, and when nothing is there yet, again and again for up to `spin_ns`; between
 * two looks the core is paused, or (`yields`) offered to others. One call, so that who waits in Python waits in C. */
uint32_t lockstep_reader_follow(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t refs_max, uint64_t scan_max,
                                int64_t spin_ns, uint32_t yields);
