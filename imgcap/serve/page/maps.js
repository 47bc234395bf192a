// Where a word came from, drawn over the photo: one rectangle for each place that the model has, not smoothed.
import { find, share } from './dom.js';

const kDarkest = 0.75;  // of the dark over places that were not looked at
const kRaises = [255, 140, 0], kLowers = [40, 110, 255];

// [red, green, blue, opacity] of a place. Attention: looked-at places stay bright, relative to the brightest of the map.
// Gradients: their sign is the colour, their strength, relative to the strongest of the sentence, the opacity.
function colour(kind, value, most) {
  if (most <= 0) return [0, 0, 0, 0];
  if (kind === 'gradient') return [...(value < 0 ? kLowers : kRaises), Math.round(200 * Math.abs(value) / most)];
  return [0, 0, 0, Math.round(255 * kDarkest * (1 - value / most))];
}

function explanation(kind, rows, columns) {
  const places = `${rows} × ${columns} places`;
  if (kind === 'gradient') {
    return `Which places raise (orange) or lower (blue) this word’s log-probability, to first order; the stronger the ` +
           `colour, the more. The model sees only the mean of all ${places}, so it isn’t looking.`;
  }
  return `Where the model looked for this word: the brighter, the more. It has ${places}; smoothing adds no detail, so none is done.`;
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

  const first = map.reduce((best, value, place) => (value > map[best] ? place : best), 0);
  say(word, `${explanation(kind, rows, columns)} Most of all: row ${Math.floor(first / columns) + 1}, column ${first % columns + 1}` +
            (kind === 'attention' ? ` (${share(map[first])} of its attention).` : '.'));
}

// A word without a map, and why.
export function say(word, text) {
  const said = word.probability === undefined ? word.word : `${word.word} (${share(word.probability)})`;
  find('legend-word').textContent = said;
  find('legend-text').textContent = text;
}

export function clearMap() {
  find('map').hidden = true;
  find('legend-word').textContent = '';
  find('legend-text').textContent = find('captions').querySelector('.word') ? 'Point at a word, or go to it with Tab, to see where it came from.' : '';
}
