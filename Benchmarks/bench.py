#!/usr/bin/env python3
"""Measures Stoker's worker against nginx and HAProxy, in turn, on the same machine. docs/benchmarks.md has the rest.

    bench.py [--stoker PROGRAM] [--rounds 7] [--seconds 2] [--others] [--json FILE]
    bench.py --counts [--stoker PROGRAM]             instructions by callgrind and system calls by strace, instead of times
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import gateways

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, ".build")
STANDIN_PORT = 19300
# Open streams, and the microseconds between a stream's chunks: well below what one core saturates at.
STREAMS = ((64, 16_000), (256, 40_000))


def build():
    os.makedirs(BUILD, exist_ok=True)
    for name in ("standin", "load"):
        subprocess.run(["cc", "-O2", "-o", f"{BUILD}/{name}", f"{HERE}/{name}.c"], check=True)


class Load:
    """The load generator on its core."""

    def __init__(self, core):
        self.core = core

    def begin(self, *words):
        return subprocess.Popen([f"{BUILD}/load", *map(str, words)], stdout=subprocess.PIPE, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, self.core))

    @staticmethod
    def end(process):
        text, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit("the load failed")
        result = json.loads(text)
        if result["failures"]:
            raise SystemExit(f"{result['failures']} requests failed")
        return result

    def run(self, *words):
        return self.end(self.begin(*words))


def measure(gateway, load, arguments, chunk_bytes, rate):
    """One gateway's part of one round."""
    seconds, out = arguments.seconds, {}

    def cpu(*words):
        before = gateway.seconds()
        result = load.run(gateway.port, *words)
        return gateway.seconds() - before, result

    load.run(gateway.port, "closed", 64, 0.3, 450)
    used, result = cpu("closed", 64, seconds, 450)
    out["CPU per request, µs"] = used / result["done"] * 1e6
    out["requests per second"] = result["done"] / result["seconds"]
    for streams, gap in STREAMS:
        used, result = cpu("streams", streams, seconds, gap, 100)
        chunks = result["bytes"] / chunk_bytes
        out[f"CPU per chunk at {streams} streams, µs"] = used / chunks * 1e6
        out[f"chunk's age at {streams} streams, p50 µs"] = result["p50_us"]
        out[f"chunk's age at {streams} streams, p99 µs"] = result["p99_us"]
    used, result = cpu("closed", 4, seconds, 1 << 20)
    out["CPU per MiB of request body, µs"] = used / (result["done"] * result["request_bytes"] / (1 << 20)) * 1e6
    if rate:
        _, result = cpu("rate", 64, 2 * seconds, rate)
        out["latency at the constant rate, p50 µs"] = result["p50_us"]
        out["latency at the constant rate, p99 µs"] = result["p99_us"]
    return out


def baseline(load, arguments, rate):
    """The same ages and latencies without a gateway between."""
    out = {}
    for streams, gap in STREAMS:
        result = load.run(STANDIN_PORT, "streams", streams, arguments.seconds, gap, 100)
        out[f"chunk's age at {streams} streams, p50 µs"] = result["p50_us"]
        out[f"chunk's age at {streams} streams, p99 µs"] = result["p99_us"]
    if rate:
        result = load.run(STANDIN_PORT, "rate", 64, 2 * arguments.seconds, rate)
        out["latency at the constant rate, p50 µs"] = result["p50_us"]
        out["latency at the constant rate, p99 µs"] = result["p99_us"]
    return out


def memory(kind, folder, load, cores, other):
    """Idle, and with 1,000 and 5,000 open streams that get a chunk every three seconds."""
    gateway = kind(folder, 19500, STANDIN_PORT, cores, other)
    try:
        gateway.start()
        load.run(gateway.port, "count", 1, 10, 450)
        time.sleep(2)
        out = {"memory idle, MiB": gateway.memory() / 1024}
        idle = gateway.memory()
        for streams in (1000, 5000):
            opening = streams / 1000
            process = load.begin(gateway.port, "hold", streams, opening + 5, 3_000_000, 100)
            time.sleep(opening + 3.5)
            out[f"memory per stream at {streams:,}, KiB"] = (gateway.memory() - idle) / streams
            load.end(process)
            time.sleep(1)
        return out
    finally:
        gateway.stop()


def table(kinds, rows, values):
    """Medians, and medians of the ratios of each round."""
    reference = [kind.name for kind in kinds if kind.name in ("nginx", "HAProxy")]
    print("| | " + " | ".join(kind.name for kind in kinds)
          + "".join(f" | Stoker ÷ {name}" for name in reference) + " |")
    print("|---" * (1 + len(kinds) + len(reference)) + "|")
    for row in rows:
        cells = []
        for kind in kinds:
            found = [round_[kind.name][row] for round_ in values if row in round_.get(kind.name, {})]
            cells.append(f"{statistics.median(found):,.1f}" if found else "–")
        for name in reference:
            ratios = [round_["Stoker"][row] / round_[name][row] for round_ in values
                      if round_.get(name, {}).get(row) and row in round_.get("Stoker", {})]
            cells.append(f"× {statistics.median(ratios):.2f}" if ratios else "–")
        print(f"| {row} | " + " | ".join(cells) + " |")


