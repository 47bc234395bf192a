// A ZIP archive of texts, stored, not packed: captions are small.

const kTable = Uint32Array.from({ length: 256 }, (_, number) => {
  let crc = number;
  for (let bit = 0; bit < 8; ++bit) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = kTable[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// Little-endian numbers: [bytes, value] each.
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

const kVersion = 20, kNamesInUtf8 = 1 << 11, kMost = 0xffff;

// files: { name, text } each. Errors: RangeError (more files than the format counts).
export function zipOf(files, now = new Date()) {
  if (files.length > kMost) throw new RangeError(`a ZIP file holds ${kMost} files`);
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const day = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  const parts = [], directory = [];
  let at = 0, directorySize = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(file.name), bytes = new TextEncoder().encode(file.text);
    const common = [[2, kVersion], [2, kNamesInUtf8], [2, 0], [2, time], [2, day], [4, crc32(bytes)],
                    [4, bytes.length], [4, bytes.length], [2, name.length], [2, 0]];
    const head = record([4, 0x04034b50], ...common);
    const entry = record([4, 0x02014b50], [2, kVersion], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]);
    parts.push(head, name, bytes);
    directory.push(entry, name);
    at += head.length + name.length + bytes.length;
    directorySize += entry.length + name.length;
  }
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, directorySize], [4, at], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}
