// The reload: its plan first, then what it brought about.

import { make, openDialog } from './dom.js';
import { feed } from './feed.js';
import { ask, login, problem } from './session.js';
import { Task } from './tasks.js';

/** Shows what the configuration file would change, and applies it when that is wanted. */
export async function reload() {
  if (!await login()) return;
  const body = make('div', { 'aria-live': 'polite' }, make('p', {}, 'Reading the configuration …'));
  const apply = make('button.primary', { type: 'button', disabled: true }, 'Apply');
  const cancel = make('button', { type: 'button', click: () => dialog.close() }, 'Cancel');
  const dialog = openDialog('Reload the configuration', 'narrow', body, make('div.buttons', {}, cancel, apply));
  try {
    const response = await ask('/api/v1/reload?plan=1', { method: 'POST' });
    if (!response.ok) {
      body.replaceChildren(make('p.wrong', {}, 'The configuration cannot be used; what runs goes on.'),
        make('pre', {}, await problem(response)));
      return;
    }
    const plan = await response.json();
    body.replaceChildren(...planView(plan));
    apply.disabled = isEmpty(plan);
    (apply.disabled ? cancel : apply).focus();
  } catch (error) {
    if (error) body.replaceChildren(make('p.wrong', {}, error.message));
    else dialog.close();
    return;
  }
  apply.addEventListener('click', async () => {
    dialog.close();
    const task = new Task('reload');
    task.say('applying …');
    try {
      const response = await ask('/api/v1/reload', { method: 'POST' });
      if (!response.ok) return task.end('bad', await problem(response));
      const report = await response.json();
      if (response.status !== 202) return task.end('good', 'applied: ' + summary(report));
      // A new program takes over: what becomes of it is in its status.
      task.look = () => {
        const last = feed.report.last_reload;
        if (!last || last.number !== report.number || last.outcome === 'running') {
          return task.say('version ' + report.successor + ' takes over …');
        }
        task.end(last.outcome === 'applied' ? 'good' : 'bad', last.outcome + ': ' + last.detail);
      };
    } catch (error) {
      return error ? task.end('bad', error.message) : task.dismiss();
    }
  });
}

// What is done: added, removed, replaced, given new rules; settings of the gateway; a new program.
const isEmpty = (plan) => ![plan.added, plan.removed, plan.changed, plan.adjusted || [], plan.new_gateway || []]
  .some((names) => names.length) && !plan.successor;

const summary = (plan) => [
  [plan.added, 'added'], [plan.changed, 'replaced'], [plan.adjusted || [], 'adjusted'], [plan.removed, 'removed'],
].filter(([names]) => names.length).map(([names, word]) => names.length + ' ' + word).join(', ') || 'no instance changes';

function planView(plan) {
  const rows = [
    ['added', 'Added (started)'], ['changed', 'Replaced (a new server, then the old one ends)'],
    ['adjusted', 'Adjusted (the server stays)'], ['removed', 'Removed (ended)'],
    ['new_gateway', 'The gateway process is replaced for (its streams go on)'],
    ['needs_restart', 'Only by a restart of the daemon'], ['untouched', 'Untouched'],
  ].filter(([key]) => (plan[key] || []).length);
  const named = (name) => name + (plan.reasons?.[name] ? ': ' + plan.reasons[name].join(', ') : '');
  return [
    plan.successor ? make('p', {}, 'Version ' + plan.successor + ' takes over; what runs goes on meanwhile.') : null,
    isEmpty(plan) ? make('p', {}, 'Nothing to apply: what runs is what the configuration says.') : null,
    make('dl.plan', {}, ...rows.flatMap(([key, title]) => [make('dt', {}, title),
      ...plan[key].map((name) => make('dd', {}, named(name)))])),
  ].filter((part) => part);
}
