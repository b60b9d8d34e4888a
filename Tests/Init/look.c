// Verbs that only look.
#include "init.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

int print_file(const char *path) {
    char buffer[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return report(-1);
    for (;;) {
        ssize_t count = read(fd, buffer, sizeof buffer);
        if (count < 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return report(-1);
        }
        if (count == 0) break;
        fwrite(buffer, 1, (size_t)count, stdout);
    }
    close(fd);
    return 0;
}

static int verb_cat(int argc, char **argv) {
    int status = 0;
    for (int i = 1; i < argc; i++) status |= print_file(argv[i]);
    return status;
}

static int verb_echo(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? " " : "");
    printf("\n");
    return 0;
}

static int verb_ls(int argc, char **argv) {
    (void)argc;
    DIR *directory = opendir(argv[1]);
    if (directory == NULL) return report(-1);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) printf("%s\n", entry->d_name);
    closedir(directory);
    return 0;
}

static int verb_ls_fds(int argc, char **argv) {
    (void)argc, (void)argv;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) return report(-1);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char target[4096];
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory)) continue;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("%s %s\n", entry->d_name, target);
    }
    closedir(directory);
    return 0;
}

/// Prints the `Field:` lines of /proc/self/status whose names were given.
static int verb_status(int argc, char **argv) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[4096];
    if (file == NULL) return report(-1);
    while (fgets(line, sizeof line, file) != NULL)
        for (int i = 1; i < argc; i++) {
            size_t length = strlen(argv[i]);
            if (strncmp(line, argv[i], length) == 0 && line[length] == ':') fputs(line, stdout);
        }
    fclose(file);
    return 0;
}

static int verb_caps(int argc, char **argv) {
    (void)argc, (void)argv;
    char *fields[] = {"status", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", NULL};
    return verb_status(7, fields);
}

static int verb_mountinfo(int argc, char **argv) {
    (void)argc, (void)argv;
    return print_file("/proc/self/mountinfo");
}

static char type_letter(mode_t mode) {
    if (S_ISREG(mode)) return '-';
    if (S_ISDIR(mode)) return 'd';
    if (S_ISLNK(mode)) return 'l';
    if (S_ISCHR(mode)) return 'c';
    if (S_ISBLK(mode)) return 'b';
    if (S_ISFIFO(mode)) return 'p';
    return S_ISSOCK(mode) ? 's' : '?';
}

/// Prints `type mode uid gid size rdev dev:inode` without following a final link.
static int verb_stat(int argc, char **argv) {
    int status = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (lstat(argv[i], &st) < 0) {
            status |= report(-1);
            continue;
        }
        printf("%c %04o %u %u %lld %u:%u %llu:%llu\n", type_letter(st.st_mode), st.st_mode & 07777, st.st_uid, st.st_gid,
               (long long)st.st_size, major(st.st_rdev), minor(st.st_rdev), (unsigned long long)st.st_dev,
               (unsigned long long)st.st_ino);
    }
    return status;
}

static int verb_statfs(int argc, char **argv) {
    (void)argc;
    struct statfs st;
    if (statfs(argv[1], &st) < 0) return report(-1);
    printf("type=%lx flags=%lx size=%llu inodes=%llu\n", (unsigned long)st.f_type, (unsigned long)st.f_flags,
           (unsigned long long)st.f_blocks * (unsigned long long)st.f_bsize, (unsigned long long)st.f_files);
    return 0;
}

static int verb_readlink(int argc, char **argv) {
    int status = 0;
    for (int i = 1; i < argc; i++) {
        char target[4096];
        ssize_t length = readlink(argv[i], target, sizeof target - 1);
        if (length < 0) {
            status |= report(-1);
            continue;
        }
        target[length] = 0;
        printf("%s\n", target);
    }
    return status;
}

