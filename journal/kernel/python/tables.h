/* Functions of journal.kernel._fast for the digests of tables (journal.messages.tables). `encode` gets as a tuple what is not
 * packed here (pack.h). */
#ifndef LOCKSTEP_TABLES_H
#define LOCKSTEP_TABLES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* changed(sum, table, keys, hashes, encode) -> sum: of each key what it has now, noted in `hashes`, instead of what is noted there. */
PyObject *lockstep_table_changed(PyObject *module, PyObject *args);
/* added(sum, table, keys, encode) -> sum: with what each key has. */
PyObject *lockstep_table_added(PyObject *module, PyObject *args);
/* removed(sum, rows, encode) -> sum: without these (key, value). */
PyObject *lockstep_table_removed(PyObject *module, PyObject *args);

#endif
