#!/usr/bin/env python3
"""Measures Stoker's worker against nginx and HAProxy, in turn, on the same machine. docs/benchmarks.md has the rest.

    bench.py [--stoker PROGRAM] [--stoker-other PROGRAM] [--rounds 7] [--seconds 2] [--others] [--json FILE]
    bench.py --counts [--stoker PROGRAM]             instructions by callgrind and system calls by strace, instead of times
"""

import argparse
import glob
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


# How much of the load's core may be in use, in percent, for latencies to be the gateway's and not the load's.
BUSIEST = 70


class LoadFailed(Exception):
    """Most requests of a load failed: there is nothing to measure."""


def processor(pid):
    """Processor time of a process so far, in seconds, by the scheduler's own clock."""
    total = 0.0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as file:
            total += int(file.read().split()[0]) / 1e9
    return total


class Load:
    """The load generator on its core."""

    def __init__(self, core, standin=None, shares=True):
        self.core, self.standin, self.shares = core, standin, shares
        self.failures = 0

    def begin(self, *words):
        self.words = words
        return subprocess.Popen([f"{BUILD}/load", *map(str, words)], stdout=subprocess.PIPE, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, self.core))

    def end(self, process):
        """What a load measured. Requests that failed are counted; most of them is a failure."""
        text, _ = process.communicate()
        if process.returncode != 0:
            raise LoadFailed(f"load {' '.join(map(str, self.words))} ended with {process.returncode}")
        result = json.loads(text)
        self.failures += result["failures"]
        if result["failures"] > result["done"] and not result["bytes"]:
            raise LoadFailed(f"{result['failures']} requests failed, {result['done']} did not")
        return result

    def run(self, *words):
        before = processor(self.standin) if self.standin else 0
        result = self.end(self.begin(*words))
        own, other = result["processor"], (processor(self.standin) if self.standin else 0) - before
        result["load_busy"] = (own + other if self.shares else max(own, other)) / result["seconds"] * 100
        return result


def ages(result, streams, out):
    out[f"chunk's age at {streams} streams, p50 µs"] = result["p50_us"]
    out[f"chunk's age at {streams} streams, p99 µs"] = result["p99_us"]


def latencies(result, out):
    out["latency at the constant rate, p50 µs"] = result["p50_us"]
    out["latency at the constant rate, p99 µs"] = result["p99_us"]
    out["load's core at the constant rate, % busy"] = result["load_busy"]
    out["requests late at the constant rate, %"] = max(0, result["late"]) / max(1, result["done"]) * 100


def measure(gateway, load, arguments, chunk_bytes, rate):
    """One gateway's part of one round."""
    seconds, out = arguments.seconds, {}
    load.failures = 0

    def cpu(*words):
        before = gateway.seconds()
        result = load.run(gateway.port, *words)
        return gateway.seconds() - before, result

    load.run(gateway.port, "closed", 64, 0.3, 450)
    used, result = cpu("closed", 64, seconds, 450)
    if result["done"]:
        out["CPU per request, µs"] = used / result["done"] * 1e6
    out["requests per second"] = result["done"] / result["seconds"]
    for streams, gap in STREAMS:
        sleeps = gateway.sleeps()
        used, result = cpu("streams", streams, seconds, gap, 100)
        # Who writes events anew changes their length: those are counted by their marks.
        chunks = result["bytes"] / chunk_bytes if gateway.verbatim else result["samples"]
        if chunks:
            out[f"CPU per chunk at {streams} streams, µs"] = used / chunks * 1e6
            out[f"sleeps per chunk at {streams} streams"] = (gateway.sleeps() - sleeps) / chunks
            ages(result, streams, out)
    used, result = cpu("closed", 4, seconds, 1 << 20)
    if result["done"]:
        out["CPU per MiB of request body, µs"] = used / (result["done"] * result["request_bytes"] / (1 << 20)) * 1e6
    if rate:
        _, result = cpu("rate", 64, 2 * seconds, rate)
        latencies(result, out)
    out["failed requests"] = load.failures
    return out


def baseline(load, arguments, rate):
    """The same ages and latencies without a gateway between."""
    out = {}
    for streams, gap in STREAMS:
        ages(load.run(STANDIN_PORT, "streams", streams, arguments.seconds, gap, 100), streams, out)
    if rate:
        latencies(load.run(STANDIN_PORT, "rate", 64, 2 * arguments.seconds, rate), out)
    return out


def constant_rate(port, load, seconds):
    """Half of what a gateway saturates at, or less where that would keep the load's own core too busy to measure:
    the rate, and the saturation."""
    result = load.run(port, "closed", 64, seconds, 450)
    saturation = result["done"] / result["seconds"]
    rate = saturation / 2
    while load.run(port, "rate", 64, 0.7, int(rate))["load_busy"] > BUSIEST - 5 and rate > 500:
        rate *= 0.9
    return int(rate), saturation


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


