"""Makes pictures.safetensors: BMP, GIF, PNG and JPEG files of the kinds that Pillow cannot write, byte by byte.

    python tests/golden/make_pictures.py  # needs numpy and Pillow; made with Pillow 13.0.0

file/NAME: the bytes of a picture file; pixels/NAME: its pixels (height, width, 3), upright and over white. They are what
Pillow reads; where the script knows the pixels besides, the two have to agree. For files that Pillow refuses, or reads
otherwise than the format's documentation and browsers (the reason stands at each), they are what was written.
"""

import io
import json
import pathlib
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
arrays = {}
rng = np.random.default_rng(7)


def pillow(data):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image.load()
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def put(name, data, known=None, unlike_pillow=""):
    """`unlike_pillow`: why Pillow refuses the file or reads it otherwise; `known` counts then."""
    try:
        read = pillow(data)
    except Exception as error:
        assert unlike_pillow, (name, error)
        read = None
    if known is not None:
        known = np.asarray(known).astype(np.uint8)
        same = read is not None and read.shape == known.shape and (read == known).all()
        assert same != bool(unlike_pillow), name
        read = known
    arrays["file/" + name] = np.frombuffer(data, np.uint8)
    arrays["pixels/" + name] = np.ascontiguousarray(read)


# --- BMP
def info(size, width, height, bits, compression=0, used=0, masks=()):
    if size == 12:
        return struct.pack("<IHHHH", 12, width, height, 1, bits)
    fields = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, 0, 2835, 2835, used, 0)
    return (fields + struct.pack(f"<{len(masks)}I", *masks)).ljust(size, b"\0")[:size]


def bmp(head, between, pixels, gap=b"", at=None):
    start = 14 + len(head) + len(between) + len(gap)
    place = start if at is None else at
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, place) + head + between + gap + pixels


