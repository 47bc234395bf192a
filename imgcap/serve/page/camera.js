// A photo from the camera. Where there can be none, the page says why.
import { find } from './dom.js';

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

function say(why) {
  find('camera-why').textContent = why;
}

// The button is off while there is no camera: one can be plugged in later.
async function look() {
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  const has = devices.some(({ kind }) => kind === 'videoinput');
  find('camera').disabled = !has;
  say(has ? '' : kReasons.NotFoundError);
}

// take(photos), as intake's
export function prepareCamera(take) {
  if (!navigator.mediaDevices) {
    find('camera').disabled = true;
    return say('Camera: browsers allow it under https and on this machine itself only.');
  }
  look();
  navigator.mediaDevices.addEventListener('devicechange', look);
  const dialog = find('camera-dialog'), video = find('viewfinder'), shoot = find('shoot');
  let starting = false;  // another click would start a stream that nobody ends

  find('camera').addEventListener('click', async () => {
    if (starting) return;
    starting = true;
    shoot.disabled = true;
    say('');
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } });
      dialog.showModal();
    } catch (error) {
      say(kReasons[error.name] ?? `The camera does not start: ${error.message}`);
    }
    starting = false;
  });
  video.addEventListener('loadeddata', () => {
    shoot.disabled = false;
    shoot.focus();
  });
  dialog.addEventListener('close', () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
  shoot.addEventListener('click', async () => {
    shoot.disabled = true;
    const file = await photoOf(video);
    dialog.close();
    take([{ file, name: file.name }]);
  });
  find('no-shot').addEventListener('click', () => dialog.close());
}
