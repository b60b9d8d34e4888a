#define _GNU_SOURCE
#include "CLinux.h"
#include "result.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

union internet {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static socklen_t encode(union internet *a, const struct cl_internet *from) {
    memset(a, 0, sizeof *a);
    if (from->family == AF_INET6) {
        a->six.sin6_family = AF_INET6, a->six.sin6_port = htons(from->port), a->six.sin6_scope_id = from->scope;
        memcpy(&a->six.sin6_addr, from->bytes, 16);
        return sizeof a->six;
    }
    a->four.sin_family = AF_INET, a->four.sin_port = htons(from->port);
    memcpy(&a->four.sin_addr, from->bytes, 4);
    return sizeof a->four;
}

static void decode(struct cl_internet *to, const union internet *a) {
    memset(to, 0, sizeof *to);
    to->family = a->any.sa_family;
    if (to->family == AF_INET6) {
        to->port = ntohs(a->six.sin6_port), to->scope = a->six.sin6_scope_id;
        memcpy(to->bytes, &a->six.sin6_addr, 16);
    } else if (to->family == AF_INET) {
        to->port = ntohs(a->four.sin_port);
        memcpy(to->bytes, &a->four.sin_addr, 4);
    }
}

int cl_internet_bind(int fd, const struct cl_internet *address) {
    union internet a;
    socklen_t size = encode(&a, address);
    RESULT(bind(fd, &a.any, size));
}
int cl_internet_connect(int fd, const struct cl_internet *address) {
    union internet a = {.any.sa_family = AF_UNSPEC};
    socklen_t size = address ? encode(&a, address) : sizeof a.any;
    /* A connect that a signal interrupts goes on: it is not called again. */
    return connect(fd, &a.any, size) < 0 ? -errno : 0;
}
int cl_internet_name(int fd, struct cl_internet *address) {
    union internet a;
    socklen_t size = sizeof a;
    if (getsockname(fd, &a.any, &size) < 0) return -errno;
    decode(address, &a);
    return 0;
}
long cl_internet_receive(int fd, void *data, size_t size, int flags, struct cl_internet *from) {
    union internet a = {.any.sa_family = AF_UNSPEC};
    socklen_t length = sizeof a;
    long r;
    do r = recvfrom(fd, data, size, flags, &a.any, &length);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    if (from) decode(from, &a);
    return r;
}
long cl_internet_send(int fd, const void *data, size_t size, int flags, const struct cl_internet *to) {
    union internet a;
    socklen_t length = to ? encode(&a, to) : 0;
    RESULT(sendto(fd, data, size, flags | MSG_NOSIGNAL, to ? &a.any : NULL, length));
}
static long receive_messages(int fd, struct mmsghdr *messages, uint32_t count) {
    RESULT(recvmmsg(fd, messages, count, MSG_TRUNC | MSG_DONTWAIT, NULL));
}
long cl_internet_receive_many(int fd, void *data, size_t slot, struct cl_internet *from, uint32_t *sizes, uint32_t count) {
    union internet names[CL_DATAGRAMS];
    struct iovec parts[CL_DATAGRAMS];
    struct mmsghdr messages[CL_DATAGRAMS];
    if (count > CL_DATAGRAMS) count = CL_DATAGRAMS;
    memset(messages, 0, sizeof messages);
    for (uint32_t n = 0; n < count; n++) {
        names[n].any.sa_family = AF_UNSPEC;
        parts[n] = (struct iovec){(char *)data + n * slot, slot};
        messages[n].msg_hdr = (struct msghdr){&names[n], sizeof names[n], &parts[n], 1, NULL, 0, 0};
    }
    long received = receive_messages(fd, messages, count);
    for (long n = 0; n < received; n++) decode(&from[n], &names[n]), sizes[n] = messages[n].msg_len;
    return received;
}
static long send_messages(int fd, struct mmsghdr *messages, uint32_t count) {
    RESULT(sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}
long cl_internet_send_many(int fd, const void *data, const uint32_t *ends, const struct cl_internet *to, uint32_t count) {
    union internet names[CL_DATAGRAMS];
    struct iovec parts[CL_DATAGRAMS];
    struct mmsghdr messages[CL_DATAGRAMS];
    if (count > CL_DATAGRAMS) count = CL_DATAGRAMS;
    memset(messages, 0, sizeof messages);
    for (uint32_t n = 0, start = 0; n < count; start = ends[n++]) {
        parts[n] = (struct iovec){(char *)data + start, ends[n] - start};
        messages[n].msg_hdr = (struct msghdr){&names[n], encode(&names[n], &to[n]), &parts[n], 1, NULL, 0, 0};
    }
    long taken = 0;
    for (uint32_t n = 0; n < count;) {
        /* The error is the first one's: those behind it are not tried by this call. */
        long sent = send_messages(fd, messages + n, count - n);
        if (sent > 0) taken += sent;
        n += sent > 0 ? sent : 1;
    }
    return taken;
}
int cl_socket_option(int fd, int level, int name, int value) { RESULT(setsockopt(fd, level, name, &value, sizeof value)); }
int cl_socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
    return -error;
}
int cl_timerfd_create(void) { RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }
int cl_timerfd_set(int fd, int64_t nanoseconds) {
    struct itimerspec t = {.it_value = {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    RESULT(timerfd_settime(fd, 0, &t, NULL));
}

int cl_internet_accept(int fd, struct cl_internet *peer) {
    union internet a;
    socklen_t size = sizeof a;
    memset(&a, 0, sizeof a);
    int number = accept4(fd, &a.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (number < 0) return -errno;
    decode(peer, &a);
    return number;
}

int cl_reset_on_close(int fd) {
    struct linger linger = {1, 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0 ? -errno : 0;
}

long cl_internet_receive_local(int fd, void *data, size_t size, struct cl_internet *peer, struct cl_internet *local) {
    union internet name;
    struct iovec part = {data, size};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    struct msghdr message = {&name, sizeof name, &part, 1, &control, sizeof control, 0};
    memset(&name, 0, sizeof name);
    memset(local, 0, sizeof *local);
    long count = recvmsg(fd, &message, MSG_DONTWAIT);
    if (count < 0) return -errno;
    decode(peer, &name);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            /* The address the kernel would answer from, which for a broadcast is one of the host's. */
            local->family = AF_INET;
            memcpy(local->bytes, &((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
            local->family = AF_INET6;
            local->scope = info->ipi6_ifindex;
            memcpy(local->bytes, &info->ipi6_addr, 16);
        }
    }
    return count;
}

long cl_internet_send_from(int fd, const void *data, size_t size, const struct cl_internet *peer, const struct cl_internet *local) {
    union internet name;
    struct iovec part = {(void *)data, size};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {&name, encode(&name, peer), &part, 1, &control, 0, 0};
    struct cmsghdr *c = &control.align;
    if (local->family == AF_INET6) {
        struct in6_pktinfo info;
        memset(&info, 0, sizeof info);
        memcpy(&info.ipi6_addr, local->bytes, 16);
        if (info.ipi6_addr.s6_addr[0] == 0xfe) info.ipi6_ifindex = local->scope;
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in_pktinfo info;
        memset(&info, 0, sizeof info);
        memcpy(&info.ipi_spec_dst, local->bytes, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    }
    long count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}
