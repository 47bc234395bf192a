// A training run that goes on elsewhere: its curves and speed, and what it says of a few photos at each validation.
import { ask, askJson } from './api.js';
import { element, find } from './dom.js';
import { patiently } from './patience.js';

const PAUSE = 3000;  // milliseconds between two looks
const WIDTH = 400, HEIGHT = 120;
const pictures = [];

const svg = (name, attributes, ...children) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// series: [{ name, points: [[x, y], ...] }]; all have one pair of axes.
function chart(title, series) {
  const all = series.flatMap(({ points }) => points);
  if (all.length < 2) return null;
  const [left, right, low, high] = [0, 1].flatMap((k) => [Math.min(...all.map((p) => p[k])), Math.max(...all.map((p) => p[k]))]);
  const place = ([x, y]) => `${((x - left) / (right - left || 1)) * WIDTH},${HEIGHT - ((y - low) / (high - low || 1)) * HEIGHT}`;
  const lines = series.map(({ points }, i) => svg('polyline', { class: `line line${i}`, points: points.map(place).join(' ') }));
  const now = series.map(({ name, points }) => `${name} ${points.at(-1)?.[1].toFixed(3) ?? ''}`).join(', ');
  return element('figure', {},
    svg('svg', { viewBox: `-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`, role: 'img', 'aria-label': `${title} from ${low.toFixed(3)} to ${high.toFixed(3)}` }, ...lines),
    element('figcaption', {}, element('b', {}, title), ` ${now}`));
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function facts(run) {
  const speed = run.steps.captions_per_second.at(-1), scale = run.steps.loss_scale.at(-1);
  return [
    `step ${run.step}${run.total_steps ? ` of ${run.total_steps}` : ''}, epoch ${run.epoch + 1}`,
    speed && `${Math.round(speed)} captions per second`,
    run.seconds_left > 0 && run.seconds_silent < 120 && `${duration(run.seconds_left)} left`,
    scale > 0 && `loss scale ${scale}`,
    run.seconds_silent >= 120 && `nothing new for ${duration(run.seconds_silent)}`,
  ].filter(Boolean).join(' · ');
}

const curve = (list, key) => list.filter((each) => Number.isFinite(each[key])).map((each) => [each.step, each[key]]);

function charts({ steps, validations }) {
  const sets = Object.keys(validations.at(-1)?.sets ?? {});
  const cider = sets.map((name) => ({
    name, points: validations.filter((each) => each.sets?.[name]).map((each) => [each.step, each.sets[name].CIDEr]),
  }));
  return [
    chart('Loss', [{ name: 'training', points: steps.step.map((step, i) => [step, steps.loss[i]]) }, { name: 'validation', points: curve(validations, 'loss') }]),
    chart('CIDEr', [{ name: sets.length > 0 ? 'mean' : 'validation', points: curve(validations, 'CIDEr') }, ...cider]),
  ].filter(Boolean);
}

// A preview wants the token as every call does.
async function picture(number) {
  pictures[number] ??= ask(`api/run/preview?number=${number}`).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
  return pictures[number];
}

function sample({ set, photo, preview }, number, samples) {
  const said = samples.map(({ step, captions }) => [step, captions.find((each) => each.set === set && each.photo === photo)?.caption])
    .filter(([, caption]) => caption !== undefined).reverse();
  const image = element('img', { alt: photo });
  if (preview) picture(number).then((address) => { image.src = address; }, () => {});
  return element('li', {}, preview && image, element('p', { class: 'text', dir: 'auto' }, said[0]?.[1] ?? ''),
    ...said.slice(1, 4).map(([step, caption]) => element('small', { dir: 'auto' }, `${step}: ${caption}`)));
}

function show(run) {
  find('run-title').textContent = `The training run ${run.name}`;
  find('run-facts').textContent = facts(run);
  find('run-charts').replaceChildren(...charts(run));
  find('run-samples').replaceChildren(...(run.photos ?? []).map((photo, i) => sample(photo, i, run.samples)));
}

// Goes on as long as the page is there; while it is hidden nothing is asked.
export async function watchRun(openapi) {
  if (!openapi.paths['/api/run']) return;
  find('run').hidden = false;
  let seen = '';
  for (;;) {
    if (!document.hidden) {
      const run = await patiently(() => askJson('api/run'));
      const now = JSON.stringify([run.step, run.validations.length, run.samples.length, run.seconds_silent >= 120]);
      if (now !== seen) show(run);
      seen = now;
    }
    await new Promise((done) => { setTimeout(done, PAUSE); });
  }
}
