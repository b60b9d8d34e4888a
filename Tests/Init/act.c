// Verbs that change something, or try to.
#include "init.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int verb_true(int argc, char **argv) {
    (void)argc, (void)argv;
    return 0;
}

static int verb_false(int argc, char **argv) {
    (void)argc, (void)argv;
    return 1;
}

static int verb_exit(int argc, char **argv) {
    (void)argc;
    fflush(stdout);
    _exit(atoi(argv[1]));
}

static int write_text(const char *path, int flags, const char *text) {
    int fd = open(path, flags | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    size_t length = strlen(text);
    ssize_t count = write(fd, text, length);
    int saved = errno;
    close(fd);
    errno = saved;
    return count == (ssize_t)length ? 0 : -1;
}

static int verb_write(int argc, char **argv) {
    (void)argc;
    return report(write_text(argv[1], O_CREAT | O_TRUNC, argv[2]));
}

/// Writes without O_CREAT or O_TRUNC: what a control file of the kernel wants.
static int verb_poke(int argc, char **argv) {
    (void)argc;
    return report(write_text(argv[1], 0, argv[2]));
}

/// Opens with r, w or rw and says how it went, for each path.
static int verb_open(int argc, char **argv) {
    int status = 0;
    int flags = strcmp(argv[1], "rw") == 0 ? O_RDWR : argv[1][0] == 'w' ? O_WRONLY : O_RDONLY;
    for (int i = 2; i < argc; i++) {
        int fd = open(argv[i], flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        status |= report(fd);
        if (fd >= 0) close(fd);
    }
    return status;
}

static int verb_fd_cat(int argc, char **argv) {
    (void)argc;
    char buffer[4096];
    for (ssize_t count; (count = read(atoi(argv[1]), buffer, sizeof buffer)) != 0;) {
        if (count < 0) return report(-1);
        fwrite(buffer, 1, (size_t)count, stdout);
    }
    return 0;
}

static int verb_stderr(int argc, char **argv) {
    (void)argc;
    fprintf(stderr, "%s\n", argv[1]);
    return 0;
}

static int verb_mkdir(int argc, char **argv) {
    (void)argc;
    return report(mkdir(argv[1], 0755));
}

static int verb_symlink(int argc, char **argv) {
    (void)argc;
    return report(symlink(argv[1], argv[2]));
}

static int verb_unlink(int argc, char **argv) {
    (void)argc;
    return report(unlink(argv[1]));
}

static int verb_chmod(int argc, char **argv) {
    (void)argc;
    return report(chmod(argv[2], (mode_t)strtoul(argv[1], NULL, 8)));
}

static int verb_chown(int argc, char **argv) {
    (void)argc;
    return report(lchown(argv[3], (uid_t)atol(argv[1]), (gid_t)atol(argv[2])));
}

static int verb_mknod(int argc, char **argv) {
    mode_t type = argv[2][0] == 'b' ? S_IFBLK : argv[2][0] == 'c' ? S_IFCHR : S_IFIFO;
    dev_t device = argc > 4 ? makedev((unsigned)atoi(argv[3]), (unsigned)atoi(argv[4])) : 0;
    return report(mknod(argv[1], type | 0666, device));
}

/// mount TYPE SOURCE TARGET [DATA]; the type may also be bind, remount-rw, move, or a propagation.
static int verb_mount(int argc, char **argv) {
    unsigned long flags = 0;
    const char *type = argv[1];
    if (strcmp(type, "bind") == 0) flags = MS_BIND;
    if (strcmp(type, "remount-rw") == 0) flags = MS_REMOUNT | MS_BIND;
    if (strcmp(type, "move") == 0) flags = MS_MOVE;
    if (strcmp(type, "rprivate") == 0) flags = MS_REC | MS_PRIVATE;
    if (strcmp(type, "rshared") == 0) flags = MS_REC | MS_SHARED;
    return report(mount(argv[2], argv[3], flags ? NULL : type, flags, argc > 4 ? argv[4] : NULL));
}

static int verb_umount(int argc, char **argv) {
    (void)argc;
    return report(umount2(argv[1], MNT_DETACH));
}

static int verb_chroot(int argc, char **argv) {
    (void)argc;
    return report(chroot(argv[1]) < 0 ? -1 : chdir("/"));
}

static int verb_chdir(int argc, char **argv) {
    (void)argc;
    return report(chdir(argv[1]));
}

static int verb_sethostname(int argc, char **argv) {
    (void)argc;
    return report(sethostname(argv[1], strlen(argv[1])));
}

static int verb_setuid(int argc, char **argv) {
    (void)argc;
    return report(setuid((uid_t)atol(argv[1])));
}

static int verb_kill(int argc, char **argv) {
    (void)argc;
    return report(kill(atoi(argv[2]), atoi(argv[1])));
}

static int verb_ptrace(int argc, char **argv) {
    (void)argc;
    return report((int)ptrace(PTRACE_SEIZE, atoi(argv[1]), NULL, NULL));
}

static int verb_unshare(int argc, char **argv) {
    static const struct { const char *name; int flag; } names[] = {
        {"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
        {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80},
    };
    int flags = 0;
    for (int i = 1; i < argc; i++)
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            if (strcmp(argv[i], names[n].name) == 0) flags |= names[n].flag;
    return report(unshare(flags));
}

static int verb_exec(int argc, char **argv) {
    (void)argc;
    fflush(stdout);
    execv(argv[1], argv + 1);
    return report(-1);
}

/// Runs a program and prints `exit N` or `signal N`.
static int verb_run(int argc, char **argv) {
    (void)argc;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return report(-1);
    if (child == 0) {
        execv(argv[1], argv + 1);
        fprintf(stderr, "%s\n", errno_name(errno));
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    else printf("exit %d\n", WEXITSTATUS(status));
    return 0;
}

static int verb_sleep(int argc, char **argv) {
    (void)argc;
    double seconds = atof(argv[1]);
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
    return 0;
}

/// Says `ready`, then each signal that arrives; reaps children; leaves with 0 on TERM, unless told to `ignore` it.
static int verb_pause(int argc, char **argv) {
    int ignore = argc > 1 && strcmp(argv[1], "ignore") == 0;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    printf("ready\n");
    for (;;) {
        int signal = sigwaitinfo(&all, NULL);
        if (signal < 0) continue;
        if (signal == SIGCHLD)
            while (waitpid(-1, NULL, WNOHANG) > 0) continue;
        if (signal > 31) printf("signal %d\n", signal);
        else printf("signal %s\n", sigabbrev_np(signal));
        if (signal == SIGTERM && !ignore) return 0;
    }
}

/// Starts children that only wait; the text after `ready` says how many there are.
static int verb_family(int argc, char **argv) {
    (void)argc;
    int count = atoi(argv[1]), made = 0;
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0)
            for (;;) pause();
        if (child > 0) made++;
    }
    printf("children %d\n", made);
    char *pause_arguments[] = {"pause", NULL};
    return verb_pause(1, pause_arguments);
}

/// Touches N MiB and keeps them, waiting for signals.
static int verb_hold(int argc, char **argv) {
    (void)argc;
    size_t size = (size_t)atol(argv[1]) << 20;
    char *memory = malloc(size);
    if (memory == NULL) return report(-1);
    for (size_t i = 0; i < size; i += 4096) ((volatile char *)memory)[i] = 1;
    char *pause_arguments[] = {"pause", NULL};
    return verb_pause(1, pause_arguments);
}

/// Forks up to N waiting children, prints how many worked and the errno that stopped it, and ends them.
static int verb_fork(int argc, char **argv) {
    (void)argc;
    int count = atoi(argv[1]), made = 0;
    pid_t *children = calloc((size_t)count + 1, sizeof *children);
    const char *why = "ok";
    while (children != NULL && made < count) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;) pause();
        }
        if (child < 0) {
            why = errno_name(errno);
            break;
        }
        children[made++] = child;
    }
    for (int i = 0; i < made; i++) kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
    printf("%d %s\n", made, why);
    free(children);
    return 0;
}

