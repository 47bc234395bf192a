// The same from a program: calls with this page's own address.
import { copyButton, element, find } from './dom.js';
import { token } from './token.js';

function curl(address, secret) {
  return `curl ${secret ? '-H "Authorization: Bearer $IMGCAP_TOKEN" ' : ''}-F photo=@photo.jpg \\
  -F 'options={"beam": 5}' ${address}api/caption`;
}

function python(address, secret) {
  return `import json
${secret ? 'import os\n' : ''}import requests

with open("photo.jpg", "rb") as photo:
    answer = requests.post("${address}api/caption", files={"photo": photo},
                           data={"options": json.dumps({"beam": 5})}${secret ? `,
                           headers={"Authorization": "Bearer " + os.environ["IMGCAP_TOKEN"]}` : ''})
answer.raise_for_status()
print(answer.json()["photos"][0]["captions"][0]["caption"])`;
}

function javascript(address, secret) {
  return `import { readFile } from 'node:fs/promises';

const form = new FormData();
form.append('photo', new Blob([await readFile('photo.jpg')]), 'photo.jpg');
form.append('options', JSON.stringify({ beam: 5 }));
const answer = await fetch('${address}api/caption', {
  method: 'POST', body: form,${secret ? `
  headers: { Authorization: \`Bearer \${process.env.IMGCAP_TOKEN}\` },` : ''}
});
const { photos, error } = await answer.json();
console.log(error ?? photos[0].captions[0].caption);`;
}

const kCalls = [['curl', 'curl', curl], ['python', 'Python', python], ['javascript', 'JavaScript (Node)', javascript]];

export function showCalls() {
  const address = new URL('.', location.href).href;
  const secret = token() !== null;
  find('calls').replaceChildren(...kCalls.flatMap(([id, title, text]) => {
    const code = element('pre', { 'data-call': id, tabindex: 0, 'aria-label': `The call with ${title}` }, text(address, secret));
    return [element('h3', {}, title, copyButton(code.textContent, { 'aria-label': `Copy the call with ${title}` })), code];
  }));
  find('token-hint').hidden = !secret;
  if (secret) find('api-link').removeAttribute('href');  // a link sends no token
}
