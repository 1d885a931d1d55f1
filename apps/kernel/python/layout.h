/* Where objects of apps.app, apps.group and apps.ledger hold what: told once, by the modules that define them. */
#ifndef LOCKSTEP_APPS_LAYOUT_H
#define LOCKSTEP_APPS_LAYOUT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "journal/kernel/python/message.h"
#include "journal/kernel/python/number.h"

#define SLOT(object, offset) ((PyObject **)(void *)((char *)(object) + (offset)))

struct app_layout {
    PyTypeObject *type;
    Py_ssize_t seq, now, source, host;
};
struct slot_layout {
    PyTypeObject *type;
    Py_ssize_t events, ledger, emit;
};
struct ledger_layout {
    PyTypeObject *type;
    Py_ssize_t app, emitted, compared, pending, publish, published, send;
};
struct said_layout { /* Emission */
    PyTypeObject *type;
    Py_ssize_t source_seq, kind, version, flags, cause, origin_ts, body;
};

/* One for the process: an App is an App. All classes are kept for as long as it lives. */
extern struct app_layout lockstep_app;
extern struct slot_layout lockstep_slot;
extern struct ledger_layout lockstep_ledger;
extern struct said_layout lockstep_said;
extern uint16_t lockstep_sequencer_flags; /* no part of what an app said */
extern const struct lockstep_message_functions *lockstep_messages;

extern PyTypeObject lockstep_runner_type;

struct slot_name {
    const char *name;
    Py_ssize_t *offset;
};
/* Where instances of a class hold the named slots, up to a name that is NULL; false, with an error set, where one is none. */
bool lockstep_slots(PyTypeObject *cls, const struct slot_name *names);

/* Functions of the module; see say.c. */
PyObject *lockstep_accept_of(PyObject *module, PyObject *args);
PyObject *lockstep_emit_of(PyObject *module, PyObject *args);

#endif
