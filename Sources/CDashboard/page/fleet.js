// The instances: a group a provider, a row an instance, which opens into its detail. What is closed costs nothing.

import { aging, byId, make, reconcile, setClass, setHidden, setSince, setText, Spark } from './dom.js';
import { feed, historyLength, instances, now } from './feed.js';
import { Detail } from './detail.js';
import { groupActions } from './commands.js';
import { count, kindOf, percent, plural, signOf, span } from './words.js';

const shows = {
  all: ['All', () => true],
  problems: ['Problems', (kind) => kind === 'bad'],
  moving: ['On their way', (kind) => kind === 'busy'],
  ready: ['Ready', (kind) => kind === 'good'],
  stopped: ['Stopped', (kind) => kind === 'idle'],
};

class InstanceView {
  constructor(id, page) {
    this.id = id;
    this.page = page;
    this.state = make('span.state');
    this.since = aging((age) => span(age));
    this.reason = make('span.why');
    this.progress = make('progress', { max: 100, 'aria-label': 'Progress of ' + id });
    this.inflight = make('span');
    this.tokens = make('span');
    this.cache = make('span');
    this.spark = new Spark('Tokens/s of ' + id);
    this.body = make('div.detail');
    const cell = (name, className, ...children) => make('span.cell.' + className, {}, ...children,
      make('span.unit', {}, ' ' + name));
    this.element = make('details.instance', { toggle: () => this.toggled() },
      make('summary', {},
        make('span.who', {}, make('span.name', {}, id), this.state, this.since), this.reason, this.progress,
        make('span.cells', {}, cell('in flight', 'flight', this.inflight), cell('tokens/s', 'tokens', this.tokens),
          cell('KV cache', 'cache', this.cache), this.spark.element)),
      this.body);
    this.element.id = 'instance-' + id;
    this.since.classList.add('soft');
  }

  toggled() {
    if (this.element.open && !this.detail) {
      this.detail = new Detail(this.id, this.page);
      this.body.append(this.detail.element);
    }
    if (this.element.open && this.instance) this.detail.update(this.instance, this.provider);
  }

  update(instance, provider) {
    this.instance = instance;
    this.provider = provider;
    const kind = kindOf(instance.state);
    setClass(this.element, 'instance ' + kind);
    setClass(this.state, 'state ' + kind);
    setText(this.state, signOf(kind) + ' ' + instance.state);
    setSince(this.since, Date.parse(instance.since), now());
    setText(this.reason, instance.reason);
    const isLoading = instance.progress_percent !== null && kind === 'busy';
    setHidden(this.progress, !isLoading);
    if (isLoading) this.progress.value = instance.progress_percent;
    const load = instance.load;
    setText(this.inflight, count(instance.inflight));
    setText(this.tokens, load ? count(load.tokens_per_second) : '–');
    setText(this.cache, load ? percent(load.kv_cache_usage) : '–');
    this.spark.show(feed.history.get(this.id)?.tokens_per_second ?? [], historyLength, 1, count);
    if (this.element.open) {
      if (!this.detail) this.toggled();
      this.detail.update(instance, provider);
    }
  }
}

class ProviderView {
  constructor(name, page) {
    this.page = page;
    this.rows = new Map();
    this.kind = make('span.soft');
    this.tally = make('span.tally');
    this.sums = make('span.soft');
    this.actions = make('div.actions');
    this.list = make('div.rows');
    this.element = make('details.provider', { toggle: () => this.toggled() },
      make('summary', {}, make('h3', {}, name), this.tally, this.kind, this.sums), this.actions, this.list);
  }

  toggled() {
    if (this.provider && this.element.open) this.updateRows();
  }

