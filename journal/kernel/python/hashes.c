/* hashes.h */
#include "journal/kernel/python/hashes.h"

#include <string.h>

#include "journal/kernel/python/number.h"

enum { PLACES_FIRST = 64, KEYS_FIRST = 64, TOGETHER = 4 };
typedef unsigned __int128 wide;

/* Ids count up, and their upper bits are a source: spread evenly by the golden ratio. */
static inline uint64_t spread(uint64_t key) { return key * UINT64_C(0x9E3779B97F4A7C15); }

/* So many ids that follow one another are neighbours: who comes with one comes with the next, and each line of memory counts. */
static inline size_t home_of(const Hashes *h, uint64_t key) {
    return (size_t)((wide)spread(key / TOGETHER) * (h->places / TOGETHER) >> 64) * TOGETHER + key % TOGETHER;
}

static inline size_t after(const Hashes *h, size_t at) { return at + 1 == h->places ? 0 : at + 1; }

static inline bool is_free(const struct lockstep_row *row) {
    static const uint8_t none[LOCKSTEP_MURMUR3_BYTES];
    return memcmp(row->hash, none, sizeof none) == 0;
}

/* Where a key's row is, or the free one where it belongs. */
static struct lockstep_row *place_of(const Hashes *h, uint64_t key) {
    size_t at = home_of(h, key);
    while (h->rows[at].key != key && !is_free(&h->rows[at])) at = after(h, at);
    return &h->rows[at];
}

static bool grow(Hashes *h) {
    const size_t places = h->places == 0 ? PLACES_FIRST : (h->places + h->places / 2) / TOGETHER * TOGETHER;
    struct lockstep_row *rows = PyMem_Calloc(places, sizeof *rows);
    if (rows == NULL) return PyErr_NoMemory(), false;
    const Hashes before = *h;
    h->rows = rows;
    h->places = places;
    for (size_t i = 0; i < before.places; i++)
        if (!is_free(&before.rows[i])) *place_of(h, before.rows[i].key) = before.rows[i];
    PyMem_Free(before.rows);
    return true;
}

uint8_t *lockstep_hash_at(Hashes *h, uint64_t key) {
    if (4 * (h->used + 1) > 3 * h->places && !grow(h)) return NULL;
    struct lockstep_row *row = place_of(h, key);
    h->used += is_free(row);
    row->key = key;
    return row->hash;
}

/* Rows behind a hole move up, where that brings them nearer to home: no search may end before them. */
static void close_hole(Hashes *h, size_t hole) {
    for (size_t at = after(h, hole); !is_free(&h->rows[at]); at = after(h, at)) {
        const size_t home = home_of(h, h->rows[at].key);
        const size_t from_home = at >= home ? at - home : at + h->places - home;
        const size_t from_hole = at >= hole ? at - hole : at + h->places - hole;
        if (from_home < from_hole) continue;
        h->rows[hole] = h->rows[at];
        hole = at;
    }
    h->rows[hole] = (struct lockstep_row){0};
}

bool lockstep_forget_hash(Hashes *h, uint64_t key, uint8_t *hash) {
    struct lockstep_row *row = h->places != 0 ? place_of(h, key) : NULL;
    if (row == NULL || is_free(row)) return false;
    memcpy(hash, row->hash, sizeof row->hash);
    close_hole(h, (size_t)(row - h->rows));
    h->used--;
    return true;
}

void lockstep_hash_ahead(const Hashes *h, uint64_t key) {
    if (h->places != 0) __builtin_prefetch(&h->rows[home_of(h, key)]);
}

static uint32_t *index_of(const Keys *k, uint64_t key) {
    const size_t places = 2 * k->room;
    size_t at = (size_t)((wide)spread(key) * places >> 64);
    while (k->index[at] != 0 && k->keys[k->index[at] - 1] != key) at = at + 1 == places ? 0 : at + 1;
    return &k->index[at];
}

static bool grow_keys(Keys *k) {
    const size_t room = k->room == 0 ? KEYS_FIRST : 2 * k->room;
    uint64_t *keys = room <= UINT32_MAX ? PyMem_Realloc(k->keys, room * sizeof *keys) : NULL;
    if (keys != NULL) k->keys = keys;
    uint32_t *index = keys != NULL ? PyMem_Calloc(2 * room, sizeof *index) : NULL;
    if (index == NULL) return PyErr_NoMemory(), false;
    PyMem_Free(k->index);
    k->index = index;
    k->room = room;
    for (size_t i = 0; i < k->used; i++) *index_of(k, k->keys[i]) = (uint32_t)i + 1;
    return true;
}

bool lockstep_add_key(Keys *k, PyObject *key) {
    uint64_t x;
    if (!take_key(key, &x)) {
        PyErr_Format(PyExc_TypeError, "expected a key from 0 up to 2^64, found %R", key);
        return false;
    }
    if (k->used == k->room && !grow_keys(k)) return false;
    uint32_t *index = index_of(k, x);
    if (*index == 0) {
        k->keys[k->used++] = x;
        *index = (uint32_t)k->used;
    }
    return true;
}

static PyObject *new_hashes(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    return PyArg_ParseTuple(args, "") && keywords == NULL ? type->tp_alloc(type, 0) : NULL;
}

static void hashes_dealloc(PyObject *self) {
    PyMem_Free(((Hashes *)self)->rows);
    Py_TYPE(self)->tp_free(self);
}

static void keys_dealloc(PyObject *self) {
    PyMem_Free(((Keys *)self)->keys);
    PyMem_Free(((Keys *)self)->index);
    Py_TYPE(self)->tp_free(self);
}

static Py_ssize_t hashes_length(PyObject *self) { return (Py_ssize_t)((Hashes *)self)->used; }
static Py_ssize_t keys_length(PyObject *self) { return (Py_ssize_t)((Keys *)self)->used; }

static int add_key(PyObject *self, PyObject *key, PyObject *value) {
    if (value == Py_None) return lockstep_add_key((Keys *)self, key) ? 0 : -1;
    PyErr_SetString(PyExc_TypeError, "keys are added only, with None");
    return -1;
}

static PyMappingMethods of_hashes = {.mp_length = hashes_length}, of_keys = {.mp_length = keys_length, .mp_ass_subscript = add_key};

PyTypeObject lockstep_hashes_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "journal.kernel._fast.Hashes", .tp_basicsize = sizeof(Hashes),
    .tp_flags = Py_TPFLAGS_DEFAULT, .tp_new = new_hashes, .tp_dealloc = hashes_dealloc, .tp_as_mapping = &of_hashes};
PyTypeObject lockstep_keys_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "journal.kernel._fast.Keys", .tp_basicsize = sizeof(Keys),
    .tp_flags = Py_TPFLAGS_DEFAULT, .tp_new = new_hashes, .tp_dealloc = keys_dealloc, .tp_as_mapping = &of_keys};
