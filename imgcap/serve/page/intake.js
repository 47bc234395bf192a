// How photos come in: dropped anywhere, pasted, chosen, a whole folder.
import { find, plural } from './dom.js';
import { clearNotice, notice } from './notice.js';

const kPhotos = /\.(jpe?g|png|gif|bmp|webp|tiff?|hei[cf]|avif)$/i;

const withName = (file) => ({ file, name: file.webkitRelativePath || file.name || 'photo' });

// Of a folder only what is called like a photo: the rest was not meant.
function photosOf(files) {
  const photos = files.filter(({ name }) => kPhotos.test(name));
  const others = files.length - photos.length;
  if (others > 0) notice('others', `${plural(others, 'file')} of the folder ${others === 1 ? 'is no photo' : 'are no photos'}.`, 'error');
  return photos.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function filesIn(folder, path) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {  // a reader gives its entries in portions
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (entry.isDirectory) files.push(...await filesIn(entry, `${path}${entry.name}/`));
      else files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name: path + entry.name });
    }
  }
}

async function dropped(transfer) {
  // They have to be asked for before the first wait: the transfer is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  const files = [...transfer.files];
  const folders = entries.filter((entry) => entry?.isDirectory);
  if (folders.length === 0) return files.map(withName);
  const single = files.filter((_, i) => !entries[i]?.isDirectory).map(withName);
  const within = [];
  for (const folder of folders) within.push(...await filesIn(folder, `${folder.name}/`));
  return [...single, ...photosOf(within)];
}

const hasFiles = (event) => event.dataTransfer?.types.includes('Files');

// take(photos): { file, name } each
export function prepareIntake(take) {
  const given = (photos) => {
    if (photos.length > 0) take(photos);
  };
  find('choose').addEventListener('click', () => find('files').click());
  find('choose-folder').addEventListener('click', () => find('folder').click());
  find('files').addEventListener('change', () => {
    given([...find('files').files].map(withName));
    find('files').value = '';
  });
  find('folder').addEventListener('change', () => {
    clearNotice('others');
    given(photosOf([...find('folder').files].map(withName)));
    find('folder').value = '';
  });

  let inside = 0;  // dragenter and dragleave come for each element on the way
  const over = (is) => find('drop-here').toggleAttribute('hidden', !is);
  addEventListener('dragenter', (event) => {
    if (hasFiles(event)) over(++inside > 0);
  });
  addEventListener('dragleave', (event) => {
    if (hasFiles(event)) over(--inside > 0);
  });
  addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener('drop', async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over((inside = 0) > 0);
    clearNotice('others');
    given(await dropped(event.dataTransfer));
  });
  addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;  // text, for a field
    event.preventDefault();
    given(files.map(withName));
  });
}
