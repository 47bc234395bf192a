// What a model makes of a sentence about a photo: asked once, and kept while the page is open.
import { explain } from './api.js';
import { patiently } from './patience.js';
import { can } from './settings.js';

export const canExplain = () => can('/api/explain');

const known = new WeakMap();  // entry -> Map of answers

// who: { model, language? } -> a promise of the explanation
export function explanationOf(entry, { model, language }, text) {
  if (!known.has(entry)) known.set(entry, new Map());
  const answers = known.get(entry);
  const key = JSON.stringify([model, language, text]);
  if (!answers.has(key)) {
    const options = { model, text, ...(language ? { language } : {}) };
    const answer = patiently(() => explain(entry, options));
    answer.catch(() => answers.delete(key));
    answers.set(key, answer);
  }
  return answers.get(key);
}
