// The service's calls. Addresses are relative, so that the page works under any path.

// The link that the program prints has the token behind #; it stays in this tab.
const inLink = new URLSearchParams(location.hash.slice(1)).get('token');
if (inLink) {
  sessionStorage.setItem('token', inLink);
  history.replaceState(null, '', location.pathname + location.search);
}

async function ask(address, options = {}) {
  const token = sessionStorage.getItem('token');
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(address, { ...options, headers });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  throw new Error(error);
}

// The files' own bytes go to the server. -> [{ name, width, height, captions: [...] }, ...]
export async function caption(files, options) {
  const form = new FormData();
  for (const file of files) form.append('photo', file, file.name);
  form.append('options', JSON.stringify(options));
  const answer = await ask('api/caption', { method: 'POST', body: form });
  return (await answer.json()).photos;
}
