// The buttons of instances and providers, with confirmation where they hurt.

import { make, openDialog } from './dom.js';
import { feed, instances } from './feed.js';
import { openLog } from './logs.js';
import { login } from './session.js';
import { perform } from './tasks.js';
import { openTry } from './try.js';
import { plural } from './words.js';

const hurts = {
  stop: 'It is drained and then ended, and stays stopped until somebody starts it.',
  restart: 'It is drained, ended and started again; loading can take minutes.',
  drain: 'It gets no new requests; those in flight finish. Its process stays.',
};

/** What the clients will notice, as sentences. */
function consequences(command, targets, provider) {
  const ids = new Set(targets.map((instance) => instance.id));
  const inflight = targets.reduce((total, instance) => total + instance.inflight, 0);
  const lines = [hurts[command]];
  if (inflight) lines.push(plural(inflight, 'request') + ' in flight ' + (inflight === 1 ? 'is' : 'are')
    + ' given time to finish; what does not is cut off.');
  const models = new Set(targets.flatMap((instance) => instance.published ? instance.models : []));
  const others = new Set([...instances()].filter(([one]) => one.published && !ids.has(one.id))
    .flatMap(([one]) => one.models));
  const gone = [...models].filter((model) => !others.has(model));
  if (gone.length) lines.push('Nobody else serves ' + gone.join(', ') + ': requests for that are answered 503 meanwhile.');
  return [lines, gone.length > 0];
}

async function command(name, verb, targets, provider) {
  if (!await login()) return;
  if (hurts[verb] && targets.some((instance) => instance.state !== 'stopped')) {
    const [lines, isGrave] = consequences(verb, targets, provider);
    if (!await confirm(verb[0].toUpperCase() + verb.slice(1) + ' ' + name + '?', lines, verb, isGrave)) return;
  }
  perform(verb, name, targets);
}

function confirm(title, lines, verb, isGrave) {
  return new Promise((resolve) => {
    let isConfirmed = false;
    const cancel = make('button', { type: 'button', click: () => dialog.close() }, 'Cancel');
    const dialog = openDialog(title, 'narrow', ...lines.map((line) => make('p', {}, line)),
      make('div.buttons', {}, cancel, make('button.' + (isGrave ? 'danger' : 'primary'), {
        type: 'button', click: () => {
          isConfirmed = true;
          dialog.close();
        },
      }, verb[0].toUpperCase() + verb.slice(1))));
    dialog.addEventListener('close', () => resolve(isConfirmed));
    cancel.focus();
  });
}

/** The commands that make sense in a state. */
export function actionsFor(instance, provider) {
  const isHeld = instance.state === 'draining';
  if (provider.kind === 'attached') return isHeld ? ['undrain'] : ['drain'];
  switch (instance.state) {
    case 'stopped': case 'failed': return ['start'];
    case 'backoff': return ['start', 'stop'];
    case 'ready': case 'unhealthy': return ['drain', 'restart', 'stop'];
    case 'draining': return ['undrain', 'restart', 'stop'];
    case 'stopping': return [];
    default: return ['restart', 'stop'];
  }
}

const button = (verb, name, press) => make('button.' + (verb === 'stop' ? 'warns' : 'small'), {
  type: 'button', 'aria-label': verb + ' ' + name, click: press,
}, verb[0].toUpperCase() + verb.slice(1));

/** Fills a row of buttons for an instance; it is made anew only when the choice changes. */
export function instanceActions(element, instance, provider) {
  const verbs = actionsFor(instance, provider);
  const key = verbs.join() + provider.kind + instance.published + instance.models[0];
  if (element.key === key) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.textContent : null;
  element.key = key;
  const find = () => [...instances()].find(([one]) => one.id === instance.id);
  element.replaceChildren(...verbs.map((verb) => button(verb, instance.id, () => {
    const found = find();
    if (found) command(instance.id, verb, [found[0]], found[1]);
  })));
  if (provider.kind === 'launched') {
    element.append(make('button.small', { type: 'button', click: () => openLog(instance.id) }, 'Log'));
  }
  if (instance.published && instance.models.length) {
    element.append(make('button.small', {
      type: 'button', click: () => openTry(instance.id + '/' + instance.models[0]),
    }, 'Try'));
  }
  if (focused) [...element.children].find((one) => one.textContent === focused)?.focus();
}

/** Fills a row of buttons for all instances of a provider. */
export function groupActions(element, provider) {
  const verbs = provider.instances.length < 2 ? [] : [...new Set(provider.instances.flatMap((instance) =>
    actionsFor(instance, provider)))].sort();
  const key = verbs.join();
  if (element.key === key) return;
  element.key = key;
  element.replaceChildren(...(verbs.length ? [make('span.soft', {}, 'All of ' + provider.name + ': ')] : []),
    ...verbs.map((verb) => button(verb, 'all of ' + provider.name, () => {
      const present = feed.report.providers.find((one) => one.name === provider.name);
      if (present) command(provider.name, verb, present.instances, present);
    })));
}