/// Leaves a grandchild that ends a moment later, to be reaped by whoever inherits it.
static int verb_orphan(int argc, char **argv) {
    (void)argc, (void)argv;
    int gate[2];
    if (pipe(gate) < 0) return report(-1);
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            char byte;
            close(gate[1]);
            (void)!read(gate[0], &byte, 1);  // until this process's parent is gone
            _exit(0);
        }
        printf("grandchild %d\n", grandchild);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    close(gate[0]);
    close(gate[1]);
    return 0;
}

/// An echo request to 127.0.0.1 as `ping` sends it where it has no raw socket; says `ok` when the answer comes.
static int verb_ping(int argc, char **argv) {
    (void)argc, (void)argv;
    unsigned char request[8] = {8}, answer[64];  // type 8, echo; the kernel fills in checksum and identifier
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 2};
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) return report(-1);
    if (sendto(fd, request, sizeof request, 0, (struct sockaddr *)&to, sizeof to) < 0) return report(-1);
    return report(recv(fd, answer, sizeof answer, 0) < 0 || answer[0] != 0 ? -1 : 0);
}

/// Touches N MiB, page by page: a limit shows as the kernel's kill, not as a refusal.
static int verb_mem(int argc, char **argv) {
    (void)argc;
    size_t size = (size_t)atol(argv[1]) << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return report(-1);
    for (size_t offset = 0; offset < size; offset += 4096) memory[offset] = 1;
    printf("touched %s\n", argv[1]);
    munmap(memory, size);
    return 0;
}

