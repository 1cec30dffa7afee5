"""The packaged unit under a real systemd, on the stand-in. Skipped, with the reason, where no machine can be made."""

import os
import pathlib
import signal
import threading
import time

import httpx
import pytest

import harness
import systemd_machine
from harness import eventually

BODY = {"model": "chat/org/m", "messages": [{"role": "user", "content": "Hi"}]}


class Load:
    """Clients that ask again and again, half of them on new connections; every failure is kept, with its time."""

    def __init__(self, stoker, clients=6):
        self.stoker = stoker
        self.succeeded = 0
        self.failures = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        eventually(lambda: self.succeeded >= len(self._threads), 10, "the load's first answers")
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def _ask(self, number):
        url = self.stoker.gateway + "/v1/chat/completions"
        with httpx.Client(timeout=20, headers=self.stoker.headers) as kept:
            while not self._over.is_set():
                began = time.monotonic()
                try:
                    if number % 2 == 0:
                        answer = kept.post(url, json={**BODY, "stream": number % 4 == 0})
                    else:
                        answer = httpx.post(url, json=BODY, headers=self.stoker.headers, timeout=20)
                    problem = None if answer.status_code == 200 and (number % 4 or answer.text.rstrip().endswith("[DONE]")) \
                        else f"{answer.status_code} {answer.text[-200:]}"
                except httpx.HTTPError as error:
                    problem = f"{type(error).__name__}: {error}"
                with self._lock:
                    if problem:
                        self.failures.append((began, problem))
                    else:
                        self.succeeded += 1

    def more(self, count=12, within=15):
        """Waits for so many further answers."""
        before = self.succeeded
        eventually(lambda: self.succeeded >= before + count, within, f"{count} more answers; failures: {self.failures[-3:]}")


def restarted(machine, before, within=10):
    """Waits until systemd has another main process, active; says how long that took."""
    with systemd_machine.stopwatch() as seconds:
        eventually(
            lambda: machine.main_pid() not in (0, before) and machine.show("ActiveState") == "active", within,
            "another supervisor, active",
        )
        return seconds()


def environment(pid):
    items = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(item.split("=", 1) for item in items if "=" in item)


# -- start


def test_active_means_that_a_model_can_be_used_however_long_it_loads(machine, stoker):
    """The load outlasts TimeoutStartSec: EXTEND_TIMEOUT_USEC is sent, and believed."""
    machine.settings("TimeoutStartSec=2s")
    machine.faults(load_seconds=5)
    machine.systemctl("start", "--no-block", "stoker")
    eventually(lambda: "chat-0 loading" in machine.show("StatusText"), 10, "loading, in STATUS")
    assert machine.show("ActiveState") == "activating"
    assert stoker.get("/ready").status_code == 503
    with systemd_machine.stopwatch() as seconds:
        eventually(lambda: machine.show("ActiveState") != "activating", 20, "an end of the start")
        assert machine.show("ActiveState") == "active"
        assert seconds() > 3, "it was ready before its time"
    assert stoker.get("/ready").status_code == 200
    assert stoker.post("/v1/chat/completions", BODY).status_code == 200
    assert machine.show("StatusText") == "1/1 instance ready"
    assert machine.show("NRestarts") == "0"


def test_degraded_when_nothing_is_configured(machine):
    machine.configure()
    machine.systemctl("start", "stoker")
    assert machine.show("StatusText") == "degraded: no provider is configured"


def test_a_wrong_configuration_is_a_failed_start_that_says_why(machine):
    machine.settings("Restart=no")
    machine.write("/etc/stoker/stoker.yaml", "providers: { one: { modle: x } }\n")
    assert machine.systemctl("start", "stoker", check=False).returncode != 0
    assert machine.show("ExecMainStatus") == "2"
    assert any("modle" in str(entry["MESSAGE"]) for entry in machine.journal("-n", "20"))


