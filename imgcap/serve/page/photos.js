// The photos so far, as cards with their captions.
import { album, textOf } from './album.js';
import { button, element, find, plural, tidy } from './dom.js';
import { addressOf, letGoOf } from './pictures.js';
import { currentEntry, lookAt } from './stage.js';
import { forget, forgetAll, isUnderWay, isWaiting } from './work.js';

const made = new Map();  // entry -> its card

function stateOf(entry) {
  if (isUnderWay(entry)) return 'Looking…';
  if (entry.error) return entry.error;
  if (isWaiting(entry)) return 'Waiting';
  return entry.results.length > 0 ? '' : 'No caption yet';
}

function remove(entry) {
  const next = made.get(entry).nextElementSibling ?? made.get(entry).previousElementSibling;
  forget(entry);
  album.remove(entry);
  (next?.querySelector('button') ?? find('choose')).focus();
}

function fill(item, entry) {
  const state = stateOf(entry);
  const texts = entry.results.map((result) => element('span', { class: 'text', dir: 'auto', lang: result.language }, tidy(textOf(result))));
  const picture = entry.thumb ? element('img', { src: addressOf(entry.thumb), alt: '', loading: 'lazy' }) : element('span', { class: 'no-picture' });
  item.classList.toggle('at-work', isUnderWay(entry));
  const onclick = () => {
    lookAt(entry);
    find('stage').scrollIntoView();
  };
  const label = `${entry.name}: ${texts.map((text) => text.textContent).join('; ') || state}`;
  item.replaceChildren(
    element('button', { type: 'button', class: 'open', 'aria-current': entry === currentEntry(), 'aria-label': label, onclick },
            picture, !isUnderWay(entry) && texts.slice(0, 2), state && element('span', { class: entry.error ? 'problem' : 'state' }, state),
            element('span', { class: 'name' }, entry.name)),
    button('×', () => remove(entry), { class: 'quiet delete', 'aria-label': `Delete ${entry.name}` }));
}

function list() {
  for (const entry of made.keys()) {
    if (album.entries.includes(entry)) continue;
    made.delete(entry);
    letGoOf(entry.preview);
    letGoOf(entry.thumb);
  }
  for (const entry of album.entries) {
    if (made.has(entry)) continue;
    made.set(entry, element('li', {}));
    fill(made.get(entry), entry);
  }
  find('photo-list').replaceChildren(...album.entries.map((entry) => made.get(entry)));
  find('photos').hidden = album.entries.length === 0;
  find('photo-count').textContent = plural(album.entries.length, 'photo');
}

export function preparePhotos() {
  album.addEventListener('listed', list);
  album.addEventListener('changed', ({ detail }) => {
    if (made.has(detail)) fill(made.get(detail), detail);
  });
  album.addEventListener('looked', () => {
    for (const [entry, item] of made) {
      item.firstChild.toggleAttribute('aria-current', entry === currentEntry());
    }
  });
  find('delete-all').addEventListener('click', () => {
    if (!confirm(`Delete ${plural(album.entries.length, 'photo')} with all captions from this browser?`)) return;
    forgetAll();
    album.clear();
    find('choose').focus();
  });
}
