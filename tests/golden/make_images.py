"""Makes images.safetensors: small picture files and what Pillow and torchvision make of them.

    python tests/golden/make_images.py  # needs numpy, Pillow, torchvision; made with 13.0.0 and 0.26.0

file/NAME: the bytes of a picture file; pixels/NAME: its pixels (height, width, 3) after Pillow's decoding, upright and
over white. photo: the picture the other steps start from; resize/HxW, rotate/DEGREES, brightness/F, contrast/F,
saturation/F, hue/F: their results; hue_colors and hue_colors/F: a spread of colours for the hue's roundings.
"""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
import torchvision.transforms.functional as F
from PIL import Image, ImageOps

arrays = {}
rng = np.random.default_rng(31)


def picture(width, height):
    """Smooth waves and some noise: compresses, and shows shifted or swapped pixels."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / (3 + c) + y / (7 - c) + c) for c in range(3)]
    return Image.fromarray((np.stack(waves, 2) + rng.integers(-7, 8, (height, width, 3))).clip(0, 255).astype(np.uint8))


def over_white(image):
    image = image.convert("RGBA")
    pixels = np.asarray(image).astype(np.int64)
    alpha = pixels[..., 3:]
    return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def put(name, data, pixels=None):
    arrays["file/" + name] = np.frombuffer(data, np.uint8)
    if pixels is None:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        pixels = over_white(image) if image.mode in ("P", "PA", "LA", "RGBA") else np.asarray(image.convert("RGB"))
    arrays["pixels/" + name] = np.ascontiguousarray(pixels)


def save(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


small = picture(37, 23)
for subsampling, name in ((0, "444"), (1, "422"), (2, "420")):
    put(f"baseline_{name}.jpg", save(small, "JPEG", quality=90, subsampling=subsampling))
put("progressive.jpg", save(small, "JPEG", quality=85, progressive=True))
put("grey.jpg", save(small.convert("L"), "JPEG", quality=85))
put("restart.jpg", save(small, "JPEG", quality=85, restart_marker_blocks=2))
cmyk = Image.fromarray(np.concatenate([np.asarray(picture(19, 13)), np.asarray(picture(19, 13))[..., :1]], 2), "CMYK")
data = save(cmyk, "JPEG", quality=90)
put("cmyk.jpg", data)
# The same samples declared YCCK by Adobe's marker (its last byte is the colour transform).
at = data.index(b"Adobe") + 11
put("ycck.jpg", data[:at] + b"\x02" + data[at + 1 :])
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(f"orientation_{orientation}.jpg", save(picture(11, 6), "JPEG", quality=90, exif=exif))
exif = Image.Exif()
exif.endian = ">"
exif[0x0112] = 6
put("orientation_big_endian.jpg", save(picture(11, 6), "JPEG", quality=90, exif=exif))
put("one_pixel.jpg", save(picture(1, 1), "JPEG"))

put("rgb.png", save(small, "PNG"))
put("grey.png", save(small.convert("L"), "PNG"))
put("bits_1.png", save(small.convert("1"), "PNG"))
put("palette.png", save(small.quantize(16), "PNG"))
put("palette_transparent.png", save(small.quantize(16), "PNG", transparency=3))
alpha = small.copy()
alpha.putalpha(Image.fromarray(rng.integers(0, 256, (23, 37)).astype(np.uint8)))
put("alpha.png", save(alpha, "PNG"))
put("grey_alpha.png", save(alpha.convert("LA"), "PNG"))
deep = rng.integers(0, 65536, (5, 7)).astype(np.uint16)
put("grey_16.png", save(Image.fromarray(deep), "PNG"), np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, 2))
put("rgb.bmp", save(small, "BMP"))
put("palette.bmp", save(small.quantize(16), "BMP"))
put("grey.bmp", save(small.convert("L"), "BMP"))
put("bits_1.bmp", save(small.convert("1"), "BMP"))
put("still.gif", save(small.quantize(16), "GIF"))
put("moving.gif", save(small.quantize(8), "GIF", save_all=True, append_images=[picture(37, 23).quantize(8)]))
put("transparent.gif", save(small.quantize(16), "GIF", transparency=2))

# 16 MB of zeros in 16 kB, for a picture of 37 x 23.
chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
ihdr = arrays["file/rgb.png"].tobytes()[:33]
bomb = ihdr + chunk(b"IDAT", zlib.compress(bytes(16 << 20), 9)) + chunk(b"IEND", b"")
arrays["bomb"] = np.frombuffer(bomb, np.uint8)

photo = picture(61, 47)
arrays["photo"] = np.asarray(photo)
for height, width in ((24, 31), (47, 30), (11, 61), (94, 122), (100, 77), (1, 1), (1, 61), (3, 200), (46, 60), (33, 7), (20, 59), (38, 57), (39, 57)):
    arrays[f"resize/{height}x{width}"] = np.asarray(photo.resize((width, height), Image.BILINEAR))
dot = Image.fromarray(np.array([[[9, 200, 77]]], np.uint8))
arrays["dot"] = np.asarray(dot)
arrays["dot_resized"] = np.asarray(dot.resize((5, 4), Image.BILINEAR))
for degrees in (-15.0, -7.3, 0.0, 0.001, 3.25, 14.999, 45.0, 90.0, 180.0, 222.0):
    arrays[f"rotate/{degrees}"] = np.asarray(F.rotate(photo, degrees))
for factor in (0.0, 0.8, 0.913, 1.0, 1.0371, 1.2):
    arrays[f"brightness/{factor}"] = np.asarray(F.adjust_brightness(photo, factor))
    arrays[f"contrast/{factor}"] = np.asarray(F.adjust_contrast(photo, factor))
    arrays[f"saturation/{factor}"] = np.asarray(F.adjust_saturation(photo, factor))
colors = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
colors[:16, :, 1] = colors[:16, :, 0]
colors[:8, :, 2] = colors[:8, :, 0]
arrays["hue_colors"] = colors
for factor in (-0.5, -0.1, -0.0312, 0.0, 0.05, 0.1, 0.5):
    arrays[f"hue/{factor}"] = np.asarray(F.adjust_hue(photo, factor))
    arrays[f"hue_colors/{factor}"] = np.asarray(F.adjust_hue(Image.fromarray(colors), factor))

header, body = {}, b""
for name, value in arrays.items():
    raw = np.ascontiguousarray(value).tobytes()
    header[name] = {"dtype": "U8", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
    body += raw
text = json.dumps(header).encode()
path = pathlib.Path(__file__).parent / "images.safetensors"
path.write_bytes(struct.pack("<Q", len(text)) + text + body)
print(path, path.stat().st_size, "bytes,", len(arrays), "arrays")
