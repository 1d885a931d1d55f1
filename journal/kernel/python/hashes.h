/* What journal.messages.tables keeps of a Table between two digests, for keys of 64 bits without sign: the hash of each entry, and
 * the keys that were asked for. Both are open tables, probed one place after the other.
 *
 * A hash and its key are a row of 24 bytes; a quarter of the rows is free at least, half of them at most once the table has grown:
 * 32 to 48 bytes an entry. A key that was asked for takes 16 to 32 bytes, and is gone with the digest. */
#ifndef LOCKSTEP_HASHES_H
#define LOCKSTEP_HASHES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "journal/kernel/murmur3.h"

struct lockstep_row {
    uint64_t key;
    uint8_t hash[LOCKSTEP_MURMUR3_BYTES]; /* all zeros: the row is free. That an entry hashes so is as likely as that two are the same */
};
/* key -> hash */
typedef struct {
    PyObject_HEAD
    struct lockstep_row *rows;
    size_t places, used;
} Hashes;
extern PyTypeObject lockstep_hashes_type;

/* The hash of a key, to be read and replaced at once; all zeros where it has none yet, for zeros are not kept. NULL: an error is set. */
uint8_t *lockstep_hash_at(Hashes *h, uint64_t key);
/* Which it had, and has no more; false where it had none. */
bool lockstep_forget_hash(Hashes *h, uint64_t key, uint8_t *hash);
/* It will be asked for soon. */
void lockstep_hash_ahead(const Hashes *h, uint64_t key);

/* A set of keys, which keeps the order in which they came. Python adds with `keys[key] = None`, as to the dict of the model. */
typedef struct {
    PyObject_HEAD
    uint64_t *keys;
    uint32_t *index; /* twice as many as there is room for: 1 + a key's place in `keys`; 0: free */
    size_t room, used;
} Keys;
extern PyTypeObject lockstep_keys_type;

/* False: an error is set. */
bool lockstep_add_key(Keys *k, PyObject *key);

#endif
