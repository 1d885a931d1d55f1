/* Reading ahead of who handles frames, in a thread of its own. Needs reader.h before it.
 *
 * The thread checks the frames of one segment and notes those that somebody must see, portion by portion. Who handles them takes
 * the portions in order, and reads on without them where they are not ready. The thread decides nothing: at a place where anything
 * is wrong it ends, and whoever comes there finds that as ever. */

enum {
    LOCKSTEP_PORTION_CHECKED = 256, /* frames at most: few enough to be near still when it is their turn */
    LOCKSTEP_PORTION_FOUND = 32     /* of these that must be seen, at most */
};

struct lockstep_ahead;

/* Read ahead from where a reader stands, as far as is known to be written (ahead_to), never more than some portions further than
 * who takes them. Of the interest the kinds and sources count, and every frame whose number is a multiple of `every`. The tables
 * and the segment must stay as they are until the end. NULL: that is less than `bytes_min`, or there is no other core, or no
 * thread to be had. */
struct lockstep_ahead *lockstep_ahead_start(const struct lockstep_reader *r, const struct lockstep_interest *i, uint64_t every,
                                            uint64_t bytes_min);

/* As lockstep_reader_find of at most a portion, for the reader and the interest it was started with, where i->seq is the next
 * multiple of `every` and none behind that is asked for. */
uint32_t lockstep_ahead_find(struct lockstep_ahead *a, struct lockstep_reader *r, const struct lockstep_interest *i,
                             struct lockstep_found *found, uint64_t to_seq);

/* End the thread. */
void lockstep_ahead_end(struct lockstep_ahead *a);