def test_the_socket_unit_starts_the_daemon_and_nobody_is_refused_meanwhile(machine, stoker):
    machine.systemctl("start", "stoker.socket")
    try:
        assert stoker.get("/health").status_code == 200, "waited in the socket's queue"
        stoker.ready()
        machine.systemctl("restart", "stoker")
        assert stoker.post("/v1/chat/completions", BODY).status_code == 200
    finally:
        machine.systemctl("stop", "stoker.socket", check=False)


def test_no_setting_of_the_unit_is_unknown(machine):
    checked = machine.run("systemd-analyze", "verify", "stoker.service", "stoker.socket", check=False)
    assert "stoker" not in checked.stdout + checked.stderr, checked.stderr
    print(machine.run("systemd-analyze", "security", "--no-pager", "stoker.service").stdout.splitlines()[-1])


# -- reload


def test_reload_applies_the_difference_and_its_exit_code_is_the_outcome(machine, stoker):
    machine.systemctl("start", "stoker")
    before = stoker.ready()
    machine.configure(machine.provider(), machine.provider("more", model="org/n"))
    machine.systemctl("reload", "stoker")
    assert stoker.ready("more-0")
    machine.write("/etc/stoker/stoker.yaml", "providers: { one: { modle: x } }\n")
    refused = machine.systemctl("reload", "stoker", check=False)
    assert refused.returncode != 0
    assert any("modle" in str(entry["MESSAGE"]) for entry in machine.journal("-n", "30"))
    assert machine.show("ActiveState") == "active"
    assert stoker.instance("chat-0")["pid"] == before["pid"] and len(stoker.models()) == 2


# -- upgrade


def test_reload_with_a_new_program_under_load(machine, stoker):
    """Twenty upgrades: the same main process, the same engines, nobody refused, no stream cut."""
    machine.systemctl("start", "stoker")
    engine, main = stoker.ready(), machine.main_pid()
    times, streams, failures, over = [], [], [], threading.Event()

    def long_streams():
        slow = {"x-stand-in-control": '{"token_delay_ms": 100, "tokens": 40}'}
        while not over.is_set():
            try:
                with httpx.stream("POST", stoker.gateway + "/v1/chat/completions", json={**BODY, "stream": True},
                                  headers={**stoker.headers, **slow}, timeout=30) as answer:
                    streams.append([data for _, data in harness.events(answer)])
            except httpx.HTTPError as error:
                failures.append(repr(error))

    streaming = [threading.Thread(target=long_streams, daemon=True) for _ in range(2)]
    gateways = {stoker.status()["gateway"]["pid"]}
    with Load(stoker) as load:
        for thread in streaming:
            thread.start()
        for number in range(20):
            harness.install(harness.BIN, machine.path("/usr/bin/stoker"), b"build %d" % number)
            with systemd_machine.stopwatch() as seconds:
                machine.systemctl("reload", "stoker")
                times.append(seconds())
            assert (machine.main_pid(), machine.show("ActiveState"), machine.show("NRestarts")) == (main, "active", "0")
            now = stoker.instance("chat-0")
            assert (now["pid"], now["run"], now["state"]) == (engine["pid"], engine["run"], "ready")
            gateways.add(stoker.status()["gateway"]["pid"])
            load.more()
        over.set()
        for thread in streaming:
            thread.join(30)
    print(f"reloaded within {sorted(times)} s; {load.succeeded} requests, {len(streams)} streams, {len(gateways)} gateways")
    assert load.failures == [] and failures == []
    assert len(streams) >= 4 and all(len(stream) > 40 and stream[-1] == "[DONE]" for stream in streams)
    assert len(gateways) > 2
    assert machine.show("StatusText") == "1/1 instance ready"
    assert int(machine.show("NFileDescriptorStore")) == 1
    assert len(os.listdir(f"/proc/{machine.host_pid(main)}/fd")) < 64
    # It is watched as before: by the service manager, and itself its engines, whose ends it is told.
    machine.kill(engine["pid"])
    after = eventually(lambda: (i := stoker.instance("chat-0"))["run"] == engine["run"] + 1 and i["state"] == "ready" and i,
                       20, "the next run")
    assert "signal 9" in after["last_failure"]["detail"]
    machine.systemctl("stop", "stoker")
    assert machine.processes() == {}


