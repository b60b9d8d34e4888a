#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a process that only waits gives back to the kernel.
 *
 * - Pages that still are the file's (program text, constants, initialised data nobody has written): they stay in the
 *   page cache, only this process's mapping of them goes, and comes back by minor faults.
 * - Anonymous pages that are all zero: the next touch makes the same page again.
 * - Free heap, and the stack below.
 * - For the length of a wait only: pages in which few words differ from what the kernel would give again (the file's, or
 *   zeros). A runtime's tables and caches dirty a page for a pointer or two, and that is most of what a supervisor has.
 *   Those words are kept, packed, and put back before anything runs that could look at them.
 * /proc/self/pagemap tells which page is which; without it nothing is touched. One thread only. */

enum { PAGE_PRESENT = 63, PAGE_FILE = 61, CHUNK = 256, PAGE = 4096, FEW = 112 };

/* Words that are kept while their pages are gone, page after page: the page's address with the number of words in its low
 * bits, their places in the page (four to a word), the words. A zero ends it. */
struct kept {
    uint64_t *base;
    size_t used, capacity; /* in words */
    int program;           /* the program's own file, to compare with; or -1 */
    ino_t inode;
    unsigned long below, above; /* the thread's own memory, which the kernel writes to while we wait */
};

static size_t places(size_t count) { return (count + 3) / 4; }

/* Keeps what is in a page that is not as the kernel would make it. Without room, or with too many such words: nothing. */
static void keep(struct kept *kept, unsigned long address, const uint64_t *original) {
    const uint64_t *page = (const uint64_t *)address;
    uint16_t at[FEW];
    size_t count = 0;
    for (size_t i = 0; i < PAGE / 8; i++) {
        if (page[i] == (original ? original[i] : 0)) continue;
        if (count == FEW) return;
        at[count++] = (uint16_t)i;
    }
    if (kept->used + 2 + places(count) + count > kept->capacity) return;
    uint64_t *record = kept->base + kept->used;
    record[0] = address | count;
    memcpy(record + 1, at, count * sizeof at[0]);
    for (size_t i = 0; i < count; i++) record[1 + places(count) + i] = page[at[i]];
    kept->used += 1 + places(count) + count;
}

static int is_zero(const char *page, size_t size) {
    const uint64_t *words = (const uint64_t *)(const void *)page;
    for (size_t i = 0; i < size / sizeof *words; i++)
        if (words[i]) return 0;
    return 1;
}

/* A mapping: what one line of /proc/self/maps says of it. */
struct mapping {
    unsigned long start, end, offset, inode;
    int writable;
};

static void keep_changed(struct kept *kept, const struct mapping *mapping, unsigned long at) {
    uint64_t original[PAGE / 8];
    if (!mapping->writable || (at + PAGE > kept->below && at < kept->above)) return;
    if (!mapping->inode) {
        keep(kept, at, NULL);
        return;
    }
    if (kept->program < 0 || mapping->inode != kept->inode) return;
    off_t offset = (off_t)(mapping->offset + (at - mapping->start));
    if (pread(kept->program, original, PAGE, offset) == PAGE) keep(kept, at, original);
}

