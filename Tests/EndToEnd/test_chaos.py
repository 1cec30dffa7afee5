"""Faults, injected under load into the packaged unit under a real systemd: what clients see, how long it takes, what is left.

`make chaos` injects each many times and keeps the table in docs/reliability.md; CI's short form asserts the outcomes, with
ten times the marks as deadlines. On the stand-in, but for the rows about vLLM's own processes: those have a real one too.
"""

import contextlib
import os
import signal
import time

import pytest

import chaos
import harness
import systemd_machine
from chaos import (
    FAST, GONE, QUICK, Clients, Row, Watcher, again, member, notice, restarted, rounds, started, tree, two,
)
from harness import eventually


# -- processes of an engine


@pytest.mark.parametrize("victim", GONE)
def test_kill_of_an_engines_process(machine, stoker, victim):
    """The other replica takes what was not begun; the tree is gone before the next run begins."""
    row = Row(f"kill -9 of {GONE[victim]}, two replicas",
              "unpublished < 100 ms; only streams that had begun fail, each with the error event; no orphan")
    two(machine, env='{ STANDIN_CONTROL: /opt/st/control.json, STANDIN_WORKERS: "1" }')
    machine.faults(token_delay_ms=10)
    before = started(machine, stoker, "a-0", "b-0")[0]
    with Clients(stoker) as clients, Watcher(stoker) as watcher:
        for _ in range(rounds(1, 10)):
            # What it was started again for is over: it has its share of the load again.
            clients.more(24)
            old = tree(machine, "a-0")
            target = machine.host_pid(before["pid"]) if victim == "head" else member(
                machine, "a-0", {"engine": "VLLM::EngineCore", "worker": "VLLM::Worker"}[victim])
            killed = time.monotonic()
            died, gone = watcher.kill(target, "a/org/m")
            before = again(stoker, "a-0", before)
            row.add(died=died, unpublished=gone, recovered=time.monotonic() - killed,
                    left=sum(harness.alive(p) for p in old))
    row.account(clients)
    row.within("unpublished", 0.1)
    assert row.left == 0 and clients.lost == [], clients.lost
    # The gateway's event, or vLLM's own where that had time to say it.
    assert all(code.startswith("stream: ") for code in clients.clean) and clients.begun == clients.failed, clients.clean


if chaos.FULL:

    @pytest.fixture(scope="module")
    def real(booted):
        """Two real servers of one model behind one daemon."""
        booted.reset()
        # The unit's user reaches what the tests' user has made; the change is the overlay's.
        booted.run("chmod", "755", "/root")
        booted.configure(*(harness.real_provider(name, restart=FAST, timeouts="{ stop: 5s }") for name in ("a", "b")),
                         health="{ interval: 1s, timeout: 5s, hang_after: 10s }", starts_at_once=0)
        booted.systemctl("start", "--no-block", "stoker")
        stoker = systemd_machine.Client(booted)
        for name in ("a-0", "b-0"):
            eventually(lambda: stoker.instance(name)["state"], 30, name)
            stoker.ready(name, within=2 * harness.REAL_START)
        yield stoker
        booted.reset()

    @pytest.mark.real
    @pytest.mark.timeout(1800)
    @pytest.mark.parametrize("what", ["head", "engine", "worker", "stop under load", "stop idle"])
    def test_a_real_vllm(booted, real, what):
        kill = what in GONE
        fault = f"kill -9 of {GONE[what]}" if kill else f"SIGSTOP of EngineCore, {what[5:]} (hang_after 10 s)"
        # A canary has 5 s; idle, half of hang_after goes by before the first of two.
        mark = 0.1 if kill else 15
        row = Row(f"real vLLM: {fault}, two replicas",
                  "unpublished < 100 ms; only streams that had begun fail; no orphan" if kill
                  else "found within hang_after and one canary")
        before = real.ready("a-0", within=harness.REAL_START)
        with contextlib.ExitStack() as stack:
            watcher = stack.enter_context(Watcher(real))
            clients = None
            if what != "stop idle":
                clients = stack.enter_context(Clients(real, model="tiny/llama", clients=4, pause=0.05))
                clients.more(12, within=120)
            for _ in range(rounds(1, 2)):
                old = tree(booted, "a-0")
                target = booted.host_pid(before["pid"]) if what == "head" else member(
                    booted, "a-0", "VLLM::Worker" if what == "worker" else "VLLM::EngineCore")
                began = time.monotonic()
                if kill:
                    died, gone = watcher.kill(target, "a/tiny/llama", within=120)
                    row.times["died"].append(died)
                else:
                    os.kill(target, signal.SIGSTOP)
                    gone = watcher.gone("a/tiny/llama", began, within=120)
                before = again(real, "a-0", before, within=2 * harness.REAL_START)
                row.add(unpublished=gone, recovered=time.monotonic() - began, left=sum(harness.alive(p) for p in old))
        if clients:
            row.account(clients)
            assert clients.lost == [], clients.lost
            assert all(code.startswith("stream: ") for code in clients.clean), clients.clean
            assert clients.begun == clients.failed, clients.clean
        row.within("unpublished", mark)
        assert row.left == 0


