"""Makes formats.safetensors: small WebP and TIFF files, and what Pillow makes of them.

    python tests/golden/make_formats.py  # needs numpy, Pillow, tiffcp and heif-enc (Debian: libtiff-tools, libheif-examples); made with Pillow 13.0.0

file/NAME: the bytes of a picture file; pixels/NAME: its pixels (height, width, 3) after Pillow's decoding, upright and
over white. heif/NAME, of_heif/NAME: HEIC and AVIF files and
their pixels. huge/NAME: files of 8192 x 8192 pixels, the last of them 10, 20, 30. draft/NAME/R: what Pillow's `draft` gives for a JPEG of images.safetensors at 1/R of its sides.
"""

import io
import json
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
from PIL import Image, ImageOps

here = pathlib.Path(__file__).parent
arrays = {}
rng = np.random.default_rng(32)


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / (3 + c) + y / (7 - c) + c) for c in range(3)]
    return Image.fromarray((np.stack(waves, 2) + rng.integers(-7, 8, (height, width, 3))).clip(0, 255).astype(np.uint8))


def over_white(image):
    pixels = np.asarray(image.convert("RGBA")).astype(np.int64)
    alpha = pixels[..., 3:]
    return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def put(name, data, pixels=None):
    arrays["file/" + name] = np.frombuffer(data, np.uint8)
    if pixels is None:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        pixels = over_white(image) if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa") else image.convert("RGB")
    arrays["pixels/" + name] = np.ascontiguousarray(pixels)


