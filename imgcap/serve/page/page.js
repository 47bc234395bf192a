// The original's page: a photo, the beam's width, a caption.
import { caption } from './api.js';

const find = (id) => document.getElementById(id);

find('beam').addEventListener('input', () => { find('beam-value').value = find('beam').value; });

find('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  find('caption').textContent = find('error').textContent = '';
  try {
    const [photo] = await caption([find('photo').files[0]], { beam: Number(find('beam').value), preview: true });
    find('caption').textContent = photo.captions[0].caption;
    find('preview').src = photo.preview;
    find('preview').hidden = false;
  } catch (error) {
    find('error').textContent = error.message;
  }
});
