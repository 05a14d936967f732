"""Pixels: their limits, their formats, and the way to a model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from auditor.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: An opaque image of 8 bits, and in a few words each what was done to it beyond decoding.
Opened: TypeAlias = tuple[Image.Image, tuple[str, ...]]

#: Images above this many pixels are refused as likely decompression bombs.
MAX_PIXELS = 100_000_000

#: How images are brought to the model's input, for the record.
RESIZE = "Pillow bicubic"

#: Rows that are worked on at once where all would take too much memory.
STRIP = 256


class UnreadableImageError(Exception):
    """An image that cannot be used; the message is the reason the report prints."""


def check_size(width: int, height: int) -> None:
    """Refuse a likely decompression bomb before it is decoded. Raises `UnreadableImageError`."""
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} million")


def fit(image: Image.Image, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Bring an opaque image of 8 bits to a model's input, with Pillow's bicubic filter where its size differs.

    Args:
        image: of any mode of 8 bits.
        size: height and width of the result in pixels.
        channels: 3 for RGB, 1 for greyscale.

    Returns:
        Array of shape `(height, width, channels)`, values 0 to 255.
    """
    mode = "L" if channels == 1 else "RGB"
    plain = image if image.mode == mode else image.convert(mode)
    if plain.size != size[::-1]:
        plain = plain.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(plain, dtype=np.uint8).reshape(*size, channels)


def by_table(table: NDArray[np.uint8], pixels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Look pixels of up to 16 bits up in a table of 65536 entries, negative ones from its end, in little memory."""
    result = np.empty(pixels.shape, dtype=np.uint8)
    for shown, strip in zip(strips(result), strips(pixels), strict=True):
        shown[...] = table[strip]
    return result


def strips(pixels: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut an image into views of some rows each, to be worked on where all at once would take too much memory."""
    return [pixels[top : top + STRIP] for top in range(0, len(pixels), STRIP)]


def unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring pixels of 0 to 255 to images in [0, 1], the range on which epsilon is stated."""
    return pixels.astype(np.float32) / np.float32(255)


def save_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save pixels of shape `(height, width, channels)`, 1 or 3 channels. Raises `BadInputError` as `replacing` does."""
    with replacing(path) as temporary:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary)
