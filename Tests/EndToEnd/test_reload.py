"""Reloading as a plan: what has to be another server is replaced one replica at a time, everything else goes on."""

import contextlib
import json
import os
import signal
import subprocess
import threading

import httpx
import pytest

import harness
from harness import BIN, Stoker, eventually
from test_upgrade import BODY, Clients


def rewrite(stoker, *providers, **keys):
    (stoker.folder / "stoker.yaml").write_text(harness.config(list(providers), **keys))


@contextlib.contextmanager
def reloading(stoker):
    """`stoker reload` under way; yields the process."""
    process = subprocess.Popen([BIN, "reload"], env=stoker.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


ARGS = '["--max-model-len", "64"]'


def test_replicas_are_replaced_one_after_another_and_nobody_notices(venv):
    with Stoker(harness.config([venv.provider(replicas=2)])) as stoker:
        before = [stoker.wait_state(f"chat-{n}", "ready") for n in (0, 1)]
        venv.faults(load_seconds=1.5)
        rewrite(stoker, venv.provider(replicas=2, args=ARGS))
        plan = stoker.cli("reload", "--plan")
        assert "~ chat-0 (changed)" in plan.stdout and "args" in plan.stdout
        with Clients(stoker) as clients, reloading(stoker) as reload:
            for number in (0, 1):
                def loads():
                    instance = stoker.instance(f"chat-{number}")
                    return instance["other_runs"] and instance
                beside = eventually(loads, 20, "a run beside the one that serves")
                assert (beside["state"], beside["pid"], beside["run"]) == ("ready", before[number]["pid"], 1)
                assert beside["other_runs"][0]["run"] == 2 and beside["other_runs"][0]["state"] in ("starting", "loading", "warming")
                other = stoker.instance(f"chat-{1 - number}")
                assert other["other_runs"] == [] and other["run"] == (1 if number == 0 else 2), "one after another"
                eventually(lambda: stoker.instance(f"chat-{number}")["run"] == 2, 20, "the new run")
            out, err = reload.communicate(timeout=60)
            assert reload.returncode == 0, out + err
            clients.more()
        clients.assert_unharmed()
        for number in (0, 1):
            now = stoker.instance(f"chat-{number}")
            assert (now["state"], now["run"], now["restarts"], now["other_runs"]) == ("ready", 2, 0, [])
            eventually(lambda: not harness.alive(before[number]["pid"]), 10, "the end of the old one")
        # And once more, back into the first slot; then a crash of the supervisor finds the newest run.
        venv.faults()
        rewrite(stoker, venv.provider(replicas=2))
        assert stoker.cli("reload").returncode == 0
        now = [stoker.instance(f"chat-{n}") for n in (0, 1)]
        assert [i["run"] for i in now] == [3, 3]
        rewrite(stoker, venv.provider(replicas=2, args=ARGS))
        assert stoker.cli("reload").returncode == 0
        pids = [stoker.instance(f"chat-{n}")["pid"] for n in (0, 1)]
        gateway = stoker.gateway.removeprefix("http://")
        stoker.process.kill()
        stoker.process.wait()
        stoker.config = harness.config([venv.provider(replicas=2, args=ARGS)], listen=gateway)
        stoker.start()
        assert [stoker.wait_state(f"chat-{n}", "ready")["pid"] for n in (0, 1)] == pids


def test_a_replacement_that_cannot_serve_leaves_the_old_one(venv):
    with Stoker(harness.config([venv.provider(replicas=2)])) as stoker:
        before = [stoker.wait_state(f"chat-{n}", "ready")["pid"] for n in (0, 1)]
        (bad := venv.folder / "bad.json").write_text(
            json.dumps({"exit_at_start": {"code": 1, "lines": ["RuntimeError: the stand-in gives up"]}}))
        rewrite(stoker, venv.provider(replicas=2, env=json.dumps({"STANDIN_CONTROL": str(bad)}),
                                      restart="{ backoff: 10ms..20ms, start_budget: 2 }"))
        with Clients(stoker, streams=0) as clients:
            reloaded = stoker.cli("reload")
            clients.more()
        assert clients.failures == []
        assert reloaded.returncode == 1, reloaded.stdout + reloaded.stderr
        assert "chat-0 cannot serve" in reloaded.stderr and "not touched: chat-1" in reloaded.stderr
        now = [stoker.instance(f"chat-{n}") for n in (0, 1)]
        assert [(i["state"], i["pid"], i["run"]) for i in now] == [("ready", before[0], 1), ("ready", before[1], 1)]
        assert stoker.status()["last_reload"]["outcome"] == "failed"
        assert "~ chat-0 (changed)" in stoker.cli("reload", "--plan").stdout, "it is still to be done"
        # Its runs' numbers are used up.
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: (i := stoker.instance("chat-0"))["state"] == "ready" and i["run"] > 2, 20, "another run")
        rewrite(stoker, venv.provider(replicas=2))
        assert stoker.cli("reload").returncode == 0
        assert stoker.instance("chat-1")["pid"] == before[1]


