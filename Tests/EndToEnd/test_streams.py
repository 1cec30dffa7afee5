"""Streams that break, are split, are left or are read slowly; and the official SDKs."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import tempfile
import threading
import time

import anthropic
import httpx
import openai
import pytest

import harness
from harness import Stoker, Wire, eventually

KEY = "test-master-key"
WORDS = "The café feeds the 漢字 furnace 🔥 and é watches 日本 a gauge 🚂 all day."
PROTOCOLS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}),
    "completions": ("/v1/completions", {"prompt": "Hi", "max_tokens": 16}),
    "responses": ("/v1/responses", {"input": "Hi", "max_output_tokens": 16}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}),
}
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


class Fleet:
    def __init__(self, stoker, venv):
        self.stoker, self.venv, self.address = stoker, venv, stoker.gateway
        self.endpoints = {name: stoker.instance(name)["endpoint"] for name in ("chat-0", "chat-1", "embed-0")}
        self.pids = {name: stoker.instance(name)["pid"] for name in self.endpoints}

    def stats(self, name):
        return harness.stand_in(self.endpoints[name], "stats")

    @contextlib.contextmanager
    def faulty(self, name, **faults):
        """Faults of one instance, for as long as this lasts."""
        self.venv.faults(where=[{"pid": self.pids[name], "set": faults}])
        try:
            yield
        finally:
            self.venv.faults()

    def earn_retries(self):
        """Ordinary traffic: a fifth of it may be tried again, and tests in a row would use the budget up."""
        body = json.dumps({"model": "chat/org/m", "prompt": "Hi", "max_tokens": 1}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: {KEY}\r\nContent-Type: application/json\r\n"
        with Wire(self.address) as wire:
            for _ in range(60):
                wire.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                assert wire.answer().status == 200

    def newest_abort(self):
        """When a server last noticed that its client had gone, by the clock of time.monotonic."""
        return max((a for n in ("chat-0", "chat-1") for a in self.stats(n)["aborts"]), key=lambda a: a["at"])

    def idle(self):
        return all(self.stats(name)["inferences_open"] == 0 for name in ("chat-0", "chat-1"))


def launch(venv, stack, **keys):
    env = {"STANDIN_CONTROL": str(venv.control), "VLLM_ENABLE_RESPONSES_API_STORE": "1"}
    restart = "{ backoff: 50ms..200ms, budget: 100 in 1m }"
    providers = [
        venv.provider("chat", replicas=2, env=json.dumps(env), restart=restart),
        venv.provider("embed", "org/e", env=json.dumps(env), args=json.dumps(["--runner", "pooling"])),
        venv.provider("ears", "org/a", env=json.dumps({**env, "STANDIN_TASK": "transcription"})),
    ]
    config = harness.config(providers, health="{ interval: 500ms, canary: off }", **keys)
    stoker = stack.enter_context(Stoker(config, key=KEY))
    for name in ("chat-0", "chat-1", "embed-0", "ears-0"):
        stoker.wait_state(name, "ready")
    return stoker


@pytest.fixture(scope="module")
def fleet():
    """One daemon whose instances live through all of a module's tests but for the deadly ones."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ss-", dir="/tmp")))
        venv = harness.StandInVenv(folder)
        yield Fleet(launch(venv, stack), venv)


