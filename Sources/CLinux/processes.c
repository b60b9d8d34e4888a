#define _GNU_SOURCE
#include "CLinux.h"
#include "result.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

int cl_clone3(uint64_t flags, uint64_t exit_signal, int *pidfd, int cgroup_fd) {
    struct clone_args a;
    memset(&a, 0, sizeof a);
    a.flags = flags;
    a.exit_signal = exit_signal;
    if (pidfd) a.flags |= CLONE_PIDFD, a.pidfd = (uint64_t)(uintptr_t)pidfd;
    if (cgroup_fd >= 0) a.flags |= CLONE_INTO_CGROUP, a.cgroup = (uint64_t)cgroup_fd;
    long r = syscall(SYS_clone3, &a, sizeof a);
    /* Container filters answer clone3 with ENOSYS so that the flags stay visible to them; the older call then serves
     * whoever asks for nothing that only clone3 has. A null stack means: go on with a copy of this one. */
    if (r < 0 && errno == ENOSYS && cgroup_fd < 0 && !(flags >> 32))
        r = syscall(SYS_clone, (unsigned long)(a.flags | exit_signal), 0UL, pidfd, 0UL, 0UL);
    return r < 0 ? -errno : (int)r;
}
int cl_fork(void) { RESULT(fork()); }
int cl_unshare(int flags) { RESULT(unshare(flags)); }
int cl_setns(int fd, int type) { RESULT(setns(fd, type)); }
int cl_pidfd_open(int pid, unsigned flags) { RESULT(syscall(SYS_pidfd_open, pid, flags)); }
int cl_pidfd_send_signal(int fd, int sig) { RESULT(syscall(SYS_pidfd_send_signal, fd, sig, 0, 0)); }
int cl_pidfd_getfd(int pidfd, int fd) { RESULT(syscall(SYS_pidfd_getfd, pidfd, fd, 0)); }
int cl_kill(int pid, int sig) { RESULT(kill(pid, sig)); }
int cl_waitpid(int pid, int *status, int options) { RESULT(waitpid(pid, status, options)); }
int cl_waitid_pidfd(int pidfd, int options, int *pid, int *code, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int r;
    do r = waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, options);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    *pid = info.si_pid, *code = info.si_code, *status = info.si_status;
    return 0;
}
int cl_prctl(int o, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { RESULT(prctl(o, a, b, c, d)); }
int cl_execveat(int d, const char *p, char *const argv[], char *const envp[], int flags) {
    syscall(SYS_execveat, d, p, argv, envp, flags);
    return -errno;
}
int cl_execve(const char *p, char *const argv[], char *const envp[]) {
    execve(p, argv, envp);
    return -errno;
}
int cl_setresuid(uint32_t r, uint32_t e, uint32_t s) { RESULT(syscall(SYS_setresuid, r, e, s)); }
int cl_setresgid(uint32_t r, uint32_t e, uint32_t s) { RESULT(syscall(SYS_setresgid, r, e, s)); }
int cl_setgroups(size_t n, const uint32_t *g) { RESULT(syscall(SYS_setgroups, n, g)); }
int cl_getgroups(int n, uint32_t *g) { RESULT(syscall(SYS_getgroups, n, g)); }
int cl_setsid(void) { RESULT(setsid()); }
int cl_prlimit(int pid, int resource, const uint64_t *new_, uint64_t *old) {
    RESULT(syscall(SYS_prlimit64, pid, resource, new_, old));
}
int cl_capget(uint64_t *e, uint64_t *p, uint64_t *i) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    if (syscall(SYS_capget, &h, d) < 0) return -errno;
    *e = d[0].effective | (uint64_t)d[1].effective << 32;
    *p = d[0].permitted | (uint64_t)d[1].permitted << 32;
    *i = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    return 0;
}
int cl_capset(uint64_t e, uint64_t p, uint64_t i) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{(uint32_t)e, (uint32_t)p, (uint32_t)i},
                                          {(uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32)}};
    RESULT(syscall(SYS_capset, &h, d));
}
int cl_seccomp(unsigned op, unsigned flags, void *args) { RESULT(syscall(SYS_seccomp, op, flags, args)); }
int cl_seccomp_load(const void *instructions, unsigned short count, unsigned flags) {
    struct sock_fprog program = {count, (struct sock_filter *)instructions};
    return cl_seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}
