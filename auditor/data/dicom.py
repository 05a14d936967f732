"""One DICOM file to one image of 8 bits.

Only the attributes that say how to show the pixels are read, and no text from a file stands in a message: a DICOM
file holds the patient's name, and errors and warnings of pydicom quote what they stumble over.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from auditor.data.pixels import UnreadableImageError, by_table, check_size, strips
from auditor.errors import BadInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from auditor.data.pixels import Opened

#: A deflated file that inflates to more bytes than this is refused.
MOST_INFLATED = 2**28

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_NEEDED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "PixelData",
)  # fmt: skip

#: The attributes that are read at all.
_READ = (
    *_NEEDED, "SamplesPerPixel", "PlanarConfiguration", "HighBit", "NumberOfFrames", "BurnedInAnnotation",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
    *(f"{hue}PaletteColorLookupTable{part}" for hue in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip


def open_dicom(content: bytes) -> Opened:
    """Decode a DICOM file to 8 bits, as a viewer shows it (PS3.3 C.7.6.3, C.11.1, C.11.2).

    Stored values go through the modality LUT, or rescale slope and intercept, then through the first VOI LUT, or the
    first window; without any, the whole range of the stored bits is shown. MONOCHROME1 is inverted; PALETTE COLOR
    and YBR become RGB.

    Args:
        content: the bytes of the file.

    Returns:
        An image of mode L or RGB, and in a few words each what was done to it beyond decoding.

    Raises:
        UnreadableImageError: if it is damaged, holds several frames or none, is of an unsupported kind, or says that
            patient data are burned into its pixels.
        BadInputError: if pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise BadInputError("DICOM files need the package pydicom: pip install 'medaudit[dicom]'.") from error
    _silence(pydicom.config)
    try:
        _check_inflated(content)
        data = pydicom.dcmread(io.BytesIO(content), specific_tags=list(_READ))
        _check(data)
        pixels = _pixels(data)
        kind = data.PhotometricInterpretation
        if kind == "PALETTE COLOR":
            table, done = _palette(data), ("DICOM palette shown as RGB",)
            channels = [by_table(table[:, i], pixels) for i in range(3)]
            return Image.merge("RGB", [Image.fromarray(channel) for channel in channels]), done
        if kind in _GREY:
            grey, words = _grey(data)
            return Image.fromarray(by_table(grey, pixels)), words
        bits = int(data.BitsStored)
        if bits > 8:
            scale = (np.arange(2**16).clip(max=2**bits - 1) * (255 / (2**bits - 1))).round().astype(np.uint8)
            return Image.fromarray(by_table(scale, pixels)), (f"DICOM colour of {bits} bits scaled to 8",)
        return Image.fromarray(pixels), () if kind == "RGB" else ("DICOM YBR shown as RGB",)
    except UnreadableImageError:
        raise
    except MemoryError as error:
        raise UnreadableImageError("it takes more memory than there is") from error
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes happen to say
        # Neither its message nor the chain: they quote the file.
        raise UnreadableImageError(f"damaged, or not as the DICOM standard asks ({type(error).__name__})") from None


def _silence(config: Any) -> None:
    """Keep what pydicom has to say of values out of every terminal and log, for the whole process.

    Not for the time of one call: images are read in a thread, where the filters of warnings may change under way.
    """
    warnings.filterwarnings("ignore", module=r"(pydicom|auditor\.data\.dicom)(\.|$)")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    config.settings.reading_validation_mode = config.IGNORE


