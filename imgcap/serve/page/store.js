// The photos' place in this browser: one IndexedDB store, which survives a reload, for each path of a server.

const kStore = 'photos';

let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(`imgcap ${location.pathname}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(kStore, { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

// Done when it is kept: a full disk shows at the end only.
async function run(mode, act) {
  const transaction = (await open()).transaction(kStore, mode);
  const request = act(transaction.objectStore(kStore));
  transaction.commit();  // or a page that is left takes it back
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

export const loadAll = () => run('readonly', (store) => store.getAll());
export const save = (entry) => run('readwrite', (store) => store.put(entry));
export const remove = (id) => run('readwrite', (store) => store.delete(id));
export const removeAll = () => run('readwrite', (store) => store.clear());