def request(protocol, *fields, stream=True, model="chat/org/m", faults=None, **keys):
    path, body = PROTOCOLS[protocol]
    text = json.dumps({"model": model, **body, "stream": stream, **keys}).encode()
    lines = [
        f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {KEY}", "Content-Type: application/json",
        f"Content-Length: {len(text)}", *fields,
    ]
    if faults:
        lines.append(f"x-stand-in-control: {json.dumps(faults)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + text


def parse(text):
    """Server-sent events, strictly: (event, data) of each block; comments and empty blocks left out."""
    found = []
    for block in text.replace(b"\r\n", b"\n").split(b"\n\n"):
        event, data = None, []
        for line in block.split(b"\n"):
            if line.startswith(b"event:"):
                event = line[6:].strip().decode()
            elif line.startswith(b"data:"):
                data.append(line[5:].strip())
            else:
                assert not line or line.startswith(b":"), f"no line of an event stream: {line!r}"
        if data:
            found.append((event, b"\n".join(data).decode()))
    return found


def text_of(protocol, found):
    """The text that a stream's deltas make."""
    out = ""
    for event, data in found:
        if data == "[DONE]":
            continue
        value = json.loads(data)
        if protocol == "chat":
            out += "".join(choice["delta"].get("content") or "" for choice in value.get("choices", []))
        elif protocol == "completions":
            out += "".join(choice["text"] for choice in value.get("choices", []))
        elif event == "response.output_text.delta":
            out += value["delta"]
        elif event == "content_block_delta":
            out += value["delta"]["text"]
    return out


# -- Bytes


@each_protocol
@pytest.mark.parametrize("faults", [{}, {"chunk_bytes": 1}, {"write_bytes": 1}, {"chunk_bytes": 7, "write_bytes": 3}, {"chunk_bytes": 3}],
                         ids=str)
def test_split_events_and_characters_arrive_intact(fleet, protocol, faults):
    with Wire(fleet.address) as wire:
        answer = wire.send(request(protocol, faults=faults)).answer()
        assert answer.status == 200 and answer.field("content-type").startswith("text/event-stream")
        assert answer.field("x-stoker-instance") in ("chat-0", "chat-1") and answer.field("content-length") is None
        found = parse(answer.body)
        assert text_of(protocol, found) == WORDS
        assert (found[-1][1] == "[DONE]") == (protocol in ("chat", "completions"))
        assert wire.send(request(protocol, stream=False)).answer().status == 200, "in step for the next request"


def test_bytes_leave_as_they_come(fleet):
    """Each token is there long before the next one is made."""
    with Wire(fleet.address) as wire:
        wire.send(request("completions", faults={"token_delay_ms": 150, "tokens": 6}))
        wire.head()
        moments = []
        while wire.chunk():
            moments.append(time.monotonic())
    gaps = [after - before for before, after in zip(moments, moments[1:])]
    assert sum(gap > 0.1 for gap in gaps) >= 5, gaps


def test_a_usage_and_a_comment_pass(fleet):
    with Wire(fleet.address) as wire:
        answer = wire.send(request("chat", stream_options={"include_usage": True})).answer()
    last = json.loads(parse(answer.body)[-2][1])
    assert last["usage"]["completion_tokens"] == 16
    raw = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: keep\n\ndata: {\"x\":1}\n\n: alive\n\ndata: [DONE]\n\n"
    with Wire(fleet.address) as wire:
        answer = wire.send(request("completions", faults={"raw": {"/v1/completions": raw}})).answer()
    assert answer.body.decode() == raw.split("\r\n\r\n")[1]


# -- Servers that are lost in the middle


def check_lost(protocol, body):
    """The stream ends with the protocol's error event, and nothing says that it ended well."""
    found = parse(body)
    event, data = found[-1]
    value = json.loads(data)
    assert "[DONE]" not in body.decode(errors="replace")
    if protocol in ("chat", "completions"):
        assert event is None and value["error"]["code"] == "upstream_lost"
        assert set(value["error"]) == {"message", "type", "param", "code"}
    elif protocol == "responses":
        assert event == value["type"] == "response.failed"
        assert value["response"]["status"] == "failed" and value["response"]["error"]["code"] == "upstream_lost"
        numbers = [json.loads(data)["sequence_number"] for _, data in found]
        assert numbers == sorted(set(numbers)), numbers
        assert value["response"]["id"] == json.loads(found[0][1])["response"]["id"]
    else:
        assert event == value["type"] == "error" and value["error"]["type"] == "api_error"
    return found


@each_protocol
@pytest.mark.parametrize("fault", ["cut_after_tokens", "reset_after_tokens", "cut, split"])
def test_a_lost_server_ends_the_stream_with_an_error(fleet, protocol, fault):
    faults = {"token_delay_ms": 5, "chunk_bytes": 5, "cut_after_tokens": 4} if fault == "cut, split" else {
        "token_delay_ms": 5, fault: 4}
    with Wire(fleet.address) as wire:
        answer = wire.send(request(protocol, faults=faults)).answer()
        assert answer.status == 200
        check_lost(protocol, answer.body)
        assert wire.rest() == b"", "and the connection closes"


EVENT = 'data: {"a":123}\n\n'


@pytest.mark.parametrize(
    "raw,kept",
    [
        # Lost inside a size line, a chunk, an event, between a chunk and its end, inside an extension.
        ("11\r\n" + EVENT + "\r\n1", EVENT),
        ("11\r\n" + EVENT + "\r\n0", EVENT),
        ("11\r\n" + EVENT + "\r\n40\r\ndata: {\"b", EVENT + 'data: {"b'),
        ("11\r\n" + EVENT + "\r\n40\r\n", EVENT),
        ("11\r\n" + EVENT + "\r\n7\r\ndata: {\r\n", EVENT + "data: {"),
        ("11\r\n" + EVENT, EVENT),
        ("11\r\n" + EVENT + "\r", EVENT),
        ("11\r\n" + EVENT + "\r\n", EVENT),
        ("11;x=y\r\n" + EVENT + "\r\n40;x=", EVENT),
        ("11\r\n" + EVENT + "\r\n11\r\n" + EVENT + "\r", EVENT + EVENT),
    ],
    ids=range(10),
)
def test_wherever_a_chunked_stream_is_cut_its_reader_stays_in_step(fleet, raw, kept):
    raw = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{raw}"
    with Wire(fleet.address) as wire:
        answer = wire.send(request("completions", faults={"raw": {"/v1/completions": raw}})).answer()
        assert answer.status == 200 and answer.body.startswith(kept.encode())
        last = [line for line in answer.body.split(b"\n") if line][-1]
        assert last.startswith(b"data: ") and json.loads(last[6:])["error"]["code"] == "upstream_lost"
        assert wire.rest() == b""


@pytest.fixture
def mortal(venv):
    """A daemon of one test's own, for what kills."""
    with contextlib.ExitStack() as stack:
        yield Fleet(launch(venv, stack), venv)


@each_protocol
def test_a_server_killed_in_mid_stream(mortal, protocol):
    with Wire(mortal.address) as wire:
        wire.send(request(protocol, faults={"token_delay_ms": 50}))
        assert wire.head()[0] == 200
        body = b""
        while body.count(b"data: ") < 5:
            body += wire.chunk()
        for name in ("chat-0", "chat-1"):
            os.kill(mortal.pids[name], signal.SIGKILL)
        while piece := wire.chunk():
            body += piece
        assert wire.rest() == b""
    check_lost(protocol, body)
    eventually(lambda: mortal.stoker.status()["gateway"]["restarts"] == 0 and mortal.stoker.instance("chat-0")["run"] == 2, 20, "run 2")
    mortal.stoker.wait_state("chat-0", "ready")


def test_the_engine_killed_in_mid_stream(mortal):
    """The server itself says so: its event and its [DONE] pass as they are."""
    with Wire(mortal.address) as wire:
        answer = wire.send(request("chat", faults={"token_delay_ms": 20, "die_after_tokens": 4, "die_how": "engine"})).answer()
    *_, error, done = [data for _, data in parse(answer.body)]
    assert "EngineCore" in error and done == "[DONE]" and "upstream_lost" not in error


@each_protocol
def test_a_request_that_does_not_stream_outlives_its_server(mortal, protocol):
    """Killed while it works on a request, before a byte of an answer: the other replica answers."""
    for name, other in (("chat-0", "chat-1"), ("chat-1", "chat-0")):
        before = mortal.stoker.wait_state(name, "ready")
        mortal.stoker.wait_state(other, "ready")
        # Only the doomed one is slow, so that what is in flight is on it.
        mortal.venv.faults(where=[{"pid": before["pid"], "set": {"first_token_delay_ms": 30000}}])
        doomed = harness.stand_in(before["endpoint"], "stats")
        answers, threads = [], []

        def work():
            with Wire(mortal.address) as wire:
                answers.append(wire.send(request(protocol, stream=False)).answer())

        for _ in range(6):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
        eventually(
            lambda: harness.stand_in(before["endpoint"], "stats")["inferences_open"] > doomed["inferences_open"], 10, "work there")
        os.kill(before["pid"], signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        assert [answer.status for answer in answers] == [200] * 6, [answer.body for answer in answers]
        assert {answer.field("x-stoker-instance") for answer in answers} == {other}
        mortal.venv.faults()
        return


# -- Tried again while nothing has left


@pytest.mark.parametrize(
    "protocol,fault", [(p, f) for f in ("error_first", "busy") for p in PROTOCOLS] + [("chat", "abort"), ("completions", "abort")])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_what_failed_before_a_byte_is_tried_on_the_other_replica(fleet, protocol, fault, stream):
    fleet.earn_retries()
    with fleet.faulty("chat-0", **{fault: True}):
        began, hits = time.monotonic(), []
        for _ in range(40):
            with Wire(fleet.address) as wire:
                answer = wire.send(request(protocol, stream=stream)).answer()
            assert answer.status == 200, answer.body
            assert answer.field("x-stoker-instance") == "chat-1", answer.body
            assert b"abort" not in answer.body and b"EngineCore" not in answer.body
            if stream:
                assert text_of(protocol, parse(answer.body)) == WORDS
            hits = [r for r in harness.stand_in(fleet.endpoints["chat-0"], "requests")["requests"]
                    if r["target"] == PROTOCOLS[protocol][0] and r["at"] > began]
            if hits:
                break
        assert hits, "the faulty one was never asked"


def test_an_abort_without_a_token_is_tried_again_also_behind_a_usage(fleet):
    fleet.earn_retries()
    with fleet.faulty("chat-0", abort=True):
        for _ in range(8):
            with Wire(fleet.address) as wire:
                answer = wire.send(request("chat", stream_options={"include_usage": True})).answer()
            assert answer.field("x-stoker-instance") == "chat-1" and text_of("chat", parse(answer.body)) == WORDS


def test_when_all_are_busy_the_servers_own_words_pass(fleet):
    fleet.venv.faults(busy=True)
    try:
        for protocol in ("completions", "messages"):
            with Wire(fleet.address) as wire:
                answer = wire.send(request(protocol, stream=False)).answer()
            assert answer.status == 503 and b"busy" in answer.body and int(answer.field("retry-after")) > 0
    finally:
        fleet.venv.faults()


@each_protocol
def test_an_error_in_mid_stream_passes_unchanged(fleet, protocol):
    with Wire(fleet.address) as wire:
        answer = wire.send(request(protocol, faults={"error_after_tokens": 3})).answer()
        assert answer.status == 200 and b"upstream_lost" not in answer.body
        found = parse(answer.body)
        if protocol in ("chat", "completions"):
            assert found[-1][1] == "[DONE]" and "error" in json.loads(found[-2][1])
        assert wire.send(request(protocol)).answer().status == 200, "the connection lives"


def test_a_request_at_two_deaths_is_suspect(fleet):
    """Both engines say that they are dead: the second's words pass, and the log names the request."""
    faults = {"respond": {"/v1/completions": {"status": 500, "body": '{"error":{"message":"EngineCore encountered an issue."}}'}}}
    for request_id, only in (("e2e.suspect", False), ("e2e.no-suspect", True)):
        with Wire(fleet.address) as wire:
            model = "chat-0/org/m" if only else "chat/org/m"
            answer = wire.send(request("completions", f"x-request-id: {request_id}", stream=False, model=model, faults=faults)).answer()
            assert answer.status == 500 and b"EngineCore" in answer.body
    line = eventually(lambda: [l for l in fleet.stoker.log_text().splitlines() if "suspect" in l], 10, "a line in the log")
    assert len(line) == 1 and "e2e.suspect" in line[0]


# -- What is measured

LABELS = {
    "requests_total": {"provider", "route", "status"}, "inflight_requests": {"instance"},
    "request_duration_seconds": {"provider", "route"}, "time_to_first_byte_seconds": {"provider", "route"},
    "inter_chunk_seconds": {"provider"}, "gateway_overhead_seconds": set(), "retries_total": {"reason"},
    "client_aborts_total": {"provider"}, "upstream_lost_total": {"instance"}, "event_loop_lag_seconds": set(),
    "tokens_total": {"provider", "model", "kind"}, "queue_depth": {"provider"}, "breaker_open": {"instance"},
    "gateway_restarts_total": set(),
}
VALUES = {
    "provider": {"-", "chat", "embed", "ears"}, "instance": {"chat-0", "chat-1", "embed-0", "ears-0"},
    "model": {"-", "org/m", "org/e", "org/a"}, "kind": {"prompt", "completion"},
    "reason": {"refused", "timed_out", "lost", "busy", "engine_dead", "unpublished", "aborted", "first_event_error", "not_found", "stale"},
}


def test_every_metric_has_its_labels_and_no_others(fleet):
    fleet.earn_retries()
    with fleet.faulty("chat-0", busy=True):
        for _ in range(12):
            with Wire(fleet.address) as wire:
                wire.send(request("completions", stream=False)).answer()
    with Wire(fleet.address) as wire:
        wire.send(request("chat", stream_options={"include_usage": True})).answer()
    with Wire(fleet.address) as wire:
        wire.send(request("chat", faults={"cut_after_tokens": 2, "token_delay_ms": 5})).answer()
    with Wire(fleet.address) as wire:
        wire.send(request("chat", faults={"first_token_delay_ms": 20000}))
        eventually(lambda: not fleet.idle(), 5, "the request at work")

    def samples():
        found = {}
        for line in fleet.stoker.admin(path="/metrics").text.splitlines():
            if not line.startswith("#"):
                name, _, rest = line.rpartition(" ")[0].partition("{")
                labels = dict(re.findall(r'(\w+)="((?:[^"\\\\]|\\\\.)*)"', rest))
                found.setdefault(name.removeprefix("stoker_"), []).append((labels, float(line.rpartition(" ")[2])))
        return found

    def complete():
        found = samples()
        names = {re.sub("_(bucket|sum|count)$", "", name) for name in found}
        aborted = any(value for _, value in found.get("client_aborts_total", []))
        return aborted and not set(LABELS) - names and found

    found = eventually(complete, 10, "every family with a sample")
    routes = {r"-", "/p/", "/health", "/ready", "/v1/models", "/v1/models/{id}", "/v1/responses/{id}", "/v1/responses/{id}/cancel"}
    for name, labels in LABELS.items():
        for suffix in ("", "_bucket", "_sum", "_count"):
            for sample, value in found.get(name + suffix, []):
                assert set(sample) == labels | ({"le"} if suffix == "_bucket" else set()), name
                assert value >= 0
                for label, text in sample.items():
                    if label == "route":
                        assert text in routes or re.fullmatch(r"(/v[12])?(/[a-z_]+){1,2}", text), text
                    elif label == "status":
                        assert re.fullmatch("[1-5][0-9][0-9]", text)
                    elif label != "le":
                        assert text in VALUES[label], (name, label, text)
    tokens = {(s["model"], s["kind"]): v for s, v in found["tokens_total"]}
    assert tokens["org/m", "completion"] >= 60


# -- Clients that leave


@each_protocol
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_client_that_leaves_before_the_first_token_aborts_at_once(fleet, protocol, stream):
    eventually(fleet.idle, 10, "idle engines")
    before = sum(fleet.stats(name)["client_aborts"] for name in ("chat-0", "chat-1"))
    with Wire(fleet.address) as wire:
        wire.send(request(protocol, stream=stream, faults={"first_token_delay_ms": 20000}))
        eventually(lambda: not fleet.idle(), 5, "the request at work")
        left = time.monotonic()
    abort = eventually(lambda: (a := fleet.newest_abort())["at"] > left and a, 5, "an abort in the engine")
    assert abort["at"] - left < 1 and abort["tokens"] == 0 and abort["target"] == PROTOCOLS[protocol][0]
    eventually(fleet.idle, 5, "idle engines")
    assert sum(fleet.stats(name)["client_aborts"] for name in ("chat-0", "chat-1")) == before + 1


@each_protocol
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_a_client_that_leaves_in_mid_stream_aborts_at_once(fleet, protocol, how):
    eventually(fleet.idle, 10, "idle engines")
    with Wire(fleet.address) as wire:
        wire.send(request(protocol, ignore_eos=True, faults={"token_delay_ms": 10, "tokens": 4000}))
        wire.head()
        for _ in range(5):
            wire.chunk()
        assert not fleet.idle()
        left = time.monotonic()
        if how == "reset":
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.socket.close()
        elif how == "half-close":
            wire.socket.shutdown(socket.SHUT_WR)
        else:
            wire.socket.close()
        abort = eventually(lambda: (a := fleet.newest_abort())["at"] > left and a, 5, "an abort in the engine")
    assert abort["at"] - left < 1 and abort["target"] == PROTOCOLS[protocol][0]


def test_clients_that_leave_at_any_point_leave_nothing_behind(fleet):
    """Cut after every so many bytes of a request, and after a part of its answer: nothing leaks on either side."""
    whole = request("chat", faults={"token_delay_ms": 1})
    for cut in range(0, len(whole), 9):
        with Wire(fleet.address) as wire:
            wire.send(whole[:cut])
    for count in range(0, 2000, 60):
        with Wire(fleet.address) as wire:
            wire.send(whole).exactly(max(1, count))
    eventually(fleet.idle, 5, "idle engines")
    eventually(lambda: fleet.stoker.status()["gateway"]["inflight"] == 0, 5, "nothing in flight")
    gateway = fleet.stoker.status()["gateway"]["pid"]
    eventually(lambda: len(os.listdir(f"/proc/{gateway}/fd")) < 60, 10, "closed descriptors")


# -- Readers that are slow


def resident(pid):
    """KiB of memory that a process has."""
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def test_a_slow_reader_stops_the_reading_from_the_server(fleet):
    """200 MB are on offer and nobody takes them, or only slowly: the gateway's memory stays flat."""
    count, size = 3200, 65536
    gateway = fleet.stoker.status()["gateway"]["pid"]
    before = resident(gateway)
    with Wire(fleet.address, receive_buffer=65536) as wire:
        wire.send(request("completions", ignore_eos=True, max_tokens=count,
                          faults={"tokens": count, "payload_bytes": size, "token_delay_ms": 0}))
        assert wire.head()[0] == 200
        # Once the buffers on the way are full, the engine's tokens are made but none moves on.
        eventually(lambda: fleet.stats("chat-0")["streams_open"] + fleet.stats("chat-1")["streams_open"] == 1, 5, "a stream")
        most = 0
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            most = max(most, resident(gateway))
            time.sleep(0.05)
        assert most - before < 16 * 1024, f"{before} → {most} KiB"
        for _ in range(300):
            piece = wire.chunk()
            assert piece.startswith(b"data: {") and piece.endswith(b"}\n\n") and len(piece) > size
            most = max(most, resident(gateway))
        assert most - before < 16 * 1024, f"{before} → {most} KiB"
    eventually(fleet.idle, 5, "an abort in the engine")


def test_a_reader_that_takes_nothing_is_cut_off(venv):
    with venv.server(model="org/one") as url:
        env = {"VLLM_BASE_URL": url, "STOKER_TIMEOUTS_SLOW_READER": "1s", "STOKER_LISTEN": "127.0.0.1:0",
               "STOKER_ADMIN_LISTEN": "127.0.0.1:0", "STOKER_MODE": "attach-only"}
        with Stoker(env=env, key=KEY) as stoker:
            stoker.wait_state("vllm", "ready")
            with Wire(stoker.gateway, receive_buffer=4096) as wire:
                wire.send(request("completions", model="org/one", ignore_eos=True,
                                  faults={"tokens": 2000, "payload_bytes": 65536, "token_delay_ms": 0}))
                wire.head()
                eventually(lambda: harness.stand_in(url, "stats")["inferences_open"] == 1, 5, "the request at work")
                eventually(lambda: harness.stand_in(url, "stats")["inferences_open"] == 0, 10, "the end of the slow reader")
                assert harness.stand_in(url, "stats")["client_aborts"] >= 1


def test_two_hundred_streams_at_once(fleet):
    before = {name: fleet.stats(name)["inferences"] for name in ("chat-0", "chat-1")}
    wires = [Wire(fleet.address) for _ in range(200)]
    try:
        for number, wire in enumerate(wires):
            protocol = list(PROTOCOLS)[number % 4]
            wire.send(request(protocol, faults={"token_delay_ms": 60}))
        seen = 0
        for number, wire in enumerate(wires):
            protocol = list(PROTOCOLS)[number % 4]
            answer = wire.answer()
            assert answer.status == 200
            assert text_of(protocol, parse(answer.body)) == WORDS
            seen += 1
        assert seen == 200
    finally:
        for wire in wires:
            wire.close()
    done = {name: fleet.stats(name)["inferences"] - before[name] for name in before}
    assert sum(done.values()) == 200 and min(done.values()) >= 70, f"balanced: {done}"
    assert fleet.stoker.status()["gateway"]["restarts"] == 0


# -- The official clients


@pytest.fixture(scope="module")
def client(fleet):
    with openai.OpenAI(base_url=fleet.address + "/v1", api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(fleet):
    with anthropic.Anthropic(base_url=fleet.address, api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


USER = [{"role": "user", "content": "Hi"}]


def test_openai_models_and_chat(client):
    assert [model.id for model in client.models.list()] == ["chat/org/m", "ears/org/a", "embed/org/e"]
    assert client.models.retrieve("chat/org/m").owned_by == "chat"
    answer = client.chat.completions.create(model="chat/org/m", messages=USER)
    assert answer.choices[0].message.content == WORDS and answer.usage.completion_tokens == 16
    assert client.completions.create(model="org/m", prompt="Hi").choices[0].text == WORDS


def test_openai_streams(client):
    stream = client.chat.completions.create(model="chat/org/m", messages=USER, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == WORDS
    assert chunks[-1].usage.total_tokens > 16
    assert "".join(c.choices[0].text for c in client.completions.create(model="org/m", prompt="Hi", stream=True)) == WORDS
    answer = client.responses.create(model="chat-0/org/m", input="Hi")
    assert answer.output_text == WORDS
    events = list(client.responses.create(model="chat/org/m", input="Hi", stream=True))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == WORDS
    assert client.responses.retrieve(answer.id).id == answer.id


def test_openai_responses_that_go_on(client):
    first = client.responses.create(model="chat/org/m", input="Hi")
    following = client.responses.create(model="chat/org/m", input="And?", previous_response_id=first.id)
    assert following.previous_response_id == first.id
    working = client.responses.create(
        model="chat/org/m", input="Hi", background=True, extra_headers={"x-stand-in-control": json.dumps({"token_delay_ms": 500})})
    assert client.responses.cancel(working.id).status == "cancelled"
    with pytest.raises(openai.NotFoundError) as error:
        client.responses.retrieve("resp_unknown")
    assert "VLLM_ENABLE_RESPONSES_API_STORE" in error.value.message


def test_openai_audio(client):
    audio = ("a.wav", bytes(range(256)) * 2000, "audio/wav")
    assert client.audio.transcriptions.create(model="ears/org/a", file=audio, language="en").text == WORDS
    assert client.audio.translations.create(model="org/a", file=audio).text == WORDS
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="ears/nothing", file=audio)


def test_scores_and_ranks(fleet):
    with httpx.Client(base_url=fleet.address, headers=fleet.stoker.headers, timeout=20) as web:
        rank = {"model": "embed/org/e", "query": "q", "documents": ["a", "b"]}
        for path in ("/v1/rerank", "/rerank", "/v2/rerank"):
            assert [r["index"] for r in web.post(path, json=rank).raise_for_status().json()["results"]] == [0, 1]
        score = {"model": "org/e", "text_1": "q", "text_2": ["a", "b", "c"]}
        for path in ("/v1/score", "/score"):
            assert len(web.post(path, json=score).raise_for_status().json()["data"]) == 3
        assert web.post("/pooling", json={"model": "embed/org/e", "input": "x"}).raise_for_status().json()["data"]


def test_openai_embeddings(client):
    answer = client.embeddings.create(model="embed/org/e", input=["one", "two"])
    assert [item.index for item in answer.data] == [0, 1] and len(answer.data[0].embedding) > 1
    assert len(client.embeddings.create(model="org/e", input="x", encoding_format="float").data[0].embedding) > 1


def test_openais_typed_errors(fleet, client):
    def chat(model="chat/org/m", client=client, **options):
        return client.chat.completions.create(model=model, messages=USER, **options)

    with pytest.raises(openai.AuthenticationError) as error:
        chat(client=client.with_options(api_key="wrong"))
    assert error.value.code == "invalid_api_key" and error.value.request_id
    with pytest.raises(openai.NotFoundError) as error:
        chat("chat/nothing")
    assert error.value.code == "model_not_found" and error.value.param == "model"
    with pytest.raises(openai.BadRequestError):
        client.post("/chat/completions", body={"model": 5}, cast_to=object)
    with pytest.raises(openai.BadRequestError) as error:
        chat(n=2, temperature=0)
    assert "greedy" in error.value.message
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(base_url=fleet.address).post("/p/chat/sleep", body={}, cast_to=object)
    with pytest.raises(openai.InternalServerError) as error:
        chat(extra_headers={"x-stand-in-control": json.dumps({"respond": {"/v1/chat/completions": {"status": 401, "body": "{}"}}})})
    assert error.value.status_code == 502 and error.value.code == "upstream_auth"
    with pytest.raises(openai.APIError) as error:
        faults = {"x-stand-in-control": json.dumps({"cut_after_tokens": 3, "token_delay_ms": 5})}
        list(chat(stream=True, extra_headers=faults))
    assert error.value.code == "upstream_lost"


def test_the_anthropic_sdk(fleet, anthropic_client):
    answer = anthropic_client.messages.create(model="chat/org/m", max_tokens=16, messages=USER)
    assert answer.content[0].text == WORDS and answer.usage.output_tokens == 16
    with anthropic_client.messages.stream(model="chat/org/m", max_tokens=16, messages=USER) as stream:
        assert "".join(stream.text_stream) == WORDS
        assert stream.get_final_message().stop_reason in ("end_turn", "max_tokens")
    assert anthropic_client.messages.count_tokens(model="chat/org/m", messages=USER).input_tokens > 0
    assert [model.id for model in anthropic_client.models.list()] == ["chat/org/m", "ears/org/a", "embed/org/e"]
    assert anthropic_client.models.retrieve("chat/org/m").display_name == "org/m"
    with pytest.raises(anthropic.AuthenticationError):
        anthropic_client.with_options(api_key="wrong").messages.create(model="chat/org/m", max_tokens=1, messages=USER)
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.messages.create(model="chat/nothing", max_tokens=1, messages=USER)
    with pytest.raises(anthropic.BadRequestError):
        anthropic_client.post("/v1/messages", body={"model": 5}, cast_to=object)
    with pytest.raises(anthropic.APIStatusError) as error:
        faults = {"x-stand-in-control": json.dumps({"cut_after_tokens": 3, "token_delay_ms": 5})}
        with anthropic_client.messages.stream(model="chat/org/m", max_tokens=16, messages=USER, extra_headers=faults) as stream:
            list(stream)
    assert "upstream_lost" in str(error.value.body)
