/* places.h: learn where the classes hold what. */
#include "places.h"

Py_ssize_t lockstep_places[PLACES];
PyTypeObject *lockstep_classes[CLASSES];

static const char *const class_names[CLASSES] = {"Memory", "Book",  "Control",    "Rules", "Beat", "Usage", "Seen", "Touch",
                                                 "Instrument", "Offer", "Held", "Sums", "Cell", "Area", "View"};

static bool learn_slot(PyObject *classes, const char *cls, const char *slot, Py_ssize_t *place) {
    PyObject *found = PyDict_GetItemString(classes, cls);
    if (found == NULL || !PyType_Check(found)) {
        PyErr_Format(PyExc_TypeError, "expected a class %s", cls);
        return false;
    }
    const struct slot_name names[] = {{slot, place}, {0}};
    return lockstep_slots((PyTypeObject *)found, names);
}

bool lockstep_learn_places(PyObject *classes) {
#define LOCKSTEP_PLACE(cls, slot) {#cls, #slot},
    static const struct {
        const char *cls, *slot;
    } wanted[] = {LOCKSTEP_PLACES(LOCKSTEP_PLACE)};
#undef LOCKSTEP_PLACE
    for (int i = 0; i < PLACES; i++)
        if (!learn_slot(classes, wanted[i].cls, wanted[i].slot, &lockstep_places[i])) return false;
    for (int i = 0; i < CLASSES; i++) {
        PyObject *found = PyDict_GetItemString(classes, class_names[i]);
        if (found == NULL || !PyType_Check(found)) {
            PyErr_Format(PyExc_TypeError, "expected a class %s", class_names[i]);
            return false;
        }
        Py_XSETREF(lockstep_classes[i], (PyTypeObject *)Py_NewRef(found));
    }
    return true;
}
