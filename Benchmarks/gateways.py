"""How each gateway is started, and which of its processes do the work."""

import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

KEY = "benchmark-key"


def wait_for(port, seconds=90):
    """Waits until something listens on a port of the loopback."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def children(pid):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == pid:
            found.append(int(text.split()[0]))
    return found


def pin(pid, cores):
    """Keeps a process and all its threads on some cores."""
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(task), cores)
        except ProcessLookupError:
            pass


class Gateway:
    """A gateway that runs: its port, and the processes whose time and memory count."""

    name = ""
    loops = 1
    # Whether a stream's bytes leave as they came, so that chunks can be counted by bytes.
    verbatim = True

    def __init__(self, folder, port, upstream, cores, other_cores):
        self.folder = os.path.join(folder, f"{self.name.replace(' ', '-')}-{port}")
        os.makedirs(self.folder, exist_ok=True)
        self.port, self.upstream = port, upstream
        self.cores, self.other_cores = cores, other_cores
        self.workers = []

    def launch(self, command, **more):
        log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        wait_for(self.port)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def seconds(self):
        """Processor time of the workers so far, by the scheduler's own clock where it is told."""
        total = 0.0
        for pid in self.workers:
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(path) as file:
                    total += int(file.read().split()[0]) / 1e9
        return total

    def sleeps(self):
        """How often the workers have gone to sleep so far."""
        total = 0
        for pid in self.workers:
            for path in glob.glob(f"/proc/{pid}/task/*/status"):
                with open(path) as file:
                    total += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
        return total

    def memory(self):
        """Resident memory of the workers, in KiB."""
        total = 0
        for pid in self.workers:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        return total

    process = None

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Gateway):
    name = "nginx"

    @staticmethod
    def installed():
        return shutil.which("nginx")

    def config(self, master):
        here = self.folder
        return self.write("nginx.conf", f"""
daemon off; master_process {"on" if master else "off"}; worker_processes 1; user root;
pid {here}/pid; error_log {here}/error.log warn;
events {{ worker_connections 16384; use epoll; }}
http {{
  access_log off; tcp_nodelay on;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  client_body_buffer_size 2m; client_max_body_size 64m;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  upstream engine {{
    server 127.0.0.1:{self.upstream}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=8192;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s;
    }}
  }}
}}
""")

    def start(self):
        self.launch(["nginx", "-c", self.config(True)])
        while not self.workers:
            time.sleep(0.1)
            self.workers = children(self.process.pid)
        for pid in self.workers:
            pin(pid, self.cores)

    def counted(self, tool):
        self.launch(tool + ["nginx", "-c", self.config(False)])


class HAProxy(Gateway):
    name = "HAProxy"

    @staticmethod
    def installed():
        return shutil.which("haproxy")

    def config(self):
        return self.write("haproxy.cfg", f"""
global
  maxconn 8000
  nbthread 1
defaults
  mode http
  option http-no-delay
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend here
  bind 127.0.0.1:{self.port}
  default_backend engine
backend engine
  server engine 127.0.0.1:{self.upstream}
""")

    def start(self):
        self.launch(["haproxy", "-f", self.config(), "-db"])
        self.workers = [self.process.pid]
        pin(self.process.pid, self.cores)

    def counted(self, tool):
        self.launch(tool + ["haproxy", "-f", self.config(), "-db"])