def test_without_room_the_old_one_goes_first(venv):
    """Devices that are named and taken: the one is gone before the other is there."""
    with Stoker(harness.config([venv.provider(gpus='["0"]')])) as stoker:
        old = stoker.wait_state("chat-0", "ready")
        venv.faults(load_seconds=1)
        rewrite(stoker, venv.provider(gpus='["0"]', args=ARGS))
        with reloading(stoker) as reload:
            eventually(lambda: stoker.instance("chat-0")["run"] == 2, 20, "the next run")
            assert not harness.alive(old["pid"])
            out, err = reload.communicate(timeout=60)
            assert reload.returncode == 0, out + err
        assert stoker.instance("chat-0")["state"] == "ready"


def test_rules_change_while_the_server_stays(venv):
    with Stoker(harness.config([venv.provider()])) as stoker:
        old = stoker.wait_state("chat-0", "ready")
        refused = stoker.post("/p/chat/stand-in/none", {})
        assert refused.status_code == 403
        rewrite(stoker, venv.provider(restart="{ backoff: 10ms..20ms, budget: 1 in 10m }", timeouts="{ drain: 2s }",
                                      models="[org/extra]", passthrough_allow='["POST /stand-in/none"]'),
                health="{ interval: 200ms }")
        plan = stoker.cli("reload", "--plan")
        assert "= chat-0 (its server goes on by other rules)" in plan.stdout and "restart.budget" in plan.stdout
        assert stoker.cli("reload").returncode == 0
        assert stoker.instance("chat-0")["pid"] == old["pid"]
        assert stoker.post("/p/chat/stand-in/none", {}).status_code != 403
        # The new budget holds for the server that was there before: the second crash is one too many.
        for run in (1, 2):
            os.kill(eventually(lambda: (i := stoker.instance("chat-0"))["run"] == run and i["state"] == "ready" and i["pid"],
                               20, f"run {run}"), signal.SIGKILL)
        failed = stoker.wait_state("chat-0", "failed")
        assert "the budget of 1" in failed["reason"]
        # A reload is another try.
        assert stoker.cli("reload").returncode == 0
        stoker.wait_state("chat-0", "ready")


def test_an_attached_server_moves_and_changes_its_key_without_a_gap(venv):
    with venv.server() as first, venv.server() as second:
        (key := venv.folder / "key").write_text("one\n")

        def provider(url):
            return f"  chat:\n    base_url: {url}\n    api_key_file: {key}\n"

        with Stoker(harness.config([provider(first)])) as stoker:
            stoker.wait_state("chat", "ready")
            with Clients(stoker, streams=0) as clients:
                key.write_text("two\n")
                assert stoker.cli("reload").returncode == 0
                clients.more()
            assert clients.failures == []
            seen = harness.stand_in(stoker.instance("chat")["endpoint"], "requests")["requests"]
            assert "Bearer two" in [value for name, value in seen[-1]["headers"] if name.lower() == "authorization"]
            rewrite(stoker, provider(second))
            assert stoker.cli("reload").returncode == 0
            eventually(lambda: (i := stoker.instance("chat"))["state"] == "ready" and second.removesuffix("/v1") in i["endpoint"],
                       10, "the other server")
            assert stoker.post("/v1/chat/completions", BODY).status_code == 200


