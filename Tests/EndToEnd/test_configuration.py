"""The configuration, from outside: what is said when something is wrong, and what the environment means."""

import contextlib
import json
import os
import re
import socket
import subprocess

import pytest

import harness
from harness import ADDRESSES, Stoker, command, eventually


# -- Wrong configurations

WRONG = """\
listen: [127.0.0.1:0, 127.0.0.1:99999]
mode: supervize
masterkey: x
ready_when: 5
health: { interval: 2 }
limits:
  body: 32M
  body: 1MiB
providers:
  Chat: { model: a }
  one: { model: a, base_url: http://x }
  two: {}
  three: { model: b, args: [--host, x, --api-key=k], replica: 2 }
  four: { model: b, command: [docker, run] }
  five: { base_url: "http://user:p4ss@h/v1" }
  six: { base_url: "http://h", api_key: "${NOPE}" }
"""
PROBLEMS = [
    (1, 23, "listen[1]", ["99999"]),
    (2, 7, "mode", ["did you mean supervise?"]),
    (3, 1, "masterkey", ["did you mean master_key?"]),
    (4, 13, "ready_when", ["any, all, listening"]),
    (5, 21, "health.interval", ["unit"]),
    (7, 9, "limits.body", ["MiB"]),
    (8, 3, "limits.body", ["duplicate", "line 7"]),
    (10, 3, "providers.Chat", ["a-z, 0-9"]),
    (11, 30, "providers.one.base_url", ["model", "attached"]),
    (12, 3, "providers.two", ["neither model", "base_url"]),
    (13, 29, "providers.three.args[0]", ["--host", "transport"]),
    (13, 40, "providers.three.args[2]", ["--api-key", "master_key"]),
    (13, 54, "providers.three.replica", ["did you mean replicas?"]),
    (14, 31, "providers.four.command[0]", ["docker", "base_url"]),
    (15, 21, "providers.five.base_url", ["api_key"]),
    (16, 41, "providers.six.api_key", ["NOPE", ":-"]),
]


@pytest.mark.parametrize("verb", ["check", "run"])
def test_every_problem_is_listed_with_its_place(folder, verb):
    result = command(folder, verb, config=WRONG)
    assert result.returncode == 2
    text = result.stdout if verb == "check" else result.stderr
    lines = [line for line in text.splitlines() if line.startswith("stoker.yaml:")]
    found = [re.fullmatch(r"stoker\.yaml:(\d+):(\d+): ([^:]+): (.*)", line).groups() for line in lines]
    assert [(int(line), int(column), path) for line, column, path, _ in found] == [p[:3] for p in PROBLEMS]
    for (*_, message), (*_, words) in zip(found, PROBLEMS):
        for word in words:
            assert word in message
    assert "p4ss" not in result.stdout + result.stderr
    assert not (folder / "state").exists(), "nothing was begun"


@pytest.mark.parametrize(
    "config,place,words",
    [
        ("listen: 0.0.0.0:0\n", "1:9: listen", ["master_key_file", "allow_unauthenticated: true"]),
        ("listen: '[::]:0'\n", "1:9: listen", ["master_key_file", "allow_unauthenticated: true"]),
        ("mode: attach-only\nproviders: { a: { model: b } }\n", "2:26: providers.a.model", ["attach-only", "base_url"]),
        ("master_key_file: /nonexistent/key\n", "1:18: master_key_file", ["No such file", "create it"]),
        ("providers:\n  a: { base_url: http://h, api_key_file: /nonexistent/key }\n", "2:42: providers.a.api_key_file",
         ["No such file", "create it"]),
        ("master_key: ''\n", "1:13: master_key", ["empty"]),
        ("providers:\n  a: { base_url: ftp://h }\n", "2:18: providers.a.base_url", ["http"]),
        ("providers:\n\ta: 1\n", "2:1", ["not YAML"]),
        ("providers: { a: { model: x\n", "", []),
        ("- a\n- b\n", "1:1", []),
        ("listen: unix:" + "/x" * 60 + "\n", "1:9: listen", ["107"]),
    ],
    ids=range(11),
)
def test_each_problem_says_what_to_do(folder, config, place, words):
    result = command(folder, "check", config=config)
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"stoker.yaml:{place}" in result.stdout
    assert "NSCocoaErrorDomain" not in result.stdout
    for word in words:
        assert word in result.stdout


