/* places.h: learn where the classes hold what; and tables, whose digest knows what has changed. */
#include "places.h"

Py_ssize_t lockstep_places[PLACES];
PyTypeObject *lockstep_classes[CLASSES];

#define LOCKSTEP_CLASS(cls) #cls,
static const char *const class_names[CLASSES] = {LOCKSTEP_CLASSES(LOCKSTEP_CLASS)};
#undef LOCKSTEP_CLASS
#define LOCKSTEP_PLACE(cls, slot) {#cls, #slot},
static const struct {
    const char *cls, *slot;
} places[PLACES] = {LOCKSTEP_RISK_PLACES(LOCKSTEP_PLACE) LOCKSTEP_OMS_PLACES(LOCKSTEP_PLACE)};
#undef LOCKSTEP_PLACE

bool lockstep_learn_places(PyObject *classes) {
    for (int i = 0; i < PLACES; i++) {
        PyObject *cls = PyDict_GetItemString(classes, places[i].cls);
        const struct slot_name names[] = {{places[i].slot, &lockstep_places[i]}, {0}};
        if (cls != NULL && !lockstep_slots((PyTypeObject *)cls, names)) return false;
    }
    for (int i = 0; i < CLASSES; i++) {
        PyObject *cls = PyDict_GetItemString(classes, class_names[i]);
        if (cls != NULL && !PyType_Check(cls)) {
            PyErr_Format(PyExc_TypeError, "expected a class %s", class_names[i]);
            return false;
        }
        if (cls != NULL) Py_XSETREF(lockstep_classes[i], (PyTypeObject *)Py_NewRef(cls));
    }
    return true;
}

enum { TRACKED_MAX = 1 << 18 }; /* as of the tables */
static PyObject *name_of_asked, *name_of_touch;

bool lockstep_touch(PyObject *dict, PyObject *key) {
    if (PyDict_CheckExact(dict)) return true;
    if (name_of_touch == NULL && ((name_of_asked = PyUnicode_InternFromString("_asked")) == NULL ||
                                  (name_of_touch = PyUnicode_InternFromString("touch")) == NULL))
        return false;
    PyObject *asked = PyObject_GetAttr(dict, name_of_asked);
    if (asked == NULL) return false;
    bool good = true;
    if (PyDict_CheckExact(asked) && PyDict_GET_SIZE(asked) < TRACKED_MAX) good = PyDict_SetItem(asked, key, Py_None) == 0;
    else if (asked != Py_None) {
        PyObject *result = PyObject_CallMethodOneArg(dict, name_of_touch, key);
        good = result != NULL;
        Py_XDECREF(result);
    }
    Py_DECREF(asked);
    return good;
}

bool lockstep_put(PyObject *dict, PyObject *key, PyObject *value) { return lockstep_touch(dict, key) && PyDict_SetItem(dict, key, value) == 0; }

bool lockstep_remove(PyObject *dict, PyObject *key) { return lockstep_touch(dict, key) && PyDict_DelItem(dict, key) == 0; }
