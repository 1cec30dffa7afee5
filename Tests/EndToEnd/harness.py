"""Drives the built program from outside: over HTTP, signals, the command line and a notify socket."""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import httpx

BIN = os.environ["STOKER_TEST_BIN"]
STAND_IN = os.environ.get("STOKER_TEST_STAND_IN", "")
ADDRESSES = {"STOKER_LISTEN": "127.0.0.1:0", "STOKER_ADMIN_LISTEN": "127.0.0.1:0"}
MODELS = pathlib.Path(os.environ.get("STOKER_TEST_MODELS", "."))
VLLM = os.environ.get("STOKER_TEST_VLLM", "")
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "Fixtures"

REAL_ENV = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_CI_ENV": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
REAL_ARGS = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
REAL_START = 280  # seconds, on a busy machine


def eventually(condition, within=10.0, what="the condition"):
    """Waits until `condition()` returns something true, and returns that; fails with its last value after `within` s."""
    deadline = time.monotonic() + within
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (httpx.HTTPError, OSError, KeyError, IndexError, ValueError) as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {within} s; last seen: {last!r}")


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def started_by(marker, folder, sessions):
    """Every living process whose environment carries the marker, whose command line names the folder, or which is in
    one of the sessions: whole trees, whoever their parents are, and the gateway. (A vLLM process that renames itself
    overwrites its environment, so the marker alone does not find it.)"""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                traces = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                is_ours = marker.encode() in traces or str(folder).encode() in traces or os.getsid(pid) in sessions
                if is_ours and alive(pid):
                    found.append(pid)
    return sorted(found)


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def install(source, target, more=b""):
    """Puts a program where another one is, as a package does: by rename. Other bytes make it another program."""
    target = pathlib.Path(target)
    draft = target.with_name(target.name + ".draft")
    shutil.copyfile(source, draft)
    with open(draft, "ab") as file:
        file.write(more)
    draft.chmod(0o755)
    draft.rename(target)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class NotifySocket:
    """systemd's end of sd_notify: remembers every message."""

    def __init__(self, path):
        self.path = path
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            self.messages.extend((time.monotonic(), line) for line in text.splitlines())

    def lines(self):
        return [line for _, line in self.messages]

    def close(self):
        self.socket.close()


