// Captions and reports to keep as files.
import { report } from './api.js';
import { album, textOf } from './album.js';
import { find, plural } from './dom.js';
import { cocoJson, resultsCsv, textFiles } from './formats.js';
import { clearNotice, notice } from './notice.js';
import { patiently } from './patience.js';
import { download } from './pictures.js';
import { can, wishes } from './settings.js';
import { zipOf } from './zip.js';

// In the order of the page; with the texts that go around each caption.
function photos() {
  const before = find('text-before').value, after = find('text-after').value;
  return album.entries.filter(({ results }) => results.length > 0)
    .map(({ file, name, results }) => ({ file, name, results, captions: results.map((result) => before + textOf(result) + after) }));
}

const kMostInReport = 32;  // as many as the server takes at once

const fileOf = (text, type) => new Blob([text], { type });

const kKinds = {
  'download-csv': () => [fileOf(resultsCsv(photos()), 'text/csv'), 'results.csv'],
  'download-coco': () => [fileOf(cocoJson(photos()), 'application/json'), 'captions.json'],
  'download-text': () => [zipOf(textFiles(photos())), 'captions.zip'],
};

async function downloadReport() {
  const made = find('download-report'), all = photos();
  clearNotice('report');
  if (all.length > kMostInReport) return notice('report', `A report has ${kMostInReport} photos at most; ${all.length} have captions here.`, 'error');
  const { model, language, beam } = wishes()[0] ?? {};
  // What people wrote: the model's own captions are in it by themselves.
  const texts = all.map(({ captions, results }) => captions.filter((text, i) => text !== results[i].caption).join('\n'));
  const options = { texts, title: `Captions of ${plural(all.length, 'photo')}`, beam, model, ...(language ? { language } : {}) };
  made.disabled = true;
  try {
    download(await patiently(() => report(all, options)), 'report.html');
  } catch (error) {
    notice('report', `There is no report: ${error.message}.`, 'error');
  } finally {
    made.disabled = false;
  }
}

export function prepareDownloads() {
  for (const [id, make] of Object.entries(kKinds)) find(id).addEventListener('click', () => download(...make()));
  find('download-report').hidden = !can('/api/report');
  find('download-report').addEventListener('click', downloadReport);
}