@pytest.mark.parametrize("load", ["under load", "idle"])
def test_stop_of_the_engine(machine, stoker, load):
    """SIGSTOP: /health is 200 all the time; counters and a canary tell."""
    # hang_after 3 s and a canary of 1.5 s; idle, half of hang_after goes by before the first of two canaries.
    mark = 4.5
    row = Row(f"SIGSTOP of EngineCore, {load} (hang_after 3 s)", f"unpublished within hang_after and one canary ({mark} s)")
    two(machine)
    before = started(machine, stoker, "a-0", "b-0")[0]
    with contextlib.ExitStack() as stack:
        watcher = stack.enter_context(Watcher(stoker))
        clients = stack.enter_context(Clients(stoker)) if load == "under load" else None
        for _ in range(rounds(1, 5)):
            old = tree(machine, "a-0")
            stopped = time.monotonic()
            os.kill(member(machine, "a-0", "VLLM::EngineCore"), signal.SIGSTOP)
            gone = watcher.gone("a/org/m", stopped, within=60)
            before = again(stoker, "a-0", before)
            row.add(unpublished=gone, recovered=time.monotonic() - stopped, left=sum(harness.alive(p) for p in old))
        if clients:
            clients.more(24)
    if clients:
        row.account(clients)
        assert clients.lost == [], clients.lost
        # What was in the engine when it stopped ends with its tree; what had no byte yet is asked of the other one.
        assert all(code.startswith("stream: ") for code in clients.clean), clients.clean
    row.within("unpublished", mark, slack=5)
    assert row.left == 0
    failure = before["last_failure"]
    assert failure["kind"] == "hang", failure
    evidence = machine.path(failure["detail"].rsplit("evidence is in ", 1)[1]).read_text()
    assert all(word in evidence for word in ("VLLM::EngineCore", "state T", "canary", "the newest /metrics", "last lines")), evidence


def test_a_slow_engine_is_left_alone(machine, stoker):
    row = Row("an engine that makes a token a second (hang_after 3 s)", "never ended")
    two(machine)
    before = started(machine, stoker, "a-0", "b-0")
    with Clients(stoker, control={"token_delay_ms": 1000}, clients=4, tokens=5) as clients:
        clients.more(rounds(4, 40), within=300)
    row.add(clients)
    assert clients.failed == 0 and clients.lost == []
    assert [(stoker.instance(i["id"])["run"], stoker.instance(i["id"])["restarts"]) for i in before] == [
        (i["run"], 0) for i in before]


# -- the supervisor and the gateway


