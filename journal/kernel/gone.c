/* See gone.h. The handler runs at a bad moment: no allocation, no locks, no stdio. What is mapped where it asks the kernel. */
#define _GNU_SOURCE /* sigaction and its codes */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "gone.h"

enum { LINE_MAX_BYTES = 4096 + 128 }; /* of /proc/self/maps: a path and what stands before it */

static struct sigaction before;

static const char *hex(const char *at, uint64_t *value)
{
    *value = 0;
    for (;; at++) {
        char c = *at;
        if (c >= '0' && c <= '9')
            *value = *value * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *value = *value * 16 + (uint64_t)(c - 'a' + 10);
        else
            return at;
    }
}

/* A line `from-to rights offset device inode path`: whether the address is in it, its place in the file, and the path. */
static bool holds(const char *line, uint64_t address, uint64_t *place, const char **path)
{
    uint64_t from, to, offset;
    const char *at = hex(line, &from);
    if (*at != '-')
        return false;
    at = hex(at + 1, &to);
    if (address < from || address >= to || at[0] != ' ' || strlen(at) < 6)
        return false;
    at = hex(at + 6, &offset);
    *path = strchr(at, '/');
    *place = address - from + offset;
    return *path != NULL;
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* there is nobody left to tell */
}

static void say_number(uint64_t value)
{
    char digits[24], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    say(at);
}

static void name(uint64_t address)
{
    static char line[LINE_MAX_BYTES];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    size_t length = 0;
    char c;
    while (read(fd, &c, 1) == 1) {
        if (c != '\n') {
            if (length < sizeof line - 1)
                line[length++] = c;
            continue;
        }
        line[length] = '\0';
        length = 0;
        uint64_t place;
        const char *path;
        if (holds(line, address, &place, &path)) {
            say("lockstep: ");
            say(path);
            say(": the page with byte ");
            say_number(place);
            say(" cannot be read: the disk failed, or the file was made shorter while it was mapped. This process ends; "
                "`lockstep journal verify` says what is left.\n");
            break;
        }
    }
    close(fd);
}

static void gone(int number, siginfo_t *info, void *context)
{
    (void)context;
    int kept = errno;
    if (info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR || info->si_code == BUS_MCEERR_AR)
        name((uint64_t)(uintptr_t)info->si_addr);
    sigaction(number, &before, NULL); /* the access is made again, and ends as it would have without us */
    errno = kept;
}

int32_t lockstep_name_gone_pages(void)
{
    struct sigaction there;
    if (sigaction(SIGBUS, NULL, &there) != 0)
        return errno;
    if ((there.sa_flags & SA_SIGINFO) != 0 && there.sa_sigaction == gone)
        return 0;
    before = there;
    struct sigaction ours = {.sa_sigaction = gone, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, NULL) == 0 ? 0 : errno;
}
