/* pack.h: structs that are arrays (msgspec.Struct, array_like), integers of 64 bits and members of integer enumerations, None,
 * bool, str, bytes, dict, list, tuple; as deep as tables go. Whatever else there is msgspec knows. */
#include "journal/kernel/python/pack.h"

#include <string.h>

#include "journal/kernel/python/number.h"
#include "journal/kernel/python/slots.h"

enum { DEPTH_MAX = 8, CLASSES_MAX = 256, SCALAR_BYTES_MAX = 9, USUAL_BYTES = 15, CACHE_LINE = 64, AHEAD_BYTES = 384 };

/* A field of a struct, and what it is by default, where that is short and cannot change: most fields of an order are, and
 * are the very object. */
struct field {
    Py_ssize_t slot;
    PyObject *usual; /* NULL: nothing such */
    uint8_t bytes, packed[USUAL_BYTES];
};

/* A class that is none of Python's own. What it is is learnt when the first instance is met, and kept with the class. */
struct shape {
    PyTypeObject *cls;
    enum { OTHER, ENUMERATION, STRUCT } what;
    Py_ssize_t n; /* of a struct */
    struct field *fields;
};
static struct shape shapes[CLASSES_MAX];
static unsigned shapes_n;

bool lockstep_grow(struct lockstep_packed *p, size_t bytes) {
    const size_t room = 2 * p->room + bytes;
    uint8_t *at = PyMem_Realloc(p->at, room);
    if (at == NULL) return PyErr_NoMemory(), false;
    p->at = at;
    p->room = room;
    return true;
}

/* A byte that says what comes, and a number of 1, 2, 4 or 8 bytes, the highest first. */
static inline void put_tagged(struct lockstep_packed *p, uint8_t tag, uint64_t x, unsigned bytes) {
    const uint64_t swapped = __builtin_bswap64(x) >> (64 - 8 * bytes);
    p->at[p->used] = tag;
    memcpy(p->at + p->used + 1, &swapped, sizeof swapped); /* there is room for as many */
    p->used += 1 + bytes;
}

static bool put_byte(struct lockstep_packed *p, uint8_t x) {
    if (!lockstep_room(p, 1)) return false;
    p->at[p->used++] = x;
    return true;
}

/* How much of something follows: in the first byte where it is less than `few`, else in 2 or 4 bytes, or in 1 where there is
 * such a tag. */
static bool put_length(struct lockstep_packed *p, Py_ssize_t n, uint8_t first, Py_ssize_t few, uint8_t tag1, uint8_t tag2) {
    if (n < few) return put_byte(p, (uint8_t)(first | n));
    if (n > UINT32_MAX || !lockstep_room(p, SCALAR_BYTES_MAX)) return false;
    const uint8_t tag4 = tag2 + 1;
    if (tag1 != 0 && n <= UINT8_MAX) put_tagged(p, tag1, (uint64_t)n, 1);
    else put_tagged(p, n <= UINT16_MAX ? tag2 : tag4, (uint64_t)n, n <= UINT16_MAX ? 2 : 4);
    return true;
}

static void put_large(struct lockstep_packed *p, bool negative, uint64_t x) {
    const uint64_t bits = negative ? 0 - x : x;
    if (!negative && x <= UINT8_MAX) put_tagged(p, 0xcc, bits, 1);
    else if (!negative && x <= UINT16_MAX) put_tagged(p, 0xcd, bits, 2);
    else if (!negative && x <= UINT32_MAX) put_tagged(p, 0xce, bits, 4);
    else if (!negative) put_tagged(p, 0xcf, bits, 8);
    else if (x <= UINT64_C(1) << 7) put_tagged(p, 0xd0, bits, 1);
    else if (x <= UINT64_C(1) << 15) put_tagged(p, 0xd1, bits, 2);
    else if (x <= UINT64_C(1) << 31) put_tagged(p, 0xd2, bits, 4);
    else put_tagged(p, 0xd3, bits, 8);
}

