"""What fault injection measures: clients whose every request is accounted for, who is published when, and a table of it.

A request *succeeded*, *failed cleanly* (an error in the protocol's own words, as an answer or as a stream's last event), or
was *lost* (the connection broke, or an answer had no end). *Refused* connections are lost ones, counted once more.
"""

import collections
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

import harness
from harness import eventually

FULL = os.environ.get("STOKER_CHAOS") == "full"
TABLE = os.environ.get("STOKER_CHAOS_TABLE")
FAST = "{ backoff: 50ms..1s, budget: 1000 in 10m }"
QUICK = "{ drain: 1s, stop: 1s }"
HEALTH = "{ interval: 500ms, timeout: 1s, hang_after: 3s }"
GONE = {"head": "the API server", "engine": "EngineCore", "worker": "a worker"}


def rounds(short, full):
    """How often a fault is injected: in CI, and for docs/reliability.md."""
    return full if FULL else short


class Clients:
    """Clients that ask again and again, each with one request at a time: half of them streams, half on new connections."""

    def __init__(self, stoker, model="org/m", clients=6, control=None, pause=0.004, tokens=32):
        self.address = stoker.gateway.removeprefix("http://")
        self.headers = {**stoker.headers, "Content-Type": "application/json"}
        if control:
            self.headers["x-stand-in-control"] = json.dumps(control)
        self.model, self.pause, self.tokens = model, pause, tokens
        self.sent = self.succeeded = self.refused = 0
        self.clean, self.lost = collections.Counter(), []
        self.begun = 0  # streams that failed after their first event
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.more(len(self._threads))
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def failed(self):
        return sum(self.clean.values())

    def more(self, count=12, within=30):
        """Waits for so many further answers that are right."""
        before = self.succeeded
        eventually(lambda: self.succeeded >= before + count, within,
                   f"{count} more answers (clean failures: {self.clean}, lost: {self.lost[-3:]})")

    def _run(self, number):
        kept = None
        while not self._over.is_set():
            stream = number % 2 == 0
            connection = kept or http.client.HTTPConnection(self.address, timeout=25)
            kept = None
            with self._lock:
                self.sent += 1
            try:
                outcome, detail = self._ask(connection, stream)
                if number % 4 < 2 and outcome == "succeeded":
                    kept = connection
            except ConnectionRefusedError as error:
                outcome, detail = "refused", repr(error)
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome, detail = "lost", repr(error)
            if kept is None:
                connection.close()
            with self._lock:
                if outcome == "succeeded":
                    self.succeeded += 1
                elif outcome == "clean":
                    self.clean[detail] += 1
                else:
                    self.refused += outcome == "refused"
                    self.lost.append((round(time.monotonic(), 3), detail))
            self._over.wait(self.pause)

    def _ask(self, connection, stream):
        body = {"model": self.model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream,
                "max_tokens": self.tokens}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), self.headers)
        answer = connection.getresponse()
        if answer.status != 200:
            return "clean", str(json.loads(answer.read())["error"]["code"])
        if not stream:
            json.loads(answer.read())
            return "succeeded", ""
        events, broken = [], None
        try:
            events.extend(line[5:].strip() for line in answer if line.startswith(b"data:"))
        except (OSError, http.client.HTTPException) as error:
            broken = error
        found = next((json.loads(event) for event in events if event.startswith(b'{"error"')), None)
        if found is None:
            if broken is None and events and events[-1] == b"[DONE]":
                return "succeeded", ""
            raise broken or ValueError(f"a stream without an end after {len(events)} events")
        with self._lock:
            self.begun += len(events) > 1
        return "clean", f"stream: {found['error']['code']}"


