/* CLinux: what the Glibc module hides from Swift, and nothing else. No policy lives here.
 *
 * Every `cl_` function that wraps a system call returns its result or -errno, so that Swift never reads `errno` in a
 * later frame. Functions are out of line because the clang module is built without _GNU_SOURCE. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <termios.h>
#include <signal.h>
#include <time.h>

/* Raw system calls without a typed wrapper below. */
long cl_syscall(long number, long a, long b, long c, long d, long e, long f);

/* files */
int cl_openat(int dirfd, const char *path, int flags, unsigned mode);
int cl_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
long cl_read(int fd, void *buffer, size_t count);
long cl_write(int fd, const void *buffer, size_t count);
long cl_pread(int fd, void *buffer, size_t count, int64_t offset);
long cl_pwrite(int fd, const void *buffer, size_t count, int64_t offset);
int cl_close(int fd);
int cl_mkdirat(int dirfd, const char *path, unsigned mode);
int cl_mknodat(int dirfd, const char *path, unsigned mode, uint64_t dev);
int cl_unlinkat(int dirfd, const char *path, int flags);
int cl_symlinkat(const char *target, int dirfd, const char *path);
int cl_linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags);
int cl_renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned flags);
long cl_readlinkat(int dirfd, const char *path, char *buffer, size_t size);
int cl_fstatat(int dirfd, const char *path, struct stat *out, int flags);
int cl_fchownat(int dirfd, const char *path, uint32_t uid, uint32_t gid, int flags);
int cl_fchmodat(int dirfd, const char *path, unsigned mode, int flags); /* fchmodat2 where AT_* flags are given */
int cl_fchmod(int fd, unsigned mode);
int cl_utimensat(int dirfd, const char *path, int64_t asec, int64_t ansec, int64_t msec, int64_t mnsec, int flags);
int cl_faccessat(int dirfd, const char *path, int mode, int flags);
int cl_ftruncate(int fd, int64_t length);
int cl_fallocate(int fd, int mode, int64_t offset, int64_t length);
int64_t cl_lseek(int fd, int64_t offset, int whence);
int cl_fsync(int fd);
int cl_fdatasync(int fd);
int cl_syncfs(int fd);
int cl_fstatfs(int fd, int64_t *type, int64_t *block_size, int64_t *blocks, int64_t *free_blocks, int64_t *flags);
int cl_flock(int fd, int operation);
/* OFD lock over the whole file: type F_RDLCK, F_WRLCK or F_UNLCK; wait != 0 blocks. -EAGAIN when held elsewhere. */
int cl_ofd_lock(int fd, int type, int wait, int64_t start, int64_t length);
/* pid of a holder of a conflicting lock: 0 when free, -1 when it is an OFD lock (which names no pid). */
int cl_ofd_lock_holder(int fd, int type, int *holder);
long cl_getdents64(int fd, void *buffer, size_t size);
long cl_copy_file_range(int in, int64_t *in_offset, int out, int64_t *out_offset, size_t length);
long cl_sendfile(int out, int in, int64_t *offset, size_t count);
long cl_splice(int in, int out, size_t length, unsigned flags);
int cl_ioctl(int fd, unsigned long request, long argument);
int cl_fcntl(int fd, int command, long argument);
int cl_dup3(int oldfd, int newfd, int flags);
int cl_pipe2(int fds[2], int flags);
int cl_close_range(unsigned first, unsigned last, unsigned flags);
int cl_memfd_create(const char *name, unsigned flags);
int cl_chdir(const char *path);
int cl_fchdir(int fd);
int cl_chroot(const char *path);
long cl_getcwd(char *buffer, size_t size);
unsigned cl_umask(unsigned mask);
long cl_getxattr(int fd, const char *name, void *value, size_t size);           /* fgetxattr(2) */
long cl_lgetxattr(const char *path, const char *name, void *value, size_t size);
int cl_setxattr(int fd, const char *name, const void *value, size_t size, int flags); /* fsetxattr(2) */
int cl_lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags);
int cl_removexattr(int fd, const char *name);                                     /* fremovexattr(2) */
long cl_listxattr(int fd, char *list, size_t size);                              /* flistxattr(2) */
long cl_llistxattr(const char *path, char *list, size_t size);
int cl_poll(int *fds, short *events, short *revents, int count, int timeout_ms);
int cl_inotify_init1(int flags);
int cl_inotify_add_watch(int fd, const char *path, uint32_t mask);

/* mounts */
int cl_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int cl_umount2(const char *target, int flags);
int cl_pivot_root(const char *new_root, const char *put_old);
int cl_open_tree(int dirfd, const char *path, unsigned flags);
int cl_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int cl_fsopen(const char *type, unsigned flags);
int cl_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux);
int cl_fsmount(int fd, unsigned flags, unsigned attributes);
int cl_mount_setattr(int dirfd, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation,
                     uint64_t userns_fd);

