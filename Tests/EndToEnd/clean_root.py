"""A Dockerfile's steps in a clean Debian root, without Docker: a mount namespace that holds the root, and namespaces for each
step and for the container that is run of it. Nothing of the host is changed, nothing stays but the cached root below."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess

import pytest

from harness import eventually

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
CLONE_NEWNET = 0x40000000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def obstacle():
    """Why no clean root can be made here; None where one can."""
    if os.geteuid() != 0:
        return "not root: a clean root needs namespaces and debootstrap"
    for tool in ("unshare", "nsenter", "mount", "chroot", "apt-get", "ip"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if "overlay" not in pathlib.Path("/proc/filesystems").read_text():
        return "the kernel has no overlay file system"
    tried = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "--mount", "--ipc", "--uts", "--net", "true"],
                           capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


class Stage:
    """What a stage of a Dockerfile says."""

    def __init__(self, base, name):
        self.base, self.name = base, name
        self.steps = []  # (instruction, text) of RUN and COPY, in order
        self.env, self.user, self.workdir = {}, "root", "/"
        self.entrypoint, self.command, self.healthcheck = [], [], None
        self.ports, self.volumes = [], []


def stages(path):
    """The stages of a Dockerfile by name. Knows what ours uses and refuses the rest, so that no step is passed over."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.M)
    text = re.sub(r"\\\n\s*", "", text)
    found, arguments, stage = {}, {}, None
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(None, 1)
        rest = re.sub(r"\$\{(\w+)\}", lambda m: arguments.get(m.group(1), m.group(0)), rest)
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, _, name = rest.split()
            stage = found[name] = Stage(base, name)
        elif word in ("RUN", "COPY"):
            stage.steps.append((word, rest))
        elif word == "ENV":
            stage.env.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            stage.user = rest
        elif word == "WORKDIR":
            stage.workdir = rest
        elif word == "EXPOSE":
            stage.ports += rest.split()
        elif word == "VOLUME":
            stage.volumes += rest.split()
        elif word == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest[rest.index("CMD ") + 4:])
        else:
            raise AssertionError(f"{path.name} has {word}, which this test does not know")
    return found


class Root:
    """A clean root that steps are run in; a context manager. `layer` is what they added, `path()` reaches all of it."""

    HOLD = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$WORK"
mkdir "$WORK/layer" "$WORK/work" "$WORK/root"
mount -t overlay -o "lowerdir=$BASE,upperdir=$WORK/layer,workdir=$WORK/work" overlay "$WORK/root"
echo held
exec sleep infinity
"""
    # What Docker gives a step and a container: a /proc of its own, few devices, 64 MiB of shared memory, the host's resolver.
    ENTER = r"""
set -eu
cd "$WORK/root"
mount --make-rprivate /
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys 2>/dev/null || true
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null zero full random urandom tty; do : >"dev/$node"; mount --bind "/dev/$node" "dev/$node"; done
mkdir dev/shm
mount -t tmpfs -o mode=1777,size=64m tmpfs dev/shm
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
touch etc/resolv.conf
mount --bind /etc/resolv.conf etc/resolv.conf
[ -z "${LOOPBACK:-}" ] || ip link set lo up
exec chroot ${IDENTITY:-} . "$@"
"""

    def __init__(self, suite, folder):
        self.suite, self.work = suite, pathlib.Path(folder)
        self.holder = None

    def __enter__(self):
        if reason := obstacle():
            pytest.skip(f"no clean root here: {reason}")
        made = subprocess.run([SCRIPTS / "debian-root", self.suite], capture_output=True, text=True, timeout=900)
        if made.returncode:
            pytest.skip(f"no clean root here: {made.stderr.strip()[-300:]}")
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", self.HOLD], stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={"PATH": os.environ["PATH"], "WORK": str(self.work), "BASE": made.stdout.strip()})
        assert self.holder.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_):
        if self.holder:
            os.killpg(self.holder.pid, signal.SIGKILL)
            self.holder.wait()
            self.holder.stdout.close()

    @property
    def layer(self):
        return pathlib.Path(f"/proc/{self.holder.pid}/root{self.work}/layer")

    def path(self, inside):
        return pathlib.Path(f"/proc/{self.holder.pid}/root{self.work}/root") / inside.lstrip("/")

    def _entering(self, *spaces):
        return ["nsenter", "--mount", f"--target={self.holder.pid}", "unshare", "--pid", "--fork", "--kill-child", "--mount",
                *spaces, "sh", "-c", self.ENTER, "enter"]

    def step(self, text, env=None, timeout=600):
        """A RUN: by /bin/sh, as root, with the host's network."""
        passed = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        return subprocess.run(
            [*self._entering(), "/bin/sh", "-c", text], capture_output=True, text=True, timeout=timeout,
            env={"PATH": PATH, "WORK": str(self.work), "HOME": "/root", **passed, **(env or {})})

    def container(self, stage, env, log):
        return Container(self, stage, env, log)


class Container:
    """A stage's ENTRYPOINT and CMD as PID 1 of namespaces of its own; a context manager."""

    def __init__(self, root, stage, env, log):
        self.root, self.stage = root, stage
        home = next((l.split(":")[5] for l in root.path("/etc/passwd").read_text().splitlines()
                     if l.startswith(f"{stage.user}:")), "/")
        self.env = {"PATH": PATH, "HOSTNAME": "container", "HOME": home, **stage.env, **env}
        self.identity = f"--userspec={stage.user}:{stage.user}"
        self.log_path = pathlib.Path(log)

    def __enter__(self):
        self.log = open(self.log_path, "wb")
        # The environment that PID 1 has is the image's alone: what entering needs goes as arguments of `env`.
        self.process = subprocess.Popen(
            [*self.root._entering("--net", "--ipc", "--uts"), "/usr/bin/env", "-i",
             *(f"{name}={value}" for name, value in self.env.items()), *self.stage.entrypoint, *self.stage.command],
            env={"PATH": os.environ["PATH"], "WORK": str(self.root.work), "IDENTITY": self.identity, "LOOPBACK": "yes"},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.pid = eventually(self._first, 20, f"PID 1 ({self.log_text()})")
        return self

    def _first(self):
        """PID 1, once it is the program itself; its pid outside."""
        assert self.process.poll() is None, self.log_text()
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        name = pathlib.Path(self.stage.entrypoint[0]).name
        return next((int(p) for p in children if pathlib.Path(f"/proc/{p}/comm").read_text().strip() == name), None)

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def execute(self, *command, timeout=60):
        """A command inside, as the image's user with its environment: `docker exec`, and how a HEALTHCHECK is run."""
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd=/",
             "chroot", self.identity, "/", "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in self.env.items()),
             *command], capture_output=True, text=True, timeout=timeout)

    def processes(self):
        """Everything in its pid namespace, as (pid, state, parent) outside."""
        own = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if int(entry.name) and os.readlink(entry / "ns/pid") == own:
                    fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
                    found.append((int(entry.name), fields[0], int(fields[1])))
        return found

    @contextlib.contextmanager
    def network(self):
        """The calling thread is in its network meanwhile, and every thread and process that it starts."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, open(f"/proc/{self.pid}/ns/net") as inside:
            assert libc.setns(inside.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0
