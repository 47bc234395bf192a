// Other words in a word's place, and how the model goes on from a beginning.
import { caption } from './api.js';
import { bar, button, element, problem, share } from './dom.js';
import { clearMap, showMap } from './maps.js';
import { announce } from './notice.js';
import { patiently } from './patience.js';
import { sentence } from './sentence.js';
import { wishOf } from './settings.js';

const kEnd = '(the end)';  // a word without a text is the caption's end

// The likeliest words at one place as buttons. pick(word); close(): a button that puts them away, if it is given
export function choices(title, words, { language, pick, now, close }) {
  const rows = words.map(({ word, probability }) => element('li', {},
    word ? button(word, () => pick(word), { class: 'choice', dir: 'auto', lang: language, 'aria-current': word === now })
         : element('span', { class: 'choice end' }, kEnd),
    bar(probability), element('span', { class: 'number' }, share(probability))));
  return element('div', { class: 'choices' }, element('h3', {}, title, close && button('Close', close, { class: 'quiet' })), element('ol', {}, rows));
}

// The model's caption that begins with `prefix`, while it comes. keep(text): somebody wants it.
export function continuation(entry, { model, language }, prefix, keep) {
  const text = element('p', { class: 'sentence growing', dir: 'auto', lang: language }, `${prefix} …`);
  const made = element('div', { class: 'continuation', 'aria-busy': 'true' }, element('h3', {}, 'The model goes on'), text);
  const options = wishOf(model, language, { prefix });
  let result = null;
  patiently(() => caption(entry, options, (name, data) => {
    if (name === 'words') text.textContent = `${data.text} …`;
    if (name === 'caption') result = data;
    if (name === 'problem') throw new Error(data.error);
  })).then(() => {
    const point = (i) => (result.attention ? showMap(result.attention, i, result.words[i]) : clearMap());
    text.replaceWith(sentence(result.words, { language, point }));
    made.append(button('Use this caption', () => keep(result.caption), { class: 'quiet' }));
    announce(result.caption);
  }).catch((error) => {
    text.replaceWith(problem(error.message));
  }).finally(() => made.removeAttribute('aria-busy'));
  return made;
}