class Watcher:
    """Asks the gateway for its models all the time: who is published when, and when it answers at all."""

    def __init__(self, stoker):
        self.address, self.headers = stoker.gateway.removeprefix("http://"), stoker.headers
        self.samples = collections.deque(maxlen=20_000)  # (asked, answered, ids)
        self.told = {}  # when a process was watched, and dead, by word and pid

    def __enter__(self):
        script = pathlib.Path(__file__).with_name("watch.py")
        self._process = subprocess.Popen([sys.executable, script, self.address], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(json.dumps(self.headers), file=self._process.stdin, flush=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        eventually(lambda: self.samples, 20, "a first answer")
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._thread.join(30)
        assert self._process.wait(30) == 0

    def _read(self):
        for line in self._process.stdout:
            first, second, third = json.loads(line)
            if isinstance(first, str):
                self.told[first, third] = second
            else:
                self.samples.append((first, second, frozenset(third)))

    def kill(self, pid, model, within=30):
        """Kills a process. Seconds from then to its death, for the kernel takes back its memory first; and from its death
        until a model has left the list."""
        print(pid, file=self._process.stdin, flush=True)
        eventually(lambda: ("watched", pid) in self.told, 20, f"{pid} to be watched")
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        died = eventually(lambda: self.told.get(("dead", pid)), 60, f"the end of {pid}") - killed
        return died, max(0, self.gone(model, killed, within) - died)

    def until(self, since, right, what, within):
        """Seconds from `since` to the first answer, asked for later than that, of which `right(ids)` is true."""
        def found():
            for asked, answered, ids in list(self.samples):
                if asked >= since and right(ids):
                    return answered - since
            return None
        return eventually(found, within, what)

    def gone(self, model, since, within=30):
        return self.until(since, lambda ids: model not in ids, f"{model} to leave the list", within)

    def answers(self, since, within=30):
        return self.until(since, lambda ids: True, "an answer of the gateway", within)


class Row:
    """A row of the table: one fault."""

    all = []

    def __init__(self, fault, mark, note=""):
        self.fault, self.mark, self.note = fault, mark, note
        self.count = 0
        self.requests = collections.Counter()
        self.codes = collections.Counter()
        self.times = {"died": [], "unpublished": [], "recovered": []}
        self.left = 0
        Row.all.append(self)

    def add(self, clients=None, left=0, **times):
        """One injection: its times in seconds; what is left over of what should be gone."""
        self.count += 1
        self.left += left
        for name, value in times.items():
            self.times[name].append(value)
        if clients:
            self.account(clients)

    def account(self, clients):
        """Takes what clients went through, once they are done."""
        self.requests.update(sent=clients.sent, succeeded=clients.succeeded, clean=clients.failed,
                             lost=len(clients.lost), refused=clients.refused)
        self.codes.update(clients.clean)

    def within(self, name, mark, slack=10):
        """Asserts a time; ten times the mark by default, for machines that do other things too."""
        values = self.times[name]
        assert values and max(values) < mark * slack, f"{self.fault}: {name} {values}, the mark is {mark} s"

    def cells(self):
        def spread(values):
            if not values:
                return ""
            unit, scale = ("ms", 1000) if max(values) < 10 else ("s", 1)
            low, middle, high = (f"{v * scale:.{0 if scale == 1000 else 1}f}" for v in
                                 (min(values), statistics.median(values), max(values)))
            return f"{middle} {unit}" if len(values) == 1 else f"{middle} ({low}–{high}) {unit}"
        r = self.requests
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self.codes.items()))
        died = f"dead {spread(self.times['died'])} after the kill" if self.times["died"] else ""
        return [
            self.fault, str(self.count), *(str(r[k]) if r["sent"] else "" for k in ("sent", "succeeded")),
            (f"{r['clean']}" + (f" ({codes})" if codes else "")) if r["sent"] else "",
            (f"{r['lost']}" + (f", {r['refused']} refused" if r["refused"] else "")) if r["sent"] else "",
            spread(self.times["unpublished"]), spread(self.times["recovered"]), str(self.left) if self.count else "",
            self.mark, "; ".join(note for note in (died, self.note) if note),
        ]


def two(machine, **keys):
    """Two providers of one model: each is listed by itself, and the model's bare name goes to both."""
    machine.configure(*(machine.provider(name, restart=FAST, **keys) for name in ("a", "b")), health=HEALTH)


def started(machine, stoker, *names):
    machine.systemctl("start", "stoker")
    return [stoker.ready(name) for name in names]


def tree(machine, name):
    return machine.processes().get(f"i-{name}", [])


def member(machine, name, title):
    """The host's pid of a process of an instance's tree by its title."""
    return next(pid for pid in tree(machine, name) if harness.command_line(pid).startswith(title))


def again(stoker, name, before, within=60):
    """Waits for the next run of an instance to be ready."""
    return eventually(lambda: (i := stoker.instance(name))["state"] == "ready" and i["run"] > before["run"] and i,
                      within, f"the next run of {name} ({stoker._brief()})")


def restarted(machine, before, within=30):
    """Waits until systemd has another main process, active; says how long that took."""
    began = time.monotonic()
    eventually(lambda: machine.main_pid() not in (0, before) and machine.show("ActiveState") == "active", within,
               "another supervisor, active")
    return time.monotonic() - began


def notice(stoker, words, within=30):
    """Waits until status says it, or says it no more."""
    return eventually(lambda: next((n for n in stoker.status()["notices"] if words in n), None), within,
                      f"a notice with '{words}' (there are: {stoker.status()['notices']})")


def mended(stoker, words, within=40):
    eventually(lambda: not any(words in n for n in stoker.status()["notices"]), within, f"'{words}' to be taken back")


# What cannot be done to this machine, said where the table is read: fault, mark, who holds it.
ELSEWHERE = [
    ("OOM kill of an engine's process", "the reason says so; the others live; never the supervisor",
     "no memory controller here: EngineEndTests, by a fake cgroup tree; the unit's OOMScoreAdjust=: test_systemd.py"),
    ("the clock is set back by an hour", "nothing changes but the times that people read",
     "a machine has one wall clock, which no test sets: ClockTests, with a virtual one"),
    ("a process that SIGKILL does not end", "`quarantined`; nothing is started beside it",
     "LifecycleTests, in virtual time"),
    ("systemctl reload with a new binary", "0 failed requests, streams uncut", "test_upgrade.py"),
]

HEADS = ["fault", "times", "sent", "succeeded", "failed cleanly", "lost", "unpublished after", "recovered after",
         "left over", "mark", "note"]


def table():
    rows = [row.cells() for row in Row.all]
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


def write_table():
    """Puts the table into the page that keeps the last one, between its marks."""
    page = pathlib.Path(TABLE)
    text = page.read_text()
    begin, end = "<!-- table -->\n", "<!-- end -->"
    head, tail = text[: text.index(begin) + len(begin)], text[text.index(end):]
    kernel = ".".join(os.uname().release.split(".")[:2])
    machine = (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, Linux {kernel}; median (least–most) "
               "of each time; other work ran beside it.\n\n")
    page.write_text(head + machine + table() + "\n" + tail)
