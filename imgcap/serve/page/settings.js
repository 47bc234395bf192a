// What is asked of the models. The fields' bounds, defaults and texts are openapi.json's.
import { element, find, languageName } from './dom.js';

const kKept = `imgcap settings ${location.pathname}`;

// name -> what the page calls it
const kFields = {
  nbest: 'Captions of each model', min_words: 'At least so many words', max_words: 'At most so many words',
  no_repeat_ngram: 'Do not repeat runs of so many words', length_exponent: 'Length exponent',
  prefix: 'It begins with', suppress: 'Words that it may not have', sample: 'Draw the words',
  temperature: 'Temperature', top_k: 'Only so many likeliest words', top_p: 'Only words within this share of probability',
  seed: 'Seed of the draw',
};
const kOwnHelp = { suppress: 'Divided by commas' };  // in place of the server's
const kDrawing = ['temperature', 'top_k', 'top_p', 'seed'];
const kOwnDefaults = { nbest: 3 };  // others than the server's: alternatives are worth a look

export const server = { models: [], paths: {}, schemas: {} };

export const can = (path) => path in server.paths;
const modelNamed = (name) => server.models.find((model) => model.name === name);

let kept = {};
const fields = new Map();  // name -> { input, schema }

const chosenModels = () =>
  server.models.filter((model) => find('models').querySelector(`[value="${CSS.escape(model.name)}"]`)?.checked);

function value(name) {
  const { input, schema } = fields.get(name);
  if (schema.type === 'boolean') return input.checked;
  if (schema.type === 'string') return input.value.trim();
  if (schema.type === 'array') return input.value.split(',').map((word) => word.trim()).filter(Boolean);
  return input.value === '' || !input.validity.valid ? schema.default : Number(input.value);
}

// Only what differs from the server's default is sent.
function common() {
  const options = { beam: Number(find('beam').value), attention: true };
  for (const [name, { schema }] of fields) {
    const given = value(name);
    const isDefault = given === '' || given === schema.default || (Array.isArray(given) && given.length === 0);
    if (!isDefault && !(kDrawing.includes(name) && !value('sample'))) options[name] = given;
  }
  if (!options.sample && options.nbest > options.beam) options.nbest = options.beam;
  return options;
}

// The options of the requests for a photo: one for each model, since not all have the same languages.
export function wishes() {
  const language = find('language').value;
  const all = [];
  for (const model of chosenModels()) {
    const options = { ...common(), model: model.name };
    if (language && model.languages) {
      if (language !== 'all' && !model.languages.some(({ code }) => code === language)) continue;
      options.language = language;
    }
    all.push(options);
  }
  return all;
}

// For one more caption of one model.
export function wishOf(model, language, more) {
  const { sample, nbest, prefix, ...options } = common();
  return { ...options, model, ...(language ? { language } : {}), ...more };
}

export const overwrites = () => find('overwrite').checked;

// --- the form

function keep() {
  kept = { beam: find('beam').value, language: find('language').value, models: chosenModels().map(({ name }) => name) };
  for (const [name, { input, schema }] of fields) kept[name] = schema.type === 'boolean' ? input.checked : input.value;
  try {
    localStorage.setItem(kKept, JSON.stringify(kept));
  } catch {
    // settings that are not kept do no harm
  }
}

function modelBoxes() {
  const asked = kept.models?.filter(modelNamed) ?? [];
  const chosen = asked.length ? asked : [server.models[0].name];
  const boxes = server.models.map((model) => element('label', { class: 'chip' },
    element('input', { type: 'checkbox', value: model.name, checked: chosen.includes(model.name) }), model.name));
  find('models').replaceChildren(...boxes);
  find('models-group').hidden = server.models.length < 2;
}

function languageList() {
  const codes = [...new Set(server.models.flatMap((model) => (model.languages ?? []).map(({ code }) => code)))];
  const options = codes.map((code) => element('option', { value: code, selected: kept.language === code }, languageName(code)));
  if (codes.length > 1) options.push(element('option', { value: 'all', selected: kept.language === 'all' }, 'All languages'));
  find('language').append(...options);
  find('language-group').hidden = codes.length < 2;
}

function inputOf(name, schema) {
  const id = `option-${name}`;
  const given = kept[name] ?? kOwnDefaults[name] ?? (schema.type === 'boolean' ? schema.default : schema.default ?? '');
  if (schema.type === 'boolean') return element('input', { id, type: 'checkbox', checked: given });
  if (schema.type === 'string' || schema.type === 'array') {
    return element('input', { id, type: 'text', value: given, dir: 'auto', autocomplete: 'off',
                              placeholder: name === 'suppress' ? 'man, woman' : name === 'prefix' ? 'a red' : '' });
  }
  return element('input', {
    id, type: 'number', value: given, min: schema.minimum ?? 0.01,
    max: schema.maximum > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : schema.maximum,
    step: schema.type === 'integer' ? 1 : 'any',
  });
}

function furtherFields() {
  const known = server.schemas.Options?.properties ?? {};
  for (const [name, title] of Object.entries(kFields)) {
    const schema = known[name];
    if (!schema) continue;
    const input = inputOf(name, schema);
    input.setAttribute('aria-describedby', `help-${name}`);
    fields.set(name, { input, schema });
    const field = element('div', { class: `field ${schema.type}`, 'data-drawing': kDrawing.includes(name) },
      element('label', { for: input.id }, title), input,
      element('small', { id: `help-${name}` }, kOwnHelp[name] ?? schema.description));
    find('further').append(field);
  }
}

// The first field with a number that does not go.
const invalid = () => [...fields.keys()].find((name) => !fields.get(name).input.checkValidity());

function problem() {
  const models = chosenModels(), language = find('language').value;
  if (models.length === 0) return 'No model is chosen.';
  if (wishes().length === 0) return `None of the chosen models writes ${languageName(language)}.`;
  const wrong = invalid();
  if (wrong) return `${kFields[wrong]}: ${fields.get(wrong).input.validationMessage} It counts as empty.`;
  const unnamed = models.filter(({ languages }) => !languages).map(({ name }) => name);
  return language && unnamed.length > 0 ? `${unnamed.join(', ')}: in its one language, whatever is chosen.` : '';
}

// What cannot go together is shown, not silently changed.
function settle() {
  find('beam-value').value = find('beam').value;
  const sampling = fields.has('sample') && value('sample');
  for (const name of kDrawing) if (fields.has(name)) fields.get(name).input.disabled = !sampling;
  find('beam').disabled = sampling;
  if (fields.has('nbest')) {
    find('help-nbest').textContent = sampling ? 'As many are drawn' : `At most the beam's width, now ${find('beam').value}`;
  }
  find('settings-problem').textContent = problem();
  find('settings-problem').className = wishes().length > 0 && !invalid() ? 'note' : 'problem';
}

export function showSettings({ models, openapi }) {
  Object.assign(server, { models, paths: openapi.paths, schemas: openapi.components.schemas });
  try {
    kept = JSON.parse(localStorage.getItem(kKept)) ?? {};
  } catch {
    kept = {};
  }
  if (kept.beam) find('beam').value = kept.beam;
  modelBoxes();
  languageList();
  furtherFields();
  settle();
  find('settings').addEventListener('input', () => {
    settle();
    keep();
  });
  find('settings').hidden = false;
}
