"""Launching, restarting, attaching and stopping, on the stand-in, as seen from outside."""

import contextlib
import json
import os
import signal
import socket
import threading
import time

import httpx
import pytest

import harness
from harness import Stoker, eventually

BODY = {"model": "chat/org/m", "messages": [{"role": "user", "content": "Hi"}]}
FAST = "{ backoff: 50ms..1s }"


def chat(stoker, **keys):
    return stoker.post("/v1/chat/completions", {**BODY, **keys})


def test_launch_serve_stop(venv):
    with Stoker(harness.config([venv.provider()]), notify=True) as stoker:
        instance = stoker.wait_state("chat-0", "ready")
        assert instance["published"] and instance["models"] == ["org/m"] and instance["run"] == 1
        assert instance["endpoint"].startswith("unix:")
        assert os.getsid(instance["pid"]) == instance["pid"], "a session of its own"
        assert chat(stoker).status_code == 200
        eventually(lambda: "READY=1" in stoker.notify.lines(), 5, "READY=1")
        assert stoker.stop() == 0
        assert stoker.processes() == []
        assert "STOPPING=1" in stoker.notify.lines()
        assert not list((stoker.folder / "run" / "i").glob("*")), "no socket is left"


def test_tcp_transport_and_an_older_version(make_venv):
    """A version that does not know --uds gets a port, and no flag that it would refuse."""
    old = make_venv("0.8.0")
    new = make_venv()
    providers = [old.provider("old"), new.provider("new", transport="tcp")]
    with Stoker(harness.config(providers, ready_when="all")) as stoker:
        for name in ("old-0", "new-0"):
            assert stoker.wait_state(name, "ready")["endpoint"].startswith("http://127.0.0.1:")


def test_what_a_launched_server_inherits(venv):
    venv_provider = venv.provider(
        env=json.dumps({"STANDIN_CONTROL": str(venv.control), "HF_TOKEN": "hf-secret", "PLAIN": "x"})
    )
    env = {"VLLM_OTHER_BASE_URL": "http://127.0.0.1:9", "VLLM_OTHER_API_KEY": "other-secret", "VLLM_API_KEY": "k",
           "VLLM_LOGGING_LEVEL": "INFO"}
    with Stoker(harness.config([venv_provider]), env=env) as stoker:
        pid = stoker.wait_state("chat-0", "ready")["pid"]
        with open(f"/proc/{pid}/environ") as file:
            names = dict(item.split("=", 1) for item in file.read().split("\0") if "=" in item)
        assert names["HF_TOKEN"] == "hf-secret" and names["PLAIN"] == "x" and names["VLLM_LOGGING_LEVEL"] == "INFO"
        forbidden = [n for n in names if n.startswith(("STOKER_", "GOMODEL_")) or n.endswith("_BASE_URL")]
        assert not forbidden
        assert "other-secret" not in names.values() and "NOTIFY_SOCKET" not in names
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0,)} == {"/dev/null"}
        text = stoker.admin().text + stoker.log_text() + harness.command_line(pid)
        for secret in ("hf-secret", "other-secret", stoker.key):
            assert secret not in text


@pytest.mark.parametrize("victim", ["head", "engine"])
def test_a_death_unpublishes_and_restarts(venv, victim):
    with Stoker(harness.config([venv.provider(restart=FAST)])) as stoker:
        before = stoker.wait_state("chat-0", "ready")
        venv.faults(load_seconds=2)
        engine = next(p for p in stoker.processes() if harness.command_line(p).startswith("VLLM::EngineCore"))
        os.kill(before["pid"] if victim == "head" else engine, signal.SIGKILL)
        eventually(lambda: stoker.models() == [], 2, "the model leaves the list")
        refused = chat(stoker)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_loading"
        assert int(refused.headers["retry-after"]) > 0
        after = eventually(
            lambda: (i := stoker.instance("chat-0"))["state"] == "ready" and i["run"] == 2 and i, 20, "the next run"
        )
        assert not harness.alive(engine) and not harness.alive(before["pid"])
        assert after["restarts"] == 1 and after["last_failure"]["detail"]
        assert chat(stoker).status_code == 200


