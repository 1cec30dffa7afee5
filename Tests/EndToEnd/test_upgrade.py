"""A new program takes the place of the running one: rehearsed first, then executed in place, and nobody notices."""

import contextlib
import os
import pathlib
import signal
import threading
import time

import httpx
import pytest

import harness
from harness import BIN, Stoker, eventually

BODY = {"model": "chat/org/m", "messages": [{"role": "user", "content": "Hi"}]}
SLOW = {"x-stand-in-control": '{"token_delay_ms": 150, "tokens": 60}'}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Clients:
    """Clients that ask again and again, on kept and on new connections; and long streams. Every failure is kept."""

    def __init__(self, stoker, clients=4, streams=1):
        self.stoker, self.succeeded, self.failures, self.streams, self.begun = stoker, 0, [], [], 0
        self.over = threading.Event()
        self.url = stoker.gateway + "/v1/chat/completions"
        self.threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(clients)]
        self.streamers = [threading.Thread(target=self._stream, daemon=True) for _ in range(streams)]

    def __enter__(self):
        for thread in self.threads + self.streamers:
            thread.start()
        eventually(lambda: self.begun == len(self.streamers), 20, f"streams that have begun; failures: {self.failures}")
        if self.threads:
            self.more()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads + self.streamers:
            thread.join(30)

    def _ask(self, number):
        with httpx.Client(timeout=20, headers=self.stoker.headers) as kept:
            while not self.over.is_set():
                try:
                    ask = kept.post if number % 2 else lambda *a, **k: httpx.post(*a, headers=self.stoker.headers, timeout=20, **k)
                    answer = ask(self.url, json=BODY)
                    if answer.status_code == 200:
                        self.succeeded += 1
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text[-200:]}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def _stream(self):
        try:
            with httpx.stream("POST", self.url, json={**BODY, "stream": True}, headers={**self.stoker.headers, **SLOW},
                              timeout=30) as answer:
                seen = harness.events(answer)
                first = next(seen)
                self.begun += 1
                self.streams.append([first[1], *(data for _, data in seen)])
        except httpx.HTTPError as error:
            self.failures.append(f"stream: {error!r}")

    def more(self, count=8, within=20):
        before = self.succeeded
        eventually(lambda: self.succeeded >= before + count, within, f"{count} more answers; failures: {self.failures[-3:]}")

    def assert_unharmed(self):
        for thread in self.streamers:
            thread.join(30)
        assert self.failures == []
        assert len(self.streams) == len(self.streamers)
        assert all(len(stream) > 60 and stream[-1] == "[DONE]" for stream in self.streams)


def test_a_new_program_takes_over_in_place(venv):
    with Stoker(harness.config([venv.provider()]), notify=True, own_program=True) as stoker:
        engine = stoker.wait_state("chat-0", "ready")
        eventually(lambda: "READY=1" in stoker.notify.lines(), 10, "READY=1")
        since, gateways = engine["since"], {stoker.status()["gateway"]["pid"]}
        with Clients(stoker) as clients:
            counts = []
            for number in range(3):
                harness.install(BIN, stoker.program, b"another build" * (number + 1))
                plan = stoker.cli("reload", "--plan")
                assert plan.returncode == 0 and "a new program takes over" in plan.stdout, plan.stdout + plan.stderr
                assert stoker.process.poll() is None and os.readlink(f"/proc/{stoker.process.pid}/exe").endswith("(deleted)")
                before = len(stoker.notify.lines())
                reloaded = stoker.cli("reload")
                assert reloaded.returncode == 0, reloaded.stdout + reloaded.stderr + stoker.log_text()[-3000:]
                assert os.readlink(f"/proc/{stoker.process.pid}/exe") == str(stoker.program)
                told = eventually(
                    lambda: "READY=1" in (lines := stoker.notify.lines()[before:]) and lines, 10, "READY=1 again")
                at = told.index("RELOADING=1")
                assert told[at + 1].startswith("MONOTONIC_USEC=") and "READY=1" in told[at:]
                now = stoker.instance("chat-0")
                assert (now["pid"], now["run"], now["state"]) == (engine["pid"], engine["run"], "ready")
                assert now["since"][:16] == since[:16], "it has been ready all the time"
                gateways.add(stoker.status()["gateway"]["pid"])
                clients.more()
                counts.append(descriptors(stoker.process.pid))
            assert clients.succeeded
        clients.assert_unharmed()
        assert max(counts) - min(counts) <= 4, f"descriptors are not handed on by accident: {counts}"
        assert len(gateways) >= 3, "a gateway of each program, as long as two older ones have streams"
        # Engines are children still: how they end is known.
        os.kill(engine["pid"], signal.SIGKILL)
        after = eventually(lambda: (i := stoker.instance("chat-0"))["run"] == 2 and i["state"] == "ready" and i, 20, "run 2")
        assert "signal 9" in after["last_failure"]["detail"]
        # What was learnt goes on being known.
        harness.install(BIN, stoker.program, b"once more")
        assert stoker.cli("reload").returncode == 0
        again = stoker.instance("chat-0")
        assert again["restarts"] == 1 and again["last_failure"]["detail"] == after["last_failure"]["detail"]
        eventually(lambda: len([p for p in stoker.processes() if " gateway " in harness.command_line(p)]) == 1, 20,
                   "one gateway: those before it have ended with their streams")
        assert stoker.stop() == 0
        assert stoker.processes() == []


