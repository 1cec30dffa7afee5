"""Faults around the daemon, injected under load: disks, journal, systemd, descriptors, servers that are not ours, a GPU.

As test_chaos.py, with which it fills the table in docs/reliability.md.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from chaos import FAST, HEALTH, Clients, Row, Watcher, again, mended, notice, restarted, rounds, started
from harness import eventually


# -- what is around


@contextlib.contextmanager
def small_disk(machine):
    """The state directory on a disk of its own, of 2 MiB."""
    machine.systemctl("stop", "stoker", check=False)
    machine.run("mkdir", "-p", "/var/lib/stoker")
    machine.run("mount", "-t", "tmpfs", "-o", "size=2m,mode=700,uid=990,gid=906", "tmpfs", "/var/lib/stoker")
    try:
        yield
    finally:
        machine.systemctl("stop", "stoker", check=False)
        machine.run("sh", "-c", "umount -l /var/lib/stoker; umount -l /mnt/copy", check=False)
        machine.run("umount", "-l", "/var/lib/stoker", check=False)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_nothing(machine, stoker, fault):
    """Also a supervisor that is started beside it takes everything over, and a crash of an engine is survived."""
    row = Row(f"the state directory's disk is {fault}", "service continues; said in status", "with a kill -9 of the supervisor "
              "and one of the engine meanwhile")
    machine.configure(machine.provider(restart=FAST))
    with small_disk(machine):
        engine, = started(machine, stoker, "chat-0")
        with Clients(stoker, clients=4) as clients:
            if fault == "full":
                with contextlib.suppress(OSError), open(machine.path("/var/lib/stoker/filler"), "wb", buffering=0) as file:
                    while file.write(b"x" * 4096):
                        pass
            else:
                # Where files are open for writing nothing is made read-only: a copy of all of it, read-only, is put over it,
                # its file system as such, since a mount's own flags stay in one namespace.
                machine.run("sh", "-ec", "mkdir -p /mnt/copy; mount -t tmpfs -o size=8m,mode=755 tmpfs /mnt/copy; "
                            "cp -a /var/lib/stoker /mnt/copy/; mount --bind /mnt/copy/stoker /var/lib/stoker; "
                            "mount -o remount,ro /mnt/copy")
            notice(stoker, "the state directory cannot be written")
            clients.more()
            before, killed = machine.main_pid(), time.monotonic()
            machine.kill(before)
            restarted(machine, before)
            now = stoker.ready()
            row.add(recovered=time.monotonic() - killed)
            assert now["pid"] == engine["pid"]
            notice(stoker, "the state directory cannot be written")
            clients.more()
        row.account(clients)
        assert (clients.failed, clients.lost) == (0, [])
        machine.kill(engine["pid"])
        again_ = again(stoker, "chat-0", engine)
        # What was started meanwhile is taken over as well: the runtime directory has its record.
        before = machine.main_pid()
        machine.kill(before)
        restarted(machine, before)
        now = stoker.ready()
        assert (now["pid"], now["run"]) == (again_["pid"], again_["run"])
        assert stoker.cli("logs", "chat-0").stdout, "its log is somewhere else, and found"
        if fault == "full":
            os.unlink(machine.path("/var/lib/stoker/filler"))
        else:
            machine.run("mount", "-o", "remount,rw", "/mnt/copy")
        mended(stoker, "the state directory cannot be written")
        assert stoker.ready()["pid"] == again_["pid"]


@pytest.mark.parametrize("fault", ["stalled", "gone"])
def test_a_journal_that_takes_nothing(machine, stoker, fault):
    """An engine that writes megabytes goes on writing; so does the daemon, for as long as it likes."""
    row = Row(f"the journal is {fault}, an engine writes 2 MB/s", "service continues")
    machine.configure(machine.provider(restart=FAST))
    machine.faults(stdout_bytes_per_second=2_000_000)
    engine, = started(machine, stoker, "chat-0")
    journal = int(machine.show("MainPID", unit="systemd-journald.service"))
    host = machine.cgroup / "system.slice" / "systemd-journald.service" / "cgroup.procs"
    pids = [int(p) for p in host.read_text().split()]
    assert journal and pids
    units = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
    try:
        if fault == "stalled":
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
        else:
            machine.systemctl("stop", *units, check=False)
        before = machine.main_pid()
        with Clients(stoker, clients=4) as clients:
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began > rounds(6, 60), 120, "some time of noise")
            machine.kill(engine["pid"])
            now = again(stoker, "chat-0", engine)
            row.add(recovered=time.monotonic() - began)
            with contextlib.suppress(AssertionError):
                clients.more()
        row.account(clients)
        assert machine.main_pid() == before, "the supervisor was not held up: its watchdog was fed"
        # One instance: what it served when it was killed, and what came before the next run, fails in words.
        assert clients.lost == [] and now["state"] == "ready"
    finally:
        if fault == "stalled":
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        else:
            machine.systemctl("start", *reversed(units))


def test_systemd_that_does_not_listen(machine, stoker):
    row = Row("systemd's notify socket is gone", "service continues; said in status",
              "the watchdog is off here: it would replace a supervisor that it cannot hear")
    machine.settings("WatchdogSec=0")
    engine, = started(machine, stoker, "chat-0")
    place, away = machine.path("/run/systemd/notify"), machine.path("/run/systemd/notify-away")
    with Clients(stoker, clients=4) as clients:
        place.rename(away)
        began = time.monotonic()
        try:
            notice(stoker, "systemd does not take what it is told")
            clients.more()
        finally:
            away.rename(place)
        mended(stoker, "systemd does not take what it is told")
        row.add(recovered=time.monotonic() - began)
    row.account(clients)
    assert (clients.failed, clients.lost) == (0, []) and stoker.instance("chat-0")["pid"] == engine["pid"]


def test_no_descriptor_is_left(machine, stoker):
    """None for the supervisor: it cannot ask, start, or look, and condemns nobody for that."""
    row = Row("the supervisor has no file descriptor left", "service continues; nobody is unpublished for it; said in status")
    machine.configure(machine.provider(restart=FAST), health="{ interval: 200ms, timeout: 1s, hang_after: 3s }")
    engine, = started(machine, stoker, "chat-0")

    def limit(soft):
        # As the unit's user: root in a container may lack the capability to do it for others.
        hard = machine.run("awk", "/open files/ { print $5 }", f"/proc/{pid}/limits").stdout.strip()
        machine.run("runuser", "-u", "stoker", "--", "prlimit", f"--pid={pid}", f"--nofile={soft or hard}:{hard}")

    pid = machine.main_pid()
    held = set.intersection(*({int(n) for n in machine.run("ls", f"/proc/{pid}/fd").stdout.split()} for _ in range(10)))
    full = next(n for n in range(len(held) + 1) if n not in held)
    with Clients(stoker, clients=4) as clients, Watcher(stoker) as watcher:
        began = time.monotonic()
        limit(full)
        try:
            eventually(lambda: time.monotonic() - began > 6, 30, "some rounds of probes")
            clients.more()
            assert all("chat/org/m" in ids for asked, _, ids in list(watcher.samples) if asked > began)
            text = eventually(lambda: "file descriptor" in machine.show("StatusText") and machine.show("StatusText"), 20, "STATUS")
            assert text
        finally:
            limit(None)
        freed = time.monotonic()
        mended(stoker, "file descriptor")
        row.add(recovered=time.monotonic() - freed)
    row.account(clients)
    assert (clients.failed, clients.lost) == (0, [])
    now = stoker.instance("chat-0")
    assert (now["pid"], now["run"], now["state"]) == (engine["pid"], engine["run"], "ready")
    machine.kill(engine["pid"])
    again(stoker, "chat-0", engine)


# -- servers that are not ours


@contextlib.contextmanager
def foreign(machine, model="org/m", env=""):
    """A server on port 9000 of the machine, outside the unit; yields its head's pid as the host counts."""
    process = subprocess.Popen(
        ["nsenter", "-t", str(machine.pid), "-m", "-p", "-i", "-u", "-C", "-n", "-r", "-w", "env", "-i",
         "STANDIN_CONTROL=/opt/st/foreign.json", *env.split(), "/opt/st/stand-in", "serve", model, "--host", "127.0.0.1",
         "--port", "9000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True)
    try:
        yield process
        assert process.poll() is None, "nobody has signalled it"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_an_attached_server(machine, stoker):
    """Dies, comes back, is slow, changes its model, wants a key, is another server: the right state each time."""
    row = Row("an attached server dies, comes back, is slow, changes its model, wants a key, is none",
              "the right state each time; never signalled")
    faults = lambda **f: machine.write("/opt/st/foreign.json", json.dumps(f))
    faults()
    machine.configure("  box:\n    base_url: http://127.0.0.1:9000\n", health=HEALTH)

    def becomes(state, models=None):
        began = time.monotonic()
        stoker.wait_state("box", state, within=60)
        if models is not None:
            eventually(lambda: stoker.models() == models, 20, f"models {models}")
        row.add(recovered=time.monotonic() - began)

    machine.systemctl("start", "--no-block", "stoker")
    becomes("connecting", [])
    with foreign(machine):
        becomes("ready", ["box/org/m"])
        # Slow, and it steps: not dead.
        faults(token_delay_ms=1000, delay_ms=300)
        with Clients(stoker, model="box/org/m", clients=2, tokens=4) as clients:
            clients.more(2, within=120)
        assert stoker.instance("box")["state"] == "ready" and (clients.failed, clients.lost) == (0, [])
        faults(model_id="org/other")
        becomes("ready", ["box/org/other"])
        faults(unauthorized=True)
        becomes("misconfigured", [])
        faults(respond={"/v1/models": {"status": 200, "body": "<html>welcome</html>"}})
        becomes("misconfigured", [])
        faults()
        becomes("ready", ["box/org/m"])
        faults(busy=True)
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 3, 10, "some rounds of probes")
        assert stoker.instance("box")["state"] == "ready", "busy is not dead"
        faults()
    becomes("connecting", [])
    with foreign(machine):
        becomes("ready", ["box/org/m"])


# -- GPUs

NVML = r"""
#include <stdio.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned int pid; unsigned long long used; unsigned int a, b; } process;
static int device;
/* The file has: free MiB, and the pid that holds the rest. */
static void look(unsigned long long *free, unsigned *pid) {
    FILE *file = fopen("/opt/st/gpu", "r");
    *free = 0; *pid = 0;
    if (file) { if (fscanf(file, "%llu %u", free, pid) != 2) *pid = 0; fclose(file); }
}
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) { *out = &device; return index > 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) { *out = &device; return strcmp(uuid, "GPU-1") != 0; }
int nvmlDeviceGetUUID(void *d, char *text, unsigned size) { return snprintf(text, size, "GPU-1") < 0; }
int nvmlDeviceGetName(void *d, char *text, unsigned size) { return snprintf(text, size, "Fake") < 0; }
int nvmlDeviceGetMemoryInfo(void *d, memory *m) {
    unsigned pid; look(&m->free, &pid); m->free <<= 20; m->total = 80ULL << 30; m->used = m->total - m->free; return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *count, process *list) {
    unsigned long long free; unsigned pid; look(&free, &pid);
    memset(list, 0, sizeof *list); list->pid = pid; list->used = (80ULL << 30) - (free << 20); *count = pid != 0; return 0;
}
int nvmlDeviceGetUtilizationRates(void *d, unsigned *rates) { rates[0] = 50; rates[1] = 1; return 0; }
"""


def test_a_gpu_held_by_a_stranger(machine, stoker):
    row = Row("the GPU's memory is held by a stranger (a fake NVML)", "waits, names the holder, spends no budget")
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler to build a fake NVML with")
    machine.write("/opt/st/nvml.c", NVML)
    source = machine.path("/opt/st/nvml.c")
    library = machine.path("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")
    if library.exists() or os.uname().machine != "x86_64":
        pytest.skip("a real NVML is installed, or this is no x86-64: none is put in its place")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", f"{source}.so", str(source)], check=True)
    shutil.copyfile(f"{source}.so", library)
    try:
        # pid 1 is there, and nobody of ours.
        machine.write("/opt/st/gpu", "1024 1")
        machine.configure(machine.provider(gpus=1, restart="{ start_budget: 1 }"))
        machine.systemctl("start", "--no-block", "stoker")
        waiting = eventually(lambda: (i := stoker.instance("chat-0"))["state"] == "starting" and "GPU 0" in i["reason"] and i,
                             30, "an instance that waits")
        assert "pid 1 (systemd) holds 79.0 GiB" in waiting["reason"], waiting["reason"]
        freed = time.monotonic()
        machine.write("/opt/st/gpu", f"{80 << 10} 0")
        ready = stoker.ready()
        row.add(recovered=time.monotonic() - freed)
        assert ready["run"] == 1 and ready["restarts"] == 0 and ready["gpus"] == ["0"] and ready["last_failure"] is None
    finally:
        machine.systemctl("stop", "stoker", check=False)
        library.unlink()
