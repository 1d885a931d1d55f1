/* journal.kernel._fast: encode, decode and the wait at the tail without the interpreter between the fields.
 *
 * Only an accelerator. What it does not know for certain (to encode: a value that does not fit, another class, rows that are
 * no list of plain ones; to decode: a short buffer) it hands to the generated Python function it stands for, which does it or
 * says what is wrong. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/ahead.h"
#include "journal/kernel/blake2b.h"
#include "journal/kernel/follow.h"
#include "journal/kernel/python/hashes.h"
#include "journal/kernel/python/message.h"
#include "journal/kernel/python/number.h"
#include "journal/kernel/python/slots.h"
#include "journal/kernel/python/tables.h"
#include "journal/kernel/python/walk.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little-endian, and so is this accelerator"
#endif

enum { FIELDS_MAX = 96, VARIABLE_MAX = 16, TEXT_BYTES_MAX = 4096, ROWS_MAX = 0xFFFF };
#define BODY_BYTES_MAX ((Py_ssize_t)(LOCKSTEP_FRAME_BYTES_MAX - LOCKSTEP_HEAD_BYTES))

/* journal.messages.codec.Group, and where its instances hold what. */
struct group_layout {
    PyTypeObject *type;
    Py_ssize_t row, buffer, base, at, rows, stride;
};
static struct group_layout groups;

struct field {
    Py_ssize_t slot;    /* where the instance holds the value */
    PyObject *standard; /* the default, as object; NULL: none */
    PyObject *row;      /* of a group: to decode its rows' class, to encode their Encoder */
    const struct group_layout *group;
    uint32_t at, bytes;
    /* s, u: integer with and without sign; w: integer of 128 bits; d: digest; t, b, g: text, byte string, group of rows */
    char what;
};

/* Where a scalar stands, and how many like it come with it: what is written into each message, told as shortly as it can be. */
struct place {
    uint32_t slot, at;
};
struct run {
    uint32_t end; /* in `places` */
    char what;    /* s or u */
    uint8_t bytes;
};
enum { RUNS_MAX = 8 }; /* signed and unsigned, four sizes each */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyTypeObject *cls;
    PyObject *reference;
    uint8_t *defaults; /* the fixed part of a message of defaults */
    Py_ssize_t bytes, n;
    bool variable;
    struct field *fields;
    /* Of a decoder: the scalars in runs of one type, and the fields that are something else. */
    struct place *places;
    struct run runs[RUNS_MAX];
    const struct field **others;
    uint32_t runs_n, others_n;
} Coder;

/* The low `bytes` of an integer into `to`; false where it is none or does not fit. */
static bool store_integer(PyObject *v, const struct field *f, uint8_t *to) {
    if (!PyLong_Check(v)) return false;
    int overflow;
    int64_t x = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow) {
        if (overflow < 0 || f->what != 'u' || f->bytes != 8) return false;
        x = (int64_t)PyLong_AsUnsignedLongLong(v);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
    } else if (f->what == 'u') {
        if (x < 0 || (f->bytes < 8 && x >> (8 * f->bytes) != 0)) return false;
    } else if (f->bytes < 8) {
        int64_t end = (int64_t)1 << (8 * f->bytes - 1);
        if (x < -end || x >= end) return false;
    }
    switch (f->bytes) { /* sizes known to the compiler: one store each */
    case 8: memcpy(to, &x, 8); break;
    case 4: memcpy(to, &x, 4); break;
    case 2: memcpy(to, &x, 2); break;
    default: *to = (uint8_t)x;
    }
    return true;
}

