/* Every instruction boundary: a child runs the production shared object on a journal of its own; this driver lets it take one
 * machine instruction at a time, and after each decides, on the very pages, what a start would find if it were killed there.
 * Usage: boundaries FOLDER KILL_EVERY NAME:SIZE… -- CHILD…
 * CHILD (boundary_child.py) reads "NAME SIZE FOLDER" from its input, forks, prepares and says "PID ADDRESS": the function to
 * be stepped, called when it reads one byte more. SIGUSR2 ends the run. Names that begin with "py-" are Python: between
 * SIGUSR1 and SIGUSR2 their folder is copied at every system call that can change a file, which are the only places where
 * it changes. Every KILL_EVERYth boundary a second child is taken there and killed, and its folder kept.
 * One JSON object a line; exit code 1 where a rule is broken, 3 where tracing is forbidden. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/kernel/messages.h"
#include "journal/kernel/segment.h"
#include "journal/kernel/reader.h"
#include "journal/kernel/recovery.h"

#ifndef __x86_64__
#error "the breakpoint instruction and the registers of this driver are those of x86-64"
#endif

enum { SEGMENTS = 8, PATH = 4096, FRAMES_AT = 8192 };

struct watch { /* the journal of a child, as the kernel holds it */
    char folder[PATH];
    const uint8_t *base[SEGMENTS];
    uint64_t bytes[SEGMENTS];
    uint32_t count;
    const struct lockstep_control *control;
};

static const char schema[] = "{\"small\":true}";
static int to_child, from_child_fd;
static FILE *from_child;
static struct watch watch, truth;
static struct lockstep_recovery found;
static uint64_t least_seq, boundaries, kills;
static bool broken;
static const char *name;
static unsigned size;

static void die(const char *what)
{
    fprintf(stderr, "boundaries: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- what stands in the journal ---- */

static void look_for_segments(struct watch *w)
{
    char path[PATH + 32];
    while (w->count + 1 < SEGMENTS) {
        snprintf(path, sizeof path, "%s/%08u.seg", w->folder, w->count + 1);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        struct stat status;
        fstat(fd, &status);
        const void *base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (base == MAP_FAILED)
            die(path);
        w->base[++w->count] = base;
        w->bytes[w->count] = (uint64_t)status.st_size;
    }
}

static void look(struct watch *w, const char *folder)
{
    char path[PATH + 32];
    for (uint32_t i = 1; i <= w->count; i++)
        munmap((void *)(uintptr_t)w->base[i], w->bytes[i]);
    if (w->control)
        munmap((void *)(uintptr_t)w->control, LOCKSTEP_BLOCK_BYTES);
    memset(w, 0, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "%s", folder);
    snprintf(path, sizeof path, "%s/control", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const void *control = mmap(NULL, LOCKSTEP_BLOCK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || control == MAP_FAILED)
        die(path);
    close(fd);
    w->control = control;
    look_for_segments(w);
}

static void decide(const struct watch *w)
{
    uint64_t used;
    memset(&found, 0, sizeof found);
    found.stream_id = w->control->stream_id;
    found.has_control = 1;
    found.control_durable_seq = w->control->durable_seq;
    found.control_segment = w->control->segment;
    found.control_epoch = w->control->epoch;
    found.segment_bytes = w->control->segment_bytes;
    found.schema = (const uint8_t *)schema;
    found.schema_bytes = sizeof schema - 1;
    for (uint32_t i = 1; i <= w->count; i++)
        lockstep_recovery_look(&found, w->base[i], w->bytes[i], NULL, &used);
    lockstep_recovery_decide(&found);
}

static void wrong(const char *what, uint64_t boundary)
{
    printf("{\"event\": \"found\", \"scenario\": \"%s\", \"size\": %u, \"boundary\": %llu, \"what\": \"%s: verdict %u, seq %llu, "
           "durable %llu, reader state %u\"}\n", name, size, (unsigned long long)boundary, what, found.verdict,
           (unsigned long long)found.last_seq, (unsigned long long)found.durable_seq, found.reader.state);
    broken = true;
}

/* The rules at one boundary: what recovery would keep is a prefix of what the whole run leaves, byte for byte, never less
 * than at the boundary before; and whoever reads along meets no bad frame. */
static void judge(uint64_t boundary)
{
    look_for_segments(&watch);
    decide(&watch);
    boundaries++;
    if (found.verdict != LOCKSTEP_VERDICT_CLEAN && found.verdict != LOCKSTEP_VERDICT_TORN) {
        wrong("a kill is taken for damage", boundary);
        return;
    }
    if (found.last_seq < least_seq)
        wrong("a frame that was there is lost", boundary);
    least_seq = found.last_seq;
    if (found.segment != 0 && found.reader.state != LOCKSTEP_TAIL && strcmp(name, "zero") != 0)
        wrong("a reader that is alive meets a bad frame", boundary);
    for (uint32_t i = 1; i <= found.segment; i++) {
        uint64_t to = i == found.segment ? found.offset : watch.bytes[i];
        if (i > truth.count || memcmp(watch.base[i] + FRAMES_AT, truth.base[i] + FRAMES_AT, to - FRAMES_AT) != 0) {
            wrong("not what was appended", boundary);
            return;
        }
    }
}

/* ---- the child ---- */

static void say(const char *text) { if (write(to_child, text, strlen(text)) < 0) die("writing to the child"); }

static void hear(char *line, int bytes)
{
    if (fgets(line, bytes, from_child) == NULL)
        die("the child ended");
}

static void start(const char *folder, pid_t *pid, uint64_t *address)
{
    char line[PATH + 128];
    mkdir(folder, 0755);
    snprintf(line, sizeof line, "%s %u %s\n", name, size, folder);
    say(line);
    hear(line, sizeof line);
    unsigned long long at;
    if (sscanf(line, "%d %llu", pid, &at) != 2) {
        fprintf(stderr, "boundaries: the child says: %s", line);
        exit(2);
    }
    *address = at;
}

static void finished(void)
{
    char line[64];
    hear(line, sizeof line);
    if (strcmp(line, "done\n") != 0)
        die("a child that is done was expected");
}

/* The next stop's signal; 0 where the child is gone. */
static int stop_of(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, __WALL) != pid)
        die("waiting for the child");
    return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

static void attach(pid_t pid)
{
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) != 0) {
        printf("{\"event\": \"forbidden\", \"what\": \"%s\"}\n", strerror(errno));
        fflush(stdout);
        kill(pid, SIGKILL);
        exit(3);
    }
    stop_of(pid);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
}

