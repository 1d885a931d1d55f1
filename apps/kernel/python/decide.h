/* What decides, and what decisions of any request have in common. Stands behind journal/kernel/messages.h, which has no guard. */
#ifndef LOCKSTEP_DECIDE_H
#define LOCKSTEP_DECIDE_H

#include "judge.h"

/* Of new orders, and what those of other requests share with them. */
typedef struct {
    Native native; /* of an engine */
    PyObject *flat, *decoder, *message;
    PyTypeObject *decision;
    struct plan *plans[PLANS_KEPT];
    struct mould held;
} Decisions;

/* Hold the engine's memory and view. False: they are none, or an error is set. */
bool lockstep_attend(const Decisions *d, struct ask *a);
/* Let go what `lockstep_attend` has held, whether or not it could; how it ended is `done`, unless an error is set. */
enum handled lockstep_dismiss(struct ask *a, enum handled done);

/* The RiskDecision that it passes; `hash`: of its terms. False: an error is set, as of all below. */
bool lockstep_say_decision(Decisions *d, const struct turn *t, const struct ask *a, const struct verdicts *v, uint64_t hash);
/* Conduct.count_message, of a request by the owner of the plan. */
bool lockstep_count_message(const struct ask *a);

#endif