static bool store_wide(PyObject *v, uint8_t *to) {
    if (!PyLong_Check(v)) return false;
    int overflow;
    int64_t low = PyLong_AsLongLongAndOverflow(v, &overflow), high = low < 0 ? -1 : 0;
    if (overflow) {
        low = (int64_t)PyLong_AsUnsignedLongLongMask(v);
        PyObject *bits = PyLong_FromLong(64), *upper = bits == NULL ? NULL : PyNumber_Rshift(v, bits);
        Py_XDECREF(bits);
        overflow = 1;
        if (upper != NULL) high = PyLong_AsLongLongAndOverflow(upper, &overflow);
        Py_XDECREF(upper);
        if (PyErr_Occurred()) PyErr_Clear();
        if (overflow) return false;
    }
    memcpy(to, &low, 8);
    memcpy(to + 8, &high, 8);
    return true;
}

/* A value of the fixed part; a variable item only when there is nothing of it. */
static bool store(PyObject *v, const struct field *f, uint8_t *to) {
    switch (f->what) {
    case 's':
    case 'u': return store_integer(v, f, to);
    case 'w': return store_wide(v, to);
    case 't': return PyUnicode_CheckExact(v) && PyUnicode_GET_LENGTH(v) == 0;
    case 'b': return PyBytes_CheckExact(v) && PyBytes_GET_SIZE(v) == 0;
    case 'g': return (PyTuple_CheckExact(v) || PyList_CheckExact(v)) && PySequence_Fast_GET_SIZE(v) == 0;
    default: /* digest */
        if (!PyBytes_CheckExact(v) || PyBytes_GET_SIZE(v) != 32) return false;
        memcpy(to, PyBytes_AS_STRING(v), 32);
        return true;
    }
}

#define SLOT(object, offset) ((PyObject **)(void *)((char *)(object) + (offset)))

/* What stands behind the fixed part for one field. */
struct item {
    const char *bytes; /* of a text or byte string */
    PyObject *rows;    /* of a group */
    Py_ssize_t length; /* bytes */
};

/* How much of it there is; false where that is not for us to say. */
static bool measure(PyObject *v, const struct field *f, struct item *item) {
    if (v == NULL) return false;
    *item = (struct item){0};
    if (f->what == 't') {
        if (!PyUnicode_CheckExact(v)) return false;
        if (PyUnicode_IS_COMPACT_ASCII(v)) {
            item->bytes = (const char *)PyUnicode_DATA(v);
            item->length = PyUnicode_GET_LENGTH(v);
        } else if ((item->bytes = PyUnicode_AsUTF8AndSize(v, &item->length)) == NULL) {
            PyErr_Clear();
            return false;
        }
        return item->length <= TEXT_BYTES_MAX;
    }
    if (f->what == 'b') {
        if (!PyBytes_CheckExact(v)) return false;
        item->bytes = PyBytes_AS_STRING(v);
        item->length = PyBytes_GET_SIZE(v);
        return item->length <= BODY_BYTES_MAX;
    }
    if (!PyList_CheckExact(v) && !PyTuple_CheckExact(v)) return false;
    const Py_ssize_t rows = PySequence_Fast_GET_SIZE(v);
    if (rows > ROWS_MAX || (rows && f->row == NULL)) return false;
    item->rows = v;
    item->length = rows ? rows * ((Coder *)f->row)->bytes : 0;
    return item->length <= BODY_BYTES_MAX;
}

/* The fixed part of one object; false where a value is not for us. */
static bool fix(const Coder *c, PyObject *m, uint8_t *to) {
    memcpy(to, c->defaults, (size_t)c->bytes);
    for (const struct field *f = c->fields, *end = f + c->n; f < end; f++) {
        PyObject *v = *SLOT(m, f->slot);
        /* The very object that is the default has the default's bytes already; most fields of an order are that. */
        if (v == NULL) return false; /* deleted */
        if (v != f->standard && strchr("tbg", f->what) == NULL && !store(v, f, to + f->at)) return false;
    }
    return true;
}

/* The rows of a group, one behind the other. No code of theirs runs meanwhile: they stay what they are. */
static bool fill_rows(const Coder *c, PyObject *rows, uint8_t *to) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(rows); i++, to += c->bytes) {
        PyObject *row = PySequence_Fast_GET_ITEM(rows, i);
        if (Py_TYPE(row) != c->cls || !fix(c, row, to)) return false;
    }
    return true;
}