def test_kill_of_the_supervisor(machine, stoker):
    """Engines and gateway live on and are taken over; nobody notices."""
    row = Row("kill -9 of the supervisor", "0 failed requests, 0 restarted engines")
    engine, = started(machine, stoker, "chat-0")
    gateway = stoker.status()["gateway"]["pid"]
    with Clients(stoker) as clients, Clients(stoker, control={"token_delay_ms": 500}, clients=1, tokens=8) as slow:
        for _ in range(20):
            before = machine.main_pid()
            killed = time.monotonic()
            machine.kill(before)
            restarted(machine, before)
            now = stoker.ready()
            row.add(recovered=time.monotonic() - killed)
            assert (now["pid"], now["run"]) == (engine["pid"], engine["run"]), "the engine was not started again"
            clients.more()
        slow.more(1)
    row.account(clients)
    assert (clients.failed, clients.lost, slow.failed, slow.lost) == (0, [], 0, [])
    assert stoker.status()["gateway"]["pid"] == gateway and machine.show("NRestarts") == "20"
    # What was taken over is watched as before: its death is seen, and said as far as it can be known.
    machine.kill(engine["pid"])
    assert "unknown (adopted)" in again(stoker, "chat-0", engine)["last_failure"]["detail"]
    machine.systemctl("stop", "stoker")
    assert machine.processes() == {}


def test_kill_of_the_gateway(machine, stoker):
    row = Row("kill -9 of the gateway", "0 refused; only requests in flight fail; back < 200 ms",
              "six clients with one request each; every gateway lives for a second")
    engine, = started(machine, stoker, "chat-0")
    count = rounds(8, 20)
    with Clients(stoker) as clients, Watcher(stoker) as watcher:
        for _ in range(count):
            # One that dies within a second of its start is followed after a pause: a crash loop.
            born = time.monotonic()
            eventually(lambda: time.monotonic() - born > 1.2, 10, "a second")
            gateway = stoker.status()["gateway"]["pid"]
            target = machine.host_pid(gateway)
            killed = time.monotonic()
            os.kill(target, signal.SIGKILL)
            row.add(recovered=watcher.answers(killed))
            eventually(lambda: stoker.status()["gateway"]["pid"] not in (None, gateway), 10, "another gateway")
            clients.more()
    row.account(clients)
    row.within("recovered", 0.2, slack=25)
    assert clients.refused == 0 and clients.failed == 0, clients.clean
    assert len(clients.lost) <= count * 6, clients.lost
    assert stoker.instance("chat-0")["pid"] == engine["pid"] and machine.show("NRestarts") == "0"
    assert stoker.status()["gateway"]["last_exit"].startswith("signal 9 after ")


def test_a_blocked_supervisor_is_replaced_by_the_watchdog(machine, stoker):
    row = Row("SIGSTOP of the supervisor (WatchdogSec=2s)", "systemd replaces it; engines and gateway live on")
    machine.settings("WatchdogSec=2s")
    engine, = started(machine, stoker, "chat-0")
    before = machine.main_pid()
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 4, 10, "two periods of the watchdog")
    assert machine.main_pid() == before and machine.show("NRestarts") == "0", "it is fed"
    with Clients(stoker) as clients:
        for _ in range(rounds(1, 5)):
            before = machine.main_pid()
            stopped = time.monotonic()
            machine.kill(before, signal.SIGSTOP)
            restarted(machine, before, within=60)
            assert stoker.ready()["pid"] == engine["pid"]
            row.add(recovered=time.monotonic() - stopped)
            clients.more()
    row.account(clients)
    assert (clients.failed, clients.lost) == (0, [])
    # systemd's own word for it, however much the instance has logged since.
    eventually(lambda: any("watchdog" in str(e["MESSAGE"]).lower() for e in machine.journal()), 10, "the reason")


