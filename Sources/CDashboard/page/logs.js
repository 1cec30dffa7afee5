// An instance's output, live, with a search. Whatever a line contains, it is text.

import { make, openDialog, setText } from './dom.js';
import { ask, problem } from './session.js';
import { plural } from './words.js';

/** How many lines are fetched at first, and how many are kept. */
const firstLines = 2000;
const mostLines = 20000;

class LogView {
  constructor(id) {
    this.id = id;
    this.lines = [];
    this.search = make('input', {
      type: 'search', placeholder: 'search', 'aria-label': 'Search the log', autocomplete: 'off', spellcheck: 'false',
      input: () => this.found(true), keydown: (event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault();
        this.go(event.shiftKey ? -1 : 1);
      },
    });
    this.only = make('input', { type: 'checkbox', change: () => this.found(true) });
    this.follows = make('input', { type: 'checkbox', checked: true, change: () => this.toEnd() });
    this.run = make('select', { 'aria-label': 'Run', change: () => this.begin() },
      make('option', { value: 'current' }, 'this run'), make('option', { value: 'previous' }, 'previous run'));
    this.tally = make('span.soft', { role: 'status' });
    this.list = make('div.lines', { tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Output of ' + id });
    const small = (label, press, text) => make('button.small', { type: 'button', 'aria-label': label, click: press }, text);
    this.dialog = openDialog('Output of ' + id, 'log',
      make('div.bar', {}, this.run, this.search, small('Previous match', () => this.go(-1), '↑'),
        small('Next match', () => this.go(1), '↓'), make('label', {}, this.only, ' only matches'),
        make('label', {}, this.follows, ' follow'), this.tally),
      this.list);
    this.dialog.addEventListener('close', () => this.stop());
    this.list.addEventListener('scroll', () => {
      const isAtEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 30;
      if (!isAtEnd && !this.isScrolling) this.follows.checked = false;
      this.isScrolling = false;
    });
    this.begin();
    this.search.focus();
  }

  stop() {
    clearTimeout(this.timer);
    this.generation = null;
  }

  async begin(pause = 0) {
    this.stop();
    const generation = this.generation = {};
    if (pause) await new Promise((next) => setTimeout(next, pause));
    if (generation !== this.generation) return;
    this.lines = [];
    this.list.replaceChildren();
    this.decoder = new TextDecoder();
    this.rest = '';
    try {
      const response = await ask(this.path('lines=' + firstLines));
      if (generation !== this.generation) return;
      if (!response.ok) return this.say(await problem(response));
      this.tag = response.headers.get('etag');
      const bytes = new Uint8Array(await response.arrayBuffer());
      this.offset = Number(response.headers.get('x-stoker-log-offset')) + bytes.length;
      if (generation === this.generation) this.append(bytes);
    } catch (error) {
      if (error) this.say(error.message);
      else this.dialog.close();
      return;
    }
    if (this.run.value === 'current') this.timer = setTimeout(() => this.more(generation), 1000);
  }

  path(query) {
    return '/api/v1/instances/' + encodeURIComponent(this.id) + '/logs?run=' + this.run.value + '&' + query;
  }

  /** What came since; a run that has begun meanwhile is shown from its beginning. */
  async more(generation) {
    // From the last known byte on: an answer without any byte would be an error, to the browser's console as well.
    if (this.offset === 0) return this.begin(1000);
    try {
      const response = await ask(this.path(''), {
        headers: { Range: 'bytes=' + (this.offset - 1) + '-', 'If-Range': this.tag },
      });
      if (generation !== this.generation) return;
      if (response.status === 200 || response.status === 416) {
        response.body?.cancel();
        return this.begin();
      }
      if (response.status === 206) {
        const bytes = new Uint8Array(await response.arrayBuffer()).subarray(1);
        if (generation !== this.generation) return;
        this.offset += bytes.length;
        if (bytes.length) this.append(bytes);
      }
    } catch (error) {
      if (!error) return this.dialog.close();
      this.say('no answer; trying again');
    }
    if (generation === this.generation) this.timer = setTimeout(() => this.more(generation), 1000);
  }

  say(text) { setText(this.tally, text); }

  append(bytes) {
    const parts = (this.rest + this.decoder.decode(bytes, { stream: true })).split('\n');
    this.rest = parts.pop();
    // Colours and cursor movements of terminals say nothing here.
    const texts = parts.map((part) => part.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '').replace(/\r$/, ''));
    const fragment = document.createDocumentFragment();
    for (const text of texts) {
      const element = make('div.line' + levelOf(text));
      element.textContent = text;
      this.lines.push({ text, lower: text.toLowerCase(), element });
      fragment.append(element);
    }
    this.list.append(fragment);
    while (this.lines.length > mostLines) this.lines.shift().element.remove();
    if (this.needle()) this.mark(this.lines.slice(-texts.length));
    this.found(false);
    this.toEnd();
  }

  toEnd() {
    if (!this.follows.checked) return;
    this.isScrolling = true;
    this.list.scrollTop = this.list.scrollHeight;
  }

  needle() { return this.search.value.toLowerCase(); }

  mark(lines) {
    const needle = this.needle();
    for (const line of lines) {
      const isMatch = needle !== '' && line.lower.includes(needle);
      line.element.hidden = this.only.checked && needle !== '' && !isMatch;
      if (isMatch) highlight(line, needle);
      else if (line.isMatch) line.element.textContent = line.text;
      line.isMatch = isMatch;
    }
  }

  /** Says how many lines match; `isNew` after a change of what is searched. */
  found(isNew) {
    if (isNew) {
      this.place = null;
      this.mark(this.lines);
    }
    const matches = this.lines.filter((line) => line.isMatch).length;
    this.say(this.needle() ? plural(matches, 'matching line') + ' of ' + this.lines.length
      : plural(this.lines.length, 'line'));
    if (isNew && matches) this.go(-1);
    if (isNew && !this.needle()) this.toEnd();
  }

  /** Goes to the next or previous match; the last one first. */
  go(step) {
    const matches = this.lines.filter((line) => line.isMatch);
    if (!matches.length) return;
    this.follows.checked = false;
    const at = this.place ? matches.indexOf(this.place) : -1;
    this.place?.element.classList.remove('here');
    this.place = matches[at < 0 ? (step < 0 ? matches.length - 1 : 0)
      : (at + step + matches.length) % matches.length];
    this.place.element.classList.add('here');
    this.place.element.scrollIntoView({ block: 'center' });
  }
}

function highlight(line, needle) {
  const parts = [];
  let at = 0;
  // Lower case may be of another length, in Turkish for one: then the line as a whole is the match.
  if (line.lower.length === line.text.length) {
    for (let next; (next = line.lower.indexOf(needle, at)) >= 0; at = next + needle.length) {
      parts.push(line.text.slice(at, next), make('mark', {}, line.text.slice(next, next + needle.length)));
    }
  }
  line.element.replaceChildren(...parts, line.text.slice(at));
}

function levelOf(text) {
  if (/\b(ERROR|CRITICAL|FATAL)\b|^Traceback|Error: /.test(text)) return '.bad';
  return /\bWARN(ING)?\b/.test(text) ? '.busy' : '';
}

/** Shows an instance's output. */
export function openLog(id) { return new LogView(id); }
