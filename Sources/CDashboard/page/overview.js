// The top of the page: is it serving, which models, what is wrong and since when.

import { aging, byId, make, reconcile, setAttribute, setClass, setHidden, setSince, setText, Spark } from './dom.js';
import { feed, historyLength, instances, now } from './feed.js';
import { clock, count, gibibytes, kindOf, latency, listed, percent, plural, signOf, span } from './words.js';

/** How many problems are listed before the rest is only counted. */
const mostProblems = 8;

/** What is wrong, the worst first: {key, kind, title, since, reason, hint, instance}. */
function problems() {
  const { gateway, gpus, notices } = feed.report;
  const found = notices.map((notice) => ({ key: 'notice ' + notice, kind: 'busy', title: 'Notice', reason: notice }));
  if (gateway.pid === null) {
    found.push({ key: 'gateway', kind: 'bad', title: 'Gateway', reason: 'is being started again; clients wait' });
  }
  for (const [instance] of instances()) {
    const since = Date.parse(instance.since);
    // An attached server that is out of reach for so long is not about to come.
    const isAbsent = instance.state === 'connecting' && now() - since > 30000;
    if (kindOf(instance.state) !== 'bad' && !isAbsent) continue;
    found.push({
      key: instance.id, kind: 'bad', title: instance.id, state: instance.state, since,
      reason: instance.reason, hint: instance.last_failure?.hint, instance: instance.id,
    });
  }
  for (const gpu of gpus || []) {
    // Some megabytes are a desktop's or a monitor's; what is more stands in the way of a start.
    if (gpu.memory_foreign_bytes > 2 ** 30) {
      found.push({
        key: 'gpu ' + gpu.index, kind: 'busy', title: 'GPU ' + gpu.index,
        reason: gibibytes(gpu.memory_foreign_bytes) + ' GiB are held by processes that are not Stoker\'s',
      });
    }
  }
  return found.sort((a, b) => (a.kind === 'bad' ? 0 : 1) - (b.kind === 'bad' ? 0 : 1));
}

function verdict(wrong) {
  const { report } = feed;
  const isComing = [...instances()].some(([instance]) => kindOf(instance.state) === 'busy');
  if (report.gateway.pid === null) return ['bad', 'The gateway is being started again'];
  if (report.ready) return wrong.length ? ['busy', 'Serving, with problems'] : ['good', 'Serving'];
  if (![...instances()].length) return ['idle', 'Nothing is configured'];
  return isComing ? ['busy', 'Not serving yet'] : ['bad', 'Not serving'];
}

class ProblemView {
  constructor(problem, show) {
    this.title = make('strong');
    this.since = aging((age) => 'for ' + span(age));
    this.since.classList.add('soft');
    this.reason = make('span.why');
    this.hint = make('p.hint');
    const name = problem.instance
      ? make('button.link', { type: 'button', click: () => show(problem.instance) }, this.title) : this.title;
    this.element = make('li', {}, make('div.row', {}, name, this.since, this.reason), this.hint);
  }

  update(problem) {
    setClass(this.element, 'problem ' + problem.kind);
    setText(this.title, signOf(problem.kind) + ' ' + problem.title + (problem.state ? ' ' + problem.state : ''));
    if (problem.since !== undefined) setSince(this.since, problem.since, now());
    setText(this.reason, problem.reason);
    setText(this.hint, problem.hint || '');
    setHidden(this.hint, !problem.hint);
  }
}

class NumberView {
  constructor(name, withSpark) {
    this.value = make('dd');
    this.spark = withSpark ? new Spark(name) : null;
    this.element = make('div', {}, make('dt', {}, name), this.value, this.spark ? this.spark.element : null);
  }

  update(text, values, say) {
    setText(this.value, text);
    if (this.spark) this.spark.show(values, historyLength, 1, say);
  }
}

class ModelView {
  constructor(id, tryModel) {
    this.sign = make('span.sign', { 'aria-hidden': 'true' });
    this.detail = make('span.soft');
    this.attempt = make('button.small', {
      type: 'button', 'aria-label': 'Try ' + id, click: () => tryModel(id),
    }, 'Try');
    this.element = make('li', {}, this.sign, make('span.what', {}, make('code', {}, id), ' ', this.detail), this.attempt);
  }

