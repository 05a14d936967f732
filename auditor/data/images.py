"""One image file to one array of pixels."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from auditor.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: File name endings that are tried as images; anything else in a class folder is listed as skipped.
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

#: Images above this many pixels are refused as likely decompression bombs.
MAX_PIXELS = 100_000_000

#: How images are brought to the model's input, for the record.
RESIZE = "Pillow bicubic"


class UnreadableImageError(Exception):
    """An image that cannot be used; the message is the reason the report prints."""


def decode(content: bytes, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Decode an image file and bring it to a model's input.

    The EXIF orientation is applied, transparency is composited on white, 16-bit greyscale is scaled to
    8 bits, and the image is resized with Pillow's bicubic filter where its size differs.

    Args:
        content: the bytes of the file.
        size: height and width of the result in pixels.
        channels: 3 for RGB, 1 for greyscale.

    Returns:
        Array of shape `(height, width, channels)`, values 0 to 255.

    Raises:
        UnreadableImageError: if the bytes are no image, are damaged, or are of an unsupported kind.
    """
    # Other packages (WeasyPrint is one) tell Pillow to fill up damaged images, for the whole process.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content))
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(
                    f"{image.width} x {image.height} pixels are more than {MAX_PIXELS // 10**6} million"
                )
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise UnreadableImageError(f"it holds {frames} frames; only single images are read")
            image.load()
            plain = _to_eight_bits(ImageOps.exif_transpose(image)).convert("L" if channels == 1 else "RGB")
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("it has too many pixels") from error
    except Exception as error:
        if isinstance(error, UnidentifiedImageError):
            raise UnreadableImageError("not an image that Pillow can read") from error
        raise UnreadableImageError(f"damaged: {error}") from error
    if plain.size != size[::-1]:
        plain = plain.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(plain, dtype=np.uint8).reshape(*size, channels)


def unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring pixels of 0 to 255 to images in [0, 1], the range on which epsilon is stated."""
    return pixels.astype(np.float32) / np.float32(255)


def save_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save pixels of shape `(height, width, channels)`, 1 or 3 channels. Raises `BadInputError` as `replacing` does."""
    with replacing(path) as temporary:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Bring any supported mode to an opaque 8-bit one."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint16)
        return Image.fromarray((values / 257).round().astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise UnreadableImageError(f"pixels of mode {image.mode} have no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image