static int verb_access(int argc, char **argv) {
    (void)argc;
    int mode = 0;
    for (const char *c = argv[1]; *c; c++) mode |= *c == 'r' ? R_OK : *c == 'w' ? W_OK : *c == 'x' ? X_OK : F_OK;
    return report(faccessat(AT_FDCWD, argv[2], mode, AT_EACCESS));
}

static int verb_id(int argc, char **argv) {
    (void)argc, (void)argv;
    gid_t groups[1024];
    int count = getgroups(1024, groups);
    printf("uid=%u euid=%u gid=%u egid=%u groups=", getuid(), geteuid(), getgid(), getegid());
    for (int i = 0; i < count; i++) printf("%s%u", i ? "," : "", groups[i]);
    printf("\n");
    return 0;
}

static int verb_rlimits(int argc, char **argv) {
    static const char *const names[] = {"CPU",  "FSIZE",   "DATA", "STACK", "CORE",       "RSS",      "NPROC", "NOFILE",
                                        "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
    (void)argc, (void)argv;
    for (int i = 0; i < 16; i++) {
        struct rlimit limit;
        if (getrlimit(i, &limit) < 0) return report(-1);
        printf("RLIMIT_%s %llu %llu\n", names[i], (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    }
    return 0;
}

static int verb_env(int argc, char **argv) {
    (void)argc, (void)argv;
    for (char **variable = environ; *variable != NULL; variable++) printf("%s\n", *variable);
    return 0;
}

static int verb_cwd(int argc, char **argv) {
    (void)argc, (void)argv;
    char path[4096];
    if (syscall(SYS_getcwd, path, sizeof path) < 0) return report(-1);
    printf("%s\n", path);
    return 0;
}

static int verb_umask(int argc, char **argv) {
    (void)argc, (void)argv;
    mode_t mask = umask(0);
    umask(mask);
    printf("%04o\n", mask);
    return 0;
}

static int verb_uts(int argc, char **argv) {
    (void)argc;
    struct utsname name;
    if (uname(&name) < 0) return report(-1);
    if (strcmp(argv[0], "hostname") == 0) printf("%s\n", name.nodename);
    if (strcmp(argv[0], "domainname") == 0) printf("%s\n", name.domainname);
    if (strcmp(argv[0], "machine") == 0) printf("%s\n", name.machine);
    return 0;
}

static int verb_sysctl(int argc, char **argv) {
    char path[512] = "/proc/sys/";
    int status = 0;
    for (int i = 1; i < argc; i++) {
        snprintf(path + 10, sizeof path - 10, "%s", argv[i]);
        for (char *c = path + 10; *c; c++)
            if (*c == '.') *c = '/';
        status |= print_file(path);
    }
    return status;
}

static int verb_isatty(int argc, char **argv) {
    (void)argc, (void)argv;
    for (int fd = 0; fd < 3; fd++) printf("%d=%s\n", fd, isatty(fd) ? "tty" : "no");
    return 0;
}

static int verb_ttysize(int argc, char **argv) {
    (void)argc, (void)argv;
    struct winsize size;
    if (ioctl(0, TIOCGWINSZ, &size) < 0) return report(-1);
    printf("%u %u\n", size.ws_row, size.ws_col);
    return 0;
}

/// Says whether stdin is this session's controlling terminal with us in the foreground, and how the kernel names it.
static int verb_ctty(int argc, char **argv) {
    (void)argc, (void)argv;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    char name[256] = "";
    ssize_t length = readlink("/proc/self/fd/0", name, sizeof name - 1);
    name[length < 0 ? 0 : length] = 0;
    printf("devtty=%s sid=%s foreground=%s name=%s\n", fd < 0 ? errno_name(errno) : "ok",
           tcgetsid(0) == getsid(0) ? "ok" : "no", tcgetpgrp(0) == getpgrp() ? "ok" : "no", name);
    return 0;
}

static int verb_personality(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("%08x\n", (unsigned)personality(0xffffffff));
    return 0;
}

/// Prints `name link` for each namespace of this process.
static int verb_ns(int argc, char **argv) {
    static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64], target[128];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("%s %s\n", names[i], target);
    }
    return 0;
}

static int verb_clock(int argc, char **argv) {
    (void)argc, (void)argv;
    struct timespec monotonic, boot;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    printf("monotonic=%lld boottime=%lld\n", (long long)monotonic.tv_sec, (long long)boot.tv_sec);
    return 0;
}

static int verb_process(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("pid=%d ppid=%d sid=%d pgid=%d dumpable=%d pdeathsig=", getpid(), getppid(), getsid(0), getpgrp(),
           prctl(PR_GET_DUMPABLE));
    int signal = 0;
    prctl(PR_GET_PDEATHSIG, &signal);
    printf("%d\n", signal);
    return 0;
}

static int verb_scheduler(int argc, char **argv) {
    (void)argc, (void)argv;
    cpu_set_t set;
    long priority = syscall(SYS_ioprio_get, 1, 0);
    printf("policy=%d nice=%d ioclass=%ld iolevel=%ld cpus=", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0),
           priority >> 13, priority & 0x1fff);
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0, first = 1; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) printf("%s%d", first ? "" : ",", cpu), first = 0;
    printf("\n");
    return 0;
}