int cl_sethostname(const char *n, size_t l) { RESULT(sethostname(n, l)); }
int cl_setdomainname(const char *n, size_t l) { RESULT(setdomainname(n, l)); }
int cl_personality(unsigned long p) { RESULT(personality(p)); }
long cl_getrandom(void *b, size_t n, unsigned f) { RESULT(syscall(SYS_getrandom, b, n, f)); }
int cl_set_mempolicy(int mode, const unsigned long *nodes, unsigned long max) {
    RESULT(syscall(SYS_set_mempolicy, mode, nodes, max));
}
int cl_ioprio_set(int priority) { RESULT(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, priority)); }
int cl_sched_setattr(int pid, unsigned policy, uint64_t flags, int nice, unsigned priority, uint64_t runtime,
                     uint64_t deadline, uint64_t period) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {sizeof a, policy, flags, nice, priority, runtime, deadline, period};
    RESULT(syscall(SYS_sched_setattr, pid, &a, 0));
}
int cl_sched_setaffinity(int pid, size_t bytes, const void *mask) {
    RESULT(syscall(SYS_sched_setaffinity, pid, bytes, mask));
}
int cl_keyctl_join_session(const char *name) { RESULT(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, name)); }
int cl_bpf(int command, void *attributes, unsigned size) { RESULT(syscall(SYS_bpf, command, attributes, size)); }
int cl_pagesize(void) { return (int)sysconf(_SC_PAGESIZE); }

int cl_wifexited(int s) { return WIFEXITED(s); }
int cl_wexitstatus(int s) { return WEXITSTATUS(s); }
int cl_wifsignaled(int s) { return WIFSIGNALED(s); }
int cl_wtermsig(int s) { return WTERMSIG(s); }

struct kernel_sigaction { /* asm-generic/signal.h; x86 and arm64 share it */
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};
int cl_signal_default_all(void) {
    struct kernel_sigaction a;
    memset(&a, 0, sizeof a);
    for (int s = 1; s <= 64; s++)
        if (s != SIGKILL && s != SIGSTOP) syscall(SYS_rt_sigaction, s, &a, 0, 8);
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
    return 0;
}
int cl_signal_ignore(int s) {
    struct kernel_sigaction a;
    memset(&a, 0, sizeof a);
    a.handler = SIG_IGN;
    RESULT(syscall(SYS_rt_sigaction, s, &a, 0, 8));
}
int cl_signal_mask(uint64_t mask, uint64_t *old) { RESULT(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, old, 8)); }
int cl_signalfd(int fd, uint64_t mask, int flags) { RESULT(syscall(SYS_signalfd4, fd, &mask, 8, flags | SFD_CLOEXEC)); }

int cl_epoll_create1(int flags) { RESULT(epoll_create1(flags | EPOLL_CLOEXEC)); }
int cl_epoll_ctl(int ep, int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    RESULT(epoll_ctl(ep, op, fd, &e));
}
int cl_epoll_wait(int ep, uint64_t *data, uint32_t *events, int max, int timeout) {
    struct epoll_event set[64];
    if (max > 64) max = 64;
    int r = epoll_wait(ep, set, max, timeout);
    if (r < 0) return -errno; /* EINTR is reported: callers with timeouts decide */
    for (int i = 0; i < r; i++) data[i] = set[i].data.u64, events[i] = set[i].events;
    return r;
}

const char *cl_strerror(int error) { return strerror(error); }

/* spawn ----------------------------------------------------------------------------------------------------------- */

struct spawn_state {
    const struct cl_spawn_plan *plan;
    int error;
};

/* Runs on its own stack in the parent's address space while the parent's thread is suspended (CLONE_VFORK):
 * async-signal-safe calls only, no writes but to `state`. */
static int spawn_child(void *argument) {
    struct spawn_state *state = argument;
    const struct cl_spawn_plan *p = state->plan;
    cl_signal_default_all();
    for (int i = 0; i < p->join_count; i++)
        if (setns(p->join_fds[i], 0) < 0) goto fail;
    if (p->set_root) {
        if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0) goto fail;
    }
    if (p->new_session && setsid() < 0) goto fail;
    if (p->parent_death_signal && prctl(PR_SET_PDEATHSIG, p->parent_death_signal, 0, 0, 0) < 0) goto fail;
    if (p->cwd && chdir(p->cwd) < 0) goto fail;
    /* Two passes: first every source above every target, then down to its place, so no move overwrites a source. */
    int top = 2, exec_fd = p->exec_fd;
    for (int i = 0; i < p->map_count; i++)
        if (p->map[i].to > top) top = p->map[i].to;
    int moved[32];
    if (p->map_count > 32) { errno = E2BIG; goto fail; }
    for (int i = 0; i < p->map_count; i++)
        if ((moved[i] = fcntl(p->map[i].from, F_DUPFD_CLOEXEC, top + 1)) < 0) goto fail;
    if (exec_fd >= 0 && (exec_fd = fcntl(exec_fd, F_DUPFD_CLOEXEC, top + 1)) < 0) goto fail;
    for (int i = 0; i < p->map_count; i++)
        if (dup3(moved[i], p->map[i].to, 0) < 0) goto fail;
    for (int fd = 0; fd <= top; fd++) {
        int kept = 0;
        for (int i = 0; i < p->map_count; i++) kept |= p->map[i].to == fd;
        if (!kept) close(fd);
    }
    syscall(SYS_close_range, top + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
    if (exec_fd >= 0) syscall(SYS_execveat, exec_fd, "", p->argv, p->envp, 0x1000 /* AT_EMPTY_PATH */);
    else execve(p->path, p->argv, p->envp);
fail:
    state->error = errno;
    _exit(127);
}