class Stoker:
    """One daemon with directories of its own, and what tests ask of it."""

    def __init__(self, config=None, env=None, key="test-master-key", notify=False, own_program=False):
        # Not pytest's own folder: a Unix socket's path has 107 bytes at most.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
        self.key = key
        self.config = config
        self.marker = f"STOKER_TEST_RUN={self.folder.name}"
        self.log_path = self.folder / "stoker.log"
        self.notify = NotifySocket(str(self.folder / "notify")) if notify else None
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "STATE_DIRECTORY": str(self.folder / "state"),
            "RUNTIME_DIRECTORY": str(self.folder / "run"),
            "STOKER_LOG": "text",
            # No STOKER_ name: those never reach an engine, and this one has to, so that its tree is found again.
            "TEST_RUN_MARKER": self.marker,
        }
        if key is not None:
            self.env["STOKER_MASTER_KEY"] = key
        if self.notify:
            self.env["NOTIFY_SOCKET"] = self.notify.path
        self.env.update(env or {})
        self.process = None
        self.sessions = set()
        self._gateway = None
        self.program = pathlib.Path(BIN)
        if own_program:
            # A copy that a test may replace.
            self.program = self.folder / "stoker"
            install(BIN, self.program)

    # -- life

    def start(self):
        arguments = [str(self.program), "run"]
        if self.config is not None:
            (self.folder / "stoker.yaml").write_text(self.config)
            arguments += ["--config", str(self.folder / "stoker.yaml")]
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            arguments, env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True
        )
        eventually(self._answers, 20, f"the daemon's first answer (its log: {self.log_text()[-2000:]})")
        self._gateway = None
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon exited with {self.process.returncode}:\n{self.log_text()}")
        return self.status()["gateway"]["pid"]

    def stop(self, within=90):
        """SIGTERM, and its exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def close(self):
        """Ends what is left, by pid, and says what the daemon did not end itself."""
        left = []
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        except subprocess.TimeoutExpired:
            left.append(f"the daemon itself ({self.process.pid}) did not stop")
            self.process.kill()
            self.process.wait()
        finally:
            for pid in self.processes():
                left.append(f"{pid} {command_line(pid)}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.notify:
                self.notify.close()
            if self.process:
                self.log.close()
        text = self.log_text()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not left, f"left behind: {left}\n{text[-3000:]}"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- {self.log_path}\n{self.log_text()[-6000:]}")
        self.close()

    def processes(self):
        """Everything that this daemon is or has started and that lives."""
        return started_by(self.marker, self.folder, self.sessions)

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # -- asking

    @property
    def admin_socket(self):
        return str(self.folder / "run" / "admin.sock")

    def admin(self, method="GET", path="/api/v1/status", **options):
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.admin_socket), timeout=120) as client:
            return client.request(method, f"http://localhost{path}", **options)

    def status(self):
        report = self.admin().json()
        # A launched head leads a session of its own.
        self.sessions |= {
            i["pid"] for p in report["providers"] if p["kind"] == "launched" for i in p["instances"] if i["pid"]
        }
        return report

    def instance(self, name):
        for provider in self.status()["providers"]:
            for instance in provider["instances"]:
                if instance["id"] == name:
                    return instance
        raise KeyError(name)

    def wait_state(self, name, *states, within=30.0):
        return eventually(
            lambda: (found := self.instance(name))["state"] in states and found,
            within,
            f"{name} in state {' or '.join(states)} (status: {self._brief()})",
        )

    def _brief(self):
        try:
            return [
                (i["id"], i["state"], i["reason"]) for p in self.status()["providers"] for i in p["instances"]
            ]
        except Exception as error:
            return repr(error)

    @property
    def gateway(self):
        if self._gateway is None:
            self._gateway = next(a for a in self.status()["gateway"]["listen"] if not a.startswith("unix:"))
        return f"http://{self._gateway}"

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def get(self, path, **options):
        return httpx.get(self.gateway + path, headers={**self.headers, **options.pop("headers", {})}, timeout=120, **options)

    def post(self, path, body, **options):
        return httpx.post(
            self.gateway + path, json=body, headers={**self.headers, **options.pop("headers", {})}, timeout=120, **options
        )

    def models(self):
        return [card["id"] for card in self.get("/v1/models").json()["data"]]

    def cli(self, *arguments, **options):
        return subprocess.run(
            [BIN, *arguments], env=self.env, capture_output=True, text=True, timeout=options.pop("timeout", 60), **options
        )


def command(folder, *arguments, env=None, config=None, within=60):
    """A command with directories of its own; configuration text becomes `stoker.yaml`."""
    if config is not None:
        (folder / "stoker.yaml").write_text(config)
        arguments = (*arguments, "--config", "stoker.yaml")
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "STATE_DIRECTORY": str(folder / "state"),
            "RUNTIME_DIRECTORY": str(folder / "run"), "STOKER_LOG": "text"}
    return subprocess.run([BIN, *arguments], env={**base, **(env or {})}, cwd=folder, capture_output=True, text=True,
                          timeout=within, stdin=subprocess.DEVNULL)


def admin_address(stoker):
    """The admin side's TCP address, which the log tells."""
    found = re.search(r"The admin side listens.*?(127\.0\.0\.1:\d+)", stoker.log_text())
    return f"http://{found.group(1)}"


