// The token that some servers ask for. The link that the program prints has it behind #; it stays in this tab.
import { find } from './dom.js';

let now = null;

function keep(given) {
  now = given;
  try {
    sessionStorage.setItem('token', given);
  } catch {
    // a browser that keeps nothing asks again after a reload
  }
}

export function token() {
  try {
    return now ?? sessionStorage.getItem('token');
  } catch {
    return now;
  }
}

const inLink = new URLSearchParams(location.hash.slice(1)).get('token');
if (inLink) {
  keep(inLink);
  history.replaceState(null, '', location.pathname + location.search);
}

let asking = null;

// Asks for one, once for all who need it. -> whether one was given
export function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find('token-dialog');
    find('token-wrong').hidden = !token();
    find('token').value = '';
    find('token-form').onsubmit = (event) => {
      event.preventDefault();
      keep(find('token').value.trim());
      dialog.close('given');
    };
    dialog.onclose = () => {
      asking = null;
      resolve(dialog.returnValue === 'given');
    };
    dialog.returnValue = '';
    dialog.showModal();
  });
  return asking;
}