def _check_inflated(content: bytes) -> None:
    """Refuse a deflated file that inflates to too much: pydicom would inflate all of it."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    stream = io.BytesIO(content)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(stream.read(), MOST_INFLATED)
        if inflater.unconsumed_tail:
            raise UnreadableImageError(f"it inflates to more than {MOST_INFLATED // 2**20} MB")


def _check(data: Dataset) -> None:
    """Refuse what cannot be shown as one picture, before it is decoded."""
    if any(data.get(name) is None for name in _NEEDED):
        raise UnreadableImageError("this DICOM file holds no image")
    if str(data.get("BurnedInAnnotation")).upper() == "YES":
        raise UnreadableImageError("it says that patient data are burned into its pixels (BurnedInAnnotation)")
    frames = int(data.get("NumberOfFrames") or 1)
    if frames != 1:
        raise UnreadableImageError(f"it holds {frames} frames (NumberOfFrames); only single images are read")
    check_size(int(data.Columns), int(data.Rows))
    stored, allocated = int(data.BitsStored), int(data.BitsAllocated)
    if allocated not in (8, 16) or not 8 <= stored <= allocated:
        raise UnreadableImageError(f"its pixels have {stored} bits; 8 to 16 are read")
    kind = data.PhotometricInterpretation
    if kind not in (*_GREY, *_COLOUR, "PALETTE COLOR"):
        raise UnreadableImageError("its PhotometricInterpretation is none that is read")
    if kind in _COLOUR and int(data.PixelRepresentation):
        raise UnreadableImageError("its colours have a sign")


def _pixels(data: Dataset) -> NDArray[Any]:
    """Stored values of shape `(rows, columns)`, or colours of shape `(rows, columns, 3)`."""
    from pydicom.pixels import convert_color_space, get_decoder

    syntax = data.file_meta.TransferSyntaxUID
    name = syntax.name if syntax.name != str(syntax) else "a way that is not in the standard"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnreadableImageError(f"its pixels are compressed ({name}) and cannot be decoded") from None
    if not decoder.is_available:
        raise UnreadableImageError(f"its pixels are compressed ({name}); no decoder for that is installed")
    try:
        pixels, found = decoder.as_array(data, raw=True)
    except Exception as error:
        if not syntax.is_encapsulated or isinstance(error, MemoryError):
            raise
        raise UnreadableImageError(f"its pixels, compressed ({name}), could not be decoded") from None
    expected = (int(data.Rows), int(data.Columns), *([3] if data.PhotometricInterpretation in _COLOUR else []))
    if pixels.shape != expected or pixels.dtype.itemsize > 2:
        raise UnreadableImageError("its pixels are not of the shape it states")
    if str(found["photometric_interpretation"]).startswith("YBR"):
        # In strips, because pydicom takes eight times the memory meanwhile.
        if not pixels.flags.writeable:
            pixels = pixels.copy()
        for strip in strips(pixels):
            strip[...] = convert_color_space(strip, "YBR_FULL", "RGB")
    result: NDArray[Any] = pixels
    return result


def _stored(data: Dataset) -> NDArray[np.int64]:
    """Every value that 16 bits can store, in the order of a table that negative ones index from its end."""
    values = np.arange(2**16)
    return np.where(values < 2**15, values, values - 2**16) if int(data.PixelRepresentation) else values


def _grey(data: Dataset) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """What each stored value is shown as, as a table that `by_table` reads; and in words how."""
    stored = _stored(data)
    bits, signed = int(data.BitsStored), int(data.PixelRepresentation)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if data.get("ModalityLUTSequence"):
        values, depth = _look_up(data, "ModalityLUTSequence", stored)
        low, high = 0.0, 2.0**depth - 1
    else:
        slope, intercept = (
            usual if data.get(name) is None else float(data.get(name))
            for name, usual in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
        values = stored * slope + intercept
        low, high = sorted((least * slope + intercept, most * slope + intercept))
    if data.get("VOILUTSequence"):
        values, depth = _look_up(data, "VOILUTSequence", values)
        shown, how = values / (2**depth - 1), "DICOM VOI LUT applied"
    elif data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        shown, how = _windowed(data, values), "DICOM window applied"
    else:
        shown, how = (values - low) / (high - low), "DICOM without a window: whole range of the stored bits"
    if not np.isfinite(shown).all():
        raise UnreadableImageError("its rescale or its window leaves no picture")
    inverted = data.PhotometricInterpretation == "MONOCHROME1"
    shown = (1 - shown if inverted else shown).clip(0, 1)
    return (shown * 255).round().astype(np.uint8), (how, *(["DICOM MONOCHROME1 inverted"] if inverted else []))


def _windowed(data: Dataset, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Put values through the first window, to [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    center, width = (float(_first(data.get(name))) for name in ("WindowCenter", "WindowWidth"))
    function = str(data.get("VOILUTFunction") or "LINEAR").upper()
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width < 0 or (width == 0 and function != "LINEAR"):
        raise UnreadableImageError("its window has no width")
    if function == "SIGMOID":
        curve: NDArray[np.floating[Any]] = 1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700)))
        return curve
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise UnreadableImageError("its VOILUTFunction is none of the standard's")
    return np.where(values <= center - width / 2, 0.0, ((values - center) / max(width, 1e-9) + 0.5).clip(0, 1))


def _look_up(data: Dataset, name: str, values: NDArray[Any]) -> tuple[NDArray[np.floating[Any]], int]:
    """Put values through the first lookup table of a sequence; returns what it says and its bits (PS3.3 C.11.1.1)."""
    item = data[name][0]
    count, first, depth = (int(part) for part in item.LUTDescriptor)
    entries = item.LUTData
    if isinstance(entries, bytes):
        little = data.file_meta.TransferSyntaxUID.is_little_endian
        entries = np.frombuffer(entries, dtype="<u2" if little else ">u2")
    table = np.asarray(entries, dtype=np.float64)
    if not 8 <= depth <= 16 or len(table) < (count or 2**16):
        raise UnreadableImageError("its lookup table is not as long as it states")
    return table[(values - first).round().clip(0, (count or 2**16) - 1).astype(np.int64)], depth


def _palette(data: Dataset) -> NDArray[np.uint8]:
    """Colours of the palette as a table that `by_table` reads, of shape `(65536, 3)`."""
    from pydicom.pixels import apply_color_lut

    # A segmented palette of a few bytes can stand for one without end.
    if "RedPaletteColorLookupTableData" not in data:
        raise UnreadableImageError("its palette is segmented or missing")
    colours: NDArray[Any] = apply_color_lut(_stored(data), data)[:, :3]
    if colours.dtype == np.uint8:
        if int(data.RedPaletteColorLookupTableDescriptor[0] or 2**16) > 2**8:
            raise UnreadableImageError("its palette has more than 256 colours of 8 bits")
        return colours
    result: NDArray[np.uint8] = (colours / 257).round().astype(np.uint8)
    return result


def _first(value: Any) -> Any:
    """Value of an attribute that may have several."""
    return value if isinstance(value, (str, float, int)) else value[0]
