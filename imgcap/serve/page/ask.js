// One's own words about the photo: how likely the model finds them, and how it would go on.
import { element, find, languageName, problem, share } from './dom.js';
import { canExplain, explanationOf } from './explaining.js';
import { choices, continuation } from './going_on.js';
import { album, correct, textOf } from './album.js';
import { clearMap, say, showMap } from './maps.js';
import { announce } from './notice.js';
import { sentence } from './sentence.js';
import { server } from './settings.js';

let asked = null;  // the photo that it is about

// Each model in each of its languages.
const speakers = () => server.models.flatMap(({ name, languages }) =>
  languages ? languages.map(({ code }) => ({ model: name, language: code })) : [{ model: name }]);

const speaker = () => speakers()[Number(find('ask-speaker').value)];

// A person's choice goes into the caption of the same model and language.
function keep(entry, who, text) {
  const own = entry.results.find(({ model, language }) => model === who.model && language === who.language) ?? entry.results[0];
  if (!own) return;
  correct(own, text);
  entry.results = [...entry.results];  // another list: it is shown anew
  album.changed(entry);
  announce(`Kept: ${textOf(own)}`);
}

function answer(...parts) {
  find('ask-answer').replaceChildren(...parts);
}

function goOn(text) {
  const who = speaker(), entry = asked;
  find('ask-answer').querySelector('.continuation')?.remove();
  find('ask-answer').append(continuation(entry, who, text, (kept) => keep(entry, who, kept)));
}

async function explainIt() {
  const who = speaker(), entry = asked, text = find('ask-text').value.trim();
  answer(element('p', { class: 'note' }, 'Asking the model…'));
  try {
    const told = await explanationOf(entry, who, text);
    if (entry !== asked) return;
    const language = told.language;
    const perWord = Math.exp(told.log_probability / Math.max(1, told.words.length));
    const others = element('div', { 'aria-live': 'polite' });
    const before = (i) => told.words.slice(0, i).map(({ word }) => word);
    const point = (i) => (told.attention?.maps.length ? showMap(told.attention, i, told.words[i]) : say(told.words[i], 'There is no map of this word.'));
    const pick = (i) => others.replaceChildren(choices(`In place of “${told.words[i].word}”`, told.words[i].others,
      { language, now: told.words[i].word, pick: (word) => goOn([...before(i), word].join(' ')) }));
    answer(
      sentence(told.words, { language, point, pick, bars: true }),
      element('p', { class: 'sure' }, `${share(perWord)} for each word on average, ${told.log_probability.toFixed(1)} the log-probability of all. ` +
                                      'The bars: each word’s probability after the words before it. Press a word for others in its place.'),
      others,
      choices('And then', told.next, { language, pick: (word) => goOn([...before(told.words.length), word].join(' ')) }));
    announce(`${share(perWord)} for each word on average`);
  } catch (error) {
    answer(problem(error.message));
  }
}

export function showAsking(entry) {
  asked = entry;
  answer();
}

export function prepareAsking() {
  const all = speakers();
  find('ask-speaker').replaceChildren(...all.map(({ model, language }, i) =>
    element('option', { value: i }, language ? `${model} · ${languageName(language)}` : model)));
  find('ask-speaker').hidden = all.length < 2;
  find('ask-likely').hidden = !canExplain();
  find('ask-form').addEventListener('submit', (event) => {
    event.preventDefault();
    clearMap();
    if (canExplain() && event.submitter !== find('ask-on')) return explainIt();
    answer();
    goOn(find('ask-text').value.trim());
  });
}
