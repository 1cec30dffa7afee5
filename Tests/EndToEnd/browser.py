"""A headless Chromium, driven through its own protocol on a pipe: nothing to install beside the browser itself."""

import base64
import contextlib
import itertools
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new --remote-debugging-pipe --no-first-run --no-default-browser-check --disable-gpu --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage --mute-audio "
    "--hide-scrollbars --no-proxy-server"
).split()
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "/": 191}


def find():
    """The browser's path; None where there is none."""
    named = os.environ.get("STOKER_TEST_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page. `problems` collects what went wrong in the page: errors, exceptions, refusals."""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="st-browser-", dir="/tmp")
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()

        def descriptors():
            # Away from 3 and 4 first: either may be the other's.
            reading, writing = os.dup(to_read), os.dup(to_write)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        flags = [*FLAGS, f"--user-data-dir={self.profile}", f"--window-size={width},{height}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        self.process = subprocess.Popen(
            [find(), *flags, "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=descriptors, pass_fds=(3, 4, to_read, to_write),
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.numbers = itertools.count(1)
        self.problems = []
        self.session = None
        target = eventually_one(lambda: next(
            (t["targetId"] for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"), None))
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(Exception):
            self.session = None
            self.call("Browser.close", within=5)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.profile, ignore_errors=True)

    # -- the protocol

    def call(self, method, within=60, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + within
        while True:
            answer = self._next(deadline)
            if answer is None:
                raise TimeoutError(f"{method}: no answer within {within} s")
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._event(answer)

    def _next(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                return None
            data = os.read(self.into, 1 << 20)
            if not data:
                raise EOFError("the browser has gone")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _event(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            detail = parameters["exceptionDetails"]
            self.problems.append(detail.get("exception", {}).get("description") or detail["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    # -- the page

    def open(self, url):
        self.call("Page.navigate", url=url)
        return self

    def run(self, expression, within=60):
        """The value of an expression in the page; promises are waited for."""
        answer = self.call(
            "Runtime.evaluate", within, expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, within=20, what=None):
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + within
        last = None
        while time.monotonic() < deadline:
            try:
                if last := self.run(expression):
                    return last
            except (AssertionError, RuntimeError) as error:
                last = error
            time.sleep(0.05)
        text = self.run("document.body.innerText.slice(0, 3000)")
        raise AssertionError(f"{what or expression} did not come within {within} s; last: {last!r}; the page:\n{text}")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_text(self, selector, part, within=20):
        return self.wait(
            f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(part)})", within,
            f"{part!r} in {selector}")

    def click(self, selector, named=None, within=20):
        """Presses the mouse in the middle of an element; `named` chooses among several by their text."""
        find = f"[...document.querySelectorAll({json.dumps(selector)})].find((e) => e.checkVisibility() && " + (
            f"e.innerText.trim() === {json.dumps(named)})" if named else "true)")
        self.wait(f"!!({find})", within, f"{selector} {named or ''}")
        # Where it is once it stands still.
        place = self.run(
            f"(async () => {{ const e = {find}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1,
                buttons=1 if kind == "mousePressed" else 0)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, control=False):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=KEYS.get(key, ord(key[0].upper())),
                modifiers=2 if control else 0, **({"text": text} if text and kind == "keyDown" else {}))

    def size(self, width, height, mobile=False):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1,
            mobile=mobile)

    def dark(self, is_dark=True):
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def screenshot(self, path, whole=False):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))


def eventually_one(look, within=30):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("the browser has no page")
