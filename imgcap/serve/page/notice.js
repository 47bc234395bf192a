// The line at the top of the page: what is the matter, until it no longer is.
import { button, element, find } from './dom.js';

const shown = new Map();  // what about -> its line

// `kind`: "wait" (it passes by itself) or "error" (it stays until it is put away).
export function notice(about, text, kind = 'wait') {
  clearNotice(about);
  const line = element('p', { class: kind, role: kind === 'error' ? 'alert' : 'status' }, text);
  if (kind === 'error') {
    line.append(button('×', () => clearNotice(about), { class: 'quiet', 'aria-label': 'Put this message away' }));
  }
  shown.set(about, line);
  find('notices').append(line);
}

export function clearNotice(about) {
  shown.get(about)?.remove();
  shown.delete(about);
}

// For screen readers: what has just come.
export function announce(text) {
  find('announcer').textContent = text;
}
