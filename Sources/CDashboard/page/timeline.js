// What happened, the newest first.

import { byId, make, setAttribute, setHidden } from './dom.js';
import { feed } from './feed.js';
import { clock, kindOf } from './words.js';

const step = 20;

export class Timeline {
  constructor(show) {
    this.show = show;
    this.most = step;
    byId('timeline-more').addEventListener('click', () => {
      this.most += 100;
      this.update();
    });
  }

  entry(event) {
    const kind = event.kind === 'state' ? kindOf(event.state) : event.kind === 'gateway' ? 'bad' : 'idle';
    const name = event.instance
      ? make('button.link', { type: 'button', click: () => this.show(event.instance) }, event.instance)
      : make('span', {}, event.kind);
    return make('li.' + kind, {}, make('time', { datetime: event.at, title: event.at }, clock(event.at)), name,
      event.state ? make('span.state.' + kind, {}, event.state) : null, make('span.why', {}, event.detail));
  }

  update() {
    const list = byId('timeline');
    const shown = feed.events.slice(-this.most);
    const first = shown[0]?.number ?? 0;
    let newest = Number(list.firstElementChild?.dataset.number ?? 0);
    if (newest > (feed.events.at(-1)?.number ?? 0)) {
      list.replaceChildren();
      newest = 0;
    }
    // Only what is new is made; whoever reads on keeps their place.
    for (const event of shown) {
      if (event.number <= newest) continue;
      const element = this.entry(event);
      element.dataset.number = event.number;
      list.prepend(element);
    }
    while (list.lastElementChild && Number(list.lastElementChild.dataset.number) < first) list.lastElementChild.remove();
    const oldest = Number(list.lastElementChild?.dataset.number ?? 0);
    for (const event of feed.events.slice(-this.most).reverse()) {
      if (event.number >= oldest) continue;
      const element = this.entry(event);
      element.dataset.number = event.number;
      list.append(element);
    }
    setHidden(byId('timeline-more'), feed.events.length <= this.most);
    setAttribute(list, 'aria-label', 'Events, the newest first');
  }
}
