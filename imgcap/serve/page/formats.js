// The files that captions are downloaded as. photos: { name, captions: [text, ...] } each.

const oneLine = (text) => text.replace(/\s*[\r\n]+\s*/g, ' ');

// Flickr30k's: "|" divides, and nothing is quoted.
export function resultsCsv(photos) {
  let text = 'image_name| comment_number| comment\n';
  for (const { name, captions } of photos) {
    captions.forEach((caption, number) => {
      text += `${oneLine(name).replaceAll('|', '_')}| ${number}| ${oneLine(caption)}\n`;
    });
  }
  return text;
}

export function cocoJson(photos) {
  const images = [], annotations = [];
  photos.forEach(({ name, captions }, i) => {
    images.push({ id: i + 1, file_name: name });
    for (const caption of captions) annotations.push({ id: annotations.length + 1, image_id: i + 1, caption });
  });
  return `${JSON.stringify({ images, annotations }, null, 1)}\n`;
}

// beach.jpg -> beach.txt, a caption a line; two photos of one name do not share a file.
export function textFiles(photos) {
  const taken = new Set();
  return photos.map(({ name, captions }) => {
    const safe = name.split(/[/\\]/).filter((part) => part && part !== '.' && part !== '..').join('/') || 'photo';
    const stem = safe.replace(/\.[^./]+$/, '');
    let file = `${stem}.txt`;
    for (let number = 2; taken.has(file.toLowerCase()); ++number) file = `${stem} (${number}).txt`;
    taken.add(file.toLowerCase());
    return { name: file, text: `${captions.map(oneLine).join('\n')}\n` };
  });
}