/* An item to its place `at`, and its descriptor into the fixed part. */
static bool put_item(const struct field *f, const struct item *item, uint8_t *body, uint32_t at) {
    uint32_t shape = (uint32_t)item->length;
    if (item->rows != NULL) {
        if (!fill_rows((Coder *)f->row, item->rows, body + at)) return false;
        const Py_ssize_t stride = ((Coder *)f->row)->bytes;
        shape = (uint32_t)(item->length / stride) | (uint32_t)stride << 16;
    } else
        memcpy(body + at, item->bytes, (size_t)item->length);
    memcpy(body + f->at, &at, 4);
    memcpy(body + f->at + 4, &shape, 4);
    return true;
}

static PyObject *encoded(const Coder *c, PyObject *m) {
    struct item items[VARIABLE_MAX];
    Py_ssize_t size = c->bytes, n = 0;
    for (const struct field *f = c->fields, *end = f + c->n; c->variable && f < end; f++) {
        if (strchr("tbg", f->what) == NULL) continue;
        if (!measure(*SLOT(m, f->slot), f, &items[n])) return NULL;
        size += (items[n++].length + 7) & -8;
    }
    if (size > BODY_BYTES_MAX) return NULL;
    PyObject *body = PyBytes_FromStringAndSize(NULL, size);
    if (body == NULL) return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(body);
    memset(to + c->bytes, 0, (size_t)(size - c->bytes));
    bool good = fix(c, m, to);
    Py_ssize_t at = c->bytes;
    n = 0;
    for (const struct field *f = c->fields, *end = f + c->n; good && c->variable && f < end; f++) {
        if (strchr("tbg", f->what) == NULL) continue;
        const struct item *item = &items[n++];
        if (item->length) good = put_item(f, item, to, (uint32_t)at);
        at += (item->length + 7) & -8;
    }
    if (good) return body;
    Py_DECREF(body);
    return NULL;
}

static PyObject *encode(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    const Coder *c = (Coder *)self;
    if (PyVectorcall_NARGS(nargsf) == 1 && names == NULL && Py_TYPE(args[0]) == c->cls) {
        PyObject *body = encoded(c, args[0]);
        if (body != NULL || PyErr_Occurred()) return body;
    }
    return PyObject_Vectorcall(c->reference, args, nargsf, names);
}

/* A descriptor in a fixed part: where the item stands, counted from the body's start, and how much of it there is. */
static uint32_t word(const uint8_t *from) {
    uint32_t x;
    memcpy(&x, from, 4);
    return x;
}

/* Decoding trusts the bytes no more than the reference does, which slices: an item that ends behind the bytes is cut there. */
static Py_ssize_t cut(const struct lockstep_bytes *b, Py_ssize_t body, const uint8_t *from, uint32_t length, const uint8_t **item) {
    Py_ssize_t at = body + (Py_ssize_t)word(from);
    if (at > b->size) at = b->size;
    *item = b->at + at;
    return (Py_ssize_t)length < b->size - at ? (Py_ssize_t)length : b->size - at;
}

static bool take(PyObject **slot, PyObject *made) {
    if (made == NULL) return false;
    PyObject *old = *slot;
    *slot = made;
    Py_XDECREF(old);
    return true;
}

static bool put_text(PyObject **slot, const uint8_t *item, Py_ssize_t length) {
    PyObject *v = *slot;
    /* The same ASCII text as last time is the same text. */
    if (v != NULL && PyUnicode_CheckExact(v) && PyUnicode_IS_COMPACT_ASCII(v) && PyUnicode_GET_LENGTH(v) == length &&
        memcmp(PyUnicode_DATA(v), item, (size_t)length) == 0)
        return true;
    return take(slot, PyUnicode_DecodeUTF8((const char *)item, length, "replace"));
}