def test_a_hang_is_found_however_much_the_front_end_says(venv):
    """An API server whose engine has stopped goes on talking: heads, comments, the first events of Responses, its own
    errors, tokens' numbers. None of that is a sign of the engine's life."""
    health = "{ interval: 200ms, timeout: 1s, hang_after: 2s, canary: idle }"
    provider = venv.provider(restart=FAST, args='["--sse-keep-alive-interval", "1"]')
    with Stoker(harness.config([provider], health=health)) as stoker:
        before = stoker.wait_state("chat-0", "ready")
        assert chat(stoker).status_code == 200
        asked = [
            ("/v1/chat/completions", {**BODY, "stream": True}),
            ("/v1/responses", {"model": "chat/org/m", "input": "Hi", "stream": True}),
            ("/v1/completions", {"model": "chat/org/m", "prompt": "Hi", "n": 2, "temperature": 0}),
            ("/tokenize", {"model": "chat/org/m", "prompt": "Hi"}),
            ("/p/chat/tokenize", {"model": "org/m", "prompt": "Hi"}),
        ]
        gone = threading.Event()
        spoken = []

        def talk(path, body):
            """Asks again and again, with a patience that leaves something in flight all the time."""
            with httpx.Client(headers=stoker.headers, timeout=httpx.Timeout(5, read=1.5)) as client:
                while not gone.wait(0.1):
                    with contextlib.suppress(httpx.HTTPError):
                        with client.stream("POST", stoker.gateway + path, json=body) as answer:
                            spoken.append((path, answer.status_code))
                            answer.read()

        talkers = [threading.Thread(target=talk, args=pair) for pair in asked]
        engine = next(p for p in stoker.processes() if harness.command_line(p).startswith("VLLM::EngineCore"))
        os.kill(engine, signal.SIGSTOP)
        try:
            for talker in talkers:
                talker.start()
            eventually(lambda: stoker.models() == [], 40, "the model leaves the list")
        finally:
            gone.set()
            for talker in talkers:
                talker.join()
        assert {status for path, status in spoken if path == "/tokenize"} & {200}, spoken
        assert {("/v1/chat/completions", 200), ("/v1/responses", 200), ("/v1/completions", 400)} <= set(spoken), spoken
        after = eventually(lambda: (i := stoker.instance("chat-0"))["run"] == 2 and i, 30, "the next run")
        assert after["last_failure"]["kind"] == "hang", after["last_failure"]
        assert not harness.alive(engine) and not harness.alive(before["pid"])


def test_a_hang_is_found_where_the_only_client_gives_up_and_asks_again(venv):
    """Between two of its requests nothing is in flight, and a stopped engine's own gauges say that it is idle."""
    health = "{ interval: 200ms, timeout: 1s, hang_after: 3s, canary: off }"
    with Stoker(harness.config([venv.provider(restart=FAST)], health=health)) as stoker:
        before = stoker.wait_state("chat-0", "ready")
        engine = next(p for p in stoker.processes() if harness.command_line(p).startswith("VLLM::EngineCore"))
        os.kill(engine, signal.SIGSTOP)
        deadline = time.monotonic() + 40
        with httpx.Client(headers=stoker.headers, timeout=httpx.Timeout(5, read=1)) as client:
            while stoker.models():
                assert time.monotonic() < deadline, stoker.instance("chat-0")
                with contextlib.suppress(httpx.ReadTimeout):
                    client.post(stoker.gateway + "/v1/chat/completions", json={**BODY, "stream": True})
                # Longer than the gateway keeps a report back: the supervisor sees that nothing is in flight.
                eventually(lambda: stoker.instance("chat-0")["inflight"] == 0, 10, "nothing in flight")
        after = eventually(lambda: (i := stoker.instance("chat-0"))["run"] == 2 and i, 30, "the next run")
        assert after["last_failure"]["kind"] == "hang", after["last_failure"]
        assert not harness.alive(engine) and not harness.alive(before["pid"])


