// One instance in full: why, witnesses, numbers of the last minutes, the last failure, what can be done.

import { aging, make, reconcile, setAttribute, setClass, setHidden, setSince, setText, Spark } from './dom.js';
import { feed, historyLength, now } from './feed.js';
import { instanceActions } from './commands.js';
import { isGPU } from './overview.js';
import { clock, count, gibibytes, kindOf, latency, percent, plural, span } from './words.js';

class CheckView {
  constructor(signal) {
    this.word = make('td');
    this.age = aging((age) => span(age >= 60 ? Math.floor(age / 60) * 60 : age) + ' ago');
    this.detail = make('td.why');
    this.element = make('tr', {}, make('th', { scope: 'row' }, signal), this.word,
      make('td.soft', {}, this.age), this.detail);
  }

  update(check) {
    setText(this.word, check.ok ? '✓ ok' : '✗ no');
    setClass(this.word, check.ok ? 'good' : 'bad');
    setSince(this.age, feed.receivedAt + feed.skew - check.age_seconds * 1000, now());
    setText(this.detail, check.detail);
  }
}

class Gauge {
  constructor(name, series, most, say) {
    this.series = series;
    this.most = most;
    this.say = say;
    this.value = make('dd');
    this.spark = series ? new Spark(name) : null;
    this.element = make('div', {}, make('dt', {}, name), this.value, this.spark ? this.spark.element : null);
  }

  update(text, past) {
    setText(this.value, text);
    if (this.spark) this.spark.show(past?.[this.series] ?? [], historyLength, this.most, this.say);
  }
}

/** A failure as it was; made anew only when it is another one, so that whoever copies lines keeps them. */
function failureView(last, isNow) {
  const at = Date.parse(last.at);
  const since = aging((age) => span(age) + ' ago');
  setSince(since, at, now());
  return make('section.failure' + (isNow ? '.now' : ''), { 'aria-label': 'Last failure' },
    make('h4', {}, (isNow ? 'Failed: ' : 'Last failure: ') + last.kind),
    make('p', {}, last.detail + ', ', make('span.soft', {}, clock(at) + ', ', since)),
    last.hint ? make('p.hint', {}, make('strong', {}, 'What to do: '), last.hint) : null,
    last.log_tail.length ? make('pre', { tabindex: '0', 'aria-label': 'Log lines that explain it' },
      last.log_tail.join('\n')) : null);
}

export class Detail {
  constructor(id) {
    this.checks = new Map();
    this.actions = make('div.actions', { 'aria-label': 'Actions on ' + id });
    this.estimate = make('p.estimate');
    this.models = make('p.models-of');
    this.others = make('p.estimate');
    this.gauges = {
      inflight: new Gauge('In flight', 'inflight', 1, count), waiting: new Gauge('Waiting', 'waiting', 1, count),
      tokens: new Gauge('Tokens/s', 'tokens_per_second', 1, count),
      cache: new Gauge('KV cache', 'kv_cache_usage', 1, percent),
      prefix: new Gauge('Prefix cache hits'), first: new Gauge('First token p50/p99'),
      memory: new Gauge('GPU memory'), use: new Gauge('GPU use'), restarts: new Gauge('Restarts'),
    };
    this.body = make('tbody');
    this.facts = make('p.soft.facts');
    this.failure = make('div');
    this.table = make('table.checks', {},
      make('caption', {}, 'Witnesses'), this.body);
    this.element = make('div', {}, this.actions, this.estimate, this.others, this.models,
      make('dl.gauges', {}, ...Object.values(this.gauges).map((gauge) => gauge.element)), this.table, this.failure,
      this.facts);
  }

