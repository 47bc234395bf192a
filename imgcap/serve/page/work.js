// The photos to be captioned, one after another, until somebody says stop; the rest goes on later.
import { caption } from './api.js';
import { album, correct, keyOf, textOf } from './album.js';
import { announce, clearNotice, notice } from './notice.js';
import { find, plural } from './dom.js';
import { patiently } from './patience.js';
import { blobOf, thumbOf } from './pictures.js';
import { wishes } from './settings.js';

const kAtOnce = 2;  // one is read by the server while the other is searched
const kSlow = 1500;  // milliseconds after which one photo's work can be stopped, too

// Events: "growing" (detail: { entry, model, language, text }), a caption before it is finished; "found" ({ entry, result }).
export const work = new EventTarget();

let waiting = [], done = 0, total = 0;
let slow = false;
let stopping = null;  // an AbortController while photos are captioned
const underWay = new Map();  // entry -> the AbortController of its requests

export const isUnderWay = (entry) => underWay.has(entry);
export const isWaiting = (entry) => waiting.includes(entry);

async function show(entry, photo) {
  const { width, height, format, warning } = photo;
  Object.assign(entry, { width, height, format, warning, turned: photo.orientation > 1 });
  if (photo.preview) {
    entry.preview = blobOf(photo.preview);
    entry.thumb = await thumbOf(entry.preview);
  }
  album.changed(entry);
}

const over = (fresh, old) => [...fresh, ...old.filter((each) => !fresh.some((one) => keyOf(one) === keyOf(each)))];

// One request: one model. Its results go into `found`.
function ask(entry, options, found, signal) {
  return patiently(async () => {
    const shown = [];
    await caption(entry, options, (name, { photo, ...data }) => {
      if (name === 'photo') shown.push(show(entry, data));
      else if (name === 'words') work.dispatchEvent(new CustomEvent('growing', { detail: { entry, ...data } }));
      else if (name === 'caption') {
        correct(data, entry.results.find((each) => keyOf(each) === keyOf(data))?.corrected);
        found.set(keyOf(data), data);
        entry.results = over([...found.values()], entry.results);
        album.keep(entry);  // before others have their say: the page may be left
        work.dispatchEvent(new CustomEvent('found', { detail: { entry, result: data } }));
      }
      else if (name === 'problem') entry.error = data.error;
      else if (name === 'end') entry.notes.push(...data.notes.filter((note) => !entry.notes.includes(note)));
    }, signal);
    await Promise.all(shown);
  }, signal);
}

async function captionOne(entry) {
  const stopped = new AbortController(), found = new Map(), before = entry.results;
  Object.assign(entry, { error: undefined, notes: [] });
  underWay.set(entry, stopped);
  album.changed(entry);
  try {
    for (const options of wishes()) {
      await ask(entry, { ...options, preview: !entry.preview }, found, stopped.signal);
      if (entry.error) break;
    }
    if (found.size === 0) entry.error ??= 'no model was asked';
    announce(`${entry.name}: ${entry.error ?? [...found.values()].map(textOf).join('; ')}`);
  } catch (error) {
    if (error.name !== 'AbortError') entry.error = error.message;
    else if (album.entries.includes(entry)) waiting.unshift(entry);
  } finally {
    // What a person wrote stays; after an error or a stop what was before, too.
    const again = isWaiting(entry), written = (each) => each.corrected !== undefined;
    const fresh = [...found.values()].filter((each) => !again || written(each));
    entry.results = over(fresh, before.filter((each) => again || !fresh.length || entry.error || written(each)));
    underWay.delete(entry);
    album.changed(entry);
  }
}

async function run(signal) {
  while (waiting.length > 0 && !signal.aborted) {
    const entry = waiting.shift();
    await captionOne(entry);
    if (signal.aborted) break;
    if (album.entries.includes(entry)) ++done;
    tell();
  }
}

function tell() {
  const running = stopping !== null;
  const left = waiting.length + underWay.size;
  find('progress').hidden = left === 0 || (total < 2 && running && !slow);
  find('progress-bar').max = total;
  find('progress-bar').value = done;
  find('progress-text').textContent = running ? `${done} of ${plural(total, 'photo')}` : `Stopped: ${plural(left, 'photo')} left`;
  find('stop').textContent = running ? 'Stop' : 'Go on';
  find('drop-rest').hidden = running;
}

async function go() {
  if (stopping) return;
  stopping = new AbortController();
  const { signal } = stopping;
  slow = false;
  const timer = setTimeout(() => {
    slow = true;
    tell();
  }, kSlow);
  tell();
  await Promise.all(Array.from({ length: kAtOnce }, () => run(signal)));
  clearTimeout(timer);
  stopping = null;
  if (!signal.aborted) done = total = 0;
  tell();
  // What came in while the last ones were being stopped waits for "Go on".
  if (!signal.aborted && waiting.length > 0) go();
}

function stop() {
  stopping?.abort();
  for (const each of underWay.values()) each.abort();
  clearNotice('busy');
}

// Captions these photos. Those that already wait keep their place.
export function captionAll(entries) {
  clearNotice('wish');
  if (wishes().length === 0) return notice('wish', find('settings-problem').textContent, 'error');
  const fresh = entries.filter((entry) => !waiting.includes(entry) && !underWay.has(entry));
  waiting.push(...fresh);
  total += fresh.length;
  for (const entry of fresh) album.changed(entry);
  go();
}

export function forget(entry) {
  if (waiting.includes(entry) || underWay.has(entry)) --total;
  waiting = waiting.filter((each) => each !== entry);
  underWay.get(entry)?.abort();
  tell();
}

export function forgetAll() {
  stop();
  waiting = [];
  done = total = 0;
  tell();
}

export function prepareWork() {
  find('stop').addEventListener('click', () => (stopping ? stop() : go()));
  find('drop-rest').addEventListener('click', () => {
    const left = waiting;
    forgetAll();
    for (const entry of left) album.changed(entry);
  });
}
