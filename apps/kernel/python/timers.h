/* The timers of an app; apps.timers._Timers is the reference. */
#ifndef LOCKSTEP_TIMERS_H
#define LOCKSTEP_TIMERS_H

#include "layout.h"

/* A token is an integer of 64 bits, signed or not. */
struct token {
    uint64_t bits;
    bool negative;
};
struct due {
    int64_t at;
    uint64_t order; /* of the request */
};
/* One that is set. A row of the queue stands for it, which is due no later than it is itself: what is asked for anew all the time is
 * written here only. Rows of what was canceled are passed over when their time comes. */
struct timer {
    struct token token;
    struct due due, queued;
    bool used;
};
struct row {
    struct due due;
    struct token token;
};
/* Rows, each behind the one before. */
struct run {
    struct row *rows;
    size_t first, n, room; /* in a ring; the room is a power of 2 */
};
enum { RUNS = 3 }; /* an app has seldom more delays than so many that it uses again and again */
typedef struct {
    PyObject_HEAD
    struct timer *table; /* by token, open addressing; the room is a power of 2 */
    size_t room, used;
    struct run run[RUNS];
    struct row *heap; /* what fits no run */
    size_t heap_n, heap_room;
    uint64_t requests;
} Timers;
extern PyTypeObject lockstep_timers_type;

#endif
