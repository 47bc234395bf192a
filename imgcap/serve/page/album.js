// All photos of this page with their captions, in memory and in the browser's store.
//   { id, name, file, preview, thumb, width, height, format, error, notes, results }
//   a result: what the server said of one model and language, and `corrected`, where a person wrote another caption
// Events: "changed" (detail: the entry), "listed" (entries came or went).
import { notice } from './notice.js';
import * as store from './store.js';

class Album extends EventTarget {
  entries = [];

  async load() {
    try {
      this.entries = (await store.loadAll()).sort((a, b) => (a.id < b.id ? -1 : 1));
    } catch {
      this.forget();
    }
    this.tell('listed');
  }

  // New photos, { file, name } each, come first, in their own order. -> their entries
  add(files) {
    const later = String(9e12 - Date.now()).padStart(13, '0');
    const stamp = Math.random().toString(36).slice(2, 8);  // two tabs may add in the same millisecond
    const added = files.map(({ file, name }, number) => ({
      id: `${later}-${stamp}-${String(number).padStart(5, '0')}`, name, file, results: [], notes: [],
    }));
    this.entries = [...added, ...this.entries];
    for (const entry of added) this.keep(entry);
    this.tell('listed');
    return added;
  }

  // The entry of the same file, where there is one.
  same(file, name) {
    return this.entries.find((entry) => entry.name === name && entry.file.size === file.size &&
                                        entry.file.lastModified === file.lastModified);
  }

  changed(entry) {
    this.keep(entry);
    this.tell('changed', entry);
  }

  remove(entry) {
    this.entries = this.entries.filter((each) => each !== entry);
    store.remove(entry.id).catch(() => {});
    this.tell('listed');
  }

  clear() {
    this.entries = [];
    store.removeAll().catch(() => {});
    this.tell('listed');
  }

  keep(entry) {
    if (this.entries.includes(entry)) store.save(entry).catch(() => this.forget());
  }

  forget() {
    notice('store', 'This browser does not keep the photos: they last until the page is closed.', 'error');
    this.keep = () => {};  // once is enough
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const album = new Album();

// What a result is about, among those of one photo.
export const keyOf = ({ model, language }) => `${model} ${language ?? ''}`;

// What a person wrote goes over what the model said.
export const textOf = (result) => result.corrected ?? result.caption;

export function correct(result, text) {
  if (text === undefined || text === result.caption) delete result.corrected;
  else result.corrected = text;
}
