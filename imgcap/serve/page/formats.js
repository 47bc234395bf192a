// The files that captions are downloaded as. photos: { name, captions: [text, ...] } each.

const oneLine = (text) => text.replace(/\s*[\r\n]+\s*/g, ' ');

// beach.jpg, beach.jpg -> beach.jpg, beach (2).jpg. Names of the same key(name) are the same.
function numbered(names, key = (name) => name) {
  const taken = new Set();
  return names.map((name) => {
    const [, stem, ending = ''] = name.match(/^(.*?)(\.[^./]+)?$/s);
    for (let number = 2; taken.has(key(name)); ++number) name = `${stem} (${number})${ending}`;
    taken.add(key(name));
    return name;
  });
}

// Flickr30k's: "|" divides, and nothing is quoted.
export function resultsCsv(photos) {
  let text = 'image_name| comment_number| comment\n';
  const names = numbered(photos.map(({ name }) => oneLine(name).replaceAll('|', '_')));
  photos.forEach(({ captions }, i) => captions.forEach((caption, number) => {
    text += `${names[i]}| ${number}| ${oneLine(caption)}\n`;
  }));
  return text;
}

export function cocoJson(photos) {
  const images = [], annotations = [];
  const names = numbered(photos.map(({ name }) => name));
  photos.forEach(({ captions }, i) => {
    images.push({ id: i + 1, file_name: names[i] });
    for (const caption of captions) annotations.push({ id: annotations.length + 1, image_id: i + 1, caption });
  });
  return `${JSON.stringify({ images, annotations }, null, 1)}\n`;
}

// beach.jpg -> beach.txt, a caption a line. Some systems do not tell BEACH.txt from it.
export function textFiles(photos) {
  const safe = (name) => name.split(/[/\\]/).filter((part) => part && part !== '.' && part !== '..').join('/') || 'photo';
  const names = numbered(photos.map(({ name }) => `${safe(name).replace(/\.[^./]+$/, '')}.txt`), (name) => name.toLowerCase());
  return photos.map(({ captions }, i) => ({ name: names[i], text: `${captions.map(oneLine).join('\n')}\n` }));
}