def table(names, rows, values, own="Stoker", beside=("nginx", "HAProxy", "Stoker other build")):
    """Medians, and medians of the ratios of each round."""
    reference = [name for name in names if name in beside]
    print("| | " + " | ".join(names) + "".join(f" | {own} ÷ {name}" for name in reference) + " |")
    print("|---" * (1 + len(names) + len(reference)) + "|")
    for row in rows:
        cells = []
        for name in names:
            found = [round_[name][row] for round_ in values if row in round_.get(name, {})]
            cells.append(f"{statistics.median(found):,.{2 if 'per chunk' in row else 1}f}" if found else "–")
        for name in reference:
            ratios = [round_[own][row] / round_[name][row] for round_ in values
                      if round_.get(name, {}).get(row) and row in round_.get(own, {})]
            cells.append(f"× {statistics.median(ratios):.2f}" if ratios and "added" not in row else "–")
        print(f"| {row} | " + " | ".join(cells) + " |")


def verdicts(names, rounds):
    """What can be said of two loops and of latency, in words."""
    def middle(name, row):
        return statistics.median(r[name][row] for r in rounds if row in r.get(name, {}))

    two = gateways.StokerTwoLoops.name
    if two in names and "Stoker" in names:
        for row in ["CPU per request, µs"] + [f"CPU per chunk at {streams} streams, µs" for streams, _ in STREAMS]:
            ratio = statistics.median(r[two][row] / r["Stoker"][row] for r in rounds
                                      if row in r.get(two, {}) and row in r.get("Stoker", {}))
            print(f"* two loops ÷ one loop, {row}: × {ratio:.2f}")
    if "nginx" in names and "Stoker" in names:
        busy = max(middle(name, "load's core at the constant rate, % busy") for name in ("nginx", "Stoker", DIRECT))
        row = "latency at the constant rate, p99 µs"
        ours, theirs, direct = (middle(name, row) for name in ("Stoker", "nginx", DIRECT))
        said = f"Stoker {ours:.0f} µs, nginx {theirs:.0f} µs, without a gateway {direct:.0f} µs"
        if busy > BUSIEST or direct > min(ours, theirs):
            print(f"* {row}: no verdict, the load's core was too busy ({busy:.0f} %): {said}")
        else:
            print(f"* {row}: {said}; the load's core was busy to {busy:.0f} % at most")


DIRECT = "no gateway"


def guarded(gateway, dropped, work):
    """Does a gateway's part; one that fails is left out of the rest, by name."""
    try:
        return work()
    except (LoadFailed, ProcessLookupError, FileNotFoundError, SystemExit) as error:
        dropped[gateway.name] = str(error)
        print(f"{gateway.name} is left out from here on: {error}; its log begins:", file=sys.stderr)
        try:
            with open(os.path.join(gateway.folder, "log"), errors="replace") as file:
                print(file.read(2000), file=sys.stderr)
        except OSError:
            pass
        return None


def add_difference(result, direct):
    """What a gateway adds to ages and latencies."""
    for row, value in direct.items():
        if row.startswith("latency") and row in result:
            result[row.replace("latency", "latency added")] = result[row] - value
        elif row.startswith("chunk's age") and row in result:
            result[row.replace("chunk's age", "chunk's time in the gateway")] = result[row] - value


def times(arguments, kinds, cores, folder, load):
    """All gateways side by side, one under load at a time."""
    own, two, _, load_core = cores
    chunk_bytes = chunk_length()
    running, rounds, rate, dropped, saturation, basis = [], [], arguments.rate, {}, 0, None
    try:
        for index, kind in enumerate(kinds):
            place = two if kind.loops > 1 else own
            gateway = kind(folder, 19400 + index, STANDIN_PORT, place, load_core)
            running.append(gateway)
            guarded(gateway, dropped, gateway.start)
        for number in range(arguments.rounds):
            alive = [gateway for gateway in running if gateway.name not in dropped]
            if not alive:
                break
            # Each round begins with another one, so that none has always the quietest moment.
            turn = alive[number % len(alive):] + alive[:number % len(alive)]
            if rate == 0:
                basis = next((gateway for gateway in alive if gateway.name == "nginx"), alive[0])
                rate, saturation = constant_rate(basis.port, load, arguments.seconds)
            results = {DIRECT: baseline(load, arguments, rate)}
            for gateway in turn:
                result = guarded(gateway, dropped, lambda: measure(gateway, load, arguments, chunk_bytes, rate))
                if result:
                    add_difference(result, results[DIRECT])
                    results[gateway.name] = result
            rounds.append(results)
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    finally:
        for gateway in running:
            gateway.stop()
    said = f"constant rate {rate:,}/s"
    if basis:
        said += f", {rate / saturation:.0%} of {basis.name}'s saturation of {saturation:,.0f}/s here"
    return rounds, said, dropped


