extension Dashboard {
    /// The page's script: takes reports by server-sent events, else by asking every two seconds, and shows them. Text from
    /// the daemon, an engine's log above all, is only ever put in as text.
    static let script = #"""
        'use strict';
        (() => {
          const colours = {
            ready: 'good', starting: 'busy', loading: 'busy', warming: 'busy', draining: 'busy', stopping: 'busy',
            connecting: 'busy', backoff: 'bad', unhealthy: 'bad', failed: 'bad', quarantined: 'bad', misconfigured: 'bad',
          };
          const byId = (id) => document.getElementById(id);
          const open = new Set();
          let report = null, receivedAt = 0, loggedIn = false, lost = false;

          // Elements: a tag with classes, attributes by name, children as text or elements.
          function make(tag, attributes, ...children) {
            const [name, ...classes] = tag.split('.');
            const element = document.createElement(name);
            if (classes.length) element.className = classes.join(' ');
            for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
            for (const child of children.flat()) {
              if (child !== null && child !== undefined) element.append(child);
            }
            return element;
          }

          const setText = (id, text) => { const e = byId(id); if (e.textContent !== text) e.textContent = text; };
          const clock = (time) => new Date(time).toTimeString().slice(0, 8);
          const elapsed = () => (Date.now() - receivedAt) / 1000;
          const plural = (n, word) => n + ' ' + word + (n === 1 ? '' : 's');

          function span(seconds) {
            const s = Math.max(0, Math.round(seconds));
            if (s < 60) return s + ' s';
            if (s < 3600) return Math.floor(s / 60) + ' min';
            if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
            return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
          }

          // Ages go on between reports: each such element knows what to say now.
          const ticking = new Map();
          function aging(element, say) {
            const shown = make(element, {});
            shown.textContent = say();
            ticking.set(shown, say);
            return shown;
          }

          function fact(name, value) {
            return make('div', {}, make('dt', {}, name), make('dd', {}, value));
          }

          function since(time) {
            const then = Date.parse(time);
            const shown = aging('time', () => Number.isNaN(then) ? time : 'for ' + span((Date.now() - then) / 1000));
            shown.setAttribute('datetime', time);
            shown.title = time;
            shown.className = 'soft';
            return shown;
          }

          function checks(instance) {
            if (!instance.checks.length) return null;
            return make('ul.checks', { 'aria-label': 'Checks of ' + instance.id }, instance.checks.map((check) => {
              const item = make('li.' + (check.ok ? 'ok' : 'not'), { title: check.detail });
              const age = aging('span.soft', () => ' ' + span(check.age_seconds + elapsed()) + ' ago');
              item.append(make('span', {}, check.signal, check.ok ? '' : ': ' + check.detail), age);
              return item;
            }));
          }

          function failure(instance) {
            const last = instance.last_failure;
            if (!last) return null;
            const key = instance.id + ' ' + last.at;
            const isNow = instance.state !== 'ready';
            const box = make('details.failure' + (isNow ? '' : '.past'));
            if (open.has(key)) box.open = true;
            box.addEventListener('toggle', () => box.open ? open.add(key) : open.delete(key));
            box.append(make('summary', {}, make('strong', {}, 'Last failure'), ' ' + last.detail + ' ',
              aging('span.soft', () => span((Date.now() - Date.parse(last.at)) / 1000) + ' ago')));
            if (last.hint) box.append(make('p.hint', {}, make('strong', {}, 'What to do: '), last.hint));
            if (last.log_tail.length) {
              box.append(make('pre', { tabindex: '0', 'aria-label': 'Log lines' }, last.log_tail.join('\n')));
            }
            if (last.hint && isNow) {
              const hint = make('p.hint', {}, make('strong', {}, 'What to do: '), last.hint);
              box.querySelector('.hint').remove();
              return [box, hint];
            }
            return box;
          }

          function loading(instance) {
            if (instance.state !== 'loading' && instance.state !== 'warming') return null;
            const percent = instance.progress_percent;
            const bar = make('progress', { max: '100', 'aria-label': 'Loading of ' + instance.id });
            if (typeof percent === 'number') bar.value = percent;
            const words = [typeof percent === 'number' ? percent + ' %' : null, instance.phase].filter(Boolean);
            return make('div.loading', {}, bar, make('span', {}, words.join(' · ') || 'no percentage known'));
          }

          function facts(instance, kind) {
            const list = [];
            if (instance.models.length) list.push(fact('models', instance.models.join(', ')));
            list.push(fact('in flight', String(instance.inflight)));
            const load = instance.load;
            if (load) {
              list.push(fact('running / waiting', load.running + ' / ' + load.waiting));
              list.push(fact('KV cache', Math.round(load.kv_cache_usage * 100) + ' %'));
              list.push(fact('tokens/s', load.tokens_per_second.toFixed(1)));
            }
            if (kind === 'launched') list.push(fact('restarts', String(instance.restarts)));
            if (instance.gpus.length) list.push(fact('GPU', instance.gpus.join(', ')));
            if (instance.pid) list.push(fact('pid', String(instance.pid)));
            if (instance.endpoint) list.push(fact('endpoint', make('code', {}, instance.endpoint)));
            if (kind === 'launched' && loggedIn) {
              list.push(fact('output', make('a', {
                href: '/api/v1/instances/' + encodeURIComponent(instance.id) + '/logs?lines=500',
              }, 'last lines')));
            }
            return make('dl.facts', {}, list);
          }

          function instanceView(instance, kind) {
            const colour = colours[instance.state] || 'idle';
            return make('article.instance' + (colour === 'bad' ? '.calls' : ''), { 'aria-label': instance.id },
              make('div.row', {}, make('h4', {}, instance.id), make('span.state.' + colour, {}, instance.state),
                since(instance.since), make('span.why', {}, instance.reason)),
              loading(instance), facts(instance, kind), checks(instance), failure(instance));
          }

          function providerView(provider) {
            const ready = provider.instances.filter((instance) => instance.state === 'ready').length;
            return make('section.provider', { 'aria-label': provider.name },
              make('header', {}, make('h3', {}, provider.name),
                make('span.soft', {}, provider.kind + ' · ' + ready + ' of '
                  + plural(provider.instances.length, 'instance') + ' ready')),
              provider.instances.map((instance) => instanceView(instance, provider.kind)));
          }

          function show() {
            document.title = (report.ready ? '' : '! ') + 'Stoker';
            setText('version', report.version + ' · ' + report.mode);
            byId('ready').className = report.ready ? 'good' : 'bad';
            setText('ready-word', report.ready ? 'Ready' : 'Not ready');
            setText('ready-reason', report.ready_reason);
            byId('notices').replaceChildren(...report.notices.map((notice) => make('li', {}, notice)));
            const gateway = report.gateway;
            byId('gateway').replaceChildren(
              fact('process', gateway.pid ? 'pid ' + gateway.pid : 'being started again'),
              fact('in flight', String(gateway.inflight)),
              fact('requests', gateway.requests_total.toLocaleString('en')),
              fact('restarts', String(gateway.restarts)),
              fact('listens on', gateway.listen.join(', ') || 'nothing'));
            const focused = document.activeElement && document.activeElement.closest('article');
            const label = focused && focused.getAttribute('aria-label');
            // Whoever is copying log lines keeps them.
            const chosen = document.getSelection();
            if (!chosen.isCollapsed && byId('providers').contains(chosen.anchorNode)) return;
            ticking.clear();
            byId('providers').replaceChildren(...(report.providers.length
              ? report.providers.map(providerView)
              : [make('p.empty', {}, 'Nothing is configured: name a model or a base_url under providers: in the '
                  + 'configuration file, or run stoker attach NAME URL.')]));
            if (label) {
              const again = document.querySelector('article[aria-label="' + CSS.escape(label) + '"] summary');
              if (again) again.focus({ preventScroll: true });
            }
            tick();
          }

          function tick() {
            for (const [element, say] of ticking) {
              const text = say();
              if (element.textContent !== text) element.textContent = text;
            }
            if (!report) return;
            setText('uptime', 'up ' + span(report.uptime_seconds + elapsed()));
            // The daemon says something every two seconds; a silence is a loss, whatever the connection thinks.
            setLost(lost || elapsed() > 8);
          }

          function setLost(now) {
            document.body.classList.toggle('lost', now);
            byId('connection').classList.toggle('lost', now);
            if (!now) setText('connection', report ? 'live' : 'connecting …');
            else if (report) setText('connection', 'connection lost, showing the state of ' + clock(receivedAt));
            else setText('connection', 'the daemon does not answer');
          }

          function take(text) {
            const next = JSON.parse(text);
            report = next;
            receivedAt = Date.now();
            lost = false;
            setLost(false);
            show();
          }

          async function poll() {
            try {
              const response = await fetch('/api/v1/status', { cache: 'no-store' });
              if (response.status === 401) { location.reload(); return; }
              if (!response.ok) throw new Error(String(response.status));
              take(await response.text());
            } catch {
              lost = true;
              setLost(true);
            }
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

          async function account() {
            try {
              loggedIn = (await (await fetch('/api/v1/session')).json()).logged_in;
            } catch { return; }
            if (!loggedIn) {
              byId('account').replaceChildren(make('a', { href: '/login' }, 'Log in'));
              return;
            }
            const button = make('button', { type: 'button' }, 'Log out');
            button.addEventListener('click', async () => {
              await fetch('/logout', { method: 'POST' });
              location.reload();
            });
            byId('account').replaceChildren(button);
            if (report) show();
          }

          setInterval(tick, 1000);
          account();
          listen();
        })();
        """#
}