def rows(values, bits):
    """Rows of pixels of `bits` bits, from the last, each with whole groups of four bytes."""
    out = b""
    for row in values[::-1]:
        if bits < 8:
            text = "".join(format(int(v), f"0{bits}b") for v in row)
            text = text.ljust((len(text) + 7) // 8 * 8, "0")
            line = int(text, 2).to_bytes(len(text) // 8, "big")
        else:
            line = b"".join(int(v).to_bytes(bits // 8, "little") for v in row)
        out += line + bytes(-len(line) % 4)
    return out


def table(colours, size=4):
    return b"".join(bytes([b, g, r, 0][:size]) for r, g, b in colours)


old_header = "Pillow knows no OS/2 header of this size"
two_bits = "Pillow knows no pixels of 2 bits (Windows CE)"
height, width = 5, 7
indices, colours = {}, {}
for bits in (1, 2, 4, 8):
    colours[bits] = rng.integers(0, 256, (1 << bits, 3))
    indices[bits] = rng.integers(0, 1 << bits, (height, width))
    pixels, want = rows(indices[bits], bits), colours[bits][indices[bits]]
    for size in (12, 16, 20, 36, 40, 48, 52, 56, 64, 108, 124):
        reason = two_bits if bits == 2 else "" if size in (12, 40, 52, 56, 64, 108, 124) else old_header
        if bits == 4 or size in (12, 16, 40, 124):
            put(f"palette_{bits}_header_{size}.bmp",
                bmp(info(size, width, height, bits), table(colours[bits], 3 if size == 12 else 4), pixels), want, reason)
    reason = two_bits if bits == 2 else ""
    put(f"palette_{bits}_top_down.bmp", bmp(info(40, width, -height, bits), table(colours[bits]), rows(indices[bits][::-1], bits)), want, reason)
head, entries, pixels, want = info(40, width, height, 4), table(colours[4]), rows(indices[4], 4), colours[4][indices[4]]
put("palette_gap.bmp", bmp(head, entries, pixels, gap=bytes(9)), want)
put("palette_gap_header_36.bmp", bmp(info(36, width, height, 4, used=9), entries[:36], pixels, gap=b"\x77" * 28),
    np.concatenate([colours[4][:9], np.zeros((7, 3))])[indices[4]], old_header)
put("palette_no_place.bmp", bmp(head, entries, pixels, at=0), want)
put("palette_place_of_table.bmp", bmp(head, entries, pixels, at=54), want)
put("palette_oversize.bmp", bmp(info(40, width, height, 4, used=20), entries + bytes(16), pixels), want)
short = np.concatenate([colours[4][:9], np.zeros((7, 3))])  # what is not there is black
put("palette_short.bmp", bmp(info(40, width, height, 4, used=9), entries[:36], pixels), short[indices[4]])
put("palette_os2_short.bmp", bmp(info(12, width, height, 4), table(colours[4][:9], 3), pixels), short[indices[4]],
    "Pillow takes the pixels behind the palette for colours")
greys = np.repeat(np.arange(256)[:, None], 3, 1)
put("palette_grey.bmp", bmp(info(40, width, height, 8), table(greys), rows(indices[8], 8)), greys[indices[8]])
put("black_white.bmp", bmp(info(40, width, height, 1, used=2), table([(0, 0, 0), (255, 255, 255)]), rows(indices[1], 1)), indices[1][..., None] * np.full(3, 255))

values = {bits: rng.integers(0, 1 << bits, (height, width)) for bits in (16, 24, 32)}
for bits in (16, 24, 32):
    pixels = rows(values[bits], bits)
    for size in (12, 40, 124):
        put(f"true_{bits}_header_{size}.bmp", bmp(info(size, width, height, bits), b"", pixels))
    put(f"true_{bits}_palette.bmp", bmp(info(40, width, height, bits, used=3), table(colours[4][:3]), pixels))
    put(f"true_{bits}_top_down.bmp", bmp(info(40, width, -height, bits), b"", pixels))
    put(f"true_{bits}_no_place.bmp", bmp(info(40, width, height, bits), b"", pixels, at=0))
put("true_24_no_palette.bmp", bmp(info(40, width, height, 24, used=3), b"", rows(values[24], 24)))  # which it claims
put("true_24_last_padding.bmp", bmp(info(40, width, height, 24), b"", rows(values[24], 24)[:-3]))


def channel(values, mask):
    if mask == 0:
        return np.zeros_like(values)
    shift = (mask & -mask).bit_length() - 1
    return (values & mask) // (1 << shift) * 255 // (mask >> shift)


def over_white(colours, alpha):
    return (colours * alpha + 255 * (255 - alpha) + 127) // 255


layout, not_6 = "Pillow knows no such masks", "Pillow knows no BI_ALPHABITFIELDS"
no_alpha = "Pillow knows no alpha in 16-bit pixels"
for bits, number, masks, reason in (
    (16, "565", (0xF800, 0x7E0, 0x1F, 0), ""),
    (16, "555", (0x7C00, 0x3E0, 0x1F, 0), ""),
    (16, "1555", (0x7C00, 0x3E0, 0x1F, 0x8000), None),
    (16, "4444", (0xF00, 0xF0, 0xF, 0xF000), layout),
    (16, "bgr", (0x1F, 0x7E0, 0xF800, 0), layout),
    (24, "bgr", (0xFF, 0xFF00, 0xFF0000, 0), layout),
    (32, "xrgb", (0xFF0000, 0xFF00, 0xFF, 0), ""),
    (32, "argb", (0xFF0000, 0xFF00, 0xFF, 0xFF000000), ""),
    (32, "rgba", (0xFF000000, 0xFF0000, 0xFF00, 0xFF), ""),
    (32, "abgr", (0xFF, 0xFF00, 0xFF0000, 0xFF000000), ""),
    (32, "xbgr", (0xFF, 0xFF00, 0xFF0000, 0), layout),
    (32, "ten", (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), layout),
    (32, "red", (0xFF0000, 0, 0, 0), layout),
):
    v, pixels = values[bits], rows(values[bits], bits)
    plain = np.stack([channel(v, m) for m in masks[:3]], 2)
    blended = over_white(plain, channel(v, masks[3])[..., None]) if masks[3] else plain
    opaque_reason = layout if bits == 32 and number == "abgr" else reason or ""
    put(f"masks_{bits}_{number}_40.bmp", bmp(info(40, width, height, bits, 3), struct.pack("<3I", *masks[:3]), pixels), plain, opaque_reason)
    put(f"masks_{bits}_{number}_52.bmp", bmp(info(52, width, height, bits, 3, 0, masks[:3]), b"", pixels), plain, opaque_reason)
    # Where the alpha of 16 bits is ignored we follow Pillow.
    for size in (56, 108, 124):
        put(f"masks_{bits}_{number}_{size}.bmp", bmp(info(size, width, height, bits, 3, 0, masks), b"", pixels), plain if reason is None else blended, reason or "")
    put(f"masks_{bits}_{number}_alpha_40.bmp", bmp(info(40, width, height, bits, 6), struct.pack("<4I", *masks), pixels), blended, not_6)
put("masks_32_none_40.bmp", bmp(info(40, width, height, 32, 3), bytes(12), rows(values[32], 32)))
put("masks_unused_108.bmp", bmp(info(108, width, height, 32, 0, 0, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), b"", rows(values[32], 32)))
put("masks_16_565_palette.bmp", bmp(info(40, width, height, 16, 3, 3), struct.pack("<3I", 0xF800, 0x7E0, 0x1F) + table(colours[4][:3]), rows(values[16], 16)))


def runs(bits, data, want, reason="", size=40, top_down=False):
    """`want`: indices, from the last row."""
    want = colours[bits][np.array(want)]
    head = info(size, want.shape[1], -len(want) if top_down else len(want), bits, {8: 1, 4: 2}[bits])
    name = f"runs_{bits}_{sum(n.startswith(f'file/runs_{bits}') for n in arrays)}.bmp"
    put(name, bmp(head, table(colours[bits]), bytes(data)), want if top_down else want[::-1], reason)


refuses_gaps = "Pillow wants every pixel"
runs(8, [4, 5, 0, 0, 0, 3, 1, 2, 3, 0, 1, 9, 0, 0, 2, 7, 2, 8, 0, 1], [[5] * 4, [1, 2, 3, 9], [7, 7, 8, 8]])
runs(8, [4, 5, 0, 0, 0, 3, 1, 2, 3, 0, 1, 9, 0, 0, 2, 7, 2, 8, 0, 1], [[5] * 4, [1, 2, 3, 9], [7, 7, 8, 8]], top_down=True)
runs(8, [4, 5, 0, 0, 0, 4, 1, 2, 3, 4, 0, 1], [[5] * 4, [1, 2, 3, 4]], size=64)
runs(8, [2, 9, 0, 2, 1, 1, 1, 8, 0, 0, 4, 7, 0, 1], [[9, 9, 0, 0], [0, 0, 0, 8], [7] * 4])
runs(8, [1, 9, 0, 0, 4, 7, 0, 1], [[9, 0, 0, 0], [7] * 4])
runs(8, [9, 5, 0, 0, 4, 6, 0, 1], [[5] * 4, [6] * 4])  # a run beyond its row
runs(8, [4, 5, 0, 0, 4, 6], [[5] * 4, [6] * 4])  # no end mark
runs(8, [4, 5, 0, 0, 0, 1], [[5] * 4, [0] * 4, [0] * 4], refuses_gaps)
runs(8, [0, 0, 4, 6, 0, 1], [[0] * 4, [6] * 4], "Pillow overlooks an empty row")
runs(4, [5, 0x12, 0, 0, 0, 5, 0x34, 0x56, 0x70, 0, 0, 0, 3, 0x88, 2, 0x90, 0, 1], [[1, 2, 1, 2, 1], [3, 4, 5, 6, 7], [8, 8, 8, 9, 0]])
runs(4, [0, 3, 0x12, 0x30, 0, 2, 2, 0, 0, 0, 0, 2, 1, 0, 4, 0xAB, 0, 1], [[1, 2, 3, 0, 0], [0, 10, 11, 10, 11]])
runs(4, [0, 4, 0x12, 0x34, 1, 0x50, 0, 1], [[1, 2, 3, 4, 5]], size=124)
runs(4, [0, 13, 0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xD0, 0, 0, 0, 13, 0xEE, 0, 1], [range(1, 14), [14] * 13])
wide = rng.integers(0, 256, 300)
runs(8, [0, 255, *wide[:255], 0, 0, 45, *wide[255:], 0, 0, 1], [wide])
deep = rng.integers(0, 256, (2, 5, 3))
put("runs_24_os2.bmp",
    bmp(info(64, 5, 2, 24, 4), b"", b"\0\5" + deep[1, :, ::-1].astype(np.uint8).tobytes() + b"\0\0\0" +
        b"".join(b"\1" + p[::-1].astype(np.uint8).tobytes() for p in deep[0]) + b"\0\1"), deep, "Pillow knows no RLE24")


# --- GIF
def lzw(data, size, first_clear=True, deferred=False):
    clear, held, count, out, width = 1 << size, 0, 0, bytearray(), size + 1

    def emit(code):
        nonlocal held, count
        held |= code << count
        count += width
        while count >= 8:
            out.append(held & 255)
            held >>= 8
            count -= 8

    fresh = lambda: {bytes([i]): i for i in range(min(clear, 256))}
    codes, following, word = fresh(), clear + 2, b""
    if first_clear:
        emit(clear)
    for index in bytes(data):
        longer = word + bytes([index])
        if longer in codes:
            word = longer
            continue
        emit(codes[word])
        if following < 4096:
            codes[longer] = following
            following += 1
            if following - 1 == 1 << width and width < 12:
                width += 1
        elif not deferred:
            emit(clear)
            codes, following, width = fresh(), clear + 2, size + 1
        word = bytes([index])
    emit(codes[word])
    emit(clear + 1)
    if count:
        out.append(held)
    return bytes([size]) + b"".join(bytes([len(out[i : i + 255])]) + out[i : i + 255] for i in range(0, len(out), 255)) + b"\0"


def gif(width, height, frame, palette=None, before=b"", version=b"GIF89a"):
    bits = 0 if palette is None else (len(palette) - 1).bit_length()
    flags = 0 if palette is None else 0x80 | (bits - 1)
    colours = b"" if palette is None else np.asarray(palette, np.uint8).tobytes()
    return version + struct.pack("<HHBBB", width, height, flags, 0, 0) + colours + before + frame + b";"


def frame(x, y, indices, size, flags=0, palette=b"", **options):
    place = struct.pack("<HHHHB", x, y, indices.shape[1], indices.shape[0], flags)
    return b"," + place + palette + lzw(indices.astype(np.uint8).tobytes(), size, **options)


def interlaced(rows):
    order = [y for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(first, len(rows), step)]
    return rows[order]


def on_canvas(width, height, x, y, pixels):
    canvas = np.full((height, width, 3), 255)
    canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return canvas


small = rng.integers(0, 16, (11, 9))
sixteen, other = rng.integers(0, 256, (16, 3)), rng.integers(0, 256, (16, 3))
want = sixteen[small]
plain = frame(0, 0, small, 4)
put("plain.gif", gif(9, 11, plain, sixteen), want)
put("old.gif", gif(9, 11, plain, sixteen, version=b"GIF87a"), want)
put("no_first_clear.gif", gif(9, 11, frame(0, 0, small, 4, first_clear=False), sixteen), want)
put("zeros_between.gif", gif(9, 11, plain, sixteen, b"\0!\xfe\x02hi\0\0\0!\xff\x0bNETSCAPE2.0\x03\1\0\0\0"), want)
put("local_palette.gif", gif(9, 11, frame(0, 0, small, 4, 0x83, other.astype(np.uint8).tobytes()), sixteen), other[small])
put("only_local_palette.gif", gif(9, 11, frame(0, 0, small, 4, 0x83, other.astype(np.uint8).tobytes())), other[small])
put("no_palette.gif", gif(9, 11, plain), np.repeat(small[..., None], 3, 2))
put("short_palette.gif", gif(9, 11, plain, sixteen[:8]), np.concatenate([sixteen[:8], np.zeros((8, 3))])[small])
for rows_ in (1, 2, 3, 4, 5, 8, 11):
    put(f"interlaced_{rows_}.gif", gif(9, rows_, frame(0, 0, interlaced(small[:rows_]), 4, 0x40), sixteen), want[:rows_])
transparent = want.copy()
transparent[small == 3] = 255
control = b"!\xf9\x04\1\0\0\x03\0"
put("transparent.gif", gif(9, 11, plain, sixteen, control), transparent)
put("transparent_then_none.gif", gif(9, 11, plain, sixteen, control + b"!\xf9\x04\0\0\0\5\0"), transparent)
put("transparent_offset.gif", gif(14, 13, frame(2, 1, small, 4), sixteen, control), on_canvas(14, 13, 2, 1, transparent))
first_colour = "Pillow fills the canvas with the palette's first colour, browsers leave it transparent"
put("offset.gif", gif(14, 13, frame(2, 1, small, 4), sixteen), on_canvas(14, 13, 2, 1, want), first_colour)
put("beyond.gif", gif(9, 11, frame(2, 1, small, 4), sixteen), on_canvas(11, 12, 2, 1, want), first_colour)
put("smaller_canvas.gif", gif(3, 2, plain, sixteen), want)
put("no_canvas.gif", gif(0, 0, plain, sixteen), want)
put("no_canvas_width.gif", gif(0, 11, plain, sixteen), want)
put("second_frame.gif", gif(9, 11, plain + frame(0, 0, small[::-1], 4), sixteen), want)
put("code_size_9.gif", gif(9, 11, frame(0, 0, small, 9), sixteen), want)
put("code_size_11.gif", gif(9, 11, frame(0, 0, small, 11), sixteen), want)
put("code_size_1.gif", gif(9, 11, frame(0, 0, small % 2, 1), sixteen), sixteen[small % 2], "Pillow wants codes of 2 bits at least")
put("no_terminator.endless.gif", gif(9, 11, plain, sixteen)[:-2], want)
noise, many = rng.integers(0, 256, (75, 72)), rng.integers(0, 256, (256, 3))
put("deferred_clear.gif", gif(72, 75, frame(0, 0, noise, 8, deferred=True), many), many[noise])
put("clear_when_full.gif", gif(72, 75, frame(0, 0, noise, 8), many), many[noise])


# --- orientation
stored = rng.integers(0, 256, (3, 5, 3)).astype(np.uint8)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*parts, behind=b""):
    lines = b"".join(b"\0" + row.tobytes() for row in stored)
    head = struct.pack(">IIBBBBB", 5, 3, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(parts) + chunk(b"IDAT", zlib.compress(lines)) + behind + chunk(b"IEND", b"")


buffer = io.BytesIO()
Image.fromarray(stored).save(buffer, "JPEG", quality=95)
plain_jpeg = buffer.getvalue()


def jpeg(*parts):
    return plain_jpeg[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts) + plain_jpeg[2:]


def exif(value, tag=0x112):
    return b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHHI", tag, 3, 1, value, 0, 0)


def xmp(value, element=False):
    inside = f"><tiff:Orientation>{value}</tiff:Orientation></rdf:Description>" if element else f' tiff:Orientation="{value}"/>'
    return ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"' + inside + "</rdf:RDF></x:xmpmeta>").encode()


def profile(content, kind="exif"):
    digits = content.hex()
    return f"\n{kind}\n{len(content):8d}\n".encode() + b"".join(digits[i : i + 72].encode() + b"\n" for i in range(0, len(digits), 72))


def upright(value):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(png(chunk(b"eXIf", exif(value)))))))


E, X = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
RAW, APP1, XML = b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp"
text = lambda name, content: chunk(b"tEXt", name + b"\0" + content)
packed = lambda name, content: chunk(b"zTXt", name + b"\0\0" + zlib.compress(content))
international = lambda name, content, pack=False: chunk(
    b"iTXt", name + b"\0" + bytes([pack, 0]) + b"en\0name\0" + (zlib.compress(content) if pack else content))
for value in range(1, 9):
    put(f"exif_{value}.png", png(chunk(b"eXIf", exif(value))))
    put(f"xmp_{value}.png", png(international(XML, xmp(value, value % 2 == 0))))
    put(f"xmp_{value}.jpg", jpeg(X + xmp(value, value % 2 == 1)))
    put(f"profile_{value}.png", png(packed(RAW, profile(E + exif(value)))))
put("exif_behind.png", png(behind=chunk(b"eXIf", exif(6))))
put("exif_named.png", png(chunk(b"eXIf", E + exif(6))))
put("exif_named_twice.jpg", jpeg(E + E + exif(6)))
put("profile_text.png", png(text(RAW, profile(E + exif(6)))))
put("profile_international.png", png(international(RAW, profile(E + exif(6)), True)))
put("profile_app1.png", png(packed(APP1, profile(E + exif(6), "APP1"))), upright(6), "Pillow knows no APP1 profile (ImageMagick)")
put("profile_app1_xmp.png", png(packed(APP1, profile(X + xmp(6), "APP1"))), upright(6), "Pillow knows no APP1 profile (ImageMagick)")
put("profile_damaged.png", png(chunk(b"zTXt", RAW + b"\0\0no zlib data"), international(XML, xmp(6))))
put("profile_bomb.png", png(packed(RAW, profile(E + exif(6)) + bytes(1 << 22))), stored, "Pillow refuses texts of more than 1 MiB")
put("xmp_unnamed.png", png(chunk(b"iTXt", XML + bytes(5) + xmp(6))))  # as programs write it
put("xmp_other_packing.png", png(chunk(b"iTXt", XML + b"\0\1\1\0\0" + zlib.compress(xmp(6)))))
put("xmp_cut.png", png(chunk(b"iTXt", XML + b"\0\0")))
put("xmp_packed.png", png(international(XML, xmp(6), True)))
put("xmp_as_text.png", png(text(XML, xmp(6))))
put("exif_and_profile.png", png(packed(RAW, profile(E + exif(3))), chunk(b"eXIf", exif(6))))
for value in (6, 1, 9):  # EXIF counts as soon as it has the tag, whatever it says
    put(f"exif_{value}_and_xmp.png", png(international(XML, xmp(3)), chunk(b"eXIf", exif(value))))
    put(f"exif_{value}_and_xmp.jpg", jpeg(X + xmp(3), E + exif(value)))
put("exif_without_and_xmp.png", png(chunk(b"eXIf", exif(6, 0x113)), international(XML, xmp(3))))
put("exif_without_and_xmp.jpg", jpeg(E + exif(6, 0x113), X + xmp(3)))

# --- PNG with fewer colours than its pixels name
for bits in (1, 2, 4, 8):
    pixels = rng.integers(0, 1 << bits, (3, 5))
    some = rng.integers(0, 256, (1 << (bits - 1), 3))
    lines = [int("".join(format(v, f"0{bits}b") for v in row).ljust(40, "0"), 2).to_bytes(5, "big")[: (5 * bits + 7) // 8] for row in pixels]
    head = struct.pack(">IIBBBBB", 5, 3, bits, 3, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"PLTE", some.astype(np.uint8).tobytes()), chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))), chunk(b"IEND", b"")]
    put(f"palette_{bits}_short.png", b"\x89PNG\r\n\x1a\n" + b"".join(parts), np.concatenate([some, np.zeros((1 << (bits - 1), 3))])[pixels])

