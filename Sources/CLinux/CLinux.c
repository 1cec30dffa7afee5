#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int stoker_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int stoker_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int stoker_pidfd_reap(int pidfd, int *code, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) return -1;
    if (info.si_pid == 0) return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

int stoker_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int stoker_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

int stoker_peer(int fd, pid_t *pid, uid_t *uid, gid_t *gid) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -1;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

const void *stoker_memmem(const void *haystack, size_t length, const void *needle, size_t needleLength) {
    return memmem(haystack, length, needle, needleLength);
}

struct sockaddr_un stoker_unix_address(const char *path) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) return address;
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length);
    return address;
}

int stoker_spawn_closefrom(posix_spawn_file_actions_t *actions, int from) {
    return posix_spawn_file_actions_addclosefrom_np(actions, from);
}

static int signal_pipe_write = -1;

static void write_signal(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe holds 65,536 signals that nobody has read yet: one more says nothing new.
    ssize_t written = write(signal_pipe_write, &byte, 1);
    (void)written;
    errno = saved;
}

int stoker_signal_pipe(const int *signals, int count) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    signal_pipe_write = ends[1];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = write_signal;
    action.sa_flags = SA_RESTART;
    for (int index = 0; index < count; index++) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signals[index]);
        if (sigaction(signals[index], &action, NULL) < 0) return -1;
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return ends[0];
}