/* processes */
/* clone3 without CLONE_VM: the child returns 0 in a copy of this address space. pidfd may be NULL, cgroup_fd -1. */
int cl_clone3(uint64_t flags, uint64_t exit_signal, int *pidfd, int cgroup_fd);
/* fork(2) by clone(2), which default seccomp profiles allow where they answer clone3 with ENOSYS. */
int cl_fork(void);
int cl_unshare(int flags);
int cl_setns(int fd, int nstype);
int cl_pidfd_open(int pid, unsigned flags);
int cl_pidfd_send_signal(int pidfd, int signal);
int cl_pidfd_getfd(int pidfd, int fd);
int cl_kill(int pid, int signal);
int cl_waitpid(int pid, int *status, int options);
int cl_waitid_pidfd(int pidfd, int options, int *pid, int *code, int *status); /* waitid(P_PIDFD) */
int cl_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int cl_execve(const char *path, char *const argv[], char *const envp[]);
int cl_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);
int cl_setresuid(uint32_t ruid, uint32_t euid, uint32_t suid); /* this thread only */
int cl_setresgid(uint32_t rgid, uint32_t egid, uint32_t sgid); /* this thread only */
int cl_setgroups(size_t count, const uint32_t *groups);        /* this thread only */
int cl_getgroups(int size, uint32_t *groups);
int cl_setsid(void);
int cl_prlimit(int pid, int resource, const uint64_t *soft_hard, uint64_t *old_soft_hard);
int cl_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
int cl_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int cl_seccomp(unsigned operation, unsigned flags, void *args);
/* Loads a classic BPF program; instructions are `struct sock_filter` words. Returns 0, a listener fd, or -errno. */
int cl_seccomp_load(const void *instructions, unsigned short count, unsigned flags);
int cl_sethostname(const char *name, size_t length);
int cl_setdomainname(const char *name, size_t length);
int cl_personality(unsigned long persona);
long cl_getrandom(void *buffer, size_t size, unsigned flags);
int cl_set_mempolicy(int mode, const unsigned long *nodes, unsigned long max_node);
int cl_ioprio_set(int priority);
int cl_sched_setattr(int pid, unsigned policy, uint64_t flags, int nice, unsigned priority, uint64_t runtime,
                     uint64_t deadline, uint64_t period);
int cl_sched_setaffinity(int pid, size_t bytes, const void *mask);
int cl_keyctl_join_session(const char *name);
int cl_bpf(int command, void *attributes, unsigned size);
int cl_pagesize(void);

/* wait status (the W* macros) */
int cl_wifexited(int status);
int cl_wexitstatus(int status);
int cl_wifsignaled(int status);
int cl_wtermsig(int status);

/* signals: raw rt_sig* so that the C library's reserved signals are reachable and nothing allocates */
int cl_signal_default_all(void);         /* every disposition to SIG_DFL, mask emptied */
int cl_signal_ignore(int signal);
int cl_signal_mask(uint64_t mask, uint64_t *old); /* SIG_SETMASK; bit n-1 is signal n */
int cl_signalfd(int fd, uint64_t mask, int flags);
int cl_epoll_wait(int epfd, uint64_t *data, uint32_t *events, int max, int timeout_ms);
int cl_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t data);
int cl_epoll_create1(int flags);

/* sockets */
int cl_socket(int domain, int type, int protocol);
int cl_socketpair(int type, int fds[2]); /* AF_UNIX */
int cl_unix_bind(int fd, const char *path);
int cl_unix_connect(int fd, const char *path);
int cl_listen(int fd, int backlog);
int cl_accept4(int fd, int flags);
/* One message with up to 16 descriptors. Received descriptors are CLOEXEC. *nfds: in capacity, out count. */
long cl_sendmsg_fds(int fd, const void *data, size_t size, const int *fds, int nfds, int flags);
long cl_recvmsg_fds(int fd, void *data, size_t size, int *fds, int *nfds, int *truncated, int flags);
int cl_peercred(int fd, int *pid, uint32_t *uid, uint32_t *gid);
int cl_shutdown(int fd, int how);
int cl_netlink_bind(int fd); /* to a port that the kernel chooses */
/* SO_ATTACH_FILTER; instructions are `struct sock_filter` words. */
int cl_attach_filter(int fd, const void *instructions, unsigned short count);