def test_an_instance_that_has_no_run_now_is_known_all_the_same(venv):
    """Its name is no stranger's: 503 and why, not 404."""
    with Stoker(harness.config([venv.provider(), venv.provider("more", model="org/n")])) as stoker:
        for name in ("chat-0", "more-0"):
            stoker.wait_state(name, "ready")
        assert chat(stoker, model="chat-0/org/m").status_code == 200
        assert stoker.cli("stop", "chat-0").returncode == 0
        for refused in (chat(stoker, model="chat-0/org/m"), chat(stoker, model="chat-0/other"), stoker.get("/p/chat-0/health"),
                        stoker.get("/v1/models/chat-0/org/m")):
            assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_unavailable", refused.text
        assert chat(stoker, model="chat-1/org/m").status_code == 404
        assert stoker.get("/p/chat-1/health").json()["error"]["code"] == "provider_not_found"


@pytest.mark.parametrize("code", [0, 1])
def test_every_exit_that_nobody_asked_for_is_a_failure(venv, code):
    venv.faults(exit_at_start={"code": code, "lines": ["RuntimeError: the stand-in gives up"]})
    with Stoker(harness.config([venv.provider(restart="{ backoff: 10ms..20ms, start_budget: 2 }")])) as stoker:
        instance = stoker.wait_state("chat-0", "failed", within=30)
        assert str(code) in instance["last_failure"]["detail"]
        assert any("gives up" in line for line in instance["last_failure"]["log_tail"])
        refused = chat(stoker)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_unavailable"
        venv.faults()
        started = stoker.cli("start", "chat-0")
        assert started.returncode == 0, started.stderr
        stoker.wait_state("chat-0", "ready")


def test_what_was_given_up_stays_so_over_a_crash_of_the_supervisor(venv, tmp_path):
    """Until somebody asks for another start, a reload included; and restarts go on being counted."""
    control = tmp_path / "control.json"
    control.write_text(json.dumps({"exit_at_start": {"code": 1, "lines": ["RuntimeError: never"]}}))
    bad = venv.provider("bad", restart="{ backoff: 10ms..20ms, start_budget: 2 }",
                        env=json.dumps({"STANDIN_CONTROL": str(control)}))
    stoker = Stoker(harness.config([venv.provider("good", restart=FAST), bad]))
    with contextlib.closing(stoker):
        stoker.start()
        failed = stoker.wait_state("bad-0", "failed", within=30)
        good = stoker.wait_state("good-0", "ready")
        os.kill(good["pid"], signal.SIGKILL)
        good = eventually(lambda: (i := stoker.instance("good-0"))["run"] == 2 and i["state"] == "ready" and i, 20, "run 2")
        assert (good["restarts"], good["last_failure"]["kind"]) == (1, "killed"), good

        def kept():
            memories = json.loads((stoker.folder / "state" / "memories.json").read_text())["instances"]
            return memories["good-0"]["restarts"] == 1 and memories["bad-0"].get("failed")

        def told(instance, *keys):
            return [instance[key] for key in keys] + [instance["last_failure"][key] for key in ("kind", "detail", "log_tail")]

        eventually(kept, 10, "what is kept for the next life")
        stoker.process.kill()
        stoker.process.wait()
        stoker.start()
        now = stoker.wait_state("bad-0", "failed")
        assert told(now, "run", "reason") == told(failed, "run", "reason")
        now = stoker.wait_state("good-0", "ready")
        assert told(now, "pid", "restarts") == told(good, "pid", "restarts")
        stoker.cli("reload")
        eventually(lambda: (i := stoker.instance("bad-0"))["run"] == failed["run"] + 2 and i["state"] == "failed", 30,
                   "two other tries, by the reload")
        assert stoker.stop() == 0
        assert not (stoker.folder / "state" / "memories.json").exists()


def test_a_stop_that_is_ignored_ends_the_whole_tree_all_the_same(venv):
    venv.faults(ignore_sigterm=True, grandchild=True)
    with Stoker(harness.config([venv.provider(timeouts="{ drain: 1s, stop: 1s }")])) as stoker:
        stoker.wait_state("chat-0", "ready")
        began = time.monotonic()
        assert stoker.stop() == 0
        assert time.monotonic() - began < 20
        assert stoker.processes() == []


