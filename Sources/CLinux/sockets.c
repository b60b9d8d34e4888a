#define _GNU_SOURCE
#include "CLinux.h"
#include "result.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int cl_socket(int d, int t, int p) { RESULT(socket(d, t | SOCK_CLOEXEC, p)); }
int cl_socketpair(int type, int fds[2]) { RESULT(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds)); }
static int address(struct sockaddr_un *a, const char *path) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof a->sun_path) return -ENAMETOOLONG;
    strcpy(a->sun_path, path);
    return 0;
}
int cl_unix_bind(int fd, const char *path) {
    struct sockaddr_un a;
    if (address(&a, path)) return -ENAMETOOLONG;
    RESULT(bind(fd, (struct sockaddr *)&a, sizeof a));
}
int cl_unix_connect(int fd, const char *path) {
    struct sockaddr_un a;
    if (address(&a, path)) return -ENAMETOOLONG;
    RESULT(connect(fd, (struct sockaddr *)&a, sizeof a));
}
int cl_listen(int fd, int backlog) { RESULT(listen(fd, backlog)); }
int cl_accept4(int fd, int flags) { RESULT(accept4(fd, 0, 0, flags | SOCK_CLOEXEC)); }

long cl_sendmsg_fds(int fd, const void *data, size_t size, const int *fds, int nfds, int flags) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control;
    if (nfds > 16) return -EINVAL;
    struct iovec iov = {(void *)data, size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)nfds * sizeof(int));
    }
    long r;
    do r = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}
long cl_recvmsg_fds(int fd, void *data, size_t size, int *fds, int *nfds, int *truncated, int flags) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control;
    struct iovec iov = {data, size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    m.msg_control = control.bytes, m.msg_controllen = sizeof control.bytes;
    long r;
    do r = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    int capacity = *nfds;
    *nfds = 0;
    if (r < 0) return -errno;
    *truncated = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof received);
            if (*nfds < capacity) fds[(*nfds)++] = received;
            else close(received);
        }
    }
    return r;
}
int cl_peercred(int fd, int *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred { pid_t pid; uid_t uid; gid_t gid; } c;
    socklen_t n = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0) return -errno;
    *pid = c.pid, *uid = c.uid, *gid = c.gid;
    return 0;
}
int cl_shutdown(int fd, int how) { RESULT(shutdown(fd, how)); }
int cl_netlink_bind(int fd) {
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    RESULT(bind(fd, (struct sockaddr *)&a, sizeof a));
}
int cl_attach_filter(int fd, const void *instructions, unsigned short count) {
    struct sock_fprog program = {count, (struct sock_filter *)instructions};
    RESULT(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

int cl_tiocgptpeer(int master, int flags) { RESULT(ioctl(master, TIOCGPTPEER, flags | O_CLOEXEC)); }
int cl_unlockpt(int master) {
    int zero = 0;
    RESULT(ioctl(master, TIOCSPTLCK, &zero));
}
int cl_ptsnumber(int master) {
    unsigned n = 0;
    if (ioctl(master, TIOCGPTN, &n) < 0) return -errno;
    return (int)n;
}
int cl_winsize_set(int fd, unsigned short rows, unsigned short columns) {
    struct winsize w = {.ws_row = rows, .ws_col = columns};
    RESULT(ioctl(fd, TIOCSWINSZ, &w));
}
int cl_winsize_get(int fd, unsigned short *rows, unsigned short *columns) {
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) < 0) return -errno;
    *rows = w.ws_row, *columns = w.ws_col;
    return 0;
}
int cl_set_controlling_terminal(int fd) { RESULT(ioctl(fd, TIOCSCTTY, 0)); }
int cl_isatty(int fd) { return isatty(fd); }

uint64_t cl_makedev(unsigned major_, unsigned minor_) { return makedev(major_, minor_); }
unsigned cl_major(uint64_t dev) { return major(dev); }
unsigned cl_minor(uint64_t dev) { return minor(dev); }

/* libgcc registers static unwind tables through these at start and sorts them at thread exit: 64 ms in a large binary.
 * Nothing here unwinds, so registration is dropped (see the --wrap flags in Package.swift). */
void __wrap___register_frame_info(const void *begin, void *object);
void *__wrap___deregister_frame_info(const void *begin);
void __wrap___register_frame_info(const void *begin, void *object) { (void)begin, (void)object; }
void *__wrap___deregister_frame_info(const void *begin) { (void)begin; return 0; }
