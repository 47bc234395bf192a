"""Makes encoder_resnet50.pth, encoder_resnet50.safetensors and encoder_resnet50.png: torchvision's ResNet50 as
torch.save writes it, what it says of a picture, and the picture.

All 320 tensors have their full shapes, in a file of half a megabyte: they are strided views of a few storages, which
torch.save keeps as such (an element is base[5 o + 3 i + 2 y + x + offset]). The values are an integer hash of the
place, so nothing depends on PyTorch's random numbers.

features (1, 2048, 2, 2), logits (1, 1000): of made(1, (1, 3, 64, 64)); probabilities (1000): of the picture, resized by
Pillow to 224 x 224 and normalised as torchvision's weights ask for.

    python make_encoder_pth.py
"""
import os

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from made import made

HERE = os.path.dirname(os.path.abspath(__file__))


bases = {}


def view(shape, seed, low, high):
    """A strided view of the base of these bounds; its place in it depends on `seed`."""
    steps = (5, 3, 2, 1)[: len(shape)]
    base = bases.setdefault((low, high), made(len(bases), (14000,), low, high).float())
    span = 1 + sum(step * (n - 1) for step, n in zip(steps, shape))
    return base.as_strided(shape, steps, (17 * seed) % (len(base) - span))


model = torchvision.models.resnet50(weights=None)
state = model.state_dict()
for seed, name in enumerate(sorted(state)):
    t = state[name]
    if name.endswith("num_batches_tracked"):
        continue
    if t.dim() > 1:
        bound = (3.0 / t[0].numel()) ** 0.5
        state[name] = view(tuple(t.shape), seed, -bound, bound)
    elif name.endswith("running_var") or name.endswith("weight"):
        state[name] = view(tuple(t.shape), seed, 0.5, 1.5)
    else:
        state[name] = view(tuple(t.shape), seed, -0.2, 0.2)
torch.save(state, os.path.join(HERE, "encoder_resnet50.pth"))
model.load_state_dict(state)
model = model.double().eval()

y, x = np.mgrid[0:150, 0:200].astype(np.float64)
pixels = np.stack([127 + 120 * np.sin(x / 17 + y / 40), 127 + 120 * np.cos(x * y / 900), 255 * (x + y) / 350], -1)
picture = Image.fromarray(pixels.astype(np.uint8))
picture.save(os.path.join(HERE, "encoder_resnet50.png"), optimize=True)
resized = np.asarray(picture.resize((224, 224), Image.BILINEAR), dtype=np.float64) / 255
normal = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]

with torch.no_grad():
    small = made(1, (1, 3, 64, 64)).float().double()
    out = {
        "features": torch.nn.Sequential(*list(model.children())[:-2])(small),
        "logits": model(small),
        "probabilities": torch.softmax(model(torch.from_numpy(normal).permute(2, 0, 1)[None])[0], 0),
    }
save_file({k: v.float().contiguous() for k, v in out.items()}, os.path.join(HERE, "encoder_resnet50.safetensors"))
for name in ("pth", "safetensors", "png"):
    print(name, os.path.getsize(os.path.join(HERE, f"encoder_resnet50.{name}")), "bytes")
print(torch.topk(out["probabilities"], 5))
