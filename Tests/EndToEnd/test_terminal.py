"""The command line on a terminal: what it looks like in narrow ones, colours, the live view, progress, and `--json`."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios

import pytest

import clean_root
import harness
from harness import BIN, Stoker, eventually

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a pseudo-terminal; a context manager. `text()` is everything that it has written so far."""

    def __init__(self, *arguments, env, columns=80, lines=24):
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.process = subprocess.Popen([BIN, *arguments], env={"TERM": "xterm", **env}, stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.output = b""

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def text(self):
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self.master, 65536):
                self.output += data
        return self.output.decode(errors="replace")

    def end(self, within=30):
        def ended():
            self.text()
            return self.process.poll() is not None
        eventually(ended, within, "the command's end")
        return self.process.returncode, self.text().replace("\r\n", "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture(scope="module")
def daemon():
    with tempfile.TemporaryDirectory(prefix="sv-", dir="/tmp") as folder:
        venv = harness.StandInVenv(folder)
        providers = [venv.provider("chat", model="meta-llama/Llama-3.1-8B-Instruct", replicas=2),
                     "  box: { base_url: http://127.0.0.1:9 }\n"]
        with Stoker(config=harness.config(providers), key=None) as stoker:
            stoker.venv = venv
            stoker.wait_state("chat-0", "ready")
            stoker.wait_state("chat-1", "ready")
            yield stoker


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 200])
def test_status_fits_the_terminal(daemon, columns):
    with Terminal("status", env=daemon.env, columns=columns) as terminal:
        code, text = terminal.end()
    assert code == 0
    plain = ESCAPE.sub("", text)
    assert max(map(len, plain.splitlines())) <= columns, plain
    if columns >= 40:
        assert re.search(r"^chat-0\s.*ready", plain, re.M), plain
    if columns >= 120:
        assert "meta-llama/Llama-3.1-8B-Instruct" in plain and "RESTARTS" in plain


def test_columns_count_where_there_is_no_terminal(daemon):
    run = lambda **env: subprocess.run([BIN, "status"], env={**daemon.env, **env}, capture_output=True, text=True).stdout
    assert max(map(len, run(COLUMNS="50").splitlines())) <= 50
    assert "meta-llama/Llama-3.1-8B-Instruct" in run()
    assert run(COLUMNS="nonsense") and run(COLUMNS="0")


def test_colours_are_for_terminals_that_want_them(daemon):
    def shown(**env):
        with Terminal("status", env={**daemon.env, **env}) as terminal:
            return terminal.end()[1]
    assert "\x1b[32mready\x1b[0m" in shown()
    assert "\x1b" not in shown(NO_COLOR="1") and "\x1b" not in shown(TERM="dumb")
    assert "\x1b" not in subprocess.run([BIN, "status"], env=daemon.env, capture_output=True, text=True).stdout


def test_check_colours_its_problems(tmp_path, daemon):
    (tmp_path / "a.yaml").write_text("listn: x\n")
    with Terminal("check", "--config", str(tmp_path / "a.yaml"), env=daemon.env) as terminal:
        code, text = terminal.end()
    assert code == 2 and "\x1b[31m" in text and "a.yaml:1:1" in text


def test_the_live_view(daemon):
    """It redraws in place, follows a change and a resize, and gives the cursor back."""
    with Terminal("status", "--watch", env=daemon.env, columns=100) as terminal:
        eventually(lambda: "chat-1" in terminal.text(), 15, "the first picture")
        assert terminal.text().startswith("\x1b[?25l")
        terminal.output = b""
        daemon.cli("drain", "chat-1")
        eventually(lambda: "draining" in terminal.text(), 15, "the change")
        assert "\x1b[2J" not in terminal.text(), "it is redrawn in place"
        terminal.resize(44, 10)
        terminal.output = b""
        daemon.cli("undrain", "chat-1")
        picture = eventually(lambda: (t := terminal.text()).count("\x1b[H") > 1 and t, 15, "another picture")
        whole = picture.split("\x1b[H")[-2]
        rows = ESCAPE.sub("", whole).replace("\r\n", "\n").splitlines()
        assert len(rows) < 10 and max(map(len, rows)) <= 44, rows
        terminal.process.send_signal(signal.SIGINT)
        terminal.process.wait(10)
        assert terminal.process.returncode == -signal.SIGINT and terminal.text().rstrip().endswith("\x1b[?25h")


