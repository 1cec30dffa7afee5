"""The main job on a real vLLM: launched and attached at once, with the official SDKs as clients."""

import contextlib
import json
import os
import re
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
# Without them a random model would fill the room between two tokens of JSON with spaces, and tools would be refused.
CHAT_ARGS = ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True}),
             "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
CHAT_ENV = {**harness.REAL_ENV, "VLLM_ENABLE_RESPONSES_API_STORE": "1"}
SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}, "mode": {"enum": ["a", "b"]}},
          "required": ["on", "mode"], "additionalProperties": False}


@pytest.fixture(scope="module")
def attached_server():
    """A real server that is not Stoker's, with a key of its own."""
    with harness.real_server(env={"VLLM_API_KEY": "token-abc123"}) as (url, process):
        yield url, process


@pytest.fixture(scope="module")
def stoker(attached_server):
    url, _ = attached_server
    providers = [
        harness.real_provider("chat", extra=CHAT_ARGS, env=json.dumps(CHAT_ENV)),
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
    asked = {"model": CHAT, "messages": MESSAGES, "max_tokens": 64,
             "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    answer = client.chat.completions.create(**asked)
    assert set(json.loads(answer.choices[0].message.content)) == {"on", "mode"}
    chunks = list(client.chat.completions.create(**asked, n=3, stream=True))
    texts = ["".join(c.choices[0].delta.content or "" for c in chunks if c.choices and c.choices[0].index == n) for n in range(3)]
    assert all(set(json.loads(text)) == {"on", "mode"} for text in texts), texts


def test_tools(client):
    # Only a strict function's arguments are held to its schema.
    tool = {"type": "function", "function": {"name": "turn", "parameters": SCHEMA, "strict": True}}
    for choice in ({"type": "function", "function": {"name": "turn"}}, "required"):
        asked = {"model": CHAT, "messages": MESSAGES, "max_tokens": 128, "tools": [tool], "tool_choice": choice,
                 "parallel_tool_calls": False, "temperature": 0}
        call = client.chat.completions.create(**asked).choices[0].message.tool_calls[0].function
        assert call.name == "turn" and set(json.loads(call.arguments)) == {"on", "mode"}
        pieces = [c.choices[0].delta.tool_calls[0].function for c in client.chat.completions.create(**asked, stream=True)
                  if c.choices and c.choices[0].delta.tool_calls]
        assert [piece.name for piece in pieces if piece.name] == ["turn"]
        assert json.loads("".join(piece.arguments or "" for piece in pieces)) == json.loads(call.arguments)


def direct(stoker, path, body):
    """The same request at the engine itself, past the gateway."""
    transport = httpx.HTTPTransport(uds=stoker.instance("chat-0")["endpoint"].removeprefix("unix:"))
    with httpx.Client(transport=transport, timeout=120) as engine:
        return engine.post(f"http://localhost{path}", json={**body, "model": "tiny/llama"})


def without_names(text):
    """What two answers to one question share: all but their ids and times."""
    return re.sub(r'"(cmpl|chatcmpl)-[^"]*"|"created":\d+', "-", text)


def test_answers_are_the_engines_own(stoker):
    asked = {"prompt": "The", "max_tokens": 16, "temperature": 0, "prompt_logprobs": 2, "logprobs": 2}
    through = stoker.post("/v1/completions", {**asked, "model": CHAT})
    assert len(through.json()["choices"][0]["prompt_logprobs"]) == through.json()["usage"]["prompt_tokens"]
    assert without_names(through.text) == without_names(direct(stoker, "/v1/completions", asked).text)
    for body in ({"prompt": "x", "max_tokens": -1}, {"prompt": "x", "logprobs": "many"}, {"max_tokens": 1}):
        refused = stoker.post("/v1/completions", {**body, "model": CHAT})
        own = direct(stoker, "/v1/completions", body)
        assert (refused.status_code, refused.text) == (own.status_code, own.text) and refused.status_code == 400


def test_a_long_stream_is_the_engines_own(stoker):
    asked = {"prompt": "The", "max_tokens": 900, "temperature": 0, "ignore_eos": True, "stream": True,
             "stream_options": {"include_usage": True}}

    def read(answer):
        found = [json.loads(data) for data in re.findall(r"^data: (\{.*)$", answer.text, re.M)]
        assert answer.text.endswith("data: [DONE]\n\n")
        choices = [choice for event in found for choice in event["choices"]]
        return "".join(c["text"] for c in choices), choices[-1]["finish_reason"], found[-1]["usage"]["completion_tokens"]

    through = read(stoker.post("/v1/completions", {**asked, "model": CHAT}))
    assert through[1:] == ("length", 900)
    assert through == read(direct(stoker, "/v1/completions", asked))


def tokens(stoker):
    """What the gateway has counted of the model's tokens."""
    found = re.findall(r'^stoker_tokens_total\{provider="chat",model="tiny/llama",kind="(\w+)"\} (\d+)', stoker.admin(path="/metrics").text, re.M)
    return {kind: int(count) for kind, count in found}


def test_tokens_are_counted_from_every_kind_of_answer(stoker):
    # The gateway reports every second, on a busy machine later.
    settled = eventually(lambda: (a := tokens(stoker)) and not time.sleep(4) and tokens(stoker) == a and a, 30, "a count at rest")
    used = []
    for extra in ({}, {"prompt_logprobs": 5}, {"stream": True, "stream_options": {"include_usage": True}}):
        text = stoker.post("/v1/chat/completions", {"model": CHAT, "messages": MESSAGES, "max_tokens": 6, **extra}).text
        used.append(re.search(r'"usage":\{"prompt_tokens":(\d+),"total_tokens":\d+,"completion_tokens":(\d+)', text).groups())
    for stream in (False, True):
        text = stoker.post("/v1/responses", {"model": CHAT, "input": "Hello", "max_output_tokens": 6, "stream": stream}).text
        used.append((re.findall(r'"input_tokens":(\d+)', text)[-1], re.findall(r'"output_tokens":(\d+)', text)[-1]))
        text = stoker.post("/v1/messages", {"model": CHAT, "messages": MESSAGES, "max_tokens": 6, "stream": stream}).text
        used.append((re.findall(r'"input_tokens":(\d+)', text)[-1], re.findall(r'"output_tokens":(\d+)', text)[-1]))
    expected = {"prompt": settled["prompt"] + sum(int(p) for p, _ in used),
                "completion": settled["completion"] + sum(int(c) for _, c in used)}
    counted = []
    try:
        eventually(lambda: counted.append(tokens(stoker)) or counted[-1] == expected, 20, f"{expected} (used: {used})")
    except AssertionError as error:
        raise AssertionError(f"{error}; before {settled}, then {counted[0]}, at last {counted[-1]}") from None


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
    assert client.responses.retrieve(answer.id).id == answer.id
    following = client.responses.create(model=CHAT, input="And?", max_output_tokens=8, previous_response_id=answer.id)
    assert following.previous_response_id == answer.id
    working = client.responses.create(model=CHAT, input="Hello", max_output_tokens=900, background=True)
    assert client.responses.cancel(working.id).status == "cancelled"
    # Each server is asked, the one that serves no text among them.
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.retrieve("resp_unknown")
    assert unknown.value.code == "response_not_found" and "VLLM_ENABLE_RESPONSES_API_STORE" in unknown.value.message
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=CHAT, input="And?", previous_response_id="resp_unknown")


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


def gauge(stoker, name):
    text = stoker.get("/p/chat-0/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"vllm:num_requests_{name}{{"))


def test_two_hundred_clients_that_leave_abort_their_requests_in_the_engine(stoker):
    body = json.dumps({"model": CHAT, "messages": MESSAGES, "max_tokens": 900, "ignore_eos": True, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nx-api-key: {stoker.key}\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            wire = stack.enter_context(harness.Wire(stoker.gateway))
            wire.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        eventually(lambda: gauge(stoker, "running") >= 2, 60, "running requests")
        time.sleep(0.5)
        assert gauge(stoker, "running") + gauge(stoker, "waiting") > 2, "nothing is over by itself yet"
    eventually(lambda: gauge(stoker, "running") + gauge(stoker, "waiting") == 0, 30, "an idle engine")
    eventually(lambda: stoker.instance("chat-0")["inflight"] == 0, 10, "nothing in flight")
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
