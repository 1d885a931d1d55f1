/* Integers in slots, written in place.
 *
 * A slot that is filled anew with every frame would cost an allocation and a release for each field. So an integer that
 * nobody but the slot holds (its reference count is 1) takes the new value itself: by the same right by which CPython resizes
 * a string that only it holds. One that somebody kept, or that is shared (small integers, defaults), is replaced. */
#ifndef LOCKSTEP_NUMBER_H
#define LOCKSTEP_NUMBER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef Py_GIL_DISABLED
#error "a reference count of 1 means nothing to threads without the interpreter's lock"
#endif
#if PYLONG_BITS_IN_DIGIT != 30
#error "written for integers in digits of 30 bits"
#endif

enum { DIGIT_BITS = 30, SMALL_MAX = 256, SMALL_MIN = -5 };
#define DIGIT_MASK ((UINT64_C(1) << DIGIT_BITS) - 1)

#if PY_VERSION_HEX >= 0x030C0000
#define LONG_DIGITS(v) (((PyLongObject *)(v))->long_value.ob_digit)
static inline bool long_has_size(PyObject *v, bool negative, unsigned digits) {
    const uintptr_t tag = ((PyLongObject *)v)->long_value.lv_tag; /* digits << 3 | sign: 0 above zero, 1 zero, 2 below */
    return tag >> 3 == digits && (tag & 3) == (digits == 0 ? 1 : negative ? 2 : 0);
}
static inline void long_set_size(PyObject *v, bool negative, unsigned digits) {
    ((PyLongObject *)v)->long_value.lv_tag = (uintptr_t)digits << 3 | (negative ? 2 : 0);
}
static inline unsigned long_digits(PyObject *v) { return (unsigned)(((PyLongObject *)v)->long_value.lv_tag >> 3); }
static inline bool long_is_negative(PyObject *v) { return (((PyLongObject *)v)->long_value.lv_tag & 3) == 2; }
#else
#define LONG_DIGITS(v) (((PyLongObject *)(v))->ob_digit)
static inline bool long_has_size(PyObject *v, bool negative, unsigned digits) {
    return Py_SIZE(v) == (negative ? -(Py_ssize_t)digits : (Py_ssize_t)digits);
}
static inline void long_set_size(PyObject *v, bool negative, unsigned digits) {
    Py_SET_SIZE(v, negative ? -(Py_ssize_t)digits : (Py_ssize_t)digits);
}
static inline unsigned long_digits(PyObject *v) { return (unsigned)(Py_SIZE(v) < 0 ? -Py_SIZE(v) : Py_SIZE(v)); }
static inline bool long_is_negative(PyObject *v) { return Py_SIZE(v) < 0; }
#endif

/* The integer of 64 bits that an object is; false, without an error, where it is none. */
static inline bool read_signed(PyObject *v, int64_t *x) {
    if (v == NULL || !PyLong_Check(v)) return false;
    const uint32_t *digit = LONG_DIGITS(v);
    const unsigned n = long_digits(v);
    if (n > 3 || (n == 3 && digit[2] > 7)) { /* 63 bits and more: rare, and the interpreter knows */
        int overflow;
        *x = PyLong_AsLongLongAndOverflow(v, &overflow);
        return !overflow;
    }
    uint64_t magnitude = n > 0 ? digit[0] : 0;
    if (n > 1) magnitude |= (uint64_t)digit[1] << DIGIT_BITS;
    if (n > 2) magnitude |= (uint64_t)digit[2] << 2 * DIGIT_BITS;
    *x = long_is_negative(v) ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static inline unsigned digits_of(uint64_t magnitude) {
    return magnitude == 0 ? 0 : magnitude >> DIGIT_BITS == 0 ? 1 : magnitude >> 2 * DIGIT_BITS == 0 ? 2 : 3;
}

/* What a slot holds makes way for a new object. Apart, so that what is common stays short. */
__attribute__((noinline, cold, unused)) static bool replace_number(PyObject **slot, bool negative, uint64_t magnitude) {
    PyObject *old = *slot;
    PyObject *made = negative ? PyLong_FromLongLong((long long)(0 - magnitude)) : PyLong_FromUnsignedLongLong(magnitude);
    if (made == NULL) return false;
    *slot = made;
    Py_XDECREF(old);
    return true;
}

/* Let a slot hold an integer, given as sign and magnitude. The slot may be empty, or hold anything. False: an error is set. */
static inline bool put_number(PyObject **slot, bool negative, uint64_t magnitude) {
    PyObject *old = *slot;
    if (old != NULL && PyLong_CheckExact(old)) {
        const unsigned n = digits_of(magnitude);
        uint32_t *digit = LONG_DIGITS(old);
        if (long_has_size(old, negative, n) && (n < 1 || digit[0] == (magnitude & DIGIT_MASK)) &&
            (n < 2 || digit[1] == (magnitude >> DIGIT_BITS & DIGIT_MASK)) && (n < 3 || digit[2] == magnitude >> 2 * DIGIT_BITS))
            return true;
        /* It has room for as many digits as it has. A small value is always the interpreter's own object. */
        if (Py_REFCNT(old) == 1 && magnitude > SMALL_MAX && long_digits(old) == n) {
            long_set_size(old, negative, n);
            digit[0] = (uint32_t)(magnitude & DIGIT_MASK);
            if (n > 1) digit[1] = (uint32_t)(magnitude >> DIGIT_BITS & DIGIT_MASK);
            if (n > 2) digit[2] = (uint32_t)(magnitude >> 2 * DIGIT_BITS);
            return true;
        }
    }
    return replace_number(slot, negative, magnitude);
}

static inline bool put_signed(PyObject **slot, int64_t x) {
    return put_number(slot, x < 0, x < 0 ? 0 - (uint64_t)x : (uint64_t)x);
}

static inline bool put_unsigned(PyObject **slot, uint64_t x) { return put_number(slot, false, x); }

#endif