def times(arguments, kinds, cores, folder):
    own, two, _, load_core = cores
    load = Load(load_core)
    chunk_bytes = chunk_length()
    running, rounds, rate = [], [], arguments.rate
    try:
        for index, kind in enumerate(kinds):
            place = two if kind.name.endswith("2 loops") else own
            running.append(kind(folder, 19400 + index, STANDIN_PORT, place, load_core))
            running[-1].start()
        for number in range(arguments.rounds):
            results = {}
            # Each round begins with another one, so that none has always the quietest moment.
            turn = running[number % len(running):] + running[:number % len(running)]
            if rate == 0:
                nginx = next((gateway for gateway in running if gateway.name == "nginx"), running[0])
                saturation = load.run(nginx.port, "closed", 64, arguments.seconds, 450)
                rate = int(saturation["done"] / saturation["seconds"] / 2)
            direct = baseline(load, arguments, rate)
            for gateway in turn:
                result = measure(gateway, load, arguments, chunk_bytes, rate)
                for row, value in direct.items():
                    result[row.replace("latency", "latency added").replace("chunk's age", "chunk's time in the gateway")] = (
                        result.pop(row) - value)
                results[gateway.name] = result
            rounds.append(results)
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    finally:
        for gateway in running:
            gateway.stop()
    return rounds, rate


def chunk_length():
    """The bytes of one chunk on the wire, asked of the stand-in."""
    import socket
    with socket.create_connection(("127.0.0.1", STANDIN_PORT)) as peer:
        body = b'{"stream":true,"chunks":1}'
        peer.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += peer.recv(65536)
    payload = data.split(b"\r\n\r\n", 1)[1]
    return payload.index(b"e\r\ndata: [DONE]")


def instructions(kinds, folder, cores):
    """User instructions per request and per chunk, by callgrind: the difference of a longer and a shorter run."""
    own, _, _, load_core = cores
    load, out = Load(load_core), {}
    program = os.path.join(folder, "stoker")
    # Callgrind cannot read all of Swift's debugging information, and needs only the names.
    subprocess.run(["strip", "-g", "-o", program, gateways.Stoker.program], check=True)
    gateways.Stoker.program = program
    port = 19600

    def count(kind, *words):
        nonlocal port
        port += 1
        gateway = kind(folder, port, STANDIN_PORT, own, load_core)
        path = os.path.join(gateway.folder, "callgrind.out")
        try:
            gateway.counted(["valgrind", "--tool=callgrind", f"--callgrind-out-file={path}"])
            load.run(port, "count", 8, 64, 450)
            result = load.run(port, *words)
            time.sleep(0.5)
        finally:
            gateway.stop()
        total = 0
        for name in os.listdir(gateway.folder):
            if name.startswith("callgrind.out"):
                with open(os.path.join(gateway.folder, name)) as file:
                    found = re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)
                    total += int(found.group(1)) if found else 0
        return total, result

    chunk_bytes = chunk_length()
    for kind in kinds:
        short, _ = count(kind, "count", 8, 500, 450)
        long, _ = count(kind, "count", 8, 4500, 450)
        few, one = count(kind, "streams", 4, 2, 5000, 100)
        many, two = count(kind, "streams", 4, 10, 5000, 100)
        small, _ = count(kind, "count", 2, 4, 1 << 20)
        large, _ = count(kind, "count", 2, 20, 1 << 20)
        chunks = (two["bytes"] - one["bytes"]) / chunk_bytes
        out[kind.name] = {
            "user instructions per request": (long - short) / 4000,
            "user instructions per chunk": (many - few) / chunks,
            "user instructions per MiB of request body": (large - small) / 16,
        }
        print(kind.name, out[kind.name], file=sys.stderr, flush=True)
    return out