def test_sigterm_while_loading(venv):
    venv.faults(load_seconds=60)
    with Stoker(harness.config([venv.provider(timeouts="{ stop: 2s }")]), notify=True) as stoker:
        stoker.wait_state("chat-0", "loading")
        eventually(lambda: any(l.startswith("EXTEND_TIMEOUT_USEC=") for l in stoker.notify.lines()), 15, "an extension")
        assert stoker.get("/ready").status_code == 503 and "READY=1" not in stoker.notify.lines()
        assert stoker.stop() == 0
        assert stoker.processes() == []


def test_streams_finish_within_the_drain(venv):
    venv.faults(token_delay_ms=100, tokens=20)
    with Stoker(harness.config([venv.provider()])) as stoker:
        stoker.wait_state("chat-0", "ready", within=60)
        with httpx.stream("POST", stoker.gateway + "/v1/chat/completions", json={**BODY, "stream": True},
                          headers=stoker.headers, timeout=30) as answer:
            seen = harness.events(answer)
            next(seen)
            stoker.process.send_signal(signal.SIGTERM)
            rest = [data for _, data in seen]
        assert rest[-1] == "[DONE]"
        assert stoker.process.wait(30) == 0


def test_operator_commands(venv):
    with Stoker(harness.config([venv.provider(replicas=2)])) as stoker:
        for name in ("chat-0", "chat-1"):
            stoker.wait_state(name, "ready")
        assert stoker.cli("drain", "chat-0").returncode == 0
        assert stoker.instance("chat-0")["state"] == "draining"
        for _ in range(4):
            assert chat(stoker).headers["x-stoker-instance"] == "chat-1"
        assert stoker.cli("undrain", "chat-0").returncode == 0
        stoker.wait_state("chat-0", "ready")
        pid = stoker.instance("chat-0")["pid"]
        assert stoker.cli("restart", "chat-0").returncode == 0
        assert stoker.wait_state("chat-0", "ready")["pid"] != pid
        assert stoker.cli("stop", "chat").returncode == 0
        assert {stoker.instance(f"chat-{n}")["state"] for n in (0, 1)} == {"stopped"}
        assert stoker.cli("start", "nothing").returncode == 4
        assert stoker.cli("start", "chat").returncode == 0
        assert stoker.wait_state("chat-1", "ready")


def test_a_providers_command_means_those_it_can_mean(venv):
    """One that is stopped keeps nobody from draining the rest, and a refusal is no wish that a crash would bring back."""
    with Stoker(harness.config([venv.provider(replicas=2)])) as stoker:
        for name in ("chat-0", "chat-1"):
            stoker.wait_state(name, "ready")
        assert stoker.cli("stop", "chat-1").returncode == 0
        assert stoker.cli("drain", "chat").returncode == 0
        assert [stoker.instance(f"chat-{n}")["state"] for n in (0, 1)] == ["draining", "stopped"]
        assert stoker.cli("undrain", "chat").returncode == 0
        stoker.wait_state("chat-0", "ready")
        refused = stoker.cli("undrain", "chat")
        assert refused.returncode == 1 and "not drained" in refused.stderr, refused
        refused = stoker.cli("drain", "chat-1")
        assert refused.returncode == 1 and "nothing to drain" in refused.stderr, refused
        stoker.process.kill()
        stoker.process.wait()
        stoker.start()
        stoker.wait_state("chat-0", "ready")
        assert stoker.wait_state("chat-1", "stopped")


def test_attached_server_comes_and_goes_and_is_never_signalled(venv):
    env = {"VLLM_BASE_URL": ""}
    with venv.server() as url:
        env["VLLM_BASE_URL"] = url + "/v1/"
        with Stoker(env={**env, "STOKER_LISTEN": "127.0.0.1:0", "STOKER_ADMIN_LISTEN": "127.0.0.1:0",
                         "STOKER_MODE": "attach-only"}) as stoker:
            stoker.wait_state("vllm", "ready")
            assert stoker.models() == ["vllm/org/m"]
            assert stoker.post("/p/vllm/tokenize", {"model": "org/m", "prompt": "Hi"}).status_code == 200
            assert stoker.stop() == 0
        assert httpx.get(url + "/health").status_code == 200, "it lives on"