  update(instance, provider) {
    instanceActions(this.actions, instance, provider);
    this.updateEstimate(instance);
    setText(this.models, instance.models.length ? 'Serves ' + instance.models.join(', ') : '');
    const others = (instance.other_runs || []).map((run) => 'run ' + run.run + ' ' + run.state
      + (run.progress_percent === null ? '' : ' ' + run.progress_percent + ' %')
      + (run.inflight ? ', ' + run.inflight + ' in flight' : '') + ': ' + run.reason);
    setText(this.others, others.length ? 'Being replaced, beside it ' + others.join('; ') : '');
    setHidden(this.others, !others.length);
    this.updateGauges(instance, provider);
    reconcile(this.body, this.checks, instance.checks.map((check) => check.signal), (name) => new CheckView(name));
    for (const check of instance.checks) this.checks.get(check.signal).update(check);
    setHidden(this.table, !instance.checks.length);
    const last = instance.last_failure;
    const isNow = kindOf(instance.state) === 'bad';
    const key = last ? last.at + last.kind + isNow : '';
    if (key !== this.failureKey) {
      this.failureKey = key;
      this.failure.replaceChildren(...(last ? [failureView(last, isNow)] : []));
    }
    setText(this.facts, [
      'run ' + instance.run, instance.pid ? 'pid ' + instance.pid : null, instance.endpoint,
      instance.gpus.length ? plural(instance.gpus.length, 'GPU') + ': ' + instance.gpus.join(', ') : null,
    ].filter((fact) => fact).join(' · '));
  }

  updateEstimate(instance) {
    const isLoading = ['starting', 'loading', 'warming'].includes(instance.state);
    setHidden(this.estimate, !isLoading);
    if (!isLoading) return;
    const words = [];
    if (instance.phase) words.push('Phase: ' + instance.phase);
    if (instance.progress_percent !== null) words.push(instance.progress_percent + ' %');
    const expected = instance.expected_ready;
    if (expected) {
      const left = (Date.parse(expected.at) - now()) / 1000;
      words.push((left > 0 ? 'about ' + span(left) + ' left' : span(-left) + ' longer than usual')
        + ' (' + span(expected.seconds) + ' by ' + plural(expected.loads, 'earlier load') + ')');
    } else {
      words.push('no earlier load to compare with');
    }
    setText(this.estimate, words.join(' · '));
  }

  updateGauges(instance, provider) {
    const past = feed.history.get(instance.id);
    const load = instance.load;
    const known = (value, say) => value === null || value === undefined ? '–' : say(value);
    const { gauges } = this;
    gauges.inflight.update(count(instance.inflight), past);
    gauges.waiting.update(load ? count(load.waiting) : '–', past);
    gauges.tokens.update(load ? count(load.tokens_per_second) : '–', past);
    gauges.cache.update(load ? percent(load.kv_cache_usage) : '–', past);
    gauges.prefix.update(known(load?.prefix_cache_hit_rate, percent));
    gauges.first.update(known(load?.ttft_p50_seconds, latency) + ' / ' + known(load?.ttft_p99_seconds, latency));
    // Nothing is known of what does not run: dashes would only fill the page.
    for (const gauge of [gauges.inflight, gauges.waiting, gauges.tokens, gauges.cache, gauges.prefix, gauges.first]) {
      setHidden(gauge.element, !load && !instance.inflight);
    }
    gauges.restarts.update(String(instance.restarts));
    setHidden(gauges.restarts.element, provider.kind !== 'launched');
    const gpus = (feed.report.gpus || []).filter((gpu) => instance.gpus.some((name) => isGPU(gpu, name)));
    setHidden(gauges.memory.element, !gpus.length);
    setHidden(gauges.use.element, !gpus.length);
    if (!gpus.length) return;
    const sum = (key) => gpus.reduce((total, gpu) => total + gpu[key], 0);
    gauges.memory.update(gibibytes(sum('memory_used_bytes')) + ' of ' + gibibytes(sum('memory_total_bytes')) + ' GiB');
    const busy = gpus.map((gpu) => gpu.utilization).filter((value) => value !== null);
    gauges.use.update(busy.length ? percent(busy.reduce((a, b) => a + b) / busy.length) : '–');
    setAttribute(gauges.memory.element, 'title', gpus.map((gpu) => 'GPU ' + gpu.index + ': ' + gpu.name).join(', '));
  }
}