/* Internet sockets. Addresses in network order, the port in the host's. */
struct cl_internet {
    int family; /* AF_INET or AF_INET6 */
    uint16_t port;
    uint32_t scope;
    uint8_t bytes[16];
};
int cl_internet_bind(int fd, const struct cl_internet *address);
int cl_internet_connect(int fd, const struct cl_internet *address); /* NULL: gives address and port up again */
int cl_internet_name(int fd, struct cl_internet *address);          /* getsockname(2) */
long cl_internet_receive(int fd, void *data, size_t size, int flags, struct cl_internet *from);
long cl_internet_send(int fd, const void *data, size_t size, int flags, const struct cl_internet *to); /* to: may be NULL */
/* Many datagrams at once, at most CL_DATAGRAMS, without waiting. Number n stands at data + n * slot; sizes are the datagrams' own,
   also of those that do not fit into a slot. Returns how many came. */
#define CL_DATAGRAMS 16
long cl_internet_receive_many(int fd, void *data, size_t slot, struct cl_internet *from, uint32_t *sizes, uint32_t count);
/* Number n ends at data + ends[n], where the next begins. One that the kernel does not take is left out. Returns how many went. */
long cl_internet_send_many(int fd, const void *data, const uint32_t *ends, const struct cl_internet *to, uint32_t count);
/* The connection, not blocking. */
int cl_internet_accept(int fd, struct cl_internet *peer);
/* One datagram, without waiting; local is the address it came to (IP_PKTINFO must be on), or is to go from. */
long cl_internet_receive_local(int fd, void *data, size_t size, struct cl_internet *peer, struct cl_internet *local);
long cl_internet_send_from(int fd, const void *data, size_t size, const struct cl_internet *peer, const struct cl_internet *local);
int cl_reset_on_close(int fd); /* SO_LINGER of 0: the other side sees a reset */
int cl_socket_option(int fd, int level, int name, int value);
int cl_socket_error(int fd); /* SO_ERROR as -errno */
int cl_timerfd_create(void); /* monotonic, not blocking */
int cl_timerfd_set(int fd, int64_t nanoseconds); /* from now; 0: never */

/* terminals */
int cl_tiocgptpeer(int master, int flags);
int cl_unlockpt(int master);
int cl_ptsnumber(int master);
int cl_winsize_set(int fd, unsigned short rows, unsigned short columns);
int cl_winsize_get(int fd, unsigned short *rows, unsigned short *columns);
int cl_set_controlling_terminal(int fd);
int cl_isatty(int fd);

/* dev_t */
uint64_t cl_makedev(unsigned major, unsigned minor);
unsigned cl_major(uint64_t dev);
unsigned cl_minor(uint64_t dev);

/* A fork-and-exec that is safe from a multi-threaded process (CLONE_VM|CLONE_VFORK, no allocation in the child). */
struct cl_fd_map { int from; int to; };
struct cl_spawn_plan {
    int exec_fd;                 /* program as descriptor (execveat AT_EMPTY_PATH), or -1 to use path */
    const char *path;
    char *const *argv;
    char *const *envp;
    const struct cl_fd_map *map; /* every other descriptor is closed */
    int map_count;
    const char *cwd;             /* NULL: unchanged */
    int new_session;             /* setsid(2) */
    int parent_death_signal;     /* 0: none */
    uint64_t clone_flags;        /* extra CLONE_NEW* */
    int join_fds[8];             /* setns in this order, before new_session; join_count of them */
    int join_count;
    int set_root;                /* setresgid/setresuid 0 after the joins */
};
/* Returns the child's pid or -errno of whatever failed, exec included. *pidfd receives a CLOEXEC pidfd if not NULL. */
int cl_spawn(const struct cl_spawn_plan *plan, int *pidfd);

/* Returns unused heap and stack and the clean pages of the program itself to the kernel; for a process about to wait. */
void cl_release_idle_memory(void);
/* The same, then waits until fd is readable or the time is over (negative: for ever), touching next to nothing. */
int cl_idle_wait(int fd, int timeout_ms);

/* Hands the last reference to `fd` to a process that ends when this one calls execve or ends. For descriptors whose
 * last close(2) waits (a detached mount: a grace period of all processors). Returns its pid (only __WALL waits for it)
 * or -errno. */
int cl_defer_close(int fd);

/* Sends a message and looks at no answer, in a process that ends with that: for requests which the kernel carries out within
 * send(2) and which take long (the removal of a network device: a grace period of all processors). That process keeps the
 * `count` (at most 8) descriptors in `kept` as long, for those whose last close(2) takes long; every other one it inherits is
 * closed there before this returns. Returns its pid (only __WALL waits for it; the next call does) or
 * -errno. */
int cl_defer_send(int fd, const void *message, size_t size, const int *kept, int count);

const char *cl_strerror(int error);
char **cl_environment(void);

#endif