# --- JPEG without an end mark
y, x = np.mgrid[0:21, 0:27]
waves = Image.fromarray(np.stack([x * 9, y * 12, (x + y) * 5], 2).astype(np.uint8))
for name, options in (("baseline", {"quality": 90}), ("progressive", {"progressive": True}), ("restart", {"restart_marker_blocks": 1})):
    buffer = io.BytesIO()
    waves.save(buffer, "JPEG", **options)
    data, known = buffer.getvalue(), pillow(buffer.getvalue())
    for kind, tail in (("zeros", bytes(300)), ("text", b" text" * 9), ("broken", bytes(9) + b"\xff\xfe")):
        arrays[f"file/{name}_{kind}.endless.jpg"] = np.frombuffer(data[:-2] + tail, np.uint8)
        arrays[f"pixels/{name}_{kind}.endless.jpg"] = known  # that of the file with its end mark

header, body = {}, b""
for name, value in arrays.items():
    raw = np.ascontiguousarray(value).tobytes()
    header[name] = {"dtype": "U8", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
    body += raw
text = json.dumps(header).encode()
path = pathlib.Path(__file__).parent / "pictures.safetensors"
path.write_bytes(struct.pack("<Q", len(text)) + text + body)
print(path, path.stat().st_size, "bytes,", len(arrays) // 2, "pictures")
