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

#include "Scan.h"

// Where this is process 1: a child goes on in its place, and process 1 reaps orphans, hands signals on and ends with that
// child's exit code, or 128 and the signal's number. Returns in the child, and at once anywhere else. For main, before
// there is another thread.
void stoker_be_init(void);

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
/// memrchr(3): the last place of a byte, or NULL.
const void *stoker_memrchr(const void *bytes, int byte, size_t length);
/// posix_spawn_file_actions_addclosefrom_np (glibc 2.34): the child closes every descriptor from this one on.
int stoker_spawn_closefrom(posix_spawn_file_actions_t *actions, int from);
/// Installs a handler for each of the signals that writes its number, one byte, into a pipe; returns the pipe's reading
/// end, or -1 and errno. Works whatever thread a signal reaches and whatever dispositions were inherited. Call once.
int stoker_signal_pipe(const int *signals, int count);
/// prctl(PR_SET_NAME): the name that ps shows, at most 15 bytes. For a process that was executed as /proc/self/exe.
void stoker_name_process(const char *name);
/// Empties the signal mask and gives every ignored signal its default action: for a process that was executed by another,
/// on its first thread, before there are others.
void stoker_fresh_signals(void);
/// execve(2) in this process with these descriptors kept and every other one above 2 closed, all signals held back: the
/// executed program lets them through (stoker_fresh_signals). Returns an errno, with everything as it was, where it fails.
int stoker_become(const char *path, char *const argv[], char *const envp[], const int *kept, int count);
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
/// The trampoline between the supervisor and an engine, run as `stoker __launch CGROUP LOG NOFILE OOM -- COMMAND…`
/// before any runtime is used; `-` leaves a setting as it is. Joins the cgroup (a cgroup.procs path), makes a session, sets the
/// soft limit of open files and oom_score_adj, empties signal mask and dispositions, takes /dev/null as input and
/// appends output to LOG, closes all but 0–2 and executes COMMAND by PATH. A failure goes to descriptor 3 as
/// "ERRNO STAGE", and to the log; then it exits 127. Descriptor 3 closes by itself on success.
_Noreturn void stoker_trampoline(int argc, char *const argv[]);
/// posix_spawn(3) of path with an empty signal mask, default dispositions and `channel` as descriptor 3; every other
/// descriptor above 2 is closed. 0, or an errno.
int stoker_spawn(const char *path, char *const argv[], char *const envp[], int channel, pid_t *pid);
/// As stoker_spawn, but with input from /dev/null, output to `output`, errors to /dev/null and nothing else: for asking a program.
int stoker_spawn_query(const char *path, char *const argv[], char *const envp[], int output, pid_t *pid);
/// pipe2(2) with O_CLOEXEC: 0, or -1 and errno.
int stoker_pipe(int ends[2]);
/// fallocate(2) that gives a file's range back and keeps its size: 0, or -1 and errno.
int stoker_punch_hole(int fd, int64_t offset, int64_t length);
/// A free TCP port of 127.0.0.1, chosen by the kernel; -1 and errno.
int stoker_free_port(void);
/// prctl(PR_SET_CHILD_SUBREAPER): orphans of our descendants become our children. 0, or -1 and errno.
int stoker_become_subreaper(void);
/// Whether a file has this extended attribute with a value that begins with `first`.
int stoker_attribute_begins(const char *path, const char *name, char first);
/// A file without a name in this folder, for reading and writing; -1 and errno.
int stoker_unlinked_file(const char *folder);
/// pidfd_getfd(2): a copy, close-on-exec, of another process's descriptor; -1 and errno.
int stoker_pidfd_getfd(int pidfd, int fd);
/// Lets go of the pages of the program and its libraries that nobody has written to: those still needed come back from
/// the page cache when they are touched; and of what the heap holds free. For after a start that went through much more code
/// and memory than what follows it. Returns the bytes of the program that this was said of.
size_t stoker_release_program_pages(void);

/// Opens NVML at run time by its library's name: 0, -1 where there is none, -2 where it is no NVML, -3 where it does not
/// work (no driver). Once a process; the other nvml functions only after a 0.
int stoker_nvml_open(const char *path);
/// How many GPUs there are; -1 on failure.
int stoker_nvml_count(void);
/// A GPU by its index in the order of the bus: 0, or -1.
int stoker_nvml_device(int index, char uuid[96], char name[96], uint64_t *total);
/// A GPU's memory in bytes: 0, or -1.
int stoker_nvml_memory(const char *uuid, uint64_t *free, uint64_t *total);
/// The processes that use a GPU, and what each holds in bytes (0 where it is not told): how many, or -1.
int stoker_nvml_processes(const char *uuid, int32_t *pids, uint64_t *bytes, int room);
/// How busy a device was in its last sample period, 0 to 100; negative where it cannot be told.
int stoker_nvml_utilization(const char *uuid);
