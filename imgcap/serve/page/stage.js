// The photo that is looked at, and its captions.
import { album, textOf } from './album.js';
import { showAsking } from './ask.js';
import { card, growingCard } from './card.js';
import { element, find, tidy } from './dom.js';
import { canExplain } from './explaining.js';
import { clearMap, offerMaps } from './maps.js';
import { addressOf } from './pictures.js';
import { isUnderWay, isWaiting, work } from './work.js';

let current = null;
let shownResults = null, shownPicture = null;
const growing = new Map();  // model and language -> card

export const currentEntry = () => current;

const keyOf = ({ model, language }) => `${model} ${language ?? ''}`;

function showPicture() {
  const picture = current.preview;
  if (picture === shownPicture) return;
  shownPicture = picture;
  const photo = find('photo');
  photo.hidden = !picture;
  if (picture) find('frame').style.setProperty('--ratio', (current.width / current.height).toFixed(4));
  if (picture) photo.src = addressOf(picture);
  else photo.removeAttribute('src');
}

function state() {
  if (current.error) return element('p', { class: 'problem', role: 'alert' }, current.error);
  if (current.results.length > 0) return null;
  if (isUnderWay(current)) return element('p', { class: 'sentence growing' }, 'Looking…');
  return element('p', { class: 'note' }, isWaiting(current) ? 'It waits for its turn.' : 'It has no caption yet.');
}

function showCaptions(again = false) {
  const captions = find('captions');
  captions.setAttribute('aria-busy', isUnderWay(current));
  if (growing.size > 0 && isUnderWay(current)) return captions.replaceChildren(...growing.values());
  if (!again && shownResults === current.results && !captions.querySelector('[aria-busy], .sentence.growing, .problem') && !current.error) return;
  shownResults = current.results;
  const cards = current.results.map((result) => card(current, result, () => {
    const at = current.results.indexOf(result);
    album.changed(current);
    showCaptions(true);
    captions.children[at]?.querySelector('.tools button')?.focus();
  }));
  const first = state();
  captions.classList.toggle('several', cards.length > 1);
  captions.replaceChildren(...(first ? [first] : []), ...cards);
  captions.append(...current.notes.map((note) => element('p', { class: 'note' }, note)));
  const kinds = current.results.map(({ attention }) => (attention ? 'attention' : canExplain() && 'gradient'));
  offerMaps(kinds.filter(Boolean));
}

function show() {
  find('stage').hidden = current === null;
  document.body.classList.toggle('empty', current === null);
  if (!current) return;
  showPicture();
  find('photo').alt = current.results.length > 0 ? tidy(textOf(current.results[0])) : current.name;
  find('photo-name').textContent = current.name;
  find('photo-facts').textContent = current.width ? `${current.format}, ${current.width} × ${current.height}` : '';
  find('photo-warning').textContent = current.warning ?? '';
  showCaptions();
  find('again').disabled = isUnderWay(current) || isWaiting(current);
}

export function lookAt(entry) {
  if (entry !== current) {
    current = entry;
    shownResults = shownPicture = null;
    growing.clear();
    find('captions').replaceChildren();
    clearMap();
    showAsking(entry);
    show();
    album.tell('looked', entry);
  }
}

export function prepareStage() {
  new IntersectionObserver(([{ intersectionRatio }]) => {
    find('frame').classList.toggle('away', intersectionRatio < 0.3);
  }, { threshold: 0.3 }).observe(find('frame'));
  album.addEventListener('changed', ({ detail }) => {
    if (detail !== current) return;
    if (!isUnderWay(current)) growing.clear();
    show();
  });
  album.addEventListener('listed', () => {
    if (!album.entries.includes(current)) lookAt(album.entries[0] ?? null);
  });
  const grow = (key, made) => {
    growing.set(key, made);
    find('captions').classList.toggle('several', growing.size > 1);
    find('captions').replaceChildren(...growing.values());
  };
  work.addEventListener('growing', ({ detail }) => {
    if (detail.entry === current) grow(keyOf(detail), growingCard(detail));
  });
  work.addEventListener('found', ({ detail: { entry, result } }) => {
    if (entry === current) grow(keyOf(result), card(entry, result, () => {}));
  });
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') clearMap();
  });
}
