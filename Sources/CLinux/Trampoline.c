#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

extern char **environ;

enum { channel_fd = 3 };

static _Noreturn void give_up(const char *stage) {
    int error = errno;
    char line[256];
    int length = snprintf(line, sizeof line, "%d %s\n", error, stage);
    if (length > 0) {
        ssize_t ignored = write(channel_fd, line, (size_t)length);
        (void)ignored;
    }
    dprintf(2, "stoker: cannot launch: %s: %s\n", stage, strerror(error));
    _exit(127);
}

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

void stoker_trampoline(int argc, char *const argv[]) {
    // argv: 0 self, 1 __launch, 2 CGROUP, 3 LOG, 4 NOFILE, 5 OOM, 6 --, 7… COMMAND
    errno = EINVAL;
    if (argc < 8 || strcmp(argv[6], "--") != 0) give_up("arguments");

    int log = open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (log < 0) give_up("log");
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) give_up("/dev/null");
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) give_up("descriptors");

    if (strcmp(argv[2], "-") != 0 && write_file(argv[2], "0") < 0) give_up("cgroup");
    if (setsid() < 0 && errno != EPERM) give_up("setsid");
    if (strcmp(argv[4], "-") != 0) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
            rlim_t wanted = strtoull(argv[4], NULL, 10);
            limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
            setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
    if (strcmp(argv[5], "-") != 0) write_file("/proc/self/oom_score_adj", argv[5]);

    // By system call: the C library hides its own two signals, which posix_spawn leaves ignored. All zeros is SIG_DFL.
    const uint64_t default_action[8] = {0};
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, default_action, NULL, 8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    fcntl(channel_fd, F_SETFD, FD_CLOEXEC);
    if (syscall(SYS_close_range, channel_fd + 1, ~0U, 0) < 0) {
        for (int fd = channel_fd + 1; fd < 65536; fd++) close(fd);
    }
    execvp(argv[7], &argv[7]);
    give_up("exec");
}

static int spawn(const char *path, char *const argv[], char *const envp[], posix_spawn_file_actions_t *actions, pid_t *pid) {
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error) return error;
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attributes, &set);
    sigfillset(&set);
    posix_spawnattr_setsigdefault(&attributes, &set);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn(pid, path, actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    return error;
}

int stoker_spawn(const char *path, char *const argv[], char *const envp[], int channel, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, channel, channel_fd);
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, channel_fd + 1);
    if (!error) error = spawn(path, argv, envp, &actions, pid);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int stoker_spawn_query(const char *path, char *const argv[], char *const envp[], int output, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (!error) error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!error) error = spawn(path, argv, envp, &actions, pid);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int stoker_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int stoker_punch_hole(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int stoker_free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int port = -1;
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        port = ntohs(address.sin_port);
    }
    int error = errno;
    close(fd);
    errno = error;
    return port;
}

int stoker_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int stoker_attribute_begins(const char *path, const char *name, char first) {
    char value[16];
    return getxattr(path, name, value, sizeof value) > 0 && value[0] == first;
}