@dataclasses.dataclass
class Answer:
    """One HTTP response as it came over the wire."""

    status: int
    version: str
    fields: list  # (name, value), as they came
    body: bytes
    raw: bytes

    def field(self, name):
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The error's code; that of vLLM's own errors is a number."""
        return self.json()["error"].get("code")


class Wire:
    """A client's connection, byte by byte. `address` is `host:port` or `unix:/path`."""

    def __init__(self, address, within=20, receive_buffer=None):
        address = address.removeprefix("http://")
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            target = address[5:]
        else:
            self.socket = socket.socket()
            host, port = address.rsplit(":", 1)
            target = (host, int(port))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(within)
        self.socket.connect(target)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    close = __exit__

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def more(self):
        """Reads once; false at the connection's end, also when that is a reset."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError(f"the connection ended; so far: {self.buffer[-300:]!r}")
        at = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:at], self.buffer[at:]
        return found

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise EOFError(f"the connection ended; so far: {self.buffer[-300:]!r}")
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def rest(self):
        """Everything until the connection's end."""
        while self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def head(self):
        """A response's head: status, version, fields, raw bytes."""
        raw = self.until(b"\r\n\r\n")
        start, *lines = raw[:-4].decode("latin-1").split("\r\n")
        fields = [tuple(line.split(":", 1)) for line in lines]
        return int(start.split(" ")[1]), start.split(" ")[0], [(k, v.strip()) for k, v in fields], raw

    def chunk(self):
        """The payload of one chunk; empty for the last one, whose trailers are read, too."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            while self.until(b"\r\n") != b"\r\n":
                pass
            return b""
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def answer(self, to_head=False):
        """A whole response."""
        status, version, fields, raw = self.head()
        answer = Answer(status, version, fields, b"", raw)
        if to_head or status < 200 or status in (204, 304):
            return answer
        if answer.field("transfer-encoding"):
            while piece := self.chunk():
                answer.body += piece
        elif answer.field("content-length"):
            answer.body = self.exactly(int(answer.field("content-length")))
        else:
            answer.body = self.rest()
        return answer


def ask(address, request, to_head=False):
    """One request on a connection of its own."""
    with Wire(address) as wire:
        return wire.send(request).answer(to_head)


def stand_in(endpoint, what):
    """What a stand-in tells about itself: `requests`, `stats`, `options` or `environment`."""
    # Not by httpx: a client of its takes longer to make than the answer to come.
    answer = ask(endpoint.removesuffix("/v1"), f"GET /stand-in/{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return answer.json()


def received(endpoints, request_id):
    """The requests with this id that reached stand-ins: their bodies decoded, their fields as (name, value)."""
    found = []
    for endpoint in endpoints:
        for request in stand_in(endpoint, "requests")["requests"]:
            fields = [tuple(field) for field in request["headers"]]
            if ("x-request-id", request_id) in [(name.lower(), value) for name, value in fields]:
                request["fields"] = fields
                request["named"] = {name.lower(): value for name, value in fields}
                request["body"] = base64.b64decode(request["body"])
                found.append(request)
    return found


class StandInVenv:
    """A folder that looks like a virtual environment with a vLLM, but runs the stand-in; its faults are a JSON file."""

    def __init__(self, folder, version="0.32.0"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([FIXTURES / "make-fake-venv", self.folder / "venv", STAND_IN, version], check=True, capture_output=True)
        self.control = self.folder / "control.json"

    @property
    def vllm(self):
        return str(self.folder / "venv" / "bin" / "vllm")

    def faults(self, **faults):
        """Replaces the faults, at once and for all servers of this folder."""
        draft = self.control.with_suffix(".draft")
        draft.write_text(json.dumps(faults))
        draft.rename(self.control)

    def provider(self, name="chat", model="org/m", **keys):
        """A launched provider's YAML."""
        lines = {
            "model": model,
            "command": json.dumps([self.vllm, "serve"]),
            "gpus": 0,
            "env": json.dumps({"STANDIN_CONTROL": str(self.control)}),
            **keys,
        }
        return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())

    @contextlib.contextmanager
    def server(self, *arguments, model="org/m", env=None):
        """A stand-in of its own on a port, for attaching; yields its base URL."""
        port = free_port()
        process = subprocess.Popen(
            [STAND_IN, "serve", model, "--host", "127.0.0.1", "--port", str(port), *arguments],
            env={"PATH": os.environ["PATH"], "STANDIN_CONTROL": str(self.control), **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/health").status_code, 15, "the stand-in")
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def real_server(model="tiny-llama", served="tiny/llama", arguments=(), env=None):
    """A real `vllm serve` that is not Stoker's, for attaching; yields (base URL, process)."""
    port = free_port()
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [VLLM, "serve", str(MODELS / model), "--served-model-name", served, *REAL_ARGS, "--host", "127.0.0.1",
         "--port", str(port), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), **REAL_ENV, **(env or {})},
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def real_provider(name, model="tiny-llama", served="tiny/llama", extra=(), **keys):
    """A launched provider's YAML for the real vLLM."""
    lines = {
        "model": str(MODELS / model),
        "command": json.dumps([VLLM, "serve"]),
        "gpus": 0,
        "args": json.dumps(["--served-model-name", served, *REAL_ARGS, *extra]),
        "env": json.dumps(REAL_ENV),
        **keys,
    }
    return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())


def config(providers, **keys):
    """A configuration with addresses of the kernel's choice."""
    base = {"listen": "127.0.0.1:0", "admin": "{ listen: 127.0.0.1:0 }", **keys}
    text = "".join(f"{key}: {value}\n" for key, value in base.items())
    return text + ("providers:\n" + "".join(providers) if providers else "")


def events(response):
    """Server-sent events of a streaming response as (event, data) pairs, as they come."""
    event, data = None, []
    for line in response.iter_lines():
        if line == "":
            if data:
                yield event, "\n".join(data)
            event, data = None, []
        elif line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
    if data:
        yield event, "\n".join(data)
