"""What packaging/ has for others' machines: examples of configurations, Kubernetes manifests, a Compose file."""

import pathlib
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

import harness

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"


def check(folder, text, venv):
    """`stoker check`'s words on a configuration, with this machine's paths in place of the example's."""
    key = folder / "key"
    key.write_text("a-key-of-some-length\n")
    key.chmod(0o600)
    text = re.sub(r"(?:/etc/stoker)[\w./-]*(?:key)\b", str(key), text)
    text = text.replace("/opt/vllm/bin/vllm", venv.vllm)
    # Ports of tests that run beside this one.
    text = re.sub(r":80(80|81)\b", ":0", text)
    (folder / "stoker.yaml").write_text(text)
    done = subprocess.run(
        [harness.BIN, "check", "--config", folder / "stoker.yaml"], capture_output=True, text=True, timeout=60,
        # With a token, so that models are fetched at the first start without a word.
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "HF_TOKEN": "hf_x", "STATE_DIRECTORY": str(folder / "state"),
             "RUNTIME_DIRECTORY": str(folder / "run")})
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("name", sorted(p.name for p in (PACKAGING / "examples").iterdir()) + ["../stoker.yaml"])
def test_examples_are_in_order(tmp_path, venv, name):
    """But for GPUs, which the examples' machines have."""
    words = check(tmp_path, (PACKAGING / "examples" / name).read_text(), venv)
    assert [line for line in words if "GPU" not in line] == []


def manifests():
    return list(yaml.safe_load_all((PACKAGING / "kubernetes/stoker.yaml").read_text()))


def test_manifests_are_kubernetes():
    for manifest in manifests():
        assert kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_the_manifests_configuration_is_in_order(tmp_path, venv):
    config = next(m for m in manifests() if m["kind"] == "ConfigMap")["data"]["stoker.yaml"]
    assert check(tmp_path, config, venv) == []


def test_compose_names_what_the_image_listens_to():
    services = yaml.safe_load((PACKAGING / "compose/compose.yaml").read_text())["services"]
    dockerfile = (PACKAGING.parent / "Dockerfile").read_text()
    for port in services["stoker"]["ports"]:
        assert re.search(rf"^EXPOSE .*\b{port.rsplit(':', 1)[1]}\b", dockerfile, re.M)
    host = re.match(r"http://([a-z]+):(\d+)/v1$", services["stoker"]["environment"]["VLLM_BASE_URL"])
    assert host.group(1) in services and host.group(2) == "8000"


def test_the_runbook_has_every_state_and_every_alert():
    root = PACKAGING.parent
    runbook = (root / "docs/operations.md").read_text().split("## Runbook")[1]
    rows = set(re.findall(r"^\| `(\w+)` \|", runbook, re.M))
    states = set(re.findall(r"^    case (\w+)$", (root / "Sources/Fleet/Instances/InstanceState.swift").read_text(), re.M))
    rules = yaml.safe_load((PACKAGING / "prometheus/stoker.rules.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert len(states) > 10 and rows == states | alerts
