import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from auditor.data.images import UnreadableImageError, decode


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


def bomb():
    """A small PNG file that says it is 60000 x 60000 pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"just some text", "not an image"),
        (encoded(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")[:-400], "damaged"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "mode F"),
        (
            encoded(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 9)]),
            "2 frames",
        ),
        (bomb(), "pixels"),
    ],
)
def test_what_cannot_be_used_has_a_reason(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content, (8, 8), 3)


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