def test_a_blocked_gateway_is_replaced_by_the_supervisor(machine, stoker):
    row = Row("SIGSTOP of the gateway", "replaced by the supervisor 5 s later; 0 refused")
    engine, = started(machine, stoker, "chat-0")
    with Clients(stoker) as clients, Watcher(stoker) as watcher:
        for _ in range(rounds(1, 5)):
            gateway = stoker.status()["gateway"]["pid"]
            machine.kill(gateway, signal.SIGSTOP)
            # From then on: what was asked before may still have been answered.
            row.add(recovered=watcher.answers(time.monotonic(), within=60))
            eventually(lambda: stoker.status()["gateway"]["pid"] not in (None, gateway), 20, "another gateway")
            clients.more()
    row.account(clients)
    assert clients.refused == 0 and clients.failed == 0 and stoker.instance("chat-0")["pid"] == engine["pid"]


@pytest.mark.parametrize("when", ["the configuration is invalid", "nothing can get ready", "it stops"])
def test_kill_of_the_supervisor_while(machine, stoker, when):
    row = Row(f"kill -9 of the supervisor while {when}", {
        "the configuration is invalid": "the last good configuration goes on", "nothing can get ready": "degraded READY again",
        "it stops": "the stop is finished, nothing is left"}[when])
    if when == "nothing can get ready":
        machine.configure(machine.provider(restart="{ backoff: 10ms..20ms, start_budget: 2 }"))
        machine.faults(exit_at_start={"code": 1, "lines": ["RuntimeError: the stand-in gives up"]})
        machine.systemctl("start", "stoker")
        assert machine.show("StatusText").startswith("degraded: 0/1 instance ready; chat-0 failed")
        before, killed = machine.main_pid(), time.monotonic()
        machine.kill(before)
        restarted(machine, before)
        row.add(recovered=time.monotonic() - killed)
        assert machine.show("StatusText").startswith("degraded: ")
        assert stoker.get("/ready").status_code == 503
        machine.faults()
        assert stoker.cli("start", "chat-0").returncode == 0
        eventually(lambda: machine.show("StatusText") == "1/1 instance ready", 10, "STATUS without degraded")
    elif when == "it stops":
        machine.configure(machine.provider(timeouts="{ drain: 1s, stop: 60s }"))
        machine.faults(ignore_sigterm=True, grandchild="session")
        started(machine, stoker, "chat-0")
        machine.systemctl("stop", "--no-block", "stoker")
        stoker.wait_state("chat-0", "stopping")
        killed = time.monotonic()
        machine.kill(machine.main_pid())
        eventually(lambda: machine.show("ActiveState") in ("inactive", "failed"), 30, "the end of the stop")
        row.add(recovered=time.monotonic() - killed, left=sum(map(len, machine.processes().values())))
        assert machine.processes() == {}
        machine.faults()
        machine.systemctl("start", "stoker")
        assert stoker.ready()["run"] == 2, "the mark of the stop is gone"
    else:
        engine, = started(machine, stoker, "chat-0")
        machine.write("/etc/stoker/stoker.yaml", "providers: { one: { modle: x } }\n")
        with Clients(stoker, clients=2) as clients:
            before, killed = machine.main_pid(), time.monotonic()
            machine.kill(before)
            restarted(machine, before)
            assert stoker.ready()["pid"] == engine["pid"]
            row.add(recovered=time.monotonic() - killed)
            clients.more()
        row.account(clients)
        assert (clients.failed, clients.lost) == (0, [])
        assert "the last accepted one is in use" in machine.show("StatusText")
        notice(stoker, "last accepted")
        machine.configure(machine.provider())
        machine.systemctl("reload", "stoker")
        assert machine.show("StatusText") == "1/1 instance ready" and stoker.status()["notices"] == []


# -- starts


