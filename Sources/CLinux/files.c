#define _GNU_SOURCE
#include "CLinux.h"
#include "result.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/openat2.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

long cl_syscall(long n, long a, long b, long c, long d, long e, long f) {
    long r = syscall(n, a, b, c, d, e, f);
    return r < 0 ? -errno : r;
}
int cl_openat(int d, const char *p, int flags, unsigned mode) { RESULT(openat(d, p, flags | O_CLOEXEC, mode)); }
int cl_openat2(int d, const char *p, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    /* EAGAIN: a rename raced with ".." resolution; the kernel asks for a retry (openat2(2)). Bounded: the racer may be hostile. */
    for (int i = 0; i < 128; i++) {
        long r = syscall(SYS_openat2, d, p, &how, sizeof how);
        if (r >= 0) return (int)r;
        if (errno != EINTR && errno != EAGAIN) return -errno;
    }
    return -EAGAIN;
}
long cl_read(int fd, void *b, size_t n) { RESULT(read(fd, b, n)); }
long cl_write(int fd, const void *b, size_t n) { RESULT(write(fd, b, n)); }
long cl_pread(int fd, void *b, size_t n, int64_t o) { RESULT(pread(fd, b, n, o)); }
long cl_pwrite(int fd, const void *b, size_t n, int64_t o) { RESULT(pwrite(fd, b, n, o)); }
int cl_close(int fd) { return close(fd) < 0 ? -errno : 0; } /* never retried: Linux frees the number even on EINTR */
int cl_mkdirat(int d, const char *p, unsigned mode) { RESULT(mkdirat(d, p, mode)); }
int cl_mknodat(int d, const char *p, unsigned mode, uint64_t dev) { RESULT(mknodat(d, p, mode, dev)); }
int cl_unlinkat(int d, const char *p, int flags) { RESULT(unlinkat(d, p, flags)); }
int cl_symlinkat(const char *t, int d, const char *p) { RESULT(symlinkat(t, d, p)); }
int cl_linkat(int od, const char *op, int nd, const char *np, int flags) { RESULT(linkat(od, op, nd, np, flags)); }
int cl_renameat2(int od, const char *op, int nd, const char *np, unsigned f) { RESULT(renameat2(od, op, nd, np, f)); }
long cl_readlinkat(int d, const char *p, char *b, size_t n) { RESULT(readlinkat(d, p, b, n)); }
int cl_fstatat(int d, const char *p, struct stat *s, int flags) { RESULT(fstatat(d, p, s, flags)); }
int cl_fchownat(int d, const char *p, uint32_t u, uint32_t g, int flags) { RESULT(fchownat(d, p, u, g, flags)); }
int cl_fchmodat(int d, const char *p, unsigned mode, int flags) {
    if (!flags) RESULT(fchmodat(d, p, mode, 0));
    RESULT(syscall(SYS_fchmodat2, d, p, mode, flags));
}
int cl_fchmod(int fd, unsigned mode) { RESULT(fchmod(fd, mode)); }
int cl_utimensat(int d, const char *p, int64_t as, int64_t an, int64_t ms, int64_t mn, int flags) {
    struct timespec t[2] = {{as, an}, {ms, mn}};
    RESULT(utimensat(d, p, t, flags));
}
int cl_faccessat(int d, const char *p, int mode, int flags) { RESULT(faccessat(d, p, mode, flags)); }
int cl_ftruncate(int fd, int64_t n) { RESULT(ftruncate(fd, n)); }
int cl_fallocate(int fd, int mode, int64_t o, int64_t n) { RESULT(fallocate(fd, mode, o, n)); }
int64_t cl_lseek(int fd, int64_t o, int whence) { RESULT(lseek(fd, o, whence)); }
int cl_fsync(int fd) { RESULT(fsync(fd)); }
int cl_fdatasync(int fd) { RESULT(fdatasync(fd)); }
int cl_syncfs(int fd) { RESULT(syncfs(fd)); }
int cl_fstatfs(int fd, int64_t *type, int64_t *bsize, int64_t *blocks, int64_t *avail, int64_t *flags) {
    struct statfs s;
    if (fstatfs(fd, &s) < 0) return -errno;
    *type = s.f_type, *bsize = s.f_bsize, *blocks = (int64_t)s.f_blocks, *avail = (int64_t)s.f_bavail;
    *flags = s.f_flags;
    return 0;
}
int cl_flock(int fd, int op) { RESULT(flock(fd, op)); }
int cl_ofd_lock(int fd, int type, int wait, int64_t start, int64_t length) {
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    RESULT(fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l));
}
int cl_ofd_lock_holder(int fd, int type, int *holder) {
    struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &l) < 0) return -errno;
    *holder = l.l_type == F_UNLCK ? 0 : l.l_pid;
    return 0;
}
long cl_getdents64(int fd, void *b, size_t n) { RESULT(syscall(SYS_getdents64, fd, b, n)); }
long cl_copy_file_range(int in, int64_t *io, int out, int64_t *oo, size_t n) {
    RESULT(copy_file_range(in, io, out, oo, n, 0));
}
long cl_sendfile(int out, int in, int64_t *o, size_t n) { RESULT(sendfile(out, in, o, n)); }
long cl_splice(int in, int out, size_t n, unsigned flags) { RESULT(splice(in, 0, out, 0, n, flags)); }
int cl_ioctl(int fd, unsigned long request, long argument) { RESULT(ioctl(fd, request, argument)); }
int cl_fcntl(int fd, int command, long argument) { RESULT(fcntl(fd, command, argument)); }
int cl_dup3(int o, int n, int flags) { RESULT(dup3(o, n, flags)); }
int cl_pipe2(int fds[2], int flags) { RESULT(pipe2(fds, flags | O_CLOEXEC)); }
int cl_close_range(unsigned first, unsigned last, unsigned flags) { RESULT(syscall(SYS_close_range, first, last, flags)); }
int cl_memfd_create(const char *name, unsigned flags) { RESULT(memfd_create(name, flags)); }
int cl_chdir(const char *p) { RESULT(chdir(p)); }
int cl_fchdir(int fd) { RESULT(fchdir(fd)); }
int cl_chroot(const char *p) { RESULT(chroot(p)); }
long cl_getcwd(char *b, size_t n) { RESULT(syscall(SYS_getcwd, b, n)); } /* raw: glibc hides "(unreachable)" */
unsigned cl_umask(unsigned m) { return umask(m); }
long cl_getxattr(int fd, const char *k, void *v, size_t n) { RESULT(fgetxattr(fd, k, v, n)); }
long cl_lgetxattr(const char *p, const char *k, void *v, size_t n) { RESULT(lgetxattr(p, k, v, n)); }
int cl_setxattr(int fd, const char *k, const void *v, size_t n, int f) { RESULT(fsetxattr(fd, k, v, n, f)); }
int cl_lsetxattr(const char *p, const char *k, const void *v, size_t n, int f) { RESULT(lsetxattr(p, k, v, n, f)); }
int cl_removexattr(int fd, const char *k) { RESULT(fremovexattr(fd, k)); }
long cl_listxattr(int fd, char *b, size_t n) { RESULT(flistxattr(fd, b, n)); }
long cl_llistxattr(const char *p, char *b, size_t n) { RESULT(llistxattr(p, b, n)); }
int cl_poll(int *fds, short *events, short *revents, int count, int timeout) {
    struct pollfd set[64];
    if (count > 64) return -EINVAL;
    for (int i = 0; i < count; i++) set[i] = (struct pollfd){fds[i], events[i], 0};
    int r = poll(set, (nfds_t)count, timeout);
    if (r < 0) return -errno; /* EINTR is reported: callers with timeouts decide */
    for (int i = 0; i < count; i++) revents[i] = set[i].revents;
    return r;
}
int cl_inotify_init1(int flags) { RESULT(inotify_init1(flags)); }
int cl_inotify_add_watch(int fd, const char *p, uint32_t mask) { RESULT(inotify_add_watch(fd, p, mask)); }
