#define _GNU_SOURCE
#include "CLinux.h"
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a process that only waits gives back to the kernel.
 *
 * - Pages that still are the file's (program text, constants, initialised data nobody has written): they stay in the
 *   page cache, only this process's mapping of them goes, and comes back by minor faults.
 * - Anonymous pages that are all zero: the next touch makes the same page again.
 * - Free heap, and the stack below.
 * /proc/self/pagemap tells which page is which; without it nothing is touched. One thread only. */

enum { PAGE_PRESENT = 63, PAGE_FILE = 61, CHUNK = 256 };

static int is_zero(const char *page, size_t size) {
    const uint64_t *words = (const uint64_t *)(const void *)page;
    for (size_t i = 0; i < size / sizeof *words; i++)
        if (words[i]) return 0;
    return 1;
}

/* A mapping: drops its pages of the file, or its zero pages, in runs. */
static void release_mapping(int pagemap, unsigned long start, unsigned long end, int file, size_t page) {
    uint64_t entries[CHUNK];
    unsigned long run = 0; /* start of a run of pages to drop; 0: none */
    for (unsigned long at = start; at < end;) {
        size_t count = (end - at) / page;
        if (count > CHUNK) count = CHUNK;
        if (pread(pagemap, entries, count * 8, (off_t)(at / page * 8)) != (ssize_t)(count * 8)) return;
        for (size_t i = 0; i < count; i++, at += page) {
            int present = (int)(entries[i] >> PAGE_PRESENT & 1), of_file = (int)(entries[i] >> PAGE_FILE & 1);
            int drop = present && (of_file ? file : is_zero((const char *)at, page));
            if (drop && !run) run = at;
            if (!drop && run) madvise((void *)run, at - run, MADV_DONTNEED), run = 0;
        }
    }
    if (run) madvise((void *)run, end - run, MADV_DONTNEED);
}

static unsigned long hexadecimal(const char **text) {
    unsigned long value = 0;
    for (;; (*text)++) {
        char c = **text;
        if (c >= '0' && c <= '9') value = value << 4 | (unsigned long)(c - '0');
        else if (c >= 'a' && c <= 'f') value = value << 4 | (unsigned long)(c - 'a' + 10);
        else return value;
    }
}

/* One line of /proc/self/maps: `start-end mode offset device inode path`. */
static void release_line(int pagemap, const char *line, size_t page) {
    unsigned long start = hexadecimal(&line);
    if (*line++ != '-') return;
    unsigned long end = hexadecimal(&line);
    if (*line++ != ' ' || start >= end || end - start > 1UL << 30) return;
    const char *mode = line;
    if (strnlen(mode, 5) < 5 || mode[0] != 'r' || mode[3] != 'p') return; /* private mappings that can be read */
    line = mode + 5;
    for (int field = 0; field < 2; field++) {
        line = strchr(line, ' ');
        if (!line++) return;
    }
    int file = *line != '0'; /* the inode */
    if (!file && mode[1] != 'w') return; /* vdso and the like */
    release_mapping(pagemap, start, end, file, page);
}

void cl_release_idle_memory(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    malloc_trim(0);
    /* Below this frame, but for a page for the calls to come: nothing else is mapped there (the kernel keeps 128 MiB
     * free below the stack), and for what is not mapped the call only returns an error. */
    char here;
    char *end = (char *)(((size_t)&here & ~(page - 1)) - 4 * page);
    madvise(end - 1024 * 1024, 1024 * 1024, MADV_DONTNEED);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    char text[4096 + 1];
    size_t used = 0;
    long n;
    while (pagemap >= 0 && maps >= 0 && (n = read(maps, text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)n;
        text[used] = 0;
        char *line = text, *newline;
        while ((newline = strchr(line, '\n'))) {
            *newline = 0;
            release_line(pagemap, line, page);
            line = newline + 1;
        }
        used -= (size_t)(line - text);
        memmove(text, line, used);
        if (used == sizeof text - 1) used = 0; /* a path longer than that is not ours */
    }
    if (pagemap >= 0) close(pagemap);
    if (maps >= 0) close(maps);
}

static inline __attribute__((always_inline)) long raw(long number, long a, long b, long c) {
#if defined(__x86_64__)
    long result;
    register long fourth __asm__("r10") = 0; /* ppoll: no signal mask */
    register long fifth __asm__("r8") = 8;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 8;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
    return x0;
#else
    return syscall(number, a, b, c, 0, 8);
#endif
}

/* Everything above runs once more after its pages were dropped, and maps them again, 64 KiB a fault. So the last step and
 * the wait are this one function without calls: what stays mapped of the program while it waits is around this page. */
__attribute__((noinline)) int cl_idle_wait(int fd, int timeout_ms) {
    extern char __executable_start[], etext[];
    cl_release_idle_memory();
    struct pollfd set = {.fd = fd, .events = POLLIN};
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    unsigned long start = (unsigned long)__executable_start & ~4095UL, length = ((unsigned long)etext & ~4095UL) - start;
    /* The stack that the calls above have used: 256 bytes below this frame are not ours to drop. */
    unsigned long stack = ((unsigned long)__builtin_frame_address(0) - 512) & ~4095UL;
    raw(SYS_madvise, (long)(stack - 256 * 1024), 256 * 1024, MADV_DONTNEED);
    raw(SYS_madvise, (long)start, (long)length, MADV_DONTNEED);
    return (int)raw(SYS_ppoll, (long)&set, 1, timeout_ms < 0 ? 0 : (long)&timeout);
}