static bool put_bytes(PyObject **slot, const uint8_t *item, Py_ssize_t length) {
    PyObject *v = *slot;
    if (v != NULL && PyBytes_CheckExact(v) && PyBytes_GET_SIZE(v) == length &&
        memcmp(PyBytes_AS_STRING(v), item, (size_t)length) == 0)
        return true;
    return take(slot, PyBytes_FromStringAndSize((const char *)item, length));
}

static bool put_wide(PyObject **slot, const uint8_t *from) {
    uint64_t low;
    int64_t high;
    memcpy(&low, from, 8);
    memcpy(&high, from + 8, 8);
    if (high == (int64_t)low >> 63) return put_signed(slot, (int64_t)low);
    PyObject *h = PyLong_FromLongLong(high), *l = PyLong_FromUnsignedLongLong(low), *bits = PyLong_FromLong(64), *up = NULL, *all = NULL;
    if (h != NULL && l != NULL && bits != NULL && (up = PyNumber_Lshift(h, bits)) != NULL) all = PyNumber_Or(up, l);
    Py_XDECREF(h);
    Py_XDECREF(l);
    Py_XDECREF(bits);
    Py_XDECREF(up);
    return take(slot, all);
}

/* A journal.messages.codec.Group: rows read in place, made again only when somebody kept the last one. */
static bool put_group(PyObject **slot, const struct field *f, const struct lockstep_bytes *b, Py_ssize_t body, const uint8_t *from) {
    const struct group_layout *g = f->group;
    PyObject *v = *slot;
    if (v == NULL || Py_REFCNT(v) != 1 || !Py_IS_TYPE(v, g->type)) {
        PyObject *made = g->type->tp_alloc(g->type, 0);
        if (made == NULL) return false;
        *SLOT(made, g->row) = Py_NewRef(f->row);
        if (!take(slot, made)) return false;
        v = made;
    }
    PyObject **owner = SLOT(v, g->buffer);
    if (*owner != b->owner) {
        Py_INCREF(b->owner);
        Py_XSETREF(*owner, b->owner);
    }
    const uint32_t shape = word(from + 4);
    return put_signed(SLOT(v, g->base), body) && put_signed(SLOT(v, g->at), body + (Py_ssize_t)word(from)) &&
           put_unsigned(SLOT(v, g->rows), shape & 0xFFFF) && put_unsigned(SLOT(v, g->stride), shape >> 16);
}

/* Let a slot hold a field's value. What it held may be written over where nobody else holds it. */
static inline bool put(PyObject **slot, const struct field *f, const struct lockstep_bytes *b, Py_ssize_t body) {
    const uint8_t *from = b->at + body + f->at, *item;
    uint64_t x = 0;
    uint32_t length;
    switch (f->what) {
    case 'u':
    case 's':
        switch (f->bytes) {
        case 8: memcpy(&x, from, 8); break;
        case 4: memcpy(&x, from, 4); break;
        case 2: memcpy(&x, from, 2); break;
        default: x = *from;
        }
        if (f->what == 'u') return put_unsigned(slot, x);
        return put_signed(slot, (int64_t)(x << (64 - 8 * f->bytes)) >> (64 - 8 * f->bytes));
    case 't':
        length = word(from + 4) & 0xFFFF;
        if (length) length = (uint32_t)cut(b, body, from, length, &item);
        else item = from;
        return put_text(slot, item, (Py_ssize_t)length);
    case 'b':
        length = (uint32_t)cut(b, body, from, word(from + 4), &item);
        return put_bytes(slot, item, (Py_ssize_t)length);
    case 'w': return put_wide(slot, from);
    case 'g': return put_group(slot, f, b, body, from);
    default: return put_bytes(slot, from, 32);
    }
}