def test_the_admin_token_changes_and_sessions_end(venv, tmp_path):
    token = tmp_path / "token"
    token.write_text("the-first\n")
    token.chmod(0o600)
    address = f"127.0.0.1:{harness.free_port()}"
    admin = {"listen": address, "token_file": str(token)}
    with Stoker(harness.config([venv.provider()], admin=json.dumps(admin))) as stoker:
        def logs(**headers):
            return httpx.get(f"http://{address}/api/v1/instances/chat-0/logs", headers=headers).status_code
        cookie = httpx.post(f"http://{address}/login", json={"token": "the-first"}).headers["set-cookie"].split(";")[0]
        assert (logs(authorization="Bearer the-first"), logs(cookie=cookie)) == (200, 200)
        # What cannot be read changes nothing, and is said.
        token.write_text("two words\n")
        refused = stoker.cli("reload")
        assert refused.returncode != 0 and str(token) in refused.stderr + refused.stdout
        assert logs(authorization="Bearer the-first") == 200
        token.write_text("the-second\n")
        assert stoker.cli("reload").returncode == 0
        assert logs(authorization="Bearer the-second") == 200
        assert (logs(authorization="Bearer the-first"), logs(cookie=cookie)) == (401, 401)


def test_the_gateways_addresses_change_while_streams_go_on(venv):
    with Stoker(harness.config([venv.provider()])) as stoker:
        stoker.wait_state("chat-0", "ready")
        old, gateway, port = stoker.gateway, stoker.status()["gateway"]["pid"], harness.free_port()
        with Clients(stoker, clients=0) as clients:
            rewrite(stoker, venv.provider(), listen=f"127.0.0.1:{port}", gateway="{ loops: 1 }")
            reloaded = stoker.cli("reload")
            assert reloaded.returncode == 0, reloaded.stderr
            stoker._gateway = None
            assert stoker.gateway.endswith(f":{port}") and stoker.status()["gateway"]["pid"] != gateway
            assert stoker.post("/v1/chat/completions", BODY).status_code == 200
            with pytest.raises(httpx.ConnectError):
                httpx.get(old + "/health")
        clients.assert_unharmed()
        # An address that cannot be had changes nothing.
        rewrite(stoker, venv.provider(), venv.provider("more"), listen="192.0.2.1:80")
        refused = stoker.cli("reload")
        assert refused.returncode == 2 and "192.0.2.1" in refused.stderr
        assert stoker.get("/health").status_code == 200 and "more" not in [p["name"] for p in stoker.status()["providers"]]


@pytest.mark.parametrize("what", ["stop", "reload", "sigterm"])
def test_a_replacement_makes_way(venv, what):
    with Stoker(harness.config([venv.provider()])) as stoker:
        old = stoker.wait_state("chat-0", "ready")
        venv.faults(load_seconds=60)
        rewrite(stoker, venv.provider(args=ARGS))
        with reloading(stoker) as reload:
            eventually(lambda: stoker.instance("chat-0")["other_runs"], 20, "a run beside the one that serves")
            if what == "stop":
                assert stoker.cli("stop", "chat-0").returncode == 0
                assert stoker.instance("chat-0")["state"] == "stopped"
            elif what == "reload":
                rewrite(stoker, venv.provider())
                assert stoker.cli("reload").returncode == 0
                now = stoker.instance("chat-0")
                assert (now["pid"], now["state"], now["other_runs"]) == (old["pid"], "ready", [])
            else:
                assert stoker.stop() == 0
                assert stoker.processes() == []
            reload.communicate(timeout=30)
            assert reload.returncode != 0


def test_a_name_that_was_attached_is_given_to_no_provider(venv):
    """Names are unique: a reload that would give one away is refused, a start lets go of what was attached."""
    with venv.server() as url:
        stoker = Stoker(harness.config([venv.provider()]))
        with contextlib.closing(stoker):
            stoker.start()
            before = stoker.wait_state("chat-0", "ready")
            assert stoker.cli("attach", "chat-1", url).returncode == 0
            stoker.wait_state("chat-1", "ready")
            rewrite(stoker, venv.provider(replicas=2))
            for arguments in (["reload", "--plan"], ["reload"]):
                refused = stoker.cli(*arguments)
                assert refused.returncode == 2 and "stoker detach chat-1" in refused.stderr, refused
            assert (stoker.instance("chat-1")["state"], stoker.instance("chat-0")["pid"]) == ("ready", before["pid"])
            assert stoker.status()["last_reload"]["outcome"] == "refused"
            assert "the reload of" in stoker.cli("status").stdout
            assert stoker.stop() == 0
            stoker.config = harness.config([venv.provider(replicas=2)])
            stoker.start()
            assert stoker.wait_state("chat-1", "ready")["pid"], "the configuration's own"
            assert any("chat-1, attached at run time, is detached" in note for note in stoker.status()["notices"])
            refused = stoker.cli("detach", "chat")
            assert refused.returncode == 1 and "in the configuration" in refused.stderr
            assert stoker.stop() == 0
            assert stoker.processes() == []