def test_waiting_shows_progress_in_one_line(daemon):
    with Terminal("restart", "chat", env=daemon.env, columns=60) as terminal:
        code, text = terminal.end(60)
    assert code == 0 and text.endswith("chat: restarted\n")
    shown = [ESCAPE.sub("", part) for part in text.split("\r")]
    assert any("chat-0 " in part for part in shown) and max(map(len, shown)) <= 60
    # The line is gone when it is over.
    assert text.split("\r")[-1] == "\x1b[Kchat: restarted\n"


def test_outcomes_as_json(daemon, tmp_path):
    def outcome(*arguments, code=0):
        done = daemon.cli(*arguments, "--json", timeout=120)
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1, "one line"
        return json.loads(done.stdout)
    assert outcome("version") == {"version": daemon.status()["version"]}
    drained = outcome("drain", "chat-0")
    assert drained["command"] == "drain" and drained["done"] and drained["name"] == "chat-0"
    assert [(i["id"], i["state"]) for i in drained["instances"]] == [("chat-0", "draining")]
    assert outcome("undrain", "chat-0", "--no-wait")["done"] is False
    assert {i["id"] for i in outcome("restart", "chat")["instances"]} == {"chat-0", "chat-1"}
    assert outcome("attach", "spare", "http://127.0.0.1:9") == {"name": "spare", "attached": True}
    assert outcome("detach", "spare") == {"name": "spare", "attached": False}
    plan = outcome("reload", "--plan")
    assert plan["applied"] is False and set(plan["plan"]["untouched"]) == {"box", "chat-0", "chat-1"}
    assert outcome("reload")["applied"] is True
    assert {"providers", "gateway", "ready"} <= set(outcome("status"))
    failed = daemon.cli("stop", "nobody", "--json")
    assert failed.returncode == 4 and failed.stdout == "" and "nobody" in failed.stderr


def test_a_reload_shows_what_it_waits_for(daemon):
    written = (daemon.folder / "stoker.yaml").read_text()
    (daemon.folder / "stoker.yaml").write_text(written.replace("replicas: 2", "replicas: 1\n    args: [--max-model-len, '99']"))
    try:
        with Terminal("reload", env=daemon.env) as terminal:
            code, text = terminal.end(90)
        assert code == 0 and "~ chat-0 (changed)" in text and text.endswith("reloaded\n")
        assert re.search(r"\rchat-0 \w+", text), text
    finally:
        (daemon.folder / "stoker.yaml").write_text(written)
        daemon.cli("reload", timeout=120)
        daemon.wait_state("chat-1", "ready")


def test_shells_read_their_completions(daemon, tmp_path):
    """bash here, zsh and fish in a clean root, where fish also completes."""
    scripts = {shell: daemon.cli("--generate-completion-script", shell).stdout for shell in ("bash", "zsh", "fish")}
    for script in scripts.values():
        assert "undrain" in script and "no-wait" in script
    (tmp_path / "bash").write_text(scripts["bash"])
    subprocess.run(["bash", "-n", tmp_path / "bash"], check=True)
    (tmp_path / "root").mkdir()
    with clean_root.Root("bookworm", tmp_path / "root") as root:
        got = root.step("apt-get update -qq && apt-get install -y -qq --no-install-recommends zsh fish >/dev/null")
        assert got.returncode == 0, got.stderr
        for shell in ("zsh", "fish"):
            root.path(f"/root/{shell}").write_text(scripts[shell])
            read = root.step(f"{shell} -n /root/{shell}")
            assert (read.returncode, read.stderr) == (0, ""), (shell, read.stderr)
        completed = root.step("fish -c 'source /root/fish; complete -C \"stoker undr\"; complete -C \"stoker status --w\"'")
        words = [line.split("\t")[0] for line in completed.stdout.splitlines()]
        assert words == ["undrain", "--watch"], completed.stdout + completed.stderr


def test_bash_completes_commands_and_options(daemon, tmp_path):
    """What a person gets who presses the tabulator, by bash's own machinery."""
    (tmp_path / "script").write_text(daemon.cli("--generate-completion-script", "bash").stdout)
    def completed(line):
        words = line.split(" ")
        asked = subprocess.run(
            ["bash", "-c", f"source {tmp_path}/script; COMP_LINE='{line}' COMP_POINT={len(line)} "
             f"COMP_WORDS=({' '.join(repr(w) for w in words)}) COMP_CWORD={len(words) - 1}; _stoker stoker '{words[-1]}' '{words[-2]}'; "
             "printf '%s\\n' \"${COMPREPLY[@]}\""], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
        assert asked.returncode == 0, asked.stderr
        return asked.stdout.split()
    assert {"start", "status", "stop"} <= set(completed("stoker st"))
    assert completed("stoker undr") == ["undrain"]
    assert "--watch" in completed("stoker status --w")