/* A new message from the bytes; NULL: an error is set. */
static PyObject *made_of(const Coder *c, const struct lockstep_bytes *b, Py_ssize_t at) {
    PyObject *made = NULL, *values[FIELDS_MAX];
    Py_ssize_t n = 0;
    bool good = true;
    for (; n < c->n && good; n++) {
        values[n] = Py_XNewRef(c->fields[n].standard); /* kept where it is the value: most fields of an order are that */
        good = put(&values[n], &c->fields[n], b, at);
    }
    if (good) made = PyObject_Vectorcall((PyObject *)c->cls, values, (size_t)n, NULL);
    while (n > 0) Py_XDECREF(values[--n]);
    return made;
}

static bool has_room(const Coder *c, const struct lockstep_bytes *b, Py_ssize_t at) { return at >= 0 && at <= b->size - c->bytes; }

static PyObject *decode(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    const Coder *c = (Coder *)self;
    const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    Py_buffer view;
    if (nargs < 1 || nargs > 2 || names != NULL || (nargs == 2 && !PyLong_CheckExact(args[1]))) goto reference;
    const Py_ssize_t at = nargs == 2 ? PyLong_AsSsize_t(args[1]) : 0;
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        goto reference;
    }
    const struct lockstep_bytes b = {args[0], view.buf, view.len};
    const bool room = has_room(c, &b, at);
    PyObject *made = room ? made_of(c, &b, at) : NULL;
    PyBuffer_Release(&view);
    if (room) return made;
reference:
    return PyObject_Vectorcall(c->reference, args, nargsf, names);
}

/* Write over the integers of one type. */
#define FILL(TYPE, put)                                                                                                  \
    for (; p < end; p++) {                                                                                               \
        TYPE x;                                                                                                          \
        memcpy(&x, body + p->at, sizeof x);                                                                              \
        if (!put(SLOT(m, p->slot), x)) return false;                                                                     \
    }                                                                                                                    \
    break

static bool fill(const Coder *c, PyObject *m, const struct lockstep_bytes *b, Py_ssize_t at) {
    const uint8_t *body = b->at + at;
    const struct place *p = c->places;
    for (uint32_t i = 0; i < c->runs_n; i++) {
        const struct run *run = &c->runs[i];
        const struct place *end = c->places + run->end;
        switch (run->what << 8 | run->bytes) {
        case 's' << 8 | 8: FILL(int64_t, put_signed);
        case 's' << 8 | 4: FILL(int32_t, put_signed);
        case 's' << 8 | 2: FILL(int16_t, put_signed);
        case 's' << 8 | 1: FILL(int8_t, put_signed);
        case 'u' << 8 | 8: FILL(uint64_t, put_unsigned);
        case 'u' << 8 | 4: FILL(uint32_t, put_unsigned);
        case 'u' << 8 | 2: FILL(uint16_t, put_unsigned);
        default: FILL(uint8_t, put_unsigned);
        }
    }
    for (uint32_t i = 0; i < c->others_n; i++)
        if (!put(SLOT(m, c->others[i]->slot), c->others[i], b, at)) return false;
    return true;
}

/* See message.h. */
static bool message(PyObject *decoder, PyObject **held, const struct lockstep_bytes *b, Py_ssize_t at) {
    const Coder *c = (Coder *)decoder;
    PyObject *m = *held;
    if (!has_room(c, b, at)) return take(held, PyObject_CallFunction(c->reference, "On", b->owner, at));
    if (m == NULL || Py_REFCNT(m) != 1 || !Py_IS_TYPE(m, c->cls)) return take(held, made_of(c, b, at));
    return fill(c, m, b, at);
}

static PyObject *encode_one(PyObject *encoder, PyObject *m) {
    return encode(encoder, &m, 1, NULL);
}

static bool is_scalar(const struct field *f) { return f->what == 's' || f->what == 'u'; }

