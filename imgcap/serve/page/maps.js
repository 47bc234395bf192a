// Where a word came from, drawn over the photo: one rectangle for each place that the model has, not smoothed.
import { find, share } from './dom.js';

const kDarkest = 0.75;  // of the dark over places that were not looked at
let hint = '';

const kRaises = [255, 140, 0], kLowers = [40, 110, 255];

// [red, green, blue, opacity] of a place. Attention: looked-at places stay bright, relative to the brightest of the map.
// Gradients: their sign is the colour, their strength, relative to the strongest of the sentence, the opacity.
function colour(kind, value, most) {
  if (most <= 0) return [0, 0, 0, 0];
  if (kind === 'gradient') return [...(value < 0 ? kLowers : kRaises), Math.round(200 * Math.abs(value) / most)];
  return [0, 0, 0, Math.round(255 * kDarkest * (1 - value / most))];
}

// maps: { kind?, rows, columns, maps }; `at`: which of them; `word`: { word, probability? }
export function showMap(maps, at, word) {
  const { rows, columns } = maps, kind = maps.kind ?? 'attention';
  const map = maps.maps[at];
  const strongest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const most = kind === 'gradient' ? strongest(maps.maps.map(strongest)) : strongest(map);
  const canvas = find('map');
  canvas.width = columns;
  canvas.height = rows;
  const pixels = new ImageData(columns, rows);
  map.forEach((value, place) => pixels.data.set(colour(kind, value, most), 4 * place));
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  canvas.hidden = false;

  explain(kind);
  const first = map.reduce((best, value, place) => (value > map[best] ? place : best), 0);
  say(word, `most in row ${Math.floor(first / columns) + 1} of ${rows}, column ${first % columns + 1} of ${columns}` +
            (kind === 'attention' ? `: ${share(map[first])} of its attention` : ''));
}

// What the maps of this kind are, at a height that stays: captions must not move under the pointer.
function explain(kind) {
  for (const each of ['attention', 'gradient']) find(`about-${each}`).classList.toggle('now', each === kind);
  find(`about-${kind}`).hidden = false;
}

// The kinds of maps that the captions on show can have; none: [].
export function offerMaps(kinds) {
  for (const each of ['attention', 'gradient']) find(`about-${each}`).hidden = !kinds.includes(each);
  if (kinds.length > 0) explain(kinds[0]);
  hint = kinds.length > 0 ? 'Point at a word, or go to it with Tab, to see where it came from.' : '';
  clearMap();
}

// A word, and what there is to say of it.
export function say({ word, probability }, text) {
  find('legend-word').textContent = probability === undefined ? word : `${word} (${share(probability)})`;
  find('legend-text').textContent = text;
}

export function clearMap() {
  find('map').hidden = true;
  find('legend-word').textContent = '';
  find('legend-text').textContent = hint;
}
