// Asks a name server for one name (A), with so many questions outstanding, and tells the answers per second.
//
// gcc -O2 -o ask-names ask-names.c; ./ask-names 127.0.0.11 web 2.0 16
// prints: RATE ANSWERED FAILED LOST
//
// Each outstanding question has a socket of its own, as each client has: one thread, epoll. An answer counts when it is whole,
// says no error and has an address. A question without an answer within a second is lost and asked again.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most = 256, patience = 1 };

static uint8_t question[300];
static size_t length;
static struct asker {
    int fd;
    uint16_t id;
    double since;
} askers[most];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void compose(const char *name) {
    const uint8_t head[12] = {0, 0, 1, 0, 0, 1}, tail[5] = {0, 0, 1, 0, 1};
    memcpy(question, head, sizeof head);
    length = sizeof head;
    for (const char *label = name; *label;) {
        size_t size = strcspn(label, ".");
        if (size == 0 || size > 63 || length + size + 1 + sizeof tail > sizeof question) {
            fprintf(stderr, "ask-names: \"%s\" is no name\n", name);
            exit(2);
        }
        question[length++] = (uint8_t)size;
        memcpy(question + length, label, size);
        length += size;
        label += size + (label[size] == '.');
    }
    memcpy(question + length, tail, sizeof tail);
    length += sizeof tail;
}

static void ask(struct asker *asker, double time) {
    asker->id++;
    asker->since = time;
    question[0] = (uint8_t)(asker->id >> 8);
    question[1] = (uint8_t)asker->id;
    // An error (nobody listens) shows as a lost question.
    (void)!send(asker->fd, question, length, 0);
}

// 1: answered with an address, 0: answered otherwise, -1: not the answer.
static int judge(const struct asker *asker, const uint8_t *answer, ssize_t size) {
    if (size < 12 || answer[0] != asker->id >> 8 || answer[1] != (asker->id & 255) || !(answer[2] & 0x80)) return -1;
    return (answer[3] & 15) == 0 && (answer[6] || answer[7]) && !(answer[2] & 2) && (size_t)size >= length + 16;
}

int main(int count, char **words) {
    if (count != 5) {
        fprintf(stderr, "usage: ask-names ADDRESS NAME SECONDS OUTSTANDING\n");
        return 2;
    }
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
    int outstanding = atoi(words[4]), poll = epoll_create1(EPOLL_CLOEXEC);
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1 || outstanding < 1 || outstanding > most || poll < 0) return 2;
    compose(words[2]);
    for (int i = 0; i < outstanding; i++) {
        askers[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (connect(askers[i].fd, (struct sockaddr *)&server, sizeof server) || epoll_ctl(poll, EPOLL_CTL_ADD, askers[i].fd, &event)) {
            perror("ask-names");
            return 1;
        }
    }
    long answered = 0, failed = 0, lost = 0;
    double start = now(), time = start, end = start + atof(words[3]), swept = start;
    for (int i = 0; i < outstanding; i++) ask(&askers[i], start);
    while (time < end) {
        struct epoll_event ready[most];
        int found = epoll_wait(poll, ready, most, 100);
        time = now();
        for (int i = 0; i < found; i++) {
            struct asker *asker = &askers[ready[i].data.u32];
            uint8_t answer[4096];
            ssize_t size = recv(asker->fd, answer, sizeof answer, 0);
            int verdict = judge(asker, answer, size);
            if (verdict < 0) continue;
            *(verdict ? &answered : &failed) += 1;
            ask(asker, time);
        }
        if (time - swept < 0.1) continue;
        swept = time;
        for (int i = 0; i < outstanding; i++) {
            if (time - askers[i].since < patience) continue;
            lost++;
            ask(&askers[i], time);
        }
    }
    printf("%.0f %ld %ld %ld\n", answered / (time - start), answered, failed, lost);
    return 0;
}
