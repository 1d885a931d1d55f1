/* Functions of journal.kernel._fast for the digests of tables (journal.messages.tables). */
#ifndef LOCKSTEP_TABLES_H
#define LOCKSTEP_TABLES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* changed(sum, table, keys, hashes, encode) -> sum: of each key what it has now, noted in `hashes`, instead of what is noted there. */
PyObject *lockstep_table_changed(PyObject *module, PyObject *args);
/* moved(sum, rows, encode, sign) -> sum: with each (key, value) added, or taken away where the sign is not above 0. */
PyObject *lockstep_table_moved(PyObject *module, PyObject *args);

#endif
