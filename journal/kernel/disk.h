/* The disk seam: every store into the journal's maps and every call that changes its files goes through these functions.
 *
 * In production they are plain stores and plain system calls. With LOCKSTEP_TRACE the includer provides
 * `lockstep_trace`, which sees each of them in program order: the crash test reorders and drops them. */
#ifndef LOCKSTEP_DISK_H
#define LOCKSTEP_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc32c.h"

#ifdef LOCKSTEP_TRACE
enum lockstep_trace_op { J_STORE, J_PUBLISH, J_SYNC, J_CREATE, J_ALLOCATE, J_RENAME, J_DIRSYNC, J_MAPPED, J_UNMAPPED, J_SYNC_RANGE };
/* at/n: the stored range, or the map and its size; fd, a, b: what the call was given. Called before a store, after a call. */
void lockstep_trace(enum lockstep_trace_op op, const void *at, const void *src, size_t n, int fd, const char *a, const char *b);
#define J_TRACE(op, at, src, n, fd, a, b) lockstep_trace(op, at, src, n, fd, a, b)
#else
#define J_TRACE(op, at, src, n, fd, a, b) ((void)0)
#endif

static inline void j_store(void *at, const void *src, size_t n)
{
    J_TRACE(J_STORE, at, src, n, -1, NULL, NULL);
    memcpy(at, src, n);
}

/* The same for aligned words that stand in registers. */
static inline void j_store_words(uint64_t *at, const uint64_t *words, int n)
{
    J_TRACE(J_STORE, at, words, (size_t)n * 8, -1, NULL, NULL);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        at[i] = words[i];
}

/* One word from `from` to `to`, and into the crc. */
static inline uint64_t j_word_crc(uint8_t *to, const uint8_t *from, uint64_t crc)
{
    uint64_t word = lockstep_load64(from);
    /* The compiler may not read `from` a second time: it may be shared with somebody who changes it. */
    __asm__ volatile("" : "+r"(word));
    memcpy(to, &word, 8);
    return lockstep_crc_step(crc, word);
}

/* j_store of n bytes, a multiple of 8, with their crc in the making behind `crc`: one pass over the bytes. */
static inline uint64_t j_store_crc(uint8_t *to, const uint8_t *from, size_t n, uint64_t crc)
{
    J_TRACE(J_STORE, to, from, n, -1, NULL, NULL);
    for (; n >= 32; n -= 32, to += 32, from += 32) {
        crc = j_word_crc(to, from, crc);
        crc = j_word_crc(to + 8, from + 8, crc);
        crc = j_word_crc(to + 16, from + 16, crc);
        crc = j_word_crc(to + 24, from + 24, crc);
    }
    for (; n >= 8; n -= 8, to += 8, from += 8)
        crc = j_word_crc(to, from, crc);
    return crc;
}

static inline void j_zero(void *at, size_t n)
{
#ifdef LOCKSTEP_TRACE
    static const uint8_t zeros[4096];
    for (size_t done = 0; done < n; done += sizeof zeros)
        J_TRACE(J_STORE, (uint8_t *)at + done, zeros, n - done < sizeof zeros ? n - done : sizeof zeros, -1, NULL, NULL);
#endif
    memset(at, 0, n);
}

/* Release stores: who reads the new value sees every store made before it. */
static inline void j_publish32(uint32_t *at, uint32_t value)
{
    J_TRACE(J_PUBLISH, at, &value, sizeof value, -1, NULL, NULL);
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline void j_publish64(uint64_t *at, uint64_t value)
{
    J_TRACE(J_PUBLISH, at, &value, sizeof value, -1, NULL, NULL);
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* A call that a signal interrupted has done nothing: it is made again. Everything else that fails, has failed. */
#define J_AGAIN(result, call)           \
    do                                  \
        result = (call);                \
    while (result < 0 && errno == EINTR)

/* Everything stored into the file so far is on disk when this returns 0. */
static inline int j_sync(int fd)
{
    int result;
    J_AGAIN(result, fdatasync(fd));
    if (result != 0)
        return -errno;
    J_TRACE(J_SYNC, NULL, NULL, 0, fd, NULL, NULL);
    return 0;
}

/* The same for [from, to) of a map only. The pages behind `to` stay writable: whoever appends there does not
 * fault on each of them again, as it would after a sync of the whole file. */
static inline int j_sync_range(uint8_t *base, uint64_t from, uint64_t to)
{
    from &= ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
    int result;
    J_AGAIN(result, msync(base + from, to - from, MS_SYNC));
    if (result != 0)
        return -errno;
    J_TRACE(J_SYNC_RANGE, base + from, NULL, to - from, -1, NULL, NULL);
    return 0;
}

/* No store will come to [from, to) of a map any more: take its pages out of it, which keeps what they hold. A sync would
 * write-protect them one by one, and each of them would interrupt the core on which the appender runs. A hint: what it
 * cannot do costs time only. */
static inline void j_let_go(uint8_t *base, uint64_t from, uint64_t to)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    from &= ~(page - 1);
    to &= ~(page - 1);
    if (from < to)
        (void)madvise(base + from, to - from, MADV_DONTNEED);
}

static inline int j_create(const char *path)
{
    int fd;
    J_AGAIN(fd, open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd < 0)
        return -errno;
    J_TRACE(J_CREATE, NULL, NULL, 0, fd, path, NULL);
    return fd;
}

/* Blocks are reserved, never sparse: a store into the map cannot fail for lack of space later. */
static inline int j_allocate(int fd, uint64_t bytes)
{
    int error;
    do
        error = posix_fallocate(fd, 0, (off_t)bytes); /* has its own way to tell */
    while (error == EINTR);
    if (error != 0)
        return -error;
    J_TRACE(J_ALLOCATE, NULL, NULL, bytes, fd, NULL, NULL);
    return 0;
}

/* Write zeros over blocks that j_allocate made zero: no content changes, so nothing is traced. Each write brings one aligned
 * folio of `folio_bytes` into memory, at a third of what touching each 4 KiB page through a map costs. Its size
 * matters: a sync write-protects, and a store makes dirty, whole folios. */
static inline int j_fill_zeros(int fd, uint64_t from, uint64_t to, uint64_t folio_bytes)
{
    static uint8_t zeros[2 << 20]; /* never written; LOCKSTEP_HUGE_BYTES */
    while (from < to) {
        uint64_t n = folio_bytes - from % folio_bytes;
        ssize_t written = pwrite(fd, zeros, to - from < n ? to - from : n, (off_t)from);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0)
            from += (uint64_t)written;
    }
    return 0;
}

static inline int j_rename(const char *from, const char *to)
{
    int result;
    J_AGAIN(result, rename(from, to));
    if (result != 0)
        return -errno;
    J_TRACE(J_RENAME, NULL, NULL, 0, -1, from, to);
    return 0;
}

static inline int j_dirsync(const char *folder)
{
    int fd, result;
    J_AGAIN(fd, open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return -errno;
    J_AGAIN(result, fsync(fd));
    result = result == 0 ? 0 : -errno;
    close(fd);
    J_TRACE(J_DIRSYNC, NULL, NULL, 0, -1, folder, NULL);
    return result;
}

#endif
