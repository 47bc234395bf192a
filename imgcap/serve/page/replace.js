// Find and replace in all captions. What it changes counts as corrected by hand; it can be undone once.
import { album, correct, textOf } from './album.js';
import { find, plural } from './dom.js';

const kNotInWord = '(?<![\\p{L}\\p{M}\\p{N}])', kNoWordAfter = '(?![\\p{L}\\p{M}\\p{N}])';

function pattern() {
  const text = find('find').value;
  if (!text) return null;
  const literal = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const whole = find('whole-words').checked;
  return new RegExp(whole ? `${kNotInWord}${literal}${kNoWordAfter}` : literal, 'giu');
}

// [entry, result, new text] of each caption that would change.
function changes() {
  const sought = pattern();
  if (!sought) return [];
  const all = [];
  for (const entry of album.entries) {
    for (const result of entry.results) {
      const text = textOf(result).replace(sought, () => find('replacement').value).replace(/ {2,}/g, ' ').trim();
      if (text !== textOf(result) && text) all.push([entry, result, text]);
    }
  }
  return all;
}

let undo = [];

function count() {
  const found = changes().length;
  find('replace-count').textContent = find('find').value ? `It changes ${plural(found, 'caption')}.` : '';
  find('replace').disabled = found === 0;
  find('undo').hidden = undo.length === 0;
}

function apply(all) {
  undo = all.map(([entry, result]) => [entry, result, result.corrected]);
  for (const [, result, text] of all) correct(result, text);
  for (const entry of new Set(all.map(([entry]) => entry))) {
    entry.results = [...entry.results];
    album.changed(entry);
  }
}

export function prepareReplacing() {
  find('replace-form').addEventListener('input', count);
  find('replace-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const all = changes();
    apply(all);
    count();
    find('replace-count').textContent = `${plural(all.length, 'caption')} changed.`;
  });
  find('undo').addEventListener('click', () => {
    apply(undo);
    undo = [];
    count();
    find('find').focus();
  });
  count();
}