  update(model) {
    const kind = model.ready ? (model.ready < model.all ? 'busy' : 'good') : model.kind;
    setClass(this.element, kind);
    setText(this.sign, signOf(kind));
    setText(this.detail, (model.all === 1 ? model.states : model.ready + ' of ' + model.all + ' ready'
      + (model.states ? ' · ' + model.states : '')) + ' · ' + listed([...model.providers]));
    setHidden(this.attempt, !model.ready);
  }
}

/** Models by id: how many instances have it, and how many of them serve. */
function models() {
  const found = new Map();
  const isKnown = new Map();
  for (const [instance, provider] of instances()) {
    // What is not up does not say what it serves: its provider's others do, else the configuration.
    const known = provider.instances.find((other) => other.models.length);
    if (!isKnown.has(provider)) {
      isKnown.set(provider, known ? known.models : provider.model ? [provider.model] : []);
    }
    for (const id of instance.models.length ? instance.models : isKnown.get(provider)) {
      const model = found.get(id) || { ready: 0, all: 0, kind: 'idle', tally: new Map(), providers: new Set() };
      found.set(id, model);
      model.all += 1;
      model.providers.add(provider.name);
      if (instance.state === 'ready') model.ready += 1;
      const kind = kindOf(instance.state);
      if (kind === 'busy' || (kind === 'bad' && model.kind === 'idle')) model.kind = kind;
      const word = instance.state + (instance.progress_percent !== null ? ' ' + instance.progress_percent + ' %' : '');
      model.tally.set(word, (model.tally.get(word) || 0) + 1);
    }
  }
  for (const model of found.values()) {
    model.states = model.all === 1 ? [...model.tally.keys()][0]
      : [...model.tally].filter(([word]) => word !== 'ready').map(([word, n]) => n + ' ' + word).join(', ');
  }
  return found;
}

class GPUView {
  constructor() {
    this.name = make('span');
    this.bar = make('meter', { min: 0, max: 1, low: 0.9, high: 0.97, optimum: 0 });
    this.memory = make('span.soft');
    this.element = make('li', {}, this.name, this.bar, this.memory);
  }

  update(gpu, users) {
    const ratio = gpu.memory_total_bytes ? gpu.memory_used_bytes / gpu.memory_total_bytes : 0;
    setText(this.name, gpu.index + ' · ' + gpu.name + (users.length ? ' · ' + listed(users) : ''));
    this.bar.value = ratio;
    setAttribute(this.bar, 'aria-label', 'Memory of GPU ' + gpu.index);
    setText(this.memory, gibibytes(gpu.memory_used_bytes) + ' of ' + gibibytes(gpu.memory_total_bytes) + ' GiB'
      + (gpu.utilization === null ? '' : ' · ' + percent(gpu.utilization) + ' busy'));
  }
}

/** Whether a GPU of the report is one that an instance names. */
export const isGPU = (gpu, name) => name === String(gpu.index) || name === gpu.uuid;

export class Overview {
  constructor({ show, showProblems, tryModel }) {
    this.show = show;
    this.showProblems = showProblems;
    this.tryModel = tryModel;
    this.problems = new Map();
    this.models = new Map();
    this.gpus = new Map();
    this.more = make('li');
    this.since = aging((age) => (feed.report.ready ? '(ready for ' : '(not ready for ') + span(age) + ')');
    byId('verdict-since').append(this.since);
    this.numbers = {
      inflight: new NumberView('In flight', true), requests: new NumberView('Requests/s', true),
      tokens: new NumberView('Tokens/s', true), waiting: new NumberView('Waiting', true),
      first: new NumberView('First token p50/p99', false), total: new NumberView('Requests answered', false),
    };
    byId('numbers').append(...Object.values(this.numbers).map((view) => view.element));
  }