def test_a_program_that_cannot_run_leaves_the_old_one(machine, stoker):
    machine.settings("WatchdogSec=2s")
    machine.systemctl("start", "stoker")
    engine, main = stoker.ready()["pid"], machine.main_pid()
    machine.write("/usr/bin/stoker", "#!/bin/sh\necho no such library >&2\nexit 1\n", mode=0o755)
    assert machine.systemctl("reload", "stoker", check=False).returncode != 0, "ExecReload= is that file itself"
    # By signal: the rehearsal fails, and the unit is active as before.
    machine.kill(main, signal.SIGHUP)
    eventually(lambda: "was not taken over" in machine.show("StatusText"), 20, "STATUS")
    assert stoker.status()["last_reload"]["outcome"] == "failed"
    assert any("no such library" in str(entry["MESSAGE"]) + str(entry) for entry in machine.journal("-n", "30"))
    assert (machine.main_pid(), machine.show("ActiveState"), stoker.instance("chat-0")["pid"]) == (main, "active", engine)
    harness.install(harness.BIN, machine.path("/usr/bin/stoker"), b"mended")
    machine.systemctl("reload", "stoker")
    with systemd_machine.stopwatch() as seconds:
        eventually(lambda: seconds() > 4, 6, "two periods of the watchdog")
    assert machine.main_pid() == main and machine.show("NRestarts") == "0", "it is fed by the new program, too"
    assert machine.show("StatusText") == "1/1 instance ready" and stoker.instance("chat-0")["pid"] == engine


def test_a_crash_after_an_upgrade(machine, stoker):
    machine.systemctl("start", "stoker")
    engine = stoker.ready()["pid"]
    harness.install(harness.BIN, machine.path("/usr/bin/stoker"), b"new")
    machine.systemctl("reload", "stoker")
    before, gateway = machine.main_pid(), stoker.status()["gateway"]["pid"]
    machine.kill(before)
    restarted(machine, before)
    assert (stoker.ready()["pid"], stoker.status()["gateway"]["pid"]) == (engine, gateway)


# -- the unit's surroundings


def test_cgroups_environment_and_journal(machine, stoker):
    machine.systemctl("start", "stoker")
    pid = stoker.ready()["pid"]
    trees = machine.processes()
    assert set(trees) == {"supervisor", "i-chat-0"}
    assert machine.host_pid(machine.main_pid()) in trees["supervisor"]
    assert machine.host_pid(pid) in trees["i-chat-0"]
    base = machine.cgroup / "system.slice" / "stoker.service"
    assert (base / "cgroup.subtree_control").read_text().strip() == "", "a restart beside engines would fail (EBUSY)"
    for found in trees["i-chat-0"][:1]:
        names = environment(found)
        foreign = [n for n in names if n == "NOTIFY_SOCKET" or n.startswith(("LISTEN_", "WATCHDOG_", "STOKER_", "CREDENTIALS"))]
        assert foreign == []
        status = pathlib.Path(f"/proc/{found}/status").read_text()
        assert int(status.split("Uid:")[1].split()[0]) == 990 and "NoNewPrivs:\t1" in status
        assert int(pathlib.Path(f"/proc/{found}/oom_score_adj").read_text()) == 100
    supervisor = machine.host_pid(machine.main_pid())
    # Where the machine may not lower it (no CAP_SYS_RESOURCE), systemd goes on silently, and so do we.
    lowest = -500 if systemd_machine.may_lower_oom_score() else 0
    assert int(pathlib.Path(f"/proc/{supervisor}/oom_score_adj").read_text()) == lowest

    # Of this life of the unit only: the machine's journal has all tests'.
    entries = machine.journal("STOKER_INSTANCE=chat-0", f"_SYSTEMD_INVOCATION_ID={machine.show('InvocationID')}")
    assert {e.get("STOKER_STATE") for e in entries} >= {"starting", "loading", "ready"}
    output = [e for e in entries if e.get("STOKER_EVENT") == "output"]
    assert any("Loading safetensors" in str(e["MESSAGE"]) for e in output)
    # The gateway's own lines, too, are a person's, with their priority.
    gateways = [e for e in machine.journal(f"_SYSTEMD_INVOCATION_ID={machine.show('InvocationID')}")
                if str(e["MESSAGE"]).startswith("the gateway has started loops=")]
    assert [e["PRIORITY"] for e in gateways] == ["6"], gateways
    assert {e["STOKER_RUN"] for e in entries} == {"1"} and {e["PRIORITY"] for e in output} == {"6"}


