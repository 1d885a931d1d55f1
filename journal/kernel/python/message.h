/* What extensions of higher floors need of journal.kernel._fast: messages that are made again only when somebody kept the last, and
 * what tables remember. */
#ifndef LOCKSTEP_MESSAGE_H
#define LOCKSTEP_MESSAGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "journal/kernel/python/hashes.h"

#define LOCKSTEP_MESSAGE_CAPSULE "journal.kernel._fast.message"

struct lockstep_reader;
struct lockstep_ref;
struct lockstep_interest;
struct lockstep_found;
struct lockstep_ahead;

/* Bytes of frames, and the object that keeps them where they are. */
struct lockstep_bytes {
    PyObject *owner;
    const uint8_t *at;
    Py_ssize_t size;
};

struct lockstep_message_functions {
    size_t size;           /* of this structure: both extensions were built from one header */
    PyTypeObject *decoder; /* what `message` takes */
    PyTypeObject *encoder; /* what `encode` takes */
    /* Let *held be the message whose body stands at `at` of `bytes`. An object that nobody else holds is filled anew, with all
     * its fields; otherwise a new one takes its place, and who kept the old one keeps it as it was. False: an error is set. */
    bool (*message)(PyObject *decoder, PyObject **held, const struct lockstep_bytes *bytes, Py_ssize_t at);
    /* The body of a message as bytes, or NULL with an error set. */
    PyObject *(*encode)(PyObject *encoder, PyObject *message);
    /* lockstep_reader_follow, without the interpreter if anybody else wants it. */
    uint32_t (*follow)(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t max, int64_t spin_ns, uint32_t yields);
    /* lockstep_reader_find, lockstep_reader_stand_behind */
    uint32_t (*find)(struct lockstep_reader *r, const struct lockstep_interest *i, struct lockstep_found *found, uint32_t max,
                     uint64_t scan_max, uint64_t to_seq);
    void (*stand_behind)(struct lockstep_reader *r, uint64_t offset);
    /* What a Table of journal.messages.tables was asked for, and one more of these (hashes.h). False: an error is set. */
    PyTypeObject *keys;
    bool (*add_key)(Keys *keys, PyObject *key);
    /* lockstep_ahead_start, lockstep_ahead_find, lockstep_ahead_end */
    struct lockstep_ahead *(*ahead_start)(const struct lockstep_reader *r, const struct lockstep_interest *i, uint64_t every,
                                          uint64_t bytes_min);
    uint32_t (*ahead_find)(struct lockstep_ahead *a, struct lockstep_reader *r, const struct lockstep_interest *i,
                           struct lockstep_found *found, uint64_t to_seq);
    void (*ahead_end)(struct lockstep_ahead *a);
};

#endif