static inline bool put_integer(struct lockstep_packed *p, PyObject *v) {
    bool negative;
    uint64_t x;
    if (!take_number(v, &negative, &x) || !lockstep_room(p, SCALAR_BYTES_MAX)) return false;
    if (x < (negative ? 0x21 : 0x80)) p->at[p->used++] = (uint8_t)(negative ? 0 - x : x);
    else put_large(p, negative, x);
    return true;
}

static bool put_bytes(struct lockstep_packed *p, const char *from, Py_ssize_t n) {
    if (!lockstep_room(p, (size_t)n)) return false;
    memcpy(p->at + p->used, from, (size_t)n);
    p->used += (size_t)n;
    return true;
}

static bool put_text(struct lockstep_packed *p, PyObject *v) {
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(v, &n);
    if (text == NULL) PyErr_Clear(); /* half of a surrogate pair: msgspec says so */
    return text != NULL && put_length(p, n, 0xa0, 32, 0xd9, 0xda) && put_bytes(p, text, n);
}

static bool put(struct lockstep_packed *p, PyObject *v, int depth);

static bool put_all(struct lockstep_packed *p, PyObject *const *items, Py_ssize_t n, int depth) {
    if (!put_length(p, n, 0x90, 16, 0, 0xdc)) return false;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!put(p, items[i], depth)) return false;
    return true;
}

static bool put_dict(struct lockstep_packed *p, PyObject *v, int depth) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!put_length(p, PyDict_GET_SIZE(v), 0x80, 16, 0, 0xde)) return false;
    while (PyDict_Next(v, &at, &key, &value))
        if (!put(p, key, depth) || !put(p, value, depth)) return false;
    return true;
}

static void learn_usual(struct field *f, PyObject *usual) {
    struct lockstep_packed p = {0};
    const bool fixed = PyLong_CheckExact(usual) || PyBool_Check(usual) || usual == Py_None || PyBytes_CheckExact(usual) || PyUnicode_CheckExact(usual);
    if (fixed && put(&p, usual, 0) && p.used <= USUAL_BYTES) {
        f->usual = Py_NewRef(usual);
        f->bytes = (uint8_t)p.used;
        memcpy(f->packed, p.at, p.used);
    }
    PyMem_Free(p.at);
}

static bool learn_fields(struct shape *s) {
    PyObject *names = PyObject_GetAttrString((PyObject *)s->cls, "__struct_fields__");
    PyObject *defaults = PyObject_GetAttrString((PyObject *)s->cls, "__struct_defaults__"); /* of the last fields */
    bool good = names != NULL && defaults != NULL && PyTuple_CheckExact(names) && PyTuple_CheckExact(defaults);
    s->n = good ? PyTuple_GET_SIZE(names) : 0;
    s->fields = PyMem_Calloc((size_t)s->n + 1, sizeof *s->fields);
    good = good && s->fields != NULL && PyTuple_GET_SIZE(defaults) <= s->n;
    const Py_ssize_t first = good ? s->n - PyTuple_GET_SIZE(defaults) : 0;
    for (Py_ssize_t i = 0; good && i < s->n; i++) {
        PyObject *member = PyObject_GetAttr((PyObject *)s->cls, PyTuple_GET_ITEM(names, i));
        good = member != NULL && lockstep_slot_offset(member, &s->fields[i].slot);
        Py_XDECREF(member);
        if (good && i >= first) learn_usual(&s->fields[i], PyTuple_GET_ITEM(defaults, i - first));
    }
    Py_XDECREF(names);
    Py_XDECREF(defaults);
    return good;
}

static bool is_below(PyTypeObject *cls, const char *module, const char *name) {
    PyObject *m = PyImport_ImportModule(module), *base = m != NULL ? PyObject_GetAttrString(m, name) : NULL;
    const bool below = base != NULL && PyObject_IsSubclass((PyObject *)cls, base) == 1;
    Py_XDECREF(base);
    Py_XDECREF(m);
    return below;
}

/* A struct that is an array, and says nothing but its fields. */
static bool is_array(PyTypeObject *cls) {
    PyObject *config = PyObject_GetAttrString((PyObject *)cls, "__struct_config__");
    PyObject *array = config != NULL ? PyObject_GetAttrString(config, "array_like") : NULL;
    PyObject *tag = array != NULL ? PyObject_GetAttrString(config, "tag") : NULL;
    const bool good = array == Py_True && tag == Py_None;
    Py_XDECREF(tag);
    Py_XDECREF(array);
    Py_XDECREF(config);
    return good;
}