/* Drops pages of the file, or zero pages, in runs; keeps what differs little when there is a place for it. */
static void release_mapping(int pagemap, const struct mapping *mapping, struct kept *kept) {
    uint64_t entries[CHUNK];
    unsigned long run = 0; /* start of a run of pages to drop; 0: none */
    unsigned long end = mapping->end;
    for (unsigned long at = mapping->start; at < end;) {
        size_t count = (end - at) / PAGE;
        if (count > CHUNK) count = CHUNK;
        if (pread(pagemap, entries, count * 8, (off_t)(at / PAGE * 8)) != (ssize_t)(count * 8)) return;
        for (size_t i = 0; i < count; i++, at += PAGE) {
            int present = (int)(entries[i] >> PAGE_PRESENT & 1), of_file = (int)(entries[i] >> PAGE_FILE & 1);
            int drop = present && (of_file ? mapping->inode != 0 : !mapping->inode && is_zero((const char *)at, PAGE));
            if (drop && !run) run = at;
            if (!drop && run) madvise((void *)run, at - run, MADV_DONTNEED), run = 0;
            if (kept && present && !drop && !of_file) keep_changed(kept, mapping, at);
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
static void release_line(int pagemap, const char *line, struct kept *kept) {
    struct mapping mapping = {.inode = 0};
    char here;
    mapping.start = hexadecimal(&line);
    if (*line++ != '-') return;
    mapping.end = hexadecimal(&line);
    if (*line++ != ' ' || mapping.start >= mapping.end || mapping.end - mapping.start > 1UL << 30) return;
    const char *mode = line;
    if (strnlen(mode, 5) < 5 || mode[0] != 'r' || mode[3] != 'p') return; /* private mappings that can be read */
    mapping.writable = mode[1] == 'w';
    line = mode + 5;
    mapping.offset = hexadecimal(&line);
    if (*line++ != ' ' || !(line = strchr(line, ' '))) return;
    for (line++; *line >= '0' && *line <= '9'; line++) mapping.inode = mapping.inode * 10 + (unsigned long)(*line - '0');
    if (!mapping.inode && !mapping.writable) return; /* vdso and the like */
    /* The stack in use, and the place for kept words, change while this runs. */
    int in_use = (unsigned long)&here - mapping.start < mapping.end - mapping.start ||
                 (kept && (unsigned long)kept->base - mapping.start < mapping.end - mapping.start);
    release_mapping(pagemap, &mapping, in_use ? NULL : kept);
}

static void release(struct kept *kept) {
    malloc_trim(0);
    /* Below this frame, but for a few pages for the calls to come: nothing else is mapped there (the kernel keeps 128 MiB
     * free below the stack), and for what is not mapped the call only returns an error. */
    char here;
    char *end = (char *)(((size_t)&here & ~(size_t)(PAGE - 1)) - 8 * PAGE);
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
            release_line(pagemap, line, kept);
            line = newline + 1;
        }
        used -= (size_t)(line - text);
        memmove(text, line, used);
        if (used == sizeof text - 1) used = 0; /* a path longer than that is not ours */
    }
    if (pagemap >= 0) close(pagemap);
    if (maps >= 0) close(maps);
}

void cl_release_idle_memory(void) {
    if (sysconf(_SC_PAGESIZE) == PAGE) release(NULL);
}

/* Writes nothing but the stack and `kept`: what was kept early must still be so at the end.
 * - Returns: the kept words, or NULL without memory for them. */
__attribute__((noinline)) static uint64_t *release_all_but_few_words(size_t size) {
    struct kept kept = {.capacity = size / 8, .program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    struct stat info;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (kept.program >= 0 && fstat(kept.program, &info) == 0) kept.inode = info.st_ino;
    /* Thread-local variables, and the thread's record beside them: the kernel writes its processor number there (rseq). */
    unsigned long variable = (unsigned long)&errno, thread = (unsigned long)__builtin_thread_pointer();
    kept.below = (variable < thread ? variable : thread) - PAGE;
    kept.above = (variable < thread ? thread : variable) + PAGE;
    kept.base = memory == MAP_FAILED ? NULL : memory;
    if (sysconf(_SC_PAGESIZE) == PAGE) release(kept.base ? &kept : NULL);
    if (kept.program >= 0) close(kept.program);
    return kept.base;
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
 * the wait are this one function without calls: what stays mapped of the program while it waits is around this page.
 *
 * While words are away from their pages nothing may be called or looked at but the stack and those words: not even
 * memcpy(3), whose address is itself in such a page. Hence the raw system calls and the volatile stores. */
__attribute__((noinline)) int cl_idle_wait(int fd, int timeout_ms) {
    extern char __executable_start[], etext[];
    enum { KEPT = 256 * 1024 };
    const volatile uint64_t *kept = release_all_but_few_words(KEPT);
    struct pollfd set = {.fd = fd, .events = POLLIN};
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    unsigned long start = (unsigned long)__executable_start & ~4095UL, length = ((unsigned long)etext & ~4095UL) - start;
    /* The stack that the calls above have used: 256 bytes below this frame are not ours to drop. */
    unsigned long stack = ((unsigned long)__builtin_frame_address(0) - 512) & ~4095UL;
    raw(SYS_madvise, (long)(stack - 256 * 1024), 256 * 1024, MADV_DONTNEED);
    for (const volatile uint64_t *record = kept; record && *record; record += 1 + (*record % PAGE + 3) / 4 + *record % PAGE)
        raw(SYS_madvise, (long)(*record & ~4095UL), PAGE, MADV_DONTNEED);
    raw(SYS_madvise, (long)start, (long)length, MADV_DONTNEED);
    int result = (int)raw(SYS_ppoll, (long)&set, 1, timeout_ms < 0 ? 0 : (long)&timeout);
    for (const volatile uint64_t *record = kept; record && *record;) {
        volatile uint64_t *page = (volatile uint64_t *)(*record & ~4095UL);
        size_t count = *record % PAGE;
        const volatile uint16_t *at = (const volatile uint16_t *)(record + 1);
        const volatile uint64_t *word = record + 1 + (count + 3) / 4;
        for (size_t i = 0; i < count; i++) page[at[i]] = word[i];
        record = word + count;
    }
    if (kept) raw(SYS_munmap, (long)kept, KEPT, 0);
    return result;
}
