// The photos that ship with the program, for visitors without one of their own.
import { ask, askJson } from './api.js';
import { button, element, find } from './dom.js';
import { notice } from './notice.js';
import { can } from './settings.js';

const kAtFirst = 16;

function item({ name, photo, author, source, licence }, take) {
  const image = element('img', { alt: '', loading: 'lazy', src: photo });
  const choose = async () => {
    try {
      const blob = await (await ask(photo)).blob();
      take([{ file: new File([blob], name, { type: blob.type, lastModified: 0 }), name }]);
    } catch (error) {
      notice('example', `The example did not come: ${error.message}.`, 'error');
    }
  };
  const by = [author || 'Photo', licence?.replace(/ \(.*\)$/, '')].filter(Boolean).join(', ');
  const made = button('', choose, { class: 'open', 'aria-label': `Caption the example ${name}` });
  made.append(image);
  // A link of another scheme is a text.
  const origin = /^https?:/.test(source ?? '') ? element('a', { href: source, rel: 'noreferrer', target: '_blank' }, by) : by;
  return element('li', {}, made, element('small', {}, origin));
}

export async function showExamples(take) {
  if (!can('/api/examples')) return;
  const { examples } = await askJson('api/examples').catch(() => ({ examples: [] }));
  const items = examples.map((example) => item(example, take));
  find('example-list').replaceChildren(...items.slice(0, kAtFirst));
  const all = find('all-examples');
  all.textContent = `All ${examples.length}`;
  all.hidden = examples.length <= kAtFirst;
  all.addEventListener('click', () => {
    all.hidden = true;
    find('example-list').append(...items.slice(kAtFirst));
    items[kAtFirst].querySelector('button').focus();
  });
  find('examples').hidden = examples.length === 0;
}