static long peek(pid_t pid, uint64_t at) { return ptrace(PTRACE_PEEKTEXT, pid, at, 0); }

static void end_child(pid_t pid, int signal)
{
    if (signal == SIGKILL)
        kill(pid, SIGKILL);
    else
        ptrace(PTRACE_CONT, pid, 0, signal);
    while (stop_of(pid) != 0)
        ptrace(PTRACE_CONT, pid, 0, 0);
    finished();
}

/* Step through every call of the function, `judged` at each boundary; or only to boundary `until`, and kill there. */
static uint64_t step(const char *folder, uint64_t until)
{
    pid_t pid;
    uint64_t address, boundary = 0;
    start(folder, &pid, &address);
    attach(pid);
    look(&watch, folder);
    decide(&watch);
    least_seq = found.last_seq;
    long original = peek(pid, address);
    say("g");
    for (;;) {
        struct user_regs_struct r;
        ptrace(PTRACE_POKETEXT, pid, address, (original & ~0xFFl) | 0xCC);
        ptrace(PTRACE_CONT, pid, 0, 0);
        int signal = stop_of(pid);
        if (signal == SIGUSR2)
            break;
        if (signal != SIGTRAP) {
            fprintf(stderr, "boundaries: %s %u: the child stopped with signal %d\n", name, size, signal);
            exit(2);
        }
        ptrace(PTRACE_POKETEXT, pid, address, original);
        ptrace(PTRACE_GETREGS, pid, 0, &r);
        r.rip = address;
        ptrace(PTRACE_SETREGS, pid, 0, &r);
        const uint64_t back = (uint64_t)peek(pid, r.rsp), frame = r.rsp;
        do {
            if (until == 0)
                judge(boundary);
            else if (boundary == until) {
                end_child(pid, SIGKILL);
                return boundary;
            }
            boundary++;
            ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
            signal = stop_of(pid);
            if (signal != SIGTRAP)
                die("a step that is none");
            ptrace(PTRACE_GETREGS, pid, 0, &r);
        } while (!(r.rip == back && r.rsp > frame) && !broken);
        if (broken)
            break;
    }
    if (until == 0 && !broken)
        judge(boundary);
    end_child(pid, broken ? SIGKILL : SIGUSR2);
    return boundary;
}

