"""The dashboard in a real headless Chromium, driven as a person does: what it shows, does and refuses."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import pytest

import browser
import harness
from harness import Stoker, eventually

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="no Chromium here: install it (Debian: chromium) or name one in STOKER_TEST_BROWSER")

FAST = "{ backoff: 50ms..1s }"
HOSTILE = "<img src=x onerror=window.hacked=1>&amp;<script>window.hacked=1</script>"
SHOTS = pathlib.Path(os.environ.get("STOKER_TEST_SCREENSHOTS", "/nonexistent"))

# Text whose contrast with what is behind it is below AA (WCAG 2.2, 1.4.3), as [text, ratio].
CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !element.checkVisibility()) continue;
    if (element.matches('svg *, :disabled, option')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(parse(style.color)), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) poor.push([element.textContent.slice(0, 40), Math.round(ratio * 100) / 100]);
  }
  return poor;
})()"""

# What a screen reader would have no name for.
NAMELESS = """[...document.querySelectorAll('button, input, select, textarea, a, meter, progress, svg[role=img], dialog')]
  .filter((e) => e.checkVisibility() && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
    || e.innerText?.trim() || e.labels?.length)).map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def page():
    with browser.Browser() as driven:
        yield driven


@pytest.fixture(autouse=True)
def no_problems(request):
    """A page that complains in its console has failed; a test says what it provokes itself."""
    driven = request.getfixturevalue("page")
    driven.problems.clear()
    allowed = []
    request.node.provoked = allowed
    yield
    driven.run("1")
    left = [p for p in driven.problems if not any(word in p for word in allowed)]
    if getattr(request.node, "failed", False) or left:
        driven.screenshot(f"/tmp/stoker-dashboard-{request.node.name}.png")
    driven.open("about:blank")
    assert not left, left


class Dashboard:
    """A daemon with its dashboard open in the browser."""

    def __init__(self, page, stoker, port):
        self.page, self.stoker, self.url = page, stoker, f"http://127.0.0.1:{port}/"

    @property
    def token(self):
        """The admin token, as `stoker token` prints it."""
        return (self.stoker.folder / "state" / "admin.token").read_text().strip()

    def open(self):
        self.page.call("Network.clearBrowserCookies")
        self.page.size(1280, 900)
        self.page.open(self.url)
        self.page.wait_text("#connection", "live")
        return self

    def login(self):
        self.page.click("#account button", "Log in")
        self.page.wait("document.activeElement?.id === 'token'")
        self.page.type(self.token)
        self.page.press("Enter")
        self.page.wait_text("#account", "Log out")
        self.page.wait("!document.querySelector('dialog') && document.activeElement === document.body")

    def state(self, name, state, within=30):
        self.page.wait(
            f"document.querySelector('#instance-{name} .state')?.innerText.includes({json.dumps(state)})", within,
            f"{name} {state}")

    def unfold(self, name):
        self.page.wait(f"!!document.getElementById('instance-{name}')")
        self.page.run(f"document.getElementById('instance-{name}').open = true")
        self.page.wait(f"!!document.querySelector('#instance-{name} .actions button')")

    def press(self, name, verb):
        self.page.click(f"#instance-{name} .detail .actions button", verb)

    def confirm(self, verb):
        self.page.wait("document.querySelector('dialog[open]')?.innerText.includes('?')")
        self.page.click("dialog .buttons button", verb)

    def task(self, part, within=30):
        self.page.wait(f"document.getElementById('tasks').textContent.includes({json.dumps(part)})", within, part)


@contextlib.contextmanager
def dashboard(page, providers, **options):
    port = harness.free_port()
    config = harness.config(providers, admin=f"{{ listen: 127.0.0.1:{port} }}", **options)
    with Stoker(config) as stoker:
        try:
            yield Dashboard(page, stoker, port)
        finally:
            page.open("about:blank")


@pytest.fixture(scope="module")
def fleet(page, make_venv):
    """Two replicas that serve, one that cannot start, one attached server that is not there."""
    venv, broken = make_venv(), make_venv()
    venv.faults(log=HOSTILE)
    broken.faults(exit_at_start={"code": 1, "lines": ["RuntimeError: " + HOSTILE]})
    providers = [
        venv.provider(replicas=2, restart=FAST, timeouts="{ drain: 5s, stop: 5s }"),
        broken.provider("broken", model="org/broken", restart="{ backoff: 10ms..20ms, start_budget: 2 }"),
        f"  absent:\n    base_url: http://127.0.0.1:{harness.free_port()}/v1\n",
    ]
    with dashboard(page, providers) as shown:
        shown.venv = venv
        for name, state in (("chat-0", "ready"), ("chat-1", "ready"), ("broken-0", "failed")):
            shown.stoker.wait_state(name, state, within=60)
        yield shown


def test_what_it_shows(fleet, page):
    fleet.open()
    page.wait_text("#verdict", "Serving, with problems")
    page.wait_text("#problems", "broken-0 failed")
    assert "for " in page.text("#problems .problem")
    page.wait_text("#models", "org/m")
    assert "2 of 2 ready" in page.text("#models")
    for name, state in (("chat-0", "ready"), ("broken-0", "failed"), ("absent", "connecting")):
        fleet.state(name, state)
    fleet.unfold("chat-0")
    for part in ("health", "models", "process", "ok", "ago", "KV cache", "Tokens/s", "First token", "Restarts", "run 1"):
        page.wait_text("#instance-chat-0", part)
    fleet.unfold("broken-0")
    page.wait_text("#instance-broken-0", "RuntimeError: " + HOSTILE)
    page.wait_text("#timeline", "failed")
    # Traffic is seen, and what it says of itself.
    for _ in range(3):
        assert fleet.stoker.post(
            "/v1/chat/completions", {"model": "chat-0/org/m", "messages": [{"role": "user", "content": "Hi"}]}
        ).status_code == 200
    page.wait("!/–/.test([...document.querySelectorAll('#instance-chat-0 .gauges div')].find((e) => "
              "e.innerText.startsWith('First token')).innerText)", 30, "a time to first token")
    page.wait("document.querySelector('#instance-chat-0 .gauges svg path').getAttribute('d').length > 0")
    assert page.run("window.hacked === undefined && !document.querySelector('main img, main script')")
    # What the page was given has no secret in it.
    seen = page.run("document.documentElement.outerHTML")
    assert fleet.token not in seen and fleet.stoker.key not in seen


def test_looks_and_names(fleet, page):
    """Desktop and phone, light and dark: contrast of AA, a name for everything, nothing wider than the screen."""
    fleet.open()
    for name in ("chat-0", "broken-0"):
        fleet.unfold(name)
    page.wait_text("#problems", "broken-0 failed")
    for look, (width, height, mobile) in (("desktop", (1280, 1800, False)), ("phone", (390, 3000, True))):
        page.size(width, height, mobile)
        for is_dark in (False, True):
            page.dark(is_dark)
            assert page.run(CONTRAST) == []
            if SHOTS.is_dir():
                page.screenshot(SHOTS / f"{look}-{'dark' if is_dark else 'light'}.png")
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run(NAMELESS) == []
    page.dark(False)


def test_a_kill_is_seen_live(fleet, page):
    fleet.open()
    fleet.state("chat-1", "ready")
    before = fleet.stoker.instance("chat-1")
    fleet.venv.faults(load_seconds=1, log=HOSTILE)
    os.kill(before["pid"], signal.SIGKILL)
    page.wait_text("#timeline", "backoff")
    page.wait_text("#models", "1 of 2 ready")
    fleet.unfold("chat-1")
    page.wait_text("#instance-chat-1", "earlier load")
    fleet.state("chat-1", "ready")
    page.wait_text("#instance-chat-1", "Last failure: killed")
    page.wait_text("#instance-chat-1", f"run {before['run'] + 1}")
    fleet.venv.faults(log=HOSTILE)


def test_actions_ask_first_and_are_followed(fleet, page, request):
    request.node.provoked += ["401"]
    fleet.open()
    fleet.unfold("chat-1")
    # Nobody is logged in: the token first.
    fleet.press("chat-1", "Stop")
    page.wait("document.activeElement?.id === 'token'")
    page.type("wrong")
    page.press("Enter")
    page.wait_text("dialog", "not the admin token")
    page.run("document.getElementById('token').value = ''")
    page.type(fleet.token)
    page.press("Enter")
    page.wait_text("dialog", "stays stopped")
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    assert fleet.stoker.instance("chat-1")["state"] == "ready"
    fleet.press("chat-1", "Stop")
    fleet.confirm("Stop")
    fleet.state("chat-1", "stopped")
    fleet.task("stop chat-1 done")
    assert fleet.stoker.instance("chat-1")["state"] == "stopped"
    # The last one of a model says what clients will see.
    fleet.unfold("chat-0")
    fleet.press("chat-0", "Drain")
    page.wait_text("dialog", "Nobody else serves org/m")
    fleet.confirm("Drain")
    fleet.state("chat-0", "draining")
    page.wait_text("#verdict", "Not serving")
    fleet.press("chat-0", "Undrain")
    fleet.state("chat-0", "ready")
    fleet.press("chat-1", "Start")
    fleet.state("chat-1", "ready")
    run = fleet.stoker.instance("chat-1")["run"]
    fleet.press("chat-1", "Restart")
    fleet.confirm("Restart")
    eventually(lambda: (i := fleet.stoker.instance("chat-1"))["run"] > run and i["state"] == "ready", 30, "the next run")
    fleet.task("restart chat-1")
    page.wait_text("#timeline", "restart was asked for")
    cookies = page.call("Network.getCookies", urls=[fleet.url])["cookies"]
    assert [(c["httpOnly"], c["sameSite"]) for c in cookies] == [(True, "Strict")]
    assert page.run("document.cookie") == ""


def test_the_log_is_live_searched_and_only_text(fleet, page):
    fleet.open()
    fleet.login()
    fleet.unfold("chat-1")
    fleet.press("chat-1", "Log")
    page.wait_text("dialog .lines", HOSTILE)
    count = page.run("document.querySelectorAll('dialog .line').length")
    page.wait(f"document.querySelectorAll('dialog .line').length > {count + 5}", 20, "more lines")
    page.click("dialog input[type=search]")
    page.type("ONERROR")
    page.wait_text("dialog .bar", "matching line")
    assert page.run("document.querySelector('.line.here mark').innerText") == "onerror"
    page.click("dialog label", "only matches")
    page.wait("[...document.querySelectorAll('dialog .line')].every((e) => e.checkVisibility() === e.innerText.includes('onerror'))")
    assert page.run("window.hacked === undefined && !document.querySelector('dialog img, dialog script')")
    page.run("document.querySelector('dialog input[type=search]').value = ''")
    page.run("document.querySelector('dialog select').value = 'previous';"
             "document.querySelector('dialog select').dispatchEvent(new Event('change'))")
    page.wait_text("dialog .lines", "Application startup complete")
    assert page.run(CONTRAST) == []
    if SHOTS.is_dir():
        page.screenshot(SHOTS / "log.png")
    page.click("dialog button.close")
    page.wait("!document.querySelector('dialog')")


def test_the_try_box_streams_and_says_the_same_as_curl(fleet, page):
    fleet.open()
    fleet.login()
    page.press("t")
    page.wait("document.activeElement?.id === 'try-prompt'")
    assert page.run("[...document.querySelectorAll('#try-model option')].map((e) => e.value)") == [
        "chat-0/org/m", "chat-1/org/m", "chat/org/m"]
    page.run("document.getElementById('try-model').value = 'chat-1/org/m'")
    page.run("document.querySelector('.same').open = true")
    fleet.venv.faults(token_delay_ms=60, log=HOSTILE)
    page.type("It's \"me\" & <b>you</b>\\")
    page.press("Enter", control=True)
    parts = page.wait("(async () => { const seen = new Set(); const e = document.querySelector('.answer');"
                      " while (!/ended by/.test(document.querySelector('dialog').innerText)) { seen.add(e.innerText);"
                      " await new Promise((next) => setTimeout(next, 20)); } return seen.size; })()", 40)
    assert parts > 4, "word by word"
    page.wait_text("dialog", "answered by chat-1")
    page.wait_text("dialog", "first token after")
    answer = page.run("document.querySelector('.answer').innerText")
    if SHOTS.is_dir():
        page.screenshot(SHOTS / "try.png")
    assert page.run(CONTRAST) == [] and page.run(NAMELESS) == []
    # The line that it shows does the same, for whoever has the key.
    line = page.run("document.querySelector('.same code').textContent")
    assert fleet.stoker.key not in line and "$STOKER_MASTER_KEY" in line
    said = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "STOKER_MASTER_KEY": fleet.stoker.key})
    events = [json.loads(x[6:]) for x in said.stdout.splitlines() if x.startswith("data: {")]
    assert "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"]).strip() == answer.strip()
    # Stopping closes the connection up to the engine.
    fleet.venv.faults(token_delay_ms=400, log=HOSTILE)
    page.click("dialog .buttons button", "Send")
    page.wait("document.querySelector('.answer').innerText.length > 0")
    page.click("dialog .buttons button", "Stop")
    page.wait_text("dialog", "stopped")
    eventually(lambda: fleet.stoker.instance("chat-1")["inflight"] == 0, 10, "nothing in flight")
    fleet.venv.faults(log=HOSTILE)


def test_filter_and_keys(fleet, page):
    fleet.open()
    page.press("/")
    page.wait("document.activeElement?.id === 'filter'")
    page.type("absent")
    page.wait("[...document.querySelectorAll('.instance')].filter((e) => e.checkVisibility()).length === 1")
    page.run("document.getElementById('filter').value = ''")
    page.type("nothing like it")
    page.wait_text("#nothing", "None of 4 instances fits.")
    page.run("document.getElementById('filter').value = ''; document.getElementById('filter').blur()")
    page.press("p")
    page.wait("[...document.querySelectorAll('.instance')].filter((e) => e.checkVisibility()).map((e) => e.id).join() "
              "=== 'instance-broken-0'")


def test_a_reload_shows_its_plan_first(page, venv, request):
    request.node.provoked += ["409"]
    with dashboard(page, [venv.provider()]) as shown:
        shown.stoker.wait_state("chat-0", "ready")
        shown.open()
        shown.login()
        file = shown.stoker.folder / "stoker.yaml"
        file.write_text(file.read_text() + venv.provider("more"))
        page.click("#reload")
        page.wait_text("dialog .plan", "more-0")
        assert "chat-0" in page.text("dialog .plan") and "Untouched" in page.text("dialog .plan")
        assert page.run("!document.getElementById('instance-more-0')")
        page.click("dialog .buttons button", "Apply")
        shown.task("applied: 1 added")
        shown.state("more-0", "ready")
        file.write_text("listen: [")
        page.click("#reload")
        page.wait_text("dialog", "cannot be used")
        page.press("Escape")


def test_a_lost_connection_is_said(page, venv, request):
    request.node.provoked += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
    with dashboard(page, [venv.provider()]) as shown:
        shown.stoker.wait_state("chat-0", "ready")
        shown.open()
        shown.state("chat-0", "ready")
        shown.stoker.process.kill()
        shown.stoker.process.wait()
        page.wait_text("#connection", "connection lost, showing the state of ")
        page.wait_text("#verdict", "Not known at the moment")
        said = page.text("#connection")
        assert said.split()[-1].count(":") == 2
        shown.state("chat-0", "ready")
        assert page.run("document.body.classList.contains('lost')")
        if SHOTS.is_dir():
            page.screenshot(SHOTS / "lost.png")
        # The engine and the gateway lived on; so does the page, without being loaded anew.
        page.run("window.same = true")
        shown.stoker.start()
        page.wait_text("#connection", "live", 30)
        shown.state("chat-0", "ready")
        assert page.run("window.same")


def test_two_hundred_instances(page, venv):
    """Groups are folded, rows exist only where somebody looks, and a report touches only what it changes."""
    with venv.server() as url:
        providers = [f"  fleet-{n:03}:\n    base_url: {url}/v1\n" for n in range(200)]
        health = "{ interval: 30s, timeout: 20s }"
        with dashboard(page, providers, health=health, mode="attach-only") as shown:
            eventually(lambda: shown.stoker.status()["ready_reason"].startswith("200/200"), 60, "200 instances")
            shown.open()
            page.wait_text("#kinds", "Ready 200", 30)
            assert page.run("document.querySelectorAll('.provider').length") == 200
            assert page.run("document.querySelectorAll('.instance').length") == 0
            page.run("document.querySelectorAll('.provider').forEach((e) => e.open = true)")
            page.wait("document.querySelectorAll('.instance').length === 200")
            page.run("window.made = 0; new MutationObserver((all) => { for (const one of all) for (const node of one.addedNodes)"
                     " if (node.nodeType === 1) made += 1; }).observe(document.getElementById('providers'),"
                     " {childList: true, subtree: true}); window.reports = 0;"
                     "new EventSource('/api/v1/events').addEventListener('status', () => reports += 1)")
            page.wait("reports >= 3", 30)
            assert page.run("made") == 0, "nothing is made anew"
            page.press("/")
            page.type("fleet-123")
            page.wait("[...document.querySelectorAll('.instance')].filter((e) => e.checkVisibility()).length === 1")
            if SHOTS.is_dir():
                page.run("document.getElementById('filter').value = '';"
                         "document.getElementById('filter').dispatchEvent(new Event('input'))")
                page.screenshot(SHOTS / "fleet.png")