static void learn(struct shape *s, PyTypeObject *cls) {
    s->cls = (PyTypeObject *)Py_NewRef(cls);
    if (is_below(cls, "msgspec", "Struct") && is_array(cls) && learn_fields(s)) s->what = STRUCT;
    else if (is_below(cls, "enum", "IntEnum") || is_below(cls, "enum", "IntFlag")) s->what = ENUMERATION;
    PyErr_Clear(); /* whatever it was: the class is left to msgspec */
}

/* NULL: a class beyond those that are learnt. */
static const struct shape *shape_of(PyTypeObject *cls) {
    unsigned at = (unsigned)(((uintptr_t)cls >> 4) * 0x9E3779B1u >> 8) % CLASSES_MAX;
    while (shapes[at].cls != cls && shapes[at].cls != NULL) at = (at + 1) % CLASSES_MAX;
    if (shapes[at].cls == NULL) {
        if (shapes_n == CLASSES_MAX - 1) return NULL; /* one place stays free: there a search ends */
        shapes_n++;
        learn(&shapes[at], cls);
    }
    return &shapes[at];
}

static inline PyObject *field_of(PyObject *v, Py_ssize_t slot) { return *(PyObject **)(void *)((char *)v + slot); }

static bool put_instance(struct lockstep_packed *p, PyObject *v, int depth) {
    const struct shape *s = shape_of(Py_TYPE(v));
    if (s == NULL || s->what == OTHER) return false;
    if (s->what == ENUMERATION) return put_integer(p, v);
    if (!put_length(p, s->n, 0x90, 16, 0, 0xdc)) return false;
    for (const struct field *f = s->fields, *end = f + s->n; f < end; f++) {
        PyObject *value = field_of(v, f->slot);
        if (value != NULL && value == f->usual) {
            if (!lockstep_room(p, USUAL_BYTES)) return false;
            memcpy(p->at + p->used, f->packed, USUAL_BYTES);
            p->used += f->bytes;
        } else if (value == NULL || !(PyLong_CheckExact(value) ? put_integer(p, value) : put(p, value, depth)))
            return false;
    }
    return true;
}

static bool put(struct lockstep_packed *p, PyObject *v, int depth) {
    if (PyLong_CheckExact(v)) return put_integer(p, v);
    if (v == Py_None) return put_byte(p, 0xc0);
    if (PyBool_Check(v)) return put_byte(p, v == Py_True ? 0xc3 : 0xc2);
    if (PyUnicode_CheckExact(v)) return put_text(p, v);
    if (PyBytes_CheckExact(v))
        return put_length(p, PyBytes_GET_SIZE(v), 0, 0, 0xc4, 0xc5) && put_bytes(p, PyBytes_AS_STRING(v), PyBytes_GET_SIZE(v));
    if (depth == DEPTH_MAX) return false;
    if (PyTuple_CheckExact(v) || PyList_CheckExact(v)) return put_all(p, PySequence_Fast_ITEMS(v), PySequence_Fast_GET_SIZE(v), depth + 1);
    if (PyDict_CheckExact(v)) return put_dict(p, v, depth + 1);
    return put_instance(p, v, depth + 1);
}

bool lockstep_pack_entry(struct lockstep_packed *p, PyObject *key, PyObject *value) {
    PyObject *const entry[] = {key, value};
    return put_all(p, entry, 2, 0);
}

void lockstep_come_ahead(const PyObject *value) {
    for (Py_ssize_t at = 0; at < AHEAD_BYTES; at += CACHE_LINE) __builtin_prefetch((const char *)value + at);
}

void lockstep_pack_ahead(PyObject *value) {
    const struct shape *s = shape_of(Py_TYPE(value));
    for (Py_ssize_t i = 0; s != NULL && i < s->n; i++) __builtin_prefetch(field_of(value, s->fields[i].slot));
}
