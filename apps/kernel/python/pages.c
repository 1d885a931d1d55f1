/* apps.pages: memory for Python's objects in large pages, touched by a thread before anybody needs them.
 *
 * An order is some twenty objects, which a later frame meets again: with pages of 4 KiB most of those meetings walk the tables of
 * pages, and every second order a page faults. Of the region that objects come from next every page is there already. */
#define _GNU_SOURCE
#include "layout.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

enum { REGION_BYTES = 1 << 21, PAGE_BYTES = 4096 };
#define SPACE_BYTES ((size_t)1 << 38) /* of addresses, not of memory */

/* An arena that Python has given back, the next one behind it in its first bytes. */
struct given {
    struct given *next;
    size_t bytes;
};

static PyObjectArenaAllocator before; /* what is not ours is its business */
static char *space;                   /* of SPACE_BYTES; NULL: we have none */
static _Atomic size_t carved;         /* so much of it is, or was, somebody's */
static char *_Atomic ready;           /* a region that the thread has touched */
static char *from, *upto;             /* what is left of the region in use; under the interpreter's lock, as all below */
static struct given *given;
static sem_t taken;

/* The next region, or NULL: the space is used up, or there is no memory. */
static char *carve(void) {
    const size_t at = atomic_fetch_add(&carved, REGION_BYTES);
    if (at > SPACE_BYTES - REGION_BYTES) return NULL;
    return mprotect(space + at, REGION_BYTES, PROT_READ | PROT_WRITE) == 0 ? space + at : NULL;
}

static void touch(char *region) {
#ifdef MADV_POPULATE_WRITE
    if (madvise(region, REGION_BYTES, MADV_POPULATE_WRITE) == 0) return;
#endif
    for (size_t at = 0; at < REGION_BYTES; at += PAGE_BYTES) ((volatile char *)region)[at] = 0;
}

static void *touch_ahead(void *none) {
    (void)none;
    char *region;
    while ((region = carve()) != NULL) {
        touch(region);
        atomic_store(&ready, region);
        while (sem_wait(&taken) != 0) {} /* a signal */
    }
    return NULL;
}

/* Takes no signal: those are for the threads that know what to do. */
static bool begin_thread(void) {
    sigset_t all, old;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const bool begun = sem_init(&taken, 0, 0) == 0 && pthread_create(&thread, NULL, touch_ahead, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (begun) pthread_detach(thread);
    return begun;
}

static void *take(void *none, size_t bytes) {
    (void)none;
    if (given != NULL && given->bytes == bytes) {
        void *arena = given;
        given = given->next;
        return arena;
    }
    if (bytes > REGION_BYTES) return before.alloc(before.ctx, bytes);
    if ((size_t)(upto - from) < bytes) {
        /* Where the thread is late, or does not exist (a forked child has none), the pages fault one by one. */
        char *region = atomic_exchange(&ready, NULL);
        if (region != NULL) sem_post(&taken);
        else region = carve();
        if (region == NULL) return before.alloc(before.ctx, bytes);
        from = region, upto = region + REGION_BYTES;
    }
    char *arena = from;
    from += bytes;
    return arena;
}

static void give_back(void *none, void *arena, size_t bytes) {
    (void)none;
    if ((char *)arena < space || (char *)arena >= space + SPACE_BYTES) {
        before.free(before.ctx, arena, bytes);
        return;
    }
    struct given *g = arena;
    *g = (struct given){given, bytes};
    given = g;
}

PyObject *lockstep_use_large_pages(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    if (space == NULL) {
        char *all = mmap(NULL, SPACE_BYTES + REGION_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED) Py_RETURN_NONE;
        all += (REGION_BYTES - (uintptr_t)all % REGION_BYTES) % REGION_BYTES;
        madvise(all, SPACE_BYTES, MADV_HUGEPAGE); /* where that cannot be, small pages do */
        space = all;
        if (!begin_thread()) {
            munmap(all, SPACE_BYTES);
            space = NULL;
            Py_RETURN_NONE;
        }
        PyObject_GetArenaAllocator(&before);
        PyObject_SetArenaAllocator(&(PyObjectArenaAllocator){NULL, take, give_back});
    }
    return Py_BuildValue("(KK)", (unsigned long long)(uintptr_t)space, (unsigned long long)SPACE_BYTES);
}
