"""The guide, line by line, with our binary in its system's place, on a real vLLM."""

import pytest

import harness
from harness import REAL_START, Stoker, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def server():
    """`vllm serve meta-llama/Llama-3.1-8B-Instruct --api-key token-abc123`, with a tiny model of that name."""
    with harness.real_server(served=MODEL, env={"VLLM_API_KEY": "token-abc123"}) as (url, _):
        yield url


@pytest.fixture(scope="module")
def stoker(server):
    env = {
        "GOMODEL_MASTER_KEY": "change-me",
        "STOKER_LISTEN": "127.0.0.1:0",
        "STOKER_ADMIN_LISTEN": "127.0.0.1:0",
        "VLLM_BASE_URL": f"{server}/v1",
        "VLLM_API_KEY": "token-abc123",
        "VLLM_TEST_BASE_URL": f"{server}/v1",
        "VLLM_TEST_API_KEY": "token-abc123",
    }
    with Stoker(env=env, key=None) as daemon:
        daemon.key = "change-me"
        for name in ("vllm", "vllm-test"):
            daemon.wait_state(name, "ready", within=REAL_START)
        yield daemon


def test_verify_the_model_registry(stoker):
    assert stoker.models() == [f"vllm-test/{MODEL}", f"vllm/{MODEL}"]


def test_send_a_chat_request(stoker):
    answer = stoker.post(
        "/v1/chat/completions",
        {"model": f"vllm-test/{MODEL}", "messages": [{"role": "user", "content": "Reply with exactly ok."}], "max_tokens": 4},
    )
    assert answer.status_code == 200 and answer.headers["x-stoker-instance"] == "vllm-test"
    assert answer.json()["model"] == MODEL


def test_streaming_chat_completions(stoker):
    body = {"model": f"vllm/{MODEL}", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "stream": True}
    text = stoker.post("/v1/chat/completions", body).text
    assert text.startswith("data: ") and text.rstrip().endswith("data: [DONE]")


def test_responses_and_streaming_responses(stoker):
    body = {"model": f"vllm/{MODEL}", "input": "Hi", "max_output_tokens": 4}
    assert stoker.post("/v1/responses", body).json()["object"] == "response"
    assert "event: response.created" in stoker.post("/v1/responses", {**body, "stream": True}).text


def test_use_vllm_passthrough(stoker):
    for path in ("/p/vllm/tokenize", "/p/vllm-test/tokenize"):
        answer = stoker.post(path, {"model": MODEL, "prompt": "Hello"})
        assert answer.status_code == 200 and answer.json()["count"] > 0


def test_the_client_needs_the_master_key_and_never_sees_the_servers(stoker):
    assert stoker.get("/v1/models", headers={"Authorization": "Bearer token-abc123"}).status_code == 401
    answer = stoker.get("/p/vllm/models")
    assert answer.status_code == 200 and "token-abc123" not in answer.text + str(answer.headers)
    status = stoker.admin().text
    assert "token-abc123" not in status and "change-me" not in status
    assert "token-abc123" not in stoker.log_text() and "change-me" not in stoker.log_text()


def test_without_the_servers_key_it_is_misconfigured(server):
    env = {"STOKER_MASTER_KEY": "k", "STOKER_LISTEN": "127.0.0.1:0", "STOKER_ADMIN_LISTEN": "127.0.0.1:0",
           "VLLM_BASE_URL": f"{server}/v1"}
    with Stoker(env=env, key="k") as daemon:
        instance = daemon.wait_state("vllm", "misconfigured", within=30)
        assert "401" in instance["reason"] or "key" in instance["reason"]
        eventually(lambda: daemon.get("/ready").status_code == 503, 5, "not ready")
