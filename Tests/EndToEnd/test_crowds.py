"""Strangers by the thousand, slow, leaving, or inventing names: memory, connections and metrics stay what they were."""

import contextlib
import json
import os
import pathlib
import resource
import socket
import tempfile
import threading
import time

import pytest

import harness
from harness import Stoker, Wire, eventually

KEY = "test-master-key"
MANY = 1000


class Fleet:
    def __init__(self, stoker, unix):
        self.stoker, self.address, self.unix = stoker, stoker.gateway, unix
        self.endpoint = stoker.instance("chat-0")["endpoint"]
        self.pid = stoker.status()["gateway"]["pid"]

    def stats(self):
        return harness.stand_in(self.endpoint, "stats")

    def resident(self):
        """KiB of the gateway's memory."""
        with open(f"/proc/{self.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rests(self, descriptors):
        """Waits until nothing is left of a crowd, at the gateway and at the server."""
        eventually(lambda: self.stats()["inferences_open"] == 0, 20, "no request at the server")
        eventually(lambda: self.stoker.status()["gateway"]["inflight"] == 0, 20, "nothing in flight")
        eventually(lambda: self.descriptors() <= descriptors + 8, 20, f"as few descriptors as before ({descriptors})")
        eventually(lambda: self.stats()["connections_open"] < 12, 20, "no forgotten connection at the server")
        status = self.stoker.status()["gateway"]
        assert status["pid"] == self.pid and status["restarts"] == 0
        with Wire(self.address) as wire:
            assert wire.send(request(max_tokens=1)).answer().status == 200


@pytest.fixture(scope="module")
def fleet():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MANY + 200
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"the crowds need {wanted} open files; the hard limit is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp"))
        venv = harness.StandInVenv(pathlib.Path(folder))
        # The server closes what is idle soon: what is kept for later requests is gone when a test counts what is left.
        venv.faults(keep_alive_seconds=1)
        unix = f"{folder}/gateway.sock"
        provider = venv.provider(args=json.dumps(["--max-num-seqs", str(2 * MANY)]))
        config = harness.config(
            [provider], listen=json.dumps(["127.0.0.1:0", f"unix:{unix}"]), health="{ canary: off }", timeouts="{ slow_reader: 2s }")
        stoker = stack.enter_context(Stoker(config, key=KEY))
        stoker.wait_state("chat-0", "ready")
        yield Fleet(stoker, f"unix:{unix}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def request(faults=None, **keys):
    body = json.dumps({"model": "org/m", "prompt": "Hi", **keys}).encode()
    lines = ["POST /v1/completions HTTP/1.1", "Host: h", f"x-api-key: {KEY}", "Content-Type: application/json",
             f"Content-Length: {len(body)}"]
    if faults:
        lines.append(f"x-stand-in-control: {json.dumps(faults)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@contextlib.contextmanager
def crowd(address):
    wires = []
    try:
        for _ in range(MANY):
            wires.append(Wire(address, within=60))
        yield wires
    finally:
        for wire in wires:
            wire.close()


def test_a_thousand_slow_writers_are_all_served(fleet):
    """Heads and bodies come in pieces, everybody's first piece before anybody's second; others are served meanwhile."""
    descriptors, before = fleet.descriptors(), fleet.resident()
    whole = request(max_tokens=1)
    size = len(whole) // 12
    with crowd(fleet.address) as wires:
        for at in range(0, len(whole), size):
            for wire in wires:
                wire.send(whole[at:at + size])
            with Wire(fleet.address) as other:
                assert other.send(request(max_tokens=1)).answer().status == 200
        grown = fleet.resident() - before
        print(f"{grown} KiB for {MANY} half requests")
        assert {wire.answer().status for wire in wires} == {200}
    assert grown < 48 * 1024, f"{grown} KiB for {MANY} half requests"
    fleet.rests(descriptors)


def test_a_thousand_slow_readers_are_cut_off_and_memory_stays_flat(fleet):
    """768 MB are on offer, and nobody takes any: they stay at the server, and the readers go after their time."""
    descriptors, before = fleet.descriptors(), fleet.resident()
    offered = request(stream=True, ignore_eos=True, max_tokens=24,
                      faults={"tokens": 24, "payload_bytes": 32768, "token_delay_ms": 0})
    aborts = fleet.stats()["client_aborts"]
    most = 0
    # By the Unix socket, whose buffers are small: a TCP connection over the loopback takes megabytes that nobody reads.
    with crowd(fleet.unix) as wires:
        for wire in wires:
            wire.send(offered)
        eventually(lambda: fleet.stats()["streams_most"] > MANY / 2, 60, "the streams")
        deadline = time.monotonic() + 60
        while fleet.stats()["inferences_open"] > 0 and time.monotonic() < deadline:
            most = max(most, fleet.resident())
            time.sleep(0.1)
        assert fleet.stats()["inferences_open"] == 0, "the slow readers are cut off"
    print(f"{most - before} KiB for {MANY} readers that take nothing")
    assert most - before < 96 * 1024, f"{most - before} KiB for {MANY} readers that take nothing"
    assert fleet.stats()["client_aborts"] - aborts > MANY * 0.9, "and the server was told"
    fleet.rests(descriptors)


def test_a_thousand_who_leave_at_every_point_leave_nothing_behind(fleet):
    """In the head, in the body, before the first token, in the middle of a chunk; by an end, a reset, half an end."""
    descriptors, before = fleet.descriptors(), fleet.resident()
    waits = request(stream=True, faults={"first_token_delay_ms": 600_000})
    speaks = request(stream=True, ignore_eos=True, max_tokens=4000,
                     faults={"tokens": 4000, "payload_bytes": 500, "token_delay_ms": 200})
    aborts = fleet.stats()["client_aborts"]
    with crowd(fleet.address) as wires:
        for number, wire in enumerate(wires):
            match number % 4:
                case 0: wire.send(waits[:number % waits.index(b"\r\n\r\n")])
                case 1: wire.send(waits[:-1 - number % 20])
                case 2: wire.send(waits)
                case 3: wire.send(speaks)
        eventually(lambda: fleet.stats()["inferences_open"] == MANY / 2, 60, "half of them at the server")
        for wire in wires[3::4]:
            # The head and part of a first chunk.
            wire.until(b"data: {")
        grown = fleet.resident() - before
        left = time.monotonic()
        for number, wire in enumerate(wires):
            match number % 3:
                case 0: wire.close()
                case 1:
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    wire.close()
                case 2: wire.socket.shutdown(socket.SHUT_WR)
        gone = time.monotonic()
        eventually(lambda: fleet.stats()["inferences_open"] == 0, 20, "no request at the server")
        fleet.rests(descriptors)
    stats = fleet.stats()
    assert stats["client_aborts"] - aborts == MANY / 2, "each that was at the server was aborted there"
    print(f"{grown} KiB for {MANY} connections; {MANY} left within {gone - left:.3f} s; the last abort at the server {max(a['at'] for a in stats['aborts']) - gone:.3f} s later")
    assert grown < 64 * 1024, f"{grown} KiB for {MANY} connections"


def test_a_million_invented_names_make_no_series(fleet):
    """As many models and user agents, and no label, no series and no memory of them."""
    def metrics():
        lines = fleet.stoker.admin(path="/metrics").text.splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))

    def refused():
        return sum(float(value) for name, value in metrics().items() if name.startswith("stoker_requests_total") and 'status="404"' in name)

    invented = (
        f"POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: {KEY}\r\nContent-Type: application/json\r\n".encode()
        + b"User-Agent: invented-%07d\r\nx-request-id: invented-%07d\r\nContent-Length: 28\r\n\r\n" + b'{"model":"invented/%07d"}'
    )

    def throw(first, last, found):
        with Wire(fleet.address, within=60) as wire:
            def write():
                for start in range(first, last, 500):
                    wire.socket.sendall(b"".join([invented % (n, n, n) for n in range(start, min(last, start + 500))]))
            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            mark = b"HTTP/1.1 404 Not Found\r\n"
            seen, tail = 0, b""
            while seen < last - first:
                data = tail + (wire.socket.recv(1 << 18) or pytest.fail(f"the connection ended after {seen} answers"))
                seen += data.count(mark)
                tail = data[-(len(mark) - 1):]
            writer.join()
            found.append(seen)

    throw(0, 1000, [])
    eventually(lambda: refused() >= 1000, 20, "the first thousand in the metrics")
    series, before = set(metrics()), fleet.resident()
    counted, found = refused(), []
    total = 1_000_000
    throw(1000, 1000 + total, found)
    assert sum(found) == total
    eventually(lambda: refused() >= counted + total, 60, "a million more in the metrics")
    assert set(metrics()) - series == set()
    assert "invented" not in str(metrics()) and "invented" not in str(fleet.stoker.status())
    assert "invented" not in fleet.stoker.log_text()
    assert fleet.resident() - before < 8 * 1024
