"""Metrics as Prometheus reads them: checked by promtool, scraped by a real Prometheus, and the names that the alert
rules and the Grafana dashboard ask for are there."""

import json
import pathlib
import re
import shutil
import subprocess

import httpx
import pytest

import harness
from harness import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging/prometheus"
BODY = {"model": "chat/org/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def tool(name):
    """A program of Debian's prometheus package; the test is skipped, with the reason, where it cannot be had."""
    done = subprocess.run([ROOT / "scripts/debian-tool", "prometheus", f"usr/bin/{name}"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no {name}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def stoker(make_venv):
    venv = make_venv()
    admin = f"127.0.0.1:{harness.free_port()}"
    with harness.Stoker(harness.config([venv.provider(replicas=2)], admin=f'{{ listen: "{admin}" }}')) as stoker:
        stoker.admin_address = admin
        for name in ("chat-0", "chat-1"):
            stoker.wait_state(name, "ready")
        for _ in range(4):
            assert stoker.post("/v1/chat/completions", BODY).status_code == 200
        eventually(lambda: 'stoker_requests_total{' in stoker.admin(path="/metrics").text, 10, "counted requests")
        yield stoker


@pytest.mark.parametrize("path", ["/metrics", "/metrics/engines"])
def test_promtool_finds_nothing_to_say(stoker, path):
    answer = stoker.admin(path=path)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=answer.text, capture_output=True, text=True)
    # vLLM's own names are vLLM's: promtool has opinions about some of them, which are no errors of the format.
    assert done.returncode == 0 or (path == "/metrics/engines" and done.returncode == 3), done.stdout + done.stderr


def test_the_engines_metrics_have_their_names(stoker):
    lines = stoker.admin(path="/metrics/engines").text.splitlines()
    for name in ("chat-0", "chat-1"):
        assert f'stoker_engine_scrape_up{{instance="{name}",provider="chat"}} 1' in lines
        assert any(l.startswith(f'vllm:num_requests_running{{instance="{name}",provider="chat",') for l in lines)


def test_the_rules_hold_what_they_promise():
    for arguments in (["check", "rules", "stoker.rules.yaml"], ["check", "config", "prometheus.yaml"],
                      ["test", "rules", "stoker.rules.test.yaml"]):
        done = subprocess.run([tool("promtool"), *arguments], cwd=RULES, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_asks_for_a_metric_that_is_not_there(stoker):
    """A family is there from the first scrape, with or without samples."""
    text = stoker.admin(path="/metrics").text + stoker.admin(path="/metrics/engines").text
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    there |= {name + suffix for name in there for suffix in ("_bucket", "_sum", "_count")}
    dashboard = json.loads((ROOT / "packaging/grafana/stoker.json").read_text())
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))
    asked += (RULES / "stoker.rules.yaml").read_text()
    names = set(re.findall(r"\b(?:stoker_|vllm:)[a-z_:]+\b(?=[{\[\s)=]|$)", asked))
    assert len(names) > 20
    assert names - there == set()


def test_a_real_prometheus_scrapes_both(stoker, tmp_path):
    port, admin = harness.free_port(), stoker.admin_address
    config = (RULES / "prometheus.yaml").read_text().replace("127.0.0.1:8081", admin)
    (tmp_path / "prometheus.yaml").write_text("global: { scrape_interval: 1s, evaluation_interval: 1s }\n" + config)
    shutil.copyfile(RULES / "stoker.rules.yaml", tmp_path / "stoker.rules.yaml")
    log = open(tmp_path / "log", "w")
    process = subprocess.Popen(
        [tool("prometheus"), f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        def value(query):
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=5).json()
            return answer["data"]["result"]

        eventually(lambda: len(value('up{job=~"stoker|stoker-engines"} == 1')) == 2, 60, "two scrapes that succeed")
        assert len(value('stoker_instance_state{state="ready"} == 1')) == 2
        found = eventually(lambda: value("vllm:num_requests_running"), 30, "the engines' metrics")
        assert {one["metric"]["instance"] for one in found} == {"chat-0", "chat-1"}
        rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules", timeout=5).json()["data"]["groups"][0]["rules"]
        assert len(rules) == 10 and all(not rule.get("lastError") for rule in rules)
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_the_documentation_has_every_metric(stoker):
    text = stoker.admin(path="/metrics").text + stoker.admin(path="/metrics/engines").text
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE stoker_")}
    said = set(re.findall(r"`(stoker_[a-z_]+)[`{]", (ROOT / "docs/metrics.md").read_text()))
    assert said == there
