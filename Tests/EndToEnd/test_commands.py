"""The command line, from outside: what it prints, and its exit codes."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import httpx
import pytest

import harness
from harness import BIN, Stoker, admin_address, command, eventually

STATUS = {"version", "mode", "ready", "ready_reason", "uptime_seconds", "revision", "gateway", "providers"}
GATEWAY = {"pid", "inflight", "requests_total"}
INSTANCE = {"id", "state", "since", "reason", "pid", "restarts", "endpoint", "gpus", "models", "inflight", "checks", "last_failure", "load"}


@pytest.fixture(scope="module")
def stoker():
    with tempfile.TemporaryDirectory(prefix="sv-", dir="/tmp") as name:
        venv = harness.StandInVenv(name)
        with venv.server(model="org/box") as url:
            providers = [venv.provider("chat", restart="{ backoff: 50ms..1s }"), f"  box: {{ base_url: {url} }}\n"]
            with Stoker(harness.config(providers, ready_when="all")) as daemon:
                daemon.wait_state("chat-0", "ready")
                daemon.wait_state("box", "ready")
                yield daemon


def test_status_is_the_admin_sides_status(stoker):
    told = json.loads(stoker.cli("status", "--json").stdout)
    asked = stoker.status()
    assert STATUS <= set(told) and GATEWAY <= set(told["gateway"])
    assert [p["name"] for p in told["providers"]] == ["box", "chat"]
    assert [p["kind"] for p in told["providers"]] == ["attached", "launched"]

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return [shape(item) for item in value] if isinstance(value, list) else "leaf"

    assert shape(told) == shape(asked)
    for provider in told["providers"]:
        for instance in provider["instances"]:
            assert INSTANCE <= set(instance), INSTANCE - set(instance)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", instance["since"])
            signals = {check["signal"] for check in instance["checks"]}
            assert signals <= {"process", "health", "models", "progress", "canary"} and {"health", "models"} <= signals
            for check in instance["checks"]:
                assert {"signal", "ok", "age_seconds", "detail"} <= set(check)
    chat = told["providers"][1]["instances"][0]
    assert {"running", "waiting", "kv_cache_usage", "tokens_per_second"} <= set(chat["load"])
    table = stoker.cli("status")
    assert table.returncode == 0 and "chat-0" in table.stdout and "ready" in table.stdout and "\x1b" not in table.stdout


def test_probe_version_help(stoker, folder):
    assert stoker.cli("probe").returncode == 0 and stoker.cli("probe", "--ready").returncode == 0
    version = stoker.cli("version")
    assert version.returncode == 0 and stoker.status()["version"] in version.stdout
    commands = ["run", "check", "status", "start", "stop", "restart", "drain", "undrain", "logs", "attach", "detach", "reload",
                "probe", "token", "version", "sweep"]
    top = stoker.cli("--help").stdout
    for name in commands:
        if name != "sweep":
            assert f"  {name} " in top, name
        shown = stoker.cli(name, "--help")
        assert shown.returncode == 0 and "USAGE" in shown.stdout.upper()
    for shell in ("bash", "zsh", "fish"):
        script = stoker.cli("--generate-completion-script", shell)
        assert script.returncode == 0 and "undrain" in script.stdout


@pytest.mark.parametrize(
    "arguments,code",
    [
        (["nonsense"], 2), (["status", "--nonsense"], 2), (["run", "--config"], 2), (["drain"], 2), (["attach", "x"], 2),
        (["logs", "chat-0", "--lines", "-1"], 2), (["logs", "chat-0", "--lines", "x"], 2),
        (["logs", "chat-0", "--follow", "--previous"], 2),
        (["start", "nobody"], 4), (["stop", "nobody"], 4), (["restart", "nobody"], 4), (["drain", "nobody"], 4),
        (["undrain", "nobody"], 4), (["logs", "nobody"], 4), (["detach", "nobody"], 4), (["logs", "../../etc/passwd"], 4),
        (["drain", "chat-0", "--no-wait"], 0), (["undrain", "chat-0"], 0), (["logs", "chat-0"], 0),
        (["logs", "chat"], 0), (["reload", "--plan"], 0), (["version"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(stoker, arguments, code):
    result = stoker.cli(*arguments)
    assert result.returncode == code, result.stdout + result.stderr
    if code:
        assert result.stderr.strip(), "it says why"


def test_no_daemon_is_exit_3(folder):
    for arguments in (["status"], ["status", "--json"], ["start", "x"], ["logs", "x"], ["probe"], ["probe", "--ready"],
                      ["reload"], ["attach", "x", "http://h"], ["detach", "x"]):
        result = command(folder, *arguments)
        assert result.returncode == 3, arguments
        assert "stoker run" in result.stderr or "systemctl start" in result.stderr


def test_attach_that_cannot_be(stoker):
    for name, url in [("chat", "http://h"), ("chat-0", "http://h"), ("Bad_Name", "http://h"), ("x", "nonsense"), ("x", "ftp://h")]:
        result = stoker.cli("attach", name, url)
        assert result.returncode == (1 if name.startswith("chat") else 2) and result.stderr.strip(), (name, url)
    assert [p["name"] for p in stoker.status()["providers"]] == ["box", "chat"]


def test_attach_sends_no_server_our_own_keys_and_opens_no_pipe(stoker, tmp_path):
    master, pipe = tmp_path / "master", tmp_path / "pipe"
    master.write_text(stoker.key + "\n")
    os.mkfifo(pipe)
    for file, why in ((master, "the gateway's master key or the admin token"),
                      (stoker.folder / "state" / "admin.token", "the gateway's master key or the admin token"),
                      (pipe, "an ordinary file")):
        result = stoker.cli("attach", "more", "http://127.0.0.1:9", "--api-key-file", str(file))
        assert result.returncode == 2 and why in result.stderr, (file, result)
        assert stoker.key not in result.stderr
    assert [p["name"] for p in stoker.status()["providers"]] == ["box", "chat"]


def test_logs(stoker):
    everything = stoker.cli("logs", "chat-0").stdout
    assert "org/m" in everything
    last = stoker.cli("logs", "chat-0", "--lines", "2").stdout
    assert last.count("\n") == 2 and everything.rstrip("\n").endswith(last.rstrip("\n")[-20:])
    assert stoker.cli("logs", "chat-0", "--lines", "0").stdout == ""
    assert stoker.cli("logs", "box").returncode in (1, 4), "an attached server's output is its own"
    pid = stoker.instance("chat-0")["pid"]
    follower = subprocess.Popen([BIN, "logs", "chat-0", "--follow"], env=stoker.env, stdout=subprocess.PIPE, text=True)
    try:
        os.kill(pid, signal.SIGKILL)
        run = eventually(lambda: (i := stoker.instance("chat-0"))["state"] == "ready" and i["pid"] != pid and i, 20, "run 2")
        os.set_blocking(follower.stdout.fileno(), False)
        seen = []
        eventually(lambda: seen.append(follower.stdout.read() or "") or f"{run['pid']}" in "".join(seen), 10, "the next run's output")
    finally:
        follower.terminate()
        follower.wait(10)
    previous = stoker.cli("logs", "chat-0", "--previous")
    assert previous.returncode == 0 and previous.stdout


def test_the_token_opens_the_admin_side(stoker):
    token = stoker.cli("token").stdout.strip()
    assert len(token) >= 16 and token not in stoker.log_text()
    path = pathlib.Path(stoker.env["STATE_DIRECTORY"]) / "admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    url = admin_address(stoker)
    for method, path in [
        ("POST", "/api/v1/instances/chat-0/drain"), ("POST", "/api/v1/instances/chat-0/undrain"), ("POST", "/api/v1/reload"),
        ("PUT", "/api/v1/instances/x"), ("DELETE", "/api/v1/instances/x"), ("GET", "/api/v1/instances/chat-0/logs"),
    ]:
        for headers in ({}, {"Authorization": "Bearer nope"}, {"Authorization": f"Bearer {stoker.key}"}, {"x-api-key": token}):
            answer = httpx.request(method, url + path, headers=headers, timeout=30)
            assert answer.status_code == 401, (method, path, headers)
    allowed = {"Authorization": f"Bearer {token}"}
    assert httpx.get(url + "/api/v1/instances/chat-0/logs", headers=allowed, timeout=30).status_code == 200
    for verb in ("drain", "undrain"):
        assert httpx.post(f"{url}/api/v1/instances/chat-0/{verb}", headers=allowed, timeout=30).status_code == 200
    for path in ("/", "/api/v1/status", "/metrics", "/healthz", "/readyz"):
        assert httpx.get(url + path, timeout=30).status_code == 200, path
    assert httpx.get(url + "/api/v1/status", headers={"Host": "evil.example"}, timeout=30).status_code == 403
    crossed = httpx.post(url + "/api/v1/instances/chat-0/undrain", headers={**allowed, "Origin": "http://evil.example"}, timeout=30)
    assert crossed.status_code == 403
    foreign = httpx.get(stoker.gateway + "/v1/models", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert foreign.status_code == 401, "the admin token is no master key"
    assert stoker.wait_state("chat-0", "ready")
