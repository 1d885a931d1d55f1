/* Canonical bytes of what tables hold, as msgspec.msgpack.Encoder().encode gives them, without an object in between. */
#ifndef LOCKSTEP_PACK_H
#define LOCKSTEP_PACK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* Bytes that grow. All zeros: nothing yet. */
struct lockstep_packed {
    uint8_t *at;
    size_t used, room;
};

bool lockstep_grow(struct lockstep_packed *p, size_t bytes);
/* Room for so many bytes more. False: an error is set. */
static inline bool lockstep_room(struct lockstep_packed *p, size_t bytes) { return p->room - p->used >= bytes || lockstep_grow(p, bytes); }
/* (key, value), behind what is there. False: it holds something that is left to msgspec, or an error is set; what is there by
 * then has no meaning. */
bool lockstep_pack_entry(struct lockstep_packed *p, PyObject *key, PyObject *value);
/* A value will be packed soon: first comes it, then what it holds. Most of the time of packing is waiting for memory. */
void lockstep_come_ahead(const PyObject *value);
void lockstep_pack_ahead(PyObject *value);

#endif
