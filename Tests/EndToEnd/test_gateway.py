"""The gateway's contract, request by request, from outside: keys, routes, selection, bytes, headers, errors, edges."""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import tempfile
import urllib.parse

import httpx
import pytest

import harness
from harness import Stoker, Wire, ask, eventually

KEY = "test-master-key"
UPSTREAM_KEY = "upstream-key-7d1f"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
BODY_LIMIT = 2 << 20
HEAD_LIMIT = 16 << 10
ids = (f"e2e.gateway-{number}" for number in itertools.count())


class Fleet:
    """One daemon, two launched replicas that serve everything, an attached server with a key, one for long bodies, and
    one that is down."""

    def __init__(self, stoker, venv, box, long, unix):
        self.stoker, self.venv, self.box, self.unix = stoker, venv, box, unix
        self.address = stoker.gateway
        self.endpoints = [box] + [stoker.instance(f"chat-{n}")["endpoint"] for n in (0, 1)]
        self.named = dict(zip(("box", "chat-0", "chat-1", "long"), [*self.endpoints, long]))

    def received(self, request_id, answer=None):
        """What of a request reached servers: any, or that which answered."""
        endpoints = [self.named[answer.field("x-stoker-instance")]] if answer else self.endpoints
        return harness.received(endpoints, request_id)

    def count(self):
        return sum(harness.stand_in(e, "stats")["inferences"] for e in self.endpoints)


@pytest.fixture(scope="module")
def fleet():
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp")))
        venv = harness.StandInVenv(folder / "v")
        box = stack.enter_context(
            venv.server(
                "--served-model-name", LLAMA, "shared/id", model=LLAMA,
                env={"VLLM_API_KEY": UPSTREAM_KEY, "STANDIN_TASK": "all"},
            )
        )
        # What stand-ins have received is asked for often, and is long where bodies are.
        long = stack.enter_context(venv.server(model="long"))
        env = {"STANDIN_CONTROL": str(venv.control), "STANDIN_TASK": "all", "VLLM_ENABLE_RESPONSES_API_STORE": "1"}
        names = ["org/m", "shared/id", "box/shared/id", "box/only-here", "ünï/漢"]
        providers = [
            venv.provider(
                "chat", replicas=2, env=json.dumps(env), args=json.dumps(["--served-model-name", *names]),
                passthrough_allow=json.dumps(["POST /sleep", "POST /v1/load_lora_adapter"]),
            ),
            f"  box:\n    base_url: {box}/v1/\n    api_key: {UPSTREAM_KEY}\n",
            f"  long:\n    base_url: {long}\n",
            f"  down:\n    base_url: http://127.0.0.1:{harness.free_port()}\n    models: [org/down]\n",
        ]
        unix = folder / "gateway.sock"
        config = harness.config(
            providers,
            listen=json.dumps(["127.0.0.1:0", f"unix:{unix}"]),
            limits=f"{{ body: {BODY_LIMIT}, header: {HEAD_LIMIT} }}",
            health="{ interval: 500ms, canary: off }",
        )
        stoker = stack.enter_context(Stoker(config, key=KEY))
        for name in ("chat-0", "chat-1", "box", "long"):
            stoker.wait_state(name, "ready")
        yield Fleet(stoker, venv, box, long, unix)