def test_unreachable_misconfigured_and_healed(venv):
    port = harness.free_port()
    providers = [f"  box:\n    base_url: http://127.0.0.1:{port}\n"]
    with Stoker(harness.config(providers, health="{ interval: 200ms }")) as stoker:
        assert stoker.wait_state("box", "connecting")
        refused = stoker.post("/v1/chat/completions", {**BODY, "model": "box/org/m"})
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_unavailable"
    with venv.server(env={"VLLM_API_KEY": "right"}) as url:
        (key := venv.folder / "key").write_text("wrong\n")
        providers = [f"  box:\n    base_url: {url}\n    api_key_file: {key}\n"]
        with Stoker(harness.config(providers, health="{ interval: 200ms }")) as stoker:
            stoker.wait_state("box", "misconfigured")
            key.write_text("right\n")
            reloaded = stoker.cli("reload")
            assert reloaded.returncode == 0, reloaded.stderr
            stoker.wait_state("box", "ready")


def test_attach_and_detach_at_run_time_outlive_a_restart(venv):
    with venv.server() as url:
        stoker = Stoker(harness.config([]))
        with contextlib.closing(stoker):
            stoker.start()
            assert stoker.cli("attach", "box", url).returncode == 0
            stoker.wait_state("box", "ready")
            assert stoker.models() == ["box/org/m"]
            assert stoker.stop() == 0
            stoker.start()
            stoker.wait_state("box", "ready")
            assert stoker.cli("detach", "box").returncode == 0
            assert stoker.models() == []
            assert stoker.cli("detach", "box").returncode == 4


def test_reload_touches_only_what_changed(venv):
    with Stoker(harness.config([venv.provider("one"), venv.provider("two")])) as stoker:
        one, two = (stoker.wait_state(f"{name}-0", "ready") for name in ("one", "two"))
        new = harness.config([venv.provider("one"), venv.provider("two", args='["--max-model-len", "64"]'), venv.provider("three")])
        (stoker.folder / "stoker.yaml").write_text(new)
        plan = stoker.cli("reload", "--plan")
        assert plan.returncode == 0 and "three-0" in plan.stdout and "two-0" in plan.stdout
        assert stoker.instance("two-0")["pid"] == two["pid"], "a plan changes nothing"
        assert stoker.cli("reload").returncode == 0
        stoker.wait_state("three-0", "ready")
        assert stoker.wait_state("two-0", "ready")["pid"] != two["pid"]
        assert stoker.instance("one-0")["pid"] == one["pid"]
        (stoker.folder / "stoker.yaml").write_text("providers: { one: { modle: x } }\n")
        refused = stoker.cli("reload")
        assert refused.returncode != 0 and "modle" in refused.stdout + refused.stderr
        assert stoker.instance("one-0")["pid"] == one["pid"] and stoker.models()


def test_kill_of_the_gateway_refuses_nobody(venv):
    with Stoker(harness.config([venv.provider()])) as stoker:
        stoker.wait_state("chat-0", "ready")
        first = stoker.status()["gateway"]["pid"]
        os.kill(first, signal.SIGKILL)
        for _ in range(20):
            assert chat(stoker).status_code == 200
        second = stoker.status()["gateway"]
        assert second["pid"] != first and second["restarts"] == 1


def test_kill_of_the_supervisor_cuts_no_traffic(venv):
    """Without systemd: whoever starts the daemon again; engines and gateway are taken over, and nobody notices."""
    stoker = Stoker(harness.config([venv.provider()]))
    with contextlib.closing(stoker):
        stoker.start()
        engine = stoker.wait_state("chat-0", "ready")
        gateway, url = stoker.status()["gateway"]["pid"], stoker.gateway
        stoker.config = stoker.config.replace("listen: 127.0.0.1:0", f"listen: {url.removeprefix('http://')}", 1)
        outcomes, over = [], threading.Event()

        def ask():
            while not over.is_set():
                try:
                    outcomes.append(httpx.post(url + "/v1/chat/completions", json=BODY, headers=stoker.headers,
                                               timeout=10).status_code)
                except httpx.HTTPError as error:
                    outcomes.append(repr(error))

        clients = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for client in clients:
            client.start()
        for number in range(3):
            before = len(outcomes)
            eventually(lambda: len(outcomes) > before + 8, 10, "answers before the kill")
            stoker.process.kill()
            stoker.process.wait()
            before = len(outcomes)
            eventually(lambda: len(outcomes) > before + 8, 10, "answers without a supervisor")
            # The first file has a port of the kernel's choice.
            checked = number and stoker.cli("check", "--config", str(stoker.folder / "stoker.yaml")).stderr
            assert not number or "kept by the gateway of an earlier life" in checked, checked
            stoker.start()
            now = stoker.wait_state("chat-0", "ready")
            assert (now["pid"], now["run"]) == (engine["pid"], engine["run"])
            assert stoker.status()["gateway"]["pid"] == gateway
        over.set()
        for client in clients:
            client.join(15)
        assert set(outcomes) == {200}, [o for o in outcomes if o != 200]
        os.kill(engine["pid"], signal.SIGKILL)
        after = eventually(lambda: (i := stoker.instance("chat-0"))["run"] == 2 and i["state"] == "ready" and i, 20, "run 2")
        assert "unknown (adopted)" in after["last_failure"]["detail"]
        assert stoker.stop() == 0
        eventually(lambda: stoker.processes() == [], 10, "an empty machine")


