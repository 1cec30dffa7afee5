"""The main job on a real vLLM: launched and attached at once, with the official SDKs as clients."""

import contextlib
import json
import os
import signal
import time

import anthropic
import httpx
import openai
import pytest

import harness
from harness import REAL_START, Stoker, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

CHAT = "chat/tiny/llama"
MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def attached_server():
    """A real server that is not Stoker's, with a key of its own."""
    with harness.real_server(env={"VLLM_API_KEY": "token-abc123"}) as (url, process):
        yield url, process


@pytest.fixture(scope="module")
def stoker(attached_server):
    url, _ = attached_server
    providers = [
        harness.real_provider("chat"),
        harness.real_provider("embed", "tiny-embedding", "tiny/embedding", ["--runner", "pooling"]),
        f"  box:\n    base_url: {url}/v1\n    api_key: token-abc123\n",
    ]
    with Stoker(harness.config(providers, ready_when="all"), notify=True) as daemon:
        for name in ("chat-0", "embed-0", "box"):
            daemon.wait_state(name, "ready", within=2 * REAL_START)
        yield daemon


@pytest.fixture(scope="module")
def client(stoker):
    return openai.OpenAI(base_url=stoker.gateway + "/v1", api_key=stoker.key, max_retries=0, timeout=120)


def test_all_three_are_published_and_systemd_was_told(stoker):
    assert stoker.models() == ["box/tiny/llama", "chat/tiny/llama", "embed/tiny/embedding"]
    eventually(lambda: "READY=1" in stoker.notify.lines(), 10, "READY=1")
    eventually(lambda: any(l.startswith("STATUS=3/3 instances ready") for l in stoker.notify.lines()), 10, "STATUS")
    assert any(l.startswith("EXTEND_TIMEOUT_USEC=") for l in stoker.notify.lines()), "loading extends the start timeout"
    assert stoker.get("/ready").status_code == 200


def test_launched_servers_are_reached_by_unix_socket_and_alone_in_their_sessions(stoker):
    instance = stoker.instance("chat-0")
    assert instance["endpoint"].startswith("unix:")
    assert os.getsid(instance["pid"]) == instance["pid"]
    signals = {check["signal"] for check in instance["checks"]}
    assert {"process", "health", "models"} <= signals, instance["checks"]


def test_model_card_keeps_vllms_fields(stoker):
    card = stoker.get("/v1/models/chat/tiny/llama").json()
    assert card["id"] == CHAT and card["owned_by"] == "chat" and card["max_model_len"] == 1024


def test_chat(client):
    answer = client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=8)
    assert answer.choices[0].message.role == "assistant" and answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", [CHAT, "chat-0/tiny/llama", "box/tiny/llama", "tiny/llama"])
def test_chat_stream_by_every_kind_of_selector(client, model):
    stream = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].usage.completion_tokens > 0
    assert any(chunk.choices and chunk.choices[0].finish_reason for chunk in chunks)


def test_completions_plain_and_streaming(client):
    """The stream says what the plain answer says. vLLM joins tokens that its front end is late to send, so that the
    number of chunks says nothing."""
    asked = {"model": CHAT, "prompt": "The", "max_tokens": 32, "temperature": 0}
    plain = client.completions.create(**asked)
    assert plain.usage.completion_tokens > 0
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == plain.choices[0].text
    assert chunks[-1].choices[0].finish_reason == plain.choices[0].finish_reason


def test_n_logprobs_and_response_format(client):
    answer = client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=4, n=2, logprobs=True)
    assert len(answer.choices) == 2 and answer.choices[0].logprobs.content
    schema = {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
                                      "additionalProperties": False}}
    answer = client.chat.completions.create(
        model=CHAT, messages=MESSAGES, max_tokens=64, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert answer.choices[0].message.content.lstrip().startswith("{")


def test_embeddings_on_a_pooling_model(client):
    answer = client.embeddings.create(model="embed/tiny/embedding", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) == 128


def test_responses_plain_and_streaming(client):
    answer = client.responses.create(model=CHAT, input="Hello", max_output_tokens=8)
    assert answer.id.startswith("resp_") and answer.output
    kinds = [event.type for event in client.responses.create(
        model=CHAT, input="Hello", max_output_tokens=8, stream=True)]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")


def test_messages_with_the_anthropic_sdk(stoker):
    client = anthropic.Anthropic(base_url=stoker.gateway, api_key=stoker.key, max_retries=0, timeout=120)
    answer = client.messages.create(model=CHAT, max_tokens=8, messages=MESSAGES)
    assert answer.role == "assistant" and answer.usage.output_tokens > 0
    with client.messages.stream(model=CHAT, max_tokens=8, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="chat/nothing", max_tokens=8, messages=MESSAGES)
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=stoker.gateway, api_key="wrong", max_retries=0).messages.create(
            model=CHAT, max_tokens=8, messages=MESSAGES
        )


