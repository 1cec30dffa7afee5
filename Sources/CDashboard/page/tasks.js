// What was asked for, and what becomes of it.

import { byId, make, setText } from './dom.js';
import { follow, instances } from './feed.js';
import { ask, problem } from './session.js';
import { span } from './words.js';

const tasks = new Set();

/** A line that says what becomes of something that was asked for. */
export class Task {
  constructor(title) {
    this.began = Date.now();
    this.text = make('span');
    this.sign = make('strong', {}, title);
    this.element = make('div.task', {}, this.sign, this.text,
      make('button.close', { type: 'button', 'aria-label': 'Dismiss', click: () => this.dismiss() }, '✕'));
    byId('tasks').append(this.element);
    tasks.add(this);
  }

  say(text) { setText(this.text, ' ' + text); }

  end(kind, text) {
    this.look = null;
    this.element.classList.add(kind);
    this.say(text);
    if (kind === 'good') setTimeout(() => this.dismiss(), 8000);
  }

  dismiss() {
    tasks.delete(this);
    this.element.remove();
  }
}

// What counts as the end of a command, by what the instance was before: true when done, a sentence when it failed.
const ends = {
  start: (now, before) => now.state === 'ready' || failed(now, before),
  stop: (now) => now.state === 'stopped',
  restart: (now, before) => now.run > before.run && (now.state === 'ready' || failed(now, before)),
  drain: (now) => now.state === 'draining' && now.inflight === 0,
  undrain: (now, before) => now.state === 'ready' || failed(now, before),
};
const failed = (now, before) => ['failed', 'quarantined', 'misconfigured'].includes(now.state)
  && now.since !== before.since && (now.last_failure?.detail || now.reason);

/** Sends a command to an instance or a provider and follows what becomes of it. */
export async function perform(command, name, targets) {
  const task = new Task(command + ' ' + name);
  task.say('asking …');
  const before = new Map(targets.map((instance) => [instance.id, { ...instance }]));
  try {
    const response = await ask('/api/v1/instances/' + encodeURIComponent(name) + '/' + command + '?wait=0',
      { method: 'POST' });
    if (!response.ok) return task.end('bad', await problem(response));
    if (response.status === 200) return task.end('good', 'done');
  } catch (error) {
    return error ? task.end('bad', error.message) : task.dismiss();
  }
  task.look = () => {
    const present = [...instances()].map(([instance]) => instance).filter((instance) => before.has(instance.id));
    const outcomes = present.map((instance) => ends[command](instance, before.get(instance.id)));
    const wrong = outcomes.find((outcome) => typeof outcome === 'string');
    if (wrong && outcomes.every((outcome) => outcome)) return task.end('bad', 'failed: ' + wrong);
    if (outcomes.every((outcome) => outcome === true)) {
      return task.end('good', 'done after ' + span((Date.now() - task.began) / 1000));
    }
    const open = present.filter((_, index) => outcomes[index] !== true);
    const first = open[0];
    task.say((present.length > 1 ? (present.length - open.length) + ' of ' + present.length + ' done; ' : '')
      + first.id + ' ' + first.state + (first.progress_percent === null ? '' : ' ' + first.progress_percent + ' %')
      + (first.inflight && command !== 'start' ? ', ' + first.inflight + ' in flight' : '')
      + ', since ' + span((Date.now() - task.began) / 1000));
  };
  task.look();
}

follow(() => {
  for (const task of tasks) task.look?.();
});
