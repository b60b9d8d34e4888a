/* Kills, stops or fails the Nth system call of one process of a command.
 *
 * usage: inject ROLE N ACTION CALLS REPORT UID GID -- PROGRAM [ARG...]
 *
 * ROLE    cli, supervisor, init (what a supervisor forks), other; N counts over all processes of the role
 * ACTION  kill, stop (SIGSTOP: until somebody continues it), or the number of an errno
 * CALLS   numbers of system calls, comma-separated; "writing opens" are 257:w and 437:w
 * REPORT  a file that gets lines: fired ROLE CALL / count ROLE N / died ROLE SIGNAL
 *
 * The tracer follows every child; after the fault it only waits. When the program ends, so does the tracer, and the kernel lets go
 * of what still runs. It runs as root, so that setuid helpers of an ordinary user keep their rights under it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ptrace.h>

enum role { CLI, SUPERVISOR, INIT, OTHER, ROLES };
static const char *role_names[ROLES] = { "cli", "supervisor", "init", "other" };

struct process {
    pid_t pid;
    enum role role;
    int fresh, failing;
};
static struct process processes[4096];
static int known;
static unsigned char wanted[1024]; /* 1: any, 2: an open that may write */
static long counts[ROLES];
static enum role target;
static long nth, failure;
static int killing, stopping, fired, begun;
static FILE *report;

static struct process *find(pid_t pid) {
    for (int i = 0; i < known; i++)
        if (processes[i].pid == pid) return &processes[i];
    if (known == 4096) exit(99);
    processes[known] = (struct process){ pid, OTHER, 1, 0 };
    return &processes[known++];
}

/* What an executed program is, by its words. */
static enum role role_of(pid_t pid, enum role before) {
    char path[64], words[4096];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, words, sizeof words - 1);
    if (fd >= 0) close(fd);
    if (size <= 0) return before;
    words[size] = 0;
    for (char *word = words; word < words + size; word += strlen(word) + 1)
        if (!strcmp(word, "supervise")) return SUPERVISOR;
    return before == INIT ? INIT : before == CLI ? CLI : OTHER;
}

static int is_target_call(pid_t pid, const struct __ptrace_syscall_info *info) {
    if (info->entry.nr >= sizeof wanted || !wanted[info->entry.nr]) return 0;
    if (wanted[info->entry.nr] == 1) return 1;
    unsigned long flags = info->entry.args[2];
    if (info->entry.nr == 437) { /* openat2: flags are in memory */
        struct iovec local = { &flags, 8 }, remote = { (void *)info->entry.args[2], 8 };
        if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != 8) return 0;
    }
    return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
}

static void at_call(struct process *process) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof info, &info) < 0) return;
    struct user_regs_struct registers;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->failing) {
        process->failing = 0;
        if (ptrace(PTRACE_GETREGS, process->pid, 0, &registers) == 0) {
            registers.rax = -failure;
            ptrace(PTRACE_SETREGS, process->pid, 0, &registers);
        }
        return;
    }
    if (!begun || info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_target_call(process->pid, &info)) return;
    long count = ++counts[process->role];
    if (fired || process->role != target || count != nth) return;
    fired = 1;
    fprintf(report, "fired %s %llu\n", role_names[target], (unsigned long long)info.entry.nr);
    fflush(report);
    if (killing || stopping) {
        kill(process->pid, killing ? SIGKILL : SIGSTOP);
    } else if (ptrace(PTRACE_GETREGS, process->pid, 0, &registers) == 0) {
        registers.orig_rax = -1; /* the call does not happen */
        ptrace(PTRACE_SETREGS, process->pid, 0, &registers);
        process->failing = 1;
    }
}

static void trace(pid_t first) {
    int status, code = 99;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        struct process *process = find(pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (WIFSIGNALED(status)) fprintf(report, "died %s %d\n", role_names[process->role], WTERMSIG(status));
            if (pid == first) {
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                break;
            }
            process->pid = 0;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (signal == (SIGTRAP | 0x80)) {
            at_call(process);
            signal = 0;
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long child = 0;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
            enum role role = process->role == SUPERVISOR ? INIT : process->role;
            find((pid_t)child)->role = role; /* find may not move the array */
            signal = 0;
        } else if (event == PTRACE_EVENT_EXEC) {
            begun = 1; /* what came before is not the program's */
            process->role = role_of(pid, process->role);
            signal = 0;
        } else if (event == PTRACE_EVENT_STOP) {
            /* A new child's first stop, or a group stop, which must not be answered by going on. */
            if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
                ptrace(PTRACE_LISTEN, pid, 0, 0);
                continue;
            }
            signal = 0;
        } else if (event) {
            signal = 0;
        }
        ptrace(fired && !process->failing ? PTRACE_CONT : PTRACE_SYSCALL, pid, 0, signal);
    }
    for (int role = 0; role < ROLES; role++) fprintf(report, "count %s %ld\n", role_names[role], counts[role]);
    fclose(report);
    exit(code);
}

int main(int argc, char **argv) {
    if (argc < 10) return 98;
    for (int role = 0; role < ROLES; role++)
        if (!strcmp(argv[1], role_names[role])) target = role;
    nth = atol(argv[2]);
    killing = !strcmp(argv[3], "kill");
    stopping = !strcmp(argv[3], "stop");
    failure = atol(argv[3]);
    for (char *word = strtok(argv[4], ","); word; word = strtok(NULL, ",")) {
        long number = atol(word);
        if (number >= 0 && number < 1024) wanted[number] = strchr(word, 'w') ? 2 : 1;
    }
    report = fopen(argv[5], "we");
    if (!report) return 97;
    pid_t child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        gid_t gid = (gid_t)atol(argv[7]);
        uid_t uid = (uid_t)atol(argv[6]);
        if (uid != 0 && (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))) _exit(96);
        execv(argv[9], argv + 9);
        _exit(95);
    }
    int status;
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) return 94;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, child, 0, options) < 0) return 93;
    find(child)->role = CLI;
    kill(child, SIGCONT);
    trace(child);
}