def test_errors_are_the_sdks_typed_exceptions(client, stoker):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="chat/nothing", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError) as refused:
        client.with_options(api_key="wrong").chat.completions.create(model=CHAT, messages=MESSAGES)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=100_000)
    assert stoker.get("/v1/models/chat/nothing").status_code == 404


def test_tokenize_by_passthrough(stoker):
    direct = stoker.post("/p/chat/tokenize", {"model": "tiny/llama", "prompt": "Hello"})
    assert direct.status_code == 200 and direct.json()["count"] > 0
    assert stoker.post("/p/box/detokenize", {"model": "tiny/llama", "tokens": direct.json()["tokens"]}).status_code == 200


def running(stoker, name="chat-0"):
    text = stoker.get(f"/p/{name}/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("vllm:num_requests_running{"))


def test_clients_that_leave_abort_their_requests_in_the_engine(stoker):
    body = {"model": CHAT, "messages": MESSAGES, "max_tokens": 900, "ignore_eos": True, "stream": True}
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(
                httpx.stream("POST", stoker.gateway + "/v1/chat/completions", json=body, headers=stoker.headers, timeout=60)
            )
        eventually(lambda: running(stoker) >= 2, 60, "running requests")
    eventually(lambda: running(stoker) == 0, 20, "an idle engine")
    assert stoker.instance("chat-0")["state"] == "ready"


def test_kill_of_the_api_server_under_a_stream(stoker, attached_server):
    """The tree is gone before the next run, the client is told, the model is 503 meanwhile, and comes back."""
    before = stoker.instance("chat-0")
    tree = [pid for pid in stoker.processes() if os.getsid(pid) == before["pid"]]
    assert any("VLLM::EngineCore" in harness.command_line(pid) for pid in tree), "the engine's processes are seen"
    body = {"model": CHAT, "messages": MESSAGES, "max_tokens": 900, "ignore_eos": True, "stream": True}
    got = []
    with httpx.stream("POST", stoker.gateway + "/v1/chat/completions", json=body, headers=stoker.headers, timeout=60) as answer:
        for _, data in harness.events(answer):
            got.append(data)
            if len(got) == 5:
                killed = time.monotonic()
                os.kill(before["pid"], signal.SIGKILL)
    assert json.loads(got[-1])["error"]["code"] == "upstream_lost"
    assert "[DONE]" not in got
    eventually(lambda: CHAT not in stoker.models(), 2, "the model leaves the list")
    print(f"unpublished {time.monotonic() - killed:.3f} s after the kill, as seen through the gateway")
    one = stoker.get("/v1/models/chat/tiny/llama")
    assert one.status_code == 503 and one.json()["error"]["code"] == "model_loading" and "retry-after" in one.headers
    refused = stoker.post("/v1/chat/completions", {"model": CHAT, "messages": MESSAGES})
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_loading"
    assert stoker.post("/v1/chat/completions", {"model": "box/tiny/llama", "messages": MESSAGES, "max_tokens": 2}).status_code == 200
    following = eventually(
        lambda: (i := stoker.instance("chat-0"))["pid"] not in (None, before["pid"]) and i, 60, "the next run"
    )
    assert following["run"] == before["run"] + 1
    assert not [pid for pid in tree if harness.alive(pid)], "the old tree was still alive when the next run had begun"
    after = stoker.wait_state("chat-0", "ready", within=REAL_START)
    assert after["restarts"] == before["restarts"] + 1 and after["last_failure"]["kind"]
    assert stoker.post("/v1/chat/completions", {"model": CHAT, "messages": MESSAGES, "max_tokens": 2}).status_code == 200


def test_the_attached_servers_death_is_noticed_and_it_is_never_signalled(stoker, attached_server):
    _, process = attached_server
    assert process.poll() is None, "nothing has signalled it so far"
    os.killpg(process.pid, signal.SIGKILL)
    stoker.wait_state("box", "connecting", within=30)
    eventually(lambda: "box/tiny/llama" not in stoker.models(), 2, "the model leaves the list")
    refused = stoker.post("/v1/chat/completions", {"model": "box/tiny/llama", "messages": MESSAGES})
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "model_unavailable"


def test_sigterm_leaves_nothing(stoker):
    """Last in this file: the daemon ends here, and with it every process that it started."""
    assert stoker.stop(within=120) == 0
    assert stoker.processes() == []
    assert "STOPPING=1" in stoker.notify.lines()
