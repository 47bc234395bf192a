// The page: photos come in, captions come out. Each module does one thing; here they come together.
import { askJson } from './api.js';
import { album } from './album.js';
import { prepareAsking } from './ask.js';
import { prepareCamera } from './camera.js';
import { find, plural } from './dom.js';
import { prepareDownloads } from './downloads.js';
import { showExamples } from './examples.js';
import { prepareIntake } from './intake.js';
import { notice } from './notice.js';
import { patiently } from './patience.js';
import { preparePhotos } from './photos.js';
import { showCalls } from './program.js';
import { prepareReplacing } from './replace.js';
import { watchRun } from './run.js';
import { overwrites, showSettings } from './settings.js';
import { currentEntry, lookAt, prepareStage } from './stage.js';
import { captionAll, prepareWork } from './work.js';

const hasCaption = (entry) => entry.results.length > 0;

// In a batch, photos that have a caption are passed over unless they are to be captioned again.
function unlessCaptioned(entries) {
  if (entries.length < 2 || overwrites()) return entries;
  const left = entries.filter((entry) => !hasCaption(entry));
  const passed = entries.length - left.length;
  if (passed > 0) notice('passed', `${plural(passed, 'photo')} ${passed === 1 ? 'has' : 'have'} a caption already.`, 'error');
  return left;
}

function take(photos) {
  const known = photos.map(({ file, name }) => album.same(file, name));
  const fresh = photos.filter((_, i) => !known[i]);
  const added = album.add(fresh);
  const all = known.map((entry) => entry ?? added.shift());
  lookAt(all[0]);
  captionAll(unlessCaptioned(all));
  find('stage').scrollIntoView();
}

async function begin() {
  prepareStage();
  preparePhotos();
  prepareWork();
  prepareReplacing();
  const begun = prepare();
  const takeLater = (photos) => begun.then(() => take(photos));
  prepareIntake(takeLater);  // at once: a browser opens what a page does not take
  try {
    await begun;
  } catch (error) {
    return notice('begin', `The server does not let the page begin: ${error.message}.`, 'error');
  }
  prepareCamera(takeLater);
  find('again').addEventListener('click', () => captionAll([currentEntry()]));
  find('caption-all').addEventListener('click', () => captionAll(unlessCaptioned(album.entries)));
  showCalls();
  document.body.removeAttribute('aria-busy');
  await showExamples(take);
}

// What is known of the photos and of the server.
async function prepare() {
  await album.load();
  const [{ models }, openapi] = await patiently(() => Promise.all([askJson('api/models'), askJson('openapi.json')]));
  showSettings({ models, openapi });
  watchRun(openapi.paths);
  prepareAsking();
  prepareDownloads();
}

begin();