/* Whether a field is as wide as what is read there: a scalar's own size, or at least a descriptor. */
static bool is_wide_enough(const struct field *f) {
    if (is_scalar(f)) return f->bytes == 8 || f->bytes == 4 || f->bytes == 2 || f->bytes == 1;
    return f->bytes >= (f->what == 'd' ? 32 : f->what == 'w' ? 16 : 8);
}

/* Sort the fields for `fill`. False: an error is set. */
static bool plan(Coder *c) {
    c->places = PyMem_Calloc((size_t)c->n + 1, sizeof *c->places);
    c->others = PyMem_Calloc((size_t)c->n + 1, sizeof *c->others);
    if (c->places == NULL || c->others == NULL) return PyErr_NoMemory(), false;
    uint32_t placed = 0;
    for (const char *what = "su"; *what; what++)
        for (uint8_t bytes = 8; bytes > 0; bytes /= 2) {
            const uint32_t first = placed;
            for (const struct field *f = c->fields; f < c->fields + c->n; f++)
                if (f->what == *what && f->bytes == bytes) c->places[placed++] = (struct place){(uint32_t)f->slot, f->at};
            if (placed > first) c->runs[c->runs_n++] = (struct run){placed, *what, bytes};
        }
    for (const struct field *f = c->fields; f < c->fields + c->n; f++)
        if (!is_scalar(f)) c->others[c->others_n++] = f;
    return true;
}

/* Encoder(cls, reference, fixed_bytes, [(name, at, bytes, what, default)]), Decoder the same. For the default of a group: the
 * rows' Encoder (None: only groups without rows are encoded here), their class to decode. Classes live as long as the process. */
static PyObject *coder_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)keywords;
    PyObject *cls, *reference, *fields;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(args, "O!OnO!", &PyType_Type, &cls, &reference, &bytes, &PyList_Type, &fields)) return NULL;
    Coder *c = (Coder *)type->tp_alloc(type, 0);
    if (c == NULL) return NULL;
    c->cls = (PyTypeObject *)Py_NewRef(cls);
    c->reference = Py_NewRef(reference);
    c->bytes = bytes;
    c->call = strcmp(type->tp_name, "journal.kernel._fast.Encoder") == 0 ? encode : decode;
    Py_ssize_t n = PyList_GET_SIZE(fields), items = 0;
    c->fields = PyMem_Calloc((size_t)n + 1, sizeof *c->fields);
    c->defaults = PyMem_Calloc(1, (size_t)bytes + 1);
    if (c->fields == NULL || c->defaults == NULL) goto out_of_memory;
    if (n > FIELDS_MAX) goto unfit;
    for (; c->n < n; c->n++) {
        struct field *f = &c->fields[c->n];
        PyObject *standard;
        const char *name;
        int what;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(fields, c->n), "sIICO", &name, &f->at, &f->bytes, &what, &standard)) goto failed;
        f->what = what < 128 ? (char)what : 0;
        PyObject *member = PyObject_GetAttrString(cls, name);
        if (member == NULL) goto failed;
        const bool slot = lockstep_slot_offset(member, &f->slot);
        Py_DECREF(member);
        if (!slot || f->what == 0 || strchr("sudtbwg", f->what) == NULL) goto unfit;
        if ((Py_ssize_t)f->at + f->bytes > bytes || !is_wide_enough(f)) goto unfit;
        if (strchr("tbg", f->what) != NULL) {
            c->variable = true;
            if (++items > VARIABLE_MAX) goto unfit;
        }
        if (f->what == 'g' && c->call == encode) {
            if (standard != Py_None && !Py_IS_TYPE(standard, type)) goto unfit;
            f->row = standard == Py_None ? NULL : Py_NewRef(standard);
            if (f->row != NULL && (((Coder *)f->row)->variable || ((Coder *)f->row)->bytes == 0)) goto unfit;
        } else if (f->what == 'g') {
            if (groups.type == NULL || !PyType_Check(standard)) goto unfit;
            f->group = &groups;
            f->row = Py_NewRef(standard);
        } else if (!(c->call == decode && f->what == 'w') && store(standard, f, c->defaults + f->at))
            f->standard = Py_NewRef(standard);
    }
    if (c->call == decode && !plan(c)) goto failed;
    return (PyObject *)c;
