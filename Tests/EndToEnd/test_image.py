"""The Dockerfile without Docker: its own steps in a clean Debian root, and what comes of them run as PID 1 of a container.

The build stage's image cannot be had without a registry of images: of that stage it is held that its packages exist and
that it builds as the Makefile does. The program that is copied is the one under test, stripped as the stage would."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import httpx
import pytest

import clean_root
import harness
from harness import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAGES = clean_root.stages(ROOT / "Dockerfile")
KEY = "change-me"

pytestmark = pytest.mark.timeout(900)


def packages(text):
    """What `apt-get install` of a step is given."""
    words = re.search(r"apt-get install ([^&]*)", text).group(1).split()
    return {word for word in words if not word.startswith("-")}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The last stage, built; with the program in place of what the build stage would have left."""
    stage = list(STAGES.values())[-1]
    folder = tmp_path_factory.mktemp("image")
    subprocess.run(["strip", "-o", folder / "stoker", harness.BIN], check=True)
    suite = re.fullmatch(r"debian:(\w+)-slim", stage.base).group(1)
    (folder / "root").mkdir()
    with clean_root.Root(suite, folder / "root") as root:
        for word, text in stage.steps:
            if word == "RUN":
                done = root.step(text)
                assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            else:
                source, target = text.removeprefix("--from=build ").split()
                assert source == "/out/stoker", f"COPY {text}: where does this come from?"
                root.path(target).write_bytes((folder / "stoker").read_bytes())
                root.path(target).chmod(0o755)
        yield root, stage


@pytest.fixture(scope="module")
def container(image, tmp_path_factory):
    root, stage = image
    venv = harness.StandInVenv(tmp_path_factory.mktemp("venv"))
    environment = {"STOKER_MASTER_KEY": KEY, "VLLM_BASE_URL": "http://127.0.0.1:8000/v1"}
    with root.container(stage, environment, tmp_path_factory.mktemp("log") / "log") as container:
        # A stand-in of a vLLM beside it: what Compose's other service would be.
        server = subprocess.Popen(
            ["nsenter", f"--target={container.pid}", "--net", harness.STAND_IN, "serve", "org/m", "--host", "127.0.0.1",
             "--port", "8000"], env={"PATH": os.environ["PATH"], "STANDIN_CONTROL": str(venv.control)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            yield container
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def ask(container, method, path, port=8080, **options):
    with container.network():
        return httpx.request(method, f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {KEY}"},
                             timeout=30, **options)


def test_the_build_stage_builds_as_the_makefile_does():
    release = re.search(r"^RELEASE := (.*)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    command = next(text for word, text in STAGES["build"].steps if word == "RUN" and "swift build" in text)
    assert f"swift build {release} --product stoker" in command and "strip /out/stoker" in command
    needed = re.search(r"^packages=\((.*)\)$", (ROOT / "scripts/deps").read_text(), re.M).group(1).split()
    libraries = {name for name in needed if name.endswith("-dev") or name == "pkg-config"}
    apt = next(text for word, text in STAGES["build"].steps if word == "RUN" and "apt-get" in text)
    assert packages(apt) == libraries
    copied = {text.split()[0] for word, text in STAGES["build"].steps if word == "COPY"}
    assert {"Package.swift", "Sources"} <= copied and all((ROOT / name).exists() for name in copied)


def test_both_images_have_what_the_program_is_linked_with(image):
    root, _ = image
    linked = root.step("ldd /usr/bin/stoker")
    assert linked.returncode == 0 and "not found" not in linked.stdout, linked.stdout
    first, second = (next(text for word, text in STAGES[name].steps if word == "RUN") for name in ("vllm", "stoker"))
    assert packages(first) == packages(second)
    # Those of the build stage exist, too; Debian's have the names of Ubuntu's.
    wanted = packages(next(text for word, text in STAGES["build"].steps if "apt-get" in text))
    found = root.step(f"apt-get update -qq && apt-get install --simulate -qq {' '.join(sorted(wanted))}; code=$?; "
                      "rm -rf /var/lib/apt/lists/*; exit $code")
    assert found.returncode == 0, found.stderr


def test_layers_are_small_and_leave_no_lists(image):
    root, _ = image
    assert not list(root.path("/var/lib/apt/lists").glob("*_Packages*"))
    kilobytes = int(subprocess.run(["du", "-sk", root.layer], capture_output=True, text=True, check=True).stdout.split()[0])
    program = root.path("/usr/bin/stoker").stat().st_size
    print(f"layers: {kilobytes / 1024:.1f} MiB, of which the program {program / (1 << 20):.1f} MiB")
    assert kilobytes < 100 * 1024


def test_it_is_healthy_and_serves(container):
    eventually(lambda: container.execute(*container.stage.healthcheck).returncode == 0, 30, "a healthy container")
    eventually(lambda: ask(container, "GET", "/ready").status_code == 200, 60, f"a model ({container.log_text()[-2000:]})")
    models = ask(container, "GET", "/v1/models").json()
    assert [card["id"] for card in models["data"]] == ["vllm/org/m"]
    answer = ask(container, "POST", "/v1/chat/completions",
                 json={"model": "vllm/org/m", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code == 200 and answer.headers["x-stoker-instance"] == "vllm"
    assert ask(container, "GET", "/healthz", port=8081).status_code == 200
    shown = container.execute("stoker", "status", "--json")
    assert shown.returncode == 0 and '"ready":true' in shown.stdout
    assert {f"{port}" for port in container.stage.ports} == {"8080", "8081"}


def test_nothing_in_it_is_root(container):
    assert container.stage.user == "stoker"
    for pid, state, _ in container.processes():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert "0" not in re.search(r"^Uid:\s+(.*)$", status, re.M).group(1).split(), status
        assert re.search(r"^CapEff:\s+0+$", status, re.M), status


def test_orphans_are_reaped(container):
    """Who is PID 1 gets everybody's orphans: a HEALTHCHECK that is killed leaves some, so does `docker exec`."""
    before = {pid for pid, _, _ in container.processes()}
    container.execute("/bin/sh", "-c", "for i in 1 2 3; do (sleep 0.1 & exec true) & done; sleep 0.2")
    def others():
        return [entry for entry in container.processes() if entry[0] not in before]
    eventually(lambda: not others(), 15, "an end of all orphans")
    assert not [entry for entry in container.processes() if entry[1] == "Z"]


def test_sigterm_ends_it_in_seconds_and_leaves_nothing(container):
    """The last one: `docker stop`."""
    namespace = os.readlink(f"/proc/{container.pid}/ns/pid")
    began = time.monotonic()
    os.kill(container.pid, signal.SIGTERM)
    assert container.process.wait(10) == 0, container.log_text()[-3000:]
    print(f"ended in {time.monotonic() - began:.1f} s")
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            assert not entry.name.isdigit() or os.readlink(entry / "ns/pid") != namespace, entry
