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

bool lockstep_is_of(PyObject *object, enum lockstep_class cls) {
    if (lockstep_classes[cls] != NULL && PyObject_TypeCheck(object, lockstep_classes[cls])) return true;
    PyErr_Format(PyExc_TypeError, "expected a %s; found %R", class_names[cls], object);
    return false;
}

enum { TRACKED_MAX = 1 << 18 }; /* as of the tables */

/* Nobody wants to see entries as they were. */
static bool is_unwatched(PyObject *watchers) { return watchers != NULL && PyTuple_CheckExact(watchers) && PyTuple_GET_SIZE(watchers) == 0; }

/* Table.touch */
static bool touch(PyObject *table, PyObject *key) {
    PyObject *asked = HELD(table, Table, _asked);
    const bool unwatched = is_unwatched(HELD(table, Table, watchers));
    if (unwatched && asked == Py_None) return true;
    if (unwatched && asked != NULL && Py_IS_TYPE(asked, lockstep_messages->keys) && ((Keys *)asked)->used < TRACKED_MAX)
        return lockstep_messages->add_key((Keys *)asked, key);
    PyObject *result = PyObject_CallMethod(table, "touch", "O", key);
    Py_XDECREF(result);
    return result != NULL;
}

bool lockstep_touch(PyObject *dict, PyObject *key) {
    if (IS_A(dict, Table)) return touch(dict, key);
    if (PyDict_CheckExact(dict)) return true;
    PyErr_Format(PyExc_TypeError, "%R: expected a dict or a table", Py_TYPE(dict));
    return false;
}

bool lockstep_put(PyObject *dict, PyObject *key, PyObject *value) { return lockstep_touch(dict, key) && PyDict_SetItem(dict, key, value) == 0; }

bool lockstep_remove(PyObject *dict, PyObject *key) { return lockstep_touch(dict, key) && PyDict_DelItem(dict, key) == 0; }

bool lockstep_add(PyObject *fixed, PyObject *key, PyObject *value) {
    PyObject *added = IS_A(fixed, Fixed) ? HELD(fixed, Fixed, _added) : NULL;
    const int there = added != NULL && is_unwatched(HELD(fixed, Fixed, watchers)) ? PyDict_Contains(fixed, key) : 1;
    if (there) return there > 0 && PyObject_SetItem(fixed, key, value) == 0;
    return (added == Py_None || (PyDict_Check(added) && PyDict_SetItem(added, key, Py_None) == 0)) && PyDict_SetItem(fixed, key, value) == 0;
}
