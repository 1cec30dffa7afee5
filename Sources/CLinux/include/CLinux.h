/// What Linux offers and Swift's Glibc module does not show: epoll, pidfd, accept4, memmem and friends.
/// This header must not define _GNU_SOURCE: the C library's own types would differ from those of Swift's Glibc module.
#pragma once
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/// pidfd_open(2); -1 and errno on failure.
int stoker_pidfd_open(pid_t pid);
/// pidfd_send_signal(2) without siginfo; -1 and errno on failure.
int stoker_pidfd_send_signal(int pidfd, int signal);
/// waitid(2) by pidfd for an exited child (WEXITED | WNOHANG): 1 and fills code (CLD_*) and status, 0 if still alive, -1 and errno.
int stoker_pidfd_reap(int pidfd, int *code, int *status);
/// memfd_create(2) with close-on-exec.
int stoker_memfd(const char *name);
/// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC.
int stoker_accept(int listener);
/// What SO_PEERCRED gives: struct ucred, which the C library shows only with _GNU_SOURCE.
typedef struct {
    pid_t pid;
    uid_t uid;
    gid_t gid;
} stoker_peer_t;
/// Peer credentials of a Unix socket (SO_PEERCRED): 0, or -1 and errno.
int stoker_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid);
/// memmem(3): the first place of needle in haystack, or NULL.
const void *stoker_memmem(const void *haystack, size_t length, const void *needle, size_t needleLength);
/// posix_spawn_file_actions_addclosefrom_np (glibc 2.34): the child closes every descriptor from this one on.
int stoker_spawn_closefrom(posix_spawn_file_actions_t *actions, int from);
/// Installs a handler for each of the signals that writes its number, one byte, into a pipe; returns the pipe's reading
/// end, or -1 and errno. Works whatever thread a signal reaches and whatever dispositions were inherited. Call once.
int stoker_signal_pipe(const int *signals, int count);
/// connect(2) to a Unix or internet address: 0, or -1 and errno.
int stoker_connect(int fd, const void *address, socklen_t length);
/// Sets TCP_NODELAY; a failure (a Unix socket) does not matter.
void stoker_nodelay(int fd);
/// The pending error of a socket (SO_ERROR), 0 when there is none.
int stoker_socket_error(int fd);
/// Fills `address` (128 bytes) from a numeric IPv4 or IPv6 address and a port in host order; its length, or 0 when it is none.
socklen_t stoker_numeric_address(const char *text, uint16_t port, void *address);
/// Fills `bytes` from getrandom(2).
void stoker_random(void *bytes, size_t length);