  update() {
    const { report } = feed;
    const wrong = problems();
    const [kind, word] = feed.isLost ? ['idle', 'Not known at the moment'] : verdict(wrong);
    document.title = (kind === 'good' ? '' : kind === 'bad' ? '▲ ' : '◐ ') + word + ' · Stoker';
    setClass(byId('verdict'), 'verdict ' + kind);
    setText(byId('verdict-word'), signOf(kind) + ' ' + word);
    setText(byId('verdict-reason'), (feed.isLost ? 'The daemon does not answer. At ' + clock(feed.receivedAt) + ': ' : '')
      + report.ready_reason);
    if (report.ready_since) setSince(this.since, Date.parse(report.ready_since), now());
    setText(byId('version'), report.version + (report.mode === 'supervise' ? '' : ' · ' + report.mode));
    this.updateProblems(wrong);
    this.updateNumbers();
    this.updateModels();
    this.updateGPUs();
    const gateway = report.gateway;
    setText(byId('gateway-line'), 'Gateway ' + (gateway.pid ? 'pid ' + gateway.pid : 'down') + ', listens on '
      + (gateway.listen.join(', ') || 'nothing') + ', ' + plural(gateway.restarts, 'restart') + ' · daemon up '
      + span(report.uptime_seconds));
  }

  updateProblems(wrong) {
    setHidden(byId('problems'), !wrong.length);
    const shown = wrong.slice(0, mostProblems);
    const list = byId('problem-list');
    this.more.remove();
    reconcile(list, this.problems, shown.map((problem) => problem.key),
      (key) => new ProblemView(shown.find((problem) => problem.key === key), this.show));
    for (const problem of shown) this.problems.get(problem.key).update(problem);
    if (wrong.length > shown.length) {
      this.more.replaceChildren(make('button.link', { type: 'button', click: this.showProblems },
        'and ' + (wrong.length - shown.length) + ' more: show all of them'));
      list.append(this.more);
    }
  }

  updateNumbers() {
    const { report, gateway, history } = feed;
    const all = [...instances()].map(([instance]) => instance);
    const loads = all.map((instance) => instance.load).filter((load) => load);
    const sum = (name) => loads.reduce((total, load) => total + load[name], 0);
    const series = (name) => {
      const total = [];
      for (const past of history.values()) {
        const offset = historyLength - past[name].length;
        past[name].forEach((value, index) => {
          if (value !== null) total[offset + index] = (total[offset + index] || 0) + value;
        });
      }
      return Array.from({ length: historyLength }, (_, index) => total[index] ?? null);
    };
    const rate = gateway.requests_per_second.at(-1);
    this.numbers.inflight.update(count(report.gateway.inflight), gateway.inflight, count);
    this.numbers.requests.update(rate === null || rate === undefined ? '–' : count(rate),
      gateway.requests_per_second, count);
    this.numbers.tokens.update(count(sum('tokens_per_second')), series('tokens_per_second'), count);
    this.numbers.waiting.update(count(sum('waiting')), series('waiting'), count);
    this.numbers.total.update(report.gateway.requests_total.toLocaleString('en'));
    const slowest = (name) => Math.max(...loads.map((load) => load[name] ?? -1));
    this.numbers.first.update(slowest('ttft_p50_seconds') < 0 ? '–'
      : latency(slowest('ttft_p50_seconds')) + ' / ' + latency(slowest('ttft_p99_seconds')));
    setAttribute(this.numbers.first.element, 'title', 'Of the instance where it takes longest, over the last minutes');
  }

  updateModels() {
    const found = models();
    const ids = [...found.keys()].sort();
    reconcile(byId('models'), this.models, ids, (id) => new ModelView(id, this.tryModel));
    for (const id of ids) this.models.get(id).update(found.get(id));
  }

  updateGPUs() {
    const gpus = feed.report.gpus || [];
    setHidden(byId('gpu-section'), !gpus.length);
    reconcile(byId('gpus'), this.gpus, gpus.map((gpu) => gpu.uuid), () => new GPUView());
    for (const gpu of gpus) {
      const users = [...instances()].filter(([instance]) => instance.gpus.some((name) => isGPU(gpu, name)))
        .map(([instance]) => instance.id);
      this.gpus.get(gpu.uuid).update(gpu, users);
    }
  }

  /** What the connection is worth; said where readers hear it. */
  static updateConnection() {
    const { report, isLost, receivedAt } = feed;
    document.body.classList.toggle('lost', isLost);
    setClass(byId('connection'), isLost ? 'lost' : '');
    setText(byId('connection'), !isLost ? (report ? 'live' : 'connecting …')
      : report ? 'connection lost, showing the state of ' + clock(receivedAt) : 'the daemon does not answer');
  }
}
