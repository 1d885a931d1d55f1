/* apps.kernel._fast: what a host does for each frame and each emission, without the interpreter in between. Only an
 * accelerator: the Python in apps.app, apps.group and apps.ledger is the reference, and does whatever is rare. */
#include "pending.h"
#include "timers.h"

#include <structmember.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little-endian, and so is this accelerator"
#endif

struct app_layout lockstep_app;
struct slot_layout lockstep_slot;
struct ledger_layout lockstep_ledger;
struct said_layout lockstep_said;
uint16_t lockstep_sequencer_flags;
const struct lockstep_message_functions *lockstep_messages;

bool lockstep_slots(PyTypeObject *cls, const struct slot_name *names) {
    for (; names->name != NULL; names++) {
        PyObject *member = PyObject_GetAttrString((PyObject *)cls, names->name);
        if (member == NULL) return false;
        const bool slot = Py_IS_TYPE(member, &PyMemberDescr_Type) && ((PyMemberDescrObject *)member)->d_member->type == T_OBJECT_EX;
        if (slot) *names->offset = ((PyMemberDescrObject *)member)->d_member->offset;
        else PyErr_Format(PyExc_TypeError, "%R: expected a slot %s", cls, names->name);
        Py_DECREF(member);
        if (!slot) return false;
    }
    return true;
}

static PyMethodDef functions[] = {{"accept_of", lockstep_accept_of, METH_VARARGS, NULL},
                                  {"emit_of", lockstep_emit_of, METH_VARARGS, NULL},
                                  {"use_large_pages", lockstep_use_large_pages, METH_NOARGS, NULL},
                                  {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fast", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__fast(void) {
    PyObject *journal = PyImport_ImportModule("journal.kernel._fast");
    PyObject *capsule = journal != NULL ? PyObject_GetAttrString(journal, "message") : NULL;
    lockstep_messages = capsule != NULL ? PyCapsule_GetPointer(capsule, LOCKSTEP_MESSAGE_CAPSULE) : NULL;
    Py_XDECREF(capsule);
    Py_XDECREF(journal); /* it stays in sys.modules */
    if (lockstep_messages == NULL) return NULL;
    if (lockstep_messages->size != sizeof *lockstep_messages)
        return PyErr_Format(PyExc_ImportError, "built beside another journal.kernel._fast; build both again");
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddType(module, &lockstep_runner_type) < 0 || PyModule_AddType(module, &lockstep_pending_type) < 0 ||
        PyModule_AddType(module, &lockstep_book_updates_type) < 0 || PyModule_AddType(module, &lockstep_touches_type) < 0 ||
        PyModule_AddType(module, &lockstep_idle_type) < 0 || PyModule_AddType(module, &lockstep_decisions_type) < 0 ||
        PyModule_AddType(module, &lockstep_orders_type) < 0 || PyModule_AddType(module, &lockstep_reports_type) < 0 ||
        PyModule_AddType(module, &lockstep_changes_type) < 0 || PyModule_AddType(module, &lockstep_timers_type) < 0 ||
        PyModule_AddType(module, &lockstep_own_type) < 0 || PyModule_AddType(module, &lockstep_fills_type) < 0 ||
        PyModule_AddType(module, &lockstep_packer_type) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
