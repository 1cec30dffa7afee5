"""A real systemd in namespaces of its own, with the packaged unit: nothing of the host is changed, nothing stays.

The machine's root is the host's, read through an overlay whose changes are kept in memory. Nothing starts by itself but
the journal. While a machine is entered, the calling thread (and every thread that it starts) is in its network, so that
clients reach 127.0.0.1 inside; files are reached by `machine.path(...)`, Unix sockets too.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import harness
from harness import eventually

SYSTEMD = "/lib/systemd/systemd"
UNITS = pathlib.Path(__file__).resolve().parents[2] / "units"
LISTEN = "127.0.0.1:8080"
BOOT = 60  # seconds, on a busy machine

# What may start; all else that a target would pull in is masked, generators too.
WANTED = {"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"}
CLONE_NEWNET = 0x40000000

SCRIPT = r"""
set -eu
work=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
# The kernel's settings are the host's too: nobody inside changes them.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
umount "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --rbind /dev "$root/dev"

units=$root/etc/systemd/system
rm -rf "$units" "$root/etc/fstab" "$root/var/lib/stoker" "$root/etc/stoker"
mkdir -p "$units" "$root/etc/systemd/system-generators" "$root/etc/systemd/journald.conf.d" "$root/etc/stoker"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\nAudit=no\nReadKMsg=no\nForwardToSyslog=no\n' \
    >"$root/etc/systemd/journald.conf.d/test.conf"
for name in $(ls "$root"/lib/systemd/system-generators /usr/local/lib/systemd/system-generators 2>/dev/null | grep -v :); do
    ln -sf /dev/null "$root/etc/systemd/system-generators/$name"
done
for name in $(ls "$root"/lib/systemd/system/*.wants | grep -vE '^$|:$|[.]target$') getty@.service serial-getty@.service \
    console-getty.service container-getty@.service systemd-networkd.service; do
    case " $WANTED " in *" $name "*) ;; *) ln -sf /dev/null "$units/$name" ;; esac
done
# A package makes its user itself.
[ -n "$PACKAGED" ] || for group in stoker video render; do
    grep -q "^$group:" "$root/etc/group" || printf '%s:x:%s:\n' "$group" "$((900 + ${#group}))" >>"$root/etc/group"
done
[ -n "$PACKAGED" ] || grep -q '^stoker:' "$root/etc/passwd" ||
    printf 'stoker:x:990:%s:Stoker:/var/lib/stoker:/usr/sbin/nologin\n' \
        "$(sed -n 's/^stoker:x:\([0-9]*\):.*/\1/p' "$root/etc/group")" >>"$root/etc/passwd"
ip link set lo up 2>/dev/null || true

cd "$root"
mkdir -p mnt/host
pivot_root . mnt/host
# Shared within, as at a real boot: credentials reach a unit by propagation.
exec chroot . /bin/sh -c 'umount -l /mnt/host; mount --make-rshared /; exec env -i container=test \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$0" --system --unit=multi-user.target \
    --log-target=journal --show-status=no' "$SYSTEMD"
"""


def obstacle():
    """Why no machine can be made here; None where one can."""
    if os.geteuid() != 0:
        return "not root: a systemd of its own needs namespaces"
    if not os.access(SYSTEMD, os.X_OK):
        return f"no systemd ({SYSTEMD}) is installed"
    for tool in ("unshare", "nsenter", "pivot_root", "mount"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not unified_mount():
        return "no cgroup2 is mounted"
    if " overlay" not in (text := pathlib.Path("/proc/filesystems").read_text()).replace("\t", " "):
        return f"the kernel has no overlay file system: {text.split()}"
    tried = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--ipc", "--uts", "--net", "true"],
        capture_output=True, text=True,
    )
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


def unified_mount():
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        if right.startswith("cgroup2 "):
            return pathlib.Path(left.split()[4])
    return None


def may_lower_oom_score():
    """Whether this process has CAP_SYS_RESOURCE (24)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> 24 & 1)


