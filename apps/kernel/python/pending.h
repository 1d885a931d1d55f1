/* What an app has said and the journal has not shown yet: Ledger.pending, as a dict of number → Emission is. Numbers only grow,
 * and nearly all come back in their order. Emissions are made objects when Python asks for one. */
#ifndef LOCKSTEP_PENDING_H
#define LOCKSTEP_PENDING_H

#include "layout.h"

struct said {
    uint64_t number, cause;
    int64_t origin_ts;
    uint16_t kind, version, flags;
    PyObject *body; /* bytes */
};
typedef struct {
    PyObject_HEAD
    struct said *rows;         /* [first, first + n), by number */
    Py_ssize_t first, n, room;
} Pending;
extern PyTypeObject lockstep_pending_type;

/* Note one behind the last; `body` is held from then on. False: an error is set. */
bool lockstep_pending_add(Pending *p, const struct said *s);
/* NULL: there is none. Until the next change. */
const struct said *lockstep_pending_find(const Pending *p, uint64_t number);
void lockstep_pending_drop(Pending *p, const struct said *s);
/* The Emission. NULL: an error is set. */
PyObject *lockstep_emission(const struct said *s);

#endif