def test_the_key_of_what_was_attached_is_read_anew(venv):
    with venv.server(env={"VLLM_API_KEY": "the-second"}) as url:
        stoker = Stoker(harness.config([venv.provider()]))
        with contextlib.closing(stoker):
            stoker.start()
            key = stoker.folder / "key"
            key.write_text("the-first\n")
            assert stoker.cli("attach", "box", url, "--api-key-file", str(key)).returncode == 0
            stoker.wait_state("box", "misconfigured")
            key.write_text("the-second\n")
            assert stoker.cli("reload").returncode == 0
            stoker.wait_state("box", "ready")
            # A start without the file says so, and a reload with it brings the server back.
            assert stoker.stop() == 0
            key.rename(stoker.folder / "elsewhere")
            stoker.start()
            note = eventually(lambda: [n for n in stoker.status()["notices"] if "box" in n], 10, "a notice")
            assert "reload" in note[0] and str(key) in note[0]
            (stoker.folder / "elsewhere").rename(key)
            assert stoker.cli("reload").returncode == 0
            stoker.wait_state("box", "ready")
            assert not [n for n in stoker.status()["notices"] if "box" in n]


def test_a_failed_one_is_in_the_plan(venv):
    venv.faults(exit_at_start={"code": 1, "lines": ["RuntimeError: the stand-in gives up"]})
    with Stoker(harness.config([venv.provider(restart="{ backoff: 10ms..20ms, start_budget: 1 }")])) as stoker:
        stoker.wait_state("chat-0", "failed")
        venv.faults()
        assert "* chat-0 (has failed, is started again)" in stoker.cli("reload", "--plan").stdout
        assert stoker.instance("chat-0")["state"] == "failed", "a plan changes nothing"
        reload = stoker.cli("reload", "--json")
        assert json.loads(reload.stdout)["plan"]["retried"] == ["chat-0"], reload
        stoker.wait_state("chat-0", "ready")


def test_who_detaches_is_believed(venv):
    """While its streams finish it is neither attached again nor brought back by a crash."""
    with venv.server() as url:
        stoker = Stoker(harness.config([venv.provider()]))
        with contextlib.closing(stoker):
            stoker.start()
            assert stoker.cli("attach", "box", url).returncode == 0
            stoker.wait_state("box", "ready")
            body = {"model": "box/org/m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 30, "stream": True}
            venv.faults(token_delay_ms=100)
            texts = []
            stream = threading.Thread(target=lambda: texts.append(stoker.post("/v1/chat/completions", body).text))
            stream.start()
            eventually(lambda: stoker.instance("box")["inflight"] == 1, 10, "a stream")
            detach = threading.Thread(target=stoker.cli, args=("detach", "box"))
            detach.start()
            stoker.wait_state("box", "draining")
            again = stoker.cli("attach", "box", url)
            assert again.returncode == 1 and "is being detached" in again.stderr, again
            assert "box" not in json.loads((stoker.folder / "state" / "attached.json").read_text())
            stream.join()
            detach.join()
            assert texts[0].endswith("data: [DONE]\n\n")
            eventually(lambda: "box" not in stoker.admin().text, 10, "its end")
            assert stoker.cli("attach", "box", url).returncode == 0
            stoker.wait_state("box", "ready")


def test_one_state_directory_has_one_daemon(venv):
    with Stoker(harness.config([venv.provider()])) as stoker:
        before = stoker.wait_state("chat-0", "ready")
        other = {**stoker.env, "RUNTIME_DIRECTORY": str(stoker.folder / "other")}
        second = subprocess.run([BIN, "run", "--config", str(stoker.folder / "stoker.yaml")], env=other,
                                capture_output=True, text=True, timeout=30)
        assert second.returncode == 1 and "another stoker keeps its state" in second.stderr, second
        assert stoker.instance("chat-0")["pid"] == before["pid"] and stoker.instance("chat-0")["state"] == "ready"