def test_a_configuration_that_changed_meanwhile_is_applied_as_a_reload(venv):
    """What runs is taken over as it is, and no stream is cut; then the difference is applied: what was launched by other
    arguments is replaced, what is not configured any more drains and ends."""
    stoker = Stoker(harness.config([venv.provider("one"), venv.provider("two"), venv.provider("three")]))
    with contextlib.closing(stoker):
        stoker.start()
        before = {name: stoker.wait_state(f"{name}-0", "ready")["pid"] for name in ("one", "two", "three")}
        venv.faults(token_delay_ms=100)
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 40, "stream": True}
        texts = {}

        def stream(name):
            texts[name] = stoker.post("/v1/chat/completions", {**body, "model": f"{name}/org/m"}).text

        streams = [threading.Thread(target=stream, args=(name,)) for name in before]
        for thread in streams:
            thread.start()
        eventually(lambda: stoker.status()["gateway"]["inflight"] == 3, 10, "three streams")
        stoker.process.kill()
        stoker.process.wait()
        stoker.config = harness.config(
            [venv.provider("new"), venv.provider("two", args='["--max-model-len", "64"]'), venv.provider("three")])
        stoker.start()
        for thread in streams:
            thread.join()
        assert all(text.endswith("data: [DONE]\n\n") and "upstream_lost" not in text for text in texts.values()), texts
        eventually(lambda: not harness.alive(before["one"]) and not harness.alive(before["two"]), 30, "their end")
        now = {name: stoker.wait_state(f"{name}-0", "ready")["pid"] for name in ("new", "two", "three")}
        assert now["three"] == before["three"] and now["two"] != before["two"]
        assert sorted(stoker.models()) == ["new/org/m", "three/org/m", "two/org/m"]
        assert stoker.status()["last_reload"]["outcome"] == "applied"
        assert stoker.stop() == 0
        eventually(lambda: stoker.processes() == [], 10, "an empty machine")


@pytest.mark.parametrize("works", [True, False])
def test_a_crash_in_the_middle_of_a_replacement(venv, works):
    """The run that clients are sent to is taken over, and the replacement tried anew: never is the one that serves ended
    for one that may not."""
    stoker = Stoker(harness.config([venv.provider(restart="{ backoff: 10ms..20ms, start_budget: 1 }")]))
    with contextlib.closing(stoker):
        stoker.start()
        before = stoker.wait_state("chat-0", "ready")
        venv.faults(load_seconds=4)
        changed = venv.provider(args='["--max-model-len", "64"]', restart="{ backoff: 10ms..20ms, start_budget: 1 }")
        stoker.config = harness.config([changed])
        (stoker.folder / "stoker.yaml").write_text(stoker.config)
        assert stoker.admin("POST", "/api/v1/reload?plan=1").json()["changed"] == ["chat-0"]
        reload = threading.Thread(target=stoker.cli, args=("reload",))
        reload.start()
        beside = eventually(lambda: (i := stoker.instance("chat-0"))["other_runs"] and i, 20, "a run beside")
        assert beside["state"] == "ready" and beside["pid"] == before["pid"]
        stoker.process.kill()
        stoker.process.wait()
        venv.faults(**({} if works else {"exit_at_start": {"code": 1, "lines": ["RuntimeError: gives up"]}}))
        stoker.start()
        seen = []

        def over():
            seen.append(chat(stoker).status_code)
            return (stoker.status()["last_reload"] or {}).get("outcome") in ("applied", "failed")

        eventually(over, 40, "the replacement's end")
        reload.join()
        assert set(seen) == {200}, seen
        assert chat(stoker).status_code == 200
        assert stoker.status()["last_reload"]["outcome"] == ("applied" if works else "failed")
        assert harness.alive(before["pid"]) != works
        assert stoker.stop() == 0
        eventually(lambda: stoker.processes() == [], 10, "an empty machine")


