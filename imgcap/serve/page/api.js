// The service's calls. Addresses are relative, so that the page works under any path.
import { events } from './events.js';
import { askForToken, token } from './token.js';

// The server said no, and why.
export class Refused extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;  // seconds, or NaN
  }
}

// Nobody answered, or only a proxy that finds no server behind it.
export class Gone extends Error {}

const kAway = [502, 503, 504];
const lost = (error) => (error.name === 'TypeError' ? new Gone('the server went away') : error);

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    await expectReadable(options.body);
    throw new Gone('the server does not answer');
  }
}

// A file that was changed or deleted since it was chosen fails as a lost connection does.
async function expectReadable(form) {
  for (const part of form?.values() ?? []) {
    if (!(part instanceof Blob)) continue;
    try {
      await part.slice(0, 1).arrayBuffer();
    } catch {
      throw new Refused(`${part.name} can no longer be read: choose it again`, 0, NaN);
    }
  }
}

// Errors: Refused, Gone, AbortError (options.signal).
export async function ask(address, options = {}) {
  for (;;) {
    const sent = token();
    const headers = { ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    const answer = await reach(address, { ...options, headers });
    if (answer.ok) return answer;
    if (answer.status === 401 && (token() !== sent || (await askForToken()))) continue;
    const error = (await answer.json().catch(() => null))?.error;
    if (!error && kAway.includes(answer.status)) throw new Gone('the server does not answer');
    throw new Refused(error ?? `the server answered ${answer.status}`, answer.status, Number.parseFloat(answer.headers.get('Retry-After')));
  }
}

export async function askJson(address, options) {
  const answer = await ask(address, options);
  try {
    return await answer.json();
  } catch (error) {
    throw lost(error);
  }
}

function formOf(files, options) {
  const form = new FormData();
  for (const { file, name } of files) form.append('photo', file, name);
  form.append('options', JSON.stringify(options));
  return form;
}

// Captions while they come: on(name, data) for photo, words, caption, problem and end.
export async function caption(photo, options, on, signal) {
  const answer = await ask('api/caption', {
    method: 'POST', body: formOf([photo], options), headers: { Accept: 'text/event-stream' }, signal,
  });
  let ended = false;
  try {
    for await (const { name, data } of events(answer.body)) {
      ended ||= name === 'end';
      on(name, JSON.parse(data));
    }
  } catch (error) {
    throw lost(error);
  }
  if (!ended) throw new Gone('the server went away');
}

// What a model makes of a sentence about a photo. -> an explanation
export async function explain(photo, options, signal) {
  const answer = await askJson('api/explain', { method: 'POST', body: formOf([photo], options), signal });
  const [one] = answer.photos;
  if (one.error) throw new Refused(one.error, 422, NaN);
  if (!one.explanations?.length) throw new Refused('this model explains nothing', 422, NaN);
  return one.explanations[0];
}

// -> the report's HTML, as a Blob
export async function report(photos, options, signal) {
  return (await ask('api/report', { method: 'POST', body: formOf(photos, options), signal })).blob();
}
