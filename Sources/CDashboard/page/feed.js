// What the daemon says: reports by server-sent events, else by asking; the last minutes; the events.

/** How many samples the last minutes are. */
export const historyLength = 120;

export const feed = {
  /** The newest report; null before the first. */
  report: null,
  /** When it came, by this machine's clock. */
  receivedAt: 0,
  /** From this machine's clock to the daemon's, in milliseconds. */
  skew: 0,
  /** Whether the daemon is out of reach. */
  isLost: false,
  /** The last minutes by instance, and those of the gateway. */
  history: new Map(),
  gateway: { inflight: [], requests_per_second: [] },
  /** Events, the oldest first. */
  events: [],
};

const followers = [];
let isScheduled = false;

/** Calls back after every change, once a frame at most and not while nobody looks. */
export function follow(callback) { followers.push(callback); }

/** The daemon's clock, in milliseconds. */
export const now = () => Date.now() + feed.skew;

function changed() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    for (const follower of followers) follower();
  });
}

/** Every instance of the report with its provider. */
export function* instances() {
  for (const provider of feed.report ? feed.report.providers : []) {
    for (const instance of provider.instances) yield [instance, provider];
  }
}

function take(text) {
  const report = JSON.parse(text);
  if (feed.report && report.uptime_seconds < feed.report.uptime_seconds) {
    // Another daemon: it counts its events anew.
    feed.events = [];
    feed.isLost = true;
  }
  // Another version has another page.
  if (feed.report && report.version !== feed.report.version) location.reload();
  feed.report = report;
  feed.receivedAt = Date.now();
  if (report.time) feed.skew = Date.parse(report.time) - Date.now();
  if (feed.isLost) loadHistory();
  feed.isLost = false;
  if ((report.last_event || 0) > (feed.events.at(-1)?.number ?? 0)) loadEvents();
  changed();
}

function lose() {
  if (feed.isLost) return;
  feed.isLost = true;
  changed();
}

async function getJSON(path) {
  const response = await fetch(path, { cache: 'no-store' });
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(path + ' answered ' + response.status);
  return response.json();
}

async function loadHistory() {
  try {
    const history = await getJSON('/api/v1/history');
    feed.history = new Map(Object.entries(history.instances));
    feed.gateway = history.gateway;
    changed();
  } catch { /* It is asked for again when the connection is. */ }
}

let isLoadingEvents = false;
async function loadEvents() {
  if (isLoadingEvents) return;
  isLoadingEvents = true;
  try {
    const last = feed.events.at(-1)?.number ?? 0;
    const { events } = await getJSON('/api/v1/timeline?after=' + last);
    if ((feed.events.at(-1)?.number ?? 0) === last) feed.events = feed.events.concat(events).slice(-500);
    changed();
  } catch { /* The next report asks again. */ } finally { isLoadingEvents = false; }
}

// The last minutes go on from the reports themselves.
const names = ['inflight', 'waiting', 'tokens_per_second', 'kv_cache_usage'];
let answered = null;
function sample() {
  if (!feed.report || feed.isLost) return;
  const seen = new Set();
  for (const [instance] of instances()) {
    seen.add(instance.id);
    let past = feed.history.get(instance.id);
    if (!past) feed.history.set(instance.id, past = Object.fromEntries(names.map((name) => [name, []])));
    for (const name of names) {
      push(past[name], name === 'inflight' ? instance.inflight : instance.load ? instance.load[name] : null);
    }
  }
  for (const id of feed.history.keys()) if (!seen.has(id)) feed.history.delete(id);
  push(feed.gateway.inflight, feed.report.gateway.inflight);
  const total = feed.report.gateway.requests_total;
  push(feed.gateway.requests_per_second, answered === null ? null : Math.max(0, total - answered) / 5);
  answered = total;
  changed();
}

function push(values, value) {
  values.push(value);
  if (values.length > historyLength) values.shift();
}

async function poll() {
  try {
    const response = await fetch('/api/v1/status', { cache: 'no-store' });
    if (response.status === 401) return location.reload();
    if (!response.ok) throw new Error(String(response.status));
    take(await response.text());
  } catch { lose(); }
}

function listen() {
  const source = new EventSource('/api/v1/events');
  let polling = null;
  source.addEventListener('status', (event) => {
    clearInterval(polling);
    polling = null;
    take(event.data);
  });
  source.onerror = () => {
    // The browser tries again by itself unless it has given up; asking bridges both.
    if (polling === null) {
      polling = setInterval(poll, 2000);
      poll();
    }
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => { clearInterval(polling); listen(); }, 5000);
    }
  };
}

/** Begins. */
export function start() {
  listen();
  loadHistory();
  setInterval(sample, 5000);
  // The daemon says something every two seconds, every few where the fleet is large; a longer silence is a loss,
  // whatever the connection thinks of itself.
  setInterval(() => { if (feed.report && Date.now() - feed.receivedAt > 10000) lose(); }, 1000);
}
