// Elements, made without markup: what comes from files and from the server is text, never HTML.

export const find = (id) => document.getElementById(id);

// element('button', { class: 'quiet', onclick: act }, 'Delete'): attributes, handlers ("on..."), children.
// An attribute that is false, null or undefined is left out; true is the attribute without a value.
export const element = (name, ...rest) => dress(document.createElement(name), ...rest);

// The same of one that is there.
export function dress(made, attributes = {}, ...children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const button = (text, onclick, attributes = {}) =>
  element('button', { type: 'button', onclick, ...attributes }, text);

export const copyButton = (text, attributes = {}) => navigator.clipboard && button('Copy', (event) => {
  navigator.clipboard.writeText(text).then(() => { event.target.textContent = 'Copied'; }, () => {});
}, { class: 'quiet', ...attributes });

export const problem = (text) => element('p', { class: 'problem', role: 'alert' }, text);

// A bar of a share between 0 and 1, for the eye only.
export function bar(share) {
  const filled = element('span', { class: 'filled' });
  filled.style.inlineSize = `${Math.max(1, Math.round(100 * share))}%`;
  return element('span', { class: 'bar', 'aria-hidden': 'true' }, filled);
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// The browser's name of a language: "ar" -> "Arabic".
export function languageName(code) {
  try {
    return new Intl.DisplayNames(['en'], { type: 'language' }).of(code) ?? code;
  } catch {
    return code;
  }
}

// Numbers as people read them: 0.64; very small ones are not 0.00.
export const share = (value) => (value > 0 && value < 0.01 ? '< 0.01' : value.toFixed(2));

// For the eye: the models set full stops and commas apart, as words of their own.
export const isStop = (word) => /^[.,!?;:،؛؟]+$/.test(word);
export const tidy = (text) => text.replace(/ +([.,!?;:،؛؟]+)(?=\s|$)/g, '$1');
