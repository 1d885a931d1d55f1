/* A preloaded library that makes the nth system call of a kind fail, or lets it hang, and moves the clocks.
 *
 * What it shall do stands in a shared page (struct faults, the file named by LOCKSTEP_FAULTS), which the campaign writes and
 * every forked process reads. Only the journal's files count: paths below `prefix`, and what was opened there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { OPEN, FSYNC, FDATASYNC, MSYNC, ALLOCATE, TRUNCATE, RENAME, MAP, WRITE, CALLS };

struct faults {
    uint64_t call;       /* 1 + enum call; 0: none fails */
    uint64_t nth;        /* 1: the next one */
    uint64_t error;      /* errno; 0: it only hangs */
    uint64_t times;      /* how many in a row fail; 0: one */
    int64_t  hang_ns;    /* every matching call from the nth on */
    int64_t  wall_ns;    /* added to the wall clock */
    int64_t  wall_pace;  /* so many thousandths faster than the monotonic clock does it run: -1000: it stands still */
    int64_t  wall_since; /* from then on, by the monotonic clock */
    int64_t  wall_from;  /* what the wall clock showed then */
    int64_t  mono_ns;    /* added to the monotonic clock */
    uint64_t fired;
    uint64_t count[CALLS];
    char prefix[256];
};

static struct faults none, *faults = &none;
static uint8_t ours[65536];

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LOCKSTEP_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) faults = page;
}

#define REAL(name) ((__typeof__(&name))next(#name))
static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

/* 0: go on. Else the errno that the call shall fail with. */
static int strikes(enum call call) {
    uint64_t n = __atomic_add_fetch(&faults->count[call], 1, __ATOMIC_RELAXED);
    if (faults->call != (uint64_t)call + 1) return 0;
    if (faults->hang_ns != 0 && n >= faults->nth) {
        struct timespec t = {faults->hang_ns / 1000000000, faults->hang_ns % 1000000000};
        __atomic_store_n(&faults->fired, 1, __ATOMIC_RELEASE);
        nanosleep(&t, NULL);
    }
    if (faults->error == 0 || n < faults->nth || n - faults->nth >= (faults->times ? faults->times : 1)) return 0;
    __atomic_store_n(&faults->fired, 1, __ATOMIC_RELEASE);
    return (int)faults->error;
}

static int is_ours(const char *path) { return faults->prefix[0] && strncmp(path, faults->prefix, strlen(faults->prefix)) == 0; }
static int fd_is_ours(int fd) { return fd >= 0 && fd < (int)sizeof ours && ours[fd]; }
static int opened(int fd, int mine) {
    if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = (uint8_t)mine;
    return fd;
}

#define FAIL(call, result)                 \
    do {                                   \
        int error = strikes(call);         \
        if (error) {                       \
            errno = error;                 \
            return result;                 \
        }                                  \
    } while (0)

#define MODE(flags)                                              \
    mode_t mode = 0;                                             \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                       \
        va_list more;                                            \
        va_start(more, flags);                                   \
        mode = va_arg(more, mode_t);                             \
        va_end(more);                                            \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    int mine = is_ours(path);
    if (mine) FAIL(OPEN, -1);
    return opened(REAL(open)(path, flags, mode), mine);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    int mine = is_ours(path);
    if (mine) FAIL(OPEN, -1);
    return opened(REAL(open64)(path, flags, mode), mine);
}
int fsync(int fd) {
    FAIL(FSYNC, -1);
    return REAL(fsync)(fd);
}
int fdatasync(int fd) {
    FAIL(FDATASYNC, -1);
    return REAL(fdatasync)(fd);
}
int msync(void *at, size_t bytes, int flags) {
    FAIL(MSYNC, -1);
    return REAL(msync)(at, bytes, flags);
}
int posix_fallocate(int fd, off_t from, off_t bytes) {
    int error = strikes(ALLOCATE);
    return error ? error : REAL(posix_fallocate)(fd, from, bytes);
}
int posix_fallocate64(int fd, off64_t from, off64_t bytes) {
    int error = strikes(ALLOCATE);
    return error ? error : REAL(posix_fallocate64)(fd, from, bytes);
}
int ftruncate(int fd, off_t bytes) {
    if (fd_is_ours(fd)) FAIL(TRUNCATE, -1);
    return REAL(ftruncate)(fd, bytes);
}
int ftruncate64(int fd, off64_t bytes) {
    if (fd_is_ours(fd)) FAIL(TRUNCATE, -1);
    return REAL(ftruncate64)(fd, bytes);
}
int rename(const char *from, const char *to) {
    if (is_ours(to)) FAIL(RENAME, -1);
    return REAL(rename)(from, to);
}
void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t from) {
    static __typeof__(&mmap) real;
    if (!real) real = REAL(mmap);
    if (fd_is_ours(fd)) FAIL(MAP, MAP_FAILED);
    return real(at, bytes, prot, flags, fd, from);
}
void *mmap64(void *at, size_t bytes, int prot, int flags, int fd, off64_t from) {
    static __typeof__(&mmap64) real;
    if (!real) real = REAL(mmap64);
    if (fd_is_ours(fd)) FAIL(MAP, MAP_FAILED);
    return real(at, bytes, prot, flags, fd, from);
}
ssize_t write(int fd, const void *from, size_t bytes) {
    if (fd_is_ours(fd)) FAIL(WRITE, -1);
    return REAL(write)(fd, from, bytes);
}
ssize_t pwritev(int fd, const struct iovec *part, int parts, off_t at) {
    if (fd_is_ours(fd)) FAIL(WRITE, -1);
    return REAL(pwritev)(fd, part, parts, at);
}
ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at) {
    if (fd_is_ours(fd)) FAIL(WRITE, -1);
    return REAL(pwrite64)(fd, from, bytes, at);
}
int close(int fd) {
    opened(fd, 0);
    return REAL(close)(fd);
}
int clock_gettime(clockid_t clock, struct timespec *t) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, t);
    int64_t by = 0, pace = __atomic_load_n(&faults->wall_pace, __ATOMIC_ACQUIRE);
    if (clock == CLOCK_REALTIME) by = __atomic_load_n(&faults->wall_ns, __ATOMIC_RELAXED);
    if (clock == CLOCK_MONOTONIC) by = __atomic_load_n(&faults->mono_ns, __ATOMIC_RELAXED);
    if (clock == CLOCK_REALTIME && pace != 0) { /* made of one reading: of two, the time between them would be seen */
        result = real(CLOCK_MONOTONIC, t);
        int64_t since = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec - faults->wall_since;
        by += faults->wall_from - faults->wall_since + since * pace / 1000;
    }
    if (by != 0 && result == 0) {
        int64_t ns = (int64_t)t->tv_sec * 1000000000 + t->tv_nsec + by;
        t->tv_sec = ns / 1000000000;
        t->tv_nsec = ns % 1000000000;
    }
    return result;
}
