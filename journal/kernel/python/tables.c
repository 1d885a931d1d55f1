/* journal.messages.tables: the digest of a table follows what has changed since the last one. Neither the bytes of entries nor hashes nor
 * their sum become objects. */
#include "journal/kernel/python/tables.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "journal/kernel/python/hashes.h"
#include "journal/kernel/python/number.h"
#include "journal/kernel/python/pack.h"

enum { HASH_BYTES = LOCKSTEP_MURMUR3_BYTES, PORTION = 64, AHEAD = 2 };
typedef unsigned __int128 wide;

static wide number_of(const uint8_t *hash) {
    wide x;
    memcpy(&x, hash, sizeof x);
    return x;
}

static bool read_sum(PyObject *v, wide *s) {
    if (PyBytes_CheckExact(v) && PyBytes_GET_SIZE(v) == HASH_BYTES) return memcpy(s, PyBytes_AS_STRING(v), HASH_BYTES), true;
    PyErr_Format(PyExc_TypeError, "expected %d bytes, found %R", HASH_BYTES, v);
    return false;
}

/* What is done for a digest. Entries wait for a while: most of them are in no cache, and are asked for ahead of their turn. */
struct work {
    wide sum;
    bool less;      /* they are taken away */
    Hashes *hashes; /* where they are noted; NULL: nowhere */
    PyObject *encode;
    PyObject *keys[PORTION], *values[PORTION]; /* owned */
    uint64_t numbers[PORTION];                 /* the keys, for `hashes` */
    size_t waiting;
    struct lockstep_packed packed; /* one of them */
};

static void let_go(struct work *w) {
    for (size_t i = 0; i < w->waiting; i++) {
        Py_DECREF(w->keys[i]);
        Py_DECREF(w->values[i]);
    }
    w->waiting = 0;
}

/* By msgspec: what is not packed here. */
static bool encode_entry(struct work *w, PyObject *key, PyObject *value, uint8_t *hash) {
    PyObject *entry = PyTuple_Pack(2, key, value), *bytes = entry != NULL ? PyObject_CallOneArg(w->encode, entry) : NULL;
    Py_XDECREF(entry);
    const bool good = bytes != NULL && PyBytes_CheckExact(bytes);
    if (good) lockstep_murmur3(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), hash);
    else if (bytes != NULL) PyErr_Format(PyExc_TypeError, "%R encodes to no bytes", w->encode);
    Py_XDECREF(bytes);
    return good;
}

static bool hash_entry(struct work *w, PyObject *key, PyObject *value, uint8_t *hash) {
    w->packed.used = 0;
    if (!lockstep_pack_entry(&w->packed, key, value)) return !PyErr_Occurred() && encode_entry(w, key, value, hash);
    lockstep_murmur3(w->packed.at, w->packed.used, hash);
    return true;
}

/* An entry's hash into the sum, and what is noted of its key out of it. */
static bool take_hash(struct work *w, uint64_t key, const uint8_t *hash) {
    uint8_t *noted = w->hashes != NULL ? lockstep_hash_at(w->hashes, key) : NULL;
    if (w->hashes != NULL && noted == NULL) return false;
    w->sum += w->less ? 0 - number_of(hash) : number_of(hash);
    if (noted != NULL) {
        w->sum -= number_of(noted);
        memcpy(noted, hash, HASH_BYTES);
    }
    return true;
}

static bool do_portion(struct work *w) {
    bool good = true;
    for (size_t i = 0; i < AHEAD && i < w->waiting; i++) lockstep_pack_ahead(w->values[i]);
    for (size_t i = 0; good && i < w->waiting; i++) {
        uint8_t hash[HASH_BYTES];
        if (i + AHEAD < w->waiting) lockstep_pack_ahead(w->values[i + AHEAD]);
        good = hash_entry(w, w->keys[i], w->values[i], hash) && take_hash(w, w->numbers[i], hash);
    }
    let_go(w);
    return good;
}

static bool take_entry(struct work *w, PyObject *key, PyObject *value, uint64_t number) {
    const size_t n = w->waiting++;
    w->keys[n] = Py_NewRef(key);
    w->values[n] = Py_NewRef(value);
    w->numbers[n] = number;
    lockstep_come_ahead(value);
    if (w->hashes != NULL) lockstep_hash_ahead(w->hashes, number);
    return w->waiting < PORTION || do_portion(w);
}

