// A photo from the camera. Where there can be none, the page says why.
import { find } from './dom.js';

function forbid(why) {
  find('camera').disabled = true;
  find('camera').title = why;
  find('camera-why').textContent = why;
}

const kReasons = {
  NotAllowedError: 'The browser was told not to let this page use the camera.',
  NotFoundError: 'There is no camera here.',
  NotReadableError: 'Another program is using the camera.',
};

function photoOf(video) {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  const name = `camera ${new Date().toISOString().slice(0, 19).replaceAll(':', '.')}.jpg`;
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(new File([blob], name, { type: blob.type })), 'image/jpeg', 0.95));
}

// take(photos), as intake's
export async function prepareCamera(take) {
  if (!navigator.mediaDevices) return forbid('Camera: browsers allow it under https and on this machine itself only.');
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  if (!devices.some(({ kind }) => kind === 'videoinput')) return forbid('Camera: there is none here.');
  const dialog = find('camera-dialog'), video = find('viewfinder');

  find('camera').addEventListener('click', async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } });
      dialog.showModal();
    } catch (error) {
      forbid(kReasons[error.name] ?? `The camera does not start: ${error.message}`);
    }
  });
  dialog.addEventListener('close', () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
  find('shoot').addEventListener('click', async () => {
    const file = await photoOf(video);
    dialog.close();
    take([{ file, name: file.name }]);
  });
  find('no-shot').addEventListener('click', () => dialog.close());
}
