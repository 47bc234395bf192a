// The photos' place in this browser: one IndexedDB store, which survives a reload. A server under another path has its own.

const kStore = 'photos';

function wait(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let opened = null;

function open() {
  opened ??= (async () => {
    const request = indexedDB.open(`imgcap ${location.pathname}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(kStore, { keyPath: 'id' });
    return wait(request);
  })();
  return opened;
}

async function run(mode, act) {
  const transaction = (await open()).transaction(kStore, mode);
  return wait(act(transaction.objectStore(kStore)));
}

export const loadAll = () => run('readonly', (store) => store.getAll());
export const save = (entry) => run('readwrite', (store) => store.put(entry));
export const remove = (id) => run('readwrite', (store) => store.delete(id));
export const removeAll = () => run('readwrite', (store) => store.clear());
