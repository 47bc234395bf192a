// One caption of a photo: its words, how sure the model is, what else it had to say, and a person's correction.
import { correct, textOf } from './album.js';
import { bar, button, copyButton, element, languageName, problem, share, tidy } from './dom.js';
import { canExplain, explanationOf } from './explaining.js';
import { choices, continuation } from './going_on.js';
import { clearMap, say, showMap } from './maps.js';
import { sentence } from './sentence.js';

const kSteps = [[0.8, 'sure'], [0.6, 'quite sure'], [0.4, 'not so sure'], [0, 'in doubt']];

const inWords = (confidence) => kSteps.find(([least]) => confidence >= least)[1];

const titleOf = ({ model, language }) => (language ? `${model} · ${languageName(language)}` : model);

// Shares among those that are shown, and no others: exp of the log-probability, normalised.
function sharesOf(captions) {
  const most = Math.max(...captions.map((each) => each.log_probability));
  const weights = captions.map((each) => Math.exp(each.log_probability - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

function alternatives(result, keep) {
  const all = [result, ...result.alternatives ?? []];
  if (all.length < 2) return null;
  const shares = sharesOf(all);
  const rows = all.map((each, i) => element('li', {},
    element('span', { class: 'text', dir: 'auto', lang: result.language }, tidy(each.caption)), bar(shares[i]),
    element('span', { class: 'number' }, share(shares[i])),
    i === 0 ? element('span', { class: 'first' }, 'first') : button('Use', () => keep(each.caption), { class: 'quiet', 'aria-label': `Use: ${each.caption}` })));
  return element('div', { class: 'alternatives' }, element('h3', {}, 'What it weighed'),
                 element('ol', {}, rows), element('p', { class: 'note' }, 'Shares among these. Their order is by log-probability per word, so a longer one can come first.'));
}

// A caption that is still growing.
export function growingCard({ model, language, text }) {
  return element('article', { class: 'card', 'aria-busy': 'true' }, element('h2', {}, titleOf({ model, language })),
                 element('p', { class: 'sentence growing', dir: 'auto', lang: language }, tidy(text)));
}

// changed(): the result was corrected, or is itself again.
export function card(entry, result, changed) {
  const made = element('article', { class: 'card' });
  const more = element('div', { class: 'more', 'aria-live': 'polite' });

  const keep = (text) => {
    correct(result, text);
    changed();
  };

  // Models without attention are asked for what their words owe to the photo.
  let pointed = -1;
  const point = async (i) => {
    pointed = i;
    const word = result.words[i];
    if (result.attention) return showMap(result.attention, i, word);
    if (!canExplain()) {
      clearMap();
      return say(word, 'This model sees the mean of all places: there is none that it looks at.');
    }
    say(word, 'Asking the model…');
    try {
      const { attention } = await explanationOf(entry, result, result.caption);
      if (pointed === i && made.isConnected && made.querySelector('.word:hover, .word:focus')) {
        if (attention?.maps.length) showMap(attention, i, word);
        else say(word, 'This model has no map.');
      }
    } catch (error) {
      say(word, error.message);
    }
  };

  const goOn = (prefix) => more.append(continuation(entry, result, prefix, keep));

  const pick = async (i) => {
    const word = result.words[i].word;
    const close = () => {
      more.replaceChildren();
      said.children[i].focus();
    };
    if (!canExplain()) return;
    more.replaceChildren(element('p', { class: 'note' }, 'Asking the model…'));
    try {
      const { words } = await explanationOf(entry, result, result.caption);
      const before = result.words.slice(0, i).map((each) => each.word).join(' ');
      more.replaceChildren(choices(`In place of “${word}”`, words[i].others, {
        language: result.language, now: word, close,
        pick: (other) => {
          more.querySelector('.continuation')?.remove();
          goOn(`${before} ${other}`.trim());
        },
      }));
    } catch (error) {
      more.replaceChildren(problem(error.message));
    }
  };

  const edit = () => {
    const field = element('textarea', { dir: 'auto', rows: 3, lang: result.language, 'aria-label': 'The caption' });
    field.value = textOf(result);
    const done = () => keep(field.value.trim() || result.caption);
    const form = element('form', { class: 'correction', onsubmit: (event) => {
      event.preventDefault();
      done();
    } }, field, element('p', { class: 'buttons' }, element('button', { class: 'main' }, 'Keep'), button('Cancel', changed, { class: 'quiet' })));
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        done();
      }
      if (event.key === 'Escape') changed();
    });
    said.replaceWith(form);
    tools.hidden = true;
    field.focus();
  };

  const said = result.corrected === undefined
    ? sentence(result.words, { language: result.language, point, pick })
    : element('p', { class: 'sentence', dir: 'auto', lang: result.language }, tidy(result.corrected));
  const sure = result.corrected !== undefined
    ? element('p', { class: 'sure' }, 'Your words. The model’s: ', element('q', { dir: 'auto' }, tidy(result.caption)))
    : result.confidence !== undefined && element('p', { class: 'sure' }, `${inWords(result.confidence)}: ${share(result.confidence)}`,
                                                 bar(result.confidence));
  const tools = element('p', { class: 'buttons tools' },
    button('Correct', edit, { class: 'quiet' }),
    result.corrected !== undefined && button('Back to the model’s', () => keep(result.caption), { class: 'quiet' }),
    copyButton(tidy(textOf(result))));
  const time = result.milliseconds >= 1000 ? `${(result.milliseconds / 1000).toFixed(1)} s` : `${Math.round(result.milliseconds)} ms`;
  made.append(element('h2', {}, titleOf(result), element('span', { class: 'time' }, time)), said);
  if (sure) made.append(sure);
  made.append(tools, more);
  const others = alternatives(result, keep);
  if (others) made.append(others);
  return made;
}
