// The dashboard: what the daemon says, shown as it comes.

import { byId, tick } from './dom.js';
import { feed, follow, now, start } from './feed.js';
import { Fleet } from './fleet.js';
import { Overview } from './overview.js';
import { Timeline } from './timeline.js';
import { reload } from './reload.js';
import { startSession } from './session.js';
import { openTry } from './try.js';

const fleet = new Fleet();
const showProblems = () => {
  fleet.choose('problems');
  byId('fleet').scrollIntoView();
};
const overview = new Overview({ show: (id) => fleet.show(id), showProblems, tryModel: openTry });
const timeline = new Timeline((id) => fleet.show(id));

follow(() => {
  Overview.updateConnection();
  if (!feed.report) return;
  overview.update();
  fleet.update();
  timeline.update();
});
setInterval(() => tick(now()), 1000);

byId('open-try').addEventListener('click', () => openTry());
byId('reload').addEventListener('click', reload);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector('dialog[open]') || event.target.closest('input, textarea, select')) return;
  const keys = { '/': () => byId('filter').focus(), t: () => openTry(), p: showProblems };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

startSession();
start();
