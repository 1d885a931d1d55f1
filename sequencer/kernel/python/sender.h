/* What extensions of higher floors need of sequencer.kernel._fast: to publish without objects for the numbers. */
#ifndef LOCKSTEP_SENDER_H
#define LOCKSTEP_SENDER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define LOCKSTEP_SENDER_CAPSULE "sequencer.kernel._fast.sender"

struct lockstep_sender_functions {
    size_t size; /* of this structure: both extensions were built from one header */
    PyTypeObject *type;
    /* What a call of a Sender does: the number it got; 0: an error is set. */
    uint64_t (*send)(PyObject *sender, uint64_t what, PyObject *body, uint64_t cause, int64_t origin_ts);
};

#endif
