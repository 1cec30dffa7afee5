"""What is never said, wherever one looks: keys and tokens."""

import contextlib
import json
import os
import pathlib
import signal

import httpx

import harness
from harness import Stoker, admin_address, eventually


def test_secrets_are_nowhere(folder, make_venv):
    """Distinctive secrets at every place that takes one, errors of all kinds, and then a look everywhere."""
    secrets = {
        "master": "SECRET-master-81f2", "box": "SECRET-box-key-93ae", "wrong": "SECRET-wrong-key-1c07",
        "env": "SECRET-env-token-55d0", "userinfo": "SECRET-userinfo-7be4", "client": "SECRET-client-key-0af9",
        "file": "SECRET-file-key-2210", "bearer": "SECRET-orphan-6c31",
        "admin try": "SECRET-admin-try-4d1e",
    }
    venv = make_venv()
    (folder / "key").write_text(secrets["file"] + "\n")
    with contextlib.ExitStack() as stack:
        box = stack.enter_context(venv.server(model="org/box", env={"VLLM_API_KEY": secrets["box"]}))
        refusing = stack.enter_context(venv.server(model="org/no", env={"VLLM_API_KEY": "other"}))
        filed = stack.enter_context(venv.server(model="org/filed", env={"VLLM_API_KEY": secrets["file"]}))
        env = {"STANDIN_CONTROL": str(venv.control), "HF_TOKEN": secrets["env"], "SOME_PASSWORD": secrets["env"] + "-2"}
        providers = [
            venv.provider("chat", env=json.dumps(env), restart="{ backoff: 50ms..1s }"),
            f"  box: {{ base_url: {box}, api_key: '${{BOX_KEY}}' }}\n",
            f"  refusing: {{ base_url: {refusing}, api_key: {secrets['wrong']} }}\n",
            f"  filed: {{ base_url: {filed}, api_key_file: {folder / 'key'} }}\n",
            "  gone: { base_url: 'http://127.0.0.1:1', api_key: '${BOX_KEY}' }\n",
        ]
        access_log = folder / "access.jsonl"
        config = harness.config(providers, health="{ interval: 300ms, canary: off }", access_log=access_log)
        extra = {"BOX_KEY": secrets["box"], "VLLM_ORPHAN_API_KEY": secrets["bearer"],
                 "STOKER_TEST_URL": f"http://u:{secrets['userinfo']}@h"}
        stoker = stack.enter_context(Stoker(config, env=extra, key=secrets["master"]))
        stoker.wait_state("chat-0", "ready")
        for name in ("box", "filed"):
            stoker.wait_state(name, "ready")
        stoker.wait_state("refusing", "misconfigured")
        seen = []
        for key in (secrets["client"], secrets["master"]):
            headers = {"Authorization": f"Bearer {key}", "Cookie": secrets["client"]}
            for path, body in [
                ("/v1/completions", {"model": "chat/org/m", "prompt": "x"}), ("/v1/completions", {"model": "refusing/org/no"}),
                ("/v1/completions", {"model": "gone/x"}), ("/v1/completions", {"model": "nobody"}), ("/p/box/tokenize", {"prompt": "x"}),
                ("/p/box/sleep", {}), ("/v1/messages", {"model": 5}), ("/nowhere", {}),
            ]:
                answer = httpx.post(stoker.gateway + path, json=body, headers=headers, timeout=30)
                seen.append(answer.text + str(answer.headers))
        # Keys that are none, in every place that a key could be looked for, and heads that are refused with one in them.
        wrong, master = secrets["client"], secrets["master"]
        for field in (
            f'x-api-key: "{wrong}"', f"x-api-key: {wrong}\0", f"Authorization: Basic {wrong}", f"Authorization: {wrong}", f"X{wrong}: y",
            f"Authorization: Bearer {wrong * 400}", f"Authorization: Bearer {wrong}\xff", f"x-request-id: /{wrong}", f"traceparent: {wrong}",
            f"Proxy-Authorization: Basic {wrong}", f"Authorization: Bearer {master}\r\n\r\nx", f"x-api-key: {master}\0", f"x-api-key: {master}x",
            f"x-api-key: {master}\r\nx-api-key: {master}", f"x-api-key: {master}\r\nContent-Length: 1\r\nContent-Length: {wrong}",
        ):
            for target in ("/v1/models", f"/v1/models?api_key={wrong}&key={master}"):
                with harness.Wire(stoker.gateway) as wire:
                    wire.send(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{field}\r\n\r\n")
                    seen.append(wire.rest().decode("latin-1"))
        token = stoker.cli("token").stdout.strip()
        assert len(token) > 20
        for headers in ({"Authorization": f"Bearer {secrets['admin try']}"}, {"Authorization": f"Bearer {token}"}, {"Cookie": f"stoker_session={token}"}):
            for method, path in (("GET", "/api/v1/instances/chat-0/logs"), ("POST", "/api/v1/instances/nobody/drain"), ("PUT", "/api/v1/instances/x")):
                answer = httpx.request(method, admin_address(stoker) + path, headers=headers, timeout=30)
                seen.append(answer.text + str(answer.headers))
        for given in (secrets["admin try"], token + "x"):
            answer = httpx.post(admin_address(stoker) + "/login", data={"token": given}, timeout=30)
            seen.append(answer.text + str(answer.headers))
        secrets["token"] = token
        control = {"x-stand-in-control": json.dumps({"respond": {"/v1/completions": {"status": 401, "body": "{}"}}})}
        seen.append(stoker.post("/v1/completions", {"model": "box/org/box", "prompt": "x"}, headers=control).text)
        # A crash, whose log is quoted; attach and reload with secrets in them; a stream that is lost.
        os.kill(stoker.instance("chat-0")["pid"], signal.SIGKILL)
        eventually(lambda: stoker.instance("chat-0")["run"] == 2, 20, "run 2")
        stoker.wait_state("chat-0", "ready")
        for arguments in (
            ["attach", "y", f"http://u:{secrets['userinfo']}@127.0.0.1:1/v1"], ["attach", "z", f"http://{secrets['userinfo']}@[/"],
            ["attach", "w", box, "--api-key-file", str(folder / "key")], ["status"], ["status", "--json"], ["reload", "--plan"],
            ["logs", "chat-0"], ["logs", "chat-0", "--previous"],
        ):
            result = stoker.cli(*arguments)
            seen.append(result.stdout + result.stderr)
        text = (stoker.folder / "stoker.yaml").read_text()
        (stoker.folder / "stoker.yaml").write_text(
            text.replace(secrets["wrong"], secrets["wrong"] + "-changed").replace(secrets["env"], secrets["env"] + "-changed")
            + f"  bad: {{ base_url: 'http://u:{secrets['userinfo']}@h', api_kye: {secrets['client']} }}\n"
        )
        for arguments in (["reload", "--plan"], ["reload"], ["check", "--config", str(stoker.folder / "stoker.yaml")]):
            result = stoker.cli(*arguments)
            seen.append(result.stdout + result.stderr)
        (stoker.folder / "stoker.yaml").write_text(text.replace(secrets["wrong"], secrets["wrong"] + "-changed"))
        for arguments in (["reload", "--plan"], ["reload"]):
            result = stoker.cli(*arguments)
            assert result.returncode == 0, result.stderr
            seen.append(result.stdout + result.stderr)
        for path in ("/", "/dashboard/main.js", "/api/v1/status", "/metrics", "/api/v1/instances/chat-0/logs", "/readyz"):
            seen.append(stoker.admin(path=path).text)
        with httpx.Client(transport=httpx.HTTPTransport(uds=stoker.admin_socket), timeout=10) as client:
            with client.stream("GET", "http://localhost/api/v1/events") as stream:
                seen.append(next(stream.iter_text()))
        for pid in stoker.processes() + [stoker.process.pid]:
            seen.append(harness.command_line(pid))
        for path in pathlib.Path(stoker.env["RUNTIME_DIRECTORY"]).rglob("*"):
            if path.is_file():
                seen.append(path.read_text(errors="replace"))
        assert stoker.stop() == 0
        seen.append(stoker.log_text())
        seen.append(access_log.read_text())
        assert len(seen[-1].splitlines()) > 40 and '"status":401' in seen[-1]
        for path in pathlib.Path(stoker.env["STATE_DIRECTORY"]).rglob("*"):
            # The last accepted configuration may be kept there, for its owner alone.
            if path.is_file():
                text = path.read_text(errors="replace")
                assert path.stat().st_mode & 0o077 == 0 or "SECRET-" not in text, path
                if path.suffix == ".log":
                    seen.append(text)
        for text in seen:
            for name, secret in secrets.items():
                at = text.find(secret)
                assert at < 0, f"{name}: …{text[max(0, at - 300):at + 60]}"


def test_a_bug_report_has_everything_but_secrets(folder, make_venv):
    venv = make_venv()
    config = harness.config(
        [venv.provider(env=json.dumps({"MY_TOKEN": "a-token-of-mine"}), args='["--served-model-name", "org/m"]')],
        master_key="a-master-key-of-mine")
    with harness.Stoker(config, key="a-master-key-of-mine") as stoker:
        stoker.wait_state("chat-0", "ready")
        stoker.post("/v1/chat/completions", {"model": "chat/org/m", "messages": []})
        report = stoker.cli("bug-report", "--config", stoker.folder / "stoker.yaml")
        assert report.returncode == 0, report.stderr
        for words in ("==== versions", "==== configuration", "==== problems", '"state":"ready"',
                      "==== output of chat-0, current run", "vLLM"):
            assert words in report.stdout, words
        assert "of-mine" not in report.stdout
        assert "==== output" not in stoker.cli("bug-report", "--no-logs").stdout
    alone = stoker.cli("bug-report")
    assert alone.returncode == 0 and "no daemon answers" in alone.stdout
