#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

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

const void *stoker_memrchr(const void *bytes, int byte, size_t length) { return memrchr(bytes, byte, length); }

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

void stoker_name_process(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void stoker_fresh_signals(void) {
    // What the one before ignored or held back is not ours to go without; what a runtime has installed since stays.
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) < 0 || action.sa_handler != SIG_IGN) continue;
        action.sa_handler = SIG_DFL;
        sigaction(number, &action, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_all_on_exec(void) {
    const unsigned int close_on_exec = 4;  // CLOSE_RANGE_CLOEXEC, Linux 5.11
    if (syscall(SYS_close_range, 3, ~0U, close_on_exec) == 0) return;
    struct rlimit limit;
    rlim_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20;
    for (int fd = 3; fd < (int)end; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int stoker_become(const char *path, char *const argv[], char *const envp[], const int *kept, int count) {
    sigset_t all, before;
    sigfillset(&all);
    // A signal that comes meanwhile waits for the handlers of whoever is executed.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    close_all_on_exec();
    for (int index = 0; index < count; index++) fcntl(kept[index], F_SETFD, 0);
    execve(path, argv, envp);
    int error = errno;
    for (int index = 0; index < count; index++) fcntl(kept[index], F_SETFD, FD_CLOEXEC);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int stoker_connect(int fd, const void *address, socklen_t length) {
    return connect(fd, (const struct sockaddr *)address, length);
}

void stoker_nodelay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int stoker_socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
    return error;
}

socklen_t stoker_numeric_address(const char *text, uint16_t port, void *address) {
    struct sockaddr_in *four = address;
    memset(address, 0, sizeof(struct sockaddr_in6));
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof *four;
    }
    struct sockaddr_in6 *six = address;
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return sizeof *six;
    }
    return 0;
}

void stoker_random(void *bytes, size_t length) {
    unsigned char *at = bytes;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            return;
        }
        at += got;
        length -= (size_t)got;
    }
}

int stoker_unlinked_file(const char *folder) {
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    char path[256];
    if (snprintf(path, sizeof path, "%s/stoker-XXXXXX", folder) >= (int)sizeof path) return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
    return fd;
}

int stoker_pidfd_getfd(int pidfd, int fd) { return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0); }
