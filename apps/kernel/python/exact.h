/* riskengine.numbers in 128 bits: exact, or it says that it cannot. */
#ifndef LOCKSTEP_EXACT_H
#define LOCKSTEP_EXACT_H

#include <stdbool.h>
#include <stdint.h>

typedef __int128 wide;

enum { RATE_EXP = -12 };
#define MANTISSA_MAX ((wide)1 << 62)
#define NO_VALUE INT64_MIN /* journal.messages.NULL */

static inline bool power10(int n, wide *x) {
    if (n < 0 || n > 37) return false;
    wide p = 1;
    for (int i = 0; i < n; i++) p *= 10;
    *x = p;
    return true;
}

/* A mantissa at another exponent, rounded away from zero. */
static inline bool rescale_up(wide mantissa, int exp, int to_exp, wide *x) {
    wide unit;
    if (!power10(exp >= to_exp ? exp - to_exp : to_exp - exp, &unit)) return false;
    if (exp >= to_exp) return !__builtin_mul_overflow(mantissa, unit, x);
    const wide whole = mantissa / unit;
    *x = whole * unit == mantissa ? whole : mantissa > 0 ? whole + 1 : whole - 1;
    return true;
}

/* The same, rounded towards minus infinity. */
static inline bool rescale_down(wide mantissa, int exp, int to_exp, wide *x) {
    wide unit;
    if (!power10(exp >= to_exp ? exp - to_exp : to_exp - exp, &unit)) return false;
    if (exp >= to_exp) return !__builtin_mul_overflow(mantissa, unit, x);
    const wide whole = mantissa / unit;
    *x = whole * unit > mantissa ? whole - 1 : whole;
    return true;
}

/* As large as a field can show. */
static inline int64_t clip(wide x) { return x > INT64_MAX ? INT64_MAX : x < -(wide)INT64_MAX ? -INT64_MAX : (int64_t)x; }

#endif
