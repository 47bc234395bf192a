// A sentence whose words can be pointed at and picked, by mouse, touch and keyboard.
import { clearMap } from './maps.js';
import { bar, button, element, isStop, share } from './dom.js';

// words: { word, probability } each. point(i): the word is hovered or has the focus. pick(i): it is pressed.
// `bars`: each word's probability as a bar under it.
export function sentence(words, { language, point, pick, bars = false }) {
  const buttons = words.map((each, i) => button('', () => {
    point(i);
    pick?.(i);
  }, {
    class: 'word',
    'aria-label': each.probability === undefined ? false : `${each.word}, ${share(each.probability)}`,
    onmouseenter: () => point(i),
    onfocus: () => point(i),
    onmouseleave: leave,
    onblur: leave,
  }));
  buttons.forEach((made, i) => made.append(words[i].word, bars ? bar(words[i].probability) : ''));

  // Back to the word that has the focus, if there is one.
  function leave(event) {
    const focused = event.type === 'blur' ? -1 : buttons.indexOf(document.activeElement);
    if (focused >= 0) point(focused);
    else clearMap();
  }
  const spaced = buttons.flatMap((each, i) => (i === 0 || isStop(words[i].word) ? [each] : [' ', each]));
  return element('p', { class: 'sentence', dir: 'auto', lang: language, role: 'group',
                        'aria-label': words.map(({ word }) => word).join(' ') }, spaced);
}
