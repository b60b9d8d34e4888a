// How long it takes to put a process into new cgroups: from outside, by cgroup.procs, or by the process itself.
// The numbers of docs/decisions/cgroup-join.md. Needs root and cgroup v1 hierarchies (also on hybrid hosts).
//
//   gcc -O2 -o /tmp/cgroup-join bench/micro/cgroup-join.c && sudo /tmp/cgroup-join [rounds]

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *candidates[] = {"memory", "cpu", "pids", "devices", "freezer", "blkio", "cpuset", "cpuacct"};
static char paths[8][256];
static int count;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void put(const char *directory, const char *file, const char *text)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        fprintf(stderr, "write \"%s\": %s\n", path, strerror(errno));
        exit(1);
    }
    close(fd);
}

static void copy_cpuset(const char *directory, const char *file)
{
    char path[320], text[256];
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpuset/%s", file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n > 0) {
        text[n] = 0;
        put(directory, file, text);
    }
}

static int make(int round)
{
    count = 0;
    for (unsigned i = 0; i < sizeof candidates / sizeof *candidates && count < 6; i++) {
        char probe[128];
        snprintf(probe, sizeof probe, "/sys/fs/cgroup/%s/tasks", candidates[i]);
        if (access(probe, F_OK) != 0)
            continue;
        snprintf(paths[count], sizeof paths[count], "/sys/fs/cgroup/%s/cgroup-join-%d-%d", candidates[i], getpid(), round);
        if (mkdir(paths[count], 0755) != 0)
            continue;
        if (strcmp(candidates[i], "cpuset") == 0) {
            copy_cpuset(paths[count], "cpuset.cpus");
            copy_cpuset(paths[count], "cpuset.mems");
        }
        count++;
    }
    return count;
}

static void clear(void)
{
    for (int i = 0; i < count; i++)
        for (int n = 0; rmdir(paths[i]) != 0 && errno == EBUSY && n < 1000; n++)
            usleep(1000);
}

enum how { PROCS_FROM_OUTSIDE, TASKS_FROM_OUTSIDE, PROCS_BY_ITSELF, TASKS_BY_ITSELF };

// One child into all hierarchies; the time of the writes alone, in ms.
static double join(enum how how)
{
    int go[2], done[2];
    double took = 0;
    if (pipe(go) || pipe(done))
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        if (read(go[0], &c, 1) != 1)
            _exit(1);
        if (how >= PROCS_BY_ITSELF) {
            double start = now();
            for (int i = 0; i < count; i++)
                put(paths[i], how == TASKS_BY_ITSELF ? "tasks" : "cgroup.procs", "0");
            took = now() - start;
        }
        if (write(done[1], &took, sizeof took) != sizeof took)
            _exit(1);
        pause();
        _exit(0);
    }
    if (how <= TASKS_FROM_OUTSIDE) {
        char text[16];
        snprintf(text, sizeof text, "%d", pid);
        double start = now();
        for (int i = 0; i < count; i++)
            put(paths[i], how == TASKS_FROM_OUTSIDE ? "tasks" : "cgroup.procs", text);
        took = now() - start;
    }
    double told = 0;
    if (write(go[1], "x", 1) != 1 || read(done[0], &told, sizeof told) != sizeof told)
        exit(1);
    if (how >= PROCS_BY_ITSELF)
        took = told;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(go[0]), close(go[1]), close(done[0]), close(done[1]);
    return took;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static const char *names[] = {
        "cgroup.procs, by another process", "tasks, by another process", "cgroup.procs, by itself", "tasks, by itself"};
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    double *times = calloc(rounds > 0 ? rounds : 1, sizeof *times);
    if (make(0) == 0) {
        fprintf(stderr, "no cgroup v1 hierarchy that this process may use\n");
        return 1;
    }
    printf("one process into %d hierarchies, %d rounds, ms\n%-36s %8s %8s %8s %8s\n", count, rounds, "", "min", "median", "mean", "max");
    clear();
    for (int how = 0; how < 4; how++) {
        double sum = 0;
        for (int i = 0; i < rounds; i++) {
            make(i + 1);
            times[i] = join(how);
            sum += times[i];
            clear();
            usleep(20000); // let the read side of the rwsem become biased again, as it is on an idle host
        }
        qsort(times, rounds, sizeof *times, ascending);
        printf("%-36s %8.3f %8.3f %8.3f %8.3f\n", names[how], times[0], times[rounds / 2], sum / rounds, times[rounds - 1]);
    }
    return 0;
}
