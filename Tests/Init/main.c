// Usage: init VERB [ARG…] [; VERB [ARG…]]…
//
// One verb prints its plain output and its status is the exit status. Several verbs run in order in the same process (so
// `unshare user ; mount …` works); after each one a line "\x1e<status>" closes its output, and the exit status is the last one's.
#include "init.h"

#include <unistd.h>

const char *errno_name(int number) {
    const char *name = strerrorname_np(number);
    return name != NULL ? name : "E?";
}

int report(int result) {
    if (result < 0) {
        printf("%s\n", errno_name(errno));
        return 1;
    }
    printf("ok\n");
    return 0;
}

static int run_verb(int argc, char **argv) {
    static const struct verb *const tables[] = {look_verbs, act_verbs, call_verbs, net_verbs};
    for (size_t table = 0; table < sizeof tables / sizeof tables[0]; table++) {
        for (const struct verb *verb = tables[table]; verb->name != NULL; verb++) {
            if (strcmp(verb->name, argv[0]) != 0) continue;
            if (argc - 1 < verb->least) {
                fprintf(stderr, "init: %s: needs %d arguments\n", argv[0], verb->least);
                return 99;
            }
            return verb->run(argc, argv);
        }
    }
    fprintf(stderr, "init: unknown verb %s\n", argv[0]);
    return 99;
}

int main(int argc, char **argv) {
    // Line buffering, so that a reader of the log file sees each line although stdout is no terminal.
    setvbuf(stdout, NULL, _IOLBF, 0);
    int first = 1, status = 0, several = 0;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], ";") == 0) several = 1;
    if (argc < 2) return 0;
    for (int i = 1; i <= argc; i++) {
        if (i < argc && strcmp(argv[i], ";") != 0) continue;
        if (i > first) {
            char *saved = argv[i];
            argv[i] = NULL;
            status = run_verb(i - first, argv + first);
            argv[i] = saved;
            if (several) printf("\x1e%d\n", status);
            fflush(stdout);
        }
        first = i + 1;
    }
    return status;
}