int cl_spawn(const struct cl_spawn_plan *plan, int *pidfd) {
    size_t size = 64 * 1024;
    char *stack = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    struct spawn_state state = {plan, 0};
    uint64_t all = ~0ULL, old = 0;
    cl_signal_mask(all, &old); /* a handler must not run in the child on the shared address space */
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | (int)plan->clone_flags | (pidfd ? CLONE_PIDFD : 0);
    int pid = clone(spawn_child, stack + size, flags, &state, pidfd);
    int error = pid < 0 ? errno : state.error;
    cl_signal_mask(old, 0);
    munmap(stack, size);
    if (error && pid > 0) {
        while (waitpid(pid, 0, 0) < 0 && errno == EINTR) {}
        if (pidfd) close(*pidfd), *pidfd = -1;
    }
    return error ? -error : pid;
}

extern char **environ;
char **cl_environment(void) { return environ; }

/* defer close ----------------------------------------------------------------------------------------------------- */

struct defer_state { int fd, wait_fd; };

/* Shares the address space until our creator's execve; raw system calls on its own stack only. */
static int defer_child(void *argument) {
    struct defer_state state = *(struct defer_state *)argument;
    char byte;
    /* Only the descriptor and the pipe stay: somebody may wait for the end of our creator's standard streams. */
    int low = state.fd < state.wait_fd ? state.fd : state.wait_fd, high = state.fd + state.wait_fd - low;
    if (low > 0) syscall(SYS_close_range, 0, low - 1, 0);
    if (high > low + 1) syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0U, 0);
    syscall(SYS_read, state.wait_fd, &byte, 1);
    syscall(SYS_exit, 0);
    return 0;
}

int cl_defer_close(int fd) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    size_t size = 16 * 1024;
    char *stack = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    struct defer_state *state = (struct defer_state *)stack; /* lives as long as the stack does */
    *state = (struct defer_state){fd, ends[0]};
    /* No exit signal: nobody is told, and only __WALL waits for it. */
    int pid = clone(defer_child, stack + size, CLONE_VM, state);
    int error = errno;
    close(ends[0]); /* the other end stays open until execve or our end */
    return pid < 0 ? -error : pid;
}

/* defer send ------------------------------------------------------------------------------------------------------ */

struct send_state {
    int fd, count, kept[10]; /* kept: ascending, fd among them */
    volatile uint32_t ready;
    size_t size;
    char message[];
};

/* As defer_child: another process in this address space, on a stack of its own. */
static int send_child(void *argument) {
    struct send_state *state = argument;
    int from = 0;
    for (int i = 0; i < state->count; i++) {
        if (state->kept[i] > from) syscall(SYS_close_range, from, state->kept[i] - 1, 0);
        from = state->kept[i] + 1;
    }
    syscall(SYS_close_range, from, ~0U, 0);
    __atomic_store_n(&state->ready, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &state->ready, FUTEX_WAKE, 1, 0, 0, 0);
    if (state->size) syscall(SYS_sendto, state->fd, state->message, state->size, MSG_NOSIGNAL, 0, 0);
    syscall(SYS_exit, 0);
    return 0;
}

int cl_defer_send(int fd, const void *message, size_t size, const int *kept, int count) {
    /* One of each thread at a time: its stack is used again, and what it left for waitpid is taken away, when the next one starts. */
    static _Thread_local char *stack;
    static _Thread_local int last;
    size_t stack_size = 32 * 1024;
    if (size > 8 * 1024 || count > 8) return -EMSGSIZE;
    if (last > 0) while (waitpid(last, 0, __WALL) < 0 && errno == EINTR) {}
    last = 0;
    if (!stack) {
        stack = mmap(0, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED) return stack = 0, -errno;
    }
    struct send_state *state = (struct send_state *)stack;
    state->fd = fd, state->ready = 0, state->size = size, state->count = 0;
    for (int i = -1; i < count; i++) { /* insertion sort */
        int next = i < 0 ? fd : kept[i], at = state->count++;
        for (; at > 0 && state->kept[at - 1] > next; at--) state->kept[at] = state->kept[at - 1];
        state->kept[at] = next;
    }
    if (size) memcpy(state->message, message, size);
    uint64_t all = ~0ULL, old = 0;
    cl_signal_mask(all, &old); /* a handler must not run there */
    last = clone(send_child, stack + stack_size, CLONE_VM, state);
    int error = errno;
    cl_signal_mask(old, 0);
    if (last < 0) return -error;
    /* A lock or a port that it holds too would not be free when this process lets go of it. */
    while (!__atomic_load_n(&state->ready, __ATOMIC_ACQUIRE)) syscall(SYS_futex, &state->ready, FUTEX_WAIT, 0, 0, 0, 0);
    return last;
}