out_of_memory:
    PyErr_NoMemory();
    goto failed;
unfit:
    PyErr_SetString(PyExc_TypeError, "not the layout of a message whose instances hold their fields in slots");
failed:
    Py_DECREF(c);
    return NULL;
}

static void coder_dealloc(PyObject *self) {
    Coder *c = (Coder *)self;
    for (Py_ssize_t i = 0; c->fields != NULL && i <= c->n; i++) {
        Py_XDECREF(c->fields[i].standard);
        Py_XDECREF(c->fields[i].row);
    }
    PyMem_Free(c->fields);
    PyMem_Free(c->places);
    PyMem_Free(c->others);
    PyMem_Free(c->defaults);
    Py_XDECREF(c->cls);
    Py_XDECREF(c->reference);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *as_method(PyObject *self, PyObject *instance, PyObject *owner) {
    (void)owner;
    return instance == NULL || instance == Py_None ? Py_NewRef(self) : PyMethod_New(self, instance);
}

static PyObject *coder_doc(PyObject *self, void *closure) {
    (void)closure;
    return PyObject_GetAttrString(((Coder *)self)->reference, "__doc__");
}

static PyGetSetDef coder_described[] = {{"__doc__", coder_doc, NULL, NULL, NULL}, {0}};
static PyMemberDef coder_members[] = {{"reference", T_OBJECT, offsetof(Coder, reference), READONLY, NULL}, {0}};

#define CODER_TYPE(NAME, ...)                                                                                            \
    {                                                                                                                    \
        PyVarObject_HEAD_INIT(NULL, 0).tp_name = "journal.kernel._fast." NAME, .tp_basicsize = sizeof(Coder),            \
        .tp_vectorcall_offset = offsetof(Coder, call), .tp_call = PyVectorcall_Call, .tp_new = coder_new,                \
        .tp_dealloc = coder_dealloc, .tp_getset = coder_described, .tp_members = coder_members, __VA_ARGS__              \
    }

static PyTypeObject encoder_type =
    CODER_TYPE("Encoder", .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
               .tp_descr_get = as_method);
static PyTypeObject decoder_type = CODER_TYPE("Decoder", .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL);

/* Whether this thread is the only one: then nobody wants the interpreter while it waits. */
static bool alone(void) {
    return PyThreadState_Next(PyInterpreterState_ThreadHead(PyInterpreterState_Get())) == NULL;
}

/* See message.h. The interpreter is given away meanwhile, if there is anybody to give it to: to take it back would delay what
 * has come. Nor by who only looks and does not wait. */
static uint32_t wait_at_tail(struct lockstep_reader *r, struct lockstep_ref *refs, uint32_t max, int64_t spin_ns, uint32_t yields) {
    PyThreadState *mine = spin_ns <= 0 || alone() ? NULL : PyEval_SaveThread();
    const uint32_t n = lockstep_reader_follow(r, refs, max, max, spin_ns, yields);
    if (mine != NULL) PyEval_RestoreThread(mine);
    return n;
}

/* follow(reader, refs, refs_max, spin_ns, yields): lockstep_reader_follow; the refs as bytes, None when there are none. */
static PyObject *follow(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 5) return PyErr_Format(PyExc_TypeError, "follow takes 5 arguments; found %zd", nargs);
    struct lockstep_reader *r = PyLong_AsVoidPtr(args[0]);
    struct lockstep_ref *refs = PyLong_AsVoidPtr(args[1]);
    unsigned long max = PyLong_AsUnsignedLong(args[2]);
    int64_t spin_ns = PyLong_AsLongLong(args[3]);
    const uint32_t yields = args[4] == Py_True;
    if (PyErr_Occurred()) return NULL;
    const uint32_t n = wait_at_tail(r, refs, (uint32_t)max, spin_ns, yields);
    if (n == 0) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)refs, (Py_ssize_t)(n * sizeof *refs));
}