def others(arguments, cores, folder, load):
    """Routers for language models, which have threads of their own that work while they idle: one runs at a time."""
    own, _, _, load_core = cores
    kinds = [gateways.Nginx, gateways.Stoker] + gateways.OTHERS
    kinds = [kind for kind in kinds if kind.installed()]
    dropped, rounds, chunk_bytes = {}, [], chunk_length()
    # One of them takes tens of milliseconds a request: 64 connections need some seconds to have one answer each.
    patient = argparse.Namespace(seconds=max(5.0, arguments.seconds))
    for number in range(min(3, arguments.rounds)):
        results = {}
        for index, kind in enumerate(kinds):
            if kind.name in dropped:
                continue
            gateway = kind(folder, 19700 + 10 * number + index, STANDIN_PORT, own, load_core)

            def work():
                gateway.start()
                result = measure(gateway, load, patient, chunk_bytes, 0)
                result["memory after that, MiB"] = gateway.memory() / 1024
                return result
            try:
                result = guarded(gateway, dropped, work)
                if result:
                    results[kind.name] = result
            finally:
                gateway.stop()
        rounds.append(results)
        print(f"others: round {number + 1}", file=sys.stderr, flush=True)
    names = [kind.name for kind in kinds if kind.name not in dropped]
    if "Stoker" in names:
        table(names, list(rounds[0]["Stoker"]), rounds, beside=[kind.name for kind in kinds if kind.name != "Stoker"])
    return rounds, dropped


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
    # Callgrind cannot read all of Swift's debugging information, and needs only the names.
    for kind in kinds:
        if "program" in vars(kind):
            program = os.path.join(folder, kind.__name__)
            subprocess.run(["strip", "-g", "-o", program, kind.program], check=True)
            kind.program = program
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
    kinds = kinds + [gateways.StokerTwoLoops]
    found = instructions(kinds, folder, cores)
    table([kind.name for kind in kinds], list(found["Stoker"]), [found])
    for row in found["Stoker"]:
        ratio = found[gateways.StokerTwoLoops.name][row] / found["Stoker"][row]
        print(f"\ntwo loops ÷ one, {row}: × {ratio:.2f}", end="")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stoker", default=os.path.join(HERE, "../.build/release/stoker"))
    parser.add_argument("--stoker-other", help="another build of Stoker, measured in the same rounds")
    parser.add_argument("--only", help="names, with commas between, of what to measure: nginx, HAProxy, Stoker…")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rate", type=int, default=0, help="the constant one, per second; default: half of nginx's saturation, "
                        f"or less where that would use more than {BUSIEST} %% of the load's core")
    parser.add_argument("--others", action="store_true", help="also vllm-router, sglang-router, LiteLLM, where installed: scripts/bench-deps --others")
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
    if arguments.stoker_other:
        gateways.StokerOther.program = os.path.abspath(arguments.stoker_other)
        kinds.append(gateways.StokerOther)
    timed = kinds + [gateways.StokerTwoLoops]
    if arguments.only:
        wanted = arguments.only.split(",")
        kinds, timed = ([kind for kind in list_ if kind.name in wanted] for list_ in (kinds, timed))
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as folder:
        standin = subprocess.Popen([f"{BUILD}/standin", str(STANDIN_PORT)],
                                   preexec_fn=lambda: os.sched_setaffinity(0, standin_core))
        try:
            gateways.wait_for(STANDIN_PORT)
            if arguments.counts:
                if not shutil.which("valgrind"):
                    raise SystemExit("--counts needs valgrind: scripts/bench-deps installs it")
                return counts(arguments, kinds, folder, cores)
            load = Load(load_core, standin.pid, standin_core == load_core)
            written, dropped = {}, {}
            if arguments.rounds and timed:
                rounds, said, dropped = times(arguments, timed, cores, folder, load)
                names = [kind.name for kind in timed if kind.name not in dropped]
                print(f"\n{len(rounds)} rounds of {arguments.seconds:g} s, {count} cores; {said}\n")
                if names:
                    table([DIRECT] + names, list(rounds[0][names[0]]), rounds)
                    print()
                    verdicts(names, rounds)
                written["rounds"], written["rate"] = rounds, said
            if not arguments.no_memory:
                held = {kind.name: memory(kind, folder, load, own, load_core) for kind in kinds
                        if kind.name not in dropped}
                print()
                if held:
                    table(list(held), list(next(iter(held.values()))), [held])
                written["memory"] = held
            if arguments.others:
                for kind in gateways.OTHERS:
                    if not kind.installed():
                        print(f"{kind.name} is not installed: scripts/bench-deps --others installs it", file=sys.stderr)
                print()
                written["others"], missing = others(arguments, cores, folder, load)
                dropped |= missing
            if arguments.json:
                with open(arguments.json, "w") as file:
                    json.dump(written, file, indent=1)
            for name, why in dropped.items():
                print(f"\n{name} was left out: {why}")
            if "Stoker" in dropped:
                raise SystemExit(1)
        finally:
            standin.terminate()
            standin.wait()


if __name__ == "__main__":
    main()