def save(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


small = picture(37, 23)
clear = small.copy()
clear.putalpha(Image.fromarray(rng.integers(0, 256, (23, 37)).astype(np.uint8)))


def oriented(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def xmp(value):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{value}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


# WebP
put("lossy.webp", save(small, "WEBP", quality=80))
put("lossy_alpha.webp", save(clear, "WEBP", quality=80))
put("lossless.webp", save(small, "WEBP", lossless=True))
put("lossless_alpha.webp", save(clear, "WEBP", lossless=True, exact=True))
for orientation in (1, 3, 6):
    put(f"exif_{orientation}.webp", save(picture(11, 6), "WEBP", lossless=True, exif=oriented(orientation)))
put("xmp_8.webp", save(picture(11, 6), "WEBP", lossless=True, xmp=xmp(8)))
put("exif_5_xmp_8.webp", save(picture(11, 6), "WEBP", lossless=True, exif=oriented(5), xmp=xmp(8)))
put("moving.webp", save(small, "WEBP", save_all=True, append_images=[picture(37, 23)], lossless=True))


def chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def little24(value):
    return struct.pack("<I", value)[:3]


def animation(frame, flags, x, y, canvas):
    """One frame at (x, y) of a canvas that it does not cover."""
    picture_chunks = save(frame, "WEBP", lossless=True, exact=True)[12:]
    place = b"".join(map(little24, (x // 2, y // 2, frame.width - 1, frame.height - 1, 100)))
    body = chunk(b"VP8X", struct.pack("<I", flags | 2) + little24(canvas[0] - 1) + little24(canvas[1] - 1))
    body += chunk(b"ANIM", struct.pack("<IH", 0xFF102030, 0)) + chunk(b"ANMF", place + b"\0" + picture_chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


small_clear = clear.crop((0, 0, 11, 6))
put("part.webp", animation(picture(11, 6), 0, 4, 2, (19, 13)))
put("part_alpha.webp", animation(small_clear, 16, 8, 6, (19, 13)))
put("part_opaque_on_alpha.webp", animation(picture(11, 6), 16, 0, 0, (19, 13)))

# TIFF by Pillow
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "jpeg"):
    put(f"{compression}.tif", save(small, "TIFF", compression=None if compression == "raw" else compression))
for compression in ("group3", "group4", "tiff_ccitt"):
    put(f"{compression}.tif", save(small.convert("1"), "TIFF", compression=compression))
put("bits_1.tif", save(small.convert("1"), "TIFF"))
put("grey.tif", save(small.convert("L"), "TIFF"))
put("grey_alpha.tif", save(clear.convert("LA"), "TIFF"))
put("palette.tif", save(small.quantize(16), "TIFF"))
put("alpha.tif", save(clear, "TIFF", compression="tiff_lzw"))
cmyk = Image.fromarray(np.concatenate([np.asarray(small), np.asarray(picture(37, 23))[..., :1]], 2), "CMYK")
put("cmyk.tif", save(cmyk, "TIFF", compression="tiff_lzw"))
put("cmyk_jpeg.tif", save(cmyk, "TIFF", compression="jpeg"))
for orientation in range(1, 9):
    put(f"orientation_{orientation}.tif", save(picture(11, 6), "TIFF", tiffinfo={274: orientation}, compression="tiff_lzw"))
put("xmp_6.tif", save(picture(11, 6), "TIFF", tiffinfo={700: xmp(6)}, compression="tiff_lzw"))
put("two_pages.tif", save(picture(11, 6), "TIFF", save_all=True, append_images=[picture(9, 5)]))
put("big.tif", save(small, "TIFF", big_tiff=True, compression="tiff_lzw"))


# TIFF by libtiff's own program: tiles, planes, the other byte order, a horizontal predictor.
def tiffcp(data, *options):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "in.tif").write_bytes(data)
        subprocess.run(["tiffcp", *options, "in.tif", "out.tif"], cwd=folder, check=True)
        return pathlib.Path(folder, "out.tif").read_bytes()


raw = arrays["file/raw.tif"].tobytes()
put("tiles.tif", tiffcp(raw, "-t", "-w", "16", "-l", "16", "-c", "lzw"))
put("planes.tif", tiffcp(raw, "-p", "separate", "-r", "5"))
put("planes_tiles.tif", tiffcp(raw, "-p", "separate", "-t", "-w", "16", "-l", "32", "-c", "zip"))
put("big_endian.tif", tiffcp(raw, "-B", "-c", "lzw:2", "-r", "4"))
put("jpeg_rgb.tif", tiffcp(raw, "-c", "jpeg:r:90", "-r", "8"))
put("jpeg_tiles.tif", tiffcp(raw, "-c", "jpeg:95", "-t", "-w", "16", "-l", "16"))
put("alpha_planes.tif", tiffcp(arrays["file/alpha.tif"].tobytes(), "-p", "separate"))
put("cmyk_tiles.tif", tiffcp(arrays["file/cmyk.tif"].tobytes(), "-t", "-w", "16", "-l", "16", "-c", "packbits"))


# TIFF by hand: what neither of them writes.
def tiff(width, height, bits, photometric, data, order="<", tags=()):
    samples = len(bits)
    entries = {256: ("L", [width]), 257: ("L", [height]), 258: ("H", bits), 259: ("H", [1]), 262: ("H", [photometric])}
    entries |= {277: ("H", [samples]), 278: ("L", [height]), 279: ("L", [len(data)]), **dict(tags)}
    extra_at = 8 + 2 + 12 * (len(entries) + 1) + 4
    body, extra = b"", b""
    for tag in sorted([*entries, 273]):
        kind, values = entries.get(tag, ("L", [0]))
        packed = struct.pack(order + str(len(values)) + kind, *values)
        if tag == 273:
            packed = b"DATA"
        if len(packed) > 4:
            place = struct.pack(order + "L", extra_at + len(extra))
            extra += packed + b"\0" * (len(packed) % 2)
            packed = place
        body += struct.pack(order + "HHL", tag, 3 if kind == "H" else 4, len(values)) + packed.ljust(4, b"\0")
    body = body.replace(b"DATA", struct.pack(order + "L", extra_at + len(extra)))
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    return start + struct.pack(order + "H", len(entries) + 1) + body + bytes(4) + extra + data


def packed(values, bits):
    rows = []
    for row in values:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


def repeat(grey):
    return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)


deep = rng.integers(0, 65536, (5, 7, 4)).astype(np.uint16)
for order, name in (("<", ""), (">", "_big_endian")):
    words = deep.astype(order + "u2")
    put(f"rgb_16{name}.tif", tiff(7, 5, [16] * 3, 2, words[..., :3].tobytes(), order))
    # Pillow cuts grey values over 255; the rule here is the high byte, as of PNG.
    put(f"grey_16{name}.tif", tiff(7, 5, [16], 1, words[..., 0].tobytes(), order), repeat(deep[..., 0] >> 8))
put("grey_16_inverted.tif", tiff(7, 5, [16], 0, deep[..., 0].tobytes()), repeat(255 - (deep[..., 0] >> 8)))
put("alpha_16.tif", tiff(7, 5, [16] * 4, 2, deep.tobytes(), tags=[(338, ("H", [2]))]))
put("cmyk_16.tif", tiff(7, 5, [16] * 4, 5, deep.tobytes()))
for bits in (1, 2, 4):
    values = rng.integers(0, 1 << bits, (5, 7))
    for photometric, name in ((0, "inverted"), (1, "grey")):
        put(f"{name}_{bits}.tif", tiff(7, 5, [bits], photometric, packed(values, bits)))
    colours = rng.integers(0, 65536, 3 << bits).tolist()
    put(f"palette_{bits}.tif", tiff(7, 5, [bits], 3, packed(values, bits), tags=[(320, ("H", colours))]))
put("grey_inverted.tif", tiff(7, 5, [8], 0, bytes(range(35))))
four = rng.integers(0, 256, (5, 7, 4)).astype(np.uint8)
four[0, :, 3] = (0, 1, 2, 127, 128, 254, 255)
put("no_word_of_alpha.tif", tiff(7, 5, [8] * 4, 2, four.tobytes()))
put("premultiplied.tif", tiff(7, 5, [8] * 4, 2, four.tobytes(), tags=[(338, ("H", [1]))]))
put("unspecified.tif", tiff(7, 5, [8] * 4, 2, four.tobytes(), tags=[(338, ("H", [0]))]))
six = rng.integers(0, 256, (5, 7, 5)).astype(np.uint8)
put("two_extras.tif", tiff(7, 5, [8] * 5, 2, six.tobytes(), tags=[(338, ("H", [2, 0]))]))
put("cmyk_extra.tif", tiff(7, 5, [8] * 5, 5, six.tobytes(), tags=[(338, ("H", [0]))]))
colours = rng.integers(0, 65536, 768).tolist()
put("palette_alpha.tif", tiff(7, 5, [8] * 2, 3, four[..., :2].tobytes(), tags=[(320, ("H", colours)), (338, ("H", [2]))]))
# Blocks of 2 x 2 brightnesses and their two colours; compressed, or Pillow would not ask libtiff.
for name, tags in (("ycbcr", []), ("ycbcr_orientation_6", [(274, ("H", [6]))])):
    blocks = zlib.compress(rng.integers(60, 190, 48).astype(np.uint8).tobytes())
    put(name + ".tif", tiff(8, 4, [8] * 3, 6, blocks, tags=[(259, ("H", [8])), (530, ("H", [2, 2])), *tags]))

# What is refused: floats, signed samples, 32 bits, colours of other kinds.
for name, data in {
    "float.tif": tiff(7, 5, [32], 1, bytes(140), tags=[(339, ("H", [3]))]),
    "signed.tif": tiff(7, 5, [16], 1, bytes(70), tags=[(339, ("H", [2]))]),
    "bits_32.tif": tiff(7, 5, [32], 1, bytes(140)),
    "lab.tif": tiff(7, 5, [8] * 3, 8, bytes(105)),
    "no_palette.tif": tiff(7, 5, [4], 3, bytes(20)),
    "short.tif": tiff(7, 5, [8], 1, bytes(34)),
}.items():
    arrays["bad/" + name] = np.frombuffer(data, np.uint8)

# HEIF: AVIF by Pillow, which knows its turns, and HEIC by libheif's own program (Debian: libheif-examples), lossless but
# for the rounding to YCbCr and back, so that its source is its reference.
smooth = picture(128, 96).resize((33, 21), Image.BOX)
for orientation in range(1, 9):
    data = save(smooth, "AVIF", quality=95, subsampling="4:4:4", exif=oriented(orientation))
    arrays[f"heif/orientation_{orientation}.avif"] = np.frombuffer(data, np.uint8)
    arrays[f"of_heif/orientation_{orientation}.avif"] = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
half = smooth.copy()
half.putalpha(Image.fromarray((np.arange(33 * 21) * 255 // (33 * 21 - 1)).astype(np.uint8).reshape(21, 33)))
data = save(half, "AVIF", quality=95, subsampling="4:4:4")
arrays["heif/alpha.avif"] = np.frombuffer(data, np.uint8)
arrays["of_heif/alpha.avif"] = over_white(Image.open(io.BytesIO(data)))
with tempfile.TemporaryDirectory() as folder:
    smooth.resize((64, 64)).save(pathlib.Path(folder, "in.png"))
    subprocess.run(["heif-enc", "-L", "-p", "chroma=444", "in.png", "-o", "out.heic"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    arrays["heif/lossless.heic"] = np.frombuffer(pathlib.Path(folder, "out.heic").read_bytes(), np.uint8)
    arrays["of_heif/lossless.heic"] = np.asarray(smooth.resize((64, 64)))

# Large files of few bytes, for measuring memory: 8192 x 8192 pixels of one colour.
flat = Image.new("RGBA", (8192, 8192), (10, 20, 30, 255))
flat.putpixel((5, 5), (10, 20, 30, 0))
arrays["huge/alpha.webp"] = np.frombuffer(save(flat, "WEBP", lossless=True, quality=0, method=0), np.uint8)
arrays["huge/opaque.webp"] = np.frombuffer(save(flat.convert("RGB"), "WEBP", lossless=True, quality=0, method=0), np.uint8)
strip = zlib.compress(bytes([10, 20, 30, 255]) * 8192 * 64, 9)
same = {259: ("H", [8]), 278: ("L", [64]), 279: ("L", [len(strip)] * 128), 338: ("H", [2])}
huge = tiff(8192, 8192, [8] * 4, 2, strip, tags=[*same.items(), (274, ("H", [1]))])
# All strips are one: 128 times its place, in a list of their own at the end.
at = huge.index(struct.pack("<HHL", 273, 4, 1))
place = huge[at + 8 : at + 12]
huge = huge[: at + 4] + struct.pack("<LL", 128, len(huge)) + huge[at + 12 :] + place * 128
arrays["huge/alpha.tif"] = np.frombuffer(huge, np.uint8)

# Reduced JPEGs
pictures = (here / "images.safetensors").read_bytes()
length = struct.unpack("<Q", pictures[:8])[0]
for name, entry in json.loads(pictures[8 : 8 + length]).items():
    base = name.removeprefix("file/")
    if name == base or base not in ("baseline_444.jpg", "baseline_422.jpg", "baseline_420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"):
        continue
    begin, end = (8 + length + at for at in entry["data_offsets"])
    for reduction in (2, 4, 8):
        image = Image.open(io.BytesIO(pictures[begin:end]))
        width, height = image.size
        image.draft(None, (width // reduction, height // reduction))
        assert image.size == (-(-width // reduction), -(-height // reduction)), (base, reduction, image.size)
        arrays[f"draft/{base}/{reduction}"] = np.ascontiguousarray(image.convert("RGB"))

header, body = {}, b""
for name, value in arrays.items():
    data = np.ascontiguousarray(value).tobytes()
    header[name] = {"dtype": "U8", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
    body += data
text = json.dumps(header).encode()
path = here / "formats.safetensors"
path.write_bytes(struct.pack("<Q", len(text)) + text + body)
print(path.name, path.stat().st_size, "bytes,", sum(name.startswith("file/") for name in arrays), "files")
