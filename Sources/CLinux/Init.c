#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// Who is process 1 of a container gets everybody's orphans, and nobody else reaps them. The daemon waits for those of its
// children that it knows, so a process of its own does it: it hands signals on and ends as the daemon does.
void stoker_be_init(void) {
    if (getpid() != 1) return;
    sigset_t all, before;
    sigfillset(&all);
    // Before there is a child: what is not blocked is lost on process 1.
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t daemon = fork();
    if (daemon <= 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(&all, &info) < 0) continue;
        // The terminal tells its whole foreground, the daemon too.
        if (info.si_signo != SIGCHLD && info.si_code != SI_KERNEL) kill(daemon, info.si_signo);
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended == daemon) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
    }
}
