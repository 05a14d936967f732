"""The bytes of one image to one array of pixels."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from auditor.data.dicom import open_dicom
from auditor.data.pixels import STRIP, UnreadableImageError, by_table, check_size, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auditor.data.pixels import Opened

#: File name endings of DICOM files, which often have none: they are known by their content.
DICOM_SUFFIXES = (".dcm", ".dicom")

#: File name endings that are tried as images; any other file in a class folder is listed as skipped.
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", *DICOM_SUFFIXES})

#: What Pillow may take a file for, whatever its name: some of its other formats start programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def decode(content: bytes, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Decode an image file and bring it to a model's input: `open_image`, then `fit`."""
    return fit(open_image(content)[0], size, channels)


def open_image(content: bytes) -> Opened:
    """Decode an image file to 8 bits.

    The EXIF orientation is applied, transparency is composited on white, and 16-bit greyscale is scaled to 8 bits.
    DICOM files are read as `auditor.data.dicom.open_dicom` says.

    Args:
        content: the bytes of the file.

    Returns:
        An opaque image of 8 bits, and in a few words each what was done to it beyond decoding.

    Raises:
        UnreadableImageError: if the bytes are no image, are damaged, or are of an unsupported kind.
        BadInputError: if they need a package that is not installed.
    """
    if is_dicom(content):
        return open_dicom(content)
    # Other packages (WeasyPrint is one) tell Pillow to fill up damaged images, for the whole process.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            check_size(image.width, image.height)
            if _has_second_frame(image):
                raise UnreadableImageError("it holds more than one frame; only single images are read")
            # Pillow turns a TIFF while it loads it, and takes the upper half of colours of 16 bits.
            halved = not image.mode.startswith("I;16") and any(";16" in str(tile[3]) for tile in image.tile)
            turned = image.getexif().get(0x0112, 1) != 1
            image.load()
            plain, done = _plain(image, turned)
            return plain, (*done, *(["16 bits scaled to 8"] if halved else []))
        except UnreadableImageError:
            raise
        except MemoryError as error:
            raise UnreadableImageError("it takes more memory than there is") from error
        except Image.DecompressionBombError as error:
            raise UnreadableImageError("it has too many pixels") from error
        except UnidentifiedImageError as error:
            raise UnreadableImageError("not an image that Pillow can read") from error
        except Exception as error:
            raise UnreadableImageError(f"damaged: {error}") from error


def is_dicom(content: bytes) -> bool:
    """Whether a file says that it is DICOM: the standard puts its mark after 128 bytes (PS3.10, 7.1)."""
    return content[128:132] == b"DICM"


def _has_second_frame(image: Image.Image) -> bool:
    """Whether a file holds several images. They are not counted: that takes hours where a file holds enough of them."""
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _plain(image: Image.Image, turned: bool) -> Opened:
    """Bring a decoded image of any supported mode to an opaque 8-bit one, with no more copies than needed."""
    done = []
    if turned:
        ImageOps.exif_transpose(image, in_place=True)
        done.append("turned by its EXIF orientation")
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint16)
        scale = (np.arange(2**16) / 257).round().astype(np.uint8)
        return Image.fromarray(by_table(scale, values)), (*done, "16 bits scaled to 8")
    if image.mode in {"I", "F"}:
        raise UnreadableImageError(f"pixels of mode {image.mode} have no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        over = image if image.mode == "RGBA" else image.convert("RGBA")
        if over.getchannel("A").getextrema() != (255, 255):
            done.append("transparency composited on white")
            for top in range(0, over.height, STRIP):
                place = (0, top, over.width, min(top + STRIP, over.height))
                strip = over.crop(place)
                over.paste(Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip), place)
        image = over
    elif image.mode == "CMYK":
        done.append("CMYK converted to RGB")
    if image.mode not in {"L", "RGB"}:
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, tuple(done)