/// Exchanges two names for ever: the racer of the path-resolution attacks.
static int verb_exchange(int argc, char **argv) {
    (void)argc;
    printf("ready\n");
    for (;;)
        if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) < 0 && errno != ENOENT) return report(-1);
}

static int write_like_an_attacker(int fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int writer = open(path, O_WRONLY | O_CLOEXEC);
    if (writer < 0) return -1;
    int result = (int)pwrite(writer, "\x7f" "ELF", 4, 0);  // the bytes that are there already: harmless when it works
    close(writer);
    return result;
}

/// Watches for foreign processes and tries to write to their program, as CVE-2019-5736 did.
///
/// Prints `exe DEV:INODE NAME RESULT` for each program that is not this one, and `fd PID N TARGET` for each file it holds open
/// that can be seen. Says `ready` first and ends on TERM.
static int verb_hunt(int argc, char **argv) {
    (void)argc, (void)argv;
    struct stat own, seen;
    sigset_t set;
    struct timespec none = {0, 0};
    int files[256], count = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (stat("/proc/self/exe", &own) < 0) return report(-1);
    printf("ready\n");
    while (sigtimedwait(&set, NULL, &none) != SIGTERM) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
            char path[300], name[256] = "";
            if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid()) continue;
            snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || fstat(fd, &seen) < 0 || (seen.st_dev == own.st_dev && seen.st_ino == own.st_ino) || count == 256) {
                if (fd >= 0) close(fd);
                continue;
            }
            ssize_t length = readlink(path, name, sizeof name - 1);
            name[length < 0 ? 0 : length] = 0;
            printf("saw %llu:%llu %s\n", (unsigned long long)seen.st_dev, (unsigned long long)seen.st_ino, name);
            files[count++] = fd;
        }
        if (proc != NULL) closedir(proc);
    }
    // Those who held the programs busy are gone by now.
    for (int i = 0; i < count; i++) {
        int result = write_like_an_attacker(files[i]);
        fstat(files[i], &seen);
        printf("exe %llu:%llu %s\n", (unsigned long long)seen.st_dev, (unsigned long long)seen.st_ino,
               result < 0 ? errno_name(errno) : "WRITTEN");
    }
    return 0;
}

const struct verb act_verbs[] = {
    {"true", 0, verb_true},
    {"false", 0, verb_false},
    {"exit", 1, verb_exit},
    {"write", 2, verb_write},
    {"poke", 2, verb_poke},
    {"open", 2, verb_open},
    {"fd-cat", 1, verb_fd_cat},
    {"stderr", 1, verb_stderr},
    {"mkdir", 1, verb_mkdir},
    {"symlink", 2, verb_symlink},
    {"unlink", 1, verb_unlink},
    {"chmod", 2, verb_chmod},
    {"chown", 3, verb_chown},
    {"mknod", 2, verb_mknod},
    {"mount", 3, verb_mount},
    {"umount", 1, verb_umount},
    {"chroot", 1, verb_chroot},
    {"chdir", 1, verb_chdir},
    {"sethostname", 1, verb_sethostname},
    {"setuid", 1, verb_setuid},
    {"kill", 2, verb_kill},
    {"ptrace", 1, verb_ptrace},
    {"unshare", 1, verb_unshare},
    {"exec", 1, verb_exec},
    {"run", 1, verb_run},
    {"sleep", 1, verb_sleep},
    {"pause", 0, verb_pause},
    {"family", 1, verb_family},
    {"fork", 1, verb_fork},
    {"orphan", 0, verb_orphan},
    {"ping", 0, verb_ping},
    {"mem", 1, verb_mem},
    {"hold", 1, verb_hold},
    {"exchange", 2, verb_exchange},
    {"hunt", 0, verb_hunt},
    {NULL, 0, NULL},
};