static bool changes_files(uint64_t call)
{
    static const long calls[] = {SYS_open, SYS_openat, SYS_write, SYS_pwrite64, SYS_pwritev, SYS_rename, SYS_renameat,
                                 SYS_renameat2, SYS_unlink, SYS_unlinkat, SYS_mkdir, SYS_mkdirat, SYS_ftruncate, SYS_fallocate,
                                 SYS_msync, SYS_fsync, SYS_fdatasync, SYS_munmap, SYS_close};
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (call == (uint64_t)calls[i])
            return true;
    return false;
}

static void calls(const char *folder)
{
    pid_t pid;
    uint64_t unused, boundary = 0;
    bool within = false, entered = false;
    struct user_regs_struct r;
    start(folder, &pid, &unused);
    attach(pid);
    say("g");
    for (int pass = 0;;) {
        ptrace(within ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, pass);
        pass = 0;
        int signal = stop_of(pid);
        if (signal == SIGUSR2)
            break;
        if (signal == SIGUSR1)
            within = true;
        else if (signal != (SIGTRAP | 0x80))
            pass = signal == SIGTRAP ? 0 : signal;
        else if ((entered = !entered) == false) {
            ptrace(PTRACE_GETREGS, pid, 0, &r);
            if (!changes_files(r.orig_rax))
                continue;
            char command[3 * PATH];
            snprintf(command, sizeof command, "cp -a --sparse=always '%s' '%s-at%llu'", folder, folder,
                     (unsigned long long)boundary);
            if (system(command) != 0)
                die(command);
            printf("{\"event\": \"copied\", \"scenario\": \"%s\", \"size\": %u, \"boundary\": %llu, \"call\": %llu, "
                   "\"folder\": \"%s-at%llu\"}\n", name, size, (unsigned long long)boundary, (unsigned long long)r.orig_rax,
                   folder, (unsigned long long)boundary);
            boundary++;
        }
    }
    boundaries += boundary;
    end_child(pid, SIGUSR2);
}

static void spawn(char **argv)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        die("pipe");
    if (fork() == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_child = in[1];
    from_child_fd = out[0];
    from_child = fdopen(out[0], "r");
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    int split = 3;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    if (split + 1 >= argc)
        return 2;
    /* Driver and child take turns: on one core that is three times as fast as on two. */
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    spawn(argv + split + 1);
    const uint64_t kill_every = strtoull(argv[2], NULL, 10);
    for (int i = 3; i < split && !broken; i++) {
        char folder[PATH];
        name = strtok(argv[i], ":");
        size = (unsigned)atoi(strtok(NULL, ":"));
        snprintf(folder, sizeof folder, "%s/%s-%u", argv[1], name, size);
        uint64_t before = boundaries;
        if (strncmp(name, "py-", 3) == 0) {
            calls(folder);
        } else {
            char whole[PATH + 8], killed[PATH + 32];
            pid_t pid;
            uint64_t address;
            snprintf(whole, sizeof whole, "%s-whole", folder);
            start(whole, &pid, &address);
            say("g");
            finished();
            look(&truth, whole);
            uint64_t all = step(folder, 0);
            for (uint64_t at = kill_every ? kill_every : all + 1; at <= all && !broken; at += kill_every) {
                snprintf(killed, sizeof killed, "%s-killed%llu", folder, (unsigned long long)at);
                if (step(killed, at) != at)
                    break;
                look(&watch, killed);
                decide(&watch);
                kills++;
                printf("{\"event\": \"killed\", \"scenario\": \"%s\", \"size\": %u, \"boundary\": %llu, \"folder\": \"%s\", "
                       "\"verdict\": %u, \"last_seq\": %llu, \"last_ts\": %lld, \"last_crc\": %u, \"segment\": %u, "
                       "\"offset\": %llu}\n", name, size, (unsigned long long)at, killed, found.verdict,
                       (unsigned long long)found.last_seq, (long long)found.last_ts, found.last_crc, found.segment,
                       (unsigned long long)found.offset);
                fflush(stdout);
            }
        }
        printf("{\"event\": \"scenario\", \"scenario\": \"%s\", \"size\": %u, \"boundaries\": %llu}\n", name, size,
               (unsigned long long)(boundaries - before));
        fflush(stdout);
    }
    close(to_child);
    printf("{\"event\": \"end\", \"boundaries\": %llu, \"kills\": %llu}\n", (unsigned long long)boundaries,
           (unsigned long long)kills);
    return broken;
}
