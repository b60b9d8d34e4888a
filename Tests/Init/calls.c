// Verbs that make single system calls: what seccomp tests look at.
#include "init.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/// A number, or `s:text` for a pointer to that text.
static long argument(char *text) {
    if (strncmp(text, "s:", 2) == 0) return (long)(text + 2);
    return (long)strtoull(text, NULL, 0);
}

/// syscall NR [ARG…]: prints the value or the errno's name.
static int verb_syscall(int argc, char **argv) {
    long values[6] = {0};
    for (int i = 0; i < 6 && i + 2 < argc; i++) values[i] = argument(argv[i + 2]);
    fflush(stdout);
    errno = 0;
    long result = syscall(strtol(argv[1], NULL, 0), values[0], values[1], values[2], values[3], values[4], values[5]);
    if (result < 0 && errno != 0) {
        printf("%s\n", errno_name(errno));
        return 1;
    }
    printf("%ld\n", result);
    return 0;
}

/// The same in a child, so that a fatal action is seen: prints `value`, an errno's name, or `signal N`.
static int verb_try_syscall(int argc, char **argv) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return report(-1);
    if (child == 0) {
        int status = verb_syscall(argc, argv);
        fflush(stdout);
        _exit(status);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    return 0;
}

static volatile sig_atomic_t trapped_call;

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    trapped_call = info->si_syscall;
}

/// trap NR: expects SIGSYS (SCMP_ACT_TRAP) and prints the call's number.
static int verb_trap(int argc, char **argv) {
    (void)argc;
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    trapped_call = -1;
    syscall(strtol(argv[1], NULL, 0), 0, 0, 0, 0, 0, 0);
    printf("trapped %d\n", (int)trapped_call);
    return 0;
}

static int verb_socket(int argc, char **argv) {
    (void)argc;
    int fd = socket(atoi(argv[1]), atoi(argv[2]), argc > 3 ? atoi(argv[3]) : 0);
    int status = report(fd);
    if (fd >= 0) close(fd);
    return status;
}

static void *thread_body(void *argument) { return argument; }

static int verb_thread(int argc, char **argv) {
    (void)argc, (void)argv;
    static char marker;
    pthread_t thread;
    void *value = NULL;
    int error = pthread_create(&thread, NULL, thread_body, &marker);
    if (error != 0) {
        errno = error;
        return report(-1);
    }
    pthread_join(thread, &value);
    return report(value == &marker ? 0 : -1);
}

#ifdef __x86_64__
/// int80 NR [ARG]: the i386 entry of an x86-64 kernel, in a child.
static int verb_int80(int argc, char **argv) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        long result = strtol(argv[1], NULL, 0), first = argc > 2 ? strtol(argv[2], NULL, 0) : 0;
        long second = argc > 3 ? strtol(argv[3], NULL, 0) : 0, third = argc > 4 ? strtol(argv[4], NULL, 0) : 0;
        __asm__ volatile("int $0x80"
                         : "+a"(result)
                         : "b"(first), "c"(second), "d"(third)
                         : "memory", "r8", "r9", "r10", "r11");
        int value = (int)result;
        if (value < 0 && value > -4096) printf("%s\n", errno_name(-value));
        else printf("%d\n", value);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    return 0;
}

/// x32 NR: the x32 entry (bit 30 set), in a child.
static int verb_x32(int argc, char **argv) {
    char number[32];
    snprintf(number, sizeof number, "%ld", strtol(argv[1], NULL, 0) | 0x40000000L);
    argv[1] = number;
    return verb_try_syscall(argc, argv);
}
#endif

/// sweep FROM TO ERRNO: prints the numbers of all calls that fail with that errno. The calls get absurd arguments, each in a child.
static int verb_sweep(int argc, char **argv) {
    (void)argc;
    for (long number = atol(argv[1]); number <= atol(argv[2]); number++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            errno = 0;
            alarm(1);
            long result = syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
            _exit(result < 0 && strcmp(errno_name(errno), argv[3]) == 0 ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) printf("%ld ", number);
    }
    printf("\n");
    return 0;
}

const struct verb call_verbs[] = {
    {"syscall", 1, verb_syscall},
    {"try-syscall", 1, verb_try_syscall},
    {"trap", 1, verb_trap},
    {"socket", 2, verb_socket},
    {"thread", 0, verb_thread},
#ifdef __x86_64__
    {"int80", 1, verb_int80},
    {"x32", 1, verb_x32},
#endif
    {"sweep", 3, verb_sweep},
    {NULL, 0, NULL},
};