class Machine:
    """A running systemd; a context manager. With the program and its unit, unless a package is to bring them."""

    def __init__(self, packaged=False):
        self.packaged = packaged
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sd-", dir="/tmp"))
        self.cgroup = None
        self.process = None
        self.pid = None
        self._home = None

    # -- life

    def __enter__(self):
        if reason := obstacle():
            shutil.rmtree(self.folder, ignore_errors=True)
            pytest.skip(f"no systemd in namespaces here: {reason}")
        try:
            return self._boot()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def _boot(self):
        own = next(l[3:] for l in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if l.startswith("0::"))
        # A cgroup of its own: the root of the machine's hierarchy, and the handle by which all of it is ended.
        self.cgroup = unified_mount() / own.lstrip("/") / f"stoker-test-{self.folder.name}"
        self.cgroup.mkdir()
        (self.folder / "boot").write_text(SCRIPT)
        (self.folder / "root").mkdir()
        self.console = open(self.folder / "console", "ab")
        self.process = subprocess.Popen(
            ["sh", "-c", f"echo $$ >{self.cgroup}/cgroup.procs; exec unshare --pid --fork --kill-child --mount --cgroup "
             f"--ipc --uts --net sh {self.folder}/boot {self.folder}/root"],
            env={"PATH": os.environ["PATH"], "SYSTEMD": SYSTEMD, "WANTED": " ".join(WANTED),
                 "PACKAGED": "yes" if self.packaged else ""},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console, start_new_session=True,
        )
        self.pid = eventually(self._init, BOOT, "the namespaces")
        eventually(self._is_up, BOOT, f"a booted systemd (console: {self.console_text()})")
        self._enter_network()
        self._install()
        return self

    def console_text(self):
        return (self.folder / "console").read_text(errors="replace")[-2000:]

    def _init(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the machine did not boot: {self.console_text()}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children and int(children[0])

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the machine did not boot: {self.console_text()}")
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def _enter_network(self):
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inside = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            self._set_network(inside)
        finally:
            os.close(inside)

    @staticmethod
    def _set_network(descriptor):
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def close(self):
        """Ends everything, by the pid namespace and by the cgroup, and removes what was made outside."""
        if self._home is not None:
            self._set_network(self._home)
            os.close(self._home)
            self._home = None
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
            self.console.close()
        if self.cgroup and self.cgroup.exists():
            with contextlib.suppress(OSError):
                (self.cgroup / "cgroup.kill").write_text("1")
            eventually(self._cgroup_is_gone, 20, "the machine's cgroup to be empty")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cgroup_is_gone(self):
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(folder)
        return not self.cgroup.exists()

    # -- inside

    def path(self, inside):
        """A path of the machine as the host reaches it."""
        return pathlib.Path(f"/proc/{self.pid}/root{inside}")

    def run(self, *command, check=True, timeout=120, **options):
        """Runs a command inside, as root."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-C", "-n", "-r", "-w", *map(str, command)],
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, **options)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def systemctl(self, *arguments, **options):
        return self.run("systemctl", *arguments, **options)

    def journal(self, *arguments, unit="stoker.service"):
        """The unit's entries, parsed."""
        text = self.run("journalctl", "-u", unit, "-o", "json", "--no-pager", *arguments).stdout
        return [json.loads(line) for line in text.splitlines()]

    def show(self, name, unit="stoker.service"):
        """A property of the unit."""
        return self.systemctl("show", "-P", name, unit).stdout.strip()

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".draft")
        draft.write_text(text)
        draft.chmod(mode)
        draft.rename(path)

    # -- the daemon

    def _install(self):
        """The stand-in and, unless a package is to bring it, what `make install` does."""
        files = [(harness.STAND_IN, "/opt/st/stand-in"), (harness.FIXTURES / "make-fake-venv", "/opt/st/make-fake-venv")]
        if not self.packaged:
            files.append((harness.BIN, "/usr/bin/stoker"))
        for source, target in files:
            self.path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, self.path(target))
            self.path(target).chmod(0o755)
        for name in () if self.packaged else ("stoker.service", "stoker.socket"):
            self.write(f"/etc/systemd/system/{name}", (UNITS / name).read_text())
        self.run("/opt/st/make-fake-venv", "/opt/st/venv", "/opt/st/stand-in", "0.32.0")
        self.systemctl("daemon-reload")

    def restore(self):
        """Puts our program back where a test has put another one."""
        path = self.path("/usr/bin/stoker")
        if path.stat().st_size != os.stat(harness.BIN).st_size:
            harness.install(harness.BIN, path)

    def settings(self, text=""):
        """The unit's drop-in: lines of [Service]."""
        folder = "/etc/systemd/system/stoker.service.d"
        if text:
            self.write(f"{folder}/test.conf", f"[Service]\n{text}\n")
        else:
            shutil.rmtree(self.path(folder), ignore_errors=True)
        self.systemctl("daemon-reload")

    def configure(self, *providers, **keys):
        text = harness.config(list(providers), listen=LISTEN, **{"master_key": "test-master-key", **keys})
        self.write("/etc/stoker/stoker.yaml", text)

    def faults(self, **faults):
        """Replaces the faults of all stand-ins, at once."""
        self.write("/opt/st/control.json", json.dumps(faults))

    def provider(self, name="chat", model="org/m", **keys):
        """A launched provider's YAML."""
        lines = {
            "model": model, "command": '["/opt/st/venv/bin/vllm", "serve"]', "gpus": 0,
            "env": json.dumps({"STANDIN_CONTROL": "/opt/st/control.json"}), **keys,
        }
        return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())

    def processes(self):
        """The pids, as the host counts, of everything in the unit's cgroup and below, by sub-cgroup's name."""
        base = self.cgroup / "system.slice" / "stoker.service"
        found = {}
        for folder, _, _ in os.walk(base):
            pids = [int(p) for p in (pathlib.Path(folder) / "cgroup.procs").read_text().split()]
            if pids:
                found[os.path.relpath(folder, base)] = pids
        return found

    def host_pid(self, inside):
        """The host's number of a process by the machine's."""
        for pids in self.processes().values():
            for pid in pids:
                with contextlib.suppress(OSError):
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    numbers = next(l for l in status.splitlines() if l.startswith("NSpid:")).split()[1:]
                    if int(numbers[-1]) == inside:
                        return pid
        raise ProcessLookupError(inside)

    def kill(self, inside, how=signal.SIGKILL):
        """A signal to a process of the unit, by the machine's number."""
        os.kill(self.host_pid(inside), how)

    def main_pid(self):
        return int(self.show("MainPID"))

    def reset(self):
        """Stops the daemon, whatever state it is in, and forgets what it kept."""
        self.systemctl("kill", "-s", "CONT", "stoker", check=False)
        self.systemctl("stop", "stoker", check=False)
        left = self.processes()
        for pids in left.values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.systemctl("reset-failed", "stoker", check=False)
        for folder in ("/var/lib/stoker", "/run/stoker"):
            shutil.rmtree(self.path(folder), ignore_errors=True)
        self.faults()
        self.settings()


class Client(harness.Stoker):
    """What tests ask of the machine's daemon; systemd starts and stops it."""

    def __init__(self, machine):
        self.machine = machine
        self.key = "test-master-key"
        self.sessions = set()
        self._gateway = LISTEN

    @property
    def admin_socket(self):
        return str(self.machine.path("/run/stoker/admin.sock"))

    def cli(self, *arguments, **options):
        return self.machine.run("/usr/bin/stoker", *arguments, check=False, **options)

    def log_text(self):
        entries = self.machine.journal("-n", "200")
        return "\n".join(str(e.get("MESSAGE")) for e in entries)

    def ready(self, name="chat-0", within=30.0):
        return self.wait_state(name, "ready", within=within)


@contextlib.contextmanager
def stopwatch():
    """Yields a function that says how many seconds have passed."""
    began = time.monotonic()
    yield lambda: time.monotonic() - began
