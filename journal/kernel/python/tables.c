/* journal.messages.tables: the digest of a table follows what has changed since the last one. Entries are encoded by the table's
 * own encoder; hashes and their sum, of 256 bits, never become integers of Python. */
#include "journal/kernel/python/tables.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "journal/kernel/blake2b.h"

enum { HASH_BYTES = 32, WORDS = HASH_BYTES / 8 };
typedef unsigned __int128 wide;

struct sum {
    uint64_t word[WORDS];
};

static void add(struct sum *s, const char *hash) {
    wide carry = 0;
    for (int i = 0; i < WORDS; i++) {
        uint64_t x;
        memcpy(&x, hash + 8 * i, sizeof x);
        carry += (wide)s->word[i] + x;
        s->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void subtract(struct sum *s, const char *hash) {
    uint64_t borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        uint64_t x;
        memcpy(&x, hash + 8 * i, sizeof x);
        const wide left = (wide)s->word[i] - x - borrow;
        s->word[i] = (uint64_t)left;
        borrow = left >> 64 != 0;
    }
}

/* A hash or sum as the tables keep it; NULL, with an error set, where it is something else. */
static const char *hash_in(PyObject *v) {
    if (PyBytes_CheckExact(v) && PyBytes_GET_SIZE(v) == HASH_BYTES) return PyBytes_AS_STRING(v);
    PyErr_Format(PyExc_TypeError, "expected %d bytes, found %R", HASH_BYTES, v);
    return NULL;
}

static bool hash_of(PyObject *encode, PyObject *key, PyObject *value, char *hash) {
    PyObject *entry = PyTuple_Pack(2, key, value), *bytes = entry != NULL ? PyObject_CallOneArg(encode, entry) : NULL;
    Py_XDECREF(entry);
    const bool good = bytes != NULL && PyBytes_CheckExact(bytes);
    if (good) lockstep_blake2b(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), hash, HASH_BYTES);
    else if (bytes != NULL) PyErr_Format(PyExc_TypeError, "%R encodes to no bytes", encode);
    Py_XDECREF(bytes);
    return good;
}

/* What a key has now, into the sum; what it had before, out of it. */
static bool follow(struct sum *s, PyObject *table, PyObject *hashes, PyObject *encode, PyObject *key) {
    PyObject *before = PyDict_GetItemWithError(hashes, key), *value = before != NULL || !PyErr_Occurred() ? PyDict_GetItemWithError(table, key) : NULL;
    if (PyErr_Occurred()) return false;
    if (before != NULL) {
        const char *hash = hash_in(before);
        if (hash == NULL) return false;
        subtract(s, hash);
    }
    if (value == NULL) return before == NULL || PyDict_DelItem(hashes, key) == 0;
    char hash[HASH_BYTES];
    Py_INCREF(value);
    const bool good = hash_of(encode, key, value, hash);
    Py_DECREF(value);
    PyObject *now = good ? PyBytes_FromStringAndSize(hash, HASH_BYTES) : NULL;
    const bool kept = now != NULL && PyDict_SetItem(hashes, key, now) == 0;
    Py_XDECREF(now);
    if (kept) add(s, hash);
    return kept;
}

static bool read_sum(PyObject *v, struct sum *s) {
    const char *bytes = hash_in(v);
    if (bytes != NULL) memcpy(s, bytes, sizeof *s);
    return bytes != NULL;
}

PyObject *lockstep_table_changed(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *before, *table, *keys, *hashes, *encode;
    struct sum s;
    if (!PyArg_ParseTuple(args, "OO!OO!O", &before, &PyDict_Type, &table, &keys, &PyDict_Type, &hashes, &encode) || !read_sum(before, &s))
        return NULL;
    PyObject *each = PyObject_GetIter(keys), *key;
    if (each == NULL) return NULL;
    bool good = true;
    while (good && (key = PyIter_Next(each)) != NULL) {
        good = follow(&s, table, hashes, encode, key);
        Py_DECREF(key);
    }
    Py_DECREF(each);
    return good && !PyErr_Occurred() ? PyBytes_FromStringAndSize((const char *)&s, sizeof s) : NULL;
}

PyObject *lockstep_table_moved(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *before, *rows, *encode;
    int sign;
    struct sum s;
    if (!PyArg_ParseTuple(args, "OOOi", &before, &rows, &encode, &sign) || !read_sum(before, &s)) return NULL;
    PyObject *each = PyObject_GetIter(rows), *row;
    if (each == NULL) return NULL;
    bool good = true;
    while (good && (row = PyIter_Next(each)) != NULL) {
        char hash[HASH_BYTES];
        if (PyTuple_CheckExact(row) && PyTuple_GET_SIZE(row) == 2) good = hash_of(encode, PyTuple_GET_ITEM(row, 0), PyTuple_GET_ITEM(row, 1), hash);
        else {
            PyErr_Format(PyExc_TypeError, "expected (key, value), found %R", row);
            good = false;
        }
        if (good && sign > 0) add(&s, hash);
        else if (good) subtract(&s, hash);
        Py_DECREF(row);
    }
    Py_DECREF(each);
    return good && !PyErr_Occurred() ? PyBytes_FromStringAndSize((const char *)&s, sizeof s) : NULL;
}
