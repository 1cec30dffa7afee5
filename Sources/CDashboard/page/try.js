// The try box: a chat with a model, relayed by the supervisor, so that no key is in this page; and the same as curl.

import { byId, make, openDialog, setHidden, setText } from './dom.js';
import { ask, problem } from './session.js';
import { feed, instances } from './feed.js';
import { count, latency, plural, quoted } from './words.js';

/** What was written last, for as long as the page is open. */
const kept = { prompt: 'Say hello in one sentence.', tokens: 128 };

/** The models that can be asked: by provider, and each instance by its own name where a provider has several. */
function choices() {
  const found = new Set();
  for (const [instance, provider] of instances()) {
    if (!instance.published) continue;
    for (const id of instance.models) {
      found.add(provider.name + '/' + id);
      if (provider.instances.length > 1) found.add(instance.id + '/' + id);
    }
  }
  return [...found].sort();
}

/** The request as one line of a shell; a key is named, never shown. */
function curl(body) {
  const { listen, key_required: needsKey, tls } = feed.report.gateway;
  const tcp = listen.find((address) => !address.startsWith('unix:'));
  const scheme = tls ? 'https://' : 'http://';
  const [where, socket] = tcp
    ? [scheme + tcp.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, location.hostname), '']
    : ['http://localhost', '--unix-socket ' + quoted((listen[0] || '').slice(5)) + ' '];
  return 'curl -N ' + socket + where + '/v1/chat/completions'
    + (needsKey ? ' -H "Authorization: Bearer $STOKER_MASTER_KEY"' : '')
    + " -H 'Content-Type: application/json' -d " + quoted(JSON.stringify(body));
}

class TryBox {
  constructor(model) {
    const names = choices();
    const wanted = names.find((name) => name === model)
      ?? names.find((name) => name.slice(name.indexOf('/') + 1) === model) ?? names[0];
    this.model = make('select', { id: 'try-model', change: () => this.changed() },
      ...names.map((name) => make('option', { value: name, selected: name === wanted }, name)));
    this.prompt = make('textarea', {
      id: 'try-prompt', rows: 3, input: () => this.changed(), keydown: (event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.send();
      },
    });
    this.prompt.value = kept.prompt;
    this.tokens = make('input', {
      id: 'try-tokens', type: 'number', min: 1, max: 8192, value: kept.tokens, input: () => this.changed(),
    });
    this.button = make('button.primary', { type: 'button', click: () => this.send() }, 'Send');
    this.halt = make('button', { type: 'button', click: () => this.abort?.abort() }, 'Stop');
    this.halt.hidden = true;
    this.thought = make('div.thought');
    this.answer = make('div.answer', { role: 'log', 'aria-label': 'Answer', tabindex: '0' });
    this.note = make('p.soft', { role: 'status' });
    this.curl = make('code');
    this.copy = make('button.small', {
      type: 'button', click: async () => {
        try {
          await navigator.clipboard.writeText(this.curl.textContent);
          setText(this.copy, 'Copied');
        } catch {
          // Only a secure page may copy: over plain HTTP from elsewhere the line is marked instead.
          getSelection().selectAllChildren(this.curl);
          setText(this.copy, 'Marked: press Ctrl-C');
        }
        setTimeout(() => setText(this.copy, 'Copy'), 2000);
      },
    }, 'Copy');
    this.dialog = openDialog('Try a model', 'try',
      names.length ? null : make('p.wrong', {}, 'No model is served at the moment.'),
      make('div.fields', {}, make('label', { for: 'try-model' }, 'Model'), this.model,
        make('label', { for: 'try-tokens' }, 'Tokens at most'), this.tokens),
      make('label', { for: 'try-prompt' }, 'Message'), this.prompt,
      make('div.buttons', {}, make('span.soft', {}, 'Ctrl-Enter sends'), this.halt, this.button),
      this.thought, this.answer, this.note,
      make('details.same', {}, make('summary', {}, 'The same with curl'), make('pre', {}, this.curl), this.copy));
    this.dialog.addEventListener('close', () => this.abort?.abort());
    this.button.disabled = !names.length;
    this.changed();
    this.prompt.focus();
    this.prompt.select();
  }

  body() {
    return {
      model: this.model.value, messages: [{ role: 'user', content: this.prompt.value }],
      max_tokens: Math.min(8192, Math.max(1, Math.round(Number(this.tokens.value)) || 128)), stream: true,
      stream_options: { include_usage: true },
    };
  }

  changed() {
    kept.prompt = this.prompt.value;
    kept.tokens = this.tokens.value;
    if (this.model.value) setText(this.curl, curl(this.body()));
  }

  async send() {
    if (this.abort || this.button.disabled) return;
    const abort = this.abort = new AbortController();
    this.answer.replaceChildren();
    this.thought.replaceChildren();
    setHidden(this.thought, true);
    setText(this.note, 'waiting for the first token …');
    this.button.disabled = true;
    this.halt.hidden = false;
    const began = performance.now();
    let first = null;
    let usage = null;
    let server = '';
    try {
      const response = await ask('/api/v1/try', {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(this.body()),
        signal: abort.signal,
      });
      if (!response.ok) throw new Error(await problem(response));
      server = response.headers.get('x-stoker-instance') || '';
      let reason = '';
      for await (const data of events(response.body)) {
        if (data === '[DONE]') continue;
        const event = JSON.parse(data);
        if (event.error) throw new Error(event.error.message || JSON.stringify(event.error));
        if (event.usage) usage = event.usage;
        const choice = event.choices?.[0];
        const thought = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
        const text = choice?.delta?.content;
        if ((text || thought) && first === null) {
          first = performance.now();
          setText(this.note, 'answering …');
        }
        if (thought) {
          setHidden(this.thought, false);
          this.thought.append(thought);
        }
        if (text) this.answer.append(text);
        if (choice?.finish_reason) reason = choice.finish_reason;
      }
      this.note.classList.remove('wrong');
      const seconds = (performance.now() - (first ?? began)) / 1000;
      setText(this.note, [
        server && 'answered by ' + server, first !== null && 'first token after ' + latency((first - began) / 1000),
        usage && plural(usage.completion_tokens, 'token')
          + (usage.completion_tokens > 1 && seconds > 0 ? ' at ' + count((usage.completion_tokens - 1) / seconds) + '/s' : ''),
        reason && 'ended by ' + reason,
      ].filter((part) => part).join(' · '));
    } catch (error) {
      const isStopped = error?.name === 'AbortError';
      this.note.classList.toggle('wrong', !!error && !isStopped);
      setText(this.note, isStopped ? 'stopped' : error ? error.message : 'not logged in');
    } finally {
      this.abort = null;
      this.button.disabled = false;
      this.halt.hidden = true;
    }
  }
}

/** The data of server-sent events, as they come. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += value;
    let end;
    while ((end = buffer.indexOf('\n')) >= 0) {
      const line = buffer.slice(0, end).replace(/\r$/, '');
      buffer = buffer.slice(end + 1);
      if (line.startsWith('data:')) yield line.slice(5).trimStart();
    }
  }
}

/** Opens the box with a model chosen: `provider/model`, `instance/model` or a bare id. */
export function openTry(model) {
  if (feed.report && !byId('try-model')) return new TryBox(model);
}