@pytest.mark.parametrize("broken", ["exits", "truncated", "foreign"])
def test_a_program_that_cannot_run_leaves_the_old_one_in_charge(venv, broken):
    with Stoker(harness.config([venv.provider(restart="{ backoff: 10ms..20ms }")]), notify=True, own_program=True) as stoker:
        engine = stoker.wait_state("chat-0", "ready")
        gateway = stoker.status()["gateway"]["pid"]
        bad = stoker.folder / "bad"
        if broken == "truncated":
            bad.write_bytes(pathlib.Path(BIN).read_bytes()[: 1 << 16])
        else:
            bad.write_text("#!/bin/sh\n" + ("echo the disk is on fire >&2; exit 1\n" if broken == "exits" else "echo hello\n"))
        harness.install(bad, stoker.program)
        reloaded = stoker.cli("reload")
        assert reloaded.returncode == 1, reloaded.stdout + reloaded.stderr
        if broken == "exits":
            assert "the disk is on fire" in reloaded.stderr
        # By signal too, where nobody sees an exit code.
        stoker.process.send_signal(signal.SIGHUP)
        status = eventually(lambda: (s := stoker.status())["last_reload"]["outcome"] == "failed" and s, 20, "the outcome")
        assert any("was not taken over" in notice for notice in status["notices"])
        eventually(lambda: any(l.startswith("STATUS=") and "was not taken over" in l for l in stoker.notify.lines()), 10, "STATUS")
        assert (stoker.instance("chat-0")["pid"], status["gateway"]["pid"]) == (engine["pid"], gateway)
        # Whatever is at its path: what it starts is of its own kind.
        os.kill(engine["pid"], signal.SIGKILL)
        os.kill(gateway, signal.SIGKILL)
        eventually(lambda: (i := stoker.instance("chat-0"))["run"] == 2 and i["state"] == "ready", 20, "run 2")
        assert stoker.post("/v1/chat/completions", BODY).status_code == 200
        harness.install(BIN, stoker.program, b"mended")
        assert stoker.cli("reload").returncode == 0
        assert stoker.status()["notices"] == [] and stoker.instance("chat-0")["run"] == 2


def test_a_new_program_with_another_configuration(venv):
    with Stoker(harness.config([venv.provider("one"), venv.provider("two")]), own_program=True) as stoker:
        one, two = (stoker.wait_state(f"{name}-0", "ready") for name in ("one", "two"))
        file = stoker.folder / "stoker.yaml"
        harness.install(BIN, stoker.program, b"new")
        file.write_text("providers: { one: { modle: x } }\n")
        refused = stoker.cli("reload")
        assert refused.returncode == 2 and "modle" in refused.stdout + refused.stderr
        assert os.readlink(f"/proc/{stoker.process.pid}/exe").endswith("(deleted)"), "the old program is in charge"
        file.write_text(harness.config([venv.provider("one"), venv.provider("three")]))
        reloaded = stoker.cli("reload")
        assert reloaded.returncode == 0, reloaded.stderr
        assert "+ three-0" in reloaded.stdout and "- two-0" in reloaded.stdout and "untouched: one-0" in reloaded.stdout
        stoker.wait_state("three-0", "ready")
        assert stoker.instance("one-0")["pid"] == one["pid"] and not harness.alive(two["pid"])
        assert not os.readlink(f"/proc/{stoker.process.pid}/exe").endswith("(deleted)")


def test_signals_around_a_change_of_program(venv):
    """None is lost, and none kills the process that has no handlers yet."""
    for delay in (0, 0.1, 0.3):
        with Stoker(harness.config([venv.provider()]), own_program=True) as stoker:
            stoker.wait_state("chat-0", "ready")
            harness.install(BIN, stoker.program, b"new")
            stoker.process.send_signal(signal.SIGHUP)
            time.sleep(delay)
            stoker.process.send_signal(signal.SIGTERM)
            assert stoker.process.wait(30) == 0
            assert stoker.processes() == []


def test_a_crash_after_a_change_of_program_is_as_ever(venv):
    stoker = Stoker(harness.config([venv.provider()]), own_program=True)
    with contextlib.closing(stoker):
        stoker.start()
        engine = stoker.wait_state("chat-0", "ready")
        stoker.config = stoker.config.replace("listen: 127.0.0.1:0", f"listen: {stoker.gateway.removeprefix('http://')}", 1)
        (stoker.folder / "stoker.yaml").write_text(stoker.config)
        harness.install(BIN, stoker.program, b"new")
        assert stoker.cli("reload").returncode == 0
        gateway = stoker.status()["gateway"]["pid"]
        stoker.process.kill()
        stoker.process.wait()
        stoker.start()
        now = stoker.wait_state("chat-0", "ready")
        assert (now["pid"], stoker.status()["gateway"]["pid"]) == (engine["pid"], gateway)
        assert stoker.stop() == 0
        eventually(lambda: stoker.processes() == [], 10, "an empty machine")
