#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESULT(call)                 \
    do {                             \
        long r_ = (long)(call);      \
        return r_ < 0 ? -errno : (int)r_; \
    } while (0)

struct cl_mount_attr { /* struct mount_attr of linux/mount.h, which conflicts with sys/mount.h in glibc 2.36 */
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};

int cl_mount(const char *s, const char *t, const char *type, unsigned long flags, const char *data) {
    RESULT(mount(s, t, type, flags, data));
}
int cl_umount2(const char *t, int flags) { RESULT(umount2(t, flags)); }
int cl_pivot_root(const char *n, const char *o) { RESULT(syscall(SYS_pivot_root, n, o)); }
int cl_open_tree(int d, const char *p, unsigned flags) { RESULT(syscall(SYS_open_tree, d, p, flags)); }
int cl_move_mount(int fd, const char *f, int td, const char *t, unsigned flags) {
    RESULT(syscall(SYS_move_mount, fd, f, td, t, flags));
}
int cl_fsopen(const char *type, unsigned flags) { RESULT(syscall(SYS_fsopen, type, flags)); }
int cl_fsconfig(int fd, unsigned cmd, const char *k, const char *v, int aux) {
    RESULT(syscall(SYS_fsconfig, fd, cmd, k, v, aux));
}
int cl_fsmount(int fd, unsigned flags, unsigned attrs) { RESULT(syscall(SYS_fsmount, fd, flags, attrs)); }
int cl_mount_setattr(int d, const char *p, unsigned flags, uint64_t set, uint64_t clr, uint64_t prop, uint64_t userns) {
    struct cl_mount_attr a = {set, clr, prop, userns};
    RESULT(syscall(SYS_mount_setattr, d, p, flags, &a, sizeof a));
}
