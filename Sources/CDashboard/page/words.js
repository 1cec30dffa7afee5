// How numbers, times and states are put into words.

const kinds = {
  ready: 'good',
  starting: 'busy', loading: 'busy', warming: 'busy', draining: 'busy', stopping: 'busy', connecting: 'busy',
  unhealthy: 'bad', backoff: 'bad', failed: 'bad', quarantined: 'bad', misconfigured: 'bad',
  stopped: 'idle',
};
const signs = { good: '●', busy: '◐', bad: '▲', idle: '○' };

/** What a state means for whoever looks on: good, busy, bad or idle. */
export const kindOf = (state) => kinds[state] || 'idle';
/** A sign beside the colour, which not everybody sees. */
export const signOf = (kind) => signs[kind];

export const plural = (count, word) => count + ' ' + word + (count === 1 ? '' : 's');

/** A length of time in at most two units. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min' + (s < 600 && s % 60 ? ' ' + s % 60 + ' s' : '');
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

/** A short length of time, as latencies are. */
export function latency(seconds) {
  if (seconds < 0.0995) return (seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0) + ' ms';
  return seconds < 9.95 ? seconds.toFixed(2) + ' s' : seconds.toFixed(0) + ' s';
}

/** The time of day, with the day where it is another one. */
export function clock(time) {
  const date = new Date(time);
  const day = date.toDateString() === new Date().toDateString() ? '' : date.toLocaleDateString('en-CA') + ' ';
  return day + date.toTimeString().slice(0, 8);
}

/** A count or rate of any size. */
export function count(value) {
  if (value === 0 || (value >= 10 && value < 10000)) return Math.round(value).toLocaleString('en');
  if (value < 10) return String(Math.round(value * 10) / 10);
  if (value < 1e6) return (value / 1e3).toFixed(value < 1e5 ? 1 : 0) + ' k';
  return (value / 1e6).toFixed(1) + ' M';
}

export const percent = (ratio) => Math.round(ratio * 100) + ' %';

export const gibibytes = (bytes) => (bytes / 2 ** 30).toFixed(bytes < 10 * 2 ** 30 ? 1 : 0);

/** Names in a row; of many the first ones, and how many more. */
export const listed = (names) => names.length > 5
  ? names.slice(0, 4).join(', ') + ' and ' + (names.length - 4) + ' more' : names.join(', ');

/** Text as one word of a shell, whatever is in it. */
export const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