def calls(kinds, folder, cores):
    """System calls per request and per chunk, by strace."""
    own, two, _, load_core = cores
    load, out = Load(load_core), {}
    chunk_bytes = chunk_length()

    def trace(gateway, *words):
        """What the workers called during a load: names and how often."""
        path = os.path.join(gateway.folder, "strace")
        tool = subprocess.Popen(["strace", "-f", "-c", "-U", "name,calls", "-o", path]
                                + [f"--attach={pid}" for pid in gateway.workers], stderr=subprocess.DEVNULL)
        time.sleep(1)
        result = load.run(gateway.port, *words)
        tool.send_signal(signal.SIGINT)
        tool.wait()
        with open(path) as file:
            lines = (line.split() for line in file)
            found = {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}
        found.pop("total", None)
        return found, result

    def written(found, units):
        """All of them, and by name what is not rare."""
        often = sorted((count / units, name) for name, count in found.items() if count / units >= 0.05)
        return f"{sum(found.values()) / units:.2f}: " + ", ".join(f"{name} {count:.2f}" for count, name in reversed(often))

    for index, kind in enumerate(kinds):
        gateway = kind(folder, 19800 + index, STANDIN_PORT, two if kind.loops > 1 else own, load_core)
        try:
            gateway.start()
            load.run(gateway.port, "count", 64, 500, 450)
            requests, result = trace(gateway, "count", 64, 5000, 450)
            streams, flow = trace(gateway, "streams", 64, 3, 16_000, 100)
            out[kind.name] = {
                "system calls per request": written(requests, result["done"]),
                "system calls per chunk": written(streams, flow["bytes"] / chunk_bytes),
            }
        finally:
            gateway.stop()
    return out


def counts(arguments, kinds, folder, cores):
    """What can be counted, and so repeated on a busy machine."""
    if shutil.which("strace"):
        found = calls(kinds, folder, cores)
        for name, rows in found.items():
            for row, text in rows.items():
                print(f"* {name}, {row}: {text}")
        print()
    else:
        print("strace is not installed: no system calls are counted", file=sys.stderr)
    found = instructions(kinds + [gateways.StokerTwoLoops], folder, cores)
    table(kinds + [gateways.StokerTwoLoops], list(found["Stoker"]), [found])
    for row in found["Stoker"]:
        ratio = found[gateways.StokerTwoLoops.name][row] / found["Stoker"][row]
        print(f"\ntwo loops ÷ one, {row}: × {ratio:.2f}", end="")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stoker", default=os.path.join(HERE, "../.build/release/stoker"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rate", type=int, default=0, help="requests per second; default: half of nginx's saturation")
    parser.add_argument("--others", action="store_true", help="vllm-router, sglang-router, LiteLLM, where installed")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--counts", action="store_true", help="instructions and system calls instead of times")
    parser.add_argument("--json", help="where to write every value of every round")
    arguments = parser.parse_args()
    build()
    gateways.Stoker.program = os.path.abspath(arguments.stoker)
    if not os.access(gateways.Stoker.program, os.X_OK):
        raise SystemExit(f"{arguments.stoker} is not there: `make build` makes it, --stoker names another")
    count = os.cpu_count()
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("this needs two cores: one for the gateway, one for the load")
    # The gateway has a core to itself; stand-in and load share another, or have one each where there are four.
    own, load_core = {available[0]}, {available[-1]}
    two = {available[0], available[1]}
    standin_core = {available[2]} if len(available) >= 4 else load_core
    cores = own, two, standin_core, load_core
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    for kind in (gateways.Nginx, gateways.HAProxy):
        if not kind.installed():
            print(f"{kind.name} is not installed: scripts/bench-deps installs it", file=sys.stderr)
    kinds = [kind for kind in (gateways.Nginx, gateways.HAProxy, gateways.Stoker) if kind.installed()]
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as folder:
        standin = subprocess.Popen([f"{BUILD}/standin", str(STANDIN_PORT)],
                                   preexec_fn=lambda: os.sched_setaffinity(0, standin_core))
        try:
            gateways.wait_for(STANDIN_PORT)
            if arguments.counts:
                if not shutil.which("valgrind"):
                    raise SystemExit("--counts needs valgrind: scripts/bench-deps installs it")
                return counts(arguments, kinds, folder, cores)
            timed = kinds + [gateways.StokerTwoLoops]
            if arguments.others:
                timed += [kind for kind in (gateways.VllmRouter, gateways.SglangRouter, gateways.LiteLLM)
                          if kind.installed()]
            rounds, rate = times(arguments, timed, cores, folder)
            print(f"\n{len(rounds)} rounds of {arguments.seconds:g} s, {count} cores; constant rate {rate:,}/s\n")
            rows = list(rounds[0]["Stoker"])
            table(timed, rows, rounds)
            for row in rows[:1] + [row for row in rows if row.startswith("CPU per chunk")]:
                ratio = statistics.median(r[gateways.StokerTwoLoops.name][row] / r["Stoker"][row] for r in rounds)
                print(f"\ntwo loops ÷ one, {row}: × {ratio:.2f}", end="")
            print()
            held = {}
            if not arguments.no_memory:
                held = {kind.name: memory(kind, folder, Load(load_core), own, load_core) for kind in kinds}
                print()
                table(kinds, list(held["Stoker"]), [held])
            if arguments.json:
                with open(arguments.json, "w") as file:
                    json.dump({"rounds": rounds, "memory": held, "rate": rate}, file, indent=1)
        finally:
            standin.terminate()
            standin.wait()


if __name__ == "__main__":
    main()