def test_a_crash_loop_of_one_of_two_models(machine, stoker):
    row = Row("crash loop of one of two models", "the other unaffected; back-off, budget, `failed` with its reason")
    machine.configure(machine.provider("good"), machine.provider(
        "bad", restart="{ backoff: 50ms..200ms, start_budget: 4 }",
        env='{ STANDIN_CONTROL: /opt/st/control.json, BAD: "yes" }'))
    machine.faults(where=[{"env": "BAD=yes", "set": {"exit_at_start": {
        "code": 1, "after": 0.3, "lines": ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"]}}}])
    good, = started(machine, stoker, "good-0")
    with Clients(stoker, model="good/org/m") as clients:
        began = time.monotonic()
        bad = stoker.wait_state("bad-0", "failed", within=60)
        row.add(recovered=time.monotonic() - began)
        clients.more(24)
    row.account(clients)
    assert (clients.failed, clients.lost) == (0, [])
    assert stoker.instance("good-0")["pid"] == good["pid"]
    assert bad["restarts"] == 3 and "4 starts in a row" in bad["reason"], bad["reason"]
    assert bad["last_failure"]["hint"] and any("CUDA out of memory" in line for line in bad["last_failure"]["log_tail"])
    row.note = f"kind: {bad['last_failure']['kind']}"


def test_a_start_that_never_ends(machine, stoker):
    row = Row("a start without any progress (start_stall 2 s)", "ended by the stall rule",
              "thirty minutes of honest progress are never ended: StartProgressTests, in virtual time")
    machine.configure(machine.provider(restart="{ start_budget: 1 }", timeouts="{ start_stall: 2s, stop: 1s }"))
    machine.faults(never_ready=True, load_silent=True)
    began = time.monotonic()
    machine.systemctl("start", "--no-block", "stoker")
    failed = stoker.wait_state("chat-0", "failed", within=60)
    row.add(recovered=time.monotonic() - began, left=len(tree(machine, "chat-0")))
    assert failed["last_failure"]["kind"] == "start_stalled", failed["last_failure"]
    assert tree(machine, "chat-0") == []


@pytest.mark.parametrize("stage", ["waiting for its turn", "loading", "warming up", "ready", "ready and deaf"])
def test_a_stop_at_every_stage(machine, stoker, stage):
    """Beside another model under load, which ends with it."""
    row = Row(f"SIGTERM to the unit, an instance is {stage}", "exits within drain and stop (2 s); nothing is left")
    late = '{ STANDIN_CONTROL: /opt/st/control.json, LATE: "yes" }'
    machine.configure(machine.provider("good", timeouts=QUICK), machine.provider("late", timeouts=QUICK, env=late),
                      starts_at_once=1 if "turn" in stage else 0)
    set_ = {"waiting for its turn": {}, "loading": {"never_ready": True}, "warming up": {"hang": True}, "ready": {},
            "ready and deaf": {"ignore_sigterm": True, "grandchild": "session"}}[stage]
    machine.faults(where=[{"env": "LATE=yes", "set": set_}], **({"load_seconds": 3} if "turn" in stage else {}))
    machine.systemctl("start", "--no-block", "stoker")
    if "turn" in stage:
        waiting = lambda: [i for i in map(stoker.instance, ("good-0", "late-0")) if "its turn" in i["reason"]]
        assert eventually(waiting, 20, "one that waits for its turn")
    else:
        stoker.ready("good-0")
        stoker.wait_state("late-0", {"loading": "loading", "warming up": "warming"}.get(stage, "ready"))
    with contextlib.ExitStack() as stack:
        clients = None if "turn" in stage else stack.enter_context(Clients(stoker, model="good/org/m", clients=2))
        told = time.monotonic()
        machine.systemctl("stop", "stoker")
        row.add(recovered=time.monotonic() - told, left=sum(map(len, machine.processes().values())))
        if clients:
            clients._over.set()
    row.within("recovered", 2.5)
    assert machine.processes() == {} and machine.show("ActiveState") == "inactive"
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")
    assert not machine.path("/run/stoker").exists(), "RuntimeDirectoryPreserve=restart: removed at a stop"