@pytest.mark.parametrize("gone", ["master key", "provider key", "admin token", "admin port"])
def test_a_new_supervisor_looks_after_engines_whatever_is_missing(venv, gone):
    """Beside engines that run, a key's file that is gone or an address that is taken is said, and harms nothing."""
    stoker = Stoker(key=None)
    with contextlib.closing(stoker), socket.socket() as taken:
        keys = {name: stoker.folder / name.replace(" ", "-") for name in ("master key", "provider key", "admin token")}
        for name, path in keys.items():
            path.write_text(name.replace(" ", "-") + "-1\n")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = harness.free_port()
        stoker.key = "master-key-1"
        stoker.config = harness.config(
            [venv.provider(), f"  box:\n    base_url: http://127.0.0.1:9\n    api_key_file: {keys['provider key']}\n"],
            master_key_file=keys["master key"],
            admin=json.dumps({"listen": f"127.0.0.1:{port}", "token_file": str(keys["admin token"])}))
        stoker.start()
        before = stoker.wait_state("chat-0", "ready")
        gateway = stoker.gateway
        stoker.process.kill()
        stoker.process.wait()
        if gone == "admin port":
            taken.bind(("127.0.0.1", port))
            taken.listen()
        else:
            keys[gone].unlink()
        stoker.start()
        adopted = stoker.wait_state("chat-0", "ready")
        assert adopted["pid"] == before["pid"]
        assert stoker.gateway == gateway and chat(stoker).status_code == 200
        word = {"admin token": str(keys["admin token"]), "admin port": "admin.listen"}.get(gone, "last accepted")
        eventually(lambda: any(word in note for note in stoker.status()["notices"]), 10, f"a notice of {word}")
        if gone == "admin port":
            taken.close()
            eventually(lambda: not stoker.status()["notices"], 30, "the address is had when it is free")
        else:
            keys[gone].write_text(gone.replace(" ", "-") + "-1\n")
            assert stoker.cli("reload").returncode == 0
            assert stoker.status()["notices"] == []
        assert stoker.instance("chat-0")["pid"] == before["pid"]
        assert stoker.stop() == 0
        eventually(lambda: stoker.processes() == [], 10, "an empty machine")


def test_kill_of_the_supervisor_keeps_attached_servers_published(venv):
    """Also while the new supervisor cannot have asked them yet: their first answer takes two seconds."""
    with venv.server() as url:
        stoker = Stoker(harness.config([f"  box:\n    base_url: {url}\n"]))
        with contextlib.closing(stoker):
            stoker.start()
            stoker.wait_state("box", "ready")
            gateway = stoker.gateway
            stoker.config = stoker.config.replace("listen: 127.0.0.1:0", f"listen: {gateway.removeprefix('http://')}", 1)
            cards = httpx.get(url + "/v1/models").json()
            venv.faults(respond={"/v1/models": {"status": 200, "body": cards, "delay_ms": 2000,
                                                "headers": {"content-type": "application/json"}}})
            stoker.process.kill()
            stoker.process.wait()
            stoker.start()
            seen = []

            def back():
                answer = httpx.post(gateway + "/v1/chat/completions", json={**BODY, "model": "box/org/m"},
                                    headers=stoker.headers, timeout=10)
                ready = httpx.get(gateway + "/ready", timeout=10)
                seen.append((answer.status_code, ready.status_code))
                return stoker.instance("box")["state"] == "ready"

            eventually(back, 20, "a verdict of the new supervisor")
            back()
            assert set(seen) == {(200, 200)} and len(seen) >= 2, seen
            assert stoker.stop() == 0