static int verb_memory_policy(int argc, char **argv) {
    (void)argc, (void)argv;
    int mode = 0;
    unsigned long mask[16] = {0};
    if (syscall(SYS_get_mempolicy, &mode, mask, 1024UL, NULL, 0UL) < 0) return report(-1);
    printf("mode=%x nodes=%lx\n", mode, mask[0]);
    return 0;
}

static int verb_getxattr(int argc, char **argv) {
    (void)argc;
    char value[4096];
    ssize_t length = lgetxattr(argv[1], argv[2], value, sizeof value - 1);
    if (length < 0) return report(-1);
    value[length] = 0;
    printf("%s\n", value);
    return 0;
}

static int verb_keyring(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("%ld\n", syscall(SYS_keyctl, 0L, -3L, 0L));
    return 0;
}

static int verb_oom_score_adj(int argc, char **argv) {
    (void)argc, (void)argv;
    return print_file("/proc/self/oom_score_adj");
}

static int verb_time_offsets(int argc, char **argv) {
    (void)argc, (void)argv;
    return print_file("/proc/self/timens_offsets");
}

const struct verb look_verbs[] = {
    {"cat", 1, verb_cat},
    {"echo", 0, verb_echo},
    {"ls", 1, verb_ls},
    {"ls-fds", 0, verb_ls_fds},
    {"status", 1, verb_status},
    {"caps", 0, verb_caps},
    {"mountinfo", 0, verb_mountinfo},
    {"stat", 1, verb_stat},
    {"statfs", 1, verb_statfs},
    {"readlink", 1, verb_readlink},
    {"access", 2, verb_access},
    {"id", 0, verb_id},
    {"rlimits", 0, verb_rlimits},
    {"env", 0, verb_env},
    {"cwd", 0, verb_cwd},
    {"umask", 0, verb_umask},
    {"hostname", 0, verb_uts},
    {"domainname", 0, verb_uts},
    {"machine", 0, verb_uts},
    {"sysctl", 1, verb_sysctl},
    {"isatty", 0, verb_isatty},
    {"ttysize", 0, verb_ttysize},
    {"ctty", 0, verb_ctty},
    {"personality", 0, verb_personality},
    {"ns", 0, verb_ns},
    {"clock", 0, verb_clock},
    {"process", 0, verb_process},
    {"scheduler", 0, verb_scheduler},
    {"memory-policy", 0, verb_memory_policy},
    {"getxattr", 2, verb_getxattr},
    {"keyring", 0, verb_keyring},
    {"oom_score_adj", 0, verb_oom_score_adj},
    {"time-offsets", 0, verb_time_offsets},
    {NULL, 0, NULL},
};