def test_a_file_that_is_not_there_or_is_no_text(folder):
    for verb in ("check", "run"):
        result = command(folder, verb, "--config", "none.yaml")
        assert result.returncode == 2 and "none.yaml:0:0" in result.stdout + result.stderr
        (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
        result = command(folder, verb, "--config", "binary.yaml")
        assert result.returncode == 2 and "UTF-8" in result.stdout + result.stderr


def test_an_unreadable_key_file(folder):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (key := folder / "key").write_text("k")
    key.chmod(0)
    result = command(folder, "check", config=f"master_key_file: {key}\n")
    assert result.returncode == 2 and "Permission denied" in result.stdout and "daemon's user" in result.stdout


def test_check_looks_at_the_machine(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = (
            f"listen: 127.0.0.1:{port}\nadmin: {{ listen: 127.0.0.1:0 }}\nproviders:\n"
            "  a: { model: org/m, gpus: 0, command: [/nonexistent/vllm, serve] }\n"
            "  b: { model: /nonexistent/model, gpus: 0, command: [no-such-vllm, serve] }\n"
        )
        result = command(folder, "check", config=config)
        assert result.returncode == 2
        for place, words in [
            ("1:1: listen", [str(port), f"pid {os.getpid()} (", "ss -ltnp", "listen"]),
            ("4:3: providers.a.command", ["/nonexistent/vllm", "pip install vllm"]),
            ("5:3: providers.b.command", ["no-such-vllm", "PATH", "command: ["]),
            ("5:3: providers.b.model", ["/nonexistent/model", "check the path"]),
        ]:
            line = next(line for line in result.stdout.splitlines() if line.startswith(f"stoker.yaml:{place}"))
            for word in words:
                assert word in line, line


def test_check_of_what_is_in_order(folder):
    config = "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nproviders:\n  a: { base_url: http://127.0.0.1:9 }\n"
    result = command(folder, "check", config=config)
    assert (result.returncode, result.stdout) == (0, "") and "in order" in result.stderr
    warned = command(folder, "check", config=config, env={"VLLM_NOBODY_API_KEY": "s3cret"})
    assert warned.returncode == 0 and "VLLM_NOBODY_BASE_URL" in warned.stdout and "s3cret" not in warned.stdout
    assert command(folder, "check", "--strict", config=config, env={"VLLM_NOBODY_API_KEY": "s3cret"}).returncode == 1


NVML = r"""
#include <stdio.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned int pid; unsigned long long used; unsigned int a, b; } process;
static int one;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { *device = &one; return index; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) { *device = &one; return strcmp(uuid, "GPU-1"); }
int nvmlDeviceGetUUID(void *device, char *text, unsigned int size) { return snprintf(text, size, "GPU-1") < 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned int size) { return snprintf(text, size, "Fake") < 0; }
int nvmlDeviceGetMemoryInfo(void *device, memory *m) { m->total = 24ull << 30; m->free = 10ull << 30; m->used = 14ull << 30; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process *list) {
    list[0].pid = 1; list[0].used = 14ull << 30; *count = 1; return 0;
}
"""


def test_check_holds_models_against_gpus(folder, venv):
    """A machine with one GPU of 24 GiB, of which process 1 has 14; weights are files with holes."""
    (folder / "nvml.c").write_text(NVML)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", folder / "nvml.c"], check=True)
    for name, size in (("small", 8), ("large", 30)):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text('{"torch_dtype": "bfloat16"}')
        with open(folder / name / "model.safetensors", "wb") as file:
            file.truncate(size << 30)
    (folder / "key").write_text("a-key\n")
    (folder / "key").chmod(0o644)

    def check(model, *arguments, env=None, more=""):
        config = (f"listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nmaster_key_file: {folder}/key\nproviders:\n"
                  f"  chat:\n    model: {model}\n    command: [{venv.vllm}, serve]\n{more}")
        done = command(folder, "check", *arguments, config=config, env={"LD_LIBRARY_PATH": str(folder), **(env or {})})
        return done, done.stdout + done.stderr

    done, text = check(folder / "large")
    assert done.returncode == 2
    assert "stoker.yaml:6:5: providers.chat.model: the weights take 30.0 GiB of each GPU and vLLM may use 22.1 GiB" in text
    done, text = check(folder / "small")
    assert done.returncode == 0 and "GPU 0: Fake, 24.0 GiB" in text and "8.0 GiB of weights" in text
    assert "providers.chat.gpus: warning: GPU 0 has 10.0 GiB of 24.0 GiB free and 22.1 GiB will be asked for (pid 1 (" in text
    assert "stoker.yaml:3:1: master_key_file: warning: " in text and "chmod 600" in text
    assert check(folder / "small", "--strict")[0].returncode == 1
    done, text = check(folder / "small", more='    args: ["--gpu-memory-utilization", "0.4"]\n')
    assert "will be asked for" not in text
    done, text = check("org/m", env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0 and f"org/m is not in {folder}/.cache/huggingface/hub and HF_HUB_OFFLINE" in text
    outcome = json.loads(check(folder / "large", "--json")[0].stdout)
    assert outcome["errors"] == 1 and outcome["file"] == "stoker.yaml"
    assert {"severity", "file", "line", "column", "path", "message"} == set(outcome["problems"][0])


# -- Starts that fail


@pytest.mark.parametrize("setting", ["listen", "admin.listen"])
def test_a_taken_port(folder, setting):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {**ADDRESSES, "STOKER_" + setting.upper().replace(".", "_"): f"127.0.0.1:{port}"}
        result = command(folder, "run", env=env)
    assert result.returncode in (1, 2)
    assert f"127.0.0.1:{port} is taken" in result.stderr and "ss -ltnp" in result.stderr and setting in result.stderr
    assert harness.started_by("no marker", folder, set()) == [], "nothing is left"


def test_an_absent_vllm_is_said_and_not_tried_for_ever(folder):
    provider = "  chat: { model: org/m, gpus: 0, command: [/nonexistent/vllm, serve] }\n"
    with Stoker(harness.config([provider])) as stoker:
        instance = stoker.wait_state("chat-0", "failed", within=20)
        told = json.dumps(instance["last_failure"]) + instance["reason"]
        assert "/nonexistent/vllm" in told and ("install" in told or "command" in told)
        refused = stoker.post("/v1/completions", {"model": "chat/org/m", "prompt": "x"})
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_unavailable"
        assert "/nonexistent/vllm" in stoker.cli("status").stdout or "failed" in stoker.cli("status").stdout


def test_an_unreachable_target_and_an_unknown_name(folder):
    port = harness.free_port()
    providers = [f"  box: {{ base_url: 'http://127.0.0.1:{port}' }}\n", "  far: { base_url: 'http://no-such-host.invalid:8000' }\n"]
    with Stoker(harness.config(providers, health="{ interval: 200ms }")) as stoker:
        for name, words in (("box", (str(port), "refused")), ("far", ("no-such-host.invalid", "resolve"))):
            eventually(lambda: any(word in stoker.instance(name)["reason"] for word in words), 20, f"the reason of {name}")
        table = stoker.cli("status").stdout
        assert "box" in table and "far" in table and "connecting" in table
        ready = stoker.get("/ready")
        assert ready.status_code == 503 and ready.json()["reason"]
        assert stoker.cli("probe").returncode == 0
        probe = stoker.cli("probe", "--ready")
        assert probe.returncode == 1 and "not ready" in probe.stderr


def test_a_second_daemon_in_the_same_directories(folder):
    with Stoker(env=ADDRESSES) as stoker:
        second = stoker.cli("run")
        assert second.returncode in (1, 2) and "RUNTIME_DIRECTORY" in second.stderr
        assert stoker.status()["gateway"]["restarts"] == 0
        # With directories of its own it runs beside the first.
        with Stoker(env=ADDRESSES) as other:
            assert other.get("/health").status_code == stoker.get("/health").status_code == 200


# -- The environment's rules


def test_providers_from_the_environment(make_venv):
    venv = make_venv()
    with contextlib.ExitStack() as stack:
        plain, test, box = (stack.enter_context(venv.server(model=f"org/{name}")) for name in ("plain", "test", "box"))
        keyed = stack.enter_context(venv.server(model="org/keyed", env={"VLLM_API_KEY": "k-7"}))
        env = {
            **ADDRESSES,
            "VLLM_BASE_URL": f"{plain}/v1/",
            "VLLM_TEST_BASE_URL": test,
            "VLLM_TEST_BOX_BASE_URL": f"{box}/v1",
            "VLLM_KEYED_BASE_URL": keyed + "/",
            "VLLM_KEYED_API_KEY": "k-7",
            "VLLM_FAR_BASE_URL": f"http://127.0.0.1:{harness.free_port()}",
            "VLLM_FAR_MODELS": "org/far,org/farther",
            "VLLM_ORPHAN_API_KEY": "orphan-secret",
            "VLLM_ORPHAN_MODELS": "a,b",
            "VLLM__BAD_BASE_URL": "http://h",
            "VLLM_LOGGING_LEVEL": "DEBUG",
            "VLLM_USE_V1": "1",
            "VLLM_EMPTY_BASE_URL": "",
            "GOMODEL_MASTER_KEY": "older-name",
        }
        with Stoker(env=env, key=None) as stoker:
            stoker.key = "older-name"
            for name in ("vllm", "vllm-test", "vllm-test-box", "vllm-keyed"):
                stoker.wait_state(name, "ready")
            names = [p["name"] for p in stoker.status()["providers"]]
            assert names == ["vllm", "vllm-far", "vllm-keyed", "vllm-test", "vllm-test-box"]
            assert {p["kind"] for p in stoker.status()["providers"]} == {"attached"}
            assert stoker.models() == ["vllm-keyed/org/keyed", "vllm-test-box/org/box", "vllm-test/org/test", "vllm/org/plain"]
            assert stoker.get("/v1/models/org/far").status_code == 503
            assert stoker.get("/v1/models/vllm-far/org/farther").status_code == 503
            assert stoker.get("/v1/models/org/farthest").status_code == 404
            log = stoker.log_text()
            for warned in ("VLLM_ORPHAN_API_KEY", "VLLM_ORPHAN_MODELS", "VLLM__BAD_BASE_URL"):
                assert warned in log, warned
            for silent in ("VLLM_LOGGING_LEVEL", "VLLM_USE_V1", "VLLM_EMPTY"):
                assert silent not in log, silent
            assert "orphan-secret" not in log and "k-7" not in log


def test_a_key_alone_creates_nothing_and_names_win_over_the_file(folder, make_venv):
    with Stoker(env={**ADDRESSES, "VLLM_API_KEY": "only-a-key"}) as stoker:
        assert stoker.status()["providers"] == [] and "VLLM_API_KEY" in stoker.log_text()
        assert stoker.models() == []
    venv = make_venv()
    with venv.server(model="org/real") as url:
        config = harness.config([f"  vllm-test: {{ base_url: 'http://127.0.0.1:{harness.free_port()}' }}\n"])
        env = {"VLLM_TEST_BASE_URL": url, "STOKER_MASTER_KEY": "newer", "GOMODEL_MASTER_KEY": "older"}
        with Stoker(config, env=env, key="newer") as stoker:
            stoker.wait_state("vllm-test", "ready")
            assert stoker.models() == ["vllm-test/org/real"], "the environment is laid over the file"
            assert stoker.get("/v1/models", headers={"Authorization": "Bearer older"}).status_code == 401


def test_a_base_url_for_a_launched_provider_is_an_error(folder):
    config = "providers:\n  vllm-test: { model: org/m, gpus: 0 }\n"
    result = command(folder, "run", config=config, env={**ADDRESSES, "VLLM_TEST_BASE_URL": "http://h"})
    assert result.returncode == 2 and "VLLM_TEST_BASE_URL" in result.stderr
    both = command(folder, "check", env={"VLLM_A_B_BASE_URL": "http://h", "VLLM_a_b_BASE_URL": "http://i"})
    assert both.returncode == 2 and "vllm-a-b" in both.stdout


def test_an_empty_master_key_is_an_error(folder):
    result = command(folder, "run", env={**ADDRESSES, "STOKER_MASTER_KEY": ""})
    assert result.returncode == 2 and "STOKER_MASTER_KEY" in result.stderr and "empty" in result.stderr


def test_keys_from_files_and_credentials(folder, make_venv):
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "master_key").write_text("from-a-credential\n")
    (credentials / "box_api_key").write_text("box-key\n")
    with make_venv().server(env={"VLLM_API_KEY": "box-key"}) as url:
        config = harness.config([f"  box: {{ base_url: {url} }}\n"])
        with Stoker(config, env={"CREDENTIALS_DIRECTORY": str(credentials)}, key=None) as stoker:
            stoker.key = "from-a-credential"
            stoker.wait_state("box", "ready")
            assert stoker.models() == ["box/org/m"]
            assert stoker.get("/v1/models", headers={"Authorization": "Bearer nope"}).status_code == 401
