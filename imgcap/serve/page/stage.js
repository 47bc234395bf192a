// The photo that is looked at, and its captions.
import { album, correct, keyOf, textOf } from './album.js';
import { showAsking } from './ask.js';
import { card, growingCard } from './card.js';
import { element, find, problem, tidy } from './dom.js';
import { canExplain } from './explaining.js';
import { clearMap, offerMaps } from './maps.js';
import { addressOf } from './pictures.js';
import { isUnderWay, isWaiting, work } from './work.js';

let current = null;
let shownResults = null, shownError, shownPicture = null;
const cards = new Map(), latest = new Map();  // what a result is about -> its card; the result
let growing = false;  // they come one after another

export const currentEntry = () => current;

function showPicture() {
  const picture = current.preview;
  if (picture === shownPicture) return;
  shownPicture = picture;
  const photo = find('photo');
  photo.hidden = !picture;
  if (!picture) return photo.removeAttribute('src');
  find('frame').style.setProperty('--ratio', (current.width / current.height).toFixed(4));
  photo.src = addressOf(picture);
}

function state() {
  if (current.error) return problem(current.error);
  if (current.results.length > 0) return null;
  if (isUnderWay(current)) return element('p', { class: 'sentence growing' }, 'Looking…');
  return element('p', { class: 'note' }, isWaiting(current) ? 'It waits for its turn.' : 'It has no caption yet.');
}

// These, and nothing else. What stays is not taken out: a field that is written in keeps its focus.
function put(parts) {
  const captions = find('captions');
  for (const each of [...captions.children]) if (!parts.includes(each)) each.remove();
  parts.forEach((each, i) => each === captions.children[i] || captions.insertBefore(each, captions.children[i] ?? null));
}

const isWrittenIn = (made) => made?.querySelector('.correction');

// Another card, unless somebody writes in the one that is there.
function setCard(key, made) {
  if (!isWrittenIn(cards.get(key))) cards.set(key, made);
}

function cardOf(entry, result) {
  const key = keyOf(result);
  return card(entry, result, () => {
    const now = latest.get(key);  // another one where the photo was captioned again meanwhile
    correct(now, result.corrected);
    const made = cardOf(entry, now);
    cards.get(key).replaceWith(made);
    cards.set(key, made);
    album.changed(entry);
    cards.get(key).querySelector('.tools button').focus();
  });
}

function setResult(result) {
  latest.set(keyOf(result), result);
  setCard(keyOf(result), cardOf(current, result));
}

function showCaptions() {
  find('captions').setAttribute('aria-busy', isUnderWay(current));
  if (growing && isUnderWay(current)) return;
  const { results, error } = current;
  if (results.length > 0 && shownResults === results && shownError === error) return;
  [shownResults, shownError] = [results, error];
  const keys = results.map(keyOf);
  results.forEach(setResult);
  put([state(), ...keys.map((key) => cards.get(key)), ...current.notes.map((note) => element('p', { class: 'note' }, note))].filter(Boolean));
  const kinds = results.map(({ attention }) => (attention ? 'attention' : canExplain() && 'gradient'));
  offerMaps(kinds.filter(Boolean));
}

function show() {
  find('stage').hidden = current === null;
  document.body.classList.toggle('empty', current === null);
  if (!current) return;
  showPicture();
  find('photo').alt = current.results.length > 0 ? tidy(textOf(current.results[0])) : current.name;
  find('photo-name').textContent = current.name;
  find('photo-facts').textContent = current.width ? `${current.format}, ${current.width} × ${current.height}${current.turned ? ', turned upright' : ''}` : '';
  find('photo-warning').textContent = current.warning ?? '';
  showCaptions();
  find('again').disabled = isUnderWay(current) || isWaiting(current);
}

export function lookAt(entry) {
  if (entry !== current) {
    current = entry;
    shownResults = shownPicture = null;
    cards.clear();
    latest.clear();
    growing = false;
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
    if (growing && !isUnderWay(current)) {
      growing = false;
      shownResults = null;
    }
    show();
  });
  album.addEventListener('listed', () => {
    if (!album.entries.includes(current)) lookAt(album.entries[0] ?? null);
  });
  const grow = (entry, set) => {
    if (entry !== current) return;
    if (!growing) for (const [key, each] of cards) if (!isWrittenIn(each)) cards.delete(key);
    growing = true;
    set();
    put([...cards.values()]);
  };
  work.addEventListener('growing', ({ detail }) => grow(detail.entry, () => setCard(keyOf(detail), growingCard(detail))));
  work.addEventListener('found', ({ detail: { entry, result } }) => grow(entry, () => setResult(result)));
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') clearMap();
  });
}
