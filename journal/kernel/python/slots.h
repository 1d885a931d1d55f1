/* Where instances of a class hold what: attributes in slots. */
#ifndef LOCKSTEP_SLOTS_H
#define LOCKSTEP_SLOTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>

/* Where instances hold what a member descriptor stands for; false where it is no slot. */
static inline bool lockstep_slot_offset(PyObject *member, Py_ssize_t *offset) {
    if (!Py_IS_TYPE(member, &PyMemberDescr_Type)) return false;
    const PyMemberDef *d = ((PyMemberDescrObject *)member)->d_member;
    *offset = d->offset;
    return d->type == T_OBJECT_EX;
}

#endif