/* blake2b(data, digest_bytes): hashlib's digest. The interpreter's own is portable C in many builds, and takes five times as long. */
static PyObject *blake2b(PyObject *module, PyObject *args) {
    (void)module;
    enum { LONG = 1 << 20, DIGEST_MAX = 64 };
    Py_buffer data;
    Py_ssize_t size;
    uint8_t digest[DIGEST_MAX];
    if (!PyArg_ParseTuple(args, "y*n", &data, &size)) return NULL;
    const bool good = size >= 1 && size <= DIGEST_MAX;
    if (!good) PyErr_Format(PyExc_ValueError, "a digest of %zd bytes; expected 1 to %d", size, DIGEST_MAX);
    else if (data.len < LONG) lockstep_blake2b(data.buf, (size_t)data.len, digest, (size_t)size);
    else { /* others may have the interpreter meanwhile */
        Py_BEGIN_ALLOW_THREADS lockstep_blake2b(data.buf, (size_t)data.len, digest, (size_t)size);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    return good ? PyBytes_FromStringAndSize((const char *)digest, size) : NULL;
}

/* use_group(Group): where instances of journal.messages.codec.Group hold what. Once, before the first Decoder of a kind with groups. */
static PyObject *use_group(PyObject *module, PyObject *cls) {
    (void)module;
    struct group_layout g = {.type = (PyTypeObject *)cls};
    const struct {
        const char *name;
        Py_ssize_t *offset;
    } slots[] = {{"_row", &g.row}, {"_buffer", &g.buffer}, {"_base", &g.base}, {"_at", &g.at}, {"rows", &g.rows}, {"stride", &g.stride}};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        PyObject *member = PyObject_GetAttrString(cls, slots[i].name);
        if (member == NULL) return NULL;
        const bool slot = lockstep_slot_offset(member, slots[i].offset);
        Py_DECREF(member);
        if (!slot) return PyErr_Format(PyExc_TypeError, "%R: expected a slot %s", cls, slots[i].name);
    }
    Py_INCREF(cls); /* for as long as the process lives */
    groups = g;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"follow", (PyCFunction)(void (*)(void))follow, METH_FASTCALL, NULL},
                                  {"blake2b", blake2b, METH_VARARGS, NULL},
                                  {"changed", lockstep_table_changed, METH_VARARGS, NULL},
                                  {"added", lockstep_table_added, METH_VARARGS, NULL},
                                  {"removed", lockstep_table_removed, METH_VARARGS, NULL},
                                  {"use_group", use_group, METH_O, NULL},
                                  {0}};
static const struct lockstep_message_functions for_others = {
    sizeof for_others,
    &decoder_type,
    &encoder_type,
    message,
    encode_one,
    wait_at_tail,
    lockstep_reader_find,
    lockstep_reader_stand_behind,
    &lockstep_keys_type,
    lockstep_add_key,
    lockstep_ahead_start,
    lockstep_ahead_find,
    lockstep_ahead_end};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fast", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__fast(void) {
    PyObject *module = PyModule_Create(&definition), *capsule = NULL;
    if (module == NULL || PyModule_AddType(module, &encoder_type) < 0 || PyModule_AddType(module, &decoder_type) < 0) goto failed;
    if (PyModule_AddType(module, &lockstep_hashes_type) < 0 || PyModule_AddType(module, &lockstep_keys_type) < 0 ||
        PyModule_AddType(module, &lockstep_walk_type) < 0)
        goto failed;
    if ((capsule = PyCapsule_New((void *)&for_others, LOCKSTEP_MESSAGE_CAPSULE, NULL)) == NULL) goto failed;
    if (PyModule_AddObject(module, "message", capsule) < 0) goto failed;
    return module;
failed:
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    return NULL;
}
