import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from auditor.data.images import decode, open_image
from auditor.data.pixels import UnreadableImageError, fit


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_rgb_of_the_right_size_is_passed_through():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (decode(encoded(Image.fromarray(pixels)), (5, 7), 3) == pixels).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_common_modes_and_sizes(mode, channels):
    image = Image.new("L", (30, 20), 255).convert("L")
    image = Image.new("I;16", (30, 20), 65535) if mode == "I;16" else image.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    found = decode(encoded(image, kind), (8, 9), channels)
    assert found.shape == (8, 9, channels)
    assert found.dtype == np.uint8
    assert (found >= 254).all()


def test_transparency_is_composited_on_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode(encoded(clear), (4, 4), 3) == 255).all()


def test_sixteen_bits_are_scaled():
    grey = Image.fromarray(np.full((4, 4), 257 * 100, dtype=np.uint16))
    assert (decode(encoded(grey), (4, 4), 1) == 100).all()


def test_orientation_is_applied():
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    found = decode(encoded(picture, exif=exif), (4, 2), 3)
    assert found[0, 1].tolist() == [255, 255, 255]


def test_metadata_of_the_wrong_kind_does_not_end_the_run():
    # Turned by 90 degrees, and a resolution that is text and no number.
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    content = encoded(Image.new("RGB", (4, 2)), "JPEG", exif=exif)
    try:
        assert decode(content, (4, 2), 3).shape == (4, 2, 3)
    except UnreadableImageError as error:
        assert "damaged" in str(error)


PIXELS = np.random.default_rng(1).integers(0, 256, (41, 33, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_give_the_same_pixels(kind, options):
    assert np.array_equal(decode(encoded(Image.fromarray(PIXELS), kind, **options), (41, 33), 3), PIXELS)


@pytest.mark.parametrize(
    ("image", "kind", "expected", "said"),
    [
        (Image.new("RGB", (9, 9), (200, 100, 50)), "JPEG", (200, 100, 50), ()),
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", (255, 0, 0), ("CMYK converted to RGB",)),
        (Image.new("RGBA", (9, 9), (0, 0, 255, 128)), "PNG", (127, 127, 255), ("transparency composited on white",)),
        (Image.new("RGBA", (9, 9), (0, 0, 255, 255)), "PNG", (0, 0, 255), ()),
        (Image.new("LA", (9, 9), (0, 0)), "PNG", (255, 255, 255), ("transparency composited on white",)),
        (Image.new("RGB", (9, 9), (0, 9, 0)).quantize(4), "PNG", (0, 9, 0), ()),
        (Image.new("I;16", (9, 9), 257 * 77), "PNG", (77, 77, 77), ("16 bits scaled to 8",)),
        (Image.new("I;16", (9, 9), 257 * 77), "TIFF", (77, 77, 77), ("16 bits scaled to 8",)),
        (Image.new("L", (9, 9), 33), "WEBP", (33, 33, 33), ()),
    ],
)
def test_what_is_done_to_an_image_is_said(image, kind, expected, said):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    found, done = open_image(encoded(image, kind, **options))
    assert np.abs(fit(found, (9, 9), 3)[4, 4].astype(int) - expected).max() <= 2
    assert done == said


def test_sixteen_bits_are_rounded_to_the_nearest():
    values = np.arange(2**16, dtype=np.uint16).reshape(512, 128)
    found = decode(encoded(Image.fromarray(values)), (512, 128), 1)[..., 0]
    assert np.array_equal(found, (values / 257).round())


def test_a_format_that_starts_programs_is_no_image():
    content = encoded(Image.new("RGB", (4, 4)), "EPS")
    with pytest.raises(UnreadableImageError, match="not an image"):
        decode(content, (4, 4), 3)


#: Runs in a process of its own, because the peak of memory is the process's.
LARGE = """
import io, resource, sys
import numpy as np
from PIL import Image
from auditor.data.images import open_image
from auditor.data.pixels import fit
stream = io.BytesIO()
grey = Image.new("L", (10000, 10000), 90)
image = Image.merge("RGBA", [grey] * 4) if sys.argv[1] == "RGBA" else Image.merge("RGB", [grey] * 3)
image.save(stream, "PNG" if sys.argv[1] == "RGBA" else "JPEG", compress_level=1)
del image, grey
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
image, done = open_image(stream.getvalue())
print(fit(image, (32, 32), 3).shape, done)
"""


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_hundred_megapixels_are_no_trouble(mode):
    ended = subprocess.run(
        [sys.executable, "-c", LARGE, mode], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "(32, 32, 3)" in ended.stdout


def png(width, height, bits, pixels, *more):
    """A PNG file in RGB; `more` are names and bodies of further chunks."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


def patched(content, place, *values, form):
    """Bytes of a file with other numbers where it states its size."""
    packed = struct.pack(form, *values)
    return content[:place] + packed + content[place + len(packed) :]


SMALL = Image.new("RGB", (8, 8))
JPEG = encoded(SMALL, "JPEG")


def test_colours_of_sixteen_bits():
    found, done = open_image(png(2, 1, 16, b"\0" + struct.pack(">6H", 0, 257 * 9, 65535, 257 * 200, 128, 256)))
    assert fit(found, (1, 2), 3).tolist() == [[[0, 9, 255], [200, 0, 1]]]
    assert done == ("16 bits scaled to 8",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"just some text", "not an image"),
        (encoded(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")[:-400], "damaged"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "mode F"),
        (
            encoded(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 9)]),
            "more than one frame",
        ),
        (png(60000, 60000, 8, b""), "pixels"),
        (patched(JPEG, JPEG.index(b"\xff\xc0") + 5, 60000, 60000, form=">HH"), "pixels"),
        (patched(encoded(SMALL, "BMP"), 18, 60000, 60000, form="<ii"), "pixels"),
        (patched(encoded(SMALL, "GIF"), 6, 60000, 60000, form="<HH"), "pixels"),
        (png(2, 2, 8, bytes(14), (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))), "damaged"),
        (png(2, 2, 8, bytes(14), (b"iCCP", b"a\0\0" + zlib.compress(bytes(2**26)))), "damaged"),
    ],
)
def test_what_cannot_be_used_has_a_reason(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content, (8, 8), 3)


def test_many_frames_are_not_counted():
    entries = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1))
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    length = len(body) + 4
    count = 100_000
    content = b"II*\0" + struct.pack("<I", 8)
    content += b"".join(body + struct.pack("<I", 8 + (n + 1) * length) for n in range(count))
    start = time.monotonic()
    with pytest.raises(UnreadableImageError, match="more than one frame"):
        decode(content, (1, 1), 1)
    assert time.monotonic() - start < 5


def test_damage_is_seen_whatever_other_packages_tell_pillow(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnreadableImageError, match="damaged"):
        decode(encoded(Image.effect_noise((64, 64), 60))[:200], (8, 8), 3)


VALID = encoded(Image.effect_noise((32, 24), 60).convert("RGB"), "JPEG")


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=12), st.integers(0, 80))
def test_mutated_files_end_in_pixels_or_a_reason(changes, cut):
    content = bytearray(VALID)
    for place, value in changes:
        content[place] = value
    try:
        assert decode(bytes(content[: len(content) - cut]), (8, 8), 3).shape == (8, 8, 3)
    except UnreadableImageError as error:
        assert str(error)