  /** Shows the provider; `fits` chooses its instances, `isChosen` says that only some of all are wanted. */
  update(provider, fits, isChosen) {
    this.fits = fits;
    if (!this.isPlaced && provider.instances.length) {
      this.isPlaced = true;
      // A small fleet is open, a large one is folded up to what is wrong in it.
      this.element.open = this.page.isSmall || provider.instances.some((one) => kindOf(one.state) === 'bad');
    }
    this.provider = provider;
    const shown = provider.instances.filter((instance) => fits(instance, provider));
    setHidden(this.element, isChosen && !shown.length);
    // A choice opens the groups that it is in, and closes those that it opened.
    if (isChosen && shown.length && !this.element.open) this.element.open = this.isOpened = true;
    if (!isChosen && this.isOpened) this.element.open = this.isOpened = false;
    this.shown = shown;
    const ready = provider.instances.filter((instance) => instance.state === 'ready').length;
    const tally = new Map();
    for (const { state } of provider.instances) tally.set(state, (tally.get(state) || 0) + 1);
    tally.delete('ready');
    const words = [ready + ' of ' + provider.instances.length + ' ready', ...[...tally].map(([state, n]) =>
      n + ' ' + state)].join(' · ');
    setText(this.tally, words);
    setClass(this.tally, 'tally ' + (provider.instances.some((one) => kindOf(one.state) === 'bad') ? 'bad'
      : ready === provider.instances.length ? 'good' : 'busy'));
    setText(this.kind, provider.kind + (provider.model ? ' · ' + provider.model : ''));
    const sum = (value) => provider.instances.reduce((total, one) => total + value(one), 0);
    setText(this.sums, provider.instances.length < 2 ? '' : count(sum((one) => one.inflight)) + ' in flight · '
      + count(sum((one) => one.load?.tokens_per_second ?? 0)) + ' tokens/s');
    if (this.element.open) this.updateRows();
  }

  updateRows() {
    const { provider } = this;
    groupActions(this.actions, provider);
    reconcile(this.list, this.rows, this.shown.map((instance) => instance.id), (id) => new InstanceView(id, this.page));
    for (const instance of this.shown) this.rows.get(instance.id).update(instance, provider);
  }
}

export class Fleet {
  constructor() {
    this.providers = new Map();
    this.choice = 'all';
    this.tallies = {};
    for (const [key, [name]] of Object.entries(shows)) {
      const input = make('input', { type: 'radio', name: 'kind', value: key, change: () => this.choose(key) });
      input.checked = key === 'all';
      this.tallies[key] = make('span.soft');
      byId('kinds').append(make('label', {}, input, make('span', {}, name + ' ', this.tallies[key])));
    }
    byId('filter').addEventListener('input', () => this.update());
  }

  /** Shows the instances of one kind only. */
  choose(key) {
    this.choice = key;
    document.querySelector('#kinds input[value=' + key + ']').checked = true;
    this.update();
  }

  /** Opens an instance and goes there. */
  show(id) {
    const provider = feed.report.providers.find((one) => one.instances.some((instance) => instance.id === id));
    if (!provider) return;
    byId('filter').value = '';
    this.choose('all');
    this.providers.get(provider.name).element.open = true;
    this.update();
    const element = byId('instance-' + id);
    element.open = true;
    element.scrollIntoView({ block: 'start' });
    element.querySelector('summary').focus({ preventScroll: true });
  }

  update() {
    const { report } = feed;
    if (!report) return;
    const all = [...instances()];
    this.isSmall = Math.max(all.length, report.providers.length) <= 24;
    const words = byId('filter').value.toLowerCase().split(/\s+/).filter((word) => word);
    const fits = (instance, provider) => {
      if (!shows[this.choice][1](kindOf(instance.state))) return false;
      if (!words.length) return true;
      const text = [instance.id, instance.state, instance.reason, provider.name, provider.model || '',
        ...instance.models, ...instance.gpus.map((gpu) => 'gpu ' + gpu)].join(' ').toLowerCase();
      return words.every((word) => text.includes(word));
    };
    for (const key of Object.keys(shows)) {
      setText(this.tallies[key], String(all.filter(([one]) => shows[key][1](kindOf(one.state))).length));
    }
    const isChosen = this.choice !== 'all' || words.length > 0;
    reconcile(byId('providers'), this.providers, report.providers.map((provider) => provider.name),
      (name) => new ProviderView(name, this));
    for (const provider of report.providers) this.providers.get(provider.name).update(provider, fits, isChosen);
    const shown = isChosen ? all.filter(([one, provider]) => fits(one, provider)).length : all.length;
    setHidden(byId('nothing'), shown > 0);
    setText(byId('nothing'), all.length ? 'None of ' + plural(all.length, 'instance') + ' fits.'
      : 'Nothing is configured: name a model or a base_url under providers: in the configuration file, or run '
        + '“stoker attach NAME URL”.');
  }
}
