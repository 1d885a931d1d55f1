/* Walk(dict): the keys of a dict that comes and goes meanwhile, a few at a time and nobody's reference count touched before.
 *
 * next(count) -> list: the next so many keys; empty at the end. What is added meanwhile stands at the end, as in every dict.
 * leave(key): to be called before a key is removed, for the walk stands at one, by which it finds its place when the dict has moved
 * its entries together. */
#ifndef LOCKSTEP_WALK_H
#define LOCKSTEP_WALK_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyTypeObject lockstep_walk_type;

#endif