def test_a_secret_by_credential(machine, stoker):
    machine.write("/etc/st-key", "from-a-credential\n", mode=0o600)
    machine.settings("LoadCredential=master_key:/etc/st-key")
    text = harness.config([machine.provider()], listen=systemd_machine.LISTEN)
    machine.write("/etc/stoker/stoker.yaml", text)
    machine.systemctl("start", "stoker")
    assert stoker.get("/v1/models").status_code == 401
    stoker.key = "from-a-credential"
    assert stoker.models() == ["chat/org/m"]
    for pids in machine.processes().values():
        for pid in pids:
            assert "from-a-credential" not in environment(pid).values()
            assert "from-a-credential" not in harness.command_line(pid)
    assert not any("from-a-credential" in str(entry) for entry in machine.journal())


# -- crashes


def test_kill_of_the_supervisor_while_loading(machine, stoker):
    machine.faults(load_seconds=4)
    machine.systemctl("start", "--no-block", "stoker")
    engine = stoker.wait_state("chat-0", "loading")["pid"]
    machine.kill(machine.main_pid())
    assert stoker.ready()["pid"] == engine
    eventually(lambda: machine.show("ActiveState") == "active", 5, "an active unit")


def test_what_an_operator_has_asked_outlives_a_crash(machine, stoker):
    machine.configure(machine.provider(replicas=3))
    machine.systemctl("start", "stoker")
    for number in range(3):
        stoker.ready(f"chat-{number}")
    assert stoker.cli("stop", "chat-0").returncode == 0 and stoker.cli("drain", "chat-1").returncode == 0
    pids = {name: stoker.instance(name)["pid"] for name in ("chat-1", "chat-2")}
    before = machine.main_pid()
    machine.kill(before)
    restarted(machine, before)
    stoker.wait_state("chat-1", "draining")
    assert stoker.instance("chat-0")["state"] == "stopped"
    assert {name: stoker.instance(name)["pid"] for name in pids} == pids
    for _ in range(4):
        assert stoker.post("/v1/chat/completions", BODY).headers["x-stoker-instance"] == "chat-2"
    assert stoker.cli("undrain", "chat-1").returncode == 0 and stoker.cli("start", "chat-0").returncode == 0
    machine.systemctl("restart", "stoker")
    stoker.ready("chat-0")


def test_kill_of_both_keeps_the_listening_socket(machine, stoker):
    """The unit's descriptor store has the socket: clients wait in its queue meanwhile."""
    machine.systemctl("start", "stoker")
    engine = stoker.ready()["pid"]
    assert int(machine.show("NFileDescriptorStore")) == 1
    for _ in range(2):
        before, gateway = machine.main_pid(), stoker.status()["gateway"]["pid"]
        machine.kill(before)
        machine.kill(gateway)
        assert stoker.post("/v1/chat/completions", BODY).status_code in (200, 503), "not refused"
        restarted(machine, before)
        assert stoker.ready()["pid"] == engine
        assert stoker.status()["gateway"]["pid"] != gateway
        assert int(machine.show("NFileDescriptorStore")) == 1, "stored once"


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
def test_a_crash_by_itself_is_as_short_as_a_kill(machine, stoker, how):
    """Nobody waits until a backtrace is written."""
    machine.systemctl("start", "stoker")
    engine, before, gateway = stoker.ready()["pid"], machine.main_pid(), stoker.status()["gateway"]["pid"]
    machine.kill(gateway, how)
    eventually(lambda: stoker.status()["gateway"]["pid"] not in (None, gateway), 5, "another gateway")
    machine.kill(before, how)
    assert restarted(machine, before) < 5
    assert stoker.ready()["pid"] == engine
