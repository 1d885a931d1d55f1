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
    Py_ssize_t events, ledger, emit, timers;
    PyObject *tell; /* what `emit` is of a mute instance: the function */
};
struct lockstep_ref;
struct group_layout {
    Py_ssize_t due, waiting, derived, listeners;
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

/* A frame for one app, whose slots hold the frame's context already. */
struct turn {
    const struct lockstep_ref *ref;
    const struct lockstep_bytes *bytes;
    Py_ssize_t body; /* where it stands */
    PyObject *group, *slot, *app;
    const struct group_layout *in_group;
};
enum handled {
    HANDLED, /* all is done that the handler in Python would have done */
    LEFT,    /* that one is to be called: nothing is done, or it is told what was */
    FAILED   /* an error is set */
};
/* A handler in C: what all of them begin with. */
typedef struct {
    PyObject_HEAD
    enum handled (*handle)(PyObject *self, const struct turn *t);
    Py_ssize_t bytes; /* of the fixed part that it reads: of a shorter body it is not asked */
    PyObject *of;     /* what it reads and changes */
} Native;
extern PyTypeObject lockstep_native_type; /* the base of their types */
extern PyTypeObject lockstep_book_updates_type, lockstep_touches_type, lockstep_idle_type, lockstep_decisions_type, lockstep_orders_type, lockstep_reports_type,
    lockstep_changes_type, lockstep_own_type, lockstep_fills_type, lockstep_packer_type;

struct slot_name {
    const char *name;
    Py_ssize_t *offset;
};
/* Where instances of a class hold the named slots, up to a name that is NULL; false, with an error set, where one is none. */
bool lockstep_slots(PyTypeObject *cls, const struct slot_name *names);

/* What an app says whose message is encoded already, with the frame that its slots hold as the cause. `held` is where the caller
 * keeps a message to be used again for those who want it as one. False: an error is set. */
bool lockstep_say(const struct turn *t, PyTypeObject *cls, PyObject *decoder, PyObject **held, const void *body, Py_ssize_t size);

/* Where a Looks (apps.looks) holds what. False: an error is set. */
bool lockstep_learn_looks(PyTypeObject *looks);
/* Whether an app is to be woken by a message of a mute instance now; then it has looked. 1, 0; -1: an error is set. */
int lockstep_look(PyObject *app, PyObject *message, int64_t now);
/* Group.listens of what is about an instrument, or somebody else hears it. 1, 0; -1: an error is set. */
int lockstep_is_heard(const struct turn *t, uint16_t kind, uint32_t instrument);

/* Slot.set_timer and Slot.cancel_timer. False: an error is set. */
bool lockstep_set_timer(const struct turn *t, int64_t at, uint64_t token);
bool lockstep_cancel_timer(const struct turn *t, uint64_t token);

/* Functions of the module; see say.c. */
PyObject *lockstep_accept_of(PyObject *module, PyObject *args);
PyObject *lockstep_emit_of(PyObject *module, PyObject *args);
/* (address, bytes) of the space that objects come from now; None where that cannot be. */
PyObject *lockstep_use_large_pages(PyObject *module, PyObject *none);

#endif