class Stoker(Gateway):
    """The real daemon, attached to the stand-in: only its worker's time counts, only the worker is pinned."""

    name = "Stoker"
    loops = 1
    program = ""

    @staticmethod
    def installed():
        return Stoker.program

    def start(self):
        config = self.write("stoker.yaml", f"""
listen: 127.0.0.1:{self.port}
admin: {{ listen: "unix:{self.folder}/admin.sock" }}
master_key: {KEY}
mode: attach-only
providers:
  vllm: {{ base_url: "http://127.0.0.1:{self.upstream}/v1", api_key: upstream-key }}
limits: {{ body: 64MiB }}
gateway: {{ loops: {self.loops} }}
""")
        for name in ("state", "run"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder,
                       "STATE_DIRECTORY": f"{self.folder}/state", "RUNTIME_DIRECTORY": f"{self.folder}/run"}
        self.launch([self.program, "run", "--config", config], env=environment)
        pin(self.process.pid, self.other_cores)
        end = time.monotonic() + 30
        while not self.answers():
            if time.monotonic() > end:
                raise SystemExit("Stoker did not become ready; see " + self.folder)
            time.sleep(0.1)
        self.workers = [pid for pid in children(self.process.pid) if self.is_worker(pid)]
        if len(self.workers) != 1:
            raise SystemExit(f"Stoker has not one worker but {self.workers}; see {self.folder}")
        pin(self.workers[0], self.cores)
        # A little more than the first report, so that starting up is over.
        time.sleep(1.5)

    @staticmethod
    def is_worker(pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"gateway" in file.read().split(b"\0")

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as peer:
            peer.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return peer.recv(100).startswith(b"HTTP/1.1 200")

    def counted(self, tool):
        """The worker alone, with the snapshot that the real daemon gave its own worker."""
        self.start()
        snapshot = self.take_over_registry()
        os.kill(self.workers[0], signal.SIGKILL)
        self.serve_registry(snapshot)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        for _ in range(50):
            try:
                listener.bind(("127.0.0.1", self.port))
                break
            except OSError:
                time.sleep(0.1)
        listener.listen(1024)
        log = open(os.path.join(self.folder, "counted.log"), "w")
        self.process = subprocess.Popen(
            tool + [self.program, "gateway", "--registry", f"{self.folder}/counted.sock", "--loops", str(self.loops),
                    "--listener", f"{listener.fileno()}=127.0.0.1:{self.port}"],
            pass_fds=[listener.fileno()], stdout=log, stderr=log)
        listener.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.answers():
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit("the counted worker did not become ready; see " + self.folder)

    def take_over_registry(self):
        """Ends the supervisor the hard way: its worker goes on, dials again, and says what it routes by."""
        self.process.kill()
        self.process.wait()
        path = f"{self.folder}/run/registry.sock"
        if os.path.exists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(1)
        server.settimeout(30)
        peer, _ = server.accept()
        length = struct.unpack(">I", receive(peer, 4))[0]
        return json.loads(receive(peer, length))["hello"]["_0"]["applied"]

    def serve_registry(self, snapshot):
        import threading
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{self.folder}/counted.sock")
        server.listen(4)
        message = json.dumps({"snapshot": {"_0": snapshot}}).encode()

        def serve():
            while True:
                peer, _ = server.accept()
                peer.sendall(struct.pack(">I", len(message)) + message)
                threading.Thread(target=lambda: [None for _ in iter(lambda: peer.recv(65536), b"")], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()


class StokerTwoLoops(Stoker):
    name = "Stoker 2 loops"
    loops = 2


class StokerOther(Stoker):
    """Another build, to be compared in the same rounds."""

    name = "Stoker other build"
    program = ""


class Other(Gateway):
    """A router for language models, from an environment of its own that scripts/bench-deps --others makes."""

    program = ""
    verbatim = False

    @classmethod
    def installed(cls):
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        dev = os.environ.get("STOKER_DEV_DIR") or os.path.join(cache, "stoker-dev")
        path = os.path.join(dev, "bench", cls.program, "bin", cls.program)
        return path if os.access(path, os.X_OK) else shutil.which(cls.program)

    def start(self):
        self.launch([self.installed(), *self.words()], cwd=self.folder)
        time.sleep(3)
        self.workers = [self.process.pid] + children(self.process.pid)
        for pid in self.workers:
            pin(pid, self.cores)

    def words(self):
        raise NotImplementedError


class VllmRouter(Other):
    name = program = "vllm-router"

    def words(self):
        return ["--worker-urls", f"http://127.0.0.1:{self.upstream}", "--host", "127.0.0.1", "--port", str(self.port),
                "--prometheus-port", str(self.port + 2000)]


class SglangRouter(VllmRouter):
    name = program = "sglang-router"

    def words(self):
        return ["launch", *super().words()]


class LiteLLM(Other):
    name, program = "LiteLLM", "litellm"

    def words(self):
        config = self.write("litellm.yaml", f"""
model_list:
  - model_name: vllm/org/model
    litellm_params: {{ model: openai/org/model, api_base: "http://127.0.0.1:{self.upstream}/v1", api_key: none }}
general_settings: {{ master_key: {KEY} }}
""")
        return ["--config", config, "--host", "127.0.0.1", "--port", str(self.port)]


OTHERS = [VllmRouter, SglangRouter, LiteLLM]


def receive(peer, count):
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise SystemExit("the registry's connection ended")
        data += more
    return data