def head(method, path, *fields, key=KEY, version="HTTP/1.1", host="127.0.0.1"):
    lines = [f"{method} {path} {version}", f"Host: {host}"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return ("\r\n".join([*lines, *fields]) + "\r\n\r\n").encode()


def post(path, body, *fields, key=KEY, kind="application/json", **options):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head("POST", path, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *fields, key=key, **options) + body


def completion(model="chat/org/m", **keys):
    return {"model": model, "prompt": "Hi", "max_tokens": 3, **keys}


def controlled(**faults):
    """The field that gives a stand-in faults for one request."""
    return f"x-stand-in-control: {json.dumps(faults)}"


# -- Keys


ROUTES = [
    ("GET", "/v1/models"), ("GET", "/v1/models/chat/org/m"), ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"),
    ("POST", "/v1/responses"), ("GET", "/v1/responses/resp_x"), ("POST", "/v1/responses/resp_x/cancel"),
    ("POST", "/v1/embeddings"), ("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("POST", "/v1/rerank"),
    ("POST", "/rerank"), ("POST", "/v2/rerank"), ("POST", "/v1/score"), ("POST", "/score"), ("POST", "/pooling"),
    ("POST", "/classify"), ("POST", "/tokenize"), ("POST", "/detokenize"), ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/translations"), ("GET", "/p/vllm/health"), ("POST", "/p/chat/tokenize"), ("GET", "/p/nobody/x"),
    ("GET", "/v1/realtime"), ("GET", "/nowhere"), ("POST", "/v1/messages/nowhere"), ("DELETE", "/v1/models"),
    ("GET", "/v1/chat/completions"), ("OPTIONS", "/v1/models"),
]
WRONG = {
    "none": [],
    "wrong": ["Authorization: Bearer nope"],
    "prefix": [f"Authorization: Bearer {KEY[:-1]}"],
    "longer": [f"Authorization: Bearer {KEY}{KEY}"],
    "empty": ["Authorization: Bearer "],
    "scheme": [f"Authorization: Basic {KEY}"],
    "bare": [f"Authorization: {KEY}"],
    "wrong x-api-key": ["x-api-key: nope"],
    "empty x-api-key": ["x-api-key:"],
    "quoted": [f'x-api-key: "{KEY}"'],
    "quoted bearer": [f'Authorization: Bearer "{KEY}"'],
    "a quote behind": [f'Authorization: Bearer {KEY}"'],
    "two, by a comma": [f"Authorization: Bearer {KEY}, Bearer {KEY}"],
    "8 KiB that begin with it": [f"x-api-key: {KEY}{'k' * 8192}"],
    "utf-8 that looks like it": [f"x-api-key: {KEY.replace('a', chr(0x430))}"],
    "percent-encoded": [f"x-api-key: {''.join(f'%{ord(c):02x}' for c in KEY)}"],
    "in the query's place": [f"X-Api_Key: {KEY}"],
    "Authorization decides": ["Authorization: Bearer nope", f"x-api-key: {KEY}"],
    "twice": [f"Authorization: Bearer {KEY}", f"Authorization: Bearer {KEY}"],
    "8 KiB": [f"Authorization: Bearer {'k' * 8192}"],
    "utf-8": ["Authorization: Bearer schlüssel"],
    "upstream's": [f"Authorization: Bearer {UPSTREAM_KEY}"],
    "cookie": [f"Cookie: key={KEY}"],
    "proxy": [f"Proxy-Authorization: Bearer {KEY}"],
}
RIGHT = {
    "bearer": [f"Authorization: Bearer {KEY}"],
    "lower": [f"authorization: bearer {KEY}"],
    "upper": [f"AUTHORIZATION: BEARER {KEY}"],
    "spaces": [f"Authorization:   Bearer   {KEY}  "],
    "x-api-key": [f"x-api-key: {KEY}"],
    "X-API-Key": [f"X-API-Key:{KEY}"],
    "both": [f"Authorization: Bearer {KEY}", "x-api-key: nope"],
}


@pytest.mark.parametrize("method,path", ROUTES, ids=[f"{m} {p}" for m, p in ROUTES])
def test_every_route_wants_the_key(fleet, method, path):
    is_anthropic = path.startswith("/v1/messages")
    bodies = set()
    for name, fields in WRONG.items():
        fields = [*fields, "Content-Type: application/json", "Content-Length: 2"]
        answer = ask(fleet.address, head(method, path, *fields, key=None) + b"{}")
        assert answer.status == 401, name
        body = answer.json()
        if is_anthropic:
            assert body["type"] == "error" and body["error"]["type"] == "authentication_error", name
        else:
            assert set(body["error"]) == {"message", "type", "param", "code"}, name
            assert body["error"]["code"] == "invalid_api_key" and "x-api-key" in body["error"]["message"], name
        assert answer.field("www-authenticate") == "Bearer"
        assert answer.field("x-request-id")
        bodies.add((answer.body, *[key for key, _ in answer.fields]))
    assert len(bodies) == 1, "the same words for every wrong key: nothing tells how near one was"
    # No field may hold a NUL (RFC 9110, section 5.5): that is no request, with whatever key.
    for key in (KEY + "\0", "\0" + KEY, "nope\0"):
        fields = [f"Authorization: Bearer {key}", "Content-Type: application/json", "Content-Length: 2"]
        answer = ask(fleet.address, head(method, path, *fields, key=None) + b"{}")
        assert (answer.status, answer.code) == (400, "invalid_request"), key
    for name, fields in RIGHT.items():
        fields = [*fields, "Content-Type: application/json", "Content-Length: 2"]
        assert ask(fleet.address, head(method, path, *fields, key=None) + b"{}").status != 401, name


def test_health_and_ready_are_open(fleet):
    for path in ("/health", "/ready"):
        answer = ask(fleet.address, head("GET", path, key=None))
        assert answer.status == 200 and "application/json" in answer.field("content-type")


# -- Models

PUBLISHED = sorted(
    [f"box/{LLAMA}", "box/shared/id", "chat/org/m", "chat/shared/id", "chat/box/shared/id", "chat/box/only-here", "chat/ünï/漢", "long/long"],
    key=str.encode,
)


def test_the_model_list(fleet):
    answer = fleet.stoker.get("/v1/models").json()
    assert answer["object"] == "list"
    assert [card["id"] for card in answer["data"]] == PUBLISHED
    for card in answer["data"]:
        assert card["object"] == "model" and card["owned_by"] == card["id"].split("/")[0]
        assert card["max_model_len"] > 0 and "parent" in card and card["permission"][0]["object"] == "model_permission"
    assert {card["root"] for card in answer["data"] if card["owned_by"] == "box"} == {LLAMA}


def test_the_model_list_for_anthropics_clients(fleet):
    headers = {"anthropic-version": "2023-06-01"}
    answer = fleet.stoker.get("/v1/models", headers=headers).json()
    assert [card["id"] for card in answer["data"]] == PUBLISHED
    assert all(card["type"] == "model" and card["display_name"] and card["created_at"].endswith("Z") for card in answer["data"])
    assert answer["has_more"] is False and answer["first_id"] == PUBLISHED[0] and answer["last_id"] == PUBLISHED[-1]
    one = fleet.stoker.get(f"/v1/models/box/{LLAMA}", headers=headers).json()
    assert one["type"] == "model" and one["id"] == f"box/{LLAMA}"
    missing = fleet.stoker.get("/v1/models/none", headers=headers)
    assert missing.status_code == 404 and missing.json()["type"] == "error"


@pytest.mark.parametrize(
    "selector,owner",
    [
        ("chat/org/m", "chat"), ("chat-1/org/m", "chat"), ("org/m", "chat"), (f"box/{LLAMA}", "box"), (LLAMA, "box"),
        ("box/shared/id", "box"), ("box/only-here", "chat"), ("chat/ünï/漢", "chat"),
    ],
)
def test_one_model(fleet, selector, owner):
    for path in (urllib.parse.quote(selector), urllib.parse.quote(selector, safe="")):
        answer = fleet.stoker.get(f"/v1/models/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == selector and answer.json()["owned_by"] == owner


def test_models_that_are_not_there(fleet):
    for selector, status, code in [
        ("nobody/at-all", 404, "model_not_found"), ("chat/none", 404, "model_not_found"), ("m", 404, "model_not_found"),
        ("down/org/down", 503, "model_unavailable"), ("org/down", 503, "model_unavailable"),
        ("down/whatever", 503, "model_unavailable"),
    ]:
        answer = fleet.stoker.get(f"/v1/models/{selector}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), selector
        assert ("retry-after" in answer.headers) == (status == 503)


# -- Selection


@pytest.mark.parametrize(
    "selector,instances,upstream_id",
    [
        ("chat/org/m", {"chat-0", "chat-1"}, "org/m"),
        ("chat-0/org/m", {"chat-0"}, "org/m"),
        ("chat-1/org/m", {"chat-1"}, "org/m"),
        ("org/m", {"chat-0", "chat-1"}, "org/m"),
        (f"box/{LLAMA}", {"box"}, LLAMA),
        (LLAMA, {"box"}, LLAMA),
        ("shared/id", {"chat-0", "chat-1", "box"}, "shared/id"),
        ("box/shared/id", {"box"}, "shared/id"),  # a provider comes before a bare id
        ("chat/box/shared/id", {"chat-0", "chat-1"}, "box/shared/id"),  # the first slash only
        ("box/only-here", {"chat-0", "chat-1"}, "box/only-here"),  # no such model at that provider: a bare id
        ("chat/ünï/漢", {"chat-0", "chat-1"}, "ünï/漢"),
    ],
)
def test_selection(fleet, selector, instances, upstream_id):
    seen = set()
    for _ in range(60):
        request_id = next(ids)
        answer = ask(fleet.address, post("/v1/completions", completion(selector), f"x-request-id: {request_id}"))
        assert answer.status == 200, answer.body
        seen.add(answer.field("x-stoker-instance"))
        assert answer.json()["model"] == upstream_id
        if seen >= instances:
            break
    assert seen == instances
    (request,) = fleet.received(request_id, answer)
    assert json.loads(request["body"])["model"] == upstream_id


@pytest.mark.parametrize(
    "selector,status,code",
    [
        ("nope", 404, "model_not_found"), ("no/such/model", 404, "model_not_found"), ("chat/nope", 404, "model_not_found"),
        ("chat/", 404, "model_not_found"), ("/org/m", 404, "model_not_found"), ("CHAT/org/m", 404, "model_not_found"),
        ("chat/org/m ", 404, "model_not_found"), ("", 404, "model_not_found"), ("x" * 5000, 404, "model_not_found"),
        ("org/down", 503, "model_unavailable"), ("down/org/down", 503, "model_unavailable"),
        ("down/else", 503, "model_unavailable"),
    ],
)
def test_selectors_that_nobody_serves(fleet, selector, status, code):
    before = fleet.count()
    answer = ask(fleet.address, post("/v1/completions", completion(selector)))
    assert (answer.status, answer.code) == (status, code)
    assert answer.json()["error"]["param"] == "model" and len(answer.body) < 2000
    if status == 503:
        assert int(answer.field("retry-after")) > 0
    assert fleet.count() == before


def test_a_missing_model(fleet):
    for path, body in [("/v1/completions", {"prompt": "Hi"}), ("/v1/messages", {"messages": []})]:
        answer = ask(fleet.address, post(path, body))
        assert answer.status == 400 and "model" in answer.json()["error"]["message"]
    env = {"VLLM_BASE_URL": fleet.box, "VLLM_API_KEY": UPSTREAM_KEY, "VLLM_MODELS": ""}
    with fleet.venv.server(model="org/one") as url:
        env["VLLM_BASE_URL"] = url
        with attached_only(env) as stoker:
            stoker.wait_state("vllm", "ready")
            assert stoker.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).json()["model"] == "org/one"


@contextlib.contextmanager
def attached_only(env, key=KEY, **options):
    env = {"STOKER_LISTEN": "127.0.0.1:0", "STOKER_ADMIN_LISTEN": "127.0.0.1:0", "STOKER_MODE": "attach-only", **env}
    with Stoker(env=env, key=key, **options) as stoker:
        yield stoker


# -- Bodies, byte for byte


BODIES = {
    "odd spacing": (b' {\n\t"prompt" :\r\n "Hi" ,"max_tokens":1 , "model"  :\t"chat/org/m"\n} \r\n', b'"chat/org/m"'),
    "model first": (b'{"model":"chat/org/m","prompt":"Hi","max_tokens":1}', b'"chat/org/m"'),
    "model last": (b'{"prompt":"Hi","max_tokens":1,"model":"chat/org/m"}', b'"chat/org/m"'),
    "instance": (b'{"model":"chat-1/org/m","prompt":"Hi","max_tokens":1}', b'"chat-1/org/m"'),
    "escaped slashes": (b'{"model":"chat\\/org\\/m","prompt":"Hi","max_tokens":1}', b'"chat\\/org\\/m"'),
    "escaped value": (b'{"model":"\\u0063hat/\\u006Frg/m","prompt":"Hi","max_tokens":1}', b'"\\u0063hat/\\u006Frg/m"'),
    "escaped key": (b'{"mod\\u0065l":"chat/org/m","prompt":"Hi","max_tokens":1}', b'"chat/org/m"'),
    "bare id": (b'{"model": "org/m", "prompt": "Hi", "max_tokens": 1}', None),
    "bare id, escaped": (b'{"model": "org\\/m", "prompt": "Hi", "max_tokens": 1}', None),
    "escapes elsewhere": (
        b'{"prompt":"\\ud83d\\ude80 \\u00e9 \\/ \\"model\\":\\"x\\" \\\\","model":"chat/org/m","max_tokens":1}', b'"chat/org/m"'),
    "duplicate keys": (
        b'{"a":1,"a":2,"prompt":"x","max_tokens":9,"max_tokens":1,"model":"chat/org/m","prompt":"Hi","a":{"model":"y","model":"z"}}',
        b'"chat/org/m"'),
    "nested models": (
        b'{"x":[{"model":"no"},["model"]],"y":"model","prompt":"Hi","model":"chat/org/m","max_tokens":1,"z":{"model":7}}',
        b'"chat/org/m"'),
    "numbers": (b'{"n":1,"x":[-0.0e+0,1E400,12345678901234567890123,0.1],"prompt":"Hi","max_tokens":1,"model":"chat/org/m"}',
                b'"chat/org/m"'),
    "raw utf-8": ('{"prompt":"漢字 🔥 é \u2028","max_tokens":1,"model":"chat/ünï/漢"}'.encode(), '"chat/ünï/漢"'.encode()),
    "deep": (b'{"model":"chat/org/m","prompt":"Hi","max_tokens":1,"x":' + b"[" * 126 + b"]" * 126 + b"}", b'"chat/org/m"'),
    "1 MiB": (b'{"model":"long/long","max_tokens":1,"prompt":"' + b"x" * (1 << 20) + b'"}', b'"long/long"'),
    "1 MiB, model last": (
        b'{"max_tokens":1,"prompt":"' + b"y\\n " * (1 << 18) + b'","model":"long/long"}', b'"long/long"'),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("framing", ["length", "chunked", "slowly"])
def test_the_body_reaches_the_server_byte_for_byte(fleet, name, framing):
    body, selector = BODIES[name]
    upstream = json.loads(selector).split("/", 1)[1] if selector else None
    expected = body
    if selector:
        at = body.rindex(selector, 0, body.rindex(b"}") + 1)
        assert body.count(selector) == 1
        expected = body[:at] + json.dumps(upstream, ensure_ascii=False).encode() + body[at + len(selector):]
    request_id = next(ids)
    fields = ["Content-Type: application/json; charset=utf-8", f"x-request-id: {request_id}"]
    # The words of a prompt of 1 MiB would not fit: the answer is not what is looked at here.
    fields.append(controlled(respond={"/v1/completions": {"body": "{}"}}))
    with Wire(fleet.address) as wire:
        if framing == "length":
            wire.send(head("POST", "/v1/completions", *fields, f"Content-Length: {len(body)}") + body)
        elif framing == "chunked":
            wire.send(head("POST", "/v1/completions", *fields, "Transfer-Encoding: chunked"))
            sizes = itertools.cycle([1, 7, 4096, 3, 65536])
            at = 0
            while at < len(body):
                piece = body[at:at + next(sizes)]
                at += len(piece)
                wire.send(b"%x;a=b\r\n%s\r\n" % (len(piece), piece))
            wire.send(b"0\r\nX-Trailer: dropped\r\n\r\n")
        else:
            request = head("POST", "/v1/completions", *fields, f"Content-Length: {len(body)}") + body
            step = max(1, len(request) // 100)
            for at in range(0, len(request), step):
                wire.send(request[at:at + step])
        answer = wire.answer()
        assert answer.status == 200
    (request,) = fleet.received(request_id, answer)
    assert request["body_bytes"] == len(expected)
    assert request["body"] == expected[:1 << 20]
    assert request["named"]["content-length"] == str(len(expected)) and not request["chunked"]
    assert "x-trailer" not in request["named"] and "transfer-encoding" not in request["named"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"nonsense", b"[]", b'"x"', b"null", b'{"model":"chat/org/m"', b'{"model":"chat/org/m"}}',
        b'{"model":"chat/org/m"} x', b'{"model":5}', b'{"model":null}', b'{"model":["chat/org/m"]}',
        b'{"model":"chat/org/m","model":"chat/org/m"}', b'{"model":"chat/org/m","mod\\u0065l":"chat/org/m"}',
        b"{'model':'chat/org/m'}", b'{"model":"chat/org/m",}', b'{"model":"chat/org/m","x":01}',
        b'{"model":"chat/org/m","x":NaN}', b'{"model":"chat/org/m","x":tru}', b'{"model":"chat/org/m","x":"\x01"}',
        b'{"model":"chat/org/m","x":"\xff"}', b'{"model":"chat/org/m","x":"\xed\xa0\x80"}', b'{"model":"chat/org/m","x":"\\x"}',
        b'{"model":"chat/org/m","x":"\\u12"}', b'\xef\xbb\xbf{"model":"chat/org/m"}', b'{"model":"chat/org/m"}\x00',
        '{"model":"chat/org/m"}'.encode("utf-16"), b'{"model":"chat/org/m","x":' + b"[" * 128 + b"]" * 128 + b"}",
        b'{"model" "chat/org/m"}', b'{"model":"chat/org/m" "x":1}', b'{model:"chat/org/m"}', b'{"model":"chat/org/m","x":1.}',
        b'{"model":"chat/org/m","x":-}', b'{"model":"chat/org/m","x":1e}', b'{"model":"chat/org/m"/**/}',
    ],
    ids=repr,
)
def test_bodies_that_are_no_json_object_with_one_model(fleet, body):
    before = fleet.count()
    answer = ask(fleet.address, post("/v1/completions", body))
    assert answer.status == 400 and answer.code == "invalid_json"
    anthropic = ask(fleet.address, post("/v1/messages", body))
    assert anthropic.status == 400 and anthropic.json()["error"]["type"] == "invalid_request_error"
    assert fleet.count() == before


def test_multipart_is_routed_by_its_field(fleet):
    for model, upstream in [("chat/org/m", "org/m"), ("org/m", "org/m")]:
        request_id = next(ids)
        answer = httpx.post(
            fleet.address + "/v1/audio/transcriptions", data={"model": model, "language": "en"},
            files={"file": ("a.wav", bytes(range(256)) * 1000, "audio/wav")},
            headers={**fleet.stoker.headers, "x-request-id": request_id}, timeout=20,
        )
        assert answer.status_code == 200, answer.text
        (request,) = fleet.received(request_id)
        assert b'name="model"\r\n\r\n' + upstream.encode() + b"\r\n" in request["body"]
        assert bytes(range(256)) * 1000 in request["body"]
        assert request["named"]["content-length"] == str(request["body_bytes"])
    answer = httpx.post(
        fleet.address + "/v1/audio/transcriptions", data={"language": "en"}, files={"file": b"x"},
        headers=fleet.stoker.headers, timeout=20,
    )
    assert answer.status_code == 400 and "model" in answer.json()["error"]["message"]


# -- Headers


def test_what_stops_on_the_way_to_the_server(fleet):
    request_id = next(ids)
    fields = [
        "Cookie: a=b", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https",
        "X-Forwarded-Anything: x", "Accept-Encoding: gzip", "Proxy-Authorization: Basic x", "Proxy-Connection: x",
        "Connection: X-Named, keep-alive, x-other", "X-Named: 1", "X-OTHER: 2", "Keep-Alive: timeout=5", "TE: trailers",
        "Trailer: X-T", "x-api-key: nope", "x-stoker-instance: chat-0", "Upgrade: h2c",
        "Accept: text/event-stream", "User-Agent: e2e", "traceparent: 00-1-1-01", "X-Kept:  odd \t value ", "x-kept: again",
        f"x-request-id: {request_id}",
    ]
    for path, upstream in [("/v1/completions", "/v1/completions"), ("/p/box/v1/completions", "/v1/completions")]:
        answer = ask(fleet.address, post(path, completion(LLAMA), *fields))
        assert answer.status == 200, answer.body
        *_, request = fleet.received(request_id)
        named, raw = request["named"], request["fields"]
        for name in (
            "cookie", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-anything", "accept-encoding",
            "proxy-authorization", "proxy-connection", "x-named", "x-other", "keep-alive", "te", "trailer", "x-api-key",
            "x-stoker-instance", "upgrade", "connection", "transfer-encoding", "expect",
        ):
            assert name not in named, name
        assert named["authorization"] == f"Bearer {UPSTREAM_KEY}"
        assert named["host"] == fleet.box.removeprefix("http://")
        assert named["user-agent"] == "e2e" and named["accept"] == "text/event-stream" and named["traceparent"] == "00-1-1-01"
        assert [value for name, value in raw if name.lower() == "x-kept"] == ["odd \t value", "again"]
        assert request["target"] == upstream and request["version"] == "1.1"
        for single in ("host", "authorization", "content-length", "content-type", "x-request-id"):
            assert [name.lower() for name, _ in raw].count(single) == 1, single
        assert KEY not in str(raw)


def test_a_launched_server_gets_no_key_of_the_clients(fleet):
    request_id = next(ids)
    assert ask(fleet.address, post("/v1/completions", completion(), f"x-request-id: {request_id}")).status == 200
    (request,) = fleet.received(request_id)
    assert "authorization" not in request["named"] and "x-api-key" not in request["named"]


ANSWERS = {
    "length": b'HTTP/1.1 200 Fine Indeed\r\nContent-Type: application/json\r\nX-Odd:\tv\r\nx-odd: w\r\nContent-Length: 18\r\n\r\n{"a":1,\r\n  "b":2}\n',
    "error": b"HTTP/1.1 418 Teapot\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nshort",
    "chunked": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\nB;x=y\r\nhello world\r\n0\r\nX-T: 1\r\n\r\n",
    "until close": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello world",
    "old": b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello world",
    "hops": b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nx-stoker-instance: liar\r\nx-request-id: liar\r\ncontent-length: 11\r\n\r\nhello world",
    "informed": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
    "empty": b"HTTP/1.1 204 No Content\r\nx-e: 1\r\n\r\n",
    "length zero": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "binary": b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 128\r\n\r\n" + bytes(range(128)),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("path", ["/v1/completions", "/p/chat/completions"])
def test_the_answer_reaches_the_client_byte_for_byte(fleet, name, path):
    raw = ANSWERS[name]
    request = post(path, completion("org/m"), controlled(raw={"/v1/completions": raw.decode("latin-1")}))
    with Wire(fleet.address) as wire:
        answer = wire.send(request).answer()
        final = raw[raw.rindex(b"HTTP/1."):].split(b"\r\n\r\n", 1)
        assert answer.version == "HTTP/1.1" and str(answer.status).encode() == final[0].split(b" ")[1]
        assert answer.raw.split(b"\r\n")[0][9:] == final[0].split(b"\r\n")[0][9:], "status and phrase as they came"
        bodies = {"chunked": b"hello world", "trailers": b"hello world"}
        assert answer.body == bodies.get(name, final[1])
        for hop in ("x-hop", "keep-alive", "proxy-authenticate", "upgrade", "trailer", "x-t", "link"):
            assert answer.field(hop) is None
        assert answer.field("x-stoker-instance") in ("chat-0", "chat-1") and "liar" not in str(answer.fields)
        if name == "length":
            assert b"Content-Type: application/json\r\nX-Odd:\tv\r\nx-odd: w\r\nContent-Length: 18\r\n" in answer.raw
        # Whatever framing it had, the client's connection is in step.
        if answer.field("connection") != "close":
            assert wire.send(head("GET", "/health")).answer().json() == {"status": "ok"}
        else:
            assert wire.rest() == b"" and name in ("until close", "old")


@pytest.mark.parametrize(
    "raw",
    [
        "garbage\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad field: x\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "",
    ],
    ids=repr,
)
def test_nonsense_from_the_server_is_a_502(fleet, raw):
    for path in ("/v1/completions", "/p/chat-0/completions"):
        with Wire(fleet.address) as wire:
            wire.send(post(path, completion("org/m"), controlled(raw={"/v1/completions": raw})))
            if "zz" in raw and path.startswith("/p/"):
                # Its head has left by then: the end of the connection, without a last chunk, says the rest.
                assert wire.head()[0] == 200 and b"0\r\n\r\n" not in wire.rest()
                continue
            answer = wire.answer()
            assert answer.status == 502 and answer.code in ("upstream_error", "upstream_lost"), answer.raw
            assert wire.send(head("GET", "/health")).answer().status == 200


def test_the_servers_own_errors_pass_unchanged_but_for_its_key(fleet):
    vllm = {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}}
    for status in (400, 404, 422, 429, 500, 501):
        text = json.dumps({**vllm, "status": status})
        field = controlled(respond={"/v1/completions": {"status": status, "body": text, "headers": {"Retry-After": "7"}}})
        for path in ("/v1/completions", "/p/chat/v1/completions"):
            answer = ask(fleet.address, post(path, completion("org/m"), field))
            assert (answer.status, answer.body.decode()) == (status, text)
            assert answer.field("retry-after") == "7"
    for status in (401, 403):
        field = controlled(respond={"/v1/completions": {"status": status, "body": '{"error":"Unauthorized"}'}})
        for path in ("/v1/completions", "/p/chat/completions"):
            answer = ask(fleet.address, post(path, completion("org/m"), field))
            assert (answer.status, answer.code) == (502, "upstream_auth") and "api_key" in answer.json()["error"]["message"]


# -- Passthrough


@pytest.mark.parametrize(
    "method,path,target",
    [
        ("GET", "/p/chat/health", "/health"), ("GET", "/p/chat-1/health", "/health"), ("GET", "/p/vllm/version", "/version"),
        ("GET", "/p/box/models", "/v1/models"), ("GET", "/p/box/v1/models", "/v1/models"), ("GET", "/p/chat/ping", "/ping"),
        ("GET", "/p/chat/load", "/load"), ("GET", "/p/chat/metrics", "/metrics"), ("HEAD", "/p/chat/health", "/health"),
        ("GET", "/p/chat/tokenizer_info?a=%2F&b=c%20d&&=", "/tokenizer_info?a=%2F&b=c%20d&&="),
        ("GET", "/p/chat/v1/version?", "/version?"), ("POST", "/p/box/tokenize", "/tokenize"),
        ("POST", "/p/box/v1/tokenize?x=../..", "/tokenize?x=../.."), ("POST", "/p/vllm/detokenize", "/detokenize"),
        ("POST", "/p/chat/chat/completions", "/v1/chat/completions"),
        ("POST", "/p/chat/v1/chat/completions", "/v1/chat/completions"),
        ("POST", "/p/chat/completions", "/v1/completions"), ("POST", "/p/chat/responses", "/v1/responses"),
        ("POST", "/p/chat/embeddings", "/v1/embeddings"), ("POST", "/p/chat/messages", "/v1/messages"),
        ("POST", "/p/chat/messages/count_tokens", "/v1/messages/count_tokens"), ("POST", "/p/chat/rerank", "/rerank"),
        ("POST", "/p/chat/v1/rerank", "/rerank"), ("POST", "/p/chat/v2/rerank", "/v2/rerank"),
        ("POST", "/p/chat/score", "/score"), ("POST", "/p/chat/pooling", "/pooling"), ("POST", "/p/chat/classify", "/classify"),
        ("POST", "/p/chat/v2/embed", "/v2/embed"), ("POST", "/p/chat/generative_scoring", "/generative_scoring"),
        ("POST", "/p/chat/audio/transcriptions", "/v1/audio/transcriptions"),
        ("POST", "/p/chat/sleep?level=1", "/sleep?level=1"),
        ("POST", "/p/chat-0/load_lora_adapter", "/v1/load_lora_adapter"),
    ],
)
def test_passthrough(fleet, method, path, target):
    request_id = next(ids)
    body = b'{ "model" : "nobody/knows",  "prompt":"Hi" }' if method == "POST" else b""
    fields = [f"x-request-id: {request_id}"]
    if method == "POST":
        fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    canned = {"status": 203, "headers": {"X-Canned": "yes", "Content-Type": "x/y"}, "body": "as it came"}
    fields.append(controlled(respond={target.split("?")[0]: canned}))
    answer = ask(fleet.address, head(method, path, *fields) + body, to_head=method == "HEAD")
    assert answer.status == 203 and answer.field("x-canned") == "yes" and answer.field("content-type") == "x/y"
    if method != "HEAD":
        assert answer.body == b"as it came"
    name = path.split("/")[2]
    expected = {"vllm": set(fleet.named), "chat": {"chat-0", "chat-1"}}.get(name, {name})
    assert answer.field("x-stoker-instance") in expected
    (request,) = fleet.received(request_id, answer)
    assert (request["method"], request["target"], request["body"]) == (method, target, body)


def test_a_models_name_narrows_a_passthrough_and_stays(fleet):
    for model, instances in [(LLAMA, {"box"}), ("org/m", {"chat-0", "chat-1"})]:
        body = b'{ "model" : %s, "prompt" : "Hi" }' % json.dumps(model).encode()
        for _ in range(8):
            request_id = next(ids)
            answer = ask(fleet.address, post("/p/vllm/tokenize", body, f"x-request-id: {request_id}"))
            assert answer.status == 200 and answer.field("x-stoker-instance") in instances
        (request,) = fleet.received(request_id, answer)
        assert request["body"] == body


@pytest.mark.parametrize(
    "method,path,status,code,words",
    [
        ("POST", "/p/box/sleep", 403, "route_not_allowed", "POST /sleep"),
        ("POST", "/p/vllm/sleep", 403, "route_not_allowed", "passthrough_allow"),
        ("GET", "/p/chat/sleep", 403, "route_not_allowed", "GET /sleep"),
        ("POST", "/p/chat/health", 403, "route_not_allowed", "POST /health"),
        ("GET", "/p/chat/tokenize", 403, "route_not_allowed", "GET /tokenize"),
        ("DELETE", "/p/chat/models", 403, "route_not_allowed", "DELETE /models"),
        ("GET", "/p/chat/server_info", 403, "route_not_allowed", "GET /server_info"),
        ("POST", "/p/chat/collective_rpc", 403, "route_not_allowed", "POST /collective_rpc"),
        ("POST", "/p/chat/v1/v1/tokenize", 403, "route_not_allowed", ""),
        ("GET", "/p/chat/health/", 403, "route_not_allowed", ""),
        ("GET", "/p/chat/Health", 403, "route_not_allowed", ""),
        ("GET", "/p/chat/health;x", 403, "route_not_allowed", ""),
        ("POST", "/p/chat/load_lora_adapter", 400, "invalid_request", "instance"),
        ("POST", "/p/box/load_lora_adapter", 403, "route_not_allowed", "load_lora_adapter"),
        ("GET", "/p/nobody/health", 404, "provider_not_found", "nobody"),
        ("GET", "/p/chat-2/health", 404, "provider_not_found", ""),
        ("GET", "/p/chat", 404, "unknown_route", ""),
        ("GET", "/p/chat/", 404, "unknown_route", ""),
        ("GET", "/p/", 404, "unknown_route", ""),
        ("GET", "/p//health", 404, "unknown_route", ""),
        ("GET", "/p/chat/./health", 400, "invalid_path", ""),
        ("GET", "/p/chat/../health", 400, "invalid_path", ""),
        ("GET", "/p/chat/health/..", 400, "invalid_path", ""),
        ("GET", "/p/chat/v1/../health", 400, "invalid_path", ""),
        ("GET", "/p/chat/%2e%2e/health", 400, "invalid_path", ""),
        ("GET", "/p/chat/%2E/health", 400, "invalid_path", ""),
        ("GET", "/p/chat//health", 400, "invalid_path", ""),
        ("GET", "/p/chat/v1//models", 400, "invalid_path", ""),
        ("GET", "/p/chat/a%2Fb", 400, "invalid_path", ""),
        ("GET", "/p/chat/a%2fb", 400, "invalid_path", ""),
        ("GET", "/p/chat/health%00", 400, "invalid_path", ""),
        ("GET", "/p/chat/%68ealth", 400, "invalid_path", ""),
        ("GET", "/p/chat/a\\b", 400, "invalid_path", ""),
        ("GET", "/p/chat/a%5Cb", 400, "invalid_path", ""),
        ("GET", "/p/chat/health%", 400, "invalid_path", ""),
        ("GET", "/p/chat/health%zz", 400, "invalid_path", ""),
        ("GET", "/p/chat/health%0d%0ax", 400, "invalid_path", ""),
        ("GET", "/p/down/health", 503, "model_unavailable", ""),
    ],
)
def test_what_is_not_passed_through(fleet, method, path, status, code, words):
    request_id = next(ids)
    request = head(method, path, f"x-request-id: {request_id}")
    if method == "POST":
        request = post(path, {"model": "org/m"}, f"x-request-id: {request_id}")
    answer = ask(fleet.address, request)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert words in answer.json()["error"]["message"]
    assert fleet.received(request_id) == []


def test_passthrough_under_messages_speaks_anthropics_errors(fleet):
    answer = ask(fleet.address, head("GET", "/p/chat/v1/messages"))
    assert answer.status == 403 and answer.json()["type"] == "error"


# -- Responses live where they were made


def test_responses_are_found_at_their_maker(fleet):
    made = {}
    for _ in range(40):
        answer = fleet.stoker.post("/v1/responses", {"model": "chat/org/m", "input": "Hi"})
        made.setdefault(answer.headers["x-stoker-instance"], answer.json()["id"])
        if len(made) == 2:
            break
    assert set(made) == {"chat-0", "chat-1"}
    background = fleet.stoker.post("/v1/responses", {"model": "chat/org/m", "input": "Hi", "background": True})

    def look():
        for instance, name in made.items():
            for _ in range(4):
                found = fleet.stoker.get(f"/v1/responses/{name}?x=1")
                assert found.status_code == 200 and found.json()["id"] == name
                assert found.headers["x-stoker-instance"] == instance

    look()
    for instance, name in made.items():
        for _ in range(6):
            body = {"model": "chat/org/m", "input": "Hi", "previous_response_id": name}
            answer = fleet.stoker.post("/v1/responses", body)
            assert answer.status_code == 200 and answer.headers["x-stoker-instance"] == instance
    streamed = fleet.stoker.post("/v1/responses", {"model": "chat/org/m", "input": "Hi", "stream": True})
    name = json.loads(streamed.text.split("data: ")[1].split("\n")[0])["response"]["id"]
    assert fleet.stoker.get(f"/v1/responses/{name}").headers["x-stoker-instance"] == streamed.headers["x-stoker-instance"]
    cancelled = fleet.stoker.post(f"/v1/responses/{background.json()['id']}/cancel", None)
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled"
    refused = fleet.stoker.post(f"/v1/responses/{made['chat-0']}/cancel", None)
    assert refused.status_code == 400 and "synchronous" in refused.text, "the server's own error, unchanged"
    unknown = fleet.stoker.get("/v1/responses/resp_unknown")
    assert unknown.status_code == 404 and "VLLM_ENABLE_RESPONSES_API_STORE" in unknown.json()["error"]["message"]
    for path in ("/v1/responses/..", "/v1/responses/%2e%2e", "/v1/responses/a%2Fb"):
        answer = ask(fleet.address, head("GET", path))
        assert answer.status in (400, 404) and answer.code in ("invalid_path", "unknown_route"), path
    # A gateway that remembers nothing asks each in turn.
    pid = fleet.stoker.status()["gateway"]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: fleet.stoker.status()["gateway"]["pid"] not in (0, None, pid), 10, "another gateway")
    eventually(lambda: fleet.stoker.models() == PUBLISHED, 10, "the models again")
    look()


# -- Errors and edges


@pytest.mark.parametrize(
    "method,path,allow",
    [
        ("GET", "/v1/chat/completions", "POST"), ("PUT", "/v1/completions", "POST"), ("DELETE", "/v1/messages", "POST"),
        ("POST", "/v1/models", "GET, HEAD"), ("DELETE", "/v1/models/chat/org/m", "GET, HEAD"), ("POST", "/health", "GET, HEAD"),
        ("PUT", "/ready", "GET, HEAD"), ("POST", "/v1/responses/resp_x", "GET, HEAD"),
        ("GET", "/v1/responses/resp_x/cancel", "POST"), ("HEAD", "/v1/embeddings", "POST"), ("BREW", "/v1/models", "GET, HEAD"),
        ("post", "/v1/completions", "POST"),
    ],
)
def test_methods(fleet, method, path, allow):
    answer = ask(fleet.address, head(method, path), to_head=method == "HEAD")
    assert answer.status == 405
    assert sorted(answer.field("allow").split(", ")) == sorted(allow.split(", "))
    if method == "HEAD":
        return
    if path.startswith("/v1/messages"):
        assert answer.json()["type"] == "error"
    else:
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/nope", "/V1/models", "/v1/models/", "/v1//models", "/v1/chat/completions/", "/v1/%6dodels",
     "/health/x", "/v1/responses/", "/v1/responses/a/b", "/metrics", "/api/v1/status", "/v1/files"],
)
def test_unknown_routes(fleet, path):
    answer = ask(fleet.address, head("GET", path))
    assert (answer.status, answer.code) == (404, "unknown_route")
    assert ask(fleet.address, head("GET", "/v1/messages/nope")).json()["type"] == "error"


@pytest.mark.parametrize(
    "fields,status,code",
    [
        (["Content-Type: text/plain"], 415, "unsupported_media_type"),
        (["Content-Type: application/x-www-form-urlencoded"], 415, "unsupported_media_type"),
        (["Content-Type: multipart/form-data; boundary=x"], 415, "unsupported_media_type"),
        (["Content-Type: application/jsonx"], 415, "unsupported_media_type"),
        ([], 415, "unsupported_media_type"),
        (["Content-Type: application/json", "Content-Encoding: gzip"], 415, "unsupported_media_type"),
        (["Content-Type: application/json", "Content-Encoding: identity"], 200, None),
        (["content-type: APPLICATION/JSON;charset=UTF-8"], 200, None),
        (["Content-Type: application/json", "Expect: 200-ok"], 417, "expectation_failed"),
    ],
    ids=repr,
)
def test_content_types(fleet, fields, status, code):
    body = json.dumps(completion()).encode()
    answer = ask(fleet.address, head("POST", "/v1/completions", f"Content-Length: {len(body)}", *fields) + body)
    assert answer.status == status, answer.body
    if code:
        assert answer.code == code
        assert ask(fleet.address, head("POST", "/v1/messages", f"Content-Length: {len(body)}", *fields) + body).json()["type"] == "error"


def test_lengths_and_limits(fleet):
    kind = "Content-Type: application/json"
    with Wire(fleet.address) as wire:
        answer = wire.send(head("POST", "/v1/completions", kind)).answer()
        assert (answer.status, answer.code) == (411, "length_required")
    with Wire(fleet.address) as wire:
        # Refused by its announced length: no byte of it is waited for.
        answer = wire.send(head("POST", "/v1/completions", kind, f"Content-Length: {BODY_LIMIT + 1}")).answer()
        assert (answer.status, answer.code) == (413, "request_too_large") and "limits.body" in answer.json()["error"]["message"]
        assert answer.field("connection") == "close" and wire.rest() == b""
    with Wire(fleet.address) as wire:
        wire.send(head("POST", "/v1/messages", kind, "Transfer-Encoding: chunked") + b'8\r\n{"a":"aa\r\n')
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(BODY_LIMIT // 65536 + 1):
                wire.send(piece)
        answer = wire.answer()
        assert answer.status == 413 and answer.json()["error"]["type"] == "request_too_large"
    largest = completion("long/long", echo="")
    largest["echo"] = "x" * (BODY_LIMIT - len(json.dumps(largest)))
    assert ask(fleet.address, post("/v1/completions", largest)).status == 200
    for fields in ([f"X-Long: {'x' * HEAD_LIMIT}"], [f"X-{n}: {'x' * 1000}" for n in range(20)], [f"X-{n}: y" for n in range(200)]):
        answer = ask(fleet.address, head("GET", "/v1/models", *fields))
        assert (answer.status, answer.code) == (431, "headers_too_large")
    answer = ask(fleet.address, head("GET", "/" + "x" * HEAD_LIMIT))
    assert answer.status == 431
    with Wire(fleet.address) as wire:
        # A head that never ends is refused when it is too long, not when time is up.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(20):
                wire.send(b"GET / HTTP/1.1\r\nX: " + b"y" * 1000 if _ == 0 else b"y" * 1000)
        assert wire.answer().status == 431


def test_realtime_is_named(fleet):
    fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"]
    answer = ask(fleet.address, head("GET", "/v1/realtime?model=x", *fields))
    assert (answer.status, answer.code) == (501, "not_implemented") and "/v1/realtime" in answer.json()["error"]["message"]


def test_head_is_answered_where_get_is(fleet):
    with Wire(fleet.address) as wire:
        for path in ("/v1/models", f"/v1/models/box/{LLAMA}", "/health", "/ready"):
            got = wire.send(head("GET", path)).answer()
            asked = wire.send(head("HEAD", path)).answer(to_head=True)
            assert asked.status == got.status == 200
            assert asked.field("content-length") == got.field("content-length") == str(len(got.body))
        assert wire.send(head("HEAD", "/nowhere")).answer(to_head=True).status == 404
        assert wire.send(head("GET", "/health")).answer().status == 200


def test_http_1_0(fleet):
    def old(request):
        with Wire(fleet.address) as wire:
            answer = wire.send(request).answer()
            assert wire.rest() == b""
            assert answer.field("transfer-encoding") is None and answer.field("connection") == "close"
            return answer

    plain = old(post("/v1/completions", completion(), version="HTTP/1.0"))
    assert plain.status == 200 and plain.json()["model"] == "org/m"
    stream = old(post("/v1/completions", completion(stream=True), "Connection: keep-alive", version="HTTP/1.0"))
    assert stream.status == 200 and stream.field("content-length") is None
    assert stream.body.startswith(b"data: ") and stream.body.endswith(b"data: [DONE]\n\n")
    assert old(b"GET /health HTTP/1.0\r\n\r\n").json() == {"status": "ok"}
    assert old(f"GET /v1/models HTTP/1.0\r\nx-api-key: {KEY}\r\n\r\n".encode()).status == 200


def test_expect_100_continue(fleet):
    body = json.dumps(completion()).encode()
    fields = ["Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue"]
    request_id = next(ids)
    with Wire(fleet.address) as wire:
        wire.send(head("POST", "/v1/completions", *fields, f"x-request-id: {request_id}"))
        assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(body).answer().status == 200
        # Together with its body nothing is to be continued.
        assert wire.send(head("POST", "/v1/completions", *fields) + body).answer().status == 200
    (request,) = fleet.received(request_id)
    assert "expect" not in request["named"]
    refusals = [
        (head("POST", "/v1/completions", *fields, key="wrong"), 401),
        (head("POST", "/nowhere", *fields), 404),
        (head("POST", "/v1/completions", fields[0], f"Content-Length: {BODY_LIMIT + 1}", fields[2]), 413),
        (head("POST", "/v1/completions", "Content-Type: x/y", *fields[1:]), 415),
        (head("POST", "/p/chat/nope", *fields), 403),
    ]
    for request, status in refusals:
        with Wire(fleet.address) as wire:
            answer = wire.send(request).answer()
            assert answer.status == status and answer.field("connection") == "close", "the body would be taken for a request"
            assert wire.rest() == b""
    with Wire(fleet.address) as wire:
        wire.send(head("POST", "/v1/completions", *fields, version="HTTP/1.0"))
        wire.send(body)
        assert wire.answer().status == 200, "HTTP/1.0 knows no 100"


def test_pipelining(fleet):
    requests, checks = [], []
    for number in range(30):
        if number % 3 == 0:
            requests.append(post("/v1/completions", completion(max_tokens=1 + number % 5)))
            checks.append(lambda a, n=number: a.json()["usage"]["completion_tokens"] == 1 + n % 5)
        elif number % 3 == 1:
            requests.append(post("/v1/chat/completions", {"model": "org/m", "messages": [], "stream": True, "max_tokens": 2}))
            checks.append(lambda a: a.body.endswith(b"data: [DONE]\n\n"))
        else:
            requests.append(head("GET", f"/v1/models/nope-{number}"))
            checks.append(lambda a, n=number: a.status == 404 and f"nope-{n}" in a.body.decode())
    with Wire(fleet.address) as wire:
        wire.send(b"".join(requests))
        for number, check in enumerate(checks):
            assert check(wire.answer()), number
        # A lone empty line between requests is an old client's habit.
        wire.send(b"\r\n" + head("GET", "/health") + head("GET", "/health", "Connection: close") + head("GET", "/health"))
        assert wire.answer().status == 200
        assert wire.answer().field("connection") == "close"
        assert wire.rest() == b""


def test_request_ids(fleet):
    accepted = ["a", "A-b_c.9", "x" * 128, "-", "0"]
    replaced = ["", "x" * 129, "a b", "a/b", "ü", "a,b", "a\tb", '"a"', "a;b"]
    for value in accepted + replaced:
        for request in (head("GET", "/health", f"x-request-id: {value}"), head("GET", "/nowhere", f"X-REQUEST-ID: {value}")):
            answer = ask(fleet.address, request)
            given = answer.field("x-request-id")
            assert (given == value) == (value in accepted), value
            assert 1 <= len(given) <= 128
    own = {ask(fleet.address, head("GET", "/health")).field("x-request-id") for _ in range(20)}
    assert len(own) == 20
    request_id = next(ids)
    answer = ask(fleet.address, post("/v1/completions", completion(), f"x-request-id: {request_id}"))
    assert answer.field("x-request-id") == request_id and len(fleet.received(request_id)) == 1
    answer = ask(fleet.address, post("/v1/completions", completion()))
    (request,) = fleet.received(answer.field("x-request-id"))
    assert [name.lower() for name, _ in request["fields"]].count("x-request-id") == 1


def test_a_unix_listener(fleet):
    address = f"unix:{fleet.unix}"
    assert ask(address, head("GET", "/v1/models", key=None)).status == 401
    assert ask(address, post("/v1/completions", completion(), host="whatever.example")).status == 200
    assert ask(address, head("GET", "/health", host="localhost")).status == 200


def test_a_gateway_without_a_key(fleet):
    with fleet.venv.server(model="org/one") as url, attached_only({"VLLM_BASE_URL": url}, key=None) as stoker:
        stoker.wait_state("vllm", "ready")
        address = stoker.gateway
        port = address.rsplit(":", 1)[1]
        for host in ("127.0.0.1", f"127.0.0.1:{port}", "localhost", f"LOCALHOST:{port}", "[::1]", "app.localhost", "10.1.2.3"):
            assert ask(address, head("GET", "/v1/models", key=None, host=host)).status == 200, host
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", ""):
            answer = ask(address, head("GET", "/v1/models", key=None, host=host))
            assert (answer.status, answer.code) == (400, "invalid_request"), host
        body = {"prompt": "Hi", "max_tokens": 1}
        for origin, status in [
            ("http://evil.example", 403), ("null", 403), ("http://localhost.evil.example", 403), ("https://127.0.0.1", 200),
            ("http://127.0.0.1", 200), ("file://", 403), ("http://127.0.0.1:1", 403),
        ]:
            answer = ask(address, post("/v1/completions", body, f"Origin: {origin}", key=None))
            assert answer.status == status, origin
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            for path in ("/v1/completions", "/p/vllm/tokenize"):
                if path.startswith("/p/") and kind.startswith("multipart"):
                    continue
                assert ask(address, post(path, body, key=None, kind=kind)).status == 415, (path, kind)
        assert ask(address, post("/v1/completions", body, key=None)).status == 200
        assert ask(address, post("/v1/completions", body, key="any key at all")).status == 200
        request_id = next(ids)
        ask(address, post("/v1/completions", body, f"x-request-id: {request_id}", key="any key at all"))
        (request,) = harness.received([url], request_id)
        assert "authorization" not in request["named"]


def test_limits_and_deadlines_of_instances(fleet):
    with fleet.venv.server(model="org/one") as url:
        env = {"VLLM_BASE_URL": url, "STOKER_LIMITS_STREAMS_PER_INSTANCE": "1", "STOKER_TIMEOUTS_FIRST_BYTE": "500ms",
               "STOKER_TIMEOUTS_STREAM_IDLE": "700ms", "STOKER_HEALTH_CANARY": "off"}
        with attached_only(env) as stoker:
            stoker.wait_state("vllm", "ready")
            with Wire(stoker.gateway) as first:
                slow = controlled(token_delay_ms=200, tokens=8)
                first.send(post("/v1/completions", completion("org/one", stream=True), slow))
                assert first.head()[0] == 200
                for path in ("/v1/completions", "/v1/messages"):
                    answer = ask(stoker.gateway, post(path, completion("org/one")))
                    assert answer.status == 429 and int(answer.field("retry-after")) > 0
                    if path == "/v1/completions":
                        assert answer.code == "queue_full"
                while first.chunk():
                    pass
            # The last event before [DONE] is beyond no limit; silence before the first byte is.
            for body in (completion("org/one"), completion("org/one", stream=True)):
                answer = ask(stoker.gateway, post("/v1/completions", body, controlled(hang=True)))
                assert (answer.status, answer.code) == (504, "first_byte_timeout")
            with Wire(stoker.gateway) as wire:
                wire.send(post("/v1/completions", completion("org/one", stream=True, max_tokens=9), controlled(stall_after_tokens=2)))
                answer = wire.answer()
                assert answer.body.count(b"data: ") >= 2 and b"[DONE]" not in answer.body and b"upstream_lost" in answer.body
            eventually(lambda: harness.stand_in(url, "stats")["inferences_open"] == 0, 5, "an idle engine")
