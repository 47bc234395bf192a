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
    .map(({ name, results }) => ({ name, captions: results.map((result) => before + textOf(result) + after) }));
}

const fileOf = (text, type) => new Blob([text], { type });

const kKinds = {
  'download-csv': () => [fileOf(resultsCsv(photos()), 'text/csv'), 'results.csv'],
  'download-coco': () => [fileOf(cocoJson(photos()), 'application/json'), 'captions.json'],
  'download-text': () => [zipOf(textFiles(photos())), 'captions.zip'],
};

async function downloadReport() {
  const made = find('download-report');
  const { model, language, beam } = wishes()[0] ?? {};
  const texts = album.entries.map(({ results }) => results.find(({ corrected }) => corrected)?.corrected ?? '');
  const options = { texts, title: `Captions of ${plural(album.entries.length, 'photo')}`, beam, model, ...(language ? { language } : {}) };
  made.disabled = true;
  clearNotice('report');
  try {
    download(await patiently(() => report(album.entries, options)), 'report.html');
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