/* The sum as it is with those that wait, or NULL where something went wrong. */
static PyObject *finish(struct work *w, bool good) {
    good = good && do_portion(w);
    let_go(w);
    PyMem_Free(w->packed.at);
    return good ? PyBytes_FromStringAndSize((const char *)&w->sum, sizeof w->sum) : NULL;
}

/* What a key has now, into the sum; what it had before, out of it. */
static bool follow(struct work *w, PyObject *table, uint64_t number, PyObject *key) {
    PyObject *value = PyDict_GetItemWithError(table, key);
    if (value != NULL) return take_entry(w, key, value, number);
    uint8_t before[HASH_BYTES];
    if (!PyErr_Occurred() && lockstep_forget_hash(w->hashes, number, before)) w->sum -= number_of(before);
    return !PyErr_Occurred();
}

static bool follow_keys(struct work *w, PyObject *table, const Keys *keys) {
    bool good = true;
    for (size_t i = 0; good && i < keys->used; i++) {
        PyObject *key = PyLong_FromUnsignedLongLong(keys->keys[i]);
        good = key != NULL && follow(w, table, keys->keys[i], key);
        Py_XDECREF(key);
    }
    return good;
}

static bool follow_each(struct work *w, PyObject *table, PyObject *keys) {
    PyObject *each = PyObject_GetIter(keys), *key;
    bool good = each != NULL;
    while (good && (key = PyIter_Next(each)) != NULL) {
        uint64_t number;
        good = take_key(key, &number);
        if (!good) PyErr_Format(PyExc_TypeError, "expected a key from 0 up to 2^64, found %R", key);
        good = good && follow(w, table, number, key);
        Py_DECREF(key);
    }
    Py_XDECREF(each);
    return good && !PyErr_Occurred();
}

PyObject *lockstep_table_changed(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *before, *table, *keys;
    struct work w = {0};
    if (!PyArg_ParseTuple(args, "OO!OO!O", &before, &PyDict_Type, &table, &keys, &lockstep_hashes_type, &w.hashes, &w.encode) ||
        !read_sum(before, &w.sum))
        return NULL;
    return finish(&w, Py_IS_TYPE(keys, &lockstep_keys_type) ? follow_keys(&w, table, (Keys *)keys) : follow_each(&w, table, keys));
}

PyObject *lockstep_table_added(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *before, *table, *keys, *key;
    struct work w = {0};
    if (!PyArg_ParseTuple(args, "OO!OO", &before, &PyDict_Type, &table, &keys, &w.encode) || !read_sum(before, &w.sum)) return NULL;
    PyObject *each = PyObject_GetIter(keys);
    bool good = each != NULL;
    while (good && (key = PyIter_Next(each)) != NULL) {
        PyObject *value = Py_XNewRef(PyDict_GetItemWithError(table, key));
        if (value == NULL && !PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, key);
        good = value != NULL && take_entry(&w, key, value, 0);
        Py_XDECREF(value);
        Py_DECREF(key);
    }
    Py_XDECREF(each);
    return finish(&w, good && !PyErr_Occurred());
}

PyObject *lockstep_table_removed(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *before, *rows, *row;
    struct work w = {.less = true};
    if (!PyArg_ParseTuple(args, "OOO", &before, &rows, &w.encode) || !read_sum(before, &w.sum)) return NULL;
    PyObject *each = PyObject_GetIter(rows);
    bool good = each != NULL;
    while (good && (row = PyIter_Next(each)) != NULL) {
        good = PyTuple_CheckExact(row) && PyTuple_GET_SIZE(row) == 2;
        if (!good) PyErr_Format(PyExc_TypeError, "expected (key, value), found %R", row);
        good = good && take_entry(&w, PyTuple_GET_ITEM(row, 0), PyTuple_GET_ITEM(row, 1), 0);
        Py_DECREF(row);
    }
    Py_XDECREF(each);
    return finish(&w, good && !PyErr_Occurred());
}
