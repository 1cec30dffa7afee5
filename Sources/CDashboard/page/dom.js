// Elements. Text from the daemon, an engine's log above all, is only ever put in as text.

/** An element: `tag.class.class`, attributes by name (functions are listeners), children as text or elements. */
export function make(tag, attributes, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

// What is the same already is left alone: selections, readers and the layout stay as they are.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

export function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Makes a list's children those of the keys, in their order: known ones are kept, new ones made, others removed. */
export function reconcile(parent, known, keys, create) {
  const wanted = new Set(keys);
  for (const [key, view] of known) {
    if (!wanted.has(key)) {
      view.element.remove();
      known.delete(key);
    }
  }
  let place = parent.firstElementChild;
  for (const key of keys) {
    let view = known.get(key);
    if (!view) known.set(key, view = create(key));
    if (view.element === place) place = place.nextElementSibling;
    else parent.insertBefore(view.element, place);
  }
}

// Ages go on between reports: such an element knows since when, and how it is said.
const clocks = document.getElementsByClassName('clock');

/** An element that says how long ago something was. */
export function aging(say) {
  const element = make('time.clock');
  element.say = say;
  return element;
}

/** Sets since when, in the daemon's milliseconds; its text follows at once. */
export function setSince(element, at, now) {
  element.at = at;
  setAttribute(element, 'title', Number.isNaN(at) ? '' : new Date(at).toISOString());
  age(element, now);
}

function age(element, now) {
  if (element.at !== undefined && !Number.isNaN(element.at)) {
    setText(element, element.say(Math.max(0, (now - element.at) / 1000)));
  }
}

/** Lets every age go on. */
export function tick(now) {
  for (const element of clocks) age(element, now);
}

const svg = (tag, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

/** A line of the last minutes without axes; its words are for those who do not see it. */
export class Spark {
  constructor(what) {
    this.what = what;
    this.line = svg('path', { class: 'line' });
    this.area = svg('path', { class: 'area' });
    this.element = svg('svg', { class: 'spark', viewBox: '0 0 120 24', preserveAspectRatio: 'none', role: 'img' });
    this.element.append(this.area, this.line);
  }

  /** Shows values, the newest last; null where nothing is known. `most` is the top of the scale, at least. */
  show(values, length, most, say) {
    const known = values.filter((value) => value !== null);
    const top = Math.max(most, ...known);
    const step = 120 / Math.max(1, length - 1);
    const offset = length - values.length;
    let line = '';
    let area = '';
    let start = null;
    values.forEach((value, index) => {
      if (value === null) {
        if (start !== null) area += 'V24H' + start + 'Z';
        start = null;
        return;
      }
      const x = ((index + offset) * step).toFixed(1);
      const y = (23 - 22 * value / top).toFixed(1);
      line += (start === null ? 'M' : 'L') + x + ' ' + y;
      area += start === null ? 'M' + x + ' 24V' + y : 'L' + x + ' ' + y;
      if (start === null) start = x;
    });
    if (start !== null) area += 'V24H' + start + 'Z';
    setAttribute(this.line, 'd', line);
    setAttribute(this.area, 'd', area);
    setAttribute(this.element, 'aria-label', known.length
      ? this.what + ' over the last minutes: now ' + say(known.at(-1)) + ', most ' + say(Math.max(...known))
      : this.what + ': nothing known yet');
  }
}

/** A dialog that is gone when it is closed. Returns the element, open. */
export function openDialog(title, className, ...children) {
  const heading = make('h2', { id: 'dialog-title-' + className }, title);
  const dialog = make('dialog.' + className, { 'aria-labelledby': heading.id });
  const close = make('button.close', { type: 'button', 'aria-label': 'Close', click: () => dialog.close() }, '✕');
  dialog.append(make('header', {}, heading, close), ...children.filter((child) => child !== null));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
