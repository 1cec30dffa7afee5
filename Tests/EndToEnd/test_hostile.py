"""What attacks and garbage come to: nothing unvetted reaches a server, and nothing that is sent ends the gateway."""

import base64
import contextlib
import json
import pathlib
import random
import re
import socket
import tempfile
import time

import pytest

import harness
from harness import Stoker, Wire, eventually

KEY = "test-master-key"
BODY = b'{"model":"chat/org/m","prompt":"Hi","max_tokens":1}'
SMUGGLED = b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-request-id: smuggled\r\nx-api-key: " + KEY.encode() + (
    b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)) + BODY


class Fleet:
    def __init__(self, stoker):
        self.stoker, self.address = stoker, stoker.gateway
        self.endpoint = stoker.instance("chat-0")["endpoint"]
        self.pid = stoker.status()["gateway"]["pid"]
        self.daemon = stoker.process.pid
        found = re.search(r"The admin side listens.*?(127\.0\.0\.1:\d+)", stoker.log_text())
        self.admin = found.group(1)

    def received(self):
        """The inference requests that reached the server."""
        requests = harness.stand_in(self.endpoint, "requests")["requests"]
        return [r for r in requests if r["method"] not in ("GET", "HEAD") or not r["target"].startswith(("/health", "/v1/models", "/metrics"))]

    def bytes_received(self):
        """The bytes of all bodies that reached the server: probes have none."""
        return harness.stand_in(self.endpoint, "stats")["request_body_bytes"]

    def check(self):
        """All is as it was, and a good request works."""
        status = self.stoker.status()["gateway"]
        assert status["pid"] == self.pid and status["restarts"] == 0, f"the gateway has been replaced:\n{self.stoker.log_text()[-3000:]}"
        assert self.stoker.process.poll() is None
        with Wire(self.address) as wire:
            answer = wire.send(SMUGGLED.replace(b"smuggled", b"a-good-one")).answer()
        assert answer.status == 200, answer.body


@pytest.fixture(scope="module")
def fleet():
    with tempfile.TemporaryDirectory(prefix="sh-", dir="/tmp") as folder:
        venv = harness.StandInVenv(pathlib.Path(folder))
        config = harness.config([venv.provider()], health="{ canary: off }", limits="{ header: 16KiB, body: 1MiB }")
        with Stoker(config, key=KEY) as stoker:
            stoker.wait_state("chat-0", "ready")
            yield Fleet(stoker)


