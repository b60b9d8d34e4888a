// The test init: a static program whose verbs look at, and act on, the kernel from inside a container.
#ifndef BERTH_TEST_INIT_H
#define BERTH_TEST_INIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*verb_function)(int argc, char **argv);

struct verb {
    const char *name;
    int least;  // arguments after the verb's name
    verb_function run;
};

extern const struct verb look_verbs[];
extern const struct verb act_verbs[];
extern const struct verb call_verbs[];
extern const struct verb net_verbs[];

/// Prints `ok` or the errno's name, and turns it into an exit status: 0 or 1.
int report(int result);
/// Prints a file through stdout; returns 0, or 1 after printing the errno's name.
int print_file(const char *path);
const char *errno_name(int number);

#endif
