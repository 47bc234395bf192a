// Pictures as the page holds them: blobs, and addresses of blobs for <img>.

// The server's preview comes as a data URI; a blob takes less room.
export function blobOf(dataUri) {
  const [head, data] = dataUri.split(',');
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5, head.indexOf(';')) });
}

const kThumbHeight = 240;

// A small one of a picture; the picture itself where the browser cannot make it.
export async function thumbOf(picture) {
  try {
    const bitmap = await createImageBitmap(picture);
    const scale = Math.min(1, kThumbHeight / bitmap.height);
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(scale * bitmap.width));
    canvas.height = Math.max(1, Math.round(scale * bitmap.height));
    canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? picture), 'image/jpeg', 0.85));
  } catch {
    return picture;
  }
}

const addresses = new WeakMap();

export function addressOf(blob) {
  if (!blob) return '';
  if (!addresses.has(blob)) addresses.set(blob, URL.createObjectURL(blob));
  return addresses.get(blob);
}

export function letGoOf(blob) {
  if (blob && addresses.has(blob)) URL.revokeObjectURL(addresses.get(blob));
  addresses.delete(blob);
}

// Offers a file to keep.
export function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
