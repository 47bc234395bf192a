// A training run elsewhere: its curves and speed, what it says of a few photos at each validation.
import { ask, askJson } from './api.js';
import { dress, element, find } from './dom.js';
import { patiently, sleep } from './patience.js';

const kPause = 3, kLongPause = 10, kSilent = 120;  // seconds between two looks; after an error; without news it is said
const kWidth = 400, kHeight = 120;
const previews = new Map();  // number -> address

const svg = (name, ...rest) => dress(document.createElementNS('http://www.w3.org/2000/svg', name), ...rest);

// curves: [[name, [[x, y], ...]], ...] on one pair of axes.
function chart(title, curves) {
  const points = curves.flatMap(([, curve]) => curve);
  const [left, right, low, high] = [0, 1].flatMap((k) => [Math.min, Math.max].map((f) => f(...points.map((p) => p[k]))));
  const place = ([x, y]) => `${((x - left) / (right - left || 1)) * kWidth},${kHeight - ((y - low) / (high - low || 1)) * kHeight}`;
  const lines = curves.map(([, curve], i) => svg('polyline', { class: `line line${i}`, points: curve.map(place).join(' ') }));
  const now = curves.map(([name, curve], i) => element('span', { class: `line line${i}` }, ` ${name} ${curve.at(-1)?.[1].toFixed(3) ?? ''}`));
  return element('figure', {},
    svg('svg', { viewBox: `-4 -4 ${kWidth + 8} ${kHeight + 8}`, role: 'img', 'aria-label': title }, ...lines),
    element('figcaption', {}, title, now));
}

function charts({ steps, validations }) {
  const of = (score) => validations.map((each) => [each.step, score(each)]).filter(([, y]) => Number.isFinite(y));
  const sets = Object.keys(validations.at(-1)?.sets ?? {});
  return [
    chart('Loss', [['training', steps.step.map((step, i) => [step, steps.loss[i]])], ['validation', of((v) => v.loss)]]),
    chart('CIDEr', [['all', of((v) => v.CIDEr)], ...sets.map((set) => [set, of((v) => v.sets?.[set]?.CIDEr)])]),
  ];
}

function facts({ step, total_steps: total, epoch, steps, seconds_left: left, seconds_silent: silent }) {
  const minutes = (seconds) => `${Math.ceil(seconds / 60)} min`;
  const speed = Math.round(steps.captions_per_second.at(-1) ?? 0), scale = steps.loss_scale.at(-1);
  return [`epoch ${epoch + 1}, step ${step}${total ? ` of ${total}` : ''}`, `${speed} captions per second`, scale && `loss scale ${scale}`,
    step === total ? 'finished' : silent >= kSilent ? `nothing new for ${minutes(silent)}` : left && `${minutes(left)} left`].filter(Boolean).join(' · ');
}

// An <img> would send no token.
async function showPreview(image, number) {
  if (!previews.has(number)) previews.set(number, URL.createObjectURL(await (await ask(`api/run/preview?number=${number}`)).blob()));
  image.src = previews.get(number);
}

function sample({ set, photo, preview }, number, samples) {
  const said = samples.map(({ step, captions }) => [step, captions.find((each) => each.set === set && each.photo === photo)])
    .filter(([, caption]) => caption).reverse();
  const image = preview && element('img', { alt: photo });
  if (image) showPreview(image, number).catch(() => image.remove());
  return element('li', {}, image, said.slice(0, 4).map(([step, { caption }], i) =>
    element(i ? 'small' : 'p', { class: 'text', dir: 'auto' }, i ? `${step}: ${caption}` : caption)));
}

let seen = '';

async function look() {
  const run = await patiently(() => askJson('api/run'));
  find('run').hidden = false;
  find('run-title').textContent = `Training: ${run.name}`;
  find('run-facts').textContent = facts(run);
  const now = `${run.step} ${run.samples.length} ${run.validations.length}`;
  if (now === seen) return;
  find('run-charts').replaceChildren(...charts(run));
  find('run-samples').replaceChildren(...(run.photos ?? []).map((photo, i) => sample(photo, i, run.samples)));
  seen = now;
}

// As long as the page is open. Nothing is asked while nobody sees it.
export async function watchRun(paths) {
  if (!('/api/run' in paths)) return;
  for (let pause = kPause; ; await sleep(pause)) {
    if (document.hidden) continue;
    try {
      await look();
      pause = kPause;
    } catch (error) {
      find('run-facts').textContent = `The run cannot be seen: ${error.message}.`;
      pause = kLongPause;
    }
  }
}