def post(*fields, body=b"", start="POST /v1/completions HTTP/1.1", host="Host: h"):
    lines = [start, *([host] if host else []), f"x-api-key: {KEY}", "Content-Type: application/json", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*pieces, last=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + last


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
ATTACKS = {
    "CL and TE": post(LENGTH, CHUNKED, body=chunked(BODY)),
    "TE and CL": post(CHUNKED, LENGTH, body=chunked(BODY)),
    "CL 0 and TE": post("Content-Length: 0", CHUNKED, body=chunked(BODY)),
    "CL twice, equal": post(LENGTH, LENGTH, body=BODY),
    "CL twice, different": post(LENGTH, "Content-Length: 5", body=BODY),
    "CL list": post(f"Content-Length: {len(BODY)}, {len(BODY)}", body=BODY),
    "CL plus": post(f"Content-Length: +{len(BODY)}", body=BODY),
    "CL minus": post("Content-Length: -1", body=BODY),
    "CL hexadecimal": post("Content-Length: 0x33", body=BODY),
    "CL with a space": post("Content-Length: 5 1", body=BODY),
    "CL empty": post("Content-Length:", body=BODY),
    "CL huge": post("Content-Length: 99999999999999999999", body=BODY),
    "CL overflowing to itself": post(f"Content-Length: {(1 << 64) + len(BODY)}", body=BODY),
    "CL fraction": post(f"Content-Length: {len(BODY)}.0", body=BODY),
    "CL other digits": post("Content-Length: \xb2", body=BODY),
    "TE identity": post("Transfer-Encoding: identity", LENGTH, body=BODY),
    "TE twice": post(CHUNKED, CHUNKED, body=chunked(BODY)),
    "TE chunked, chunked": post("Transfer-Encoding: chunked, chunked", body=chunked(BODY)),
    "TE gzip, chunked": post("Transfer-Encoding: gzip, chunked", body=chunked(BODY)),
    "TE chunked, identity": post("Transfer-Encoding: chunked, identity", body=chunked(BODY)),
    "TE xchunked": post("Transfer-Encoding: xchunked", body=chunked(BODY)),
    "TE quoted": post('Transfer-Encoding: "chunked"', body=chunked(BODY)),
    "TE with a parameter": post("Transfer-Encoding: chunked;x=1", body=chunked(BODY)),
    "TE with a comma": post("Transfer-Encoding: ,chunked", body=chunked(BODY)),
    "TE vertical tab": post("Transfer-Encoding: \x0bchunked", body=chunked(BODY)),
    "TE empty": post("Transfer-Encoding:", LENGTH, body=BODY),
    "TE with a space before its colon": post("Transfer-Encoding : chunked", body=chunked(BODY)),
    "TE with a tab before its colon": post("Transfer-Encoding\t: chunked", body=chunked(BODY)),
    "CL with a space before its colon": post(f"Content-Length : {len(BODY)}", body=BODY),
    "a space before a name": post(" X: y", LENGTH, body=BODY),
    "TE folded": post("Transfer-Encoding:\r\n chunked", body=chunked(BODY)),
    "a folded field": post("X: a\r\n b", LENGTH, body=BODY),
    "a fold by tab": post("X: a\r\n\tb", LENGTH, body=BODY),
    "a fold of the first line": b"POST /v1/completions HTTP/1.1\r\n Host: h\r\n\r\n",
    "a bare line feed in a field": post("X: a\nY: b", LENGTH, body=BODY),
    "a bare carriage return in a field": post("X: a\rY: b", LENGTH, body=BODY),
    "bare line feeds": post(LENGTH, body=BODY).replace(b"\r\n", b"\n", 4),
    "a bare line feed at the end of the head": post(LENGTH, body=BODY).replace(b"\r\n\r\n", b"\r\n\n"),
    "a bare line feed at the first line": post(LENGTH, body=BODY).replace(b"\r\n", b"\n", 1),
    "CR CR LF": post("X: y\r", LENGTH, body=BODY),
    "NUL in a value": post("X: a\0b", LENGTH, body=BODY),
    "NUL in a name": post("X\0: a", LENGTH, body=BODY),
    "NUL in the target": post(LENGTH, start="POST /v1/completions\0 HTTP/1.1", body=BODY),
    "DEL in a value": post("X: a\x7fb", LENGTH, body=BODY),
    "no name": post(": a", LENGTH, body=BODY),
    "no colon": post("nonsense", LENGTH, body=BODY),
    "a name in quotes": post('"X": a', LENGTH, body=BODY),
    "a name beyond ASCII": post("X\xe9: a", LENGTH, body=BODY),
    "Content-Type twice": post("Content-Type: text/plain", LENGTH, body=BODY),
    "a chunk's size with a sign": post(CHUNKED, body=b"+33\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with 0x": post(CHUNKED, body=b"0x33\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with a space in front": post(CHUNKED, body=b" 33\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with a space behind": post(CHUNKED, body=b"33 \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with an underscore": post(CHUNKED, body=b"3_3\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "no chunk's size": post(CHUNKED, body=b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an oversized chunk's size": post(CHUNKED, body=b"fffffffffffffffff\r\n" + BODY),
    "a chunk's size that overflows to itself": post(CHUNKED, body=b"10000000000000033\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with many zeros": post(CHUNKED, body=b"0" * 60 + b"33\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size ended by a bare line feed": post(CHUNKED, body=b"33\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size ended by a bare carriage return": post(CHUNKED, body=b"33\r" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": post(CHUNKED, body=b"30\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk ended by a bare line feed": post(CHUNKED, body=b"33\r\n" + BODY + b"\n0\r\n\r\n"),
    "an extension with a bare line feed": post(CHUNKED, body=b"33;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an extension with a NUL": post(CHUNKED, body=b"33;a\0\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an endless extension": post(CHUNKED, body=b"33;" + b"a" * 20000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "endless trailers": post(CHUNKED, body=chunked(BODY, last=b"0\r\n" + b"X: y\r\n" * 4000 + b"\r\n")),
    "a trailer with a bare line feed": post(CHUNKED, body=chunked(BODY, last=b"0\r\nX: y\nZ: z\r\n\r\n")),
    "TE in HTTP/1.0": post(CHUNKED, start="POST /v1/completions HTTP/1.0", body=chunked(BODY)),
    "an absolute target of another kind": post(LENGTH, start="POST ftp://h/v1/completions HTTP/1.1", body=BODY),
    "an absolute target by https": post(LENGTH, start="POST https://h/v1/completions HTTP/1.1", body=BODY),
    "an absolute target without a path": post(LENGTH, start="POST http://h HTTP/1.1", body=BODY),
    "an absolute target with user information": post(LENGTH, start="POST http://a@h/v1/completions HTTP/1.1", body=BODY),
    "an authority for a target": post(LENGTH, start="POST h:80 HTTP/1.1", body=BODY),
    "CONNECT": b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
    "an asterisk": post(LENGTH, start="POST * HTTP/1.1", body=BODY),
    "no slash": post(LENGTH, start="POST v1/completions HTTP/1.1", body=BODY),
    "a fragment": post(LENGTH, start="POST /v1/completions#x HTTP/1.1", body=BODY),
    "a space in the target": post(LENGTH, start="POST /v1/comple tions HTTP/1.1", body=BODY),
    "a tab in the target": post(LENGTH, start="POST /v1/comple\ttions HTTP/1.1", body=BODY),
    "bytes beyond ASCII in the target": post(LENGTH, start="POST /v1/completions?\xe9 HTTP/1.1", body=BODY),
    "two spaces": post(LENGTH, start="POST  /v1/completions HTTP/1.1", body=BODY),
    "a space at the end": post(LENGTH, start="POST /v1/completions HTTP/1.1 ", body=BODY),
    "a space in front": post(LENGTH, start=" POST /v1/completions HTTP/1.1", body=BODY),
    "a method in brackets": post(LENGTH, start="(POST) /v1/completions HTTP/1.1", body=BODY),
    "no version": b"POST /v1/completions\r\n\r\n",
    "a version in small letters": post(LENGTH, start="POST /v1/completions http/1.1", body=BODY),
    "no Host": post(LENGTH, host=None, body=BODY),
    "two Hosts": post("Host: h", LENGTH, body=BODY),
    "two Hosts, different": post("Host: other", LENGTH, body=BODY),
    **{f"Host {mark}": post(LENGTH, host=f"Host: a{mark}b", body=BODY) for mark in "/#@?%\\, \"<>{}|^`\t"},
}
NOT_THIS_VERSION = {
    "HTTP/2": post(LENGTH, start="POST /v1/completions HTTP/2", body=BODY),
    "HTTP/2.0": post(LENGTH, start="POST /v1/completions HTTP/2.0", body=BODY),
    "HTTP/1.2": post(LENGTH, start="POST /v1/completions HTTP/1.2", body=BODY),
    "HTTP/0.9": post(LENGTH, start="POST /v1/completions HTTP/0.9", body=BODY),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", [*ATTACKS, *NOT_THIS_VERSION])
def test_what_two_parties_could_read_differently_is_refused(fleet, name):
    """400, the connection's end, and neither the attack nor what was smuggled behind it reaches the server."""
    attack = ATTACKS.get(name) or NOT_THIS_VERSION[name]
    before = fleet.bytes_received()
    with Wire(fleet.address) as wire:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.send(attack + SMUGGLED)
        answer = wire.answer()
        assert answer.status in ((400, 505) if name in NOT_THIS_VERSION else (400,)), answer
        assert answer.field("connection") == "close" and set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert wire.rest() == b"", "nothing behind it is answered"
    assert fleet.bytes_received() == before, fleet.received()[-2:]


# What is unusual, and right.
FINE = {
    "absolute form": post(LENGTH, start="POST http://whatever/v1/completions HTTP/1.1", body=BODY),
    "absolute form with a port": post(LENGTH, start="POST HTTP://h:1/v1/completions HTTP/1.1", body=BODY),
    "spaces around a value": post(f"Content-Length: \t {len(BODY)} \t", body=BODY),
    "leading zeros": post(f"Content-Length: 000{len(BODY)}", body=BODY),
    "names in capitals": post(f"CONTENT-LENGTH: {len(BODY)}", body=BODY),
    "TE in capitals": post("TRANSFER-ENCODING: CHUNKED", body=chunked(BODY)),
    "chunks of one byte": post(CHUNKED, body=chunked(*[BODY[i:i + 1] for i in range(len(BODY))])),
    "extensions": post(CHUNKED, body=b'33;a;b=c;d="e f"\r\n' + BODY + b"\r\n0;x\r\n\r\n"),
    "sizes in capitals": post(CHUNKED, body=b"0A\r\n" + BODY[:10] + b"\r\n" + b"%X\r\n" % (len(BODY) - 10) + BODY[10:] + b"\r\n000\r\n\r\n"),
    "trailers": post(CHUNKED, body=chunked(BODY, last=b"0\r\nHost: evil\r\nContent-Length: 5\r\n\r\n")),
    "an empty line in front": b"\r\n" + post(LENGTH, body=BODY),
    "an empty value": post("X:", LENGTH, body=BODY),
    "bytes beyond ASCII in a value": post("X: \xe9\xff", LENGTH, body=BODY),
    "an IPv6 Host": post(LENGTH, host="Host: [::1]:80", body=BODY),
    "an empty Host": post(LENGTH, host="Host:", body=BODY),
    "a query": post(LENGTH, start="POST /v1/completions?a=/../b&c=%2F HTTP/1.1", body=BODY),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_unusual_and_right_is_served(fleet, name):
    with Wire(fleet.address) as wire:
        wire.send(FINE[name] + SMUGGLED)
        assert wire.answer().status == 200
        assert wire.answer().status == 200, "the second request of the pipeline"
    last, second = fleet.received()[-2:]
    assert second["target"] == "/v1/completions"
    assert last["target"].split("?")[0] == "/v1/completions" and last["body_bytes"] == len(BODY) - len("chat/")
    # What the server has is what was checked, byte for byte: nothing of the client's framing, all else as it came.
    sent = FINE[name].partition(b"\r\n\r\n")[0].decode("latin-1").strip().split("\r\n")[1:]
    sent = [(key, value.strip(" \t")) for key, value in (line.split(":", 1) for line in sent)]
    dropped = ("host", "x-api-key", "content-length", "transfer-encoding")
    fields = [(key, value) for key, value in last["headers"]]
    passed = [(key, value) for key, value in sent if key.lower() not in dropped]
    assert [key.lower() for key, _ in fields] == ["host", *[key.lower() for key, _ in passed], "x-request-id", "content-length"]
    if name != "bytes beyond ASCII in a value":
        # The stand-in tells its requests as JSON, which those bytes are not.
        assert fields[1:-2] == passed
    assert dict(fields)["content-length"] == str(last["body_bytes"])
    assert base64.b64decode(last["body"]) == BODY.replace(b"chat/org/m", b"org/m")
    query = FINE[name].lstrip().split(b" ")[1].partition(b"?")[2].decode()
    assert last["target"] == "/v1/completions" + (query and "?" + query), "as it came"


def test_a_request_behind_an_error_is_read_only_where_its_beginning_is_known(fleet):
    # The refused body is here, whole: the next request's beginning is known.
    for refused, status in [
        (post("Content-Length: 2", body=b"{}").replace(KEY.encode(), b"wrong-key"), 401),
        (post("Content-Length: 2", body=b"[]"), 400),
        (post("Content-Length: 2", start="POST /nowhere HTTP/1.1", body=b"{}"), 404),
    ]:
        with Wire(fleet.address) as wire:
            wire.send(refused + SMUGGLED)
            answer = wire.answer()
            assert answer.status == status
            rest = wire.answer().status if answer.field("connection") != "close" else wire.rest()
            assert rest in (200, b"")
    # It is not: whatever follows may be the body.
    before = fleet.bytes_received()
    for refused in (
        post(f"Content-Length: {len(SMUGGLED) + 10}").replace(KEY.encode(), b"wrong-key"),
        post(f"Content-Length: {len(SMUGGLED) + 10}", start="POST /nowhere HTTP/1.1"),
        post(CHUNKED).replace(KEY.encode(), b"wrong-key"),
        post(CHUNKED, start="POST /nowhere HTTP/1.1"),
        post("Content-Length: 9999999", body=b""),
        post(f"Content-Length: {len(SMUGGLED) + 10}", start="GET /v1/models/none HTTP/1.1"),
    ):
        with Wire(fleet.address) as wire:
            wire.send(refused + SMUGGLED)
            answer = wire.answer()
            assert 400 <= answer.status < 500 and answer.field("connection") == "close"
            assert wire.rest() == b""
    assert fleet.bytes_received() == before, fleet.received()[-2:]


# -- Garbage

SEEDS = [
    SMUGGLED, post(CHUNKED, body=chunked(BODY)), post(LENGTH, "Expect: 100-continue", body=BODY), b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /p/chat/models?x=y HTTP/1.1\r\nHost: h\r\nx-api-key: %s\r\n\r\n" % KEY.encode(),
    post(LENGTH, start="POST /p/chat/v1/tokenize HTTP/1.1", body=BODY),
    post("Content-Length: 70", start="POST /v1/audio/transcriptions HTTP/1.1").replace(b"application/json", b"multipart/form-data; boundary=b")
    + b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\norg/m\r\n--b--\r\n',
    b"GET /v1/responses/resp_x HTTP/1.1\r\nHost: h\r\nx-api-key: %s\r\n\r\n" % KEY.encode(),
    b"HEAD /v1/models/chat%%2Forg%%2Fm HTTP/1.0\r\nx-api-key: %s\r\n\r\n" % KEY.encode(),
    post(LENGTH.replace(str(len(BODY)), str(len(BODY) + 15)), start="POST /v1/messages HTTP/1.1", body=BODY[:-1] + b',"stream":true}'),
]
ADMIN_SEEDS = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/instances/chat-0/logs?lines=5&run=previous HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-5\r\n\r\n",
    b"POST /api/v1/instances/nobody/drain?wait=0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    b"PUT /api/v1/instances/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"base_url":"http://h:1/v1"}',
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\ntoken=x",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nCookie: stoker_session=1\r\n\r\n",
    b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 5\r\n\r\n",
]
SPICE = [
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b" ", b"\t", b":", b";", b",", b"%", b"%00", b"%2e", b"..", b"//", b"\\", b"{", b"}", b"[" * 200, b'"',
    b"\\u", b"\\ud800", b"-1", b"0", b"ffffffffffffffff", b"99999999999999999999", b"chunked", b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n", b"Connection: close\r\n", b"Connection: host, content-length, x-api-key\r\n", b"HTTP/1.1", b"A" * 5000, b"Upgrade: h2c\r\n",
    b'"model":"chat/org/m",', b"x-request-id: \r\n", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
]


def mutated(dice, seeds):
    """A request with a few changes, or nothing of one."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(1, 4000))
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0: data[at:at] = dice.choice(SPICE)
            case 1: data[at:at + dice.randrange(1, 20)] = b""
            case 2 if at < len(data): data[at] = dice.randrange(256)
            case 3: data[at:at] = data[dice.randrange(len(data) + 1):][:dice.randrange(40)]
            case 4: data[at:] = b""
            case _: data += dice.choice(seeds)
        if not data:
            data += b"x"
    return bytes(data)


def throw(address, data, dice):
    """Sends it in a few pieces, reads what comes for a moment, and leaves politely or not."""
    with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as connection:
        host, port = address.removeprefix("http://").rsplit(":", 1)
        connection.settimeout(2)
        connection.connect((host, int(port)))
        at = 0
        while at < len(data):
            step = dice.choice((1, 7, 100, 1 << 16))
            if step < 100 and len(data) - at > 400:
                step = 100
            connection.sendall(data[at:at + step])
            at += step
        if dice.random() < 0.5:
            connection.shutdown(socket.SHUT_WR)
        if dice.random() < 0.7:
            connection.settimeout(0.05)
            read = b""
            while len(read) < 1 << 20 and (piece := connection.recv(1 << 16)):
                read += piece
            assert not read or read.startswith(b"HTTP/1."), read[:100]


@pytest.mark.parametrize("seed", range(4))
def test_garbage_does_not_end_the_gateway(fleet, seed):
    dice = random.Random(seed)
    deadline = time.monotonic() + 4
    count = 0
    while time.monotonic() < deadline and count < 1500:
        throw(fleet.address, mutated(dice, SEEDS), dice)
        count += 1
    assert count > 30
    fleet.check()
    # Whatever got through was whole, with a model of this server's and one length, and asked for by an allowed path.
    for request in fleet.received():
        names = [name.lower() for name, _ in request["headers"]]
        assert names.count("host") == 1 and names.count("content-length") <= 1 and "transfer-encoding" not in names
        assert "x-api-key" not in names and "connection" not in names and "\0" not in str(request["headers"])
        path = request["target"].split("?")[0]
        assert path in ("/v1/completions", "/tokenize", "/v1/audio/transcriptions", "/v1/messages", "/models", "/v1/models") or path.startswith(
            "/v1/responses/"), path
    eventually(lambda: fleet.stoker.status()["gateway"]["inflight"] == 0, 10, "nothing in flight")


@pytest.mark.parametrize("seed", range(2))
def test_garbage_does_not_end_the_admin_side(fleet, seed):
    dice = random.Random(1000 + seed)
    deadline = time.monotonic() + 3
    count = 0
    while time.monotonic() < deadline and count < 1000:
        throw(fleet.admin, mutated(dice, ADMIN_SEEDS), dice)
        count += 1
    assert count > 20
    fleet.check()
    assert fleet.stoker.process.pid == fleet.daemon
    assert [p["name"] for p in fleet.stoker.status()["providers"]] == ["chat"], "and nothing was attached without the token"
    assert fleet.stoker.instance("chat-0")["state"] == "ready"


def test_garbage_to_the_admin_socket(fleet):
    """No token is wanted there; it must still not fall."""
    dice = random.Random(7)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        data = mutated(dice, [seed for seed in ADMIN_SEEDS if not seed.startswith((b"PUT", b"POST /api"))])
        with contextlib.suppress(OSError), contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(0.05)
            connection.connect(fleet.stoker.admin_socket)
            connection.sendall(data)
            connection.recv(65536)
    fleet.check()


def test_many_who_say_nothing_are_borne(fleet):
    """Connections that send nothing, half a head, or half a body, by the hundred, are in nobody's way."""
    waiting = []
    try:
        for number in range(400):
            wire = Wire(fleet.address)
            wire.send((b"", SMUGGLED[:40], SMUGGLED[:-10], post(CHUNKED, body=b"33\r\n{"))[number % 4])
            waiting.append(wire)
        began = time.monotonic()
        fleet.check()
        assert time.monotonic() - began < 5
    finally:
        for wire in waiting:
            wire.close()
    eventually(lambda: fleet.stoker.status()["gateway"]["inflight"] == 0, 10, "nothing in flight")


def test_names_that_clients_invent_are_in_no_metric(fleet):
    def series():
        lines = fleet.stoker.admin(path="/metrics").text.splitlines()
        return {line.rsplit(" ", 1)[0] for line in lines if line and not line.startswith("#")}

    fleet.check()
    before = None
    for round in range(2):
        with Wire(fleet.address) as wire:
            for number in range(200):
                name = f"invented-{round}-{number}"
                body = json.dumps({"model": name, "prompt": "x"}).encode()
                start = f"POST /v1/completions?{name} HTTP/1.1"
                wire.send(post(f"User-Agent: {name}", f"x-request-id: {name}", f"Content-Length: {len(body)}", start=start, body=body))
                assert wire.answer().status == 404
                wire.send(post("Content-Length: 2", start=f"{'GET' if number % 2 else 'BREW'} /{name} HTTP/1.1", body=b"{}"))
                assert wire.answer().status == 404
        eventually(lambda: "invented" not in str(series()), 2, "no invented name")
        if round == 0:
            # Counts come from the gateway every now and then: the first round's series are all there before they are compared.
            before = eventually(lambda: (a := series()) == series() and any("404" in s for s in a) and a, 10, "the 404s in the metrics")
    assert eventually(lambda: series(), 2) - before == set()
